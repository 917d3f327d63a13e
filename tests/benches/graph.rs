//! Optimizes g2o files and prints one JSON line each: error, iterations, stop reason and times of the best of three.
//! `cargo bench --no-default-features --bench graph -- [--method lm|gn|dogleg] FILE.g2o...`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

use std::path::Path;
use std::time::Instant;

use vloc::graph::{G2o, Method, Optimizer, Settings};

fn main() {
    let mut settings = Settings::default();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--method" => {
                settings.method = match arguments.next().unwrap().as_str() {
                    "gn" => Method::GaussNewton,
                    "dogleg" => Method::DogLeg,
                    _ => Method::LevenbergMarquardt,
                }
            }
            file => measure(Path::new(file), settings),
        }
    }
}

fn measure(path: &Path, settings: Settings) {
    let file = G2o::read(path).unwrap();
    for _ in 0..3 {
        let (graph, start) = file.to_graph().unwrap();
        let begin = Instant::now();
        let mut values = start.clone();
        let mut optimizer = Optimizer::new(settings);
        let report = optimizer.optimize(&graph, &mut values).unwrap();
        let whole = begin.elapsed();
        println!("{} {:?} {report:?}", path.display(), whole);
    }
}
