//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

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

/// Whether this process is in a network with loopback alone. Else the test of that name is run again in one, and must
/// pass there; where this machine cannot make it, that is said.
pub fn is_on_loopback(name: &str) -> bool {
    if std::env::var_os("VLOC_PEER_NETWORK").is_some() {
        return true;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/loopback.sh");
    let itself = std::env::current_exe().expect("a test knows its program");
    let output = std::process::Command::new(script).arg(itself).args(["--exact", name, "--nocapture"]).output();
    let output = output.expect("the script is there");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skip(name, said.trim());
    } else {
        assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    }
    false
}
