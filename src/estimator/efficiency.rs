//! What a robust kernel makes of Gaussian errors: how much a fix under it really tells.
//!
//! The solver's information matrix counts a fix with the weight `w` of its kernel, `min(1, k / √s)` for Huber's. Among
//! Gaussian errors that weight is below one for good fixes as well, so the matrix understates what they tell. The
//! covariance of an M-estimator is that of `A² / B` fixes, with `A` the mean derivative and `B` the mean square of its
//! influence (Huber 1964; Hampel et al. 1986, section 4.2); the ratio to the mean weight is a constant of the kernel.

use crate::{Error, Result};

/// Degrees of freedom of a pose.
const DOF: f64 = 6.0;
/// End and step of the integration over the squared Mahalanobis distance; the density there is below 1e-12.
const END: f64 = 80.0;
const STEPS: usize = 8000;

/// By how much the information of fixes under a Huber kernel of this threshold (standard deviations) exceeds the sum of
/// their weights, when their errors are Gaussian: from 1 on.
///
/// # Errors
/// When the threshold is not positive.
pub fn huber_efficiency(threshold: f64) -> Result<f64> {
    if threshold.is_nan() || threshold <= 0.0 {
        return Err(Error::config("estimator.robust_scale", "a number above 0", threshold.to_string()));
    }
    let (mut weight, mut derivative, mut influence) = (0.0, 0.0, 0.0);
    let step = END / STEPS as f64;
    for index in 0..STEPS {
        let s = (index as f64 + 0.5) * step;
        // The density of chi-square with six degrees of freedom.
        let probability = s * s * (-0.5 * s).exp() / 16.0 * step;
        let w = (threshold / s.sqrt()).min(1.0);
        // In all directions but the residual's own the influence has the slope w; in its own, 1 or none.
        let slope = if w < 1.0 { (DOF - 1.0) / DOF * w } else { 1.0 };
        weight += probability * w;
        derivative += probability * slope;
        influence += probability * w * w * s / DOF;
    }
    Ok(derivative * derivative / influence / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_kernel_changes_nothing_and_a_narrow_one_more() {
        assert!((huber_efficiency(1e3).unwrap() - 1.0).abs() < 1e-4);
        let narrow: Vec<f64> = [10.0, 3.55, 2.0].iter().map(|scale| huber_efficiency(*scale).unwrap()).collect();
        assert!(narrow.is_sorted() && narrow[2] > 1.01, "{narrow:?}");
        assert!(huber_efficiency(f64::NAN).is_err() && huber_efficiency(0.0).is_err());
    }
}
