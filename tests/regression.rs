//! What messages and files of unknown origin once could do, or must never be able to: one test for each.
#![cfg(feature = "bag")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use vloc::bag::{BagReader, BagWriter, Storage};
use vloc::config::EstimatorConfig;
use vloc::estimator::Estimator;
use vloc::geometry::{Se3, So3, TransformTree};
use vloc::graph::G2o;
use vloc::middleware::{Incoming, messages};
use vloc::msg::geometry_msgs::PoseWithCovarianceStamped;
use vloc::msg::sensor_msgs::Imu;
use vloc::msg::tf2_msgs::TFMessage;
use vloc::sensor::{CameraModel, CompressedImage, Image};
use vloc::vision::{Preprocessor, decode, decode_compressed};
use vloc::{Result, Stamp};

const SIZE_LIMIT: &str = "expected width and height from 1 to 65535 and at most 64000000 pixels, found";

fn raw(width: u32, height: u32) -> Image {
    Image {
        stamp: Stamp::default(),
        frame_id: "camera".into(),
        height,
        width,
        encoding: "mono8".into(),
        step: width,
        is_bigendian: false,
        data: vec![0; 16],
    }
}

fn compressed(data: Vec<u8>) -> CompressedImage {
    CompressedImage { stamp: Stamp::default(), frame_id: "camera".into(), format: "png".into(), data }
}

#[test]
fn an_image_that_claims_gigapixels_is_refused_by_its_size() {
    for (width, height) in [(100_000, 100_000), (1, 64_000_000), (u32::MAX, u32::MAX)] {
        let text = decode(&raw(width, height)).unwrap_err().to_string();
        assert_eq!(text, format!("image size: {SIZE_LIMIT} {width}x{height}"));
    }
}

#[test]
fn a_png_that_claims_gigapixels_is_refused_by_its_header() {
    let mut header = b"IHDR".to_vec();
    header.extend([100_000_u32.to_be_bytes(), 100_000_u32.to_be_bytes()].concat());
    header.extend([8, 2, 0, 0, 0]);
    let checksum = crc32fast::hash(&header);
    let png = [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &header[..], &checksum.to_be_bytes(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e"];
    let text = decode_compressed(&compressed(png.concat())).unwrap_err().to_string();
    assert_eq!(text, format!("compressed image (format \"png\"): {SIZE_LIMIT} 100000x100000"));
}

#[test]
fn a_jpeg_that_claims_gigapixels_is_refused_by_its_header() {
    // Start of image, and a frame of 65535 x 65535 pixels with one component.
    let jpeg =
        b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9";
    let text = decode_compressed(&compressed(jpeg.to_vec())).unwrap_err().to_string();
    assert!(text.ends_with(&format!("{SIZE_LIMIT} 65535x65535")), "{text}");
}

/// Found by the target `compressed`: 1153 bytes of a progressive jpeg of 8192 x 6144 took more than ten seconds.
#[test]
fn a_jpeg_that_claims_more_pixels_than_its_bytes_can_hold_is_refused_by_its_header() {
    let jpeg =
        b"\xff\xd8\xff\xc0\x00\x0b\x08\x18\x00\x20\x00\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9";
    let text = decode_compressed(&compressed(jpeg.to_vec())).unwrap_err().to_string();
    assert!(text.ends_with("at most 2000 pixels per byte, found 8192x6144 in 27 bytes"), "{text}");
    // One colour, as small as an encoder makes it, is one.
    let mut bytes = Vec::new();
    let flat = image::RgbImage::from_pixel(2048, 2048, image::Rgb([90, 90, 90]));
    flat.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Jpeg).unwrap();
    assert_eq!(decode_compressed(&compressed(bytes)).unwrap().dimensions(), (2048, 2048));
}

#[test]
fn a_camera_info_of_gigapixels_is_refused() {
    let source = CameraModel::pinhole(100_000, 100_000, 1e5);
    let text = Preprocessor::new(&source, &CameraModel::pinhole(16, 12, 12.0)).err().unwrap().to_string();
    assert!(text.contains("at most 64000000 pixels, found 100000x100000"), "{text}");
}

#[test]
fn what_a_peer_writes_is_cut_in_errors() {
    let text = decode(&Image { encoding: "ä".repeat(1_000_000), ..raw(4, 4) }).unwrap_err().to_string();
    assert!(text.len() < 3000 && text.ends_with("..."), "{} bytes", text.len());
}

fn insert(tree: &mut TransformTree, child: &str, nanos: i64) -> Result<()> {
    tree.insert("base_link", child, Stamp::from_nanos(nanos), Se3::identity(), false)?;
    Ok(())
}

#[test]
fn a_peer_that_sends_ever_new_frames_fills_no_memory() {
    let mut tree = TransformTree::default();
    for index in 0..TransformTree::MAX_FRAMES {
        insert(&mut tree, &format!("frame {index}"), 1).unwrap();
    }
    let text = insert(&mut tree, "one more", 1).unwrap_err().to_string();
    assert!(text.contains("expected at most 1024 frames, found one more") && text.len() < 2000, "{text}");
    assert_eq!(tree.frame_count(), TransformTree::MAX_FRAMES);
    insert(&mut tree, "frame 7", 2).unwrap();
    let text = tree.lookup("map", "frame 7", Stamp::from_nanos(1)).unwrap_err().to_string();
    assert!(text.contains("975 more") && text.len() < 2000, "{text}");
}

#[test]
fn a_peer_that_sends_every_nanosecond_fills_no_memory() {
    let mut tree = TransformTree::default();
    let count = TransformTree::MAX_POSES as i64 + 10;
    (0..count).for_each(|nanos| insert(&mut tree, "camera", nanos).unwrap());
    let found = |nanos: i64| tree.lookup("base_link", "camera", Stamp::from_nanos(nanos));
    assert!(found(9).is_err() && found(10).is_ok() && found(count - 1).is_ok());
}

#[test]
fn frames_with_endless_names_are_refused() {
    let mut tree = TransformTree::default();
    let text = insert(&mut tree, &"x".repeat(1 << 20), 1).unwrap_err().to_string();
    assert!(text.contains("expected names of at most 256 bytes, found 1048576 bytes") && text.len() < 300, "{text}");
    insert(&mut tree, "camera", 1).unwrap();
    let text = tree.lookup("base_link", &"x".repeat(1 << 20), Stamp::from_nanos(1)).unwrap_err().to_string();
    assert!(text.len() < 300, "{} bytes", text.len());
}

#[test]
fn transforms_beyond_the_planet_do_not_become_infinite() {
    let far = Se3::new(So3::identity(), [1e300, 0.0, 0.0].into());
    let mut tree = TransformTree::new(Duration::from_secs(1));
    assert!(tree.insert("map", "odom", Stamp::default(), far, true).is_err());
    let mut message = TFMessage { transforms: vec![Default::default()] };
    message.transforms[0].transform = far.into();
    let Incoming::Refused { error, .. } = messages::transforms(&message, true) else { panic!("it was taken") };
    assert!(error.to_string().contains("at most 1e9 m"), "{error}");
}

#[test]
fn an_initial_pose_that_knows_nothing_does_not_become_infinite() {
    let mut message = PoseWithCovarianceStamped::default();
    (0..6).for_each(|axis| message.pose.covariance[7 * axis] = f64::MAX);
    let Incoming::Refused { error, .. } = messages::initial_pose(&message) else { panic!("it was taken") };
    assert!(error.to_string().contains("variances of at most 1e18, found 1.79"), "{error}");
}

#[test]
fn an_imu_beyond_physics_is_refused() {
    let mut imu = Imu::default();
    imu.angular_velocity.x = 1e200;
    let Incoming::Refused { error, .. } = messages::imu(&imu) else { panic!("it was taken") };
    assert!(error.to_string().contains("rates up to 1e4 rad/s"), "{error}");
}

/// An mcap file of a header and chunks that say what they like.
fn mcap_of_chunks(folder: &Path, chunks: &[(&str, u64, &[u8])]) -> std::path::PathBuf {
    let mut bytes = mcap::MAGIC.to_vec();
    let mut record = |opcode: u8, body: &[u8]| {
        bytes.push(opcode);
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(body);
    };
    record(1, &[0; 8]);
    let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    record(4, &[&[1, 0, 0, 0][..], &text("/topic"), &text("cdr"), &[0; 4]].concat());
    for (compression, uncompressed_size, data) in chunks {
        let mut body = [[0; 8], 1_u64.to_le_bytes(), uncompressed_size.to_le_bytes()].concat();
        body.extend([&[0; 4][..], &text(compression), &(data.len() as u64).to_le_bytes(), data].concat());
        record(6, &body);
    }
    let path = folder.join("bag.mcap");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// One message of channel 1 with `length` zeros.
fn message_of(length: u64) -> Vec<u8> {
    let mut record = vec![5];
    record.extend((22 + length).to_le_bytes());
    record.extend([1, 0]);
    record.resize(9 + 22 + length as usize, 0);
    record
}

/// Found by the target `mcap`: the mcap crate allocated 1.1 GB for the name of a compression.
#[test]
fn a_text_that_claims_gigabytes_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag.mcap");
    let channel = [&[1, 0, 0, 0][..], &[0xff; 4], b"/topic"].concat();
    let header = [&[4][..], &(channel.len() as u64).to_le_bytes()].concat();
    std::fs::write(&path, [mcap::MAGIC, &header, &channel].concat()).unwrap();
    let text = BagReader::open(&path).err().unwrap().to_string();
    assert!(text.contains("4294967295 bytes in a record with 6 left"), "{text}");
}

/// Found by the target `mcap`: entries of a map were read beyond its end, and what follows it for a length of 3.8 GB.
#[test]
fn a_map_that_ends_within_an_entry_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag.mcap");
    // A map with a key and no value, and behind it what would be the length of one.
    let map = [&[5, 0, 0, 0, 1, 0, 0, 0, b'x'][..], &[0xff; 4]].concat();
    let channel = [&[1, 0, 0, 0][..], &[6, 0, 0, 0], b"/topic", &[0; 4], &map].concat();
    let header = [&[4][..], &(channel.len() as u64).to_le_bytes()].concat();
    std::fs::write(&path, [mcap::MAGIC, &header, &channel].concat()).unwrap();
    let text = BagReader::open(&path).err().unwrap().to_string();
    assert!(text.contains("4 bytes in a record with 0 left"), "{text}");
}

#[test]
fn a_window_without_end_is_no_panic() {
    let config = EstimatorConfig { lag: f64::INFINITY, ..EstimatorConfig::default() };
    drop(Estimator::new(config));
}

#[test]
fn a_chunk_that_claims_gigabytes_is_refused_before_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    for (compression, size) in [("zstd", 1 << 40), ("lz4", (1 << 28) + 1), ("", u64::MAX)] {
        let path = mcap_of_chunks(folder.path(), &[(compression, size, &[0; 32])]);
        let reader = BagReader::open(&path).unwrap();
        let damage = reader.damage().unwrap();
        assert!(damage.contains(&format!("a chunk of {size} bytes, more than 268435456")), "{damage}");
    }
}

#[test]
fn a_chunk_that_unpacks_to_more_than_it_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = zstd::encode_all(&vec![0; 1 << 24][..], 1).unwrap();
    let path = mcap_of_chunks(folder.path(), &[("zstd", 1000, &bomb)]);
    let reader = BagReader::open(&path).unwrap();
    assert!(reader.damage().unwrap().contains("a chunk of 1001 bytes that says it has 1000"));
}

#[test]
fn chunks_that_overlap_are_not_unpacked_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let records = message_of(200 << 20);
    let packed = zstd::encode_all(&records[..], 1).unwrap();
    let chunk = ("zstd", records.len() as u64, &packed[..]);
    let reader = BagReader::open(&mcap_of_chunks(folder.path(), &[chunk, chunk, chunk, chunk])).unwrap();
    let results: Vec<_> = reader.messages(None).unwrap().map(|message| message.map(|_| ())).collect();
    let [Err(error)] = results.as_slice() else { panic!("{results:?}") };
    assert!(error.to_string().contains("overlap in time with more than 536870912 bytes"), "{error}");
}

#[test]
fn the_metadata_of_a_bag_names_no_file_outside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("bag");
    let mut writer = BagWriter::create(&bag, Storage::Mcap).unwrap();
    writer.write("/imu", Stamp::default(), &Imu::default()).unwrap();
    writer.finish().unwrap();
    BagReader::open(&bag).unwrap();
    let metadata = bag.join("metadata.yaml");
    let text = std::fs::read_to_string(&metadata).unwrap();
    let file = std::fs::read_dir(&bag).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = file.into_iter().find(|name| name.ends_with(".mcap")).unwrap();
    for outside in ["/etc/passwd", "../other.mcap", "."] {
        std::fs::write(&metadata, text.replace(&file, outside)).unwrap();
        let error = BagReader::open(&bag).err().unwrap().to_string();
        assert!(error.contains(&format!("below the bag's folder, found {outside:?}")), "{error}");
    }
}

/// A database whose `messages` are not what they seem.
fn database(folder: &Path, messages: &str) -> std::path::PathBuf {
    let path = folder.join("bag.db3");
    let _ = std::fs::remove_file(&path);
    let database = Connection::open(&path).unwrap();
    let topics = "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT);
        INSERT INTO topics VALUES(1, '/topic', 'sensor_msgs/msg/Imu', 'cdr');";
    database.execute_batch(&format!("{topics}{messages}")).unwrap();
    path
}

#[test]
fn a_view_that_computes_for_ever_is_no_table_of_messages() {
    let folder = tempfile::tempdir().unwrap();
    let endless = "CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
        SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM n;";
    let error = BagReader::open(&database(folder.path(), endless)).err().unwrap().to_string();
    assert!(error.contains("an sqlite3 file of rosbag2"), "{error}");
}

#[test]
fn a_column_that_makes_gigabytes_out_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let large = "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER,
        data BLOB AS (zeroblob(900000000)));
        INSERT INTO messages(id, topic_id, timestamp) VALUES(1, 1, 5);";
    let reader = BagReader::open(&database(folder.path(), large)).unwrap();
    let results: Vec<_> = reader.messages(None).unwrap().collect();
    assert!(matches!(results.as_slice(), [Err(_)]), "{} bytes", results.len());
}

/// Found by the target `pose_text`: a pose was left out when its edge came before that of its neighbour.
#[test]
fn poses_that_only_edges_name_are_reached_whatever_the_order_of_the_edges() {
    let edges =
        "EDGE_SE2 7 4 1 0 0 10 0 0 10 0 40\nEDGE_SE2 4 2 1 0 0 10 0 0 10 0 40\nEDGE_SE2 0 2 1 0 0 10 0 0 12 0 40\n";
    let graph = G2o::parse(&format!("VERTEX_SE2 0 0 0 0\n{edges}"), Path::new("graph.g2o")).unwrap();
    assert_eq!((graph.pose_count(), graph.edge_count()), (4, 3));
    assert!(graph.to_graph().is_ok());
}
