//! Package `std_msgs`.

use serde::{Deserialize, Serialize};

use super::builtin_interfaces::Time;
use crate::Stamp;

/// When and in which frame a message is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the data was measured.
    pub stamp: Time,
    /// The frame the data is expressed in.
    pub frame_id: String,
}

ros_message!(Header, "std_msgs/msg/Header", header_fields, time_fields);

impl Header {
    /// A header.
    pub fn new(stamp: Stamp, frame_id: impl Into<String>) -> Self {
        Self { stamp: stamp.into(), frame_id: frame_id.into() }
    }
}
