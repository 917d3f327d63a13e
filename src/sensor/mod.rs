//! What arrives, in our own types: what a message means once the wire is gone.

mod camera;
mod depth;
mod image;
mod imu;
mod pose;

pub use camera::{CameraModel, Distortion};
pub use depth::DepthImage;
pub use image::{CompressedImage, Image};
pub use imu::ImuSample;
pub use pose::{AbsolutePose, PosePrior, RelativePose};
