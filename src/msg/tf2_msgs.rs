//! Package `tf2_msgs`.

use serde::{Deserialize, Serialize};

use super::geometry_msgs::TransformStamped;

/// Transforms between frames, on the topics `/tf` and `/tf_static`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TFMessage {
    /// Each is `header.frame_id` from `child_frame_id`.
    pub transforms: Vec<TransformStamped>,
}

ros_message!(
    TFMessage,
    "tf2_msgs/msg/TFMessage",
    tf_message_fields,
    transform_stamped_fields,
    header_fields,
    time_fields,
    transform_fields,
    vector3_fields,
    quaternion_fields,
);
