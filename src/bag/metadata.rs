//! `metadata.yaml` of a rosbag2 folder, versions 1 to 9.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::TopicInfo;
use crate::{Error, Result, Stamp};

/// The name of the file in a bag's folder.
pub(super) const FILE_NAME: &str = "metadata.yaml";

/// Written: old enough for Humble, and newer readers keep reading it.
const WRITTEN_VERSION: u32 = 5;
/// The newest version that is known to be readable.
const NEWEST_VERSION: u32 = 9;

/// How a bag's files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// <https://mcap.dev>, the default since ROS 2 Iron.
    Mcap,
    /// SQLite, the default up to ROS 2 Humble.
    Sqlite3,
}

impl Storage {
    /// The storage identifier of rosbag2.
    pub fn identifier(self) -> &'static str {
        match self {
            Storage::Mcap => "mcap",
            Storage::Sqlite3 => "sqlite3",
        }
    }

    /// The ending of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Storage::Mcap => "mcap",
            Storage::Sqlite3 => "db3",
        }
    }

    /// The storage of a file by its ending.
    pub(super) fn of_file(path: &Path) -> Option<Storage> {
        [Storage::Mcap, Storage::Sqlite3]
            .into_iter()
            .find(|storage| path.extension().is_some_and(|e| e == storage.extension()))
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    rosbag2_bagfile_information: Information,
}

#[derive(Serialize, Deserialize)]
struct Information {
    version: u32,
    storage_identifier: String,
    duration: Nanoseconds,
    starting_time: StartingTime,
    message_count: u64,
    topics_with_message_count: Vec<TopicWithCount>,
    #[serde(default)]
    compression_format: String,
    #[serde(default)]
    compression_mode: String,
    relative_file_paths: Vec<String>,
    #[serde(default)]
    files: Vec<FileInformation>,
}

#[derive(Serialize, Deserialize)]
struct Nanoseconds {
    nanoseconds: i64,
}

#[derive(Serialize, Deserialize)]
struct StartingTime {
    nanoseconds_since_epoch: i64,
}

#[derive(Serialize, Deserialize)]
struct TopicWithCount {
    topic_metadata: TopicMetadata,
    message_count: u64,
}

#[derive(Serialize, Deserialize)]
struct TopicMetadata {
    name: String,
    #[serde(rename = "type")]
    message_type: String,
    serialization_format: String,
    /// Text with YAML in it up to version 8, a list since version 9.
    #[serde(default)]
    offered_qos_profiles: Value,
}

#[derive(Serialize, Deserialize)]
struct FileInformation {
    path: String,
    starting_time: StartingTime,
    duration: Nanoseconds,
    message_count: u64,
}

/// What the rest of the room needs of it.
pub(super) struct Metadata {
    pub(super) storage: Storage,
    pub(super) files: Vec<String>,
    pub(super) message_compression: bool,
    pub(super) message_count: u64,
    /// (topic, offered QoS as YAML text)
    pub(super) qos_profiles: Vec<(String, String)>,
}

impl Metadata {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let document: Document = serde_yaml::from_str(&text)
            .map_err(|error| Error::format(path, "the metadata of a rosbag2", error.to_string()))?;
        let information = document.rosbag2_bagfile_information;
        if information.version > NEWEST_VERSION {
            let expected = format!("metadata of version {NEWEST_VERSION} or older");
            return Err(Error::format(path, expected, format!("version {}", information.version)));
        }
        let storage = match information.storage_identifier.as_str() {
            "mcap" => Storage::Mcap,
            "sqlite3" => Storage::Sqlite3,
            other => return Err(Error::format(path, "storage_identifier mcap or sqlite3", format!("{other:?}"))),
        };
        let message_compression = is_message_compressed(path, &information)?;
        let qos_profiles = information
            .topics_with_message_count
            .into_iter()
            .map(|topic| (topic.topic_metadata.name, qos_text(&topic.topic_metadata.offered_qos_profiles)))
            .collect();
        let files = information.relative_file_paths;
        let inside = |file: &&String| Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if let Some(outside) = files.iter().find(|file| !inside(file)) {
            return Err(Error::format(path, "relative_file_paths below the bag's folder", format!("{outside:?}")));
        }
        Ok(Self { storage, files, message_compression, message_count: information.message_count, qos_profiles })
    }
}

fn is_message_compressed(path: &Path, information: &Information) -> Result<bool> {
    match (information.compression_mode.to_lowercase().as_str(), information.compression_format.as_str()) {
        ("" | "none", _) => Ok(false),
        ("message", "zstd") => Ok(true),
        (mode, format) => {
            let found = format!(
                "compression_mode {mode:?} with format {format:?}; unpack the bag with `ros2 bag convert` first"
            );
            Err(Error::format(path, "no compression or messages compressed with zstd", found))
        }
    }
}

fn qos_text(profiles: &Value) -> String {
    match profiles {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap_or_default(),
    }
}

/// The metadata of a bag of one file, as YAML.
pub(super) fn to_yaml(
    storage: Storage,
    file: &str,
    topics: &[TopicInfo],
    times: Option<(Stamp, Stamp)>,
) -> Result<String> {
    let (start, end) = times.unwrap_or_default();
    let message_count = topics.iter().map(|topic| topic.message_count).sum();
    let duration = || Nanoseconds { nanoseconds: end.nanos_since(start) };
    let starting_time = || StartingTime { nanoseconds_since_epoch: start.as_nanos() };
    let information = Information {
        version: WRITTEN_VERSION,
        storage_identifier: storage.identifier().into(),
        duration: duration(),
        starting_time: starting_time(),
        message_count,
        topics_with_message_count: topics.iter().map(topic_with_count).collect(),
        compression_format: String::new(),
        compression_mode: String::new(),
        relative_file_paths: vec![file.into()],
        files: vec![FileInformation {
            path: file.into(),
            starting_time: starting_time(),
            duration: duration(),
            message_count,
        }],
    };
    serde_yaml::to_string(&Document { rosbag2_bagfile_information: information })
        .map_err(|error| Error::compute("metadata.yaml", error))
}

fn topic_with_count(topic: &TopicInfo) -> TopicWithCount {
    TopicWithCount {
        topic_metadata: TopicMetadata {
            name: topic.name.to_string(),
            message_type: topic.message_type.clone(),
            serialization_format: topic.serialization_format.clone(),
            offered_qos_profiles: Value::String(topic.offered_qos_profiles.clone()),
        },
        message_count: topic.message_count,
    }
}
