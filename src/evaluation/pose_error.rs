//! How far single poses are off: translation and rotation per frame, medians, recalls, wrong answers.
//!
//! A frame without an estimate counts as infinitely wrong, so a method cannot improve its numbers by silence; only
//! [`PoseErrorSummary::wrong_rate`] looks at answers alone, because a wrong answer is worse than none.

use serde::{Deserialize, Serialize};

use crate::geometry::Se3;
use crate::{Error, Result};

/// The distance of an estimate from the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseError {
    /// Distance of the positions, metres.
    pub translation: f64,
    /// Angle between the rotations, radians in `[0, π]`.
    pub rotation: f64,
}

impl PoseError {
    /// The error of a frame that has no estimate.
    pub const NO_ESTIMATE: PoseError = PoseError { translation: f64::INFINITY, rotation: f64::INFINITY };

    /// The error of `estimate`; [`PoseError::NO_ESTIMATE`] for `None`.
    pub fn of(truth: Se3, estimate: Option<Se3>) -> Self {
        estimate.map_or(Self::NO_ESTIMATE, |estimate| Self {
            translation: (estimate.translation - truth.translation).norm(),
            rotation: truth.rotation.local(estimate.rotation).norm(),
        })
    }

    /// Whether there was an estimate at all.
    pub fn is_answer(self) -> bool {
        self.translation.is_finite()
    }

    /// Whether both errors are at most the given ones (metres, degrees).
    pub fn within(self, metres: f64, degrees: f64) -> bool {
        self.translation <= metres && self.rotation.to_degrees() <= degrees
    }

    /// More than 1 m or more than 10 degrees off, although there was an estimate.
    pub fn is_wrong_answer(self) -> bool {
        self.is_answer() && !self.within(1.0, 10.0)
    }
}

/// The errors of many frames in a few numbers. Shares are in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoseErrorSummary {
    /// Frames that should have been localized.
    pub frames: usize,
    /// Frames that got an estimate.
    pub answered: usize,
    /// Median distance of the positions, metres; `null` (infinite) when too few frames have an estimate.
    pub median_translation_error: Option<f64>,
    /// Median angle between the rotations, degrees; `null` (infinite) when too few frames have an estimate.
    pub median_rotation_error: Option<f64>,
    /// Share of all frames within 5 cm and 5 degrees.
    pub recall_5cm_5deg: f64,
    /// Share of all frames within 10 cm and 5 degrees.
    pub recall_10cm_5deg: f64,
    /// Share of all frames within 25 cm and 2 degrees.
    pub recall_25cm_2deg: f64,
    /// Share of all frames within 50 cm and 5 degrees.
    pub recall_50cm_5deg: f64,
    /// Share of all frames within 5 m and 10 degrees.
    pub recall_5m_10deg: f64,
    /// Share of the *answers* that are more than 1 m or 10 degrees off; `null` without any answer.
    pub wrong_rate: Option<f64>,
}

impl PoseErrorSummary {
    /// The summary of one error per frame.
    ///
    /// # Errors
    /// When there is no frame: no number would mean anything.
    pub fn new(errors: &[PoseError]) -> Result<Self> {
        if errors.is_empty() {
            return Err(Error::message("pose errors", "at least one frame", "none; is the test split empty?"));
        }
        let finite_median = |of: fn(&PoseError) -> f64| {
            let values: Vec<f64> = errors.iter().map(of).collect();
            median(&values).filter(|value| value.is_finite())
        };
        let count = |keep: &dyn Fn(&&PoseError) -> bool| errors.iter().filter(keep).count();
        let recall = |metres, degrees| count(&|error| error.within(metres, degrees)) as f64 / errors.len() as f64;
        let answered = count(&|error| error.is_answer());
        let wrong = count(&|error| error.is_wrong_answer());
        Ok(Self {
            frames: errors.len(),
            answered,
            median_translation_error: finite_median(|error| error.translation),
            median_rotation_error: finite_median(|error| error.rotation.to_degrees()),
            recall_5cm_5deg: recall(0.05, 5.0),
            recall_10cm_5deg: recall(0.10, 5.0),
            recall_25cm_2deg: recall(0.25, 2.0),
            recall_50cm_5deg: recall(0.50, 5.0),
            recall_5m_10deg: recall(5.0, 10.0),
            wrong_rate: (answered > 0).then(|| wrong as f64 / answered as f64),
        })
    }
}

/// The middle value, or the mean of the two middle ones; `None` for no values. Infinite values sort last.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(if lower == upper { upper } else { 0.5 * (lower + upper) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;
    use nalgebra::Vector3;

    fn error(translation: f64, degrees: f64) -> PoseError {
        PoseError { translation, rotation: degrees.to_radians() }
    }

    #[test]
    fn errors_are_distance_and_angle() {
        let truth = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 3.0)), Vector3::new(1.0, 2.0, 3.0));
        let estimate = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, -3.0)), Vector3::new(1.0, 5.0, 7.0));
        let found = PoseError::of(truth, Some(estimate));
        assert!((found.translation - 5.0).abs() < 1e-12);
        assert!((found.rotation - (std::f64::consts::TAU - 6.0)).abs() < 1e-12);
        assert_eq!(PoseError::of(truth, None), PoseError::NO_ESTIMATE);
    }

    #[test]
    fn silence_counts_as_infinite() {
        let errors = [error(0.01, 1.0), error(0.2, 1.9), error(2.0, 1.0), PoseError::NO_ESTIMATE];
        let summary = PoseErrorSummary::new(&errors).unwrap();
        assert_eq!((summary.frames, summary.answered), (4, 3));
        assert_eq!(summary.median_translation_error, Some(1.1));
        assert_eq!((summary.recall_5cm_5deg, summary.recall_25cm_2deg, summary.recall_5m_10deg), (0.25, 0.5, 0.75));
        assert_eq!(summary.wrong_rate, Some(1.0 / 3.0));
    }

    #[test]
    fn a_mostly_silent_method_has_no_median() {
        let summary = PoseErrorSummary::new(&[error(0.0, 0.0), PoseError::NO_ESTIMATE]).unwrap();
        assert_eq!((summary.median_translation_error, summary.median_rotation_error), (None, None));
        let silent = PoseErrorSummary::new(&[PoseError::NO_ESTIMATE; 3]).unwrap();
        assert_eq!((silent.answered, silent.wrong_rate, silent.recall_5m_10deg), (0, None, 0.0));
        let none = PoseErrorSummary::new(&[]).unwrap_err().to_string();
        assert_eq!(none, "pose errors: expected at least one frame, found none; is the test split empty?");
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[f64::INFINITY; 2]), Some(f64::INFINITY));
        assert_eq!(median(&[]), None);
    }
}
