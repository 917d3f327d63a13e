//! The estimator on the recorded answers of real localizers: hloc, DSAC*, Active Search (7-Scenes *redkitchen*, 30 Hz) and
//! PoseNet (King's College, taken as 2 Hz), with relative motion simulated from ground truth, 2 % noise.
//!
//! Leave one out: what the estimator knows of a localizer, the covariance of its fixes and over which time their errors
//! are alike, is fitted on the other sequences ([`vloc::estimator::calibration`]).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

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
use vloc::estimator::{Estimator, Mounting, State};
use vloc::geometry::{Matrix6, Se3, So3};
use vloc::sensor::{AbsolutePose, RelativePose};

/// How often the correlation time is corrected, from the estimator's default on.
const ROUNDS: usize = 2;

/// Poses of the camera in the map, by sequence and frame.
type Poses = BTreeMap<(String, u32), Se3>;

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
type Sequence = Vec<(Se3, Option<Se3>)>;

/// A localizer's answers and how they are taken.
struct Localizer {
    sequences: BTreeMap<String, Sequence>,
    /// Seconds between frames.
    period: f64,
    /// What counts as lost, metres and radians.
    limits: (f64, f64),
    /// Runs with other noise of the relative motion per sequence of the calibration: more where sequences are short.
    calibration_runs: u64,
}

/// What is known of a localizer.
#[derive(Clone, Copy)]
struct Calibration {
    covariance: Matrix6,
    correlation_time: f64,
}

/// A fused answer.
struct Answer {
    /// Metres.
    error: f64,
    nees: f64,
    /// It claimed Tracking and was wrong by 1 m or 10 degrees.
    is_wrong: bool,
}

/// What came of one sequence: an answer or none per frame.
struct Fused {
    sequence: String,
    correlation_time: f64,
    answers: Vec<Option<Answer>>,
}

impl Localizer {
    fn new(truth: &Poses, fixes: &Poses, period: f64, limits: (f64, f64), calibration_runs: u64) -> Self {
        let mut sequences: BTreeMap<String, Sequence> = BTreeMap::new();
        for (frame, pose) in truth {
            sequences.entry(frame.0.clone()).or_default().push((*pose, fixes.get(frame).copied()));
        }
        Self { sequences, period, limits, calibration_runs }
    }

    /// From all sequences but one.
    fn calibrated(&self, without: &str, seed: u64) -> Calibration {
        let others: Vec<&Sequence> =
            self.sequences.iter().filter(|(name, _)| *name != without).map(|(_, sequence)| sequence).collect();
        let frames = others.iter().flat_map(|sequence| sequence.iter());
        let errors: Vec<Vector6<f64>> = frames.filter_map(|(truth, fix)| Some((*fix)?.local(*truth))).collect();
        let covariance = fix_covariance(&errors).unwrap().matrix();
        let mut correlation_time = EstimatorConfig::default().correlation_time;
        for _ in 0..ROUNDS {
            let calibration = Calibration { covariance, correlation_time };
            let of_sequence = |sequence: &&Sequence| -> Vec<f64> {
                let runs = (0..self.calibration_runs).map(|run| self.fuse(sequence, calibration, 1000 + seed + run));
                runs.flatten().flatten().map(|answer| answer.nees).collect()
            };
            let nees: Vec<Vec<f64>> = others.par_iter().map(of_sequence).collect();
            let factor = overconfidence(&nees).unwrap();
            correlation_time = corrected_correlation_time(correlation_time, self.period, factor).unwrap();
        }
        Calibration { covariance, correlation_time }
    }

    /// Every sequence as the others have calibrated the estimator.
    fn leave_one_out(&self, seed: u64) -> Vec<Fused> {
        let one = |(name, sequence): (&String, &Sequence)| {
            let calibration = self.calibrated(name, seed);
            let answers = self.fuse(sequence, calibration, seed);
            Fused { sequence: name.clone(), correlation_time: calibration.correlation_time, answers }
        };
        self.sequences.par_iter().map(one).collect()
    }

    /// A sequence from its first frame on, causally.
    fn fuse(&self, sequence: &Sequence, calibration: Calibration, seed: u64) -> Vec<Option<Answer>> {
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
            answers.push(estimate.map(|estimate| {
                let error = (estimate.map_from_base.translation - truth.translation).norm();
                let turn = (estimate.map_from_base.rotation.inverse() * truth.rotation).log().norm();
                let local = estimate.map_from_base.local(*truth);
                let is_wrong = estimate.state == State::Tracking && (error > 1.0 || turn.to_degrees() > 10.0);
                Answer { error, nees: estimate.covariance.squared_mahalanobis(&local).unwrap(), is_wrong }
            }));
        }
        answers
    }

    /// Errors of the fixes themselves, metres.
    fn raw_errors(&self) -> Vec<f64> {
        let error = |(truth, fix): &(Se3, Option<Se3>)| Some((fix.as_ref()?.translation - truth.translation).norm());
        self.sequences.values().flatten().filter_map(error).collect()
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Share of the answers within their own 90 % ellipsoid.
fn coverage<'a>(answers: impl Iterator<Item = &'a Option<Answer>>) -> f64 {
    let nees: Vec<f64> = answers.flatten().map(|answer| answer.nees).collect();
    nees.iter().filter(|nees| **nees <= 10.645).count() as f64 / nees.len() as f64
}

fn diagonal(sigmas: &[f64; 6]) -> Matrix6 {
    Matrix6::from_diagonal(&Vector6::from_fn(|axis, _| sigmas[axis] * sigmas[axis]))
}

/// The motion with an error of 2 % of each of its parts, and its covariance.
fn measured(motion: Se3, random: &mut ChaCha8Rng) -> (Se3, Matrix6) {
    let (t, r) = (0.02 * motion.translation.norm() + 1e-4, 0.02 * motion.rotation.log().norm() + 1e-5);
    let sigmas = [t, t, t, r, r, r];
    let error = Vector6::from_fn(|axis, _| sigmas[axis] * random.sample::<f64, _>(StandardNormal));
    (motion.retract(&error), diagonal(&sigmas))
}

/// What the fused answers have to reach, as shares of the raw errors.
struct Bounds {
    median: f64,
    p99: f64,
    /// Answers that may claim Tracking and be wrong; no bound where 1 m is less than the localizer's usual error.
    wrong: Option<usize>,
}

fn assert_fused(name: &str, localizer: &Localizer, bounds: &Bounds) {
    let raw = localizer.raw_errors();
    for seed in 0..seeds() {
        let fused = localizer.leave_one_out(seed);
        let answers = || fused.iter().flat_map(|fused| &fused.answers);
        let errors: Vec<f64> =
            answers().map(|answer| answer.as_ref().map_or(f64::INFINITY, |answer| answer.error)).collect();
        let ratio = |share| quantile(&errors, share) / quantile(&raw, share);
        let (median, p99, pooled) = (ratio(0.5), ratio(0.99), coverage(answers()));
        let wrong = answers().flatten().filter(|answer| answer.is_wrong).count();
        println!(
            "{name}, seed {seed}: median {median:.3}, p99 {p99:.3} of the raw one, {wrong} wrong, {pooled:.3} within 90 %"
        );
        for fused in &fused {
            let (name, time, covered) = (&fused.sequence, fused.correlation_time, coverage(fused.answers.iter()));
            println!("  {name}: {covered:.3} within 90 %, correlation time {time:.2} s");
        }
        assert!(median <= bounds.median, "{name}, seed {seed}: median {median} of the raw one");
        assert!(p99 <= bounds.p99, "{name}, seed {seed}: 99th percentile {p99} of the raw one");
        assert!(bounds.wrong.is_none_or(|most| wrong <= most), "{name}, seed {seed}: {wrong} answers wrong");
        assert!((0.85..=0.95).contains(&pooled), "{name}, seed {seed}: {pooled} of the answers within 90 %");
    }
}

/// Simulated noises of the relative motion that are tried: `VLOC_SEEDS`, else one.
fn seeds() -> u64 {
    std::env::var("VLOC_SEEDS").map_or(1, |seeds| seeds.parse().unwrap())
}

fn assert_kitchen(name: &str, median: f64, p99: f64) {
    let Some(data) = common::real_data_for("the estimator on real localizers") else { return };
    let file = |name: &str| data.join(format!("estimates/redkitchen_test_{name}.txt"));
    let truth = read(&file("groundtruth"), world_to_camera);
    assert_eq!(truth.len(), 5000);
    let fixes = read(&file(name), world_to_camera);
    let localizer = Localizer::new(&truth, &fixes, 1.0 / 30.0, (1.0, 10_f64.to_radians()), 1);
    assert_fused(name, &localizer, &Bounds { median, p99, wrong: Some(5) });
}

#[test]
fn hloc_fused_is_better_than_hloc_and_honest() {
    assert_kitchen("hloc", 0.95, 0.65);
}

#[test]
fn dsac_star_fused_is_better_than_dsac_star_and_honest() {
    assert_kitchen("dsac_rgb", 0.95, 0.80);
}

#[test]
fn active_search_fused_is_better_than_active_search_and_honest() {
    assert_kitchen("as", 0.85, 0.55);
}

#[test]
fn posenet_fused_is_better_than_posenet_and_honest() {
    let Some(data) = common::real_data_for("the estimator on PoseNet") else { return };
    let file = |name: &str| data.join(format!("estimates/kings_college_posenet_dataset_test{name}.txt"));
    let truth = read(&file(""), centre_and_rotation);
    assert_eq!(truth.len(), 343);
    let fixes = read(&file("_predict"), centre_and_rotation);
    let localizer = Localizer::new(&truth, &fixes, 0.5, (10.0, 10_f64.to_radians()), 8);
    assert_fused("PoseNet", &localizer, &Bounds { median: 0.60, p99: 0.30, wrong: None });
}
