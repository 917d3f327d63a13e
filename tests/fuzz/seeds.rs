//! The seeds of the fuzz targets: small, and real as far as they go.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use vloc::Stamp;
use vloc::bag::{BagWriter, Storage};
use vloc::config::read_parameters;
use vloc::geometry::{Se3, So3};
use vloc::msg::builtin_interfaces::Time;
use vloc::msg::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus, KeyValue};
use vloc::msg::geometry_msgs::{PoseStamped, PoseWithCovarianceStamped, TransformStamped};
use vloc::msg::nav_msgs::{Odometry, Path as PathMessage};
use vloc::msg::rosgraph_msgs::Clock;
use vloc::msg::sensor_msgs::{CameraInfo, CompressedImage, Image, Imu};
use vloc::msg::std_msgs::Header;
use vloc::msg::tf2_msgs::TFMessage;
use vloc::msg::{RosMessage, cdr};
use vloc::sensor::{CameraModel, Distortion};

/// Target, name, bytes.
pub type Seed = (&'static str, String, Vec<u8>);

pub fn all() -> Vec<Seed> {
    [messages(), compressed(), images(), bags(), texts(), sequences()].concat()
}

fn header(frame_id: &str) -> Header {
    Header::new(Stamp::from_nanos(1_700_000_000_123_456_789), frame_id)
}

fn pose() -> Se3 {
    Se3::new(So3::exp(&[0.1, -0.2, 0.3].into()), [1.0, -2.0, 0.5].into())
}

fn camera_info() -> CameraInfo {
    let camera = CameraModel {
        distortion: Distortion::PlumbBob([0.1, -0.05, 0.001, 0.002, 0.0]),
        ..CameraModel::pinhole(32, 24, 28.0)
    };
    camera.to_message(header("").stamp.into(), "camera")
}

fn picture() -> RgbImage {
    RgbImage::from_fn(32, 24, |x, y| Rgb([8 * x as u8, 10 * y as u8, (x * y) as u8]))
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn image() -> Image {
    let data = picture().into_raw();
    Image { header: header("camera"), height: 24, width: 32, encoding: "rgb8".into(), step: 96, data, is_bigendian: 0 }
}

fn transforms() -> TFMessage {
    let edge = |parent: &str, child: &str| TransformStamped {
        header: header(parent),
        child_frame_id: child.into(),
        transform: pose().into(),
    };
    TFMessage { transforms: vec![edge("odom", "base_link"), edge("base_link", "camera")] }
}

fn imu() -> Imu {
    let mut imu = Imu { header: header("imu"), ..Imu::default() };
    imu.linear_acceleration.z = 9.81;
    imu.angular_velocity.x = 0.1;
    imu
}

fn odometry() -> Odometry {
    let mut odometry = Odometry { header: header("odom"), child_frame_id: "base_link".into(), ..Odometry::default() };
    odometry.pose.pose = pose().into();
    odometry
}

fn initial_pose() -> PoseWithCovarianceStamped {
    let mut initial = PoseWithCovarianceStamped { header: header("map"), ..PoseWithCovarianceStamped::default() };
    initial.pose.pose = pose().into();
    (0..6).for_each(|axis| initial.pose.covariance[7 * axis] = 0.25);
    initial
}

fn diagnostics() -> DiagnosticArray {
    let values = vec![KeyValue { key: "poses".into(), value: "3".into() }];
    let status = vec![DiagnosticStatus { name: "vloc: localization".into(), values, ..DiagnosticStatus::default() }];
    DiagnosticArray { header: header(""), status }
}

/// In the order of the target's kinds.
fn messages() -> Vec<Seed> {
    fn seed<T: RosMessage>(kind: u8, message: &T) -> Seed {
        let name = T::TYPE.rsplit('/').next().unwrap().to_owned();
        ("cdr", name, [vec![kind], cdr::to_bytes(message)].concat())
    }
    let jpeg = CompressedImage {
        header: header("camera"),
        format: "jpeg".into(),
        data: encoded(&RgbImage::new(8, 8), ImageFormat::Jpeg),
    };
    let posed = PoseStamped { header: header("map"), pose: pose().into() };
    vec![
        seed(0, &image()),
        seed(1, &jpeg),
        seed(2, &camera_info()),
        seed(3, &transforms()),
        seed(4, &imu()),
        seed(5, &odometry()),
        seed(6, &initial_pose()),
        seed(7, &Clock { clock: Time { sec: 1, nanosec: 2 } }),
        seed(8, &header("map")),
        seed(9, &posed),
        seed(10, &PathMessage { header: header("map"), poses: vec![posed.clone(), posed] }),
        seed(11, &diagnostics()),
    ]
}

fn compressed() -> Vec<Seed> {
    let (colour, grey) = (picture(), image::DynamicImage::ImageRgb8(picture()).into_luma16());
    let mut deep = Vec::new();
    grey.write_to(&mut Cursor::new(&mut deep), ImageFormat::Png).unwrap();
    vec![
        ("compressed", "jpeg".into(), encoded(&colour, ImageFormat::Jpeg)),
        ("compressed", "png".into(), encoded(&colour, ImageFormat::Png)),
        ("compressed", "png16".into(), deep),
    ]
}

/// Encoding, flags (honest and small), size, camera, pixels.
fn images() -> Vec<Seed> {
    let seed = |encoding: u8| {
        let camera: &[u8] =
            if encoding.is_multiple_of(2) { &[4] } else { &[1, 240, 240, 150, 150, 113, 112, 112, 112, 112] };
        let head = [&[encoding, 3, 32, 24], camera].concat();
        ("image", format!("encoding{encoding}"), [head, (0..=255).collect()].concat())
    };
    (0..20).map(seed).collect()
}

fn bags() -> Vec<Seed> {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds = Vec::new();
    for storage in [Storage::Mcap, Storage::Sqlite3] {
        let bag = folder.path().join(storage.identifier());
        write_bag(&bag, storage);
        let file = std::fs::read_dir(&bag).unwrap().map(|entry| entry.unwrap().path());
        let file =
            file.into_iter().find(|path| path.extension().is_some_and(|end| end == storage.extension())).unwrap();
        if storage == Storage::Sqlite3 {
            // Small pages make a small file.
            rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA page_size = 512; VACUUM").unwrap();
        }
        seeds.push((storage.identifier(), "written".to_owned(), std::fs::read(file).unwrap()));
        let metadata = std::fs::read_to_string(bag.join("metadata.yaml")).unwrap();
        seeds.push(yaml("metadata", storage.identifier(), &metadata));
    }
    let compressions =
        [("plain", None), ("zstd", Some(mcap::Compression::Zstd)), ("lz4", Some(mcap::Compression::Lz4))];
    for (name, compression) in compressions {
        seeds.push(("mcap", name.to_owned(), mcap_without_checksums(compression)));
    }
    seeds
}

fn write_bag(folder: &Path, storage: Storage) {
    let mut writer = BagWriter::create(folder, storage).unwrap();
    for index in 0..3 {
        let stamp = Stamp::from_nanos(1_700_000_000_000_000_000 + index * 10_000_000);
        writer.write("/imu", stamp, &imu()).unwrap();
        writer.write("/tf", stamp, &transforms()).unwrap();
    }
    writer.finish().unwrap();
}

/// Checksums keep a fuzzer from getting any further.
fn mcap_without_checksums(compression: Option<mcap::Compression>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let options = mcap::WriteOptions::new()
        .compression(compression)
        .calculate_chunk_crcs(false)
        .calculate_data_section_crc(false)
        .calculate_summary_section_crc(false)
        .chunk_size(Some(400));
    let mut writer = options.create(&mut bytes).unwrap();
    let schema = writer.add_schema("sensor_msgs/msg/Imu", "ros2msg", b"std_msgs/Header header").unwrap();
    let channel = writer.add_channel(schema, "/imu", "cdr", &Default::default()).unwrap();
    for index in 0..3 {
        let time = 1_700_000_000_000_000_000 + index * 10_000_000;
        let header = mcap::records::MessageHeader {
            channel_id: channel,
            sequence: index as u32,
            log_time: time,
            publish_time: time,
        };
        writer.write_to_known_channel(&header, &cdr::to_bytes(&imu())).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes.into_inner()
}

fn yaml(kind: &str, name: &str, text: &str) -> Seed {
    let name = format!("{kind} {name}").trim().replace(' ', "_");
    ("yaml", name, format!("# {kind}\n{text}").into_bytes())
}

const CALIBRATION: &str = "\
image_width: 640
image_height: 480
camera_name: narrow
camera_matrix: {rows: 3, cols: 3, data: [520.5, 0, 319.5, 0, 521.5, 239.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0.002, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [510, 0, 320, 0, 0, 511, 240, 0, 0, 0, 1, 0]}
";

const GRAPH: &str = "\
VERTEX_SE3:QUAT 0 0 0 0 0 0 0 1
VERTEX_SE3:QUAT 1 1 0 0 0 0 0 1
FIX 0
EDGE_SE3:QUAT 0 1 1 0 0 0 0 0 1 10 0 0 0 0 0 10 0 0 0 0 10 0 0 0 40 0 0 40 0 40
";

const PLANAR_GRAPH: &str = "\
VERTEX_SE2 0 0 0 0
EDGE_SE2 0 1 1 0 0.1 10 0 0 10 0 40
EDGE_SE2 1 2 1 0 0.1 10 0 0 10 0 40
";

fn texts() -> Vec<Seed> {
    let config = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    // Without its comments: a mutation is to hit a value.
    let parameters = read_parameters(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/vloc.yaml"), "/vloc").unwrap();
    let pose_text = |name: &str, text: &str| ("pose_text", name.to_owned(), text.as_bytes().to_vec());
    vec![
        yaml("parameters", "", &serde_yaml::to_string(&parameters).unwrap()),
        yaml(
            "parameters",
            "ros",
            "/**:\n  ros__parameters:\n    use_imu: false\n    estimator: {lag: 2.0, keyframes: 9}\n",
        ),
        yaml("calibration", "", CALIBRATION),
        yaml(
            "split",
            "blocks",
            "kind: blocks\nblock: 10\nperiod: 4\ntest: [2]\nmargin: 2\nvalidation: {every: 5, length: 6}\n",
        ),
        yaml("split", "range", "kind: range\ntest: [20, 40]\ngap: 5\n"),
        yaml("split", "separate", "kind: separate\nvalidation: {}\n"),
        yaml("bag options", "", &config("config/bag_dataset.yaml")),
        yaml(
            "camera",
            "",
            "%YAML:1.0\nwidth: 640\nheight: 480\nfx: 525\nfy: 525\ncx: 319.5\ncy: 239.5\ndistortion: !equidistant [0.1, 0, 0, 0]\n",
        ),
        pose_text("space", GRAPH),
        pose_text("plane", PLANAR_GRAPH),
        pose_text("tum", "# stamp tx ty tz qx qy qz qw\n1.5 0 0 0 0 0 0 1\n1700000000.123456789 1 2 3 0 0 0.6 0.8\n"),
    ]
}

/// Operations of `transforms` and `node`, as their bytes.
fn sequences() -> Vec<Seed> {
    let transform = [128, 112, 112, 113, 112, 112];
    let insert = |parent: u8, child: u8, is_static: u8| [&[4, 0, parent, child, is_static][..], &transform].concat();
    let look_up = |target: u8, source: u8| vec![0, 4, target, source];
    let tree = [
        vec![6],
        insert(0, 1, 0),
        insert(1, 2, 0),
        insert(2, 4, 1),
        look_up(0, 4),
        insert(1, 2, 0),
        look_up(4, 0),
        vec![4, 6, 70, 1],
        vec![4, 6, 70, 0],
        look_up(0, 7),
        vec![6, 7],
    ];
    let image = |at: u8| [vec![5, 0, 0, 3], vec![at; 16]].concat();
    let imu = [4, 3, 0, 4, 112, 113, 112, 112, 112, 223];
    let odometry = [4, 5, 0, 1, 128, 112, 112, 112, 112, 113, 0];
    let drive = |flags: u8| {
        let mut bytes = vec![flags];
        for index in 0..8 {
            bytes.extend([image(70 + index), imu.to_vec(), odometry.to_vec(), imu.to_vec(), vec![5, 7]].concat());
        }
        bytes
    };
    let node = [0b0000_0111, 0b0000_1111, 0b0001_0011, 0b0010_0101, 0b0000_0001];
    let mut seeds: Vec<Seed> = node.iter().map(|flags| ("node", format!("drive{flags:02x}"), drive(*flags))).collect();
    seeds.push(("transforms", "robot".into(), tree.concat()));
    seeds
}
