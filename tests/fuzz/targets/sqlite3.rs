//! The bytes of an sqlite3 file of rosbag2.

pub fn run(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bag.db3");
    std::fs::write(&file, data).expect("a file");
    super::mcap::read(&file);
}
