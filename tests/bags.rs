//! Bags through the public API: written and read back, read by an independent peer, real recordings, damaged files.
#![cfg(feature = "bag")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nalgebra::Vector3;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vloc::Stamp;
use vloc::bag::{BagMessage, BagReader, BagSummary, BagWriter, Storage, TRANSIENT_LOCAL_QOS, inspect_bag};
use vloc::geometry::{Se3, So3};
use vloc::msg::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus, KeyValue};
use vloc::msg::geometry_msgs::{PoseStamped, PoseWithCovarianceStamped, TransformStamped};
use vloc::msg::nav_msgs::{Odometry, Path as PathMessage};
use vloc::msg::rosgraph_msgs::Clock;
use vloc::msg::sensor_msgs::{CameraInfo, CompressedImage, Image, Imu};
use vloc::msg::std_msgs::Header;
use vloc::msg::tf2_msgs::TFMessage;
use vloc::msg::{RosMessage, cdr};
use vloc::sensor::{CameraModel, ImuSample};

const START: i64 = 1_700_000_000_000_000_000;

fn at(milliseconds: i64) -> Stamp {
    Stamp::from_nanos(START + milliseconds * 1_000_000)
}

fn image(milliseconds: i64) -> Image {
    Image {
        header: Header::new(at(milliseconds), "camera_optical_frame"),
        height: 12,
        width: 16,
        encoding: "rgb8".into(),
        is_bigendian: 0,
        step: 48,
        data: (0..576).map(|value| (value * 7 + milliseconds) as u8).collect(),
    }
}

fn map_from_base() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(0.0, 0.1, 1.5)), Vector3::new(1.0, -2.0, 0.5))
}

/// A bag with one message of every type, and 30 images.
fn write_bag(folder: &Path, storage: Storage) {
    let mut writer = BagWriter::create(folder, storage).unwrap();
    let header = |milliseconds| Header::new(at(milliseconds), "map");
    writer.add_topic("/tf_static", TFMessage::TYPE, TFMessage::DEFINITION, TRANSIENT_LOCAL_QOS).unwrap();
    let transform =
        TransformStamped { header: header(0), child_frame_id: "base_link".into(), transform: map_from_base().into() };
    writer.write("/tf_static", at(0), &TFMessage { transforms: vec![transform.clone()] }).unwrap();
    writer.write("/tf", at(1), &TFMessage { transforms: vec![transform.clone(), transform] }).unwrap();
    writer.write("/clock", at(2), &Clock { clock: at(2).into() }).unwrap();
    writer.write("/camera_info", at(3), &CameraModel::pinhole(16, 12, 20.0).to_message(at(3), "cam")).unwrap();
    let mut pose = PoseWithCovarianceStamped { header: header(4), ..Default::default() };
    pose.pose.pose = map_from_base().into();
    pose.pose.covariance[35] = 0.25;
    writer.write("/pose", at(4), &pose).unwrap();
    writer.write("/pose_stamped", at(5), &PoseStamped { header: header(5), pose: pose.pose.pose }).unwrap();
    let mut odometry = Odometry { header: header(6), child_frame_id: "base_link".into(), ..Default::default() };
    odometry.twist.twist.linear.x = 0.5;
    writer.write("/odom", at(6), &odometry).unwrap();
    let poses = vec![PoseStamped { header: header(7), pose: pose.pose.pose }; 3];
    writer.write("/path", at(7), &PathMessage { header: header(7), poses }).unwrap();
    let values = vec![KeyValue { key: "rate".into(), value: "30".into() }];
    let status =
        DiagnosticStatus { level: DiagnosticStatus::WARN, name: "vloc".into(), values, ..DiagnosticStatus::default() };
    writer.write("/diagnostics", at(8), &DiagnosticArray { header: header(8), status: vec![status] }).unwrap();
    let jpeg = CompressedImage { header: header(9), format: "jpeg".into(), data: vec![0xff, 0xd8, 0xff] };
    writer.write("/image/compressed", at(9), &jpeg).unwrap();
    let sample = ImuSample {
        stamp: at(10),
        angular_velocity: Vector3::new(0.1, 0.2, 0.3),
        linear_acceleration: Vector3::new(0.0, 0.0, 9.81),
    };
    writer.write("/imu", at(10), &sample.to_message("imu_link")).unwrap();
    for index in 0..30 {
        writer.write("/image", at(33 * index + 20), &image(33 * index + 10)).unwrap();
    }
    writer.finish().unwrap();
}

fn read_all(path: &Path) -> Vec<BagMessage> {
    BagReader::open(path).unwrap().messages(None).unwrap().collect::<Result<_, _>>().unwrap()
}

fn only_data_file(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|e| e == "mcap" || e == "db3")).unwrap()
}

fn error_of(path: &Path) -> String {
    BagReader::open(path).err().expect("must be refused").to_string()
}

#[test]
fn what_is_written_is_read_from_both_storages() {
    let folder = TempDir::new().unwrap();
    for storage in [Storage::Mcap, Storage::Sqlite3] {
        let path = folder.path().join(storage.identifier());
        write_bag(&path, storage);
        let reader = BagReader::open(&path).unwrap();
        assert_eq!(reader.topics().len(), 12);
        assert_eq!((reader.start(), reader.end()), (Some(at(0)), Some(at(33 * 29 + 20))));
        assert_eq!(reader.announced_message_count(), Some(41));
        let topic = reader.topic("/image").unwrap();
        assert_eq!((topic.message_type.as_str(), topic.message_count), ("sensor_msgs/msg/Image", 30));
        assert_eq!(topic.definition, Image::DEFINITION);
        assert_eq!(reader.topic("/tf_static").unwrap().offered_qos_profiles, TRANSIENT_LOCAL_QOS);
        let messages: Vec<BagMessage> = reader.messages(Some(&["/image"])).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(messages.len(), 30);
        for (index, message) in messages.iter().enumerate() {
            let milliseconds = 33 * index as i64;
            assert_eq!(message.log_stamp, at(milliseconds + 20));
            assert_eq!(cdr::from_bytes::<Image>("/image", &message.data).unwrap(), image(milliseconds + 10));
        }
        // a bare file is a bag too
        assert_eq!(read_all(&only_data_file(&path)), read_all(&path));
    }
    assert_eq!(read_all(&folder.path().join("mcap")), read_all(&folder.path().join("sqlite3")));
}

#[test]
fn the_same_messages_give_the_same_mcap_bytes() {
    let folder = TempDir::new().unwrap();
    let bytes = |name: &str| {
        let path = folder.path().join(name).join("bag");
        write_bag(&path, Storage::Mcap);
        ["bag_0.mcap", "metadata.yaml"].map(|file| std::fs::read(path.join(file)).unwrap())
    };
    assert_eq!(bytes("first"), bytes("second"));
}

#[test]
fn messages_come_by_log_time_and_can_be_read_again_in_any_order() {
    let folder = TempDir::new().unwrap();
    for storage in [Storage::Mcap, Storage::Sqlite3] {
        let path = folder.path().join(storage.identifier());
        let mut writer = BagWriter::create(&path, storage).unwrap();
        // 100 kB each, so that mcap makes several chunks; written out of order, twice the same time once
        for milliseconds in [50, 10, 40, 20, 30, 90, 80, 60, 70, 70, 5, 100, 1, 2, 3, 4, 110, 15, 25, 35] {
            let mut message = image(milliseconds);
            message.data =
                (0..100_000).map(|byte| ((byte as i64 * milliseconds * 2_654_435_761) >> 13) as u8).collect();
            writer.write("/image", at(milliseconds), &message).unwrap();
            writer.write("/clock", at(milliseconds), &Clock { clock: at(milliseconds).into() }).unwrap();
        }
        writer.finish().unwrap();
        let reader = BagReader::open(&path).unwrap();
        let mut messages = reader.messages(Some(&["/image"])).unwrap();
        let mut found = Vec::new();
        while let Some(next) = messages.next_with_position() {
            found.push(next.unwrap());
        }
        assert_eq!(found.len(), 20);
        assert!(found.windows(2).all(|pair| pair[0].0.log_stamp <= pair[1].0.log_stamp));
        for (message, position) in found.iter().rev().step_by(3) {
            assert_eq!(reader.read_at(*position).unwrap(), message.data);
        }
    }
}

#[test]
fn a_topic_has_one_type_and_a_folder_one_bag() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    let mut writer = BagWriter::create(&path, Storage::Mcap).unwrap();
    writer.write("/a", at(0), &Clock::default()).unwrap();
    let error = writer.write("/a", at(0), &Header::default()).unwrap_err().to_string();
    assert_eq!(error, "/a: expected messages of type rosgraph_msgs/msg/Clock, found std_msgs/msg/Header");
    let error = writer.write("/a", Stamp::from_nanos(-1), &Clock::default()).unwrap_err().to_string();
    assert_eq!(error, "/a: expected a log time from 1970 on, found -1 ns");
    writer.finish().unwrap();
    let error = BagWriter::create(&path, Storage::Mcap).err().unwrap().to_string();
    assert!(error.contains("expected an empty folder for the new bag"), "{error}");
    let error = BagReader::open(&path).unwrap().messages(Some(&["/b"])).err().unwrap().to_string();
    assert!(error.ends_with("expected a bag with the topic /b, found only /a"), "{error}");
}

#[test]
fn a_bag_without_messages_is_one() {
    let folder = TempDir::new().unwrap();
    for storage in [Storage::Mcap, Storage::Sqlite3] {
        let path = folder.path().join(storage.identifier());
        BagWriter::create(&path, storage).unwrap().finish().unwrap();
        let reader = BagReader::open(&path).unwrap();
        assert_eq!((reader.start(), reader.topics().len()), (None, 0));
        assert_eq!(read_all(&path), []);
    }
}

/// An mcap file made with other options than ours.
fn write_mcap(path: &Path, options: mcap::WriteOptions) {
    let mut writer = options.create(std::io::BufWriter::new(std::fs::File::create(path).unwrap())).unwrap();
    let schema = writer.add_schema(Clock::TYPE, "ros2msg", Clock::DEFINITION.as_bytes()).unwrap();
    let channel = writer.add_channel(schema, "/clock", "cdr", &BTreeMap::new()).unwrap();
    for index in 0..2000i64 {
        // each pair of neighbours is swapped
        let milliseconds = index ^ 1;
        let log_time = at(milliseconds).as_nanos() as u64;
        let header = mcap::records::MessageHeader { channel_id: channel, sequence: 0, log_time, publish_time: 0 };
        let clock = Clock { clock: at(milliseconds).into() };
        writer.write_to_known_channel(&header, &cdr::to_bytes(&clock)).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn every_layout_of_mcap_is_read() {
    let folder = TempDir::new().unwrap();
    let options = || mcap::WriteOptions::new().chunk_size(Some(4096));
    let layouts: [(&str, mcap::WriteOptions); 6] = [
        ("zstd", options().compression(Some(mcap::Compression::Zstd))),
        ("lz4", options().compression(Some(mcap::Compression::Lz4))),
        ("plain", options().compression(None)),
        ("without chunks", options().compression(None).use_chunks(false)),
        ("without summary", options().emit_summary_records(false).emit_statistics(false).emit_chunk_indexes(false)),
        ("without message indexes", options().emit_message_indexes(false)),
    ];
    for (name, layout) in layouts {
        let path = folder.path().join(name).with_extension("mcap");
        write_mcap(&path, layout);
        let reader = BagReader::open(&path).unwrap();
        assert_eq!((reader.topics()[0].message_count, reader.damage()), (2000, None), "{name}");
        assert_eq!((reader.start(), reader.end()), (Some(at(0)), Some(at(1999))), "{name}");
        let messages: Vec<BagMessage> = reader.messages(None).unwrap().collect::<Result<_, _>>().unwrap();
        let stamps: Vec<Stamp> = messages.iter().map(|message| message.log_stamp).collect();
        assert_eq!(stamps, (0..2000).map(at).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_truncated_mcap_gives_its_whole_messages_and_then_the_error() {
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole.mcap");
    let cut = folder.path().join("cut.mcap");
    for chunked in [true, false] {
        write_mcap(&whole, mcap::WriteOptions::new().chunk_size(Some(4096)).use_chunks(chunked).compression(None));
        let bytes = std::fs::read(&whole).unwrap();
        let mut counts = Vec::new();
        for length in [bytes.len() / 4, bytes.len() / 2, bytes.len() * 3 / 4] {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            let reader = BagReader::open(&cut).unwrap();
            let messages: Vec<_> = reader.messages(None).unwrap().collect();
            let error = messages.last().unwrap().as_ref().unwrap_err().to_string();
            assert!(error.contains("expected a whole mcap file, found truncated or damaged after "), "{error}");
            assert!(error.contains(&format!("of {length} bytes: ")), "{error}");
            let count = messages.iter().filter(|message| message.is_ok()).count();
            assert_eq!(count + 1, messages.len());
            assert_eq!(count as u64, reader.topics()[0].message_count);
            counts.push(count);
        }
        assert!(counts[0] > 300 && counts[0] < counts[1] && counts[1] < counts[2], "{counts:?}");
        for length in [0, 5, 8, 30] {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            let error = error_of(&cut);
            assert!(error.contains("expected an mcap file"), "{length}: {error}");
        }
    }
}

#[test]
fn a_changed_byte_in_a_chunk_is_noticed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged.mcap");
    write_mcap(&path, mcap::WriteOptions::new().chunk_size(Some(4096)).compression(None));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2000] ^= 0x40;
    std::fs::write(&path, bytes).unwrap();
    let errors: Vec<String> =
        BagReader::open(&path).unwrap().messages(None).unwrap().filter_map(|m| Some(m.err()?.to_string())).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("a damaged chunk (checksum "), "{errors:?}");
}

#[test]
fn no_bytes_make_the_mcap_reader_panic_or_allocate_without_bound() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fuzzed.mcap");
    write_mcap(&path, mcap::WriteOptions::new().chunk_size(Some(16_384)).compression(None));
    let whole = std::fs::read(&path).unwrap();
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            let region = if random() % 2 == 0 { 300.min(bytes.len()) } else { bytes.len() };
            let index = if random() % 2 == 0 { random() % region } else { bytes.len() - 1 - random() % region };
            bytes[index] = [0, 255, random() as u8][random() % 3];
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(reader) = BagReader::open(&path) {
            let _ = reader.messages(None).map(|messages| messages.count());
        }
    }
}

#[test]
fn files_that_are_no_bags_are_named() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (file("empty.mcap", b""), "expected an mcap file (it starts with 89 4d 43 41 50 30 0d 0a), found 0 bytes"),
        (file("garbage.mcap", &[b'x'; 500]), "found the first bytes [78, 78, 78, 78, 78, 78, 78, 78]"),
        (file("empty.db3", b""), "expected an SQLite database, found 0 bytes"),
        (file("garbage.db3", &[b'x'; 5000]), "expected an sqlite3 file of rosbag2, found file is not a database"),
        (file("notes.txt", b"hello"), "expected a rosbag2: a folder with metadata.yaml, an .mcap or a .db3"),
        (folder.path().join("nothing.mcap"), "cannot open "),
    ];
    for (path, expected) in cases {
        let error = error_of(&path);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
    let error = error_of(folder.path());
    assert!(error.contains("found 4 bag files and no metadata.yaml; `ros2 bag reindex` makes one"), "{error}");
    let other = folder.path().join("other.db3");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE notes(text TEXT)").unwrap();
    assert!(error_of(&other).contains("no such table: topics"));
}

#[test]
fn a_truncated_sqlite3_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    write_bag(&path, Storage::Sqlite3);
    let file = only_data_file(&path);
    let bytes = std::fs::read(&file).unwrap();
    for length in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 4096] {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let failed = match BagReader::open(&path) {
            Err(error) => error.to_string(),
            Ok(reader) => match reader.messages(None) {
                Err(error) => error.to_string(),
                Ok(messages) => messages.filter_map(Result::err).next().expect("must fail").to_string(),
            },
        };
        assert!(
            failed.contains("expected an sqlite3 file of rosbag2, found database disk image is malformed"),
            "{failed}"
        );
    }
}

#[test]
fn metadata_that_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    write_bag(&path, Storage::Mcap);
    let yaml = std::fs::read_to_string(path.join("metadata.yaml")).unwrap();
    let error_with = |from: &str, to: &str| {
        assert!(yaml.contains(from), "{yaml}");
        std::fs::write(path.join("metadata.yaml"), yaml.replace(from, to)).unwrap();
        error_of(&path)
    };
    let error = error_with("bag_0.mcap", "lost.mcap");
    assert!(
        error.contains("expected the bag's files beside the metadata, found no file ") && error.ends_with("lost.mcap")
    );
    let error = error_with("version: 5", "version: 12");
    assert!(error.ends_with("expected metadata of version 9 or older, found version 12"), "{error}");
    let error = error_with("storage_identifier: mcap", "storage_identifier: rosbag_v2");
    assert!(error.ends_with("expected storage_identifier mcap or sqlite3, found \"rosbag_v2\""), "{error}");
    let error = error_with("compression_mode: ''", "compression_mode: FILE");
    assert!(error.contains("unpack the bag with `ros2 bag convert` first"), "{error}");
    let error = error_with("rosbag2_bagfile_information:", "something_else:");
    assert!(error.contains("missing field `rosbag2_bagfile_information`"), "{error}");
}

#[test]
fn message_wise_compression_is_unpacked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    let mut writer = BagWriter::create(&path, Storage::Sqlite3).unwrap();
    let packed = zstd::encode_all(cdr::to_bytes(&image(3)).as_slice(), 1).unwrap();
    writer.write_raw("/image", Image::TYPE, Image::DEFINITION, at(3), &packed).unwrap();
    writer.finish().unwrap();
    let yaml = std::fs::read_to_string(path.join("metadata.yaml")).unwrap();
    let yaml = yaml.replace("compression_mode: ''", "compression_mode: MESSAGE");
    let yaml = yaml.replace("compression_format: ''", "compression_format: zstd");
    std::fs::write(path.join("metadata.yaml"), yaml).unwrap();
    assert_eq!(cdr::from_bytes::<Image>("/image", &read_all(&path)[0].data).unwrap(), image(3));
}

/// What `rosbags` finds in a bag.
fn peers_view(python: &Path, bag: &Path) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/read_bag.py");
    let output = Command::new(python).arg(script).arg(bag).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn rosbags_reads_every_message_of_our_bags() {
    let Some(python) = common::peers_python_for("rosbags_reads_every_message_of_our_bags") else { return };
    let folder = TempDir::new().unwrap();
    for storage in [Storage::Mcap, Storage::Sqlite3] {
        let path = folder.path().join(storage.identifier());
        write_bag(&path, storage);
        let view = peers_view(&python, &path);
        assert_eq!(view["count"], 41);
        assert_eq!(view["start"], at(0).as_nanos());
        let topics = &view["topics"];
        for topic in BagReader::open(&path).unwrap().topics() {
            let seen = &topics[&*topic.name];
            assert_eq!(seen["type"], topic.message_type);
            assert_eq!(seen["count"], topic.message_count);
            assert_eq!(seen["definition_is_jazzys"], true, "{}", topic.name);
        }
        let mut hash = Sha256::new();
        (0..30).for_each(|index| hash.update(image(33 * index + 10).data));
        assert_eq!(topics["/image"]["data_sha256"], format!("{:x}", hash.finalize()));
        assert_eq!(topics["/image"]["first_header"], at(10).as_nanos());
        assert_eq!(topics["/image"]["last_header"], at(33 * 29 + 10).as_nanos());
        assert_eq!(topics["/tf_static"]["durability"], serde_json::json!(["TRANSIENT_LOCAL"]));
        assert_eq!(topics["/tf"]["first"]["transforms"][1]["child_frame_id"], "base_link");
        assert_eq!(topics["/pose"]["first"]["pose"]["pose"]["position"]["y"], -2.0);
        assert_eq!(topics["/pose"]["first"]["pose"]["covariance"][35], 0.25);
        assert_eq!(topics["/odom"]["first"]["twist"]["twist"]["linear"]["x"], 0.5);
        assert_eq!(topics["/imu"]["first"]["linear_acceleration"]["z"], 9.81);
        assert_eq!(topics["/imu"]["first"]["orientation_covariance"][0], -1.0);
        assert_eq!(topics["/camera_info"]["first"]["k"][4], 20.0);
        assert_eq!(topics["/diagnostics"]["first"]["status"][0]["values"][0]["key"], "rate");
        assert_eq!(topics["/path"]["first"]["poses"].as_array().unwrap().len(), 3);
    }
}

fn decode_all<T: RosMessage>(reader: &BagReader, topic: &str) -> Vec<T> {
    let messages = reader.messages(Some(&[topic])).unwrap();
    messages.map(|message| cdr::from_bytes(topic, &message.unwrap().data).unwrap()).collect()
}

#[test]
fn the_euroc_bag_decodes_all_images_and_imu_samples() {
    let Some(data) = common::real_data_for("the_euroc_bag_decodes_all_images_and_imu_samples") else { return };
    let reader = BagReader::open(&data.join("bags/euroc_v101_mcap")).unwrap();
    let images: Vec<CompressedImage> = decode_all(&reader, "/cam0/image_raw/compressed");
    assert_eq!(images.len(), 90);
    let mut hash = Sha256::new();
    for image in images {
        hash.update(&image.data);
        let decoded = vloc::vision::decode_compressed(&image.try_into().unwrap()).unwrap();
        assert_eq!(decoded.dimensions(), (752, 480));
    }
    // as `rosbags` reads them
    let expected = "ea6672962a8a2dd9a0d5e5cd43f9a51765c3c680ba4526956d475f5ee3759856";
    assert_eq!(format!("{:x}", hash.finalize()), expected);
    let imu: Vec<Imu> = decode_all(&reader, "/imu0");
    let samples: Vec<ImuSample> = imu.iter().map(|message| message.try_into().unwrap()).collect();
    assert_eq!(samples.len(), 971);
    let mean = samples.iter().map(|sample| sample.linear_acceleration).sum::<Vector3<f64>>() / 971.0;
    assert!((mean.norm() - 9.81).abs() < 0.3, "gravity is in the mean: {mean}");
    let poses: Vec<PoseStamped> = decode_all(&reader, "/ground_truth/pose");
    assert_eq!(poses.len(), 98);
    assert!(poses.iter().all(|pose| Se3::try_from(&pose.pose).is_ok()));
}

#[test]
fn the_real_sqlite3_and_bare_mcap_bags_are_read() {
    let Some(data) = common::real_data_for("the_real_sqlite3_and_bare_mcap_bags_are_read") else { return };
    let stinger = BagReader::open(&data.join("bags/stinger_sqlite3")).unwrap();
    let counts: Vec<(&str, u64)> = stinger.topics().iter().map(|topic| (&*topic.name, topic.message_count)).collect();
    assert_eq!(counts, [("/gps/fix", 9), ("/imu/data", 386), ("/tf", 376), ("/tf_static", 3)]);
    assert_eq!(decode_all::<Imu>(&stinger, "/imu/data").len(), 386);
    assert_eq!(decode_all::<TFMessage>(&stinger, "/tf").len(), 376);
    assert_eq!(stinger.start(), Some(Stamp::from_nanos(1_741_029_661_367_369_242)));
    let turtlebot = BagReader::open(&data.join("bags/nav2_turtlebot/nav2_turtlebot.mcap")).unwrap();
    let counts: Vec<(&str, u64)> = turtlebot.topics().iter().map(|topic| (&*topic.name, topic.message_count)).collect();
    assert_eq!(counts, [("/amcl_pose", 135), ("/odom", 2639), ("/tf", 5422), ("/tf_static", 1)]);
    assert_eq!(decode_all::<Odometry>(&turtlebot, "/odom").len(), 2639);
    assert_eq!(decode_all::<PoseWithCovarianceStamped>(&turtlebot, "/amcl_pose").len(), 135);
    assert_eq!(decode_all::<TFMessage>(&turtlebot, "/tf").len(), 5422);
    assert!(turtlebot.topics()[1].offered_qos_profiles.contains("reliability"));
    assert!(CameraInfo::DEFINITION.starts_with("std_msgs/Header header\n"));
}

fn topic<'a>(summary: &'a BagSummary, name: &str) -> &'a vloc::bag::TopicSummary {
    summary.topics.iter().find(|topic| topic.name == name).unwrap()
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "found {found}, expected {expected}");
}

#[test]
fn inspection_is_right_about_the_real_bags() {
    let Some(data) = common::real_data_for("inspection_is_right_about_the_real_bags") else { return };
    let euroc = inspect_bag(&data.join("bags/euroc_v101_mcap")).unwrap();
    assert_eq!((euroc.message_count, euroc.problems.len()), (1159, 0));
    assert_near(euroc.duration, 4.850000128);
    let images = topic(&euroc, "/cam0/image_raw/compressed");
    assert_near(images.median_rate.unwrap(), 1e9 / 50000128.0);
    let image = &images.images[..];
    assert_eq!(image.len(), 1);
    assert_eq!((image[0].width, image[0].height, image[0].encoding.as_str(), image[0].count), (752, 480, "png", 90));
    assert_near(topic(&euroc, "/imu0").median_rate.unwrap(), 1e9 / 4999936.0);
    assert!(euroc.topics.iter().all(|topic| topic.problems().is_empty()));

    let stinger = inspect_bag(&data.join("bags/stinger_sqlite3")).unwrap();
    let imu = topic(&stinger, "/imu/data");
    assert_near(imu.largest_gap.unwrap(), 0.319389483);
    assert_near(imu.stamps.as_ref().unwrap().median_offset, 0.006408292);
    assert_near(topic(&stinger, "/gps/fix").stamps.as_ref().unwrap().median_offset, 0.004978326);
    assert_eq!(topic(&stinger, "/tf_static").stamps, None);

    let turtlebot = inspect_bag(&data.join("bags/nav2_turtlebot")).unwrap();
    let odometry = topic(&turtlebot, "/odom");
    assert_near(odometry.largest_gap.unwrap(), 2.157049);
    assert_eq!(odometry.stamps.as_ref().unwrap().first, Stamp::from_nanos(928_800_000_000));
    assert_eq!(odometry.problems(), ["stamps 1778233424.927 s before log time (another clock?)"]);
}

#[test]
fn inspection_and_rosbags_agree_about_the_real_bags() {
    let name = "inspection_and_rosbags_agree_about_the_real_bags";
    let (Some(data), Some(python)) = (common::real_data_for(name), common::peers_python_for(name)) else { return };
    for bag in ["euroc_v101_mcap", "stinger_sqlite3", "nav2_turtlebot/nav2_turtlebot.mcap"] {
        let path = data.join("bags").join(bag);
        let (ours, theirs) = (inspect_bag(&path).unwrap(), peers_view(&python, &path));
        assert_eq!(theirs["count"], ours.message_count);
        assert_eq!(theirs["topics"].as_object().unwrap().len(), ours.topics.len());
        for topic in &ours.topics {
            let seen = &theirs["topics"][&topic.name];
            assert_eq!(
                (&seen["count"], &seen["type"]),
                (&topic.message_count.into(), &topic.message_type.as_str().into())
            );
            if let Some(rate) = topic.median_rate {
                assert_near(1.0 / rate, seen["median_gap"].as_f64().unwrap() * 1e-9);
                assert_near(topic.largest_gap.unwrap(), seen["largest_gap"].as_f64().unwrap() * 1e-9);
            }
            if let Some(stamps) = &topic.stamps {
                assert_eq!(
                    (&seen["backwards"], &seen["duplicates"]),
                    (&stamps.backwards.into(), &stamps.duplicates.into())
                );
                assert_near(stamps.median_offset, seen["median_offset"].as_f64().unwrap() * 1e-9);
            }
        }
    }
}

#[test]
fn inspection_names_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bag");
    let mut writer = BagWriter::create(&path, Storage::Mcap).unwrap();
    // log times 0, 100, 200, ... ms; stamps that repeat, go back, are zero and late
    for (index, stamp) in [at(0), at(100), at(100), at(50), Stamp::default(), at(500)].into_iter().enumerate() {
        let mut message = image(0);
        message.header.stamp = stamp.into();
        if index == 5 {
            message.width = 8;
        }
        writer.write("/image", at(100 * index as i64), &message).unwrap();
    }
    writer.write_raw("/image", Image::TYPE, Image::DEFINITION, at(600), &[0, 1, 0, 0, 9]).unwrap();
    writer.finish().unwrap();
    let yaml = std::fs::read_to_string(path.join("metadata.yaml")).unwrap();
    std::fs::write(path.join("metadata.yaml"), yaml.replace("message_count: 7", "message_count: 9")).unwrap();
    let summary = inspect_bag(&path).unwrap();
    assert_eq!(summary.problems, ["metadata.yaml announces 9 messages, the files have 7"]);
    let images = &summary.topics[0];
    assert_eq!(
        images.problems(),
        [
            "1 undecodable",
            "1 zero stamps",
            "2 stamps go back",
            "1 stamps repeat",
            "a stamp 1700000000.400 s before log time",
            "2 image sizes or encodings"
        ]
    );
    assert_near(images.median_rate.unwrap(), 10.0);
}
