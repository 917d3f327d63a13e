//! The way back through a lens: from a pixel of the distorted image to the ray that made it.

use nalgebra::{Matrix2, Vector2, Vector3};

use crate::sensor::{CameraModel, Distortion};
use crate::{Error, Result};

/// Refuses a lens that folds the image over itself: then two rays meet in one pixel, and none can be chosen.
///
/// # Errors
/// [`Error::Config`] when the distortion cannot be inverted at the image's border or between there and the middle.
pub(super) fn check(camera: &CameraModel) -> Result<()> {
    let (right, bottom) = (f64::from(camera.width) - 0.5, f64::from(camera.height) - 0.5);
    for share in (0..=8).map(|step| f64::from(step) / 8.0) {
        let (column, row) = (-0.5 + share * (right + 0.5), -0.5 + share * (bottom + 0.5));
        for (u, v) in [(column, -0.5), (column, bottom), (-0.5, row), (right, row)] {
            let pixel = Vector2::new(u, v);
            let (ideal, _) = without_lens(camera, &pixel)?;
            let folds = |step: u32| camera.distortion_jacobian(&(ideal * f64::from(step) / 16.0)).determinant() <= 0.0;
            if (0..=16).any(folds) {
                return Err(refusal(camera, &pixel));
            }
        }
    }
    Ok(())
}

/// The rays (optical frame, length 1) that a real lens bends onto places around `pixel`, given by their `offsets` in
/// pixels: exact at the pixel, by the lens' derivative around it.
///
/// # Errors
/// [`Error::Config`] when the distortion cannot be inverted there; [`check`] finds such lenses.
pub(super) fn rays_through_lens<const N: usize>(
    camera: &CameraModel,
    pixel: &Vector2<f64>,
    offsets: [Vector2<f64>; N],
) -> Result<[Vector3<f64>; N]> {
    if camera.distortion == Distortion::None {
        return Ok(offsets.map(|offset| camera.ray(&(pixel + offset)).normalize()));
    }
    let (ideal, inverse) = without_lens(camera, pixel)?;
    Ok(offsets.map(|offset| {
        let near = ideal + inverse * Vector2::new(offset.x / camera.fx, offset.y / camera.fy);
        Vector3::new(near.x, near.y, 1.0).normalize()
    }))
}

/// The undistorted normalized coordinates of a pixel and the derivative of undistortion there.
fn without_lens(camera: &CameraModel, pixel: &Vector2<f64>) -> Result<(Vector2<f64>, Matrix2<f64>)> {
    let distorted = camera.ray(pixel).xy();
    let found = camera.undistort(&distorted).and_then(|ideal| {
        let inverse = camera.distortion_jacobian(&ideal).try_inverse()?;
        Some((ideal, inverse))
    });
    found.ok_or_else(|| refusal(camera, pixel))
}

fn refusal(camera: &CameraModel, pixel: &Vector2<f64>) -> Error {
    let found = format!("{:?}, which has no ray for pixel ({:.1}, {:.1})", camera.distortion, pixel.x, pixel.y);
    Error::config("camera.distortion", "coefficients that can be inverted over the whole image", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rays_project_back_onto_their_pixels() {
        let pinhole = CameraModel::pinhole(160, 120, 95.0);
        let lenses = [
            Distortion::None,
            Distortion::PlumbBob([-0.2, 0.05, 1e-3, -5e-4, 0.0]),
            Distortion::Equidistant([-0.01, 0.02, -0.01, 0.002]),
        ];
        for distortion in lenses {
            let camera = CameraModel { distortion, ..pinhole };
            check(&camera).unwrap();
            for pixel in [Vector2::new(0.0, 0.0), Vector2::new(80.3, 59.5), Vector2::new(159.0, 7.0)] {
                let offset = Vector2::new(0.25, -0.25);
                let rays = rays_through_lens(&camera, &pixel, [Vector2::zeros(), offset]).unwrap();
                assert!((camera.project(&rays[0]).unwrap() - pixel).norm() < 1e-8, "{distortion:?} {pixel}");
                // First order: what is left is the lens' curvature, at most 1.93e-3 pixels here, a quarter at half the offset.
                assert!((camera.project(&rays[1]).unwrap() - pixel - offset).norm() < 2.5e-3, "{distortion:?} {pixel}");
            }
        }
    }

    #[test]
    fn a_lens_that_folds_over_is_refused() {
        let folding = Distortion::PlumbBob([-1.5, 0.0, 0.0, 0.0, 0.0]);
        let camera = CameraModel { distortion: folding, ..CameraModel::pinhole(160, 120, 60.0) };
        let error = check(&camera).unwrap_err().to_string();
        assert!(
            error.starts_with("parameter camera.distortion: expected coefficients that can be inverted"),
            "{error}"
        );
    }
}
