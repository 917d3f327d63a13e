//! Gaussian noise of a measurement, kept as the square root of its information.
//!
//! `S` is upper triangular with `SᵀS = Σ⁻¹`, so that the whitened residual `S r` has unit covariance and its half
//! squared length is the negative log-likelihood up to a constant.

use nalgebra::{SMatrix, SVector};

use crate::{Error, Result};

/// Entries that mirror each other may differ by this share of the square root of their diagonal entries' product:
/// rounding of files and messages.
const SYMMETRY_TOLERANCE: f64 = 1e-6;
/// Least pivot of the matrix scaled to a unit diagonal that counts as positive.
const LEAST_PIVOT: f64 = 1e-13;

/// Gaussian noise of `N` dimensions: finite and positive definite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian<const N: usize> {
    sqrt_information: SMatrix<f64, N, N>,
}

impl<const N: usize> Gaussian<N> {
    /// Noise with this information matrix, the inverse of the covariance.
    ///
    /// # Errors
    /// When it is not finite, not symmetric or not positive definite.
    pub fn from_information(information: &SMatrix<f64, N, N>) -> Result<Self> {
        let (scales, scaled) = scaled("information", information)?;
        let lower = positive_cholesky("information", &scaled, information)?;
        Ok(Self { sqrt_information: lower.transpose() * SMatrix::from_diagonal(&scales) })
    }

    /// Noise with this covariance.
    ///
    /// # Errors
    /// When it is not finite, not symmetric or not positive definite.
    pub fn from_covariance(covariance: &SMatrix<f64, N, N>) -> Result<Self> {
        // With the axes reversed the lower factor becomes an upper one, `Σ = D U Uᵀ D`, and its inverse is `S`.
        let reversed = |matrix: &SMatrix<f64, N, N>| {
            SMatrix::<f64, N, N>::from_fn(|row, column| matrix[(N - 1 - row, N - 1 - column)])
        };
        let (scales, scaled) = scaled("covariance", covariance)?;
        let lower = positive_cholesky("covariance", &reversed(&scaled), covariance)?;
        let inverse = reversed(&lower).solve_upper_triangular(&SMatrix::<f64, N, N>::identity());
        let inverse = inverse.ok_or_else(|| Error::compute("inverse of a covariance", "it is numerically singular"))?;
        Ok(Self { sqrt_information: inverse * SMatrix::from_diagonal(&scales.map(f64::recip)) })
    }

    /// Independent entries with these standard deviations.
    ///
    /// # Errors
    /// When one of them is not a positive, finite number whose inverse is finite.
    pub fn from_sigmas(sigmas: &SVector<f64, N>) -> Result<Self> {
        if let Some(axis) =
            sigmas.iter().position(|sigma| !(*sigma > 0.0 && sigma.is_finite() && sigma.recip().is_finite()))
        {
            let what = format!("standard deviation {axis} of {N}");
            return Err(Error::message(what, "a positive, finite number", sigmas[axis].to_string()));
        }
        Ok(Self { sqrt_information: SMatrix::from_diagonal(&sigmas.map(f64::recip)) })
    }

    /// Independent entries with the same standard deviation.
    ///
    /// # Errors
    /// As [`Gaussian::from_sigmas`].
    pub fn isotropic(sigma: f64) -> Result<Self> {
        Self::from_sigmas(&SVector::repeat(sigma))
    }

    /// The upper triangular `S` with `SᵀS = Σ⁻¹`.
    pub fn sqrt_information(&self) -> &SMatrix<f64, N, N> {
        &self.sqrt_information
    }

    /// `Σ⁻¹`.
    pub fn information(&self) -> SMatrix<f64, N, N> {
        self.sqrt_information.transpose() * self.sqrt_information
    }

    /// The whitened residual `S r`.
    pub fn whiten(&self, residual: &SVector<f64, N>) -> SVector<f64, N> {
        self.sqrt_information * residual
    }
}

/// The square roots of the diagonal of a matrix, and the matrix divided by them, with halves that differ by rounding
/// averaged: so that what follows does not depend on the units of the axes.
fn scaled<const N: usize>(what: &str, matrix: &SMatrix<f64, N, N>) -> Result<(SVector<f64, N>, SMatrix<f64, N, N>)> {
    if let Some(index) = matrix.iter().position(|entry| !entry.is_finite()) {
        return Err(refusal::<N>(what, format!("{} at row {}, column {}", matrix[index], index % N, index / N)));
    }
    if let Some(axis) = (0..N).find(|&axis| matrix[(axis, axis)] <= 0.0) {
        return Err(refusal::<N>(what, format!("{} at row {axis}, column {axis}", matrix[(axis, axis)])));
    }
    let scales = SVector::<f64, N>::from_fn(|axis, _| matrix[(axis, axis)].sqrt());
    let scaled = SMatrix::<f64, N, N>::from_fn(|row, column| matrix[(row, column)] / scales[row] / scales[column]);
    let asymmetry = (scaled - scaled.transpose()).amax();
    if asymmetry > SYMMETRY_TOLERANCE {
        return Err(refusal::<N>(what, format!("mirrored entries that differ by {asymmetry:.3e} of their diagonal")));
    }
    Ok((scales, 0.5 * (scaled + scaled.transpose())))
}

/// The lower Cholesky factor of a scaled matrix; `found` is shown if there is none.
fn positive_cholesky<const N: usize>(
    what: &str,
    scaled: &SMatrix<f64, N, N>,
    found: &SMatrix<f64, N, N>,
) -> Result<SMatrix<f64, N, N>> {
    let factor = scaled.cholesky().map(|factor| factor.l());
    factor
        .filter(|lower| (0..N).all(|axis| lower[(axis, axis)].powi(2) > LEAST_PIVOT))
        .ok_or_else(|| refusal::<N>(what, format!("a matrix that is not positive definite: {found:?}")))
}

fn refusal<const N: usize>(what: &str, found: String) -> Error {
    Error::message(what, format!("a finite, symmetric, positive definite {N}x{N} matrix"), found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Matrix3, Vector3};

    fn relative_difference(found: &Matrix3<f64>, expected: &Matrix3<f64>) -> f64 {
        found.zip_map(expected, |a, b| (a - b).abs() / b.abs().max(1e-3)).amax()
    }

    #[test]
    fn the_square_root_is_upper_and_squares_to_the_information() {
        let half = Matrix3::new(2.0, 0.3, -0.1, 0.0, 1e-4, 1e-5, 0.0, 0.0, 50.0);
        let information = half.transpose() * half;
        let noise = Gaussian::from_information(&information).unwrap();
        assert!(relative_difference(noise.sqrt_information(), &half) < 1e-9, "{noise:?}");
        let inverse = half.try_inverse().unwrap();
        let again = Gaussian::from_covariance(&(inverse * inverse.transpose())).unwrap();
        assert!(relative_difference(again.sqrt_information(), &half) < 1e-9, "{again:?}");
        let residual = Vector3::new(0.1, -2.0, 0.4);
        let square = residual.dot(&(information * residual));
        assert!((noise.whiten(&residual).norm_squared() - square).abs() < 1e-12 * square);
    }

    #[test]
    fn what_is_no_noise_is_refused_with_its_reason() {
        let refusal = |change: fn(&mut Matrix3<f64>)| {
            let mut matrix = Matrix3::identity();
            change(&mut matrix);
            Gaussian::from_covariance(&matrix).unwrap_err().to_string()
        };
        let expected = "covariance: expected a finite, symmetric, positive definite 3x3 matrix, found";
        assert_eq!(refusal(|m| m[(1, 2)] = f64::NAN), format!("{expected} NaN at row 1, column 2"));
        assert_eq!(refusal(|m| m[(2, 2)] = 0.0), format!("{expected} 0 at row 2, column 2"));
        let asymmetric = refusal(|m| m[(0, 1)] = 0.1);
        assert_eq!(asymmetric, format!("{expected} mirrored entries that differ by 1.000e-1 of their diagonal"));
        let singular = refusal(|m| (m[(0, 1)], m[(1, 0)]) = (1.0, 1.0));
        assert!(singular.starts_with(&format!("{expected} a matrix that is not positive definite")), "{singular}");
        let sigma = Gaussian::<3>::isotropic(-1.0).unwrap_err().to_string();
        assert_eq!(sigma, "standard deviation 0 of 3: expected a positive, finite number, found -1");
        assert!(Gaussian::<3>::isotropic(f64::INFINITY).is_err() && Gaussian::<3>::isotropic(0.0).is_err());
    }
}
