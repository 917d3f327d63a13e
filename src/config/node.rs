//! The parameters of the node: the only home of their names and defaults.
//!
//! Names follow `nav2_amcl` where they mean the same. The same struct is read from a parameter file
//! (`config/vloc.yaml`, in the form that `ros2 launch` writes) and from `-p name:=value`; an unknown name is an error
//! that lists the known ones.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::{EstimatorConfig, mounting, ranges};
use crate::{Error, Result};

/// The parameters of the node, each with its default in [`Config::default`]; `config/vloc.yaml` explains them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Model folder (`model.yaml` and `weights.safetensors`).
    pub model: PathBuf,
    /// Of a model of several scenes: the name of the one that the robot is in. Empty: the only one there is.
    pub scene: String,
    /// Where the network runs: `auto`, `cpu`, `cuda:0`.
    pub device: String,
    /// Whether the node configures and activates itself; else a lifecycle manager does.
    pub autostart: bool,
    /// How images come: `raw` on `image`, or `compressed` on `image/compressed`.
    pub image_transport: ImageTransport,
    /// Reliability asked of the image and `camera_info` publishers.
    pub image_reliability: Reliability,
    /// Calibration file (ROS's YAML) for a camera whose `camera_info` is not published; empty: none.
    pub camera_info_file: PathBuf,
    /// Whether images are rectified already (`image_rect`): lens distortion in `camera_info` is then ignored.
    pub rectified_images: bool,
    /// An image whose brightness varies less than this shows nothing and is refused: standard deviation, levels of 256.
    pub min_image_contrast: f64,
    /// Frame of the map.
    pub global_frame_id: String,
    /// Frame of the odometry.
    pub odom_frame_id: String,
    /// Frame of the robot.
    pub base_frame_id: String,
    /// The camera's optical frame; empty: the `frame_id` of each image.
    pub camera_frame_id: String,
    /// Mounting of the camera, `[x, y, z, qx, qy, qz, qw]` of the optical frame in the base frame; empty: from TF.
    #[serde(with = "mounting")]
    pub base_from_camera: Option<[f64; 7]>,
    /// Whether something publishes `odom -> base_link`: then `map -> odom` is published, else `map -> base_link`.
    pub use_odometry: bool,
    /// Where the odometry comes from: `/tf`, or the topic `odom`.
    pub odometry_source: OdometrySource,
    /// Whether to listen to `imu`.
    pub use_imu: bool,
    /// The IMU's frame; empty: the `frame_id` of each sample.
    pub imu_frame_id: String,
    /// Mounting of the IMU, `[x, y, z, qx, qy, qz, qw]` of its frame in the base frame; empty: from TF.
    #[serde(with = "mounting")]
    pub base_from_imu: Option<[f64; 7]>,
    /// Whether the estimate starts at `initial_pose`; else it looks for the robot.
    pub set_initial_pose: bool,
    /// Where the robot is at the start.
    pub initial_pose: InitialPose,
    /// Where the last pose is kept over a restart; empty: nowhere.
    pub saved_pose_filepath: PathBuf,
    /// How often it is written while the node localizes, Hz; 0: never.
    pub save_pose_rate: f64,
    /// Whether the estimate starts at the saved pose, where there is one. `set_initial_pose` wins over it.
    pub initialize_at_saved_pose: bool,
    /// Whether to publish on `/tf` at all.
    pub tf_broadcast: bool,
    /// How far published transforms are dated ahead, seconds.
    pub transform_tolerance: f64,
    /// How often the last transform is repeated while no new fix comes, Hz.
    pub tf_publish_rate: f64,
    /// How long a fix waits for a transform at the stamp of its image, seconds.
    pub transform_timeout: f64,
    /// How much of `/tf` is kept, seconds.
    pub tf_buffer_duration: f64,
    /// An image this much older than the newest one means that the clock jumped back: everything is cleared, seconds.
    pub clock_jump_threshold: f64,
    /// Whether the estimator makes one pose of fixes, motion and IMU; without it, `pose` is what the network says.
    pub use_estimator: bool,
    /// Whether a model that measures poses begins its search where the estimate expects the camera, while the robot is tracked.
    pub use_pose_prior: bool,
    /// Whether poses are aligned to the reference frames of a model, or measured from them, where its card says that this is better.
    pub use_alignment: bool,
    /// How fixes become one pose.
    pub estimator: EstimatorConfig,
    /// Most poses of `path`; 0: it is not published.
    pub path_length: usize,
    /// Time between two diagnostics messages, seconds.
    pub diagnostics_period: f64,
    /// Whether time comes from `/clock`.
    pub use_sim_time: bool,
}

/// How images come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageTransport {
    /// `sensor_msgs/Image` on `image`.
    Raw,
    /// `sensor_msgs/CompressedImage` (jpeg or png) on `image/compressed`.
    Compressed,
}

/// A pose of the robot on the floor of the map, metres and radians.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InitialPose {
    /// Of the base in the map, metres.
    pub x: f64,
    /// Of the base in the map, metres.
    pub y: f64,
    /// Of the base in the map, metres.
    pub z: f64,
    /// Heading about the map's z, radians.
    pub yaw: f64,
}

/// Where the robot's odometry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OdometrySource {
    /// The transform `odom -> base_link` on `/tf`.
    Tf,
    /// `nav_msgs/Odometry` on `odom`.
    Topic,
}

/// What a subscription asks of its publisher. A reliable subscription hears no best-effort publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// Messages may be lost, none is repeated (sensor data, REP 2003).
    BestEffort,
    /// Lost messages are repeated.
    Reliable,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            scene: String::new(),
            device: "auto".into(),
            autostart: true,
            image_transport: ImageTransport::Raw,
            image_reliability: Reliability::BestEffort,
            camera_info_file: PathBuf::new(),
            rectified_images: false,
            min_image_contrast: 3.0,
            global_frame_id: "map".into(),
            odom_frame_id: "odom".into(),
            base_frame_id: "base_link".into(),
            camera_frame_id: String::new(),
            base_from_camera: None,
            use_odometry: true,
            odometry_source: OdometrySource::Tf,
            use_imu: true,
            imu_frame_id: String::new(),
            base_from_imu: None,
            set_initial_pose: false,
            initial_pose: InitialPose::default(),
            saved_pose_filepath: PathBuf::new(),
            save_pose_rate: 0.5,
            initialize_at_saved_pose: false,
            tf_broadcast: true,
            transform_tolerance: 0.2,
            tf_publish_rate: 20.0,
            transform_timeout: 0.2,
            tf_buffer_duration: 10.0,
            clock_jump_threshold: 1.0,
            use_estimator: true,
            use_pose_prior: true,
            use_alignment: true,
            estimator: EstimatorConfig::default(),
            path_length: 1000,
            diagnostics_period: 1.0,
            use_sim_time: false,
        }
    }
}

impl Config {
    /// The configuration that a mapping of parameters describes; what it leaves out keeps its default.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name (the known ones are listed), a value of the wrong type or out of range.
    pub fn from_parameters(parameters: Mapping) -> Result<Self> {
        let config: Config = serde_yaml::from_value(Value::Mapping(parameters)).map_err(|error| {
            Error::config("(node)", "known parameters with values of their type", error.to_string())
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        ranges::check("", self)?;
        let InitialPose { x, y, z, yaw } = self.initial_pose;
        if ![x, y, z, yaw].iter().all(|number| number.is_finite()) {
            return Err(Error::config("initial_pose", "finite numbers", format!("{:?}", self.initial_pose)));
        }
        let frames = [
            ("global_frame_id", &self.global_frame_id),
            ("odom_frame_id", &self.odom_frame_id),
            ("base_frame_id", &self.base_frame_id),
        ];
        for (key, frame) in frames {
            if frame.is_empty() || frame.starts_with('/') {
                return Err(Error::config(key, "the name of a frame, without a leading slash", format!("{frame:?}")));
            }
        }
        self.estimator.check()
    }
}

/// A checked number of seconds as a [`Duration`].
pub fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_shipped_file_names_every_parameter_with_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/vloc.yaml");
        let shipped = crate::config::read_parameters(&path, "/vloc").unwrap();
        let Value::Mapping(all) = serde_yaml::to_value(Config::default()).unwrap() else { panic!("a mapping") };
        let names = |mapping: &Mapping| mapping.keys().map(|key| key.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&shipped), names(&all), "same parameters in the same order");
        assert_eq!(Config::from_parameters(shipped).unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let parameters: Mapping = serde_yaml::from_str("base_frame: base_link").unwrap();
        let text = Config::from_parameters(parameters).unwrap_err().to_string();
        assert!(text.contains("unknown field `base_frame`") && text.contains("`base_frame_id`"), "{text}");
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (yaml, name) in [
            ("tf_publish_rate: 0", "tf_publish_rate"),
            ("transform_timeout: .nan", "transform_timeout"),
            ("min_image_contrast: 300", "min_image_contrast"),
            ("initial_pose: {x: .nan}", "initial_pose"),
            ("odom_frame_id: ''", "odom_frame_id"),
            ("global_frame_id: /map", "global_frame_id"),
        ] {
            let text = Config::from_parameters(serde_yaml::from_str(yaml).unwrap()).unwrap_err().to_string();
            assert!(text.contains(name), "{yaml}: {text}");
        }
    }
}
