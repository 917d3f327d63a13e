//! The pose loss, with a fixed weight (PoseNet; Kendall, Grimes & Cipolla 2015, arXiv 1505.07427, eq. 2):
//!
//! L = L_x + β L_q
//!
//! or with learned weights (Kendall & Cipolla 2017, arXiv 1704.00390, eq. 4):
//!
//! L = L_x e^(-s_x) + s_x + L_q e^(-s_q) + s_q
//!
//! with L_x the length of the error of the translation, and L_q that of the rotation in the numbers the network gives:
//! quaternions, whose sign is aligned first (`q` and `-q` are one rotation), their logarithms (MapNet), or sines and
//! cosines (BranchNet). At the minimum over s the weights are the inverses of the errors, whatever the units. That loss
//! may become negative; that is no error.

use tch::{Kind, Tensor, nn};

use super::tangent::row_norm;
use crate::network::{PoseOutput, PoseTensor, RotationOutput};

/// How the components of an error are joined to its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// The Euclidean length (VLocNet).
    #[default]
    L2,
    /// The mean of the absolute components (MapNet).
    L1,
}

impl Norm {
    /// Mean over the rows, scalar.
    pub(super) fn of(self, rows: &Tensor) -> Tensor {
        match self {
            Norm::L2 => row_norm(rows).mean(None::<Kind>),
            Norm::L1 => rows.abs().mean(None::<Kind>),
        }
    }
}

/// Mean errors of a batch, scalars.
#[derive(Debug)]
pub struct PoseErrors {
    /// Of the translation, normalized units.
    pub translation: Tensor,
    /// Of the quaternion; about half the angle in radians under [`Norm::L2`].
    pub rotation: Tensor,
}

/// The errors L_x and L_q of estimates against the truth.
pub fn pose_errors(estimate: &PoseTensor, truth: &PoseTensor, norm: Norm) -> PoseErrors {
    let products = &estimate.quaternion_b4 * &truth.quaternion_b4;
    let cosine = products.sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
    let sign = cosine.ge(0.0).to_kind(cosine.kind()) * 2.0 - 1.0;
    let translation = &estimate.translation_b3 - &truth.translation_b3;
    let rotation = &estimate.quaternion_b4 - &truth.quaternion_b4 * sign;
    PoseErrors { translation: norm.of(&translation), rotation: norm.of(&rotation) }
}

/// The errors of what a head said against the truth, in the numbers that the head gives.
pub fn output_errors(output: &PoseOutput, truth: &PoseTensor, rotation: RotationOutput, norm: Norm) -> PoseErrors {
    if rotation == RotationOutput::Quaternion {
        return pose_errors(output.pose(), truth, norm);
    }
    let translation = &output.pose().translation_b3 - &truth.translation_b3;
    let rotation = output.rotation_bn() - rotation.encode(&truth.quaternion_b4);
    PoseErrors { translation: norm.of(&translation), rotation: norm.of(&rotation) }
}

/// How the errors of translation and rotation are joined.
#[derive(Debug)]
pub enum PoseWeights {
    /// By the learned pair (s_x, s_q): logarithms of the expected errors.
    Learned {
        /// s_x.
        s_translation: Tensor,
        /// s_q.
        s_rotation: Tensor,
    },
    /// By a fixed weight.
    Fixed {
        /// Of the rotation against the translation.
        beta: f64,
    },
}

impl PoseWeights {
    /// The learned pair under `path`, as `s_translation` and `s_rotation`. VLocNet starts at 0 and -3.
    pub fn learned(path: &nn::Path, s_translation: f64, s_rotation: f64) -> Self {
        let weight = |name: &str, value| path.var(name, &[], nn::Init::Const(value));
        let (s_translation, s_rotation) = (weight("s_translation", s_translation), weight("s_rotation", s_rotation));
        Self::Learned { s_translation, s_rotation }
    }

    /// The loss of these errors.
    pub fn apply(&self, PoseErrors { translation, rotation }: &PoseErrors) -> Tensor {
        match self {
            Self::Learned { s_translation, s_rotation } => {
                translation * (-s_translation).exp() + s_translation + rotation * (-s_rotation).exp() + s_rotation
            }
            Self::Fixed { beta } => translation + rotation * *beta,
        }
    }
}
