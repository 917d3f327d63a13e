//! Robust kernels: how the cost of a factor grows when its residual is larger than its noise explains.
//!
//! With the squared length `s` of the whitened residual a factor costs `½ ρ(s)`; without a kernel `ρ(s) = s`. The
//! solver weighs residual and Jacobian by `√ρ'(s)` (iteratively reweighted least squares), which has the exact
//! gradient of the robust cost, and accepts a step on that cost, not on the weighted one.
//!
//! Every kernel has `ρ(s) ≈ s` for small `s`; its parameter is in standard deviations, except Φ of dynamic covariance
//! scaling, which its authors give in squared ones.

use crate::{Error, Result};

/// A robust kernel with its parameter; made by its constructors, which check it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobustKernel {
    shape: Shape,
    /// The squared threshold or scale; Φ itself for dynamic covariance scaling.
    square: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Huber,
    Cauchy,
    GemanMcClure,
    DynamicCovarianceScaling,
}

impl RobustKernel {
    /// Quadratic up to `threshold` standard deviations, then linear (Huber 1964): `ρ = 2 k √s - k²`. Outliers keep a
    /// bounded pull, and the cost stays convex.
    ///
    /// # Errors
    /// When the threshold is not a positive, finite number.
    pub fn huber(threshold: f64) -> Result<Self> {
        Self::new(Shape::Huber, "Huber threshold", threshold, threshold * threshold)
    }

    /// `ρ = c² ln(1 + s / c²)`: an outlier's pull falls as the inverse of its residual.
    ///
    /// # Errors
    /// When the scale is not a positive, finite number.
    pub fn cauchy(scale: f64) -> Result<Self> {
        Self::new(Shape::Cauchy, "Cauchy scale", scale, scale * scale)
    }

    /// `ρ = c² s / (c² + s)` (Geman and McClure 1987): the cost of an outlier is bounded by `c²`.
    ///
    /// # Errors
    /// When the scale is not a positive, finite number.
    pub fn geman_mcclure(scale: f64) -> Result<Self> {
        Self::new(Shape::GemanMcClure, "Geman-McClure scale", scale, scale * scale)
    }

    /// Dynamic covariance scaling (Agarwal et al. 2013, eq. 15): the information is scaled by the square of
    /// `min(1, 2Φ / (Φ + s))`; as a kernel (MacTavish and Barfoot 2015) `ρ = s` up to Φ, then `4Φs / (Φ + s) - Φ`.
    ///
    /// # Errors
    /// When Φ is not a positive, finite number.
    pub fn dynamic_covariance_scaling(phi: f64) -> Result<Self> {
        Self::new(Shape::DynamicCovarianceScaling, "dynamic covariance scaling phi", phi, phi)
    }

    fn new(shape: Shape, what: &str, parameter: f64, square: f64) -> Result<Self> {
        if parameter > 0.0 && square > 0.0 && square.is_finite() {
            Ok(Self { shape, square })
        } else {
            Err(Error::message(what, "a positive, finite number", parameter.to_string()))
        }
    }

    /// `ρ(s)` of the squared length `s` of a whitened residual.
    pub fn cost(self, s: f64) -> f64 {
        let square = self.square;
        match self.shape {
            Shape::Huber | Shape::DynamicCovarianceScaling if s <= square => s,
            Shape::Huber => 2.0 * (square * s).sqrt() - square,
            Shape::Cauchy => square * (s / square).ln_1p(),
            Shape::GemanMcClure => square * s / (square + s),
            Shape::DynamicCovarianceScaling => 4.0 * square * s / (square + s) - square,
        }
    }

    /// `ρ'(s)`, in (0, 1]: the factor's weight.
    pub fn weight(self, s: f64) -> f64 {
        let square = self.square;
        match self.shape {
            Shape::Huber | Shape::DynamicCovarianceScaling if s <= square => 1.0,
            Shape::Huber => (square / s).sqrt(),
            Shape::Cauchy => square / (square + s),
            Shape::GemanMcClure => (square / (square + s)).powi(2),
            Shape::DynamicCovarianceScaling => (2.0 * square / (square + s)).powi(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kernels(parameter: f64) -> [RobustKernel; 4] {
        [
            RobustKernel::huber(parameter).unwrap(),
            RobustKernel::cauchy(parameter).unwrap(),
            RobustKernel::geman_mcclure(parameter).unwrap(),
            RobustKernel::dynamic_covariance_scaling(parameter).unwrap(),
        ]
    }

    proptest! {
        #[test]
        fn the_weight_is_the_slope_of_the_cost(parameter in 0.1..10.0f64, exponent in -3.0..4.0f64) {
            let s = 10f64.powf(exponent);
            let step = 1e-5 * s;
            for kernel in kernels(parameter) {
                let slope = (kernel.cost(s + step) - kernel.cost(s - step)) / (2.0 * step);
                prop_assert!((slope - kernel.weight(s)).abs() < 1e-5 * slope.max(1e-3), "{kernel:?} at {s}: {slope}");
            }
        }

        #[test]
        fn a_small_residual_costs_what_it_would_without(parameter in 0.5..10.0f64, s in 0.0..1e-6f64) {
            for kernel in kernels(parameter) {
                prop_assert!((kernel.cost(s) - s).abs() <= 1e-5 * s && kernel.weight(s) <= 1.0, "{kernel:?}");
            }
        }
    }

    #[test]
    fn published_values() {
        let [huber, cauchy, geman_mcclure, scaling] = kernels(2.0);
        assert_eq!((huber.cost(9.0), huber.weight(9.0)), (8.0, 2.0 / 3.0));
        assert!((cauchy.cost(4.0) - 4.0 * 2f64.ln()).abs() < 1e-15 && cauchy.weight(4.0) == 0.5);
        assert_eq!((geman_mcclure.cost(12.0), geman_mcclure.weight(12.0)), (3.0, 0.0625));
        // s = 2 Φ / (Φ + χ²) = 4 / 8
        assert_eq!((scaling.cost(6.0), scaling.weight(6.0)), (4.0, 0.25));
    }

    #[test]
    fn parameters_are_checked() {
        let text = RobustKernel::huber(0.0).unwrap_err().to_string();
        assert_eq!(text, "Huber threshold: expected a positive, finite number, found 0");
        assert!(RobustKernel::cauchy(f64::NAN).is_err() && RobustKernel::geman_mcclure(-1.0).is_err());
        assert!(RobustKernel::dynamic_covariance_scaling(f64::INFINITY).is_err());
    }
}
