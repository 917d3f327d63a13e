//! How an alignment went, and how many ended how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::geometry::Matrix6;

/// How an alignment ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The steps became small: the aligned pose counts.
    Converged,
    /// Too few points of the references are in view, or they leave the pose open: the start stays.
    #[default]
    TooFewPoints,
    /// The steps did not become small within their number: the start stays.
    Unsettled,
    /// The image fits the references worse than at the start, which stays.
    Costlier,
    /// Farther from the start than features can be followed: the start stays.
    TooFar,
}

impl Outcome {
    /// In a few words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::TooFewPoints => "too few points",
            Self::Unsettled => "steps not small",
            Self::Costlier => "cost rose",
            Self::TooFar => "too far",
        }
    }
}

/// How many alignments ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes(BTreeMap<Outcome, u64>);

impl Outcomes {
    /// One more.
    pub fn count(&mut self, outcome: Outcome) {
        *self.0.entry(outcome).or_default() += 1;
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0.get(&outcome).copied().unwrap_or_default()
    }

    /// What kept the others from being used, such as "3 too few points, 1 cost rose"; empty where nothing did.
    pub fn not_used(&self) -> String {
        let others = self.0.iter().filter(|(outcome, count)| **outcome != Outcome::Converged && **count > 0);
        others.map(|(outcome, count)| format!("{count} {}", outcome.text())).collect::<Vec<_>>().join(", ")
    }
}

impl<const N: usize> From<[(Outcome, u64); N]> for Outcomes {
    fn from(counts: [(Outcome, u64); N]) -> Self {
        Self(counts.into())
    }
}

/// How an alignment went; the default is that of an image that shares nothing with its references.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AlignmentReport {
    /// How it ended.
    pub outcome: Outcome,
    /// Points in view at the start.
    pub points: usize,
    /// Points that look at the end as they should, at the finest level: nearer than where the cost levels off.
    pub agreeing: usize,
    /// Steps of all levels, repeated ones included.
    pub iterations: usize,
    /// Mean robust cost of the finest level at the start.
    pub initial_cost: f64,
    /// The same at the end.
    pub final_cost: f64,
    /// How far the points moved in the image, cells of the coarsest level, median.
    pub moved: f64,
    /// Covariance of the right perturbation of the aligned pose as the finest level has it, if all its numbers erred independently;
    /// `None` where the points leave the pose open.
    pub covariance: Option<Matrix6>,
}

impl AlignmentReport {
    /// Whether the aligned pose counts; else it is the start.
    pub fn is_used(&self) -> bool {
        self.outcome == Outcome::Converged
    }

    /// The cost at the end by that at the start.
    pub fn cost_ratio(&self) -> f64 {
        self.final_cost / self.initial_cost.max(f64::MIN_POSITIVE)
    }
}
