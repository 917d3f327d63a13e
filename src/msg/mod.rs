//! ROS messages as bytes: the structs of the standard message packages, field for field, and their CDR encoding.
//!
//! Each message implements [`RosMessage`]: its ROS 2 type name, its definition (for schemas in mcap files) and serde.
//! With the feature `rtps` the same structs are `ros2_client::Message`s. [`cdr`] turns them into bytes and back;
//! [`convert`] turns them into this crate's own types, and is the place where NaN, zero quaternions and uncalibrated
//! cameras are refused. Nothing is checked while decoding but that the bytes are CDR.
//!
//! Sources: the `.msg` files of `common_interfaces`, `geometry2` and `rcl_interfaces`, ROS 2 Humble to Kilted (the
//! layouts are the same in all of them).

use serde::Serialize;
use serde::de::DeserializeOwned;

#[macro_use]
mod definition;

pub mod builtin_interfaces;
mod calibration_file;
pub mod cdr;
pub mod convert;
pub mod diagnostic_msgs;
mod fixed_array;
pub mod geometry_msgs;
pub mod lifecycle_msgs;
pub mod nav_msgs;
pub mod rcl_interfaces;
pub mod rosgraph_msgs;
pub mod sensor_msgs;
pub mod std_msgs;
pub mod std_srvs;
pub mod tf2_msgs;

pub use calibration_file::read_calibration;

/// What the RTPS client asks of a message: nothing but that it says so.
#[cfg(feature = "rtps")]
pub use ros2_client::Message as WireMessage;

/// What the RTPS client asks of a message: nothing, as it is not built.
#[cfg(not(feature = "rtps"))]
pub trait WireMessage {}
#[cfg(not(feature = "rtps"))]
impl<T> WireMessage for T {}

/// A ROS 2 message type.
pub trait RosMessage: Serialize + DeserializeOwned + WireMessage {
    /// The type's name as ROS 2 writes it, for example `sensor_msgs/msg/Image`.
    const TYPE: &'static str;
    /// The `.msg` text, followed by that of every message it contains, as mcap's schema encoding `ros2msg` has it.
    const DEFINITION: &'static str;
}
