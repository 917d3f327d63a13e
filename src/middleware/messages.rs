//! Between ROS messages and the port's types: the one place where every adapter meets the node's meaning of a message.

use super::{
    Diagnostics, Incoming, Input, Level, Picture, StampedOdometry, StampedPath, StampedPose, StampedTransform,
};
use crate::geometry::{PoseCovariance, Se3};
use crate::msg::diagnostic_msgs::DiagnosticStatus;
use crate::msg::{convert, diagnostic_msgs, geometry_msgs, nav_msgs, sensor_msgs, std_msgs, tf2_msgs};
use crate::sensor::{CameraModel, Distortion, ImuSample};
use crate::{Error, Result, Stamp};

/// An image as it came; its content is checked when it is decoded.
pub fn image(message: sensor_msgs::Image) -> Incoming {
    match message.try_into() {
        Ok(image) => Incoming::Image(Picture::Raw(image)),
        Err(error) => Incoming::Refused { input: Input::Image, error },
    }
}

/// An encoded image as it came.
pub fn compressed_image(message: sensor_msgs::CompressedImage) -> Incoming {
    match message.try_into() {
        Ok(image) => Incoming::Image(Picture::Compressed(image)),
        Err(error) => Incoming::Refused { input: Input::Image, error },
    }
}

/// A calibration, refused when it is none: of the raw image, or of the rectified one (`p`).
pub fn camera_info(message: &sensor_msgs::CameraInfo, rectified: bool) -> Incoming {
    match camera(message, rectified) {
        Ok(camera) => Incoming::CameraInfo(camera),
        Err(error) => Incoming::Refused { input: Input::CameraInfo, error },
    }
}

/// The camera of the raw image, or of the rectified one (`p`).
///
/// # Errors
/// When it is not calibrated, or of an unknown distortion model.
pub fn camera(message: &sensor_msgs::CameraInfo, rectified: bool) -> Result<CameraModel> {
    if rectified { rectified_camera(message) } else { CameraModel::try_from(message) }
}

fn rectified_camera(message: &sensor_msgs::CameraInfo) -> Result<CameraModel> {
    let [fx, _, cx, _, _, fy, cy, ..] = message.p;
    let (width, height) = (message.width, message.height);
    let camera = CameraModel { width, height, fx, fy, cx, cy, distortion: Distortion::None };
    if camera.is_calibrated() {
        return Ok(camera);
    }
    let found = format!("{width} x {height}, p = {:?}", message.p);
    Err(Error::message("CameraInfo", "the camera of a rectified image in p", found))
}

/// Transforms; one that is not finite or has no rotation refuses the message that carries it.
pub fn transforms(message: &tf2_msgs::TFMessage, is_static: bool) -> Incoming {
    let transforms: Result<Vec<_>> = message.transforms.iter().map(transform).collect();
    match transforms {
        Ok(transforms) => Incoming::Transforms { transforms, is_static },
        Err(error) => Incoming::Refused { input: Input::Transforms, error },
    }
}

fn transform(message: &geometry_msgs::TransformStamped) -> Result<StampedTransform> {
    let parent_from_child = Se3::try_from(&message.transform).map_err(|error| {
        let edge = format!("transform from {:?} to {:?}", message.child_frame_id, message.header.frame_id);
        Error::message(edge, "a rigid transform", error.to_string())
    })?;
    Ok(StampedTransform {
        stamp: convert::stamp_of(&message.header)?,
        parent: message.header.frame_id.clone(),
        child: message.child_frame_id.clone(),
        parent_from_child,
    })
}

/// A reading of the IMU; one that is not finite is refused.
pub fn imu(message: &sensor_msgs::Imu) -> Incoming {
    match ImuSample::try_from(message) {
        Ok(sample) => Incoming::Imu { sample, frame_id: message.header.frame_id.clone() },
        Err(error) => Incoming::Refused { input: Input::Imu, error },
    }
}

/// The pose of a robot's odometry as a transform; its covariance and twist are not used.
pub fn odometry(message: &nav_msgs::Odometry) -> Incoming {
    let transform = || -> Result<StampedTransform> {
        Ok(StampedTransform {
            stamp: convert::stamp_of(&message.header)?,
            parent: message.header.frame_id.clone(),
            child: message.child_frame_id.clone(),
            parent_from_child: Se3::try_from(&message.pose.pose)?,
        })
    };
    match transform() {
        Ok(transform) => Incoming::Odometry(transform),
        Err(error) => Incoming::Refused { input: Input::Odometry, error },
    }
}

/// Standard deviation of an axis whose variance in `initialpose` is zero: RViz fills x, y and yaw only. Metres, radians.
const UNKNOWN_SIGMAS: (f64, f64) = (1.0, 0.5);

/// Where somebody says that the robot is. An axis with a variance of zero counts as hardly known.
pub fn initial_pose(message: &geometry_msgs::PoseWithCovarianceStamped) -> Incoming {
    let pose = || -> Result<StampedPose> {
        let map_from_base = Se3::try_from(&message.pose.pose)?;
        let mut covariance = message.pose.covariance;
        for axis in 0..6 {
            let sigma = if axis < 3 { UNKNOWN_SIGMAS.0 } else { UNKNOWN_SIGMAS.1 };
            let variance = &mut covariance[7 * axis];
            *variance = if *variance == 0.0 { sigma * sigma } else { *variance };
        }
        Ok(StampedPose {
            stamp: convert::stamp_of(&message.header)?,
            frame_id: message.header.frame_id.clone(),
            map_from_base,
            covariance: PoseCovariance::from_fixed_axes(&covariance, map_from_base)?,
        })
    };
    match pose() {
        Ok(pose) => Incoming::InitialPose(Box::new(pose)),
        Err(error) => Incoming::Refused { input: Input::InitialPose, error },
    }
}

/// The message of `odometry`.
pub fn odometry_message(odometry: &StampedOdometry) -> nav_msgs::Odometry {
    let [vx, vy, vz, wx, wy, wz] = odometry.twist.into();
    let twist = geometry_msgs::Twist {
        linear: geometry_msgs::Vector3 { x: vx, y: vy, z: vz },
        angular: geometry_msgs::Vector3 { x: wx, y: wy, z: wz },
    };
    let covariance = std::array::from_fn(|index| odometry.twist_covariance[(index / 6, index % 6)]);
    nav_msgs::Odometry {
        header: std_msgs::Header::new(odometry.stamp, &odometry.frame_id),
        child_frame_id: odometry.child_frame_id.clone(),
        pose: geometry_msgs::PoseWithCovariance {
            pose: odometry.map_from_base.into(),
            covariance: odometry.covariance.to_fixed_axes(odometry.map_from_base),
        },
        twist: geometry_msgs::TwistWithCovariance { twist, covariance },
    }
}

/// The message of `pose`.
pub fn pose_message(pose: &StampedPose) -> geometry_msgs::PoseWithCovarianceStamped {
    geometry_msgs::PoseWithCovarianceStamped {
        header: std_msgs::Header::new(pose.stamp, &pose.frame_id),
        pose: geometry_msgs::PoseWithCovariance {
            pose: pose.map_from_base.into(),
            covariance: pose.covariance.to_fixed_axes(pose.map_from_base),
        },
    }
}

/// The message of `path`.
pub fn path_message(path: &StampedPath) -> nav_msgs::Path {
    let pose = |(stamp, map_from_base): &(Stamp, Se3)| geometry_msgs::PoseStamped {
        header: std_msgs::Header::new(*stamp, &path.frame_id),
        pose: (*map_from_base).into(),
    };
    nav_msgs::Path {
        header: std_msgs::Header::new(path.stamp, &path.frame_id),
        poses: path.poses.iter().map(pose).collect(),
    }
}

/// The message of `/tf`.
pub fn transform_message(transform: &StampedTransform) -> tf2_msgs::TFMessage {
    tf2_msgs::TFMessage {
        transforms: vec![geometry_msgs::TransformStamped {
            header: std_msgs::Header::new(transform.stamp, &transform.parent),
            child_frame_id: transform.child.clone(),
            transform: transform.parent_from_child.into(),
        }],
    }
}

/// The message of `/diagnostics`; `node` is the node's absolute name.
pub fn diagnostics_message(diagnostics: &Diagnostics, node: &str) -> diagnostic_msgs::DiagnosticArray {
    let value = |(key, value): &(String, String)| diagnostic_msgs::KeyValue { key: key.clone(), value: value.clone() };
    let level = match diagnostics.level {
        Level::Ok => DiagnosticStatus::OK,
        Level::Warn => DiagnosticStatus::WARN,
        Level::Error => DiagnosticStatus::ERROR,
        Level::Stale => DiagnosticStatus::STALE,
    };
    diagnostic_msgs::DiagnosticArray {
        header: std_msgs::Header::new(diagnostics.stamp, ""),
        status: vec![DiagnosticStatus {
            level,
            name: format!("{}: localization", node.trim_start_matches('/')),
            message: diagnostics.message.clone(),
            hardware_id: String::new(),
            values: diagnostics.values.iter().map(value).collect(),
        }],
    }
}
