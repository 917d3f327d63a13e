//! `vloc` tells a robot where it is, from one camera and an IMU, in a place that was seen before.
//!
//! # The way of the data
//!
//! message -> [`middleware`] -> [`vision`] (decode, rectify, resize) -> `network` (absolute and relative pose, each
//! with a covariance) -> [`node`] -> `pose` and `map -> odom`.
//!
//! # The rooms, lowest layer first; each uses only the layers below it
//!
//! | layer | modules |
//! |---|---|
//! | 0 | [`geometry`], [`time`], [`error`], [`config`], [`progress`], [`memory`] |
//! | 1 | [`sensor`]: what arrives, in our own types |
//! | 2 | [`vision`]: images to network-ready pixels; [`imu`]: readings to relative motion; [`msg`]: ROS messages as bytes; [`pnp`]: points and pixels to the pose that saw them; [`alignment`]: features to a better one |
//! | 3 | `network`: pixels to poses (libtorch), with the index of `retrieval` for members that compare; [`graph`]: measurements to a trajectory with its covariance; `bag`: rosbag2 storage; [`retrieval`]: the most similar training images; [`evaluation`]: metrics and reports |
//! | 4 | [`estimator`]: fixes, motion and IMU to one pose; [`dataset`]: files to frames with poses; [`synth`]: the synthetic world; `loss` |
//! | 5 | [`middleware`]: the port and its adapters; `training` |
//! | 6 | [`node`]: the localization node; `cli` |
#![warn(missing_docs)]

pub mod alignment;
#[cfg(feature = "bag")]
pub mod bag;
#[cfg(all(feature = "torch", feature = "rtps", feature = "bag"))]
pub mod cli;
pub mod config;
pub mod dataset;
pub mod error;
pub mod estimator;
pub mod evaluation;
pub mod geometry;
pub mod graph;
pub mod imu;
#[cfg(feature = "torch")]
pub mod loss;
pub mod memory;
pub mod middleware;
pub mod msg;
#[cfg(feature = "torch")]
pub mod network;
pub mod node;
pub mod pnp;
pub mod progress;
pub mod retrieval;
pub mod sensor;
pub mod synth;
pub mod time;
#[cfg(feature = "torch")]
pub mod training;
pub mod vision;

pub use error::{Error, Result};
pub use time::Stamp;
