//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

/// The folder with the real recordings: `$VLOC_DATA`, or `../shared/data` beside the checkout.
pub fn real_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("VLOC_DATA").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// [`real_data`], or one line on stderr that says what was skipped.
pub fn real_data_for(test: &str) -> Option<PathBuf> {
    let data = real_data();
    if data.is_none() {
        eprintln!("skipped: {test} needs the real recordings in ../shared/data or $VLOC_DATA");
    }
    data
}

/// The Python with the peers of `tests/peers/requirements.txt`: `$VLOC_PEERS_PYTHON` or `.venv/bin/python`.
pub fn peers_python_for(test: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let python = std::env::var_os("VLOC_PEERS_PYTHON").map_or(own, PathBuf::from);
    if !python.is_file() {
        eprintln!("skipped: {test} needs the Python peers (scripts/setup.sh --peers, or $VLOC_PEERS_PYTHON)");
        return None;
    }
    Some(python)
}
