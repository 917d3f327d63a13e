//! The pose of a camera from points of the map and the pixels that show them, many of which are wrong
//! (perspective-n-point).
//!
//! [`Correspondence`]s -> hypotheses of three points each (P3P), checked by a fourth -> preemption by a soft score ->
//! local optimization of the finalists -> Levenberg-Marquardt over all inliers -> [`PnpSolution`] with the
//! covariance of the measurement itself, or [`NoPose`] that says what is missing. Equal inputs and seeds have equal
//! answers, however many threads there are.
//!
//! Pixels are those of a rectified image (see [`CameraModel::rectified`]); points are in the map, metres.
//! Sources: Fischler and Bolles, "Random sample consensus", CACM 24(6), 1981; Nistér, "Preemptive RANSAC for live structure
//! and motion estimation", ICCV 2003; Chum, Matas and Kittler, "Locally optimized RANSAC", DAGM 2003; Torr and Zisserman,
//! "MLESAC", CVIU 78(1), 2000 (the score).

use std::fmt;

use nalgebra::{Matrix2, Vector2, Vector3};

use crate::geometry::{PoseCovariance, Se3};
use crate::sensor::CameraModel;
use crate::{Error, Result};

mod evidence;
mod focal;
mod focal_history;
mod hypotheses;
mod p3p;
mod refinement;
mod view;

pub use evidence::Evidence;
pub use focal::FocalCheck;
pub use focal_history::{FocalHistory, FocalSummary};

use hypotheses::camera_from_map;
use refinement::Refined;
use view::View;

/// An expected pose is right where so many times the inliers that a pose needs agree with what is found near it.
const CERTAIN: usize = 2;
/// How far expected pixels may be off at first, of the inlier threshold: it is a few centimetres and degrees from the pose.
const EXPECTED_REACH: f64 = 4.0;

/// A pixel of the rectified image, and the point of the map that it is said to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correspondence {
    /// Column and row, pixels.
    pub pixel: Vector2<f64>,
    /// In the map, metres.
    pub point: Vector3<f64>,
}

/// How a pose is searched for, and when there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PnpConfig {
    /// Distance of pixel and projected point below which they agree, pixels.
    pub inlier_threshold: f64,
    /// Hypotheses that agree with a fourth point, at most.
    pub max_hypotheses: usize,
    /// Inliers that a pose needs.
    pub min_inliers: usize,
    /// Share of the correspondences that a pose needs as inliers.
    pub min_inlier_share: f64,
    /// How far the inliers' pixels spread along the direction in which they spread least (standard deviation), of the
    /// image's diagonal: points in a corner or on a line leave the pose open.
    pub min_spread: f64,
}

impl Default for PnpConfig {
    fn default() -> Self {
        Self { inlier_threshold: 10.0, max_hypotheses: 256, min_inliers: 12, min_inlier_share: 0.05, min_spread: 0.01 }
    }
}

/// A pose, and what it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct PnpSolution {
    /// Where the camera is.
    pub map_from_camera: Se3,
    /// From the final normal equations, scaled by the residuals; of independent errors.
    pub covariance: PoseCovariance,
    /// Which correspondences agree with the pose, by their order.
    pub inliers: Vec<usize>,
    /// Root mean square of the inliers' distances, pixels.
    pub residual: f64,
    /// The focal length that the inliers ask for.
    pub focal: FocalCheck,
    /// Whether the pose was where it was expected, so that nothing had to be searched.
    pub expected: bool,
}

/// Why there is no pose.
#[derive(Clone, Debug, PartialEq)]
pub enum NoPose {
    /// Fewer usable correspondences than a pose needs.
    TooFew {
        /// Finite ones.
        found: usize,
        /// Asked for.
        needed: usize,
    },
    /// The best pose has too few inliers.
    NoConsensus {
        /// Of the best pose.
        inliers: usize,
        /// Asked for.
        needed: usize,
    },
    /// The inliers leave the pose open.
    Degenerate {
        /// Standard deviation of the inliers' pixels where they spread least, pixels.
        spread: f64,
        /// Asked for, pixels.
        needed: f64,
    },
}

impl fmt::Display for NoPose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { found, needed } => write!(formatter, "{found} usable points, {needed} are needed"),
            Self::NoConsensus { inliers, needed } => write!(formatter, "{inliers} points agree, {needed} are needed"),
            Self::Degenerate { spread, needed } => {
                write!(formatter, "the points that agree spread by {spread:.1} pixels, {needed:.1} are needed")
            }
        }
    }
}

/// Finds poses. See the module's text.
#[derive(Clone, Copy, Debug)]
pub struct PoseSolver {
    config: PnpConfig,
}

impl PoseSolver {
    /// A solver.
    ///
    /// # Errors
    /// [`Error::Config`] for a threshold that is not positive, no hypothesis, fewer than four inliers, or shares that are
    /// none.
    pub fn new(config: PnpConfig) -> Result<Self> {
        let PnpConfig { inlier_threshold, max_hypotheses, min_inliers, min_inlier_share, min_spread } = config;
        if !(inlier_threshold.is_finite() && inlier_threshold > 0.0) {
            return Err(Error::config("inlier_threshold", "pixels, above 0", inlier_threshold.to_string()));
        }
        if max_hypotheses == 0 {
            return Err(Error::config("max_hypotheses", "at least 1", "0"));
        }
        if min_inliers < 4 {
            return Err(Error::config("min_inliers", "at least 4", min_inliers.to_string()));
        }
        for (key, share) in [("min_inlier_share", min_inlier_share), ("min_spread", min_spread)] {
            if !(0.0..1.0).contains(&share) {
                return Err(Error::config(key, "a share from 0 to below 1", share.to_string()));
            }
        }
        Ok(Self { config })
    }

    /// The pose of a rectified camera.
    ///
    /// # Errors
    /// Why there is none.
    pub fn solve(
        &self,
        camera: &CameraModel,
        correspondences: &[Correspondence],
        seed: u64,
    ) -> std::result::Result<PnpSolution, NoPose> {
        self.search(camera, correspondences, None, seed)
    }

    /// The same from where the camera is expected to be. A good guess needs no search: it is moved to what agrees around it, and
    /// counts if twice the inliers that a pose needs agree with it then, and a few draws find no pose that many more do. A bad
    /// one competes with the others, and is outvoted. Either way the pose is that of its inliers, and the guess pulls at nothing.
    ///
    /// # Errors
    /// Why there is none.
    pub fn solve_near(
        &self,
        expected: &Se3,
        camera: &CameraModel,
        correspondences: &[Correspondence],
        seed: u64,
    ) -> std::result::Result<PnpSolution, NoPose> {
        self.search(camera, correspondences, Some(expected), seed)
    }

    fn search(
        &self,
        camera: &CameraModel,
        correspondences: &[Correspondence],
        expected: Option<&Se3>,
        seed: u64,
    ) -> std::result::Result<PnpSolution, NoPose> {
        let view = View::new(camera, correspondences);
        let share = (self.config.min_inlier_share * view.len() as f64).ceil() as usize;
        let needed = self.config.min_inliers.max(share);
        if view.len() < needed {
            return Err(NoPose::TooFew { found: view.len(), needed });
        }
        if let Some(solution) = expected.and_then(|expected| self.confirm(&view, (expected, needed), camera, seed)) {
            return Ok(solution);
        }
        let finalists = hypotheses::finalists(&view, &self.config, expected, seed);
        let threshold = self.config.inlier_threshold;
        let optimized = finalists.iter().filter_map(|pose| refinement::optimize_locally(&view, pose, threshold));
        let best = optimized.max_by(|one, other| one.1.total_cmp(&other.1));
        let Some(refined) = best.and_then(|(pose, _)| refinement::refine(&view, pose, threshold)) else {
            return Err(NoPose::NoConsensus { inliers: 0, needed });
        };
        self.judge(&view, refined, camera, needed)
    }

    /// The pose near the expected one, if it is certain enough to search for no other.
    fn confirm(
        &self,
        view: &View,
        (expected, needed): (&Se3, usize),
        camera: &CameraModel,
        seed: u64,
    ) -> Option<PnpSolution> {
        let threshold = self.config.inlier_threshold;
        let (near, _) = refinement::optimize_locally(view, &camera_from_map(expected), EXPECTED_REACH * threshold)?;
        let (pose, _) = refinement::optimize_locally(view, &camera_from_map(&near), threshold)?;
        let refined = refinement::refine(view, pose, threshold)?;
        if refined.inliers.len() < CERTAIN * needed
            || hypotheses::has_rival(view, &self.config, &refined.map_from_camera, seed)
        {
            return None;
        }
        let solution = self.judge(view, refined, camera, needed).ok()?;
        Some(PnpSolution { expected: true, ..solution })
    }

    fn judge(
        &self,
        view: &View,
        refined: Refined,
        camera: &CameraModel,
        needed: usize,
    ) -> std::result::Result<PnpSolution, NoPose> {
        let Refined { map_from_camera, covariance, inliers, residual } = refined;
        if inliers.len() < needed {
            return Err(NoPose::NoConsensus { inliers: inliers.len(), needed });
        }
        let spread = spread(view, &inliers);
        let least = self.config.min_spread * f64::from(camera.width).hypot(f64::from(camera.height));
        let open = NoPose::Degenerate { spread, needed: least };
        if spread < least {
            return Err(open);
        }
        let covariance = covariance.and_then(|matrix| PoseCovariance::new(&matrix).ok()).ok_or(open)?;
        let focal = focal::check(view, &map_from_camera, self.config.inlier_threshold);
        let inliers = inliers.into_iter().map(|at| view.origin(at)).collect();
        Ok(PnpSolution { map_from_camera, covariance, inliers, residual, focal, expected: false })
    }
}

/// The standard deviation of pixels along the direction in which they spread least.
fn spread(view: &View, inliers: &[usize]) -> f64 {
    let count = inliers.len() as f64;
    let mean = inliers.iter().map(|&at| view.pixel(at)).sum::<Vector2<f64>>() / count;
    let scatter: Matrix2<f64> = inliers.iter().map(|&at| view.pixel(at) - mean).map(|d| d * d.transpose()).sum();
    (scatter / count).symmetric_eigenvalues().min().max(0.0).sqrt()
}

#[cfg(test)]
mod tests;
