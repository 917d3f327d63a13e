//! Images to network-ready pixels: no tensors yet.
//!
//! `sensor::Image` or `sensor::CompressedImage` -> [`decode`] / [`decode_compressed`] -> 8-bit RGB of the source
//! camera -> [`Preprocessor`] -> RGB of the network's pinhole camera. In training, [`Augmentation`] changes light and
//! colour afterwards; it never moves a pixel, so the pose of the image stays true.
//!
//! Resizing comes before rectification: lens distortion acts before the pixel grid, so a resized image is an image of
//! the same lens with a scaled calibration ([`crate::sensor::CameraModel::resized`]), and the remap runs on few pixels.

mod augment;
mod bayer;
mod compressed;
mod contrast;
mod decode;
mod preprocess;
mod rectify;
mod resize;
mod yuv;

pub use augment::Augmentation;
pub use compressed::{compressed_size, decode_compressed, decode_file, decode_grey8_file, decode_grey16_file};
pub use contrast::contrast;
pub use decode::{MAX_PIXELS, MAX_SIDE, decode};
pub use preprocess::{Preprocessor, network_camera};
pub use rectify::Rectifier;
pub use resize::resize;
