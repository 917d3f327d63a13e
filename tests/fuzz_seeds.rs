//! The fuzz targets of `tests/fuzz`, run on the seeds of their corpus: what they promise holds on any machine.
#![cfg(feature = "bag")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

#[test]
fn every_target_takes_its_seeds() {
    for (name, run) in targets::TARGETS {
        let files: Vec<PathBuf> =
            std::fs::read_dir(corpus().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            run(&bytes);
            // Cut seeds are what a connection or a disk that fails leaves.
            (1..8).for_each(|eighth| run(&bytes[..bytes.len() * eighth / 8]));
        }
    }
}

#[test]
fn every_target_has_a_program() {
    let manifest = std::fs::read_to_string(corpus().with_file_name("Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not built");
    }
}

/// `cargo test --features bag --test fuzz_seeds -- --ignored` after a change of `tests/fuzz/seeds.rs`.
#[test]
#[ignore = "writes tests/fuzz/corpus"]
fn write_seeds() {
    for (target, name, bytes) in seeds::all() {
        let folder = corpus().join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
