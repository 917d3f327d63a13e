//! The node without threads: sequences of messages as a peer could send them, in any order, with any stamps and
//! numbers. What goes out is finite, whatever comes in.

use image::RgbImage;
use vloc::config::{Config, EstimatorConfig, OdometrySource};
use vloc::geometry::{Matrix6, Se3, So3};
use vloc::middleware::{Incoming, Outgoing, messages};
use vloc::msg::geometry_msgs::{
    Point, Pose, PoseWithCovariance, PoseWithCovarianceStamped, Quaternion, Transform, TransformStamped, Vector3,
};
use vloc::msg::nav_msgs::Odometry;
use vloc::msg::sensor_msgs::{Image, Imu};
use vloc::msg::std_msgs::Header;
use vloc::msg::tf2_msgs::TFMessage;
use vloc::node::{Core, Localization, Localizer, Worker};
use vloc::sensor::{AbsolutePose, CameraModel, RelativePose};
use vloc::{Result, Stamp};

use super::bytes::Bytes;

/// So many messages are sent at most.
const MESSAGES: usize = 64;
const FRAMES: [&str; 6] = ["map", "odom", "base_link", "camera", "imu", ""];
const START: Stamp = Stamp::from_nanos(1_700_000_000_000_000_000);

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let camera = CameraModel::pinhole(4, 4, 4.0);
    let mut core = Core::new(config(bytes.byte())).expect("a sound configuration");
    core.set_network_camera(camera).expect("a pinhole camera");
    let mut worker = Worker::new(Network { camera, previous: None });
    let _ = core.receive(Incoming::CameraInfo(camera), START);
    let mut now = START;
    for _ in 0..MESSAGES {
        if bytes.is_empty() {
            break;
        }
        now = later(now, bytes.step());
        match incoming(&mut bytes, now) {
            Some(incoming) => {
                if let Some(job) = core.receive(incoming, now) {
                    core.finish(worker.work(job), now);
                }
            }
            None => core.tick(now, Vec::new()),
        }
        core.take_outgoing().iter().for_each(check);
    }
    core.end();
    core.take_outgoing().iter().for_each(check);
}

fn later(stamp: Stamp, nanos: i64) -> Stamp {
    // The stamps of ROS: seconds in 32 bits.
    Stamp::from_nanos(stamp.as_nanos().saturating_add(nanos).clamp(-(1 << 61), (1 << 61) - 1))
}

fn config(flags: u8) -> Config {
    let flag = |bit: u8| flags >> bit & 1 == 1;
    Config {
        min_image_contrast: 0.0,
        base_from_camera: flag(0).then_some([0.1, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0]),
        base_from_imu: flag(1).then_some([0.1, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0]),
        use_odometry: flag(2),
        odometry_source: if flag(3) { OdometrySource::Topic } else { OdometrySource::Tf },
        set_initial_pose: flag(4),
        use_estimator: !flag(5),
        estimator: EstimatorConfig { keyframes: 6, ..EstimatorConfig::default() },
        ..Config::default()
    }
}

/// A message with a stamp near `now`; `None`: time passes.
fn incoming(bytes: &mut Bytes<'_>, now: Stamp) -> Option<Incoming> {
    let kind = bytes.byte();
    let header = |bytes: &mut Bytes<'_>, now: Stamp| {
        let stamp = later(now, bytes.step());
        Header::new(stamp, FRAMES[usize::from(bytes.byte()) % FRAMES.len()])
    };
    Some(match kind % 8 {
        0 | 1 => {
            let header = header(bytes, now);
            let fill = bytes.take::<16>();
            let image = Image {
                header,
                height: 4,
                width: 4,
                encoding: "mono8".into(),
                step: 4,
                data: fill.into(),
                is_bigendian: 0,
            };
            messages::image(image)
        }
        2 => {
            let (header, child_frame_id) =
                (header(bytes, now), FRAMES[usize::from(bytes.byte()) % FRAMES.len()].into());
            let transform = Transform { translation: vector(bytes), rotation: quaternion(bytes) };
            let transforms = vec![TransformStamped { header, child_frame_id, transform }];
            messages::transforms(&TFMessage { transforms }, bytes.flag())
        }
        3 | 4 => messages::imu(&Imu {
            header: header(bytes, now),
            angular_velocity: vector(bytes),
            linear_acceleration: vector(bytes),
            ..Imu::default()
        }),
        5 => messages::odometry(&Odometry {
            header: Header { frame_id: "odom".into(), ..header(bytes, now) },
            child_frame_id: "base_link".into(),
            pose: PoseWithCovariance { pose: pose(bytes), ..PoseWithCovariance::default() },
            ..Odometry::default()
        }),
        6 => {
            let header = Header { frame_id: "map".into(), ..header(bytes, now) };
            let mut covariance = [0.0; 36];
            (0..6).for_each(|axis| covariance[7 * axis] = bytes.number());
            let pose = PoseWithCovariance { pose: pose(bytes), covariance };
            messages::initial_pose(&PoseWithCovarianceStamped { header, pose })
        }
        _ => return None,
    })
}

fn vector(bytes: &mut Bytes<'_>) -> Vector3 {
    let [x, y, z] = bytes.numbers();
    Vector3 { x, y, z }
}

/// Mostly a rotation, sometimes none.
fn quaternion(bytes: &mut Bytes<'_>) -> Quaternion {
    let turn: [f64; 3] = bytes.numbers();
    let [x, y, z, w] = if bytes.byte() == 255 { bytes.numbers() } else { So3::exp(&turn.into()).to_xyzw() };
    Quaternion { x, y, z, w }
}

fn pose(bytes: &mut Bytes<'_>) -> Pose {
    let [x, y, z] = bytes.numbers();
    Pose { position: Point { x, y, z }, orientation: quaternion(bytes) }
}

fn check(outgoing: &Outgoing) {
    let finite = |matrix: &Matrix6| matrix.iter().all(|value| value.is_finite());
    match outgoing {
        Outgoing::Pose(pose) | Outgoing::AbsolutePose(pose) => {
            assert!(pose.map_from_base.is_finite() && finite(&pose.covariance.matrix()), "{pose:?}");
        }
        Outgoing::Odometry(odometry) => {
            let is_finite = odometry.map_from_base.is_finite()
                && finite(&odometry.covariance.matrix())
                && odometry.twist.iter().all(|value| value.is_finite())
                && finite(&odometry.twist_covariance);
            assert!(is_finite, "{odometry:?}");
        }
        Outgoing::Transform(transform) => assert!(transform.parent_from_child.is_finite(), "{transform:?}"),
        Outgoing::Path(path) => assert!(path.poses.iter().all(|(_, pose)| pose.is_finite()), "{path:?}"),
        Outgoing::Diagnostics(_) | Outgoing::Parameters(_) | Outgoing::Transition(_) => {}
    }
}

/// Sees in the first pixels where it is.
struct Network {
    camera: CameraModel,
    previous: Option<(Stamp, Se3)>,
}

impl Localizer for Network {
    fn camera(&self) -> CameraModel {
        self.camera
    }

    fn localize(&mut self, stamp: Stamp, pixels: RgbImage) -> Result<Localization> {
        let at = |x: u32, y: u32| f64::from(pixels.get_pixel(x, y)[0]) / 64.0;
        let rotation = So3::exp(&[at(0, 1), at(1, 1), at(2, 1)].into());
        let map_from_camera = Se3::new(rotation, [at(0, 0), at(1, 0), at(2, 0)].into());
        let covariance = Matrix6::from_diagonal_element(1e-2);
        let relative = self.previous.replace((stamp, map_from_camera)).map(|(previous_stamp, before)| RelativePose {
            previous_stamp,
            stamp,
            previous_from_current: before.inverse() * map_from_camera,
            covariance,
        });
        Ok(Localization {
            absolute: AbsolutePose { stamp, map_from_camera, covariance },
            relative,
            evidence: None,
            alignment: None,
        })
    }

    fn reset(&mut self) {
        self.previous = None;
    }
}
