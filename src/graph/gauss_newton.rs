//! Gauss-Newton: the full step to the minimum of the linearized cost. Fast from a good start; from a bad one it may leave
//! the basin, and then it stops at the best values it saw.

use super::StopReason;
use super::optimizer::Run;
use crate::Result;

/// Runs to a reason to stop; the system is linearized at the start.
pub(super) fn run(run: &mut Run<'_>) -> Result<StopReason> {
    loop {
        if run.has_flat_gradient() {
            return Ok(StopReason::Gradient);
        }
        run.report.iterations += 1;
        if let Err(indeterminate) = run.factorize(|_| 0.0) {
            return Ok(indeterminate);
        }
        run.solve();
        let (before, error) = (run.error, run.error_after_step()?);
        if error > before {
            let rounding = error - before <= run.settings.relative_error_decrease * before;
            return Ok(if rounding { StopReason::RelativeErrorDecrease } else { StopReason::ErrorIncreased });
        }
        run.accept(error);
        if let Some(reason) = run.reason_to_stop(before) {
            return Ok(reason);
        }
        if run.report.iterations >= run.settings.max_iterations {
            return Ok(StopReason::MaxIterations);
        }
        run.linearize()?;
    }
}
