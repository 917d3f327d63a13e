//! Powell's dog-leg: one factorization per linearization, and a trust region instead of damping.
//!
//! The step goes along steepest descent to the minimum of the linearized cost on that line (the Cauchy point), then
//! towards the Gauss-Newton step, and ends where it leaves the trust region (Powell 1970; Madsen, Nielsen and Tingleff
//! 2004, section 3.3). Lengths are measured in `‖D δ‖` with `D²` the diagonal of the normal matrix, so that metres and
//! radians compare. The first region is as large as the first Gauss-Newton step.

use super::StopReason;
use super::optimizer::Run;
use crate::Result;

/// Give up when the region is this share of the first one.
const SMALLEST_REGION: f64 = 1e-12;

/// Runs to a reason to stop; the system is linearized at the start.
pub(super) fn run(run: &mut Run<'_>) -> Result<StopReason> {
    let mut legs = Legs::default();
    let mut first_radius = None;
    let mut radius = f64::INFINITY;
    loop {
        if run.has_flat_gradient() {
            return Ok(StopReason::Gradient);
        }
        run.report.iterations += 1;
        if let Err(indeterminate) = run.factorize(|_| 0.0) {
            return Ok(indeterminate);
        }
        run.solve();
        legs.update(run);
        let first = *first_radius.get_or_insert(legs.newton_length);
        radius = if radius.is_finite() { radius } else { first };
        let before = run.error;
        // A shorter step until one lowers the error.
        loop {
            let length = legs.step_within(radius, run);
            let predicted = run.predicted_decrease();
            let error = run.error_after_step()?;
            let gain = (before - error) / predicted;
            radius = match gain {
                good if good > 0.75 => radius.max(3.0 * length),
                fair if fair > 0.25 => radius,
                _ => 0.5 * length,
            };
            if error < before {
                run.accept(error);
                break;
            }
            if run.cannot_gain(predicted) {
                return Ok(StopReason::RelativeErrorDecrease);
            }
            if radius < SMALLEST_REGION * first {
                return Ok(StopReason::TrustRegionTooSmall);
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

/// The two ends of the dog's leg.
#[derive(Default)]
struct Legs {
    newton: Vec<f64>,
    newton_length: f64,
    cauchy: Vec<f64>,
    cauchy_length: f64,
}

impl Legs {
    /// Both ends for the linearized and solved system of `run`.
    fn update(&mut self, run: &mut Run<'_>) {
        let system = &mut *run.system;
        self.newton.clone_from(&system.step);
        self.newton_length = scaled_length(&self.newton, &system.diagonal);
        self.cauchy.clear();
        let descent = system.gradient.iter().zip(&system.diagonal).map(|(gradient, diagonal)| -gradient / diagonal);
        self.cauchy.extend(descent);
        let slope: f64 = self.cauchy.iter().zip(&system.gradient).map(|(step, gradient)| step * gradient).sum();
        let stretch = -slope / system.curvature(&self.cauchy);
        self.cauchy.iter_mut().for_each(|entry| *entry *= stretch);
        self.cauchy_length = scaled_length(&self.cauchy, &system.diagonal);
    }

    /// Makes the system's step the point of the path that is `radius` away, or its end; returns its length.
    fn step_within(&self, radius: f64, run: &mut Run<'_>) -> f64 {
        let system = &mut *run.system;
        if self.newton_length <= radius {
            system.step.copy_from_slice(&self.newton);
            return self.newton_length;
        }
        if self.cauchy_length >= radius {
            let share = radius / self.cauchy_length;
            system.step.iter_mut().zip(&self.cauchy).for_each(|(step, cauchy)| *step = share * cauchy);
            return radius;
        }
        // ‖D (c + β (n - c))‖ = radius, for the β in (0, 1).
        let (mut a, mut b) = (0.0, 0.0);
        for ((newton, cauchy), diagonal) in self.newton.iter().zip(&self.cauchy).zip(&system.diagonal) {
            let along = newton - cauchy;
            a += diagonal * along * along;
            b += diagonal * along * cauchy;
        }
        let c = self.cauchy_length.powi(2) - radius * radius;
        let root = (b * b - a * c).sqrt();
        let beta = if b <= 0.0 { (root - b) / a } else { -c / (b + root) };
        for ((step, newton), cauchy) in system.step.iter_mut().zip(&self.newton).zip(&self.cauchy) {
            *step = cauchy + beta * (newton - cauchy);
        }
        radius
    }
}

fn scaled_length(step: &[f64], diagonal: &[f64]) -> f64 {
    step.iter().zip(diagonal).map(|(entry, diagonal)| diagonal * entry * entry).sum::<f64>().sqrt()
}
