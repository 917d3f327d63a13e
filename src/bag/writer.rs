//! Writing bags.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::TopicInfo;
use super::metadata::{self, Storage};
use crate::msg::{RosMessage, cdr};
use crate::{Error, Result, Stamp};

/// The offered QoS of latched topics such as `/tf_static`: reliable, transient local, as `ros2 bag record` writes it.
pub const TRANSIENT_LOCAL_QOS: &str = "- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline:\n    \
     sec: 9223372036\n    nsec: 854775807\n  lifespan:\n    sec: 9223372036\n    nsec: 854775807\n  liveliness: 1\n  \
     liveliness_lease_duration:\n    sec: 9223372036\n    nsec: 854775807\n  avoid_ros_namespace_conventions: false";

/// SQLite commits after so many messages.
const MESSAGES_PER_TRANSACTION: u64 = 1000;

/// Schema 4 of rosbag2_storage_sqlite3.
const SCHEMA: &str = "
    CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
    CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);
    CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
        serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL, type_description_hash TEXT NOT NULL);
    CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
        encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
    CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
        data BLOB NOT NULL);
    CREATE INDEX timestamp_idx ON messages (timestamp ASC);
    INSERT INTO schema(schema_version, ros_distro) VALUES (4, '');";

/// A bag being written: a folder with one data file and, after [`BagWriter::finish`], `metadata.yaml`.
///
/// The same messages give the same mcap bytes. A writer that is dropped unfinished leaves a bag without metadata.
pub struct BagWriter {
    folder: PathBuf,
    file_name: String,
    storage: Storage,
    sink: Sink,
    topics: Vec<TopicInfo>,
    ids: BTreeMap<String, usize>,
    times: Option<(Stamp, Stamp)>,
    message_count: u64,
}

enum Sink {
    /// The channels of the topics, in their order.
    Mcap(Box<mcap::Writer<BufWriter<File>>>, Vec<u16>),
    Sqlite3(Connection),
}

impl BagWriter {
    /// Starts a bag in a folder that does not exist or is empty.
    ///
    /// # Errors
    /// [`Error::Format`] when the folder holds something; [`Error::Io`] when it cannot be made.
    pub fn create(folder: &Path, storage: Storage) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        if std::fs::read_dir(folder).map_err(Error::io("read", folder))?.next().is_some() {
            return Err(Error::format(
                folder,
                "an empty folder for the new bag",
                "files; remove them or choose another",
            ));
        }
        let name = folder.file_name().map_or("bag".into(), |name| name.to_string_lossy().into_owned());
        let file_name = format!("{name}_0.{}", storage.extension());
        let path = folder.join(&file_name);
        let sink = match storage {
            Storage::Mcap => Sink::mcap(&path)?,
            Storage::Sqlite3 => Sink::sqlite3(&path)?,
        };
        let (topics, ids) = (Vec::new(), BTreeMap::new());
        Ok(Self { folder: folder.to_owned(), file_name, storage, sink, topics, ids, times: None, message_count: 0 })
    }

    /// Announces a topic with its publishers' QoS (YAML, may be empty). Needed only where the QoS matters or no
    /// message follows: writing announces topics, too. A topic that is known stays as it is.
    ///
    /// # Errors
    /// [`Error::Message`] when the topic is known with another type.
    pub fn add_topic(&mut self, topic: &str, message_type: &str, definition: &str, qos: &str) -> Result<()> {
        self.topic_index(topic, message_type, definition, qos).map(|_| ())
    }

    /// Writes a message.
    ///
    /// # Errors
    /// As [`BagWriter::write_raw`].
    pub fn write<T: RosMessage>(&mut self, topic: &str, log_stamp: Stamp, message: &T) -> Result<()> {
        self.write_raw(topic, T::TYPE, T::DEFINITION, log_stamp, &cdr::to_bytes(message))
    }

    /// Writes a message that is CDR already.
    ///
    /// # Errors
    /// [`Error::Message`] when the topic is known with another type or `log_stamp` is negative; [`Error::Format`] when
    /// the file cannot be written.
    pub fn write_raw(
        &mut self,
        topic: &str,
        message_type: &str,
        definition: &str,
        log_stamp: Stamp,
        data: &[u8],
    ) -> Result<()> {
        let index = self.topic_index(topic, message_type, definition, "")?;
        let nanos = log_stamp.as_nanos();
        let Ok(time) = u64::try_from(nanos) else {
            return Err(Error::message(topic, "a log time from 1970 on", format!("{nanos} ns")));
        };
        match &mut self.sink {
            Sink::Mcap(writer, channels) => {
                let sequence = self.message_count as u32;
                let channel_id = channels.get(index).copied().unwrap_or_default();
                let header = mcap::records::MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
                writer.write_to_known_channel(&header, data).map_err(|error| self.cannot_write(error))?;
            }
            Sink::Sqlite3(database) => {
                let is_transaction_full = (self.message_count + 1).is_multiple_of(MESSAGES_PER_TRANSACTION);
                let written = insert_message(database, index, nanos, data, is_transaction_full);
                written.map_err(|error| self.cannot_write(error))?;
            }
        }
        self.message_count += 1;
        self.topics[index].message_count += 1;
        self.times =
            Some(self.times.map_or((log_stamp, log_stamp), |(start, end)| (start.min(log_stamp), end.max(log_stamp))));
        Ok(())
    }

    /// Ends the file and writes `metadata.yaml`.
    ///
    /// # Errors
    /// [`Error::Format`] or [`Error::Io`] when a file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        let yaml = metadata::to_yaml(self.storage, &self.file_name, &self.topics, self.times)?;
        let path = self.folder.join(metadata::FILE_NAME);
        match &mut self.sink {
            Sink::Mcap(writer, _) => {
                writer.finish().map_err(|error| self.cannot_write(error))?;
            }
            Sink::Sqlite3(database) => {
                let insert = "INSERT INTO metadata(metadata_version, metadata) VALUES (5, ?1)";
                let written = database.execute(insert, [&yaml]).and_then(|_| database.execute_batch("COMMIT"));
                written.map_err(|error| self.cannot_write(error))?;
            }
        }
        std::fs::write(&path, yaml).map_err(Error::io("write", &path))
    }

    fn topic_index(&mut self, topic: &str, message_type: &str, definition: &str, qos: &str) -> Result<usize> {
        if let Some(&index) = self.ids.get(topic) {
            let known = &self.topics[index].message_type;
            if known != message_type {
                return Err(Error::message(topic, format!("messages of type {known}"), message_type));
            }
            return Ok(index);
        }
        let index = self.topics.len();
        let is_new_type = self.topics.iter().all(|known| known.message_type != message_type);
        let written = self.sink.add_topic(index, is_new_type, [topic, message_type, definition, qos]);
        written.map_err(|reason| self.cannot_write(reason))?;
        self.topics.push(TopicInfo {
            name: topic.into(),
            message_type: message_type.into(),
            definition: definition.into(),
            serialization_format: "cdr".into(),
            offered_qos_profiles: qos.into(),
            message_count: 0,
        });
        self.ids.insert(topic.into(), index);
        Ok(index)
    }

    fn cannot_write(&self, reason: impl ToString) -> Error {
        Error::format(self.folder.join(&self.file_name), "a bag that can be written", reason.to_string())
    }
}

fn insert_message(
    database: &Connection,
    topic: usize,
    nanos: i64,
    data: &[u8],
    is_transaction_full: bool,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?1, ?2, ?3)";
    database.prepare_cached(insert)?.execute(params![topic as i64 + 1, nanos, data])?;
    if is_transaction_full { database.execute_batch("COMMIT; BEGIN") } else { Ok(()) }
}

impl Sink {
    fn mcap(path: &Path) -> Result<Self> {
        let file = File::create_new(path).map_err(Error::io("create", path))?;
        let writer = mcap::WriteOptions::new()
            .profile("ros2")
            .library(concat!("vloc ", env!("CARGO_PKG_VERSION")))
            .compression(Some(mcap::Compression::Zstd))
            .compression_threads(0)
            .create(BufWriter::new(file))
            .map_err(|error| Error::format(path, "a bag that can be written", error.to_string()))?;
        Ok(Sink::Mcap(Box::new(writer), Vec::new()))
    }

    fn sqlite3(path: &Path) -> Result<Self> {
        let database = Connection::open(path).and_then(|database| {
            database.execute_batch(SCHEMA)?;
            database.execute_batch("BEGIN")?;
            Ok(database)
        });
        let failed = |error: rusqlite::Error| Error::format(path, "a bag that can be written", error.to_string());
        database.map(Sink::Sqlite3).map_err(failed)
    }

    fn add_topic(&mut self, index: usize, is_new_type: bool, texts: [&str; 4]) -> Result<(), String> {
        let [topic, message_type, definition, qos] = texts;
        match self {
            Sink::Mcap(writer, channels) => {
                let schema = writer.add_schema(message_type, "ros2msg", definition.as_bytes());
                let schema = schema.map_err(|error| error.to_string())?;
                let metadata = BTreeMap::from([("offered_qos_profiles".to_owned(), qos.to_owned())]);
                let channel = writer.add_channel(schema, topic, "cdr", &metadata).map_err(|error| error.to_string())?;
                channels.push(channel);
                Ok(())
            }
            Sink::Sqlite3(database) => {
                let insert = "INSERT INTO topics VALUES (?1, ?2, ?3, 'cdr', ?4, '')";
                let inserted = database.execute(insert, params![index as i64 + 1, topic, message_type, qos]);
                inserted.map_err(|error| error.to_string())?;
                if is_new_type {
                    let insert = "INSERT INTO message_definitions(topic_type, encoding, encoded_message_definition, \
                                  type_description_hash) VALUES (?1, 'ros2msg', ?2, '')";
                    database.execute(insert, [message_type, definition]).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
        }
    }
}
