//! Preintegrated IMU readings between two keyframes.

use nalgebra::{SMatrix, SVector, Vector3};

use super::{Arguments, Factor, write_block};
use crate::geometry::Vector6;
use crate::graph::{Gaussian, Key};
use crate::imu::{ImuBias, NavState, PreintegratedImu};
use crate::{Error, Result};

/// `r = [Δ(i, j) ⊖ measured, b_j - b_i]`: position, rotation, velocity and the change of the biases (Forster et al. 2017,
/// eq. 45), with the joint covariance of both.
///
/// Keys: pose, velocity and biases of the earlier keyframe, then those of the later one. Poses are those of the IMU.
#[derive(Clone, Debug)]
pub struct ImuFactor {
    keys: [Key; 6],
    measured: PreintegratedImu,
    gravity_in_map: Vector3<f64>,
    noise: Gaussian<15>,
}

impl ImuFactor {
    /// The factor of the readings between the keyframes `i` and `j`; `gravity_in_map` is the acceleration of free
    /// fall, m/s².
    ///
    /// # Errors
    /// When the keyframes are the same, or the covariance of the readings is singular (an interval of no length).
    pub fn new(i: u64, j: u64, measured: PreintegratedImu, gravity_in_map: Vector3<f64>) -> Result<Self> {
        if i == j {
            return Err(Error::message("IMU factor", "two different keyframes", format!("{i} twice")));
        }
        let noise = Gaussian::from_covariance(&measured.covariance_with_biases())?;
        let keys = [Key::pose(i), Key::velocity(i), Key::bias(i), Key::pose(j), Key::velocity(j), Key::bias(j)];
        Ok(Self { keys, measured, gravity_in_map, noise })
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
        let state = |first: usize| -> Result<NavState> {
            Ok(NavState { map_from_imu: *at.pose(first)?, velocity: at.vector::<3>(first + 1)? })
        };
        let (i, j) = (state(0)?, state(3)?);
        let (bias_i, bias_j): (Vector6, Vector6) = (at.vector::<6>(2)?, at.vector::<6>(5)?);
        let bias = ImuBias::from_vector(&bias_i);
        let mut error = SVector::<f64, 15>::zeros();
        error.fixed_rows_mut::<6>(9).copy_from(&(bias_j - bias_i));
        let Some(jacobian) = jacobian else {
            error.fixed_rows_mut::<9>(0).copy_from(&self.measured.residual(&i, bias, &j, self.gravity_in_map));
            residual.copy_from_slice(self.noise.whiten(&error).as_slice());
            return Ok(());
        };
        let linear = self.measured.linearize(&i, bias, &j, self.gravity_in_map);
        error.fixed_rows_mut::<9>(0).copy_from(&linear.value);
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        let mut all = SMatrix::<f64, 15, 30>::zeros();
        all.fixed_view_mut::<9, 6>(0, 0).copy_from(&linear.by_pose_i);
        all.fixed_view_mut::<9, 3>(0, 6).copy_from(&linear.by_velocity_i);
        all.fixed_view_mut::<9, 6>(0, 9).copy_from(&linear.by_bias_i);
        all.fixed_view_mut::<9, 6>(0, 15).copy_from(&linear.by_pose_j);
        all.fixed_view_mut::<9, 3>(0, 21).copy_from(&linear.by_velocity_j);
        all.fixed_view_mut::<6, 6>(9, 9).copy_from(&-SMatrix::<f64, 6, 6>::identity());
        all.fixed_view_mut::<6, 6>(9, 24).copy_from(&SMatrix::<f64, 6, 6>::identity());
        write_block(jacobian, 0, &(self.noise.sqrt_information() * all));
        Ok(())
    }
}
