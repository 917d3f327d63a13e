//! The covariance of a pose: checked once, carried to other frames, and turned into ROS's order and axes.
//!
//! A [`PoseCovariance`] belongs to a pose `a_from_b` and describes the right perturbation: the true pose is
//! `a_from_b · exp(ξ)` with `ξ = [translation (m), rotation (rad)]` in the axes of `b` (Solà et al. 2018, section
//! II-E). `geometry_msgs/PoseWithCovariance` has the same order, x, y, z, then rotations about X, Y, Z, but about the
//! *fixed* axes of the header frame `a`: [`PoseCovariance::to_fixed_axes`] and its inverse are the only places where
//! the two meet. Transport is of first order, which is what a covariance can say.

use nalgebra::{Matrix3, Matrix6, SymmetricEigen, Vector6};

use super::{Se3, So3};
use crate::{Error, Result};

/// Entries that mirror each other may differ by this share of the standard deviations' product: rounding of messages.
const SYMMETRY_TOLERANCE: f64 = 1e-6;
/// Largest variance that a message may carry, m² or rad²: that of the farthest plausible position. Beyond it, products
/// would leave what a number can hold.
const LARGEST_VARIANCE: f64 = 1e18;
/// Least eigenvalue of the correlation matrix that counts as positive.
const LEAST_EIGENVALUE: f64 = 1e-12;

/// A 6x6 covariance of the right perturbation of a pose, `[translation (m), rotation (rad)]`: finite, symmetric and
/// positive definite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseCovariance(Matrix6<f64>);

impl PoseCovariance {
    /// Checks a matrix; halves of it that differ by rounding are averaged.
    ///
    /// # Errors
    /// When an entry is not finite, a variance is not positive, or the matrix is not symmetric or not positive
    /// definite (a certain direction is a claim that no sensor can make).
    pub fn new(matrix: &Matrix6<f64>) -> Result<Self> {
        let refuse = |found: String| {
            Err(Error::message("covariance", "a finite, symmetric, positive definite 6x6 matrix", found))
        };
        if let Some(index) = matrix.iter().position(|value| !value.is_finite()) {
            return refuse(format!("{} at row {}, column {}", matrix[index], index % 6, index / 6));
        }
        if let Some(axis) = (0..6).find(|&axis| matrix[(axis, axis)] <= 0.0) {
            return refuse(format!("the variance {} at row {axis}", matrix[(axis, axis)]));
        }
        let sigmas = matrix.diagonal().map(f64::sqrt);
        let correlation = Matrix6::from_fn(|row, column| matrix[(row, column)] / sigmas[row] / sigmas[column]);
        let asymmetry = (correlation - correlation.transpose()).amax();
        if asymmetry > SYMMETRY_TOLERANCE {
            return refuse(format!("mirrored correlations that differ by {asymmetry:.3e}"));
        }
        let symmetric = 0.5 * (correlation + correlation.transpose());
        let least = SymmetricEigen::new(symmetric).eigenvalues.min();
        if least < LEAST_EIGENVALUE {
            return refuse(format!("correlations with the eigenvalue {least:.3e}"));
        }
        Ok(Self(0.5 * matrix + 0.5 * matrix.transpose()))
    }

    /// Independent axes with the same standard deviation per translation axis (m) and per rotation axis (rad).
    ///
    /// # Errors
    /// When one of them is not a positive, finite number.
    pub fn from_sigmas(translation: f64, rotation: f64) -> Result<Self> {
        let (t, r) = (translation * translation, rotation * rotation);
        Self::new(&Matrix6::from_diagonal(&Vector6::new(t, t, t, r, r, r)))
    }

    /// Standard deviations of the position (m) and of the rotation (rad), each over all directions: the square root of
    /// the trace of its block.
    pub fn sigmas(&self) -> (f64, f64) {
        let block = |first: usize| (first..first + 3).map(|axis| self.matrix()[(axis, axis)]).sum::<f64>().sqrt();
        (block(0), block(3))
    }

    /// Standard deviations of the position (m) along its worst axis and of the rotation (rad) about its worst axis: the
    /// square root of the greatest eigenvalue of its block.
    pub fn worst_sigmas(&self) -> (f64, f64) {
        let worst = |first: usize| {
            let block: nalgebra::Matrix3<f64> = self.matrix().fixed_view::<3, 3>(first, first).into();
            block.symmetric_eigenvalues().max().max(0.0).sqrt()
        };
        (worst(0), worst(3))
    }

    /// The matrix, `[translation (m), rotation (rad)]` in the axes of `b`.
    pub fn matrix(&self) -> Matrix6<f64> {
        self.0
    }

    /// The covariance of `a_from_c = a_from_b · b_from_c` where `self` is that of `a_from_b` and `b_from_c` is known.
    ///
    /// `ξ_c = Ad(b_from_c⁻¹) ξ_b`: the same uncertainty, seen from the origin and in the axes of `c`. A known
    /// transform on the left, `z_from_a · a_from_b`, changes nothing.
    pub fn composed_with(&self, b_from_c: Se3) -> Self {
        self.mapped(&b_from_c.inverse().adjoint())
    }

    /// The covariance of `a_from_c = a_from_b · b_from_c` where both are uncertain and independent.
    pub fn chained_with(&self, b_from_c: Se3, covariance_of_b_from_c: &Self) -> Self {
        Self(self.composed_with(b_from_c).0 + covariance_of_b_from_c.0)
    }

    /// The covariance of `b_from_a`, where `self` is that of `a_from_b`; equally, the covariance of the *left*
    /// perturbation of `a_from_b`: `exp(Ad ξ) · a_from_b = a_from_b · exp(ξ)`.
    pub fn inverted(&self, a_from_b: Se3) -> Self {
        self.mapped(&a_from_b.adjoint())
    }

    /// The row-major matrix of `geometry_msgs/PoseWithCovariance` for the pose `a_from_b` in the header frame `a`:
    /// position (m), then rotation about the fixed axes of `a` (rad).
    ///
    /// The position moves by `R ρ` and the rotation is `exp(R φ) · R`, so both blocks turn by `R`. Unlike the left
    /// perturbation, the position stays that of `b`'s origin.
    pub fn to_fixed_axes(&self, a_from_b: Se3) -> [f64; 36] {
        let turned = self.mapped(&both_blocks(a_from_b.rotation));
        std::array::from_fn(|index| turned.0[(index / 6, index % 6)])
    }

    /// The inverse of [`PoseCovariance::to_fixed_axes`].
    ///
    /// # Errors
    /// As [`PoseCovariance::new`] (for example, RViz's planar pose estimates carry zero variances), and when a variance
    /// is above 1e18.
    pub fn from_fixed_axes(row_major: &[f64; 36], a_from_b: Se3) -> Result<Self> {
        let fixed = Self::new(&Matrix6::from_row_slice(row_major))?;
        let largest = fixed.0.diagonal().max();
        if largest > LARGEST_VARIANCE {
            let expected = format!("variances of at most {LARGEST_VARIANCE:e}");
            return Err(Error::message("covariance", expected, format!("{largest:e}")));
        }
        Ok(fixed.mapped(&both_blocks(a_from_b.rotation.inverse())))
    }

    /// The squared Mahalanobis length of a tangent vector, `ξᵀ Σ⁻¹ ξ`: chi-square with six degrees of freedom.
    ///
    /// # Errors
    /// When the matrix cannot be inverted numerically.
    pub fn squared_mahalanobis(&self, xi: &Vector6<f64>) -> Result<f64> {
        let factor = self.0.cholesky();
        let factor = factor.ok_or_else(|| Error::compute("Cholesky of a covariance", "it is numerically singular"))?;
        Ok(xi.dot(&factor.solve(xi)))
    }

    fn mapped(&self, map: &Matrix6<f64>) -> Self {
        let product = map * self.0 * map.transpose();
        Self(0.5 * (product + product.transpose()))
    }
}

fn both_blocks(rotation: So3) -> Matrix6<f64> {
    let turn: Matrix3<f64> = rotation.matrix();
    let mut blocks = Matrix6::zeros();
    blocks.fixed_view_mut::<3, 3>(0, 0).copy_from(&turn);
    blocks.fixed_view_mut::<3, 3>(3, 3).copy_from(&turn);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl Fn(&mut Matrix6<f64>)) -> String {
        let mut matrix = Matrix6::identity();
        change(&mut matrix);
        PoseCovariance::new(&matrix).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_covariance_is_refused_with_its_reason() {
        let expected = "covariance: expected a finite, symmetric, positive definite 6x6 matrix, found";
        assert_eq!(refusal(|m| m[(4, 1)] = f64::NAN), format!("{expected} NaN at row 4, column 1"));
        assert_eq!(refusal(|m| m[(2, 2)] = 0.0), format!("{expected} the variance 0 at row 2"));
        assert_eq!(refusal(|m| m[(0, 1)] = 0.1), format!("{expected} mirrored correlations that differ by 1.000e-1"));
        let correlated = refusal(|m| (m[(0, 1)], m[(1, 0)]) = (1.0, 1.0));
        assert!(correlated.starts_with(&format!("{expected} correlations with the eigenvalue")), "{correlated}");
        assert!(PoseCovariance::from_sigmas(0.1, -f64::INFINITY).is_err());
    }

    #[test]
    fn units_of_very_different_size_are_no_defect() {
        assert!(PoseCovariance::from_sigmas(1e-3, 1e-9).is_ok());
        assert!(PoseCovariance::from_sigmas(1e4, 1e-6).is_ok());
    }

    #[test]
    fn mahalanobis_of_one_sigma_is_one() {
        let covariance = PoseCovariance::from_sigmas(0.5, 0.1).unwrap();
        let square = covariance.squared_mahalanobis(&Vector6::new(0.5, 0.0, 0.0, 0.0, 0.0, 0.1)).unwrap();
        assert!((square - 2.0).abs() < 1e-12);
    }
}
