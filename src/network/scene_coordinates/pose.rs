//! From the points that an image shows to the pose of its camera.

use nalgebra::{Vector2, Vector3};
use tch::Tensor;

use super::head::SceneCoordinateHead;
use crate::network::pose_network::Features;
use crate::network::pose_tensor::{MapFromNormalized, numbers};
use crate::network::prediction::Prediction;
use crate::pnp::{Correspondence, Evidence, PnpConfig, PoseSolver};
use crate::sensor::CameraModel;
use crate::{Error, Result};

/// Seed of every search: the same frame has the same answer.
const SEED: u64 = 0;
/// Distance of an inlier, of the width of the image: ten pixels of 640 (ACE, section 4).
const INLIER_SHARE: f64 = 10.0 / 640.0;

/// Fewest points that agree: of foreign images up to 20 of a few hundred do.
const MIN_INLIERS: usize = 25;
/// How far the inliers spread along the direction in which they spread least, of the diagonal: half of what cells all over an
/// image of 4:3 do. Where a place is unknown, a few neighbouring cells agree by chance, since what is said of them is alike.
const MIN_SPREAD: f64 = 0.08;

/// What the cells of a frame that are asked show, by each of some heads in its units, with their pixels in the network's image,
/// which is rectified.
pub(in crate::network) fn correspondences(
    heads: &[(&SceneCoordinateHead, MapFromNormalized)],
    shared: &Features,
) -> Vec<Vec<Correspondence>> {
    let Some((first, _)) = heads.first() else { return Vec::new() };
    let asked = first.asked(shared);
    heads.iter().map(|(head, units)| in_map(head, &asked, units)).collect()
}

/// The same of all cells of the frame, row by row, by one head: more than a pose is measured from.
pub(in crate::network) fn all_correspondences(
    (head, units): (&SceneCoordinateHead, MapFromNormalized),
    shared: &Features,
) -> Vec<Correspondence> {
    in_map(head, &head.all_cells(shared), &units)
}

/// The points of cells with these pixels and features.
fn in_map(
    head: &SceneCoordinateHead,
    (pixels, features_nc): &(Vec<Vector2<f64>>, Tensor),
    units: &MapFromNormalized,
) -> Vec<Correspondence> {
    let (mean, values) = (Vector3::from(units.mean), numbers(&head.points_asked(features_nc)));
    let points = values.chunks_exact(3).map(|point| mean + units.scale * Vector3::from_column_slice(point));
    pixels.iter().zip(points).map(|(pixel, point)| Correspondence { pixel: *pixel, point }).collect()
}

/// The pose that most points of one head agree with, of what several say; of equally many those that are off by less.
///
/// # Errors
/// That of the first head, where too few agree of any.
pub(in crate::network) fn best_pose(
    camera: &CameraModel,
    by_head: &[Vec<Correspondence>],
) -> Result<(Prediction, Evidence)> {
    let (first, others) = by_head.split_first().map_or((&[][..], &[][..]), |(first, others)| (&first[..], others));
    others.iter().map(|points| pose(camera, points)).fold(pose(camera, first), |best, other| match (&best, &other) {
        (Err(_), Ok(_)) => other,
        (Ok((_, known)), Ok((_, new))) if stands_better(new, known) => other,
        _ => best,
    })
}

fn stands_better(one: &Evidence, other: &Evidence) -> bool {
    one.inliers > other.inliers || one.inliers == other.inliers && one.residual < other.residual
}

/// The pose that most of the points agree with, with the covariance that their residuals leave if they are independent (the calibration of the model
/// knows that they are not), and what it stands on.
///
/// # Errors
/// [`Error::NoAnswer`] where too few agree: the image shows another place, or hardly anything.
fn pose(camera: &CameraModel, correspondences: &[Correspondence]) -> Result<(Prediction, Evidence)> {
    let inlier_threshold = INLIER_SHARE * f64::from(camera.width);
    let solver = PoseSolver::new(PnpConfig {
        inlier_threshold,
        min_inliers: MIN_INLIERS,
        min_spread: MIN_SPREAD,
        ..PnpConfig::default()
    })?;
    let solution = solver.solve(camera, correspondences, SEED);
    let asked = correspondences.len();
    let solution = solution.map_err(|reason| Error::NoAnswer { reason: format!("{asked} cells asked, {reason}") })?;
    let (pose, raw_covariance) = (solution.map_from_camera, solution.covariance.matrix());
    Ok((Prediction { pose, raw_covariance }, Evidence::new(asked, &solution)))
}
