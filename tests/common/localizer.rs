//! Recorded answers of real localizers, fused: hloc, DSAC*, Active Search (7-Scenes *redkitchen*, 30 Hz) and PoseNet
//! (King's College, taken as 2 Hz), with relative motion simulated from ground truth, 2 % noise.
//!
//! Leave one out: what the estimator knows of a localizer, the covariance of its fixes and over which time their errors
//! are alike, is fitted on the other sequences ([`vloc::estimator::calibration`]).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each user takes its part")]

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{Vector3, Vector6};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use vloc::Stamp;
use vloc::config::EstimatorConfig;
use vloc::estimator::calibration::{corrected_correlation_time, fix_covariance, overconfidence};
use vloc::estimator::{Estimator, Mounting, PoseEstimate, State};
use vloc::evaluation::FrameResult;
use vloc::geometry::{Matrix6, Se3, So3};
use vloc::sensor::{AbsolutePose, RelativePose};

/// The correlation time is corrected, from the estimator's default on, until the covariance is right within this share;
/// at most so often.
const CALIBRATED_WITHIN: f64 = 0.05;
const ROUNDS: usize = 8;

/// Poses of the camera in the map, by sequence and frame.
pub type Poses = BTreeMap<(String, u32), Se3>;

/// A file of poses: how its lines mean a pose.
fn read(path: &Path, meaning: impl Fn(&[f64]) -> Option<Se3>) -> Poses {
    let mut poses = Poses::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut words = line.split_whitespace();
        let Some((sequence, frame)) = words.next().and_then(|name| name.split_once('/')) else { continue };
        let frame: String = frame.chars().filter(char::is_ascii_digit).collect();
        let numbers: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
        if let Some(pose) = meaning(&numbers) {
            poses.insert((sequence.to_owned(), frame.parse().unwrap()), pose);
        }
    }
    poses
}

/// `qw qx qy qz tx ty tz`, world to camera.
fn world_to_camera(numbers: &[f64]) -> Option<Se3> {
    let [qw, qx, qy, qz, x, y, z] = *numbers.first_chunk()?;
    Some(Se3::new(So3::from_xyzw(qx, qy, qz, qw)?, Vector3::new(x, y, z)).inverse())
}

/// `x y z qw qx qy qz`: centre of the camera, rotation from world to camera.
fn centre_and_rotation(numbers: &[f64]) -> Option<Se3> {
    let [x, y, z, qw, qx, qy, qz] = *numbers.first_chunk()?;
    // PoseNet regresses quaternions of any length.
    let norm = (qw * qw + qx * qx + qy * qy + qz * qz).sqrt();
    let [qw, qx, qy, qz] = [qw / norm, qx / norm, qy / norm, qz / norm];
    Some(Se3::new(So3::from_xyzw(qx, qy, qz, qw)?.inverse(), Vector3::new(x, y, z)))
}

/// What a localizer said in one sequence, in the order of its frames: the truth and the fix, if there was one.
pub type Sequence = Vec<(Se3, Option<Se3>)>;

/// A localizer's answers and how they are taken.
pub struct Localizer {
    pub sequences: BTreeMap<String, Sequence>,
    /// Seconds between frames.
    pub period: f64,
    /// What counts as lost, metres and radians.
    pub limits: (f64, f64),
    /// Runs with other noise of the relative motion per sequence of the calibration: more where sequences are short.
    calibration_runs: u64,
}

/// What is known of a localizer.
#[derive(Clone, Copy)]
pub struct Calibration {
    pub covariance: Matrix6,
    pub correlation_time: f64,
}

/// A fused answer.
pub struct Answer {
    pub estimate: PoseEstimate,
    pub truth: Se3,
}

impl Answer {
    /// Metres.
    pub fn error(&self) -> f64 {
        (self.estimate.map_from_base.translation - self.truth.translation).norm()
    }

    pub fn nees(&self) -> f64 {
        self.estimate.covariance.squared_mahalanobis(&self.estimate.map_from_base.local(self.truth)).unwrap()
    }

    /// It claimed Tracking and was wrong by 1 m or 10 degrees.
    pub fn is_wrong(&self) -> bool {
        let turn = (self.estimate.map_from_base.rotation.inverse() * self.truth.rotation).log().norm();
        self.estimate.state == State::Tracking && (self.error() > 1.0 || turn.to_degrees() > 10.0)
    }
}

/// What came of one sequence: an answer or none per frame.
pub struct Fused {
    pub sequence: String,
    pub correlation_time: f64,
    pub answers: Vec<Option<Answer>>,
}

impl Localizer {
    /// 7-Scenes *redkitchen*: `hloc`, `dsac_rgb` or `as`.
    pub fn kitchen(data: &Path, name: &str) -> Self {
        let file = |name: &str| data.join(format!("estimates/redkitchen_test_{name}.txt"));
        let truth = read(&file("groundtruth"), world_to_camera);
        assert_eq!(truth.len(), 5000);
        Self::new(&truth, &read(&file(name), world_to_camera), 1.0 / 30.0, (1.0, 10_f64.to_radians()), 1)
    }

    /// PoseNet on King's College.
    pub fn posenet(data: &Path) -> Self {
        let file = |name: &str| data.join(format!("estimates/kings_college_posenet_dataset_test{name}.txt"));
        let truth = read(&file(""), centre_and_rotation);
        assert_eq!(truth.len(), 343);
        Self::new(&truth, &read(&file("_predict"), centre_and_rotation), 0.5, (10.0, 10_f64.to_radians()), 8)
    }

    fn new(truth: &Poses, fixes: &Poses, period: f64, limits: (f64, f64), calibration_runs: u64) -> Self {
        let mut sequences: BTreeMap<String, Sequence> = BTreeMap::new();
        for (frame, pose) in truth {
            sequences.entry(frame.0.clone()).or_default().push((*pose, fixes.get(frame).copied()));
        }
        Self { sequences, period, limits, calibration_runs }
    }

    /// From all sequences but one.
    pub fn calibrated(&self, without: &str, seed: u64) -> Calibration {
        let others: Vec<&Sequence> =
            self.sequences.iter().filter(|(name, _)| *name != without).map(|(_, sequence)| sequence).collect();
        let frames = others.iter().flat_map(|sequence| sequence.iter());
        let errors: Vec<Vector6<f64>> = frames.filter_map(|(truth, fix)| Some((*fix)?.local(*truth))).collect();
        let covariance = fix_covariance(&errors).unwrap().matrix();
        let mut correlation_time = EstimatorConfig::default().correlation_time_for(None);
        for _ in 0..ROUNDS {
            let calibration = Calibration { covariance, correlation_time };
            let of_sequence = |sequence: &&Sequence| -> Vec<f64> {
                let runs = (0..self.calibration_runs).map(|run| self.fuse(sequence, calibration, 1000 + seed + run));
                runs.flatten().flatten().map(|answer| answer.nees()).collect()
            };
            let nees: Vec<Vec<f64>> = others.par_iter().map(of_sequence).collect();
            let factor = overconfidence(&nees).unwrap();
            if (factor - 1.0).abs() < CALIBRATED_WITHIN {
                break;
            }
            correlation_time = corrected_correlation_time(correlation_time, self.period, factor).unwrap();
        }
        Calibration { covariance, correlation_time }
    }

    /// Every sequence as the others have calibrated the estimator.
    pub fn leave_one_out(&self, seed: u64) -> Vec<Fused> {
        let one = |(name, sequence): (&String, &Sequence)| {
            let calibration = self.calibrated(name, seed);
            let answers = self.fuse(sequence, calibration, seed);
            Fused { sequence: name.clone(), correlation_time: calibration.correlation_time, answers }
        };
        self.sequences.par_iter().map(one).collect()
    }

    /// A sequence from its first frame on, causally.
    pub fn fuse(&self, sequence: &Sequence, calibration: Calibration, seed: u64) -> Vec<Option<Answer>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let window = 40.0 * self.period;
        let config = EstimatorConfig {
            lag: window,
            memory: window,
            correlation_time: calibration.correlation_time,
            position_limit: self.limits.0,
            rotation_limit: self.limits.1,
            relative_robust_scale: 1e6,
            ..EstimatorConfig::default()
        };
        let mut estimator = Estimator::new(config).unwrap();
        estimator.set_mounting(Mounting { base_from_camera: Se3::identity(), base_from_imu: None });
        let mut previous: Option<(Stamp, Se3)> = None;
        let mut answers = Vec::new();
        for (index, (truth, fix)) in sequence.iter().enumerate() {
            let stamp = Stamp::from_seconds(1000.0 + self.period * index as f64).unwrap();
            if let Some((previous_stamp, before)) = previous.replace((stamp, *truth)) {
                let (previous_from_current, covariance) = measured(before.inverse() * *truth, &mut random);
                let relative = RelativePose { previous_stamp, stamp, previous_from_current, covariance };
                estimator.add_relative(&relative).unwrap();
            }
            if let Some(fix) = fix {
                let covariance = calibration.covariance;
                estimator.add_absolute(&AbsolutePose { stamp, map_from_camera: *fix, covariance }).unwrap();
            }
            let estimate = estimator.step().unwrap().filter(|estimate| estimate.stamp == stamp);
            answers.push(estimate.map(|estimate| Answer { estimate, truth: *truth }));
        }
        answers
    }

    /// Errors of the fixes themselves, metres.
    pub fn raw_errors(&self) -> Vec<f64> {
        let error = |(truth, fix): &(Se3, Option<Se3>)| Some((fix.as_ref()?.translation - truth.translation).norm());
        self.sequences.values().flatten().filter_map(error).collect()
    }
}

fn diagonal(sigmas: &[f64; 6]) -> Matrix6 {
    Matrix6::from_diagonal(&Vector6::from_fn(|axis, _| sigmas[axis] * sigmas[axis]))
}

/// The motion with an error of 2 % of each of its parts, and its covariance.
pub fn measured(motion: Se3, random: &mut ChaCha8Rng) -> (Se3, Matrix6) {
    let (t, r) = (0.02 * motion.translation.norm() + 1e-4, 0.02 * motion.rotation.log().norm() + 1e-5);
    let sigmas = [t, t, t, r, r, r];
    let error = Vector6::from_fn(|axis, _| sigmas[axis] * random.sample::<f64, _>(StandardNormal));
    (motion.retract(&error), diagonal(&sigmas))
}

/// What the evaluation makes pictures of: the fixes and the fused answers of a sequence.
pub fn frame_results(localizer: &Localizer, fused: &Fused) -> (Vec<FrameResult>, Vec<FrameResult>) {
    let frames = localizer.sequences[&fused.sequence].iter().zip(&fused.answers).enumerate();
    let results = frames.map(|(index, ((truth, fix), answer))| {
        let stamp = Stamp::from_seconds(1000.0 + localizer.period * index as f64).unwrap();
        let result = |estimate| FrameResult { name: index.to_string(), stamp, truth: *truth, estimate };
        let pose = |map_from_camera, covariance| AbsolutePose { stamp, map_from_camera, covariance };
        let answer = answer.as_ref().map(|answer| &answer.estimate);
        (
            result(fix.map(|fix| pose(fix, Matrix6::identity()))),
            result(answer.map(|answer| pose(answer.map_from_base, answer.covariance.matrix()))),
        )
    });
    results.unzip()
}
