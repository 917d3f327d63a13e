//! The biases of an IMU: what it reads in addition to the motion.

use nalgebra::{Vector3, Vector6};
use serde::{Deserialize, Serialize};

use crate::sensor::ImuSample;

/// Biases of gyroscope and accelerometer, in the axes of the IMU. As a vector: `[gyroscope, accelerometer]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImuBias {
    /// rad/s.
    pub gyroscope: Vector3<f64>,
    /// m/s².
    pub accelerometer: Vector3<f64>,
}

impl ImuBias {
    /// No bias.
    pub fn zero() -> Self {
        Self::default()
    }

    /// The biases of `[gyroscope (rad/s), accelerometer (m/s²)]`.
    pub fn from_vector(vector: &Vector6<f64>) -> Self {
        Self { gyroscope: vector.fixed_rows::<3>(0).into(), accelerometer: vector.fixed_rows::<3>(3).into() }
    }

    /// `[gyroscope (rad/s), accelerometer (m/s²)]`.
    pub fn to_vector(self) -> Vector6<f64> {
        let (g, a) = (self.gyroscope, self.accelerometer);
        Vector6::new(g.x, g.y, g.z, a.x, a.y, a.z)
    }

    /// The biases moved by `[gyroscope (rad/s), accelerometer (m/s²)]`.
    #[must_use]
    pub fn retract(self, delta: &Vector6<f64>) -> Self {
        Self::from_vector(&(self.to_vector() + delta))
    }

    /// `other - self`: the `delta` with `self.retract(delta) = other`.
    pub fn local(self, other: Self) -> Vector6<f64> {
        other.to_vector() - self.to_vector()
    }

    /// The reading less the biases: rate of turn and specific force as they were.
    pub fn removed_from(self, sample: &ImuSample) -> ImuSample {
        ImuSample {
            stamp: sample.stamp,
            angular_velocity: sample.angular_velocity - self.gyroscope,
            linear_acceleration: sample.linear_acceleration - self.accelerometer,
        }
    }

    /// Whether every number is finite.
    pub fn is_finite(self) -> bool {
        self.to_vector().iter().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;

    #[test]
    fn retract_and_local_are_inverse_and_the_order_is_gyroscope_first() {
        let bias = ImuBias { gyroscope: Vector3::new(1.0, 2.0, 3.0), accelerometer: Vector3::new(4.0, 5.0, 6.0) };
        assert_eq!(bias.to_vector(), Vector6::new(1.0, 2.0, 3.0, 4.0, 5.0, 6.0));
        let delta = Vector6::new(0.5, 0.25, -1.0, 2.0, 0.125, 8.0);
        assert_eq!(bias.local(bias.retract(&delta)), delta);
        let reading = ImuSample {
            stamp: Stamp::from_nanos(7),
            angular_velocity: bias.gyroscope,
            linear_acceleration: bias.accelerometer + Vector3::z(),
        };
        assert_eq!(bias.removed_from(&reading).linear_acceleration, Vector3::z());
        assert_eq!(bias.removed_from(&reading).angular_velocity, Vector3::zeros());
    }
}
