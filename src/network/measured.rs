//! Calibration of covariances that geometry measured ([`crate::pnp`]).
//!
//! Normal equations say which directions are uncertain and how this changes with the number and the places of the points, but
//! they take the errors of points for independent, and those of neighbouring cells are alike: a number of points count as one,
//! all variances are too small by one factor. And there are errors that no residual shows, because all points share them: of
//! the camera's intrinsics, of the poses that were learned from. So
//!
//! covariance = s² measured + floor²,
//!
//! one factor for translation and rotation alike, because a factor for each would turn the ellipsoid, and a floor for each.

use nalgebra::Cholesky;

use super::uncertainty::Calibration;
use crate::Result;
use crate::geometry::{Matrix6, Vector6};

/// Degrees of freedom of the t distribution that errors are taken for: heavy tails, which a few wrong poses do not bend (Lange,
/// Little & Taylor 1989, "Robust Statistical Modeling Using the t Distribution").
const TAILS: f64 = 4.0;
/// Where the search begins: standard deviations of the floor, metres and radians.
const FIRST_FLOOR: f64 = 5e-3;
/// A floor below is none.
const LEAST_FLOOR: f64 = 1e-4;
/// Steps of the search, in logarithms: the first, and the one that ends it.
const STEPS: [f64; 2] = [1.0, 0.01];

impl Calibration {
    /// Fits a factor and floors to pairs of a *measured* covariance and the error `local(estimate, truth)`, by the likelihood
    /// of a t distribution; then all grow or shrink together as [`Calibration::fit`] says.
    ///
    /// # Errors
    /// As [`Calibration::fit`].
    pub fn fit_measured(frames: &[(Matrix6, Vector6)]) -> Result<Self> {
        let start = Self::fit(frames)?;
        let scale = (start.translation_scale * start.rotation_scale).sqrt();
        let mut best = [scale.ln(), FIRST_FLOOR.ln(), FIRST_FLOOR.ln()];
        let mut least = surprise(&Self::of_logarithms(best), frames);
        let mut step = STEPS[0];
        while step > STEPS[1] {
            let moves = (0..3).flat_map(|axis| [-step, step].map(|by| (axis, by)));
            let tried = moves.map(|(axis, by)| {
                let mut moved = best;
                moved[axis] += by;
                moved[axis] = if axis > 0 { moved[axis].max(LEAST_FLOOR.ln()) } else { moved[axis] };
                (surprise(&Self::of_logarithms(moved), frames), moved)
            });
            match tried.min_by(|one, other| one.0.total_cmp(&other.0)) {
                Some((surprise, moved)) if surprise < least => (least, best) = (surprise, moved),
                _ => step *= 0.5,
            }
        }
        Self::of_logarithms(best).resized(frames)
    }

    fn of_logarithms([scale, translation_floor, rotation_floor]: [f64; 3]) -> Self {
        let floor = |logarithm: f64| if logarithm <= LEAST_FLOOR.ln() { 0.0 } else { logarithm.exp() };
        Self {
            translation_scale: scale.exp(),
            rotation_scale: scale.exp(),
            translation_floor: floor(translation_floor),
            rotation_floor: floor(rotation_floor),
            ..Self::unfitted()
        }
    }
}

/// The negative logarithm of the likelihood of the errors, up to a constant; infinite where a covariance is none.
fn surprise(calibration: &Calibration, frames: &[(Matrix6, Vector6)]) -> f64 {
    let of_frame = |(raw, error): &(Matrix6, Vector6)| {
        let factor = Cholesky::new(calibration.apply(raw).ok()?)?;
        let squared = error.dot(&factor.solve(error));
        let logarithm = factor.l_dirty().diagonal().map(f64::ln).sum();
        Some(logarithm + 0.5 * (TAILS + 6.0) * (squared / TAILS).ln_1p())
    };
    frames.iter().map(|frame| of_frame(frame).unwrap_or(f64::INFINITY)).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Errors of poses whose points count 25 for one, beside errors of 2 cm and 0.01 rad that all points share; measured
    /// covariances have correlations and differ in size.
    fn frames(count: usize) -> Vec<(Matrix6, Vector6)> {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        let shape = Matrix6::from_fn(|row, column| match row == column {
            true => 2e-3,
            false => 1.9e-3 * f64::from(row + column == 5),
        });
        let one = |_| {
            let mut normal = || Vector6::from_fn(|_, _| StandardNormal.sample(&mut generator));
            let (independent, shared) = (normal(), normal());
            let root = shape * generator.random_range(0.3..3.0);
            let floor = Vector6::from_fn(|axis, _| if axis < 3 { 0.02 } else { 0.01 });
            (root * root.transpose(), root * independent * 5.0 + shared.component_mul(&floor))
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_factor_and_floors_are_told_apart() {
        let calibration = Calibration::fit_measured(&frames(20_000)).unwrap();
        let Calibration { translation_scale, rotation_scale, translation_floor, rotation_floor, .. } = calibration;
        assert_eq!(translation_scale, rotation_scale);
        // A t distribution takes Gaussian errors for a little smaller, and all grow together afterwards.
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.1;
        assert!(near(translation_scale, 5.0), "{calibration:?}");
        assert!(near(translation_floor, 0.02) && near(rotation_floor, 0.01), "{calibration:?}");
        assert!((calibration.coverage_90 - 0.9).abs() < 0.01, "{calibration:?}");
    }

    #[test]
    fn wrong_poses_do_not_blow_up_the_others() {
        let (mut frames, sound) = (frames(1000), frames(1000));
        for (_, error) in frames.iter_mut().step_by(40) {
            *error *= 50.0;
        }
        let [with, without] = [&frames, &sound].map(|frames| Calibration::fit_measured(frames).unwrap());
        assert!(with.translation_scale < 1.6 * without.translation_scale, "{with:?} {without:?}");
        assert!((0.88..0.96).contains(&with.coverage_90), "{with:?}");
    }
}
