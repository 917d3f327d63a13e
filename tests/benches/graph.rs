//! Optimizes g2o files on one thread and prints a JSON line for each: what came of it and the times of the best of
//! three runs. `tests/peers/graph_versus_gtsam.py` reads them.
//!
//! `cargo bench --no-default-features --bench graph -- [--method lm|gn|dogleg] [--chordal] [--fresh] [--relative X] [--absolute X]
//! FILE.g2o...`
//! With `--window` instead of a file it times a window of 40 keyframes (pose, velocity, biases), optimized again and again
//! from perturbed values, as a fixed-lag smoother does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

use std::path::Path;
use std::time::{Duration, Instant};

use nalgebra::{Vector3, Vector6};
use vloc::geometry::Se3;
use vloc::graph::{
    BetweenFactor, FactorGraph, G2o, Gaussian, Key, Method, Optimizer, PriorFactor, Settings, Values, Variable,
    VectorBetweenFactor, VectorPriorFactor, chordal_initialization,
};

fn main() {
    let (mut settings, mut chordal) = (Settings::default(), false);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().unwrap().parse().unwrap();
        match argument.as_str() {
            "--chordal" => chordal = true,
            "--window" => measure_window(settings),
            "--fresh" => settings.reuse_factorization = false,
            "--relative" => settings.relative_error_decrease = number(),
            "--absolute" => settings.absolute_error_decrease = number(),
            "--method" => {
                settings.method = match arguments.next().unwrap().as_str() {
                    "lm" => Method::LevenbergMarquardt,
                    "gn" => Method::GaussNewton,
                    "dogleg" => Method::DogLeg,
                    other => panic!("--method: expected lm, gn or dogleg, found {other}"),
                }
            }
            file => measure(Path::new(file), settings, chordal),
        }
    }
}

/// Three runs, each with an optimizer of its own: the first optimization of a structure is what is timed.
fn measure(path: &Path, settings: Settings, chordal: bool) {
    let file = G2o::read(path).unwrap();
    let (graph, start) = file.to_graph().unwrap();
    let runs = (0..3).map(|_| {
        let begin = Instant::now();
        let mut values = if chordal { chordal_initialization(&graph, &start).unwrap() } else { start.clone() };
        let chordal_time = begin.elapsed();
        let begin = Instant::now();
        let report = Optimizer::new(settings).optimize(&graph, &mut values).unwrap();
        (begin.elapsed(), chordal_time, report)
    });
    let (time, chordal_time, report) = runs.min_by_key(|(time, ..)| *time).unwrap();
    let seconds = |duration: Duration| duration.as_secs_f64();
    let line = serde_json::json!({
        "file": path.file_stem().unwrap().to_string_lossy(),
        "method": format!("{:?}", settings.method),
        "initial_error": report.initial_error,
        "final_error": report.final_error,
        "iterations": report.iterations,
        "factorizations": report.factorizations,
        "stop": report.stop.to_string(),
        "seconds": seconds(time),
        "chordal_seconds": chordal.then(|| seconds(chordal_time)),
        "structure": seconds(report.structure_time),
        "linearize": seconds(report.linearize_time),
        "factorize": seconds(report.factorize_time),
        "solve": seconds(report.solve_time),
        "error": seconds(report.error_time),
    });
    println!("{line}");
}

/// Times of three iterations of a window of keyframes and of the newest pose's covariance.
fn measure_window(settings: Settings) {
    let (graph, start) = window(40);
    let newest = *start.keys().last().unwrap();
    let mut optimizer = Optimizer::new(Settings { max_iterations: 3, ..settings });
    let mut times: Vec<(Duration, Duration)> = (0..1000)
        .map(|_| {
            let mut values = start.clone();
            let begin = Instant::now();
            optimizer.optimize(&graph, &mut values).unwrap();
            let optimized = begin.elapsed();
            optimizer.marginals(&graph, &values).unwrap().covariance(newest).unwrap();
            (optimized, begin.elapsed() - optimized)
        })
        .collect();
    times.sort();
    let (optimize, marginal) = times[times.len() / 2];
    let line = serde_json::json!({
        "window": 40,
        "unknowns": 40 * 15,
        "optimize_median": optimize.as_secs_f64(),
        "optimize_p99": times[times.len() * 99 / 100].0.as_secs_f64(),
        "marginal": marginal.as_secs_f64(),
    });
    println!("{line}");
}

/// Keyframes with absolute and relative poses, velocities and biases.
fn window(keyframes: u64) -> (FactorGraph, Values) {
    let (mut graph, mut values) = (FactorGraph::new(), Values::new());
    let six = |sigma: f64| Gaussian::<6>::isotropic(sigma).unwrap();
    let three = |sigma: f64| Gaussian::<3>::isotropic(sigma).unwrap();
    for index in 0..keyframes {
        let at = index as f64;
        let pose = Se3::exp(&Vector6::new(0.3 * at, 0.1 * at, 0.0, 0.0, 0.05, 0.03 * at));
        let off = 0.05 * Vector6::from_fn(|axis, _| (1.7 * at + axis as f64).sin());
        values.insert_pose(Key::pose(index), pose.retract(&off)).unwrap();
        values.insert(Key::velocity(index), Variable::Vector3(Vector3::x())).unwrap();
        values.insert(Key::bias(index), Variable::Vector6(Vector6::repeat(0.01))).unwrap();
        graph.add(PriorFactor::new(Key::pose(index), pose.retract(&(0.5 * off)), six(0.1)).unwrap());
        graph.add(VectorPriorFactor::new(Key::velocity(index), Vector3::zeros(), three(1.0)).unwrap());
        graph.add(VectorPriorFactor::new(Key::bias(index), Vector6::zeros(), six(0.1)).unwrap());
        if let Some(before) = index.checked_sub(1) {
            let step = values.pose(Key::pose(before)).unwrap().inverse() * pose;
            graph.add(BetweenFactor::new(Key::pose(before), Key::pose(index), step, six(0.02)).unwrap());
            let (from, to) = (Key::velocity(before), Key::velocity(index));
            graph.add(VectorBetweenFactor::new(from, to, Vector3::zeros(), three(0.1)).unwrap());
            let (from, to) = (Key::bias(before), Key::bias(index));
            graph.add(VectorBetweenFactor::new(from, to, Vector6::zeros(), six(0.01)).unwrap());
        }
    }
    (graph, values)
}
