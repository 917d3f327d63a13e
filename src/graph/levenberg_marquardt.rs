//! Levenberg-Marquardt: Gauss-Newton with a damping that shrinks while steps do what the linearization promised and
//! grows while they do not (Madsen, Nielsen and Tingleff 2004, section 3.2).
//!
//! The damping is `λ` times the diagonal of the normal matrix (Marquardt 1963), so that it knows no units. A step counts
//! if it lowers the *true* cost, robust kernels included; the cost of the linearization only sets `λ`. With `λ = 0` at
//! the start, steps are those of Gauss-Newton until one fails, and a variable that the factors do not determine at the
//! start ends the search.
//!
//! Near the minimum the normal matrix hardly changes, and its factorization costs many times what a gradient and a solve
//! do. So a step that did just what it promised is followed by steps with a fresh gradient and the same factorization
//! (Shamanskii 1967), for as long as each promises a tenth of the gain of the one before it. On the usual pose graphs
//! that spares the last factorization, which would only show that there is nothing left to gain. Who starts without
//! damping starts near the minimum: there every step is followed so.

use super::StopReason;
use super::optimizer::Run;
use crate::Result;

/// Diagonal entries are damped as if they were at least this: a variable without information still gets damping.
const LEAST_DIAGONAL: f64 = 1e-9;
/// Damping after a step without any has failed.
const FIRST_LAMBDA: f64 = 1e-6;
/// A good step divides `λ` by at most this.
const FASTEST_FALL: f64 = 10.0;
/// A factorization is used again after a step that kept its promise within this share.
const KEPT: f64 = 2e-3;
/// A factorization is used again while each step promises less than this share of what the step before it promised.
const CONTRACTION: f64 = 0.1;

/// Runs to a reason to stop; the system is linearized at the start.
pub(super) fn run(run: &mut Run<'_>) -> Result<StopReason> {
    let mut lambda = run.settings.initial_lambda;
    loop {
        let unchecked = lambda == 0.0 && run.report.iterations == 0;
        if !unchecked && run.has_flat_gradient() {
            return Ok(StopReason::Gradient);
        }
        let before = run.error;
        let (predicted, gain) = match damped_step(run, &mut lambda)? {
            Step::Taken { predicted, gain } => (predicted, gain),
            Step::None(reason) => return Ok(reason),
        };
        if let Some(reason) = run.reason_to_stop(before) {
            return Ok(reason);
        }
        let near = lambda == 0.0 || (gain - 1.0).abs() < KEPT;
        if run.settings.reuse_factorization
            && near
            && let Some(reason) = steps_with_the_same_factorization(run, predicted)?
        {
            return Ok(reason);
        }
        if run.report.iterations >= run.settings.max_iterations {
            return Ok(StopReason::MaxIterations);
        }
        run.linearize()?;
    }
}

enum Step {
    /// The decrease of the error that was predicted, and the share of it that came true.
    Taken {
        predicted: f64,
        gain: f64,
    },
    None(StopReason),
}

/// One step of the linearized system, with more and more damping until it lowers the error.
fn damped_step(run: &mut Run<'_>, lambda: &mut f64) -> Result<Step> {
    run.report.iterations += 1;
    let before = run.error;
    let mut growth = 10.0;
    loop {
        let undamped = *lambda == 0.0;
        let factorized = match undamped {
            true => run.factorize_exactly(),
            false => run.factorize(|diagonal| *lambda * diagonal.max(LEAST_DIAGONAL)),
        };
        if let (true, Err(indeterminate)) = (undamped && run.report.iterations == 1, factorized) {
            return Ok(Step::None(indeterminate));
        }
        if factorized.is_ok() {
            run.solve();
            let predicted = predicted_decrease(run, *lambda);
            let error = run.error_after_step()?;
            if error < before {
                run.accept(error);
                let gain = (before - error) / predicted;
                *lambda *= (1.0 - (2.0 * gain - 1.0).powi(3)).clamp(1.0 / FASTEST_FALL, 2.0);
                return Ok(Step::Taken { predicted, gain });
            }
            if run.cannot_gain(predicted) {
                return Ok(Step::None(StopReason::RelativeErrorDecrease));
            }
        }
        *lambda = if undamped { FIRST_LAMBDA } else { *lambda * growth };
        growth *= 2.0;
        if *lambda > run.settings.max_lambda {
            return Ok(Step::None(factorized.err().unwrap_or(StopReason::LambdaTooLarge)));
        }
    }
}

/// Steps with fresh gradients and the factorization that is there, after a step that promised `predicted`; ends with a
/// reason to stop, or without one when a fresh factorization is due.
fn steps_with_the_same_factorization(run: &mut Run<'_>, mut predicted: f64) -> Result<Option<StopReason>> {
    loop {
        if run.report.iterations >= run.settings.max_iterations {
            return Ok(None);
        }
        run.linearize_gradient()?;
        run.solve();
        let promised = predicted_decrease(run, 0.0);
        if promised > CONTRACTION * predicted {
            return Ok(None);
        }
        predicted = promised;
        run.report.iterations += 1;
        let before = run.error;
        let error = run.error_after_step()?;
        if error >= before {
            return Ok(run.cannot_gain(predicted).then_some(StopReason::RelativeErrorDecrease));
        }
        run.accept(error);
        if let Some(reason) = run.reason_to_stop(before) {
            return Ok(Some(reason));
        }
    }
}

/// How far the linearized cost falls with the step `δ` of the damped system: `½ δᵀ (λ D δ - g)`.
fn predicted_decrease(run: &Run<'_>, lambda: f64) -> f64 {
    let system = &run.system;
    let entries = system.step.iter().zip(&system.gradient).zip(&system.diagonal);
    let term = |((step, gradient), diagonal): ((&f64, &f64), &f64)| {
        step * (lambda * diagonal.max(LEAST_DIAGONAL) * step - gradient)
    };
    0.5 * entries.map(term).sum::<f64>()
}
