//! How the records of an mcap file are laid out (<https://mcap.dev/spec>), as far as lengths stand in them.
//!
//! The mcap crate allocates what a text says it has before it reads it, and reads the entries of a map beyond its end. So
//! a record is parsed only after each length in it was held against the bytes that are there.

use mcap::records::op;

/// A stretch of a record.
#[derive(Clone, Copy)]
enum Field {
    /// So many bytes.
    Fixed(usize),
    /// Four bytes of length, and so many bytes.
    Sized,
    /// Four bytes of length, and so many bytes of pairs of sized fields.
    Texts,
    /// Four bytes of length, and so many bytes of entries of ten: a channel, and a count or an offset.
    Numbers,
}

/// The fields of the records that are read; what follows them is of any length.
fn fields(opcode: u8) -> Option<&'static [Field]> {
    use Field::{Fixed, Numbers, Sized, Texts};
    Some(match opcode {
        op::FOOTER => &[Fixed(20)],
        op::SCHEMA => &[Fixed(2), Sized, Sized, Sized],
        op::CHANNEL => &[Fixed(4), Sized, Sized, Texts],
        op::MESSAGE => &[Fixed(22)],
        op::CHUNK => &[Fixed(28), Sized, Fixed(8)],
        op::CHUNK_INDEX => &[Fixed(32), Numbers, Fixed(8), Sized, Fixed(16)],
        op::STATISTICS => &[Fixed(42), Numbers],
        _ => return None,
    })
}

/// Whether a record can be parsed: it is of a kind that is read, and no length in it reaches beyond its end.
pub(super) fn check(opcode: u8, body: &[u8]) -> Result<(), String> {
    let fields = fields(opcode).ok_or_else(|| format!("a record (opcode {opcode:#04x}) that is not read"))?;
    let mut rest = body;
    for field in fields {
        match field {
            Field::Fixed(length) => drop(take(&mut rest, *length)?),
            Field::Sized => drop(sized(&mut rest)?),
            Field::Texts => {
                let mut texts = sized(&mut rest)?;
                while !texts.is_empty() {
                    sized(&mut texts)?;
                    sized(&mut texts)?;
                }
            }
            Field::Numbers => {
                let length = sized(&mut rest)?.len();
                if !length.is_multiple_of(10) {
                    return Err(format!("{length} bytes of entries of 10 bytes"));
                }
            }
        }
    }
    Ok(())
}

fn sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = take(rest, 4)?.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let left = rest.len();
    let (taken, after) =
        rest.split_at_checked(length).ok_or_else(|| format!("{length} bytes in a record with {left} left"))?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_numbers_end_where_an_entry_ends() {
        let index = |length: u8| {
            let map = [&[length, 0, 0, 0][..], &vec![7; length.into()]].concat();
            [&[0; 32][..], &map, &[0; 8], &[4, 0, 0, 0], b"zstd", &[0; 16]].concat()
        };
        assert_eq!(check(op::CHUNK_INDEX, &index(20)), Ok(()));
        assert_eq!(check(op::CHUNK_INDEX, &index(21)), Err("21 bytes of entries of 10 bytes".into()));
        assert_eq!(check(op::CHUNK_INDEX, &index(20)[..50]), Err("20 bytes in a record with 14 left".into()));
    }

    #[test]
    fn what_is_not_read_is_not_parsed() {
        assert_eq!(check(op::ATTACHMENT, &[]), Err("a record (opcode 0x09) that is not read".into()));
    }
}
