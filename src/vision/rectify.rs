//! Undistortion maps: where each pixel of a pinhole image lies in the image of a real lens.
//!
//! The map is computed once per pair of cameras; applying it is one bilinear look-up per pixel in fixed point.
//! Pixels that the lens never saw become black, and [`Rectifier::outside_fraction`] says how many there are. Where a
//! distortion polynomial stops being monotonic it folds far rays back into the image; such rays count as unseen.

use image::RgbImage;
use nalgebra::Vector2;

use super::decode::{MAX_PIXELS, check_size};
use crate::sensor::{CameraModel, Distortion};
use crate::{Error, Result};

/// Weights are in units of 1/64: the quantization moves a sample by less than 1/128 pixel.
const ONE: u16 = 64;

/// One bilinear sample: the byte offset of the upper left pixel and the weights of its right and lower neighbours.
#[derive(Clone, Copy)]
struct Sample {
    offset: u32,
    right: u16,
    below: u16,
}

/// The offset of a sample that lies outside of the source image.
const OUTSIDE: u32 = u32::MAX;

/// Resamples images of a real camera as a pinhole camera with the same optical centre and axes would see them.
pub struct Rectifier {
    source_size: (u32, u32),
    target_size: (u32, u32),
    samples: Vec<Sample>,
    outside: usize,
}

impl Rectifier {
    /// Computes the map from `source` (any distortion) to the pinhole `target`.
    ///
    /// # Errors
    /// [`Error::Message`] when a camera is not calibrated, is smaller than 2x2 pixels or larger than 64 megapixels,
    /// or when the target has distortion.
    pub fn new(source: &CameraModel, target: &CameraModel) -> Result<Self> {
        check_camera("source camera", source)?;
        check_camera("target camera", target)?;
        if target.distortion != Distortion::None {
            let found = format!("{:?}", target.distortion);
            return Err(Error::message("target camera", "a pinhole without distortion", found));
        }
        let limit = monotonic_limit(&source.distortion);
        let mut samples = Vec::with_capacity(target.width as usize * target.height as usize);
        for v in 0..target.height {
            for u in 0..target.width {
                let ray = target.ray(&Vector2::new(f64::from(u), f64::from(v)));
                let seen = ray.xy().norm() < limit;
                let pixel = if seen { source.project(&ray) } else { None };
                samples.push(pixel.and_then(|pixel| sample_at(source, &pixel)).unwrap_or(Sample {
                    offset: OUTSIDE,
                    right: 0,
                    below: 0,
                }));
            }
        }
        let outside = samples.iter().filter(|sample| sample.offset == OUTSIDE).count();
        let target_size = (target.width, target.height);
        Ok(Self { source_size: (source.width, source.height), target_size, samples, outside })
    }

    /// The part of the target's pixels that the source camera does not see and that stay black, `0..=1`.
    pub fn outside_fraction(&self) -> f64 {
        self.outside as f64 / self.samples.len() as f64
    }

    /// Rectifies an image of the source camera.
    ///
    /// # Errors
    /// [`Error::Message`] when the image does not have the source camera's size.
    pub fn apply(&self, image: &RgbImage) -> Result<RgbImage> {
        check_image_size(image, self.source_size)?;
        let (bytes, stride) = (image.as_raw().as_slice(), 3 * self.source_size.0 as usize);
        let mut rectified = RgbImage::new(self.target_size.0, self.target_size.1);
        for (pixel, sample) in rectified.as_chunks_mut::<3>().0.iter_mut().zip(&self.samples) {
            if sample.offset != OUTSIDE {
                *pixel = blend(bytes, stride, sample);
            }
        }
        Ok(rectified)
    }
}

/// Refuses an image whose size is not the camera's, naming both.
pub(super) fn check_image_size(image: &RgbImage, camera: (u32, u32)) -> Result<()> {
    if image.dimensions() == camera {
        return Ok(());
    }
    let expected = format!("{}x{} as the camera calibration says", camera.0, camera.1);
    Err(Error::message("image size", expected, format!("{}x{}", image.width(), image.height())))
}

/// Refuses a camera that cannot be computed with.
pub(super) fn check_camera(what: &str, camera: &CameraModel) -> Result<()> {
    let CameraModel { width, height, fx, fy, cx, cy, .. } = camera;
    let is_sized = *width >= 2 && *height >= 2 && check_size(u64::from(*width), u64::from(*height)).is_ok();
    if camera.is_calibrated() && is_sized {
        return Ok(());
    }
    let expected = format!("positive focal lengths, finite numbers, at least 2x2 and at most {MAX_PIXELS} pixels");
    Err(Error::message(what, expected, format!("{width}x{height}, fx {fx}, fy {fy}, cx {cx}, cy {cy}")))
}

/// The sample at a position in the source image; `None` when it lies more than half a pixel outside.
fn sample_at(source: &CameraModel, pixel: &Vector2<f64>) -> Option<Sample> {
    let (right_edge, lower_edge) = (f64::from(source.width) - 1.0, f64::from(source.height) - 1.0);
    let inside = pixel.x >= -0.5 && pixel.y >= -0.5 && pixel.x <= right_edge + 0.5 && pixel.y <= lower_edge + 0.5;
    if !inside {
        return None;
    }
    let (x, y) = (pixel.x.clamp(0.0, right_edge), pixel.y.clamp(0.0, lower_edge));
    let (column, row) = (x.floor().min(right_edge - 1.0), y.floor().min(lower_edge - 1.0));
    let weight = |fraction: f64| (fraction * f64::from(ONE)).round() as u16;
    let offset = 3 * (row as u32 * source.width + column as u32);
    Some(Sample { offset, right: weight(x - column), below: weight(y - row) })
}

fn blend(bytes: &[u8], stride: usize, sample: &Sample) -> [u8; 3] {
    let start = sample.offset as usize;
    let (upper, lower) = (&bytes[start..start + 6], &bytes[start + stride..start + stride + 6]);
    let (right, below) = (u32::from(sample.right), u32::from(sample.below));
    let (left, above) = (u32::from(ONE) - right, u32::from(ONE) - below);
    let scale = u32::from(ONE) * u32::from(ONE);
    std::array::from_fn(|channel| {
        let at = |row: &[u8], position: usize| u32::from(row[channel + position]);
        let top = left * at(upper, 0) + right * at(upper, 3);
        let bottom = left * at(lower, 0) + right * at(lower, 3);
        ((above * top + below * bottom + scale / 2) / scale) as u8
    })
}

/// The radius in normalized coordinates up to which the radial distortion grows with the radius.
fn monotonic_limit(distortion: &Distortion) -> f64 {
    // The derivative of the distorted radius (of theta for the fisheye), as a polynomial in the square.
    let slope = |square: f64| match *distortion {
        Distortion::None => 1.0,
        Distortion::PlumbBob([k1, k2, _, _, k3]) => 1.0 + square * (3.0 * k1 + square * (5.0 * k2 + square * 7.0 * k3)),
        Distortion::Equidistant([k1, k2, k3, k4]) => {
            1.0 + square * (3.0 * k1 + square * (5.0 * k2 + square * (7.0 * k3 + square * 9.0 * k4)))
        }
    };
    let is_angle = matches!(distortion, Distortion::Equidistant(_));
    // Steps of 0.1 degree (fisheye) or 0.002 (about 0.1 degree near the axis) up to 84 degrees.
    let (step, end) = if is_angle { (1.75e-3, 1.56) } else { (2e-3, 10.0) };
    let count = (end / step) as usize;
    let limit = (1..=count).map(|index| index as f64 * step).find(|value| slope(value * value) <= 0.0);
    match limit {
        None => f64::INFINITY,
        Some(angle) if is_angle => angle.tan(),
        Some(radius) => radius,
    }
}
