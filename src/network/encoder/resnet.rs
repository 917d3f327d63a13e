//! Residual networks (He et al. 2016), with torchvision's parameter names and its placement of the stride (in the
//! 3x3 convolution of a bottleneck), so that its weights load by name. With ELU they are VLocNet's: every ReLU is
//! replaced, also the one behind the residual sum.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path, SequentialT};

use super::convolution::{Kernel, batch_norm};
use crate::network::config::{Activation, Block, ResNetConfig};

/// One residual block: `activation(residual(x) + shortcut(x))`.
#[derive(Debug)]
struct ResidualBlock {
    /// Convolutions with their normalizations; the activation stands between them, not behind the last.
    residual: Vec<(nn::Conv2D, nn::BatchNorm)>,
    downsample: Option<(nn::Conv2D, nn::BatchNorm)>,
    activation: Activation,
}

impl ResidualBlock {
    fn new(path: &Path, config: &ResNetConfig, channels_in: i64, width: i64, stride: i64) -> Self {
        let channels_out = width * config.block.expansion();
        // (channels in, channels out, kernel size, stride) of each convolution
        let layers = match config.block {
            Block::Basic => vec![(channels_in, width, 3, stride), (width, width, 3, 1)],
            Block::Bottleneck => {
                vec![(channels_in, width, 1, 1), (width, width, 3, stride), (width, channels_out, 1, 1)]
            }
        };
        let residual = layers.into_iter().zip(1..).map(|((from, to, size, stride), index)| {
            let conv = Kernel::new(from, to, size, stride).without_bias(path / format!("conv{index}"));
            (conv, batch_norm(path / format!("bn{index}"), to, 1e-5))
        });
        let residual = residual.collect();
        let downsample = (stride != 1 || channels_in != channels_out).then(|| {
            let path = path / "downsample";
            let conv = Kernel::new(channels_in, channels_out, 1, stride).without_bias(&path / 0);
            (conv, batch_norm(&path / 1, channels_out, 1e-5))
        });
        Self { residual, downsample, activation: config.activation }
    }
}

impl ModuleT for ResidualBlock {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let last = self.residual.len() - 1;
        let mut residual = input.shallow_clone();
        for (index, (conv, bn)) in self.residual.iter().enumerate() {
            residual = bn.forward_t(&residual.apply(conv), train);
            if index != last {
                residual = self.activation.apply(&residual);
            }
        }
        let sum = match &self.downsample {
            Some((conv, bn)) => residual + bn.forward_t(&input.apply(conv), train),
            None => residual + input,
        };
        self.activation.apply(&sum)
    }
}

/// Channels behind the stem and behind each stage of blocks.
pub(super) fn channels(config: &ResNetConfig) -> Vec<i64> {
    std::iter::once(config.widths[0]).chain((1..=4).map(|stage| config.channels(stage))).collect()
}

/// Stage 0: the stem (7x7 convolution, 3x3 max pooling; a quarter of the resolution). Stages 1 to 4: `layer1` to
/// `layer4` (Res2 to Res5 in VLocNet's counting); all but the first halve the resolution.
pub(super) fn stage(path: &Path, config: &ResNetConfig, stage: usize, channels_in: i64) -> SequentialT {
    let activation = config.activation;
    if stage == 0 {
        let stem = config.widths[0];
        return nn::seq_t()
            .add(Kernel::new(channels_in, stem, 7, 2).without_bias(path / "conv1"))
            .add(batch_norm(path / "bn1", stem, 1e-5))
            .add_fn(move |input| activation.apply(input).max_pool2d(3, 2, 1, 1, false));
    }
    let (path, width) = (path / format!("layer{stage}"), config.widths[stage - 1]);
    let block = |layers: SequentialT, index: i64| {
        let (channels_in, stride) = match (index, stage) {
            (0, 1) => (channels_in, 1),
            (0, _) => (channels_in, 2),
            _ => (config.channels(stage), 1),
        };
        layers.add(ResidualBlock::new(&(&path / index), config, channels_in, width, stride))
    };
    (0..config.depths[stage - 1]).fold(nn::seq_t(), block)
}
