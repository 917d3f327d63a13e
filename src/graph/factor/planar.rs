//! Measurements of planar poses: SE(2), embedded in SE(3).
//!
//! Residuals are planar twists `[x, y (m), θ (rad)]`, so that a graph in the plane costs what the same graph costs in
//! space, and what it costs in GTSAM 4.3.

use nalgebra::{Matrix3, Vector3};

use super::{Arguments, Factor, RelativePoseMeasurement, finite, one_pose, two_poses, write_block};
use crate::geometry::Se3;
use crate::graph::planar;
use crate::graph::{Gaussian, Key, RobustKernel};
use crate::{Error, Result};

/// `r = log(measured⁻¹ · a⁻¹ · b)` for the planar poses `map_from_a` and `map_from_b` and the measured `a_from_b`.
///
/// As [`super::BetweenFactor`]: with `h = a⁻¹ b`, `∂r/∂b = J_r⁻¹(r)` and `∂r/∂a = -J_r⁻¹(r) Ad(h⁻¹)`, all of SE(2).
#[derive(Clone, Debug)]
pub struct PlanarBetweenFactor {
    keys: [Key; 2],
    a_from_b: Se3,
    measured_inverse: Se3,
    noise: Gaussian<3>,
    robust: Option<RobustKernel>,
}

impl PlanarBetweenFactor {
    /// The factor of a measured `a_from_b`, noise `[x, y (m), θ (rad)]`.
    ///
    /// # Errors
    /// When a key is no pose, the keys are the same, or the measurement is not finite or leaves the plane.
    pub fn new(from: Key, to: Key, a_from_b: Se3, noise: Gaussian<3>) -> Result<Self> {
        let measured_inverse = within_plane(a_from_b)?.inverse();
        Ok(Self { keys: two_poses(from, to)?, a_from_b, measured_inverse, noise, robust: None })
    }

    /// The same factor under a robust kernel.
    pub fn with_robust(self, kernel: RobustKernel) -> Self {
        Self { robust: Some(kernel), ..self }
    }
}

impl Factor for PlanarBetweenFactor {
    fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn dim(&self) -> usize {
        3
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let (map_from_a, map_from_b) = (at.planar_pose(0)?, at.planar_pose(1)?);
        let a_from_b = map_from_a.inverse() * *map_from_b;
        let error = planar::log(&(self.measured_inverse * a_from_b));
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        if let Some(jacobian) = jacobian {
            let by_b: Matrix3<f64> = self.noise.sqrt_information() * planar::right_jacobian_inverse(&error);
            write_block(jacobian, 0, &-(by_b * planar::adjoint(&a_from_b.inverse())));
            write_block(jacobian, 3, &by_b);
        }
        Ok(())
    }

    fn robust(&self) -> Option<RobustKernel> {
        self.robust
    }

    fn relative_pose(&self) -> Option<RelativePoseMeasurement> {
        let information = self.noise.information();
        Some(RelativePoseMeasurement {
            from: self.keys[0],
            to: self.keys[1],
            a_from_b: self.a_from_b,
            rotation_information: information[(2, 2)],
            translation_information: 0.5 * (information[(0, 0)] + information[(1, 1)]),
        })
    }
}

/// `r = log(measured⁻¹ · x)` for the planar pose `x` (`map_from_body`); `∂r/∂x = J_r⁻¹(r)` of SE(2).
#[derive(Clone, Debug)]
pub struct PlanarPriorFactor {
    key: [Key; 1],
    measured_inverse: Se3,
    noise: Gaussian<3>,
    robust: Option<RobustKernel>,
}

impl PlanarPriorFactor {
    /// The factor of a measured `map_from_body`, noise `[x, y (m), θ (rad)]`.
    ///
    /// # Errors
    /// When the key is no pose, or the measurement is not finite or leaves the plane.
    pub fn new(key: Key, map_from_body: Se3, noise: Gaussian<3>) -> Result<Self> {
        let measured_inverse = within_plane(map_from_body)?.inverse();
        Ok(Self { key: [one_pose(key)?], measured_inverse, noise, robust: None })
    }

    /// The same factor under a robust kernel.
    pub fn with_robust(self, kernel: RobustKernel) -> Self {
        Self { robust: Some(kernel), ..self }
    }
}

impl Factor for PlanarPriorFactor {
    fn keys(&self) -> &[Key] {
        &self.key
    }

    fn dim(&self) -> usize {
        3
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let error = planar::log(&(self.measured_inverse * *at.planar_pose(0)?));
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        if let Some(jacobian) = jacobian {
            let by_pose: Matrix3<f64> = self.noise.sqrt_information() * planar::right_jacobian_inverse(&error);
            write_block(jacobian, 0, &by_pose);
        }
        Ok(())
    }

    fn robust(&self) -> Option<RobustKernel> {
        self.robust
    }
}

/// Refuses a measured transform that is not finite or leaves the x-y plane by more than rounding.
fn within_plane(measured: Se3) -> Result<Se3> {
    let transform = finite(measured)?;
    let axis = transform.rotation * Vector3::z();
    if transform.translation.z.abs() < 1e-9 && (axis - Vector3::z()).amax() < 1e-9 {
        Ok(transform)
    } else {
        Err(Error::message("measured transform", "one within the x-y plane", format!("{transform:?}")))
    }
}
