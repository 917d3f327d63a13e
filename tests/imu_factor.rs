//! The IMU factor in a graph: its Jacobian as a property, and a chain of 500 states against GTSAM.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use nalgebra::{DMatrix, SVector, Vector3, Vector6};
use proptest::prelude::*;
use vloc::Stamp;
use vloc::geometry::{Se3, So3};
use vloc::graph::factor::linearize_factor;
use vloc::graph::{
    FactorGraph, Gaussian, ImuFactor, Key, Optimizer, PriorFactor, Settings, StopReason, Values, Variable,
    VectorPriorFactor,
};
use vloc::imu::{ImuBias, ImuNoise, NavState, PreintegratedImu, Vector9};
use vloc::sensor::ImuSample;

const GRAVITY: Vector3<f64> = Vector3::new(0.0, 0.0, -9.81);
const NOISE: ImuNoise = ImuNoise {
    gyroscope_noise_density: 1.7e-3,
    gyroscope_random_walk: 2.0e-4,
    accelerometer_noise_density: 2.0e-2,
    accelerometer_random_walk: 3.0e-3,
};

fn keys(index: u64) -> [Key; 3] {
    [Key::pose(index), Key::velocity(index), Key::bias(index)]
}

fn insert(values: &mut Values, index: u64, state: NavState, bias: Vector6<f64>) {
    values.insert_pose(Key::pose(index), state.map_from_imu).unwrap();
    values.insert(Key::velocity(index), Variable::Vector3(state.velocity)).unwrap();
    values.insert(Key::bias(index), Variable::Vector6(bias)).unwrap();
}

// --- the problem of tests/peers/imu_chain.py

const STATES: u64 = 500;
const STEPS: u64 = 10;
const TRUE_BIAS: [f64; 6] = [0.02, -0.01, 0.03, 0.1, -0.2, 0.05];
const POSE_SIGMAS: [f64; 6] = [0.05, 0.05, 0.05, 0.02, 0.02, 0.02];
const BIAS_SIGMAS: [f64; 6] = [0.05, 0.05, 0.05, 0.3, 0.3, 0.3];

/// Deterministic values in [-1, 1].
fn wave(k: u64, j: usize) -> f64 {
    let (k, j) = (k as f64, j as f64);
    (1.3 * k * (j + 1.0) + 0.7 * j * j).sin()
}

fn waves<const N: usize>(k: u64, first: usize) -> SVector<f64, N> {
    SVector::from_fn(|j, _| wave(k, first + j))
}

fn reading(index: u64) -> ImuSample {
    let t = 0.01 * index as f64;
    let smooth = |j: usize| ((0.7 + 0.2 * j as f64) * t + j as f64).sin();
    let bias = ImuBias::from_vector(&TRUE_BIAS.into());
    let turn = 0.6 * Vector3::from_fn(|j, _| smooth(j)) + 0.002 * waves::<3>(index, 50);
    let force = 2.0 * Vector3::from_fn(|j, _| smooth(3 + j)) + 0.03 * waves::<3>(index, 53) - GRAVITY;
    ImuSample {
        stamp: Stamp::from_nanos(10_000_000 * index as i64),
        angular_velocity: turn + bias.gyroscope,
        linear_acceleration: force + bias.accelerometer,
    }
}

fn preintegrated(first: u64, steps: u64, bias: ImuBias) -> PreintegratedImu {
    let samples: Vec<ImuSample> = (first..=first + steps).map(reading).collect();
    PreintegratedImu::integrate(&samples, bias, NOISE).unwrap()
}

fn problem() -> (FactorGraph, Values) {
    let (mut graph, mut start) = (FactorGraph::new(), Values::new());
    let sigmas = |sigmas: [f64; 6]| Gaussian::from_sigmas(&SVector::from(sigmas)).unwrap();
    let mut reference = NavState { map_from_imu: Se3::identity(), velocity: Vector3::new(0.5, 0.0, 0.0) };
    let mut states = Vec::new();
    for k in 0..STATES {
        let w = waves::<15>(k, 40);
        let scale = Vector9::from_column_slice(&[0.1, 0.1, 0.1, 0.03, 0.03, 0.03, 0.1, 0.1, 0.1]);
        let moved = reference.retract(&scale.component_mul(&w.fixed_rows::<9>(0)));
        states.push((k, moved, 0.2 * Vector6::from(BIAS_SIGMAS).component_mul(&w.fixed_rows::<6>(9))));
        if k % 10 == 0 {
            let error = Vector6::from(POSE_SIGMAS).component_mul(&waves::<6>(k, 20));
            let measured = reference.map_from_imu.retract(&error);
            graph.add(PriorFactor::new(Key::pose(k), measured, sigmas(POSE_SIGMAS)).unwrap());
        }
        if k == 0 {
            let of_velocity = Gaussian::isotropic(0.1).unwrap();
            graph.add(VectorPriorFactor::<3>::new(Key::velocity(0), reference.velocity, of_velocity).unwrap());
            graph.add(VectorPriorFactor::<6>::new(Key::bias(0), Vector6::zeros(), sigmas(BIAS_SIGMAS)).unwrap());
        }
        if k + 1 < STATES {
            let readings = preintegrated(k * STEPS, STEPS, ImuBias::zero());
            reference = readings.predict(&reference, ImuBias::from_vector(&TRUE_BIAS.into()), GRAVITY);
            graph.add(ImuFactor::new(keys(k), keys(k + 1), readings, GRAVITY).unwrap());
        }
    }
    states.into_iter().for_each(|(k, state, bias)| insert(&mut start, k, state, bias));
    (graph, start)
}

#[derive(serde::Deserialize)]
struct Fixture {
    same: Solution,
    native: Solution,
}

#[derive(serde::Deserialize)]
struct Solution {
    initial_error: f64,
    final_error: f64,
    states: Vec<State>,
}

#[derive(serde::Deserialize)]
struct State {
    index: u64,
    translation: [f64; 3],
    quaternion_xyzw: [f64; 4],
    velocity: [f64; 3],
    bias: [f64; 6],
    pose_covariance_upper: Vec<f64>,
    velocity_covariance_upper: Vec<f64>,
    bias_covariance_upper: Vec<f64>,
}

fn from_upper(size: usize, entries: &[f64]) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(size, size);
    let mut entries = entries.iter();
    for row in 0..size {
        for column in row..size {
            let entry = *entries.next().unwrap();
            (matrix[(row, column)], matrix[(column, row)]) = (entry, entry);
        }
    }
    matrix
}

/// The greatest difference of two covariances, each entry relative to its two standard deviations.
fn covariance_difference(ours: &DMatrix<f64>, theirs: &DMatrix<f64>) -> f64 {
    let sigmas = theirs.diagonal().map(f64::sqrt);
    (ours - theirs).component_div(&(&sigmas * sigmas.transpose())).amax()
}

/// The greatest differences from GTSAM's solution: of states in their own units, of states in standard deviations, and
/// of covariances relative to standard deviations.
fn differences(values: &Values, optimizer: &mut Optimizer, graph: &FactorGraph, theirs: &Solution) -> [f64; 3] {
    let marginals = optimizer.marginals(graph, values).unwrap();
    let mut worst = [0.0f64; 3];
    for state in &theirs.states {
        let [x, y, z, w] = state.quaternion_xyzw;
        let pose = Se3::new(So3::from_xyzw(x, y, z, w).unwrap(), state.translation.into());
        let [of_pose, of_velocity, of_bias] = keys(state.index);
        let away = [
            values.pose(of_pose).unwrap().local(pose).as_slice().to_vec(),
            (values.vector3(of_velocity).unwrap() - Vector3::from(state.velocity)).as_slice().to_vec(),
            (values.vector6(of_bias).unwrap() - Vector6::from(state.bias)).as_slice().to_vec(),
        ];
        let covariances = [
            from_upper(6, &state.pose_covariance_upper),
            from_upper(3, &state.velocity_covariance_upper),
            from_upper(6, &state.bias_covariance_upper),
        ];
        for ((key, away), theirs) in [of_pose, of_velocity, of_bias].into_iter().zip(away).zip(covariances) {
            for (entry, variance) in away.iter().zip(theirs.diagonal().iter()) {
                worst[0] = worst[0].max(entry.abs());
                worst[1] = worst[1].max(entry.abs() / variance.sqrt());
            }
            worst[2] = worst[2].max(covariance_difference(&marginals.covariance(key).unwrap(), &theirs));
        }
    }
    worst
}

#[test]
fn a_chain_of_500_states_is_what_gtsam_makes_of_it() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/imu/chain.json")).unwrap();
    let (graph, mut values) = problem();
    let settings = Settings { relative_error_decrease: 1e-15, absolute_error_decrease: 1e-15, ..Settings::default() };
    let mut optimizer = Optimizer::new(settings);
    let report = optimizer.optimize(&graph, &mut values).unwrap();
    assert!(report.stop.is_converged() || report.stop == StopReason::LambdaTooLarge, "{report:?}");

    // GTSAM's solver on the same factor: rounding is all that may differ. Measured: 4e-11, and covariances by 2e-10.
    let same = &fixture.same;
    assert!((report.initial_error / same.initial_error - 1.0).abs() < 1e-9, "{report:?}");
    assert!((report.final_error / same.final_error - 1.0).abs() < 1e-9, "{report:?}");
    let [absolute, _, covariance] = differences(&values, &mut optimizer, &graph, same);
    assert!(absolute < 1e-6 && covariance < 1e-6, "states by {absolute}, covariances by {covariance}");

    // GTSAM's own factor, which discretizes the same model otherwise. Measured: 2.7 mm, 0.058 standard deviations, and
    // covariances by 3.7e-4.
    let native = &fixture.native;
    assert!((report.final_error / native.final_error - 1.0).abs() < 1e-4, "{report:?}");
    let [absolute, sigmas, covariance] = differences(&values, &mut optimizer, &graph, native);
    assert!(sigmas < 0.1 && covariance < 1e-3, "{absolute}, {sigmas} standard deviations, covariances by {covariance}");
}

// --- derivatives

fn vectors(size: f64) -> impl Strategy<Value = Vector3<f64>> {
    prop::array::uniform3(-size..size).prop_map(Vector3::from)
}

fn vectors6(size: f64) -> impl Strategy<Value = Vector6<f64>> {
    prop::array::uniform6(-size..size).prop_map(Vector6::from)
}

proptest! {
    #[test]
    fn its_jacobian_is_the_numeric_one(
        first in 0u64..5000, steps in 1u64..100, phi in vectors(1.7), translation in vectors(10.0),
        velocity in vectors(3.0), bias in vectors6(0.05), walked in vectors6(0.02), off in vectors6(0.3),
        speeded in vectors(0.3),
    ) {
        let readings = preintegrated(first, steps, ImuBias::from_vector(&(0.5 * bias)));
        let i = NavState { map_from_imu: Se3::new(So3::exp(&phi), translation), velocity };
        let end = readings.predict(&i, ImuBias::from_vector(&bias), GRAVITY);
        let j = NavState { map_from_imu: end.map_from_imu.retract(&off), velocity: end.velocity + speeded };
        let mut values = Values::new();
        insert(&mut values, 0, i, bias);
        insert(&mut values, 1, j, bias + walked);
        let factor = ImuFactor::new(keys(0), keys(1), readings, GRAVITY).unwrap();
        let (_, jacobian) = linearize_factor(&factor, &values).unwrap();
        let largest = jacobian.iter().fold(0.0f64, |largest, entry| largest.max(entry.abs()));
        let (step, mut column) = (1e-5, 0);
        for key in keys(0).into_iter().chain(keys(1)) {
            let variable = *values.get(key).unwrap();
            for axis in 0..variable.dim() {
                let residual = |step: f64| {
                    let mut tangent = [0.0; 6];
                    tangent[axis] = step;
                    let mut moved = values.clone();
                    moved.update(key, variable.retract(&tangent)).unwrap();
                    linearize_factor(&factor, &moved).unwrap().0
                };
                for (row, (forward, backward)) in residual(step).iter().zip(residual(-step)).enumerate() {
                    let numeric = (forward - backward) / (2.0 * step);
                    let error = (numeric - jacobian[15 * column + row]).abs() / largest;
                    prop_assert!(error < 1e-6, "{key}, axis {axis}, row {row}: {error} of the largest entry");
                }
                column += 1;
            }
        }
    }
}
