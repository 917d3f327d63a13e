//! What came of an optimization, and why it ended.

use std::fmt;
use std::time::Duration;

use super::Key;

/// Why an optimization ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Nothing to do: there is no variable that may move, or no factor.
    NothingToOptimize,
    /// The last step lowered the error by less than the relative limit.
    RelativeErrorDecrease,
    /// The last step lowered the error by less than the absolute limit.
    AbsoluteErrorDecrease,
    /// The gradient is below its limit.
    Gradient,
    /// The step is below its limit.
    Step,
    /// The most iterations were made; the error was still falling.
    MaxIterations,
    /// Gauss-Newton: the last step raised the error and was taken back.
    ErrorIncreased,
    /// Levenberg-Marquardt: no step lowers the error, whatever the damping.
    LambdaTooLarge,
    /// Dog-leg: no step lowers the error, however short.
    TrustRegionTooSmall,
    /// The normal matrix is not positive definite at this variable: the factors do not determine it.
    Indeterminate(Key),
}

impl StopReason {
    /// Whether the error is at a minimum, as far as the limits ask.
    pub fn is_converged(self) -> bool {
        use StopReason::*;
        matches!(self, NothingToOptimize | RelativeErrorDecrease | AbsoluteErrorDecrease | Gradient | Step)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            StopReason::NothingToOptimize => "nothing to optimize",
            StopReason::RelativeErrorDecrease => "converged: the relative decrease of the error is below its limit",
            StopReason::AbsoluteErrorDecrease => "converged: the decrease of the error is below its limit",
            StopReason::Gradient => "converged: the gradient is below its limit",
            StopReason::Step => "converged: the step is below its limit",
            StopReason::MaxIterations => "the most iterations were made",
            StopReason::ErrorIncreased => "the last step raised the error and was taken back",
            StopReason::LambdaTooLarge => "no step lowers the error, whatever the damping",
            StopReason::TrustRegionTooSmall => "no step lowers the error, however short",
            StopReason::Indeterminate(key) => {
                return write!(formatter, "the factors do not determine the variable {key}");
            }
        })
    }
}

/// What an optimization did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// The cost at the start: `Σ ½ ρ(‖r‖²)`.
    pub initial_error: f64,
    /// The cost at the end.
    pub final_error: f64,
    /// How many times the graph was linearized and a step looked for.
    pub iterations: usize,
    /// How many times the normal matrix was factorized: more where steps failed, fewer where a factorization served
    /// several iterations.
    pub factorizations: usize,
    /// Why it ended.
    pub stop: StopReason,
    /// Time for the structure: looking up keys, ordering, symbolic factorization; little when it was seen before.
    pub structure_time: Duration,
    /// Time for residuals and Jacobians and for adding them up.
    pub linearize_time: Duration,
    /// Time for numeric factorizations.
    pub factorize_time: Duration,
    /// Time for solving with the factors.
    pub solve_time: Duration,
    /// Time for moving variables and for the error after steps.
    pub error_time: Duration,
}

impl Report {
    /// All of its times together.
    pub fn total_time(&self) -> Duration {
        self.structure_time + self.linearize_time + self.factorize_time + self.solve_time + self.error_time
    }
}
