//! The sliding window against the whole graph: estimates, covariances, removal, failure, hours of running.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use nalgebra::{DMatrix, DVector, SVector, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ChiSquared, ContinuousCDF};
use vloc::geometry::{Se3, Vector6};
use vloc::graph::factor::linearize_factor;
use vloc::graph::{
    BetweenFactor, Factor, FactorGraph, FixedLag, Gaussian, Key, LinearPrior, Method, Optimizer, PriorFactor,
    RobustKernel, Settings, Values, Variable, VectorBetweenFactor, VectorPriorFactor,
};

struct Noise(ChaCha8Rng);

impl Noise {
    fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn number(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn vector<const N: usize>(&mut self, sigma: f64) -> SVector<f64, N> {
        SVector::from_fn(|_, _| sigma * self.number())
    }

    fn pose(&mut self, pose: Se3, translation: f64, rotation: f64) -> Se3 {
        let sigmas = Vector6::new(translation, translation, translation, rotation, rotation, rotation);
        pose.retract(&self.vector::<6>(1.0).component_mul(&sigmas))
    }
}

fn gaussian(translation: f64, rotation: f64) -> Gaussian<6> {
    let sigmas = Vector6::new(translation, translation, translation, rotation, rotation, rotation);
    Gaussian::from_sigmas(&sigmas).unwrap()
}

fn tight() -> Settings {
    Settings { relative_error_decrease: 1e-14, absolute_error_decrease: 1e-16, ..Settings::default() }
}

/// A lively walk through space: turning about all axes, 0.2 m a step.
fn walk(steps: usize) -> Vec<Se3> {
    let mut pose = Se3::identity();
    let step = |number: usize| {
        let t = number as f64;
        Vector6::new(0.2, 0.0, 0.05 * (0.3 * t).sin(), 0.1 * (0.2 * t).sin(), 0.06 * (0.11 * t).cos(), 0.15)
    };
    (0..steps)
        .map(|number| {
            let next = pose.retract(&step(number));
            std::mem::replace(&mut pose, next)
        })
        .collect()
}

/// The information of a whole graph by dense linear algebra, with the columns in the order of the values' keys.
fn dense_covariance(graph: &FactorGraph, values: &Values) -> DMatrix<f64> {
    let mut first = vec![0];
    values.variables().iter().for_each(|variable| first.push(first.last().unwrap() + variable.dim()));
    let count = *first.last().unwrap();
    let mut information = DMatrix::zeros(count, count);
    for factor in graph.factors() {
        let (residual, jacobian) = linearize_factor(factor.as_ref(), values).unwrap();
        let square: f64 = residual.iter().map(|entry| entry * entry).sum();
        let weight = factor.robust().map_or(1.0, |kernel| kernel.weight(square)).sqrt();
        let mut rows = DMatrix::zeros(factor.dim(), count);
        let mut columns = jacobian.chunks_exact(factor.dim());
        for key in factor.keys() {
            let slot = values.slot(*key).unwrap();
            for column in first[slot]..first[slot + 1] {
                rows.set_column(column, &(weight * DVector::from_column_slice(columns.next().unwrap())));
            }
        }
        information += rows.tr_mul(&rows);
    }
    information.try_inverse().unwrap()
}

/// The rows and columns of some keys out of a covariance of all.
fn part(covariance: &DMatrix<f64>, values: &Values, keys: &[Key]) -> DMatrix<f64> {
    let first = |slot: usize| values.variables()[..slot].iter().map(Variable::dim).sum::<usize>();
    let scalars: Vec<usize> = keys
        .iter()
        .flat_map(|key| {
            let slot = values.slot(*key).unwrap();
            first(slot)..first(slot + 1)
        })
        .collect();
    covariance.select_rows(&scalars).select_columns(&scalars)
}

fn relative_difference(found: &DMatrix<f64>, expected: &DMatrix<f64>) -> f64 {
    (found - expected).amax() / expected.amax()
}

fn difference(one: &Variable, other: &Variable) -> f64 {
    let mut tangent = [0.0; 6];
    one.local(other, &mut tangent).unwrap();
    tangent.iter().fold(0.0, |largest, entry| entry.abs().max(largest))
}

/// A window and the whole graph, fed alike.
struct Both {
    window: FixedLag,
    whole: FactorGraph,
    values: Values,
}

impl Both {
    fn new(window: FixedLag) -> Self {
        Self { window, whole: FactorGraph::new(), values: Values::new() }
    }

    fn insert(&mut self, key: Key, variable: Variable) {
        self.window.insert(key, variable).unwrap();
        self.values.insert(key, variable).unwrap();
    }

    fn add(&mut self, factor: impl Factor + Clone + 'static) {
        self.window.add(Box::new(factor.clone())).unwrap();
        self.whole.add(factor);
    }
}

#[test]
fn a_linear_window_is_the_whole_graph_exactly() {
    let mut noise = Noise::seeded(3);
    let mut both = Both::new(FixedLag::new(tight()));
    let (lag, steps) = (6, 80);
    for step in 0..steps {
        let (velocity, bias) = (Key::velocity(step), Key::bias(step));
        both.insert(velocity, Variable::Vector3(noise.vector(1.0)));
        both.insert(bias, Variable::Vector6(noise.vector(1.0)));
        if step % 5 == 0 {
            let prior =
                VectorPriorFactor::new(velocity, noise.vector::<3>(2.0), Gaussian::isotropic(0.5).unwrap()).unwrap();
            both.add(prior);
        }
        if step % 7 == 0 {
            let prior = VectorPriorFactor::new(bias, noise.vector::<6>(1.0), Gaussian::isotropic(3.0).unwrap());
            both.add(prior.unwrap());
        }
        for back in [1, 2, 5] {
            let Some(earlier) = u64::checked_sub(step, back) else { continue };
            let sigma = Gaussian::isotropic(0.1 * back as f64).unwrap();
            both.add(
                VectorBetweenFactor::new(Key::velocity(earlier), velocity, noise.vector::<3>(0.3), sigma).unwrap(),
            );
            // A dense factor on all four, as an IMU's is.
            let points = [
                (Key::velocity(earlier), Variable::Vector3(Vector3::zeros())),
                (Key::bias(earlier), Variable::Vector6(Vector6::zeros())),
                (velocity, Variable::Vector3(Vector3::zeros())),
                (bias, Variable::Vector6(Vector6::zeros())),
            ];
            let jacobian = (0..9 * 18).map(|_| 3.0 * noise.number()).collect();
            let residual = (0..9).map(|_| noise.number()).collect();
            both.add(LinearPrior::new(&points, residual, jacobian).unwrap());
        }
        both.window.update(10).unwrap();
        if step >= lag {
            both.window.marginalize(&[Key::bias(step - lag), Key::velocity(step - lag)]).unwrap();
            assert_eq!(both.window.values().len(), 2 * lag as usize);
        }
        if step % 13 == 12 {
            let keys = both.window.values().keys().to_vec();
            Optimizer::new(Settings { method: Method::GaussNewton, ..tight() })
                .optimize(&both.whole, &mut both.values)
                .unwrap();
            for (key, variable) in both.window.values().iter() {
                let off = difference(variable, both.values.get(key).unwrap());
                assert!(off < 1e-9, "{key} after {step} steps: {off:e}");
            }
            let expected = part(&dense_covariance(&both.whole, &both.values), &both.values, &keys);
            let off = relative_difference(&both.window.marginal_covariance(&keys).unwrap(), &expected);
            assert!(off < 1e-9, "joint covariance after {step} steps: {off:e}");
            // Some of them, in another order.
            let some = [keys[keys.len() - 1], keys[0], keys[3]];
            let expected = part(&dense_covariance(&both.whole, &both.values), &both.values, &some);
            let off = relative_difference(&both.window.marginal_covariance(&some).unwrap(), &expected);
            assert!(off < 1e-9, "covariance of {some:?} after {step} steps: {off:e}");
        }
    }
}

/// Adds the pose of one step with its measurements: odometry over one and two steps, a fix at every fifth pose.
fn add_step(both: &mut Both, truth: &[Se3], step: usize, noise: &mut Noise) {
    let key = Key::pose(step as u64);
    let guess = match step.checked_sub(1) {
        None => noise.pose(truth[0], 0.1, 0.05),
        Some(last) => {
            let motion = noise.pose(truth[last].inverse() * truth[step], 0.02, 0.01);
            both.window.values().pose(Key::pose(last as u64)).unwrap() * motion
        }
    };
    both.insert(key, Variable::Pose(guess));
    if step % 5 == 0 {
        let fix = noise.pose(truth[step], 0.1, 0.05);
        both.add(PriorFactor::new(key, fix, gaussian(0.1, 0.05)).unwrap());
    }
    for back in [1, 2] {
        let Some(earlier) = step.checked_sub(back) else { continue };
        let measured = noise.pose(truth[earlier].inverse() * truth[step], 0.02, 0.01);
        let factor = BetweenFactor::new(Key::pose(earlier as u64), key, measured, gaussian(0.02, 0.01)).unwrap();
        both.add(factor);
    }
}

fn nees(window: &mut FixedLag, truth: Se3, key: Key) -> f64 {
    let error = window.values().pose(key).unwrap().local(truth);
    let covariance = window.marginal_covariance(&[key]).unwrap();
    let error = DVector::from_column_slice(error.as_slice());
    error.dot(&covariance.cholesky().unwrap().solve(&error))
}

#[test]
fn a_window_of_poses_follows_the_whole_graph() {
    let truth = walk(300);
    for first_estimates in [false, true] {
        let mut noise = Noise::seeded(5);
        let mut both = Both::new(FixedLag::new(Settings::default()).with_first_estimates(first_estimates));
        for step in 0..truth.len() {
            add_step(&mut both, &truth, step, &mut noise);
            both.window.update(10).unwrap();
            if step >= 40 {
                both.window.marginalize(&[Key::pose(step as u64 - 40)]).unwrap();
            }
        }
        Optimizer::new(tight()).optimize(&both.whole, &mut both.values).unwrap();
        let last = Key::pose(299);
        let sigma = both.window.marginal_covariance(&[last]).unwrap();
        let mut worst: f64 = 0.0;
        for (key, pose) in both.window.values().iter() {
            worst = worst.max(difference(pose, both.values.get(key).unwrap()));
        }
        println!("first {first_estimates} worst {worst:e} sigmas {:?}", sigma.diagonal().map(f64::sqrt).as_slice());
        let expected = part(&dense_covariance(&both.whole, &both.values), &both.values, &[last]);
        println!("cov {:e}", relative_difference(&sigma, &expected));
    }
}

#[test]
fn the_covariance_of_a_window_is_honest() {
    let truth = walk(100);
    let runs = 200;
    for first_estimates in [false, true] {
        let mut sum = 0.0;
        let mut count = 0;
        for run in 0..runs {
            let mut noise = Noise::seeded(100 + run);
            let mut both = Both::new(FixedLag::new(Settings::default()).with_first_estimates(first_estimates));
            for step in 0..truth.len() {
                add_step(&mut both, &truth, step, &mut noise);
                both.window.update(5).unwrap();
                if step >= 10 {
                    both.window.marginalize(&[Key::pose(step as u64 - 10)]).unwrap();
                }
            }
            sum += nees(&mut both.window, truth[99], Key::pose(99));
            count += 1;
        }
        let band = ChiSquared::new(6.0 * count as f64).unwrap();
        println!(
            "{first_estimates} {} [{} {}]",
            sum / count as f64,
            band.inverse_cdf(0.025) / count as f64,
            band.inverse_cdf(0.975) / count as f64
        );
    }
}

/// How much a window of relative measurements claims to know about where it is as a whole, per direction of the map,
/// beyond what its first pose was given: `‖J N‖²` of its prior, `N` being the move of everything by a map-fixed twist.
fn gauge_information(window: &FixedLag) -> Vector6 {
    let prior = window.graph().factors().last().unwrap();
    let points = window.graph().linearization_points();
    let mut values = window.values().clone();
    for (key, point) in points {
        values.update(*key, *point).unwrap();
    }
    let (residual, jacobian) = linearize_factor(prior.as_ref(), &values).unwrap();
    let jacobian = DMatrix::from_column_slice(residual.len(), 6 * prior.keys().len(), &jacobian);
    let mut moved = DMatrix::zeros(residual.len(), 6);
    for (place, key) in prior.keys().iter().enumerate() {
        moved += jacobian.columns(6 * place, 6) * values.pose(*key).unwrap().inverse().adjoint();
    }
    Vector6::from_fn(|axis, _| moved.column(axis).norm_squared())
}

#[test]
fn first_estimates_gain_no_information_about_what_nobody_measured() {
    let truth = walk(400);
    for first_estimates in [false, true] {
        let mut noise = Noise::seeded(8);
        let mut window = FixedLag::new(Settings::default()).with_first_estimates(first_estimates);
        for step in 0..truth.len() {
            let key = Key::pose(step as u64);
            let guess = match step {
                0 => truth[0],
                _ => {
                    window.values().pose(Key::pose(step as u64 - 1)).unwrap()
                        * noise.pose(truth[step - 1].inverse() * truth[step], 0.05, 0.05)
                }
            };
            window.insert(key, Variable::Pose(guess)).unwrap();
            if step == 0 {
                window.add(Box::new(PriorFactor::new(key, truth[0], gaussian(0.5, 0.1)).unwrap())).unwrap();
            }
            for back in [1, 2, 3] {
                let Some(earlier) = step.checked_sub(back) else { continue };
                let measured = noise.pose(truth[earlier].inverse() * truth[step], 0.05, 0.05);
                let factor = BetweenFactor::new(Key::pose(earlier as u64), key, measured, gaussian(0.05, 0.05));
                window.add(Box::new(factor.unwrap())).unwrap();
            }
            window.update(5).unwrap();
            if step >= 5 {
                window.marginalize(&[Key::pose(step as u64 - 5)]).unwrap();
                if step % 40 == 5 {
                    let last = Key::pose(step as u64);
                    println!(
                        "{first_estimates} {step} {:?} {:?}",
                        gauge_information(&window).as_slice(),
                        window.marginal_covariance(&[last]).unwrap().diagonal().map(f64::sqrt).as_slice()
                    );
                }
            }
        }
    }
}
