//! The sliding window against the whole graph: estimates, covariances, removal, failure, hours of running.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nalgebra::{DMatrix, DVector, Matrix3, SVector, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ChiSquared, ContinuousCDF};
use vloc::geometry::{Se3, Vector6};
use vloc::graph::factor::{linearize_factor, write_block};
use vloc::graph::{
    Arguments, BetweenFactor, Factor, FactorGraph, FactorId, FixedLag, Gaussian, Key, LinearPrior, Method, Optimizer,
    PriorFactor, RobustKernel, Settings, Values, Variable, VectorBetweenFactor, VectorPriorFactor,
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

/// The joint covariance of some keys in a whole graph by dense linear algebra, in the order given.
fn dense_covariance(graph: &FactorGraph, values: &Values, keys: &[Key]) -> DMatrix<f64> {
    let mut first = vec![0];
    values.variables().iter().for_each(|variable| first.push(first.last().unwrap() + variable.dim()));
    let count = *first.last().unwrap();
    let scalars = |keys: &[Key]| -> Vec<usize> {
        let slots = keys.iter().map(|key| values.slot(*key).unwrap());
        slots.flat_map(|slot| first[slot]..first[slot + 1]).collect()
    };
    let mut information = DMatrix::<f64>::zeros(count, count);
    for factor in graph.factors() {
        let (residual, jacobian) = linearize_factor(factor.as_ref(), values).unwrap();
        let square: f64 = residual.iter().map(|entry| entry * entry).sum();
        let weight = factor.robust().map_or(1.0, |kernel| kernel.weight(square)).sqrt();
        let jacobian = weight * DMatrix::from_column_slice(factor.dim(), jacobian.len() / factor.dim(), &jacobian);
        let of_factor = scalars(factor.keys());
        let product = jacobian.tr_mul(&jacobian);
        for (row, to_row) in of_factor.iter().enumerate() {
            for (column, to_column) in of_factor.iter().enumerate() {
                information[(*to_row, *to_column)] += product[(row, column)];
            }
        }
    }
    let chosen = scalars(keys);
    let units = DMatrix::identity(count, count).select_columns(&chosen);
    information.cholesky().unwrap().solve(&units).select_rows(&chosen)
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
fn an_archive_keeps_what_was_measured_and_solves_it_as_one() {
    let mut noise = Noise::seeded(21);
    let truth = walk(60);
    let mut both = Both::new(FixedLag::new(tight()).with_archive());
    for (step, pose) in truth.iter().enumerate() {
        let key = Key::pose(step as u64);
        both.insert(key, Variable::Pose(noise.pose(*pose, 0.1, 0.05)));
        if step % 4 == 0 {
            let measured = noise.pose(*pose, 0.1, 0.05);
            let prior = PriorFactor::new(key, measured, gaussian(0.1, 0.05)).unwrap();
            both.add(prior.with_robust(RobustKernel::huber(2.0).unwrap()));
        }
        if step > 0 {
            let motion = noise.pose(truth[step - 1].inverse() * *pose, 0.02, 0.01);
            let before = Key::pose(step as u64 - 1);
            both.add(BetweenFactor::new(before, key, motion, gaussian(0.02, 0.01)).unwrap());
            // A measurement that is taken back is in neither.
            let wrong = BetweenFactor::new(before, key, Se3::identity(), gaussian(0.1, 0.1)).unwrap();
            let wrong = both.window.add(Box::new(wrong)).unwrap();
            assert!(both.window.remove(wrong).is_some());
        }
        both.window.update(5).unwrap();
        if step >= 6 {
            both.window.marginalize_fading(&[Key::pose(step as u64 - 6)], 0.7).unwrap();
        }
    }
    let (graph, mut values) = both.window.whole().unwrap();
    assert_eq!((graph.factors().len(), values.len()), (both.whole.factors().len(), 60), "no prior is among them");
    Optimizer::new(tight()).optimize(&graph, &mut values).unwrap();
    Optimizer::new(tight()).optimize(&both.whole, &mut both.values).unwrap();
    for ((key, found), (_, expected)) in values.iter().zip(both.values.iter()) {
        assert!(difference(found, expected) < 1e-7, "{key}");
    }
    let error = both.window.insert(Key::pose(0), Variable::Pose(Se3::identity())).unwrap_err().to_string();
    assert_eq!(error, "variable x0: expected a new key, found one that is in the archive");
    both.window.clear();
    assert!(both.window.insert(Key::pose(0), Variable::Pose(Se3::identity())).is_ok());
    assert_eq!(both.window.whole().unwrap().1.len(), 1);
    let error = FixedLag::new(tight()).whole().unwrap_err().to_string();
    assert_eq!(error, "fixed-lag window: expected an archive, as FixedLag::with_archive makes, found none");
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
            let expected = dense_covariance(&both.whole, &both.values, &keys);
            let off = relative_difference(&both.window.marginal_covariance(&keys).unwrap(), &expected);
            assert!(off < 1e-9, "joint covariance after {step} steps: {off:e}");
            // Some of them, in another order.
            let some = [keys[keys.len() - 1], keys[0], keys[3]];
            let expected = dense_covariance(&both.whole, &both.values, &some);
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
    if step.is_multiple_of(5) {
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

/// A window that has followed a walk with noisy measurements, and the whole graph of it.
fn follow(truth: &[Se3], lag: usize, first_estimates: bool, noise: &mut Noise) -> Both {
    let mut both = Both::new(FixedLag::new(Settings::default()).with_first_estimates(first_estimates));
    for step in 0..truth.len() {
        add_step(&mut both, truth, step, noise);
        both.window.update(5).unwrap();
        if step >= lag {
            both.window.marginalize(&[Key::pose((step - lag) as u64)]).unwrap();
        }
    }
    both
}

#[test]
fn a_window_of_poses_follows_the_whole_graph() {
    let truth = walk(300);
    for first_estimates in [false, true] {
        let mut both = follow(&truth, 40, first_estimates, &mut Noise::seeded(5));
        Optimizer::new(tight()).optimize(&both.whole, &mut both.values).unwrap();
        let last = Key::pose(299);
        let covariance = both.window.marginal_covariance(&[last]).unwrap();
        let sigma = covariance.diagonal().map(f64::sqrt).min();
        for (key, pose) in both.window.values().iter() {
            // Measured: 1.9e-4 standard deviations, 1.4e-3 with first estimates.
            let off = difference(pose, both.values.get(key).unwrap()) / sigma;
            assert!(off < 5e-3, "{key}, first estimates {first_estimates}: {off:e} standard deviations");
        }
        let expected = dense_covariance(&both.whole, &both.values, &[last]);
        // Measured: 9e-6, 1.9e-5 with first estimates.
        let off = relative_difference(&covariance, &expected);
        assert!(off < 1e-4, "covariance, first estimates {first_estimates}: {off:e}");
    }
}

#[test]
fn the_covariance_of_a_window_is_honest() {
    let (truth, runs) = (walk(60), 200);
    let mut sum = 0.0;
    for run in 0..runs {
        let mut window = follow(&truth, 10, true, &mut Noise::seeded(100 + run)).window;
        let covariance = window.marginal_covariance(&[Key::pose(59)]).unwrap();
        let error = window.values().pose(Key::pose(59)).unwrap().local(truth[59]);
        let error = DVector::from_column_slice(error.as_slice());
        sum += error.dot(&covariance.cholesky().unwrap().solve(&error));
    }
    let band = ChiSquared::new(6.0 * runs as f64).unwrap();
    let (low, high) = (band.inverse_cdf(0.025), band.inverse_cdf(0.975));
    assert!((low..high).contains(&sum), "NEES {sum} of {runs} runs, 95 % band {low} to {high}");
}

/// The standard deviation of the last rotation (rad) after a walk with nothing but noisy relative poses, over one, two
/// and three steps, in a window of five poses.
fn blind_rotation_sigma(first_estimates: bool, sigma: f64, noise: &mut Noise) -> f64 {
    let truth = walk(400);
    let mut window = FixedLag::new(Settings::default()).with_first_estimates(first_estimates);
    for (step, map_from_base) in truth.iter().enumerate() {
        let key = Key::pose(step as u64);
        let measured =
            |back: usize, noise: &mut Noise| noise.pose(truth[step - back].inverse() * *map_from_base, sigma, sigma);
        if step == 0 {
            window.insert(key, Variable::Pose(*map_from_base)).unwrap();
            window.add(Box::new(PriorFactor::new(key, *map_from_base, gaussian(0.5, 0.1)).unwrap())).unwrap();
        }
        for back in 1..=step.min(3) {
            let (earlier, motion) = (Key::pose((step - back) as u64), measured(back, noise));
            if back == 1 {
                let guess = window.values().pose(earlier).unwrap() * motion;
                window.insert(key, Variable::Pose(guess)).unwrap();
            }
            let factor = BetweenFactor::new(earlier, key, motion, gaussian(0.05, 0.05)).unwrap();
            window.add(Box::new(factor)).unwrap();
        }
        window.update(5).unwrap();
        if step >= 5 {
            window.marginalize(&[Key::pose(step as u64 - 5)]).unwrap();
        }
    }
    let covariance = window.marginal_covariance(&[Key::pose(399)]).unwrap();
    (covariance.view((3, 3), (3, 3)).trace() / 3.0).sqrt()
}

/// Relative measurements say nothing about where the whole path is turned to: the uncertainty grows as it does when
/// everything is linearized at the truth. Where estimates move between linearizations, a window without first estimates
/// finds information in the difference (Huang et al. 2009): it believes to know the rotation better than it can.
#[test]
fn first_estimates_gain_no_information_about_what_nobody_measured() {
    let at_the_truth = blind_rotation_sigma(false, 0.0, &mut Noise::seeded(0));
    for seed in [8, 9, 10] {
        // Measured: 0.9994, against 0.907 to 0.911.
        let with = blind_rotation_sigma(true, 0.05, &mut Noise::seeded(seed)) / at_the_truth;
        let without = blind_rotation_sigma(false, 0.05, &mut Noise::seeded(seed)) / at_the_truth;
        assert!((with - 1.0).abs() < 0.005, "seed {seed}: {with}");
        assert!(without < 0.96, "seed {seed}: {without}");
    }
}

#[test]
fn a_late_keyframe_splits_a_link() {
    let (truth, mut noise) = (walk(4), Noise::seeded(2));
    let pose = |index: u64| Key::pose(index);
    let link = |from: usize, to: usize, noise: &mut Noise| {
        let motion = noise.pose(truth[from].inverse() * truth[to], 0.02, 0.01);
        BetweenFactor::new(pose(from as u64), pose(to as u64), motion, gaussian(0.02, 0.01)).unwrap()
    };
    let anchor = PriorFactor::new(pose(0), truth[0], gaussian(0.1, 0.05)).unwrap();
    let (whole, first, second) = (link(1, 3, &mut noise), link(1, 2, &mut noise), link(2, 3, &mut noise));
    let start = link(0, 1, &mut noise);

    let mut window = FixedLag::new(tight());
    for index in [0, 1, 3] {
        window.insert(pose(index), Variable::Pose(truth[index as usize])).unwrap();
    }
    window.add(Box::new(anchor.clone())).unwrap();
    window.add(Box::new(start.clone())).unwrap();
    let id = window.add(Box::new(whole)).unwrap();
    window.update(10).unwrap();
    window.marginalize(&[pose(0)]).unwrap();

    window.insert(pose(2), Variable::Pose(truth[2])).unwrap();
    assert_eq!(window.remove(id).unwrap().keys(), [pose(1), pose(3)]);
    assert!(window.remove(id).is_none());
    window.add(Box::new(first.clone())).unwrap();
    window.add(Box::new(second.clone())).unwrap();
    window.update(10).unwrap();

    let mut graph = FactorGraph::new();
    graph.add(anchor);
    [start, first, second].into_iter().for_each(|factor| graph.add(factor));
    let list = (0..4).map(|index| (pose(index), Variable::Pose(truth[index as usize]))).collect();
    let mut values = Values::from_list(list).unwrap();
    Optimizer::new(tight()).optimize(&graph, &mut values).unwrap();
    // Without loops every pose sits where its chain puts it, and nothing is lost to linearization.
    let keys = [pose(1), pose(2), pose(3)];
    keys.iter().for_each(|key| {
        let off = difference(window.values().get(*key).unwrap(), values.get(*key).unwrap());
        assert!(off < 1e-9, "{key}: {off:e}");
    });
    let expected = dense_covariance(&graph, &values, &keys);
    let off = relative_difference(&window.marginal_covariance(&keys).unwrap(), &expected);
    assert!(off < 1e-9, "{off:e}");
}

/// A factor on one velocity that can be made to answer with NaN.
#[derive(Clone, Debug)]
struct Treacherous([Key; 1], Arc<AtomicBool>);

impl Factor for Treacherous {
    fn keys(&self) -> &[Key] {
        &self.0
    }

    fn dim(&self) -> usize {
        3
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> vloc::Result<()> {
        let scale = if self.1.load(Ordering::Relaxed) { f64::NAN } else { 1.0 };
        residual.copy_from_slice((scale * at.vector::<3>(0)?).as_slice());
        if let Some(jacobian) = jacobian {
            write_block(jacobian, 0, &(scale * Matrix3::identity()));
        }
        Ok(())
    }
}

/// A window of three velocities that can be optimized, and the links between them.
fn velocities() -> (FixedLag, Vec<FactorId>) {
    let mut window = FixedLag::new(Settings::default());
    let unit = || Gaussian::<3>::isotropic(1.0).unwrap();
    for index in 0..3 {
        window.insert(Key::velocity(index), Variable::Vector3(Vector3::repeat(index as f64))).unwrap();
    }
    let prior = VectorPriorFactor::new(Key::velocity(0), Vector3::zeros(), unit()).unwrap();
    let links = (0..2).map(|index| {
        VectorBetweenFactor::new(Key::velocity(index), Key::velocity(index + 1), Vector3::x(), unit()).unwrap()
    });
    let mut ids = vec![window.add(Box::new(prior)).unwrap()];
    links.for_each(|link| ids.push(window.add(Box::new(link)).unwrap()));
    (window, ids)
}

#[test]
fn factors_that_do_not_fit_are_refused() {
    let (mut window, _) = velocities();
    let unit = Gaussian::<3>::isotropic(1.0).unwrap();
    let mut refuse = |factor: Box<dyn Factor>, text: &str| {
        let error = window.add(factor).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        assert_eq!(window.graph().factors().len(), 3);
    };
    let unknown = VectorBetweenFactor::new(Key::velocity(2), Key::velocity(9), Vector3::x(), unit).unwrap();
    refuse(Box::new(unknown), "variable v9: expected a value for it, found 3 others from v0 to v2");
    let nan = Treacherous([Key::velocity(1)], Arc::new(AtomicBool::new(true)));
    refuse(Box::new(nan), "factor: expected a finite residual and Jacobian, found the residual [NaN, NaN, NaN]");
    let text = window.insert(Key::velocity(1), Variable::Vector3(Vector3::zeros())).unwrap_err().to_string();
    assert_eq!(text, "variable v1: expected a new key, found one that is taken");
}

#[test]
fn what_fails_leaves_the_window_as_it_was() {
    let (mut window, ids) = velocities();
    let rotten = Arc::new(AtomicBool::new(false));
    let id = window.add(Box::new(Treacherous([Key::velocity(1)], rotten.clone()))).unwrap();
    let before = window.values().clone();
    rotten.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let text = window.update(5).unwrap_err().to_string();
        assert!(text.starts_with("cost of a factor: expected a finite number, found NaN from Treacherous"), "{text}");
        let text = window.marginalize(&[Key::velocity(1)]).unwrap_err().to_string();
        assert!(text.starts_with("cost of a factor: expected a finite number, found NaN from Treacherous"), "{text}");
        assert!(window.marginal_covariance(&[Key::velocity(0)]).is_err());
        assert_eq!((window.values(), window.graph().factors().len()), (&before, 4));
    }
    let text = window.marginalize(&[Key::velocity(0), Key::velocity(7)]).unwrap_err().to_string();
    assert!(text.starts_with("variable v7: expected a value for it"), "{text}");
    assert_eq!((window.values(), window.graph().factors().len()), (&before, 4));

    // Without it the window goes on: the last velocity is at the end of its links.
    window.remove(id).unwrap();
    window.update(5).unwrap();
    assert!((window.values().vector3(Key::velocity(2)).unwrap() - 2.0 * Vector3::<f64>::x()).amax() < 1e-12);

    // A variable that nothing determines.
    let before = window.values().clone();
    let link = window.remove(ids[2]).unwrap();
    let text = window.update(5).unwrap_err().to_string();
    assert!(text.contains("connected to a prior") && text.contains("v2"), "{text}");
    assert!(window.marginal_covariance(&[Key::velocity(0)]).is_err());
    assert_eq!(window.values(), &before);
    let keys = link.keys().to_vec();
    let half = LinearPrior::new(&[(keys[1], Variable::Vector3(Vector3::zeros()))], vec![0.0], vec![1.0, 0.0, 0.0]);
    let id = window.add(Box::new(half.unwrap())).unwrap();
    let text = window.update(5).unwrap_err().to_string();
    assert!(text.starts_with("fixed-lag window: the factors do not determine the variable v2"), "{text}");
    let text = window.marginal_covariance(&[Key::velocity(0)]).unwrap_err().to_string();
    assert!(text.contains("the factors do not determine variable v2"), "{text}");
    assert_eq!(window.values(), &before);
    window.remove(id).unwrap();
    let unit = Gaussian::<3>::isotropic(1.0).unwrap();
    window.add(Box::new(VectorBetweenFactor::new(keys[0], keys[1], Vector3::y(), unit).unwrap())).unwrap();
    window.update(5).unwrap();
    let sigma = window.marginal_covariance(&[Key::velocity(2)]).unwrap().diagonal();
    assert!((sigma - DVector::repeat(3, 3.0)).amax() < 1e-12);

    window.clear();
    assert!(window.values().is_empty() && window.graph().factors().is_empty());
    window.insert(Key::velocity(0), Variable::Vector3(Vector3::zeros())).unwrap();
}

/// What is not known about a variable that leaves is not invented for those that stay.
#[test]
fn marginalizing_what_is_not_determined_leaves_no_false_knowledge() {
    let (mut window, ids) = velocities();
    window.remove(ids[0]).unwrap();
    // v0 is only tied to v1, which is only tied to v2: nothing remains of either.
    window.marginalize(&[Key::velocity(0)]).unwrap();
    assert_eq!(window.graph().factors().len(), 1);
    window.marginalize(&[Key::velocity(1)]).unwrap();
    assert!(window.graph().factors().is_empty());
    assert_eq!(window.values().keys(), [Key::velocity(2)]);
    // One axis of the last is known, and stays known through one that is tied to it on that axis only.
    let point = |index: u64| (Key::velocity(index), Variable::Vector3(Vector3::zeros()));
    window.insert(point(3).0, point(3).1).unwrap();
    window.add(Box::new(LinearPrior::new(&[point(2)], vec![3.0], vec![1.0, 0.0, 0.0]).unwrap())).unwrap();
    let tie = LinearPrior::new(&[point(2), point(3)], vec![0.0], vec![1.0, 0.0, 0.0, -1.0, 0.0, 0.0]).unwrap();
    window.add(Box::new(tie)).unwrap();
    window.marginalize(&[Key::velocity(2)]).unwrap();
    let [prior] = window.graph().factors() else { panic!("one prior: {:?}", window.graph()) };
    let (residual, jacobian) = linearize_factor(prior.as_ref(), window.values()).unwrap();
    assert_eq!(residual.len(), 1);
    // (x2 + 3)² + (x2 - x3)² with the best x2 is (x3 + 3)² / 2.
    let sign = jacobian[0].signum() / 2f64.sqrt();
    assert!(
        (residual[0] - 3.0 * sign).abs() < 1e-12 && (jacobian[0] - sign).abs() < 1e-12,
        "{residual:?} {jacobian:?}"
    );
    assert!(jacobian[1].abs() < 1e-12 && jacobian[2].abs() < 1e-12, "{jacobian:?}");
}

/// Robust factors keep the weight that they had when they went into the prior.
#[test]
fn a_prior_keeps_robust_weights() {
    let mut window = FixedLag::new(tight());
    let unit = Gaussian::<6>::isotropic(1.0).unwrap();
    for index in 0..2 {
        window.insert(Key::bias(index), Variable::Vector6(Vector6::zeros())).unwrap();
        window.add(Box::new(VectorPriorFactor::new(Key::bias(index), Vector6::zeros(), unit).unwrap())).unwrap();
    }
    let outlier = VectorPriorFactor::new(Key::bias(0), Vector6::x() * 50.0, unit).unwrap();
    window.add(Box::new(outlier.with_robust(RobustKernel::cauchy(1.0).unwrap()))).unwrap();
    let link = VectorBetweenFactor::new(Key::bias(0), Key::bias(1), Vector6::zeros(), unit).unwrap();
    window.add(Box::new(link)).unwrap();
    window.update(50).unwrap();
    let estimate = *window.values().get(Key::bias(1)).unwrap();
    let covariance = window.marginal_covariance(&[Key::bias(1)]).unwrap();
    assert!(difference(&estimate, &Variable::Vector6(Vector6::zeros())) < 0.05, "{estimate:?}");
    window.marginalize(&[Key::bias(0)]).unwrap();
    window.update(50).unwrap();
    // Measured: 2e-9, how far the weights were from their own fixed point.
    let off = difference(&estimate, window.values().get(Key::bias(1)).unwrap());
    assert!(off < 1e-8, "{off:e}");
    let off = relative_difference(&window.marginal_covariance(&[Key::bias(1)]).unwrap(), &covariance);
    assert!(off < 1e-9, "{off:e}");
}

/// Counts what the tests' threads allocate, each on its own.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + u64::from(bytes > 0)));
    let _ = BYTES.try_with(|in_use| in_use.set(in_use.get() + bytes));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_long_run_does_not_grow() {
    // An hour at ten keyframes a second.
    let (lag, updates, period) = (6, 36_000, 50);
    let noise = gaussian(0.1, 0.1);
    let mut random = Noise::seeded(1);
    let mut window = FixedLag::new(Settings::default());
    let mut periods = Vec::with_capacity((updates / period) as usize);
    let mut begin = (0, 0);
    for step in 0..updates {
        if step % period == 0 {
            let now = (ALLOCATIONS.get(), BYTES.get());
            periods.push((now.0 - begin.0, now.1));
            begin = (ALLOCATIONS.get(), BYTES.get());
        }
        let (key, turn) = (Key::pose(step), Vector6::new(0.1, 0.0, 0.0, 0.0, 0.0, 0.1));
        let last = step.checked_sub(1).map(|last| (Key::pose(last), window.values().pose(Key::pose(last)).unwrap()));
        let guess = last.map_or(Se3::identity(), |(_, pose)| pose.retract(&turn));
        window.insert(key, Variable::Pose(guess)).unwrap();
        if let Some((last, _)) = last {
            let motion = random.pose(Se3::exp(&turn), 0.05, 0.05);
            window.add(Box::new(BetweenFactor::new(last, key, motion, noise).unwrap())).unwrap();
        }
        if step % 5 == 0 {
            let fix = random.pose(guess, 0.1, 0.1);
            window.add(Box::new(PriorFactor::new(key, fix, noise).unwrap())).unwrap();
        }
        window.update(3).unwrap();
        let covariance = window.marginal_covariance(&[key]).unwrap();
        assert!(covariance.cholesky().is_some());
        if step >= lag {
            window.marginalize(&[Key::pose(step - lag)]).unwrap();
        }
        assert!(window.values().len() <= lag as usize && window.graph().factors().len() <= 2 * lag as usize);
    }
    let (warm, last) = (periods[4], periods[periods.len() - 1]);
    assert_eq!(warm, last, "allocations in {period} updates and bytes in use after them, then and now");
    assert!(periods[4..].iter().all(|period| *period == warm), "{periods:?}");
}
