//! What a network looks like: plain data, stored in the model card, and the presets.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The nonlinearity of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x): torchvision's networks.
    Relu,
    /// x for x > 0, else exp(x) - 1: VLocNet, also behind the residual sum.
    Elu,
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

/// The convolutional trunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrunkConfig {
    /// VLocNet's: stem, Res2 and Res3 shared by both streams, Res4 and Res5 in each.
    Resnet {
        /// Its shape.
        shape: ResNetConfig,
    },
    /// SqueezeNet 1.0 up to `features.12`, shared as a whole.
    Squeezenet,
}

/// From the last feature map to one vector per image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pooling {
    /// Global average pooling (VLocNet): forgets where in the image something was.
    Average,
    /// A 1x1 convolution to few channels, averaged to a grid and flattened: keeps the geometry.
    Grid {
        /// Cells from top to bottom.
        rows: i64,
        /// Cells from left to right.
        cols: i64,
        /// Channels per cell.
        channels: i64,
    },
}

/// What the global stream knows of the pose before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviousPose {
    /// Nothing: each frame stands for itself.
    #[default]
    None,
    /// The network's own previous output, or a learned token where there is none. Never a pose from elsewhere.
    OwnOutput,
}

/// Size of the network's input; the camera's aspect ratio should be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// Colours in [0, 1] become (value - mean) / std, in the order red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted.
    pub mean: [f64; 3],
    /// Divided by.
    pub std: [f64; 3],
}

impl Default for Normalization {
    /// ImageNet's, as torchvision's weights expect it.
    fn default() -> Self {
        Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }
}

/// The architecture of a VLocNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The convolutional trunk.
    pub trunk: TrunkConfig,
    /// Size of the input.
    pub input: InputSize,
    /// Scaling of the colours.
    #[serde(default)]
    pub normalization: Normalization,
    /// How a feature map becomes a vector.
    pub pooling: Pooling,
    /// Widths of the fully connected layers in front of the heads, at least one; VLocNet: 1024.
    pub hidden: Vec<i64>,
    /// Probability to drop a unit behind each of them, in training and in the samples of the uncertainty.
    pub dropout: f64,
    /// Samples of dropout per frame for the epistemic uncertainty; 0 for none.
    pub dropout_samples: usize,
    /// Fusion of the previous pose.
    #[serde(default)]
    pub previous_pose: PreviousPose,
}

/// Names that [`NetworkConfig::preset`] knows.
pub const PRESETS: [&str; 3] = ["vlocnet", "vlocnet-small", "vlocnet-squeezenet"];

impl NetworkConfig {
    /// An architecture by name.
    ///
    /// | name | trunk | input (height x width) |
    /// |---|---|---|
    /// | `vlocnet` | ResNet-50 with ELU, as the paper has it | 224 x 224 |
    /// | `vlocnet-small` | narrow ResNet-18 with ELU, for a CPU | 96 x 128 |
    /// | `vlocnet-squeezenet` | SqueezeNet 1.0, starts from ImageNet weights | 144 x 192 |
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name, with the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let grid = |rows, cols, channels| Pooling::Grid { rows, cols, channels };
        let narrow = ResNetConfig {
            block: Block::Basic,
            depths: [2, 2, 2, 2],
            widths: [16, 32, 64, 128],
            activation: Activation::Elu,
        };
        let resnet = |shape| TrunkConfig::Resnet { shape };
        let (trunk, [height, width], pooling, hidden, dropout) = match name {
            "vlocnet" => (resnet(ResNetConfig::resnet50(Activation::Elu)), [224, 224], Pooling::Average, 1024, 0.2),
            "vlocnet-small" => (resnet(narrow), [96, 128], grid(3, 4, 32), 256, 0.2),
            "vlocnet-squeezenet" => (TrunkConfig::Squeezenet, [144, 192], grid(8, 11, 64), 512, 0.5),
            _ => return Err(Error::config("preset", format!("one of {}", PRESETS.join(", ")), format!("{name:?}"))),
        };
        Ok(Self {
            trunk,
            input: InputSize { height, width },
            normalization: Normalization::default(),
            pooling,
            hidden: vec![hidden],
            dropout,
            dropout_samples: 16,
            previous_pose: PreviousPose::None,
        })
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the range and the value.
    pub fn check(&self) -> Result<()> {
        let sizes = |key: &str, values: &[i64], max: i64| match values.iter().find(|value| !(1..=max).contains(value)) {
            Some(value) => Err(Error::config(key, format!("1 to {max}"), value.to_string())),
            None => Ok(()),
        };
        sizes("network.input", &[i64::from(self.input.height), i64::from(self.input.width)], 4096)?;
        if self.input.height.min(self.input.width) < 32 {
            let found = format!("{}x{}", self.input.height, self.input.width);
            return Err(Error::config("network.input", "at least 32 rows and columns", found));
        }
        if let TrunkConfig::Resnet { shape } = &self.trunk {
            sizes("network.trunk.shape.depths", &shape.depths, 64)?;
            sizes("network.trunk.shape.widths", &shape.widths, 4096)?;
        }
        if let Pooling::Grid { rows, cols, channels } = self.pooling {
            sizes("network.pooling", &[rows, cols, channels], 1024)?;
        }
        sizes("network.hidden", &self.hidden, 65_536)?;
        if self.hidden.is_empty() {
            return Err(Error::config("network.hidden", "at least one width", "none"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config("network.dropout", "0 <= dropout < 1", self.dropout.to_string()));
        }
        if self.dropout_samples > 1024 {
            return Err(Error::config("network.dropout_samples", "0 to 1024", self.dropout_samples.to_string()));
        }
        let Normalization { mean, std } = &self.normalization;
        if !mean.iter().all(|value| value.is_finite()) || !std.iter().all(|value| value.is_finite() && *value > 0.0) {
            return Err(Error::config(
                "network.normalization",
                "finite means, positive std",
                format!("{mean:?} {std:?}"),
            ));
        }
        Ok(())
    }

    /// Channels, rows and columns of the feature map that enters the last stage (ResNet: behind Res4) or the
    /// localizer (SqueezeNet): where the previous pose is joined.
    pub(super) fn fusion_size(&self) -> [i64; 3] {
        let (height, width) = (i64::from(self.input.height), i64::from(self.input.width));
        match &self.trunk {
            TrunkConfig::Resnet { shape } => [shape.channels(3), (height + 15) / 16, (width + 15) / 16],
            TrunkConfig::Squeezenet => {
                let side = |size: i64| (0..3).fold((size - 7) / 2 + 1, |size, _| (size - 2) / 2 + 1);
                [512, side(height), side(width)]
            }
        }
    }
}
