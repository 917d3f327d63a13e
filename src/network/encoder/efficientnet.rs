//! EfficientNet-B0 (Tan & Le 2019, arXiv 1905.11946) without its classifier, the encoder of MS-Transformer, with
//! torchvision's parameter names `features.*` and its stochastic depth (Huang et al. 2016): in training, the residual
//! of a row is left out with a probability that grows with depth.
//!
//! A stage ends where the resolution is about to be halved; MS-Transformer reads stages 2 and 3.

use tch::nn::{self, ModuleT, Path, SequentialT};
use tch::{Kind, Tensor};

use super::convolution::{Kernel, Nonlinearity, NormalizedConvolution};

/// Channels behind each stage.
pub(super) const CHANNELS: [i64; 5] = [16, 24, 40, 112, 1280];

/// Probability to leave out a residual, at the end of the network.
const STOCHASTIC_DEPTH: f64 = 0.2;

/// Expansion, kernel size, stride, channels out and repetitions of `features.1` to `features.7` (table 1).
const GROUPS: [(i64, i64, i64, i64, usize); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];

/// Positions in [`GROUPS`] where each stage begins, and where the last ends.
const BOUNDS: [usize; 6] = [0, 1, 2, 3, 5, 7];

/// Weighs each channel by what all of them say on average (Hu et al. 2018, arXiv 1709.01507).
#[derive(Debug)]
struct SqueezeExcitation {
    fc1: nn::Conv2D,
    fc2: nn::Conv2D,
}

impl SqueezeExcitation {
    fn new(path: &Path, channels: i64, squeezed: i64) -> Self {
        let fc1 = nn::conv2d(path / "fc1", channels, squeezed, 1, Default::default());
        Self { fc1, fc2: nn::conv2d(path / "fc2", squeezed, channels, 1, Default::default()) }
    }
}

impl ModuleT for SqueezeExcitation {
    fn forward_t(&self, input: &Tensor, _train: bool) -> Tensor {
        let weights = input.adaptive_avg_pool2d([1, 1]).apply(&self.fc1).silu().apply(&self.fc2).sigmoid();
        input * weights
    }
}

/// Sizes of a block.
struct BlockShape {
    channels_in: i64,
    channels_out: i64,
    expansion: i64,
    size: i64,
    stride: i64,
}

/// Expand, convolve each channel, weigh the channels, project; the input is added where the sizes allow.
#[derive(Debug)]
struct MobileBlock {
    layers: SequentialT,
    adds_input: bool,
    drop_probability: f64,
}

impl MobileBlock {
    fn new(path: &Path, shape: BlockShape, drop_probability: f64) -> Self {
        let BlockShape { channels_in, channels_out, expansion, size, stride } = shape;
        let path = path / "block";
        let hidden = expansion * channels_in;
        let (mut layers, mut index) = (nn::seq_t(), 0);
        if expansion != 1 {
            let kernel = Kernel::new(channels_in, hidden, 1, 1);
            layers = layers.add(NormalizedConvolution::numbered(&(&path / 0), kernel, Nonlinearity::Silu));
            index = 1;
        }
        let (depthwise, project) = (Kernel::depthwise(hidden, size, stride), Kernel::new(hidden, channels_out, 1, 1));
        let layers = layers
            .add(NormalizedConvolution::numbered(&(&path / index), depthwise, Nonlinearity::Silu))
            .add(SqueezeExcitation::new(&(&path / (index + 1)), hidden, (channels_in / 4).max(1)))
            .add(NormalizedConvolution::numbered(&(&path / (index + 2)), project, Nonlinearity::Linear));
        Self { layers, adds_input: stride == 1 && channels_in == channels_out, drop_probability }
    }
}

impl ModuleT for MobileBlock {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let output = self.layers.forward_t(input, train);
        if !self.adds_input {
            return output;
        }
        if !train || self.drop_probability == 0.0 {
            return output + input;
        }
        let keep = 1.0 - self.drop_probability;
        let kept_rows = Tensor::rand([input.size()[0], 1, 1, 1], (Kind::Float, input.device())).lt(keep);
        output * (kept_rows.to_kind(input.kind()) / keep) + input
    }
}

/// Stage 0 to 4 for `channels_in` channels.
pub(super) fn stage(path: &Path, stage: usize, channels_in: i64) -> SequentialT {
    let features = path / "features";
    let blocks: usize = GROUPS.iter().map(|group| group.4).sum();
    let mut number = GROUPS[..BOUNDS[stage]].iter().map(|group| group.4).sum::<usize>();
    let (mut layers, mut channels) = (nn::seq_t(), channels_in);
    if stage == 0 {
        let stem = Kernel::new(channels_in, 32, 3, 2);
        layers = layers.add(NormalizedConvolution::numbered(&(&features / 0), stem, Nonlinearity::Silu));
        channels = 32;
    }
    for (index, group) in GROUPS.iter().enumerate().take(BOUNDS[stage + 1]).skip(BOUNDS[stage]) {
        let (expansion, size, first_stride, channels_out, repetitions) = *group;
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { first_stride } else { 1 };
            let shape = BlockShape { channels_in: channels, channels_out, expansion, size, stride };
            let drop_probability = STOCHASTIC_DEPTH * number as f64 / blocks as f64;
            layers = layers.add(MobileBlock::new(&(&features / (index + 1) / repetition), shape, drop_probability));
            (channels, number) = (channels_out, number + 1);
        }
    }
    match stage {
        4 => {
            let last = Kernel::new(channels, CHANNELS[4], 1, 1);
            layers.add(NormalizedConvolution::numbered(&(&features / 8), last, Nonlinearity::Silu))
        }
        _ => layers,
    }
}
