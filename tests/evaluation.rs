//! The evaluation room through its public API: a whole report, parity with `evo`, and the real recordings.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nalgebra::{Matrix6, Quaternion, UnitQuaternion, Vector3, Vector6};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use vloc::Stamp;
use vloc::evaluation::trajectory_error::{Alignment, FramePairs, TrajectoryError, absolute, associated, relative};
use vloc::evaluation::{
    Baseline, Evaluation, FrameResult, Latency, Metrics, PoseError, PoseErrorSummary, Provenance, table,
};
use vloc::geometry::{Se3, So3, Trajectory, Vector6 as Twist};
use vloc::sensor::AbsolutePose;

/// A walk around a room, one frame every 100 ms; every fifth frame without an answer, errors as claimed.
fn walk(frames: usize) -> Vec<FrameResult> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let sigmas = Vector6::new(0.05, 0.05, 0.03, 0.01, 0.02, 0.02);
    let frame = |index: usize| {
        let angle = 0.05 * index as f64;
        let position = Vector3::new(3.0 * angle.cos(), 2.0 * angle.sin(), 1.2 + 0.1 * (3.0 * angle).sin());
        let truth = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, angle)), position);
        let stamp = Stamp::from_nanos(1_700_000_000_000_000_000 + 100_000_000 * index as i64);
        let noise = Twist::from_fn(|axis, _| sigmas[axis] * Distribution::<f64>::sample(&StandardNormal, &mut rng));
        let estimate = (index % 5 != 4).then(|| AbsolutePose {
            stamp,
            map_from_camera: truth.retract(&noise),
            covariance: Matrix6::from_diagonal(&sigmas.component_mul(&sigmas)),
        });
        FrameResult { name: format!("frame-{index:06}"), stamp, truth, estimate }
    };
    (0..frames).map(frame).collect()
}

fn evaluation(results: &[FrameResult]) -> Evaluation {
    let shifted = |by: f64| results.iter().map(|result| Some(moved(result.truth, by))).collect();
    Evaluation {
        name: "regressor".into(),
        provenance: Provenance {
            dataset: "walk".into(),
            ground_truth: "exact".into(),
            split: "all frames".into(),
            seed: Some(11),
            commit: None,
            command: "vloc eval".into(),
            model_sha256: None,
        },
        baselines: vec![
            Baseline { name: "retrieval".into(), poses: shifted(0.4) },
            Baseline { name: "oracle".into(), poses: shifted(0.01) },
        ],
        hindsight: None,
        training_path: (0..125).map(|index| moved(walk(1)[0].truth, -0.04 * f64::from(index))).collect(),
        evidence: Vec::new(),
        alignments: Vec::new(),
        latencies: vec![Latency::new("forward pass", "cpu", 2, 1, &[Duration::from_millis(7)]).unwrap()],
        peak_memory: None,
    }
}

fn moved(pose: Se3, metres: f64) -> Se3 {
    Se3::new(pose.rotation, pose.translation + Vector3::new(metres, 0.0, 0.0))
}

#[test]
fn a_report_holds_every_frame_and_every_number() {
    let results = walk(125);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let evaluation = evaluation(&results);
    let metrics = evaluation.write_all(&out, &results).unwrap();
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();

    assert_eq!(read("metrics.json"), serde_json::to_string_pretty(&metrics).unwrap() + "\n");
    let parsed: Metrics = serde_json::from_str(&read("metrics.json")).unwrap();
    assert_eq!((parsed.schema_version, parsed.provenance), (1, evaluation.provenance.clone()));
    assert_eq!((metrics.method.errors.frames, metrics.method.errors.answered), (125, 100));
    let pose = metrics.consistency.unwrap().pose;
    assert!(pose.band_95_low < pose.mean && pose.mean < pose.band_95_high, "{pose:?}");
    assert_eq!(metrics.trajectory.unwrap().ate.pairs, 100);

    let csv = read("frames.csv");
    assert_eq!(csv.lines().count(), 126);
    assert!(csv.lines().all(|line| line.split(',').count() == csv.lines().next().unwrap().split(',').count()));
    assert!(csv.lines().nth(5).unwrap().starts_with("frame-000004,1700000000.400000000,"));
    assert!(csv.lines().nth(5).unwrap().ends_with(",,,,,,,,,,,"));

    assert_eq!(Trajectory::read_tum(&out.join("truth.tum")).unwrap().len(), 125);
    let estimate = Trajectory::read_tum(&out.join("estimate.tum")).unwrap();
    assert_eq!(estimate.len(), 100);
    let expected = results[1].estimate.as_ref().unwrap();
    assert_eq!(estimate.poses()[1].0, expected.stamp);
    assert!(estimate.poses()[1].1.local(expected.map_from_camera).norm() < 1e-8);

    let path = read("trajectory.svg");
    assert!(path.starts_with("<svg") && path.contains("estimate (100 of 125 frames)") && path.contains("x (m)"));
    let curves = read("errors.svg");
    assert!(["regressor", "retrieval", "oracle", "frames below (%)"].iter().all(|text| curves.contains(text)));
    assert_eq!(evaluation.summarize(&results).unwrap(), metrics);
}

#[test]
fn the_table_is_honest_about_lost_comparisons() {
    let results = walk(125);
    let text = table(&evaluation(&results).summarize(&results).unwrap());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("method     answered   median"), "{text}");
    assert!(lines[2].starts_with("regressor   100/125  0.0"), "{text}");
    let retrieval = "retrieval   125/125  0.400 m  0.00°    0.0 %    0.0 %    0.0 %  100.0 %  100.0 %  0.0 %";
    assert_eq!(lines[3], retrieval, "{text}");
    assert!(text.contains("NEES of the position: mean "), "{text}");
    assert!(text.contains("forward pass: median 7.00 ms, p99 7.00 ms (1 times, cpu, 2 threads, batch 1)"), "{text}");
    assert!(text.contains("regressor does not beat oracle in both medians"), "{text}");
}

#[test]
fn hindsight_is_a_row_and_no_rival() {
    let results = walk(125);
    let smoothed = results.iter().map(|result| Some(moved(result.truth, 0.001))).collect();
    let hindsight = Some(Baseline { name: "smoothed".into(), poses: smoothed });
    let metrics = Evaluation { hindsight, ..evaluation(&results) }.summarize(&results).unwrap();
    let names: Vec<&str> = metrics.baselines.iter().map(|baseline| baseline.name.as_str()).collect();
    assert_eq!(names, ["retrieval", "oracle"]);
    let text = table(&metrics);
    assert!(text.contains("\nsmoothed    125/125  0.001 m") && !text.contains("does not beat smoothed"), "{text}");
    let alone = evaluation(&results).summarize(&results).unwrap();
    assert!(alone.hindsight.is_none() && !serde_json::to_string(&alone).unwrap().contains("hindsight"));
}

#[test]
fn a_silent_method_is_reported_and_not_hidden() {
    let mut results = walk(10);
    results.iter_mut().for_each(|result| result.estimate = None);
    let evaluation = evaluation(&results);
    let folder = tempfile::tempdir().unwrap();
    let metrics = evaluation.write_all(folder.path(), &results).unwrap();
    assert_eq!((metrics.method.errors.answered, metrics.method.errors.median_translation_error), (0, None));
    assert_eq!((metrics.trajectory, metrics.consistency), (None, None));
    let text = table(&metrics);
    assert!(text.contains("regressor      0/10        -      -    0.0 %"), "{text}");
}

#[test]
fn results_that_do_not_fit_are_refused() {
    let results = walk(10);
    let mut short = evaluation(&results);
    short.baselines[0].poses.pop();
    let text = short.summarize(&results).unwrap_err().to_string();
    assert_eq!(text, "baseline retrieval: expected 10 poses, found 9");
    let none = Evaluation::default().summarize(&[]).unwrap_err().to_string();
    assert_eq!(none, "pose errors: expected at least one frame, found none; is the test split empty?");
    let mut false_claim = results.clone();
    false_claim[3].estimate.as_mut().unwrap().covariance = Matrix6::zeros();
    let text = evaluation(&results).summarize(&false_claim).unwrap_err().to_string();
    assert!(text.ends_with("found the variance 0 at row 0"), "{text}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = evaluation(&results).write_all(file.path(), &results).unwrap_err().to_string();
    assert!(text.starts_with("cannot create "), "{text}");
}

fn assert_evo_agrees(python: &Path, truth_file: &Path, estimate_file: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/evo_parity.py");
    let output = Command::new(python).args([&script, truth_file, estimate_file]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let evo: HashMap<String, TrajectoryError> = serde_json::from_slice(&output.stdout).unwrap();

    let read = |path: &Path| Trajectory::read_tum(path).unwrap();
    let (truth, estimate) = associated(&read(truth_file), &read(estimate_file), Duration::from_millis(10)).unwrap();
    let ate = |alignment| absolute(&truth, &estimate, alignment).unwrap();
    let rpe = |delta, pairs| relative(&truth, &estimate, delta, pairs).unwrap();
    let ours = [
        ("ate_none", ate(Alignment::None)),
        ("ate_rigid", ate(Alignment::Rigid)),
        ("ate_similarity", ate(Alignment::Similarity)),
        ("rpe_1_consecutive", rpe(1, FramePairs::Consecutive)),
        ("rpe_1_all", rpe(1, FramePairs::All)),
        ("rpe_10_consecutive", rpe(10, FramePairs::Consecutive)),
        ("rpe_10_all", rpe(10, FramePairs::All)),
    ];
    assert_eq!(evo.len(), ours.len());
    for (name, own) in ours {
        let peer = &evo[name];
        assert_eq!(own.pairs, peer.pairs, "{name}");
        for (own, peer) in [(own.translation, peer.translation), (own.rotation, peer.rotation)] {
            let numbers = |s: vloc::evaluation::trajectory_error::ErrorStatistics| {
                [s.rmse, s.mean, s.median, s.std, s.min, s.max]
            };
            let worst = numbers(own).iter().zip(numbers(peer)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-9, "{name}: {own:?} and evo's {peer:?} differ by {worst:e}");
        }
    }
}

#[test]
fn trajectory_errors_equal_those_of_evo() {
    let Some(python) = common::peers_python_for("trajectory_errors_equal_those_of_evo") else { return };
    let folder = tempfile::tempdir().unwrap();
    let results = walk(300);
    evaluation(&results).write_all(folder.path(), &results).unwrap();
    assert_evo_agrees(&python, &folder.path().join("truth.tum"), &folder.path().join("estimate.tum"));
}

#[test]
fn trajectory_errors_on_real_recordings_equal_those_of_evo() {
    let test = "trajectory_errors_on_real_recordings_equal_those_of_evo";
    let (Some(data), Some(python)) = (common::real_data_for(test), common::peers_python_for(test)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (truth_file, estimate_file) = (folder.path().join("truth.tum"), folder.path().join("estimate.tum"));
    let truth = euroc_ground_truth(&data);
    assert_eq!(truth.len(), 2_895);
    truth.write_tum(&truth_file).unwrap();
    drifting(&truth).write_tum(&estimate_file).unwrap();
    assert_evo_agrees(&python, &truth_file, &estimate_file);
    let (truth, estimate) = redkitchen_trajectories(&data, "hloc");
    truth.write_tum(&truth_file).unwrap();
    estimate.write_tum(&estimate_file).unwrap();
    assert_evo_agrees(&python, &truth_file, &estimate_file);
}

/// The flight's `map_from_body`.
fn euroc_ground_truth(data: &Path) -> Trajectory {
    let text = std::fs::read_to_string(data.join("euroc_v101/groundtruth.csv")).unwrap();
    let pose = |line: &str| {
        let (stamp, rest) = line.split_once(',').unwrap();
        let n: Vec<f64> = rest.split(',').map(|word| word.parse().unwrap()).collect();
        let rotation = So3::from_xyzw(n[4], n[5], n[6], n[3]).unwrap();
        (Stamp::from_nanos(stamp.parse().unwrap()), Se3::new(rotation, Vector3::new(n[0], n[1], n[2])))
    };
    Trajectory::new(text.lines().skip(1).map(pose).collect()).unwrap()
}

/// Odometry of a trajectory: another origin, 2 % scale error and a random walk; every third pose, 3 ms late.
fn drifting(truth: &Trajectory) -> Trajectory {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let mut pose = Se3::identity();
    let mut estimate = Trajectory::default();
    for pair in truth.poses().windows(4).step_by(3) {
        let mut motion = pair[0].1.inverse() * pair[3].1;
        motion.translation *= 1.02;
        let noise = Twist::from_fn(|_, _| 2e-3 * Distribution::<f64>::sample(&StandardNormal, &mut rng));
        pose = (pose * motion).retract(&noise);
        estimate.push(pair[3].0 + Duration::from_millis(3), pose).unwrap();
    }
    estimate
}

/// `map_from_camera` by frame name, from lines `name qw qx qy qz tx ty tz ...` that hold camera-from-world.
fn named_poses(path: &Path) -> HashMap<String, Se3> {
    let text = std::fs::read_to_string(path).unwrap();
    let pose = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let n: Vec<f64> = words.map(|word| word.parse().unwrap()).collect();
        let rotation = So3::from_xyzw(n[1], n[2], n[3], n[0]).unwrap();
        Some((name, Se3::new(rotation, Vector3::new(n[4], n[5], n[6])).inverse()))
    };
    text.lines().filter_map(pose).collect()
}

/// Truth and estimate on the 5000 test frames, sorted by name, 30 frames per second.
fn redkitchen_trajectories(data: &Path, method: &str) -> (Trajectory, Trajectory) {
    let truth = named_poses(&data.join("estimates/redkitchen_test_groundtruth.txt"));
    let estimate = named_poses(&data.join(format!("estimates/redkitchen_test_{method}.txt")));
    let mut names: Vec<&String> = truth.keys().collect();
    names.sort();
    assert_eq!(names.len(), 5000);
    let at = |index: usize| Stamp::from_nanos(33_333_333 * index as i64);
    let poses = |of: &HashMap<String, Se3>| {
        let stamped = names.iter().enumerate().filter_map(|(index, name)| Some((at(index), *of.get(*name)?)));
        Trajectory::new(stamped.collect()).unwrap()
    };
    (poses(&truth), poses(&estimate))
}

#[test]
fn posenets_own_errors_are_found_again() {
    let Some(data) = common::real_data_for("posenets_own_errors_are_found_again") else { return };
    // `name x y z qw qx qy qz [position error (m), angular error (deg)]`
    let read = |name: &str| -> HashMap<String, Vec<f64>> {
        let text = std::fs::read_to_string(data.join("estimates").join(name)).unwrap();
        let numbers = |line: &str| {
            let (name, rest) = line.split_once(' ').unwrap();
            (name.to_owned(), rest.split_whitespace().map(|word| word.parse().unwrap()).collect())
        };
        text.lines().skip(3).map(numbers).collect()
    };
    let pose = |n: &[f64]| {
        let rotation = UnitQuaternion::from_quaternion(Quaternion::new(n[3], n[4], n[5], n[6]));
        Se3::new(So3::from_quaternion(rotation), Vector3::new(n[0], n[1], n[2]))
    };
    let truth = read("kings_college_posenet_dataset_test.txt");
    let predicted = read("kings_college_posenet_dataset_test_predict.txt");
    let mut errors = Vec::new();
    for (name, numbers) in &predicted {
        let error = PoseError::of(pose(&truth[name]), Some(pose(numbers)));
        assert!((error.translation - numbers[7]).abs() < 1e-3, "{name}: {error:?} and {}", numbers[7]);
        assert!((error.rotation.to_degrees() - numbers[8]).abs() < 0.02, "{name}: {error:?} and {}", numbers[8]);
        errors.push(error);
    }
    let summary = PoseErrorSummary::new(&errors).unwrap();
    println!("PoseNet on King's College: {summary:?}");
    assert_eq!((summary.frames, summary.answered), (predicted.len(), predicted.len()));
}

#[test]
fn structure_based_methods_on_redkitchen_are_as_good_as_published() {
    let Some(data) = common::real_data_for("structure_based_methods_on_redkitchen_are_as_good_as_published") else {
        return;
    };
    let truth = named_poses(&data.join("estimates/redkitchen_test_groundtruth.txt"));
    let median = |method: &str| {
        let estimates = named_poses(&data.join(format!("estimates/redkitchen_test_{method}.txt")));
        let errors: Vec<_> =
            truth.iter().map(|(name, truth)| PoseError::of(*truth, estimates.get(name).copied())).collect();
        let summary = PoseErrorSummary::new(&errors).unwrap();
        println!("{method}: {summary:?}");
        (summary.median_translation_error.unwrap(), summary.median_rotation_error.unwrap())
    };
    for method in ["hloc", "as", "dsac_rgb"] {
        let (metres, degrees) = median(method);
        assert!(metres < 0.06 && degrees < 2.0, "{method}: {metres} m, {degrees} degrees");
    }
}
