//! Messages to this crate's own types and back. What cannot be true is refused here: NaN, a quaternion that is no
//! rotation, nanoseconds beyond a second, an uncalibrated camera, an IMU that says it lacks a quantity.

use nalgebra::Vector3;

use super::builtin_interfaces::Time;
use super::{geometry_msgs, sensor_msgs, std_msgs};
use crate::geometry::{Se3, So3};
use crate::sensor::{CameraModel, CompressedImage, Distortion, Image, ImuSample};
use crate::{Error, Result, Stamp};

/// The stamp of a header.
///
/// # Errors
/// [`Error::Message`] when `nanosec` is not below one second.
pub fn stamp_of(header: &std_msgs::Header) -> Result<Stamp> {
    let Time { sec, nanosec } = header.stamp;
    if nanosec >= 1_000_000_000 {
        return Err(Error::message("header.stamp", "nanosec below 1000000000", nanosec.to_string()));
    }
    Ok(Stamp::from_parts(sec, nanosec))
}

impl TryFrom<sensor_msgs::Image> for Image {
    type Error = Error;

    /// Moves the pixels; `step`, `height` and `data` are checked where the image is decoded.
    fn try_from(message: sensor_msgs::Image) -> Result<Image> {
        let sensor_msgs::Image { header, height, width, encoding, is_bigendian, step, data } = message;
        let stamp = stamp_of(&header)?;
        let is_bigendian = is_bigendian != 0;
        Ok(Image { stamp, frame_id: header.frame_id, height, width, encoding, step, is_bigendian, data })
    }
}

impl From<Image> for sensor_msgs::Image {
    fn from(image: Image) -> Self {
        let Image { stamp, frame_id, height, width, encoding, step, is_bigendian, data } = image;
        let header = std_msgs::Header::new(stamp, frame_id);
        Self { header, height, width, encoding, is_bigendian: is_bigendian.into(), step, data }
    }
}

impl TryFrom<sensor_msgs::CompressedImage> for CompressedImage {
    type Error = Error;

    fn try_from(message: sensor_msgs::CompressedImage) -> Result<CompressedImage> {
        let sensor_msgs::CompressedImage { header, format, data } = message;
        Ok(CompressedImage { stamp: stamp_of(&header)?, frame_id: header.frame_id, format, data })
    }
}

impl From<CompressedImage> for sensor_msgs::CompressedImage {
    fn from(image: CompressedImage) -> Self {
        let CompressedImage { stamp, frame_id, format, data } = image;
        Self { header: std_msgs::Header::new(stamp, frame_id), format, data }
    }
}

/// No gyroscope turns faster, rad/s: what is above comes from a broken message.
const LARGEST_RATE: f64 = 1e4;
/// No accelerometer feels more, m/s².
const LARGEST_FORCE: f64 = 1e6;

impl TryFrom<&sensor_msgs::Imu> for ImuSample {
    type Error = Error;

    fn try_from(message: &sensor_msgs::Imu) -> Result<ImuSample> {
        let expected = "finite rates up to 1e4 rad/s and accelerations up to 1e6 m/s²";
        let refused = |found: String| Err(Error::message("Imu", expected, found));
        if message.angular_velocity_covariance[0] == -1.0 {
            return refused("angular_velocity_covariance[0] = -1: the unit measures no angular velocity".into());
        }
        if message.linear_acceleration_covariance[0] == -1.0 {
            return refused("linear_acceleration_covariance[0] = -1: the unit measures no acceleration".into());
        }
        let sample = ImuSample {
            stamp: stamp_of(&message.header)?,
            angular_velocity: vector(&message.angular_velocity),
            linear_acceleration: vector(&message.linear_acceleration),
        };
        let (rate, force) = (sample.angular_velocity.amax(), sample.linear_acceleration.amax());
        if !sample.is_finite() || rate > LARGEST_RATE || force > LARGEST_FORCE {
            return refused(format!("{:?} and {:?}", message.angular_velocity, message.linear_acceleration));
        }
        Ok(sample)
    }
}

impl ImuSample {
    /// The sample as a message, without an orientation (its covariance starts with -1, as ROS prescribes).
    pub fn to_message(&self, frame_id: impl Into<String>) -> sensor_msgs::Imu {
        let mut orientation_covariance = [0.0; 9];
        orientation_covariance[0] = -1.0;
        sensor_msgs::Imu {
            header: std_msgs::Header::new(self.stamp, frame_id),
            orientation_covariance,
            angular_velocity: vector3(&self.angular_velocity),
            linear_acceleration: vector3(&self.linear_acceleration),
            ..sensor_msgs::Imu::default()
        }
    }
}

impl TryFrom<&geometry_msgs::Transform> for Se3 {
    type Error = Error;

    fn try_from(message: &geometry_msgs::Transform) -> Result<Se3> {
        rigid("Transform", vector(&message.translation), &message.rotation)
    }
}

impl TryFrom<&geometry_msgs::Pose> for Se3 {
    type Error = Error;

    fn try_from(message: &geometry_msgs::Pose) -> Result<Se3> {
        let geometry_msgs::Point { x, y, z } = message.position;
        rigid("Pose", Vector3::new(x, y, z), &message.orientation)
    }
}

impl From<Se3> for geometry_msgs::Transform {
    fn from(transform: Se3) -> Self {
        Self { translation: vector3(&transform.translation), rotation: quaternion(transform.rotation) }
    }
}

impl From<Se3> for geometry_msgs::Pose {
    fn from(pose: Se3) -> Self {
        let position = geometry_msgs::Point { x: pose.translation.x, y: pose.translation.y, z: pose.translation.z };
        Self { position, orientation: quaternion(pose.rotation) }
    }
}

fn rigid(what: &str, translation: Vector3<f64>, rotation: &geometry_msgs::Quaternion) -> Result<Se3> {
    let geometry_msgs::Quaternion { x, y, z, w } = *rotation;
    let place = Se3::new(So3::identity(), translation);
    if !place.is_plausible() {
        let [x, y, z] = translation.into();
        return Err(Error::message(what, "a finite translation of at most 1e9 m", format!("({x}, {y}, {z})")));
    }
    let rotation = So3::from_xyzw(x, y, z, w).ok_or_else(|| {
        Error::message(what, "a unit quaternion", format!("x {x}, y {y}, z {z}, w {w} (norm must be within 1e-2 of 1)"))
    })?;
    Ok(Se3::new(rotation, translation))
}

fn vector(message: &geometry_msgs::Vector3) -> Vector3<f64> {
    Vector3::new(message.x, message.y, message.z)
}

fn vector3(vector: &Vector3<f64>) -> geometry_msgs::Vector3 {
    geometry_msgs::Vector3 { x: vector.x, y: vector.y, z: vector.z }
}

fn quaternion(rotation: So3) -> geometry_msgs::Quaternion {
    let [x, y, z, w] = rotation.to_xyzw();
    geometry_msgs::Quaternion { x, y, z, w }
}

impl TryFrom<&sensor_msgs::CameraInfo> for CameraModel {
    type Error = Error;

    /// The raw image's camera: `k` and `d`. A rectified image has the camera of `p` instead.
    fn try_from(message: &sensor_msgs::CameraInfo) -> Result<CameraModel> {
        let roi = &message.roi;
        let is_part = (roi.width != 0 && roi.width != message.width)
            || (roi.height != 0 && roi.height != message.height)
            || (roi.x_offset, roi.y_offset) != (0, 0);
        if message.binning_x > 1 || message.binning_y > 1 || is_part {
            let found = format!("binning {} x {}, {roi:?}", message.binning_x, message.binning_y);
            return Err(Error::message("CameraInfo", "the whole image without binning", found));
        }
        let [fx, skew, cx, _, fy, cy, ..] = message.k;
        let distortion = distortion_of(message)?;
        let model = CameraModel { width: message.width, height: message.height, fx, fy, cx, cy, distortion };
        if !model.is_calibrated() || skew != 0.0 {
            let found = format!("{} x {}, k = {:?}, d = {:?}", message.width, message.height, message.k, message.d);
            let expected = "a calibrated camera (positive size and focal lengths, finite numbers, no skew)";
            return Err(Error::message("CameraInfo", expected, found));
        }
        Ok(model)
    }
}

fn distortion_of(message: &sensor_msgs::CameraInfo) -> Result<Distortion> {
    let name = message.distortion_model.as_str();
    if message.d.iter().all(|value| *value == 0.0) && matches!(name, "" | "none" | "plumb_bob" | "rational_polynomial")
    {
        return Ok(Distortion::None);
    }
    match (name, message.d.as_slice()) {
        ("plumb_bob", &[k1, k2, p1, p2]) => Ok(Distortion::PlumbBob([k1, k2, p1, p2, 0.0])),
        ("plumb_bob", &[k1, k2, p1, p2, k3]) => Ok(Distortion::PlumbBob([k1, k2, p1, p2, k3])),
        ("rational_polynomial", &[k1, k2, p1, p2, k3, 0.0, 0.0, 0.0]) => Ok(Distortion::PlumbBob([k1, k2, p1, p2, k3])),
        ("equidistant" | "fisheye", &[k1, k2, k3, k4]) => Ok(Distortion::Equidistant([k1, k2, k3, k4])),
        _ => Err(Error::message(
            "CameraInfo",
            "distortion_model plumb_bob with 4 or 5 coefficients, or equidistant with 4",
            format!("{name:?} with {:?}", message.d),
        )),
    }
}

impl CameraModel {
    /// The camera as a message: of the raw image in `k` and `d`, of the rectified image in `p`.
    pub fn to_message(&self, stamp: Stamp, frame_id: impl Into<String>) -> sensor_msgs::CameraInfo {
        let (distortion_model, d) = match &self.distortion {
            Distortion::None => ("plumb_bob", vec![0.0; 5]),
            Distortion::PlumbBob(coefficients) => ("plumb_bob", coefficients.to_vec()),
            Distortion::Equidistant(coefficients) => ("equidistant", coefficients.to_vec()),
        };
        let Self { fx, fy, cx, cy, .. } = *self;
        sensor_msgs::CameraInfo {
            header: std_msgs::Header::new(stamp, frame_id),
            height: self.height,
            width: self.width,
            distortion_model: distortion_model.into(),
            d,
            k: [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
            r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
            ..sensor_msgs::CameraInfo::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of<T>(result: Result<T>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn poses_that_are_none_are_refused() {
        let mut pose = geometry_msgs::Pose::default();
        pose.orientation.w = 0.0;
        let error = message_of(Se3::try_from(&pose));
        assert_eq!(error, "Pose: expected a unit quaternion, found x 0, y 0, z 0, w 0 (norm must be within 1e-2 of 1)");
        pose = geometry_msgs::Pose::default();
        pose.position.y = f64::NAN;
        assert_eq!(
            message_of(Se3::try_from(&pose)),
            "Pose: expected a finite translation of at most 1e9 m, found (0, NaN, 0)"
        );
        let mut transform = geometry_msgs::Transform::default();
        transform.rotation.x = f64::INFINITY;
        assert!(message_of(Se3::try_from(&transform)).starts_with("Transform: expected a unit quaternion"));
    }

    #[test]
    fn poses_survive_the_way_there_and_back() {
        let map_from_base = Se3::new(So3::exp(&Vector3::new(0.1, -0.2, 2.0)), Vector3::new(1.0, 2.0, 3.0));
        for back in [
            Se3::try_from(&geometry_msgs::Pose::from(map_from_base)).unwrap(),
            Se3::try_from(&geometry_msgs::Transform::from(map_from_base)).unwrap(),
        ] {
            assert!(map_from_base.local(back).norm() < 1e-12);
        }
    }

    #[test]
    fn an_imu_without_a_quantity_or_with_nan_is_refused() {
        let good = ImuSample {
            stamp: Stamp::from_nanos(5),
            angular_velocity: Vector3::new(0.1, 0.2, 0.3),
            linear_acceleration: Vector3::new(0.0, 0.0, 9.81),
        };
        let message = good.to_message("imu_link");
        assert_eq!(ImuSample::try_from(&message).unwrap(), good);
        let mut bad = message.clone();
        bad.linear_acceleration.z = f64::NAN;
        assert!(message_of(ImuSample::try_from(&bad)).contains("z: NaN"));
        bad = message.clone();
        bad.angular_velocity_covariance[0] = -1.0;
        assert!(message_of(ImuSample::try_from(&bad)).contains("measures no angular velocity"));
        bad = message;
        bad.header.stamp.nanosec = 1_000_000_000;
        assert_eq!(
            message_of(ImuSample::try_from(&bad)),
            "header.stamp: expected nanosec below 1000000000, found 1000000000"
        );
    }

    #[test]
    fn cameras_survive_and_uncalibrated_ones_are_refused() {
        for distortion in [
            Distortion::None,
            Distortion::PlumbBob([-0.28, 0.07, 0.0002, 1.8e-5, 0.0]),
            Distortion::Equidistant([0.1, -0.01, 0.002, 0.0]),
        ] {
            let camera = CameraModel { distortion, cx: 300.0, ..CameraModel::pinhole(640, 480, 525.0) };
            assert_eq!(CameraModel::try_from(&camera.to_message(Stamp::from_nanos(0), "cam")).unwrap(), camera);
        }
        assert!(message_of(CameraModel::try_from(&sensor_msgs::CameraInfo::default())).contains("a calibrated camera"));
        let mut message = CameraModel::pinhole(640, 480, 525.0).to_message(Stamp::from_nanos(0), "cam");
        message.binning_x = 2;
        assert!(message_of(CameraModel::try_from(&message)).contains("without binning, found binning 2 x 0"));
        message.binning_x = 1;
        message.d = vec![0.1; 8];
        message.distortion_model = "rational_polynomial".into();
        assert!(message_of(CameraModel::try_from(&message)).contains("found \"rational_polynomial\" with [0.1,"));
    }
}
