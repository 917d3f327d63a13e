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
use crate::network::scene_coordinates::{MIN_INLIERS, MIN_SPREAD, MeasuredPose, SEED};
use crate::pnp::{Correspondence, Evidence, FocalCheck, PnpConfig, PnpSolution, PoseSolver};
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
        let cells = Cells::of(maps);
        let expected = prior.map(PosePrior::map_from_camera);
        let compared = self.alike(expected.unwrap_or(proposed), &cells).into_iter();
        let of_frame = |index: usize| cells.matches(&self.frames[index]).into_iter().map(move |found| (index, found));
        let found: Vec<Found> = compared.flat_map(of_frame).collect();
        let correspondences: Vec<Correspondence> = found.iter().map(|(_, found)| found.correspondence).collect();
        let solver = PoseSolver::new(PnpConfig {
            inlier_threshold: maps[0].stride(),
            min_inliers: MIN_INLIERS,
            min_spread: MIN_SPREAD,
            ..PnpConfig::default()
        })?;
        let solution = match expected {
            Some(expected) => solver.solve_near(expected, camera, &correspondences, SEED),
            None => solver.solve(camera, &correspondences, SEED),
        };
        let asked = cells.count();
        let fail = |reason: String| Error::NoAnswer {
            reason: format!("{asked} cells compared with reference frames, {reason}"),
        };
        let solution = solution.map_err(|reason| fail(reason.to_string()))?;

        // Several reference frames saw what a cell shows: it agrees once.
        let mut agreeing: Vec<Found> = solution.inliers.iter().map(|&at| found[at]).collect();
        let (pose, report) = self.align_to(&agreeing, solution.map_from_camera, maps, camera);
        agreeing.sort_by_key(|(_, found)| found.cell);
        agreeing.dedup_by_key(|(_, found)| found.cell);
        let needed = MIN_INLIERS.max((LEAST_SHARE * asked as f64).ceil() as usize);
        if agreeing.len() < needed {
            return Err(fail(format!("{} agree, {needed} are needed", agreeing.len())));
        }
        if report.agreeing < LEAST_ALIKE {
            let found = report.agreeing;
            return Err(fail(format!("{found} points look as they did where they agree, {LEAST_ALIKE} are needed")));
        }
        // Centres of cells do not tell a focal length: in a kitchen half of the frames asked for 0.95 of the true one.
        let focal = FocalCheck { sigma: f64::INFINITY, ..solution.focal };
        let evidence = Evidence { inliers: agreeing.len(), focal, ..Evidence::new(asked, &solution) };
        let PnpSolution { covariance, inliers, .. } = solution;
        let raw_covariance = covariance.matrix() * (inliers.len() as f64 / agreeing.len() as f64);
        let camera_from_map = pose.inverse();
        let seen = agreeing.iter().map(|(_, Match { correspondence: Correspondence { pixel, point }, .. })| {
            let ray = camera.ray(pixel);
            (*pixel, ray * ((camera_from_map * *point).z / ray.z))
        });
        let seen = seen.collect();
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
