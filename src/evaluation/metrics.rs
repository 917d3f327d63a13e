//! The schema of `metrics.json`. A change of meaning or a removed field raises [`SCHEMA_VERSION`].

use serde::{Deserialize, Serialize};

use super::trajectory_error::{Alignment, FramePairs, TrajectoryError, absolute, relative};
use super::{AlignmentSummary, Consistency, Evaluation, FrameResult, Latency, PointsSummary, PoseErrorSummary};
use crate::geometry::Se3;
use crate::memory::mebibytes;
use crate::{Error, Result};

/// The version of the schema that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// All numbers of an evaluation: what `metrics.json` holds. Metres and degrees, except where a field says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Version of this schema.
    pub schema_version: u32,
    /// Which data, which model, which command.
    pub provenance: Provenance,
    /// The evaluated method.
    pub method: MethodMetrics,
    /// The baselines on the same frames, among them those that a regressor must beat.
    pub baselines: Vec<MethodMetrics>,
    /// What can be said in hindsight, with what came after each frame: not causal. Absent where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindsight: Option<MethodMetrics>,
    /// Errors of the answered frames as a trajectory; `null` when fewer than two frames were answered.
    pub trajectory: Option<TrajectoryMetrics>,
    /// Honesty of the method's covariances, over the answered frames; `null` when there are none.
    pub consistency: Option<Consistency>,
    /// What the answers stand on, of a method that measures poses from points. Absent for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<PointsSummary>,
    /// How poses were aligned to reference frames, of a method that does. Absent for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<AlignmentSummary>,
    /// Timings, each with its device, threads and batch.
    pub latency: Vec<Latency>,
    /// The most that the process had in memory until the last frame was answered, MiB: program, libraries, model and images.
    /// Absent where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_mib: Option<f64>,
}

/// Where numbers come from, so that they can be had again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The dataset: its name and, if it has one, its version.
    pub dataset: String,
    /// Who says what is true, for example `KinectFusion (7-Scenes, original)`.
    pub ground_truth: String,
    /// The rule that chose the test frames.
    pub split: String,
    /// The seed of everything random in the evaluation.
    pub seed: Option<u64>,
    /// The commit of this program, if the build knows it.
    pub commit: Option<String>,
    /// The command line that produced the numbers.
    pub command: String,
    /// SHA-256 of the model's weights, hexadecimal.
    pub model_sha256: Option<String>,
}

/// Pose errors of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodMetrics {
    /// The method's name.
    pub name: String,
    /// Its errors.
    pub errors: PoseErrorSummary,
}

/// The answered frames as a trajectory. Rotations here are in radians, as `evo` computes them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectoryMetrics {
    /// Absolute trajectory error without any alignment: the estimate claims to be in the map.
    pub ate: TrajectoryError,
    /// Absolute trajectory error after a rigid alignment; `null` when the positions lie on a line or a point.
    pub ate_rigid: Option<TrajectoryError>,
    /// Absolute trajectory error after an alignment with scale; `null` as above.
    pub ate_similarity: Option<TrajectoryError>,
    /// Relative error between consecutive answered frames.
    pub rpe_1_frame: TrajectoryError,
}

impl Metrics {
    pub(super) fn new(evaluation: &Evaluation, results: &[FrameResult]) -> Result<Self> {
        for baseline in evaluation.baselines.iter().chain(&evaluation.hindsight) {
            if baseline.poses.len() != results.len() {
                let (what, expected) = (format!("baseline {}", baseline.name), format!("{} poses", results.len()));
                return Err(Error::message(what, expected, baseline.poses.len().to_string()));
            }
        }
        if ![0, results.len()].contains(&evaluation.evidence.len()) {
            let expected = format!("one entry for each of {} frames, or none at all", results.len());
            return Err(Error::message("evidence of answers", expected, evaluation.evidence.len().to_string()));
        }
        let summarized = evaluation
            .errors_by_method(results)
            .into_iter()
            .map(|(name, errors)| Ok(MethodMetrics { name: name.to_owned(), errors: PoseErrorSummary::new(&errors)? }));
        let mut methods: Vec<MethodMetrics> = summarized.collect::<Result<_>>()?;
        let method = methods.remove(0);
        let hindsight = evaluation.hindsight.as_ref().and_then(|_| methods.pop());
        let answered = || results.iter().filter_map(|result| Some((result.truth, result.estimate.as_ref()?)));
        let (truth, estimate): (Vec<Se3>, Vec<Se3>) =
            answered().map(|(truth, estimate)| (truth, estimate.map_from_camera)).unzip();
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            provenance: evaluation.provenance.clone(),
            method,
            baselines: methods,
            hindsight,
            trajectory: if truth.len() < 2 { None } else { Some(TrajectoryMetrics::new(&truth, &estimate)?) },
            consistency: Consistency::new(answered())?,
            points: PointsSummary::new(&evaluation.evidence),
            alignment: AlignmentSummary::new(&evaluation.alignments),
            latency: evaluation.latencies.clone(),
            peak_memory_mib: evaluation.peak_memory.map(mebibytes),
        })
    }
}

impl TrajectoryMetrics {
    fn new(truth: &[Se3], estimate: &[Se3]) -> Result<Self> {
        Ok(Self {
            ate: absolute(truth, estimate, Alignment::None)?,
            ate_rigid: absolute(truth, estimate, Alignment::Rigid).ok(),
            ate_similarity: absolute(truth, estimate, Alignment::Similarity).ok(),
            rpe_1_frame: relative(truth, estimate, 1, FramePairs::All)?,
        })
    }
}
