//! MapNet+'s loss of video without labels (Brahmbhatt et al. 2018, arXiv 1712.03342, section 3.3): two absolute predictions
//! must differ by the motion that an odometry measured,
//!
//! L = h(v, v*),  v = (R_previousᵀ (t_current - t_previous), log(q_previous⁻¹ q_current))
//!
//! with both in the axes of the earlier camera, as an odometry gives them: where the odometry's own frame lies and how far
//! it has drifted does not matter. (The differences of labelled poses are taken in the axes of the map, see
//! [`log_consistency_loss`](super::log_consistency_loss).) The gradient goes to both predictions.

use super::pose::{Norm, PoseErrors};
use super::relative::relative_pose;
use crate::network::{PoseTensor, RotationOutput};

/// The errors of the motions between predictions, to be weighted like those of poses; `motion` is the measured
/// `previous_from_current`, its translations in the units of the predictions.
pub fn motion_loss([previous, current]: [&PoseTensor; 2], motion: &PoseTensor, norm: Norm) -> PoseErrors {
    let predicted = relative_pose(previous, current);
    let log = |pose: &PoseTensor| RotationOutput::LogQuaternion.encode(&pose.quaternion_b4);
    let translation = &predicted.translation_b3 - &motion.translation_b3;
    PoseErrors { translation: norm.of(&translation), rotation: norm.of(&(log(&predicted) - log(motion))) }
}
