//! The pose from which an image looks as reference frames saw the same points: direct alignment of features.
//!
//! Each [`Level`] has a [`FeatureMap`] of the image and, for each point X of the references, the descriptor f that they saw it
//! with; the pose T = `map_from_camera` minimizes, coarse level first,
//!
//! E(T) = mean over X of ρ(|F(π(T⁻¹ X)) - f|²)
//!
//! by Levenberg-Marquardt, with a robust ρ and a damping that starts anew at each level. Nothing is matched, so a start that is
//! off by more than a few coarse cells is not brought home; what is not believed leaves the start as it was, and the
//! [`AlignmentReport`] says why.
//!
//! Pixels are those of a rectified image, points are in the map, metres. Source: Sarlin et al., "Back to the Feature: Learning
//! Robust Camera Localization from Pixels to Pose", CVPR 2021 ("PixLoc"), section 3.1; here with features that were
//! learned for something else, and without the learned weights and damping of its section 3.2.

mod descent;
mod equations;
mod feature_map;
mod report;

use nalgebra::Vector3;

use crate::geometry::Se3;
use crate::sensor::CameraModel;

pub use equations::{Level, project};
pub use feature_map::FeatureMap;
pub use report::{AlignmentReport, Outcome, Outcomes};

use descent::{Descent, descend};
use equations::{Equations, LEAST_POINTS, Scene};

/// How far the points may move in the image, cells of the coarsest level, median over the points: beyond it the features at both
/// ends have nothing in common.
const FARTHEST: f64 = 4.0;
/// Up to so many times the cost at the start an end is as good: what the last digits make of one minimum.
const AS_GOOD: f64 = 1.0 + 1e-6;

/// Aligns a pose to what references saw of `points`; of equal inputs equal answers. `levels` from coarse to fine.
///
/// The pose that comes back is the start unless the report [is used](AlignmentReport::is_used).
pub fn align(camera: &CameraModel, start: Se3, points: &[Vector3<f64>], levels: &[Level]) -> (Se3, AlignmentReport) {
    let scene = Scene { camera, points };
    let mut report = AlignmentReport::default();
    let (Some(coarsest), Some(finest)) = (levels.first(), levels.last()) else { return (start, report) };
    let Some(before) = Equations::at(&scene, finest, &start) else { return (start, report) };
    report = AlignmentReport { points: before.points, initial_cost: before.cost, final_cost: before.cost, ..report };

    let (mut pose, mut settled) = (start, false);
    for level in levels {
        let Some(descent) = descend(&scene, level, pose) else { return (start, report) };
        report.iterations += descent.steps;
        Descent { pose, settled, .. } = descent;
    }
    let Some(after) = Equations::at(&scene, finest, &pose) else { return (start, report) };
    (report.final_cost, report.agreeing, report.covariance) = (after.cost, after.agreeing, after.covariance());
    report.moved = moved(&scene, &start, &pose) / coarsest.map.stride();
    report.outcome = match () {
        () if !settled => Outcome::Unsettled,
        () if report.final_cost > AS_GOOD * report.initial_cost => Outcome::Costlier,
        () if report.moved > FARTHEST => Outcome::TooFar,
        () => Outcome::Converged,
    };
    (if report.is_used() { pose } else { start }, report)
}

/// How far the points that both poses have in front of them move in the image, pixels, median.
fn moved(scene: &Scene, start: &Se3, end: &Se3) -> f64 {
    let (one, other) = (start.inverse(), end.inverse());
    let distance = |point: &Vector3<f64>| {
        let [before, after] = [one, other].map(|camera_from_map| project(scene.camera, &(camera_from_map * *point)));
        Some((before? - after?).norm())
    };
    let mut distances: Vec<f64> = scene.points.iter().filter_map(distance).collect();
    let middle = distances.len() / 2;
    match distances.len() < LEAST_POINTS {
        true => f64::INFINITY,
        false => *distances.select_nth_unstable_by(middle, f64::total_cmp).1,
    }
}

#[cfg(test)]
mod tests;
