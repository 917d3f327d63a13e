//! The trajectory in hindsight, on simulated walks: better than the causal one, with a covariance that is true, one run
//! per start, equal to the window where that held everything, the same on every run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/robot.rs"]
mod robot;

use nalgebra::Vector3;
use robot::{Measurement, Setup, Walk, at, config, drive, estimator};
use vloc::Stamp;
use vloc::config::EstimatorConfig;
use vloc::estimator::{PoseEstimate, SmoothedPose, SmoothedRun};
use vloc::geometry::{PoseCovariance, Se3, So3};
use vloc::synth::{ImuErrors, OdometryNoise};

/// A walk, the causal answers and the smoothed runs.
fn smooth(setup: &Setup) -> (Walk, Vec<PoseEstimate>, Vec<SmoothedRun>) {
    smooth_with(Walk::new(setup), setup, config(setup))
}

fn smooth_with(walk: Walk, setup: &Setup, config: EstimatorConfig) -> (Walk, Vec<PoseEstimate>, Vec<SmoothedRun>) {
    let mut estimator = estimator(&walk, setup, config);
    estimator.keep_history();
    let causal = drive(&walk, &mut estimator);
    let runs = estimator.smoothed().unwrap();
    (walk, causal, runs)
}

fn everything(seed: u64) -> Setup {
    Setup {
        seed,
        imu: Some(ImuErrors::EUROC),
        odometry: Some(OdometryNoise::INDOOR),
        relative: Some(0.02),
        ..Setup::default()
    }
}

fn error(walk: &Walk, stamp: Stamp, map_from_base: Se3) -> f64 {
    (map_from_base.translation - walk.map_from_base(stamp).translation).norm()
}

fn median(mut errors: Vec<f64>) -> f64 {
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

fn nees(walk: &Walk, stamp: Stamp, map_from_base: Se3, covariance: &PoseCovariance) -> f64 {
    covariance.squared_mahalanobis(&map_from_base.local(walk.map_from_base(stamp))).unwrap()
}

fn mean_nees(walk: &Walk, poses: &[SmoothedPose]) -> f64 {
    let sum: f64 = poses.iter().map(|pose| nees(walk, pose.stamp, pose.map_from_base, &pose.covariance)).sum();
    sum / poses.len() as f64
}

/// Beside the camera: nothing, and whatever else measures motion.
fn subsets() -> Vec<Setup> {
    let full = everything(3);
    let none = Setup { imu: None, odometry: None, relative: None, ..full.clone() };
    vec![
        none.clone(),
        Setup { imu: full.imu, ..none.clone() },
        Setup { odometry: full.odometry, ..none.clone() },
        Setup { relative: full.relative, ..none },
        full,
    ]
}

#[test]
fn hindsight_is_better_than_the_causal_answer_with_any_sensors() {
    for setup in subsets() {
        let (walk, causal, runs) = smooth(&setup);
        assert_eq!(runs.len(), 1, "{setup:?}");
        let poses = &runs[0].poses;
        assert!(poses.len() > 190 && poses.windows(2).all(|pair| pair[0].stamp < pair[1].stamp), "{}", poses.len());
        let smoothed = median(poses.iter().map(|pose| error(&walk, pose.stamp, pose.map_from_base)).collect());
        let causal = median(causal.iter().map(|pose| error(&walk, pose.stamp, pose.map_from_base)).collect());
        println!("smoothed {smoothed:.4} m, causal {causal:.4} m, {setup:?}");
        assert!(smoothed < causal, "smoothed {smoothed} m, causal {causal} m, {setup:?}");
    }
}

#[test]
fn hindsight_knows_more_than_the_window_everywhere() {
    let setup = everything(4);
    let (_, causal, runs) = smooth(&setup);
    let trace = |covariance: &PoseCovariance| covariance.matrix().fixed_view::<3, 3>(0, 0).trace();
    let mut compared = 0;
    for estimate in &causal {
        let at = runs[0].poses.binary_search_by_key(&estimate.stamp, |pose| pose.stamp).unwrap();
        let (smoothed, causal) = (trace(&runs[0].poses[at].covariance), trace(&estimate.covariance));
        // Not exactly: the robust weights are those of other residuals.
        assert!(smoothed < 1.05 * causal, "at {}: {smoothed} of {causal} m²", estimate.stamp);
        compared += 1;
    }
    assert!(compared > 180, "{compared}");
}

#[test]
fn a_window_that_holds_everything_says_the_same() {
    for setup in subsets() {
        let walk = Walk::new(&setup);
        let all = EstimatorConfig { lag: 1e3, keyframes: 1000, iterations: 30, ..config(&setup) };
        let (_, causal, runs) = smooth_with(walk, &setup, all);
        let (last, smoothed) = (causal.last().unwrap(), runs[0].poses.last().unwrap());
        assert_eq!(last.stamp, smoothed.stamp);
        let apart = last.map_from_base.local(smoothed.map_from_base).norm();
        assert!(apart < 1e-6, "{apart} with {setup:?}");
        let (window, batch) = (last.covariance.matrix(), smoothed.covariance.matrix());
        let apart = (window - batch).amax() / window.amax();
        assert!(apart < 1e-6, "covariances differ by {apart} with {setup:?}");
    }
}

#[test]
fn leaving_the_window_loses_nothing() {
    for setup in subsets() {
        let short = EstimatorConfig { lag: 0.7, ..config(&setup) };
        let all = EstimatorConfig { lag: 1e3, keyframes: 1000, ..config(&setup) };
        let (_, _, short) = smooth_with(Walk::new(&setup), &setup, short);
        let (_, _, all) = smooth_with(Walk::new(&setup), &setup, all);
        assert_eq!((short.len(), all.len()), (1, 1));
        assert_eq!(short[0].poses.len(), all[0].poses.len());
        for (a, b) in short[0].poses.iter().zip(&all[0].poses) {
            assert_eq!(a.stamp, b.stamp);
            // Readings of an IMU are integrated with the bias that was known at the time.
            let apart = a.map_from_base.local(b.map_from_base).norm();
            assert!(apart < if setup.imu.is_some() { 1e-3 } else { 1e-6 }, "{apart} at {} with {setup:?}", a.stamp);
        }
    }
}

#[test]
fn asking_changes_nothing_and_the_answer_is_the_same_every_time() {
    let setup = everything(6);
    let walk = Walk::new(&setup);
    let mut silent = estimator(&walk, &setup, config(&setup));
    let expected = drive(&walk, &mut silent);
    let error = silent.smoothed().unwrap_err().to_string();
    assert!(error.contains("call Estimator::keep_history before the first of them"), "{error}");

    let (_, causal, runs) = smooth(&setup);
    assert_eq!(causal, expected, "an archive changes no answer");
    let (_, _, again) = smooth(&setup);
    assert_eq!(runs, again);
}

#[test]
fn a_robot_that_is_carried_away_leaves_two_runs() {
    let setup = everything(14);
    let mut walk = Walk::new(&setup);
    let carried = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 1.0)), Vector3::new(4.0, -3.0, 0.0));
    walk.change_fixes(10.0, 20.0, |fix| {
        fix.map_from_camera = carried * fix.map_from_camera;
        true
    });
    let (walk, _, runs) = smooth_with(walk, &setup, config(&setup));
    assert_eq!(runs.iter().map(|run| run.start).collect::<Vec<_>>(), [1, 2]);
    let worst = |run: &SmoothedRun, carried: Se3| {
        let error = |pose: &SmoothedPose| {
            (pose.map_from_base.translation - (carried * walk.map_from_base(pose.stamp)).translation).norm()
        };
        run.poses.iter().map(error).fold(0.0, f64::max)
    };
    assert!(worst(&runs[0], Se3::identity()) < 0.2, "{}", worst(&runs[0], Se3::identity()));
    assert!(worst(&runs[1], carried) < 0.2, "{}", worst(&runs[1], carried));
    // The first run ends with the last fix that fits it, the second begins when the new place is known.
    assert_eq!(runs[0].poses.last().unwrap().stamp, at(9.9));
    let begin = runs[1].poses[0].stamp;
    assert!(begin >= at(10.0) && begin <= at(10.4), "{begin}");
}

#[test]
fn a_restart_and_a_clock_that_jumps_end_a_run() {
    let setup = everything(15);
    let walk = Walk::new(&setup);
    let mut estimator = estimator(&walk, &setup, config(&setup));
    estimator.keep_history();
    assert!(estimator.smoothed().unwrap().is_empty(), "nothing measured, no run");
    drive(&walk, &mut estimator);
    let before = estimator.smoothed().unwrap();
    estimator.clock_jumped(at(0.0));
    assert_eq!(estimator.smoothed().unwrap(), before, "the run that ended is kept as it is");
    drive(&walk, &mut estimator);
    estimator.relocalize();
    let runs = estimator.smoothed().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].poses, runs[1].poses, "the same measurements, the same run");
}

#[test]
fn late_and_repeated_fixes_are_smoothed_where_they_belong() {
    let setup = everything(18);
    let mut walk = Walk::new(&setup);
    for (arrival, measurement) in &mut walk.events {
        if let Measurement::Absolute(absolute) = measurement
            && absolute.stamp.as_nanos() / 100_000_000 % 3 == 0
        {
            *arrival = *arrival + std::time::Duration::from_millis(350);
        }
    }
    walk.events.sort_by_key(|(arrival, _)| *arrival);
    let (walk, _, runs) = smooth_with(walk, &setup, config(&setup));
    let poses = &runs[0].poses;
    assert!(runs.len() == 1 && poses.len() > 190 && poses.windows(2).all(|pair| pair[0].stamp < pair[1].stamp));
    let worst = poses.iter().map(|pose| error(&walk, pose.stamp, pose.map_from_base)).fold(0.0, f64::max);
    assert!(worst < 0.2, "{worst}");
}

#[test]
fn the_smoothed_covariance_is_true_over_many_walks() {
    let none = Setup::default();
    let imu = Some(ImuErrors::EUROC);
    let setups = [
        Setup { relative: Some(0.02), ..none.clone() },
        Setup { imu, ..none.clone() },
        Setup { relative: Some(0.02), imu, ..none.clone() },
        Setup { relative: Some(0.02), correlation_time: 0.5, ..none },
    ];
    for setup in setups {
        let of_walk = |seed: u64| {
            let setup = Setup { seed, ..setup.clone() };
            let (walk, _, runs) = smooth(&setup);
            assert_eq!(runs.len(), 1);
            mean_nees(&walk, &runs[0].poses)
        };
        let means: Vec<f64> = (100..140).map(of_walk).collect();
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        let variance = means.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (means.len() - 1) as f64;
        let deviation = (variance / means.len() as f64).sqrt();
        println!("mean NEES {mean:.2} +- {deviation:.2}, {setup:?}");
        // The means of walks scatter by 1.5 to 2.9 about theirs: 1.96 of it over the root of 40 is 0.5 to 0.9.
        assert!((mean - 6.0).abs() < 0.9, "mean NEES {mean} ± {deviation} where 6 is true, {setup:?}");
    }
}

#[test]
fn fixes_that_err_alike_are_not_averaged_where_nothing_measures_the_motion() {
    let of_walk = |seed: u64| {
        let setup = Setup { seed, rate: 30.0, fix_sigmas: (0.05, 0.015), correlation_time: 1.0, ..Setup::default() };
        let (walk, causal, runs) = smooth(&setup);
        let smoothed = median(runs[0].poses.iter().map(|pose| error(&walk, pose.stamp, pose.map_from_base)).collect());
        let causal = median(causal.iter().map(|pose| error(&walk, pose.stamp, pose.map_from_base)).collect());
        (mean_nees(&walk, &runs[0].poses), smoothed / causal)
    };
    let (nees, ratios): (Vec<f64>, Vec<f64>) = (200..206).map(of_walk).unzip();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    println!("mean NEES {:.2}, {:.3} of the causal error", mean(&nees), mean(&ratios));
    assert!((2.0..6.6).contains(&mean(&nees)) && mean(&ratios) < 1.0, "{nees:?}, {ratios:?}");
}
