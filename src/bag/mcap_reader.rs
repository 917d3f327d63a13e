//! Reading mcap files by log time.
//!
//! A file is a list of [`Unit`]s: chunks, or runs of messages that stand outside of chunks. Where the file ends with
//! a summary, the units come from there; otherwise the file is scanned once. Units are loaded in the order of their
//! first message, each before the first message that could follow one of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcap::records::{Record, op};

use super::chunk::{self, RECORD_HEADER};
use super::summary::Summary;
use super::{BagMessage, TopicInfo};
use crate::{Error, Result, Stamp};

/// Messages outside of chunks are read together up to this many bytes.
const RUN_LENGTH: u64 = 1 << 20;
/// So many bytes of messages wait for their turn at most, where chunks overlap in time: 512 MiB.
const LARGEST_BACKLOG: usize = 1 << 29;
/// So many bytes of schemas and channels are taken from one file at most: 64 MiB. Usual are some 100 kB.
const LARGEST_DESCRIPTIONS: usize = 1 << 26;

/// A stretch of the file that is read at once.
#[derive(Clone, Copy, Debug)]
struct Unit {
    offset: u64,
    length: u64,
    start: Stamp,
    end: Stamp,
}

#[derive(Clone, Debug)]
struct Channel {
    topic: Arc<str>,
    message_type: String,
    definition: String,
    message_encoding: String,
    qos: String,
}

/// An opened file: its channels and where its messages are.
#[derive(Clone, Debug)]
pub(super) struct McapFile {
    path: PathBuf,
    channels: Arc<BTreeMap<u16, Channel>>,
    counts: BTreeMap<u16, u64>,
    units: Arc<Vec<Unit>>,
    /// Why the file could not be read to its end.
    pub(super) damage: Option<String>,
}

impl McapFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let size = file.metadata().map_err(Error::io("read", path))?.len();
        let mut source = BufReader::with_capacity(1 << 16, file);
        let mut magic = [0; 8];
        let is_mcap = source.read_exact(&mut magic).is_ok() && magic == mcap::MAGIC;
        if !is_mcap {
            let found = if size < 8 { format!("{size} bytes") } else { format!("the first bytes {magic:02x?}") };
            return Err(Error::format(path, "an mcap file (it starts with 89 4d 43 41 50 30 0d 0a)", found));
        }
        match Summary::read(source.get_mut(), size).and_then(|summary| Self::from_summary(path, size, &summary)) {
            Some(opened) => Ok(opened),
            None => Self::scan(path, source, size),
        }
    }

    /// The units of a summary that lists every chunk and channel; `None` where it does not.
    fn from_summary(path: &Path, size: u64, summary: &Summary) -> Option<Self> {
        let statistics = summary.statistics.as_ref()?;
        let is_complete = statistics.chunk_count as usize == summary.chunk_indexes.len()
            && (statistics.chunk_count > 0 || statistics.message_count == 0)
            && statistics.channel_message_counts.keys().all(|id| summary.channels.contains_key(id))
            && total(&statistics.channel_message_counts) == Some(statistics.message_count);
        let chunk_end = |index: &mcap::records::ChunkIndex| index.chunk_start_offset.checked_add(index.chunk_length);
        let is_inside = summary.chunk_indexes.iter().all(|index| chunk_end(index).is_some_and(|end| end <= size));
        if !is_complete || !is_inside {
            return None;
        }
        let mut units: Vec<Unit> = summary
            .chunk_indexes
            .iter()
            .filter(|index| index.message_end_time != 0 || statistics.message_start_time == 0) // an empty chunk has 0, 0
            .map(|index| Unit {
                offset: index.chunk_start_offset,
                length: index.chunk_length,
                start: stamp(index.message_start_time),
                end: stamp(index.message_end_time),
            })
            .collect();
        units.sort_by_key(|unit| (unit.start, unit.offset));
        let channels = summary.channels.iter().map(|(id, channel)| (*id, Channel::from_mcap(channel))).collect();
        Some(Self {
            path: path.to_owned(),
            channels: Arc::new(channels),
            counts: statistics.channel_message_counts.clone(),
            units: Arc::new(units),
            damage: None,
        })
    }

    fn scan(path: &Path, source: BufReader<File>, size: u64) -> Result<Self> {
        let mut scan = Scan { size, ..Scan::default() };
        let damage = scan.run(source).err().map(|reason| {
            format!("truncated or damaged after {} of {size} bytes: {reason}; `mcap recover` can repair it", scan.whole)
        });
        if scan.units.is_empty()
            && scan.channels.is_empty()
            && let Some(damage) = &damage
        {
            return Err(Error::format(path, "an mcap file with messages", damage.clone()));
        }
        scan.units.sort_by_key(|unit| (unit.start, unit.offset));
        let (channels, units) = (Arc::new(scan.channels), Arc::new(scan.units));
        Ok(Self { path: path.to_owned(), channels, counts: scan.counts, units, damage })
    }

    /// One entry per channel; a topic may have several.
    pub(super) fn topics(&self) -> impl Iterator<Item = TopicInfo> + '_ {
        self.channels.iter().map(|(id, channel)| TopicInfo {
            name: channel.topic.clone(),
            message_type: channel.message_type.clone(),
            definition: channel.definition.clone(),
            serialization_format: channel.message_encoding.clone(),
            offered_qos_profiles: channel.qos.clone(),
            message_count: self.counts.get(id).copied().unwrap_or(0),
        })
    }

    /// The first and the last log time.
    pub(super) fn times(&self) -> Option<(Stamp, Stamp)> {
        let start = self.units.iter().map(|unit| unit.start).min()?;
        Some((start, self.units.iter().map(|unit| unit.end).max()?))
    }

    /// The messages of the topics that `keep` accepts, by log time.
    pub(super) fn messages(&self, keep: impl Fn(&str) -> bool) -> Result<McapMessages> {
        let topics = self.channels.iter().filter(|(_, channel)| keep(&channel.topic));
        let topics = topics.map(|(id, channel)| (*id, channel.topic.clone())).collect();
        Ok(McapMessages {
            source: File::open(&self.path).map_err(Error::io("open", &self.path))?,
            file: self.clone(),
            topics,
            next_unit: 0,
            loaded: BinaryHeap::new(),
            backlog: 0,
            is_done: false,
        })
    }

    /// The message at a position that [`McapMessages`] gave; `cached` keeps the last unit unpacked.
    pub(super) fn read_at(&self, position: (u32, u32), cached: &mut Option<(u32, Vec<Vec<u8>>)>) -> Result<Vec<u8>> {
        let (unit, ordinal) = position;
        if cached.as_ref().is_none_or(|(cached_unit, _)| *cached_unit != unit) {
            let mut source = File::open(&self.path).map_err(Error::io("open", &self.path))?;
            let mut messages = Vec::new();
            self.load(&mut source, unit as usize, &mut |_, data| {
                messages.push(data.to_vec());
                Ok(())
            })?;
            *cached = Some((unit, messages));
        }
        let message = cached.as_ref().and_then(|(_, messages)| messages.get(ordinal as usize));
        message.cloned().ok_or_else(|| self.changed(&format!("no message {ordinal} in chunk {unit}")))
    }

    fn load(&self, source: &mut File, unit: usize, visit: chunk::Visit<'_>) -> Result<()> {
        let unit = self.units.get(unit).copied().ok_or_else(|| self.changed("fewer chunks"))?;
        source.seek(SeekFrom::Start(unit.offset)).map_err(Error::io("read", &self.path))?;
        let mut bytes = vec![0; unit.length as usize]; // within the file: checked when it was opened
        source.read_exact(&mut bytes).map_err(Error::io("read", &self.path))?;
        chunk::for_each_message(&bytes, visit)
            .map_err(|reason| Error::format(&self.path, "whole records", format!("at byte {}: {reason}", unit.offset)))
    }

    fn changed(&self, found: &str) -> Error {
        Error::format(&self.path, "the file as it was when it was opened", found)
    }
}

/// The sum of all counts; `None` for one that no file can hold.
fn total(counts: &BTreeMap<u16, u64>) -> Option<u64> {
    counts.values().try_fold(0_u64, |sum, count| sum.checked_add(*count))
}

fn stamp(log_time: u64) -> Stamp {
    Stamp::from_nanos(i64::try_from(log_time).unwrap_or(i64::MAX))
}

impl Channel {
    fn from_mcap(channel: &mcap::Channel<'_>) -> Self {
        let schema = channel.schema.as_ref();
        Self {
            topic: channel.topic.as_str().into(),
            message_type: schema.map(|schema| schema.name.clone()).unwrap_or_default(),
            definition: schema
                .filter(|schema| schema.encoding == "ros2msg")
                .map(|schema| String::from_utf8_lossy(&schema.data).into_owned())
                .unwrap_or_default(),
            message_encoding: channel.message_encoding.clone(),
            qos: channel.metadata.get("offered_qos_profiles").cloned().unwrap_or_default(),
        }
    }
}

/// What a pass over the whole file finds.
#[derive(Default)]
struct Scan {
    size: u64,
    /// How far the records are whole.
    whole: u64,
    accumulator: mcap::read::ChannelAccumulator<'static>,
    channels: BTreeMap<u16, Channel>,
    counts: BTreeMap<u16, u64>,
    units: Vec<Unit>,
    /// The last unit is a run of messages that may grow.
    is_run_open: bool,
    schemas: BTreeSet<u16>,
    /// Bytes of schemas and channels so far.
    descriptions: usize,
}

impl Scan {
    fn run(&mut self, mut source: BufReader<File>) -> Result<(), String> {
        source.seek(SeekFrom::Start(8)).map_err(|error| error.to_string())?;
        self.whole = 8;
        loop {
            let mut header = [0; RECORD_HEADER as usize];
            source.read_exact(&mut header).map_err(|_| "the file ends without a footer".to_owned())?;
            let (opcode, length) = chunk::record_header(&header);
            let left = self.size.saturating_sub(self.whole + RECORD_HEADER);
            if length > left {
                return Err(format!("a record of {length} bytes with {left} left"));
            }
            if matches!(opcode, op::DATA_END | op::FOOTER) {
                return Ok(());
            }
            let total = RECORD_HEADER + length;
            if matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK) {
                let mut body = vec![0; length as usize]; // not beyond the end of the file: checked above
                source.read_exact(&mut body).map_err(|error| error.to_string())?;
                self.record(opcode, &body, total)?;
            } else {
                source.seek_relative(length as i64).map_err(|error| error.to_string())?;
            }
            self.whole += total;
        }
    }

    fn record(&mut self, opcode: u8, body: &[u8], total: u64) -> Result<(), String> {
        let offset = self.whole;
        match chunk::parse(opcode, body)? {
            Record::Chunk { header, data } => {
                let records = chunk::unpack(&header, &data)?;
                let mut times: Option<(Stamp, Stamp)> = None;
                chunk::for_each_record(&records, |opcode, body| {
                    if !matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE) {
                        return Ok(());
                    }
                    if let Some(at) = self.channel_or_message(chunk::parse(opcode, body)?)? {
                        times = Some(times.map_or((at, at), |(start, end)| (start.min(at), end.max(at))));
                    }
                    Ok(())
                })?;
                if let Some((start, end)) = times {
                    self.units.push(Unit { offset, length: total, start, end });
                    self.is_run_open = false;
                }
            }
            record => {
                if let Some(at) = self.channel_or_message(record)? {
                    self.extend_run(at, offset, total);
                }
            }
        }
        Ok(())
    }

    /// Notes a schema, a channel or a message; the log time if it was a message.
    fn channel_or_message(&mut self, record: Record<'_>) -> Result<Option<Stamp>, String> {
        match record {
            Record::Schema { header, data } => {
                if self.schemas.insert(header.id) {
                    self.describe(header.name.len() + data.len())?;
                }
                let data = data.into_owned().into();
                self.accumulator.add_schema(header, data).map_err(|error| error.to_string())?;
            }
            Record::Channel(channel) => {
                let id = channel.id;
                if !self.channels.contains_key(&id) {
                    let metadata = channel.metadata.iter().map(|(key, value)| key.len() + value.len());
                    self.describe(channel.topic.len() + metadata.sum::<usize>())?;
                }
                self.accumulator.add_channel(channel).map_err(|error| error.to_string())?;
                if let Some(channel) = self.accumulator.get(id) {
                    self.channels.insert(id, Channel::from_mcap(&channel));
                }
            }
            Record::Message { header, .. } => {
                if !self.channels.contains_key(&header.channel_id) {
                    return Err(format!("a message of channel {}, which no record describes", header.channel_id));
                }
                *self.counts.entry(header.channel_id).or_default() += 1;
                return Ok(Some(stamp(header.log_time)));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Notes the size of a new schema or channel.
    fn describe(&mut self, bytes: usize) -> Result<(), String> {
        self.descriptions = self.descriptions.saturating_add(bytes);
        if self.descriptions > LARGEST_DESCRIPTIONS {
            return Err(format!("schemas and channels of more than {LARGEST_DESCRIPTIONS} bytes"));
        }
        Ok(())
    }

    fn extend_run(&mut self, at: Stamp, offset: u64, total: u64) {
        if self.is_run_open
            && let Some(run) = self.units.last_mut()
            && offset + total - run.offset <= RUN_LENGTH
        {
            run.length = offset + total - run.offset;
            (run.start, run.end) = (run.start.min(at), run.end.max(at));
            return;
        }
        self.units.push(Unit { offset, length: total, start: at, end: at });
        self.is_run_open = true;
    }
}

/// Orders messages by log time, then as they stand in the file.
type Order = (Stamp, u32, u32);

/// Messages of one file by log time, each with its position for [`McapFile::read_at`].
pub(super) struct McapMessages {
    file: McapFile,
    source: File,
    topics: BTreeMap<u16, Arc<str>>,
    next_unit: usize,
    loaded: BinaryHeap<Reverse<(Order, u16, Vec<u8>)>>,
    /// Bytes of the messages in `loaded`.
    backlog: usize,
    is_done: bool,
}

impl McapMessages {
    fn load_next_unit(&mut self) -> Result<()> {
        let unit = self.next_unit;
        self.next_unit += 1;
        let (topics, loaded, backlog) = (&self.topics, &mut self.loaded, &mut self.backlog);
        let mut ordinal = 0;
        self.file.load(&mut self.source, unit, &mut |header, data| {
            if topics.contains_key(&header.channel_id) {
                // A message without data has a header that counts.
                *backlog += data.len() + RECORD_HEADER as usize;
                if *backlog > LARGEST_BACKLOG {
                    return Err(format!("chunks that overlap in time with more than {LARGEST_BACKLOG} bytes"));
                }
                let order = (stamp(header.log_time), unit as u32, ordinal);
                loaded.push(Reverse((order, header.channel_id, data.to_vec())));
            }
            ordinal += 1;
            Ok(())
        })
    }

    fn is_next_ready(&self) -> bool {
        match (self.loaded.peek(), self.file.units.get(self.next_unit)) {
            (Some(Reverse((order, ..))), Some(unit)) => order.0 < unit.start,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

impl Iterator for McapMessages {
    type Item = Result<(BagMessage, (u32, u32))>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        while !self.is_next_ready() {
            if let Err(error) = self.load_next_unit() {
                self.is_done = true;
                return Some(Err(error));
            }
        }
        let Some(Reverse(((log_stamp, unit, ordinal), channel, data))) = self.loaded.pop() else {
            self.is_done = true;
            let damage = self.file.damage.take()?;
            return Some(Err(Error::format(&self.file.path, "a whole mcap file", damage)));
        };
        self.backlog -= data.len() + RECORD_HEADER as usize;
        let topic = self.topics.get(&channel)?.clone();
        Some(Ok((BagMessage { topic, log_stamp, data }, (unit, ordinal))))
    }
}
