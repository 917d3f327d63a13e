//! Which encoder.

use serde::{Deserialize, Serialize};

/// The nonlinearity of a ResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x): torchvision's networks.
    Relu,
    /// x for x > 0, else exp(x) - 1: VLocNet, also behind the residual sum.
    Elu,
    /// x times the normal distribution's probability of less than x: MS-Transformer.
    Gelu,
}

/// The residual block of a ResNet (He et al. 2016, fig. 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Two 3x3 convolutions (ResNet-18 and 34).
    Basic,
    /// 1x1, 3x3, 1x1 with four times as many channels out (ResNet-50 and deeper).
    Bottleneck,
}

impl Block {
    /// Channels out per unit of width.
    pub fn expansion(self) -> i64 {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

/// A residual network: four stages of blocks behind a 7x7 stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// The kind of block.
    pub block: Block,
    /// Blocks per stage.
    pub depths: [i64; 4],
    /// Width per stage; the stem has the first. ResNet-18, 34 and 50 have 64, 128, 256, 512.
    pub widths: [i64; 4],
    /// The nonlinearity.
    pub activation: Activation,
}

impl ResNetConfig {
    /// ResNet-50.
    pub fn resnet50(activation: Activation) -> Self {
        Self { block: Block::Bottleneck, depths: [3, 4, 6, 3], widths: [64, 128, 256, 512], activation }
    }

    /// Channels behind stage 1 to 4.
    pub fn channels(&self, stage: usize) -> i64 {
        self.widths[stage - 1] * self.block.expansion()
    }
}

/// The convolutional network in front (see [`encoder`](crate::network::encoder)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EncoderConfig {
    /// ResNet: VLocNet, MapNet, Hourglass-Pose.
    Resnet {
        /// Its shape.
        shape: ResNetConfig,
    },
    /// GoogLeNet: PoseNet, LSTM-Pose, BranchNet.
    Googlenet,
    /// VGG16: SVS-Pose.
    Vgg16,
    /// SqueezeNet 1.0.
    Squeezenet,
    /// MobileNetV2.
    MobilenetV2,
    /// EfficientNet-B0: MS-Transformer.
    EfficientnetB0,
}
