//! MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) without its classifier, for small computers, with torchvision's
//! parameter names `features.*`. A stage ends where the resolution is about to be halved.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path, SequentialT};

use super::convolution::{Kernel, Nonlinearity, NormalizedConvolution};

/// Channels behind each stage.
pub(super) const CHANNELS: [i64; 5] = [16, 24, 32, 96, 1280];

/// Expansion, channels out and stride of the inverted residuals `features.1` to `features.17` (table 2).
const BLOCKS: [(i64, i64, i64); 17] = [
    (1, 16, 1),
    (6, 24, 2),
    (6, 24, 1),
    (6, 32, 2),
    (6, 32, 1),
    (6, 32, 1),
    (6, 64, 2),
    (6, 64, 1),
    (6, 64, 1),
    (6, 64, 1),
    (6, 96, 1),
    (6, 96, 1),
    (6, 96, 1),
    (6, 160, 2),
    (6, 160, 1),
    (6, 160, 1),
    (6, 320, 1),
];

/// Positions in [`BLOCKS`] where each stage begins, and where the last ends.
const BOUNDS: [usize; 6] = [0, 1, 3, 6, 13, 17];

/// Expand, convolve each channel, project; the input is added where the sizes allow.
#[derive(Debug)]
struct InvertedResidual {
    layers: SequentialT,
    adds_input: bool,
}

impl InvertedResidual {
    fn new(path: &Path, channels_in: i64, (expansion, channels_out, stride): (i64, i64, i64)) -> Self {
        let path = path / "conv";
        let hidden = expansion * channels_in;
        let (mut layers, mut index) = (nn::seq_t(), 0);
        if expansion != 1 {
            let kernel = Kernel::new(channels_in, hidden, 1, 1);
            layers = layers.add(NormalizedConvolution::numbered(&(&path / 0), kernel, Nonlinearity::Relu6));
            index = 1;
        }
        let depthwise = Kernel::depthwise(hidden, 3, stride);
        let project = Kernel::new(hidden, channels_out, 1, 1);
        let names = (&path / (index + 1), &path / (index + 2));
        let layers = layers
            .add(NormalizedConvolution::numbered(&(&path / index), depthwise, Nonlinearity::Relu6))
            .add(NormalizedConvolution::new(names, project, 1e-5, Nonlinearity::Linear));
        Self { layers, adds_input: stride == 1 && channels_in == channels_out }
    }
}

impl ModuleT for InvertedResidual {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let output = self.layers.forward_t(input, train);
        if self.adds_input { output + input } else { output }
    }
}

/// Stage 0 to 4 for `channels_in` channels.
pub(super) fn stage(path: &Path, stage: usize, channels_in: i64) -> SequentialT {
    let features = path / "features";
    let (mut layers, mut channels) = (nn::seq_t(), channels_in);
    if stage == 0 {
        let stem = Kernel::new(channels_in, 32, 3, 2);
        layers = layers.add(NormalizedConvolution::numbered(&(&features / 0), stem, Nonlinearity::Relu6));
        channels = 32;
    }
    for (index, block) in BLOCKS.iter().enumerate().take(BOUNDS[stage + 1]).skip(BOUNDS[stage]) {
        layers = layers.add(InvertedResidual::new(&(&features / (index + 1)), channels, *block));
        channels = block.1;
    }
    match stage {
        4 => {
            let last = Kernel::new(channels, CHANNELS[4], 1, 1);
            layers.add(NormalizedConvolution::numbered(&(&features / 18), last, Nonlinearity::Relu6))
        }
        _ => layers,
    }
}
