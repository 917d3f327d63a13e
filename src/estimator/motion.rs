//! The motion of the robot between two moments, from whatever measured it, with a covariance.

use nalgebra::Vector6;

use crate::Result;
use crate::geometry::{Matrix6, PoseCovariance, Se3};

/// A pose of the later body in the axes of the earlier one, with the covariance of its right perturbation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// `earlier_from_later`.
    pub earlier_from_later: Se3,
    /// `[translation (m), rotation (rad)]` in the axes of the later body.
    pub covariance: PoseCovariance,
}

impl Motion {
    /// A motion of which nothing is known but how fast the robot can be: none, with a standard deviation that grows
    /// with time.
    ///
    /// # Errors
    /// When a speed or the time is no positive number.
    pub fn unknown(seconds: f64, speed: f64, rate: f64) -> Result<Self> {
        let covariance = PoseCovariance::from_sigmas(speed * seconds, rate * seconds)?;
        Ok(Self { earlier_from_later: Se3::identity(), covariance })
    }

    /// This motion and the one after it, whose errors are independent.
    pub fn then(&self, next: &Motion) -> Self {
        Self {
            earlier_from_later: self.earlier_from_later * next.earlier_from_later,
            covariance: self.covariance.chained_with(next.earlier_from_later, &next.covariance),
        }
    }

    /// The same motion the other way.
    pub fn reversed(&self) -> Self {
        Self {
            earlier_from_later: self.earlier_from_later.inverse(),
            covariance: self.covariance.inverted(self.earlier_from_later),
        }
    }

    /// The motion of another body that is rigidly fixed to the one that was measured.
    ///
    /// `a_later = (body_from_other)⁻¹ · earlier_from_later · body_from_other`.
    pub fn of_fixed_body(&self, body_from_other: Se3) -> Self {
        Self {
            earlier_from_later: body_from_other.inverse() * self.earlier_from_later * body_from_other,
            covariance: self.covariance.composed_with(body_from_other),
        }
    }
}

/// How wheel odometry errs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OdometryNoise {
    /// Standard deviation of the translation after one metre, metres; after n metres √n times as much.
    pub translation_per_metre: f64,
    /// Standard deviation of the rotation after one radian, radians; after n radians √n times as much.
    pub rotation_per_radian: f64,
    /// Standard deviation of the rotation after one metre, radians.
    pub rotation_per_metre: f64,
}

/// What odometry cannot resolve, per step: metres and radians. Keeps the covariance of a robot at rest positive.
const FLOOR: [f64; 2] = [1e-4, 1e-4];

impl OdometryNoise {
    /// The measured motion with its covariance.
    ///
    /// # Errors
    /// When the motion is not finite.
    pub fn motion(&self, earlier_from_later: Se3) -> Result<Motion> {
        let distance = earlier_from_later.translation.norm();
        let angle = earlier_from_later.rotation.log().norm();
        let translation = self.translation_per_metre.powi(2) * distance + FLOOR[0].powi(2);
        let rotation =
            self.rotation_per_radian.powi(2) * angle + self.rotation_per_metre.powi(2) * distance + FLOOR[1].powi(2);
        let variances = Vector6::new(translation, translation, translation, rotation, rotation, rotation);
        let covariance = PoseCovariance::new(&Matrix6::from_diagonal(&variances))?;
        Ok(Motion { earlier_from_later, covariance })
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;
    use crate::geometry::So3;

    fn motion(x: f64, yaw: f64) -> Motion {
        let earlier_from_later = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, yaw)), Vector3::new(x, 0.0, 0.0));
        let noise = OdometryNoise { translation_per_metre: 0.02, rotation_per_radian: 0.03, rotation_per_metre: 0.01 };
        noise.motion(earlier_from_later).unwrap()
    }

    #[test]
    fn there_and_back_is_nowhere_with_both_errors() {
        let there = motion(1.0, 0.5);
        let both = there.then(&there.reversed());
        assert!(both.earlier_from_later.log().norm() < 1e-12);
        let twice = there.reversed().covariance.matrix() * 2.0;
        assert!((both.covariance.matrix() - twice).amax() < 1e-12);
    }

    #[test]
    fn odometry_in_steps_errs_as_in_one() {
        let step = motion(0.1, 0.0);
        let mut all = step;
        for _ in 1..10 {
            all = all.then(&step);
        }
        let along = |motion: &Motion| motion.covariance.matrix()[(0, 0)];
        assert!((along(&all) / along(&motion(1.0, 0.0)) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_camera_on_an_arm_moves_further_than_its_base() {
        let turn = motion(0.0, 0.5);
        let arm = Se3::new(So3::identity(), Vector3::new(1.0, 0.0, 0.0));
        let camera = turn.of_fixed_body(arm);
        let expected = arm.inverse() * turn.earlier_from_later * arm;
        assert!(camera.earlier_from_later.local(expected).norm() < 1e-12);
        let (of_base, of_camera) = (turn.covariance.matrix(), camera.covariance.matrix());
        assert!(of_camera[(1, 1)] > of_base[(1, 1)] && of_camera[(0, 0)] <= of_base[(0, 0)] * (1.0 + 1e-9));
    }
}
