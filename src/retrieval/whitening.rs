//! Principal components with whitening: fewer numbers, of which each varies as much as the others.
//!
//! H. Jégou and O. Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and whitening",
//! ECCV 2012, section 3: what many images share weighs less. With fewer samples than numbers per sample the axes come
//! from the eigenvectors `u` of the samples' Gram matrix `X^T X`: the axis `X u / s` has the singular value
//! `s = sqrt(eigenvalue)` and the standard deviation `s / sqrt(n - 1)`.

use nalgebra::{DMatrix, DVector};

use super::normalized;
use crate::{Error, Result};

/// Axes whose variance is below this share of the largest one are rounding noise.
const NOISE: f64 = 1e-6;

/// A linear map to whitened principal components, and to length 1.
#[derive(Clone, Debug)]
pub struct Whitening {
    mean: DVector<f32>,
    /// One column per component: the axis over its standard deviation.
    axes: DMatrix<f32>,
}

impl Whitening {
    /// The `count` strongest components of samples (one column each); fewer when the samples vary in fewer directions.
    ///
    /// # Errors
    /// [`Error::Compute`] when the samples do not vary at all.
    pub fn fit(mut samples: DMatrix<f32>, count: usize) -> Result<Self> {
        let refuse = |count: usize| {
            let reason = format!("{count} images that are all alike");
            Err(Error::compute("principal components of image descriptors", reason))
        };
        if samples.is_empty() {
            return refuse(samples.ncols());
        }
        let mean = samples.column_mean();
        samples.column_iter_mut().for_each(|mut sample| sample -= &mean);
        let gram = (samples.transpose() * &samples).cast::<f64>();
        let eigen = gram.symmetric_eigen();
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        let largest = order.first().map_or(0.0, |first| eigen.eigenvalues[*first]);
        order.truncate(count);
        order.retain(|index| eigen.eigenvalues[*index] > NOISE * largest && largest > 0.0);
        if order.is_empty() {
            return refuse(samples.ncols());
        }
        let freedom = (samples.ncols() as f64 - 1.0).sqrt();
        let mut weights = eigen.eigenvectors.select_columns(&order);
        for (mut weight, index) in weights.column_iter_mut().zip(&order) {
            weight *= freedom / eigen.eigenvalues[*index];
        }
        Ok(Self { mean, axes: samples * weights.cast::<f32>() })
    }

    /// Numbers of a whitened vector.
    pub fn dimension(&self) -> usize {
        self.axes.ncols()
    }

    /// The whitened components of a vector, before they are brought to length 1: over the samples of [`Whitening::fit`]
    /// their mean is 0 and their covariance the identity.
    pub fn components(&self, vector: &[f32]) -> Vec<f32> {
        let centred = DVector::from_column_slice(vector) - &self.mean;
        self.axes.tr_mul(&centred).as_slice().to_vec()
    }

    /// The whitened components of a vector, of length 1.
    pub fn apply(&self, vector: &[f32]) -> Vec<f32> {
        normalized(self.components(vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn samples(length: usize, count: usize) -> DMatrix<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        DMatrix::from_fn(length, count, |row, _| 2.0 + (row + 1) as f32 * random.random_range(-1.0..1.0_f32))
    }

    #[test]
    fn components_are_those_of_a_singular_value_decomposition() {
        for (length, count) in [(5, 40), (30, 8)] {
            let samples = samples(length, count);
            let mean = samples.column_mean();
            let centred =
                DMatrix::from_columns(&samples.column_iter().map(|sample| sample - &mean).collect::<Vec<_>>());
            let svd = centred.cast::<f64>().svd_unordered(true, false);
            let mut order: Vec<usize> = (0..svd.singular_values.len()).collect();
            order.sort_by(|a, b| svd.singular_values[*b].total_cmp(&svd.singular_values[*a]));
            let whitening = Whitening::fit(samples.clone(), 4).unwrap();
            assert_eq!(whitening.dimension(), 4);
            for sample in samples.column_iter() {
                let components = whitening.components(sample.clone_owned().as_slice());
                for (component, index) in components.iter().zip(&order) {
                    let axis = svd.u.as_ref().unwrap().column(*index);
                    let deviation = svd.singular_values[*index] / (count as f64 - 1.0).sqrt();
                    let expected = axis.dot(&(sample - &mean).cast::<f64>()) / deviation;
                    // An axis and its opposite are the same.
                    assert!((f64::from(component.abs()) - expected.abs()).abs() < 1e-3, "{component} and {expected}");
                }
            }
        }
    }

    #[test]
    fn whitened_samples_have_unit_covariance() {
        let samples = samples(12, 60);
        let whitening = Whitening::fit(samples.clone(), 12).unwrap();
        let columns = samples.column_iter().map(|sample| DVector::from_vec(whitening.components(sample.as_slice())));
        let components = DMatrix::from_columns(&columns.collect::<Vec<_>>());
        let covariance = &components * components.transpose() / 59.0;
        assert!((covariance - DMatrix::identity(12, 12)).amax() < 1e-3);
        let applied = whitening.apply(samples.column(7).as_slice());
        assert!((applied.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn there_are_no_more_components_than_directions() {
        assert_eq!(Whitening::fit(samples(20, 6), 20).unwrap().dimension(), 5);
        let text = Whitening::fit(DMatrix::repeat(4, 3, 1.0), 2).unwrap_err().to_string();
        assert_eq!(text, "principal components of image descriptors: 3 images that are all alike");
        assert!(Whitening::fit(DMatrix::zeros(4, 0), 2).is_err());
    }
}
