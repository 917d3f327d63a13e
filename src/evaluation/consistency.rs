//! Is the covariance true? Normalized estimation error squared (NEES) and the coverage of confidence ellipsoids.
//!
//! For an estimate with covariance `Σ` and the error `ξ = local(estimate, truth)`, `ξᵀ Σ⁻¹ ξ` is chi-square
//! distributed with six degrees of freedom (three for the position alone) when the covariance is right (Bar-Shalom,
//! Li & Kirubarajan 2001, section 5.4). A mean above its band is overconfidence, below it is timidity. The band
//! assumes independent frames; neighbouring frames of a video are not, so coverage is the number to read first.

use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::geometry::{PoseCovariance, Se3};
use crate::sensor::AbsolutePose;
use crate::{Error, Result};

/// NEES of many frames, for one set of degrees of freedom. Shares are in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeesSummary {
    /// Degrees of freedom: the mean NEES of a true covariance.
    pub degrees_of_freedom: u32,
    /// How many estimates were measured.
    pub count: usize,
    /// Mean NEES.
    pub mean: f64,
    /// Lower end of the interval in which the mean of `count` independent frames lies with 95 % probability.
    pub band_95_low: f64,
    /// Upper end of that interval.
    pub band_95_high: f64,
    /// Share of the frames inside their own 50 % ellipsoid.
    pub coverage_50: f64,
    /// Share of the frames inside their own 90 % ellipsoid.
    pub coverage_90: f64,
    /// Share of the frames inside their own 95 % ellipsoid.
    pub coverage_95: f64,
}

/// How honest the covariances of a method are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// Translation and rotation together, six degrees of freedom.
    pub pose: NeesSummary,
    /// The position alone, three degrees of freedom.
    pub position: NeesSummary,
}

impl Consistency {
    /// The consistency of `(truth, estimate)` pairs; `None` when there is no pair.
    ///
    /// # Errors
    /// When a covariance is none (see [`PoseCovariance::new`]).
    pub fn new<'a>(pairs: impl Iterator<Item = (Se3, &'a AbsolutePose)>) -> Result<Option<Self>> {
        let (mut pose, mut position) = (Vec::new(), Vec::new());
        for (truth, estimate) in pairs {
            pose.push(pose_nees(truth, estimate)?);
            position.push(position_nees(truth, estimate)?);
        }
        if pose.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { pose: NeesSummary::new(&pose, 6)?, position: NeesSummary::new(&position, 3)? }))
    }
}

impl NeesSummary {
    /// The summary of squared Mahalanobis lengths with the given degrees of freedom.
    ///
    /// # Errors
    /// When there are no values or no degrees of freedom.
    pub fn new(nees: &[f64], degrees_of_freedom: u32) -> Result<Self> {
        let count = nees.len() as f64;
        let freedom = f64::from(degrees_of_freedom);
        let band = |probability| Ok::<_, Error>(chi_square_quantile(probability, freedom * count)? / count);
        let coverage = |probability| {
            let limit = chi_square_quantile(probability, freedom)?;
            Ok::<_, Error>(nees.iter().filter(|value| **value <= limit).count() as f64 / count)
        };
        Ok(Self {
            degrees_of_freedom,
            count: nees.len(),
            mean: nees.iter().sum::<f64>() / count,
            band_95_low: band(0.025)?,
            band_95_high: band(0.975)?,
            coverage_50: coverage(0.50)?,
            coverage_90: coverage(0.90)?,
            coverage_95: coverage(0.95)?,
        })
    }
}

/// `ξᵀ Σ⁻¹ ξ` with `ξ = local(estimate, truth)`: chi-square with six degrees of freedom.
///
/// # Errors
/// When the covariance is none.
pub fn pose_nees(truth: Se3, estimate: &AbsolutePose) -> Result<f64> {
    PoseCovariance::new(&estimate.covariance)?.squared_mahalanobis(&estimate.map_from_camera.local(truth))
}

/// The same for the position alone, in the camera's axes: chi-square with three degrees of freedom.
///
/// # Errors
/// When the covariance is none.
pub fn position_nees(truth: Se3, estimate: &AbsolutePose) -> Result<f64> {
    let covariance: Matrix3<f64> =
        PoseCovariance::new(&estimate.covariance)?.matrix().fixed_view::<3, 3>(0, 0).into_owned();
    let pose = estimate.map_from_camera;
    let error: Vector3<f64> = pose.rotation.inverse() * (truth.translation - pose.translation);
    let factor = covariance.cholesky();
    let factor = factor.ok_or_else(|| Error::compute("Cholesky of a covariance", "it is numerically singular"))?;
    Ok(error.dot(&factor.solve(&error)))
}

/// The claimed standard deviations of the position (metres) and the rotation (radians): the root of the mean variance
/// over three axes.
pub fn sigmas(estimate: &AbsolutePose) -> [f64; 2] {
    [0, 3].map(|start| (estimate.covariance.fixed_view::<3, 3>(start, start).trace() / 3.0).sqrt())
}

/// The value that a chi-square variable stays below with `probability`.
///
/// # Errors
/// When `degrees_of_freedom` is not positive and finite, or `probability` is not inside `(0, 1)`.
pub fn chi_square_quantile(probability: f64, degrees_of_freedom: f64) -> Result<f64> {
    let sound = probability > 0.0 && probability < 1.0 && degrees_of_freedom.is_finite();
    let distribution = ChiSquared::new(degrees_of_freedom).ok().filter(|_| sound).ok_or_else(|| {
        let found = format!("probability {probability} and {degrees_of_freedom} degrees of freedom");
        Error::message("chi-square quantile", "a probability inside (0, 1) and positive degrees of freedom", found)
    })?;
    // By bisection down to neighbouring numbers: statrs' own inverse stops early, 1e-3 off at 300 degrees of freedom.
    let (mut below, mut above) = (0.0, degrees_of_freedom.max(1.0));
    while distribution.cdf(above) < probability {
        (below, above) = (above, 2.0 * above);
    }
    loop {
        let middle = 0.5 * (below + above);
        if middle <= below || middle >= above {
            return Ok(middle);
        }
        if distribution.cdf(middle) < probability { below = middle } else { above = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::geometry::{So3, Vector6};
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.4; those with six decimals by scipy.stats.chi2.ppf.
        let table = [
            (0.90, 3.0, 6.251),
            (0.95, 3.0, 7.815),
            (0.90, 6.0, 10.645),
            (0.95, 6.0, 12.592),
            (0.975, 100.0, 129.561),
            (0.025, 100.0, 74.222),
            (0.025, 300.0, 253.912_323),
            (0.50, 6.0, 5.348),
            (0.50, 3.0, 2.366),
            (0.975, 6000.0, 6216.591279),
            (0.025, 30000.0, 29521.805937),
        ];
        for (probability, freedom, expected) in table {
            let found = chi_square_quantile(probability, freedom).unwrap();
            assert!((found - expected).abs() < 6e-4, "{probability} {freedom}: {found}, not {expected}");
        }
    }

    /// Estimates whose errors are drawn from `drawn` times the covariance that they claim.
    fn consistency(drawn: f64) -> Consistency {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let sigmas = Vector6::new(0.1, 0.2, 0.05, 0.01, 0.03, 0.02);
        let covariance = nalgebra::Matrix6::from_diagonal(&sigmas.component_mul(&sigmas));
        let pose = Se3::new(So3::exp(&Vector3::new(0.4, -1.0, 2.0)), Vector3::new(3.0, 4.0, 5.0));
        let estimate = AbsolutePose { stamp: Stamp::from_nanos(0), map_from_camera: pose, covariance };
        let truths: Vec<Se3> = (0..20_000)
            .map(|_| {
                Vector6::from_fn(|axis, _| {
                    drawn.sqrt() * sigmas[axis] * Distribution::<f64>::sample(&StandardNormal, &mut rng)
                })
            })
            .map(|xi| pose.retract(&xi))
            .collect();
        Consistency::new(truths.iter().map(|truth| (*truth, &estimate))).unwrap().unwrap()
    }

    #[test]
    fn a_true_covariance_is_called_true() {
        let Consistency { pose, position } = consistency(1.0);
        for nees in [pose, position] {
            assert!(nees.band_95_low < nees.mean && nees.mean < nees.band_95_high, "{nees:?}");
            let coverage = [(nees.coverage_50, 0.5), (nees.coverage_90, 0.9), (nees.coverage_95, 0.95)];
            assert!(coverage.iter().all(|(found, expected)| (found - expected).abs() < 0.01), "{nees:?}");
        }
        assert_eq!((pose.degrees_of_freedom, position.degrees_of_freedom, pose.count), (6, 3, 20_000));
    }

    #[test]
    fn a_wrong_covariance_is_called_wrong() {
        let (bold, timid) = (consistency(4.0), consistency(0.25));
        assert!(bold.pose.mean > bold.pose.band_95_high && bold.position.coverage_90 < 0.6);
        assert!(timid.pose.mean < timid.pose.band_95_low && timid.position.coverage_50 > 0.9);
    }

    #[test]
    fn what_is_no_covariance_is_refused() {
        let estimate = AbsolutePose {
            stamp: Stamp::from_nanos(0),
            map_from_camera: Se3::identity(),
            covariance: nalgebra::Matrix6::zeros(),
        };
        let error = Consistency::new([(Se3::identity(), &estimate)].into_iter()).unwrap_err().to_string();
        assert!(error.ends_with("found the variance 0 at row 0"), "{error}");
        assert_eq!(Consistency::new(std::iter::empty()).unwrap(), None);
        let error = NeesSummary::new(&[], 6).unwrap_err().to_string();
        assert!(error.ends_with("found probability 0.025 and 0 degrees of freedom"), "{error}");
    }
}
