//! Where a frame was taken from, by what is recognized in it of reference frames: a network and retrieval propose, geometry
//! measures, and the measured pose is aligned.
//!
//! ```text
//! pose of a network ─ references nearest to it ──────┐
//! maps of the frame ─ references that look alike ────┴─ matches ─ RANSAC ─ pose, if enough agree ─ alignment to what agreed
//! ```
//!
//! The network's pose is no measurement: it chooses with what the frame is compared, and nothing of it is in the answer. The
//! steps are those of Sarlin et al., "From Coarse to Fine: Robust Hierarchical Localization at Large Scale", CVPR 2019, with points
//! of depth images or of a model, and of Sarlin et al. 2021 ("PixLoc") for the last one.

use nalgebra::Vector3;

use super::matching::{Cells, Match};
use super::{Compression, Reference, References};
use crate::alignment::{AlignmentReport, FeatureMap, Level, align};
use crate::geometry::Se3;
use crate::network::prediction::Prediction;
use crate::network::refinement::nearest_poses;
use crate::network::scene_coordinates::{MIN_INLIERS, MIN_SPREAD, MeasuredPose, SEED, on_ray};
use crate::pnp::{Correspondence, Evidence, FocalCheck, NoPose, PnpConfig, PnpSolution, PoseSolver};
use crate::sensor::{CameraModel, PosePrior};
use crate::{Error, Result};

/// Reference frames that are compared because of where they were taken, and as many because of how they look.
const PROPOSED: usize = 8;
/// Share of the cells that must agree with a pose: of foreign frames up to 25 of 315 did, of a view of a kitchen with a right pose 52.
const LEAST_SHARE: f64 = 0.1;
/// Fewest points that look at the end as they should ([`AlignmentReport::agreeing`]): of foreign frames up to 18 did, of views with a
/// wrong pose 12, with a right one 32 and more.
const LEAST_ALIKE: usize = 25;

/// What is compared and agrees: a reference frame, by its place, and the match.
type Found = (usize, Match);

impl References {
    /// Measures where a frame with these maps was taken from, of which `proposed` is a first idea, and the camera is expected at
    /// `prior`; and says how the measured pose was aligned.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] where too little of the references is recognized.
    pub(in crate::network) fn recognize(
        &self,
        proposed: &Se3,
        maps: &[FeatureMap; 2],
        camera: &CameraModel,
        prior: Option<&PosePrior>,
    ) -> Result<(MeasuredPose, AlignmentReport)> {
        let (cells, expected) = (Cells::of(maps), prior.map(PosePrior::map_from_camera));
        let compared = self.alike(expected.unwrap_or(proposed), &cells).into_iter();
        let of_frame = |index: usize| cells.matches(&self.frames[index]).into_iter().map(move |found| (index, found));
        let found: Vec<Found> = compared.flat_map(of_frame).collect();
        let asked = cells.count();
        let unknown =
            |reason| Error::NoAnswer { reason: format!("{asked} cells compared with reference frames, {reason}") };
        let solution =
            solve(camera, &found, (maps[0].stride(), expected))?.map_err(|reason| unknown(reason.to_string()))?;

        let mut agreeing: Vec<Found> = solution.inliers.iter().map(|&at| found[at]).collect();
        let (pose, report) = self.align_to(&agreeing, solution.map_from_camera, maps, camera);
        // Several reference frames saw what a cell shows: it agrees once, and errs once.
        agreeing.sort_by_key(|(_, found)| found.cell);
        agreeing.dedup_by_key(|(_, found)| found.cell);
        is_verified(asked, agreeing.len(), report.agreeing).map_err(unknown)?;
        let repeated = solution.inliers.len() as f64 / agreeing.len() as f64;
        let raw_covariance = solution.covariance.matrix() * repeated;

        // Centres of cells do not tell a focal length: in a kitchen half of the frames asked for 0.95 of the true one.
        let focal = FocalCheck { sigma: f64::INFINITY, ..solution.focal };
        let evidence = Evidence { inliers: agreeing.len(), focal, ..Evidence::new(asked, &solution) };
        let camera_from_map = pose.inverse();
        let seen = agreeing.iter().map(|(_, found)| on_ray(camera, &camera_from_map, &found.correspondence)).collect();
        Ok((MeasuredPose { pose: Prediction { pose, raw_covariance }, evidence, seen }, report))
    }

    /// The same without the reference frames at these places.
    pub(crate) fn without(&self, left_out: &[usize]) -> Self {
        let kept = (0..self.frames.len()).filter(|index| !left_out.contains(index));
        let frames: Vec<Reference> = kept.map(|index| self.frames[index].clone()).collect();
        let poses = frames.iter().map(|frame| frame.map_from_camera).collect();
        Self {
            compressions: self.compressions.each_ref().map(Compression::shallow_clone),
            frames,
            poses,
            units: self.units,
        }
    }

    /// The frames nearest to a pose, and those that look like the cells of a frame.
    fn alike(&self, pose: &Se3, cells: &Cells) -> Vec<usize> {
        let mut compared = nearest_poses(pose, &self.poses, self.units.scale, PROPOSED);
        let look = cells.look();
        let looks =
            self.frames.iter().enumerate().filter_map(|(index, frame)| Some((frame.look.as_ref()?.dot(&look), index)));
        let mut looks: Vec<(f32, usize)> = looks.collect();
        looks.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        compared.extend(looks.into_iter().take(PROPOSED).map(|(_, index)| index));
        compared.sort_unstable();
        compared.dedup();
        compared
    }

    /// Aligns a pose to the points that agree with it.
    fn align_to(
        &self,
        agreeing: &[Found],
        start: Se3,
        maps: &[FeatureMap; 2],
        camera: &CameraModel,
    ) -> (Se3, AlignmentReport) {
        let points: Vec<Vector3<f64>> = agreeing.iter().map(|(_, found)| found.correspondence.point).collect();
        let descriptors = [0, 1].map(|level: usize| {
            let of_point = |(frame, found): &Found| {
                let (width, values) = (maps[level].channels(), &self.frames[*frame].descriptors[level]);
                values[found.point * width..(found.point + 1) * width].iter().copied()
            };
            agreeing.iter().flat_map(of_point).collect::<Vec<f32>>()
        });
        let level = |level: usize| Level { map: &maps[level], descriptors: &descriptors[level] };
        align(camera, start, &points, &[level(1), level(0)])
    }
}

/// The pose that most matches agree with, to within a cell of `stride` pixels, near the expected one if there is one.
fn solve(
    camera: &CameraModel,
    found: &[Found],
    (stride, expected): (f64, Option<&Se3>),
) -> Result<std::result::Result<PnpSolution, NoPose>> {
    let solver = PoseSolver::new(PnpConfig {
        inlier_threshold: stride,
        min_inliers: MIN_INLIERS,
        min_spread: MIN_SPREAD,
        ..PnpConfig::default()
    })?;
    let correspondences: Vec<Correspondence> = found.iter().map(|(_, found)| found.correspondence).collect();
    Ok(match expected {
        Some(expected) => solver.solve_near(expected, camera, &correspondences, SEED),
        None => solver.solve(camera, &correspondences, SEED),
    })
}

/// Whether so many of the cells that were asked, and so many points that look as they should, make a pose believable.
///
/// # Errors
/// What is missing.
fn is_verified(asked: usize, agreeing: usize, alike: usize) -> std::result::Result<(), String> {
    let needed = MIN_INLIERS.max((LEAST_SHARE * asked as f64).ceil() as usize);
    match () {
        () if agreeing < needed => Err(format!("{agreeing} agree, {needed} are needed")),
        () if alike < LEAST_ALIKE => {
            Err(format!("{alike} points look as they did where they agree, {LEAST_ALIKE} are needed"))
        }
        () => Ok(()),
    }
}
