//! Puts the libtorch that torch-sys found on the run path of our binaries, tests and benches, so that they start
//! without an `LD_LIBRARY_PATH` (one that is set still wins), and tells the program its commit for its reports.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
    // Only where there is a log of commits to watch: a missing file would run this script on every build.
    let log = Path::new(".git/logs/HEAD");
    println!("cargo:rerun-if-changed={}", if log.exists() { ".git/logs/HEAD" } else { "build.rs" });
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=VLOC_COMMIT={commit}");
    }
}

/// The commit that is checked out; `None` in a source archive or without git.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
