//! A bag as the port: what was recorded comes by its recorded time, what the node says is written beside it.
//!
//! Time is the log time of the newest message, so nothing depends on the machine: the same bag and the same node
//! write the same bytes. With a rate, messages are held back until their time has come, for watching.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Incoming, Input, Middleware, Names, Outgoing, messages};
use crate::bag::{BagMessage, BagReader, BagWriter, Messages, Storage, TRANSIENT_LOCAL_QOS, TopicInfo};
use crate::config::{Config, ImageTransport, OdometrySource};
use crate::msg::{RosMessage, cdr, diagnostic_msgs, geometry_msgs, nav_msgs, sensor_msgs, tf2_msgs};
use crate::{Error, Result, Stamp};

/// A bag that plays. See the module's text.
pub struct Replay {
    messages: Messages,
    topics: HashMap<Arc<str>, TopicInfo>,
    inputs: HashMap<String, Decoder>,
    rectified_images: bool,
    outputs: Outputs,
    node_name: String,
    writer: BagWriter,
    now: Stamp,
    pace: Option<Pace>,
    failure: Option<Error>,
}

/// What to make of the messages of a topic.
#[derive(Clone, Copy, Debug)]
enum Decoder {
    Image,
    CompressedImage,
    CameraInfo,
    Transforms { is_static: bool },
    Imu,
    Odometry,
    InitialPose,
}

struct Outputs {
    pose: String,
    absolute_pose: String,
    odometry: String,
    path: String,
    transforms: String,
    diagnostics: String,
}

impl Outputs {
    fn new(names: &Names) -> Result<Self> {
        Ok(Self {
            pose: names.resolve("pose")?,
            absolute_pose: names.resolve("absolute_pose")?,
            odometry: names.resolve("odometry")?,
            path: names.resolve("path")?,
            transforms: names.resolve("/tf")?,
            diagnostics: names.resolve("/diagnostics")?,
        })
    }

    /// Two nodes' answers must not mix on one topic.
    fn check_free(&self, reader: &BagReader, use_estimator: bool) -> Result<()> {
        let ours = [
            ("pose", &self.pose),
            ("absolute_pose", &self.absolute_pose),
            ("path", &self.path),
            ("odometry", &self.odometry),
        ];
        let written = if use_estimator { ours.as_slice() } else { &ours[..3] };
        match written.iter().find(|(_, name)| reader.topic(name).is_some()) {
            None => Ok(()),
            Some((topic, name)) => {
                let found = format!("messages on it; give the node's another name: -r {topic}:=/vloc{name}");
                Err(Error::format(reader.path(), format!("a bag without the topic {name}"), found))
            }
        }
    }
}

/// Seconds of the recording per second of the day.
struct Pace {
    rate: f64,
    start: Option<(Stamp, Instant)>,
}

impl Replay {
    /// Plays `bag`, and writes it together with the node's messages into the new mcap bag `output`.
    ///
    /// # Errors
    /// What opening and creating say; [`Error::Format`] when the bag has no images on the node's topic (those that it
    /// has are listed) or has another node's `pose` where ours would go.
    pub fn open(bag: &Path, output: &Path, config: &Config, names: &Names, rate: Option<f64>) -> Result<Self> {
        let reader = BagReader::open(bag)?;
        let (image, decoder, image_type) = match config.image_transport {
            ImageTransport::Raw => (names.resolve("image")?, Decoder::Image, sensor_msgs::Image::TYPE),
            ImageTransport::Compressed => {
                (names.resolve("image/compressed")?, Decoder::CompressedImage, sensor_msgs::CompressedImage::TYPE)
            }
        };
        check_images(&reader, &image, image_type)?;
        let outputs = Outputs::new(names)?;
        outputs.check_free(&reader, config.use_estimator)?;
        let mut inputs = HashMap::from([
            (image, decoder),
            (names.resolve("camera_info")?, Decoder::CameraInfo),
            (names.resolve("/tf")?, Decoder::Transforms { is_static: false }),
            (names.resolve("/tf_static")?, Decoder::Transforms { is_static: true }),
        ]);
        inputs.insert(names.resolve("initialpose")?, Decoder::InitialPose);
        if config.use_imu {
            inputs.insert(names.resolve("imu")?, Decoder::Imu);
        }
        if config.odometry_source == OdometrySource::Topic {
            inputs.insert(names.resolve("odom")?, Decoder::Odometry);
        }
        let mut writer = BagWriter::create(output, Storage::Mcap)?;
        for topic in reader.topics() {
            writer.add_topic(&topic.name, &topic.message_type, &topic.definition, &topic.offered_qos_profiles)?;
        }
        let pose_type =
            (geometry_msgs::PoseWithCovarianceStamped::TYPE, geometry_msgs::PoseWithCovarianceStamped::DEFINITION);
        writer.add_topic(&outputs.pose, pose_type.0, pose_type.1, TRANSIENT_LOCAL_QOS)?;
        Ok(Self {
            messages: reader.messages(None)?,
            topics: reader.topics().iter().map(|topic| (topic.name.clone(), topic.clone())).collect(),
            inputs,
            rectified_images: config.rectified_images,
            outputs,
            node_name: names.absolute_node_name(),
            writer,
            now: reader.start().unwrap_or_default(),
            pace: rate.map(|rate| Pace { rate, start: None }),
            failure: None,
        })
    }

    /// Ends the output bag.
    ///
    /// # Errors
    /// What ended the input before its end (the output holds what came before), or what the writer says.
    pub fn finish(self) -> Result<()> {
        self.writer.finish()?;
        self.failure.map_or(Ok(()), Err)
    }

    /// Copies a message to the output; `None` for one that the node does not listen to.
    fn take(&mut self, message: &BagMessage) -> Result<Option<Incoming>> {
        if let Some(topic) = self.topics.get(&message.topic) {
            let (message_type, definition) = (&topic.message_type, &topic.definition);
            self.writer.write_raw(&topic.name, message_type, definition, message.log_stamp, &message.data)?;
        }
        let Some(decoder) = self.inputs.get(&*message.topic) else { return Ok(None) };
        Ok(Some(self.decode(*decoder, message)))
    }

    fn decode(&self, decoder: Decoder, message: &BagMessage) -> Incoming {
        fn parsed<T: RosMessage>(message: &BagMessage, input: Input, convert: impl Fn(T) -> Incoming) -> Incoming {
            match cdr::from_bytes(&message.topic, &message.data) {
                Ok(message) => convert(message),
                Err(error) => Incoming::Refused { input, error },
            }
        }
        let rectified = self.rectified_images;
        match decoder {
            Decoder::Image => parsed(message, Input::Image, messages::image),
            Decoder::CompressedImage => parsed(message, Input::Image, messages::compressed_image),
            Decoder::CameraInfo => parsed(message, Input::CameraInfo, |info| messages::camera_info(&info, rectified)),
            Decoder::Imu => parsed(message, Input::Imu, |imu: sensor_msgs::Imu| messages::imu(&imu)),
            Decoder::Odometry => {
                parsed(message, Input::Odometry, |odometry: nav_msgs::Odometry| messages::odometry(&odometry))
            }
            Decoder::InitialPose => {
                parsed(message, Input::InitialPose, |pose: geometry_msgs::PoseWithCovarianceStamped| {
                    messages::initial_pose(&pose)
                })
            }
            Decoder::Transforms { is_static } => {
                parsed(message, Input::Transforms, |transforms: tf2_msgs::TFMessage| {
                    messages::transforms(&transforms, is_static)
                })
            }
        }
    }
}

impl Middleware for Replay {
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            let taken = self.messages.next()?.and_then(|message| {
                self.now = message.log_stamp;
                self.take(&message)
            });
            match taken {
                Ok(None) => {}
                Ok(Some(incoming)) => {
                    if let Some(pace) = &mut self.pace {
                        pace.wait_for(self.now).await;
                    }
                    return Some(incoming);
                }
                Err(error) => {
                    self.failure = Some(error);
                    return None;
                }
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<()> {
        match outgoing {
            Outgoing::Pose(pose) => self.writer.write(&self.outputs.pose, self.now, &messages::pose_message(&pose)),
            Outgoing::AbsolutePose(pose) => {
                self.writer.write(&self.outputs.absolute_pose, self.now, &messages::pose_message(&pose))
            }
            Outgoing::Odometry(odometry) => {
                self.writer.write(&self.outputs.odometry, self.now, &messages::odometry_message(&odometry))
            }
            Outgoing::Transform(transform) => {
                self.writer.write(&self.outputs.transforms, self.now, &messages::transform_message(&transform))
            }
            Outgoing::Path(path) => self.writer.write(&self.outputs.path, self.now, &messages::path_message(&path)),
            // A replay has neither a lifecycle nor anybody who changes parameters.
            Outgoing::Parameters(_) | Outgoing::Transition(_) => Ok(()),
            Outgoing::Diagnostics(report) => {
                let message: diagnostic_msgs::DiagnosticArray = messages::diagnostics_message(&report, &self.node_name);
                self.writer.write(&self.outputs.diagnostics, self.now, &message)
            }
        }
    }

    fn now(&self) -> Stamp {
        self.now
    }
}

impl Pace {
    async fn wait_for(&mut self, stamp: Stamp) {
        let (first, began) = *self.start.get_or_insert_with(|| (stamp, Instant::now()));
        let seconds = (stamp.seconds_since(first) / self.rate).clamp(0.0, 1e9);
        tokio::time::sleep_until(began + Duration::from_secs_f64(seconds)).await;
    }
}

fn check_images(reader: &BagReader, image: &str, image_type: &str) -> Result<()> {
    if reader.topic(image).is_some_and(|topic| topic.message_type == image_type && topic.message_count > 0) {
        return Ok(());
    }
    let is_image = |topic: &&TopicInfo| {
        [sensor_msgs::Image::TYPE, sensor_msgs::CompressedImage::TYPE].contains(&topic.message_type.as_str())
    };
    let found: Vec<String> = reader
        .topics()
        .iter()
        .filter(is_image)
        .map(|topic| format!("{} ({})", topic.name, topic.message_type))
        .collect();
    let found = match found.as_slice() {
        [] => "no images at all".to_owned(),
        found => format!(
            "images on {}; name them with -r image:=TOPIC, compressed ones with -r image/compressed:=TOPIC and \
             -p image_transport:=compressed",
            found.join(", ")
        ),
    };
    Err(Error::format(reader.path(), format!("images of type {image_type} on {image}"), found))
}
