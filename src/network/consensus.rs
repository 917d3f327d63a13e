//! One pose out of several that were said of the same frame: what the consistent ones agree on.
//!
//! The mean m minimizes Σ ρ(dᵢ), dᵢ² = eᵢᵀ Σᵢ⁻¹ eᵢ / 6, eᵢ = local(m, poseᵢ), with Cauchy's robust kernel ρ whose scale is the
//! median of the dᵢ, at least 1: half of the answers may be wrong without moving it much. It starts at the pose that is nearest
//! to all others and is found by iteratively reweighted least squares, with weights wᵢ = 1 / (1 + dᵢ² / scale²).
//!
//! The covariance is that of the mixture, Σ αᵢ (Σᵢ + eᵢ eᵢᵀ) with αᵢ = wᵢ / Σ w: the predicted variances and the spread. It
//! does not shrink with the number of answers, which are of one network about one image and err together. NNnet keeps the
//! answers that agree with most others within a threshold, RelocNet takes a mean; this has no threshold to choose.
//! Tangents of neighbouring answers are taken as parallel.

use nalgebra::Cholesky;

use crate::geometry::{Matrix6, Se3, Vector6};
use crate::{Error, Result};

/// Added to the diagonal of each covariance, m² and rad²: samples of a dropout that drops nothing spread nowhere.
const FLOOR: f64 = 1e-8;
/// Steps at most; a handful is enough.
const STEPS: usize = 20;
/// Length of a step that moves nothing.
const CONVERGED: f64 = 1e-9;

/// A pose and the covariance of its right perturbation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hypothesis {
    pub(super) pose: Se3,
    pub(super) covariance: Matrix6,
}

/// What they agree on; the same in any order but for rounding.
///
/// # Errors
/// [`Error::Compute`] without any, or when a covariance is not positive semidefinite or a number not finite.
pub(super) fn consensus(hypotheses: &[Hypothesis]) -> Result<Hypothesis> {
    let informations = hypotheses.iter().map(information).collect::<Result<Vec<Matrix6>>>()?;
    let mut mean = medoid(hypotheses, &informations)?;
    for _ in 0..STEPS {
        let weights = weights(mean, hypotheses, &informations);
        let (mut normal, mut right) = (Matrix6::zeros(), Vector6::zeros());
        for ((hypothesis, information), weight) in hypotheses.iter().zip(&informations).zip(&weights) {
            normal += information * *weight;
            right += information * mean.local(hypothesis.pose) * *weight;
        }
        let step = Cholesky::new(normal).ok_or_else(not_finite)?.solve(&right);
        mean = mean.retract(&step);
        if step.norm() < CONVERGED {
            break;
        }
    }
    let weights = weights(mean, hypotheses, &informations);
    let mut covariance = Matrix6::zeros();
    for (hypothesis, weight) in hypotheses.iter().zip(&weights) {
        let error = mean.local(hypothesis.pose);
        covariance += (hypothesis.covariance + error * error.transpose()) * *weight;
    }
    covariance /= weights.iter().sum::<f64>();
    let finite = mean.is_finite() && covariance.iter().all(|value| value.is_finite());
    if finite { Ok(Hypothesis { pose: mean, covariance }) } else { Err(not_finite()) }
}

fn not_finite() -> Error {
    Error::compute("joining poses", "expected positive definite covariances and finite numbers, found others")
}

fn information(hypothesis: &Hypothesis) -> Result<Matrix6> {
    let factor = Cholesky::new(hypothesis.covariance + Matrix6::identity() * FLOOR);
    Ok(factor.filter(|_| hypothesis.pose.is_finite()).ok_or_else(not_finite)?.inverse())
}

/// Distance per degree of freedom, in standard deviations.
fn distance(from: Se3, to: Se3, information: &Matrix6) -> f64 {
    let error = from.local(to);
    (error.dot(&(information * error)) / 6.0).sqrt()
}

/// The pose with the smallest sum of distances to all.
fn medoid(hypotheses: &[Hypothesis], informations: &[Matrix6]) -> Result<Se3> {
    let sum = |pose: Se3| -> f64 {
        let pairs = hypotheses.iter().zip(informations);
        pairs.map(|(hypothesis, information)| distance(pose, hypothesis.pose, information)).sum()
    };
    let sums = hypotheses.iter().map(|hypothesis| (hypothesis.pose, sum(hypothesis.pose)));
    let best = sums.min_by(|a, b| a.1.total_cmp(&b.1));
    best.map(|(pose, _)| pose).ok_or_else(|| Error::compute("joining poses", "expected at least one, found none"))
}

fn weights(mean: Se3, hypotheses: &[Hypothesis], informations: &[Matrix6]) -> Vec<f64> {
    let pairs = hypotheses.iter().zip(informations);
    let distances: Vec<f64> = pairs.map(|(one, information)| distance(mean, one.pose, information)).collect();
    let mut sorted = distances.clone();
    sorted.sort_by(f64::total_cmp);
    let scale = sorted[sorted.len() / 2].max(1.0);
    distances.iter().map(|distance| 1.0 / (1.0 + (distance / scale).powi(2))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hypotheses() -> Vec<Hypothesis> {
        let truth = Se3::exp(&Vector6::new(1.0, -2.0, 0.5, 0.4, -0.3, 0.8));
        let one = |index: i32| {
            let angle = f64::from(index) * 1.3;
            let error = Vector6::new(angle.sin(), angle.cos(), (2.0 * angle).sin(), 0.2, 0.1 * angle.cos(), 0.0) * 0.05;
            Hypothesis { pose: truth.retract(&error), covariance: Matrix6::identity() * 0.0025 }
        };
        (0..5).map(one).collect()
    }

    #[test]
    fn one_or_equal_answers_are_the_answer() {
        let one = hypotheses()[2];
        for count in [1, 4] {
            let joined = consensus(&vec![one; count]).unwrap();
            assert!(joined.pose.local(one.pose).norm() < 1e-9);
            assert!((joined.covariance - one.covariance).norm() < 1e-9, "more of the same are no more certain");
        }
    }

    #[test]
    fn an_answer_far_off_hardly_moves_the_others() {
        let mut hypotheses = hypotheses();
        let without = consensus(&hypotheses).unwrap();
        let far = Hypothesis { pose: Se3::exp(&Vector6::new(9.0, 9.0, 9.0, 1.0, 1.0, 1.0)), ..hypotheses[0] };
        hypotheses.insert(0, far);
        let with = consensus(&hypotheses).unwrap();
        assert!(with.pose.local(without.pose).norm() < 0.03, "{:?}", with.pose);
        hypotheses.insert(0, far);
        let with = consensus(&hypotheses).unwrap();
        assert!(with.pose.local(without.pose).norm() < 0.06, "two of seven");
    }

    #[test]
    fn spread_and_predicted_variances_both_count() {
        let answers = hypotheses();
        let joined = consensus(&answers).unwrap();
        assert!((joined.covariance - answers[0].covariance).trace() > 1e-4, "the spread is in the covariance");
        let mut confident = answers.clone();
        confident[3].covariance *= 1e-3;
        let pulled = consensus(&confident).unwrap();
        assert!(pulled.pose.local(answers[3].pose).norm() < 0.2 * joined.pose.local(answers[3].pose).norm());
    }

    #[test]
    fn another_map_or_another_order_changes_nothing() {
        let answers = hypotheses();
        let joined = consensus(&answers).unwrap();
        let other_from_map = Se3::exp(&Vector6::new(5.0, 1.0, -3.0, -1.0, 2.0, 0.3));
        let moved: Vec<Hypothesis> =
            answers.iter().rev().map(|one| Hypothesis { pose: other_from_map * one.pose, ..*one }).collect();
        let again = consensus(&moved).unwrap();
        assert!((other_from_map * joined.pose).local(again.pose).norm() < 1e-6);
        assert!((joined.covariance - again.covariance).norm() < 1e-6);
    }

    #[test]
    fn nothing_or_nonsense_is_an_error() {
        assert_eq!(consensus(&[]).unwrap_err().to_string(), "joining poses: expected at least one, found none");
        let broken = Hypothesis { covariance: Matrix6::identity() * -1.0, ..hypotheses()[0] };
        assert!(consensus(&[broken]).unwrap_err().to_string().contains("positive definite"));
    }
}
