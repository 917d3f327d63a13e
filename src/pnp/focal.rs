//! Whether the inliers ask for another focal length than the camera claims.
//!
//! A wrong focal length leaves a pattern in the residuals that no pose takes away where the scene has depth: they point
//! to the centre, or from it. It is measured as one more unknown of the final fit, `f → s f`, with its standard deviation.

use nalgebra::{SMatrix, SVector, Vector2};

use super::hypotheses::camera_from_map;
use super::refinement::{inliers, point_jacobian, projection_jacobian};
use super::view::View;
use crate::geometry::Se3;

/// Gauss-Newton steps of pose and focal length together.
const STEPS: usize = 8;

/// The focal length that the inliers ask for, of the one that the camera claims.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FocalCheck {
    /// 1 where the claim is right.
    pub scale: f64,
    /// Its standard deviation; infinite where the points do not determine it, as on a wall that the camera faces.
    pub sigma: f64,
}

impl FocalCheck {
    /// What is known when nothing is.
    const OPEN: Self = Self { scale: 1.0, sigma: f64::INFINITY };

    /// Whether the claim is off by more than `tolerance` (a share), and by more than three standard deviations.
    pub fn contradicts(&self, tolerance: f64) -> bool {
        (self.scale - 1.0).abs() > tolerance.max(3.0 * self.sigma)
    }
}

/// Fits pose and focal length together to what agrees with the pose within twice the threshold.
pub(super) fn check(view: &View, map_from_camera: &Se3, threshold: f64) -> FocalCheck {
    let (mut pose, mut log_scale, mut sigma) = (*map_from_camera, 0.0f64, f64::INFINITY);
    let chosen = inliers(view, map_from_camera, 2.0 * threshold);
    for _ in 0..STEPS {
        let Some((step, deviation)) = step(view, &pose, log_scale, &chosen, threshold) else {
            return FocalCheck::OPEN;
        };
        pose = pose.retract(&step.fixed_rows::<6>(0).into_owned());
        log_scale += step[6];
        sigma = deviation;
        if !pose.is_finite() || log_scale.abs() > 1.0 {
            return FocalCheck::OPEN;
        }
        if step.amax() < 1e-9 {
            break;
        }
    }
    FocalCheck { scale: log_scale.exp(), sigma: sigma * log_scale.exp() }
}

/// One step of pose (6) and logarithm of the scale, and the standard deviation of the latter.
fn step(view: &View, pose: &Se3, log_scale: f64, chosen: &[usize], scale: f64) -> Option<(SVector<f64, 7>, f64)> {
    let (pose, focal, square) = (camera_from_map(pose), view.focal * log_scale.exp(), scale * scale);
    let mut matrix = SMatrix::<f64, 7, 7>::zeros();
    let mut gradient = SVector::<f64, 7>::zeros();
    let (mut weights, mut weighted) = (0.0, 0.0);
    for &at in chosen {
        let point = pose.transform(&view.point(at));
        let Some(claimed) = view.residual(at, &point) else { continue };
        let seen: Vector2<f64> = point.xy() / point.z;
        let residual = claimed + seen.component_mul(&(focal - view.focal));
        let mut jacobian = SMatrix::<f64, 2, 7>::zeros();
        jacobian
            .fixed_view_mut::<2, 6>(0, 0)
            .copy_from(&(projection_jacobian(&focal, &point) * point_jacobian(&point)));
        jacobian.set_column(6, &seen.component_mul(&focal));
        let squared = residual.norm_squared();
        let weight = 1.0 / (1.0 + squared / square);
        matrix += jacobian.transpose() * jacobian * weight;
        gradient += jacobian.transpose() * residual * weight;
        weights += weight;
        weighted += weight * squared;
    }
    let freedom = 2.0 * weights - 7.0;
    (freedom > 0.0).then_some(())?;
    let factor = matrix.cholesky()?;
    let variance = factor.inverse()[(6, 6)] * weighted / freedom;
    Some((-factor.solve(&gradient), variance.max(0.0).sqrt()))
}
