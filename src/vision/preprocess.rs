//! From the pixels of a real camera to the pixels of the network's camera.

use image::{RgbImage, imageops};

use super::rectify::{Rectifier, check_camera, check_image_size};
use super::resize;
use crate::Result;
use crate::sensor::{CameraModel, Distortion};

/// How far (pixels) two cameras may differ at an image's corner and still count as the same: no remap is needed.
const SAME_CAMERA_PIXELS: f64 = 0.02;

/// What follows the resizing.
enum Remap {
    /// The resized image is the target.
    None,
    /// The target is a part of the resized image, from this corner.
    Crop { left: u32, top: u32 },
    /// Lens distortion or another principal point: one bilinear look-up per pixel.
    Map(Rectifier),
}

/// Takes images of one camera to the pixels of another, distortion-free one with the same optical centre.
///
/// The image is first reduced (antialiased) to about the target's resolution, then remapped once; the remap is left
/// out where the reduced image or a part of it is the target's image already. Cheap to keep, `Send + Sync`.
pub struct Preprocessor {
    source_size: (u32, u32),
    reduced_size: (u32, u32),
    target: CameraModel,
    remap: Remap,
}

impl Preprocessor {
    /// Prepares the way from `source` (the calibrated camera of the images) to `target` (the network's pinhole).
    ///
    /// # Errors
    /// [`crate::Error::Message`] when a camera is not calibrated or the target has distortion.
    pub fn new(source: &CameraModel, target: &CameraModel) -> Result<Self> {
        check_camera("source camera", source)?;
        check_camera("target camera", target)?;
        let shrunk = |size: u32, ratio: f64| ((f64::from(size) * ratio.min(1.0)).round() as u32).clamp(2, size);
        let width = shrunk(source.width, target.fx / source.fx);
        let height = shrunk(source.height, target.fy / source.fy);
        let reduced = source.resized(width, height);
        let remap = match crop_offset(&reduced, target) {
            Some((0, 0)) if (width, height) == (target.width, target.height) => Remap::None,
            Some((left, top)) => Remap::Crop { left, top },
            None => Remap::Map(Rectifier::new(&reduced, target)?),
        };
        let source_size = (source.width, source.height);
        Ok(Self { source_size, reduced_size: (width, height), target: *target, remap })
    }

    /// The camera of the images that [`Preprocessor::apply`] returns.
    pub fn target(&self) -> &CameraModel {
        &self.target
    }

    /// The part of the target's pixels that the source camera does not see and that stay black, `0..=1`.
    pub fn outside_fraction(&self) -> f64 {
        match &self.remap {
            Remap::Map(rectifier) => rectifier.outside_fraction(),
            Remap::None | Remap::Crop { .. } => 0.0,
        }
    }

    /// The target camera's view of an image of the source camera.
    ///
    /// # Errors
    /// [`crate::Error::Message`] when the image does not have the source camera's size; both are named.
    pub fn apply(&self, image: &RgbImage) -> Result<RgbImage> {
        check_image_size(image, self.source_size)?;
        let reduced = resize(image, self.reduced_size.0, self.reduced_size.1)?;
        match &self.remap {
            Remap::None => Ok(reduced),
            Remap::Crop { left, top } => {
                Ok(imageops::crop_imm(&reduced, *left, *top, self.target.width, self.target.height).to_image())
            }
            Remap::Map(rectifier) => rectifier.apply(&reduced),
        }
    }
}

/// The network's camera for images of `source`: the largest centred part with the aspect ratio of `width` x `height`,
/// resized to that size, without distortion. No remap is needed for it when `source` is rectified.
pub fn network_camera(source: &CameraModel, width: u32, height: u32) -> CameraModel {
    let scale = (f64::from(width) / f64::from(source.width)).max(f64::from(height) / f64::from(source.height));
    let covering = |size: u32| (f64::from(size) * scale).round().max(1.0) as u32;
    let resized = source.rectified().resized(covering(source.width), covering(source.height));
    let (left, top) = (resized.width.saturating_sub(width) / 2, resized.height.saturating_sub(height) / 2);
    resized.cropped(left, top, width, height)
}

/// Where `target` starts as a part of the undistorted `reduced`; `None` when it is not a part of it.
fn crop_offset(reduced: &CameraModel, target: &CameraModel) -> Option<(u32, u32)> {
    if reduced.distortion != Distortion::None || target.distortion != Distortion::None {
        return None;
    }
    let offset = |reduced_centre: f64, target_centre: f64, reduced_size: u32, target_size: u32| {
        let shift = reduced_centre - target_centre;
        let start = shift.round();
        let fits = start >= 0.0 && start + f64::from(target_size) <= f64::from(reduced_size);
        (fits && (shift - start).abs() < SAME_CAMERA_PIXELS).then_some(start as u32)
    };
    let same_focal = |reduced_focal: f64, target_focal: f64, size: u32| {
        ((reduced_focal / target_focal - 1.0) * 0.5 * f64::from(size)).abs() < SAME_CAMERA_PIXELS
    };
    if !same_focal(reduced.fx, target.fx, target.width) || !same_focal(reduced.fy, target.fy, target.height) {
        return None;
    }
    let left = offset(reduced.cx, target.cx, reduced.width, target.width)?;
    let top = offset(reduced.cy, target.cy, reduced.height, target.height)?;
    Some((left, top))
}
