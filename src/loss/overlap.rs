//! RelocNet's continuous metric learning (Balntas, Li & Prisacariu 2018, section 3.2): two vectors are to be as near as the frusta
//! of the two cameras overlap, however much that is; there are no classes of alike and unlike images.
//!
//! L = mean over i ≠ j of ( ½ |eᵢ - eⱼ|² - (1 - ωᵢⱼ) )² = mean ( eᵢ·eⱼ - ωᵢⱼ )²
//!
//! for vectors e of length 1 and overlaps ω from 0 to 1. The paper takes chosen pairs; here all frames of a batch meet, so that
//! those without any overlap are among them.

use tch::{Kind, Tensor};

/// The loss for unit vectors `bd` and their overlaps `bb`, of at least two frames.
pub fn overlap_loss(embeddings_bd: &Tensor, overlaps_bb: &Tensor) -> Tensor {
    let rows = embeddings_bd.size()[0];
    let likeness_bb = embeddings_bd.matmul(&embeddings_bd.tr());
    let others_bb = Tensor::eye(rows, (Kind::Float, embeddings_bd.device())).neg() + 1.0;
    ((likeness_bb - overlaps_bb) * others_bb).square().sum(None::<Kind>) / (rows * (rows - 1)) as f64
}
