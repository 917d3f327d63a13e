//! What `/diagnostics` says in each situation that users ask about: level, message and numbers, each from messages that
//! bring it about.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/bench.rs"]
mod bench;

use std::collections::BTreeMap;
use std::time::Duration;

use bench::*;
use vloc::alignment::{AlignmentReport, Outcome};
use vloc::config::{Config, EstimatorConfig, ImageTransport, OdometrySource, Reliability};
use vloc::middleware::{Incoming, Input, Level, Link, Outgoing, Picture, Qos};
use vloc::node::{Effect, Loaded, Localizer, ManagedNode, Worker};
use vloc::pnp::{Evidence, FocalCheck};
use vloc::sensor::{Image, ImuSample};
use vloc::{Error, Stamp};

/// One report.
#[derive(Debug)]
struct Told {
    level: Level,
    message: String,
    values: BTreeMap<String, String>,
}

impl Told {
    fn of(outgoing: Vec<Outgoing>) -> Option<Self> {
        outgoing.into_iter().rev().find_map(|out| match out {
            Outgoing::Diagnostics(report) => {
                let keys = report.values.len();
                let values: BTreeMap<_, _> = report.values.into_iter().collect();
                assert_eq!(values.len(), keys, "a key stands once");
                Some(Self { level: report.level, message: report.message, values })
            }
            _ => None,
        })
    }

    #[track_caller]
    fn is(&self, level: Level, texts: &[&str]) {
        assert_eq!(self.level, level, "{}", self.message);
        for text in texts {
            assert!(self.message.contains(text), "{text:?} is not in {:?}", self.message);
        }
    }
}

fn tell_at(bench: &mut Bench, now: Stamp, links: Vec<Link>) -> Told {
    bench.core.tick(now, links);
    Told::of(bench.core.take_outgoing()).expect("a report is due")
}

fn tell(bench: &mut Bench, milliseconds: i64, links: Vec<Link>) -> Told {
    tell_at(bench, at(milliseconds), links)
}

fn link(input: Input, topic: &str, requested: Qos, publishers: usize, incompatible: &[&str]) -> Link {
    let incompatible = incompatible.iter().map(|offer| (*offer).to_owned()).collect();
    Link { input, topic: topic.into(), requested, publishers, incompatible }
}

fn images(reliability: Reliability, publishers: usize, incompatible: &[&str]) -> Link {
    link(Input::Image, "/cam/image_raw", Qos::images(reliability), publishers, incompatible)
}

/// Ten images a second with odometry, from a second to another; `delay` between stamp and arrival, milliseconds.
fn drive(bench: &mut Bench, seconds: std::ops::Range<i64>, delay: i64, brightness: impl Fn(i64) -> u8) {
    for i in seconds.start * 10..seconds.end * 10 {
        let (stamp, now) = (at(100 * i), at(100 * i + delay));
        bench.give(odometry(stamp), now);
        bench.give(Incoming::Image(Picture::Raw(picture(stamp, brightness(i)))), now);
    }
}

fn equipped(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    bench.give(calibration(), at(0));
    bench.give(mounting(), at(0));
    tell(&mut bench, 0, Vec::new());
    bench
}

fn imu(stamp: Stamp) -> Incoming {
    let sample = ImuSample {
        stamp,
        angular_velocity: nalgebra::Vector3::new(0.0, 0.0, 0.1),
        linear_acceleration: nalgebra::Vector3::new(0.0, 0.0, 9.81),
    };
    Incoming::Imu { sample, frame_id: "base_link".into() }
}

#[test]
fn a_node_that_localizes_says_so_with_its_numbers() {
    let mut bench = equipped(alone());
    bench.core.runs_on("cuda:0".into());
    drive(&mut bench, 0..2, 30, |_| 100);
    tell(&mut bench, 2000, Vec::new());
    drive(&mut bench, 2..3, 30, |_| 100);
    let link = images(Reliability::BestEffort, 1, &[]);
    let told = tell(&mut bench, 3000, vec![link]);
    told.is(Level::Ok, &["localizing"]);
    let expected = [
        ("phase", "active"),
        ("device", "cuda:0"),
        ("poses", "30"),
        ("state", "without estimator"),
        ("fix/age_s", "0.100"),
        ("pose/age_s", "0.100"),
        ("image/problem", "none"),
        ("image/count", "30"),
        ("image/rate_hz", "10.0"),
        ("image/age_s", "0.070"),
        ("image/longest_gap_s", "0.100"),
        ("image/delay_median_s", "0.030"),
        ("image/delay_max_s", "0.030"),
        ("image/replaced_share", "0.00"),
        ("image/topic", "/cam/image_raw"),
        ("image/qos", "best effort, volatile, depth 5"),
        ("image/publishers", "1"),
        ("image/incompatible", "none"),
        ("odom_to_base/rate_hz", "10.0"),
        ("tf/problem", "none"),
    ];
    for (key, value) in expected {
        assert_eq!(told.values[key], value, "{key}");
    }
    let sigma: f64 = told.values["pose/position_sigma_m"].parse().unwrap();
    assert!((0.1..0.2).contains(&sigma), "that of the network, seen from the base: {sigma}");
}

#[test]
fn images_that_nobody_sends_under_the_name() {
    let mut bench = equipped(alone());
    let told = tell(&mut bench, 1000, vec![images(Reliability::BestEffort, 0, &[])]);
    let texts = ["no image came on /cam/image_raw yet: nobody publishes there", "-r image:=/TOPIC", "compressed)?"];
    told.is(Level::Stale, &texts);
    assert_eq!(told.values["image/problem"], told.message);
    let mut bench = equipped(Config { image_transport: ImageTransport::Compressed, ..alone() });
    let told = tell(&mut bench, 1000, vec![images(Reliability::BestEffort, 0, &[])]);
    told.is(Level::Stale, &["-r image/compressed:=/TOPIC", "image_transport: raw"]);
    let told = tell(&mut bench, 2000, Vec::new());
    told.is(Level::Stale, &["no image came yet: is it published, and remapped"]);
}

#[test]
fn images_whose_qos_does_not_fit() {
    let mut bench = equipped(alone());
    let offers = ["best effort, volatile", "best effort, volatile"];
    let told = tell(&mut bench, 1000, vec![images(Reliability::Reliable, 0, &offers)]);
    let text = "publishers offer best effort, volatile; asked is reliable, volatile, depth 5: set image_reliability: \
                best_effort";
    told.is(Level::Error, &[text]);
    assert_eq!(told.values["image/incompatible"], "best effort, volatile");
    assert!(told.message.len() < 300, "{}", told.message);
}

#[test]
fn images_that_are_sent_and_do_not_arrive() {
    let mut bench = equipped(alone());
    let told = tell(&mut bench, 1000, vec![images(Reliability::BestEffort, 1, &[])]);
    told.is(Level::Stale, &["1 publisher is there, nothing arrives", "large images get lost", "rmem_max"]);
    drive(&mut bench, 1..2, 10, |_| 100);
    tell(&mut bench, 2000, vec![images(Reliability::BestEffort, 1, &[])]).is(Level::Ok, &["localizing"]);
    let told = tell(&mut bench, 5000, vec![images(Reliability::BestEffort, 1, &[])]);
    told.is(
        Level::Stale,
        &["no image on /cam/image_raw for 3.1 s: 1 publisher is still there: has the driver stopped"],
    );
    assert_eq!(told.values["image/longest_gap_s"], "3.090");
    let told = tell(&mut bench, 6000, vec![images(Reliability::BestEffort, 0, &[])]);
    told.is(Level::Stale, &["for 4.1 s: its publisher is gone"]);
}

#[test]
fn images_that_are_refused_warn_while_poses_go_out_and_are_an_error_when_none_does() {
    let mut bench = equipped(alone());
    drive(&mut bench, 0..1, 10, |_| 100);
    let broken = |stamp| Incoming::Image(Picture::Raw(Image { step: 1, ..picture(stamp, 100) }));
    bench.give(broken(at(950)), at(960));
    tell(&mut bench, 1000, Vec::new()).is(Level::Warn, &["image_undecodable: ", "step"]);
    for i in 10..40 {
        bench.give(broken(at(100 * i)), at(100 * i + 10));
    }
    tell(&mut bench, 4000, Vec::new()).is(Level::Error, &["image_undecodable: ", "step"]);
}

#[test]
fn stamps_of_another_clock() {
    let shifted = |config: Config, now: Stamp, stamps: &[Stamp]| {
        let mut bench = Bench::new(config);
        bench.give(calibration(), now);
        tell_at(&mut bench, now, Vec::new());
        for stamp in stamps {
            bench.give(Incoming::Image(Picture::Raw(picture(*stamp, 100))), now + Duration::from_millis(500));
        }
        tell_at(&mut bench, now + Duration::from_secs(1), vec![images(Reliability::BestEffort, 1, &[])])
    };
    let live = alone();
    let simulated = Config { use_sim_time: true, ..alone() };
    let second = |seconds: i64| Stamp::from_nanos(seconds * 1_000_000_000);
    let told = shifted(live.clone(), at(0), &[second(12), second(13)]);
    told.is(Level::Error, &["stamps of /cam/image_raw count from zero (13.0 s)", "use_sim_time: true"]);
    let told = shifted(simulated, second(20), &[at(0), at(100)]);
    told.is(Level::Error, &["are of the day's clock", "that of /clock (21.0 s)", "or set the node's to false"]);
    let told = shifted(live.clone(), at(0), &[at(-30 * 86_400_000), at(-30 * 86_400_000 + 100)]);
    told.is(
        Level::Error,
        &["are 30.0 days old: play a recording with ros2 bag play --clock and set use_sim_time: true"],
    );
    let told = shifted(live.clone(), at(0), &[at(-37_000), at(-36_900)]);
    told.is(Level::Error, &["are 37.5 s behind the node's clock: synchronize", "chrony"]);
    let told = shifted(live.clone(), at(0), &[at(5000), at(5100)]);
    told.is(Level::Error, &["s ahead of the node's clock"]);
    let told = shifted(live.clone(), at(0), &[at(-4000), at(-2500), at(-1000)]);
    told.is(Level::Error, &["/cam/image_raw comes 3.0 s late, at worst 4.5 s", "holds it back"]);
    let told = shifted(live, at(0), &[at(-400), at(-300)]);
    assert!(!told.message.contains("clock"), "a delay of a second is none: {}", told.message);
}

#[test]
fn simulated_time_that_does_not_come_or_stands_still_is_told_again_and_again() {
    let mut bench = Bench::new(Config { use_sim_time: true, ..alone() });
    let told = |bench: &mut Bench, now: Stamp, ticks: usize| {
        let mut told = Vec::new();
        for _ in 0..ticks {
            bench.core.tick(now, Vec::new());
            told.extend(Told::of(bench.core.take_outgoing()));
        }
        told
    };
    // Forty ticks are a second.
    let silent = told(&mut bench, Stamp::default(), 200);
    assert!((4..=6).contains(&silent.len()), "{}", silent.len());
    silent.iter().for_each(|told| told.is(Level::Error, &["use_sim_time is true and no /clock came", "--clock"]));
    let standing = told(&mut bench, Stamp::from_nanos(12_000_000_000), 200);
    assert!(standing.len() > 3, "{}", standing.len());
    standing.last().unwrap().is(Level::Stale, &["time stands still at 12.000000000", "paused"]);
}

#[test]
fn a_camera_info_that_is_not_there_or_does_not_fit() {
    let mut bench = Bench::new(alone());
    bench.give(mounting(), at(0));
    let info = |publishers, incompatible: &[&str]| {
        let requested = Qos::images(Reliability::Reliable);
        vec![
            images(Reliability::Reliable, 1, &[]),
            link(Input::CameraInfo, "/cam/camera_info", requested, publishers, incompatible),
        ]
    };
    tell(&mut bench, 0, Vec::new());
    drive(&mut bench, 0..1, 10, |_| 100);
    let told = tell(&mut bench, 1000, info(0, &[]));
    told.is(Level::Error, &["no camera_info came on /cam/camera_info yet: nobody publishes", "camera_info_file"]);
    assert_eq!(told.values["refused/no_camera_info"], "10");
    drive(&mut bench, 1..2, 10, |_| 100);
    let told = tell(&mut bench, 2000, info(0, &["best effort, volatile"]));
    told.is(Level::Error, &["offer best effort, volatile; asked is reliable", "set image_reliability: best_effort"]);
    let camera = vloc::sensor::CameraModel::pinhole(128, 96, 120.0);
    bench.give(Incoming::CameraInfo(camera), at(2000));
    drive(&mut bench, 2..3, 10, |_| 100);
    let told = tell(&mut bench, 3000, info(1, &[]));
    told.is(Level::Error, &["image_size: ", "128 x 96", "64 x 48", "calibrate at the size that is sent"]);
    assert_eq!(told.values["camera_info/problem"], told.message);
    bench.give(calibration(), at(3000));
    drive(&mut bench, 3..4, 10, |_| 100);
    tell(&mut bench, 4000, info(1, &[])).is(Level::Ok, &["localizing"]);
}

#[test]
fn a_camera_info_of_another_focal_length_is_told() {
    let seen_through = |scale: f64| {
        let mut bench = equipped(alone());
        let focal = FocalCheck { scale, sigma: 0.002 };
        let evidence = Some(Evidence { asked: 1184, inliers: 410, residual: 3.456, focal, expected: true });
        bench.worker = Worker::new(Brightness { evidence, ..Brightness::default() });
        drive(&mut bench, 0..3, 30, |_| 100);
        tell(&mut bench, 3000, Vec::new())
    };
    let right = seen_through(1.01);
    right.is(Level::Ok, &["localizing"]);
    assert_eq!(right.values["points/agreeing"], "410 of 1184");
    assert_eq!(right.values["points/residual_px"], "3.46");
    let wrong = seen_through(0.9);
    wrong.is(Level::Warn, &["0.900 of the camera's focal length", "is camera_info of this camera"]);
    assert!(wrong.values["points/focal_length"].starts_with("0.900"), "{:?}", wrong.values);
    let mut bench = equipped(alone());
    drive(&mut bench, 0..1, 30, |_| 100);
    let regressed = tell(&mut bench, 1000, Vec::new());
    assert!(!regressed.values.contains_key("points/agreeing"), "a regressor knows no points");
}

#[test]
fn how_alignments_ended_is_told() {
    let mut bench = equipped(alone());
    for (seconds, outcome) in [(0..1, Outcome::Converged), (1..2, Outcome::TooFar), (2..3, Outcome::Converged)] {
        let alignment = Some(AlignmentReport { outcome, ..AlignmentReport::default() });
        bench.worker = Worker::new(Brightness { alignment, ..Brightness::default() });
        drive(&mut bench, seconds, 30, |_| 100);
    }
    let told = tell(&mut bench, 3000, Vec::new());
    let answers: u64 = told.values["network_answers"].parse().unwrap();
    assert_eq!(told.values["alignment/not_used"], "10 too far");
    assert_eq!(told.values["alignment/converged"], format!("{} of {answers}", answers - 10));
    let mut bench = equipped(alone());
    drive(&mut bench, 0..1, 30, |_| 100);
    assert!(!tell(&mut bench, 1000, Vec::new()).values.contains_key("alignment/converged"), "nothing was aligned");
}

#[test]
fn the_memory_of_the_process_is_told_where_it_is_known() {
    let told = |resident: Option<fn() -> Option<u64>>| {
        let mut bench = equipped(alone());
        resident.into_iter().for_each(|resident| bench.core.watch_memory(resident));
        tell(&mut bench, 1000, Vec::new()).values.get("memory/resident_mib").cloned()
    };
    assert_eq!(told(Some(|| Some(312 << 20))).as_deref(), Some("312"));
    assert_eq!((told(Some(|| None)), told(None)), (None, None));
    let own: u64 = told(Some(vloc::memory::resident)).map_or(1, |mebibytes| mebibytes.parse().unwrap());
    assert!((1..1 << 20).contains(&own), "{own}");
}

#[test]
fn a_network_that_fails_or_does_not_come_back() {
    let mut bench = equipped(alone());
    drive(&mut bench, 0..1, 10, |_| 0);
    tell(&mut bench, 1000, Vec::new()).is(Level::Error, &["network_failed: network: a black image"]);
    bench.core.runs_on("cpu".into());
    for i in 11..80 {
        let image = Incoming::Image(Picture::Raw(picture(at(100 * i), 100)));
        let _ = bench.core.receive(image, at(100 * i));
    }
    let told = tell(&mut bench, 8000, Vec::new());
    told.is(Level::Error, &["the network works on one image for 6.9 s on cpu", "device: cuda:0"]);
}

#[test]
fn a_mounting_that_is_not_known_names_both_frames() {
    let mut bench = Bench::new(alone());
    bench.give(calibration(), at(0));
    tell(&mut bench, 0, Vec::new());
    drive(&mut bench, 0..1, 10, |_| 100);
    let still = |publishers| link(Input::Transforms, "/tf_static", Qos::TF_STATIC, publishers, &[]);
    let told = tell(&mut bench, 1000, vec![link(Input::Transforms, "/tf", Qos::TF, 1, &[]), still(0)]);
    let text = "no_extrinsics: mounting of \"camera_optical_frame\" on \"base_link\"";
    told.is(Level::Error, &[text, "nobody publishes /tf_static (robot_state_publisher?)", "base_from_camera"]);
    assert_eq!((told.values["tf/topic"].as_str(), told.values["tf_static/topic"].as_str()), ("/tf", "/tf_static"));
    drive(&mut bench, 1..2, 10, |_| 100);
    tell(&mut bench, 2000, vec![still(1)]).is(Level::Error, &["is unknown", "publish it on /tf_static"]);
    let unfit = link(Input::Transforms, "/tf_static", Qos::TF_STATIC, 0, &["reliable, volatile"]);
    drive(&mut bench, 2..3, 10, |_| 100);
    tell(&mut bench, 3000, vec![unfit])
        .is(Level::Error, &["offer reliable, volatile, asked is reliable, transient local"]);
}

fn estimating(estimator: EstimatorConfig) -> Config {
    Config { estimator: EstimatorConfig { correlation_time: 0.0, ..estimator }, ..Config::default() }
}

/// The brightness for which the network's pose stays where odometry's does: the robot stands.
fn standing(bench: &mut Bench, seconds: std::ops::Range<i64>, brightness: impl Fn(i64) -> u8) {
    for i in seconds.start * 10..seconds.end * 10 {
        let stamp = at(100 * i);
        let transforms = vec![edge("odom", "base_link", stamp, vloc::geometry::Se3::identity())];
        bench.give(Incoming::Transforms { transforms, is_static: false }, stamp);
        bench.give(Incoming::Image(Picture::Raw(picture(stamp, brightness(i)))), at(100 * i + 10));
    }
}

#[test]
fn an_imu_that_is_not_there_is_no_fault_and_one_that_stops_is() {
    let mut bench = equipped(estimating(EstimatorConfig::default()));
    let imu_link = |publishers| link(Input::Imu, "/imu", Qos::IMU, publishers, &[]);
    standing(&mut bench, 0..3, |_| 100);
    let told = tell(&mut bench, 3000, vec![imu_link(0)]);
    told.is(Level::Ok, &["localizing"]);
    assert!(told.values["imu/problem"].starts_with("no imu came on /imu yet: nobody"), "{:?}", told.values);
    for i in 0..100 {
        bench.give(imu(at(3000 + 5 * i)), at(3000 + 5 * i));
    }
    standing(&mut bench, 3..5, |_| 100);
    tell(&mut bench, 5000, vec![imu_link(1)]).is(Level::Ok, &[]);
    standing(&mut bench, 5..6, |_| 100);
    tell(&mut bench, 6000, vec![imu_link(1)])
        .is(Level::Warn, &["no imu on /imu for 2.5 s: 1 publisher is still there"]);
    let mut without = equipped(Config { use_imu: false, ..alone() });
    assert_eq!(tell(&mut without, 1000, vec![imu_link(0)]).values["imu/problem"], "none");
}

#[test]
fn a_model_that_is_never_sure_enough_is_said_instead_of_a_state_that_flickers() {
    let limits = EstimatorConfig { position_limit: 0.02, ..EstimatorConfig::default() };
    let mut bench = equipped(estimating(limits));
    let mut told = Vec::new();
    for second in 0..12 {
        standing(&mut bench, second..second + 1, |_| 100);
        told.push(tell(&mut bench, 1000 * (second + 1), Vec::new()));
    }
    let states: std::collections::BTreeSet<&str> = told.iter().map(|told| told.values["state"].as_str()).collect();
    let changes: u64 = told[11].values["state/changes"].parse().unwrap();
    assert!(changes > 8, "the state flickers: {changes} changes, {states:?}");
    for told in &told[3..] {
        told.is(Level::Error, &["the pose is less sure than estimator.position_limit: 0.", "m > 0.02 m", "times lost"]);
    }
}

#[test]
fn a_pose_that_is_not_sure_enough_to_track_names_its_limit() {
    let alike = EstimatorConfig { correlation_time: 100.0, ..EstimatorConfig::default() };
    let mut bench = equipped(Config { estimator: alike, ..Config::default() });
    standing(&mut bench, 0..1, |_| 100);
    let told = tell(&mut bench, 1000, Vec::new());
    let text = "converging: the pose is less sure than a third of estimator.rotation_limit: 5.";
    told.is(Level::Warn, &[text, "degrees > 3.3 degrees"]);
}

#[test]
fn a_state_that_tracks_has_its_reason() {
    let slow = EstimatorConfig { speed: 0.1, rate_of_turn: 0.1, ..EstimatorConfig::default() };
    let mut bench = equipped(estimating(slow));
    standing(&mut bench, 0..3, |_| 100);
    let told = tell(&mut bench, 3000, Vec::new());
    told.is(Level::Ok, &["localizing"]);
    assert_eq!(told.values["state"], "tracking");
    assert!(told.values["state/reason"].starts_with("the standard deviation fell to"), "{:?}", told.values);
}

#[test]
fn a_pose_that_is_lost_between_two_slow_images_asks_for_motion() {
    let mut bench = equipped(Config { use_odometry: false, ..estimating(EstimatorConfig::default()) });
    let mut last = None;
    for tenth in 0..200 {
        if tenth % 10 == 0 {
            bench.give(Incoming::Image(Picture::Raw(picture(at(100 * tenth), 100))), at(100 * tenth));
        }
        bench.core.tick(at(100 * tenth + 50), Vec::new());
        last = Told::of(bench.core.take_outgoing()).or(last);
    }
    let texts = ["the pose is less sure than estimator.rotation_limit: ", "images are too rare", "odometry or an IMU"];
    last.unwrap().is(Level::Error, &texts);
}

#[test]
fn answers_that_do_not_agree_are_a_warning_first_and_an_error_after_seconds() {
    let mut bench = equipped(estimating(EstimatorConfig::default()));
    let place = |i: i64| 20 + 23 * (i % 10) as u8;
    standing(&mut bench, 0..2, place);
    let texts =
        ["images came, no pose yet: converging: a first fix came", "answers do not agree: is this the model's place"];
    tell(&mut bench, 2000, Vec::new()).is(Level::Warn, &texts);
    standing(&mut bench, 2..7, place);
    let told = tell(&mut bench, 7000, Vec::new());
    told.is(Level::Error, &texts);
    assert_eq!(told.values["poses"], "0");
}

#[test]
fn odometry_that_never_came_stopped_or_comes_late() {
    let mut bench = equipped(alone());
    (1..10).for_each(|i| drop(bench.image(100 * i, 100)));
    let told = tell(&mut bench, 1000, Vec::new());
    told.is(Level::Error, &["no odom -> base_link on /tf came yet", "odom_frame_id", "use_odometry: false"]);
    bench.image(1000, 100);
    let told = tell(&mut bench, 2000, vec![link(Input::Transforms, "/tf", Qos::TF, 0, &[])]);
    told.is(Level::Error, &["no tf came on /tf yet: nobody publishes there"]);

    let mut bench = equipped(alone());
    for i in 0..20 {
        bench.image(100 * i, 100);
        bench.give(odometry(at(100 * i - 400)), at(100 * i + 20));
    }
    let told = tell(&mut bench, 2100, Vec::new());
    told.is(Level::Error, &["no_odometry: odom -> base_link comes 0.42 s late, transform_timeout is 0.20 s: raise it"]);

    let mut bench = equipped(alone());
    drive(&mut bench, 0..1, 10, |_| 100);
    tell(&mut bench, 1000, Vec::new()).is(Level::Ok, &[]);
    (10..40).for_each(|i| drop(bench.image(100 * i, 100)));
    tell(&mut bench, 4000, Vec::new()).is(Level::Warn, &["no odom -> base_link on /tf for 3.1 s"]);
}

#[test]
fn odometry_messages_between_other_frames() {
    let mut bench = equipped(Config { odometry_source: OdometrySource::Topic, ..alone() });
    for i in 0..10 {
        let transform = edge("odom", "base_footprint", at(100 * i), odom_from_base(at(100 * i)));
        bench.give(Incoming::Odometry(transform), at(100 * i));
        bench.image(100 * i, 100);
    }
    let told = tell(&mut bench, 1000, Vec::new());
    told.is(Level::Error, &["odom comes, but not from odom to base_link: set odom_frame_id and base_frame_id"]);
    assert_eq!(told.values["odom/rate_hz"], "10.0");
}

#[test]
fn odometry_through_other_frames_counts() {
    let mut bench = equipped(alone());
    let transforms = vec![edge("base_footprint", "base_link", at(0), vloc::geometry::Se3::identity())];
    bench.give(Incoming::Transforms { transforms, is_static: true }, at(0));
    for i in 0..10 {
        let transforms = vec![edge("odom", "base_footprint", at(100 * i), odom_from_base(at(100 * i)))];
        bench.give(Incoming::Transforms { transforms, is_static: false }, at(100 * i));
        bench.image(100 * i, 100);
    }
    let told = tell(&mut bench, 1000, Vec::new());
    told.is(Level::Ok, &["localizing"]);
    assert_eq!(told.values["odom_to_base/rate_hz"], "10.0");
}

#[test]
fn the_message_is_the_first_cause_and_not_the_loudest() {
    let mut bench = Bench::new(Config::default());
    tell(&mut bench, 0, Vec::new());
    let refuse = |bench: &mut Bench, input, now| {
        bench.give(Incoming::Refused { input, error: Error::message("it", "sense", "none") }, at(now));
    };
    (0..100).for_each(|_| refuse(&mut bench, Input::Imu, 100));
    (0..50).for_each(|_| refuse(&mut bench, Input::Transforms, 100));
    tell(&mut bench, 1000, Vec::new()).is(Level::Stale, &["no image came yet"]);
    bench.image(1100, 100);
    (0..100).for_each(|_| refuse(&mut bench, Input::Imu, 1200));
    let told = tell(&mut bench, 2000, Vec::new());
    told.is(Level::Error, &["no_camera_info: "]);
    assert_eq!(told.values["imu/problem"], "imu_refused: it: expected sense, found none");
    bench.give(calibration(), at(2000));
    bench.image(2100, 100);
    (0..100).for_each(|_| refuse(&mut bench, Input::Imu, 2200));
    tell(&mut bench, 3000, Vec::new()).is(Level::Error, &["no_extrinsics: "]);
    bench.give(mounting(), at(3000));
    bench.image(3100, 100);
    refuse(&mut bench, Input::Imu, 3200);
    refuse(&mut bench, Input::InitialPose, 3200);
    tell(&mut bench, 4000, Vec::new()).is(Level::Error, &["imu_refused: "]);
}

#[test]
fn a_message_for_nothing_is_told_while_all_else_goes_well() {
    let mut bench = equipped(alone());
    drive(&mut bench, 0..1, 10, |_| 100);
    bench.core.not_sent(&Error::middleware("publishing", "full"));
    tell(&mut bench, 1000, Vec::new()).is(Level::Warn, &["send_failed: middleware: publishing: full"]);
    drive(&mut bench, 1..2, 10, |_| 100);
    let told = tell(&mut bench, 2000, Vec::new());
    told.is(Level::Ok, &["localizing"]);
    assert_eq!(told.values["refused/send_failed"], "1", "it stays counted");
}

#[test]
fn the_phase_and_the_model_are_told() {
    let model = std::path::PathBuf::from("models/kitchen");
    let config = Config { autostart: false, model, device: "auto".into(), ..alone() };
    let mut node = ManagedNode::new(config, "/vloc").unwrap();
    let now = std::cell::Cell::new(0);
    let told = |node: &mut ManagedNode| {
        now.set(now.get() + 1000);
        node.tick(at(now.get()), Vec::new());
        Told::of(node.take_outgoing()).unwrap()
    };
    let change = |node: &mut ManagedNode, label: &str| {
        let transition = vloc::msg::lifecycle_msgs::Transition { id: 0, label: label.into() };
        let request = vloc::msg::lifecycle_msgs::ChangeStateRequest { transition };
        let (responder, _) = vloc::middleware::Responder::new();
        node.receive(Incoming::Call(vloc::middleware::Call::ChangeState(request, responder)), at(now.get()));
        node.take_effects().into_iter().any(|effect| matches!(effect, Effect::Load(_)))
    };
    node.begin(at(0));
    let unconfigured = told(&mut node);
    unconfigured
        .is(Level::Warn, &["unconfigured: nothing is localized until the node is active: configure and activate"]);
    assert_eq!(unconfigured.values["model"], "none is loaded");
    assert!(change(&mut node, "configure"));
    told(&mut node).is(Level::Warn, &["configuring: the model is being loaded"]);
    node.loaded(Err(Error::compute("weights", "broken")), at(now.get())).unwrap();
    let failed = told(&mut node);
    failed.is(Level::Error, &["unconfigured: the model did not load: weights: broken"]);
    assert_eq!(failed.values["model/last_error"], "weights: broken");
    assert!(change(&mut node, "configure"));
    assert_eq!(node.loaded(Ok(Brightness::default().camera()), at(now.get())).unwrap(), Loaded::Use);
    node.runs_on("cpu: a good one".into());
    let inactive = told(&mut node);
    inactive.is(Level::Warn, &["inactive: nothing is localized until the node is active: activate it"]);
    assert_eq!(inactive.values["model"], "models/kitchen");
    assert_eq!(inactive.values["model/last_error"], "none");
    change(&mut node, "activate");
    let active = told(&mut node);
    active.is(Level::Stale, &["no image came"]);
    assert_eq!((active.values["phase"].as_str(), active.values["device"].as_str()), ("active", "cpu: a good one"));
    change(&mut node, "shutdown");
    told(&mut node).is(Level::Warn, &["finalized: "]);
}

#[test]
fn keys_stay_the_same_and_the_readme_lists_them() {
    let links = || {
        let qos = Qos::images(Reliability::BestEffort);
        let mut links: Vec<Link> = Input::ALL.iter().map(|input| link(*input, "/x", qos, 1, &[])).collect();
        links.push(link(Input::Transforms, "/tf_static", Qos::TF_STATIC, 1, &[]));
        links
    };
    let mut bench = Bench::new(estimating(EstimatorConfig::default()));
    let fixed = |told: Told| -> Vec<String> {
        let counted = |key: &String| key.starts_with("refused/") || key.starts_with("estimator/rejected/");
        told.values.into_keys().filter(|key| !counted(key)).collect()
    };
    let before = fixed(tell(&mut bench, 0, links()));
    bench.give(calibration(), at(0));
    bench.give(mounting(), at(0));
    standing(&mut bench, 0..3, |_| 100);
    (0..100).for_each(|i| drop(bench.give(imu(at(3000 + i)), at(3000 + i))));
    assert_eq!(fixed(tell(&mut bench, 4000, links())), before);
    let readme = include_str!("../README.md");
    for key in &before {
        let (input, name) = key.split_once('/').unwrap_or(("", key));
        let is_input = ["image", "camera_info", "tf", "tf_static", "imu", "odom", "initialpose", "odom_to_base"];
        let listed = if is_input.contains(&input) { format!("`INPUT/{name}`") } else { format!("`{key}`") };
        let own = format!("`{key}`");
        assert!(readme.contains(&listed) || readme.contains(&own), "the README does not list {listed}");
    }
}
