//! The IMU on the robot: states, readings and covariances between the axes of the IMU and those of the base.
//!
//! Everything in this room is estimated in the frame of the IMU, where the readings need no correction. The base is a
//! constant transform away, `map_from_base = map_from_imu · base_from_imu⁻¹`, so only what leaves the estimator is
//! converted. The other way round, readings carried to the base, needs the angular acceleration (the lever arm), which
//! no IMU measures: [`ImuMounting::sample_in_base`] is for those who have it.

use nalgebra::{Matrix3, SMatrix, Vector3};

use super::{Matrix9, NavState};
use crate::geometry::Se3;
use crate::sensor::ImuSample;

/// Where the IMU sits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuMounting {
    base_from_imu: Se3,
    imu_from_base: Se3,
}

impl ImuMounting {
    /// The IMU at `base_from_imu`.
    pub fn new(base_from_imu: Se3) -> Self {
        Self { base_from_imu, imu_from_base: base_from_imu.inverse() }
    }

    /// Pose of the IMU on the base.
    pub fn base_from_imu(&self) -> Se3 {
        self.base_from_imu
    }

    /// Pose of the IMU in the map.
    pub fn map_from_imu(&self, map_from_base: Se3) -> Se3 {
        map_from_base * self.base_from_imu
    }

    /// Pose of the base in the map.
    pub fn map_from_base(&self, map_from_imu: Se3) -> Se3 {
        map_from_imu * self.imu_from_base
    }

    /// Velocity of the base's origin, map axes, m/s: `v + R (ω × l)` with the lever arm `l` from the IMU to the base.
    /// `angular_velocity` is that of the IMU in its axes without bias, rad/s.
    pub fn base_velocity(&self, imu: &NavState, angular_velocity: &Vector3<f64>) -> Vector3<f64> {
        let lever = self.imu_from_base.translation;
        imu.velocity + imu.map_from_imu.rotation * angular_velocity.cross(&lever)
    }

    /// The state of the IMU, from pose and velocity of the base (map axes, m/s) and the rate of turn in the axes of the
    /// base, rad/s.
    pub fn imu_state(
        &self,
        map_from_base: Se3,
        base_velocity: Vector3<f64>,
        angular_velocity_of_base: &Vector3<f64>,
    ) -> NavState {
        let lever = self.base_from_imu.translation;
        NavState {
            map_from_imu: self.map_from_imu(map_from_base),
            velocity: base_velocity + map_from_base.rotation * angular_velocity_of_base.cross(&lever),
        }
    }

    /// Covariance of pose and velocity of the base, `[translation, rotation, velocity]`, from that of the IMU's state.
    ///
    /// `angular_velocity_covariance` is that of `angular_velocity` (the gyroscope's bias and noise, rad²/s²), which
    /// reaches the velocity through the lever arm; it is taken to be independent of the state.
    pub fn base_covariance(
        &self,
        imu: &NavState,
        covariance: &Matrix9,
        angular_velocity: &Vector3<f64>,
        angular_velocity_covariance: &Matrix3<f64>,
    ) -> Matrix9 {
        let lever = self.imu_from_base.translation;
        let rotation = imu.map_from_imu.rotation.matrix();
        let mut jacobian = Matrix9::identity();
        jacobian.fixed_view_mut::<6, 6>(0, 0).copy_from(&self.base_from_imu.adjoint());
        let by_rotation = -rotation * angular_velocity.cross(&lever).cross_matrix();
        jacobian.fixed_view_mut::<3, 3>(6, 3).copy_from(&by_rotation);
        let mut by_turn = SMatrix::<f64, 9, 3>::zeros();
        by_turn.fixed_view_mut::<3, 3>(6, 0).copy_from(&(-rotation * lever.cross_matrix()));
        jacobian * covariance * jacobian.transpose() + by_turn * angular_velocity_covariance * by_turn.transpose()
    }

    /// What an IMU at the base's origin, in its axes, would read: `f - α × r - ω × (ω × r)` with the lever arm `r` from
    /// the base to the IMU. `angular_acceleration` is in the axes of the base, rad/s²; biases must be removed before.
    pub fn sample_in_base(&self, sample: &ImuSample, angular_acceleration: &Vector3<f64>) -> ImuSample {
        let lever = self.base_from_imu.translation;
        let omega = self.base_from_imu.rotation * sample.angular_velocity;
        let force = self.base_from_imu.rotation * sample.linear_acceleration;
        ImuSample {
            stamp: sample.stamp,
            angular_velocity: omega,
            linear_acceleration: force - angular_acceleration.cross(&lever) - omega.cross(&omega.cross(&lever)),
        }
    }
}
