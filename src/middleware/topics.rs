//! The topics that the node listens to: the same for every adapter to a running robot.

use super::{Incoming, Input, Qos, messages};
use crate::Result;
use crate::config::{Config, ImageTransport, OdometrySource};
use crate::msg::{RosMessage, geometry_msgs, nav_msgs, sensor_msgs, tf2_msgs};

/// Listens to topics, one after the other.
pub trait TopicHost {
    /// Hands every message of a topic to the node from now on; one that cannot be read becomes
    /// [`Incoming::Refused`].
    ///
    /// # Errors
    /// [`Error::Middleware`](crate::Error::Middleware) when the middleware does not take it.
    fn listen<T, C>(&mut self, topic: &str, qos: Qos, input: Input, convert: C) -> Result<()>
    where
        T: RosMessage + Send + Sync + 'static,
        C: Fn(T) -> Incoming + Send + Sync + 'static;
}

/// Listens to what the configuration asks for.
///
/// # Errors
/// The first that the host reports.
pub fn listen_all(host: &mut impl TopicHost, config: &Config) -> Result<()> {
    let images = Qos::images(config.image_reliability);
    match config.image_transport {
        ImageTransport::Raw => host.listen("image", images, Input::Image, messages::image)?,
        ImageTransport::Compressed => {
            host.listen("image/compressed", images, Input::Image, messages::compressed_image)?;
        }
    }
    let rectified = config.rectified_images;
    let camera_info = move |message: sensor_msgs::CameraInfo| messages::camera_info(&message, rectified);
    host.listen("camera_info", images, Input::CameraInfo, camera_info)?;
    let transforms = |is_static| move |message: tf2_msgs::TFMessage| messages::transforms(&message, is_static);
    host.listen("/tf", Qos::TF, Input::Transforms, transforms(false))?;
    host.listen("/tf_static", Qos::TF_STATIC, Input::Transforms, transforms(true))?;
    if config.use_imu {
        host.listen("imu", Qos::IMU, Input::Imu, |imu: sensor_msgs::Imu| messages::imu(&imu))?;
    }
    if config.odometry_source == OdometrySource::Topic {
        host.listen("odom", Qos::ODOM, Input::Odometry, |odometry: nav_msgs::Odometry| messages::odometry(&odometry))?;
    }
    let initial_pose = |message: geometry_msgs::PoseWithCovarianceStamped| messages::initial_pose(&message);
    host.listen("initialpose", Qos::INITIAL_POSE, Input::InitialPose, initial_pose)
}
