//! Where the IMU is and how fast it moves.

use nalgebra::{SMatrix, SVector, Vector3};

use crate::geometry::{Se3, Vector6};

/// A tangent of a [`NavState`], and the order of every 9-vector of this module: `[translation (m), rotation (rad),
/// velocity (m/s)]`.
pub type Vector9 = SVector<f64, 9>;
/// A linear map of such tangents, for example a covariance.
pub type Matrix9 = SMatrix<f64, 9, 9>;

/// Pose and velocity of the IMU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NavState {
    /// Pose of the IMU in the map.
    pub map_from_imu: Se3,
    /// Velocity of the IMU's origin, map axes, m/s.
    pub velocity: Vector3<f64>,
}

impl NavState {
    /// At rest at the origin of the map.
    pub fn identity() -> Self {
        Self { map_from_imu: Se3::identity(), velocity: Vector3::zeros() }
    }

    /// The state moved by a tangent: the pose by [`Se3::retract`] (in the IMU's axes), the velocity by a sum (in the
    /// map's).
    #[must_use]
    pub fn retract(self, tangent: &Vector9) -> Self {
        let xi: Vector6 = tangent.fixed_rows::<6>(0).into();
        Self { map_from_imu: self.map_from_imu.retract(&xi), velocity: self.velocity + tangent.fixed_rows::<3>(6) }
    }

    /// The tangent with `self.retract(tangent) = other`.
    pub fn local(self, other: Self) -> Vector9 {
        let mut tangent = Vector9::zeros();
        tangent.fixed_rows_mut::<6>(0).copy_from(&self.map_from_imu.local(other.map_from_imu));
        tangent.fixed_rows_mut::<3>(6).copy_from(&(other.velocity - self.velocity));
        tangent
    }

    /// Whether every number is finite.
    pub fn is_finite(self) -> bool {
        self.map_from_imu.is_finite() && self.velocity.iter().all(|value| value.is_finite())
    }
}
