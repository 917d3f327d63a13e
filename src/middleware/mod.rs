//! The port between the node and the world, and its adapters.
//!
//! What comes in is an [`Incoming`], already in the crate's own types; what goes out is an [`Outgoing`]. An adapter
//! implements [`Middleware`]: `r2r` is a node of an installed ROS 2, `rtps` speaks ROS 2's wire protocol without one,
//! `replay` plays a bag by its recorded time. Messages that mean nothing (NaN, a zero quaternion, an uncalibrated camera) arrive as
//! [`Incoming::Refused`], so that the node counts and reports them, whatever brought them.

use std::future::Future;

use crate::config::Config;
use crate::geometry::{Matrix6, PoseCovariance, Se3, Vector6};
use crate::msg::lifecycle_msgs::TransitionEvent;
use crate::msg::rcl_interfaces::ParameterEvent;
use crate::sensor::{CameraModel, CompressedImage, Image, ImuSample};
use crate::{Error, Result, Stamp};

pub mod messages;
mod names;
mod qos;
#[cfg(feature = "ros")]
pub mod r2r;
#[cfg(feature = "bag")]
pub mod replay;
#[cfg(feature = "rtps")]
pub mod rtps;
pub mod services;
pub mod topics;

pub use names::Names;
pub use qos::{Durability, Qos};
pub use services::{Call, Responder};

/// A topic that the node listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// `image` or `image/compressed`.
    Image,
    /// `camera_info`.
    CameraInfo,
    /// `/tf` or `/tf_static`.
    Transforms,
    /// `imu`.
    Imu,
    /// `odom`.
    Odometry,
    /// `initialpose`.
    InitialPose,
}

impl Input {
    /// Every input.
    pub const ALL: [Input; 6] =
        [Input::Image, Input::CameraInfo, Input::Transforms, Input::Imu, Input::Odometry, Input::InitialPose];

    /// The name in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Input::Image => "image",
            Input::CameraInfo => "camera_info",
            Input::Transforms => "tf",
            Input::Imu => "imu",
            Input::Odometry => "odom",
            Input::InitialPose => "initialpose",
        }
    }
}

/// An image, raw or encoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// `sensor_msgs/Image`.
    Raw(Image),
    /// `sensor_msgs/CompressedImage`.
    Compressed(CompressedImage),
}

impl Picture {
    /// When the image was exposed.
    pub fn stamp(&self) -> Stamp {
        match self {
            Picture::Raw(image) => image.stamp,
            Picture::Compressed(image) => image.stamp,
        }
    }

    /// The camera's optical frame.
    pub fn frame_id(&self) -> &str {
        match self {
            Picture::Raw(image) => &image.frame_id,
            Picture::Compressed(image) => &image.frame_id,
        }
    }
}

/// A transform `parent_from_child` with the stamp that it is true for.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedTransform {
    /// When it is true.
    pub stamp: Stamp,
    /// The frame it leads to.
    pub parent: String,
    /// The frame it comes from.
    pub child: String,
    /// Pose of `child` in `parent`.
    pub parent_from_child: Se3,
}

/// What arrives at the node.
#[derive(Debug)]
pub enum Incoming {
    /// An image.
    Image(Picture),
    /// The calibration of the camera.
    CameraInfo(CameraModel),
    /// Transforms of `/tf` (or `/tf_static`: true for all time).
    Transforms {
        /// The transforms.
        transforms: Vec<StampedTransform>,
        /// Whether they came on `/tf_static`.
        is_static: bool,
    },
    /// A reading of the inertial measurement unit.
    Imu {
        /// The reading, in the axes of the unit.
        sample: ImuSample,
        /// The unit's frame.
        frame_id: String,
    },
    /// Where the robot's odometry says that it is: the transform from its child frame to its parent frame.
    Odometry(StampedTransform),
    /// Where somebody says that the robot is; a zero stamp means now.
    InitialPose(Box<StampedPose>),
    /// Somebody asks the node for something.
    Call(Call),
    /// A message that cannot be used, and why.
    Refused {
        /// Where it came.
        input: Input,
        /// What was wrong with it.
        error: Error,
    },
}

/// What the node says.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// `pose` (`geometry_msgs/PoseWithCovarianceStamped`).
    Pose(Box<StampedPose>),
    /// `absolute_pose` (`geometry_msgs/PoseWithCovarianceStamped`): what the network alone says.
    AbsolutePose(Box<StampedPose>),
    /// `odometry` (`nav_msgs/Odometry`).
    Odometry(Box<StampedOdometry>),
    /// `/tf`.
    Transform(StampedTransform),
    /// `path` (`nav_msgs/Path`).
    Path(StampedPath),
    /// `/parameter_events`; stamp and node are filled in by the adapter.
    Parameters(Box<ParameterEvent>),
    /// `~/transition_event`.
    Transition(Box<TransitionEvent>),
    /// `/diagnostics` (`diagnostic_msgs/DiagnosticArray` of one status).
    Diagnostics(Diagnostics),
}

/// Where the robot was, mostly when an image was exposed.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedPose {
    /// When: mostly the stamp of an image.
    pub stamp: Stamp,
    /// The map's frame.
    pub frame_id: String,
    /// Pose of the robot's base in the map.
    pub map_from_base: Se3,
    /// Covariance of its right perturbation, in the axes of the base.
    pub covariance: PoseCovariance,
}

/// Where the robot was over the last while.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedPath {
    /// The stamp of the newest pose.
    pub stamp: Stamp,
    /// The map's frame.
    pub frame_id: String,
    /// Poses of the robot's base in the map, in order of time.
    pub poses: Vec<(Stamp, Se3)>,
}

/// Where the robot is and how it moves, ahead of the camera.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedOdometry {
    /// The stamp of the newest measurement in it.
    pub stamp: Stamp,
    /// The map's frame.
    pub frame_id: String,
    /// The robot's frame.
    pub child_frame_id: String,
    /// Pose of the robot's base in the map.
    pub map_from_base: Se3,
    /// Covariance of its right perturbation, in the axes of the base.
    pub covariance: PoseCovariance,
    /// Velocity (m/s) then rate of turn (rad/s), in the axes of the base.
    pub twist: Vector6,
    /// Covariance of the twist.
    pub twist_covariance: Matrix6,
}

/// How well the node is, in the levels of `diagnostic_msgs/DiagnosticStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It does its work.
    Ok,
    /// It does its work, not always.
    Warn,
    /// It does not do its work.
    Error,
    /// Nothing comes in.
    Stale,
}

/// One `diagnostic_msgs/DiagnosticStatus`.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostics {
    /// When it was true.
    pub stamp: Stamp,
    /// How well the node is.
    pub level: Level,
    /// The same in words.
    pub message: String,
    /// Counts, rates and ages, in a fixed order.
    pub values: Vec<(String, String)>,
}

/// How an input is connected to those who publish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The input.
    pub input: Input,
    /// The absolute name of its topic.
    pub topic: String,
    /// What the node asks for.
    pub requested: Qos,
    /// How many publishers the node hears.
    pub publishers: usize,
    /// What publishers offer whose QoS does not fit, in words: the node does not hear them.
    pub incompatible: Vec<String>,
}

/// The port. Adapters: r2r, native RTPS, bag replay.
pub trait Middleware: Send {
    /// The next message; `None` when nothing will come any more. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Incoming>> + Send;
    /// Sends a message.
    ///
    /// # Errors
    /// [`Error::Middleware`], or what a bag's writer says.
    fn send(&mut self, outgoing: Outgoing) -> impl Future<Output = Result<()>> + Send;
    /// The time, in the clock of the messages' stamps.
    fn now(&self) -> Stamp;
    /// How the inputs are connected now; nothing where that cannot be known.
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
}

/// A port to a running robot: the node appears in the robot's network with everything that it says and serves.
pub trait Live: Middleware + Sized {
    /// Joins the network. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong domain or name; [`Error::Middleware`] when the network cannot be joined.
    fn open(config: &Config, names: &Names) -> Result<Self>;
    /// Leaves the network; peers see the node leave at once.
    fn close(self) -> impl Future<Output = ()> + Send;
}
