//! The node in an independent peer's eyes: CycloneDDS plays images over the wire and checks every answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use image::RgbImage;
use vloc::Stamp;
use vloc::bag::{BagWriter, Storage};
use vloc::config::Config;
use vloc::geometry::{Se3, So3, Trajectory};
use vloc::middleware::rtps::Rtps;
use vloc::middleware::{Live, Names, StampedTransform, messages};
use vloc::msg::sensor_msgs;
use vloc::network::checkpoint::{self, Precision};
use vloc::network::*;
use vloc::node::{ReplayRequest, replay};
use vloc::sensor::{CameraModel, Image};

const FRAMES: usize = 30;
const EXIT_NO_NETWORK: i32 = 77;

/// A model with random weights: the way of the data is under test, not where it leads.
fn write_model(folder: &Path, seed: i64) {
    tch::set_num_threads(1);
    tch::manual_seed(seed);
    let network = NetworkConfig::preset("vlocnet-small").unwrap();
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    PoseNetwork::new(&store.root(), &network).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let sha256 = checkpoint::save(&store, &folder.join(WEIGHTS_FILE), Precision::Single).unwrap();
    let parameters = store.variables().values().map(|tensor| tensor.numel() as u64).sum();
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: "untrained".into(),
        created_by: "vloc test".into(),
        licence: "Apache-2.0".into(),
        camera: network_camera(&network),
        network,
        map_frame: "map".into(),
        map_from_normalized: MapFromNormalized { mean: [1.0, 2.0, 3.0], scale: 2.0 },
        max_pair_interval: 0.5,
        training: TrainingRecord::default(),
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        references: None,
        weights: WeightsRecord { precision: Precision::Single, sha256, parameters },
        members: Vec::new(),
        gallery: None,
        scenes: Vec::new(),
        large_place: None,
        cross_fitted: false,
    };
    card.write(folder).unwrap();
}

fn network_camera(network: &NetworkConfig) -> CameraModel {
    vloc::vision::network_camera(&CameraModel::pinhole(640, 480, 525.0), network.input.width, network.input.height)
}

/// A picture that moves from frame to frame.
fn pixels(frame: usize) -> RgbImage {
    RgbImage::from_fn(640, 480, |x, y| {
        let shifted = x + 12 * frame as u32;
        image::Rgb([(shifted / 3) as u8, (y / 2) as u8, ((shifted / 40 + y / 40) % 2 * 200) as u8])
    })
}

fn write_bag(folder: &Path) {
    let frame_id = "camera_optical_frame";
    let at = |frame: usize| Stamp::from_nanos(1_700_000_000_000_000_000 + frame as i64 * 33_333_333);
    let mut bag = BagWriter::create(folder, Storage::Mcap).unwrap();
    let half = 0.5_f64.sqrt();
    let mounting = StampedTransform {
        stamp: at(0),
        parent: "base_link".into(),
        child: frame_id.into(),
        parent_from_child: Se3::new(So3::from_xyzw(-half, 0.0, 0.0, half).unwrap(), [0.1, 0.0, 0.3].into()),
    };
    bag.write("/tf_static", at(0), &messages::transform_message(&mounting)).unwrap();
    for frame in 0..FRAMES {
        let camera = CameraModel::pinhole(640, 480, 525.0);
        bag.write("/camera_info", at(frame), &camera.to_message(at(frame), frame_id)).unwrap();
        let image = Image {
            stamp: at(frame),
            frame_id: frame_id.into(),
            height: 480,
            width: 640,
            encoding: "rgb8".into(),
            step: 640 * 3,
            is_bigendian: false,
            data: pixels(frame).into_raw(),
        };
        bag.write("/image", at(frame) + Duration::from_millis(1), &sensor_msgs::Image::from(image)).unwrap();
    }
    bag.finish().unwrap();
}

/// The peer's JSON line, once it is content with the node; `None` where this machine cannot make the network.
fn play(work: &Path, parameters: &str, options: &[&str], name: &str) -> Option<String> {
    let python = common::peers_python_for(name)?;
    let (model, bag, out) = (work.join("model"), work.join("bag"), work.join("out"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/run_peer_test.sh");
    let output = Command::new(script)
        .env("NODE", env!("CARGO_BIN_EXE_vloc_node"))
        .env("PYTHON", &python)
        .env("NODE_PARAMETERS", parameters)
        .args([&bag, &model, &out])
        .args(["--image", "/image", "--camera-info", "/camera_info"])
        .args(options)
        .output()
        .unwrap();
    if output.status.code() == Some(EXIT_NO_NETWORK) {
        common::skip(name, String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    let log = std::fs::read_to_string(out.join("node.log")).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}\n{}\n{log}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("\"images\": 15,") && said.contains("\"failures\": 0,"), "{said}");
    Some(said)
}

#[tokio::test]
async fn a_cyclonedds_peer_gets_an_answer_to_every_image_and_the_poses_of_replay() {
    let name = "a_cyclonedds_peer_gets_an_answer_to_every_image_and_the_poses_of_replay";
    let work = tempfile::tempdir().unwrap();
    let (model, bag) = (work.path().join("model"), work.path().join("bag"));
    write_model(&model, 3);
    write_bag(&bag);
    // Three images a second: what is under test here is that they arrive and are answered, not how fast.
    let options = ["--rate", "3", "--seconds", "5"];
    if play(work.path(), "-p use_estimator:=false", &options, name).is_none() {
        return;
    }

    let regressor = PoseRegressor::load(&model, Device::Cpu).unwrap();
    let out = work.path().join("replay");
    let request = ReplayRequest::new(&bag, &out);
    let alone = Config { use_estimator: false, ..Config::default() };
    let summary = replay(request, alone, &Names::default(), regressor, || false).await.unwrap();
    assert_eq!(summary.poses, FRAMES as u64, "{summary:?}");
    let replayed = Trajectory::read_tum(&work.path().join("replay/trajectory.tum")).unwrap();
    let answered = Trajectory::read_tum(&work.path().join("out/peer.tum")).unwrap();
    let pairs = answered.associate(&replayed, Duration::ZERO);
    assert_eq!(pairs.len(), 15);
    for (live, replay) in pairs {
        let difference = answered.poses()[live].1.local(replayed.poses()[replay].1).norm();
        assert!(difference < 1e-9, "frame {replay}: {difference}");
    }
}

#[test]
fn a_cyclonedds_peer_gets_fused_poses_and_odometry_with_covariances() {
    let name = "a_cyclonedds_peer_gets_fused_poses_and_odometry_with_covariances";
    let work = tempfile::tempdir().unwrap();
    write_model(&work.path().join("model"), 3);
    write_bag(&work.path().join("bag"));
    let options = ["--rate", "3", "--seconds", "5", "--fused", "0.8"];
    // A network that has learned nothing is sure of nothing: limits that it meets.
    let limits = "-p estimator.position_limit:=100.0 -p estimator.rotation_limit:=100.0";
    if let Some(said) = play(work.path(), limits, &options, name) {
        println!("{said}");
    }
}

#[test]
fn a_robot_gets_from_its_node_what_it_asks_for() {
    let name = "a_robot_gets_from_its_node_what_it_asks_for";
    let Some(python) = common::peers_python_for(name) else { return };
    let work = tempfile::tempdir().unwrap();
    let (models, bag) = (work.path().join("models"), work.path().join("bag"));
    for (folder, seed) in [("good", 3), ("better", 4), ("bad", 5)] {
        write_model(&models.join(folder), seed);
    }
    std::fs::write(models.join("bad").join(WEIGHTS_FILE), "no weights").unwrap();
    write_bag(&bag);
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let output = Command::new(peers.join("loopback.sh"))
        .env("NODE", env!("CARGO_BIN_EXE_vloc_node"))
        .arg(&python)
        .arg(peers.join("robot.py"))
        .arg(&bag)
        .args(["--image", "/image", "--camera-info", "/camera_info"])
        .arg("--models")
        .arg(&models)
        .arg("--out")
        .arg(work.path().join("out"))
        .output()
        .unwrap();
    if output.status.code() == Some(EXIT_NO_NETWORK) {
        common::skip(name, String::from_utf8_lossy(&output.stderr).trim());
        return;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches(": good (").count(), 8, "{said}");
}

/// Threads and open files of this process.
fn belongings() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[test]
fn a_hundred_restarts_leave_no_thread_and_no_socket() {
    let name = "a_hundred_restarts_leave_no_thread_and_no_socket";
    if !common::is_on_loopback(name) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let restart = || {
        runtime.block_on(async {
            let port = Rtps::open(&Config::default(), &Names::default()).unwrap();
            port.close().await;
        });
    };
    // What is made once and kept.
    (0..3).for_each(|_| restart());
    let before = belongings();
    (0..100).for_each(|_| restart());
    std::thread::sleep(Duration::from_millis(200));
    let after = belongings();
    assert!(after.0 <= before.0 && after.1 <= before.1, "threads and files: {before:?} before, {after:?} after");
}
