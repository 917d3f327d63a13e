//! The summary at the end of an mcap file: channels, chunks and counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use mcap::records::{ChunkIndex, Record, Statistics, op};

use super::chunk::{self, RECORD_HEADER};

/// The footer's record and the magic bytes behind it.
const TAIL: usize = RECORD_HEADER as usize + FOOTER_LENGTH + mcap::MAGIC.len();
const FOOTER_LENGTH: usize = 20;
/// So much of the tail counts for the checksum: all of the footer before the checksum itself.
const CHECKED_TAIL: usize = RECORD_HEADER as usize + 16;

/// What a summary says.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) statistics: Option<Statistics>,
    pub(super) chunk_indexes: Vec<ChunkIndex>,
    pub(super) channels: BTreeMap<u16, Arc<mcap::Channel<'static>>>,
}

impl Summary {
    /// Reads it; `None` where there is none or it is damaged.
    pub(super) fn read(file: &mut File, size: u64) -> Option<Self> {
        let end = size.checked_sub(TAIL as u64)?;
        let mut tail = [0; TAIL];
        file.seek(SeekFrom::Start(end)).ok()?;
        file.read_exact(&mut tail).ok()?;
        let (header, footer) = tail.split_first_chunk()?;
        let (footer, magic) = footer.split_at(FOOTER_LENGTH);
        let is_footer = chunk::record_header(header) == (op::FOOTER, FOOTER_LENGTH as u64) && magic == mcap::MAGIC;
        let Record::Footer(footer) = chunk::parse(op::FOOTER, footer).ok().filter(|_| is_footer)? else { return None };
        let length = end.checked_sub(footer.summary_start).filter(|_| footer.summary_start > 0)?;
        let mut section = vec![0; usize::try_from(length).ok()?]; // within the file
        file.seek(SeekFrom::Start(footer.summary_start)).ok()?;
        file.read_exact(&mut section).ok()?;
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&section);
        checksum.update(&tail[..CHECKED_TAIL]);
        let is_whole = footer.summary_crc == 0 || footer.summary_crc == checksum.finalize();
        if is_whole { Self::parse(&section).ok() } else { None }
    }

    fn parse(section: &[u8]) -> Result<Self, String> {
        let mut summary = Self::default();
        let mut accumulator = mcap::read::ChannelAccumulator::default();
        chunk::for_each_record(section, |opcode, body| {
            if !matches!(opcode, op::SCHEMA | op::CHANNEL | op::STATISTICS | op::CHUNK_INDEX) {
                return Ok(());
            }
            match chunk::parse(opcode, body)? {
                Record::Schema { header, data } => {
                    let data = data.into_owned().into();
                    accumulator.add_schema(header, data).map_err(|error| error.to_string())?;
                }
                Record::Channel(channel) => {
                    let id = channel.id;
                    accumulator.add_channel(channel).map_err(|error| error.to_string())?;
                    summary.channels.extend(accumulator.get(id).map(|channel| (id, channel)));
                }
                Record::Statistics(statistics) => summary.statistics = Some(statistics),
                Record::ChunkIndex(index) => summary.chunk_indexes.push(index),
                _ => {}
            }
            Ok(())
        })?;
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::bag::{BagWriter, Storage};
    use crate::msg::rosgraph_msgs::Clock;

    #[test]
    fn a_whole_summary_is_read_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let bag = folder.path().join("bag");
        let mut writer = BagWriter::create(&bag, Storage::Mcap).unwrap();
        writer.write("/clock", Stamp::from_nanos(5), &Clock::default()).unwrap();
        writer.finish().unwrap();
        let path = std::fs::read_dir(&bag).unwrap().map(|entry| entry.unwrap().path());
        let path = path.into_iter().find(|path| path.extension().is_some_and(|end| end == "mcap")).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Summary::read(&mut File::open(&path).unwrap(), bytes.len() as u64)
        };
        let summary = read(&bytes).unwrap();
        assert_eq!((summary.chunk_indexes.len(), summary.channels.len()), (1, 1));
        assert_eq!(summary.statistics.unwrap().message_count, 1);
        assert!(read(&bytes[..bytes.len() - 1]).is_none() && read(&bytes[..20]).is_none());
        let in_summary = bytes.len() - TAIL - 1;
        bytes[in_summary] ^= 1;
        assert!(read(&bytes).is_none(), "its checksum is wrong");
    }
}
