//! A convolution with its batch normalization and nonlinearity, under whatever names an architecture gives them.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path};

/// What follows a normalized convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nonlinearity {
    /// Nothing.
    Linear,
    /// max(0, x).
    Relu,
    /// min(max(0, x), 6).
    Relu6,
    /// x sigmoid(x).
    Silu,
}

impl Nonlinearity {
    fn apply(self, input: Tensor) -> Tensor {
        match self {
            Nonlinearity::Linear => input,
            Nonlinearity::Relu => input.relu(),
            Nonlinearity::Relu6 => input.clamp(0.0, 6.0),
            Nonlinearity::Silu => input.silu(),
        }
    }
}

/// Sizes of a convolution. It keeps the resolution, or divides it by the stride.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) channels_in: i64,
    pub(super) channels_out: i64,
    pub(super) size: i64,
    pub(super) stride: i64,
    pub(super) groups: i64,
}

impl Kernel {
    /// A square convolution over all channels.
    pub(super) fn new(channels_in: i64, channels_out: i64, size: i64, stride: i64) -> Self {
        Self { channels_in, channels_out, size, stride, groups: 1 }
    }

    /// A square convolution of each channel on its own.
    pub(super) fn depthwise(channels: i64, size: i64, stride: i64) -> Self {
        Self { channels_in: channels, channels_out: channels, size, stride, groups: channels }
    }

    /// A convolution without bias, its weights drawn as He et al. (2015) do for rectified units.
    pub(super) fn without_bias(self, path: Path) -> nn::Conv2D {
        let ws_init = nn::Init::Kaiming {
            dist: nn::init::NormalOrUniform::Normal,
            fan: nn::init::FanInOut::FanOut,
            non_linearity: nn::init::NonLinearity::ReLU,
        };
        let Self { stride, groups, .. } = self;
        let config =
            nn::ConvConfig { stride, groups, padding: self.size / 2, bias: false, ws_init, ..Default::default() };
        nn::conv2d(path, self.channels_in, self.channels_out, self.size, config)
    }
}

/// Batch normalization that starts as the identity.
pub(super) fn batch_norm(path: Path, channels: i64, eps: f64) -> nn::BatchNorm {
    nn::batch_norm2d(path, channels, nn::BatchNormConfig { eps, ws_init: nn::Init::Const(1.0), ..Default::default() })
}

/// `nonlinearity(normalize(convolve(x)))`.
#[derive(Debug)]
pub(super) struct NormalizedConvolution {
    conv: nn::Conv2D,
    bn: nn::BatchNorm,
    nonlinearity: Nonlinearity,
}

impl NormalizedConvolution {
    /// The convolution under `conv`, its normalization under `bn`.
    pub(super) fn new((conv, bn): (Path, Path), kernel: Kernel, eps: f64, nonlinearity: Nonlinearity) -> Self {
        let bn = batch_norm(bn, kernel.channels_out, eps);
        Self { conv: kernel.without_bias(conv), bn, nonlinearity }
    }

    /// Under `path.0` and `path.1`, as torchvision's mobile networks have it.
    pub(super) fn numbered(path: &Path, kernel: Kernel, nonlinearity: Nonlinearity) -> Self {
        Self::new((path / 0, path / 1), kernel, 1e-5, nonlinearity)
    }
}

impl ModuleT for NormalizedConvolution {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        self.nonlinearity.apply(self.bn.forward_t(&input.apply(&self.conv), train))
    }
}
