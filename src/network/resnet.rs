//! Residual networks (He et al. 2016), with torchvision's parameter names and its placement of the stride (in the
//! 3x3 convolution of a bottleneck), so that its weights load by name. With ELU they are VLocNet's: every ReLU is
//! replaced, also the one behind the residual sum.

use tch::nn::{self, ModuleT};
use tch::{Tensor, nn::Path};

use super::config::{Activation, Block, ResNetConfig};

impl Activation {
    /// Applies it element by element.
    pub fn apply(self, input: &Tensor) -> Tensor {
        match self {
            Activation::Relu => input.relu(),
            Activation::Elu => input.elu(),
        }
    }
}

fn conv(path: Path, channels_in: i64, channels_out: i64, size: i64, stride: i64) -> nn::Conv2D {
    let ws_init = nn::Init::Kaiming {
        dist: nn::init::NormalOrUniform::Normal,
        fan: nn::init::FanInOut::FanOut,
        non_linearity: nn::init::NonLinearity::ReLU,
    };
    let config = nn::ConvConfig { stride, padding: size / 2, bias: false, ws_init, ..Default::default() };
    nn::conv2d(path, channels_in, channels_out, size, config)
}

fn batch_norm(path: Path, channels: i64) -> nn::BatchNorm {
    nn::batch_norm2d(path, channels, nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() })
}

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
            (conv(path / format!("conv{index}"), from, to, size, stride), batch_norm(path / format!("bn{index}"), to))
        });
        let residual = residual.collect();
        let downsample = (stride != 1 || channels_in != channels_out).then(|| {
            let path = path / "downsample";
            (conv(&path / 0, channels_in, channels_out, 1, stride), batch_norm(&path / 1, channels_out))
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

/// One stage of blocks (`layer1` to `layer4`; Res2 to Res5 in VLocNet's counting).
#[derive(Debug)]
pub struct Stage {
    blocks: Vec<ResidualBlock>,
}

impl Stage {
    /// Stage 1 to 4 with `channels_in` channels in; all but the first halve the resolution.
    pub fn new(path: &Path, config: &ResNetConfig, stage: usize, channels_in: i64) -> Self {
        let (width, channels) = (config.widths[stage - 1], config.channels(stage));
        let blocks = (0..config.depths[stage - 1]).map(|index| match index {
            0 => ResidualBlock::new(&(path / 0), config, channels_in, width, if stage == 1 { 1 } else { 2 }),
            _ => ResidualBlock::new(&(path / index), config, channels, width, 1),
        });
        Self { blocks: blocks.collect() }
    }
}

impl ModuleT for Stage {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        self.blocks.iter().fold(input.shallow_clone(), |features, block| block.forward_t(&features, train))
    }
}

/// The stem (7x7 convolution, 3x3 max pooling; a quarter of the resolution) and the first stages.
#[derive(Debug)]
pub struct ResNet {
    conv1: nn::Conv2D,
    bn1: nn::BatchNorm,
    activation: Activation,
    stages: Vec<Stage>,
}

impl ResNet {
    /// The stem and the stages 1 to `last_stage` (at most 4), under torchvision's names.
    pub fn new(path: &Path, config: &ResNetConfig, last_stage: usize) -> Self {
        let stem = config.widths[0];
        let stages = (1..=last_stage).map(|stage| {
            let channels_in = if stage == 1 { stem } else { config.channels(stage - 1) };
            Stage::new(&(path / format!("layer{stage}")), config, stage, channels_in)
        });
        let stages = stages.collect();
        let conv1 = conv(path / "conv1", 3, stem, 7, 2);
        Self { conv1, bn1: batch_norm(path / "bn1", stem), activation: config.activation, stages }
    }

    /// The output of the stem and of each stage, in order, for normalized colours `b3hw`.
    pub fn stages(&self, input_b3hw: &Tensor, train: bool) -> Vec<Tensor> {
        let stem = self.activation.apply(&self.bn1.forward_t(&input_b3hw.apply(&self.conv1), train));
        let mut outputs = vec![stem.max_pool2d(3, 2, 1, 1, false)];
        for stage in &self.stages {
            let output = stage.forward_t(&outputs[outputs.len() - 1], train);
            outputs.push(output);
        }
        outputs
    }
}

impl ModuleT for ResNet {
    fn forward_t(&self, input_b3hw: &Tensor, train: bool) -> Tensor {
        let mut outputs = self.stages(input_b3hw, train);
        outputs.swap_remove(outputs.len() - 1)
    }
}
