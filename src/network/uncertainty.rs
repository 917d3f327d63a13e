//! From what the network says of its own error to a covariance that is true.
//!
//! covariance = S (aleatoric + epistemic) S + floor, in the tangent of the prediction, `[translation, rotation]`:
//! - aleatoric: the predicted log-variances (Kendall & Gal 2017, eq. 8), a diagonal;
//! - epistemic: the second moment, about the deterministic prediction, of samples under dropout (Gal & Ghahramani
//!   2016). The masks come from a fixed seed: the same frame gives the same bytes;
//! - S: scales fitted on frames that were not trained on ([`Calibration::fit`]). Both terms know only training data
//!   and are too small without it;
//! - floor: a millimetre and a twentieth of a degree. A covariance is never zero.

use nalgebra::Cholesky;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::config::NetworkConfig;
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::{Error, Result};

/// Standard deviations below which no covariance goes: metres and radians.
const FLOOR: [f64; 2] = [1e-3, 8.7e-4];
/// 90 % quantiles of the chi-squared distribution with 3 and 6 degrees of freedom.
const CHI2_90: [f64; 2] = [6.251_388_631, 10.644_640_676];
/// Fewest frames a calibration is fitted on: fewer say nothing of a 90 % quantile.
const MIN_FRAMES: usize = 20;

/// Masks of inverted dropout for one frame, `[1 + samples, width]` per fully connected layer: the first row keeps all
/// (the deterministic prediction), the others are samples. Units are kept with `1 - dropout` and scaled by its inverse.
pub fn dropout_masks(config: &NetworkConfig, device: Device) -> Vec<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let (keep, rows) = (1.0 - config.dropout, 1 + config.dropout_samples);
    let mask = |&width: &i64| {
        let mut values = vec![1.0f32; width as usize];
        let samples = (0..config.dropout_samples * width as usize)
            .map(|_| if generator.random_bool(keep) { (1.0 / keep) as f32 } else { 0.0 });
        values.extend(samples);
        Tensor::from_slice(&values).view([rows as i64, width]).to_device(device)
    };
    config.hidden.iter().map(mask).collect()
}

/// The uncalibrated covariance of a prediction: aleatoric variances plus the spread of the samples.
///
/// # Errors
/// [`Error::Compute`] when a number is not finite.
pub fn raw_covariance(prediction: Se3, variances: &Vector6, samples: &[Se3]) -> Result<Matrix6> {
    let mut covariance = Matrix6::from_diagonal(variances);
    for sample in samples {
        let xi = prediction.local(*sample);
        covariance += xi * xi.transpose() / samples.len() as f64;
    }
    finite(covariance)
}

fn finite(covariance: Matrix6) -> Result<Matrix6> {
    match covariance.iter().all(|value| value.is_finite()) {
        true => Ok(covariance),
        false => Err(Error::compute("covariance of a pose", "expected finite numbers, found NaN or infinity")),
    }
}

/// Factors that make covariances true, and what they were fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Multiplies standard deviations of the translation.
    pub translation_scale: f64,
    /// Multiplies standard deviations of the rotation.
    pub rotation_scale: f64,
    /// Frames of the fit; 0 for a calibration that was not fitted.
    pub frames: usize,
    /// Mean of the normalized squared error of those frames with these factors; 6 when errors are Gaussian.
    pub mean_nees: f64,
    /// Share of those frames inside the 90 % ellipsoid.
    pub coverage_90: f64,
}

impl Calibration {
    /// Factors of one, fitted on nothing: for training, before validation.
    pub fn unfitted() -> Self {
        Self { translation_scale: 1.0, rotation_scale: 1.0, frames: 0, mean_nees: 0.0, coverage_90: 0.0 }
    }

    /// Fits the factors to pairs of an *uncalibrated* covariance and the error `local(estimate, truth)`.
    ///
    /// First each block on its own, then both together, so that 90 % of the frames fall inside the ellipsoid of 90 %.
    /// The quantile is robust: one hopeless frame does not blow up the covariance of all. Where the mean of the
    /// normalized squared error then still exceeds 6, the factors grow towards it, but no further than 95 % coverage.
    ///
    /// # Errors
    /// [`Error::Compute`] with fewer than 20 frames, or when a covariance is not positive definite.
    pub fn fit(frames: &[(Matrix6, Vector6)]) -> Result<Self> {
        if frames.len() < MIN_FRAMES {
            let reason = format!("expected at least {MIN_FRAMES} validation frames, found {}", frames.len());
            return Err(Error::compute("calibration of the covariance", reason));
        }
        let block = |start: usize, chi2: f64| -> Result<f64> {
            let distances = frames.iter().map(|(covariance, error)| {
                let covariance = covariance.fixed_view::<3, 3>(start, start).into_owned();
                let error = error.fixed_rows::<3>(start).into_owned();
                Cholesky::new(covariance).map(|factor| error.dot(&factor.solve(&error)))
            });
            Ok((quantile(distances, 0.9)? / chi2).sqrt())
        };
        let (translation, rotation) = (block(0, CHI2_90[0])?, block(3, CHI2_90[0])?);
        let mut calibration = Self { translation_scale: translation, rotation_scale: rotation, ..Self::unfitted() };
        let distances = calibration.distances(frames);
        let both = (quantile(distances.iter().copied(), 0.9)? / CHI2_90[1]).sqrt();
        let most = (quantile(distances.iter().copied(), 0.95)? / CHI2_90[1]).sqrt();
        let mean = distances.iter().flatten().sum::<f64>() / frames.len() as f64;
        let both = (mean / 6.0).sqrt().clamp(both, most.max(both));
        calibration.translation_scale *= both;
        calibration.rotation_scale *= both;
        let distances: Vec<f64> = calibration.distances(frames).into_iter().flatten().collect();
        let inside = distances.iter().filter(|distance| **distance <= CHI2_90[1]).count();
        calibration.frames = frames.len();
        calibration.mean_nees = distances.iter().sum::<f64>() / frames.len() as f64;
        calibration.coverage_90 = inside as f64 / frames.len() as f64;
        Ok(calibration)
    }

    /// The calibrated covariance: positive definite for every positive semidefinite input.
    ///
    /// # Errors
    /// [`Error::Compute`] when a number is not finite.
    pub fn apply(&self, raw: &Matrix6) -> Result<Matrix6> {
        let per_axis = |translation: f64, rotation: f64| {
            Matrix6::from_diagonal(&Vector6::from_fn(|axis, _| if axis < 3 { translation } else { rotation }))
        };
        let scale = per_axis(self.translation_scale, self.rotation_scale);
        finite(scale * raw * scale + per_axis(FLOOR[0].powi(2), FLOOR[1].powi(2)))
    }

    /// Whether the factors are positive and finite.
    pub fn is_valid(&self) -> bool {
        [self.translation_scale, self.rotation_scale].iter().all(|scale| scale.is_finite() && *scale > 0.0)
    }

    fn distances(&self, frames: &[(Matrix6, Vector6)]) -> Vec<Option<f64>> {
        let distance = |(raw, error): &(Matrix6, Vector6)| {
            let factor = Cholesky::new(self.apply(raw).ok()?)?;
            Some(error.dot(&factor.solve(error)))
        };
        frames.iter().map(distance).collect()
    }
}

/// The value that a share `ratio` of the values does not exceed (the nearest rank above).
fn quantile(values: impl IntoIterator<Item = Option<f64>>, ratio: f64) -> Result<f64> {
    let values: Option<Vec<f64>> = values.into_iter().collect();
    let mut values = values.filter(|values| values.iter().all(|value| value.is_finite())).ok_or_else(|| {
        let reason = "expected positive definite covariances and finite errors, found one that is not";
        Error::compute("calibration of the covariance", reason)
    })?;
    values.sort_by(f64::total_cmp);
    let rank = (ratio * values.len() as f64).ceil() as usize;
    Ok(values[rank.clamp(1, values.len()) - 1].max(1e-12))
}
