//! Honest numbers: from estimates and true poses to metrics, tables, files and pictures.
//!
//! Data in: one [`FrameResult`] per frame that should have been localized, the poses that the baselines gave for the
//! same frames, and where all of it came from. Data out: [`Metrics`] (the schema of `metrics.json`), a table, one CSV
//! row per frame, TUM trajectories and two pictures. [`Evaluation`] is the way in. The parts:
//!
//! - [`pose_error`]: medians, recalls and wrong answers; a frame without an estimate is infinitely wrong.
//! - [`trajectory_error`]: ATE and RPE as `evo` has them.
//! - [`consistency`]: is the covariance true (NEES, coverage)?
//! - [`points`]: what answers stand on that were measured from points.
//! - [`alignment`]: how the alignment of poses to reference frames went.
//! - [`report`]: one HTML file with tables and pictures, of one evaluation or of several.
//! - [`fusion_plots`]: pictures of a fused trajectory, its errors over time and its NEES.
//! - [`latency`]: medians and 99th percentiles that name their device.
//!
//! Nothing here knows tensors, datasets or ROS.

pub mod alignment;
mod canvas;
pub mod consistency;
mod files;
pub mod fusion_plots;
mod histogram;
pub mod latency;
pub mod metrics;
mod plan;
mod plots;
pub mod points;
pub mod pose_error;
pub mod report;
pub mod table;
mod timeline;
pub mod trajectory_error;

use std::path::Path;

use crate::alignment::AlignmentReport;
use crate::geometry::Se3;
use crate::pnp::Evidence;
use crate::sensor::AbsolutePose;
use crate::{Error, Result, Stamp};

pub use alignment::AlignmentSummary;
pub use consistency::{Consistency, NeesSummary};
pub use latency::Latency;
pub use metrics::{Metrics, Provenance};
pub use points::PointsSummary;
pub use pose_error::{PoseError, PoseErrorSummary};
pub use table::table;

/// What a method said about one frame, and what is true.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameResult {
    /// The frame, as its dataset names it.
    pub name: String,
    /// When its image was exposed.
    pub stamp: Stamp,
    /// The true `map_from_camera`.
    pub truth: Se3,
    /// The estimate; `None` when the method gave no answer.
    pub estimate: Option<AbsolutePose>,
}

/// What a baseline said about the same frames, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The row's name in tables and pictures.
    pub name: String,
    /// `map_from_camera` per frame; `None` where there is no answer.
    pub poses: Vec<Option<Se3>>,
}

/// Everything beside the results themselves that a report needs.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// The method's name in tables and pictures.
    pub name: String,
    /// Where the data, the model and the numbers come from.
    pub provenance: Provenance,
    /// The baselines, in the order of the table's rows.
    pub baselines: Vec<Baseline>,
    /// What can be said in hindsight, with what came after each frame: not causal, and no rival.
    pub hindsight: Option<Baseline>,
    /// Poses of the training set, for the picture of the paths.
    pub training_path: Vec<Se3>,
    /// What each answer stands on, one per frame, of a method that measures poses from points; empty for any other.
    pub evidence: Vec<Option<Evidence>>,
    /// How the poses of the answers were aligned to reference frames, of a method that does; empty for any other.
    pub alignments: Vec<AlignmentReport>,
    /// Timings that were taken in the same run.
    pub latencies: Vec<Latency>,
    /// The most bytes that the process had in memory until the last frame was answered, where that is known.
    pub peak_memory: Option<u64>,
}

impl Evaluation {
    /// All numbers of the results. Frames in time order give meaningful relative errors.
    ///
    /// # Errors
    /// When there is no frame, a baseline or the evidence has not one entry per frame, or a covariance is none.
    pub fn summarize(&self, results: &[FrameResult]) -> Result<Metrics> {
        Metrics::new(self, results)
    }

    /// Summarizes, and writes into `folder` (created if need be): `metrics.json`, `frames.csv`, `estimate.tum`,
    /// `truth.tum`, `trajectory.svg`, `errors.svg`, `errors.csv`.
    ///
    /// # Errors
    /// As [`Evaluation::summarize`], and when a file cannot be written.
    pub fn write_all(&self, folder: &Path, results: &[FrameResult]) -> Result<Metrics> {
        let metrics = self.summarize(results)?;
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io("write", &path))
        };
        write("metrics.json", files::json(&metrics)?)?;
        write("frames.csv", files::csv(results)?)?;
        write("truth.tum", files::truth_tum(results))?;
        write("estimate.tum", files::estimate_tum(results))?;
        write("trajectory.svg", plots::trajectory(&self.training_path, results)?)?;
        let errors = self.errors_by_method(results);
        write("errors.svg", plots::errors(&errors)?)?;
        write("errors.csv", self.errors_csv(results))?;
        Ok(metrics)
    }

    /// The text of `errors.csv`.
    fn errors_csv(&self, results: &[FrameResult]) -> String {
        let frames = results.iter().map(|result| (result.name.as_str(), result.stamp));
        files::errors_csv(frames, &self.errors_by_method(results))
    }

    /// The error of every frame, for the method, then for each baseline, then in hindsight.
    fn errors_by_method(&self, results: &[FrameResult]) -> Vec<(&str, Vec<PoseError>)> {
        let own = results.iter().map(FrameResult::error).collect();
        let others = self.baselines.iter().chain(&self.hindsight);
        let others = others.map(|other| (other.name.as_str(), other.errors(results)));
        std::iter::once((self.name.as_str(), own)).chain(others).collect()
    }
}

impl FrameResult {
    /// How far the estimate is off.
    pub fn error(&self) -> PoseError {
        PoseError::of(self.truth, self.estimate.as_ref().map(|estimate| estimate.map_from_camera))
    }
}

impl Baseline {
    fn errors(&self, results: &[FrameResult]) -> Vec<PoseError> {
        results.iter().zip(&self.poses).map(|(result, pose)| PoseError::of(result.truth, *pose)).collect()
    }
}
