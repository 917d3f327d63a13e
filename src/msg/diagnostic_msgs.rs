//! Package `diagnostic_msgs`.

use serde::{Deserialize, Serialize};

use super::std_msgs::Header;

/// One named value of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// What it is.
    pub key: String,
    /// Its value, as text.
    pub value: String,
}

/// The state of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticStatus {
    /// One of the constants of this type.
    pub level: u8,
    /// The component.
    pub name: String,
    /// What its state is.
    pub message: String,
    /// The hardware it runs on.
    pub hardware_id: String,
    /// Details.
    pub values: Vec<KeyValue>,
}

impl DiagnosticStatus {
    /// All is well.
    pub const OK: u8 = 0;
    /// Works, but not as it should.
    pub const WARN: u8 = 1;
    /// Does not work.
    pub const ERROR: u8 = 2;
    /// Has not been heard of for too long.
    pub const STALE: u8 = 3;
}

/// The states of several components, on the topic `/diagnostics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticArray {
    /// When.
    pub header: Header,
    /// One per component.
    pub status: Vec<DiagnosticStatus>,
}

ros_message!(KeyValue, "diagnostic_msgs/msg/KeyValue", key_value_fields);
ros_message!(DiagnosticStatus, "diagnostic_msgs/msg/DiagnosticStatus", diagnostic_status_fields, key_value_fields);
ros_message!(
    DiagnosticArray,
    "diagnostic_msgs/msg/DiagnosticArray",
    diagnostic_array_fields,
    header_fields,
    time_fields,
    diagnostic_status_fields,
    key_value_fields,
);
