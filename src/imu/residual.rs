//! What an integrated interval says about the states at its ends: prediction, residual and its derivatives.

use nalgebra::{Matrix3, SMatrix, Vector3};

use super::{ImuBias, NavState, PreintegratedImu, Vector9};
use crate::geometry::{Se3, So3};

/// Residual of an interval between two states, `[position, rotation, velocity]` in the axes of the IMU at the start,
/// and its derivatives.
///
/// Poses move by [`Se3::retract`] with `[translation, rotation]`, velocities and biases by sums.
#[derive(Clone, Debug)]
pub struct ImuResidual {
    /// `[position (m), rotation (rad), velocity (m/s)]`; zero where the states agree with the readings.
    pub value: Vector9,
    /// By the pose at the start.
    pub by_pose_i: SMatrix<f64, 9, 6>,
    /// By the velocity at the start.
    pub by_velocity_i: SMatrix<f64, 9, 3>,
    /// By the biases at the start, `[gyroscope, accelerometer]`.
    pub by_bias_i: SMatrix<f64, 9, 6>,
    /// By the pose at the end.
    pub by_pose_j: SMatrix<f64, 9, 6>,
    /// By the velocity at the end.
    pub by_velocity_j: SMatrix<f64, 9, 3>,
}

impl PreintegratedImu {
    /// The state at the end, from the state and the biases at the start (Forster et al. 2017, eq. 31-33).
    ///
    /// `gravity_in_map` is the acceleration of free fall, m/s²: `[0, 0, -9.81]` in a map with z up.
    pub fn predict(&self, start: &NavState, bias: ImuBias, gravity_in_map: Vector3<f64>) -> NavState {
        let (delta, seconds) = (self.delta_with(bias), self.duration());
        let map_from_imu = start.map_from_imu;
        let translation = map_from_imu.translation
            + seconds * start.velocity
            + 0.5 * seconds * seconds * gravity_in_map
            + map_from_imu.rotation * delta.position;
        NavState {
            map_from_imu: Se3::new(map_from_imu.rotation * delta.rotation, translation),
            velocity: start.velocity + seconds * gravity_in_map + map_from_imu.rotation * delta.velocity,
        }
    }

    /// By how much the states disagree with the readings, `[position, rotation, velocity]` (Forster et al. 2017,
    /// eq. 45); its covariance is [`PreintegratedImu::covariance`].
    pub fn residual(&self, i: &NavState, bias_i: ImuBias, j: &NavState, gravity_in_map: Vector3<f64>) -> Vector9 {
        let delta = self.delta_with(bias_i);
        let (moved, gained) = self.motion(i, j, gravity_in_map);
        let rotation = i.map_from_imu.rotation.inverse() * j.map_from_imu.rotation;
        let mut value = Vector9::zeros();
        value.fixed_rows_mut::<3>(0).copy_from(&(moved - delta.position));
        value.fixed_rows_mut::<3>(3).copy_from(&delta.rotation.local(rotation));
        value.fixed_rows_mut::<3>(6).copy_from(&(gained - delta.velocity));
        value
    }

    /// [`PreintegratedImu::residual`] with its exact derivatives (Forster et al. 2017, appendix C, for our tangents).
    pub fn linearize(&self, i: &NavState, bias_i: ImuBias, j: &NavState, gravity_in_map: Vector3<f64>) -> ImuResidual {
        let value = self.residual(i, bias_i, j, gravity_in_map);
        let (moved, gained) = self.motion(i, j, gravity_in_map);
        let map_to_i = i.map_from_imu.rotation.inverse().matrix();
        let i_from_j = map_to_i * j.map_from_imu.rotation.matrix();
        let rotation_residual: Vector3<f64> = value.fixed_rows::<3>(3).into();
        let log_jacobian = So3::right_jacobian_inverse(&rotation_residual);
        let seconds = self.duration();

        let mut by_pose_i = SMatrix::<f64, 9, 6>::zeros();
        by_pose_i.fixed_view_mut::<3, 3>(0, 0).copy_from(&-Matrix3::identity());
        by_pose_i.fixed_view_mut::<3, 3>(0, 3).copy_from(&So3::hat(&moved));
        by_pose_i.fixed_view_mut::<3, 3>(3, 3).copy_from(&(-log_jacobian * i_from_j.transpose()));
        by_pose_i.fixed_view_mut::<3, 3>(6, 3).copy_from(&So3::hat(&gained));

        let mut by_pose_j = SMatrix::<f64, 9, 6>::zeros();
        by_pose_j.fixed_view_mut::<3, 3>(0, 0).copy_from(&i_from_j);
        by_pose_j.fixed_view_mut::<3, 3>(3, 3).copy_from(&log_jacobian);

        let mut by_velocity_i = SMatrix::<f64, 9, 3>::zeros();
        by_velocity_i.fixed_view_mut::<3, 3>(0, 0).copy_from(&(-seconds * map_to_i));
        by_velocity_i.fixed_view_mut::<3, 3>(6, 0).copy_from(&-map_to_i);
        let mut by_velocity_j = SMatrix::<f64, 9, 3>::zeros();
        by_velocity_j.fixed_view_mut::<3, 3>(6, 0).copy_from(&map_to_i);

        let jacobian = self.bias_jacobian();
        let mut by_bias_i = -jacobian;
        let rotation_by_bias: Matrix3<f64> = jacobian.fixed_view::<3, 3>(3, 0).into();
        let correction = rotation_by_bias * (bias_i.gyroscope - self.bias().gyroscope);
        let through = So3::exp(&rotation_residual).inverse().matrix() * So3::right_jacobian(&correction);
        by_bias_i.fixed_view_mut::<3, 3>(3, 0).copy_from(&(-log_jacobian * through * rotation_by_bias));
        ImuResidual { value, by_pose_i, by_velocity_i, by_bias_i, by_pose_j, by_velocity_j }
    }

    /// Position and velocity gained between two states beyond inertia and gravity, in the axes of the first.
    fn motion(&self, i: &NavState, j: &NavState, gravity_in_map: Vector3<f64>) -> (Vector3<f64>, Vector3<f64>) {
        let seconds = self.duration();
        let map_to_i = i.map_from_imu.rotation.inverse();
        let way = j.map_from_imu.translation - i.map_from_imu.translation;
        let moved = way - seconds * i.velocity - 0.5 * seconds * seconds * gravity_in_map;
        let gained = j.velocity - i.velocity - seconds * gravity_in_map;
        (map_to_i * moved, map_to_i * gained)
    }
}
