//! VLocNet++'s adaptive weighted fusion (Radwan, Valada & Burgard 2018, arXiv 1804.08366, section III-A):
//!
//! z = max( W * ((w₁ ⊙ z_t) ⊕ (w₂ ⊙ z_(t-1))), 0 )
//!
//! with one learned weight per element of either map, ⊕ the concatenation of channels, and W a 1x1 convolution back to
//! the channels of one. The paper does not say what the first frame is fused with: here, with itself. The weights start
//! at one and W as the mean of both maps.

use tch::Tensor;
use tch::nn::{self, Path};

use super::{History, Memory};

/// The weights and the convolution.
#[derive(Debug)]
pub(in crate::network) struct PreviousFeatures {
    current_1chw: Tensor,
    previous_1chw: Tensor,
    conv: nn::Conv2D,
}

impl PreviousFeatures {
    pub(super) fn new(path: &Path, [channels, height, width]: [i64; 3]) -> Self {
        let weights = |name: &str| path.ones(name, &[1, channels, height, width]);
        let conv = nn::conv2d(path / "conv", 2 * channels, channels, 1, Default::default());
        let half = Tensor::eye(channels, (tch::Kind::Float, path.device())) * 0.5;
        let mean = Tensor::cat(&[&half, &half], 1);
        let mut ws = conv.ws.shallow_clone();
        tch::no_grad(|| ws.copy_(&mean.view([channels, 2 * channels, 1, 1])));
        Self { current_1chw: weights("current"), previous_1chw: weights("previous"), conv }
    }

    pub(super) fn forward(&self, features_bchw: &Tensor, history: &History) -> Tensor {
        let previous = match (&history.memory, &history.known_b1) {
            (Some(Memory::Features(previous_bchw)), Some(known_b1)) => {
                let known = known_b1.view([-1, 1, 1, 1]);
                previous_bchw * &known + features_bchw * (1.0 - known)
            }
            _ => features_bchw.shallow_clone(),
        };
        let weighted = [features_bchw * &self.current_1chw, previous * &self.previous_1chw];
        Tensor::cat(&weighted, 1).apply(&self.conv).relu()
    }
}
