//! The pose that fits its inliers best, and how well they determine it.
//!
//! Levenberg-Marquardt (Marquardt 1963) on `Σ c² ln(1 + |r|²/c²)`, the Cauchy cost of the pixels' residuals
//! `r = π(p_camera) - pixel`, with the perturbation of `map_from_camera` on the right: `p_camera` moves by
//! `-ρ + [p_camera]× φ`.

use nalgebra::{Matrix2x3, Rotation3, SMatrix, UnitQuaternion, Vector2, Vector3};

use super::hypotheses::camera_from_map;
use super::p3p::CameraFromMap;
use super::view::View;
use crate::geometry::{Matrix6, Se3, So3, Vector6};

/// Inliers that the local optimization looks at; more cost time and change little.
const LOCAL_INLIERS: usize = 300;
/// Rounds of inliers, then pose.
const LOCAL_ROUNDS: usize = 5;
const FINAL_ROUNDS: usize = 4;
/// Steps of a round, damped and repeated ones included.
const LOCAL_STEPS: usize = 4;
const FINAL_STEPS: usize = 10;
/// The scale of the Cauchy cost of the local optimization, of the inlier threshold.
const LOCAL_KERNEL: f64 = 0.3;
/// The same of the final pose, in standard deviations of the inliers' residuals: as good as least squares where these are
/// normal, and an outlier that happens to lie within the threshold pulls less.
const FINAL_KERNEL: f64 = 8.0;
/// The median length of a residual whose two coordinates are standard normal: `√(2 ln 2)`.
const MEDIAN_LENGTH: f64 = 1.177_410_022_515_474_7;
/// The least scale of the final cost, of the inlier threshold: points without noise have no scale of their own.
const LEAST_KERNEL: f64 = 1e-3;
const FIRST_DAMPING: f64 = 1e-6;

/// A pose over all its inliers.
pub(super) struct Refined {
    pub map_from_camera: Se3,
    /// `None` where the inliers leave the pose open.
    pub covariance: Option<Matrix6>,
    pub inliers: Vec<usize>,
    /// Root mean square over the inliers, pixels.
    pub residual: f64,
}

/// Alternates pose and inliers on part of them (Chum et al. 2003); the pose and its score over all correspondences.
pub(super) fn optimize_locally(view: &View, start: &CameraFromMap, threshold: f64) -> Option<(Se3, f64)> {
    let mut best = (map_from_camera(start)?, view.score(0..view.len(), start, threshold));
    for _ in 0..LOCAL_ROUNDS {
        let mut inliers = inliers(view, &best.0, threshold);
        inliers.truncate(LOCAL_INLIERS);
        let pose = fit(view, best.0, &inliers, LOCAL_KERNEL * threshold, LOCAL_STEPS);
        let score = view.score(0..view.len(), &camera_from_map(&pose), threshold);
        // Less than a hundredth of an inlier is no gain.
        if score <= best.1 + 0.01 {
            break;
        }
        best = (pose, score);
    }
    Some(best)
}

/// The pose over all its inliers, with its covariance.
pub(super) fn refine(view: &View, start: Se3, threshold: f64) -> Option<Refined> {
    let mut pose = start;
    let mut chosen = inliers(view, &pose, threshold);
    for _ in 0..FINAL_ROUNDS {
        pose = fit(view, pose, &chosen, scale(view, &pose, &chosen, threshold), FINAL_STEPS);
        let again = inliers(view, &pose, threshold);
        if again == chosen {
            break;
        }
        chosen = again;
    }
    let squared: f64 = chosen.iter().map(|&at| view.squared_distance(at, &camera_from_map(&pose))).sum();
    let residual = (squared / chosen.len().max(1) as f64).sqrt();
    let covariance = covariance(view, &pose, &chosen, scale(view, &pose, &chosen, threshold));
    pose.is_finite().then_some(Refined { map_from_camera: pose, covariance, inliers: chosen, residual })
}

/// The scale of the final cost, from the median residual: outliers among the inliers hardly move it.
fn scale(view: &View, pose: &Se3, chosen: &[usize], threshold: f64) -> f64 {
    let pose = camera_from_map(pose);
    let mut squared: Vec<f64> = chosen.iter().map(|&at| view.squared_distance(at, &pose)).collect();
    let middle = squared.len() / 2;
    if squared.is_empty() {
        return threshold;
    }
    let (_, median, _) = squared.select_nth_unstable_by(middle, f64::total_cmp);
    (FINAL_KERNEL * median.sqrt() / MEDIAN_LENGTH).clamp(LEAST_KERNEL * threshold, threshold)
}

fn map_from_camera(pose: &CameraFromMap) -> Option<Se3> {
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(pose.rotation));
    let camera_from_map = Se3::new(So3::from_quaternion(rotation), pose.translation);
    camera_from_map.is_finite().then(|| camera_from_map.inverse())
}

/// The correspondences nearer than the threshold.
pub(super) fn inliers(view: &View, pose: &Se3, threshold: f64) -> Vec<usize> {
    let (pose, square) = (camera_from_map(pose), threshold * threshold);
    (0..view.len()).filter(|&at| view.squared_distance(at, &pose) < square).collect()
}

/// How the pixel moves with the point in the camera.
pub(super) fn projection_jacobian(focal: &Vector2<f64>, p: &Vector3<f64>) -> Matrix2x3<f64> {
    let inverse = 1.0 / p.z;
    let (x, y) = (focal.x * inverse, focal.y * inverse);
    Matrix2x3::new(x, 0.0, -x * p.x * inverse, 0.0, y, -y * p.y * inverse)
}

/// How the point in the camera moves with the right perturbation of `map_from_camera`.
pub(super) fn point_jacobian(p: &Vector3<f64>) -> SMatrix<f64, 3, 6> {
    let mut jacobian = SMatrix::<f64, 3, 6>::zeros();
    jacobian.fixed_view_mut::<3, 3>(0, 0).fill_diagonal(-1.0);
    jacobian.fixed_view_mut::<3, 3>(0, 3).copy_from(&So3::hat(p));
    jacobian
}

/// The normal equations of some correspondences: `Σ w JᵀJ`, `Σ w Jᵀr`, the cost and the weighted squared residuals.
struct Normal {
    matrix: Matrix6,
    gradient: Vector6,
    cost: f64,
    weight: f64,
    weighted: f64,
}

impl Normal {
    fn of(view: &View, pose: &Se3, chosen: &[usize], scale: f64) -> Self {
        let (pose, square) = (camera_from_map(pose), scale * scale);
        let mut normal =
            Self { matrix: Matrix6::zeros(), gradient: Vector6::zeros(), cost: 0.0, weight: 0.0, weighted: 0.0 };
        for &at in chosen {
            let point = pose.transform(&view.point(at));
            let Some(residual) = view.residual(at, &point) else {
                // A point that a step brought behind the camera: worse than any other.
                normal.cost = f64::INFINITY;
                continue;
            };
            let jacobian = projection_jacobian(&view.focal, &point) * point_jacobian(&point);
            let squared = residual.norm_squared();
            let weight = 1.0 / (1.0 + squared / square);
            normal.matrix += jacobian.transpose() * jacobian * weight;
            normal.gradient += jacobian.transpose() * residual * weight;
            normal.cost += square * (squared / square).ln_1p();
            normal.weight += weight;
            normal.weighted += weight * squared;
        }
        normal
    }
}

fn fit(view: &View, start: Se3, chosen: &[usize], scale: f64, steps: usize) -> Se3 {
    let (mut pose, mut damping) = (start, FIRST_DAMPING);
    let mut normal = Normal::of(view, &pose, chosen, scale);
    for _ in 0..steps {
        let damped = normal.matrix + Matrix6::from_diagonal(&normal.matrix.diagonal()) * damping;
        let Some(step) = damped.cholesky().map(|factor| -factor.solve(&normal.gradient)) else { break };
        let moved = pose.retract(&step);
        let there = Normal::of(view, &moved, chosen, scale);
        if there.cost < normal.cost {
            let gain = normal.cost - there.cost;
            (pose, normal, damping) = (moved, there, damping * 0.1);
            if gain <= 1e-9 * normal.cost {
                break;
            }
        } else {
            damping = (damping * 10.0).max(1e-4);
        }
    }
    pose
}

/// The inverse of the normal equations by the variance of one coordinate of a residual.
fn covariance(view: &View, pose: &Se3, chosen: &[usize], scale: f64) -> Option<Matrix6> {
    let normal = Normal::of(view, pose, chosen, scale);
    let freedom = 2.0 * normal.weight - 6.0;
    (freedom > 0.0).then_some(())?;
    let inverse = normal.matrix.cholesky()?.inverse();
    Some(inverse * (normal.weighted / freedom))
}
