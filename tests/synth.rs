//! The synthetic world through its public interface.
#![cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use clap::Parser;
use nalgebra::Vector3;
use vloc::Stamp;
use vloc::bag::BagReader;
use vloc::cli::synth::{SynthArgs, run};
use vloc::dataset;
use vloc::geometry::{Se3, So3};
use vloc::imu::ImuNoise;
use vloc::msg::{cdr, geometry_msgs, sensor_msgs, tf2_msgs};
use vloc::sensor::CameraModel;
use vloc::synth::{
    Building, GRAVITY_IN_MAP, ImuErrors, OdometryNoise, Pass, PassKind, Path as RobotPath, PathKind, Renderer, Sensor,
    World, simulate_imu, simulate_odometry,
};

/// The default room, painted once for all tests.
static ROOM: LazyLock<World> = LazyLock::new(|| World::new(1));

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    synth: SynthArgs,
}

fn synth(out: &Path, arguments: &str) -> vloc::Result<()> {
    let fixed = ["vloc", "--out", out.to_str().unwrap()];
    run(&Program::parse_from(fixed.into_iter().chain(arguments.split_whitespace())).synth)
}

/// Every file under a folder with its bytes, sorted.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found.into_iter().map(|(name, bytes)| (name.rsplit('/').next().unwrap().to_owned(), bytes)).collect()
}

const SMALL: &str = "--width 32 --height 24 --passes 1 --frames 5 --test-frames 4 --format both --depth --labels";

#[test]
fn the_same_seed_gives_the_same_bytes_on_one_thread_and_on_three() {
    let folder = tempfile::tempdir().unwrap();
    let made = |threads: usize, seed: u64| {
        let out = folder.path().join(format!("{threads}-{seed}"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| synth(&out, &format!("{SMALL} --seed {seed}"))).unwrap();
        contents(&out)
    };
    let (one, three, other) = (made(1, 7), made(3, 7), made(1, 8));
    assert!(one.len() > 20, "{} files", one.len());
    assert!(one == three);
    assert!(one.iter().zip(&other).any(|(left, right)| left.1 != right.1));
}

#[test]
fn passes_of_a_room_differ_and_the_test_pass_is_always_the_same() {
    let renderer = Renderer::new(&CameraModel::pinhole(64, 48, 38.0), Sensor::default()).unwrap();
    let pass = |kind| Pass::new(&ROOM, kind, PathKind::Planar);
    let (first, second) = (pass(PassKind::Training(0)), pass(PassKind::Training(1)));
    assert!(first.map_from_camera(3.0).local(second.map_from_camera(3.0)).norm() > 0.1);
    assert_ne!(first.lighting.ambient, second.lighting.ambient);
    assert_ne!(first.movers(0.0)[0].centre, second.movers(0.0)[0].centre);
    let mean = |image: image::RgbImage| image.iter().map(|&v| f64::from(v)).sum::<f64>() / image.len() as f64;
    for pass in [first, second, pass(PassKind::Test)] {
        let brightness = mean(renderer.render(&ROOM, &pass, 3.0));
        assert!((50.0..200.0).contains(&brightness), "{brightness}");
    }
}

/// Mean colours of 16x16 blocks, rounded.
fn blocks(image: &image::RgbImage) -> Vec<[i32; 3]> {
    let block = |index: u32| {
        let (left, top) = (16 * (index % 4), 16 * (index / 4));
        let sum = (0..256).fold([0.0; 3], |sum: [f64; 3], place| {
            let pixel = image.get_pixel(left + place % 16, top + place / 16);
            [0, 1, 2].map(|channel| sum[channel] + f64::from(pixel[channel]))
        });
        sum.map(|total| (total / 256.0).round() as i32)
    };
    (0..12).map(block).collect()
}

#[test]
fn the_room_that_the_bundled_model_knows_stays_as_it_is() {
    // What `vloc synth --width 64 --height 48 --path handheld` draws since models/synthetic-room was trained.
    let known = [
        [[105, 186, 128], [108, 143, 126], [113, 190, 125], [172, 149, 94], [110, 183, 126], [109, 199, 128]],
        [[104, 141, 112], [164, 141, 104], [112, 141, 116], [96, 133, 104], [122, 131, 98], [137, 107, 96]],
    ];
    let renderer = Renderer::new(&CameraModel::pinhole(64, 48, 0.4 * 95.3), Sensor::default()).unwrap();
    let pass = Pass::new(&ROOM, PassKind::Training(0), PathKind::Handheld);
    let seen = blocks(&renderer.render(&ROOM, &pass, 1.0));
    for (seen, known) in seen.iter().zip(known.concat()) {
        assert!(seen.iter().zip(known).all(|(seen, known)| (seen - known).abs() <= 1), "{seen:?}, expected {known:?}");
    }
}

#[test]
fn paths_keep_to_the_free_floor_and_to_the_limits_of_speed() {
    for index in 0..10 {
        let pass = Pass::new(&ROOM, PassKind::Training(index), PathKind::Planar);
        for tick in 0..4000 {
            let motion = pass.motion(f64::from(tick) * 0.05);
            let position = motion.map_from_base.translation;
            assert!(position.x.abs() <= World::FREE[0] && position.y.abs() <= World::FREE[1], "{position}");
            assert!(motion.velocity.norm() <= RobotPath::MAX_SPEED + 1e-9);
            assert!(motion.angular_velocity.norm() <= RobotPath::MAX_YAW_RATE + 1e-9);
            assert_eq!(position.z, 0.0);
        }
    }
}

/// Dead reckoning by the midpoint rule from the true first state, against the true pose of the IMU at the end.
fn dead_reckoning_error(kind: PathKind) -> (f64, f64) {
    let pass = Pass::new(&ROOM, PassKind::Training(0), kind);
    let map_from_imu = |t: f64| pass.motion(t).map_from_base * pass.rig.base_from_imu;
    let (rate, seconds) = (2000.0, 10.0);
    let samples = simulate_imu(&pass, Stamp::from_nanos(0), rate, (rate * seconds) as usize + 1, &ImuErrors::NONE);
    let start = pass.motion(0.0);
    let lever = start.angular_velocity.cross(&pass.rig.base_from_imu.translation);
    let mut velocity = start.velocity + start.map_from_base.rotation * lever;
    let mut pose = map_from_imu(0.0);
    for pair in samples.windows(2) {
        let dt = pair[1].stamp.seconds_since(pair[0].stamp);
        let rotation = pose.rotation.retract(&(0.5 * dt * (pair[0].angular_velocity + pair[1].angular_velocity)));
        let force = 0.5 * (pose.rotation * pair[0].linear_acceleration + rotation * pair[1].linear_acceleration);
        let acceleration: Vector3<f64> = force + GRAVITY_IN_MAP;
        pose = Se3::new(rotation, pose.translation + velocity * dt + 0.5 * dt * dt * acceleration);
        velocity += acceleration * dt;
    }
    let truth = map_from_imu(seconds);
    ((pose.translation - truth.translation).norm(), pose.rotation.local(truth.rotation).norm())
}

#[test]
fn integrating_the_imu_without_noise_gives_the_path() {
    for kind in [PathKind::Planar, PathKind::Handheld] {
        let (metres, radians) = dead_reckoning_error(kind);
        assert!(metres < 1e-3 && radians < 1e-4, "{kind:?}: {metres} m, {radians} rad");
    }
}

#[test]
fn a_resting_imu_would_measure_gravity_upwards_and_noise_has_its_density() {
    let pass = Pass::new(&ROOM, PassKind::Training(0), PathKind::Planar);
    let read = |errors: &ImuErrors| simulate_imu(&pass, Stamp::from_nanos(0), 200.0, 4000, errors);
    let none = ImuErrors::NONE;
    let noise = ImuNoise { gyroscope_noise_density: 0.01, ..none.noise };
    let white = ImuErrors { noise, ..none };
    let (ideal, noisy) = (read(&none), read(&white));
    let up = ideal.iter().map(|sample| sample.linear_acceleration.z).sum::<f64>() / ideal.len() as f64;
    assert!((up - 9.81).abs() < 1e-6, "{up}");
    let square = |(a, b): (&vloc::sensor::ImuSample, &vloc::sensor::ImuSample)| {
        (a.angular_velocity - b.angular_velocity).norm_squared() / 3.0
    };
    let sigma = (ideal.iter().zip(&noisy).map(square).sum::<f64>() / 4000.0).sqrt();
    assert!((sigma / (0.01 * 200_f64.sqrt()) - 1.0).abs() < 0.05, "{sigma}");
}

#[test]
fn wheel_odometry_drifts_but_not_far() {
    let pass = Pass::new(&ROOM, PassKind::Test, PathKind::Planar);
    let start = Stamp::from_parts(100, 0);
    let samples = simulate_odometry(&pass, start, 50.0, 3001, &OdometryNoise::INDOOR);
    assert_eq!(samples[0].odom_from_base, Se3::identity());
    let truth = |t: f64| pass.motion(t).map_from_base;
    let last = (truth(0.0).inverse() * truth(60.0)).local(samples[3000].odom_from_base).norm();
    assert!((1e-4..1.0).contains(&last), "{last} after 60 s");
}

#[test]
fn a_bag_holds_the_way_from_map_to_camera() {
    let folder = tempfile::tempdir().unwrap();
    synth(folder.path(), "--width 32 --height 24 --passes 0 --test-frames 6 --format bag --rate 10").unwrap();
    let bag = folder.path().join("bags/test");
    let reader = BagReader::open(&bag).unwrap();
    let count = |name: &str| reader.topics().iter().find(|topic| &*topic.name == name).map(|topic| topic.message_count);
    assert_eq!((count("/camera/image"), count("/camera/camera_info")), (Some(6), Some(6)));
    assert_eq!((count("/imu"), count("/odom"), count("/tf")), (Some(121), Some(31), Some(31)));
    let mut base_from_camera = None;
    let pass = Pass::new(&ROOM, PassKind::Test, PathKind::Planar);
    let mut truths = 0;
    for message in reader.messages(None).unwrap() {
        let message = message.unwrap();
        match &*message.topic {
            "/tf_static" => {
                let tree: tf2_msgs::TFMessage = cdr::from_bytes("tf", &message.data).unwrap();
                assert_eq!(tree.transforms[0].child_frame_id, "camera_optical_frame");
                base_from_camera = Some(Se3::try_from(&tree.transforms[0].transform).unwrap());
            }
            "/camera/image" => {
                let image: sensor_msgs::Image = cdr::from_bytes("image", &message.data).unwrap();
                assert_eq!((image.encoding.as_str(), image.step, image.data.len()), ("rgb8", 96, 96 * 24));
            }
            "/ground_truth/pose" => {
                let truth: geometry_msgs::PoseStamped = cdr::from_bytes("pose", &message.data).unwrap();
                let map_from_base = Se3::try_from(&truth.pose).unwrap();
                let expected = pass.map_from_camera(0.1 * f64::from(truths));
                assert!((map_from_base * base_from_camera.unwrap()).local(expected).norm() < 1e-9);
                truths += 1;
            }
            _ => {}
        }
    }
    assert_eq!(truths, 6);
    let forward = base_from_camera.unwrap().rotation * Vector3::z();
    assert!((forward - Vector3::x()).norm() < 1e-12 && base_from_camera.unwrap().rotation != So3::identity());
}

#[test]
fn the_dataset_and_the_bag_open_as_datasets_with_the_true_poses() {
    let folder = tempfile::tempdir().unwrap();
    synth(folder.path(), "--width 32 --height 24 --passes 1 --frames 4 --test-frames 3 --format both").unwrap();
    let pass = |kind| Pass::new(&ROOM, kind, PathKind::Planar);
    let truths = |kind, count: i32| (0..count).map(move |n| pass(kind).map_from_camera(0.2 * f64::from(n)));
    let expected = [
        ("", truths(PassKind::Training(0), 4).chain(truths(PassKind::Test, 3)).collect::<Vec<_>>()),
        ("bags/training-01", truths(PassKind::Training(0), 4).collect()),
        ("bags/test", truths(PassKind::Test, 3).collect()),
    ];
    for (place, poses) in expected {
        let options = folder.path().join("bags/dataset.yaml");
        let opened = dataset::open(&folder.path().join(place), (!place.is_empty()).then_some(&*options)).unwrap();
        assert_eq!(opened.frames().len(), poses.len(), "{place}");
        assert_eq!(opened.camera(), &CameraModel::pinhole(32, 24, 95.3 * 32.0 / 160.0), "{place}");
        for (index, (frame, truth)) in opened.frames().iter().zip(&poses).enumerate() {
            assert!(frame.map_from_camera.local(*truth).norm() < 1e-6, "{place} {}", frame.name);
            assert_eq!(opened.image(index).unwrap().dimensions(), (32, 24));
        }
    }
    let opened = dataset::open(folder.path(), None).unwrap();
    let split = opened.declared_split().unwrap();
    assert_eq!((split.train.as_slice(), split.test.as_slice()), ([0].as_slice(), [1].as_slice()));
}

#[test]
fn rosbags_reads_and_decodes_the_bag() {
    let Some(python) = common::peers_python_for("rosbags_reads_and_decodes_the_bag") else { return };
    let folder = tempfile::tempdir().unwrap();
    synth(folder.path(), "--width 32 --height 24 --passes 0 --test-frames 3 --format bag --compressed").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/read_bag.py");
    let output = Command::new(python).arg(script).arg(folder.path().join("bags/test")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let topics = &report["topics"];
    let images = &topics["/camera/image/compressed"];
    assert_eq!(images["type"], "sensor_msgs/msg/CompressedImage");
    assert_eq!(images["count"], 3);
    assert_eq!(topics["/tf_static"]["durability"], serde_json::json!(["TRANSIENT_LOCAL"]));
    let names: Vec<&String> = topics.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 7, "{names:?}");
    assert!(names.iter().all(|name| topics[name.as_str()]["definition_is_jazzys"] == true), "{topics}");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &str| synth(folder.path(), arguments).unwrap_err().to_string();
    assert_eq!(
        refused("--rate 0"),
        "parameter rate: expected 0.01 to 1000 per second, below 1e6 images, found 400 images at 0 per second"
    );
    assert!(refused("--passes 0 --test-frames 0").starts_with("parameter passes: expected at least one pass"));
    let bag = refused("--format bag --depth");
    assert!(bag.starts_with("parameter format: expected dataset or both, found --depth or --labels"), "{bag}");
    assert!(refused("--width 0").starts_with("parameter camera: expected positive sizes and focal lengths"));
    synth(folder.path(), "--width 8 --height 6 --passes 1 --frames 1 --test-frames 1").unwrap();
    assert!(refused("").contains("holds a dataset already"));
}

#[test]
fn rooms_of_a_building_are_alike_and_stand_apart() {
    let (building, camera) = (Building::new(1, 3), CameraModel::pinhole(64, 48, 38.0));
    let sensor = Sensor { read_noise: 0.0, shot_noise: 0.0, ..Sensor::default() };
    let renderer = Renderer::new(&camera, sensor).unwrap();
    let pitch = f64::from(Building::PITCH);
    for (number, room) in building.rooms.iter().enumerate() {
        let pass = Pass::new(room, PassKind::Test, PathKind::Handheld);
        for t in [0.0, 4.0, 9.0] {
            let place = pass.map_from_camera(t).translation;
            assert_eq!(building.room_of(&place), number, "{place}");
            // Walls hide the other rooms: no point lies beyond them.
            let depth = renderer.depth(room, &pass, t).unwrap();
            let points = (0..48).flat_map(|y| (0..64).map(move |x| (x, y)));
            for point in points.map(|(x, y)| pass.map_from_camera(t) * depth.point(x, y).unwrap()) {
                assert!((point.x - pitch * number as f64).abs() < 2.5 + 1e-3, "room {number}: {point}");
            }
        }
        assert_eq!(room.furniture.len(), building.rooms[0].furniture.len());
        for (piece, first) in room.furniture.iter().zip(&building.rooms[0].furniture) {
            let moved = piece.centre - first.centre - Vector3::new(number as f32 * Building::PITCH, 0.0, 0.0);
            assert!(piece.half == first.half && moved.norm() < 0.25, "{moved}");
        }
    }
    // The same view of each room: other pictures, on much that is the same.
    let origin = |number: usize| Vector3::new(pitch * number as f64, 0.0, 1.3);
    let forward = Pass::new(&building.rooms[0], PassKind::Test, PathKind::Planar).rig.base_from_camera.rotation;
    let view = |number: usize| {
        let mut pass = Pass::still(&building.rooms[0], 0, Se3::new(forward, origin(0)));
        pass.rig.base_from_camera.translation = origin(number);
        renderer.labels(&building.rooms[number], &pass, 0.0).unwrap()
    };
    let share = |number: usize| {
        let same = view(0).iter().zip(view(number).iter()).filter(|(one, other)| one == other).count();
        same as f64 / f64::from(64 * 48)
    };
    assert!(share(1) > 0.9 && share(2) > 0.9, "{} and {} of the pixels show the same kind", share(1), share(2));
    let wall = |number: usize| building.rooms[number].room.faces[1].clone();
    let at = |index: usize| ((index % 40) as f32 / 40.0, (index / 40) as f32 / 40.0);
    let alike = |index: &usize| {
        wall(0).sample(at(*index).0, at(*index).1, 0.0) == wall(1).sample(at(*index).0, at(*index).1, 0.0)
    };
    let alike = (0..1600).filter(alike).count();
    assert!((600..1400).contains(&alike), "{alike} of 1600 places on a wall are the same in the next room");
}

#[test]
fn a_building_is_written_room_by_room() {
    let folder = tempfile::tempdir().unwrap();
    synth(folder.path(), "--rooms 2 --width 32 --height 24 --passes 1 --frames 2 --test-frames 1 --format both")
        .unwrap();
    let written = dataset::open(folder.path(), None).unwrap();
    let places: Vec<f64> = written.frames().iter().map(|frame| frame.map_from_camera.translation.x).collect();
    let pitch = f64::from(Building::PITCH);
    let rooms: Vec<bool> = places.iter().map(|x| *x > 0.5 * pitch).collect();
    assert_eq!(rooms, [false, false, true, true, false, true], "{places:?}");
    for name in ["room-01-training-01", "room-02-training-01", "room-01-test", "room-02-test"] {
        assert!(folder.path().join("bags").join(name).is_dir(), "{name}");
    }
}
