//! MapNet's relative loss (Brahmbhatt et al. 2018, arXiv 1712.03342, eq. 3): the difference of two predictions must be
//! the difference of the true poses,
//!
//! L = h(v, v*),  v = (t_i - t_j, w_i - w_j)
//!
//! with w the logarithm of the unit quaternion (half the axis times the angle). Both differences are taken in the axes of
//! the map, as the paper has it; see [`geometric_consistency_loss`](super::geometric_consistency_loss) for the motion in
//! the axes of the camera.

use super::pose::{Norm, PoseErrors};
use crate::network::{PoseTensor, RotationOutput};

/// The errors of the differences between consecutive predictions, to be weighted like those of poses.
pub fn log_consistency_loss(
    [previous, current]: [&PoseTensor; 2],
    [previous_truth, current_truth]: [&PoseTensor; 2],
    norm: Norm,
) -> PoseErrors {
    let log = |pose: &PoseTensor| RotationOutput::LogQuaternion.encode(&pose.quaternion_b4);
    let translation = (&current.translation_b3 - &previous.translation_b3)
        - (&current_truth.translation_b3 - &previous_truth.translation_b3);
    let rotation = (log(current) - log(previous)) - (log(current_truth) - log(previous_truth));
    PoseErrors { translation: norm.of(&translation), rotation: norm.of(&rotation) }
}
