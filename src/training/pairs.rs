//! Which frames meet in a batch: pairs of consecutive frames of one recording (VLocNet, MapNet), or pairs of any that show the
//! same things (NNnet, RelocNet), shuffled anew in each epoch.
//!
//! NNnet measures by depth images what two frames both show; the overlap of their frusta needs none (Shavit & Ferens 2019,
//! section 2.3, name both).

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::frustum::Frustum;
use crate::dataset::FrameInfo;
use crate::{Error, Result};

/// A frame (an index into the dataset) as it is shown once: `draw` decides its augmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The frame.
    pub frame: usize,
    /// The random number behind its augmentation.
    pub draw: u64,
}

/// `count` of the items, or all when there are fewer, evenly spread over their order.
pub(super) fn spread<T: Copy>(items: &[T], count: usize) -> Vec<T> {
    let count = count.min(items.len());
    (0..count).map(|index| items[(2 * index + 1) * items.len() / (2 * count)]).collect()
}

/// The most frames that each is compared with when overlapping pairs are looked for, evenly spread.
const PARTNERS: usize = 2000;

/// Two views: of one recording, the earlier first, or of frames that overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The earlier frame.
    pub previous: View,
    /// The later frame.
    pub current: View,
}

/// The possible pairs of some training frames.
#[derive(Debug)]
pub struct PairPlan {
    candidates: Vec<(usize, Vec<usize>)>,
    frustum: Option<Frustum>,
    seed: u64,
}

impl PairPlan {
    /// Pairs of frames of `train` that are at most `max_skip` frames apart in one sequence.
    ///
    /// # Errors
    /// [`Error::Compute`] when there is none.
    pub fn new(frames: &[FrameInfo], train: &[usize], max_skip: usize, seed: u64) -> Result<Self> {
        let training: HashSet<usize> = train.iter().copied().collect();
        let candidates = train.iter().filter_map(|&current| {
            let earlier = current.saturating_sub(max_skip)..current;
            let fits = |&previous: &usize| {
                training.contains(&previous)
                    && frames[previous].sequence == frames[current].sequence
                    && frames[previous].stamp < frames[current].stamp
            };
            let earlier: Vec<usize> = earlier.filter(fits).collect();
            (!earlier.is_empty()).then_some((current, earlier))
        });
        let candidates: Vec<_> = candidates.collect();
        if candidates.is_empty() {
            let reason = format!("expected frames at most {max_skip} apart in one sequence, found none");
            return Err(Error::compute("pairs of training frames", reason));
        }
        Ok(Self { candidates, frustum: None, seed })
    }

    /// Pairs of frames of `train` whose frusta overlap by at least `overlap` (0 to 1) and that are at most `distance`
    /// metres apart.
    ///
    /// # Errors
    /// [`Error::Compute`] when there is none.
    pub fn overlapping(
        frames: &[FrameInfo],
        train: &[usize],
        frustum: Frustum,
        (overlap, distance): (f64, f64),
        seed: u64,
    ) -> Result<Self> {
        let partners: Vec<usize> = train.iter().copied().step_by(train.len().div_ceil(PARTNERS).max(1)).collect();
        let candidates = train.par_iter().filter_map(|&frame| {
            let pose = frames[frame].map_from_camera;
            let fits = |&partner: &usize| {
                let other = frames[partner].map_from_camera;
                partner != frame
                    && (pose.translation - other.translation).norm() <= distance
                    && frustum.overlap(pose, other) >= overlap
            };
            let partners: Vec<usize> = partners.iter().copied().filter(fits).collect();
            (!partners.is_empty()).then_some((frame, partners))
        });
        let candidates: Vec<_> = candidates.collect();
        if candidates.is_empty() {
            let reason = format!(
                "expected frames at most {distance} m apart that overlap by {overlap} or more, found none; change `pairs`"
            );
            return Err(Error::compute("pairs of training frames", reason));
        }
        Ok(Self { candidates, frustum: Some(frustum), seed })
    }

    /// What says how much the frames of overlapping pairs overlap.
    pub fn frustum(&self) -> Option<&Frustum> {
        self.frustum.as_ref()
    }

    /// Pairs per epoch.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Never: see [`PairPlan::new`].
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The longest time between the frames of a pair, seconds; 0 for overlapping ones, which time does not join.
    pub fn max_interval(&self, frames: &[FrameInfo]) -> f64 {
        if self.frustum.is_some() {
            return 0.0;
        }
        let interval =
            |(current, earlier): &(usize, Vec<usize>)| frames[*current].stamp.seconds_since(frames[earlier[0]].stamp);
        self.candidates.iter().map(interval).fold(0.0, f64::max)
    }

    /// The pairs of an epoch in their order: each later frame once, or each that overlaps with some. In half of them both frames share a draw, as if one
    /// camera had been turned; in the others the odometry stream sees larger motions.
    pub fn epoch(&self, epoch: usize) -> Vec<Pair> {
        let mut generator = ChaCha8Rng::seed_from_u64(mix(self.seed, epoch as u64, u64::MAX));
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.shuffle(&mut generator);
        let pair = |index: usize| {
            let (frame, earlier) = &self.candidates[index];
            let current = View { frame: *frame, draw: generator.random() };
            let frame = earlier[generator.random_range(0..earlier.len())];
            let draw = if generator.random() { current.draw } else { generator.random() };
            Pair { previous: View { frame, draw }, current }
        };
        order.into_iter().map(pair).collect()
    }

    /// `count` pairs of all epochs in a row, from the `start`th on.
    pub(super) fn stretch(&self, start: usize, count: usize) -> Vec<Pair> {
        let (epoch, skipped) = (start / self.len(), start % self.len());
        (epoch..).flat_map(|epoch| self.epoch(epoch)).skip(skipped).take(count).collect()
    }
}

/// One number of three that differ (SplitMix64's finalizer after each).
pub(super) fn mix(seed: u64, epoch: u64, index: u64) -> u64 {
    [seed, epoch, index].into_iter().fold(0x9e37_79b9_7f4a_7c15, |state, value| {
        let mut z = (state ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::geometry::Se3;

    #[test]
    fn a_stretch_is_the_epochs_in_a_row() {
        let frame = |index: usize| FrameInfo {
            name: index.to_string(),
            stamp: Stamp::from_nanos(index as i64),
            sequence: 0,
            map_from_camera: Se3::identity(),
        };
        let frames: Vec<FrameInfo> = (0..8).map(frame).collect();
        let plan = PairPlan::new(&frames, &(0..8).collect::<Vec<_>>(), 3, 1).unwrap();
        let all: Vec<Pair> = (0..3).flat_map(|epoch| plan.epoch(epoch)).collect();
        assert_eq!((plan.len(), all.len()), (7, 21));
        let again: Vec<Pair> = (0..4).flat_map(|step| plan.stretch(5 * step, 5)).collect();
        assert_eq!(again, all[..20]);
        assert_eq!(plan.stretch(7, 14), all[7..]);
        assert_eq!(plan.stretch(3, 0), []);
    }
}
