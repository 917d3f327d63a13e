//! Why something was not used.

/// Why an image got no pose, or another message was not used. The name is the key in diagnostics and summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A newer image came before the network was free: no defect.
    Replaced,
    /// Not newer than the image before it.
    ImageOutOfOrder,
    /// The message or its pixels mean nothing: lying sizes, unknown encoding, broken jpeg.
    ImageUndecodable,
    /// Not of the size that `camera_info` announced.
    ImageSize,
    /// It shows nothing: the camera is covered, or faces a wall of one colour.
    ImageWithoutContrast,
    /// It shows another scene than the one that the robot is in, as the network says.
    OtherScene,
    /// A pose could not be measured: nothing that the model knows of the place agrees with the image.
    PlaceUnknown,
    /// No usable `camera_info` came before it.
    NoCameraInfo,
    /// A `camera_info` that is no calibration.
    CameraInfoRefused,
    /// A transform that is none: NaN, zero quaternion, a circle.
    TransformRefused,
    /// An IMU message that measures nothing or is not finite.
    ImuRefused,
    /// An odometry message that is no pose.
    OdometryRefused,
    /// An initial pose that is none, of another frame, or without an estimator to start.
    InitialPoseRefused,
    /// The IMU's mounting is not known: no path from base to IMU in TF.
    NoImuExtrinsics,
    /// The estimator failed; it looks for the robot anew.
    EstimatorFailed,
    /// The network failed on the image.
    NetworkFailed,
    /// The camera's mounting is not known: no path from base to camera in TF.
    NoExtrinsics,
    /// No odometry at the image's stamp: the pose went out, `map -> odom` did not.
    NoOdometry,
    /// The clock jumped back while the image was worked on.
    ClockJumped,
    /// A service was called where none is offered.
    CallRefused,
    /// The last pose could not be written to its file.
    PoseNotSaved,
    /// The middleware did not take a message of the node.
    SendFailed,
}

impl Reason {
    /// The name in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Replaced => "replaced",
            Reason::ImageOutOfOrder => "image_out_of_order",
            Reason::ImageUndecodable => "image_undecodable",
            Reason::ImageSize => "image_size",
            Reason::ImageWithoutContrast => "image_without_contrast",
            Reason::OtherScene => "other_scene",
            Reason::PlaceUnknown => "place_unknown",
            Reason::NoCameraInfo => "no_camera_info",
            Reason::CameraInfoRefused => "camera_info_refused",
            Reason::TransformRefused => "transform_refused",
            Reason::ImuRefused => "imu_refused",
            Reason::OdometryRefused => "odometry_refused",
            Reason::InitialPoseRefused => "initial_pose_refused",
            Reason::NoImuExtrinsics => "no_imu_extrinsics",
            Reason::EstimatorFailed => "estimator_failed",
            Reason::NetworkFailed => "network_failed",
            Reason::NoExtrinsics => "no_extrinsics",
            Reason::NoOdometry => "no_odometry",
            Reason::ClockJumped => "clock_jumped",
            Reason::CallRefused => "call_refused",
            Reason::PoseNotSaved => "pose_not_saved",
            Reason::SendFailed => "send_failed",
        }
    }
}

/// How often something was refused, and the text of the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refusals {
    /// How often since the start.
    pub count: u64,
    /// What was said the last time.
    pub last: String,
    /// How often since the last report.
    pub(super) recent: u64,
}
