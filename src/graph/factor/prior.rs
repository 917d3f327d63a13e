//! A measured pose: a network's absolute pose, a first guess with its uncertainty, an anchor.

use super::between::upper_product;
use super::{Arguments, Factor, finite, one_pose, write_block};
use crate::Result;
use crate::geometry::{Se3, Vector6};
use crate::graph::{Gaussian, Key, RobustKernel};

/// `r = log(measured⁻¹ · x)` for the pose `x` (`map_from_body`).
///
/// The residual and its noise are a right perturbation, `[translation (m), rotation (rad)]` in the axes of the body, as
/// the covariance of [`crate::geometry::PoseCovariance`]. `∂r/∂x = J_r⁻¹(r)` (Solà et al. 2018, eq. 182).
#[derive(Clone, Debug)]
pub struct PriorFactor {
    key: [Key; 1],
    measured_inverse: Se3,
    noise: Gaussian<6>,
    robust: Option<RobustKernel>,
}

impl PriorFactor {
    /// The factor of a measured `map_from_body` for the pose `key`.
    ///
    /// # Errors
    /// When the key is no pose, or the measurement is not finite.
    pub fn new(key: Key, map_from_body: Se3, noise: Gaussian<6>) -> Result<Self> {
        let measured_inverse = finite(map_from_body)?.inverse();
        Ok(Self { key: [one_pose(key)?], measured_inverse, noise, robust: None })
    }

    /// The same factor under a robust kernel.
    pub fn with_robust(self, kernel: RobustKernel) -> Self {
        Self { robust: Some(kernel), ..self }
    }
}

impl Factor for PriorFactor {
    fn keys(&self) -> &[Key] {
        &self.key
    }

    fn dim(&self) -> usize {
        6
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let error: Vector6 = (self.measured_inverse * *at.pose(0)?).log();
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        if let Some(jacobian) = jacobian {
            let by_pose = upper_product(self.noise.sqrt_information(), &Se3::right_jacobian_inverse(&error));
            write_block(jacobian, 0, &by_pose);
        }
        Ok(())
    }

    fn robust(&self) -> Option<RobustKernel> {
        self.robust
    }
}
