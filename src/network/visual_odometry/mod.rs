//! How the camera moved while a model that knows points has no answer: frames are aligned to what the last frame with a pose saw of
//! its points ([`crate::alignment`]).
//!
//! ```text
//! frame with a pose ── points that agree with it, and their descriptors: the keyframe ─┐
//! frames without one ─ maps of the encoder, compressed ────────────────────────────────┴─ alignment ─ motion since the keyframe
//! ```
//!
//! Where the camera is in the map does not matter to it, so views that nobody trained are crossed as long as points of the keyframe
//! are in view. A keyframe that was left long ago, or is hardly in view, is replaced by the frame itself, with the points that
//! it still sees; their errors and that of the motion stay in all that follows, as an odometry's do.
//!
//! A pose that was measured is worth more than one that was carried on: a motion is told of frames without an answer alone.
//!
//! Keyframes with sparse points and direct alignment are those of Forster, Pizzoli & Scaramuzza 2014 ("SVO") and Engel, Koltun &
//! Cremers 2018 ("Direct sparse odometry"); here features of the encoder stand for brightness, and the depth of a point is what
//! the model says.

mod inference;

use nalgebra::{Vector2, Vector3};

use super::references::{Compression, EncoderMaps, compress, described};
use crate::alignment::{FeatureMap, Level, Outcome, align, project};
use crate::geometry::Se3;
use crate::sensor::{CameraModel, RelativePose};
use crate::{Result, Stamp};

/// The longest time between two frames of which one is aligned from the other, seconds.
pub const LONGEST_INTERVAL: f64 = 1.0;
/// Age at which a keyframe is replaced, seconds: estimators keep as much of the past, and scenes change.
const OLD: f64 = 0.5;
/// Share of the points in view below which it is.
const IN_VIEW: f64 = 0.6;
/// Points of a keyframe at most, evenly taken from those that it sees.
const MOST_POINTS: usize = 400;
/// Fewer points that look as the keyframe saw them tell no motion, nor does a smaller share of those in view. Of foreign views of a
/// kitchen up to 20 did, 8 % of those in view, of the same view half a second later half of them; of a view that is covered for
/// two thirds, which holds the alignment where it began, a fifth.
const LEAST_AGREEING: usize = 25;
const LEAST_SHARE: f64 = 1.0 / 3.0;
/// What moved less is where it was, cells of the coarse map.
const STANDING: f64 = 0.05;

/// A pixel, and what it shows in the axes of the camera, metres.
pub type Seen = (Vector2<f64>, Vector3<f64>);

/// Points of a frame, in its camera, and their descriptors at both levels, one after the other.
#[derive(Debug)]
struct Keyframe {
    stamp: Stamp,
    points: Vec<Vector3<f64>>,
    descriptors: [Vec<f32>; 2],
}

impl Keyframe {
    fn new(stamp: Stamp, maps: &[FeatureMap; 2], seen: &[Seen]) -> Self {
        let (points, descriptors) = described(maps, seen.iter().step_by(seen.len().div_ceil(MOST_POINTS).max(1)));
        Self { stamp, points, descriptors }
    }
}

/// The last frame, with or without a pose.
#[derive(Clone, Copy, Debug)]
struct Followed {
    stamp: Stamp,
    keyframe_from_camera: Se3,
    /// How it moved since the one before it, where that is known.
    step: Se3,
}

/// Follows the camera where its pose is not known.
#[derive(Debug, Default)]
pub(super) struct VisualOdometry {
    /// Of the first keyframe.
    compressions: Option<[Compression; 2]>,
    keyframe: Option<Keyframe>,
    last: Option<Followed>,
    map_from_keyframe: Option<Se3>,
    motion: Option<RelativePose>,
    /// Keyframes grow old before the next one with a pose replaces them.
    rehearses: bool,
}

impl VisualOdometry {
    /// Frames with a pose are followed too, until the keyframe is old: that shows how far off motions are.
    pub(super) fn rehearse(&mut self) {
        self.rehearses = true;
    }

    /// The maps of the encoder as they are compared. The first frame with a pose tells how they are compressed; `None` before it.
    ///
    /// # Errors
    /// Those of [`Compression::of`].
    pub(super) fn compress(&mut self, raw: &EncoderMaps, has_pose: bool) -> Result<Option<[FeatureMap; 2]>> {
        if self.compressions.is_none() && has_pose {
            self.compressions = Some([0, 1].map(|level: usize| Compression::new(&raw[level].0.flatten(1, 2).tr())));
        }
        self.compressions.as_ref().map(|compressions| compress(compressions, raw)).transpose()
    }

    /// How the camera moved from a keyframe to the last frame, whose pose is not known; before calibration.
    pub(super) fn motion(&self) -> Option<&RelativePose> {
        self.motion.as_ref()
    }

    /// Forgets all frames.
    pub(super) fn reset(&mut self) {
        *self = Self { compressions: self.compressions.take(), rehearses: self.rehearses, ..Self::default() };
    }

    /// Takes a frame with a pose and what its pixels show: the next keyframe.
    pub(super) fn answered(
        &mut self,
        stamp: Stamp,
        maps: &[FeatureMap; 2],
        camera: &CameraModel,
        (map_from_camera, seen): (Se3, &[Seen]),
    ) {
        let is_young = |keyframe: &Keyframe| stamp.seconds_since(keyframe.stamp) < OLD;
        if self.rehearses && self.keyframe.as_ref().is_some_and(is_young) {
            self.unanswered(stamp, maps, camera);
            if self.motion.is_some() {
                return;
            }
        }
        let before = self.map_from_keyframe.zip(self.last.filter(|last| is_next(last.stamp, stamp)));
        let step = before.map_or_else(Se3::identity, |(map_from_keyframe, last)| {
            (map_from_keyframe * last.keyframe_from_camera).inverse() * map_from_camera
        });
        self.last = Some(Followed { stamp, keyframe_from_camera: Se3::identity(), step });
        self.keyframe = Some(Keyframe::new(stamp, maps, seen));
        (self.map_from_keyframe, self.motion) = (Some(map_from_camera), None);
    }

    /// Takes a frame without a pose.
    pub(super) fn unanswered(&mut self, stamp: Stamp, maps: &[FeatureMap; 2], camera: &CameraModel) {
        self.motion = self.follow(stamp, maps, camera);
        if self.motion.is_none() {
            (self.keyframe, self.last) = (None, None);
        }
    }

    fn follow(&mut self, stamp: Stamp, maps: &[FeatureMap; 2], camera: &CameraModel) -> Option<RelativePose> {
        let (keyframe, last) = (self.keyframe.as_ref()?, self.last.filter(|last| is_next(last.stamp, stamp))?);
        let level = |level: usize| Level { map: &maps[level], descriptors: &keyframe.descriptors[level] };
        let start = last.keyframe_from_camera * last.step;
        let (keyframe_from_camera, report) = align(camera, start, &keyframe.points, &[level(1), level(0)]);
        let needed = LEAST_AGREEING.max((LEAST_SHARE * report.points as f64) as usize);
        // An end that costs more beside a start that is the same, because a point went out of view, is none the worse.
        let stands = report.outcome == Outcome::Costlier && report.moved < STANDING;
        let covariance = report.covariance.filter(|_| report.is_used() || stands);
        let covariance = covariance.filter(|_| report.agreeing >= needed)?;
        let previous_stamp = keyframe.stamp;
        let in_view = report.points as f64 / keyframe.points.len() as f64;
        let step = last.keyframe_from_camera.inverse() * keyframe_from_camera;
        self.last = Some(Followed { stamp, keyframe_from_camera, step });
        if in_view < IN_VIEW || stamp.seconds_since(previous_stamp) >= OLD {
            self.replace(stamp, maps, camera, keyframe_from_camera);
        }
        Some(RelativePose { previous_stamp, stamp, previous_from_current: keyframe_from_camera, covariance })
    }

    /// The last frame becomes the keyframe, with the points of the one before that it sees.
    fn replace(&mut self, stamp: Stamp, maps: &[FeatureMap; 2], camera: &CameraModel, keyframe_from_camera: Se3) {
        let (Some(keyframe), Some(last)) = (&mut self.keyframe, &mut self.last) else { return };
        let camera_from_keyframe = keyframe_from_camera.inverse();
        let carried = keyframe.points.iter().map(|point| camera_from_keyframe * *point);
        let seen: Vec<Seen> = carried.filter_map(|point| Some((project(camera, &point)?, point))).collect();
        *keyframe = Keyframe::new(stamp, maps, &seen);
        last.keyframe_from_camera = Se3::identity();
        self.map_from_keyframe =
            self.map_from_keyframe.map(|map_from_keyframe| map_from_keyframe * keyframe_from_camera);
    }
}

/// Whether a frame comes so soon after another that it is aligned from there.
fn is_next(before: Stamp, stamp: Stamp) -> bool {
    let interval = stamp.seconds_since(before);
    interval > 0.0 && interval <= LONGEST_INTERVAL
}

#[cfg(test)]
mod tests;
