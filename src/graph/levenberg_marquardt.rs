//! Levenberg-Marquardt: Gauss-Newton with a damping that shrinks while steps do what the linearization promised and
//! grows while they do not (Nielsen 1999; Madsen, Nielsen and Tingleff 2004, section 3.2).
//!
//! The damping is `λ` times the diagonal of the normal matrix (Marquardt 1963), so that it knows no units. A step counts
//! if it lowers the *true* cost, robust kernels included; the cost of the linearization only sets `λ`. With `λ = 0` at
//! the start, steps are those of Gauss-Newton until one fails, and a variable that the factors do not determine ends the
//! search.

use super::optimizer::{Run, StopReason};
use crate::Result;

/// Diagonal entries are damped as if they were at least this: a variable without information still gets damping.
const LEAST_DIAGONAL: f64 = 1e-9;
/// Damping after a step without any failed.
const FIRST_LAMBDA: f64 = 1e-6;
/// A good step divides `λ` by at most this.
const FASTEST_FALL: f64 = 10.0;

/// Runs to a reason to stop; the system is linearized at the start.
pub(super) fn run(run: &mut Run<'_>) -> Result<StopReason> {
    let mut lambda = run.settings.initial_lambda;
    let mut growth = 10.0;
    loop {
        let unchecked = lambda == 0.0 && run.report.iterations == 0;
        if !unchecked && run.has_flat_gradient() {
            return Ok(StopReason::Gradient);
        }
        run.report.iterations += 1;
        let before = run.error;
        // More damping until a step lowers the error.
        loop {
            let factorized = if lambda == 0.0 {
                run.factorize_exactly()
            } else {
                run.factorize(|diagonal| lambda * diagonal.max(LEAST_DIAGONAL))
            };
            if let (Err(indeterminate), true) = (factorized, lambda == 0.0) {
                return Ok(indeterminate);
            }
            if factorized.is_ok() {
                run.solve();
                let predicted = predicted_decrease(run, lambda);
                let error = run.error_after_step()?;
                let gain = (before - error) / predicted;
                if error < before {
                    run.accept(error);
                    lambda *= (1.0 - (2.0 * gain - 1.0).powi(3)).max(1.0 / FASTEST_FALL);
                    growth = 10.0;
                    break;
                }
                if run.cannot_gain(predicted) {
                    return Ok(StopReason::RelativeErrorDecrease);
                }
            }
            lambda = if lambda == 0.0 { FIRST_LAMBDA } else { lambda * growth };
            growth *= 2.0;
            if lambda > run.settings.max_lambda {
                return Ok(factorized.err().unwrap_or(StopReason::LambdaTooLarge));
            }
        }
        if let Some(reason) = run.reason_to_stop(before) {
            return Ok(reason);
        }
        if run.report.iterations >= run.settings.max_iterations {
            return Ok(StopReason::MaxIterations);
        }
        run.linearize()?;
    }
}

/// How far the linearized cost falls with the step `δ`: `½ δᵀ (λ D δ - g)`.
fn predicted_decrease(run: &Run<'_>, lambda: f64) -> f64 {
    let system = &run.system;
    let entries = system.step.iter().zip(&system.gradient).zip(&system.diagonal);
    0.5 * entries
        .map(|((step, gradient), diagonal)| step * (lambda * diagonal.max(LEAST_DIAGONAL) * step - gradient))
        .sum::<f64>()
}
