//! Which frames meet in a batch: pairs of consecutive frames of one recording, shuffled anew in each epoch.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

/// Two views of one recording, the earlier first.
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
        Ok(Self { candidates, seed })
    }

    /// Pairs per epoch.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Never: see [`PairPlan::new`].
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The longest time between the frames of a pair, seconds.
    pub fn max_interval(&self, frames: &[FrameInfo]) -> f64 {
        let interval =
            |(current, earlier): &(usize, Vec<usize>)| frames[*current].stamp.seconds_since(frames[earlier[0]].stamp);
        self.candidates.iter().map(interval).fold(0.0, f64::max)
    }

    /// The pairs of an epoch in their order: each later frame once. In half of them both frames share a draw, as if one
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
