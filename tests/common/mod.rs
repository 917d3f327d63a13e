//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Write;
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
        skip(test, "the real recordings in ../shared/data or $VLOC_DATA");
    }
    data
}

/// The Python with the peers of `tests/peers/requirements.txt`: `$VLOC_PEERS_PYTHON` or `.venv/bin/python`.
pub fn peers_python_for(test: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let has_peers = own.with_file_name("../peers.sha256").is_file();
    let python = std::env::var_os("VLOC_PEERS_PYTHON").map(PathBuf::from).or_else(|| has_peers.then_some(own));
    if python.is_none() {
        skip(test, "the Python peers (scripts/setup.sh --peers, or $VLOC_PEERS_PYTHON)");
    }
    python
}

/// Says past the test harness, which keeps what passing tests print to itself, that a test did not run.
pub fn skip(test: &str, needs: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test} needs {needs}");
}
