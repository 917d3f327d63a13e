//! Which frames train, which validate and which test: by rule, in blocks, never at random.
//!
//! Neighbours in a video are nearly the same picture, so a random split measures memory. A [`SplitRule`] is read from
//! YAML (`config/splits/`). Frame numbers count from 0 within each sequence. Validation frames are taken *from the
//! training frames*, and only when the rule asks for them: they serve early stopping and the calibration of the
//! covariance, never the reported errors.

use serde::{Deserialize, Serialize};

use super::{Dataset, FrameInfo};
use crate::{Error, Result};

/// The division of a dataset's sequences that its authors declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredSplit {
    /// Sequences for training, as in [`FrameInfo::sequence`].
    pub train: Vec<usize>,
    /// Sequences for the test.
    pub test: Vec<usize>,
}

/// A rule that divides a dataset, as `kind: blocks` and its parameters in YAML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitRule {
    /// The sequences that the dataset declares ([`Dataset::declared_split`]).
    Sequences {
        /// Validation frames, taken from the training frames.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<Validation>,
    },
    /// Blocks of `block` frames; those whose number modulo `period` is in `test` are the test frames without their
    /// first and last `margin` frames, all others train.
    Blocks {
        /// Frames per block.
        block: usize,
        /// Blocks per period.
        period: usize,
        /// Which blocks of a period are for the test, from 0.
        test: Vec<usize>,
        /// Frames at both ends of a test block that are not used at all.
        #[serde(default)]
        margin: usize,
        /// Validation frames, taken from the training frames.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<Validation>,
    },
    /// The frames `test[0]..test[1]` of each sequence are the test; `gap` frames on both sides are not used at all.
    Range {
        /// First test frame, and the first frame after the test.
        test: [usize; 2],
        /// Unused frames before and after.
        #[serde(default)]
        gap: usize,
        /// Validation frames, taken from the training frames.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<Validation>,
    },
    /// Every frame trains; the test set is another dataset.
    Separate {
        /// Validation frames, taken from the training frames.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<Validation>,
    },
}

/// Contiguous blocks of the training frames that are set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// Every how many blocks one is set apart: the last of each `every`, or as `fold` says.
    pub every: usize,
    /// Training frames per block.
    pub length: usize,
    /// Frames at both ends of a validation block that are not used at all.
    pub margin: usize,
    /// Which block of each `every` it is, counted back from the last: the rules with 0 to `every - 1` set each block apart once.
    #[serde(skip_serializing_if = "is_zero")]
    pub fold: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Default for Validation {
    /// A tenth of the training frames, in blocks of ten.
    fn default() -> Self {
        Self { every: 10, length: 10, margin: 0, fold: 0 }
    }
}

/// Indices into [`Dataset::frames`], each list in the dataset's order, no index in two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Frames to train on.
    pub train: Vec<usize>,
    /// Frames for early stopping and calibration; empty unless the rule asks for them.
    pub validation: Vec<usize>,
    /// Frames to measure on; empty with [`SplitRule::Separate`], whose test set is another dataset.
    pub test: Vec<usize>,
}

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Test,
    Unused,
}

impl SplitRule {
    /// Divides the frames of a dataset.
    ///
    /// # Errors
    /// [`Error::Config`] when the rule is not sound (a zero block, a test block outside the period, an empty range),
    /// when `sequences` is asked of a dataset that declares none, and when a part comes out empty.
    pub fn split(&self, dataset: &dyn Dataset) -> Result<Split> {
        self.check()?;
        let frames = dataset.frames();
        let declared = dataset.declared_split();
        if matches!(self, Self::Sequences { .. }) && declared.is_none() {
            let found = format!("dataset {} without them; use kind blocks, range or separate", dataset.name());
            return Err(Error::config("split.kind", "a dataset with TrainSplit.txt and TestSplit.txt", found));
        }
        let mut split = Split::default();
        for (index, number) in numbered(frames) {
            match self.part(frames[index].sequence, number, declared) {
                Part::Train => split.train.push(index),
                Part::Test => split.test.push(index),
                Part::Unused => {}
            }
        }
        if let Some(validation) = self.validation() {
            (split.train, split.validation) = validation.take_from(&split.train);
        }
        self.refuse_empty(&split, frames.len())?;
        Ok(split)
    }

    /// The validation frames the rule asks for.
    pub fn validation(&self) -> Option<&Validation> {
        match self {
            Self::Sequences { validation }
            | Self::Blocks { validation, .. }
            | Self::Range { validation, .. }
            | Self::Separate { validation } => validation.as_ref(),
        }
    }

    /// The rule that sets apart every `folds`th block of its validation, and of these the `fold`th, in place of its own.
    ///
    /// # Errors
    /// [`Error::Config`] when the rule has no validation, or there is no such fold.
    pub fn with_fold(&self, fold: usize, folds: usize) -> Result<Self> {
        let mut rule = self.clone();
        let Some(own) = rule.validation_mut() else {
            return Err(Error::config("split.validation", "a rule with validation blocks, to have folds of", "none"));
        };
        *own = Validation { every: folds, fold, ..*own };
        rule.check()?;
        Ok(rule)
    }

    /// The rule without its validation: all that it sets apart may train.
    pub fn without_validation(&self) -> Self {
        let mut rule = self.clone();
        *rule.validation_mut() = None;
        rule
    }

    fn validation_mut(&mut self) -> &mut Option<Validation> {
        match self {
            Self::Sequences { validation }
            | Self::Blocks { validation, .. }
            | Self::Range { validation, .. }
            | Self::Separate { validation } => validation,
        }
    }

    fn part(&self, sequence: usize, number: usize, declared: Option<&DeclaredSplit>) -> Part {
        match self {
            Self::Separate { .. } => Part::Train,
            Self::Sequences { .. } => match declared {
                Some(declared) if declared.test.contains(&sequence) => Part::Test,
                Some(declared) if declared.train.contains(&sequence) => Part::Train,
                _ => Part::Unused,
            },
            Self::Blocks { block, period, test, margin, .. } => {
                let within = number % block;
                match test.contains(&(number / block % period)) {
                    false => Part::Train,
                    true if within >= *margin && within + margin < *block => Part::Test,
                    true => Part::Unused,
                }
            }
            Self::Range { test: [start, end], gap, .. } => {
                if (*start..*end).contains(&number) {
                    Part::Test
                } else if (start.saturating_sub(*gap)..end.saturating_add(*gap)).contains(&number) {
                    Part::Unused
                } else {
                    Part::Train
                }
            }
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(Validation { every, length, margin, fold }) = self.validation()
            && (*every < 2 || margin.saturating_mul(2) >= *length || fold >= every)
        {
            let found = format!("every {every}, length {length}, margin {margin}, fold {fold}");
            let expected = "every at least 2, length above 2 * margin and fold below every";
            return Err(Error::config("split.validation", expected, found));
        }
        match self {
            Self::Blocks { block, period, test, margin, .. } => {
                let sound =
                    margin.saturating_mul(2) < *block && *period > 0 && test.iter().all(|number| number < period);
                let expected = "block above 2 * margin, period above 0 and test blocks in 0..period";
                let found = || format!("block {block}, period {period}, test {test:?}, margin {margin}");
                if sound { Ok(()) } else { Err(Error::config("split", expected, found())) }
            }
            Self::Range { test: [start, end], .. } if start >= end => Err(Error::config(
                "split.test",
                "[first, after the last] with first below",
                format!("[{start}, {end}]"),
            )),
            _ => Ok(()),
        }
    }

    fn refuse_empty(&self, split: &Split, frames: usize) -> Result<()> {
        let no_test = split.test.is_empty() && !matches!(self, Self::Separate { .. });
        let no_validation = split.validation.is_empty() && self.validation().is_some();
        if !split.train.is_empty() && !no_test && !no_validation {
            return Ok(());
        }
        let (train, validation, test) = (split.train.len(), split.validation.len(), split.test.len());
        let found = format!("train {train}, validation {validation}, test {test} of {frames} frames");
        Err(Error::config("split", "frames in every part that the rule asks for", found))
    }
}

impl Validation {
    /// (what stays for training, what validates).
    fn take_from(&self, train: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let (mut stays, mut validates) = (Vec::new(), Vec::new());
        for (block, frames) in train.chunks(self.length).enumerate() {
            if block % self.every != self.every - 1 - self.fold {
                stays.extend_from_slice(frames);
            } else if frames.len() > 2 * self.margin {
                validates.extend_from_slice(&frames[self.margin..frames.len() - self.margin]);
            }
        }
        (stays, validates)
    }
}

/// Each frame's index and its number within its sequence.
fn numbered(frames: &[FrameInfo]) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    frames.iter().enumerate().map(move |(index, frame)| {
        if frame.sequence != frames[start].sequence {
            start = index;
        }
        (index, index - start)
    })
}
