//! Package `builtin_interfaces`.

use serde::{Deserialize, Serialize};

use crate::Stamp;

/// A point in time: seconds and nanoseconds since the epoch of its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub sec: i32,
    /// Nanoseconds within the second, below 1e9.
    pub nanosec: u32,
}

ros_message!(Time, "builtin_interfaces/msg/Time", time_fields);

impl From<Time> for Stamp {
    fn from(time: Time) -> Stamp {
        Stamp::from_parts(time.sec, time.nanosec)
    }
}

impl From<Stamp> for Time {
    fn from(stamp: Stamp) -> Time {
        let (sec, nanosec) = stamp.to_parts();
        Time { sec, nanosec }
    }
}
