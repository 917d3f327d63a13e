//! Package `std_srvs`, requests and responses of its services.

use serde::{Deserialize, Serialize};

/// The request of `Trigger`, and request and response of `Empty`. A struct without fields has one byte in ROS's IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {
    /// Without meaning.
    pub structure_needs_at_least_one_member: u8,
}

/// The response of `Trigger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerResponse {
    /// Whether it was done.
    pub success: bool,
    /// What was done, or why it was not.
    pub message: String,
}

ros_message!(Empty, "std_srvs/srv/Empty_Request", empty_fields);
ros_message!(TriggerResponse, "std_srvs/srv/Trigger_Response", trigger_response_fields);
