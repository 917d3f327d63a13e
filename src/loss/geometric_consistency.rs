//! VLocNet's geometric consistency (section III-C): two absolute predictions must differ by the true motion.
//!
//! L = pose errors between relative(previous prediction, current prediction) and relative(previous truth, current
//! truth), both in the axes of the earlier frame, see [`relative_pose`]. Moving or turning the map changes neither.

use super::pose::{Norm, PoseErrors, pose_errors};
use super::relative::relative_pose;
use crate::network::PoseTensor;

/// Which predictions the loss corrects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsistencyGradient {
    /// The current one; the previous one is taken as given (the paper, whose previous prediction is of an earlier step).
    #[default]
    Current,
    /// Both: for pairs that pass the network in one batch.
    Both,
}

/// The errors of the motion between consecutive predictions, to be weighted like those of poses.
pub fn geometric_consistency_loss(
    previous: &PoseTensor,
    current: &PoseTensor,
    previous_truth: &PoseTensor,
    current_truth: &PoseTensor,
    gradient: ConsistencyGradient,
    norm: Norm,
) -> PoseErrors {
    let motion = match gradient {
        ConsistencyGradient::Current => relative_pose(&previous.detach(), current),
        ConsistencyGradient::Both => relative_pose(previous, current),
    };
    pose_errors(&motion, &relative_pose(previous_truth, current_truth), norm)
}
