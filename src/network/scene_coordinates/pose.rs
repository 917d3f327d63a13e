//! From the points that an image shows to the pose of its camera.

use nalgebra::{Vector2, Vector3};
use tch::Tensor;

use super::head::SceneCoordinateHead;
use crate::geometry::Se3;
use crate::network::pose_network::Features;
use crate::network::pose_tensor::{MapFromNormalized, numbers};
use crate::network::prediction::Prediction;
use crate::network::visual_odometry::Seen;
use crate::pnp::{Correspondence, Evidence, PnpConfig, PoseSolver};
use crate::sensor::{CameraModel, PosePrior};
use crate::{Error, Result};

/// Seed of every search: the same frame has the same answer.
pub(in crate::network) const SEED: u64 = 0;
/// Distance of an inlier, of the width of the image: ten pixels of 640 (ACE, section 4).
const INLIER_SHARE: f64 = 10.0 / 640.0;

/// Fewest points that agree: of foreign images up to 20 of a few hundred do.
pub(in crate::network) const MIN_INLIERS: usize = 25;
/// How far the inliers spread along the direction in which they spread least, of the diagonal: half of what cells all over an
/// image of 4:3 do. Where a place is unknown, a few neighbouring cells agree by chance, since what is said of them is alike.
pub(in crate::network) const MIN_SPREAD: f64 = 0.08;

/// A pose that was measured from points.
pub(in crate::network) struct MeasuredPose {
    /// With the covariance that the residuals leave.
    pub(in crate::network) pose: Prediction,
    /// What it stands on.
    pub(in crate::network) evidence: Evidence,
    /// The pixels that agree with it, each with a point on its ray, as deep as the one that it was said to show.
    pub(in crate::network) seen: Vec<Seen>,
}

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

/// The pose that most points of one head agree with, of what several say; of equally many those that are off by less. A pose
/// where the camera is expected counts before any other: rooms that are alike are told apart by where the robot was.
///
/// # Errors
/// That of the first head, where too few agree of any.
pub(in crate::network) fn best_pose(
    camera: &CameraModel,
    by_head: &[Vec<Correspondence>],
    prior: Option<&PosePrior>,
) -> Result<MeasuredPose> {
    let pose = |points: &[Correspondence]| pose(camera, points, prior);
    let (first, others) = by_head.split_first().map_or((&[][..], &[][..]), |(first, others)| (&first[..], others));
    others.iter().map(|points| pose(points)).fold(pose(first), |best, other| match (&best, &other) {
        (Err(_), Ok(_)) => other,
        (Ok(known), Ok(new)) if stands_better(&new.evidence, &known.evidence) => other,
        _ => best,
    })
}

fn stands_better(one: &Evidence, other: &Evidence) -> bool {
    let rank = |evidence: &Evidence| (evidence.expected, evidence.inliers);
    rank(one) > rank(other) || rank(one) == rank(other) && one.residual < other.residual
}

/// The pose that most of the points agree with, with the covariance that their residuals leave if they are independent (the calibration of the model
/// knows that they are not), and what it stands on.
///
/// # Errors
/// [`Error::NoAnswer`] where too few agree: the image shows another place, or hardly anything.
fn pose(camera: &CameraModel, correspondences: &[Correspondence], prior: Option<&PosePrior>) -> Result<MeasuredPose> {
    let inlier_threshold = INLIER_SHARE * f64::from(camera.width);
    let solver = PoseSolver::new(PnpConfig {
        inlier_threshold,
        min_inliers: MIN_INLIERS,
        min_spread: MIN_SPREAD,
        ..PnpConfig::default()
    })?;
    let solution = match prior {
        Some(prior) => solver.solve_near(prior.map_from_camera(), camera, correspondences, SEED),
        None => solver.solve(camera, correspondences, SEED),
    };
    let asked = correspondences.len();
    let solution = solution.map_err(|reason| Error::NoAnswer { reason: format!("{asked} cells asked, {reason}") })?;
    let evidence = Evidence::new(asked, &solution);
    let (pose, raw_covariance) = (solution.map_from_camera, solution.covariance.matrix());
    let camera_from_map = pose.inverse();
    let seen = solution.inliers.iter().map(|&at| on_ray(camera, &camera_from_map, &correspondences[at])).collect();
    Ok(MeasuredPose { pose: Prediction { pose, raw_covariance }, evidence, seen })
}

/// What a pixel shows in the axes of the camera: on its own ray, as deep as the point of the map that it is said to show.
pub(in crate::network) fn on_ray(camera: &CameraModel, camera_from_map: &Se3, said: &Correspondence) -> Seen {
    let ray = camera.ray(&said.pixel);
    (said.pixel, ray * ((*camera_from_map * said.point).z / ray.z))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::geometry::So3;

    fn camera() -> CameraModel {
        CameraModel::pinhole(320, 240, 262.5)
    }

    /// What a head says of an image from `map_from_camera`, of which a share of the cells is known.
    fn said(map_from_camera: &Se3, known: f64, seed: u64) -> Vec<Correspondence> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut cell = |_| {
            let pixel = Vector2::new(random.random_range(0.0..319.0), random.random_range(0.0..239.0));
            let depth = random.random_range(1.0..4.0);
            let point = *map_from_camera * (camera().ray(&pixel) * depth);
            let elsewhere = Vector3::from_fn(|_, _| random.random_range(-3.0..3.0));
            Correspondence { pixel, point: if random.random_bool(known) { point } else { elsewhere } }
        };
        (0..1000).map(&mut cell).collect()
    }

    #[test]
    fn of_rooms_that_are_alike_the_one_counts_where_the_camera_is_expected() {
        let room = |x: f64| Se3::new(So3::exp(&Vector3::new(0.1, 0.4, 0.0)), Vector3::new(x, 0.5, 0.2));
        let by_head = [said(&room(0.0), 0.6, 1), said(&room(7.0), 0.4, 2)];
        let found = |prior: Option<Se3>| {
            let found = best_pose(&camera(), &by_head, prior.map(PosePrior::new).as_ref()).unwrap();
            (found.pose.pose.translation.x.round(), found.evidence.expected)
        };
        assert_eq!(found(None), (0.0, false), "the one that most points agree with");
        let moved = Se3::new(So3::exp(&Vector3::new(0.0, 0.02, 0.0)), Vector3::new(0.02, 0.0, 0.01));
        assert_eq!(found(Some(room(7.0) * moved)), (7.0, true));
        assert_eq!(found(Some(room(0.0) * moved)), (0.0, true));
        assert_eq!(found(Some(room(3.0))), (0.0, false), "nothing is there");
    }
}
