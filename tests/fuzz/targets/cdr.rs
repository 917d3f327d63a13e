//! Every message type that the node and the dataset read, from its bytes to what the node makes of it. The first byte
//! chooses the type.

use vloc::Stamp;
use vloc::middleware::{Incoming, Picture, messages};
use vloc::msg::diagnostic_msgs::DiagnosticArray;
use vloc::msg::geometry_msgs::{PoseStamped, PoseWithCovarianceStamped};
use vloc::msg::nav_msgs::{Odometry, Path};
use vloc::msg::rosgraph_msgs::Clock;
use vloc::msg::sensor_msgs::{CameraInfo, CompressedImage, Image, Imu};
use vloc::msg::std_msgs::Header;
use vloc::msg::tf2_msgs::TFMessage;
use vloc::msg::{RosMessage, cdr, convert};
use vloc::sensor::CameraModel;
use vloc::vision::{Preprocessor, decode, decode_compressed};

pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 13 {
        0 => read(bytes, |message: Image| check(messages::image(message))),
        1 => read(bytes, |message: CompressedImage| check(messages::compressed_image(message))),
        2 => read(bytes, |message: CameraInfo| {
            check(messages::camera_info(&message, false));
            check(messages::camera_info(&message, true));
        }),
        3 => read(bytes, |message: TFMessage| {
            check(messages::transforms(&message, false));
            check(messages::transforms(&message, true));
        }),
        4 => read(bytes, |message: Imu| check(messages::imu(&message))),
        5 => read(bytes, |message: Odometry| check(messages::odometry(&message))),
        6 => read(bytes, |message: PoseWithCovarianceStamped| check(messages::initial_pose(&message))),
        7 => read(bytes, |message: Clock| {
            let _ = Stamp::from(message.clock);
        }),
        8 => read(bytes, |message: Header| drop(convert::stamp_of(&message))),
        9 => read(bytes, |message: PoseStamped| drop(message)),
        10 => read(bytes, |message: Path| drop(message)),
        11 => read(bytes, |message: DiagnosticArray| drop(message)),
        _ => read(bytes, |message: CameraInfo| drop(CameraModel::try_from(&message))),
    }
}

/// What is read is written so that it reads back the same.
fn read<T: RosMessage>(bytes: &[u8], carry_on: impl Fn(T)) {
    let Ok(message) = cdr::from_bytes::<T>("/topic", bytes) else { return };
    let written = cdr::to_bytes(&message);
    let again = cdr::from_bytes::<T>("/topic", &written).expect("what was written");
    assert_eq!(cdr::to_bytes(&again), written);
    carry_on(message);
}

fn check(incoming: Incoming) {
    match incoming {
        Incoming::Image(Picture::Raw(image)) => drop(decode(&image)),
        Incoming::Image(Picture::Compressed(image)) => drop(decode_compressed(&image)),
        Incoming::CameraInfo(camera) => drop(Preprocessor::new(&camera, &CameraModel::pinhole(16, 12, 12.0))),
        Incoming::Transforms { transforms, .. } => {
            assert!(transforms.iter().all(|transform| transform.parent_from_child.is_finite()));
        }
        Incoming::Imu { sample, .. } => assert!(sample.is_finite()),
        Incoming::Odometry(odometry) => assert!(odometry.parent_from_child.is_finite()),
        Incoming::InitialPose(pose) => {
            assert!(pose.map_from_base.is_finite());
            assert!(pose.covariance.matrix().iter().all(|value| value.is_finite()));
        }
        Incoming::Refused { error, .. } => assert!(!error.to_string().is_empty()),
        // A port's other news are not made of bytes.
        #[allow(unreachable_patterns, reason = "the port may learn more")]
        _ => {}
    }
}
