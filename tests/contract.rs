//! What every adapter to a running robot must do, whatever it is made of: the same functions run on each that is built.
//! The robot is a participant of its own (RustDDS), in a network with loopback alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/participant.rs"]
mod participant;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nalgebra::Vector3;
use participant::Participant;
use tokio::time::{sleep, timeout};
use vloc::Stamp;
use vloc::config::{Config, OdometrySource, Reliability};
use vloc::geometry::{PoseCovariance, Se3, So3};
use vloc::middleware::services::{self, Service, ServiceHost};
use vloc::middleware::*;
use vloc::msg::lifecycle_msgs::{ChangeStateRequest, Transition, TransitionEvent};
use vloc::msg::rcl_interfaces::*;
use vloc::msg::std_srvs::Empty;
use vloc::msg::{
    RosMessage, convert, diagnostic_msgs, geometry_msgs, nav_msgs, rosgraph_msgs, sensor_msgs, std_msgs, tf2_msgs,
};
use vloc::node::ManagedNode;
use vloc::sensor::{CameraModel, Image};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const MOMENT: Duration = Duration::from_millis(50);

macro_rules! on_every_adapter {
    (@run $port:ty, $($test:ident)*) => {
        $(#[test]
        fn $test() {
            super::in_a_network(&super::name_of(module_path!(), stringify!($test)), super::$test::<$port>());
        })*
    };
    ($($test:ident)*) => {
        mod rtps {
            on_every_adapter!(@run vloc::middleware::rtps::Rtps, $($test)*);
        }
        #[cfg(feature = "ros")]
        mod r2r {
            on_every_adapter!(@run vloc::middleware::r2r::Ros, $($test)*);
        }
    };
}

on_every_adapter! {
    every_input_arrives_with_its_content
    what_cannot_be_used_is_refused
    every_output_arrives_with_its_content
    topics_and_services_have_their_names_types_and_qos
    every_service_answers
    parameters_are_described
    a_publisher_that_does_not_fit_is_told_of
    who_comes_late_gets_the_last_pose
    a_busy_node_loses_no_reading
    time_comes_from_the_clock_where_it_is_asked_for
    a_node_that_left_can_come_again
}

/// A test's name for the test harness: its path in this crate.
fn name_of(module: &str, test: &str) -> String {
    format!("{}::{test}", module.rsplit("::").next().unwrap())
}

/// Runs in a network of its own, or not at all.
fn in_a_network(name: &str, test: impl Future<Output = ()>) {
    if common::is_on_loopback(name) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { timeout(PATIENCE, test).await.expect("it takes too long") });
    }
}

fn at(seconds: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000 + seconds * 1_000_000_000 + 123_456_789)
}

fn somewhere() -> Se3 {
    Se3::new(So3::from_xyzw(0.1, -0.5, 0.5, 0.7).unwrap(), [1.5, -2.5, 0.25].into())
}

fn pose() -> StampedPose {
    let covariance = PoseCovariance::from_sigmas(0.1, 0.05).unwrap();
    StampedPose { stamp: at(1), frame_id: "map".into(), map_from_base: somewhere(), covariance }
}

fn transform() -> StampedTransform {
    StampedTransform { stamp: at(2), parent: "map".into(), child: "odom".into(), parent_from_child: somewhere() }
}

fn picture() -> sensor_msgs::Image {
    let data = (0..640 * 480 * 3).map(|byte| (byte % 251) as u8).collect();
    let (width, height, encoding) = (640, 480, "rgb8".to_owned());
    let frame_id = "camera".to_owned();
    Image { stamp: at(3), frame_id, height, width, encoding, step: 1920, is_bigendian: false, data }.into()
}

fn reading(stamp: Stamp, x: f64) -> sensor_msgs::Imu {
    let linear_acceleration = geometry_msgs::Vector3 { x, y: 0.5, z: 9.81 };
    sensor_msgs::Imu { header: std_msgs::Header::new(stamp, "imu_link"), linear_acceleration, ..Default::default() }
}

fn motion() -> nav_msgs::Odometry {
    let pose = geometry_msgs::PoseWithCovariance { pose: somewhere().into(), ..Default::default() };
    let header = std_msgs::Header::new(at(4), "odom");
    nav_msgs::Odometry { header, child_frame_id: "base_link".into(), pose, ..Default::default() }
}

fn everything() -> Config {
    Config { odometry_source: OdometrySource::Topic, ..Config::default() }
}

/// Says a message over and over until the node has something that fits.
async fn heard<P: Live, T: RosMessage + Clone, R>(
    port: &mut P,
    publisher: &ros2_client::Publisher<T>,
    message: T,
    fits: impl Fn(Incoming) -> Option<R>,
) -> R {
    loop {
        publisher.publish(message.clone()).map_err(|error| error.to_string()).unwrap();
        while let Ok(incoming) = timeout(MOMENT, port.next()).await {
            if let Some(fitting) = fits(incoming.expect("the port is open")) {
                return fitting;
            }
        }
    }
}

/// Sends a message over and over until the robot hears one that fits.
async fn said<P: Live, T: RosMessage + Send + 'static>(
    port: &mut P,
    outgoing: Outgoing,
    subscription: &ros2_client::Subscription<T>,
) -> T {
    loop {
        port.send(outgoing.clone()).await.unwrap();
        if let Ok(sample) = timeout(MOMENT, subscription.async_take()).await {
            return sample.unwrap().0;
        }
    }
}

async fn every_input_arrives_with_its_content<P: Live>() {
    let mut port = P::open(&everything(), &Names::default()).unwrap();
    let mut robot = Participant::join();

    let sender = robot.publisher("image", Qos::images(Reliability::Reliable));
    let image = heard(&mut port, &sender, picture(), |incoming| match incoming {
        Incoming::Image(Picture::Raw(image)) => Some(sensor_msgs::Image::from(image)),
        _ => None,
    });
    assert!(image.await == picture());

    let camera = CameraModel::pinhole(640, 480, 525.0);
    let sender = robot.publisher("camera_info", Qos::images(Reliability::Reliable));
    let info = heard(&mut port, &sender, camera.to_message(at(3), "camera"), |incoming| match incoming {
        Incoming::CameraInfo(camera) => Some(camera),
        _ => None,
    });
    assert_eq!(info.await, camera);

    for (topic, qos, expected) in [("/tf", Qos::TF, false), ("/tf_static", Qos::TF_STATIC, true)] {
        let sender = robot.publisher(topic, qos);
        let message = messages::transform_message(&transform());
        let came = heard(&mut port, &sender, message, |incoming| match incoming {
            Incoming::Transforms { transforms, is_static } if is_static == expected => Some(transforms),
            _ => None,
        });
        assert_eq!(came.await, [transform()]);
    }

    let sender = robot.publisher("imu", Qos::IMU);
    let came = heard(&mut port, &sender, reading(at(5), 0.25), |incoming| match incoming {
        Incoming::Imu { sample, frame_id } => Some((sample, frame_id)),
        _ => None,
    });
    let (sample, frame_id) = came.await;
    assert_eq!((sample.stamp, frame_id.as_str()), (at(5), "imu_link"));
    assert_eq!(sample.linear_acceleration, Vector3::new(0.25, 0.5, 9.81));

    let sender = robot.publisher("odom", Qos::ODOM);
    let came = heard(&mut port, &sender, motion(), |incoming| match incoming {
        Incoming::Odometry(transform) => Some(transform),
        _ => None,
    });
    let transform = came.await;
    assert_eq!((transform.stamp, transform.parent.as_str(), transform.child.as_str()), (at(4), "odom", "base_link"));
    assert!(transform.parent_from_child.local(somewhere()).norm() < 1e-12);

    let sender = robot.publisher("initialpose", Qos::INITIAL_POSE);
    let came = heard(&mut port, &sender, messages::pose_message(&pose()), |incoming| match incoming {
        Incoming::InitialPose(pose) => Some(pose),
        _ => None,
    });
    let came = came.await;
    assert!(came.map_from_base.local(somewhere()).norm() < 1e-12 && came.stamp == at(1), "{came:?}");
    port.close().await;
}

async fn what_cannot_be_used_is_refused<P: Live>() {
    let config = Config { image_transport: vloc::config::ImageTransport::Compressed, ..everything() };
    let mut port = P::open(&config, &Names::default()).unwrap();
    let mut robot = Participant::join();
    let jpeg = sensor_msgs::CompressedImage { format: "jpeg".into(), data: vec![1, 2, 3], ..Default::default() };
    let sender = robot.publisher("image/compressed", Qos::images(Reliability::Reliable));
    let image = heard(&mut port, &sender, jpeg.clone(), |incoming| match incoming {
        Incoming::Image(Picture::Compressed(image)) => Some(image.data),
        _ => None,
    });
    assert_eq!(image.await, jpeg.data, "what an image holds is looked at later");
    let sender = robot.publisher("imu", Qos::IMU);
    let refused = heard(&mut port, &sender, reading(at(5), f64::NAN), |incoming| match incoming {
        Incoming::Refused { input: Input::Imu, error } => Some(error.to_string()),
        _ => None,
    });
    assert!(refused.await.contains("finite"));
    port.close().await;
}

async fn every_output_arrives_with_its_content<P: Live>() {
    let mut port = P::open(&Config::default(), &Names::default()).unwrap();
    let mut robot = Participant::join();
    for topic in ["pose", "absolute_pose"] {
        let reader = robot.subscription::<geometry_msgs::PoseWithCovarianceStamped>(
            topic,
            if topic == "pose" { Qos::POSE } else { Qos::ODOMETRY },
        );
        let outgoing = if topic == "pose" { Outgoing::Pose } else { Outgoing::AbsolutePose };
        let heard = said(&mut port, outgoing(Box::new(pose())), &reader).await;
        assert_eq!(heard, messages::pose_message(&pose()));
    }
    let odometry = StampedOdometry {
        stamp: at(6),
        frame_id: "map".into(),
        child_frame_id: "base_link".into(),
        map_from_base: somewhere(),
        covariance: pose().covariance,
        twist: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6].into(),
        twist_covariance: pose().covariance.matrix(),
    };
    let reader = robot.subscription::<nav_msgs::Odometry>("odometry", Qos::ODOMETRY);
    let heard = said(&mut port, Outgoing::Odometry(Box::new(odometry.clone())), &reader).await;
    assert_eq!(heard, messages::odometry_message(&odometry));

    let reader = robot.subscription::<tf2_msgs::TFMessage>("/tf", Qos::TF);
    let heard = said(&mut port, Outgoing::Transform(transform()), &reader).await;
    assert_eq!(heard, messages::transform_message(&transform()));

    let path = StampedPath { stamp: at(6), frame_id: "map".into(), poses: vec![(at(5), somewhere()); 1000] };
    let reader = robot.subscription::<nav_msgs::Path>("path", Qos::PATH);
    let heard = said(&mut port, Outgoing::Path(path.clone()), &reader).await;
    assert_eq!(heard, messages::path_message(&path));

    let values = vec![("images".to_owned(), "3".to_owned())];
    let report = Diagnostics { stamp: at(7), level: Level::Warn, message: "no image came".into(), values };
    let reader = robot.subscription::<diagnostic_msgs::DiagnosticArray>("/diagnostics", Qos::DIAGNOSTICS);
    let heard = said(&mut port, Outgoing::Diagnostics(report.clone()), &reader).await;
    assert_eq!(heard, messages::diagnostics_message(&report, "/vloc"));

    let value = ParameterValue { kind: 3, double_value: 0.5, ..Default::default() };
    let changed_parameters = vec![Parameter { name: "transform_tolerance".into(), value }];
    let event = ParameterEvent { stamp: at(8).into(), node: "/vloc".into(), changed_parameters, ..Default::default() };
    let reader = robot.subscription::<ParameterEvent>("/parameter_events", Qos::PARAMETER_EVENTS);
    assert_eq!(said(&mut port, Outgoing::Parameters(Box::new(event.clone())), &reader).await, event);

    let transition = Transition { id: 1, label: "configure".into() };
    let event = TransitionEvent { timestamp: 5, transition, ..Default::default() };
    let reader = robot.subscription::<TransitionEvent>("vloc/transition_event", Qos::TRANSITION_EVENT);
    assert_eq!(said(&mut port, Outgoing::Transition(Box::new(event.clone())), &reader).await, event);
    port.close().await;
}

async fn topics_and_services_have_their_names_types_and_qos<P: Live>() {
    let robot = Participant::join();
    let watched = robot.watch();
    let config = Config { use_sim_time: true, ..everything() };
    let port = P::open(&config, &Names::default()).unwrap();
    let rt = |topic: &str, kind: &str, qos: Qos| {
        let (package, name) = kind.split_once("/msg/").unwrap();
        (format!("rt/{topic}"), (format!("{package}::msg::dds_::{name}_"), qos.reliability, qos.durability))
    };
    let pose = geometry_msgs::PoseWithCovarianceStamped::TYPE;
    let images = Qos::images(Reliability::BestEffort);
    let mut writers = BTreeMap::from([
        rt("pose", pose, Qos::POSE),
        rt("absolute_pose", pose, Qos::ODOMETRY),
        rt("odometry", nav_msgs::Odometry::TYPE, Qos::ODOMETRY),
        rt("path", nav_msgs::Path::TYPE, Qos::PATH),
        rt("tf", tf2_msgs::TFMessage::TYPE, Qos::TF),
        rt("diagnostics", diagnostic_msgs::DiagnosticArray::TYPE, Qos::DIAGNOSTICS),
        rt("parameter_events", ParameterEvent::TYPE, Qos::PARAMETER_EVENTS),
        rt("vloc/transition_event", TransitionEvent::TYPE, Qos::TRANSITION_EVENT),
    ]);
    let mut readers = BTreeMap::from([
        rt("image", sensor_msgs::Image::TYPE, images),
        rt("camera_info", sensor_msgs::CameraInfo::TYPE, images),
        rt("tf", tf2_msgs::TFMessage::TYPE, Qos::TF),
        rt("tf_static", tf2_msgs::TFMessage::TYPE, Qos::TF_STATIC),
        rt("imu", sensor_msgs::Imu::TYPE, Qos::IMU),
        rt("odom", nav_msgs::Odometry::TYPE, Qos::ODOM),
        rt("initialpose", pose, Qos::INITIAL_POSE),
        rt("clock", rosgraph_msgs::Clock::TYPE, Qos::CLOCK),
    ]);
    let mut offered = Offered::default();
    services::serve_all(&mut offered).unwrap();
    assert_eq!(offered.0.len(), 13);
    for (name, service_type) in offered.0 {
        let (package, service) = service_type.split_once("/srv/").unwrap();
        let ends = |side: &str| format!("{package}::srv::dds_::{service}_{side}_");
        let (reliability, durability) = (Qos::SERVICES.reliability, Qos::SERVICES.durability);
        readers.insert(format!("rq/{name}Request"), (ends("Request"), reliability, durability));
        writers.insert(format!("rr/{name}Reply"), (ends("Response"), reliability, durability));
    }
    // What an adapter brings beside the node's own.
    let others = ["ros_discovery_info", "rt/rosout"];
    let expected: BTreeSet<_> = writers.keys().chain(readers.keys()).cloned().collect();
    loop {
        let (seen_writers, seen_readers) = watched.seen();
        let seen: BTreeSet<_> = seen_writers.keys().chain(seen_readers.keys()).cloned().collect();
        if !expected.is_subset(&seen) {
            sleep(MOMENT).await;
            continue;
        }
        let own = |seen: BTreeMap<String, _>| -> BTreeMap<_, _> {
            seen.into_iter().filter(|(topic, _)| !others.contains(&topic.as_str())).collect()
        };
        assert_eq!(own(seen_writers), writers);
        assert_eq!(own(seen_readers), readers);
        break;
    }
    port.close().await;
}

/// The names and types of the services.
#[derive(Default)]
struct Offered(Vec<(String, &'static str)>);

impl ServiceHost for Offered {
    fn serve<S: Service>(&mut self) -> vloc::Result<()> {
        self.0.push((S::NAME.replace('~', "vloc"), S::TYPE));
        Ok(())
    }
}

/// A node that answers questions until nobody asks any more.
async fn answering<P: Live>(asked: impl Future<Output = ()>) {
    let config = Config { autostart: false, ..Config::default() };
    let mut port = P::open(&config, &Names::default()).unwrap();
    let mut node = ManagedNode::new(config, "/vloc").unwrap();
    tokio::pin!(asked);
    loop {
        tokio::select! {
            () = &mut asked => break,
            incoming = port.next() => node.receive(incoming.unwrap(), port.now()),
        }
        for outgoing in node.take_outgoing() {
            port.send(outgoing).await.unwrap();
        }
    }
    port.close().await;
}

async fn every_service_answers<P: Live>() {
    let mut robot = Participant::join();
    answering::<P>(async {
        let none = Empty::default();
        let state = robot.call::<services::GetState>(none).await.current_state;
        assert_eq!((state.id, state.label.as_str()), (1, "unconfigured"));
        assert_eq!(robot.call::<services::ReinitializeGlobalLocalization>(none).await, none);
        let reset = robot.call::<services::Reset>(none).await;
        assert!(!reset.success && reset.message.contains("unconfigured"), "{reset:?}");
        assert_eq!(robot.call::<services::GetAvailableStates>(none).await.available_states.len(), 11);
        assert_eq!(robot.call::<services::GetAvailableTransitions>(none).await.available_transitions.len(), 2);
        assert_eq!(robot.call::<services::GetTransitionGraph>(none).await.available_transitions.len(), 25);
        let names = NamesRequest { names: vec!["base_frame_id".into(), "path_length".into()] };
        let values = robot.call::<services::GetParameters>(names.clone()).await.values;
        assert_eq!((values[0].string_value.as_str(), values[1].integer_value), ("base_link", 1000));
        assert_eq!(robot.call::<services::GetParameterTypes>(names).await.types, [4, 2]);
        let listed = ListParametersRequest { prefixes: vec!["initial_pose".into()], depth: 0 };
        let listed = robot.call::<services::ListParameters>(listed).await.result.names;
        assert_eq!(listed, ["x", "y", "z", "yaw"].map(|name| format!("initial_pose.{name}")));
        let number = |name: &str, double_value| {
            let value = ParameterValue { kind: 3, double_value, ..Default::default() };
            Parameter { name: name.into(), value }
        };
        let parameters = vec![number("transform_tolerance", 0.5), number("transform_tolerance", -1.0)];
        let results = robot.call::<services::SetParameters>(SetParametersRequest { parameters }).await.results;
        assert_eq!(results.iter().map(|result| result.successful).collect::<Vec<_>>(), [true, false], "{results:?}");
        let parameters = vec![number("transform_tolerance", 0.1), number("tf_publish_rate", 0.0)];
        let both = robot.call::<services::SetParametersAtomically>(SetParametersRequest { parameters }).await.result;
        assert!(!both.successful && both.reason.contains("tf_publish_rate"), "{both:?}");
        let shutdown = ChangeStateRequest { transition: Transition { id: 0, label: "shutdown".into() } };
        assert!(robot.call::<services::ChangeState>(shutdown).await.success);
        assert_eq!(robot.call::<services::GetState>(none).await.current_state.label, "finalized");
    })
    .await;
}

async fn parameters_are_described<P: Live>() {
    let mut robot = Participant::join();
    answering::<P>(async {
        let names = ["tf_publish_rate", "use_imu", "model", "estimator.lag"].map(String::from).to_vec();
        let asked = NamesRequest { names: names.clone() };
        let described = robot.call::<services::DescribeParameters>(asked).await.descriptors;
        assert_eq!(described.iter().map(|descriptor| descriptor.name.clone()).collect::<Vec<_>>(), names);
        assert!(described.iter().all(|descriptor| descriptor.description.len() > 10), "{described:?}");
        assert_eq!(described[0].floating_point_range[0].to_value, 1000.0);
        assert_eq!(
            described.iter().map(|descriptor| descriptor.read_only).collect::<Vec<_>>()[..3],
            [false, true, false]
        );
    })
    .await;
}

/// Waits until an input is connected as said.
async fn linked<P: Live>(port: &P, input: Input, fits: impl Fn(&Link) -> bool) -> Link {
    loop {
        if let Some(link) = port.links().into_iter().find(|link| link.input == input && fits(link)) {
            return link;
        }
        sleep(MOMENT).await;
    }
}

async fn a_publisher_that_does_not_fit_is_told_of<P: Live>() {
    let config = Config { image_reliability: Reliability::Reliable, ..Config::default() };
    let port = P::open(&config, &Names::default()).unwrap();
    let mut robot = Participant::join();
    let unheard = robot.publisher::<sensor_msgs::Image>("image", Qos::images(Reliability::BestEffort));
    let link = linked(&port, Input::Image, |link| !link.incompatible.is_empty()).await;
    assert_eq!(link.incompatible, ["best effort, volatile"]);
    assert_eq!((link.publishers, link.topic.as_str()), (0, "/image"));
    assert_eq!(link.requested, Qos::images(Reliability::Reliable));
    let transforms = |link: &Link| link.input == Input::Transforms && link.publishers > 0;
    assert!(!port.links().iter().any(transforms), "the node is no publisher of its own /tf");
    let heard = robot.publisher::<sensor_msgs::Image>("image", Qos::images(Reliability::Reliable));
    let link = linked(&port, Input::Image, |link| link.publishers == 1).await;
    assert_eq!(link.incompatible.len(), 1);
    drop(unheard);
    linked(&port, Input::Image, |link| link.incompatible.is_empty() && link.publishers == 1).await;
    drop(heard);
    linked(&port, Input::Image, |link| link.publishers == 0).await;
    port.close().await;
}

async fn who_comes_late_gets_the_last_pose<P: Live>() {
    let mut port = P::open(&Config::default(), &Names::default()).unwrap();
    for second in 0..5 {
        port.send(Outgoing::Pose(Box::new(StampedPose { stamp: at(second), ..pose() }))).await.unwrap();
    }
    let mut robot = Participant::join();
    let reader = robot.subscription::<geometry_msgs::PoseWithCovarianceStamped>("pose", Qos::POSE);
    let mut poses = vec![reader.async_take().await.unwrap().0];
    // RustDDS drops older samples every six seconds only: they may come before the last one.
    while let Ok(sample) = timeout(10 * MOMENT, reader.async_take()).await {
        poses.push(sample.unwrap().0);
    }
    let stamps: Vec<_> = poses.iter().map(|pose| convert::stamp_of(&pose.header).unwrap()).collect();
    assert!(stamps.is_sorted() && stamps.last() == Some(&at(4)), "{stamps:?}");
    port.close().await;
}

async fn a_busy_node_loses_no_reading<P: Live>() {
    const READINGS: usize = 400;
    let mut port = P::open(&Config::default(), &Names::default()).unwrap();
    let mut robot = Participant::join();
    let sender = robot.publisher("imu", Qos::IMU);
    let stamp_of = |incoming| match incoming {
        Incoming::Imu { sample, .. } => Some(sample.stamp),
        _ => None,
    };
    heard(&mut port, &sender, reading(at(0), 0.0), stamp_of).await;
    // Two seconds at 200 Hz in which the node takes nothing.
    for index in 1..=READINGS {
        sender.publish(reading(at(index as i64), 0.0)).unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    let mut stamps = Vec::new();
    while let Ok(incoming) = timeout(10 * MOMENT, port.next()).await {
        stamps.extend(stamp_of(incoming.unwrap()).filter(|stamp| *stamp != at(0)));
    }
    assert_eq!(stamps, (1..=READINGS).map(|index| at(index as i64)).collect::<Vec<_>>());
    port.close().await;
}

async fn time_comes_from_the_clock_where_it_is_asked_for<P: Live>() {
    let config = Config { use_sim_time: true, ..Config::default() };
    let port = P::open(&config, &Names::default()).unwrap();
    assert_eq!(port.now(), Stamp::default());
    let mut robot = Participant::join();
    let clock = robot.publisher("/clock", Qos::CLOCK);
    while port.now() != at(9) {
        clock.publish(rosgraph_msgs::Clock { clock: at(9).into() }).unwrap();
        sleep(MOMENT).await;
    }
    port.close().await;
    let port = P::open(&Config::default(), &Names::default()).unwrap();
    assert!(port.now() > at(0));
    port.close().await;
}

async fn a_node_that_left_can_come_again<P: Live>() {
    let mut robot = Participant::join();
    let watched = robot.watch();
    let reader = robot.subscription::<geometry_msgs::PoseWithCovarianceStamped>("pose", Qos::POSE);
    let is_there = || watched.seen().0.contains_key("rt/pose");
    for round in 0..3 {
        let mut port = P::open(&Config::default(), &Names::default()).unwrap();
        let outgoing = StampedPose { stamp: at(round), ..pose() };
        let heard = said(&mut port, Outgoing::Pose(Box::new(outgoing)), &reader).await;
        assert_eq!(convert::stamp_of(&heard.header).unwrap(), at(round));
        assert!(is_there());
        port.close().await;
        let gone = async {
            while is_there() {
                sleep(MOMENT).await;
            }
        };
        timeout(Duration::from_secs(2), gone).await.expect("it says that it leaves");
        while timeout(MOMENT, reader.async_take()).await.is_ok() {}
    }
}
