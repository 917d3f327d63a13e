//! Reports: what they draw is what was measured, they are self-contained, and a browser shows them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
#[path = "common/alone.rs"]
mod alone;
mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use image::{Rgb, RgbImage};
use nalgebra::{Matrix6, Vector3, Vector6};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use vloc::Stamp;
use vloc::evaluation::report::{
    Beliefs, CloudPoint, Embedded, Exhibit, FrameSet, Heat, Run, Said, SaidPose, SaidState, SaliencyExhibit,
    Unanswered, compared, embedding, evaluated, live, points, saliency, worst, worst_frames,
};
use vloc::evaluation::{Baseline, Evaluation, FrameResult, Latency, Metrics, PoseError, Provenance};
use vloc::geometry::{Se3, So3, Vector6 as Twist};
use vloc::pnp::{Evidence, FocalCheck};
use vloc::sensor::AbsolutePose;

/// A frame's name that is none for HTML, CSV or a shell.
const AWKWARD: &str = "<img src=\"x\">, 'it' & \"that\"";

/// A walk around a room, one frame every 100 ms; every fifth frame without an answer, errors `scale` times as claimed.
fn walk(frames: usize, scale: f64) -> Vec<FrameResult> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let frame = |index: usize| {
        let angle = 0.05 * index as f64;
        let position = Vector3::new(3.0 * angle.cos(), 2.0 * angle.sin(), 1.2);
        let truth = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, angle)), position);
        let stamp = Stamp::from_nanos(1_700_000_000_000_000_000 + 100_000_000 * index as i64);
        let sigmas = (1.0 + angle.sin().powi(2)) * Vector6::new(0.05, 0.05, 0.03, 0.01, 0.02, 0.02);
        let noise =
            Twist::from_fn(|axis, _| scale * sigmas[axis] * Distribution::<f64>::sample(&StandardNormal, &mut rng));
        let estimate = (index % 5 != 4).then(|| AbsolutePose {
            stamp,
            map_from_camera: truth.retract(&noise),
            covariance: Matrix6::from_diagonal(&sigmas.component_mul(&sigmas)),
        });
        let name = if index == 7 { AWKWARD.to_owned() } else { format!("frame-{index:06}") };
        FrameResult { name, stamp, truth, estimate }
    };
    (0..frames).map(frame).collect()
}

fn evaluation(name: &str, results: &[FrameResult]) -> Evaluation {
    let shifted = |by: f64| {
        let moved = |pose: Se3| Se3::new(pose.rotation, pose.translation + Vector3::new(by, 0.0, 0.0));
        results.iter().map(|result| Some(moved(result.truth))).collect()
    };
    let durations: Vec<Duration> =
        (0..200).map(|index| Duration::from_micros(7000 + 17 * (index * index % 97))).collect();
    Evaluation {
        name: name.into(),
        provenance: Provenance {
            dataset: "walk".into(),
            ground_truth: "exact".into(),
            split: "all frames".into(),
            command: format!("vloc eval --out '{AWKWARD}'"),
            ..Provenance::default()
        },
        baselines: vec![
            Baseline { name: "retrieval".into(), poses: shifted(0.4) },
            Baseline { name: "oracle".into(), poses: shifted(0.01) },
        ],
        hindsight: None,
        training_path: results.iter().map(|result| result.truth.retract(&Twist::repeat(0.05))).collect(),
        evidence: Vec::new(),
        alignments: Vec::new(),
        latencies: vec![Latency::new("network", "cpu", 1, 1, &durations).unwrap()],
        peak_memory: None,
    }
}

/// The answers of a walk as a model of points measured them: the more points agree, the less they err.
fn measured(name: &str, results: &[FrameResult]) -> Evaluation {
    let evidence = |result: &FrameResult| {
        let agreeing = 1000.0 / (1.0 + 5.0 * result.error().translation);
        result.estimate.as_ref().map(|_| Evidence {
            asked: 1200,
            inliers: agreeing as usize,
            residual: 2.5,
            focal: FocalCheck { scale: 0.99, sigma: 0.01 },
            expected: false,
        })
    };
    Evaluation {
        evidence: results.iter().map(evidence).collect(),
        peak_memory: Some(300 << 20),
        ..evaluation(name, results)
    }
}

/// The walls of the walk's room, some points far beyond them, and two of the frames without an answer.
fn beliefs(results: &[FrameResult]) -> Beliefs {
    let wall = |step: i32| {
        let angle = 0.01 * f64::from(step);
        let far = if step % 100 == 0 { 50.0 } else { 1.0 };
        let position = Vector3::new(4.0 * far * angle.cos(), 3.0 * far * angle.sin(), 1.0);
        CloudPoint { position, colour: [(step % 256) as u8, 90, 200] }
    };
    let silent = results.iter().filter(|result| result.estimate.is_none()).take(2);
    let unanswered = silent.map(|result| Unanswered {
        name: result.name.clone(),
        reason: format!("1200 cells asked, 17 points agree, 60 are needed {AWKWARD}"),
        query: RgbImage::new(64, 48),
        nearest: Some((AWKWARD.to_owned(), RgbImage::new(64, 48), PoseError { translation: 0.2, rotation: 0.1 })),
    });
    Beliefs { cloud: (0..628).map(wall).collect(), images: 4, unanswered: unanswered.collect() }
}

/// A report with every section that there is.
fn write_full_report(folder: &Path, results: &[FrameResult]) {
    let photo = |index: usize| RgbImage::from_fn(64, 48, |x, y| Rgb([(4 * x) as u8, (5 * y) as u8, (9 * index) as u8]));
    let near = PoseError { translation: 0.2, rotation: 0.1 };
    let exhibit = |index: usize| Exhibit {
        name: results[index].name.clone(),
        error: results[index].error(),
        query: photo(index),
        nearest: index.is_multiple_of(2).then(|| (AWKWARD.to_owned(), photo(index + 1), near)),
    };
    let exhibits: Vec<Exhibit> = worst(results, 10).into_iter().map(exhibit).collect();
    let heat = |power: i32| {
        let value = |index: usize| f64::from((index % 64) as u32).powi(power);
        Heat { width: 64, height: 48, values: (0..64 * 48).map(value).collect() }
    };
    let looked_at = SaliencyExhibit {
        name: AWKWARD.into(),
        reason: "the best answer".into(),
        error: near,
        pixels: photo(3),
        translation: heat(1),
        rotation: heat(3),
    };
    let embedded = |index: usize| Embedded {
        name: results[index].name.clone(),
        set: if index.is_multiple_of(2) { FrameSet::Training } else { FrameSet::Test },
        progress: index as f64 / results.len() as f64,
        vector: (0..16).map(|axis| (0.05 * (index * (axis + 1)) as f64).sin()).collect(),
    };
    let vectors: Vec<Embedded> = (0..results.len()).map(embedded).collect();
    let mut report = evaluated(&evaluation("regressor", results), results).unwrap();
    report.sections.extend([
        points(&measured("regressor", results), results, &beliefs(results)).unwrap(),
        worst_frames(&exhibits).unwrap(),
        saliency(&[looked_at]).unwrap(),
        embedding(&vectors).unwrap(),
        live(&said(results)).unwrap(),
    ]);
    report.write(folder).unwrap();
}

fn said(results: &[FrameResult]) -> Said {
    let pose = |result: &FrameResult| {
        let estimate = result.estimate.as_ref()?;
        Some(SaidPose { stamp: result.stamp, position: estimate.map_from_camera.translation, sigmas: [0.1, 0.02] })
    };
    let state = |(index, result): (usize, &FrameResult)| SaidState {
        stamp: result.stamp,
        state: if index < 20 { "converging" } else { "tracking" }.into(),
        since: results[if index < 20 { 0 } else { 20 }].stamp,
        refused: BTreeMap::from([("estimator: gated".to_owned(), index as u64 / 7)]),
    };
    Said { poses: results.iter().filter_map(pose).collect(), states: results.iter().enumerate().map(state).collect() }
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The numbers of a column, whose fields hold no separators.
fn column(text: &str, name: &str) -> Vec<f64> {
    let place = text.lines().next().unwrap().split(',').rev().position(|head| head == name).unwrap();
    // From the right: names with separators stand on the left.
    text.lines().skip(1).filter_map(|line| line.rsplit(',').nth(place)?.parse().ok()).collect()
}

#[test]
fn what_is_drawn_is_what_was_measured() {
    let results = walk(125, 1.0);
    let folder = tempfile::tempdir().unwrap();
    write_full_report(folder.path(), &results);
    let metrics = evaluation("regressor", &results).summarize(&results).unwrap();
    let csv = |name: &str| read(folder.path(), name);

    assert_eq!(column(&csv("nees.csv"), "count").iter().sum::<f64>(), 100.0, "every answer is in a bar");
    assert_eq!(column(&csv("latency_histogram.csv"), "count").iter().sum::<f64>(), 200.0, "every duration is in a bar");
    assert_eq!(csv("embedding.csv").lines().count(), 126);
    assert_eq!(csv("worst_frames.csv").lines().count(), 11);
    assert_eq!(column(&csv("error_against_sigma.csv"), "sigma_translation_m").len(), 100);

    // The median of the curve is that of the table and of metrics.json.
    let errors = csv("errors.csv");
    let own: String = errors
        .lines()
        .filter(|line| line.starts_with("method,") || line.starts_with("regressor,"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(own.lines().count(), 126, "one row per frame, answered or not");
    let mut translation = column(&own, "translation_error_m");
    assert_eq!(translation.len(), 100, "no error without an answer");
    translation.sort_by(f64::total_cmp);
    let median = metrics.method.errors.median_translation_error.unwrap();
    assert!((translation[62] - median).abs() < 1e-6, "{} of 125 frames, {median}", translation[62]);
    let table = csv("summary.csv");
    assert_eq!(table.lines().count(), 4);
    assert!(table.lines().nth(1).unwrap().starts_with(&format!("regressor,100/125,{median:.3},")), "{table}");

    for name in ["trajectory_errors", "errors", "error_over_time", "error_against_sigma", "nees", "latency_histogram"] {
        let svg = read(folder.path(), &format!("{name}.svg"));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
    }
}

#[test]
fn what_poses_stand_on_is_drawn_as_it_was_measured() {
    let results = walk(125, 1.0);
    let folder = tempfile::tempdir().unwrap();
    write_full_report(folder.path(), &results);
    let csv = |name: &str| read(folder.path(), name);
    let head = |name: &str| csv(name).lines().next().unwrap().to_owned();
    assert_eq!(head("points_over_time.csv"), "name,stamp,asked,agreeing,residual_px");
    assert_eq!(csv("points_over_time.csv").lines().count(), 126, "one row per frame, answered or not");
    let agreeing = column(&csv("points_over_time.csv"), "agreeing");
    assert_eq!((agreeing.len(), column(&csv("points_over_time.csv"), "asked").len()), (100, 100));
    assert_eq!(head("error_against_share.csv"), "name,share,translation_error_m,rotation_error_deg");
    let shares = column(&csv("error_against_share.csv"), "share");
    assert!(shares.iter().zip(&agreeing).all(|(share, count)| (share - count / 1200.0).abs() < 1e-6), "{shares:?}");
    assert_eq!(head("point_cloud.csv"), "x,y,z,red,green,blue");
    assert_eq!(column(&csv("point_cloud.csv"), "red").len(), 628);
    assert_eq!(
        head("unanswered_frames.csv"),
        "name,reason,nearest_training,nearest_translation_m,nearest_rotation_deg"
    );
    assert_eq!(csv("unanswered_frames.csv").lines().count(), 3);
    let page = read(folder.path(), "report.html");
    assert!(
        page.contains("<h2>What the poses stand on</h2>") && page.contains("The rank correlation of share and error")
    );
    assert!(page.contains("628 points behind cells of 4 training images, as the model says"), "{page}");
    assert!(page.contains("Crosses: where 25 frames without an answer truly were."));
    let cloud = csv("point_cloud.svg");
    assert_eq!(cloud.matches("data:image/png;base64,").count(), 1);
    let marks = |name: &str, element: &str| csv(name).matches(element).count();
    assert!(
        marks("points_over_time.svg", "#D55E00") >= 2 * 25,
        "every frame without an answer is marked in both parts"
    );
    assert!(marks("error_against_share.svg", "<circle") == 200, "each answer has a dot in both parts");
}

#[test]
fn answers_that_stand_on_points_are_summarized_and_others_say_nothing_of_them() {
    let results = walk(125, 1.0);
    let metrics = measured("regressor", &results).summarize(&results).unwrap();
    let summary = metrics.points.unwrap();
    assert_eq!((summary.answers, summary.median_asked, summary.median_residual_px), (100, 1200.0, 2.5));
    assert_eq!(summary.focal.unwrap().frames, 100);
    assert_eq!(metrics.peak_memory_mib, Some(300.0));
    let printed = vloc::evaluation::table(&metrics);
    assert!(printed.contains("to 2.50 pixels; they ask for 0.990 of the camera's focal length"), "{printed}");
    assert!(printed.contains("\nmemory of the process: at most 300 MiB"), "{printed}");

    let none = evaluation("regressor", &results).summarize(&results).unwrap();
    assert_eq!((none.points, none.peak_memory_mib), (None, None));
    let text = serde_json::to_string(&none).unwrap();
    assert!(!text.contains("points") && !text.contains("memory"), "{text}");
    let mut short = measured("regressor", &results);
    short.evidence.pop();
    let error = short.summarize(&results).unwrap_err().to_string();
    assert_eq!(error, "evidence of answers: expected one entry for each of 125 frames, or none at all, found 124");
}

#[test]
fn a_model_of_points_without_any_answer_shows_where_it_fails() {
    let mut results = walk(20, 1.0);
    results.iter_mut().for_each(|result| result.estimate = None);
    let section = points(&measured("regressor", &results), &results, &Beliefs::default()).unwrap();
    assert_eq!(section.blocks.len(), 2, "what it is, and a picture without a line: {section:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut report = evaluated(&measured("regressor", &results), &results).unwrap();
    report.sections.push(section);
    report.write(folder.path()).unwrap();
    assert_eq!(read(folder.path(), "points_over_time.csv").lines().filter(|line| line.ends_with(",,,")).count(), 20);
}

#[test]
fn a_method_that_does_not_beat_its_baselines_is_marked() {
    let results = walk(60, 1.0);
    let folder = tempfile::tempdir().unwrap();
    evaluated(&evaluation("regressor", &results), &results).unwrap().write(folder.path()).unwrap();
    let page = read(folder.path(), "report.html");
    // No answer turns as exactly as the baselines do.
    assert!(page.contains("regressor does not beat retrieval; oracle."), "{page}");
    assert!(page.contains("<td class=\"text bad\">not beaten in both medians</td>"));
}

#[test]
fn names_are_text_and_never_tags() {
    let results = walk(60, 1.0);
    let folder = tempfile::tempdir().unwrap();
    write_full_report(folder.path(), &results);
    let page = read(folder.path(), "report.html");
    assert!(page.contains("&lt;img src=&quot;x&quot;&gt;, &#39;it&#39; &amp; &quot;that&quot;"));
    assert!(!page.contains("<img src=\"x\"") && !page.contains("<script"), "a name became a tag");
    assert!(!page.contains("http://") && !page.contains("https://"), "the page leads to the network");
    assert!(read(folder.path(), "worst_frames.csv").contains("\"<img src=\"\"x\"\">, 'it' & \"\"that\"\"\""));
}

#[test]
fn a_silent_method_has_a_report() {
    let mut results = walk(20, 1.0);
    results.iter_mut().for_each(|result| result.estimate = None);
    let folder = tempfile::tempdir().unwrap();
    evaluated(&evaluation("regressor", &results), &results).unwrap().write(folder.path()).unwrap();
    let page = read(folder.path(), "report.html");
    assert!(page.contains("0 of 20 frames answered, no median error") && !page.contains("Is the covariance true?"));
}

/// Finished runs of two methods on the same frames.
fn two_runs(folder: &Path) -> [PathBuf; 2] {
    [("good", 1.0), ("bad", 8.0)].map(|(name, scale)| {
        let results = walk(125, scale);
        let evaluation = if name == "good" { measured(name, &results) } else { evaluation(name, &results) };
        evaluation.write_all(&folder.join(name), &results).unwrap();
        folder.join(name)
    })
}

#[test]
fn finished_runs_are_compared_on_the_same_frames() {
    let folder = tempfile::tempdir().unwrap();
    let runs = two_runs(folder.path()).map(|run| Run::read(&run).unwrap());
    let report = compared(runs.to_vec()).unwrap();
    let out = folder.path().join("out");
    report.write(&out).unwrap();
    let table = read(&out, "summary.csv");
    let names: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(names, ["good", "bad", "retrieval", "oracle"], "shared baselines stand once: {table}");
    let metrics: Metrics = serde_json::from_str(&read(&folder.path().join("bad"), "metrics.json")).unwrap();
    let median = metrics.method.errors.median_translation_error.unwrap();
    assert!(table.contains(&format!("\nbad,100/125,{median:.3},")), "{table}");
    assert!(read(&out, "report.html").contains("Lowest median error of the position: good with"));
    let methods = ["good", "bad", "retrieval", "oracle"];
    let curves = read(&out, "errors.csv");
    assert!(methods.iter().all(|name| curves.matches(&format!("\n{name},")).count() == 125), "one row per frame");
    assert_eq!(curves.lines().count(), 501);
}

#[test]
fn runs_of_one_name_are_told_apart_by_their_folders() {
    let folder = tempfile::tempdir().unwrap();
    let [good, _] = two_runs(folder.path()).map(|run| Run::read(&run).unwrap());
    let table = compared(vec![good.clone(), good.clone()]).unwrap();
    let out = folder.path().join("out");
    table.write(&out).unwrap();
    assert!(read(&out, "summary.csv").contains(&format!("\ngood ({}),", good.folder)));
}

#[test]
fn runs_that_do_not_fit_are_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let [good, bad] = two_runs(folder.path());
    let write = |name: &str, results: &[FrameResult]| {
        evaluation(name, results).write_all(&folder.path().join(name), results).unwrap();
        Run::read(&folder.path().join(name)).unwrap()
    };
    let text = |other: Run| compared(vec![Run::read(&good).unwrap(), other]).unwrap_err().to_string();
    let short = text(write("short", &walk(60, 1.0)));
    assert!(short.contains("expected 125 frames as in") && short.contains("found 60; evaluate both on"), "{short}");
    let mut results = walk(125, 1.0);
    results[3].name = "another".into();
    let renamed = text(write("renamed", &results));
    assert!(
        renamed.contains("expected frame 4 to be frame-000003 at 1700000000.3") && renamed.contains("found another"),
        "{renamed}"
    );
    let mut results = walk(125, 1.0);
    results[3].truth = Se3::identity();
    let moved = text(write("moved", &results));
    assert!(moved.contains("frame-000003 at 1700000000.300000000 truly at 2."), "{moved}");

    let alone = compared(vec![Run::read(&good).unwrap()]).unwrap_err().to_string();
    assert!(alone.starts_with("comparison: expected two or more runs, found 1"), "{alone}");
    std::fs::write(bad.join("frames.csv"), "name,stamp\nframe-000000,0.0\n").unwrap();
    let broken = Run::read(&bad).unwrap_err().to_string();
    assert!(
        broken.contains("frames.csv: expected a column truth_tx in every row, found columns name,stamp"),
        "{broken}"
    );
    let missing = Run::read(folder.path()).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read ") && missing.contains("metrics.json"), "{missing}");
}

/// Has reports looked at; `None` where that is not possible, and says so.
fn look_at(test: &str, reports: &[PathBuf]) -> Option<()> {
    let python = common::peers_python_for(test)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/look_at_report.py");
    let mut command = Command::new(python);
    command.arg(script).args(reports);
    if let Some(folder) = std::env::var_os("VLOC_SCREENSHOTS") {
        command.arg("--screenshots").arg(folder);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        common::skip(test, said.trim());
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(())
}

#[test]
fn a_browser_shows_every_picture_in_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    let results = walk(125, 1.0);
    let [full, both] = ["full", "compared"].map(|name| folder.path().join(name));
    write_full_report(&full, &results);
    compared(two_runs(folder.path()).map(|run| Run::read(&run).unwrap()).to_vec()).unwrap().write(&both).unwrap();
    let reports = [full, both].map(|folder| folder.join("report.html"));
    look_at("a_browser_shows_every_picture_in_light_and_dark", &reports);
}

#[cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
#[test]
fn eval_replay_and_compare_write_reports_that_a_browser_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let done = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vloc"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (room, model) = (path("room"), "models/synthetic-room");
    done(&["synth", "--out", &room, "--passes", "1", "--frames", "12", "--test-frames", "12", "--format", "both"]);
    let eval = |out: &str| {
        done(&[
            "eval",
            "--dataset",
            &room,
            "--model",
            model,
            "--out",
            &path(out),
            "--report",
            &path(&format!("{out}-report")),
        ])
    };
    let printed = eval("one");
    assert!(printed.contains("one-report/report.html"), "{printed}");
    eval("two");
    done(&["compare", &path("one"), &path("two"), "--out", &path("both-report")]);
    let bag = path("room/bags/test");
    done(&["replay", &bag, "--model", model, "--out", &path("plain"), "--report", &path("plain-report")]);
    let measured = ["--truth", "/ground_truth/pose", "--smooth"];
    let replay = ["replay", &bag, "--model", model, "--out", &path("measured"), "--report", &path("measured-report")];
    done(&[&replay[..], &measured].concat());

    let page = read(&folder.path().join("one-report"), "report.html");
    for title in ["The worst answers", "What the network looks at", "What the network finds alike"] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title} is missing");
    }
    assert!(!page.contains("What the poses stand on"), "this model measures nothing");
    assert_eq!(page.matches("data:image/jpeg").count(), 10 * 2 + 3 * 3);
    let reports = ["one-report", "both-report", "plain-report", "measured-report"];
    let reports = reports.map(|name| folder.path().join(name).join("report.html"));
    look_at("eval_replay_and_compare_write_reports_that_a_browser_shows", &reports);
}

/// A small model of points of the dataset in `room`, trained in seconds: random features are enough. `split` divides it.
#[cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
fn train_model_of_points(room: &Path, split: &str, out: &Path) {
    use vloc::network::{Device, InputSize, LocalizerConfig, NetworkConfig, SceneCoordinatesConfig};
    use vloc::training::{Job, SceneCoordinates, TrainingConfig, train};
    let shape = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 0, parts: 1 };
    let network = NetworkConfig {
        input: InputSize { height: 120, width: 160 },
        localizer: LocalizerConfig::SceneCoordinates { shape },
        ..NetworkConfig::preset("scene-coordinates").unwrap()
    };
    let config = TrainingConfig {
        network: Some(network),
        epochs: 40,
        learning_rate: 3e-3,
        cached_copies: 1,
        scene_coordinates: Some(SceneCoordinates { cells: 1024, ..SceneCoordinates::default() }),
        mixed_precision: false,
        ..TrainingConfig::preset("scene-coordinates").unwrap()
    };
    let job = Job {
        config,
        split: serde_yaml::from_str(split).unwrap(),
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "points".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    };
    let dataset = vloc::dataset::open(room, None).unwrap();
    train(dataset.as_ref(), &job, vloc::progress::Progress::Silent, &|| true).unwrap();
}

#[cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
#[test]
fn eval_shows_what_the_poses_of_a_model_of_points_stand_on() {
    let _alone = alone::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let done = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vloc"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let rule = "kind: blocks\nblock: 5\nperiod: 4\ntest: [2]\nvalidation: { every: 2, length: 1, margin: 0 }\n";
    let [room, split] = ["room", "split.yaml"].map(&path);
    std::fs::write(&split, rule).unwrap();
    let pass = ["--passes", "1", "--frames", "80", "--test-frames", "0", "--rate", "10", "--path", "handheld"];
    done(&[&["synth", "--out", &room, "--depth"][..], &pass].concat());
    // Of frame 30 nothing is seen.
    let black = RgbImage::new(160, 120);
    black.save(folder.path().join("room/seq-01/frame-000030.color.jpg")).unwrap();
    let from = ["--dataset", &room, "--split", &split];
    train_model_of_points(Path::new(&room), rule, Path::new(&path("model")));
    let wanted = ["eval", "--model", &path("model"), "--out", &path("eval"), "--report", &path("report")];
    let printed = done(&[&wanted[..], &from, &["--retrieval", "none", "--device", "cpu"]].concat());
    assert!(printed.contains("\npoints: median ") && printed.contains("\nmemory of the process: "), "{printed}");

    let report = folder.path().join("report");
    let csv = |name: &str| read(&report, name);
    let metrics: Metrics = serde_json::from_str(&read(&folder.path().join("eval"), "metrics.json")).unwrap();
    let (frames, answered) = (metrics.method.errors.frames, metrics.method.errors.answered);
    assert!(frames == 20 && answered < 20, "{answered} of {frames}");
    assert_eq!(metrics.points.unwrap().answers, answered);
    assert!(metrics.peak_memory_mib.is_none_or(|mebibytes| mebibytes > 50.0), "{metrics:?}");
    assert_eq!(column(&csv("points_over_time.csv"), "agreeing").len(), answered);
    // All cells of each of 30 training images.
    let count = csv("point_cloud.csv").lines().count() - 1;
    assert!(count > 5000 && count.is_multiple_of(30), "{count}");
    let silent = csv("unanswered_frames.csv");
    assert_eq!(silent.lines().count() - 1, (frames - answered).min(10));
    assert!(silent.contains("\nseq-01/frame-000030,") && silent.contains(" cells asked, "), "{silent}");
    look_at("eval_shows_what_the_poses_of_a_model_of_points_stand_on", &[report.join("report.html")]);
}

#[cfg(feature = "torch")]
#[test]
fn saliency_is_the_gradient_of_the_pose() {
    use vloc::network::{Device, PixelFrame, PoseRegressor};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/synthetic-room");
    let mut regressor = PoseRegressor::load(&folder, Device::Cpu).unwrap();
    let (width, height) = (regressor.card().network.input.width, regressor.card().network.input.height);
    let image = RgbImage::from_fn(width, height, |x, y| {
        let wave = |period: f64, at: u32| (120.0 + 60.0 * (f64::from(at) / period).sin()) as u8;
        Rgb([wave(5.0, x), wave(7.0, y), wave(11.0, x + y)])
    });
    let map = regressor.saliency(&image).unwrap();
    assert_eq!((map.width, map.height, map.translation.len()), (width, height, (width * height) as usize));
    let mut pose = |image: &RgbImage| {
        regressor.reset();
        let frame = PixelFrame { stamp: Stamp::from_nanos(0), pixels: image.clone() };
        regressor.regress(&frame).unwrap().absolute.map_from_camera
    };
    for (values, is_rotation) in [(&map.translation, false), (&map.rotation, true)] {
        let hottest = (0..values.len()).max_by(|one, other| values[*one].total_cmp(&values[*other])).unwrap();
        let at = (hottest as u32 % width, hottest as u32 / width);
        // Central differences over two levels, per channel.
        let squares = (0..3).map(|channel| {
            let [above, below] = [2i16, -2].map(|levels| {
                let mut moved = image.clone();
                let value = &mut moved.get_pixel_mut(at.0, at.1).0[channel];
                *value = (i16::from(*value) + levels) as u8;
                pose(&moved)
            });
            let difference = below.local(above) / 4.0;
            let start = if is_rotation { 3 } else { 0 };
            difference.fixed_rows::<3>(start).norm_squared()
        });
        let found = squares.sum::<f64>().sqrt();
        assert!((found / values[hottest] - 1.0).abs() < 0.2, "{found}, and by its gradient {}", values[hottest]);
    }
    let vector = regressor.embedding(&image).unwrap();
    assert_eq!(
        (vector.len() as i64, &vector),
        (regressor.card().network.hidden[0], &regressor.embedding(&image).unwrap())
    );
    let wrong = regressor.saliency(&RgbImage::new(7, 5)).unwrap_err().to_string();
    assert!(wrong.starts_with("network input: expected an image of"), "{wrong}");
}
