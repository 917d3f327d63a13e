//! Reading the sqlite3 files of rosbag2, schemas 1 to 4.
//!
//! The order of the messages (log time, then id) is kept in memory, 24 bytes for each; their data is fetched one by
//! one. Files are opened read-only and left as they are; a write-ahead log beside one is read too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{BagMessage, LARGEST_UNPACKED, TopicInfo};
use crate::{Error, Result, Stamp};

/// An opened file: its topics and the times of its messages.
#[derive(Clone, Debug)]
pub(super) struct SqliteFile {
    path: PathBuf,
    topics: Arc<BTreeMap<i64, TopicInfo>>,
    times: Option<(Stamp, Stamp)>,
}

impl SqliteFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = connect(path)?;
        let wrong = |error| not_a_bag(path, &error);
        let mut topics = read_topics(&database).map_err(wrong)?;
        let mut counts =
            database.prepare("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id").map_err(wrong)?;
        let counts = counts.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).map_err(wrong)?;
        for count in counts {
            let (topic, count) = count.map_err(wrong)?;
            let found = || Error::format(path, "messages of known topics", format!("{count} of topic_id {topic}"));
            topics.get_mut(&topic).ok_or_else(found)?.message_count = count.unsigned_abs();
        }
        let times = database
            .query_row("SELECT MIN(timestamp), MAX(timestamp) FROM messages", [], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
            })
            .map_err(wrong)?
            .map(|(start, end)| (Stamp::from_nanos(start), Stamp::from_nanos(end)));
        Ok(Self { path: path.to_owned(), topics: Arc::new(topics), times })
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = TopicInfo> + '_ {
        self.topics.values().cloned()
    }

    /// The first and the last log time.
    pub(super) fn times(&self) -> Option<(Stamp, Stamp)> {
        self.times
    }

    /// The messages of the topics that `keep` accepts, by log time.
    pub(super) fn messages(&self, keep: impl Fn(&str) -> bool) -> Result<SqliteMessages> {
        let database = connect(&self.path)?;
        let topics: BTreeMap<i64, Arc<str>> = self
            .topics
            .iter()
            .filter(|(_, topic)| keep(&topic.name))
            .map(|(id, topic)| (*id, topic.name.clone()))
            .collect();
        let mut order = read_order(&database).map_err(|error| not_a_bag(&self.path, &error))?;
        order.retain(|(_, _, topic)| topics.contains_key(topic));
        order.sort_unstable();
        Ok(SqliteMessages { path: self.path.clone(), database, topics, order: order.into_iter() })
    }

    /// The message with an id that [`SqliteMessages`] gave.
    pub(super) fn read_at(&self, id: i64, cached: &mut Option<Connection>) -> Result<Vec<u8>> {
        let database = match cached {
            Some(database) => database,
            None => cached.insert(connect(&self.path)?),
        };
        read_data(database, id).map_err(|error| not_a_bag(&self.path, &error))
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if metadata.len() < 100 {
        // SQLite takes an empty file for an empty database
        return Err(Error::format(path, "an SQLite database", format!("{} bytes", metadata.len())));
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = if has_log {
        Connection::open_with_flags(path, flags)
    } else {
        // `immutable`: no lock and no shared-memory file beside a bag that may lie on a read-only disk
        let uri = format!("file:{}?immutable=1", escaped(path));
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
    };
    opened.and_then(guarded).map_err(|error| not_a_bag(path, &error))
}

/// A file of unknown origin may hold views, triggers and generated columns that compute for ever or without bound:
/// what SQLite advises against them (<https://sqlite.org/security.html>).
fn guarded(database: Connection) -> rusqlite::Result<Connection> {
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, LARGEST_UNPACKED as i32)?;
    database.pragma_update(None, "cell_size_check", true)?;
    database.pragma_update(None, "mmap_size", 0)?;
    Ok(database)
}

/// The path with the characters that mean something in a URI escaped.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn not_a_bag(path: &Path, error: &rusqlite::Error) -> Error {
    Error::format(path, "an sqlite3 file of rosbag2", error.to_string())
}

fn has_column(database: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT COUNT(*) FROM pragma_table_info(?1) WHERE name = ?2";
    Ok(database.query_row(sql, [table, column], |row| row.get::<_, i64>(0))? > 0)
}

fn read_topics(database: &Connection) -> rusqlite::Result<BTreeMap<i64, TopicInfo>> {
    // schema 1 has no QoS, and definitions are there since schema 4
    let qos = if has_column(database, "topics", "offered_qos_profiles")? { "offered_qos_profiles" } else { "''" };
    let sql = format!("SELECT id, name, type, serialization_format, {qos} FROM topics ORDER BY id");
    let mut topics = BTreeMap::new();
    let mut statement = database.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let topic = TopicInfo {
            name: name.into(),
            message_type: row.get(2)?,
            definition: String::new(),
            serialization_format: row.get(3)?,
            offered_qos_profiles: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
            message_count: 0,
        };
        topics.insert(row.get(0)?, topic);
    }
    if has_column(database, "message_definitions", "encoded_message_definition")? {
        let sql =
            "SELECT encoded_message_definition FROM message_definitions WHERE topic_type = ?1 AND encoding = 'ros2msg'";
        let mut statement = database.prepare(sql)?;
        for topic in topics.values_mut() {
            let definition = statement.query_row([&topic.message_type], |row| row.get(0)).optional()?;
            topic.definition = definition.unwrap_or_default();
        }
    }
    Ok(topics)
}

/// (log time, id, topic) of every message.
fn read_order(database: &Connection) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let mut statement = database.prepare("SELECT timestamp, id, topic_id FROM messages")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

fn read_data(database: &Connection, id: i64) -> rusqlite::Result<Vec<u8>> {
    database.prepare_cached("SELECT data FROM messages WHERE id = ?1")?.query_row([id], |row| row.get(0))
}

/// Messages of one file by log time, each with its id for [`SqliteFile::read_at`].
pub(super) struct SqliteMessages {
    path: PathBuf,
    database: Connection,
    topics: BTreeMap<i64, Arc<str>>,
    order: std::vec::IntoIter<(i64, i64, i64)>,
}

impl Iterator for SqliteMessages {
    type Item = Result<(BagMessage, i64)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (timestamp, id, topic) = self.order.next()?;
        let data = match read_data(&self.database, id) {
            Ok(data) => data,
            Err(error) => {
                self.order = Vec::new().into_iter();
                return Some(Err(not_a_bag(&self.path, &error)));
            }
        };
        let topic = self.topics.get(&topic)?.clone();
        Some(Ok((BagMessage { topic, log_stamp: Stamp::from_nanos(timestamp), data }, id)))
    }
}
