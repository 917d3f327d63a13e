//! A bag of one or several files as one sequence of messages.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::mcap_reader::{McapFile, McapMessages};
use super::metadata::{self, Metadata, Storage};
use super::sqlite3_reader::{SqliteFile, SqliteMessages};
use super::{BagMessage, LARGEST_UNPACKED, TopicInfo};
use crate::{Error, Result, Stamp};

/// An opened bag.
pub struct BagReader {
    path: PathBuf,
    storage: Storage,
    files: Vec<BagFile>,
    topics: Vec<TopicInfo>,
    message_compression: bool,
    announced_message_count: Option<u64>,
    random_access: Mutex<RandomAccess>,
}

#[derive(Clone, Debug)]
enum BagFile {
    Mcap(McapFile),
    Sqlite3(SqliteFile),
}

/// Where a message is: for reading it again in any order with [`BagReader::read_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePosition {
    file: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Unit and ordinal within it.
    Mcap((u32, u32)),
    /// Row id.
    Sqlite3(i64),
}

/// What [`BagReader::read_at`] keeps between calls: the last chunk or the connection of the last file.
#[derive(Default)]
struct RandomAccess {
    file: u32,
    unit: Option<(u32, Vec<Vec<u8>>)>,
    database: Option<rusqlite::Connection>,
}

impl BagReader {
    /// Opens a folder with `metadata.yaml`, or a single `.mcap` or `.db3` (then a folder that holds nothing else of a
    /// bag will do, too).
    ///
    /// # Errors
    /// [`Error::Io`] when a file is missing or unreadable; [`Error::Format`] when it is no bag, is of an unknown
    /// version or compressed as a whole. A file that is cut off opens as long as its first records are whole: see
    /// [`BagReader::damage`].
    pub fn open(path: &Path) -> Result<Self> {
        let metadata_path = path.join(metadata::FILE_NAME);
        let is_folder = std::fs::metadata(path).map_err(Error::io("open", path))?.is_dir();
        if !is_folder {
            return Self::open_files(path, &[path.to_owned()], None);
        }
        if !metadata_path.exists() {
            return Self::open_files(path, &[only_bag_file(path)?], None);
        }
        let metadata = Metadata::read(&metadata_path)?;
        let files: Vec<PathBuf> = metadata.files.iter().map(|file| path.join(file)).collect();
        if let Some(missing) = files.iter().find(|file| !file.exists()) {
            let found = format!("no file {}", missing.display());
            return Err(Error::format(&metadata_path, "the bag's files beside the metadata", found));
        }
        Self::open_files(path, &files, Some(metadata))
    }

    fn open_files(path: &Path, paths: &[PathBuf], metadata: Option<Metadata>) -> Result<Self> {
        let storage_of = |file: &Path| match &metadata {
            Some(metadata) => Ok(metadata.storage),
            None => Storage::of_file(file).ok_or_else(|| {
                Error::format(file, "a rosbag2: a folder with metadata.yaml, an .mcap or a .db3", "another file")
            }),
        };
        let mut files = Vec::new();
        for file in paths {
            files.push(match storage_of(file)? {
                Storage::Mcap => BagFile::Mcap(McapFile::open(file)?),
                Storage::Sqlite3 => BagFile::Sqlite3(SqliteFile::open(file)?),
            });
        }
        let storage = match files.first() {
            Some(BagFile::Mcap(_)) => Storage::Mcap,
            Some(BagFile::Sqlite3(_)) => Storage::Sqlite3,
            None => return Err(Error::format(path, "a bag with files", "metadata.yaml that lists none")),
        };
        let mut topics = merge_topics(path, &files)?;
        if let Some(metadata) = &metadata {
            for topic in topics.iter_mut().filter(|topic| topic.offered_qos_profiles.is_empty()) {
                let qos = metadata.qos_profiles.iter().find(|(name, _)| **name == *topic.name);
                topic.offered_qos_profiles = qos.map(|(_, text)| text.clone()).unwrap_or_default();
            }
        }
        Ok(Self {
            path: path.to_owned(),
            storage,
            files,
            topics,
            message_compression: metadata.as_ref().is_some_and(|metadata| metadata.message_compression),
            announced_message_count: metadata.map(|metadata| metadata.message_count),
            random_access: Mutex::default(),
        })
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the bag is stored.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The topics, by name; their counts are of the files, not of the metadata.
    pub fn topics(&self) -> &[TopicInfo] {
        &self.topics
    }

    /// The topic of a name.
    pub fn topic(&self, name: &str) -> Option<&TopicInfo> {
        self.topics.iter().find(|topic| *topic.name == *name)
    }

    /// The number of messages that `metadata.yaml` gives, where there is one.
    pub fn announced_message_count(&self) -> Option<u64> {
        self.announced_message_count
    }

    /// The log time of the first message; `None` for a bag without messages.
    pub fn start(&self) -> Option<Stamp> {
        self.times().map(|(start, _)| start).min()
    }

    /// The log time of the last message; `None` for a bag without messages.
    pub fn end(&self) -> Option<Stamp> {
        self.times().map(|(_, end)| end).max()
    }

    fn times(&self) -> impl Iterator<Item = (Stamp, Stamp)> + '_ {
        self.files.iter().filter_map(|file| match file {
            BagFile::Mcap(file) => file.times(),
            BagFile::Sqlite3(file) => file.times(),
        })
    }

    /// What is wrong with a file that could not be read to its end: the error that its messages end with.
    pub fn damage(&self) -> Option<&str> {
        self.files.iter().find_map(|file| match file {
            BagFile::Mcap(file) => file.damage.as_deref(),
            BagFile::Sqlite3(_) => None,
        })
    }

    /// The messages of all topics, or of those in `filter`, by log time.
    ///
    /// # Errors
    /// [`Error::Format`] when the bag has no topic of a name in `filter`. A damaged file gives its whole messages and
    /// then one error.
    pub fn messages(&self, filter: Option<&[&str]>) -> Result<Messages> {
        for name in filter.unwrap_or_default() {
            if self.topic(name).is_none() {
                let topics: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
                let found = format!("only {}", topics.join(", "));
                return Err(Error::format(&self.path, format!("a bag with the topic {name}"), found));
            }
        }
        let keep = |topic: &str| filter.is_none_or(|names| names.contains(&topic));
        let mut files = Vec::new();
        for file in &self.files {
            files.push(FileMessages::new(match file {
                BagFile::Mcap(file) => Source::Mcap(Box::new(file.messages(keep)?)),
                BagFile::Sqlite3(file) => Source::Sqlite3(file.messages(keep)?),
            }));
        }
        Ok(Messages { files, message_compression: self.message_compression })
    }

    /// The data of the message at a position that [`Messages::next_with_position`] gave.
    ///
    /// The last chunk stays in memory, so that neighbours are read fast.
    ///
    /// # Errors
    /// [`Error::Format`] or [`Error::Io`] when the file is no longer what it was.
    pub fn read_at(&self, position: MessagePosition) -> Result<Vec<u8>> {
        let mut access = self.random_access.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if access.file != position.file {
            *access = RandomAccess { file: position.file, ..RandomAccess::default() };
        }
        let data = match (self.files.get(position.file as usize), position.place) {
            (Some(BagFile::Mcap(file)), Place::Mcap(place)) => file.read_at(place, &mut access.unit)?,
            (Some(BagFile::Sqlite3(file)), Place::Sqlite3(id)) => file.read_at(id, &mut access.database)?,
            _ => return Err(Error::format(&self.path, "a position in this bag", format!("{position:?}"))),
        };
        unpacked(data, self.message_compression)
    }
}

/// The single bag file of a folder without metadata.
fn only_bag_file(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let files: Vec<PathBuf> = paths.filter(|path| Storage::of_file(path).is_some()).collect();
    match files.as_slice() {
        [file] => Ok(file.clone()),
        files => {
            let found = format!("{} bag files and no metadata.yaml; `ros2 bag reindex` makes one", files.len());
            Err(Error::format(folder, "a rosbag2: metadata.yaml and its files, or a single .mcap or .db3", found))
        }
    }
}

/// One entry per topic, by name. A topic with two types is an error.
fn merge_topics(path: &Path, files: &[BagFile]) -> Result<Vec<TopicInfo>> {
    let mut topics: BTreeMap<Arc<str>, TopicInfo> = BTreeMap::new();
    for file in files {
        let of_file: Vec<TopicInfo> = match file {
            BagFile::Mcap(file) => file.topics().collect(),
            BagFile::Sqlite3(file) => file.topics().collect(),
        };
        for topic in of_file {
            match topics.get_mut(&topic.name) {
                None => drop(topics.insert(topic.name.clone(), topic)),
                Some(known) if known.message_type == topic.message_type => {
                    known.message_count = known.message_count.saturating_add(topic.message_count);
                }
                Some(known) => {
                    let found = format!("{} with {} and {}", topic.name, known.message_type, topic.message_type);
                    return Err(Error::format(path, "topics of one type", found));
                }
            }
        }
    }
    Ok(topics.into_values().collect())
}

fn unpacked(data: Vec<u8>, is_compressed: bool) -> Result<Vec<u8>> {
    if !is_compressed {
        return Ok(data);
    }
    let mut message = Vec::new();
    let read = zstd::Decoder::new(data.as_slice())
        .and_then(|decoder| decoder.take(LARGEST_UNPACKED + 1).read_to_end(&mut message));
    let refused = |found: String| Error::message("compressed message", "a message packed with zstd", found);
    read.map_err(|error| refused(error.to_string()))?;
    if message.len() as u64 > LARGEST_UNPACKED {
        return Err(refused(format!("more than {LARGEST_UNPACKED} bytes")));
    }
    Ok(message)
}

enum Source {
    Mcap(Box<McapMessages>),
    Sqlite3(SqliteMessages),
}

impl Source {
    fn next(&mut self) -> Option<Result<(BagMessage, Place)>> {
        match self {
            Source::Mcap(messages) => messages.next().map(|next| next.map(|(message, at)| (message, Place::Mcap(at)))),
            Source::Sqlite3(messages) => {
                messages.next().map(|next| next.map(|(message, id)| (message, Place::Sqlite3(id))))
            }
        }
    }
}

/// The messages of one file with the next one looked at.
struct FileMessages {
    source: Source,
    head: Option<Result<(BagMessage, Place)>>,
    is_started: bool,
}

impl FileMessages {
    fn new(source: Source) -> Self {
        Self { source, head: None, is_started: false }
    }

    fn start(&mut self) {
        if !self.is_started {
            self.is_started = true;
            self.head = self.source.next();
        }
    }

    fn take(&mut self) -> Option<Result<(BagMessage, Place)>> {
        std::mem::replace(&mut self.head, self.source.next())
    }

    /// An error comes when its file is the only one left, so that the whole messages come first.
    fn head_stamp(&self) -> Option<Stamp> {
        self.head
            .as_ref()
            .map(|head| head.as_ref().map_or(Stamp::from_nanos(i64::MAX), |(message, _)| message.log_stamp))
    }
}

/// The messages of a bag, all its files merged by log time.
pub struct Messages {
    files: Vec<FileMessages>,
    message_compression: bool,
}

impl Messages {
    /// The next message and where it is.
    pub fn next_with_position(&mut self) -> Option<Result<(BagMessage, MessagePosition)>> {
        self.files.iter_mut().for_each(FileMessages::start);
        let stamps = self.files.iter().enumerate().filter_map(|(index, file)| Some((file.head_stamp()?, index)));
        let (_, index) = stamps.min()?;
        let next = self.files.get_mut(index)?.take()?;
        Some(next.and_then(|(mut message, place)| {
            message.data = unpacked(message.data, self.message_compression)?;
            Ok((message, MessagePosition { file: index as u32, place }))
        }))
    }
}

impl Iterator for Messages {
    type Item = Result<BagMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with_position().map(|next| next.map(|(message, _)| message))
    }
}
