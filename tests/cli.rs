//! The `vloc` program as a user meets it: help, exit codes and error texts.

#![cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Exit code, standard output and standard error of `vloc` with these arguments.
fn vloc(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vloc"));
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn assert_fails(arguments: &[&str], code: i32, text: &str) {
    let (found, _, errors) = vloc(arguments);
    assert!(found == code && errors.contains(text), "{arguments:?}: exit code {found}, {errors}");
}

#[test]
fn help_names_every_command_and_exit_code() {
    let (code, help, _) = vloc(&["--help"]);
    assert_eq!(code, 0);
    for word in [
        "demo",
        "synth",
        "train",
        "autoencode",
        "picture",
        "eval",
        "compare",
        "replay",
        "node",
        "inspect",
        "graph",
        "completions",
        "130  stopped by a signal",
    ] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
    for command in ["demo", "synth", "train", "eval", "compare", "replay", "node", "inspect"] {
        assert_eq!(vloc(&[command, "--help"]).0, 0, "{command}");
    }
}

#[test]
fn completions_are_for_a_shell() {
    let (code, script, _) = vloc(&["completions", "bash"]);
    assert!(code == 0 && script.contains("_vloc()") && script.contains("replay"), "{script}");
}

#[test]
fn the_bundled_model_has_a_card() {
    let (code, card, _) = vloc(&["inspect", "models/synthetic-room"]);
    assert!(code == 0 && card.starts_with("synthetic-room: ") && card.contains("coverage_90:"), "{card}");
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let empty = path("empty");
    fs::create_dir(&empty).unwrap();
    assert_fails(&["fly"], 2, "unrecognized subcommand 'fly'");
    assert_fails(&["inspect", &path("nothing")], 3, "No such file or directory");
    assert_fails(&["inspect", &empty], 4, "found 0 bag files and no metadata.yaml");
    let split = "config/splits/interpolation.yaml";
    let train = ["train", "--preset", "vlocnet-small", "--split", split, "--dataset", &empty, "--out", &path("model")];
    assert_fails(&train, 4, "found an empty folder");
    assert_fails(&["node"], 5, "expected a model folder, by --model FOLDER");
    assert_fails(&["node", "--model", "models/synthetic-room", "-p", "modle:=x"], 5, "unknown field `modle`");
    assert_fails(&["node", "--model", &cut_model(folder.path())], 6, "found 1000 bytes that are cut");
}

#[test]
fn a_graph_is_optimized_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let vertices = "VERTEX_SE2 0 0 0 0\nVERTEX_SE2 1 1.5 0 0\n";
    let good = file("good.g2o", &format!("{vertices}EDGE_SE2 0 1 1 0 0 1 0 0 1 0 1\n"));
    let (code, printed, _) = vloc(&["graph", "optimize", &good]);
    assert!(code == 0 && printed.contains("cost (half chi-square): 1.250000000e-1 before"), "{printed}");
    let singular = file("singular.g2o", &format!("{vertices}EDGE_SE2 0 1 1 0 0 1 2 0 1 0 1\n"));
    assert_fails(&["graph", "optimize", &singular], 4, "--isotropic takes one number each");
    assert_fails(&["graph", "optimize", &file("empty.g2o", "")], 4, "a pose graph with vertices, found none");
    assert_fails(&["graph", "optimize", &file("cut.g2o", "VERTEX_SE2 0 0.")], 4, "line 1");
}

/// The bundled model with its weights cut short.
fn cut_model(folder: &Path) -> String {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/synthetic-room");
    let cut = folder.join("cut");
    fs::create_dir(&cut).unwrap();
    fs::copy(bundled.join("model.yaml"), cut.join("model.yaml")).unwrap();
    let weights = fs::read(bundled.join("weights.safetensors")).unwrap();
    fs::write(cut.join("weights.safetensors"), &weights[..1000]).unwrap();
    cut.to_str().unwrap().to_owned()
}

#[test]
fn a_demo_does_not_replace_other_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "mine").unwrap();
    assert_fails(&["demo", "--out", folder.path().to_str().unwrap()], 5, "with other files in it");
    assert_eq!(fs::read_to_string(folder.path().join("thesis.tex")).unwrap(), "mine");
}

#[test]
fn a_walk_is_made_inspected_evaluated_and_replayed_twice_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let done = |arguments: &[&str]| {
        let (code, output, errors) = vloc(arguments);
        assert_eq!(code, 0, "{arguments:?}: {errors}");
        output
    };
    let (room, model) = (path("room"), "models/synthetic-room");
    done(&["synth", "--out", &room, "--passes", "1", "--frames", "12", "--test-frames", "6", "--format", "both"]);
    let bag = path("room/bags/test");
    let topics = done(&["inspect", &bag]);
    assert!(topics.contains("/camera/image") && topics.contains("sensor_msgs/msg/Imu"), "{topics}");

    let table = done(&["eval", "--dataset", &room, "--model", model, "--out", &path("eval")]);
    assert!(table.contains("synthetic-room") && table.contains("6/6") && table.contains("(oracle)"), "{table}");
    assert!(table.contains("\nthumbnail retrieval ") && table.contains("\nDenseVLAD, 25 interpolated "), "{table}");
    let quick =
        ["eval", "--dataset", &room, "--model", model, "--out", &path("quick"), "--retrieval", "none", "--fused"];
    let quick = done(&quick);
    assert!(!quick.contains("interpolated") && quick.contains("\nsynthetic-room fused (causal)"), "{quick}");
    let fused = fs::read_to_string(path("quick/fused/metrics.json")).unwrap();
    let fused: serde_json::Value = serde_json::from_str(&fused).unwrap();
    let answered = |of: &serde_json::Value| of["errors"]["answered"].as_u64().unwrap();
    assert_eq!((answered(&fused["method"]), answered(&fused["baselines"][0])), (5, 6), "{fused:#}");
    assert!(fs::read_to_string(path("quick/fused/error_over_time.svg")).unwrap().contains("<svg"));
    let own = ["eval", "--dataset", &room, "--model", model, "--out", &path("own"), "--retrieval", "embedding"];
    let own = done(&own);
    assert!(own.contains("\nthe model's embedding ") && own.contains("\nits embedding, 25 interpolated "), "{own}");
    let metrics = fs::read_to_string(path("eval/metrics.json")).unwrap();
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(metrics["method"]["errors"]["frames"], 6, "{metrics:#}");

    let replay = |out: &str| {
        let report = path(&format!("{out}/report"));
        let measured = ["--report", &report, "--smooth", "--truth", "/ground_truth/pose"];
        let printed = done(&[&["replay", &bag, "--model", model, "--out", &path(out)][..], &measured].concat());
        assert!(printed.contains("6 images, 5 poses"), "fixes that agree come before a pose: {printed}");
        let files = [
            "trajectory.tum",
            "summary.yaml",
            "bag/bag_0.mcap",
            "smoothed.tum",
            "accuracy/fused.svg",
            "report/states.svg",
            "report/summary.csv",
        ];
        let files = files.map(|name| fs::read(folder.path().join(out).join(name)).unwrap());
        let metrics = fs::read_to_string(folder.path().join(out).join("accuracy/metrics.json")).unwrap();
        let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
        let answered = |of: &serde_json::Value| of["errors"]["answered"].as_u64().unwrap();
        assert_eq!((answered(&metrics["method"]), answered(&metrics["baselines"][0])), (5, 6), "{metrics:#}");
        assert_eq!(metrics["hindsight"]["name"], "smoothed (not causal)");
        files
    };
    assert!(replay("first") == replay("second"), "two replays of one bag differ");

    let nowhere = ["replay", &bag, "--model", model, "--out", &path("third"), "--truth", "/amcl_pose"];
    assert_fails(&nowhere, 5, "found no /amcl_pose in");
    assert!(!Path::new(&path("third")).exists(), "found out before the work");
}

#[test]
fn a_model_is_calibrated_anew_on_frames_that_did_not_train_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let synth = ["synth", "--out", &path("walk"), "--passes", "0", "--test-frames", "24"];
    assert_eq!(vloc(&synth).0, 0);
    let (model, walk) = (path("model"), path("walk"));
    fs::create_dir(&model).unwrap();
    let card = |folder: &str| fs::read_to_string(Path::new(folder).join("model.yaml")).unwrap();
    for file in ["model.yaml", "weights.safetensors"] {
        fs::copy(Path::new("models/synthetic-room").join(file), Path::new(&model).join(file)).unwrap();
    }
    let (code, printed, errors) = vloc(&["calibrate", &model, "--dataset", &walk]);
    assert_eq!(code, 0, "{errors}");
    assert!(printed.contains("24 validation frames, medians "), "{printed}");
    assert!(printed.contains("relative poses: 23 pairs, 90 % ellipsoid covers "), "{printed}");
    let calibration = |card: String| card[card.find("\ncalibration:").unwrap()..].to_owned();
    let (before, after) = (calibration(card("models/synthetic-room")), calibration(card(&model)));
    assert!(before != after && after.contains("relative_calibration:"), "{after}");
    let few = ["synth", "--out", &path("few"), "--passes", "0", "--test-frames", "6"];
    assert_eq!(vloc(&few).0, 0);
    assert_fails(&["calibrate", &model, "--dataset", &path("few")], 5, "at least 20 frames to calibrate on, found 6");
    assert!(calibration(card(&model)) == after, "what is refused changes nothing");
    let taught = path("room");
    fs::rename(&walk, &taught).unwrap();
    let error =
        "expected a rule that sets validation frames apart, found none, and all frames of room, which trained it";
    assert_fails(&["calibrate", &model, "--dataset", &taught], 5, error);
}

/// The node in a network of its own that has only loopback; `None` where none can be made.
fn lonely_node() -> Option<Child> {
    let isolated = |flag: &str| Command::new("unshare").args([flag, "true"]).status().is_ok_and(|s| s.success());
    let flag = ["-n", "-rn"].into_iter().find(|flag| isolated(flag))?;
    let script = "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec \"$@\"";
    let node = [env!("CARGO_BIN_EXE_vloc"), "node", "--model", "models/synthetic-room", "--device", "cpu"];
    let mut command = Command::new("unshare");
    command.args([flag, "sh", "-c", script, "sh"]).args(node).current_dir(env!("CARGO_MANIFEST_DIR"));
    Some(command.stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn the_node_stops_cleanly_on_either_signal() {
    for signal in ["INT", "TERM"] {
        let Some(mut node) = lonely_node() else {
            println!("skipped: a network namespace takes root or user namespaces, unshare and ip");
            return;
        };
        let mut log = BufReader::new(node.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("listening for images on /image")), "the node did not start");
        let sent = Command::new("kill").args([format!("-{signal}"), node.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let rest: Vec<String> = log.collect();
        assert!(rest.iter().any(|line| line.contains(&format!("SIG{signal}: stopping"))), "{rest:?}");
        assert_eq!(node.wait().unwrap().code(), Some(0), "{rest:?}");
    }
}
