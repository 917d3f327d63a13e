//! The estimator inside the node: silence before fixes agree, `odometry` ahead of the camera, `map -> odom` without
//! jumps, a covered camera, and a replay that writes the same bytes every time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/bench.rs"]
mod bench;

use std::collections::BTreeMap;

use bench::*;
use vloc::Stamp;
use vloc::bag::BagReader;
use vloc::config::{Config, EstimatorConfig, InitialPose};
use vloc::geometry::{Se3, Trajectory};
use vloc::middleware::{Incoming, Outgoing, Picture, StampedOdometry, StampedPose, messages};
use vloc::msg::{geometry_msgs, std_msgs};
use vloc::node::{ReplayRequest, replay};
use vloc::sensor::Image;

/// With the estimator, and limits that the brightness' poor covariance meets.
fn estimating() -> Config {
    let estimator = EstimatorConfig { rotation_limit: 0.4, correlation_time: 0.0, ..EstimatorConfig::default() };
    Config { use_imu: false, estimator, ..Config::default() }
}

#[test]
fn the_estimator_answers_once_fixes_agree_and_odometry_carries_it_on() {
    let mut bench = Bench::ready(estimating());
    // The odometry drives; the network follows it within its errors.
    let first = bench.image(100, 100);
    assert!(matches!(first.as_slice(), [Outgoing::AbsolutePose(_)]), "one fix proves nothing: {first:?}");
    let mut poses = Vec::new();
    for i in 2..10 {
        let outgoing = bench.image(100 * i, 100);
        let alone = outgoing.iter().any(|out| matches!(out, Outgoing::AbsolutePose(pose) if pose.stamp == at(100 * i)));
        assert!(alone, "{outgoing:?}");
        poses.extend(outgoing.into_iter().filter_map(|out| match out {
            Outgoing::Pose(pose) => Some(pose),
            _ => None,
        }));
    }
    assert!(poses.len() > 4, "{} poses", poses.len());
    let trace = |pose: &vloc::middleware::StampedPose| pose.covariance.matrix().trace();
    assert!(trace(&poses[4]) < trace(&poses[0]), "fixes that agree make the pose surer");
    let ahead = bench.give(odometry(at(1100)), at(1100));
    let [Outgoing::Odometry(ahead)] = ahead.as_slice() else { panic!("{ahead:?}") };
    assert_eq!(ahead.stamp, at(1100));
    assert!((ahead.twist[0] - 0.3).abs() < 0.05, "the odometry drives 0.3 m/s: {}", ahead.twist);
    let values: BTreeMap<_, _> = bench.report().values.into_iter().collect();
    assert_eq!(values["state"], "lost", "nothing came for a minute");
    assert_eq!(values["estimator/rejected/no_consensus"], "1");
}

#[test]
fn an_image_of_an_unknown_place_is_crossed_by_how_the_camera_moved() {
    let poses = |outgoing: Vec<Outgoing>| {
        let fused = outgoing.into_iter().map(|out| match out {
            Outgoing::Pose(pose) => *pose,
            other => panic!("{other:?}"),
        });
        fused.collect::<Vec<StampedPose>>()
    };
    let driven = |config: Config| {
        let mut bench = Bench::new(config);
        bench.give(calibration(), at(0));
        bench.give(mounting(), at(0));
        let known: Vec<Outgoing> = (1..=12).flat_map(|i| bench.image(100 * i, 100)).collect();
        let unknown: Vec<Vec<Outgoing>> = (13..=16).map(|i| bench.image(100 * i, 232)).collect();
        (bench, known, unknown)
    };
    let config = Config { use_odometry: false, tf_broadcast: false, ..estimating() };
    let (mut bench, known, unknown) = driven(config.clone());
    let last =
        known.into_iter().filter_map(|out| if let Outgoing::Pose(pose) = out { Some(*pose) } else { None }).next_back();
    let mut expected = last.unwrap().map_from_base;
    let base_step = base_from_camera() * step() * base_from_camera().inverse();
    let mut sigma = 0.0;
    for (i, outgoing) in unknown.into_iter().enumerate() {
        let [pose] = <[StampedPose; 1]>::try_from(poses(outgoing)).unwrap();
        expected = expected * base_step;
        assert_eq!(pose.stamp, at(1300 + 100 * i as i64));
        let error = pose.map_from_base.local(expected).norm();
        assert!(error < 1e-3, "{i}: {error}");
        let now = pose.covariance.worst_sigmas().0;
        assert!(now > sigma, "nothing corrects what is carried on: {now} after {sigma}");
        sigma = now;
    }
    let values: BTreeMap<_, _> = bench.report().values.into_iter().collect();
    assert_eq!((&*values["poses/carried"], &*values["refused/place_unknown"]), ("4", "4"));

    let (_, _, alone) = driven(Config { use_estimator: false, ..config });
    assert!(alone.iter().all(Vec::is_empty), "without the estimator nothing carries on: {alone:?}");
}

#[test]
fn the_network_is_told_where_the_camera_is_expected_while_the_robot_is_tracked() {
    let priors = |config: Config| {
        let mut bench = Bench::ready(config);
        let outgoing: Vec<_> = (1..=10).map(|i| bench.image(100 * i, 100)).collect();
        // Nothing is known of the robot after that.
        bench.core.relocalize();
        bench.give(odometry(at(1100)), at(1100));
        bench.image(1100, 100);
        let told = bench.worker.localizer().priors.lock().unwrap().clone();
        (told, outgoing)
    };
    let (told, outgoing) = priors(estimating());
    let first = told.iter().position(Option::is_some).expect("the robot is tracked");
    assert!(first > 1, "{told:?}");
    assert!(told[first..10].iter().all(Option::is_some) && told[10].is_none(), "{told:?}");
    // The pose of the image before, carried on by the odometry.
    let before =
        outgoing[8].iter().find_map(|out| if let Outgoing::Pose(pose) = out { Some(pose.map_from_base) } else { None });
    let moved = odom_from_base(at(900)).inverse() * odom_from_base(at(1000));
    let off = (before.unwrap() * moved * base_from_camera()).local(told[9].unwrap());
    assert!(off.norm() < 1e-6, "{off}");
    for config in [Config { use_pose_prior: false, ..estimating() }, alone()] {
        let (told, _) = priors(config);
        assert_eq!(told, [None; 11]);
    }
}

/// Calibrated and mounted, with a robot that stands: odometry says so ten times a second.
fn standing(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    for incoming in [calibration(), mounting()] {
        bench.give(incoming, at(0));
    }
    bench
}

fn standing_still(milliseconds: i64) -> Incoming {
    let transforms = vec![edge("odom", "base_link", at(milliseconds), Se3::identity())];
    Incoming::Transforms { transforms, is_static: false }
}

/// One tenth of a second: odometry, an image, ticks. What went out, with the time.
fn tenth(bench: &mut Bench, milliseconds: i64, image: Image) -> Vec<(i64, Outgoing)> {
    let mut outgoing = Vec::new();
    let mut collect = |now: i64, out: Vec<Outgoing>| outgoing.extend(out.into_iter().map(|out| (now, out)));
    collect(milliseconds, bench.give(standing_still(milliseconds), at(milliseconds)));
    collect(milliseconds + 10, bench.give(Incoming::Image(Picture::Raw(image)), at(milliseconds + 10)));
    for now in (milliseconds + 20..milliseconds + 100).step_by(20) {
        collect(now, bench.tick(at(now)));
    }
    outgoing
}

fn poses(outgoing: &[(i64, Outgoing)]) -> Vec<&StampedPose> {
    let pose = |(_, out): &'_ (i64, Outgoing)| matches!(out, Outgoing::Pose(_));
    let found = outgoing.iter().filter(|out| pose(out));
    found.filter_map(|(_, out)| if let Outgoing::Pose(pose) = out { Some(&**pose) } else { None }).collect()
}

#[test]
fn map_from_odom_moves_no_faster_than_its_limit_and_jumps_once_when_the_robot_was_carried_away() {
    let speed = 0.05;
    let mut config = estimating();
    config.estimator.correction_speed = speed;
    let mut bench = standing(config);
    // The network first errs by 0.3 m for two seconds, then sees another place.
    let brightness = |i: i64| {
        if i < 20 {
            100
        } else if i < 40 {
            103
        } else {
            200
        }
    };
    let outgoing: Vec<_> =
        (0..80).flat_map(|i| tenth(&mut bench, 100 * i, picture(at(100 * i), brightness(i)))).collect();
    let published: Vec<(i64, Se3)> = outgoing
        .iter()
        .filter_map(|(now, out)| match out {
            Outgoing::Transform(transform) => Some((*now, transform.parent_from_child)),
            _ => None,
        })
        .collect();
    assert!(published.len() > 150, "{}", published.len());
    let step = |pair: &[(i64, Se3)]| {
        let moved = (pair[1].1.translation - pair[0].1.translation).norm();
        (moved, 1e-3 * (pair[1].0 - pair[0].0) as f64)
    };
    let jumps: Vec<_> = published.windows(2).filter(|pair| step(pair).0 > speed * step(pair).1 + 1e-9).collect();
    let [jump] = jumps.as_slice() else { panic!("{} jumps: {jumps:?}", jumps.len()) };
    assert!(jump[1].0 > 4000 && jump[1].0 <= 4500, "five fixes that agree are enough: {jump:?}");
    assert!(step(jump).0 > 5.0);
    let limited = published.windows(2).filter(|pair| step(pair).0 > 0.9 * speed * step(pair).1).count();
    assert!(limited > 20, "the limit is in force {limited} times");
    let there = map_from_camera(200) * base_from_camera().inverse();
    let (_, last) = published[published.len() - 1];
    assert!((last.translation - there.translation).norm() < 0.05, "{last:?}");
}

#[test]
fn behind_a_covered_lens_the_pose_grows_unsure_and_comes_back_with_the_light() {
    let mut bench = standing(estimating());
    let covered = |i: i64| Image { data: vec![9; 64 * 48 * 3], ..picture(at(100 * i), 100) };
    let image = |i: i64| if (20..60).contains(&i) { covered(i) } else { picture(at(100 * i), 100) };
    let mut outgoing = Vec::new();
    // While the lens is covered the robot drives: the odometry's error grows.
    for i in 0..80_i64 {
        let x = 0.2 * (i.clamp(20, 60) - 20) as f64;
        let odom_from_base = Se3::new(vloc::geometry::So3::identity(), [x, 0.0, 0.0].into());
        let transforms = vec![edge("odom", "base_link", at(100 * i), odom_from_base)];
        let odometry = Incoming::Transforms { transforms, is_static: false };
        outgoing.extend(bench.give(odometry, at(100 * i)).into_iter().map(|out| (i, out)));
        outgoing.extend(
            bench.give(Incoming::Image(Picture::Raw(image(i))), at(100 * i + 10)).into_iter().map(|out| (i, out)),
        );
        outgoing.extend(bench.tick(at(100 * i + 50)).into_iter().map(|out| (i, out)));
    }
    let ahead: Vec<(i64, &StampedOdometry)> = outgoing
        .iter()
        .filter_map(|(i, out)| match out {
            Outgoing::Odometry(ahead) if (21..60).contains(i) => Some((*i, &**ahead)),
            _ => None,
        })
        .collect();
    assert!(ahead.len() > 10, "{} predictions", ahead.len());
    let trace = |odometry: &StampedOdometry| odometry.covariance.matrix().trace();
    assert!(ahead.windows(2).all(|pair| trace(pair[1].1) > trace(pair[0].1)), "blind, and surer?");
    assert_eq!(bench.refused()["image_without_contrast"].0, 40);
    let while_covered = poses(&outgoing).iter().filter(|pose| pose.stamp > at(2000) && pose.stamp < at(6000)).count();
    assert_eq!(while_covered, 0);
    let last = poses(&outgoing)[poses(&outgoing).len() - 1];
    assert_eq!(last.stamp, at(7900));
}

/// What RViz's "2D Pose Estimate" sends for a pose: no variance for z, roll and pitch.
fn clicked(stamp: Stamp, frame_id: &str, map_from_base: Se3) -> Incoming {
    let mut covariance = [0.0; 36];
    (covariance[0], covariance[7], covariance[35]) = (0.25, 0.25, 0.068_53);
    messages::initial_pose(&geometry_msgs::PoseWithCovarianceStamped {
        header: std_msgs::Header::new(stamp, frame_id),
        pose: geometry_msgs::PoseWithCovariance { pose: map_from_base.into(), covariance },
    })
}

#[test]
fn a_static_odometry_holds_no_answer_back() {
    let mut bench = standing(estimating());
    let transforms = vec![edge("odom", "base_link", at(0), Se3::identity())];
    bench.give(Incoming::Transforms { transforms, is_static: true }, at(0));
    bench.give(clicked(at(50), "map", map_from_camera(101) * base_from_camera().inverse()), at(60));
    let mut outgoing = bench.give(Incoming::Image(Picture::Raw(picture(at(100), 100))), at(110));
    outgoing.extend(bench.tick(at(120)));
    let answers = outgoing.iter().filter(|out| matches!(out, Outgoing::Pose(_))).count();
    let corrections = outgoing.iter().filter(|out| matches!(out, Outgoing::Transform(_))).count();
    assert!(answers == 1 && corrections > 0, "{answers} poses, {corrections} transforms");
}

#[test]
fn a_given_pose_starts_the_estimate_and_fixes_that_contradict_it_replace_it() {
    let there = |brightness: u8| map_from_camera(brightness) * base_from_camera().inverse();
    let first_pose = |bench: &mut Bench| {
        let outgoing = tenth(bench, 100, picture(at(100), 100));
        poses(&outgoing).first().map(|pose| pose.map_from_base)
    };
    assert_eq!(first_pose(&mut standing(estimating())), None, "one fix proves nothing");

    let mut bench = standing(estimating());
    bench.give(clicked(at(50), "map", there(101)), at(60));
    let first = first_pose(&mut bench).expect("the given pose and a fix that agrees");
    assert!((first.translation - there(100).translation).norm() < 0.2, "{first:?}");

    let mut configured = estimating();
    let (position, yaw) = (there(100).translation, there(100).rotation);
    (configured.set_initial_pose, configured.initial_pose) =
        (true, InitialPose { x: position.x, y: position.y, z: position.z, yaw: yaw.log().z });
    assert!(first_pose(&mut standing(configured)).is_some(), "the parameters give a pose as well");

    // Given 10 m beside the truth: five fixes that agree with each other are believed more.
    let mut bench = standing(estimating());
    bench.give(clicked(Stamp::default(), "map", there(200)), at(60));
    let outgoing: Vec<_> = (1..12).flat_map(|i| tenth(&mut bench, 100 * i, picture(at(100 * i), 100))).collect();
    let poses = poses(&outgoing);
    assert!((poses[0].map_from_base.translation - there(200).translation).norm() < 0.1);
    let last = poses[poses.len() - 1];
    assert!((last.map_from_base.translation - there(100).translation).norm() < 0.1, "{last:?}");
}

#[test]
fn a_pose_given_before_the_clock_jumped_back_is_forgotten() {
    let there = map_from_camera(100) * base_from_camera().inverse();
    let mut bench = standing(estimating());
    bench.give(clicked(at(50_000), "map", there), at(50_010));
    bench.tick(at(0));
    let outgoing: Vec<_> = (500..503).flat_map(|i| tenth(&mut bench, 100 * i, picture(at(100 * i), 200))).collect();
    let elsewhere = map_from_camera(200) * base_from_camera().inverse();
    let far = |pose: &&StampedPose| (pose.map_from_base.translation - elsewhere.translation).norm() > 1.0;
    assert!(!poses(&outgoing).is_empty() && !poses(&outgoing).iter().any(far));
}

#[test]
fn given_poses_that_are_none_are_refused() {
    let somewhere = Se3::identity();
    let broken = Se3::new(somewhere.rotation, [f64::NAN, 0.0, 0.0].into());
    let cases = [
        (estimating(), clicked(at(0), "odom", somewhere), "expected a pose in map, found one in \"odom\""),
        (estimating(), clicked(at(0), "map", broken), "finite"),
        (alone(), clicked(at(0), "map", somewhere), "expected an estimator to start"),
    ];
    for (config, given, text) in cases {
        let mut bench = standing(config);
        bench.give(given, at(10));
        let (count, last) = &bench.refused()["initial_pose_refused"];
        assert!(*count == 1 && last.contains(text), "{text}: {last}");
    }
}

#[tokio::test]
async fn a_replay_with_the_estimator_writes_the_same_bytes_twice() {
    let work = tempfile::tempdir().unwrap();
    let bag = work.path().join("recording");
    write_bag(&bag, true);
    let mut written = Vec::new();
    for out in ["first", "second"] {
        let out = work.path().join(out);
        let report = out.join("report");
        let request = ReplayRequest { report: Some(&report), ..ReplayRequest::new(&bag, &out) };
        let names = camera_names();
        let summary = replay(request, estimating(), &names, Brightness::default(), || false).await.unwrap();
        assert_eq!(summary.images, 20);
        assert!(summary.poses > 10 && summary.poses < 20, "{summary:?}");
        written.push((summary, files(&out)));
    }
    assert!(written[0] == written[1], "two runs differ");
    let first = work.path().join("first");
    let trajectory = Trajectory::read_tum(&first.join("trajectory.tum")).unwrap();
    assert_eq!(trajectory.len() as u64, written[0].0.poses);
    let bag = BagReader::open(&first.join("bag")).unwrap();
    let count = |topic: &str| bag.topic(topic).map(|topic| topic.message_count);
    assert_eq!(count("/absolute_pose"), Some(19), "every image that can be read");
    assert_eq!(count("/pose"), Some(written[0].0.poses));
    assert!(count("/odometry") > Some(5), "{:?}", count("/odometry"));
}
