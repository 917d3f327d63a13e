//! The records of an mcap file: walking over them, unpacking chunks. Lengths are checked against what is left before
//! anything is allocated for them.

use std::io::Read;

use mcap::records::{ChunkHeader, MessageHeader, Record, op};

use super::{LARGEST_UNPACKED, layout};

/// Opcode and length stand before every record.
pub(super) const RECORD_HEADER: u64 = 9;

/// Is called with each message's header and data.
pub(super) type Visit<'a> = &'a mut dyn FnMut(MessageHeader, &[u8]) -> Result<(), String>;

/// Opcode and body length of the record that starts with `bytes`.
pub(super) fn record_header(bytes: &[u8; RECORD_HEADER as usize]) -> (u8, u64) {
    let [opcode, length @ ..] = *bytes;
    (opcode, u64::from_le_bytes(length))
}

/// Calls `visit` with each whole record in `bytes`; an error for one that is cut.
pub(super) fn for_each_record(
    mut bytes: &[u8],
    mut visit: impl FnMut(u8, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let Some((header, rest)) = bytes.split_first_chunk() else {
            return Err(format!("{} bytes where a record should start", bytes.len()));
        };
        let (opcode, length) = record_header(header);
        let Some((body, rest)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else {
            return Err(format!("a record of {length} bytes with {} left", rest.len()));
        };
        visit(opcode, body)?;
        bytes = rest;
    }
    Ok(())
}

/// Parses one record of the kinds that are read: schemas, channels, messages, chunks, statistics, footers.
pub(super) fn parse(opcode: u8, body: &[u8]) -> Result<Record<'_>, String> {
    layout::check(opcode, body)?;
    mcap::parse_record(opcode, body).map_err(|error| match error {
        mcap::McapError::Parse(_) => format!("a record (opcode {opcode:#04x}) that does not parse"),
        other => other.to_string(),
    })
}

/// Calls `visit` with each message among the records in `bytes`, those within chunks included.
pub(super) fn for_each_message(bytes: &[u8], visit: Visit<'_>) -> Result<(), String> {
    for_each_record(bytes, |opcode, body| match opcode {
        op::CHUNK => match parse(opcode, body)? {
            Record::Chunk { header, data } => messages_of_chunk(&header, &data, visit),
            _ => Err("no chunk behind a chunk's opcode".into()),
        },
        op::MESSAGE => match parse(opcode, body)? {
            Record::Message { header, data } => visit(header, &data),
            _ => Err("no message behind a message's opcode".into()),
        },
        _ => Ok(()),
    })
}

fn messages_of_chunk(header: &ChunkHeader, data: &[u8], visit: Visit<'_>) -> Result<(), String> {
    let records = unpack(header, data)?;
    for_each_record(&records, |opcode, body| match opcode {
        op::MESSAGE => match parse(opcode, body)? {
            Record::Message { header, data } => visit(header, &data),
            _ => Err("no message behind a message's opcode".into()),
        },
        _ => Ok(()),
    })
}

/// The records of a chunk, uncompressed and checked against its checksum (0 means none).
pub(super) fn unpack(header: &ChunkHeader, data: &[u8]) -> Result<Vec<u8>, String> {
    if header.uncompressed_size > LARGEST_UNPACKED {
        return Err(format!("a chunk of {} bytes, more than {LARGEST_UNPACKED}", header.uncompressed_size));
    }
    let mut records = Vec::new();
    let unpacked = match header.compression.as_str() {
        "" => {
            records.extend_from_slice(data);
            Ok(0)
        }
        "zstd" => zstd::Decoder::new(data)
            .and_then(|decoder| decoder.take(header.uncompressed_size + 1).read_to_end(&mut records)),
        "lz4" => lz4::Decoder::new(data)
            .and_then(|decoder| decoder.take(header.uncompressed_size + 1).read_to_end(&mut records)),
        other => return Err(format!("a chunk compressed with {other:?} (lz4 and zstd can be read)")),
    };
    unpacked.map_err(|error| format!("a chunk that does not unpack: {error}"))?;
    if records.len() as u64 != header.uncompressed_size {
        return Err(format!("a chunk of {} bytes that says it has {}", records.len(), header.uncompressed_size));
    }
    let checksum = crc32fast::hash(&records);
    if header.uncompressed_crc != 0 && checksum != header.uncompressed_crc {
        return Err(format!("a damaged chunk (checksum {checksum:08x}, expected {:08x})", header.uncompressed_crc));
    }
    Ok(records)
}
