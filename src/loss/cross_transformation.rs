//! DGRNets' cross transformation constraints (Lin et al. 2019, arXiv 1812.07869): what the global stream says of two frames
//! and what the relative stream says of the motion between them must close. For a pair,
//!
//! - previous⁻¹ · current, of the predictions, must be the true motion ([`geometric_consistency_loss`]),
//! - previous · motion must be the true current pose,
//! - current · motion⁻¹ must be the true previous pose,
//!
//! with `motion` predicted. The loss corrects all three predictions, and is the mean of the three errors. The paper
//! constrains windows of several frames; pairs of up to `max_skip` frames apart stand for them here.

use super::geometric_consistency::{ConsistencyGradient, geometric_consistency_loss};
use super::pose::{Norm, PoseErrors, pose_errors};
use super::tangent::{conjugate, multiply, rotate};
use crate::network::PoseTensor;

/// The errors of the three ways around a pair, to be weighted like those of poses; `motion` is the predicted
/// `previous_from_current`.
pub fn cross_transformation_loss(
    [previous, current]: [&PoseTensor; 2],
    motion: &PoseTensor,
    [previous_truth, current_truth]: [&PoseTensor; 2],
    norm: Norm,
) -> PoseErrors {
    let both = ConsistencyGradient::Both;
    let ways = [
        geometric_consistency_loss(previous, current, previous_truth, current_truth, both, norm),
        pose_errors(&carried(previous, motion), current_truth, norm),
        pose_errors(&carried(current, &inverse(motion)), previous_truth, norm),
    ];
    let [a, b, c] = ways;
    PoseErrors {
        translation: (a.translation + b.translation + c.translation) / 3.0,
        rotation: (a.rotation + b.rotation + c.rotation) / 3.0,
    }
}

/// The poses after motions in their own axes.
fn carried(pose: &PoseTensor, motion: &PoseTensor) -> PoseTensor {
    PoseTensor {
        translation_b3: &pose.translation_b3 + rotate(&pose.quaternion_b4, &motion.translation_b3),
        quaternion_b4: multiply(&pose.quaternion_b4, &motion.quaternion_b4),
    }
}

/// The motions back.
fn inverse(motion: &PoseTensor) -> PoseTensor {
    let back = conjugate(&motion.quaternion_b4);
    PoseTensor { translation_b3: -rotate(&back, &motion.translation_b3), quaternion_b4: back }
}
