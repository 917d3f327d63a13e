//! How the alignment of poses to reference frames went: how many converged, what kept the others, and what it changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pose_error::median;
use crate::alignment::{AlignmentReport, Outcome, Outcomes};

/// How poses were aligned, in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignmentSummary {
    /// Answers whose poses were to be aligned.
    pub answers: usize,
    /// Aligned ones.
    pub converged: usize,
    /// Left as they were: too few points of the references in view.
    pub too_few_points: usize,
    /// Left as they were: the steps did not become small.
    pub unsettled: usize,
    /// Left as they were: the image would have fitted the references worse.
    pub costlier: usize,
    /// Left as they were: too far from the start.
    pub too_far: usize,
    /// Median over the aligned of the cost at the end by that at the start; `null` where none is.
    pub median_cost_ratio: Option<f64>,
    /// Median over the aligned of how far points moved in the image, cells of the coarsest level.
    pub median_moved: Option<f64>,
    /// Median of the steps, over all.
    pub median_iterations: f64,
    /// Median of the points in view, over all.
    pub median_points: f64,
}

impl AlignmentSummary {
    /// Of the alignments there were; `None` where there was none.
    pub fn new(reports: &[AlignmentReport]) -> Option<Self> {
        let count = |outcome: Outcome| reports.iter().filter(|report| report.outcome == outcome).count();
        let over = |used: bool, value: fn(&AlignmentReport) -> f64| {
            let counted = reports.iter().filter(|report| !used || report.is_used());
            median(&counted.map(value).collect::<Vec<_>>())
        };
        Some(Self {
            answers: reports.len(),
            converged: count(Outcome::Converged),
            too_few_points: count(Outcome::TooFewPoints),
            unsettled: count(Outcome::Unsettled),
            costlier: count(Outcome::Costlier),
            too_far: count(Outcome::TooFar),
            median_cost_ratio: over(true, AlignmentReport::cost_ratio),
            median_moved: over(true, |report| report.moved),
            median_iterations: over(false, |report| report.iterations as f64)?,
            median_points: over(false, |report| report.points as f64)?,
        })
    }
}

impl fmt::Display for AlignmentSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, converged, too_few_points, unsettled, costlier, too_far, .. } = self;
        let share = 100.0 * *converged as f64 / (*answers).max(1) as f64;
        write!(formatter, "alignment: {converged} of {answers} poses converged ({share:.1} %)")?;
        if let Some(ratio) = self.median_cost_ratio {
            write!(formatter, ", to a median of {ratio:.2} of the cost at the start")?;
        }
        let kept = Outcomes::from([
            (Outcome::TooFewPoints, *too_few_points as u64),
            (Outcome::Unsettled, *unsettled as u64),
            (Outcome::Costlier, *costlier as u64),
            (Outcome::TooFar, *too_far as u64),
        ]);
        match kept.not_used() {
            none if none.is_empty() => Ok(()),
            kept => write!(formatter, "; the others stay as they were measured: {kept}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_over_the_converged_and_each_other_outcome_is_counted() {
        let report = |outcome: Outcome, final_cost: f64| AlignmentReport {
            outcome,
            points: 300,
            iterations: 10,
            initial_cost: 0.2,
            final_cost,
            moved: 0.5,
            ..AlignmentReport::default()
        };
        let reports = [
            report(Outcome::Converged, 0.1),
            report(Outcome::Converged, 0.18),
            report(Outcome::Converged, 0.16),
            report(Outcome::TooFar, 0.01),
        ];
        let summary = AlignmentSummary::new(&reports).unwrap();
        assert_eq!((summary.answers, summary.converged, summary.too_far, summary.unsettled), (4, 3, 1, 0));
        assert!((summary.median_cost_ratio.unwrap() - 0.8).abs() < 1e-12);
        let text = "alignment: 3 of 4 poses converged (75.0 %), to a median of 0.80 of the cost at the start; \
                    the others stay as they were measured: 1 too far";
        assert_eq!(summary.to_string(), text);
        let none = AlignmentSummary::new(&[AlignmentReport::default()]).unwrap();
        assert_eq!((none.too_few_points, none.median_cost_ratio), (1, None));
        assert_eq!(AlignmentSummary::new(&[]), None);
    }
}
