//! Package `geometry_msgs`.

use serde::{Deserialize, Serialize};

use super::fixed_array;
use super::std_msgs::Header;

/// A point, metres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Along x.
    pub x: f64,
    /// Along y.
    pub y: f64,
    /// Along z.
    pub z: f64,
}

/// A free vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vector3 {
    /// Along x.
    pub x: f64,
    /// Along y.
    pub y: f64,
    /// Along z.
    pub z: f64,
}

/// A rotation; the default is no rotation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quaternion {
    /// Imaginary part.
    pub x: f64,
    /// Imaginary part.
    pub y: f64,
    /// Imaginary part.
    pub z: f64,
    /// Real part.
    pub w: f64,
}

impl Default for Quaternion {
    fn default() -> Self {
        Self { x: 0.0, y: 0.0, z: 0.0, w: 1.0 }
    }
}

/// Position and orientation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Metres.
    pub position: Point,
    /// Unit quaternion.
    pub orientation: Quaternion,
}

/// A pose with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoseWithCovariance {
    /// The mean.
    pub pose: Pose,
    /// Row-major 6x6: x, y, z (m), rotations about the fixed x, y, z axes (rad).
    #[serde(with = "fixed_array")]
    pub covariance: [f64; 36],
}

impl Default for PoseWithCovariance {
    fn default() -> Self {
        Self { pose: Pose::default(), covariance: [0.0; 36] }
    }
}

/// A pose of `header.frame_id` at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoseStamped {
    /// When, and in which frame.
    pub header: Header,
    /// Where.
    pub pose: Pose,
}

/// A pose with covariance of `header.frame_id` at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoseWithCovarianceStamped {
    /// When, and in which frame.
    pub header: Header,
    /// Where, and how sure.
    pub pose: PoseWithCovariance,
}

/// Velocity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Twist {
    /// m/s.
    pub linear: Vector3,
    /// rad/s.
    pub angular: Vector3,
}

/// Velocity with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwistWithCovariance {
    /// The mean.
    pub twist: Twist,
    /// Row-major 6x6: linear x, y, z (m/s), angular x, y, z (rad/s).
    #[serde(with = "fixed_array")]
    pub covariance: [f64; 36],
}

impl Default for TwistWithCovariance {
    fn default() -> Self {
        Self { twist: Twist::default(), covariance: [0.0; 36] }
    }
}

/// A rigid transform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Metres.
    pub translation: Vector3,
    /// Unit quaternion.
    pub rotation: Quaternion,
}

/// `header.frame_id` from `child_frame_id`: takes coordinates in the child to coordinates in the parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransformStamped {
    /// When, and the parent frame.
    pub header: Header,
    /// The child frame.
    pub child_frame_id: String,
    /// Pose of the child in the parent.
    pub transform: Transform,
}

ros_message!(Point, "geometry_msgs/msg/Point", point_fields);
ros_message!(Vector3, "geometry_msgs/msg/Vector3", vector3_fields);
ros_message!(Quaternion, "geometry_msgs/msg/Quaternion", quaternion_fields);
ros_message!(Pose, "geometry_msgs/msg/Pose", pose_fields, point_fields, quaternion_fields);
ros_message!(
    PoseWithCovariance,
    "geometry_msgs/msg/PoseWithCovariance",
    pose_with_covariance_fields,
    pose_fields,
    point_fields,
    quaternion_fields,
);
ros_message!(
    PoseStamped,
    "geometry_msgs/msg/PoseStamped",
    pose_stamped_fields,
    header_fields,
    time_fields,
    pose_fields,
    point_fields,
    quaternion_fields,
);
ros_message!(
    PoseWithCovarianceStamped,
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    pose_with_covariance_stamped_fields,
    header_fields,
    time_fields,
    pose_with_covariance_fields,
    pose_fields,
    point_fields,
    quaternion_fields,
);
ros_message!(Twist, "geometry_msgs/msg/Twist", twist_fields, vector3_fields);
ros_message!(
    TwistWithCovariance,
    "geometry_msgs/msg/TwistWithCovariance",
    twist_with_covariance_fields,
    twist_fields,
    vector3_fields,
);
ros_message!(Transform, "geometry_msgs/msg/Transform", transform_fields, vector3_fields, quaternion_fields);
ros_message!(
    TransformStamped,
    "geometry_msgs/msg/TransformStamped",
    transform_stamped_fields,
    header_fields,
    time_fields,
    transform_fields,
    vector3_fields,
    quaternion_fields,
);
