//! The estimator on the recorded answers of real localizers: hloc, DSAC*, Active Search (7-Scenes *redkitchen*, 30 Hz) and
//! PoseNet (King's College, taken as 2 Hz), with relative motion simulated from ground truth, 2 % noise.
//!
//! The covariance of a localizer's fixes is fitted to its errors on the other sequences. Its correlation time is a
//! constant that was chosen with all sequences in sight.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{Vector3, Vector6};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use vloc::Stamp;
use vloc::config::EstimatorConfig;
use vloc::estimator::{Estimator, Mounting, State};
use vloc::geometry::{Matrix6, Se3, So3};
use vloc::sensor::{AbsolutePose, RelativePose};

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

/// A localizer's answers and how they are taken.
struct Localizer {
    fixes: Poses,
    /// Seconds.
    correlation_time: f64,
    /// Seconds between frames.
    period: f64,
    /// What counts as lost, metres and radians.
    limits: (f64, f64),
}

/// Errors of the raw fixes and of the fused answers, metres; and how often an answer claimed Tracking and was wrong by
/// 1 m or 10 degrees.
struct Outcome {
    raw: Vec<f64>,
    fused: Vec<f64>,
    wrong: usize,
}

impl Outcome {
    fn ratio(&self, share: f64) -> f64 {
        quantile(&self.fused, share) / quantile(&self.raw, share)
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The variances of a localizer's errors in the camera's axes, from all sequences but one: the scatter of a t
/// distribution with four degrees of freedom, scaled so that nine of ten errors lie within the 90 % ellipsoid.
fn fitted_covariance(fixes: &Poses, truth: &Poses, without: &str) -> Matrix6 {
    let others = fixes.iter().filter(|((sequence, _), _)| sequence != without);
    let errors: Vec<Vector6<f64>> =
        others.filter_map(|(frame, fix)| truth.get(frame).map(|pose| fix.local(*pose))).collect();
    let squares =
        |inverse: &Matrix6| -> Vec<f64> { errors.iter().map(|error| error.dot(&(inverse * error))).collect() };
    let mut scatter = Matrix6::identity();
    for _ in 0..50 {
        let inverse = scatter.try_inverse().unwrap();
        let weighted =
            |error: &Vector6<f64>| error * error.transpose() * (10.0 / (4.0 + error.dot(&(inverse * error))));
        scatter = errors.iter().map(weighted).sum::<Matrix6>() / errors.len() as f64;
    }
    let variances = Matrix6::from_diagonal(&scatter.diagonal());
    variances * (quantile(&squares(&variances.try_inverse().unwrap()), 0.9) / 10.645)
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

/// Each sequence from its first frame on, causally.
fn fuse(localizer: &Localizer, truth: &Poses) -> Outcome {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let window = 40.0 * localizer.period;
    let config = EstimatorConfig {
        lag: window,
        memory: window,
        correlation_time: localizer.correlation_time,
        position_limit: localizer.limits.0,
        rotation_limit: localizer.limits.1,
        relative_robust_scale: 1e6,
        ..EstimatorConfig::default()
    };
    let mut outcome = Outcome { raw: Vec::new(), fused: Vec::new(), wrong: 0 };
    let mut sequences: Vec<&String> = truth.keys().map(|(sequence, _)| sequence).collect();
    sequences.dedup();
    for sequence in sequences {
        let covariance = fitted_covariance(&localizer.fixes, truth, sequence);
        let mut estimator = Estimator::new(config.clone()).unwrap();
        estimator.set_mounting(Mounting { base_from_camera: Se3::identity(), base_from_imu: None });
        let mut previous: Option<(Stamp, Se3)> = None;
        for (index, ((_, frame), pose)) in truth.iter().filter(|((name, _), _)| name == sequence).enumerate() {
            let stamp = Stamp::from_seconds(1000.0 + localizer.period * index as f64).unwrap();
            if let Some((previous_stamp, before)) = previous.replace((stamp, *pose)) {
                let (previous_from_current, covariance) = measured(before.inverse() * *pose, &mut random);
                let relative = RelativePose { previous_stamp, stamp, previous_from_current, covariance };
                estimator.add_relative(&relative).unwrap();
            }
            if let Some(fix) = localizer.fixes.get(&(sequence.clone(), *frame)) {
                outcome.raw.push((fix.translation - pose.translation).norm());
                estimator.add_absolute(&AbsolutePose { stamp, map_from_camera: *fix, covariance }).unwrap();
            }
            let estimate = estimator.step().unwrap().filter(|estimate| estimate.stamp == stamp);
            let Some(estimate) = estimate else {
                outcome.fused.push(f64::INFINITY);
                continue;
            };
            let error = (estimate.map_from_base.translation - pose.translation).norm();
            let turn = (estimate.map_from_base.rotation.inverse() * pose.rotation).log().norm();
            outcome.fused.push(error);
            let tracking = estimate.state == State::Tracking;
            outcome.wrong += usize::from(tracking && (error > 1.0 || turn.to_degrees() > 10.0));
        }
    }
    outcome
}

fn assert_kitchen(name: &str, correlation_time: f64, median: f64, p99: f64) {
    let Some(data) = common::real_data_for("the estimator on real localizers") else { return };
    let file = |name: &str| data.join(format!("estimates/redkitchen_test_{name}.txt"));
    let truth = read(&file("groundtruth"), world_to_camera);
    assert_eq!(truth.len(), 5000);
    let fixes = read(&file(name), world_to_camera);
    let limits = (1.0, 10_f64.to_radians());
    let outcome = fuse(&Localizer { fixes, correlation_time, period: 1.0 / 30.0, limits }, &truth);
    let (found_median, found_p99) = (outcome.ratio(0.5), outcome.ratio(0.99));
    println!("{name}: median {found_median:.3}, p99 {found_p99:.3} of the raw one, {} wrong", outcome.wrong);
    assert!(found_median <= median, "{name}: median {found_median} of the raw one");
    assert!(found_p99 <= p99, "{name}: 99th percentile {found_p99} of the raw one");
    assert!(outcome.wrong <= 5, "{name}: {} of 5000 answers wrong", outcome.wrong);
}

#[test]
fn hloc_fused_is_better_than_hloc() {
    assert_kitchen("hloc", 0.85, 0.95, 0.65);
}

#[test]
fn dsac_star_fused_is_better_than_dsac_star() {
    assert_kitchen("dsac_rgb", 0.77, 0.95, 0.80);
}

#[test]
fn active_search_fused_is_better_than_active_search() {
    assert_kitchen("as", 0.58, 0.85, 0.55);
}

#[test]
fn posenet_fused_is_better_than_posenet() {
    let Some(data) = common::real_data_for("the estimator on PoseNet") else { return };
    let file = |name: &str| data.join(format!("estimates/kings_college_posenet_dataset_test{name}.txt"));
    let truth = read(&file(""), centre_and_rotation);
    assert_eq!(truth.len(), 343);
    let fixes = read(&file("_predict"), centre_and_rotation);
    let limits = (10.0, 10_f64.to_radians());
    let outcome = fuse(&Localizer { fixes, correlation_time: 1.7, period: 0.5, limits }, &truth);
    let (median, p99) = (outcome.ratio(0.5), outcome.ratio(0.99));
    println!("PoseNet: median {median:.3}, p99 {p99:.3} of the raw one");
    assert!(median <= 0.60, "median {median} of the raw one");
    assert!(p99 <= 0.30, "99th percentile {p99} of the raw one");
}
