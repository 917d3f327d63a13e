//! What the global stream knows of the frame before: its own output, its features, or the state of an LSTM.
//!
//! A [`History`] is made from outputs of the network alone:
//!
//! ```compile_fail,E0451
//! use vloc::network::{PoseOutput, PoseTensor};
//! fn from_ground_truth(pose: PoseTensor, rotation_bn: tch::Tensor) -> PoseOutput {
//!     PoseOutput { pose, rotation_bn, log_variance_b6: None, memory: None, anchored: None, scenes_bs: None } // private fields: no pose of a dataset becomes a history
//! }
//! ```

mod previous_features;
mod previous_pose;
mod recurrent;

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::config::Temporal;
use super::pose_head::PoseOutput;
use super::pose_tensor::PoseTensor;
use previous_features::PreviousFeatures;
use previous_pose::PreviousPose;
pub(super) use recurrent::Recurrent;

/// What the global stream keeps of a frame for the next, beside its pose.
#[derive(Debug)]
pub(super) enum Memory {
    /// Features where frames are joined, `bchw`.
    Features(Tensor),
    /// Output and cell of an LSTM that has read it, `1bu`.
    State([Tensor; 2]),
}

impl Memory {
    /// The same for the next frame of a training: a state brings the gradient back to the frame before, features do not.
    fn in_training(&self) -> Self {
        match self {
            Memory::Features(features) => Memory::Features(features.detach()),
            Memory::State(_) => self.shallow_clone(),
        }
    }

    fn shallow_clone(&self) -> Self {
        match self {
            Memory::Features(features) => Memory::Features(features.shallow_clone()),
            Memory::State(state) => Memory::State(state.each_ref().map(Tensor::shallow_clone)),
        }
    }
}

/// What a stream said and saw of the frame before, per row of a batch, or that there was none.
#[derive(Debug, Default)]
pub struct History {
    /// Normalized translation and quaternion (w >= 0), `b7`.
    pose_b7: Option<Tensor>,
    /// What the stream kept of it.
    memory: Option<Memory>,
    /// Whether the row has a frame before (0 or 1), `b1`.
    known_b1: Option<Tensor>,
}

impl History {
    /// No row has a frame before.
    pub fn none() -> Self {
        Self::default()
    }

    /// What the network said and saw of the frame before, without its gradient; but for the state of an LSTM, which brings
    /// the gradient of what comes next.
    pub fn of(output: &PoseOutput) -> Self {
        Self::of_pose(&output.pose().detach(), output.memory().map(Memory::in_training))
    }

    /// The same of the first row alone, behind which inference has its samples.
    pub(super) fn of_first(output: &PoseOutput) -> Self {
        Self::of_pose(&output.pose().narrow(0, 1), output.memory().map(Memory::shallow_clone))
    }

    fn of_pose(pose: &PoseTensor, memory: Option<Memory>) -> Self {
        let positive = pose.quaternion_b4.narrow(1, 0, 1).ge(0.0).to_kind(Kind::Float) * 2.0 - 1.0;
        let pose_b7 = Tensor::cat(&[&pose.translation_b3, &(&pose.quaternion_b4 * positive)], 1);
        let known_b1 = pose_b7.narrow(1, 0, 1).ones_like();
        Self { pose_b7: Some(pose_b7), memory, known_b1: Some(known_b1) }
    }

    /// The same where `keep_b1` is 1, no frame before where it is 0: training sees both.
    pub fn keep(self, keep_b1: &Tensor) -> Self {
        Self { known_b1: self.known_b1.map(|known_b1| known_b1 * keep_b1), ..self }
    }
}

/// How the frame before is joined to the features of the global stream.
#[derive(Debug)]
pub(super) enum Fusion {
    Pose(PreviousPose),
    Features(PreviousFeatures),
}

impl Fusion {
    /// For features of this size, where the configuration asks for one.
    pub(super) fn new(path: &Path, temporal: Temporal, size_chw: [i64; 3]) -> Option<Self> {
        match temporal {
            Temporal::None | Temporal::Lstm => None,
            Temporal::PreviousPose => Some(Self::Pose(PreviousPose::new(&(path / "previous_pose"), size_chw))),
            Temporal::PreviousFeatures => {
                Some(Self::Features(PreviousFeatures::new(&(path / "previous_features"), size_chw)))
            }
        }
    }

    /// Channels behind it for `channels` in front of it.
    pub(super) fn channels(&self, channels: i64) -> i64 {
        match self {
            Fusion::Pose(_) => 2 * channels,
            Fusion::Features(_) => channels,
        }
    }

    /// Features `bchw` with what is known of the frame before.
    pub(super) fn forward(&self, features_bchw: &Tensor, history: &History) -> Tensor {
        match self {
            Fusion::Pose(fusion) => fusion.forward(features_bchw, history),
            Fusion::Features(fusion) => fusion.forward(features_bchw, history),
        }
    }
}
