//! The node without its estimator, through its public API and without a network of weights: messages in, poses and
//! transforms out; what is bad is counted under its reason; a replay writes the same bytes every time. The estimator's
//! part in the node is in fusion.rs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/bench.rs"]
mod bench;
mod common;

use std::path::Path;
use std::time::Duration;

use bench::*;
use vloc::bag::BagReader;
use vloc::config::{Config, ImageTransport};
use vloc::geometry::{Se3, Trajectory};
use vloc::middleware::{Incoming, Middleware, Names, Outgoing, Picture, messages};
use vloc::msg::{geometry_msgs, sensor_msgs, std_msgs, tf2_msgs};
use vloc::node::{ManagedNode, ReplayRequest, Summary, replay, run};
use vloc::sensor::Image;
use vloc::{Result, Stamp};

/// What the network says and the pose that is the same, without a transform.
fn is_pose_alone(outgoing: &[Outgoing]) -> bool {
    matches!(outgoing, [Outgoing::AbsolutePose(_), Outgoing::Pose(_)])
}

fn assert_close(a: Se3, b: Se3) {
    assert!(a.local(b).norm() < 1e-9, "{a:?} is not {b:?}");
}

#[test]
fn an_image_becomes_a_pose_and_map_from_odom_at_the_images_stamp() {
    let mut bench = Bench::ready(alone());
    let outgoing = bench.image(450, 100);
    let [Outgoing::AbsolutePose(network), Outgoing::Pose(pose), Outgoing::Transform(transform)] = outgoing.as_slice()
    else {
        panic!("{outgoing:?}")
    };
    assert_eq!(network, pose, "without the estimator the pose is what the network says");
    let map_from_base = map_from_camera(100) * base_from_camera().inverse();
    assert_eq!((pose.stamp, pose.frame_id.as_str()), (at(450), "map"));
    assert_close(pose.map_from_base, map_from_base);
    let adjoint = base_from_camera().adjoint();
    assert!((pose.covariance.matrix() - adjoint * 0.01 * adjoint.transpose()).amax() < 1e-12);
    assert_eq!((transform.parent.as_str(), transform.child.as_str()), ("map", "odom"));
    assert_eq!(transform.stamp, at(650));
    let halfway = odom_from_base(at(400)).interpolate(odom_from_base(at(500)), 0.5);
    assert_close(transform.parent_from_child, map_from_base * halfway.inverse());
}

#[test]
fn without_odometry_map_from_base_is_published_once_and_never_repeated() {
    let mut bench = Bench::ready(Config { use_odometry: false, ..alone() });
    let outgoing = bench.image(450, 100);
    let transforms_out = transforms(&outgoing);
    assert_eq!(transforms_out.len(), 1);
    assert_eq!(transforms_out[0].child, "base_link");
    assert!(transforms(&bench.tick(at(2000))).is_empty());
}

#[test]
fn map_from_odom_is_repeated_at_its_rate_after_the_first_fix_only() {
    let mut bench = Bench::ready(alone());
    for i in 0..10 {
        assert!(transforms(&bench.tick(at(40 * i))).is_empty(), "nothing before the first fix");
    }
    assert_eq!(transforms(&bench.image(450, 100)).len(), 1);
    let repeated: Vec<Stamp> = (0..1000)
        .flat_map(|i| transforms(&bench.tick(at(460 + i))).iter().map(|transform| transform.stamp).collect::<Vec<_>>())
        .collect();
    assert_eq!(repeated.len(), 19);
    assert!(repeated.windows(2).all(|pair| pair[1].nanos_since(pair[0]) == 50_000_000));
    assert_eq!(repeated[0], at(510 + 200));
}

#[test]
fn stamps_of_published_transforms_never_go_back() {
    let mut bench = Bench::ready(alone());
    let first = transforms(&bench.image(450, 100))[0].stamp;
    let repeated = transforms(&bench.tick(at(800)))[0].stamp;
    let next = transforms(&bench.image(750, 101))[0].stamp;
    assert!(first < repeated && repeated < next, "{first} {repeated} {next}");
}

#[test]
fn a_fix_waits_for_late_odometry_and_gives_up_at_its_timeout() {
    let mut bench = Bench::ready(alone());
    let outgoing = bench.image(1050, 100);
    assert!(is_pose_alone(&outgoing), "the pose does not wait: {outgoing:?}");
    let outgoing = bench.give(odometry(at(1100)), at(1110));
    assert_eq!(transforms(&outgoing)[0].stamp, at(1250));
    bench.image(1150, 100);
    let outgoing = bench.tick(at(1150 + 10 + 250));
    assert!(transforms(&outgoing).iter().all(|transform| transform.stamp != at(1350)), "{outgoing:?}");
    let refused = bench.refused();
    assert_eq!(refused["no_odometry"].0, 1);
    assert!(refused["no_odometry"].1.contains("the newest known is of 1700000001.1"), "{refused:?}");
}

#[test]
fn images_without_camera_info_are_refused() {
    let mut bench = Bench::new(alone());
    bench.give(mounting(), at(0));
    assert!(bench.image(450, 100).is_empty());
    bench.assert_refused("no_camera_info", "expected a usable camera_info before it, found none yet");
}

#[test]
fn images_without_a_mounting_are_refused() {
    let mut bench = Bench::new(alone());
    bench.give(calibration(), at(0));
    assert!(bench.image(450, 100).is_empty());
    bench.assert_refused("no_extrinsics", "frame \"base_link\" is unknown");
}

/// What is wrong with an image, the reason it is refused for, and a word of the error.
type Lie = (fn(&mut Image), &'static str, &'static str);

#[test]
fn images_that_lie_about_themselves_are_refused() {
    let lies: [Lie; 5] = [
        (|image| image.step = 63 * 3, "image_undecodable", "step"),
        (|image| image.height = 4_000_000_000, "image_size", "4000000000"),
        (|image| image.encoding = "klingon8".into(), "image_undecodable", "klingon8"),
        (|image| image.data.truncate(100), "image_undecodable", "100"),
        (
            |image| (image.width, image.height, image.step) = (48, 64, 48 * 3),
            "image_size",
            "expected 64 x 48 pixels, as camera_info says, found 48 x 64",
        ),
    ];
    for (lie, reason, text) in lies {
        let mut bench = Bench::ready(alone());
        let mut image = picture(at(450), 100);
        lie(&mut image);
        assert!(bench.give(Incoming::Image(Picture::Raw(image)), at(460)).is_empty());
        bench.assert_refused(reason, text);
    }
}

#[test]
fn images_that_show_nothing_are_refused() {
    let mut bench = Bench::ready(alone());
    let covered = Image { data: vec![7; 64 * 48 * 3], ..picture(at(450), 100) };
    assert!(bench.give(Incoming::Image(Picture::Raw(covered)), at(460)).is_empty());
    let text = "expected a contrast of 3 levels or more (min_image_contrast), found 0.0: is the camera covered";
    bench.assert_refused("image_without_contrast", text);
}

#[test]
fn a_network_that_fails_is_counted_and_says_no_pose() {
    let mut bench = Bench::ready(alone());
    assert!(bench.image(450, 0).is_empty());
    bench.assert_refused("network_failed", "network: a black image");
}

#[test]
fn an_image_of_another_scene_is_counted_and_says_no_pose() {
    let mut bench = Bench::ready(alone());
    assert!(bench.image(450, 231).is_empty());
    bench.assert_refused("other_scene", "expected an image of hall, found one of lab (probability 0.90)");
}

#[test]
fn transforms_that_are_none_are_refused() {
    let rotations = [(f64::NAN, 1.0, "finite"), (0.0, 0.0, "a unit quaternion, found x 0, y 0, z 0, w 0")];
    for (x, w, text) in rotations {
        let mut message = tf2_msgs::TFMessage::default();
        message.transforms.push(geometry_msgs::TransformStamped {
            header: std_msgs::Header::new(at(0), "odom"),
            child_frame_id: "base_link".into(),
            transform: geometry_msgs::Transform {
                translation: geometry_msgs::Vector3 { x, y: 0.0, z: 0.0 },
                rotation: geometry_msgs::Quaternion { x: 0.0, y: 0.0, z: 0.0, w },
            },
        });
        let mut bench = Bench::new(alone());
        bench.give(messages::transforms(&message, false), at(0));
        bench.assert_refused("transform_refused", text);
    }
}

#[test]
fn an_uncalibrated_camera_is_refused() {
    let mut bench = Bench::new(alone());
    bench.give(messages::camera_info(&sensor_msgs::CameraInfo::default(), false), at(0));
    bench.assert_refused("camera_info_refused", "a calibrated camera");
    let mut bench = Bench::new(alone());
    bench.give(messages::camera_info(&sensor_msgs::CameraInfo::default(), true), at(0));
    bench.assert_refused("camera_info_refused", "the camera of a rectified image in p");
}

#[test]
fn an_image_that_is_not_newer_is_refused_and_a_clock_that_jumps_back_starts_anew() {
    let mut bench = Bench::ready(alone());
    bench.image(950, 100);
    assert!(bench.image(950, 101).is_empty());
    assert!(bench.image(900, 101).is_empty());
    let refused = bench.refused();
    assert_eq!(refused["image_out_of_order"].0, 2);
    assert!(
        refused["image_out_of_order"]
            .1
            .ends_with("expected a stamp after 1700000000.950000000, found 1700000000.900000000")
    );

    let jump = Stamp::from_nanos(at(450).as_nanos() - 100_000_000_000);
    let outgoing = bench.give(Incoming::Image(Picture::Raw(picture(jump, 100))), jump);
    assert!(is_pose_alone(&outgoing), "odometry of the run before is gone: {outgoing:?}");
    assert_eq!(bench.core.health().clock_jumps(), 1);
    assert!(transforms(&bench.tick(jump + Duration::from_millis(100))).is_empty(), "nothing to repeat after a jump");
    let report = bench.core.health();
    assert_eq!(report.poses(), 2);
    assert!(bench.refused()["no_odometry"].1.contains("\"odom\" is unknown"), "{:?}", bench.refused());
}

#[test]
fn an_answer_of_the_run_before_a_jump_is_thrown_away() {
    let mut bench = Bench::ready(alone());
    let job = bench.core.receive(Incoming::Image(Picture::Raw(picture(at(950), 100))), at(960)).unwrap();
    let answer = bench.worker.work(job);
    bench.core.tick(at(-50_000), Vec::new());
    bench.core.finish(answer, at(-50_000));
    assert!(!bench.core.take_outgoing().iter().any(|out| matches!(out, Outgoing::Pose(_))));
    assert_eq!(bench.refused()["clock_jumped"].0, 1);
}

/// A port that is fed by hand.
struct Channel {
    incoming: tokio::sync::mpsc::UnboundedReceiver<Incoming>,
    sent: Vec<Outgoing>,
    /// When the port ends after the last message.
    end: tokio::time::Instant,
}

impl Middleware for Channel {
    async fn next(&mut self) -> Option<Incoming> {
        let is_active =
            |out: &Outgoing| matches!(out, Outgoing::Transition(event) if event.goal_state.label == "active");
        if !self.sent.iter().any(is_active) {
            std::future::pending::<()>().await;
        }
        match self.incoming.recv().await {
            Some(incoming) => Some(incoming),
            None => {
                tokio::time::sleep_until(self.end).await;
                None
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<()> {
        self.sent.push(outgoing);
        Ok(())
    }

    fn now(&self) -> Stamp {
        at(1000)
    }
}

#[tokio::test]
async fn a_slow_network_answers_the_newest_image_and_counts_the_replaced_ones() {
    let (sender, incoming) = tokio::sync::mpsc::unbounded_channel();
    for message in [calibration(), mounting()].into_iter().chain((0..=10).map(|i| odometry(at(100 * i)))) {
        sender.send(message).unwrap();
    }
    for i in 1..=10_u8 {
        sender.send(Incoming::Image(Picture::Raw(picture(at(50 * i64::from(i)), i)))).unwrap();
    }
    drop(sender);
    let mut port =
        Channel { incoming, sent: Vec::new(), end: tokio::time::Instant::now() + Duration::from_millis(2500) };
    let localizer = Brightness { delay: Duration::from_millis(200), ..Brightness::default() };
    let mut node = ManagedNode::new(alone(), "/vloc").unwrap();
    run(&mut port, &mut node, move |_| Ok(localizer.clone()), std::future::pending()).await.unwrap();
    let poses: Vec<Stamp> = port
        .sent
        .iter()
        .filter_map(|out| if let Outgoing::Pose(pose) = out { Some(pose.stamp) } else { None })
        .collect();
    assert_eq!(poses.last(), Some(&at(500)), "the newest image is answered");
    let replaced = node.health().refusals()[&vloc::node::Reason::Replaced].count;
    assert_eq!(poses.len() as u64 + replaced, 10);
    assert!(replaced >= 7, "{replaced}");
    assert!(node.health().percentile(0.5).unwrap() >= 0.2);
}

#[tokio::test]
async fn the_node_stops_when_told_to() {
    let (sender, incoming) = tokio::sync::mpsc::unbounded_channel();
    let mut port = Channel { incoming, sent: Vec::new(), end: tokio::time::Instant::now() };
    let mut node = ManagedNode::new(Config::default(), "/vloc").unwrap();
    let stop = tokio::time::sleep(Duration::from_millis(50));
    run(&mut port, &mut node, |_| Ok(Brightness::default()), stop).await.unwrap();
    drop(sender);
}

async fn replay_to(bag: &Path, out: &Path, names: &Names) -> Result<Summary> {
    let report = out.join("report");
    let request = ReplayRequest { report: Some(&report), ..ReplayRequest::new(bag, out) };
    replay(request, alone(), names, Brightness::default(), || false).await
}

#[tokio::test]
async fn a_replay_answers_every_image_and_writes_the_same_bytes_twice() {
    let work = tempfile::tempdir().unwrap();
    let bag = work.path().join("recording");
    write_bag(&bag, true);
    let (first, second) = (work.path().join("first"), work.path().join("second"));
    let summary = replay_to(&bag, &first, &camera_names()).await.unwrap();
    replay_to(&bag, &second, &camera_names()).await.unwrap();
    let (one, two) = (files(&first), files(&second));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    let of_report = one.keys().filter(|name| name.starts_with("report")).count();
    assert!(one.len() == 4 + of_report && of_report > 5, "{:?}", one.keys());
    for (name, bytes) in &one {
        assert!(bytes == &two[name], "{name} differs between two runs");
    }

    assert_eq!((summary.images, summary.poses), (20, 19));
    let reasons: Vec<(&str, u64)> =
        summary.refused.iter().map(|(name, refused)| (name.as_str(), refused.count)).collect();
    // The first image is older than all odometry.
    assert_eq!(reasons, [("image_undecodable", 1), ("no_odometry", 1)]);
    let trajectory = Trajectory::read_tum(&first.join("trajectory.tum")).unwrap();
    assert_eq!(trajectory.len(), 19);
    let (stamp, pose) = trajectory.poses()[3];
    assert_eq!(stamp, at(300));
    assert!(pose.local(map_from_camera(53) * base_from_camera().inverse()).norm() < 1e-6);

    let written = BagReader::open(&first.join("bag")).unwrap();
    let count = |topic: &str| written.topic(topic).map(|topic| topic.message_count);
    assert_eq!(count("/pose"), Some(19));
    assert_eq!(count("/cam/image_raw"), Some(20), "the input stands beside the output");
    assert!(count("/tf") > Some(20 + 18) && count("/diagnostics") >= Some(2));
}

#[tokio::test]
async fn a_bag_without_the_nodes_images_lists_those_that_it_has() {
    let work = tempfile::tempdir().unwrap();
    let bag = work.path().join("recording");
    write_bag(&bag, false);
    let error = replay_to(&bag, &work.path().join("out"), &Names::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("expected images of type sensor_msgs/msg/Image on /image"), "{text}");
    assert!(
        text.contains("images on /cam/image_raw (sensor_msgs/msg/Image); name them with -r image:=TOPIC"),
        "{text}"
    );
}

#[tokio::test]
async fn a_cut_bag_gives_what_it_holds_and_then_its_error() {
    let work = tempfile::tempdir().unwrap();
    let bag = work.path().join("recording");
    write_bag(&bag, false);
    let whole = std::fs::read(bag.join("recording_0.mcap")).unwrap();
    let cut = work.path().join("cut.mcap");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let out = work.path().join("out");
    let error = replay_to(&cut, &out, &camera_names()).await.unwrap_err();
    assert!(error.to_string().contains("cut.mcap"), "{error}");
    assert!(!out.exists() || !out.join("bag").exists() || out.join("summary.yaml").exists());
}

#[tokio::test]
async fn the_real_recording_goes_through_whole() {
    let Some(data) = common::real_data_for("the_real_recording_goes_through_whole") else { return };
    let bag = data.join("bags/euroc_v101_mcap");
    let reader = BagReader::open(&bag).unwrap();
    let images = reader.topics().iter().find(|topic| topic.message_type.ends_with("Image")).unwrap();
    let mut names = Names::default();
    names.remap(&format!("image/compressed:={}", images.name)).unwrap();
    let infos = reader.topics().iter().find(|topic| topic.message_type.ends_with("CameraInfo"));
    assert!(infos.is_none(), "the recording has no calibration");
    let work = tempfile::tempdir().unwrap();
    let config = Config {
        image_transport: ImageTransport::Compressed,
        use_odometry: false,
        base_from_camera: Some([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        ..alone()
    };
    let without = work.path().join("without");
    let request = ReplayRequest::new(&bag, &without);
    let summary = replay(request, config.clone(), &names, Brightness::default(), || false).await.unwrap();
    assert_eq!((summary.images, summary.refused["no_camera_info"].count), (90, 90));

    // The numbers of euroc_v101/cam0_sensor.yaml as ROS writes them.
    let file = work.path().join("cam0.yaml");
    let calibration = "{image_width: 752, image_height: 480, distortion_model: plumb_bob, \
        camera_matrix: {data: [458.654, 0, 367.215, 0, 457.296, 248.375, 0, 0, 1]}, \
        distortion_coefficients: {data: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05, 0]}}";
    std::fs::write(&file, calibration).unwrap();
    let config = Config { camera_info_file: file, ..config };
    let with = work.path().join("with");
    let request = ReplayRequest::new(&bag, &with);
    let summary = replay(request, config, &names, Brightness::default(), || false).await.unwrap();
    assert_eq!((summary.images, summary.poses), (90, 90), "{summary:?}");
}
