//! Optimizes g2o files on one thread and prints a JSON line for each: what came of it and the times of the best of
//! three runs. `tests/peers/graph_versus_gtsam.py` reads them.
//!
//! `cargo bench --no-default-features --bench graph -- [--method lm|gn|dogleg] [--chordal] [--fresh] [--relative X] [--absolute X]
//! FILE.g2o...`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

use std::path::Path;
use std::time::{Duration, Instant};

use vloc::graph::{G2o, Method, Optimizer, Settings, chordal_initialization};

fn main() {
    let (mut settings, mut chordal) = (Settings::default(), false);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().unwrap().parse().unwrap();
        match argument.as_str() {
            "--chordal" => chordal = true,
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
