//! What is in a bag: topics, rates, gaps, stamps that cannot be right, image sizes. One pass over all messages.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{BagReader, TopicInfo};
use crate::msg::sensor_msgs::{CompressedImage, Image};
use crate::msg::std_msgs::Header;
use crate::msg::tf2_msgs::TFMessage;
use crate::msg::{RosMessage, cdr, convert};
use crate::{Error, Result, Stamp};

/// A header's stamp further than this from the log time is of another clock, or late.
const LARGE_OFFSET: f64 = 1.0;

/// What is in a bag. Stamps are nanoseconds, durations seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BagSummary {
    /// What was inspected.
    pub path: PathBuf,
    /// `mcap` or `sqlite3`.
    pub storage: &'static str,
    /// Log time of the first message.
    pub start: Option<Stamp>,
    /// Log time of the last message.
    pub end: Option<Stamp>,
    /// From the first to the last message, s.
    pub duration: f64,
    /// Messages that were read.
    pub message_count: u64,
    /// What is wrong with the bag as a whole, for a person to read.
    pub problems: Vec<String>,
    /// By name.
    pub topics: Vec<TopicSummary>,
}

/// What is in a topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// Its type.
    pub message_type: String,
    /// Messages that were read.
    pub message_count: u64,
    /// One over the median gap between log times, Hz.
    pub median_rate: Option<f64>,
    /// The longest time without a message between its first and last, s.
    pub largest_gap: Option<f64>,
    /// The stamps in the messages, for types that have a header and for `/tf`.
    pub stamps: Option<StampSummary>,
    /// Each size and encoding of the images.
    pub images: Vec<ImageSummary>,
    /// Messages that could not be decoded, of the types that are decoded here.
    pub undecodable: u64,
}

/// The stamps inside the messages of a topic. Those of `TFMessage` are compared per child frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StampSummary {
    /// The first message's.
    pub first: Stamp,
    /// The last message's.
    pub last: Stamp,
    /// Stamps before the one before them.
    pub backwards: u64,
    /// Stamps equal to the one before them.
    pub duplicates: u64,
    /// Stamps of zero.
    pub zero: u64,
    /// Median of log time minus stamp, s.
    pub median_offset: f64,
    /// The offset that is farthest from the median, s.
    pub extreme_offset: f64,
}

/// A size and encoding that images of a topic have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The encoding of a raw image, the format of a compressed one.
    pub encoding: String,
    /// How many images have them.
    pub count: u64,
}

/// Reads a whole bag and says what is in it.
///
/// # Errors
/// As [`BagReader::open`]. A bag that is damaged is summarized as far as it can be read, with the damage among its
/// problems.
pub fn inspect_bag(path: &Path) -> Result<BagSummary> {
    let reader = BagReader::open(path)?;
    let mut problems = Vec::new();
    let mut tallies: BTreeMap<&str, Tally> =
        reader.topics().iter().map(|topic| (&*topic.name, Tally::new(topic))).collect();
    let mut message_count = 0;
    for message in reader.messages(None)? {
        match message {
            Ok(message) => {
                message_count += 1;
                if let Some(tally) = tallies.get_mut(&*message.topic) {
                    tally.add(message.log_stamp, &message.data);
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if let Some(announced) = reader.announced_message_count().filter(|announced| *announced != message_count) {
        problems.push(format!("metadata.yaml announces {announced} messages, the files have {message_count}"));
    }
    let (start, end) = (reader.start(), reader.end());
    Ok(BagSummary {
        path: path.to_owned(),
        storage: reader.storage().identifier(),
        start,
        end,
        duration: start.zip(end).map_or(0.0, |(start, end)| end.seconds_since(start)),
        message_count,
        problems,
        topics: tallies.into_values().map(Tally::finish).collect(),
    })
}

impl TopicSummary {
    /// What is wrong with the topic, for a person to read.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut count = |number: u64, what: &str| {
            if number > 0 {
                problems.push(format!("{number} {what}"));
            }
        };
        count(self.undecodable, "undecodable");
        if let Some(stamps) = &self.stamps {
            count(stamps.zero, "zero stamps");
            count(stamps.backwards, "stamps go back");
            count(stamps.duplicates, "stamps repeat");
            if stamps.median_offset.abs() > LARGE_OFFSET {
                problems.push(format!("stamps {:.3} s before log time (another clock?)", stamps.median_offset));
            } else if (stamps.extreme_offset - stamps.median_offset).abs() > LARGE_OFFSET {
                problems.push(format!("a stamp {:.3} s before log time", stamps.extreme_offset));
            }
        }
        if self.images.len() > 1 {
            problems.push(format!("{} image sizes or encodings", self.images.len()));
        }
        problems
    }
}

/// Which part of a message's content is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Content {
    Image,
    CompressedImage,
    Transforms,
    Header,
    Opaque,
}

impl Content {
    fn of(topic: &TopicInfo) -> Self {
        let has_header = || {
            let mut lines = topic.definition.lines().map(str::trim);
            let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
            match first {
                Some(line) => line.split_whitespace().next() == Some("std_msgs/Header"),
                None => is_known_to_have_header(&topic.message_type),
            }
        };
        match topic.message_type.as_str() {
            Image::TYPE => Content::Image,
            CompressedImage::TYPE => Content::CompressedImage,
            // latched transforms are true always: their stamps mean nothing
            TFMessage::TYPE if &*topic.name != "/tf_static" => Content::Transforms,
            TFMessage::TYPE => Content::Opaque,
            _ if topic.serialization_format == "cdr" && has_header() => Content::Header,
            _ => Content::Opaque,
        }
    }
}

/// For bags that carry no definitions: the stamped types of `sensor_msgs`, `geometry_msgs` and `nav_msgs`.
fn is_known_to_have_header(message_type: &str) -> bool {
    const WITHOUT: [&str; 6] =
        ["ChannelFloat32", "JoyFeedback", "JoyFeedbackArray", "NavSatStatus", "PointField", "RegionOfInterest"];
    match message_type.split_once("/msg/") {
        Some(("sensor_msgs", name)) => !WITHOUT.contains(&name),
        Some(("geometry_msgs", name)) => name.ends_with("Stamped") || name == "PoseArray",
        Some(("nav_msgs", name)) => matches!(name, "Odometry" | "Path" | "OccupancyGrid" | "GridCells"),
        _ => false,
    }
}

/// A topic while it is read.
struct Tally {
    content: Content,
    summary: TopicSummary,
    last_log: Option<Stamp>,
    gaps: Vec<i64>,
    stamps: Option<StampSummary>,
    /// The last stamp of each child frame; of other messages under the empty name.
    last_stamps: HashMap<String, Stamp>,
    offsets: Vec<i64>,
}

impl Tally {
    fn new(topic: &TopicInfo) -> Self {
        let summary = TopicSummary {
            name: topic.name.to_string(),
            message_type: topic.message_type.clone(),
            message_count: 0,
            median_rate: None,
            largest_gap: None,
            stamps: None,
            images: Vec::new(),
            undecodable: 0,
        };
        let content = Content::of(topic);
        let (gaps, offsets, last_stamps) = (Vec::new(), Vec::new(), HashMap::new());
        Self { content, summary, last_log: None, gaps, stamps: None, last_stamps, offsets }
    }

    fn add(&mut self, log_stamp: Stamp, data: &[u8]) {
        self.summary.message_count += 1;
        if let Some(last) = self.last_log.replace(log_stamp) {
            self.gaps.push(log_stamp.nanos_since(last));
        }
        if self.look_into(log_stamp, data).is_err() {
            self.summary.undecodable += 1;
        }
    }

    fn look_into(&mut self, log_stamp: Stamp, data: &[u8]) -> Result<()> {
        let what = self.summary.name.clone();
        match self.content {
            Content::Opaque => {}
            Content::Header => {
                let header: Header = cdr::from_bytes(&what, data)?;
                self.add_stamp(log_stamp, "", convert::stamp_of(&header)?);
            }
            Content::Image => {
                let image: Image = cdr::from_bytes(&what, data)?;
                self.add_stamp(log_stamp, "", convert::stamp_of(&image.header)?);
                self.add_image(image.width, image.height, &image.encoding);
            }
            Content::CompressedImage => {
                let image: CompressedImage = cdr::from_bytes(&what, data)?;
                self.add_stamp(log_stamp, "", convert::stamp_of(&image.header)?);
                let (width, height) = compressed_dimensions(&what, &image.data)?;
                self.add_image(width, height, &image.format);
            }
            Content::Transforms => {
                let message: TFMessage = cdr::from_bytes(&what, data)?;
                for transform in message.transforms {
                    self.add_stamp(log_stamp, &transform.child_frame_id, convert::stamp_of(&transform.header)?);
                }
            }
        }
        Ok(())
    }

    fn add_stamp(&mut self, log_stamp: Stamp, child: &str, stamp: Stamp) {
        let summary = self.stamps.get_or_insert_with(|| StampSummary { first: stamp, ..StampSummary::default() });
        summary.last = stamp;
        summary.zero += u64::from(stamp == Stamp::default());
        self.offsets.push(log_stamp.nanos_since(stamp));
        match self.last_stamps.get_mut(child) {
            Some(last) => {
                summary.backwards += u64::from(stamp < *last);
                summary.duplicates += u64::from(stamp == *last);
                *last = stamp;
            }
            None => {
                self.last_stamps.insert(child.to_owned(), stamp);
            }
        }
    }

    fn add_image(&mut self, width: u32, height: u32, encoding: &str) {
        let images = &mut self.summary.images;
        let same = |image: &&mut ImageSummary| {
            (image.width, image.height, image.encoding.as_str()) == (width, height, encoding)
        };
        match images.iter_mut().find(same) {
            Some(image) => image.count += 1,
            None => images.push(ImageSummary { width, height, encoding: encoding.to_owned(), count: 1 }),
        }
    }

    fn finish(mut self) -> TopicSummary {
        self.summary.largest_gap = self.gaps.iter().max().map(|gap| *gap as f64 * 1e-9);
        let gap = median(&mut self.gaps).filter(|gap| *gap > 0.0);
        self.summary.median_rate = gap.map(|gap| 1e9 / gap);
        self.summary.stamps = self.stamps.zip(median(&mut self.offsets)).map(|(stamps, middle)| {
            let distance = |offset: &&i64| (**offset as f64 - middle).abs();
            let extreme = self.offsets.iter().max_by(|a, b| distance(a).total_cmp(&distance(b)));
            let extreme_offset = extreme.map_or(middle, |offset| *offset as f64) * 1e-9;
            StampSummary { median_offset: middle * 1e-9, extreme_offset, ..stamps }
        });
        self.summary
    }
}

/// The size that the header of a jpeg or png file gives; the pixels are not decoded.
fn compressed_dimensions(what: &str, bytes: &[u8]) -> Result<(u32, u32)> {
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let dimensions = reader.map_err(image::ImageError::IoError).and_then(|reader| reader.into_dimensions());
    dimensions.map_err(|error| Error::message(what, "a jpeg or png image", error.to_string()))
}

/// The middle value, or the mean of the two middle ones. Sorts.
fn median(values: &mut [i64]) -> Option<f64> {
    values.sort_unstable();
    let upper = *values.get(values.len() / 2)?;
    let lower = if values.len().is_multiple_of(2) { values[values.len() / 2 - 1] } else { upper };
    Some(lower as f64 / 2.0 + upper as f64 / 2.0)
}
