//! Inertial measurements.

use nalgebra::Vector3;

use crate::Stamp;

/// One reading of an inertial measurement unit (`sensor_msgs/Imu`), in the axes of the unit itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuSample {
    /// When it was measured.
    pub stamp: Stamp,
    /// Rate of turn, rad/s.
    pub angular_velocity: Vector3<f64>,
    /// Specific force, m/s²: +9.81 along the axis that points up when at rest.
    pub linear_acceleration: Vector3<f64>,
}

impl ImuSample {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.angular_velocity.iter().chain(self.linear_acceleration.iter()).all(|value| value.is_finite())
    }
}
