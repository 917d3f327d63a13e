//! The two numbers that make the covariance true, from recordings whose poses are known: how far the fixes err, and over
//! which time their errors are alike.
//!
//! 1. [`fix_covariance`] of the errors `local(fix, truth)` of all recordings is the covariance to give to each fix.
//! 2. The estimator runs over every recording with that covariance and any correlation time; the normalized errors
//!    (NEES) of its answers are kept, recording by recording.
//! 3. [`overconfidence`] says by how much their covariance is too small, and [`corrected_correlation_time`] which
//!    correlation time would have made up for it. Again from 2 until that time stays the same: two or three rounds.
//!
//! Both fits look at the 90 % quantile: means are made by the few errors that the gate and the robust kernel are there
//! for. A recording on which the fixes are all wrong by the same cannot be told from one on which they are not: the
//! recordings have to be like those that come.

use nalgebra::Vector6;

use super::consensus::news;
use crate::geometry::{Matrix6, PoseCovariance};
use crate::{Error, Result, Stamp};

/// 90 % quantile of chi-square with six degrees of freedom.
const CHI_SQUARE_90: f64 = 10.645;
/// Degrees of freedom of the t distribution that the errors are taken for: heavy tails.
pub(super) const TAILS: f64 = 4.0;
/// Fewest errors that tell a 90 % quantile.
const FEWEST_ERRORS: usize = 20;
/// How many times the sum of an autocorrelation its window is.
const SOKAL_WINDOW: f64 = 5.0;
/// Which of the recordings' quantiles counts: the mean position of this order statistic in what is to come.
const RECORDING_SHARE: f64 = 2.0 / 3.0;

/// The covariance of fixes from their errors, `[translation (m), rotation (rad)]` in the axes of the fix: variances
/// without correlations, such that nine of ten errors lie within the 90 % ellipsoid.
///
/// The shape is the scatter of a multivariate t distribution with four degrees of freedom (Lange, Little and Taylor
/// 1989, "Robust Statistical Modeling Using the t Distribution", section 3), found by its EM iteration.
///
/// # Errors
/// When there are fewer than 20 errors, one is not finite, or they do not vary along an axis.
pub fn fix_covariance(errors: &[Vector6<f64>]) -> Result<PoseCovariance> {
    if errors.len() < FEWEST_ERRORS || !errors.iter().all(|error| error.iter().all(|value| value.is_finite())) {
        let expected = format!("at least {FEWEST_ERRORS} finite errors of fixes");
        return Err(Error::message("calibration", expected, format!("{} errors", errors.len())));
    }
    let squares = |covariance: &Matrix6| -> Result<Vec<f64>> {
        let covariance = PoseCovariance::new(covariance)?;
        errors.iter().map(|error| covariance.squared_mahalanobis(error)).collect()
    };
    let count = errors.len() as f64;
    let mut scatter = errors.iter().map(|error| error * error.transpose()).sum::<Matrix6>() / count;
    for _ in 0..50 {
        let weights = squares(&scatter)?.into_iter().map(|square| (TAILS + 6.0) / (TAILS + square));
        scatter = errors.iter().zip(weights).map(|(error, weight)| weight * error * error.transpose()).sum::<Matrix6>();
        scatter /= count;
    }
    let variances = Matrix6::from_diagonal(&scatter.diagonal());
    let excess = quantile_90(&squares(&variances)?) / CHI_SQUARE_90;
    PoseCovariance::new(&(variances * excess))
}

/// By how much the covariance of the answers is too small on the next recording, from the squared Mahalanobis lengths
/// (NEES, six degrees of freedom) of their errors, recording by recording; 1: it is right, below 1: it is too large.
///
/// Recordings differ by more than answers within one do, so each counts with its own 90 % quantile, and of these the one
/// that two of three recordings to come stay below is taken: of n sorted quantiles the one at rank `⅔ (n + 1)`,
/// interpolated, as the i-th of n lies on average at the share `i / (n + 1)` of its distribution.
///
/// # Errors
/// When there is no recording, or one has fewer than 20 answers or a length that is not finite.
pub fn overconfidence(nees_by_recording: &[Vec<f64>]) -> Result<f64> {
    let sound = |nees: &Vec<f64>| nees.len() >= FEWEST_ERRORS && nees.iter().all(|value| value.is_finite());
    if nees_by_recording.is_empty() || !nees_by_recording.iter().all(sound) {
        let counts: Vec<usize> = nees_by_recording.iter().map(Vec::len).collect();
        let expected = format!("recordings with at least {FEWEST_ERRORS} finite lengths each");
        return Err(Error::message("calibration", expected, format!("{counts:?}")));
    }
    let mut quantiles: Vec<f64> = nees_by_recording.iter().map(|nees| quantile_90(nees)).collect();
    quantiles.sort_by(f64::total_cmp);
    let place = RECORDING_SHARE * (quantiles.len() as f64 + 1.0) - 1.0;
    Ok(interpolated(&quantiles, place) / CHI_SQUARE_90)
}

/// The correlation time with which the covariance would have been `overconfidence` times as large: as many fixes, one
/// every `period` seconds, are to tell that much less. See [`news`].
///
/// # Errors
/// When the period or the overconfidence is not a positive number, or the correlation time a negative one.
pub fn corrected_correlation_time(correlation_time: f64, period: f64, overconfidence: f64) -> Result<f64> {
    let positive = |value: f64| value > 0.0 && value.is_finite();
    if !(positive(period) && positive(overconfidence) && correlation_time >= 0.0 && correlation_time.is_finite()) {
        let found = format!("{correlation_time} s, one fix in {period} s, overconfidence {overconfidence}");
        return Err(Error::message("calibration", "a correlation time, a positive period and factor", found));
    }
    let share = news(period, correlation_time) / overconfidence;
    Ok(if share < 1.0 { period / (2.0 * share.atanh()) } else { 0.0 })
}

/// The correlation time with which the answers of one recording would have been right, from their NEES, the time that the
/// estimator ran with, and the periods between its fixes (their median counts); `None` with too few to tell.
pub fn true_correlation_time(correlation_time: f64, mut periods: Vec<f64>, nees: Vec<f64>) -> Option<f64> {
    periods.sort_by(f64::total_cmp);
    let period = *periods.get(periods.len() / 2)?;
    corrected_correlation_time(correlation_time, period, overconfidence(&[nees]).ok()?).ok()
}

/// The time over which successive fixes err alike, seconds, from runs of their errors in standard deviations, each with its
/// stamp, in order; 0 where each errs on its own, `None` with too few errors or runs too short to tell.
///
/// Sum of the autocorrelation over all lags, up to the window of Sokal ("Monte Carlo Methods in Statistical Mechanics", 1996,
/// section 3: the shortest that is five times the sum itself), as the time with which [`news`] says that so many fixes tell as
/// much as one. No mean is taken away: what is wrong all along a run is alike as well. Errors beyond the 90 % ellipsoid
/// count as if they lay on it.
pub fn integrated_correlation_time(runs: &[Vec<(Stamp, Vector6<f64>)>]) -> Option<f64> {
    let mut periods: Vec<f64> =
        runs.iter().flat_map(|run| run.windows(2).map(|pair| pair[1].0.seconds_since(pair[0].0))).collect();
    periods.sort_by(f64::total_cmp);
    let period = *periods.get(periods.len() / 2)?;
    let longest = runs.iter().map(Vec::len).max()?;
    if periods.len() < FEWEST_ERRORS || period.is_nan() || period <= 0.0 {
        return None;
    }
    let runs: Vec<Vec<(f64, Vector6<f64>)>> = runs.iter().map(|run| on_grid(run, period)).collect();
    let variance = alike(&runs, 0)?;
    let mut sum = 0.5;
    for lag in 1..longest {
        sum += alike(&runs, lag).unwrap_or(0.0) / variance;
        if lag as f64 >= SOKAL_WINDOW * sum {
            let share = (0.5 / sum.max(0.5)).min(1.0);
            return Some(if share < 1.0 { period / (2.0 * share.atanh()) } else { 0.0 });
        }
    }
    None
}

/// Errors of at most the length of the 90 % ellipsoid, by the number of their period.
fn on_grid(run: &[(Stamp, Vector6<f64>)], period: f64) -> Vec<(f64, Vector6<f64>)> {
    let start = run.first().map_or(Stamp::default(), |first| first.0);
    let place = |stamp: &Stamp| (stamp.seconds_since(start) / period).round();
    let bounded = |error: &Vector6<f64>| error * (CHI_SQUARE_90.sqrt() / error.norm()).min(1.0);
    run.iter().map(|(stamp, error)| (place(stamp), bounded(error))).collect()
}

/// The mean product of errors that are `lag` periods apart; `None` where there are none.
fn alike(runs: &[Vec<(f64, Vector6<f64>)>], lag: usize) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for run in runs {
        let mut later = run.iter().peekable();
        for (place, error) in run {
            while later.next_if(|(other, _)| *other < place + lag as f64).is_some() {}
            if let Some((_, other)) = later.peek().filter(|(other, _)| *other == place + lag as f64) {
                (sum, count) = (sum + error.dot(other), count + 1);
            }
        }
    }
    (count > 0).then(|| sum / f64::from(count))
}

fn quantile_90(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    interpolated(&sorted, 0.9 * (sorted.len() as f64 - 1.0))
}

/// The value at a place between two neighbours; beyond the ends that at the end.
fn interpolated(sorted: &[f64], place: f64) -> f64 {
    let place = place.clamp(0.0, sorted.len() as f64 - 1.0);
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (place - place.floor()) * (above - below)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    const SIGMAS: [f64; 6] = [0.1, 0.2, 0.05, 0.01, 0.03, 0.02];

    fn errors(outliers: f64) -> Vec<Vector6<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut error = || {
            let size = if random.random_bool(outliers) { 100.0 } else { 1.0 };
            Vector6::from_fn(|axis, _| size * SIGMAS[axis] * random.sample::<f64, _>(StandardNormal))
        };
        (0..20_000).map(|_| error()).collect()
    }

    #[test]
    fn gaussian_errors_give_their_own_covariance() {
        let covariance = fix_covariance(&errors(0.0)).unwrap().matrix();
        for (axis, sigma) in SIGMAS.iter().enumerate() {
            assert!((covariance[(axis, axis)].sqrt() / sigma - 1.0).abs() < 0.02, "{covariance}");
        }
    }

    #[test]
    fn outliers_do_not_blow_up_the_covariance() {
        let covariance = fix_covariance(&errors(0.05)).unwrap().matrix();
        for (axis, sigma) in SIGMAS.iter().enumerate() {
            let ratio = covariance[(axis, axis)].sqrt() / sigma;
            assert!((1.0..1.25).contains(&ratio), "{ratio} on axis {axis}");
        }
    }

    #[test]
    fn overconfidence_is_that_of_two_of_three_recordings() {
        let recording = |scale: f64| (0..=100).map(|index| scale * f64::from(index)).collect::<Vec<f64>>();
        // Quantiles 90, 180, 270, 360: at rank ⅔ · 5 = 3.33 stands 270 + 0.33 · 90.
        let found = overconfidence(&[recording(2.0), recording(4.0), recording(1.0), recording(3.0)]).unwrap();
        assert!((found - 300.0 / CHI_SQUARE_90).abs() < 1e-9, "{found}");
        assert!((overconfidence(&[recording(1.0)]).unwrap() - 90.0 / CHI_SQUARE_90).abs() < 1e-9);
    }

    #[test]
    fn a_corrected_time_tells_that_much_less() {
        for (time, factor) in [(0.0, 3.0), (0.5, 2.0), (0.5, 0.7), (2.0, 1.0)] {
            let corrected = corrected_correlation_time(time, 0.1, factor).unwrap();
            assert!((news(0.1, corrected) * factor / news(0.1, time) - 1.0).abs() < 1e-9, "{corrected}");
        }
        assert_eq!(corrected_correlation_time(0.1, 0.1, 0.2).unwrap(), 0.0, "fixes cannot tell more than all");
    }

    #[test]
    fn what_tells_nothing_is_refused() {
        assert!(fix_covariance(&errors(0.0)[..19]).is_err());
        assert!(fix_covariance(&[Vector6::zeros(); 30]).is_err());
        assert!(fix_covariance(&[Vector6::repeat(f64::NAN); 30]).is_err());
        assert!(overconfidence(&[]).is_err() && overconfidence(&[vec![1.0; 30], vec![1.0; 3]]).is_err());
        assert!(corrected_correlation_time(0.5, 0.0, 1.0).is_err());
        assert!(corrected_correlation_time(-0.5, 0.1, 1.0).is_err());
        assert!(corrected_correlation_time(0.5, 0.1, f64::INFINITY).is_err());
    }

    #[test]
    fn the_time_of_errors_that_are_alike_is_found() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        // First-order autoregressive errors of this time, twenty images a second, one in ten of them missing.
        for time in [0.0, 0.2, 1.0] {
            let keep = if time > 0.0 { f64::exp(-0.05 / time) } else { 0.0 };
            let mut run = |count: i64| {
                let mut normal = || Vector6::from_fn(|_, _| random.sample(StandardNormal));
                let mut error: Vector6<f64> = normal();
                let mut errors = Vec::new();
                for index in 0..count {
                    errors.push((Stamp::from_nanos(index * 50_000_000), error));
                    error = error * keep + normal() * (1.0 - keep * keep).sqrt();
                }
                errors.retain(|(stamp, _)| stamp.as_nanos() % 500_000_000 != 0);
                errors
            };
            let runs: Vec<_> = (0..8).map(|_| run(2000)).collect();
            let found = integrated_correlation_time(&runs).unwrap();
            assert!((found - time).abs() < 0.15 * time + 0.01, "{found} for {time}");
        }
        assert_eq!(integrated_correlation_time(&[]), None);
        let few = vec![(Stamp::from_nanos(0), Vector6::repeat(0.1)), (Stamp::from_nanos(10), Vector6::repeat(0.1))];
        assert_eq!(integrated_correlation_time(&[few]), None);
        let constant: Vec<_> = (0..100).map(|index| (Stamp::from_nanos(index * 1000), Vector6::repeat(0.3))).collect();
        assert_eq!(integrated_correlation_time(&[constant]), None, "longer than the run");
    }
}
