//! Two minutes of a robot's life, 30 images and 200 readings of the IMU a second: nothing is lost, memory stays flat.
//! `scripts/soak.sh` does half an hour of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::Command;

const EXIT_NO_NETWORK: i32 = 77;
const EXIT_TOO_BUSY: i32 = 75;

#[test]
fn two_minutes_lose_nothing_and_keep_nothing() {
    let name = "two_minutes_lose_nothing_and_keep_nothing";
    let Some(python) = common::peers_python_for(name) else { return };
    let work = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rendered = Command::new(env!("CARGO_BIN_EXE_vloc"))
        .args(["synth", "--format", "bag", "--passes", "1", "--frames", "2", "--test-frames", "150", "--rate", "30"])
        .args(["--width", "640", "--height", "480", "--out"])
        .arg(work.path().join("room"))
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let output = Command::new(root.join("tests/peers/loopback.sh"))
        .env("NODE", env!("CARGO_BIN_EXE_vloc_node"))
        .arg(python)
        .arg(root.join("tests/peers/soak.py"))
        .arg(work.path().join("room/bags/test"))
        .arg("--model")
        .arg(root.join("models/synthetic-room"))
        .arg("--out")
        .arg(work.path().join("out"))
        // Caches fill for five minutes, 13 MiB in all: the half hour says whether memory stays within 2 % then.
        .args(["--seconds", "120", "--warm-up", "0.5", "--growth", "0.05"])
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(EXIT_NO_NETWORK) {
        return common::skip(name, complained.trim());
    }
    if output.status.code() == Some(EXIT_TOO_BUSY) {
        return common::skip(
            name,
            &format!("a machine that is not too busy to play a recording in time: {}", said.trim()),
        );
    }
    let log = std::fs::read_to_string(work.path().join("out/node.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{complained}\n{log}");
    println!("{said}");
}
