//! A pass as a rosbag2 (mcap), as a robot would have recorded it.
//!
//! | topic | type | rate | frame |
//! |---|---|---|---|
//! | `/camera/image` or `/camera/image/compressed` | Image (rgb8) or CompressedImage | as asked | `camera_optical_frame` |
//! | `/camera/camera_info` | CameraInfo | with each image | `camera_optical_frame` |
//! | `/imu` | Imu, without orientation | 200 Hz | `imu_link` |
//! | `/odom`, `/tf` | Odometry, TFMessage: `odom` from `base_link` | 50 Hz, planar passes only | `odom` |
//! | `/tf_static` | TFMessage: `base_link` from `camera_optical_frame` and from `imu_link` | once | `base_link` |
//! | `/ground_truth/pose` | PoseStamped: the true `map` from `base_link` | with each image | `map` |
//!
//! `/tf` holds no `map` frame: nothing in it gives the answer away.

use std::collections::VecDeque;
use std::path::Path as FilePath;

use image::RgbImage;
use rayon::prelude::*;

use super::imu::{ImuErrors, simulate_imu};
use super::odometry::{OdometryNoise, OdometrySample, simulate_odometry};
use super::{ImageFormat, Pass, PathKind, Recording, Renderer, World};
use crate::bag::{BagWriter, Storage, TRANSIENT_LOCAL_QOS};
use crate::geometry::Se3;
use crate::msg::std_msgs::Header;
use crate::msg::{RosMessage, geometry_msgs, nav_msgs, sensor_msgs, tf2_msgs};
use crate::sensor::ImuSample;
use crate::{Error, Result, Stamp};

const CAMERA_FRAME: &str = "camera_optical_frame";
const IMU_RATE: f64 = 200.0;
const ODOMETRY_RATE: f64 = 50.0;
/// Images rendered ahead, in parallel: what bounds the memory.
const CHUNK: usize = 32;

/// Something that a sensor reports at a moment.
enum Event {
    Odometry(OdometrySample),
    Imu(ImuSample),
    Image(f64),
}

/// Writes one pass as a bag into a new folder; images are `rgb8`, or compressed if a format is given. `progress` is
/// called after each image.
///
/// # Errors
/// Those of [`BagWriter`]: the folder holds something already, or cannot be written.
pub fn write_bag(
    folder: &FilePath,
    world: &World,
    renderer: &Renderer,
    pass: &Pass,
    recording: &Recording,
    compressed: Option<ImageFormat>,
    progress: &(dyn Fn() + Sync),
) -> Result<()> {
    recording.check()?;
    let mut writer = BagWriter::create(folder, Storage::Mcap)?;
    write_static_transforms(&mut writer, pass, recording.start)?;
    let mut times = recording.times().map(|(_, t)| t);
    let mut rendered: VecDeque<RgbImage> = VecDeque::new();
    for (stamp, event) in events(pass, recording) {
        match event {
            Event::Imu(sample) => writer.write("/imu", stamp, &imu_message(&sample))?,
            Event::Odometry(sample) => write_odometry(&mut writer, &sample)?,
            Event::Image(t) => {
                if rendered.is_empty() {
                    let ahead: Vec<f64> = times.by_ref().take(CHUNK).collect();
                    rendered = ahead.par_iter().map(|&t| renderer.render(world, pass, t)).collect::<Vec<_>>().into();
                }
                let image = rendered.pop_front();
                let image = image.ok_or_else(|| Error::compute("rendering", format!("no image for {stamp}")))?;
                writer.write("/camera/camera_info", stamp, &renderer.camera().to_message(stamp, CAMERA_FRAME))?;
                write_image(&mut writer, stamp, image, compressed)?;
                write_truth(&mut writer, stamp, pass.motion(t).map_from_base)?;
                progress();
            }
        }
    }
    writer.finish()
}

/// Everything that is reported, by stamp; at the same stamp odometry, IMU, image. The fast sensors go on until after
/// the last image.
fn events(pass: &Pass, recording: &Recording) -> Vec<(Stamp, Event)> {
    let seconds = recording.frames as f64 / recording.rate;
    let count = |rate: f64| (seconds * rate).ceil() as usize + 1;
    let imu = simulate_imu(pass, recording.start, IMU_RATE, count(IMU_RATE), &ImuErrors::EUROC);
    let odometry = match pass.path_kind {
        PathKind::Planar => {
            let count = count(ODOMETRY_RATE);
            simulate_odometry(pass, recording.start, ODOMETRY_RATE, count, &OdometryNoise::INDOOR)
        }
        PathKind::Handheld => Vec::new(),
    };
    let odometry = odometry.into_iter().map(|sample| (sample.stamp, Event::Odometry(sample)));
    let imu = imu.into_iter().map(|sample| (sample.stamp, Event::Imu(sample)));
    let images = recording.times().map(|(stamp, t)| (stamp, Event::Image(t)));
    let mut events: Vec<_> = odometry.chain(imu).chain(images).collect();
    events.sort_by_key(|(stamp, _)| *stamp);
    events
}

fn write_static_transforms(writer: &mut BagWriter, pass: &Pass, stamp: Stamp) -> Result<()> {
    let transforms = vec![
        transform("base_link", CAMERA_FRAME, stamp, pass.rig.base_from_camera),
        transform("base_link", "imu_link", stamp, pass.rig.base_from_imu),
    ];
    let (name, definition) = (tf2_msgs::TFMessage::TYPE, tf2_msgs::TFMessage::DEFINITION);
    writer.add_topic("/tf_static", name, definition, TRANSIENT_LOCAL_QOS)?;
    writer.write("/tf_static", stamp, &tf2_msgs::TFMessage { transforms })
}

fn write_image(writer: &mut BagWriter, stamp: Stamp, image: RgbImage, compressed: Option<ImageFormat>) -> Result<()> {
    let header = Header::new(stamp, CAMERA_FRAME);
    let Some(format) = compressed else {
        let (width, height) = image.dimensions();
        let (step, data) = (3 * width, image.into_raw());
        let encoding = "rgb8".into();
        let message = sensor_msgs::Image { header, height, width, encoding, is_bigendian: 0, step, data };
        return writer.write("/camera/image", stamp, &message);
    };
    let name = match format {
        ImageFormat::Jpg => "rgb8; jpeg compressed rgb8",
        ImageFormat::Png => "rgb8; png compressed rgb8",
    };
    let message = sensor_msgs::CompressedImage { header, format: name.into(), data: format.encode(&image)? };
    writer.write("/camera/image/compressed", stamp, &message)
}

fn write_truth(writer: &mut BagWriter, stamp: Stamp, map_from_base: Se3) -> Result<()> {
    let message = geometry_msgs::PoseStamped { header: Header::new(stamp, "map"), pose: map_from_base.into() };
    writer.write("/ground_truth/pose", stamp, &message)
}

fn write_odometry(writer: &mut BagWriter, sample: &OdometrySample) -> Result<()> {
    let mut message = nav_msgs::Odometry {
        header: Header::new(sample.stamp, "odom"),
        child_frame_id: "base_link".into(),
        ..nav_msgs::Odometry::default()
    };
    message.pose.pose = sample.odom_from_base.into();
    let [x, y, z, roll, pitch, yaw] = sample.twist.into();
    message.twist.twist.linear = geometry_msgs::Vector3 { x, y, z };
    message.twist.twist.angular = geometry_msgs::Vector3 { x: roll, y: pitch, z: yaw };
    for axis in 0..6 {
        message.pose.covariance[7 * axis] = sample.variance[axis];
        message.twist.covariance[7 * axis] = 1e-4;
    }
    writer.write("/odom", sample.stamp, &message)?;
    let transforms = vec![transform("odom", "base_link", sample.stamp, sample.odom_from_base)];
    writer.write("/tf", sample.stamp, &tf2_msgs::TFMessage { transforms })
}

fn imu_message(sample: &ImuSample) -> sensor_msgs::Imu {
    let mut message = sample.to_message("imu_link");
    let noise = ImuErrors::EUROC.noise;
    for axis in 0..3 {
        message.angular_velocity_covariance[4 * axis] = noise.gyroscope_noise_density.powi(2) * IMU_RATE;
        message.linear_acceleration_covariance[4 * axis] = noise.accelerometer_noise_density.powi(2) * IMU_RATE;
    }
    message
}

fn transform(parent: &str, child: &str, stamp: Stamp, parent_from_child: Se3) -> geometry_msgs::TransformStamped {
    geometry_msgs::TransformStamped {
        header: Header::new(stamp, parent),
        child_frame_id: child.into(),
        transform: parent_from_child.into(),
    }
}
