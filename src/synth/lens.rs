//! The way back through a lens: from a pixel of the distorted image to the ray that made it.

use nalgebra::{Matrix2, Vector2, Vector3};

use crate::sensor::CameraModel;
use crate::{Error, Result};

/// The ray (optical frame, length 1) that a real lens bends onto `pixel`: Newton's method on the distortion.
///
/// # Errors
/// [`Error::Config`] when the distortion cannot be inverted there: its coefficients do not fit the image's size.
pub(super) fn ray_through_lens(camera: &CameraModel, pixel: &Vector2<f64>) -> Result<Vector3<f64>> {
    let distorted = Vector2::new((pixel.x - camera.cx) / camera.fx, (pixel.y - camera.cy) / camera.fy);
    let mut ideal = distorted;
    for _ in 0..50 {
        let defect = camera.distort(&ideal) - distorted;
        if defect.amax() < 1e-12 {
            if folds_before(camera, &ideal) {
                break;
            }
            return Ok(Vector3::new(ideal.x, ideal.y, 1.0).normalize());
        }
        let Some(inverse) = jacobian(camera, &ideal).try_inverse() else { break };
        ideal -= inverse * defect;
    }
    Err(Error::config(
        "camera.distortion",
        "coefficients that can be inverted over the whole image",
        format!("{:?}, which has no ray for pixel ({:.1}, {:.1})", camera.distortion, pixel.x, pixel.y),
    ))
}

/// Whether the image turns back on itself between its middle and `ideal`: then two rays meet in one pixel.
fn folds_before(camera: &CameraModel, ideal: &Vector2<f64>) -> bool {
    (0..=16).any(|step| jacobian(camera, &(ideal * f64::from(step) / 16.0)).determinant() <= 0.0)
}

/// Central differences of [`CameraModel::distort`].
fn jacobian(camera: &CameraModel, at: &Vector2<f64>) -> Matrix2<f64> {
    let step = 1e-6;
    let column =
        |axis: Vector2<f64>| (camera.distort(&(at + axis * step)) - camera.distort(&(at - axis * step))) / (2.0 * step);
    Matrix2::from_columns(&[column(Vector2::x()), column(Vector2::y())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::Distortion;

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
            for pixel in [Vector2::new(0.0, 0.0), Vector2::new(80.3, 59.5), Vector2::new(159.0, 7.0)] {
                let ray = ray_through_lens(&camera, &pixel).unwrap();
                assert!((camera.project(&ray).unwrap() - pixel).norm() < 1e-8, "{distortion:?} {pixel}");
            }
        }
    }

    #[test]
    fn a_lens_that_folds_over_is_refused() {
        let folding = Distortion::PlumbBob([-1.5, 0.0, 0.0, 0.0, 0.0]);
        let camera = CameraModel { distortion: folding, ..CameraModel::pinhole(160, 120, 60.0) };
        let error = ray_through_lens(&camera, &Vector2::new(0.0, 0.0)).unwrap_err().to_string();
        assert!(
            error.starts_with("parameter camera.distortion: expected coefficients that can be inverted"),
            "{error}"
        );
    }
}
