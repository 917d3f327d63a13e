//! Is the estimator's covariance true? Simulated walks with every kind of factor (absolute and relative poses, IMU, wheel
//! odometry), whose noise is the one that the estimator is told; at each instant the normalized error squared (NEES) of
//! the pose, averaged over the runs, belongs inside the 95 % band of a chi-square variable with 6 N degrees of freedom,
//! divided by N (Bar-Shalom, Li & Kirubarajan 2001, section 5.4).
//!
//! `cargo bench --no-default-features --bench honesty -- [--runs 1000] [--seconds 60] [--first 1]
//! [--out out/honesty] [--without imu,odometry,relative] [--set parameter=value]...`: `--first` is the seed of the first
//! walk, `--set` changes a parameter of the estimator.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/localizer.rs"]
mod localizer;
#[path = "../common/robot.rs"]
mod robot;

use std::path::{Path, PathBuf};

use localizer::{Fused, Localizer, frame_results};
use nalgebra::{Matrix3, Vector6};
use rayon::prelude::*;
use robot::{Measurement, Setup, Walk, at, drive, estimator};
use vloc::config::EstimatorConfig;
use vloc::estimator::{OdometryNoise, PoseEstimate, Rejection};
use vloc::evaluation::consistency::chi_square_quantile;
use vloc::evaluation::fusion_plots::{error_over_time, fused_trajectory, nees_histogram};
use vloc::evaluation::{FrameResult, NeesSummary};
use vloc::geometry::PoseCovariance;
use vloc::progress::Progress;
use vloc::sensor::AbsolutePose;
use vloc::synth::ImuErrors;

/// Seconds between the instants at which the runs are compared.
const BETWEEN_INSTANTS: f64 = 5.0;
/// Wheel odometry of a calibrated robot.
const ODOMETRY: OdometryNoise =
    OdometryNoise { translation_per_metre: 0.01, rotation_per_radian: 0.01, rotation_per_metre: 0.005 };

struct Arguments {
    runs: u64,
    seconds: f64,
    first: u64,
    out: PathBuf,
    without: Vec<String>,
    parameters: Vec<(String, String)>,
}

impl Arguments {
    fn parse() -> Self {
        let mut arguments = Self {
            runs: 1000,
            seconds: 60.0,
            first: 1,
            out: PathBuf::from("out/honesty"),
            without: Vec::new(),
            parameters: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word}: expected a value"));
            match word.as_str() {
                // What `cargo bench` says to every benchmark.
                "--bench" => {}
                "--runs" => arguments.runs = value().parse().expect("--runs: expected a count"),
                "--seconds" => arguments.seconds = value().parse().expect("--seconds: expected a number"),
                "--first" => arguments.first = value().parse().expect("--first: expected a seed"),
                "--out" => arguments.out = PathBuf::from(value()),
                "--without" => arguments.without = value().split(',').map(str::to_owned).collect(),
                "--set" => {
                    let assignment = value();
                    let (key, value) = assignment.split_once('=').expect("--set: expected parameter=value");
                    arguments.parameters.push((key.to_owned(), value.to_owned()));
                }
                _ => panic!("expected --runs, --seconds, --first, --out, --without or --set, found {word}"),
            }
        }
        arguments
    }

    fn setup(&self, seed: u64) -> Setup {
        let has = |sensor: &str| !self.without.iter().any(|without| without == sensor);
        Setup {
            seed,
            // The last instant has its image.
            seconds: self.seconds + 0.1,
            imu: has("imu").then_some(ImuErrors::EUROC),
            white_odometry: has("odometry").then_some(ODOMETRY),
            relative: has("relative").then_some(0.02),
            ..Setup::default()
        }
    }

    /// What the estimator is told: the noise as it is simulated.
    fn config(&self) -> EstimatorConfig {
        let errors = ImuErrors::EUROC;
        let config = EstimatorConfig {
            correlation_time: 0.0,
            memory: f64::INFINITY,
            odometry_translation: ODOMETRY.translation_per_metre,
            odometry_rotation: ODOMETRY.rotation_per_radian,
            odometry_drift: ODOMETRY.rotation_per_metre,
            gyroscope_noise_density: errors.noise.gyroscope_noise_density,
            gyroscope_random_walk: errors.noise.gyroscope_random_walk,
            accelerometer_noise_density: errors.noise.accelerometer_noise_density,
            accelerometer_random_walk: errors.noise.accelerometer_random_walk,
            gyroscope_bias: errors.gyroscope_bias,
            accelerometer_bias: errors.accelerometer_bias,
            ..EstimatorConfig::default()
        };
        let mut parameters: serde_yaml::Mapping =
            serde_yaml::from_value(serde_yaml::to_value(config).unwrap()).unwrap();
        for (key, value) in &self.parameters {
            parameters.insert(key.as_str().into(), serde_yaml::from_str(value).expect("--set: expected a value"));
        }
        serde_yaml::from_value(parameters.into()).expect("--set: expected a parameter of the estimator")
    }
}

/// What came of a walk.
struct Run {
    estimates: Vec<PoseEstimate>,
    gated: u64,
}

fn run(walk: &Walk, setup: &Setup, config: &EstimatorConfig) -> Run {
    let mut estimator = estimator(walk, setup, config.clone());
    let estimates = drive(walk, &mut estimator);
    Run { estimates, gated: estimator.rejections().of(Rejection::Gated) }
}

/// Normalized errors squared of one estimate.
#[derive(Clone, Copy)]
struct Nees {
    pose: f64,
    position: f64,
    rotation: f64,
}

impl Nees {
    fn of(estimate: &PoseEstimate, walk: &Walk) -> Self {
        let error = estimate.map_from_base.local(walk.map_from_base(estimate.stamp));
        let matrix = estimate.covariance.matrix();
        let part = |start: usize| {
            let block: Matrix3<f64> = matrix.fixed_view::<3, 3>(start, start).into();
            let error = error.fixed_rows::<3>(start);
            error.dot(&block.cholesky().unwrap().solve(&error))
        };
        Self { pose: squared(&estimate.covariance, &error), position: part(0), rotation: part(3) }
    }
}

fn squared(covariance: &PoseCovariance, error: &Vector6<f64>) -> f64 {
    covariance.squared_mahalanobis(error).unwrap()
}

fn main() {
    let arguments = Arguments::parse();
    let config = arguments.config();
    let instants: Vec<f64> =
        (1..).map(|index| BETWEEN_INSTANTS * f64::from(index)).take_while(|at| *at <= arguments.seconds).collect();
    let steps = Progress::automatic().steps("walks", arguments.runs);
    let one = |seed: u64| {
        let setup = arguments.setup(seed);
        let walk = Walk::new(&setup);
        let run = run(&walk, &setup, &config);
        let at_instant = |instant: &f64| run.estimates.iter().find(|estimate| estimate.stamp == at(*instant));
        let nees: Vec<Option<Nees>> =
            instants.iter().map(|instant| at_instant(instant).map(|estimate| Nees::of(estimate, &walk))).collect();
        steps.advance(1);
        (nees, run.gated)
    };
    let runs: Vec<(Vec<Option<Nees>>, u64)> =
        (arguments.first..arguments.first + arguments.runs).into_par_iter().map(one).collect();
    drop(steps);
    print_table(&instants, &runs);
    let nees: Vec<f64> = runs.iter().flat_map(|(nees, _)| nees.iter().flatten()).map(|nees| nees.pose).collect();
    std::fs::create_dir_all(&arguments.out).unwrap();
    let (raw, fused) = walk_results(&arguments.setup(arguments.first), &config);
    draw(&arguments.out, "simulated", &raw, &fused, &nees);
    if let Some(data) = common::real_data_for("pictures of redkitchen") {
        draw_kitchen(&data, &arguments.out);
    }
}

/// The fixes and the fused answers of one walk, as poses of the camera.
fn walk_results(setup: &Setup, config: &EstimatorConfig) -> (Vec<FrameResult>, Vec<FrameResult>) {
    let walk = Walk::new(setup);
    let run = run(&walk, setup, config);
    let base_from_camera = walk.pass.rig.base_from_camera;
    let fixes = walk.events.iter().filter_map(|(_, measurement)| match measurement {
        Measurement::Absolute(fix) => Some(fix.clone()),
        _ => None,
    });
    let results = fixes.map(|fix| {
        let (stamp, truth) = (fix.stamp, walk.map_from_camera(fix.stamp));
        let result = |estimate| FrameResult { name: stamp.to_string(), stamp, truth, estimate };
        let answer = run.estimates.iter().find(|estimate| estimate.stamp == stamp).map(|estimate| AbsolutePose {
            stamp,
            map_from_camera: estimate.map_from_base * base_from_camera,
            covariance: estimate.covariance.composed_with(base_from_camera).matrix(),
        });
        (result(Some(fix)), result(answer))
    });
    results.unzip()
}

/// The first sequence of *redkitchen* in pictures, hloc calibrated on the others, and the NEES of all sequences.
fn draw_kitchen(data: &Path, out: &Path) {
    let localizer = Localizer::kitchen(data, "hloc");
    let fused: Vec<Fused> = localizer.leave_one_out(0);
    let nees: Vec<f64> =
        fused.iter().flat_map(|fused| fused.answers.iter().flatten()).map(|answer| answer.nees()).collect();
    let (raw, answers) = frame_results(&localizer, &fused[0]);
    draw(out, "redkitchen_hloc", &raw, &answers, &nees);
}

fn draw(out: &Path, name: &str, raw: &[FrameResult], fused: &[FrameResult], nees: &[f64]) {
    let write = |kind: &str, svg: String| std::fs::write(out.join(format!("{name}_{kind}.svg")), svg).unwrap();
    write("trajectory", fused_trajectory(raw, fused).unwrap());
    write("errors", error_over_time(fused).unwrap());
    write("nees", nees_histogram(nees).unwrap());
}

fn print_table(instants: &[f64], runs: &[(Vec<Option<Nees>>, u64)]) {
    let count = runs.len() as f64;
    let [low, high] = [0.025, 0.975].map(|share| chi_square_quantile(share, 6.0 * count).unwrap() / count);
    println!("{} walks, {} fixes gated", runs.len(), runs.iter().map(|(_, gated)| gated).sum::<u64>());
    println!("mean NEES of the pose over the walks, 95 % band of a true covariance {low:.3} .. {high:.3}");
    println!("    t (s)   pose (6)        position (3)   rotation (3)   within 90 %   answers");
    let mut inside = 0;
    let mut all = Vec::new();
    for (index, instant) in instants.iter().enumerate() {
        let nees: Vec<Nees> = runs.iter().filter_map(|(nees, _)| nees[index]).collect();
        let pose: Vec<f64> = nees.iter().map(|nees| nees.pose).collect();
        let mean = |part: fn(&Nees) -> f64| nees.iter().map(part).sum::<f64>() / nees.len() as f64;
        let summary = NeesSummary::new(&pose, 6).unwrap();
        let is_inside = (summary.band_95_low..summary.band_95_high).contains(&summary.mean);
        inside += usize::from(is_inside);
        println!(
            "{instant:9.1} {:10.3} {:7} {:10.3} {:14.3} {:13.3} {:9}",
            summary.mean,
            if is_inside { "inside" } else { "outside" },
            mean(|nees| nees.position),
            mean(|nees| nees.rotation),
            summary.coverage_90,
            nees.len()
        );
        all.extend(pose);
    }
    // Neighbouring instants of a walk are alike: the walks are what is independent.
    let of_run = |nees: &[Option<Nees>]| {
        nees.iter().flatten().map(|nees| nees.pose).sum::<f64>() / nees.iter().flatten().count() as f64
    };
    let means: Vec<f64> = runs.iter().map(|(nees, _)| of_run(nees)).collect();
    let mean = means.iter().sum::<f64>() / count;
    let variance = means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let summary = NeesSummary::new(&all, 6).unwrap();
    println!(
        "all instants: {:.3} (standard error over the walks {:.3}), within 50 % {:.3}, 90 % {:.3}, 95 % {:.3}; {inside} \
         of {} instants inside the band",
        summary.mean,
        (variance / count).sqrt(),
        summary.coverage_50,
        summary.coverage_90,
        summary.coverage_95,
        instants.len()
    );
}
