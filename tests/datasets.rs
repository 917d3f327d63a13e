//! Dataset readers and splits through the public API.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use image::{Rgb, RgbImage};
use vloc::config::load_yaml;
use vloc::dataset::{self, SplitRule};

const CAMERA: &str = "width: 16\nheight: 12\nfx: 14.0\nfy: 14.0\ncx: 7.5\ncy: 5.5\n";

fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn pose_text(x: f64) -> String {
    format!("1 0 0 {x}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
}

/// A scene of 16x12 images whose colour tells their sequence and number.
fn scene(lengths: &[u32]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("camera.yaml"), CAMERA);
    for (sequence, length) in (1u8..).zip(lengths) {
        for number in 0..*length {
            let stem = folder.path().join(format!("seq-{sequence:02}/frame-{number:06}"));
            write(stem.with_extension("pose.txt"), pose_text(f64::from(number)));
            RgbImage::from_pixel(16, 12, Rgb([sequence, number as u8, 9]))
                .save(stem.with_extension("color.png"))
                .unwrap();
        }
    }
    folder
}

fn error_of(folder: &Path) -> String {
    dataset::open(folder, None).err().expect("must be refused").to_string()
}

fn rule(text: &str) -> SplitRule {
    serde_yaml::from_str(text).unwrap()
}

fn shipped(name: &str) -> SplitRule {
    load_yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/splits").join(name)).unwrap()
}

#[test]
fn redkitchen_is_read_and_split_as_documented() {
    let Some(data) = common::real_data_for("redkitchen_is_read_and_split_as_documented") else { return };
    let kitchen = dataset::open(&data.join("redkitchen"), None).unwrap();
    assert_eq!((kitchen.name(), kitchen.frames().len(), kitchen.camera().fx), ("redkitchen", 1000, 525.0));
    let first = &kitchen.frames()[0];
    assert_eq!(first.name, "seq-01/frame-000000");
    assert!((first.map_from_camera.translation.x + 0.34045634).abs() < 1e-9);
    assert_eq!(kitchen.frames()[999].stamp.as_nanos(), 33_300_000_000);
    assert_eq!(kitchen.image(999).unwrap().dimensions(), (640, 480));
    let interpolation = shipped("interpolation.yaml").split(kitchen.as_ref()).unwrap();
    assert_eq!((interpolation.train.len(), interpolation.test.len()), (800, 160));
    assert_eq!((interpolation.test[0], interpolation.test[159]), (210, 689));
    let extrapolation = shipped("extrapolation.yaml").split(kitchen.as_ref()).unwrap();
    assert_eq!((extrapolation.train.len(), extrapolation.test.len()), (680, 300));
    let text = shipped("sequences.yaml").split(kitchen.as_ref()).unwrap_err().to_string();
    assert!(text.contains("dataset redkitchen without them"), "{text}");
    let alone = dataset::open(&data.join("redkitchen/seq-01"), None).unwrap();
    assert_eq!(alone.frames().len(), 1000);
}

#[test]
fn a_scene_is_read_with_its_splits_and_camera() {
    let folder = scene(&[3, 2, 2]);
    write(folder.path().join("TrainSplit.txt"), "sequence1\nsequence3\nsequence7\n");
    write(folder.path().join("TestSplit.txt"), "sequence2\n");
    let scene = dataset::open(folder.path(), None).unwrap();
    assert_eq!((scene.camera().width, scene.frames().len()), (16, 7));
    assert_eq!(scene.image(4).unwrap().get_pixel(0, 0), &Rgb([2, 1, 9]));
    let seconds: Vec<f64> = scene.frames().iter().map(|frame| frame.stamp.as_seconds()).collect();
    assert!((seconds[2] - 2.0 / 30.0).abs() < 1e-8 && (seconds[3] - seconds[2] - 3600.0).abs() < 1e-8, "{seconds:?}");
    let split = shipped("sequences.yaml").split(scene.as_ref()).unwrap();
    assert_eq!((split.train, split.test), (vec![0, 1, 2, 5, 6], vec![3, 4]));
    assert!(scene.notes()[0].contains("sequence7 is not in the folder"), "{:?}", scene.notes());
    write(folder.path().join("TestSplit.txt"), "seq two\n");
    assert!(error_of(folder.path()).ends_with("expected lines such as sequence1, found \"seq two\""));
}

#[test]
fn a_frame_without_image_or_pose_is_an_error_with_its_name() {
    let folder = scene(&[3]);
    std::fs::remove_file(folder.path().join("seq-01/frame-000001.color.png")).unwrap();
    let text = error_of(folder.path());
    assert!(text.contains("frame-000001.color.png") && text.ends_with("found no such file"), "{text}");
    let folder = scene(&[3]);
    std::fs::remove_file(folder.path().join("seq-01/frame-000001.pose.txt")).unwrap();
    let text = error_of(folder.path());
    assert!(text.ends_with("frame-000001.pose.txt: expected a pose for every image, found no such file"), "{text}");
}

#[test]
fn broken_poses_are_errors_with_file_and_defect() {
    let folder = scene(&[2]);
    let pose = folder.path().join("seq-01/frame-000001.pose.txt");
    let cases = [
        (pose_text(f64::NAN), "found \"NaN\" at place 4"),
        (
            "1 0 0 0\n0 1 0 0\n0 0 1.1 0\n0 0 0 1\n".into(),
            "found |RtR - I| = 2.100e-1, det R = 1.100, last row [0.0, 0.0, 0.0, 1.0]",
        ),
        ("1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1\n".into(), "det R = -1.000, last row [0.0, 0.0, 0.0, 1.0]"),
        ("1 0 0 0\n0 1 0 0\n".into(), "found 8 numbers"),
        (format!("{} 5", pose_text(0.0)), "found more than sixteen"),
    ];
    for (text, found) in cases {
        write(&pose, text);
        let text = error_of(folder.path());
        assert!(text.contains("frame-000001.pose.txt: expected ") && text.ends_with(found), "{text}");
    }
}

#[test]
fn cut_and_foreign_images_are_errors_with_their_name() {
    let folder = scene(&[3]);
    let image = folder.path().join("seq-01/frame-000001.color.png");
    let bytes = std::fs::read(&image).unwrap();
    write(&image, &bytes[..bytes.len() / 2]);
    let scene = dataset::open(folder.path(), None).unwrap();
    let text = scene.image(1).unwrap_err().to_string();
    assert!(text.contains("frame-000001.color.png: expected a complete png image, found "), "{text}");
    RgbImage::new(8, 8).save(&image).unwrap();
    let text = scene.image(1).unwrap_err().to_string();
    assert!(text.contains("expected a 16x12 image, as the camera calibration says, found 8x8"), "{text}");
    std::fs::remove_file(&image).unwrap();
    let text = scene.image(1).unwrap_err().to_string();
    assert!(text.contains("cannot read") && text.contains("frame-000001.color.png"), "{text}");
}

#[test]
fn unrecognised_folders_say_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    assert!(error_of(folder.path()).ends_with("found an empty folder"));
    write(folder.path().join("readme"), "");
    assert!(error_of(folder.path()).ends_with("found a folder with none of them"));
    assert!(error_of(&folder.path().join("readme")).ends_with("found a file"));
    assert!(error_of(&folder.path().join("nowhere")).starts_with("cannot read"));
    std::fs::create_dir(folder.path().join("seq-01")).unwrap();
    assert!(error_of(folder.path()).ends_with("expected frame-XXXXXX.pose.txt files with their images, found none"));
}

#[test]
fn tum_images_get_interpolated_poses_and_strays_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rgbd_dataset_freiburg1_made");
    write(root.join("rgb.txt"), "# colour\n1.00 a.png\n1.03 b.png\n2.00 c.png\n9.00 d.png\n");
    let truth =
        "# stamp tx ty tz qx qy qz qw\n1.00 0 0 0 0 0 0 1\n1.04 4 0 0 0 0 0.7071068 0.7071068\n1.99 0 0 0 0 0 0 1\n";
    write(root.join("groundtruth.txt"), truth);
    for name in ["a.png", "b.png"] {
        RgbImage::new(640, 480).save(root.join(name)).unwrap();
    }
    let tum = dataset::open(&root, None).unwrap();
    assert_eq!((tum.frames().len(), tum.camera().fx), (2, 517.3));
    let pose = tum.frames()[1].map_from_camera;
    assert!((pose.translation.x - 3.0).abs() < 1e-9, "{pose:?}");
    assert!((pose.rotation.angle() - 0.75 * std::f64::consts::FRAC_PI_2).abs() < 1e-6, "{pose:?}");
    assert_eq!(tum.notes(), ["2 of 4 images without ground-truth poses within 50 ms left out"]);
    assert_eq!(tum.image(1).unwrap().dimensions(), (640, 480));

    for (line, found) in
        [("1.0 0 0 0 0 0 0 0", "zero quaternion"), ("1.0 NaN 0 0 0 0 0 1", "NaN"), ("1.0 0 0", "short")]
    {
        write(root.join("groundtruth.txt"), line);
        let text = error_of(&root);
        assert!(text.ends_with(&format!("a unit quaternion, found line 1: {line:?}")), "{found}: {text}");
    }
    write(root.join("groundtruth.txt"), truth);
    let unknown = folder.path().join("mine");
    std::fs::rename(&root, &unknown).unwrap();
    assert!(error_of(&unknown).ends_with("found \"mine\" without camera.yaml"));
    std::fs::remove_file(unknown.join("b.png")).unwrap();
    write(unknown.join("camera.yaml"), CAMERA);
    assert!(error_of(&unknown).ends_with("b.png: expected the image that rgb.txt lists, found no such file"));
}

#[test]
fn validation_blocks_come_out_of_the_training_frames() {
    let folder = scene(&[100]);
    let scene = dataset::open(folder.path(), None).unwrap();
    let rule = rule("{kind: separate, validation: {every: 5, length: 10, margin: 2}}");
    let split = rule.split(scene.as_ref()).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (80, 12, 0));
    assert_eq!((split.validation[0], split.validation[6]), (42, 92));
    let SplitRule::Separate { validation } = serde_yaml::from_str("{kind: separate, validation: {}}").unwrap() else {
        panic!("another kind")
    };
    assert_eq!(validation, Some(Default::default()));
}

#[test]
fn unsound_and_empty_splits_are_refused() {
    let folder = scene(&[20]);
    let scene = dataset::open(folder.path(), None).unwrap();
    let text = |yaml: &str| rule(yaml).split(scene.as_ref()).unwrap_err().to_string();
    assert_eq!(
        text("{kind: range, test: [50, 60]}"),
        "parameter split: expected frames in every part that the rule asks for, found train 20, validation 0, test 0 of 20 frames"
    );
    assert!(text("{kind: range, test: [0, 20]}").contains("train 0, validation 0, test 20"));
    assert!(text("{kind: range, test: [9, 9]}").ends_with("found [9, 9]"));
    assert!(text("{kind: blocks, block: 0, period: 4, test: [2]}").contains("expected block above 2 * margin"));
    assert!(text("{kind: blocks, block: 4, period: 0, test: []}").contains("period above 0"));
    assert!(text("{kind: blocks, block: 4, period: 2, test: [2]}").contains("test blocks in 0..period"));
    assert!(text("{kind: separate, validation: {every: 1}}").contains("every at least 2"));
    assert!(text("{kind: separate, validation: {length: 20}}").contains("validation 0"));
    for (yaml, found) in [
        ("{kind: blocks, blok: 4}", "unknown field `blok`"),
        ("{kind: random}", "unknown variant `random`"),
        ("{kind: separate, seed: 1}", "unknown field `seed`"),
    ] {
        let text = serde_yaml::from_str::<SplitRule>(yaml).unwrap_err().to_string();
        assert!(text.contains(found), "{text}");
    }
}
