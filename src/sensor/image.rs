//! Images as they come, before any decoding.

use crate::Stamp;

/// A raw image as a camera driver sent it (`sensor_msgs/Image`). Nothing is checked yet: `step`, `height` and
/// `data` may contradict each other; [`crate::vision`] decodes it and refuses what does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// When the image was exposed.
    pub stamp: Stamp,
    /// The camera's optical frame (REP 103: z forward, x right, y down).
    pub frame_id: String,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Pixel format, as ROS names it: `rgb8`, `bgr8`, `mono8`, ...
    pub encoding: String,
    /// Bytes from one row to the next.
    pub step: u32,
    /// Whether samples of more than one byte are big-endian.
    pub is_bigendian: bool,
    /// Rows of pixels, `step * height` bytes.
    pub data: Vec<u8>,
}

/// An encoded image (`sensor_msgs/CompressedImage`): jpeg or png bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct CompressedImage {
    /// When the image was exposed.
    pub stamp: Stamp,
    /// The camera's optical frame.
    pub frame_id: String,
    /// What the sender says of the format, such as `jpeg` or `rgb8; jpeg compressed bgr8`; the bytes decide.
    pub format: String,
    /// The encoded bytes.
    pub data: Vec<u8>,
}
