//! rosbag2 storage: messages with their topics and log times, from mcap and sqlite3 files and back.
//!
//! [`BagReader`] opens a folder with its `metadata.yaml`, or a bare `.mcap` or `.db3`, and hands the messages out by
//! log time: of mcap files one chunk at a time (more only where chunks overlap in time), of sqlite3 files one message
//! at a time. Files without an index (`fastwrite`, a recorder that was killed) are scanned once. Of a truncated file
//! the whole messages are read, and then comes the error. [`BagWriter`] writes bags that `ros2 bag` and others read.
//!
//! Format: the rosbag2 repository's `metadata.yaml` up to version 9, <https://mcap.dev/spec>, and the schema of
//! `rosbag2_storage_sqlite3` up to version 4. Message-wise zstd compression is read; whole compressed files are not.

mod chunk;
mod inspect;
mod layout;
mod mcap_reader;
mod metadata;
mod reader;
mod sqlite3_reader;
mod summary;
mod writer;

use std::sync::Arc;

/// No chunk and no message may be larger when unpacked: 256 MiB. Recorders write chunks of a few MiB, and the largest
/// image has 192 MB.
const LARGEST_UNPACKED: u64 = 1 << 28;

pub use inspect::{BagSummary, ImageSummary, StampSummary, TopicSummary, inspect_bag};
pub use metadata::Storage;
pub use reader::{BagReader, MessagePosition, Messages};
pub use writer::{BagWriter, TRANSIENT_LOCAL_QOS};

use crate::Stamp;

/// One recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BagMessage {
    /// Its topic.
    pub topic: Arc<str>,
    /// When it was recorded (not the stamp of its header).
    pub log_stamp: Stamp,
    /// The message as it was on the wire; see [`crate::msg::cdr`].
    pub data: Vec<u8>,
}

/// A topic of a bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name, such as `/camera/image_raw`.
    pub name: Arc<str>,
    /// Its type, such as `sensor_msgs/msg/Image`.
    pub message_type: String,
    /// The `.msg` text with its dependencies, where the bag carries it; otherwise empty.
    pub definition: String,
    /// How its messages are encoded: `cdr`.
    pub serialization_format: String,
    /// The publishers' QoS as the bag has it (YAML); may be empty.
    pub offered_qos_profiles: String,
    /// How many messages there are.
    pub message_count: u64,
}
