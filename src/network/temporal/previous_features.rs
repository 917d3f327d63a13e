//! VLocNet++'s fusion of the features of the frame before (Radwan, Valada & Burgard 2018, arXiv 1804.08366, section III-A),
//! by [`AdaptiveFusion`]. The paper does not say what the first frame is fused with: here, with itself. The fusion
//! starts as the mean of both frames.

use tch::Tensor;
use tch::nn::Path;

use super::{History, Memory};
use crate::network::adaptive_fusion::{AdaptiveFusion, Start};

/// The fusion.
#[derive(Debug)]
pub(in crate::network) struct PreviousFeatures {
    fusion: AdaptiveFusion,
}

impl PreviousFeatures {
    pub(super) fn new(path: &Path, size_chw: [i64; 3]) -> Self {
        Self { fusion: AdaptiveFusion::new(path, ["current", "previous"], size_chw, size_chw[0], Start::Mean) }
    }

    pub(super) fn forward(&self, features_bchw: &Tensor, history: &History) -> Tensor {
        let previous = match (&history.memory, &history.known_b1) {
            (Some(Memory::Features(previous_bchw)), Some(known_b1)) => {
                let known = known_b1.view([-1, 1, 1, 1]);
                previous_bchw * &known + features_bchw * (1.0 - known)
            }
            _ => features_bchw.shallow_clone(),
        };
        self.fusion.forward(features_bchw, &previous)
    }
}
