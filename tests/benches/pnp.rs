//! Poses from points and pixels on one thread, half of the points wrong, and the same from where the camera is expected, 3 cm and
//! 2 deg off: errors and times, a JSON line per size of the
//! problem. `tests/peers/pnp_versus_opencv.py` reads them, and the problems.
//!
//! `cargo bench --no-default-features --bench pnp_speed [-- FOLDER]`: with a folder the problems are left in it, a file `COUNT.f64` of
//! rows u, v, x, y, z (pixels, metres; little endian) of one problem after the other, and `COUNT.json` with the true
//! `map_from_camera` of each (row by row).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

use std::path::Path;
use std::time::Instant;

use nalgebra::Vector3;
use vloc::geometry::{Se3, So3};
use vloc::pnp::{PnpConfig, PoseSolver};

#[path = "../common/points.rs"]
mod points;

use points::{Scene, scene};

/// Points of a problem: few, and a cell of eight by eight pixels each of an image of 640x480.
const COUNTS: [usize; 3] = [200, 1000, 4800];
const PROBLEMS: u64 = 200;
const NOISE: f64 = 1.0;
const OUTLIERS: f64 = 0.5;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| argument != "--bench");
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for count in COUNTS {
        let problems: Vec<Scene> = (0..PROBLEMS).map(|seed| scene(count, NOISE, OUTLIERS, seed)).collect();
        if let Some(folder) = &folder {
            write(Path::new(folder), count, &problems);
        }
        one_thread.install(|| measure(count, &problems));
    }
}

/// How a hand-held camera moves between two images: 3 cm and 2 deg.
fn moved() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(0.02, -0.025, 0.015)), Vector3::new(0.02, 0.02, -0.01))
}

fn measure(count: usize, problems: &[Scene]) {
    let solver = PoseSolver::new(PnpConfig::default()).unwrap();
    let (mut times, mut near, mut metres, mut degrees) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (seed, problem) in (0..).zip(problems) {
        let begin = Instant::now();
        let found = solver.solve(&problem.camera, &problem.correspondences, seed).unwrap();
        times.push(begin.elapsed().as_secs_f64());
        let between = found.map_from_camera.inverse() * problem.map_from_camera;
        let begin = Instant::now();
        let expected = problem.map_from_camera * moved();
        let again = solver.solve_near(&expected, &problem.camera, &problem.correspondences, seed).unwrap();
        near.push(begin.elapsed().as_secs_f64());
        assert!(again.expected, "problem {seed} was searched for a pose");
        metres.push(between.translation.norm());
        degrees.push(between.rotation.angle().to_degrees());
    }
    let line = serde_json::json!({
        "points": count, "problems": problems.len(), "seconds": median(times), "seconds_near": median(near), "metres": median(metres),
        "degrees": median(degrees),
    });
    println!("{line}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn write(folder: &Path, count: usize, problems: &[Scene]) {
    std::fs::create_dir_all(folder).unwrap();
    let row = |c: &vloc::pnp::Correspondence| [c.pixel.x, c.pixel.y, c.point.x, c.point.y, c.point.z];
    let numbers = problems.iter().flat_map(|problem| &problem.correspondences).flat_map(row);
    std::fs::write(folder.join(format!("{count}.f64")), numbers.flat_map(f64::to_le_bytes).collect::<Vec<u8>>())
        .unwrap();
    let pose = |problem: &Scene| problem.map_from_camera.matrix().transpose().as_slice().to_vec();
    let poses: Vec<Vec<f64>> = problems.iter().map(pose).collect();
    std::fs::write(folder.join(format!("{count}.json")), serde_json::to_string(&poses).unwrap()).unwrap();
}
