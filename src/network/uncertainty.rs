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
pub const MIN_CALIBRATION_FRAMES: usize = 20;

/// Masks of inverted dropout for one frame, `[1 + samples, width]` per fully connected layer: the first row keeps all
/// (the deterministic prediction), the others are samples. Branches stand side by side. Units are kept with `1 - dropout` and scaled by its inverse.
pub fn dropout_masks(config: &NetworkConfig, device: Device) -> Vec<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let (keep, rows) = (1.0 - config.dropout, 1 + config.dropout_samples);
    let branches = config.branches() as i64;
    let mask = |width: &i64| {
        let width = width * branches;
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
    /// Standard deviation of what no measurement shows of the translation, metres; see [`Calibration::fit_measured`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub translation_floor: f64,
    /// The same of the rotation, radians.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotation_floor: f64,
    /// Time over which the errors of successive frames are alike, seconds; absent where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_time: Option<f64>,
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
        Self {
            translation_scale: 1.0,
            rotation_scale: 1.0,
            translation_floor: 0.0,
            rotation_floor: 0.0,
            correlation_time: None,
            frames: 0,
            mean_nees: 0.0,
            coverage_90: 0.0,
        }
    }

    /// The larger of each factor and floor of both, and all else of this one: its ellipsoids hold those of both.
    pub fn or_larger(self, other: Self) -> Self {
        Self {
            translation_scale: self.translation_scale.max(other.translation_scale),
            rotation_scale: self.rotation_scale.max(other.rotation_scale),
            translation_floor: self.translation_floor.max(other.translation_floor),
            rotation_floor: self.rotation_floor.max(other.rotation_floor),
            ..self
        }
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
        if frames.len() < MIN_CALIBRATION_FRAMES {
            let reason =
                format!("expected at least {MIN_CALIBRATION_FRAMES} validation frames, found {}", frames.len());
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
        Self { translation_scale: translation, rotation_scale: rotation, ..Self::unfitted() }.resized(frames)
    }

    /// The same with all standard deviations larger or smaller by the factor with which 90 % of the frames fall inside the
    /// ellipsoid of 90 %, or more, as [`Calibration::fit`] says.
    pub(super) fn resized(mut self, frames: &[(Matrix6, Vector6)]) -> Result<Self> {
        let distances = self.distances(frames);
        let both = (quantile(distances.iter().copied(), 0.9)? / CHI2_90[1]).sqrt();
        let most = (quantile(distances.iter().copied(), 0.95)? / CHI2_90[1]).sqrt();
        let mean = distances.iter().flatten().sum::<f64>() / frames.len() as f64;
        let both = (mean / 6.0).sqrt().clamp(both, most.max(both));
        let Self { translation_scale, rotation_scale, translation_floor, rotation_floor, .. } = &mut self;
        for deviation in [translation_scale, rotation_scale, translation_floor, rotation_floor] {
            *deviation *= both;
        }
        Ok(self.measured_on(frames))
    }

    /// The larger factors of this and another calibration, with what they do for `frames`, as [`Calibration::fit`] takes
    /// them.
    pub fn at_least(self, other: Self, frames: &[(Matrix6, Vector6)]) -> Self {
        let larger = Self {
            translation_scale: self.translation_scale.max(other.translation_scale),
            rotation_scale: self.rotation_scale.max(other.rotation_scale),
            translation_floor: self.translation_floor.max(other.translation_floor),
            rotation_floor: self.rotation_floor.max(other.rotation_floor),
            ..self
        };
        larger.measured_on(frames)
    }

    /// With its numbers on these frames.
    fn measured_on(self, frames: &[(Matrix6, Vector6)]) -> Self {
        let distances: Vec<f64> = self.distances(frames).into_iter().flatten().collect();
        let inside = distances.iter().filter(|distance| **distance <= CHI2_90[1]).count();
        Self {
            frames: frames.len(),
            mean_nees: distances.iter().sum::<f64>() / frames.len() as f64,
            coverage_90: inside as f64 / frames.len() as f64,
            ..self
        }
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
        let floor = |own: f64, least: f64| own.powi(2) + least.powi(2);
        let floor = per_axis(floor(self.translation_floor, FLOOR[0]), floor(self.rotation_floor, FLOOR[1]));
        finite(scale * raw * scale + floor)
    }

    /// Whether the factors are positive, the floors not negative, and all of them finite.
    pub fn is_valid(&self) -> bool {
        let floors = [self.translation_floor, self.rotation_floor];
        [self.translation_scale, self.rotation_scale].iter().all(|scale| scale.is_finite() && *scale > 0.0)
            && floors.iter().chain(&self.correlation_time).all(|value| value.is_finite() && *value >= 0.0)
    }

    fn distances(&self, frames: &[(Matrix6, Vector6)]) -> Vec<Option<f64>> {
        let distance = |(raw, error): &(Matrix6, Vector6)| {
            let factor = Cholesky::new(self.apply(raw).ok()?)?;
            Some(error.dot(&factor.solve(error)))
        };
        frames.iter().map(distance).collect()
    }
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
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

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn normal(generator: &mut ChaCha8Rng) -> Vector6 {
        Vector6::from_fn(|_, _| StandardNormal.sample(generator))
    }

    /// Errors `factors` times as large as the covariances say.
    fn frames(count: usize, factors: [f64; 2]) -> Vec<(Matrix6, Vector6)> {
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let sigmas = [0.2, 0.1, 0.3, 0.05, 0.08, 0.02];
        let one = |_| {
            let size = generator.random_range(0.5..2.0);
            let sigma = Vector6::from_fn(|axis, _| size * sigmas[axis]);
            let error = normal(&mut generator).component_mul(&sigma);
            let error = Vector6::from_fn(|axis, _| error[axis] * factors[axis / 3]);
            (Matrix6::from_diagonal(&sigma.component_mul(&sigma)), error)
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn gaussian_errors_give_back_their_factors() {
        let calibration = Calibration::fit(&frames(20_000, [3.0, 0.7])).unwrap();
        assert!((calibration.translation_scale / 3.0 - 1.0).abs() < 0.02, "{calibration:?}");
        assert!((calibration.rotation_scale / 0.7 - 1.0).abs() < 0.02, "{calibration:?}");
        assert!((calibration.mean_nees / 6.0 - 1.0).abs() < 0.03, "{calibration:?}");
        assert!((calibration.coverage_90 - 0.9).abs() < 0.01, "{calibration:?}");
    }

    #[test]
    fn a_few_hopeless_frames_do_not_blow_up_the_others() {
        let mut frames = frames(1000, [2.0, 2.0]);
        for (_, error) in frames.iter_mut().take(20) {
            *error *= 100.0;
        }
        let calibration = Calibration::fit(&frames).unwrap();
        assert!((0.9..=0.955).contains(&calibration.coverage_90), "{calibration:?}");
        assert!(calibration.translation_scale < 2.6, "{calibration:?}");
    }

    #[test]
    fn a_covariance_is_never_zero_and_never_nan() {
        let calibration = Calibration { translation_scale: 2.0, ..Calibration::unfitted() };
        let floor = calibration.apply(&Matrix6::zeros()).unwrap();
        assert!((floor[(0, 0)].sqrt() - 1e-3).abs() < 1e-12 && Cholesky::new(floor).is_some());
        let nan = Matrix6::repeat(f64::NAN);
        let error = calibration.apply(&nan).unwrap_err().to_string();
        assert_eq!(error, "covariance of a pose: expected finite numbers, found NaN or infinity");
    }

    #[test]
    fn too_few_or_broken_frames_are_no_calibration() {
        let error = Calibration::fit(&frames(19, [1.0; 2])).unwrap_err().to_string();
        assert_eq!(error, "calibration of the covariance: expected at least 20 validation frames, found 19");
        let mut broken = frames(30, [1.0; 2]);
        broken[7].0 = Matrix6::zeros();
        let error = Calibration::fit(&broken).unwrap_err().to_string();
        assert!(error.contains("expected positive definite covariances and finite errors"), "{error}");
    }

    #[test]
    fn samples_add_their_spread_about_the_prediction() {
        let mut generator = ChaCha8Rng::seed_from_u64(9);
        let prediction = Se3::exp(&Vector6::repeat(0.4));
        let sigma = Vector6::new(0.05, 0.02, 0.03, 0.01, 0.04, 0.02);
        let samples: Vec<Se3> =
            (0..20_000).map(|_| prediction.retract(&normal(&mut generator).component_mul(&sigma))).collect();
        let covariance = raw_covariance(prediction, &Vector6::repeat(0.01), &samples).unwrap();
        for axis in 0..6 {
            let expected = 0.01 + sigma[axis] * sigma[axis];
            assert!((covariance[(axis, axis)] / expected - 1.0).abs() < 0.02, "{axis}");
        }
    }

    #[test]
    fn masks_keep_the_first_row_and_the_mean() {
        let config = NetworkConfig {
            hidden: vec![4096, 32],
            dropout_samples: 30,
            ..NetworkConfig::preset("vlocnet-small").unwrap()
        };
        let masks = dropout_masks(&config, Device::Cpu);
        assert_eq!(masks.iter().map(Tensor::size).collect::<Vec<_>>(), [[31, 4096], [31, 32]]);
        assert!(masks[0].get(0).equal(&masks[0].get(0).ones_like()));
        assert!((masks[0].mean(tch::Kind::Double).double_value(&[]) - 1.0).abs() < 0.01);
        assert!(masks[0].equal(&dropout_masks(&config, Device::Cpu)[0]));
    }
}
