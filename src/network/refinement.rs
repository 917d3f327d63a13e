//! A position as the affine combination of known ones whose embeddings combine to that of a frame (Shavit & Keller 2022,
//! section 3.3, "Test-time Position Refinement", eq. 6 and 7):
//!
//! a = argmin ‖z - Σ aᵢ ẑᵢ‖², Σ aᵢ = 1;  x = Σ aᵢ xᵢ
//!
//! The paper takes three steps of a gradient descent, from random weights. The minimum has a closed form (Roweis & Saul 2000,
//! "Nonlinear dimensionality reduction by locally linear embedding", appendix A): with Cᵢⱼ = (ẑᵢ - z)·(ẑⱼ - z), the weights
//! are C⁻¹1 divided by their sum. As there, a share of the trace on the diagonal keeps C regular and draws the weights to
//! equal ones. Weights that leave [-1, 2] are drawn back to equal ones until all are inside, so that embeddings that are
//! nearly dependent throw no position out of its place; their sum stays one.

use nalgebra::{DMatrix, DVector};

use crate::geometry::Se3;
use crate::{Error, Result, retrieval};

/// The share of the trace of C on its diagonal (Roweis & Saul: small against it).
const REGULARIZATION: f64 = 1e-3;
/// The least and the largest weight.
const BOUNDS: [f64; 2] = [-1.0, 2.0];

/// Weights, of sum one, with which the rows of `encodings_kh` come nearest to `embedding_h`.
///
/// # Errors
/// [`Error::Compute`] without a row, for rows of another length, or when a number is not finite.
pub fn affine_weights(embedding_h: &DVector<f64>, encodings_kh: &DMatrix<f64>) -> Result<DVector<f64>> {
    let count = encodings_kh.nrows();
    let fail =
        |found: &str| Error::compute("weights of a position", format!("expected finite encodings, found {found}"));
    if count == 0 {
        return Err(fail("none"));
    }
    if encodings_kh.ncols() != embedding_h.len() {
        return Err(fail(&format!("{} numbers in a row for {}", encodings_kh.ncols(), embedding_h.len())));
    }
    let equal = DVector::repeat(count, 1.0 / count as f64);
    let offsets: Vec<_> = encodings_kh.row_iter().map(|row| row.transpose() - embedding_h).collect();
    let trace: f64 = offsets.iter().map(DVector::norm_squared).sum();
    if !trace.is_finite() {
        return Err(fail("NaN or infinity"));
    }
    if trace == 0.0 {
        return Ok(equal);
    }
    let weights = retrieval::affine_weights(&offsets, REGULARIZATION / count as f64)?;
    Ok(bounded(DVector::from_vec(weights), &equal))
}

/// The weights nearest to these on the way to equal ones that are within the bounds.
fn bounded(weights: DVector<f64>, equal: &DVector<f64>) -> DVector<f64> {
    let away = weights - equal;
    let room = away.iter().zip(equal).map(|(away, equal)| match away.total_cmp(&0.0) {
        std::cmp::Ordering::Less => (BOUNDS[0] - equal) / away,
        std::cmp::Ordering::Greater => (BOUNDS[1] - equal) / away,
        std::cmp::Ordering::Equal => 1.0,
    });
    let share = room.fold(1.0, f64::min);
    equal + away * share
}

/// How far two poses are from each other: metres over `scale` plus radians, as validation adds them up.
pub fn pose_distance(one: &Se3, other: &Se3, scale: f64) -> f64 {
    let angle = (one.rotation.inverse() * other.rotation).angle();
    (one.translation - other.translation).norm() / scale + angle
}

/// The indices of the `count` poses nearest to `pose`, the nearest first, by [`pose_distance`].
pub fn nearest_poses(pose: &Se3, poses: &[Se3], scale: f64, count: usize) -> Vec<usize> {
    let distance = |other: &Se3| pose_distance(pose, other, scale);
    let mut distances: Vec<(f64, usize)> = poses.iter().map(distance).zip(0..).collect();
    let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    let count = count.min(distances.len());
    if count > 0 && count < distances.len() {
        distances.select_nth_unstable_by(count - 1, order);
    }
    distances.truncate(count);
    distances.sort_by(order);
    distances.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::geometry::So3;

    fn random(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        DMatrix::from_fn(rows, columns, |_, _| generator.random_range(-1.0..1.0))
    }

    #[test]
    fn weights_sum_to_one_and_find_an_affine_combination() {
        for (seed, truth) in [[0.2, 0.5, 0.3], [-0.4, 1.1, 0.3], [1.0, 0.0, 0.0]].iter().enumerate() {
            let encodings = random(3, 40, seed as u64);
            let truth = DVector::from_row_slice(truth);
            let embedding = encodings.transpose() * &truth;
            let weights = affine_weights(&embedding, &encodings).unwrap();
            assert!((weights.sum() - 1.0).abs() < 1e-12);
            assert!((&weights - &truth).amax() < 5e-3, "{weights} {truth}");
        }
        let off_the_plane = DVector::from_column_slice(random(40, 1, 9).as_slice());
        assert!((affine_weights(&off_the_plane, &random(3, 40, 0)).unwrap().sum() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn no_weights_of_the_sum_one_come_nearer_but_for_the_regularization() {
        let (encodings, embedding) = (random(4, 30, 3), DVector::from_column_slice(random(30, 1, 4).as_slice()));
        let weights = affine_weights(&embedding, &encodings).unwrap();
        let distance = |weights: &DVector<f64>| (&embedding - encodings.transpose() * weights).norm_squared();
        let best = distance(&weights);
        for seed in 0..200 {
            let step = random(4, 1, 100 + seed);
            let step = DVector::from_column_slice(step.as_slice());
            let step = (&step - DVector::repeat(4, step.mean())) * 0.3;
            assert!(distance(&(&weights + step)) > best - 1e-3 * best);
        }
    }

    #[test]
    fn nearly_dependent_encodings_throw_nothing_out_of_its_place() {
        let mut encodings = DMatrix::zeros(2, 5);
        encodings[(1, 0)] = 1e-3;
        let mut embedding = DVector::zeros(5);
        embedding[0] = 0.5;
        let weights = affine_weights(&embedding, &encodings).unwrap();
        assert!((weights.sum() - 1.0).abs() < 1e-12);
        assert!(weights.iter().all(|weight| (-1.0 - 1e-9..=2.0 + 1e-9).contains(weight)), "{weights}");
        let same = DMatrix::from_element(3, 5, 0.25);
        let weights = affine_weights(&DVector::repeat(5, 0.25), &same).unwrap();
        assert!((weights - DVector::repeat(3, 1.0 / 3.0)).amax() < 1e-12);
    }

    #[test]
    fn nothing_and_nonsense_are_errors() {
        let error = affine_weights(&DVector::zeros(5), &DMatrix::zeros(0, 5)).unwrap_err().to_string();
        assert_eq!(error, "weights of a position: expected finite encodings, found none");
        let error = affine_weights(&DVector::repeat(5, f64::NAN), &DMatrix::zeros(2, 5)).unwrap_err().to_string();
        assert_eq!(error, "weights of a position: expected finite encodings, found NaN or infinity");
        let error = affine_weights(&DVector::zeros(4), &DMatrix::zeros(2, 5)).unwrap_err().to_string();
        assert_eq!(error, "weights of a position: expected finite encodings, found 5 numbers in a row for 4");
    }

    #[test]
    fn the_nearest_poses_are_near_in_place_and_direction() {
        let pose = |x: f64, angle: f64| Se3::new(So3::exp(&Vector3::new(0.0, angle, 0.0)), Vector3::new(x, 0.0, 0.0));
        let poses = [pose(3.0, 0.0), pose(0.1, 2.0), pose(0.5, 0.1), pose(0.2, 0.0)];
        assert_eq!(nearest_poses(&pose(0.0, 0.0), &poses, 1.0, 2), [3, 2]);
        assert_eq!(nearest_poses(&pose(0.0, 0.0), &poses, 1.0, 9), [3, 2, 1, 0]);
        assert_eq!(nearest_poses(&pose(0.0, 0.0), &poses, 100.0, 2), [3, 0], "a long unit makes places alike");
        assert!(nearest_poses(&pose(0.0, 0.0), &poses, 1.0, 0).is_empty());
    }
}
