//! The pose loss with learned weights (Kendall & Cipolla 2017, arXiv 1704.00390, eq. 4):
//!
//! L = L_x e^(-s_x) + s_x + L_q e^(-s_q) + s_q
//!
//! with L_x the length of the error of the translation, and L_q that of the quaternions, whose sign is aligned first
//! (`q` and `-q` are one rotation). At the minimum over s the weights are the inverses of the errors, whatever the
//! units. The loss may become negative; that is no error.

use tch::{Kind, Tensor, nn};

use super::tangent::row_norm;
use crate::network::PoseTensor;

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
    let length = |rows: &Tensor| match norm {
        Norm::L2 => row_norm(rows).mean(None::<Kind>),
        Norm::L1 => rows.abs().mean(None::<Kind>),
    };
    PoseErrors { translation: length(&translation), rotation: length(&rotation) }
}

/// The learned pair (s_x, s_q): logarithms of the expected errors.
#[derive(Debug)]
pub struct PoseWeights {
    s_translation: Tensor,
    s_rotation: Tensor,
}

impl PoseWeights {
    /// The pair under `path`, as `s_translation` and `s_rotation`. VLocNet starts at 0 and -3.
    pub fn new(path: &nn::Path, s_translation: f64, s_rotation: f64) -> Self {
        let weight = |name: &str, value| path.var(name, &[], nn::Init::Const(value));
        Self { s_translation: weight("s_translation", s_translation), s_rotation: weight("s_rotation", s_rotation) }
    }

    /// L_x e^(-s_x) + s_x + L_q e^(-s_q) + s_q.
    pub fn apply(&self, errors: &PoseErrors) -> Tensor {
        &errors.translation * (-&self.s_translation).exp()
            + &self.s_translation
            + &errors.rotation * (-&self.s_rotation).exp()
            + &self.s_rotation
    }
}
