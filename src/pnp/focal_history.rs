//! Whether frame after frame asks for another focal length than the camera claims.
//!
//! One frame proves little: the errors of its points are alike, and the standard deviation of a [`FocalCheck`] takes them for
//! independent. The quartiles over many frames do not need it.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::FocalCheck;

/// Frames that are remembered.
const KEPT: usize = 256;
/// Fewest frames that prove something.
const FEWEST: usize = 20;
/// A check less sure than this says nothing: a wall that the camera faces.
const LARGEST_SIGMA: f64 = 0.1;
/// Share of the focal length that is not worth a word: learned points lie a little nearer to the middle of what was learned than
/// the true ones, which looks like a shorter one (0.97 on 7-Scenes redkitchen).
const TOLERANCE: f64 = 0.05;

/// The focal lengths that the last frames asked for.
#[derive(Clone, Debug, Default)]
pub struct FocalHistory {
    scales: VecDeque<f64>,
}

/// What half of the frames asked for, of the claimed focal length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FocalSummary {
    /// Frames.
    pub frames: usize,
    /// Three quarters asked for more.
    pub lower: f64,
    /// Half of them did.
    pub median: f64,
    /// One quarter did.
    pub upper: f64,
}

impl FocalHistory {
    /// Remembers a frame.
    pub fn add(&mut self, check: &FocalCheck) {
        if check.sigma < LARGEST_SIGMA {
            self.scales.truncate(KEPT - 1);
            self.scales.push_front(check.scale);
        }
    }

    /// Forgets all of them: another camera, or another model.
    pub fn clear(&mut self) {
        self.scales.clear();
    }

    /// What they asked for; `None` where they are too few.
    pub fn summary(&self) -> Option<FocalSummary> {
        let mut sorted: Vec<f64> = self.scales.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |quarters: usize| sorted[quarters * (sorted.len() - 1) / 4];
        (sorted.len() >= FEWEST).then(|| FocalSummary {
            frames: sorted.len(),
            lower: at(1),
            median: at(2),
            upper: at(3),
        })
    }
}

impl FocalSummary {
    /// Whether the claim is wrong: by more than 5 %, and three quarters of the frames agree on the side.
    pub fn contradicts(&self) -> bool {
        (self.median - 1.0).abs() > TOLERANCE && (self.lower > 1.0 || self.upper < 1.0)
    }
}

impl fmt::Display for FocalSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lower, median, upper, .. } = self;
        write!(formatter, "{median:.3} of the camera's focal length (half of the frames: {lower:.3} to {upper:.3})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(scales: impl IntoIterator<Item = f64>) -> Option<FocalSummary> {
        let mut history = FocalHistory::default();
        scales.into_iter().for_each(|scale| history.add(&FocalCheck { scale, sigma: 0.001 }));
        history.summary()
    }

    #[test]
    fn frames_that_agree_on_another_length_contradict_and_others_do_not() {
        let spread = |centre: f64, width: f64| (0..50).map(move |at| centre + width * (f64::from(at) / 49.0 - 0.5));
        let contradicts = |centre, width| summary(spread(centre, width)).is_some_and(|summary| summary.contradicts());
        assert!(contradicts(0.93, 0.1) && contradicts(1.08, 0.1));
        assert!(!contradicts(1.0, 0.3) && !contradicts(1.02, 0.01), "right, and not worth a word");
        assert!(!contradicts(1.08, 0.4), "they do not agree");
    }

    #[test]
    fn few_frames_and_walls_prove_nothing() {
        assert_eq!(summary((0..19).map(|_| 0.8)), None);
        let mut history = FocalHistory::default();
        (0..100).for_each(|_| history.add(&FocalCheck { scale: 0.8, sigma: f64::INFINITY }));
        assert_eq!(history.summary(), None);
        (0..300).for_each(|at| history.add(&FocalCheck { scale: f64::from(at), sigma: 0.0 }));
        assert_eq!(history.summary().map(|summary| summary.frames), Some(256));
        history.clear();
        assert_eq!(history.summary(), None);
    }
}
