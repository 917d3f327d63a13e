//! How far encodings of poses are from what a network makes of images taken there (Shavit & Keller 2022, "Camera Pose
//! Auto-Encoders for Improving Pose Regression", eq. 1, the first two terms):
//!
//! L = ‖z_x - ẑ_x‖₂ + ‖z_q - ẑ_q‖₂
//!
//! or one such length where one embedding serves both. The third term of eq. 1, the pose loss of what the network's head reads
//! from the encoding, is [`PoseWeights`](super::PoseWeights).

use tch::{Kind, Tensor};

use super::tangent::row_norm;

/// The mean over the rows of the lengths of the differences of embeddings `bh`, `parts` of which stand side by side.
pub fn embedding_loss(encoding_bh: &Tensor, embedding_bh: &Tensor, parts: usize) -> Tensor {
    let differences = (encoding_bh - embedding_bh).chunk(parts as i64, 1);
    differences.iter().map(row_norm).fold(Tensor::from(0f32), |sum, lengths| sum + lengths.mean(None::<Kind>))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_the_parts_add_up() {
        let zeros = Tensor::zeros([2, 4], (Kind::Float, tch::Device::Cpu));
        let encoding = Tensor::from_slice(&[3f32, 4.0, 0.0, 1.0, 0.0, 0.0, 0.0, 3.0]).view([2, 4]);
        let value = |parts| embedding_loss(&encoding, &zeros, parts).double_value(&[]);
        assert!((value(2) - (5.0 + 0.0 + 1.0 + 3.0) / 2.0).abs() < 1e-5);
        assert!((value(1) - (26f64.sqrt() + 3.0) / 2.0).abs() < 1e-5);
    }
}
