//! The imu room through its public API: closed forms, derivatives as properties, the covariance against simulated
//! noise, the synthetic path, GTSAM and a real flight.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::time::Duration;

use nalgebra::{Matrix3, SMatrix, SVector, SymmetricEigen, Vector3, Vector6};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use vloc::Stamp;
use vloc::evaluation::NeesSummary;
use vloc::geometry::{Se3, So3};
use vloc::imu::{
    AlignmentOptions, ImuBias, ImuBuffer, ImuLimits, ImuMounting, ImuNoise, Matrix9, Matrix15, NavState, NotAligned,
    PreintegratedImu, ReadingError, StillLimits, Vector9, align_motion, estimate_still,
};
use vloc::sensor::ImuSample;
use vloc::synth::{GRAVITY_IN_MAP, ImuErrors, Pass, PassKind, PathKind, World, simulate_imu};

const NOISE: ImuNoise = ImuErrors::EUROC.noise;

fn seconds(value: f64) -> Stamp {
    Stamp::from_seconds(value).unwrap()
}

/// Readings of `count` steps of `step` seconds: the two functions give rate of turn and specific force at a time.
fn readings(
    count: usize,
    step: f64,
    turn: impl Fn(f64) -> Vector3<f64>,
    force: impl Fn(f64) -> Vector3<f64>,
) -> Vec<ImuSample> {
    let at = |t: f64| ImuSample { stamp: seconds(t), angular_velocity: turn(t), linear_acceleration: force(t) };
    (0..=count).map(|index| at(index as f64 * step)).collect()
}

/// A lively motion: sums of sinusoids whose phases are drawn from `seed`.
fn lively(seed: u64, count: usize, step: f64) -> Vec<ImuSample> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut waves = |amplitude: f64| {
        let terms: Vec<(f64, Vector3<f64>)> = [1.0, 2.3, 5.1]
            .into_iter()
            .map(|w| (w, Vector3::from_fn(|_, _| random.random_range(0.0..std::f64::consts::TAU))))
            .collect();
        move |t: f64| {
            terms.iter().map(|(w, phase)| phase.map(|p| amplitude / w * (w * t + p).sin())).sum::<Vector3<f64>>()
        }
    };
    let (turn, force) = (waves(1.2), waves(4.0));
    readings(count, step, turn, |t| force(t) + Vector3::new(0.4, -0.8, 9.7))
}

fn whole(samples: &[ImuSample]) -> PreintegratedImu {
    PreintegratedImu::integrate(samples, ImuBias::zero(), NOISE).unwrap()
}

fn buffer_of(samples: &[ImuSample]) -> ImuBuffer {
    let mut buffer = ImuBuffer::new(Duration::from_secs(3600), ImuLimits::default());
    samples.iter().for_each(|sample| buffer.push(*sample).unwrap());
    buffer
}

/// The derivative of `f` at zero by central differences.
fn numeric<const R: usize, const C: usize>(f: impl Fn(&SVector<f64, C>) -> SVector<f64, R>) -> SMatrix<f64, R, C> {
    let step = 1e-5;
    let mut jacobian = SMatrix::<f64, R, C>::zeros();
    for column in 0..C {
        let mut offset = SVector::<f64, C>::zeros();
        offset[column] = step;
        jacobian.set_column(column, &((f(&offset) - f(&-offset)) / (2.0 * step)));
    }
    jacobian
}

// --- closed forms

#[test]
fn at_rest_nothing_moves_and_without_force_it_falls() {
    let rest = readings(400, 0.005, |_| Vector3::zeros(), |_| Vector3::new(0.0, 0.0, 9.81));
    let end = whole(&rest).predict(&NavState::identity(), ImuBias::zero(), GRAVITY_IN_MAP);
    assert!(end.local(NavState::identity()).amax() < 1e-12, "{end:?}");

    let falling = readings(400, 0.005, |_| Vector3::zeros(), |_| Vector3::zeros());
    let start = NavState { velocity: Vector3::new(1.0, 0.0, 2.0), ..NavState::identity() };
    let end = whole(&falling).predict(&start, ImuBias::zero(), GRAVITY_IN_MAP);
    assert!((end.map_from_imu.translation - Vector3::new(2.0, 0.0, 4.0 - 0.5 * 9.81 * 4.0)).amax() < 1e-12);
    assert!((end.velocity - Vector3::new(1.0, 0.0, 2.0 - 9.81 * 2.0)).amax() < 1e-12);
}

#[test]
fn constant_acceleration_is_exact_at_any_attitude_and_bias() {
    let tilted = So3::exp(&Vector3::new(0.4, -1.1, 2.0));
    let acceleration = Vector3::new(0.7, -0.2, 1.5);
    let bias = ImuBias { gyroscope: Vector3::new(0.1, 0.2, -0.3), accelerometer: Vector3::new(-0.5, 0.3, 0.2) };
    let force = tilted.inverse() * (acceleration - GRAVITY_IN_MAP) + bias.accelerometer;
    let samples = readings(150, 0.01, |_| bias.gyroscope, |_| force);
    let start = NavState {
        map_from_imu: Se3::new(tilted, Vector3::new(5.0, 6.0, 7.0)),
        velocity: Vector3::new(0.3, 0.1, -0.4),
    };
    let end = PreintegratedImu::integrate(&samples, bias, NOISE).unwrap().predict(&start, bias, GRAVITY_IN_MAP);
    let expected = start.map_from_imu.translation + 1.5 * start.velocity + 0.5 * 1.5 * 1.5 * acceleration;
    assert!((end.map_from_imu.translation - expected).amax() < 1e-12);
    assert!((end.velocity - start.velocity - 1.5 * acceleration).amax() < 1e-12);
    assert!(end.map_from_imu.rotation.local(tilted).norm() < 1e-12);
}

#[test]
fn a_steady_turn_under_a_body_fixed_force_is_the_closed_form() {
    let (omega, force, duration): (_, Vector3<f64>, f64) =
        (Vector3::new(0.5, -1.0, 2.0), Vector3::new(1.0, 2.0, -3.0), 1.0);
    let delta = whole(&readings(200, duration / 200.0, |_| omega, |_| force)).delta();
    // ∫ Exp(ω s) ds and its integral: Forster et al.'s increments for constant readings (Rodrigues, integrated).
    let (rate, hat) = (omega.norm(), So3::hat(&omega));
    let (sine, cosine) = (rate * duration).sin_cos();
    let once = duration * Matrix3::identity()
        + (1.0 - cosine) / rate.powi(2) * hat
        + (rate * duration - sine) / rate.powi(3) * hat * hat;
    let twice = 0.5 * duration * duration * Matrix3::identity()
        + (rate * duration - sine) / rate.powi(3) * hat
        + (0.5 * (rate * duration).powi(2) + cosine - 1.0) / rate.powi(4) * hat * hat;
    assert!(delta.rotation.local(So3::exp(&(duration * omega))).norm() < 1e-12);
    assert!((delta.velocity - once * force).amax() < 1e-10, "{}", (delta.velocity - once * force).amax());
    assert!((delta.position - twice * force).amax() < 1e-10, "{}", (delta.position - twice * force).amax());
}

#[test]
fn the_error_falls_with_the_fourth_power_of_the_step() {
    // The straight lines between coarse readings are kept while the steps are halved.
    let coarse = lively(3, 20, 0.08);
    let refined = |parts: u32| {
        let mut samples = vec![coarse[0]];
        for pair in coarse.windows(2) {
            for part in 1..=parts {
                let ratio = f64::from(part) / f64::from(parts);
                let nanos = (ratio * pair[1].stamp.nanos_since(pair[0].stamp) as f64) as i64;
                samples.push(ImuSample {
                    stamp: Stamp::from_nanos(pair[0].stamp.as_nanos() + nanos),
                    angular_velocity: pair[0].angular_velocity.lerp(&pair[1].angular_velocity, ratio),
                    linear_acceleration: pair[0].linear_acceleration.lerp(&pair[1].linear_acceleration, ratio),
                });
            }
        }
        let delta = whole(&samples).delta();
        NavState { map_from_imu: Se3::new(delta.rotation, delta.position), velocity: delta.velocity }
    };
    let truth = refined(64);
    let errors = [1, 2, 4].map(|parts| truth.local(refined(parts)));
    for block in [0, 3, 6] {
        let size = |error: &Vector9| error.fixed_rows::<3>(block).norm();
        for pair in errors.windows(2) {
            let ratio = size(&pair[0]) / size(&pair[1]);
            assert!((11.0..23.0).contains(&ratio), "block {block}: {ratio} instead of 16");
        }
    }
}

// --- derivatives and structure, as properties

fn vectors(size: f64) -> impl Strategy<Value = Vector3<f64>> {
    prop::array::uniform3(-size..size).prop_map(Vector3::from)
}

fn biases() -> impl Strategy<Value = ImuBias> {
    (vectors(0.1), vectors(0.5)).prop_map(|(gyroscope, accelerometer)| ImuBias { gyroscope, accelerometer })
}

fn states() -> impl Strategy<Value = NavState> {
    (vectors(1.7), vectors(10.0), vectors(3.0)).prop_map(|(phi, translation, velocity)| NavState {
        map_from_imu: Se3::new(So3::exp(&phi), translation),
        velocity,
    })
}

fn tangents() -> impl Strategy<Value = Vector9> {
    (vectors(0.5), vectors(0.5), vectors(0.5))
        .prop_map(|(p, r, v)| Vector9::from_iterator(p.iter().chain(r.iter()).chain(v.iter()).copied()))
}

proptest! {
    #[test]
    fn the_bias_jacobian_is_the_derivative_of_integrating_again(
        seed in any::<u64>(), count in 1usize..150, step in 0.001..0.02f64, bias in biases(),
    ) {
        let samples = lively(seed, count, step);
        let at = PreintegratedImu::integrate(&samples, bias, NOISE).unwrap();
        let moved = |delta: &Vector6<f64>| {
            let again = PreintegratedImu::integrate(&samples, bias.retract(delta), NOISE).unwrap().delta();
            let rotation = at.delta().rotation.local(again.rotation);
            Vector9::from_iterator(again.position.iter().chain(rotation.iter()).chain(again.velocity.iter()).copied())
        };
        prop_assert!((at.bias_jacobian() - numeric(moved)).amax() < 1e-6);
    }

    #[test]
    fn every_derivative_of_the_residual_is_the_numeric_one(
        seed in any::<u64>(), count in 1usize..150, i in states(), off in tangents(), bias in biases(),
        linearized_at in biases(),
    ) {
        let preintegrated = PreintegratedImu::integrate(&lively(seed, count, 0.01), linearized_at, NOISE).unwrap();
        let j = preintegrated.predict(&i, bias, GRAVITY_IN_MAP).retract(&off);
        let exact = preintegrated.linearize(&i, bias, &j, GRAVITY_IN_MAP);
        prop_assert_eq!(exact.value, preintegrated.residual(&i, bias, &j, GRAVITY_IN_MAP));
        let residual = |i: &NavState, bias, j: &NavState| preintegrated.residual(i, bias, j, GRAVITY_IN_MAP);
        let posed = |state: &NavState, xi: &Vector6<f64>| {
            NavState { map_from_imu: state.map_from_imu.retract(xi), ..*state }
        };
        let moving = |state: &NavState, v: &Vector3<f64>| NavState { velocity: state.velocity + v, ..*state };
        prop_assert!((exact.by_pose_i - numeric(|xi| residual(&posed(&i, xi), bias, &j))).amax() < 1e-6);
        prop_assert!((exact.by_pose_j - numeric(|xi| residual(&i, bias, &posed(&j, xi)))).amax() < 1e-6);
        prop_assert!((exact.by_velocity_i - numeric(|v| residual(&moving(&i, v), bias, &j))).amax() < 1e-6);
        prop_assert!((exact.by_velocity_j - numeric(|v| residual(&i, bias, &moving(&j, v)))).amax() < 1e-6);
        prop_assert!((exact.by_bias_i - numeric(|b| residual(&i, bias.retract(b), &j))).amax() < 1e-6);
    }

    #[test]
    fn a_predicted_state_leaves_no_residual(seed in any::<u64>(), i in states(), bias in biases()) {
        let preintegrated = whole(&lively(seed, 100, 0.005));
        let j = preintegrated.predict(&i, bias, GRAVITY_IN_MAP);
        prop_assert!(preintegrated.residual(&i, bias, &j, GRAVITY_IN_MAP).amax() < 1e-12);
    }

    #[test]
    fn an_interval_split_at_any_stamp_says_the_same(seed in any::<u64>(), split in 0.02..0.98f64, i in states()) {
        let samples = lively(seed, 200, 0.005);
        let buffer = buffer_of(&samples);
        let part = |from, to| buffer.interval(seconds(from), seconds(to)).unwrap().preintegrate(ImuBias::zero(), NOISE);
        let (all, first, second) = (part(0.0, 1.0), part(0.0, split), part(split, 1.0));
        let predict = |part: &PreintegratedImu, from: &NavState| part.predict(from, ImuBias::zero(), GRAVITY_IN_MAP);
        let (middle, end) = (predict(&first, &i), predict(&all, &i));
        prop_assert!(end.local(predict(&second, &middle)).amax() < 1e-8);

        // The covariances chain: the second interval starts from the uncertain state and the walked biases of the
        // first.
        let mut chain = Matrix15::identity();
        chain.fixed_view_mut::<9, 9>(0, 0).copy_from(&chained(&first, &second));
        let rotation = first.delta().rotation.matrix();
        let mut by_bias = second.bias_jacobian();
        for (row, column) in [(0, 0), (0, 3), (6, 0), (6, 3)] {
            let turned = rotation * by_bias.fixed_view::<3, 3>(row, column);
            by_bias.fixed_view_mut::<3, 3>(row, column).copy_from(&turned);
        }
        chain.fixed_view_mut::<9, 6>(0, 9).copy_from(&by_bias);
        let mut turn = Matrix15::identity();
        turn.fixed_view_mut::<3, 3>(0, 0).copy_from(&rotation);
        turn.fixed_view_mut::<3, 3>(6, 6).copy_from(&rotation);
        let joint = chain * first.covariance_with_biases() * chain.transpose()
            + turn * second.covariance_with_biases() * turn.transpose();
        let expected = all.covariance_with_biases();
        let sigmas = expected.diagonal().map(f64::sqrt);
        let difference = (joint - expected).component_div(&(sigmas * sigmas.transpose())).amax();
        prop_assert!(difference < 1e-4, "{difference}");
    }

    #[test]
    fn a_bias_that_is_not_far_is_corrected_well(
        seed in any::<u64>(), gyroscope in vectors(1.0), accelerometer in vectors(0.1), exponent in -4.0..-0.5f64,
    ) {
        let samples = lively(seed, 200, 0.005);
        let at_zero = whole(&samples);
        let bias = ImuBias { gyroscope: 10f64.powf(exponent) * gyroscope, accelerometer };
        prop_assume!(!at_zero.is_far_from(bias));
        let corrected = at_zero.delta_with(bias);
        let again = PreintegratedImu::integrate(&samples, bias, NOISE).unwrap();
        let error = Vector9::from_iterator(
            (again.delta().position - corrected.position).iter()
                .chain(corrected.rotation.local(again.delta().rotation).iter())
                .chain((again.delta().velocity - corrected.velocity).iter())
                .copied(),
        );
        let mahalanobis = error.dot(&(at_zero.covariance().try_inverse().unwrap() * error)).sqrt();
        prop_assert!(mahalanobis < 0.5, "{mahalanobis} standard deviations");
    }
}

/// How an error of the first delta reaches the delta of both: position and velocity turned by it, as in the README.
fn chained(first: &PreintegratedImu, second: &PreintegratedImu) -> Matrix9 {
    let (rotation, delta) = (first.delta().rotation.matrix(), second.delta());
    let mut chain = Matrix9::identity();
    chain.fixed_view_mut::<3, 3>(0, 3).copy_from(&(-rotation * So3::hat(&delta.position)));
    chain.fixed_view_mut::<3, 3>(0, 6).copy_from(&(second.duration() * Matrix3::identity()));
    chain.fixed_view_mut::<3, 3>(3, 3).copy_from(&delta.rotation.inverse().matrix());
    chain.fixed_view_mut::<3, 3>(6, 3).copy_from(&(-rotation * So3::hat(&delta.velocity)));
    chain
}

#[test]
fn a_far_bias_is_told() {
    let preintegrated = whole(&lively(1, 200, 0.005));
    let moved = |gyroscope: f64| ImuBias { gyroscope: Vector3::repeat(gyroscope), accelerometer: Vector3::zeros() };
    assert!(!preintegrated.is_far_from(moved(1e-4)));
    assert!(preintegrated.is_far_from(moved(0.05)));
}

// --- the covariance against simulated noise

/// Deltas and bias changes of noisy readings, relative to the ideal ones, 15 numbers a run.
fn noisy_runs(samples: &[ImuSample], noise: ImuNoise, runs: usize) -> Vec<SVector<f64, 15>> {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let ideal = PreintegratedImu::integrate(samples, ImuBias::zero(), noise).unwrap().delta();
    let mut run = || {
        let mut draw = || Vector3::from_fn(|_, _| random.sample::<f64, _>(StandardNormal));
        let mut walked = ImuBias::zero();
        let mut noisy = samples.to_vec();
        for index in 0..noisy.len() {
            if index > 0 {
                let root = samples[index].stamp.seconds_since(samples[index - 1].stamp).sqrt();
                walked.gyroscope += noise.gyroscope_random_walk * root * draw();
                walked.accelerometer += noise.accelerometer_random_walk * root * draw();
            }
            let root = 200f64.sqrt();
            noisy[index].angular_velocity += walked.gyroscope + noise.gyroscope_noise_density * root * draw();
            noisy[index].linear_acceleration +=
                walked.accelerometer + noise.accelerometer_noise_density * root * draw();
        }
        let delta = PreintegratedImu::integrate(&noisy, ImuBias::zero(), noise).unwrap().delta();
        // What the truth has in excess of the readings, as the residual has it.
        let (p, v) = (ideal.position - delta.position, ideal.velocity - delta.velocity);
        let r = delta.rotation.local(ideal.rotation);
        let (g, a) = (walked.gyroscope, walked.accelerometer);
        SVector::<f64, 15>::from_iterator(
            [p, r, v, g, a].iter().flat_map(|part| part.iter().copied().collect::<Vec<_>>()),
        )
    };
    (0..runs).map(|_| run()).collect()
}

#[test]
fn the_covariance_is_that_of_simulated_noise() {
    // Walks as strong as the white noise over the interval, so that every block is tested.
    let noise = ImuNoise {
        gyroscope_noise_density: 2e-3,
        gyroscope_random_walk: 3e-3,
        accelerometer_noise_density: 2e-2,
        accelerometer_random_walk: 3e-2,
    };
    let (samples, runs) = (lively(5, 200, 0.005), 5000);
    let errors = noisy_runs(&samples, noise, runs);
    let claimed = PreintegratedImu::integrate(&samples, ImuBias::zero(), noise).unwrap().covariance_with_biases();
    let whiten = claimed.cholesky().unwrap().l().try_inverse().unwrap();
    let second_moment =
        errors.iter().map(|error| whiten * error).map(|w| w * w.transpose()).sum::<Matrix15>() / runs as f64;
    // Marchenko & Pastur: the eigenvalues of 5000 true samples of 15 numbers lie within (1 ± √(15/5000))²: 0.89 to
    // 1.11.
    let eigenvalues = SymmetricEigen::new(second_moment).eigenvalues;
    assert!(eigenvalues.min() > 0.87 && eigenvalues.max() < 1.13, "{eigenvalues}");
    let squares: Vec<f64> = errors.iter().map(|error| (whiten * error).norm_squared()).collect();
    let nees = NeesSummary::new(&squares, 15).unwrap();
    assert!(nees.band_95_low < nees.mean && nees.mean < nees.band_95_high, "{nees:?}");
    assert!((nees.coverage_90 - 0.9).abs() < 0.015, "{nees:?}");
}

#[test]
fn an_error_of_a_step_widens_the_covariance_by_itself_alone() {
    let samples = readings(100, 0.01, |_| Vector3::zeros(), |_| Vector3::zeros());
    let mut doubtful = PreintegratedImu::new(samples[0].stamp, ImuBias::zero(), NOISE);
    for (index, pair) in samples.windows(2).enumerate() {
        let linear_acceleration = if index == 50 { 3.0 } else { 0.0 };
        doubtful.extend(&pair[0], &pair[1], ReadingError { angular_velocity: 0.0, linear_acceleration }).unwrap();
    }
    // 3 m/s² for 0.01 s, then 0.49 s of drift: 0.03 m/s, 0.03 · 0.495 m.
    let added = doubtful.covariance() - whole(&samples).covariance();
    assert!((added[(6, 6)].sqrt() - 0.03).abs() < 1e-12);
    assert!((added[(0, 0)].sqrt() - 0.03 * 0.495).abs() < 1e-6, "{}", added[(0, 0)].sqrt());
    assert!(added.fixed_view::<3, 9>(3, 0).amax() < 1e-15);
}

// --- GTSAM

#[derive(serde::Deserialize)]
struct GtsamFixture {
    noise: ImuNoise,
    bias: ImuBias,
    stamps: Vec<i64>,
    angular_velocity: Vec<[f64; 3]>,
    linear_acceleration: Vec<[f64; 3]>,
    delta: GtsamDelta,
    covariance_white: Vec<Vec<f64>>,
    covariance_with_biases: Vec<Vec<f64>>,
}

#[derive(serde::Deserialize)]
struct GtsamDelta {
    position: [f64; 3],
    rotation: [f64; 3],
    velocity: [f64; 3],
}

/// The largest entry of the difference, each in units of the two standard deviations.
fn relative_difference<const N: usize>(ours: &SMatrix<f64, N, N>, theirs: &SMatrix<f64, N, N>) -> f64 {
    let sigmas = ours.diagonal().map(f64::sqrt);
    (ours - theirs).component_div(&(sigmas * sigmas.transpose())).amax()
}

#[test]
fn gtsam_says_the_same() {
    let text = include_str!("fixtures/imu/gtsam_preintegration.json");
    let fixture: GtsamFixture = serde_json::from_str(text).unwrap();
    let sample = |index: usize| ImuSample {
        stamp: Stamp::from_nanos(fixture.stamps[index]),
        angular_velocity: fixture.angular_velocity[index].into(),
        linear_acceleration: fixture.linear_acceleration[index].into(),
    };
    let samples: Vec<ImuSample> = (0..fixture.stamps.len()).map(sample).collect();
    let ours = PreintegratedImu::integrate(&samples, fixture.bias, fixture.noise).unwrap();
    let (delta, theirs) = (ours.delta(), &fixture.delta);
    let rotation = So3::exp(&theirs.rotation.into());
    let errors = [
        (delta.position - Vector3::from(theirs.position)).amax(),
        delta.rotation.local(rotation).amax(),
        (delta.velocity - Vector3::from(theirs.velocity)).amax(),
    ];
    assert!(errors.iter().all(|error| *error < 1e-8), "{errors:?}");

    // Without walks for the one, with them for the other. GTSAM writes the covariance of delta and bias change with the
    // opposite sign; that ours is right is what the simulated noise shows.
    let still = ImuNoise { gyroscope_random_walk: 0.0, accelerometer_random_walk: 0.0, ..fixture.noise };
    let white = PreintegratedImu::integrate(&samples, fixture.bias, still).unwrap().covariance();
    let theirs = Matrix9::from_fn(|row, column| fixture.covariance_white[row][column]);
    let difference = relative_difference(&white, &theirs);
    assert!(difference < 1e-4, "{difference}");
    let theirs = Matrix15::from_fn(|row, column| {
        let sign = if (row < 9) == (column < 9) { 1.0 } else { -1.0 };
        sign * fixture.covariance_with_biases[row][column]
    });
    let difference = relative_difference(&ours.covariance_with_biases(), &theirs);
    assert!(difference < 1e-4, "{difference}");
}

// --- the synthetic path

const ROOM_SEED: u64 = 1;

fn pass(kind: PathKind) -> Pass {
    Pass::new(&World::new(ROOM_SEED), PassKind::Training(0), kind)
}

/// Where the pass's IMU is `t` seconds from its start.
fn true_state(pass: &Pass, t: f64) -> NavState {
    let motion = pass.motion(t);
    let mounting = ImuMounting::new(pass.rig.base_from_imu);
    mounting.imu_state(motion.map_from_base, motion.velocity, &motion.angular_velocity)
}

/// Errors of the state after 10 s of ideal readings at `rate` Hz: metres, radians, m/s.
fn dead_reckoning_errors(pass: &Pass, rate: f64) -> [f64; 3] {
    let samples = simulate_imu(pass, seconds(0.0), rate, (10.0 * rate) as usize + 1, &ImuErrors::NONE);
    let preintegrated = PreintegratedImu::integrate(&samples, ImuBias::zero(), NOISE).unwrap();
    let end = preintegrated.predict(&true_state(pass, 0.0), ImuBias::zero(), GRAVITY_IN_MAP);
    let error = true_state(pass, 10.0).local(end);
    [0, 3, 6].map(|row| error.fixed_rows::<3>(row).norm())
}

#[test]
fn the_ideal_imu_of_the_synthetic_world_gives_its_path() {
    // What is left at 200 Hz is the straight line between readings of a hand that sways at up to 9 rad/s (measured:
    // 8.8e-4 m, 3.0e-6 rad, 1.7e-4 m/s): a quarter of it remains at twice the rate.
    let [p, r, v] = dead_reckoning_errors(&pass(PathKind::Planar), 200.0);
    assert!(p < 1e-6 && r < 1e-7 && v < 2e-7, "planar, after 10 s: {p} m, {r} rad, {v} m/s");
    let handheld = pass(PathKind::Handheld);
    let (at_200, at_400) = (dead_reckoning_errors(&handheld, 200.0), dead_reckoning_errors(&handheld, 400.0));
    let [p, r, v] = at_200;
    assert!(p < 1.5e-3 && r < 5e-6 && v < 3e-4, "handheld, after 10 s: {p} m, {r} rad, {v} m/s");
    for (coarse, fine) in at_200.iter().zip(at_400) {
        assert!((3.5..4.5).contains(&(coarse / fine)), "{at_200:?} {at_400:?}");
    }
}

#[test]
fn states_and_readings_move_between_imu_and_base() {
    let mut pass = pass(PathKind::Handheld);
    pass.rig.base_from_imu = Se3::new(So3::exp(&Vector3::new(0.3, -0.8, 1.9)), Vector3::new(-0.3, 0.2, 0.5));
    let mounting = ImuMounting::new(pass.rig.base_from_imu);
    let at_base = {
        let mut pass = pass.clone();
        pass.rig.base_from_imu = Se3::identity();
        simulate_imu(&pass, seconds(0.0), 200.0, 201, &ImuErrors::NONE)
    };
    for (index, sample) in simulate_imu(&pass, seconds(0.0), 200.0, 201, &ImuErrors::NONE).iter().enumerate() {
        let t = sample.stamp.as_seconds();
        let (motion, state) = (pass.motion(t), true_state(&pass, t));
        assert!((mounting.base_velocity(&state, &sample.angular_velocity) - motion.velocity).amax() < 1e-12);
        assert!(mounting.map_from_base(state.map_from_imu).local(motion.map_from_base).amax() < 1e-12);
        let carried = mounting.sample_in_base(sample, &motion.angular_acceleration);
        assert!((carried.angular_velocity - at_base[index].angular_velocity).amax() < 1e-12);
        assert!((carried.linear_acceleration - at_base[index].linear_acceleration).amax() < 1e-12);
    }
}

#[test]
fn the_covariance_of_the_base_is_that_of_moved_states() {
    let mounting = ImuMounting::new(Se3::new(So3::exp(&Vector3::new(0.3, -0.8, 1.9)), Vector3::new(-0.3, 0.2, 0.5)));
    let velocity = Vector3::new(1.0, -0.5, 0.2);
    let imu = NavState { map_from_imu: Se3::new(So3::exp(&Vector3::new(1.0, 0.2, -0.4)), Vector3::x()), velocity };
    let turn = Vector3::new(0.5, -1.5, 0.8);
    let base = |tangent: &Vector9, more_turn: &Vector3<f64>| {
        let moved = imu.retract(tangent);
        let velocity = mounting.base_velocity(&moved, &(turn + more_turn));
        NavState { map_from_imu: mounting.map_from_base(moved.map_from_imu), velocity }
    };
    let here = base(&Vector9::zeros(), &Vector3::zeros());
    let by_state = numeric(|tangent: &Vector9| here.local(base(tangent, &Vector3::zeros())));
    let by_turn = numeric(|more: &Vector3<f64>| here.local(base(&Vector9::zeros(), more)));
    let root = Matrix9::from_fn(|row, column| (1.0 + row as f64 - 0.7 * column as f64).sin());
    let (covariance, of_turn) = (root * root.transpose(), Matrix3::from_diagonal(&Vector3::new(0.1, 0.2, 0.3)));
    let expected = by_state * covariance * by_state.transpose() + by_turn * of_turn * by_turn.transpose();
    let found = mounting.base_covariance(&imu, &covariance, &turn, &of_turn);
    assert!((found - expected).amax() < 1e-8, "{}", (found - expected).amax());
}

// --- initialization from motion

/// Poses of the IMU at 10 Hz for `duration` seconds, with noise, and its readings.
fn moving(
    seed: u64,
    pass: &Pass,
    duration: f64,
    errors: &ImuErrors,
    translation: f64,
    rotation: f64,
) -> (Vec<(Stamp, Se3)>, ImuBuffer) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let samples = simulate_imu(pass, seconds(0.0), 200.0, (200.0 * duration) as usize + 1, errors);
    let pose = |index: usize| {
        let t = 0.1 * index as f64;
        let noise = Vector6::from_fn(|axis, _| {
            let sigma = if axis < 3 { translation } else { rotation };
            sigma * random.sample::<f64, _>(StandardNormal)
        });
        (seconds(t), true_state(pass, t).map_from_imu.retract(&noise))
    };
    ((0..=(10.0 * duration) as usize).map(pose).collect(), buffer_of(&samples))
}

#[test]
fn motion_tells_biases_gravity_and_velocities() {
    let errors = ImuErrors { gyroscope_bias: 0.05, accelerometer_bias: 0.05, ..ImuErrors::EUROC };
    let only_biases = ImuErrors { noise: ImuErrors::NONE.noise, ..errors };
    let options = AlignmentOptions::default();
    let world = World::new(ROOM_SEED);
    let (mut gravity, mut gyroscope, mut accelerometer, mut velocity) = (vec![], vec![], vec![], vec![]);
    for index in 0..20 {
        let pass = Pass::new(&world, PassKind::Training(index), PathKind::Handheld);
        let (poses, buffer) =
            moving(index.into(), &pass, 5.0, &errors, options.translation_sigma, options.rotation_sigma);
        let found = align_motion(&poses, &buffer, NOISE, &options).unwrap();
        let first = |errors| simulate_imu(&pass, seconds(0.0), 200.0, 1, errors)[0];
        let (ideal, biased) = (first(&ImuErrors::NONE), first(&only_biases));
        let gyroscope_error = found.bias.gyroscope - (biased.angular_velocity - ideal.angular_velocity);
        let accelerometer_error = found.bias.accelerometer - (biased.linear_acceleration - ideal.linear_acceleration);
        gyroscope.push(gyroscope_error.norm() / found.gyroscope_bias_sigma);
        accelerometer.push(accelerometer_error.norm() / found.accelerometer_bias_sigma);
        gravity.push(found.gravity_in_map.angle(&GRAVITY_IN_MAP) / found.gravity_sigma);
        for ((stamp, _), state) in poses.iter().zip(&found.states) {
            velocity.push((state.velocity - true_state(&pass, stamp.as_seconds()).velocity).norm());
        }
        assert!((found.gravity_in_map.norm() - 9.81).abs() < 1e-9);
    }
    // In standard deviations of the worst direction. A true one gives medians of at most 1.54 (three dimensions; 1.18
    // for the two of gravity's direction), and of 20 hardly one above 4.5.
    for (what, errors, expected) in
        [("gyroscope", gyroscope, 1.54), ("accelerometer", accelerometer, 1.54), ("gravity", gravity, 1.18)]
    {
        let worst = errors.iter().copied().fold(0.0, f64::max);
        let middle = median(errors);
        assert!(0.4 * expected < middle && middle < 1.35 * expected && worst < 4.5, "{what}: {middle}, worst {worst}");
    }
    let middle = median(velocity);
    assert!(middle < 0.02, "velocities from poses of 0.02 m: {middle} m/s");
}

#[test]
fn poses_that_do_not_fit_are_refused_with_the_reason() {
    let pass = pass(PathKind::Handheld);
    let options = AlignmentOptions::default();
    let (poses, buffer) = moving(0, &pass, 5.0, &ImuErrors::EUROC, 0.0, 0.0);
    let refusal = |poses: &[(Stamp, Se3)]| align_motion(poses, &buffer, NOISE, &options).unwrap_err();
    assert_eq!(refusal(&poses[..2]).to_string(), "alignment of an IMU: expected at least 3 poses, found 2");
    let mut reversed = poses.clone();
    reversed.swap(3, 4);
    let found = refusal(&reversed).to_string();
    assert_eq!(found, "alignment of an IMU: expected finite poses in time order, found otherwise at 0.300000000");
    let unknown: Vec<_> = poses.iter().map(|(stamp, pose)| (*stamp + Duration::from_secs(1), *pose)).collect();
    let found = refusal(&unknown).to_string();
    assert!(found.starts_with("alignment of an IMU: IMU interval to 5.1"), "{found}");
    assert!(
        matches!(refusal(&poses[..4]), NotAligned::Unobservable { found, .. } if found > 0.1),
        "{}",
        refusal(&poses[..4])
    );
    let mut in_g = ImuBuffer::new(Duration::from_secs(60), ImuLimits::default());
    for sample in buffer.samples() {
        in_g.push(ImuSample { linear_acceleration: sample.linear_acceleration / 9.81, ..*sample }).unwrap();
    }
    let found = align_motion(&poses, &in_g, NOISE, &options).unwrap_err();
    assert!(matches!(found, NotAligned::NotGravity { found, expected: 9.81 } if found < 1.5), "{found}");
}

// --- EuRoC V1_01

struct Flight {
    buffer: ImuBuffer,
    truth: Vec<(Stamp, NavState, ImuBias)>,
    noise: ImuNoise,
}

fn numbers(path: &Path) -> Vec<(Stamp, Vec<f64>)> {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let (stamp, rest) = line.split_once(',').unwrap();
        let values = rest.split(',').map(|value| value.trim().parse().unwrap()).collect();
        (Stamp::from_nanos(stamp.parse().unwrap()), values)
    };
    text.lines().skip(1).filter(|text| !text.is_empty()).map(line).collect()
}

fn flight(data: &Path) -> Flight {
    let folder = data.join("euroc_v101");
    let mut buffer = ImuBuffer::new(Duration::from_secs(3600), ImuLimits::default());
    for (stamp, v) in numbers(&folder.join("imu0.csv")) {
        let (angular_velocity, linear_acceleration) = (Vector3::new(v[0], v[1], v[2]), Vector3::new(v[3], v[4], v[5]));
        buffer.push(ImuSample { stamp, angular_velocity, linear_acceleration }).unwrap();
    }
    let truth = |(stamp, v): (Stamp, Vec<f64>)| {
        let three = |at: usize| Vector3::new(v[at], v[at + 1], v[at + 2]);
        let rotation = So3::from_xyzw(v[4], v[5], v[6], v[3]).unwrap();
        let state = NavState { map_from_imu: Se3::new(rotation, three(0)), velocity: three(7) };
        (stamp, state, ImuBias { gyroscope: three(10), accelerometer: three(13) })
    };
    let truth = numbers(&folder.join("groundtruth.csv")).into_iter().map(truth).collect();
    Flight { buffer, truth, noise: ImuNoise::read_yaml(&folder.join("imu0_sensor.yaml")).unwrap() }
}

/// One second of the flight.
struct Stretch {
    preintegrated: PreintegratedImu,
    i: NavState,
    bias: ImuBias,
    j: NavState,
}

impl Flight {
    /// One second from every `stride`-th state of the ground truth after the first 20 s.
    fn seconds(&self, noise: ImuNoise, stride: usize) -> Vec<Stretch> {
        let begin = self.truth[0].0 + Duration::from_secs(20);
        let first = self.truth.partition_point(|(stamp, ..)| *stamp <= begin);
        let stretch = |index: usize| {
            let ((start, i, bias), (end, j, _)) = (self.truth[index], self.truth[index + 20]);
            let interval = self.buffer.interval(start, end).unwrap().refuse_defects().unwrap();
            Stretch { preintegrated: interval.preintegrate(bias, noise), i, bias, j }
        };
        (first..self.truth.len() - 20).step_by(stride).map(stretch).collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of the error of the predicted pose, metres and degrees.
fn median_errors(stretches: &[Stretch], gravity: Vector3<f64>) -> (f64, f64) {
    let errors = |stretch: &Stretch| {
        let predicted = stretch.preintegrated.predict(&stretch.i, stretch.bias, gravity).map_from_imu;
        let translation = (predicted.translation - stretch.j.map_from_imu.translation).norm();
        (translation, predicted.rotation.local(stretch.j.map_from_imu.rotation).norm().to_degrees())
    };
    let (translations, rotations) = stretches.iter().map(errors).unzip();
    (median(translations), median(rotations))
}

#[test]
fn a_second_of_a_real_flight_is_predicted() {
    let Some(data) = common::real_data_for("a_second_of_a_real_flight_is_predicted") else { return };
    let flight = flight(&data);
    for stride in [20, 1] {
        let (translation, rotation) = median_errors(&flight.seconds(flight.noise, stride), GRAVITY_IN_MAP);
        assert!(translation <= 0.025 && rotation <= 0.12, "every {stride}: {translation} m, {rotation} deg");
    }
}

/// Errors of the ground truth itself: standard deviations per axis of rotation (rad) and velocity (m/s).
#[derive(Clone, Copy, Debug)]
struct TruthSigmas {
    rotation: f64,
    velocity: f64,
}

/// The residual of a stretch and its covariance: of the readings, and of the states of the ground truth at both ends.
fn residual_and_covariance(stretch: &Stretch, gravity: Vector3<f64>, truth: TruthSigmas) -> (Vector9, Matrix9) {
    let exact = stretch.preintegrated.linearize(&stretch.i, stretch.bias, &stretch.j, gravity);
    let mut covariance = stretch.preintegrated.covariance();
    for pose in [exact.by_pose_i, exact.by_pose_j] {
        let by_rotation = pose.fixed_columns::<3>(3);
        covariance += truth.rotation.powi(2) * by_rotation * by_rotation.transpose();
    }
    for by_velocity in [exact.by_velocity_i, exact.by_velocity_j] {
        covariance += truth.velocity.powi(2) * by_velocity * by_velocity.transpose();
    }
    (exact.value, covariance)
}

fn nees(stretches: &[Stretch], gravity: Vector3<f64>, truth: TruthSigmas) -> NeesSummary {
    let square = |stretch| {
        let (residual, covariance) = residual_and_covariance(stretch, gravity, truth);
        residual.dot(&covariance.cholesky().unwrap().solve(&residual))
    };
    NeesSummary::new(&stretches.iter().map(square).collect::<Vec<_>>(), 9).unwrap()
}

/// Twice the negative log-likelihood of the residuals, up to a constant.
fn deviance(stretches: &[Stretch], gravity: Vector3<f64>, truth: TruthSigmas) -> f64 {
    let one = |stretch| {
        let (residual, covariance) = residual_and_covariance(stretch, gravity, truth);
        let factor = covariance.cholesky().unwrap();
        residual.dot(&factor.solve(&residual)) + 2.0 * factor.l_dirty().diagonal().map(f64::ln).sum()
    };
    stretches.iter().map(one).sum()
}

/// Gravity of 9.81 m/s² in the frame of the ground truth, from the mean of the velocities' residuals.
fn fitted_gravity(stretches: &[Stretch]) -> Vector3<f64> {
    let excess = |stretch: &Stretch| {
        let residual = stretch.preintegrated.residual(&stretch.i, stretch.bias, &stretch.j, GRAVITY_IN_MAP);
        let gained: Vector3<f64> = residual.fixed_rows::<3>(6).into();
        stretch.i.map_from_imu.rotation * gained / stretch.preintegrated.duration()
    };
    let mean = stretches.iter().map(excess).sum::<Vector3<f64>>() / stretches.len() as f64;
    9.81 * (GRAVITY_IN_MAP + mean).normalize()
}

/// The most likely errors of the ground truth, of a grid with steps of 4 %.
fn fitted_truth_sigmas(stretches: &[Stretch], gravity: Vector3<f64>) -> TruthSigmas {
    let steps = |least: f64| (0..36).map(move |step| least * 1.04f64.powi(step));
    let grid = steps(4e-4).flat_map(|rotation| steps(4e-3).map(move |velocity| TruthSigmas { rotation, velocity }));
    let rated = grid.map(|sigmas| (deviance(stretches, gravity, sigmas), sigmas));
    rated.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
}

/// The README of the module has the reasoning and the numbers: the residuals are mostly errors of the ground truth,
/// whose size is fitted to the first half of the flight and tested on the second.
#[test]
fn the_covariance_of_a_real_second_is_true_when_the_ground_truth_may_err() {
    let Some(data) = common::real_data_for("the_covariance_of_a_real_second") else { return };
    let flight = flight(&data);
    let perfect = TruthSigmas { rotation: 0.0, velocity: 0.0 };
    let (fit, test) = halves(flight.seconds(flight.noise, 5));
    let gravity = fitted_gravity(&fit);
    let sigmas = fitted_truth_sigmas(&fit, gravity);
    let test: Vec<Stretch> = test.into_iter().step_by(4).collect();
    let found = nees(&test, gravity, sigmas);
    assert!(found.band_95_low < found.mean && found.mean < found.band_95_high, "{sigmas:?} {found:?}");

    // The other reading of the same residuals, for a user without a ground truth: the white noise of README's table.
    let inflated = flight.noise.with_white_noise_scaled(6.5, 8.0);
    let (_, test) = halves(flight.seconds(inflated, 5));
    let found = nees(&test.into_iter().step_by(4).collect::<Vec<_>>(), gravity, perfect);
    assert!(found.band_95_low < found.mean && found.mean < found.band_95_high, "{found:?}");
}

/// The stretches that end before the middle of the flight, and those that begin after it.
fn halves(mut stretches: Vec<Stretch>) -> (Vec<Stretch>, Vec<Stretch>) {
    let middle = stretches[stretches.len() / 2].preintegrated.start();
    let second = stretches.split_off(stretches.len() / 2);
    stretches.retain(|stretch| stretch.preintegrated.end() <= middle);
    (stretches, second)
}

#[test]
fn a_real_drone_stands_still_before_it_flies() {
    let Some(data) = common::real_data_for("a_real_drone_stands_still_before_it_flies") else { return };
    let flight = flight(&data);
    let begin = flight.truth[0].0;
    let second = |at: f64| {
        let start = begin + Duration::from_secs_f64(at);
        let interval = flight.buffer.interval(start, start + Duration::from_secs(1)).unwrap();
        estimate_still(&interval.samples().collect::<Vec<_>>(), 9.81, &StillLimits::default())
    };
    // The rotors idle at 2 s.
    let still = second(2.0).unwrap();
    let (_, state, bias) = flight.truth[40];
    assert!((still.bias.gyroscope - bias.gyroscope).norm() < 2e-3, "{:?} {:?}", still.bias, bias);
    let up = state.map_from_imu.rotation * still.up_in_imu;
    // The accelerometer's bias across the vertical is 0.4 degrees, the ground truth's frame leans by 0.24.
    assert!(up.angle(&Vector3::z()).to_degrees() < 0.8, "{} deg", up.angle(&Vector3::z()).to_degrees());
    let in_the_air: Vec<f64> = (20..280).map(|half| 0.5 * f64::from(half)).filter(|at| second(*at).is_ok()).collect();
    assert!(in_the_air.is_empty(), "still at {in_the_air:?} s");
}
