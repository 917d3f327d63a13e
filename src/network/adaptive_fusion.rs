//! VLocNet++'s adaptive weighted fusion of two maps (Radwan, Valada & Burgard 2018, arXiv 1804.08366, section III-A):
//!
//! z = max( W * ((w₁ ⊙ a) ⊕ (w₂ ⊙ b)), 0 )
//!
//! with one learned weight per element of either map, ⊕ the concatenation of channels, and W a 1x1 convolution back to
//! the channels of `a`. The weights start at one; where W starts, the paper does not say: see [`Start`].

use tch::Tensor;
use tch::nn::{self, Path};

/// What the fusion gives before it has learned anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The mean of both maps, which have the same channels.
    Mean,
    /// The first map, with a random part of the second, so that the gradient reaches it.
    First,
}

/// The weights and the convolution.
#[derive(Debug)]
pub(super) struct AdaptiveFusion {
    first_1chw: Tensor,
    second_1dhw: Tensor,
    conv: nn::Conv2D,
}

impl AdaptiveFusion {
    /// For a first map of this size and a second of `second_channels`; the names are those of their weights.
    pub(super) fn new(
        path: &Path,
        [first, second]: [&str; 2],
        [channels, height, width]: [i64; 3],
        second_channels: i64,
        start: Start,
    ) -> Self {
        let weights = |name: &str, channels: i64| path.ones(name, &[1, channels, height, width]);
        let conv = nn::conv2d(path / "conv", channels + second_channels, channels, 1, Default::default());
        let eye = Tensor::eye(channels, (tch::Kind::Float, path.device())).view([channels, channels, 1, 1]);
        tch::no_grad(|| match start {
            Start::Mean => {
                let half = eye * 0.5;
                conv.ws.shallow_clone().copy_(&Tensor::cat(&[&half, &half], 1));
            }
            Start::First => conv.ws.narrow(1, 0, channels).copy_(&eye),
        });
        Self { first_1chw: weights(first, channels), second_1dhw: weights(second, second_channels), conv }
    }

    /// Both maps, `bchw` and `bdhw`, to one, `bchw`.
    pub(super) fn forward(&self, first_bchw: &Tensor, second_bdhw: &Tensor) -> Tensor {
        Tensor::cat(&[first_bchw * &self.first_1chw, second_bdhw * &self.second_1dhw], 1).apply(&self.conv).relu()
    }
}
