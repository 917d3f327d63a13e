//! The graph room through its public API: Jacobians against differences, optima of standard pose graphs against GTSAM
//! and SE-Sync, a chain with robust factors against GTSAM, marginals against a dense inverse, and refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use nalgebra::{DMatrix, Matrix3, Matrix6, SMatrix, SVector, Vector3, Vector6};
use proptest::prelude::*;
use vloc::Result;
use vloc::geometry::{Se3, So3};
use vloc::graph::factor::linearize_factor;
use vloc::graph::{
    Arguments, BetweenFactor, Factor, FactorGraph, G2o, Gaussian, Key, Method, Optimizer, PlanarBetweenFactor,
    PlanarPriorFactor, PriorFactor, Report, RobustKernel, Settings, StopReason, Values, Variable, VectorBetweenFactor,
    VectorPriorFactor, chordal_initialization, planar_coordinates,
};

// ---- Jacobians ----

fn vectors(size: f64) -> impl Strategy<Value = Vector3<f64>> {
    prop::array::uniform3(-size..size).prop_map(Vector3::from)
}

fn poses() -> impl Strategy<Value = Se3> {
    (vectors(3.0), vectors(1.7)).prop_map(|(translation, phi)| Se3::new(So3::exp(&phi), translation))
}

fn planar_poses() -> impl Strategy<Value = Variable> {
    (vectors(3.0)).prop_map(|v| Variable::planar(v.x, v.y, v.z))
}

/// Noise with correlated axes of different sizes.
fn noises<const N: usize>() -> impl Strategy<Value = Gaussian<N>> {
    prop::collection::vec(-1.0..1.0f64, N * N).prop_map(|entries| {
        let spread = SMatrix::<f64, N, N>::from_column_slice(&entries) + SMatrix::identity() * 1.5;
        Gaussian::from_information(&(spread.transpose() * spread)).unwrap()
    })
}

/// The greatest difference between a factor's Jacobian and central differences of its residual, relative to its largest
/// entry.
fn jacobian_error(factor: &dyn Factor, values: &Values) -> f64 {
    let (residual, jacobian) = linearize_factor(factor, values).unwrap();
    let rows = residual.len();
    let (mut worst, mut column) = (0.0f64, 0);
    for key in factor.keys() {
        let variable = *values.get(*key).unwrap();
        for axis in 0..variable.dim() {
            let at = |step: f64| {
                let mut tangent = [0.0; 6];
                tangent[axis] = step;
                let mut moved = values.clone();
                moved.update(*key, variable.retract(&tangent)).unwrap();
                linearize_factor(factor, &moved).unwrap().0
            };
            let step = 1e-5;
            for (row, (forward, backward)) in at(step).iter().zip(at(-step)).enumerate() {
                let numeric = (forward - backward) / (2.0 * step);
                worst = worst.max((numeric - jacobian[rows * column + row]).abs());
            }
            column += 1;
        }
    }
    assert_eq!(rows * column, jacobian.len());
    worst / jacobian.iter().fold(1.0, |largest, entry| entry.abs().max(largest))
}

/// Values with a pose 0 and 1, planar poses 10 and 11, velocities and biases 0 and 1.
fn values_of(poses: [Se3; 2], planar: [Variable; 2], vectors: [Vector3<f64>; 4]) -> Values {
    let mut values = Values::new();
    for (index, pose) in poses.into_iter().enumerate() {
        values.insert_pose(Key::pose(index as u64), pose).unwrap();
        values.insert(Key::pose(10 + index as u64), planar[index]).unwrap();
        values.insert(Key::velocity(index as u64), Variable::Vector3(vectors[index])).unwrap();
        let bias = [vectors[index].as_slice(), vectors[2 + index].as_slice()].concat();
        values.insert(Key::bias(index as u64), Variable::Vector6(Vector6::from_column_slice(&bias))).unwrap();
    }
    values
}

/// Far from half a turn, where the logarithm jumps.
fn no_half_turn(transform: Se3) -> bool {
    transform.rotation.angle() < 3.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn jacobians_of_pose_factors_are_exact(a in poses(), b in poses(), measured in poses(), noise in noises::<6>()) {
        prop_assume!(no_half_turn(measured.inverse() * a.inverse() * b) && no_half_turn(measured.inverse() * a));
        let mut values = Values::new();
        values.insert_pose(Key::pose(0), a).unwrap();
        values.insert_pose(Key::pose(1), b).unwrap();
        let between = BetweenFactor::new(Key::pose(0), Key::pose(1), measured, noise).unwrap();
        prop_assert!(jacobian_error(&between, &values) < 1e-6);
        let backwards = BetweenFactor::new(Key::pose(1), Key::pose(0), measured.inverse(), noise).unwrap();
        prop_assert!(jacobian_error(&backwards, &values) < 1e-6);
        prop_assert!(jacobian_error(&PriorFactor::new(Key::pose(0), measured, noise).unwrap(), &values) < 1e-6);
    }

    #[test]
    fn jacobians_of_planar_factors_are_exact(
        a in planar_poses(), b in planar_poses(), measured in planar_poses(), noise in noises::<3>()
    ) {
        let (Variable::PlanarPose(from), Variable::PlanarPose(to), Variable::PlanarPose(m)) = (a, b, measured) else {
            unreachable!()
        };
        prop_assume!(no_half_turn(m.inverse() * from.inverse() * to) && no_half_turn(m.inverse() * from));
        let mut values = Values::new();
        values.insert(Key::pose(0), a).unwrap();
        values.insert(Key::pose(1), b).unwrap();
        let between = PlanarBetweenFactor::new(Key::pose(0), Key::pose(1), m, noise).unwrap();
        prop_assert!(jacobian_error(&between, &values) < 1e-6);
        prop_assert!(jacobian_error(&PlanarPriorFactor::new(Key::pose(0), m, noise).unwrap(), &values) < 1e-6);
    }

    #[test]
    fn jacobians_of_vector_factors_are_exact(
        v in prop::array::uniform4(vectors(5.0)), three in noises::<3>(), six in noises::<6>()
    ) {
        let identity = [Se3::identity(); 2];
        let values = values_of(identity, [Variable::planar(0.0, 0.0, 0.0); 2], v);
        let (from, to) = (Key::velocity(0), Key::velocity(1));
        prop_assert!(jacobian_error(&VectorPriorFactor::new(from, v[2], three).unwrap(), &values) < 1e-6);
        prop_assert!(jacobian_error(&VectorBetweenFactor::new(from, to, v[3], three).unwrap(), &values) < 1e-6);
        let zero = Vector6::zeros();
        prop_assert!(jacobian_error(&VectorPriorFactor::new(Key::bias(0), zero, six).unwrap(), &values) < 1e-6);
        let walk = VectorBetweenFactor::new(Key::bias(0), Key::bias(1), zero, six).unwrap();
        prop_assert!(jacobian_error(&walk, &values) < 1e-6);
    }
}

// ---- standard pose graphs ----

/// Optimizes a file of ../shared/data/g2o, from chordal initialization if asked.
fn optimize_file(test: &str, name: &str, chordal: bool, settings: Settings) -> Option<Report> {
    let path = common::real_data_for(test)?.join("g2o").join(name).with_extension("g2o");
    let (graph, start) = G2o::read(&path).unwrap().to_graph().unwrap();
    let mut values = if chordal { chordal_initialization(&graph, &start).unwrap() } else { start };
    Some(Optimizer::new(settings).optimize(&graph, &mut values).unwrap())
}

fn assert_optimum(report: &Report, expected: f64) {
    let relative = (report.final_error - expected).abs() / expected;
    assert!(relative < 1e-6, "{} is {relative:.1e} off {expected}: {report:?}", report.final_error);
    assert!(report.stop.is_converged(), "{report:?}");
}

/// GTSAM 4.3.0's ½χ² of the shared data's README; manhattan as `tests/peers/graph_versus_gtsam.py` measures it (GTSAM's
/// Gauss-Newton, Levenberg-Marquardt and dog-leg all end there from the poses chained along the file's edges).
const OPTIMA: [(&str, bool, f64); 7] = [
    ("smallGrid3D", false, 517.92533),
    ("sphere2500", false, 675.70096),
    ("torus3D", true, 12117.6369),
    ("parking-garage", false, 0.634192400),
    ("intel", false, 22.502117),
    ("city10000", false, 255.993725),
    ("manhattan", false, 1774.520535),
];

#[test]
fn standard_graphs_reach_the_optima_of_gtsam() {
    for (name, chordal, expected) in OPTIMA {
        let Some(report) = optimize_file("standard_graphs", name, chordal, Settings::default()) else { return };
        assert_optimum(&report, expected);
    }
}

#[test]
fn every_method_reaches_the_optima_from_chordal_initialization() {
    for (name, _, expected) in OPTIMA {
        for method in [Method::LevenbergMarquardt, Method::GaussNewton, Method::DogLeg] {
            let settings = Settings { method, ..Settings::default() };
            let Some(report) = optimize_file("every_method", name, true, settings) else { return };
            assert_optimum(&report, expected);
        }
    }
}

#[test]
fn torus_needs_chordal_initialization() {
    let settings = Settings { max_iterations: 30, ..Settings::default() };
    let Some(report) = optimize_file("torus", "torus3D", false, settings) else { return };
    assert!(report.final_error > 2.0 * 12117.6369 && report.final_error < report.initial_error, "{report:?}");
}

/// A term of SE-Sync's cost (Rosen et al. 2019, problem 1): `κ ‖R_j - R_i R_ij‖² + τ ‖t_j - t_i - R_i t_ij‖²`, as a factor
/// that a user of the crate might write: half the squared length of its residual is half that.
#[derive(Debug)]
struct ChordalFactor {
    keys: [Key; 2],
    measured: Se3,
    sqrt_kappa: f64,
    sqrt_tau: f64,
}

impl Factor for ChordalFactor {
    fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn dim(&self) -> usize {
        12
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let (a, b) = (at.pose(0)?, at.pose(1)?);
        let (of_a, of_b, step) = (a.rotation.matrix(), b.rotation.matrix(), self.measured.rotation.matrix());
        let rotation = self.sqrt_kappa * (of_b - of_a * step);
        let translation = self.sqrt_tau * (b.translation - *a * self.measured.translation);
        residual[..9].copy_from_slice(rotation.as_slice());
        residual[9..].copy_from_slice(translation.as_slice());
        let Some(jacobian) = jacobian else { return Ok(()) };
        let mut jacobian = nalgebra::DMatrixViewMut::from_slice(jacobian, 12, 12);
        for axis in 0..3 {
            let turn = So3::hat(&Vector3::ith(axis, 1.0));
            let by_a: Matrix3<f64> = -self.sqrt_kappa * of_a * turn * step;
            let by_b: Matrix3<f64> = self.sqrt_kappa * of_b * turn;
            jacobian.view_mut((0, 3 + axis), (9, 1)).copy_from_slice(by_a.as_slice());
            jacobian.view_mut((0, 9 + axis), (9, 1)).copy_from_slice(by_b.as_slice());
        }
        let lever = self.sqrt_tau * of_a * So3::hat(&self.measured.translation);
        jacobian.view_mut((9, 0), (3, 3)).copy_from(&(-self.sqrt_tau * of_a));
        jacobian.view_mut((9, 3), (3, 3)).copy_from(&lever);
        jacobian.view_mut((9, 6), (3, 3)).copy_from(&(self.sqrt_tau * of_b));
        Ok(())
    }
}

/// SE-Sync's optimum of a file, which it proves to be global: its cost is not halved.
fn chordal_optimum(test: &str, name: &str) -> Option<(f64, StopReason)> {
    let path = common::real_data_for(test)?.join("g2o").join(name).with_extension("g2o");
    let file = G2o::read(&path).unwrap().isotropic().unwrap();
    let (measured, start) = file.to_graph().unwrap();
    let mut values = chordal_initialization(&measured, &start).unwrap();
    let mut graph = FactorGraph::new();
    graph.fix(values.keys()[0]);
    for edge in measured.factors().iter().filter_map(|factor| factor.relative_pose()) {
        graph.add(ChordalFactor {
            keys: [edge.from, edge.to],
            measured: edge.a_from_b,
            sqrt_kappa: (0.5 * edge.rotation_information).sqrt(),
            sqrt_tau: edge.translation_information.sqrt(),
        });
    }
    // On torus3D the residuals are so large that Gauss-Newton's linear convergence takes hundreds of steps to the ninth
    // digit; the published values have four.
    let settings = Settings { relative_error_decrease: 1e-5, ..Settings::default() };
    let report = Optimizer::new(settings).optimize(&graph, &mut values).unwrap();
    Some((2.0 * report.final_error, report.stop))
}

#[test]
fn chordal_costs_reach_the_certified_optima_of_se_sync() {
    // IJRR 2019, tables 1 and 2.
    for (name, published) in
        [("sphere2500", 1.687e3), ("torus3D", 2.423e4), ("parking-garage", 1.263), ("cubicle", 7.171e2)]
    {
        let Some((cost, stop)) = chordal_optimum("chordal_costs", name) else { return };
        assert!((cost - published).abs() < 5.1e-4 * published && stop.is_converged(), "{name}: {cost}, {stop}");
    }
}

#[test]
fn a_chordal_factor_has_its_jacobian() {
    let mut values = Values::new();
    let pose = |x: f64| Se3::exp(&Vector6::new(x, 0.3, -0.5, 0.4, -0.2 * x, 0.7));
    values.insert_pose(Key::pose(0), pose(1.0)).unwrap();
    values.insert_pose(Key::pose(1), pose(-2.0)).unwrap();
    let keys = [Key::pose(0), Key::pose(1)];
    let factor = ChordalFactor { keys, measured: pose(0.5), sqrt_kappa: 2.0, sqrt_tau: 0.7 };
    assert!(jacobian_error(&factor, &values) < 1e-6);
}

#[test]
fn cubicle_is_reached_from_chordal_initialization() {
    let Some(data) = common::real_data_for("cubicle") else { return };
    let file = G2o::read(&data.join("g2o/cubicle.g2o")).unwrap();
    // Some of the file's information matrices are indefinite, so there is no χ² to minimize as the file stands.
    let refusal = file.to_graph().unwrap_err().to_string();
    assert!(refusal.contains("positive definite"), "{refusal}");
    let (graph, start) = file.isotropic().unwrap().to_graph().unwrap();
    let mut values = chordal_initialization(&graph, &start).unwrap();
    let report = Optimizer::default().optimize(&graph, &mut values).unwrap();
    assert!(report.stop.is_converged(), "{report:?}");
    // SE-Sync's cost is that of chords, this one of angles; both are close where residuals are small.
    assert!((2.0 * report.final_error - 7.171e2).abs() < 0.01 * 7.171e2, "{report:?}");
}

// ---- a chain with robust factors, against GTSAM ----

/// The problem of `tests/peers/graph_chain.py`, made from the same closed form.
mod chain {
    use super::*;

    pub const POSES: u64 = 500;

    fn waves(k: u64, first: u64) -> Vector6<f64> {
        let wave = |j: f64| (1.3 * k as f64 * (j + 1.0) + 0.7 * j * j).sin();
        Vector6::from_fn(|j, _| wave((first + j as u64) as f64))
    }

    fn spread(translation: f64, rotation: f64, waves: Vector6<f64>) -> Se3 {
        let (t, r) = (translation, rotation);
        Se3::exp(&Vector6::new(t, t, t, r, r, r).component_mul(&waves))
    }

    fn diagonal(translation: f64, rotation: f64) -> Gaussian<6> {
        let (t, r) = (translation, rotation);
        Gaussian::from_sigmas(&Vector6::new(t, t, t, r, r, r)).unwrap()
    }

    pub fn problem() -> (FactorGraph, Values) {
        let mut truth = vec![Se3::identity()];
        for k in 0..POSES {
            let w = waves(k, 0);
            let step = Vector6::new(1.0, 0.1 * w[1], 0.1 * w[2], 0.1 * w[3], 0.1 * w[4], 0.2 * w[5]);
            truth.push(truth[k as usize].retract(&step));
        }
        let between = |from: u64, to: u64| truth[from as usize].inverse() * truth[to as usize];
        let mut graph = FactorGraph::new();
        for k in 0..POSES - 1 {
            let measured = between(k, k + 1) * spread(0.05, 0.02, waves(k, 10));
            graph.add(BetweenFactor::new(Key::pose(k), Key::pose(k + 1), measured, diagonal(0.05, 0.02)).unwrap());
        }
        let sigmas = Vector6::new(0.1, 0.2, 0.1, 0.03, 0.02, 0.03);
        let mut covariance = sigmas * sigmas.transpose();
        covariance.component_mul_assign(&Matrix6::identity());
        (covariance[(0, 5)], covariance[(5, 0)]) = (0.4 * 0.1 * 0.03, 0.4 * 0.1 * 0.03);
        (covariance[(1, 3)], covariance[(3, 1)]) = (-0.3 * 0.2 * 0.03, -0.3 * 0.2 * 0.03);
        let noise = Gaussian::from_covariance(&covariance).unwrap();
        for (n, k) in (0..POSES - 25).step_by(40).enumerate() {
            let measured = between(k, k + 25) * Se3::exp(&sigmas.component_mul(&waves(k, 30)));
            let factor = BetweenFactor::new(Key::pose(k), Key::pose(k + 25), measured, noise).unwrap();
            graph.add(if n % 2 == 1 { factor.with_robust(RobustKernel::cauchy(1.5).unwrap()) } else { factor });
        }
        let kernels = [
            None,
            Some(RobustKernel::huber(1.5).unwrap()),
            Some(RobustKernel::geman_mcclure(1.5).unwrap()),
            Some(RobustKernel::dynamic_covariance_scaling(1.5).unwrap()),
        ];
        for (n, k) in (0..POSES).step_by(10).enumerate() {
            let mut error = Vector6::new(0.2, 0.2, 0.2, 0.05, 0.05, 0.05).component_mul(&waves(k, 20));
            let kernel = kernels[n % 4];
            if n % 5 == 4 && kernel.is_some() {
                error[0] += 5.0;
            }
            let measured = truth[k as usize].retract(&error);
            let factor = PriorFactor::new(Key::pose(k), measured, diagonal(0.2, 0.05)).unwrap();
            graph.add(match kernel {
                Some(kernel) => factor.with_robust(kernel),
                None => factor,
            });
        }
        let mut start = Values::new();
        for k in 0..POSES {
            start.insert_pose(Key::pose(k), truth[k as usize].retract(&(0.05 * waves(k, 40)))).unwrap();
        }
        (graph, start)
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// The greatest difference of two covariances, relative to the standard deviations of row and column.
fn covariance_error(found: &DMatrix<f64>, expected: &DMatrix<f64>, rows: &[f64], columns: &[f64]) -> f64 {
    let entry = |(row, column): (usize, usize)| {
        (found[(row, column)] - expected[(row, column)]).abs() / (rows[row] * columns[column]).sqrt()
    };
    (0..6).flat_map(|row| (0..6).map(move |column| (row, column))).map(entry).fold(0.0, f64::max)
}

#[test]
fn a_robust_chain_has_the_states_and_marginals_of_gtsam() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/graph/chain.json");
    let expected: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    let (graph, mut values) = chain::problem();
    let settings = Settings { relative_error_decrease: 0.0, absolute_error_decrease: 1e-13, ..Settings::default() };
    let mut optimizer = Optimizer::new(settings);
    let report = optimizer.optimize(&graph, &mut values).unwrap();
    let error = |name: &str| expected[name].as_f64().unwrap();
    assert!((report.initial_error - error("initial_error")).abs() < 1e-9 * report.initial_error, "{report:?}");
    assert!((report.final_error - error("final_error")).abs() < 1e-9 * report.final_error, "{report:?}");
    let marginals = optimizer.marginals(&graph, &values).unwrap();
    for pose in expected["poses"].as_array().unwrap() {
        let key = Key::pose(pose["index"].as_u64().unwrap());
        let (position, q) = (numbers(&pose["translation"]), numbers(&pose["quaternion_xyzw"]));
        let rotation = So3::from_xyzw(q[0], q[1], q[2], q[3]).unwrap();
        let difference = Se3::new(rotation, Vector3::from_column_slice(&position)).local(values.pose(key).unwrap());
        assert!(difference.amax() < 1e-6, "{key}: {difference}");
        let mut upper = numbers(&pose["covariance_upper"]).into_iter();
        let mut covariance = DMatrix::zeros(6, 6);
        for row in 0..6 {
            for column in row..6 {
                covariance[(row, column)] = upper.next().unwrap();
                covariance[(column, row)] = covariance[(row, column)];
            }
        }
        let variances: Vec<f64> = covariance.diagonal().iter().copied().collect();
        let found = marginals.covariance(key).unwrap();
        let error = covariance_error(&found, &covariance, &variances, &variances);
        assert!(error < 1e-6, "{key}: {error:e}");
    }
    let joint = marginals.joint(&[Key::pose(100), Key::pose(130)]).unwrap();
    let cross = DMatrix::from_row_slice(6, 6, &numbers(&expected["cross_covariance_100_130"]));
    let variances: Vec<f64> = joint.diagonal().iter().copied().collect();
    let found: DMatrix<f64> = joint.view((0, 6), (6, 6)).into();
    assert!(covariance_error(&found, &cross, &variances[..6], &variances[6..]) < 1e-6);
}

// ---- marginals, structure, refusals ----

/// A short path with velocities and biases tied to its poses' neighbours, enough to have mixed sizes.
fn mixed_graph() -> (FactorGraph, Values) {
    let mut graph = FactorGraph::new();
    let mut values = Values::new();
    for index in 0..6 {
        let x = index as f64;
        let pose = Se3::exp(&Vector6::new(x, 0.1 * x, -0.2, 0.05 * x, 0.1, -0.03 * x));
        values.insert_pose(Key::pose(index), pose).unwrap();
        values.insert(Key::velocity(index), Variable::Vector3(Vector3::new(1.0, x, 0.0))).unwrap();
        values.insert(Key::bias(index), Variable::Vector6(Vector6::repeat(0.01 * x))).unwrap();
        let velocity = VectorPriorFactor::new(Key::velocity(index), Vector3::x(), Gaussian::isotropic(0.5).unwrap());
        graph.add(velocity.unwrap());
        if index > 0 {
            let (from, to) = (index - 1, index);
            let step = Se3::exp(&Vector6::new(1.0, 0.0, 0.0, 0.1, 0.0, 0.0));
            let noise = Gaussian::isotropic(0.1).unwrap();
            graph.add(BetweenFactor::new(Key::pose(from), Key::pose(to), step, noise).unwrap());
            let walk = Gaussian::isotropic(0.02).unwrap();
            graph.add(VectorBetweenFactor::new(Key::bias(from), Key::bias(to), Vector6::zeros(), walk).unwrap());
        }
    }
    let noise = Gaussian::isotropic(0.2).unwrap();
    graph.add(PriorFactor::new(Key::pose(2), Se3::identity(), noise).unwrap());
    graph.add(VectorPriorFactor::new(Key::bias(0), Vector6::zeros(), noise).unwrap());
    (graph, values)
}

/// `(JᵀJ)⁻¹` by dense algebra, all variables in the order of the values.
fn dense_covariance(graph: &FactorGraph, values: &Values) -> DMatrix<f64> {
    let offsets: Vec<usize> = values
        .variables()
        .iter()
        .scan(0, |next, variable| Some(std::mem::replace(next, *next + variable.dim())))
        .collect();
    let size: usize = values.variables().iter().map(Variable::dim).sum();
    let mut information = DMatrix::zeros(size, size);
    for factor in graph.factors() {
        let (residual, jacobian) = linearize_factor(factor.as_ref(), values).unwrap();
        let jacobian = DMatrix::from_column_slice(residual.len(), jacobian.len() / residual.len(), &jacobian);
        let columns: Vec<usize> = factor
            .keys()
            .iter()
            .flat_map(|key| {
                let slot = values.slot(*key).unwrap();
                offsets[slot]..offsets[slot] + values.variables()[slot].dim()
            })
            .collect();
        let product = jacobian.transpose() * jacobian;
        for (i, row) in columns.iter().enumerate() {
            for (j, column) in columns.iter().enumerate() {
                information[(*row, *column)] += product[(i, j)];
            }
        }
    }
    information.try_inverse().unwrap()
}

#[test]
fn marginals_are_those_of_the_dense_inverse() {
    let (graph, mut values) = mixed_graph();
    let mut optimizer = Optimizer::default();
    assert!(optimizer.optimize(&graph, &mut values).unwrap().stop.is_converged());
    let dense = dense_covariance(&graph, &values);
    let marginals = optimizer.marginals(&graph, &values).unwrap();
    let joint = marginals.joint(values.keys()).unwrap();
    assert!((&joint - &dense).amax() < 1e-12 * dense.amax(), "{}", (&joint - &dense).amax());
    // Biases come first, then velocities: the pose 5 is last.
    let last = marginals.pose_covariance(Key::pose(5)).unwrap().matrix();
    let expected = dense.view((dense.nrows() - 6, dense.nrows() - 6), (6, 6));
    assert!((last - expected).amax() < 1e-12 * expected.amax());
}

/// A long walk with velocities that comes back to places it saw: a tree of supernodes with branches.
fn walk_with_loops() -> (FactorGraph, Values) {
    let noise = Gaussian::<6>::from_sigmas(&Vector6::new(0.1, 0.2, 0.1, 0.02, 0.01, 0.03)).unwrap();
    let step = Se3::new(So3::exp(&Vector3::new(0.01, -0.02, 0.1)), Vector3::new(0.5, 0.1, 0.0));
    let (mut graph, mut values) = (FactorGraph::new(), Values::new());
    let mut pose = Se3::identity();
    for index in 0..300 {
        values.insert_pose(Key::pose(index), pose).unwrap();
        pose = pose * step;
        if index % 3 == 0 {
            values.insert(Key::velocity(index), Variable::Vector3(Vector3::x())).unwrap();
            let noise = Gaussian::isotropic(0.5).unwrap();
            graph.add(VectorPriorFactor::new(Key::velocity(index), Vector3::x(), noise).unwrap());
        }
    }
    let between = |from: u64, to: u64| {
        let (a, b) = (values.pose(Key::pose(from)).unwrap(), values.pose(Key::pose(to)).unwrap());
        BetweenFactor::new(Key::pose(from), Key::pose(to), a.inverse() * b, noise).unwrap()
    };
    (1..300).for_each(|index| graph.add(between(index - 1, index)));
    let loops = [(0, 63), (10, 80), (40, 250), (41, 252), (120, 121), (199, 0)];
    loops.into_iter().for_each(|(from, to)| graph.add(between(from, to)));
    graph.add(PriorFactor::new(Key::pose(7), values.pose(Key::pose(7)).unwrap(), noise).unwrap());
    (graph, values)
}

#[test]
fn the_covariances_of_all_poses_are_those_of_each() {
    for (graph, mut values) in [walk_with_loops(), mixed_graph()] {
        let mut optimizer = Optimizer::default();
        optimizer.optimize(&graph, &mut values).unwrap();
        let marginals = optimizer.marginals(&graph, &values).unwrap();
        let mut keys: Vec<Key> = values.keys().iter().copied().filter(|key| values.pose(*key).is_ok()).collect();
        keys.reverse();
        let all = marginals.pose_covariances(&keys).unwrap();
        assert!(all.len() == keys.len() && keys.len() >= 6);
        for (key, found) in keys.iter().zip(all) {
            let expected = marginals.pose_covariance(*key).unwrap().matrix();
            let apart = (found.matrix() - expected).amax() / expected.amax();
            assert!(apart < 1e-11, "{apart} at {key}");
        }
        assert!(marginals.pose_covariances(&[Key::pose(0), Key::pose(9999)]).is_err());
        assert!(marginals.pose_covariances(&[]).unwrap().is_empty());
    }
}

#[test]
fn an_optimizer_serves_one_structure_after_the_other() {
    let (graph, start) = mixed_graph();
    let mut fresh = start.clone();
    let expected = Optimizer::default().optimize(&graph, &mut fresh).unwrap();
    let mut optimizer = Optimizer::default();
    for _ in 0..2 {
        let (chain, mut values) = chain::problem();
        optimizer.optimize(&chain, &mut values).unwrap();
        for _ in 0..2 {
            let mut values = start.clone();
            let report = optimizer.optimize(&graph, &mut values).unwrap();
            assert_eq!((report.final_error, &values), (expected.final_error, &fresh));
        }
    }
    // The same blocks with one more factor between two of them, and with one pose held.
    let mut more = graph.clone();
    let noise = Gaussian::isotropic(0.1).unwrap();
    more.add(BetweenFactor::new(Key::pose(1), Key::pose(0), Se3::identity(), noise).unwrap());
    for hold in [false, true] {
        if hold {
            more.fix(Key::pose(3));
        }
        let (mut values, mut alone) = (start.clone(), start.clone());
        let report = optimizer.optimize(&more, &mut values).unwrap();
        assert_eq!(report.final_error, Optimizer::default().optimize(&more, &mut alone).unwrap().final_error);
        assert_eq!(values, alone);
        assert_eq!(values.pose(Key::pose(3)).unwrap() == start.pose(Key::pose(3)).unwrap(), hold);
    }
}

fn between(from: u64, to: u64) -> BetweenFactor {
    let noise = Gaussian::isotropic(0.1).unwrap();
    BetweenFactor::new(Key::pose(from), Key::pose(to), Se3::identity(), noise).unwrap()
}

fn poses_at_origin(count: u64) -> Values {
    Values::from_list((0..count).map(|index| (Key::pose(index), Variable::Pose(Se3::identity()))).collect()).unwrap()
}

#[test]
fn what_cannot_be_optimized_is_refused_with_its_reason() {
    let refusal = |graph: &FactorGraph, mut values: Values| {
        Optimizer::default().optimize(graph, &mut values).unwrap_err().to_string()
    };
    let mut graph = FactorGraph::new();
    graph.add(between(0, 1));
    graph.add(between(2, 3));
    let unanchored = "graph: expected every variable connected to a prior or to a fixed variable, found 4 without, the \
                      first is x0: add a prior or fix one";
    assert_eq!(refusal(&graph, poses_at_origin(4)), unanchored);
    graph.fix(Key::pose(0));
    assert!(refusal(&graph, poses_at_origin(4)).contains("found 2 without, the first is x2"));
    assert_eq!(
        chordal_initialization(&graph, &poses_at_origin(4)).unwrap_err().to_string(),
        refusal(&graph, poses_at_origin(4))
    );
    assert_eq!(
        refusal(&graph, poses_at_origin(3)),
        "variable x3: expected a value for it, found 3 others from x0 to x2"
    );
    graph.fix(Key::pose(9));
    assert!(refusal(&graph, poses_at_origin(4)).starts_with("variable x9: expected a value for it"));

    let mut planar = FactorGraph::new();
    planar.add(between(0, 1));
    planar.fix(Key::pose(0));
    let mut values = Values::new();
    values.insert(Key::pose(0), Variable::planar(0.0, 0.0, 0.0)).unwrap();
    values.insert(Key::pose(1), Variable::planar(1.0, 0.0, 0.0)).unwrap();
    assert_eq!(refusal(&planar, values), "variable x0: expected a pose, found a planar pose");
}

#[test]
fn what_is_no_measurement_is_refused_with_its_reason() {
    let noise = Gaussian::isotropic(0.1).unwrap();
    let nan = Se3::new(So3::identity(), Vector3::new(f64::NAN, 0.0, 0.0));
    let text = |result: Result<BetweenFactor>| result.unwrap_err().to_string();
    let measured = text(BetweenFactor::new(Key::pose(0), Key::pose(1), nan, noise));
    assert!(measured.starts_with("measured transform: expected finite numbers, found"), "{measured}");
    let twice = text(BetweenFactor::new(Key::pose(4), Key::pose(4), Se3::identity(), noise));
    assert_eq!(twice, "factor between two poses: expected two different keys, found x4 twice");
    let kind = text(BetweenFactor::new(Key::pose(4), Key::bias(4), Se3::identity(), noise));
    assert_eq!(kind, "factor on a pose: expected the key of a pose, such as x0, found b4");
    assert!(PriorFactor::new(Key::pose(0), nan, noise).is_err());
    let three = Gaussian::isotropic(0.1).unwrap();
    let lifted = Se3::new(So3::identity(), Vector3::z());
    let error = PlanarPriorFactor::new(Key::pose(0), lifted, three).unwrap_err().to_string();
    assert!(error.starts_with("measured transform: expected one within the x-y plane"), "{error}");
    assert!(VectorPriorFactor::new(Key::velocity(0), Vector3::repeat(f64::INFINITY), three).is_err());
    let key = VectorPriorFactor::new(Key::bias(0), Vector3::zeros(), three).unwrap_err().to_string();
    assert_eq!(key, "factor on a vector: expected a key of a vector of 3, found b0");
}

/// Information about the position only: a rotation is left undetermined.
#[derive(Debug)]
struct PositionFactor([Key; 1]);

impl Factor for PositionFactor {
    fn keys(&self) -> &[Key] {
        &self.0
    }

    fn dim(&self) -> usize {
        3
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let pose = at.pose(0)?;
        residual.copy_from_slice(pose.translation.as_slice());
        if let Some(jacobian) = jacobian {
            jacobian[..9].copy_from_slice(pose.rotation.matrix().as_slice());
        }
        Ok(())
    }
}

#[test]
fn an_undetermined_variable_is_named() {
    let mut graph = FactorGraph::new();
    graph.add(PositionFactor([Key::pose(1)]));
    graph.add(PriorFactor::new(Key::pose(0), Se3::identity(), Gaussian::isotropic(1.0).unwrap()).unwrap());
    let mut values = poses_at_origin(2);
    values.update(Key::pose(1), Variable::Pose(Se3::new(So3::identity(), Vector3::x()))).unwrap();
    let mut optimizer = Optimizer::new(Settings { method: Method::GaussNewton, ..Settings::default() });
    let report = optimizer.optimize(&graph, &mut values).unwrap();
    assert_eq!(report.stop, StopReason::Indeterminate(Key::pose(1)));
    let error = optimizer.marginals(&graph, &values).unwrap_err().to_string();
    assert_eq!(error, "marginal covariance: indeterminate: the factors do not determine variable x1");
    // Damping leaves alone what nothing speaks of, and still finds the position.
    let report = Optimizer::default().optimize(&graph, &mut values).unwrap();
    assert!(report.stop.is_converged() && report.final_error < 1e-12, "{report:?}");
}

#[test]
fn a_covariance_of_what_is_held_or_missing_is_refused() {
    let (mut graph, values) = mixed_graph();
    graph.fix(Key::pose(0));
    let mut optimizer = Optimizer::default();
    let marginals = optimizer.marginals(&graph, &values).unwrap();
    let error = marginals.covariance(Key::pose(0)).unwrap_err().to_string();
    assert_eq!(error, "variable x0: expected one that is estimated, found one that is held fixed");
    assert!(marginals.covariance(Key::pose(77)).is_err());
    assert!(marginals.pose_covariance(Key::bias(1)).is_err());
}

#[test]
fn an_outlier_bends_a_plain_graph_and_not_a_robust_one() {
    let solve = |kernel: Option<RobustKernel>, method: Method| {
        let (mut graph, mut values) = (FactorGraph::new(), poses_at_origin(1));
        let noise = Gaussian::isotropic(0.1).unwrap();
        for x in [0.0, 0.01, -0.01, 10.0] {
            let measured = Se3::new(So3::identity(), Vector3::new(x, 0.0, 0.0));
            let factor = PriorFactor::new(Key::pose(0), measured, noise).unwrap();
            graph.add(match kernel {
                Some(kernel) => factor.with_robust(kernel),
                None => factor,
            });
        }
        let report = Optimizer::new(Settings { method, ..Settings::default() }).optimize(&graph, &mut values).unwrap();
        assert!(report.stop.is_converged(), "{report:?}");
        values.pose(Key::pose(0)).unwrap().translation.x
    };
    for method in [Method::LevenbergMarquardt, Method::GaussNewton, Method::DogLeg] {
        assert!((solve(None, method) - 2.5).abs() < 1e-6);
        let huber = solve(Some(RobustKernel::huber(1.0).unwrap()), method);
        // The outlier pulls with one standard deviation against three: 0.1 / 3.
        assert!((huber - 0.1 / 3.0).abs() < 1e-6, "{huber}");
        let geman_mcclure = solve(Some(RobustKernel::geman_mcclure(1.0).unwrap()), method);
        assert!(geman_mcclure.abs() < 1e-3, "{geman_mcclure}");
    }
}

// ---- g2o ----

#[test]
fn a_g2o_file_reads_back_as_it_was_written() {
    let text = "VERTEX_SE3:QUAT 7 1 2 3 0 0 0.6 0.8\nVERTEX_SE3:QUAT 2 0.1 0 0 0 0 0 1\nFIX 7\n\
                EDGE_SE3:QUAT 7 2 1 0.5 -2 0 0 0 1 10 1 0 0 0 0 11 0 0 0 0 12 0 0 0 13 0 0.5 14 0 15\n";
    let planar = "VERTEX_SE2 0 1 2 0.5\nVERTEX_SE2 1 2 2 -3\nEDGE_SE2 0 1 1 0 0.25 4 0.5 0 5 0.1 6\n";
    for (text, is_planar) in [(text, false), (planar, true)] {
        let file = G2o::parse(text, Path::new("a.g2o")).unwrap();
        let again = G2o::parse(&file.to_text(), Path::new("b.g2o")).unwrap();
        assert_eq!((file.is_planar(), file.pose_count(), file.edge_count()), (is_planar, 2, 1));
        let (graph, values) = file.to_graph().unwrap();
        let (graph_again, values_again) = again.to_graph().unwrap();
        assert_eq!(graph.fixed(), graph_again.fixed());
        let cost = |graph, values: &Values| {
            let settings = Settings { max_iterations: 1, ..Settings::default() };
            Optimizer::new(settings).optimize(graph, &mut values.clone()).unwrap().initial_error
        };
        assert!((cost(&graph, &values) - cost(&graph_again, &values_again)).abs() < 1e-9);
        assert!(cost(&graph, &values) > 0.1);
    }
}

#[test]
fn a_file_without_vertices_is_chained_along_its_edges() {
    let text = "EDGE_SE2 0 1 1 0 1.5707963267948966 1 0 0 1 0 1\nEDGE_SE2 2 1 -1 0 0 1 0 0 1 0 1\n";
    let (graph, values) = G2o::parse(text, Path::new("a.g2o")).unwrap().to_graph().unwrap();
    let at = planar_coordinates(&values.pose(Key::pose(2)).unwrap());
    assert!((at - Vector3::new(1.0, 1.0, std::f64::consts::FRAC_PI_2)).amax() < 1e-12, "{at}");
    assert!(graph.fixed().contains(&Key::pose(0)));
}

#[test]
fn what_is_no_g2o_file_is_refused_by_line() {
    let refusal = |text: &str| G2o::parse(text, Path::new("a.g2o")).unwrap_err().to_string();
    let vertex = "VERTEX_SE2 0 1 2 0.5\n";
    let of_second = |line: &str| refusal(&format!("{vertex}{line}\n"));
    assert_eq!(
        of_second("VERTEX_SE2 1 2"),
        "a.g2o: expected line 2: a number in VERTEX_SE2, found the end of the line \"VERTEX_SE2 1 2\""
    );
    assert_eq!(of_second("VERTEX_SE2 1 2 x 0"), "a.g2o: expected line 2: a number in VERTEX_SE2, found \"x\"");
    assert_eq!(of_second("VERTEX_SE2 1 2 nan 0"), "a.g2o: expected line 2: finite numbers in VERTEX_SE2, found nan");
    assert_eq!(
        of_second("VERTEX_SE2 1 2 3 0 5"),
        "a.g2o: expected line 2: the end of VERTEX_SE2, found \"5\" after its last field"
    );
    assert!(of_second("EDGE_XY 0 1 2").ends_with("VERTEX_SE2, EDGE_SE2 or FIX, found EDGE_XY"));
    assert!(of_second("VERTEX_SE3:QUAT 1 0 0 0 0 0 0 0").contains("line 2: a quaternion of length 1"));
    assert!(of_second("VERTEX_SE3:QUAT 1 0 0 0 0 0 0 1").contains("a graph in the plane or one in space"));
    let twice = G2o::parse(&format!("{vertex}{vertex}"), Path::new("a.g2o")).unwrap().to_graph().unwrap_err();
    assert_eq!(twice.to_string(), "variable x0: expected a new key, found one that is taken");
}

#[test]
fn vectors_have_the_optimum_of_their_means() {
    let (mut graph, mut values) = (FactorGraph::new(), Values::new());
    values.insert(Key::velocity(0), Variable::Vector3(Vector3::zeros())).unwrap();
    for (x, sigma) in [(0.0, 1.0), (3.0, 0.5)] {
        let noise = Gaussian::from_sigmas(&SVector::<f64, 3>::repeat(sigma)).unwrap();
        graph.add(VectorPriorFactor::new(Key::velocity(0), Vector3::repeat(x), noise).unwrap());
    }
    let mut optimizer = Optimizer::default();
    let report = optimizer.optimize(&graph, &mut values).unwrap();
    assert!((values.vector3(Key::velocity(0)).unwrap() - Vector3::repeat(2.4)).amax() < 1e-6, "{report:?}");
    let covariance = optimizer.marginals(&graph, &values).unwrap().covariance(Key::velocity(0)).unwrap();
    assert!((covariance - DMatrix::identity(3, 3) * 0.2).amax() < 1e-12);
}
