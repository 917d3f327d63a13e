//! A bag as a training set: poses from each source, interpolated and never extrapolated.
#![cfg(feature = "bag")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::path::Path;

use nalgebra::{Matrix4, Vector3};
use tempfile::TempDir;
use vloc::Stamp;
use vloc::bag::{BagWriter, Storage};
use vloc::dataset::{CameraExtrinsics, Dataset, RosbagDataset, RosbagDatasetOptions};
use vloc::geometry::{Se3, So3};
use vloc::msg::geometry_msgs::{PoseStamped, PoseWithCovarianceStamped, TransformStamped};
use vloc::msg::nav_msgs::Odometry;
use vloc::msg::sensor_msgs::Image;
use vloc::msg::std_msgs::Header;
use vloc::msg::tf2_msgs::TFMessage;
use vloc::sensor::{CameraModel, Distortion};

fn at(milliseconds: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000 + milliseconds * 1_000_000)
}

/// Constant motion, so that interpolation is exact.
fn map_from_base(milliseconds: i64) -> Se3 {
    let seconds = milliseconds as f64 * 1e-3;
    Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 0.3 * seconds)), Vector3::new(seconds, 2.0 * seconds, 0.0))
}

fn base_from_camera() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(-1.2, 1.2, -1.2)), Vector3::new(0.1, 0.0, 0.3))
}

fn transform(parent: &str, child: &str, milliseconds: i64, parent_from_child: Se3) -> TFMessage {
    let header = Header::new(at(milliseconds), parent);
    let child_frame_id = child.into();
    TFMessage { transforms: vec![TransformStamped { header, child_frame_id, transform: parent_from_child.into() }] }
}

struct Recording {
    with_extrinsics: bool,
    with_camera_info: bool,
}

/// Images every 50 ms from 0 to 2000 ms; poses every 100 ms from 130 to 1830 ms without those at 930 ... 1530.
fn record(path: &Path, recording: &Recording) {
    let mut writer = BagWriter::create(path, Storage::Mcap).unwrap();
    if recording.with_extrinsics {
        writer.write("/tf_static", at(0), &transform("base_link", "camera", 0, base_from_camera())).unwrap();
        writer.write("/tf_static", at(0), &transform("map", "odom", 0, Se3::identity())).unwrap();
    }
    if recording.with_camera_info {
        let camera = CameraModel::pinhole(4, 3, 5.0);
        writer.write("/cam/camera_info", at(0), &camera.to_message(at(0), "camera")).unwrap();
    }
    for milliseconds in (0..=2000).step_by(50) {
        let image = Image {
            header: Header::new(at(milliseconds), "camera"),
            height: 3,
            width: 4,
            encoding: "mono8".into(),
            is_bigendian: 0,
            step: 4,
            data: vec![(milliseconds / 50) as u8; 12],
        };
        writer.write("/cam/image_raw", at(milliseconds + 7), &image).unwrap();
    }
    for milliseconds in (130..=1830).step_by(100).filter(|at| !(930..1531).contains(at)) {
        let header = || Header::new(at(milliseconds), "map");
        let pose = map_from_base(milliseconds).into();
        let log_stamp = at(milliseconds + 3);
        writer
            .write("/tf", log_stamp, &transform("odom", "base_link", milliseconds, map_from_base(milliseconds)))
            .unwrap();
        writer.write("/pose", log_stamp, &PoseStamped { header: header(), pose }).unwrap();
        let mut with_covariance = PoseWithCovarianceStamped { header: header(), ..Default::default() };
        with_covariance.pose.pose = pose;
        writer.write("/amcl_pose", log_stamp, &with_covariance).unwrap();
        let odometry = Odometry {
            header: header(),
            child_frame_id: "base_link".into(),
            pose: with_covariance.pose,
            ..Default::default()
        };
        writer.write("/odom", log_stamp, &odometry).unwrap();
    }
    writer.finish().unwrap();
}

const COMPLETE: Recording = Recording { with_extrinsics: true, with_camera_info: true };

#[test]
fn every_source_of_poses_gives_the_same_frames() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    record(&path, &COMPLETE);
    for pose_topic in [None, Some("/pose"), Some("/amcl_pose"), Some("/odom")] {
        let options = RosbagDatasetOptions { pose_topic: pose_topic.map(String::from), ..Default::default() };
        let dataset = RosbagDataset::open(&path, &options).unwrap();
        // 0, 50, 100 come before 130; 1850 to 2000 after 1830; 850 to 1600 lie between 830 and 1630
        let notes = [
            "3 images before the first pose left out",
            "4 images after the last pose left out",
            "16 images in gaps between poses left out",
        ];
        assert_eq!(dataset.notes(), notes, "{pose_topic:?}");
        assert_eq!(dataset.frames().len(), 41 - 3 - 4 - 16);
        assert_eq!(dataset.camera(), &CameraModel::pinhole(4, 3, 5.0));
        for (index, frame) in dataset.frames().iter().enumerate() {
            let milliseconds = frame.stamp.nanos_since(at(0)) / 1_000_000;
            let expected = map_from_base(milliseconds) * base_from_camera();
            assert!(frame.map_from_camera.local(expected).norm() < 1e-9, "{} {pose_topic:?}", frame.name);
            assert_eq!(dataset.image(index).unwrap().as_raw(), &vec![(milliseconds / 50) as u8; 36]);
        }
        assert_eq!(dataset.frames()[0].name, "cam/image_raw@1700000000.150000000");
    }
}

#[test]
fn a_longer_gap_can_be_allowed_and_a_split_of_the_way_is_found() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    record(&path, &COMPLETE);
    let options = RosbagDatasetOptions { longest_gap: 1.0, ..Default::default() };
    let dataset = RosbagDataset::open(&path, &options).unwrap();
    assert_eq!(dataset.frames().len(), 41 - 3 - 4);
    // the same camera, given by hand
    let [x, y, z, w] = base_from_camera().rotation.to_xyzw();
    let extrinsics =
        CameraExtrinsics { translation: base_from_camera().translation.into(), rotation_xyzw: [x, y, z, w] };
    let by_hand = RosbagDatasetOptions { base_from_camera: Some(extrinsics), ..options };
    let other = RosbagDataset::open(&path, &by_hand).unwrap();
    for (a, b) in dataset.frames().iter().zip(other.frames()) {
        assert!(a.map_from_camera.local(b.map_from_camera).norm() < 1e-12);
    }
}

fn error_of(path: &Path, options: &RosbagDatasetOptions) -> String {
    RosbagDataset::open(path, options).err().expect("must be refused").to_string()
}

#[test]
fn what_is_missing_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    record(&path, &Recording { with_extrinsics: false, with_camera_info: false });
    let pose = RosbagDatasetOptions { pose_topic: Some("/pose".into()), ..Default::default() };
    let error = error_of(&path, &pose);
    assert!(
        error.ends_with("expected messages on /cam/camera_info, or a camera in the options, found none"),
        "{error}"
    );
    let with_camera = RosbagDatasetOptions { camera: Some(CameraModel::pinhole(4, 3, 5.0)), ..pose };
    let error = error_of(&path, &with_camera);
    let expected =
        "parameter base_from_camera: expected the camera's pose, or /tf_static from base_link to camera, found ";
    assert!(error.starts_with(expected), "{error}");
    let of_camera = RosbagDatasetOptions { base_frame: Some("camera".into()), ..with_camera.clone() };
    assert_eq!(RosbagDataset::open(&path, &of_camera).unwrap().frames().len(), 18);
    let error = error_of(&path, &RosbagDatasetOptions { pose_topic: None, ..with_camera.clone() });
    assert!(error.contains("frame \"map\" is unknown") || error.contains("frame \"camera\" is unknown"), "{error}");
    let error = error_of(&path, &RosbagDatasetOptions { pose_topic: Some("/gps".into()), ..with_camera.clone() });
    assert!(error.contains("expected a topic with poses, found no /gps in "), "{error}");
    let error = error_of(&path, &RosbagDatasetOptions { pose_topic: Some("/cam/image_raw".into()), ..with_camera });
    assert!(error.ends_with("found /cam/image_raw of type sensor_msgs/msg/Image"), "{error}");
    let error = error_of(&path, &RosbagDatasetOptions { image_topic: Some("/cam".into()), ..Default::default() });
    assert!(error.ends_with("expected an image topic, found /cam; image topics of the bag: /cam/image_raw"), "{error}");
    let error = error_of(&path, &RosbagDatasetOptions { longest_gap: f64::NAN, ..Default::default() });
    assert!(error.starts_with("parameter longest_gap: expected seconds, found NaN"), "{error}");
}

#[test]
fn images_of_another_size_and_bags_without_posed_images_are_errors() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    record(&path, &COMPLETE);
    let camera = Some(CameraModel::pinhole(8, 6, 5.0));
    let dataset = RosbagDataset::open(&path, &RosbagDatasetOptions { camera, ..Default::default() }).unwrap();
    let error = dataset.image(0).unwrap_err().to_string();
    assert!(error.contains("150000000: expected 8 x 6 pixels, as its camera has, found 4 x 3"), "{error}");
    let error = error_of(&path, &RosbagDatasetOptions { longest_gap: 0.0, ..Default::default() });
    assert!(
        error
            .contains("expected images with poses, found 41 images: 3 images before the first pose left out; 4 images")
    );
}

#[test]
fn unknown_options_are_refused() {
    let error = serde_yaml::from_str::<RosbagDatasetOptions>("image_topik: /image").unwrap_err().to_string();
    assert!(error.contains("unknown field `image_topik`, expected one of `image_topic`"), "{error}");
    let options: RosbagDatasetOptions = serde_yaml::from_str(
        "pose_topic: /odom\nbase_from_camera: {translation: [0, 0, 1], rotation_xyzw: [0, 0, 0, 1]}\n",
    )
    .unwrap();
    assert_eq!(options.pose_topic.as_deref(), Some("/odom"));
    assert_eq!(options.longest_gap, 0.5);
}

/// The calibration of EuRoC's cam0, from its `sensor.yaml`.
fn euroc_options() -> RosbagDatasetOptions {
    #[rustfmt::skip]
    let body_from_camera = Matrix4::new(
        0.0148655429818, -0.999880929698, 0.00414029679422, -0.0216401454975,
        0.999557249008, 0.0149672133247, 0.025715529948, -0.064676986768,
        -0.0257744366974, 0.00375618835797, 0.999660727178, 0.00981073058949,
        0.0, 0.0, 0.0, 1.0,
    );
    let body_from_camera = Se3::from_matrix(&body_from_camera, 1e-3).unwrap();
    let distortion = Distortion::PlumbBob([-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05, 0.0]);
    RosbagDatasetOptions {
        camera: Some(CameraModel {
            width: 752,
            height: 480,
            fx: 458.654,
            fy: 457.296,
            cx: 367.215,
            cy: 248.375,
            distortion,
        }),
        pose_topic: Some("/ground_truth/pose".into()),
        base_from_camera: Some(CameraExtrinsics {
            translation: body_from_camera.translation.into(),
            rotation_xyzw: body_from_camera.rotation.to_xyzw(),
        }),
        ..Default::default()
    }
}

#[test]
fn the_euroc_bag_is_a_training_set() {
    let Some(data) = common::real_data_for("the_euroc_bag_is_a_training_set") else { return };
    let dataset = RosbagDataset::open(&data.join("bags/euroc_v101_mcap"), &euroc_options()).unwrap();
    assert_eq!((dataset.frames().len(), dataset.notes().len()), (90, 0));
    for index in [0, 89, 45] {
        assert_eq!(dataset.image(index).unwrap().dimensions(), (752, 480));
    }
    // the camera stays within its lever arm of the body
    let first = dataset.frames()[0].map_from_camera.translation;
    assert!((first - Vector3::new(2.12, 2.45, 0.97)).norm() < 0.3, "{first}");
}
