//! Measurements of planar poses: SE(2), embedded in SE(3).
//!
//! The difference of two planar poses is `[x, y, θ]` of the transform between them, with θ in (-π, π]; translation and
//! angle stand side by side, not as a twist. It is the residual of g2o's EDGE_SE2 and of GTSAM's `Pose2` as it is built
//! by default, so that costs agree.

use nalgebra::{Matrix3, Vector3};

use super::{Arguments, Factor, RelativePoseMeasurement, finite, one_pose, two_poses, write_block};
use crate::geometry::Se3;
use crate::graph::variable::planar_coordinates;
use crate::graph::{Gaussian, Key, RobustKernel};
use crate::{Error, Result};

/// `r = [x, y, θ] of (measured⁻¹ · a⁻¹ · b)` for the planar poses `map_from_a` and `map_from_b`.
///
/// With `h = a⁻¹ b`, and `R_e` the rotation of the error `measured⁻¹ h`: `∂r/∂b = diag(R_e, 1)`; a step `ξ` of `a` turns
/// and shifts `h`, `∂h/∂ξ_a = -[1, ẑ × t_h]`, seen from the measurement's axes.
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
        let error = self.measured_inverse * a_from_b;
        residual.copy_from_slice(self.noise.whiten(&planar_coordinates(&error)).as_slice());
        if let Some(jacobian) = jacobian {
            let (cm, sm) = cosine_and_sine(&self.measured_inverse);
            let (x, y) = (a_from_b.translation.x, a_from_b.translation.y);
            let by_a = Matrix3::new(-cm, sm, cm * y + sm * x, -sm, -cm, sm * y - cm * x, 0.0, 0.0, -1.0);
            write_block(jacobian, 0, &(self.noise.sqrt_information() * by_a));
            write_block(jacobian, 3, &(self.noise.sqrt_information() * turn(&error)));
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

/// `r = [x, y, θ] of (measured⁻¹ · x)` for a planar pose; `∂r/∂x = diag(R_e, 1)`.
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
        let error = self.measured_inverse * *at.planar_pose(0)?;
        residual.copy_from_slice(self.noise.whiten(&planar_coordinates(&error)).as_slice());
        if let Some(jacobian) = jacobian {
            write_block(jacobian, 0, &(self.noise.sqrt_information() * turn(&error)));
        }
        Ok(())
    }

    fn robust(&self) -> Option<RobustKernel> {
        self.robust
    }
}

/// Cosine and sine of the angle of a planar transform.
fn cosine_and_sine(transform: &Se3) -> (f64, f64) {
    let [_, _, z, w] = transform.rotation.to_xyzw();
    (w * w - z * z, 2.0 * z * w)
}

/// `diag(R, 1)` with the rotation of a planar transform.
fn turn(transform: &Se3) -> Matrix3<f64> {
    let (cosine, sine) = cosine_and_sine(transform);
    Matrix3::new(cosine, -sine, 0.0, sine, cosine, 0.0, 0.0, 0.0, 1.0)
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
