//! A measured transform between two poses: odometry, a loop closure, a network's relative pose.

use nalgebra::Matrix3;

use super::{Arguments, Factor, RelativePoseMeasurement, finite, two_poses, write_block};
use crate::Result;
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::graph::{Gaussian, Key, RobustKernel};

/// `r = log(measured⁻¹ · a⁻¹ · b)` for the poses `map_from_a` and `map_from_b` and the measured `a_from_b`.
///
/// The residual and its noise are a right perturbation of the measurement, `[translation (m), rotation (rad)]` in the
/// axes of `b`. With `h = a⁻¹ b` and the right Jacobian `J_r` of SE(3), `∂r/∂b = J_r⁻¹(r)` and
/// `∂r/∂a = -J_r⁻¹(r) Ad(h⁻¹)` (Solà et al. 2018, section IV and eq. 182): exact, not their value at `r = 0`.
#[derive(Clone, Debug)]
pub struct BetweenFactor {
    keys: [Key; 2],
    a_from_b: Se3,
    measured_inverse: Se3,
    noise: Gaussian<6>,
    robust: Option<RobustKernel>,
}

impl BetweenFactor {
    /// The factor of a measured `a_from_b` between the pose `from` (`map_from_a`) and the pose `to` (`map_from_b`).
    ///
    /// # Errors
    /// When a key is no pose, the keys are the same, or the measurement is not finite.
    pub fn new(from: Key, to: Key, a_from_b: Se3, noise: Gaussian<6>) -> Result<Self> {
        let measured_inverse = finite(a_from_b)?.inverse();
        Ok(Self { keys: two_poses(from, to)?, a_from_b, measured_inverse, noise, robust: None })
    }

    /// The same factor under a robust kernel.
    pub fn with_robust(self, kernel: RobustKernel) -> Self {
        Self { robust: Some(kernel), ..self }
    }
}

/// The product of two matrices whose lower left 3x3 blocks are zero: half the work.
pub(super) fn upper_product(left: &Matrix6, right: &Matrix6) -> Matrix6 {
    let block = |matrix: &Matrix6, row: usize, column: usize| -> Matrix3<f64> {
        matrix.fixed_view::<3, 3>(row, column).into_owned()
    };
    let (a, b, c) = (block(left, 0, 0), block(left, 0, 3), block(left, 3, 3));
    let (d, e, f) = (block(right, 0, 0), block(right, 0, 3), block(right, 3, 3));
    let mut product = Matrix6::zeros();
    product.fixed_view_mut::<3, 3>(0, 0).copy_from(&(a * d));
    product.fixed_view_mut::<3, 3>(0, 3).copy_from(&(a * e + b * f));
    product.fixed_view_mut::<3, 3>(3, 3).copy_from(&(c * f));
    product
}

impl Factor for BetweenFactor {
    fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn dim(&self) -> usize {
        6
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let (map_from_a, map_from_b) = (at.pose(0)?, at.pose(1)?);
        let a_from_b = map_from_a.inverse() * *map_from_b;
        let error: Vector6 = (self.measured_inverse * a_from_b).log();
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        if let Some(jacobian) = jacobian {
            let by_b = upper_product(self.noise.sqrt_information(), &Se3::right_jacobian_inverse(&error));
            write_block(jacobian, 0, &-upper_product(&by_b, &a_from_b.inverse().adjoint()));
            write_block(jacobian, 6, &by_b);
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
            rotation_information: information.fixed_view::<3, 3>(3, 3).trace() / 3.0,
            translation_information: information.fixed_view::<3, 3>(0, 0).trace() / 3.0,
        })
    }
}
