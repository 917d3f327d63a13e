//! Package `rosgraph_msgs`.

use serde::{Deserialize, Serialize};

use super::builtin_interfaces::Time;

/// Simulated or replayed time, on the topic `/clock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The time now.
    pub clock: Time,
}

ros_message!(Clock, "rosgraph_msgs/msg/Clock", clock_fields, time_fields);
