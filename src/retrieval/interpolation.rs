//! The pose between retrieved poses (Sattler et al. 2019, section 5, after Torii, Sivic and Pajdla 2011).
//!
//! The answer is the affine combination `Σ a_i (c_i, r_i)` of the poses of the nearest images, with the weights that
//! bring the combined descriptors nearest to the query: minimize `|d(I) - Σ a_i d(J_i)|²` with `Σ a_i = 1`.

use nalgebra::{DMatrix, DVector, Quaternion, UnitQuaternion, Vector3};

use crate::geometry::{Se3, So3};
use crate::{Error, Result};

/// Ridge of [`affine_weights`] for descriptors: only decides between equal training images.
pub(super) const RIDGE: f64 = 1e-9;

/// The weights with sum 1 that minimize `|Σ a_i offset_i|²`: proportional to `G⁻¹ 1` with `G_ij = offset_i · offset_j`.
/// `ridge` times the trace of G is added to its diagonal, which draws the weights to equal ones.
///
/// # Errors
/// When there is no offset, or a number is not finite.
pub(crate) fn affine_weights(offsets: &[DVector<f64>], ridge: f64) -> Result<Vec<f64>> {
    let mut gram = DMatrix::from_fn(offsets.len(), offsets.len(), |i, j| offsets[i].dot(&offsets[j]));
    let ridge = (ridge * gram.trace()).max(f64::MIN_POSITIVE);
    for i in 0..offsets.len() {
        gram[(i, i)] += ridge;
    }
    let solution = gram.cholesky().map(|factor| factor.solve(&DVector::repeat(offsets.len(), 1.0)));
    let weights = solution
        .map(|solution| &solution / solution.sum())
        .filter(|weights| !weights.is_empty() && weights.iter().all(|weight| weight.is_finite()));
    let refuse =
        || Error::compute("interpolation of retrieved poses", format!("no weights for {} images", offsets.len()));
    Ok(weights.ok_or_else(refuse)?.iter().copied().collect())
}

/// `Σ a_i (c_i, q_i)`, the quaternions on the side of the first, then normalized.
///
/// # Errors
/// When the combined rotation vanishes.
pub(super) fn combine(poses: impl Iterator<Item = (Se3, f64)>) -> Result<Se3> {
    let mut translation = Vector3::zeros();
    let mut sum = Quaternion::new(0.0, 0.0, 0.0, 0.0);
    let mut first = None;
    for (pose, weight) in poses {
        let quaternion = pose.rotation.quaternion().into_inner();
        let reference = *first.get_or_insert(quaternion);
        let side = if quaternion.dot(&reference) < 0.0 { -1.0 } else { 1.0 };
        translation += weight * pose.translation;
        sum += quaternion * (side * weight);
    }
    let rotation = UnitQuaternion::try_new(sum, 1e-6)
        .ok_or_else(|| Error::compute("interpolation of retrieved poses", "the weighted rotations cancel out"))?;
    Ok(Se3::new(So3::from_quaternion(rotation), translation))
}
