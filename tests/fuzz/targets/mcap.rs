//! The bytes of an mcap file: opened, read to its end, read again out of order, inspected.

use std::path::Path;

use vloc::bag::{BagReader, inspect_bag};

pub fn run(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bag.mcap");
    std::fs::write(&file, data).expect("a file");
    read(&file);
}

/// So many messages are read again at their positions.
const READ_AGAIN: usize = 8;

/// Reads a bag, whatever is in it.
pub fn read(path: &Path) {
    let Ok(reader) = BagReader::open(path) else { return };
    let Ok(mut messages) = reader.messages(None) else { return };
    let mut positions = Vec::new();
    while let Some(next) = messages.next_with_position() {
        if let Ok((message, position)) = next
            && positions.len() < READ_AGAIN
        {
            positions.push((position, message.data));
        }
    }
    for (position, data) in positions.into_iter().rev() {
        assert_eq!(reader.read_at(position).expect("a message that was read before"), data);
    }
    if let Ok(summary) = inspect_bag(path) {
        summary.topics.iter().for_each(|topic| drop(topic.problems()));
    }
}
