//! The poses of a bag, from `/tf` or a pose topic, and how to interpolate them.

use std::collections::HashMap;
use std::time::Duration;

use super::rosbag2::RosbagDatasetOptions;
use crate::bag::{BagMessage, BagReader};
use crate::geometry::{Se3, Trajectory, TransformError, TransformTree};
use crate::msg::geometry_msgs::{Pose, PoseStamped, PoseWithCovarianceStamped};
use crate::msg::nav_msgs::Odometry;
use crate::msg::std_msgs::Header;
use crate::msg::tf2_msgs::TFMessage;
use crate::msg::{RosMessage, cdr, convert};
use crate::{Error, Result, Stamp};

/// A stamp that jumps back by more than this is another run of the clock, not a late message.
const CLOCK_JUMP: Duration = Duration::from_secs(10);

/// Why an image has no pose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPose {
    BeforeFirst,
    AfterLast,
    InGap,
}

/// From an image's stamp to its `map_from_camera`, or why it has none. The outer error is final: frames that are not
/// connected.
pub(super) type PoseAt = Box<dyn Fn(Stamp) -> Result<Result<Se3, NoPose>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Transforms,
    PoseStamped,
    PoseWithCovarianceStamped,
    Odometry,
}

/// Poses while the bag is read.
pub(super) struct Poses {
    kind: Kind,
    topic: String,
    tree: TransformTree,
    /// Stamps of each moving edge of the tree by its child, and under the empty name those of the pose topic.
    stamps: HashMap<String, Vec<Stamp>>,
    map_from_base: Vec<(Stamp, Se3)>,
    /// `child_frame_id` of an Odometry.
    child_frame: Option<String>,
    refused: u64,
    first_refusal: Option<String>,
}

impl Poses {
    pub(super) fn new(reader: &BagReader, options: &RosbagDatasetOptions) -> Result<Self> {
        let name = options.pose_topic.as_deref().unwrap_or("/tf");
        let Some(topic) = reader.topic(name) else {
            let topics: Vec<&str> = reader.topics().iter().map(|topic| &*topic.name).collect();
            let found = format!("no {name} in {}; the bag has {}", reader.path().display(), topics.join(", "));
            return Err(Error::config("pose_topic", "a topic with poses", found));
        };
        let kind = match topic.message_type.as_str() {
            TFMessage::TYPE => Kind::Transforms,
            PoseStamped::TYPE => Kind::PoseStamped,
            PoseWithCovarianceStamped::TYPE => Kind::PoseWithCovarianceStamped,
            Odometry::TYPE => Kind::Odometry,
            other => {
                let expected = "TFMessage, PoseStamped, PoseWithCovarianceStamped or Odometry";
                return Err(Error::config("pose_topic", expected, format!("{name} of type {other}")));
            }
        };
        Ok(Self {
            kind,
            topic: name.into(),
            tree: TransformTree::new(Duration::MAX),
            stamps: HashMap::new(),
            map_from_base: Vec::new(),
            child_frame: None,
            refused: 0,
            first_refusal: None,
        })
    }

    /// The topic that [`Poses::add`] wants.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn add_static(&mut self, message: &TFMessage) -> Result<()> {
        for transform in &message.transforms {
            let parent_from_child = Se3::try_from(&transform.transform)?;
            let (parent, child) = (&transform.header.frame_id, &transform.child_frame_id);
            self.tree.insert(parent, child, Stamp::default(), parent_from_child, true)?;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, message: &BagMessage) -> Result<()> {
        let (topic, data) = (&*message.topic, &message.data);
        match self.kind {
            Kind::Transforms => self.add_transforms(&cdr::from_bytes(topic, data)?),
            Kind::PoseStamped => {
                let message: PoseStamped = cdr::from_bytes(topic, data)?;
                self.add_pose(&message.header, &message.pose)
            }
            Kind::PoseWithCovarianceStamped => {
                let message: PoseWithCovarianceStamped = cdr::from_bytes(topic, data)?;
                self.add_pose(&message.header, &message.pose.pose)
            }
            Kind::Odometry => {
                let message: Odometry = cdr::from_bytes(topic, data)?;
                self.add_pose(&message.header, &message.pose.pose)?;
                self.child_frame = Some(message.child_frame_id);
                Ok(())
            }
        }
    }

    fn add_pose(&mut self, header: &Header, pose: &Pose) -> Result<()> {
        match Se3::try_from(pose) {
            Ok(map_from_base) => {
                let stamp = convert::stamp_of(header)?;
                self.note_stamp("", stamp)?;
                self.map_from_base.push((stamp, map_from_base));
            }
            Err(error) => self.refuse(&error),
        }
        Ok(())
    }

    fn add_transforms(&mut self, message: &TFMessage) -> Result<()> {
        for transform in &message.transforms {
            match Se3::try_from(&transform.transform) {
                Ok(parent_from_child) => {
                    let stamp = convert::stamp_of(&transform.header)?;
                    let child = transform.child_frame_id.trim_start_matches('/');
                    self.note_stamp(child, stamp)?;
                    self.tree.insert(&transform.header.frame_id, child, stamp, parent_from_child, false)?;
                }
                Err(error) => self.refuse(&error),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, error: &Error) {
        self.refused += 1;
        self.first_refusal.get_or_insert_with(|| error.to_string());
    }

    fn note_stamp(&mut self, child: &str, stamp: Stamp) -> Result<()> {
        if !self.stamps.contains_key(child) {
            self.stamps.insert(child.to_owned(), Vec::new());
        }
        let Some(stamps) = self.stamps.get_mut(child) else { return Ok(()) };
        if let Some(last) = stamps.last().filter(|last| stamp < **last - CLOCK_JUMP) {
            let found = format!("{stamp} after {last}: the clock jumped back; record or split one run at a time");
            return Err(Error::message(&self.topic, "poses of one run", found));
        }
        stamps.push(stamp);
        Ok(())
    }

    /// What was refused, one line.
    pub(super) fn notes(&self) -> Vec<String> {
        let reason = self.first_refusal.as_ref();
        reason.map(|reason| format!("{} poses refused, the first: {reason}", self.refused)).into_iter().collect()
    }

    /// The poses of the camera, once the bag is read.
    pub(super) fn finish(
        &mut self,
        options: &RosbagDatasetOptions,
        camera_frame: &str,
        base_from_camera: Option<Se3>,
        longest_gap: Duration,
    ) -> Result<PoseAt> {
        self.stamps.values_mut().for_each(|stamps| stamps.sort_unstable());
        if self.kind == Kind::Transforms {
            return Ok(self.along_transforms(options, camera_frame, base_from_camera, longest_gap));
        }
        let base_frame = options.base_frame.clone().or_else(|| self.child_frame.clone());
        let base_frame = base_frame.unwrap_or_else(|| "base_link".into());
        let base_from_camera = match base_from_camera {
            Some(base_from_camera) => base_from_camera,
            None if base_frame == camera_frame => Se3::identity(),
            None => self.tree.lookup(&base_frame, camera_frame, Stamp::default()).map_err(|error| {
                let expected = format!("the camera's pose, or /tf_static from {base_frame} to {camera_frame}");
                Error::config("base_from_camera", expected, error.to_string())
            })?,
        };
        self.map_from_base.sort_by_key(|(stamp, _)| *stamp);
        self.map_from_base.dedup_by_key(|(stamp, _)| *stamp);
        let trajectory = Trajectory::new(std::mem::take(&mut self.map_from_base))?;
        Ok(Box::new(move |stamp| {
            let map_from_base =
                trajectory.interpolate_within(stamp, longest_gap).ok_or_else(|| match trajectory.span() {
                    Some((first, _)) if stamp < first => NoPose::BeforeFirst,
                    Some((_, last)) if stamp <= last => NoPose::InGap,
                    _ => NoPose::AfterLast,
                });
            Ok(map_from_base.map(|map_from_base| map_from_base * base_from_camera))
        }))
    }

    fn along_transforms(
        &mut self,
        options: &RosbagDatasetOptions,
        camera_frame: &str,
        base_from_camera: Option<Se3>,
        longest_gap: Duration,
    ) -> PoseAt {
        let map_frame = options.map_frame.clone();
        let base_frame = options.base_frame.clone().unwrap_or_else(|| "base_link".into());
        // the extrinsics of the options go from the base; otherwise the tree leads to the camera itself
        let (source_frame, source_from_camera) = match base_from_camera {
            Some(base_from_camera) => (base_frame, base_from_camera),
            None => (camera_frame.to_owned(), Se3::identity()),
        };
        let (tree, stamps) = (std::mem::take(&mut self.tree), std::mem::take(&mut self.stamps));
        Box::new(move |stamp| match tree.lookup(&map_frame, &source_frame, stamp) {
            Ok(map_from_source) => {
                let path = Ancestry { tree: &tree, next: Some(&source_frame) };
                let above_map: Vec<&str> = Ancestry { tree: &tree, next: Some(&map_frame) }.collect();
                let mut edges = path.take_while(|frame| !above_map.contains(frame));
                let has_gap = edges.any(|frame| stamps.get(frame).is_some_and(|at| is_in_gap(at, stamp, longest_gap)));
                Ok(if has_gap { Err(NoPose::InGap) } else { Ok(map_from_source * source_from_camera) })
            }
            Err(TransformError::ExtrapolationIntoPast { .. }) => Ok(Err(NoPose::BeforeFirst)),
            Err(TransformError::ExtrapolationIntoFuture { .. }) => Ok(Err(NoPose::AfterLast)),
            Err(error) => Err(error.into()),
        })
    }
}

/// A frame, its parent, and so on to the root.
struct Ancestry<'a> {
    tree: &'a TransformTree,
    next: Option<&'a str>,
}

impl<'a> Iterator for Ancestry<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let frame = self.next?;
        self.next = self.tree.parent(frame);
        Some(frame)
    }
}

/// Whether the neighbours of `stamp` in the sorted `stamps` lie further apart than `longest_gap`.
fn is_in_gap(stamps: &[Stamp], stamp: Stamp, longest_gap: Duration) -> bool {
    match stamps.binary_search(&stamp) {
        Ok(_) => false,
        Err(0) => false,
        Err(index) => stamps.get(index).is_some_and(|after| *after > stamps[index - 1] + longest_gap),
    }
}
