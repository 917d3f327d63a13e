//! Package `sensor_msgs`.

use serde::{Deserialize, Serialize};

use super::geometry_msgs::{Quaternion, Vector3};
use super::std_msgs::Header;

/// A raw image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// When it was exposed, and the optical frame.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Pixel format: `rgb8`, `mono8`, ...
    pub encoding: String,
    /// Whether samples of several bytes are big-endian.
    pub is_bigendian: u8,
    /// Bytes from one row to the next.
    pub step: u32,
    /// `step * height` bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// An encoded image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressedImage {
    /// When it was exposed, and the optical frame.
    pub header: Header,
    /// `jpeg`, `png`, or what image_transport writes, such as `rgb8; jpeg compressed bgr8`.
    pub format: String,
    /// The file's bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// A part of an image; all zeros mean the whole image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionOfInterest {
    /// Leftmost column.
    pub x_offset: u32,
    /// Topmost row.
    pub y_offset: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Whether a rectified image is to be cut from it.
    pub do_rectify: bool,
}

/// A camera's calibration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// When, and the optical frame.
    pub header: Header,
    /// Rows of the image it was calibrated with.
    pub height: u32,
    /// Columns of the image it was calibrated with.
    pub width: u32,
    /// `plumb_bob`, `equidistant`, ...
    pub distortion_model: String,
    /// Distortion coefficients.
    pub d: Vec<f64>,
    /// Row-major 3x3 camera matrix of the raw image; all zeros when uncalibrated.
    pub k: [f64; 9],
    /// Row-major 3x3 rectification rotation of a stereo pair.
    pub r: [f64; 9],
    /// Row-major 3x4 projection of the rectified image.
    pub p: [f64; 12],
    /// Pixels averaged along x; 0 and 1 mean none.
    pub binning_x: u32,
    /// Pixels averaged along y; 0 and 1 mean none.
    pub binning_y: u32,
    /// The part of the sensor the image shows.
    pub roi: RegionOfInterest,
}

/// One reading of an inertial measurement unit. A covariance that starts with -1 says that the quantity is not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Imu {
    /// When, and the unit's frame.
    pub header: Header,
    /// The unit's own estimate of its orientation.
    pub orientation: Quaternion,
    /// Row-major 3x3, rad².
    pub orientation_covariance: [f64; 9],
    /// rad/s.
    pub angular_velocity: Vector3,
    /// Row-major 3x3, (rad/s)².
    pub angular_velocity_covariance: [f64; 9],
    /// m/s².
    pub linear_acceleration: Vector3,
    /// Row-major 3x3, (m/s²)².
    pub linear_acceleration_covariance: [f64; 9],
}

ros_message!(Image, "sensor_msgs/msg/Image", image_fields, header_fields, time_fields);
ros_message!(CompressedImage, "sensor_msgs/msg/CompressedImage", compressed_image_fields, header_fields, time_fields);
ros_message!(RegionOfInterest, "sensor_msgs/msg/RegionOfInterest", region_of_interest_fields);
ros_message!(
    CameraInfo,
    "sensor_msgs/msg/CameraInfo",
    camera_info_fields,
    header_fields,
    time_fields,
    region_of_interest_fields,
);
ros_message!(Imu, "sensor_msgs/msg/Imu", imu_fields, header_fields, time_fields, quaternion_fields, vector3_fields);
