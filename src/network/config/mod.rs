//! What a network looks like: plain data, stored in the model card.

mod check;
mod encoder;
mod parts;
mod preset;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use encoder::{Activation, Block, EncoderConfig, ResNetConfig};
pub use parts::{
    AnchorsConfig, CropConfig, GalleryConfig, LocalizerConfig, Odometry, RotationOutput, SceneCoordinatesConfig,
    SemanticsConfig, Temporal, TransformerConfig, Variance,
};
pub use preset::PRESETS;
pub(crate) use preset::{members, position, texts};

/// Size of the network's input; the camera's aspect ratio should be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

impl FromStr for InputSize {
    type Err = Error;
    /// `WIDTHxHEIGHT`.
    fn from_str(text: &str) -> Result<Self> {
        let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let wrong = || Error::config("input", "WIDTHxHEIGHT, such as 192x144", format!("{text:?}"));
        sides.map(|(width, height)| Self { height, width }).ok_or_else(wrong)
    }
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

/// An architecture, put together from parts: encoder, localizer, regressor, and what lies between frames (Shavit &
/// Ferens 2019, arXiv 1907.05272, fig. 1). `config/models/*.yaml` are the members of the family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The convolutional network in front.
    #[serde(alias = "trunk")]
    pub encoder: EncoderConfig,
    /// Stages of the encoder that all streams share; absent: three of a ResNet (VLocNet), all of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_stages: Option<usize>,
    /// Size of the input.
    pub input: InputSize,
    /// Scaling of the colours.
    #[serde(default)]
    pub normalization: Normalization,
    /// Whether the network sees parts of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<CropConfig>,
    /// How feature maps become a vector.
    #[serde(alias = "pooling")]
    pub localizer: LocalizerConfig,
    /// Widths of the fully connected layers in front of the heads, at least one; VLocNet: 1024. None where the localizer is
    /// `scene_coordinates`, which has no such heads.
    pub hidden: Vec<i64>,
    /// Probability to drop a unit behind each of them, in training and in the samples of the uncertainty.
    pub dropout: f64,
    /// Samples of dropout per frame for the epistemic uncertainty; 0 for none.
    pub dropout_samples: usize,
    /// What the orientation's head gives.
    #[serde(default)]
    pub rotation: RotationOutput,
    /// Whether the position is regressed relative to anchor points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<AnchorsConfig>,
    /// The stage of the encoder from which on orientation has a branch of its own; one more than the last stage: the
    /// fully connected layers only. Absent: one branch for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation_branch: Option<usize>,
    /// Stages of the encoder behind which a small head also predicts the pose, in training only (PoseNet).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auxiliary_heads: Vec<usize>,
    /// Where the variance comes from.
    #[serde(default)]
    pub variance: Variance,
    /// The odometry stream.
    #[serde(default)]
    pub odometry: Odometry,
    /// The semantic stream; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantics: Option<SemanticsConfig>,
    /// Whether the pose is regressed relative to alike training images, by a stream that sees both, instead of absolutely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gallery: Option<GalleryConfig>,
    /// What the global stream knows of the frame before.
    #[serde(default, alias = "previous_pose")]
    pub temporal: Temporal,
}

impl NetworkConfig {
    /// Stages of the encoder that all streams share.
    pub fn shared_stages(&self) -> usize {
        let all = self.encoder.stages();
        let usual = if matches!(self.encoder, EncoderConfig::Resnet { .. }) { 3 } else { all };
        self.shared_stages.unwrap_or(usual)
    }

    /// The shared stages in whose maps frames are compared with reference frames, the finer first: an eighth and a sixteenth of the
    /// resolution, or where streams share less, a quarter and an eighth. `None` for an encoder whose cells are not known.
    pub(crate) fn alignment_stages(&self) -> Option<(usize, usize)> {
        let (fine, coarse) = self.encoder.cell_stages()?;
        match self.shared_stages() {
            shared if shared > coarse => Some((fine, coarse)),
            shared if shared > fine => Some((fine - 1, fine)),
            _ => None,
        }
    }

    /// The stage in front of which the frame before is joined: the last of a stream's own, or behind all.
    pub(super) fn joining_stage(&self) -> usize {
        self.shared_stages().max(self.encoder.stages() - 1)
    }

    /// The same for another size of the input; parts of it keep their share.
    pub fn with_input(self, input: InputSize) -> Self {
        let share = |part: u32, old: u32, new: u32| {
            let scaled = (f64::from(part) * f64::from(new) / f64::from(old.max(1))).round() as u32;
            scaled.min(new)
        };
        let old = self.input;
        let crop = self.crop.map(|crop| CropConfig {
            height: share(crop.height, old.height, input.height),
            width: share(crop.width, old.width, input.width),
            ..crop
        });
        Self { input, crop, ..self }
    }

    /// Size of what the encoder sees.
    pub fn seen(&self) -> InputSize {
        self.crop.map_or(self.input, |CropConfig { height, width, .. }| InputSize { height, width })
    }

    /// Branches of fully connected layers.
    pub(super) fn branches(&self) -> usize {
        1 + usize::from(self.orientation_branch.is_some() || self.transformer().is_some())
    }

    /// The transformers, of a member that knows scenes.
    pub fn transformer(&self) -> Option<&TransformerConfig> {
        match &self.localizer {
            LocalizerConfig::Transformer { shape } => Some(shape),
            _ => None,
        }
    }

    /// The layers of a member that says where the points lie that cells show.
    pub fn scene_coordinates(&self) -> Option<&SceneCoordinatesConfig> {
        match &self.localizer {
            LocalizerConfig::SceneCoordinates { shape } => Some(shape),
            _ => None,
        }
    }

    /// How many scenes a model of it knows.
    pub fn scenes(&self) -> usize {
        self.transformer().map_or(1, |shape| shape.scenes)
    }
}
