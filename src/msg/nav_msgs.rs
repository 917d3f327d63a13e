//! Package `nav_msgs`.

use serde::{Deserialize, Serialize};

use super::geometry_msgs::{PoseStamped, PoseWithCovariance, TwistWithCovariance};
use super::std_msgs::Header;

/// Where a robot is and how it moves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Odometry {
    /// When, and the frame of `pose`.
    pub header: Header,
    /// The moving frame: the frame of `twist`.
    pub child_frame_id: String,
    /// Pose of `child_frame_id` in `header.frame_id`.
    pub pose: PoseWithCovariance,
    /// Velocity in the axes of `child_frame_id`.
    pub twist: TwistWithCovariance,
}

/// A sequence of poses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// When it was made, and the frame of the poses.
    pub header: Header,
    /// The poses, each with its own stamp.
    pub poses: Vec<PoseStamped>,
}

ros_message!(
    Odometry,
    "nav_msgs/msg/Odometry",
    odometry_fields,
    header_fields,
    time_fields,
    pose_with_covariance_fields,
    pose_fields,
    point_fields,
    quaternion_fields,
    twist_with_covariance_fields,
    twist_fields,
    vector3_fields,
);
ros_message!(
    Path,
    "nav_msgs/msg/Path",
    path_fields,
    header_fields,
    time_fields,
    pose_stamped_fields,
    pose_fields,
    point_fields,
    quaternion_fields,
);
