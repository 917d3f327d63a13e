//! What a robust kernel makes of Gaussian errors: how much a fix under it really tells.
//!
//! The solver's information matrix counts a fix with the weight `w` of its kernel, 1 / (1 + s/c²) for Cauchy's. Among
//! Gaussian errors that weight is below one for good fixes as well, so the matrix understates what they tell. The
//! covariance of an M-estimator is that of `A² / B` fixes, with `A` the mean derivative and `B` the mean square of its
//! influence (Huber 1964; Hampel et al. 1986, section 4.2); the ratio to the mean weight is a constant of the kernel.

use crate::{Error, Result};

/// Degrees of freedom of a pose.
const DOF: f64 = 6.0;
/// End and step of the integration over the squared Mahalanobis distance; the density there is below 1e-12.
const END: f64 = 80.0;
const STEPS: usize = 8000;

/// By how much the information of fixes under a Cauchy kernel of this scale (standard deviations) exceeds the sum of
/// their weights, when their errors are Gaussian: above 1.
///
/// # Errors
/// When the scale is not positive.
pub fn cauchy_efficiency(scale: f64) -> Result<f64> {
    if !(scale > 0.0) {
        return Err(Error::config("estimator.robust_scale", "a number above 0", scale.to_string()));
    }
    if scale * scale > 1e9 {
        return Ok(1.0);
    }
    let square = scale * scale;
    let (mut weight, mut derivative, mut influence) = (0.0, 0.0, 0.0);
    let step = END / STEPS as f64;
    for index in 0..STEPS {
        let s = (index as f64 + 0.5) * step;
        // The density of chi-square with six degrees of freedom.
        let probability = s * s * (-0.5 * s).exp() / 16.0 * step;
        let w = 1.0 / (1.0 + s / square);
        weight += probability * w;
        derivative += probability * (w - 2.0 / DOF * s * w * w / square);
        influence += probability * w * w * s / DOF;
    }
    Ok(derivative * derivative / influence / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_kernel_changes_nothing_and_a_narrow_one_much() {
        assert!((cauchy_efficiency(1e3).unwrap() - 1.0).abs() < 1e-4);
        assert_eq!(cauchy_efficiency(f64::INFINITY).unwrap(), 1.0);
        let narrow: Vec<f64> = [10.0, 3.5, 2.0].iter().map(|scale| cauchy_efficiency(*scale).unwrap()).collect();
        assert!(narrow.is_sorted() && narrow[0] > 1.0, "{narrow:?}");
        assert!(cauchy_efficiency(f64::NAN).is_err() && cauchy_efficiency(0.0).is_err());
    }
}
