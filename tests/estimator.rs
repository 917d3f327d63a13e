//! The estimator through its public API, on simulated walks with seeded faults: never a panic, never a number that is
//! none, every rejection counted, and a covariance that is true.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/robot.rs"]
mod robot;

use std::time::Duration;

use nalgebra::{Matrix6, Vector3, Vector6};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use robot::{Measurement, Setup, Walk, assert_positive, at, config, mounting};
use vloc::Stamp;
use vloc::config::EstimatorConfig;
use vloc::estimator::{Cause, Estimator, OdometryNoise as WhiteNoise, PoseEstimate, Rejection, State, Verdict};
use vloc::geometry::{Se3, So3};
use vloc::sensor::RelativePose;
use vloc::synth::{ImuErrors, OdometryNoise};

/// What came out of a walk.
struct Run {
    estimator: Estimator,
    estimates: Vec<PoseEstimate>,
    verdicts: Vec<(Stamp, Verdict)>,
    causes: Vec<(Stamp, Cause)>,
}

impl Run {
    fn errors<'a>(&'a self, truth: &'a Walk) -> impl Iterator<Item = (Stamp, f64)> + 'a {
        let error = |estimate: &PoseEstimate| {
            (estimate.map_from_base.translation - truth.map_from_base(estimate.stamp).translation).norm()
        };
        self.estimates.iter().map(move |estimate| (estimate.stamp, error(estimate)))
    }

    fn worst(&self, truth: &Walk, from: f64, to: f64) -> f64 {
        let within = self.errors(truth).filter(|(stamp, _)| *stamp >= at(from) && *stamp < at(to));
        within.map(|(_, error)| error).fold(0.0, f64::max)
    }

    fn answered(&self, from: f64, to: f64) -> usize {
        self.estimates.iter().filter(|estimate| estimate.stamp >= at(from) && estimate.stamp < at(to)).count()
    }

    /// Mean NEES over the estimates, six degrees of freedom.
    fn mean_nees(&self, truth: &Walk) -> f64 {
        let nees = |estimate: &PoseEstimate| {
            let error = estimate.map_from_base.local(truth.map_from_base(estimate.stamp));
            estimate.covariance.squared_mahalanobis(&error).unwrap()
        };
        self.estimates.iter().map(nees).sum::<f64>() / self.estimates.len() as f64
    }

    fn rejected(&self, reason: Rejection) -> u64 {
        self.estimator.rejections().of(reason)
    }
}

/// Gives the events in their order and asks for an answer after each fix, and for a prediction after some IMU samples.
fn drive(walk: &Walk, mut estimator: Estimator) -> Run {
    let mut run_estimates = Vec::new();
    let (mut verdicts, mut causes) = (Vec::new(), Vec::new());
    for (_, measurement) in &walk.events {
        match measurement {
            Measurement::Imu(sample) => {
                estimator.add_imu(*sample);
                let asked = sample.stamp.as_nanos() / 5_000_000 % 10 == 0;
                if asked && let Some(prediction) = estimator.predict().unwrap() {
                    assert!(prediction.map_from_base.is_finite() && prediction.twist.iter().all(|v| v.is_finite()));
                    assert_positive(&prediction.covariance.matrix());
                    assert_positive(&prediction.twist_covariance);
                }
            }
            Measurement::Odometry(stamp, odom_from_base) => {
                estimator.add_odometry(*stamp, *odom_from_base);
            }
            Measurement::Relative(relative) => {
                estimator.add_relative(relative).unwrap();
            }
            Measurement::Absolute(absolute) => {
                verdicts.push((absolute.stamp, estimator.add_absolute(absolute).unwrap()));
                run_estimates.extend(estimator.step().unwrap());
            }
        }
        causes.extend(estimator.take_transitions().into_iter().map(|transition| (transition.stamp, transition.cause)));
    }
    for estimate in &run_estimates {
        assert!(estimate.map_from_base.is_finite());
        assert_positive(&estimate.covariance.matrix());
    }
    Run { estimator, estimates: run_estimates, verdicts, causes }
}

fn run(walk: &Walk, setup: &Setup) -> Run {
    let mut estimator = Estimator::new(config(setup)).unwrap();
    estimator.set_mounting(mounting(walk, setup));
    drive(walk, estimator)
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

/// Every subset of the sensors beside the camera.
fn subsets() -> Vec<Setup> {
    let full = everything(3);
    let mut subsets = Vec::new();
    for bits in 0..8 {
        subsets.push(Setup {
            imu: full.imu.filter(|_| bits & 1 != 0),
            odometry: full.odometry.filter(|_| bits & 2 != 0),
            relative: full.relative.filter(|_| bits & 4 != 0),
            ..full.clone()
        });
    }
    subsets
}

#[test]
fn any_subset_of_the_sensors_beats_the_raw_fixes() {
    for setup in subsets() {
        let walk = Walk::new(&setup);
        let run = run(&walk, &setup);
        let mut errors: Vec<f64> = run.errors(&walk).map(|(_, error)| error).collect();
        errors.sort_by(f64::total_cmp);
        let median = errors[errors.len() / 2];
        // The median norm of three axes of 0.1 m is 0.154 m; the camera's arm adds to it.
        let aided = setup.imu.is_some() || setup.odometry.is_some() || setup.relative.is_some();
        let bound = if aided { 0.09 } else { 0.16 };
        assert!(median < bound, "{median} m with {setup:?}");
        assert!(errors.len() > 180, "{} of 200 fixes answered with {setup:?}", errors.len());
    }
}

#[test]
fn thirty_percent_outliers_do_not_move_the_estimate() {
    let setup = everything(5);
    let mut walk = Walk::new(&setup);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut outliers = 0;
    walk.change_fixes(0.0, 20.0, |fix| {
        if random.random_bool(0.3) {
            let somewhere = Vector3::from_fn(|_, _| random.random_range(-3.0..3.0));
            let somehow = Vector3::from_fn(|_, _| random.random_range(-2.0..2.0));
            fix.map_from_camera = Se3::new(So3::exp(&somehow), somewhere);
            outliers += 1;
        }
        true
    });
    let run = run(&walk, &setup);
    assert!(run.worst(&walk, 2.0, 20.0) < 0.3, "{}", run.worst(&walk, 2.0, 20.0));
    let refused = run.rejected(Rejection::Gated) + run.rejected(Rejection::NoConsensus);
    assert!(refused >= outliers * 9 / 10, "{refused} of {outliers}");
    assert!(!run.causes.iter().any(|(_, cause)| matches!(cause, Cause::Kidnapped { .. })), "{:?}", run.causes);
}

#[test]
fn ten_seconds_without_images_let_the_covariance_grow_and_end() {
    let setup = everything(6);
    let mut walk = Walk::new(&setup);
    walk.change_fixes(5.0, 15.0, |_| false);
    walk.events.retain(|(_, measurement)| {
        let blind = measurement.stamp() >= at(5.0) && measurement.stamp() < at(15.0);
        !(blind && matches!(measurement, Measurement::Relative(_)))
    });
    let mut estimator = Estimator::new(config(&setup)).unwrap();
    estimator.set_mounting(mounting(&walk, &setup));
    let mut traces = Vec::new();
    for (_, measurement) in &walk.events {
        match measurement {
            Measurement::Imu(sample) => {
                estimator.add_imu(*sample);
                if sample.stamp > at(6.0) && sample.stamp < at(15.0) && estimator.state() == State::Tracking {
                    let prediction = estimator.predict().unwrap().unwrap();
                    assert_positive(&prediction.covariance.matrix());
                    traces.push(prediction.covariance.matrix().fixed_view::<3, 3>(0, 0).trace());
                    estimator.pass_time(sample.stamp).unwrap();
                }
            }
            Measurement::Odometry(stamp, odom_from_base) => drop(estimator.add_odometry(*stamp, *odom_from_base)),
            Measurement::Relative(relative) => drop(estimator.add_relative(relative).unwrap()),
            Measurement::Absolute(absolute) => {
                estimator.add_absolute(absolute).unwrap();
                estimator.step().unwrap();
            }
        }
    }
    assert!(traces.len() > 100);
    assert!(traces.windows(20).all(|pair| pair[19] > pair[0]), "the covariance grows while the camera is blind");
    assert_eq!(estimator.state(), State::Tracking, "found again: {:?}", estimator.take_transitions());
}

#[test]
fn two_seconds_without_imu_are_bridged() {
    let setup = Setup { odometry: None, relative: None, ..everything(7) };
    let mut walk = Walk::new(&setup);
    walk.events.retain(|(_, measurement)| match measurement {
        Measurement::Imu(sample) => sample.stamp < at(8.0) || sample.stamp >= at(10.0),
        _ => true,
    });
    let run = run(&walk, &setup);
    assert!(run.worst(&walk, 2.0, 8.0) < 0.35 && run.worst(&walk, 8.0, 20.0) < 0.6);
    assert!(run.answered(11.0, 20.0) > 80, "{}", run.answered(11.0, 20.0));
    // From the image at 8.0 s, whose last reading is missing, to the one at 10.0 s.
    assert_eq!(run.rejected(Rejection::ImuGap), 21, "{:?}", run.estimator.rejections());
}

#[test]
fn disorder_and_repetition_change_little_and_are_counted() {
    let setup = everything(8);
    let mut walk = Walk::new(&setup);
    let orderly = run(&walk, &setup);
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let copies: Vec<_> = walk.events.iter().filter(|_| random.random_bool(0.1)).cloned().collect();
    let repeated_fixes = copies.iter().filter(|(_, m)| matches!(m, Measurement::Absolute(_))).count() as u64;
    walk.events.extend(copies);
    for (arrival, measurement) in &mut walk.events {
        if matches!(measurement, Measurement::Absolute(_) | Measurement::Relative(_)) {
            *arrival = *arrival + Duration::from_millis(random.random_range(0..300));
        }
    }
    walk.events.sort_by_key(|(arrival, _)| *arrival);
    let run = run(&walk, &setup);
    assert!(run.rejected(Rejection::Duplicate) >= repeated_fixes, "{:?}", run.estimator.rejections());
    let last = |run: &Run| run.estimates.last().unwrap().map_from_base;
    let apart = last(&run).local(last(&orderly)).fixed_rows::<3>(0).norm();
    assert!(apart < 0.1 && run.worst(&walk, 2.0, 20.0) < 0.3, "{apart}");
}

#[test]
fn a_stamp_from_the_future_is_refused_and_does_no_harm() {
    let setup = everything(10);
    let mut walk = Walk::new(&setup);
    walk.change_fixes(5.0, 5.05, |fix| {
        fix.stamp = fix.stamp + Duration::from_secs(1);
        true
    });
    let run = run(&walk, &setup);
    assert_eq!(run.rejected(Rejection::FromTheFuture), 1, "{:?}", run.estimator.rejections());
    assert!(run.worst(&walk, 2.0, 20.0) < 0.3 && run.answered(6.0, 20.0) > 135);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let setup = everything(11);
    let mut walk = Walk::new(&setup);
    let mut broken = 0;
    for (index, (_, measurement)) in walk.events.iter_mut().enumerate() {
        if index % 17 == 0 {
            broken += 1;
            match measurement {
                Measurement::Imu(sample) => sample.linear_acceleration.y = f64::NAN,
                Measurement::Odometry(_, odom_from_base) => odom_from_base.translation.x = f64::INFINITY,
                Measurement::Relative(relative) => relative.covariance = Matrix6::zeros(),
                Measurement::Absolute(absolute) => absolute.map_from_camera.translation.z = f64::NAN,
            }
        }
    }
    let run = run(&walk, &setup);
    assert_eq!(run.rejected(Rejection::NotFinite), broken);
    assert!(run.worst(&walk, 2.0, 20.0) < 0.3);
}

#[test]
fn a_saturated_imu_is_not_believed() {
    let setup = Setup { odometry: None, relative: None, ..everything(12) };
    let mut walk = Walk::new(&setup);
    for (_, measurement) in &mut walk.events {
        if let Measurement::Imu(sample) = measurement
            && sample.stamp > at(9.0)
            && sample.stamp < at(9.4)
        {
            sample.angular_velocity = Vector3::new(35.0, -35.0, 35.0);
            sample.linear_acceleration = Vector3::new(157.0, 157.0, -157.0);
        }
    }
    let run = run(&walk, &setup);
    assert!(run.worst(&walk, 2.0, 20.0) < 0.6, "{}", run.worst(&walk, 2.0, 20.0));
    assert_eq!(run.rejected(Rejection::ImuSaturated), 4, "of images at 9.1 to 9.4 s: {:?}", run.estimator.rejections());
}

#[test]
fn a_covered_camera_is_not_believed_and_the_covariance_grows() {
    let setup = everything(19);
    let mut walk = Walk::new(&setup);
    let mut random = ChaCha8Rng::seed_from_u64(2);
    // A network answers a dark image as well: anywhere, and as sure of itself as always.
    walk.change_fixes(8.0, 13.0, |fix| {
        let somewhere = Vector3::from_fn(|_, _| random.random_range(-3.0..3.0));
        let somehow = Vector3::from_fn(|_, _| random.random_range(-2.0..2.0));
        fix.map_from_camera = Se3::new(So3::exp(&somehow), somewhere);
        true
    });
    let run = run(&walk, &setup);
    assert!(run.worst(&walk, 2.0, 20.0) < 0.3, "{}", run.worst(&walk, 2.0, 20.0));
    assert!(run.rejected(Rejection::Gated) >= 50, "{:?}", run.estimator.rejections());
    assert!(!run.causes.iter().any(|(_, cause)| matches!(cause, Cause::Kidnapped { .. })), "{:?}", run.causes);
    let spread = |seconds: f64| {
        let estimate = run.estimates.iter().find(|estimate| estimate.stamp == at(seconds)).unwrap();
        estimate.covariance.matrix().fixed_view::<3, 3>(0, 0).trace()
    };
    let covered: Vec<f64> = (0..10).map(|half| spread(8.0 + 0.5 * f64::from(half))).collect();
    assert!(covered.windows(2).all(|pair| pair[1] > pair[0]) && spread(14.0) < covered[9], "{covered:?}");
}

#[test]
fn a_clock_that_jumps_back_starts_anew() {
    let setup = everything(13);
    let walk = Walk::new(&setup);
    let mut estimator = Estimator::new(config(&setup)).unwrap();
    estimator.set_mounting(mounting(&walk, &setup));
    let first = drive(&walk, estimator);
    let mut estimator = first.estimator;
    estimator.clock_jumped(at(0.0));
    assert_eq!(estimator.state(), State::Uninitialized);
    assert!(estimator.step().unwrap().is_none() && estimator.predict().unwrap().is_none());
    let again = drive(&walk, estimator);
    let poses = |run: &[PoseEstimate]| run.iter().map(|estimate| estimate.map_from_base).collect::<Vec<_>>();
    assert_eq!(poses(&first.estimates), poses(&again.estimates), "nothing of the run before is left");
}

#[test]
fn a_robot_that_is_carried_away_is_found_within_five_fixes() {
    let setup = everything(14);
    let mut walk = Walk::new(&setup);
    let carried = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 1.0)), Vector3::new(4.0, -3.0, 0.0));
    walk.change_fixes(10.0, 20.0, |fix| {
        fix.map_from_camera = carried * fix.map_from_camera;
        true
    });
    let run = run(&walk, &setup);
    let found = run.causes.iter().find(|(_, cause)| matches!(cause, Cause::Kidnapped { .. })).expect("a kidnap").0;
    assert!(found <= at(10.4), "{found}");
    let after = run.estimates.iter().filter(|estimate| estimate.stamp >= at(11.0));
    for estimate in after {
        let truth = carried * walk.map_from_base(estimate.stamp);
        assert!((estimate.map_from_base.translation - truth.translation).norm() < 0.3);
    }
    let claimed_wrong = run.estimates.iter().filter(|estimate| {
        let truth = carried * walk.map_from_base(estimate.stamp);
        estimate.stamp >= at(10.0) && (estimate.map_from_base.translation - truth.translation).norm() > 1.0
    });
    assert!(claimed_wrong.count() <= 4, "the five fixes that it takes to notice");
}

#[test]
fn gravity_where_the_map_has_none_turns_the_imu_off() {
    let setup = everything(15);
    let walk = Walk::new(&setup);
    let wrong = EstimatorConfig { gravity_in_map: [0.0, 9.81, 0.0], ..config(&setup) };
    let mut estimator = Estimator::new(wrong).unwrap();
    estimator.set_mounting(mounting(&walk, &setup));
    let run = drive(&walk, estimator);
    assert_eq!(run.rejected(Rejection::Gravity), 1);
    assert!(run.worst(&walk, 2.0, 20.0) < 0.3);
}

#[test]
fn half_a_second_of_latency_costs_time_and_nothing_else() {
    let prompt = everything(16);
    let late = Setup { latency: Duration::from_millis(500), ..prompt.clone() };
    let (prompt_walk, late_walk) = (Walk::new(&prompt), Walk::new(&late));
    let (prompt, late) = (run(&prompt_walk, &prompt), run(&late_walk, &late));
    let (a, b) = (prompt.estimates.last().unwrap(), late.estimates.last().unwrap());
    assert_eq!(a.stamp, b.stamp);
    let apart = a.map_from_base.local(b.map_from_base).norm();
    assert!(apart < 1e-3, "the same fixes at the same stamps: {apart}");
}

#[test]
fn fixes_that_are_all_wrong_by_the_same_are_followed_without_harm() {
    let setup = everything(17);
    let mut walk = Walk::new(&setup);
    walk.change_fixes(0.0, 20.0, |fix| {
        fix.map_from_camera.translation.x += 0.2;
        true
    });
    let run = run(&walk, &setup);
    assert!(run.worst(&walk, 2.0, 20.0) < 0.45 && run.answered(2.0, 20.0) > 170);
}

#[test]
fn a_late_fix_goes_to_its_own_stamp() {
    let setup = everything(18);
    let mut walk = Walk::new(&setup);
    let mut delayed = 0;
    for (arrival, measurement) in &mut walk.events {
        if let Measurement::Absolute(absolute) = measurement
            && absolute.stamp.as_nanos() / 100_000_000 % 3 == 0
        {
            *arrival = *arrival + Duration::from_millis(350);
            delayed += 1;
        }
    }
    walk.events.sort_by_key(|(arrival, _)| *arrival);
    let run = run(&walk, &setup);
    let accepted = run.verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Accepted).count();
    assert!(delayed > 60 && accepted > 190, "{accepted} accepted, {delayed} delayed: {:?}", run.estimator.rejections());
    assert!(run.worst(&walk, 2.0, 20.0) < 0.3);
}

/// Mean NEES of 20 walks.
fn mean_nees(setup: &Setup) -> f64 {
    let of_walk = |seed: u64| {
        let setup = Setup { seed, ..setup.clone() };
        let walk = Walk::new(&setup);
        run(&walk, &setup).mean_nees(&walk)
    };
    (100..120).map(of_walk).sum::<f64>() / 20.0
}

#[test]
fn the_covariance_is_true_over_many_walks() {
    let none = Setup::default();
    let imu = Some(ImuErrors::EUROC);
    let white_odometry =
        Some(WhiteNoise { translation_per_metre: 0.01, rotation_per_radian: 0.01, rotation_per_metre: 0.005 });
    let true_to_their_noise = [
        Setup { relative: Some(0.02), ..none.clone() },
        Setup { imu, ..none.clone() },
        Setup { relative: Some(0.02), imu, ..none.clone() },
        Setup { relative: Some(0.02), imu, white_odometry, ..none.clone() },
        Setup { relative: Some(0.02), correlation_time: 0.5, ..none.clone() },
    ];
    // The estimates of a walk are alike over about a second: 20 walks of 20 s are worth 400 samples, and the mean of
    // their NEES lies within 6 ± 1.96 √(12 / 400) = 6 ± 0.34 in 95 of 100 cases; with fixes that err alike over half a
    // second, about 100 samples: 6 ± 0.68. Linearization and the window leave some more.
    for (setup, band) in true_to_their_noise.iter().zip([0.6, 0.6, 0.6, 0.6, 1.2]) {
        let mean = mean_nees(setup);
        println!("mean NEES {mean:.3}, {setup:?}");
        assert!((mean - 6.0).abs() < band, "mean NEES {mean} where 6 is true, {setup:?}");
    }
    // Real wheels (an error of scale) and the robot's typical speed are no Gaussian noise of a known size: careful is allowed.
    for setup in [none, everything(0)] {
        let mean = mean_nees(&setup);
        assert!((4.5..7.0).contains(&mean), "mean NEES {mean} where 6 is true, {setup:?}");
    }
}

/// Fixes as good networks give them: thirty a second, with errors that are alike over `correlation_time`, and nothing else.
fn fixes_alone(seed: u64, correlation_time: f64) -> Setup {
    Setup { seed, rate: 30.0, fix_sigmas: (0.05, 0.015), correlation_time, ..Setup::default() }
}

fn median(mut errors: Vec<f64>) -> f64 {
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

/// How far each fix puts the base from where it was.
fn errors_of_fixes(walk: &Walk, setup: &Setup) -> Vec<f64> {
    let camera_from_base = mounting(walk, setup).base_from_camera.inverse();
    let fixes = walk.events.iter().filter_map(|(_, measurement)| match measurement {
        Measurement::Absolute(fix) => Some((fix.stamp, fix.map_from_camera * camera_from_base)),
        _ => None,
    });
    fixes.map(|(stamp, base)| (base.translation - walk.map_from_base(stamp).translation).norm()).collect()
}

/// The estimates' median error by that of the fixes, and their mean NEES, over walks that `change` has changed.
fn beside_the_fixes(setups: impl Iterator<Item = Setup>, change: impl Fn(&mut Walk)) -> (f64, f64) {
    let (mut fused, mut alone, mut nees) = (Vec::new(), Vec::new(), Vec::new());
    for setup in setups {
        let mut walk = Walk::new(&setup);
        change(&mut walk);
        let run = run(&walk, &setup);
        fused.extend(run.errors(&walk).map(|(_, error)| error));
        alone.extend(errors_of_fixes(&walk, &setup));
        nees.push(run.mean_nees(&walk));
    }
    (median(fused) / median(alone), nees.iter().sum::<f64>() / nees.len() as f64)
}

#[test]
fn where_nothing_measures_the_motion_the_estimate_is_as_good_as_the_fixes_and_true() {
    for correlation_time in [0.1, 1.0, 5.0] {
        let setups = (200..210).map(|seed| fixes_alone(seed, correlation_time));
        let (ratio, nees) = beside_the_fixes(setups, |_| {});
        println!("{correlation_time} s: median {ratio:.3} of the fixes', mean NEES {nees:.2}");
        assert!(ratio < 1.02, "{ratio} of the fixes' median with errors alike over {correlation_time} s");
        assert!((2.0..6.6).contains(&nees), "mean NEES {nees} with errors alike over {correlation_time} s");
    }
}

/// As an untrained odometry: it says a third of the motion, and how far off that is.
fn say_a_third(walk: &mut Walk) {
    for (_, measurement) in &mut walk.events {
        if let Measurement::Relative(relative) = measurement {
            let motion = relative.previous_from_current.log();
            let error = motion * (2.0 / 3.0);
            let (t, r) = (error.fixed_rows::<3>(0).norm() + 1e-3, error.fixed_rows::<3>(3).norm() + 1e-3);
            relative.previous_from_current = Se3::exp(&(motion - error));
            relative.covariance = Matrix6::from_diagonal(&Vector6::new(t, t, t, r, r, r).map(|sigma| sigma * sigma));
        }
    }
}

#[test]
fn relative_poses_that_tell_less_than_the_fixes_do_no_harm() {
    let setups = |share: f64| (200..210).map(move |seed| Setup { relative: Some(share), ..fixes_alone(seed, 5.0) });
    let as_large_as_the_motion = beside_the_fixes(setups(1.0), |_| {});
    for (ratio, nees) in [as_large_as_the_motion, beside_the_fixes(setups(0.0), say_a_third)] {
        println!("median {ratio:.3} of the fixes', mean NEES {nees:.2}");
        assert!(ratio < 1.05 && (2.0..7.0).contains(&nees), "{ratio} of the fixes' median, mean NEES {nees}");
    }
}

#[test]
fn relative_poses_to_the_same_image_count_once_whatever_their_order() {
    let setup = Setup { relative: Some(0.1), ..fixes_alone(23, 1.0) };
    let run = |swapped: bool| {
        let mut walk = Walk::new(&setup);
        let mut before: Option<RelativePose> = None;
        let mut events = Vec::new();
        for (arrival, measurement) in walk.events {
            let Measurement::Relative(relative) = &measurement else {
                events.push((arrival, measurement));
                continue;
            };
            // From the image before, and from the one before that.
            let longer = before.replace(relative.clone()).map(|before| RelativePose {
                previous_stamp: before.previous_stamp,
                previous_from_current: before.previous_from_current * relative.previous_from_current,
                ..relative.clone()
            });
            let mut both = vec![(arrival, measurement)];
            both.extend(longer.map(|longer| (arrival, Measurement::Relative(longer))));
            if swapped {
                both.reverse();
            }
            events.extend(both);
        }
        walk.events = events;
        self::run(&walk, &setup).estimates
    };
    let (one, other) = (run(false), run(true));
    assert!(one.len() > 500 && one.len() == other.len());
    for (one, other) in one.iter().zip(&other) {
        let (apart, ratio) =
            (one.map_from_base.local(other.map_from_base), [one, other].map(|e| e.covariance.matrix().trace()));
        assert!(apart.norm() < 1e-4 && (ratio[0] / ratio[1] - 1.0).abs() < 1e-3, "{apart}, {ratio:?}");
    }
}

#[test]
fn relative_poses_that_come_behind_their_fixes_do_no_harm() {
    let setups = (200..205).map(|seed| Setup { relative: Some(0.02), ..fixes_alone(seed, 1.0) });
    let (ratio, nees) = beside_the_fixes(setups, |walk| {
        for index in 1..walk.events.len() {
            if let [(_, Measurement::Relative(_)), (_, Measurement::Absolute(_))] = walk.events[index - 1..=index] {
                walk.events.swap(index - 1, index);
            }
        }
    });
    println!("median {ratio:.3} of the fixes', mean NEES {nees:.2}");
    assert!(ratio < 1.02 && (1.0..6.6).contains(&nees), "{ratio} of the fixes' median, mean NEES {nees}");
}

#[test]
fn a_wrong_fix_that_was_not_gated_is_left_with_the_next_ones() {
    let setup = fixes_alone(21, 1.0);
    let (right, mut wrong) = (Walk::new(&setup), Walk::new(&setup));
    wrong.change_fixes(10.0, 10.01, |fix| {
        fix.map_from_camera.translation.y += 0.25;
        true
    });
    let (right, wrong) = (run(&right, &setup), run(&wrong, &setup));
    let accepted = wrong.verdicts.iter().find(|(stamp, _)| *stamp == at(10.0)).unwrap().1;
    assert_eq!(accepted, Verdict::Accepted);
    let pairs = right.estimates.iter().zip(&wrong.estimates).filter(|(right, _)| right.stamp >= at(10.0));
    let apart: Vec<f64> =
        pairs.map(|(a, b)| (a.map_from_base.translation - b.map_from_base.translation).norm()).collect();
    println!("{:.3?}", &apart[..12]);
    assert!(apart[0] < 0.15 && apart[5] < 0.02 && apart[10..].iter().all(|apart| *apart < 0.005), "{apart:?}");
}

#[test]
fn late_fixes_without_measured_motion_do_no_harm() {
    let setup = fixes_alone(22, 1.0);
    let mut walk = Walk::new(&setup);
    for (index, (arrival, measurement)) in walk.events.iter_mut().enumerate() {
        if index % 4 == 0 && matches!(measurement, Measurement::Absolute(_)) {
            *arrival = *arrival + Duration::from_millis(150);
        }
    }
    walk.events.sort_by_key(|(arrival, _)| *arrival);
    let run = run(&walk, &setup);
    let (median, nees) = (median(run.errors(&walk).map(|(_, error)| error).collect()), run.mean_nees(&walk));
    println!("median {median:.3} m, mean NEES {nees:.2}");
    assert!(median < 1.05 * self::median(errors_of_fixes(&walk, &setup)) && nees < 6.6, "{median} m, NEES {nees}");
}
