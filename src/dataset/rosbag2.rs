//! A rosbag2 as a training set: the images of one topic, each with the pose that the recording knew for its stamp.
//!
//! Poses come from `/tf` (the default) or from a topic of `PoseStamped`, `PoseWithCovarianceStamped` or `Odometry`, and
//! are interpolated at the images' stamps. They are never extrapolated: an image before the first pose, after the
//! last, or in a gap between poses that is longer than [`RosbagDatasetOptions::longest_gap`] is left out and counted
//! in [`Dataset::notes`]. The way from the posed frame to the camera comes from `/tf_static` or the options; where
//! neither has it, that is an error, not an identity. Images stay in the bag until they are asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use nalgebra::Vector3;
use serde::{Deserialize, Serialize};

use super::rosbag2_poses::{NoPose, Poses};
use super::{Dataset, FrameInfo};
use crate::bag::{BagReader, MessagePosition, TopicInfo};
use crate::geometry::{Se3, So3};
use crate::msg::sensor_msgs::{CameraInfo, CompressedImage, Image};
use crate::msg::std_msgs::Header;
use crate::msg::tf2_msgs::TFMessage;
use crate::msg::{RosMessage, cdr, convert};
use crate::sensor::{CameraModel, Distortion};
use crate::{Error, Result, Stamp, vision};

/// What is what in a bag. Every default fits a bag with one camera, its `camera_info`, `/tf` and `/tf_static`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RosbagDatasetOptions {
    /// Topic of the images, raw or compressed. Default: the only one there is.
    pub image_topic: Option<String>,
    /// Topic of the calibration. Default: `camera_info` beside the image topic.
    pub camera_info_topic: Option<String>,
    /// The calibration, instead of a topic's.
    pub camera: Option<CameraModel>,
    /// The images are rectified already: their camera is `p` of the calibration topic, without distortion.
    pub is_rectified: bool,
    /// Topic of the poses; its frame is the map. Default: `/tf`.
    pub pose_topic: Option<String>,
    /// With `/tf`: the frame that poses are wanted in.
    pub map_frame: String,
    /// The frame whose poses the pose topic has. Default: an Odometry's `child_frame_id`, otherwise `base_link`.
    pub base_frame: Option<String>,
    /// The camera's optical frame. Default: `frame_id` of the images.
    pub camera_frame: Option<String>,
    /// Pose of the camera's optical frame in `base_frame`, instead of that in `/tf_static`.
    pub base_from_camera: Option<CameraExtrinsics>,
    /// Images between poses that are further apart than this are left out, seconds.
    pub longest_gap: f64,
}

impl Default for RosbagDatasetOptions {
    fn default() -> Self {
        Self {
            image_topic: None,
            camera_info_topic: None,
            camera: None,
            is_rectified: false,
            pose_topic: None,
            map_frame: "map".into(),
            base_frame: None,
            camera_frame: None,
            base_from_camera: None,
            longest_gap: 0.5,
        }
    }
}

/// Where a camera sits on its robot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraExtrinsics {
    /// Metres.
    pub translation: [f64; 3],
    /// Unit quaternion x, y, z, w.
    pub rotation_xyzw: [f64; 4],
}

impl TryFrom<CameraExtrinsics> for Se3 {
    type Error = Error;

    fn try_from(extrinsics: CameraExtrinsics) -> Result<Se3> {
        let [x, y, z, w] = extrinsics.rotation_xyzw;
        let found = || format!("{extrinsics:?}");
        let refused = || Error::config("base_from_camera", "finite numbers and a unit quaternion", found());
        let rotation = So3::from_xyzw(x, y, z, w).ok_or_else(refused)?;
        let base_from_camera = Se3::new(rotation, Vector3::from(extrinsics.translation));
        if base_from_camera.is_finite() { Ok(base_from_camera) } else { Err(refused()) }
    }
}

/// The posed images of a bag.
pub struct RosbagDataset {
    name: String,
    reader: BagReader,
    image_topic: TopicInfo,
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    positions: Vec<MessagePosition>,
    notes: Vec<String>,
}

/// An image before it has a pose.
struct ImageEntry {
    stamp: Stamp,
    position: MessagePosition,
}

/// What one pass over the bag finds.
struct Contents {
    images: Vec<ImageEntry>,
    image_frame: String,
    poses: Poses,
    camera: Option<CameraModel>,
}

impl RosbagDataset {
    /// Whether a path looks like a bag: a folder with `metadata.yaml`, or a file of a known storage.
    pub fn recognises(path: &Path) -> bool {
        let is_storage = path.extension().is_some_and(|extension| extension == "mcap" || extension == "db3");
        path.join("metadata.yaml").is_file() || (path.is_file() && is_storage)
    }

    /// Whether a bag has the topic of poses that the options name.
    ///
    /// # Errors
    /// [`Error::Config`] that lists the bag's topics, or the types that are poses.
    pub fn check_pose_topic(reader: &BagReader, options: &RosbagDatasetOptions) -> Result<()> {
        Poses::new(reader, options).map(drop)
    }

    /// Reads a bag once and lists its images that have a pose.
    ///
    /// # Errors
    /// [`Error::Config`] when a topic or frame must be named; [`Error::Format`] when the bag lacks what is needed or no
    /// image has a pose (the notes say why); [`Error::Message`] for calibrations that cannot be used.
    pub fn open(path: &Path, options: &RosbagDatasetOptions) -> Result<Self> {
        let longest_gap = Duration::try_from_secs_f64(options.longest_gap)
            .map_err(|error| Error::config("longest_gap", "seconds", format!("{} ({error})", options.longest_gap)))?;
        let reader = BagReader::open(path)?;
        let image_topic = image_topic(&reader, options)?;
        let mut contents = read(&reader, &image_topic, options)?;
        let camera = match options.camera.or(contents.camera) {
            Some(camera) => camera,
            None => {
                let expected =
                    format!("messages on {}, or a camera in the options", camera_info_topic(&image_topic, options));
                return Err(Error::format(path, expected, "none"));
            }
        };
        let camera_frame = options.camera_frame.clone().unwrap_or_else(|| contents.image_frame.clone());
        let base_from_camera = options.base_from_camera.map(Se3::try_from).transpose()?;
        let map_from_camera = contents.poses.finish(options, &camera_frame, base_from_camera, longest_gap)?;
        contents.images.sort_by_key(|image| image.stamp);
        let mut dataset = Self {
            name: path.file_stem().map_or("bag".into(), |name| name.to_string_lossy().into_owned()),
            reader,
            image_topic,
            camera,
            frames: Vec::new(),
            positions: Vec::new(),
            notes: contents.poses.notes(),
        };
        dataset.pose_images(&contents.images, map_from_camera)?;
        Ok(dataset)
    }

    fn pose_images(
        &mut self,
        images: &[ImageEntry],
        map_from_camera: impl Fn(Stamp) -> Result<Result<Se3, NoPose>>,
    ) -> Result<()> {
        let (mut before, mut after, mut in_gap, mut repeated) = (0, 0, 0, 0);
        for image in images {
            if self.frames.last().is_some_and(|last| last.stamp == image.stamp) {
                repeated += 1;
                continue;
            }
            match map_from_camera(image.stamp)? {
                Ok(map_from_camera) => {
                    let name = format!("{}@{}", self.image_topic.name.trim_start_matches('/'), image.stamp);
                    self.frames.push(FrameInfo { name, stamp: image.stamp, sequence: 0, map_from_camera });
                    self.positions.push(image.position);
                }
                Err(NoPose::BeforeFirst) => before += 1,
                Err(NoPose::AfterLast) => after += 1,
                Err(NoPose::InGap) => in_gap += 1,
            }
        }
        let counts = [
            (before, "images before the first pose left out"),
            (after, "images after the last pose left out"),
            (in_gap, "images in gaps between poses left out"),
            (repeated, "images with the stamp of another left out"),
        ];
        self.notes.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
        if self.frames.is_empty() {
            let found = format!("{} images: {}", images.len(), self.notes.join("; "));
            return Err(Error::format(self.reader.path(), "images with poses", found));
        }
        Ok(())
    }
}

impl Dataset for RosbagDataset {
    fn name(&self) -> &str {
        &self.name
    }

    fn camera(&self) -> &CameraModel {
        &self.camera
    }

    fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    fn image(&self, index: usize) -> Result<RgbImage> {
        let (Some(position), Some(frame)) = (self.positions.get(index), self.frames.get(index)) else {
            let expected = format!("a frame below {}", self.frames.len());
            return Err(Error::format(self.reader.path(), expected, index.to_string()));
        };
        let named = |error: Error| Error::format(self.reader.path().join(&frame.name), "an image", error.to_string());
        let data = self.reader.read_at(*position)?;
        let decoded = match self.image_topic.message_type.as_str() {
            Image::TYPE => cdr::from_bytes::<Image>("image", &data)
                .and_then(crate::sensor::Image::try_from)
                .and_then(|image| vision::decode(&image)),
            _ => cdr::from_bytes::<CompressedImage>("image", &data)
                .and_then(crate::sensor::CompressedImage::try_from)
                .and_then(|image| vision::decode_compressed(&image)),
        };
        let decoded = decoded.map_err(named)?;
        let (width, height) = decoded.dimensions();
        if (width, height) != (self.camera.width, self.camera.height) {
            let expected = format!("{} x {} pixels, as its camera has", self.camera.width, self.camera.height);
            let path: PathBuf = self.reader.path().join(&frame.name);
            return Err(Error::format(path, expected, format!("{width} x {height}")));
        }
        Ok(decoded)
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn is_image(topic: &TopicInfo) -> bool {
    matches!(topic.message_type.as_str(), Image::TYPE | CompressedImage::TYPE)
}

fn image_topic(reader: &BagReader, options: &RosbagDatasetOptions) -> Result<TopicInfo> {
    let images: Vec<&TopicInfo> = reader.topics().iter().filter(|topic| is_image(topic)).collect();
    let names = || images.iter().map(|topic| &*topic.name).collect::<Vec<_>>().join(", ");
    match (&options.image_topic, images.as_slice()) {
        (Some(name), images) => {
            let found = || format!("{name}; image topics of the bag: {}", names());
            let topic = images.iter().find(|topic| *topic.name == **name);
            topic.map(|topic| (*topic).clone()).ok_or_else(|| Error::config("image_topic", "an image topic", found()))
        }
        (None, [topic]) => Ok((*topic).clone()),
        (None, []) => Err(Error::format(reader.path(), "a topic of Image or CompressedImage", "none")),
        (None, _) => Err(Error::config("image_topic", "the name of one of the bag's image topics", names())),
    }
}

/// `camera_info` beside the image topic, as image_transport names it.
fn camera_info_topic(image_topic: &TopicInfo, options: &RosbagDatasetOptions) -> String {
    let beside = || {
        let raw = image_topic.name.strip_suffix("/compressed").unwrap_or(&image_topic.name);
        let camera = raw.rsplit_once('/').map_or("", |(camera, _)| camera);
        format!("{camera}/camera_info")
    };
    options.camera_info_topic.clone().unwrap_or_else(beside)
}

fn read(reader: &BagReader, image_topic: &TopicInfo, options: &RosbagDatasetOptions) -> Result<Contents> {
    let info_topic = camera_info_topic(image_topic, options);
    let mut poses = Poses::new(reader, options)?;
    let wanted = [&*image_topic.name, poses.topic(), "/tf_static", &info_topic];
    let topics: Vec<&str> = wanted.into_iter().filter(|name| reader.topic(name).is_some()).collect();
    let mut contents_of_images = (Vec::new(), String::new());
    let mut camera = None;
    let mut messages = reader.messages(Some(&topics))?;
    while let Some(next) = messages.next_with_position() {
        let (message, position) = next?;
        if message.topic == image_topic.name {
            let header: Header = cdr::from_bytes(&message.topic, &message.data)?;
            contents_of_images.0.push(ImageEntry { stamp: convert::stamp_of(&header)?, position });
            contents_of_images.1 = header.frame_id;
        } else if *message.topic == *info_topic {
            let info: CameraInfo = cdr::from_bytes(&message.topic, &message.data)?;
            note_camera(&mut camera, &info, options.is_rectified)?;
        } else if &*message.topic == "/tf_static" {
            poses.add_static(&cdr::from_bytes::<TFMessage>(&message.topic, &message.data)?)?;
        } else {
            poses.add(&message)?;
        }
    }
    let (images, image_frame) = contents_of_images;
    Ok(Contents { images, image_frame, poses, camera })
}

fn note_camera(camera: &mut Option<CameraModel>, info: &CameraInfo, is_rectified: bool) -> Result<()> {
    let mut model = CameraModel::try_from(info)?;
    if is_rectified {
        let [fx, _, cx, _, _, fy, cy, ..] = info.p;
        model = CameraModel { fx, fy, cx, cy, distortion: Distortion::None, ..model };
    }
    match camera {
        Some(known) if *known != model => {
            Err(Error::message("CameraInfo", "one calibration in the whole bag", "one that changes"))
        }
        _ => {
            *camera = Some(model);
            Ok(())
        }
    }
}
