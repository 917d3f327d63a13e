//! What the IMU says between two states: their poses, velocities and biases.

use nalgebra::{SMatrix, SVector, Vector3};

use super::{Arguments, Factor, write_block};
use crate::graph::{Gaussian, Key, VariableKind};
use crate::imu::{ImuBias, NavState, PreintegratedImu};
use crate::{Error, Result};

/// `r = [r_p, r_φ, r_v, b_j - b_i]`: the nine residuals of the preintegrated readings ([`PreintegratedImu::residual`])
/// and the walk of the biases, whitened with their joint covariance.
///
/// Forster et al. 2017, eq. 45 and section VI-E; unlike there, what the biases walk during the interval reaches the
/// motion too ([`PreintegratedImu::covariance_with_biases`]). The readings are corrected to other biases by first
/// order: integrate them again when the estimate [is far](PreintegratedImu::is_far_from).
#[derive(Clone, Debug)]
pub struct ImuFactor {
    /// Pose, velocity and bias at the start, then at the end.
    keys: [Key; 6],
    preintegrated: PreintegratedImu,
    gravity_in_map: Vector3<f64>,
    noise: Gaussian<15>,
}

impl ImuFactor {
    /// The factor of preintegrated readings between `[pose, velocity, bias]` of the IMU at their start and at their
    /// end.
    ///
    /// Poses are `map_from_imu`. `gravity_in_map` is the acceleration of free fall, m/s²: `[0, 0, -9.81]` with z up.
    ///
    /// # Errors
    /// When a key is of another kind or there twice, gravity is not finite, or the covariance is not positive definite
    /// (an interval of no length, a noise or random walk of zero).
    pub fn new(
        from: [Key; 3],
        to: [Key; 3],
        preintegrated: PreintegratedImu,
        gravity_in_map: Vector3<f64>,
    ) -> Result<Self> {
        for [pose, velocity, bias] in [from, to] {
            check_key(pose, VariableKind::Pose)?;
            check_key(velocity, VariableKind::Vector3)?;
            check_key(bias, VariableKind::Vector6)?;
        }
        if let Some(key) = from.into_iter().find(|key| to.contains(key)) {
            return Err(Error::message("IMU factor", "different keys at start and end", format!("{key} twice")));
        }
        if !gravity_in_map.iter().all(|value| value.is_finite()) {
            return Err(Error::message("gravity_in_map", "finite numbers", format!("{:?}", gravity_in_map.as_slice())));
        }
        let noise = Gaussian::from_covariance(&preintegrated.covariance_with_biases())?;
        let [a, b, c] = from;
        let [d, e, f] = to;
        Ok(Self { keys: [a, b, c, d, e, f], preintegrated, gravity_in_map, noise })
    }

    /// The readings.
    pub fn preintegrated(&self) -> &PreintegratedImu {
        &self.preintegrated
    }
}

impl Factor for ImuFactor {
    fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn dim(&self) -> usize {
        15
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let i = NavState { map_from_imu: *at.pose(0)?, velocity: at.vector(1)? };
        let j = NavState { map_from_imu: *at.pose(3)?, velocity: at.vector(4)? };
        let (bias_i, bias_j) = (ImuBias::from_vector(&at.vector(2)?), ImuBias::from_vector(&at.vector(5)?));
        let mut error = SVector::<f64, 15>::zeros();
        error.fixed_rows_mut::<6>(9).copy_from(&bias_i.local(bias_j));
        let Some(jacobian) = jacobian else {
            let value = self.preintegrated.residual(&i, bias_i, &j, self.gravity_in_map);
            error.fixed_rows_mut::<9>(0).copy_from(&value);
            residual.copy_from_slice(self.noise.whiten(&error).as_slice());
            return Ok(());
        };
        let exact = self.preintegrated.linearize(&i, bias_i, &j, self.gravity_in_map);
        error.fixed_rows_mut::<9>(0).copy_from(&exact.value);
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        self.write(jacobian, 0, &exact.by_pose_i, 0.0);
        self.write(jacobian, 6, &exact.by_velocity_i, 0.0);
        self.write(jacobian, 9, &exact.by_bias_i, -1.0);
        self.write(jacobian, 15, &exact.by_pose_j, 0.0);
        self.write(jacobian, 21, &exact.by_velocity_j, 0.0);
        self.write(jacobian, 24, &SMatrix::<f64, 9, 6>::zeros(), 1.0);
        Ok(())
    }
}

impl ImuFactor {
    /// Writes the whitened columns of one variable: `upper` for the motion, `walk` times the identity for the biases.
    fn write<const C: usize>(&self, jacobian: &mut [f64], column: usize, upper: &SMatrix<f64, 9, C>, walk: f64) {
        let sqrt_information = self.noise.sqrt_information();
        let mut block = sqrt_information.fixed_columns::<9>(0) * upper;
        if walk != 0.0 {
            block += walk * sqrt_information.fixed_columns::<C>(9);
        }
        write_block(jacobian, column, &block);
    }
}

fn check_key(key: Key, kind: VariableKind) -> Result<()> {
    if key.takes(kind) {
        Ok(())
    } else {
        Err(Error::message("IMU factor", format!("the key of {kind}"), key.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::imu::ImuNoise;
    use crate::sensor::ImuSample;

    fn state(index: u64) -> [Key; 3] {
        [Key::pose(index), Key::velocity(index), Key::bias(index)]
    }

    fn refusal(from: [Key; 3], to: [Key; 3], steps: i64, walk: f64, gravity: f64) -> String {
        let noise = ImuNoise {
            gyroscope_noise_density: 1e-4,
            gyroscope_random_walk: walk,
            accelerometer_noise_density: 1e-3,
            accelerometer_random_walk: 1e-4,
        };
        let sample = |index: i64| ImuSample {
            stamp: Stamp::from_nanos(5_000_000 * index),
            angular_velocity: Vector3::zeros(),
            linear_acceleration: Vector3::z(),
        };
        let mut readings = PreintegratedImu::new(Stamp::from_nanos(0), ImuBias::zero(), noise);
        for index in 0..steps {
            readings.extend(&sample(index), &sample(index + 1), Default::default()).unwrap();
        }
        match ImuFactor::new(from, to, readings, Vector3::new(0.0, 0.0, gravity)) {
            Ok(_) => "none".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_makes_no_factor_is_refused_with_the_reason() {
        assert_eq!(refusal(state(0), state(1), 1, 1e-5, -9.81), "none");
        let [pose, velocity, bias] = state(0);
        let found = refusal([pose, bias, velocity], state(1), 1, 1e-5, -9.81);
        assert_eq!(found, "IMU factor: expected the key of a vector of 3, found b0");
        let found = refusal(state(0), [Key::pose(1), velocity, Key::bias(1)], 1, 1e-5, -9.81);
        assert_eq!(found, "IMU factor: expected different keys at start and end, found v0 twice");
        let found = refusal(state(0), state(1), 1, 1e-5, f64::NAN);
        assert_eq!(found, "gravity_in_map: expected finite numbers, found [0.0, 0.0, NaN]");
        for (steps, walk) in [(0, 1e-5), (1, 0.0)] {
            let found = refusal(state(0), state(1), steps, walk, -9.81);
            assert!(found.starts_with("covariance: expected a finite, symmetric, positive definite 15x15"), "{found}");
        }
    }
}
