//! Relative poses of consecutive frames, in the axes of the earlier one:
//!
//! t = R_previousᵀ (t_current - t_previous),  q = q_previous⁻¹ q_current
//!
//! The target of the odometry stream, compared by [`pose_errors`](super::pose_errors). A difference in the axes of
//! the map, as some public code has it, depends on where the camera looked and is not what two images show.

use super::tangent::{conjugate, multiply, rotate};
use crate::network::PoseTensor;

/// `previous_from_current` of each row. Differentiable in both; normalized units (the mean cancels).
pub fn relative_pose(previous: &PoseTensor, current: &PoseTensor) -> PoseTensor {
    let inverse = conjugate(&previous.quaternion_b4);
    PoseTensor {
        translation_b3: rotate(&inverse, &(&current.translation_b3 - &previous.translation_b3)),
        quaternion_b4: multiply(&inverse, &current.quaternion_b4),
    }
}
