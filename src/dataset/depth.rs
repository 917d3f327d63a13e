//! Depth images of datasets: 16-bit png files to metres.

use std::path::Path;

use crate::sensor::{CameraModel, DepthImage};
use crate::{Error, Result, vision};

/// What the numbers of a depth file mean.
#[derive(Clone, Copy)]
pub(super) struct DepthUnit {
    pub per_metre: f32,
    /// Numbers that stand for no reading.
    pub no_reading: &'static [u16],
}

/// Reads a depth file of `camera`. It may hold every n-th pixel of every n-th row: its camera is `camera` with n times
/// coarser pixels, the first of them at the same place.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] with the file's name when it is missing, cut, not 16-bit grey or of another size.
pub(super) fn read_depth(path: &Path, camera: &CameraModel, unit: DepthUnit) -> Result<DepthImage> {
    let image = vision::decode_grey16_file(path)?;
    let camera = every_nth(camera, image.dimensions()).ok_or_else(|| {
        let expected = format!("{}x{} depths, or every n-th of them both ways", camera.width, camera.height);
        let found =
            format!("{}x{}; a depth_camera.yaml in a 7-Scenes folder overrides it", image.width(), image.height());
        Error::format(path, expected, found)
    })?;
    let metres = |raw: &u16| if unit.no_reading.contains(raw) { 0.0 } else { f32::from(*raw) / unit.per_metre };
    DepthImage::new(camera, image.iter().map(metres).collect())
}

/// The camera of an image that has every n-th pixel both ways.
fn every_nth(camera: &CameraModel, (width, height): (u32, u32)) -> Option<CameraModel> {
    let fits = width > 0 && height > 0 && camera.width.is_multiple_of(width) && camera.height.is_multiple_of(height);
    let n = fits.then(|| camera.width / width).filter(|n| camera.height / height == *n)?;
    let [fx, fy, cx, cy] = [camera.fx, camera.fy, camera.cx, camera.cy].map(|value| value / f64::from(n));
    Some(CameraModel { width, height, fx, fy, cx, cy, ..*camera })
}
