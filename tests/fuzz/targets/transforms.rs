//! Sequences of insertions into the tree of frames and look-ups in it.

use std::time::Duration;

use vloc::Stamp;
use vloc::geometry::{Se3, So3, TransformTree};

use super::bytes::Bytes;

const NAMES: [&str; 8] = ["map", "odom", "base_link", "/base_link", "camera", "imu", "", "/"];

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut tree = TransformTree::new(Duration::from_nanos(bytes.step().unsigned_abs()));
    let mut stamp = Stamp::from_nanos(1_700_000_000_000_000_000);
    while !bytes.is_empty() {
        stamp = Stamp::from_nanos(stamp.as_nanos().saturating_add(bytes.step()));
        match bytes.byte() % 8 {
            0..=3 => {
                let (parent, child) = (name(&mut bytes), name(&mut bytes));
                let is_static = bytes.flag();
                let _ = tree.insert(parent, child, stamp, transform(&mut bytes), is_static);
            }
            4 | 5 => look_up(&tree, &mut bytes, stamp),
            6 => flood(&mut tree, &mut bytes, stamp),
            _ => tree.clear(),
        }
        assert!(tree.frame_count() <= TransformTree::MAX_FRAMES);
    }
}

fn look_up(tree: &TransformTree, bytes: &mut Bytes<'_>, stamp: Stamp) {
    let (target, source) = (name(bytes), name(bytes));
    drop(tree.newest_common(target, source));
    match tree.lookup(target, source, stamp) {
        Ok(found) => {
            assert!(found.is_finite(), "{found:?}");
            assert!(tree.lookup(source, target, stamp).is_ok());
        }
        Err(error) => assert!(error.to_string().len() < 100_000),
    }
}

/// A peer that sends one new frame after the other, or one stamp after the other.
fn flood(tree: &mut TransformTree, bytes: &mut Bytes<'_>, stamp: Stamp) {
    let (count, many_frames) = (u64::from(bytes.byte()) * 5, bytes.flag());
    for index in 0..count {
        let (child, at) = if many_frames {
            (format!("frame {index}"), stamp)
        } else {
            ("camera".into(), stamp + Duration::from_nanos(index))
        };
        let _ = tree.insert("base_link", &child, at, Se3::identity(), false);
    }
}

fn name(bytes: &mut Bytes<'_>) -> &'static str {
    NAMES[usize::from(bytes.byte()) % NAMES.len()]
}

fn transform(bytes: &mut Bytes<'_>) -> Se3 {
    let turn: [f64; 3] = bytes.numbers();
    Se3::new(So3::exp(&turn.into()), bytes.numbers().into())
}
