//! What stands behind the encoder, and beside it.

use serde::{Deserialize, Serialize};

/// From feature maps to one vector per image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LocalizerConfig {
    /// Global average pooling (PoseNet, MapNet, VLocNet): forgets where in the image something was.
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
    /// LSTM-Pose: a fully connected layer whose output, as a picture, is read by LSTMs in four directions.
    Lstm {
        /// Rows of that picture.
        rows: i64,
        /// Columns of that picture.
        cols: i64,
        /// Width of each LSTM's state.
        units: i64,
    },
    /// Hourglass-Pose: up again to a quarter of the resolution, with the encoder's maps added on the way.
    Hourglass {
        /// Channels of the last map.
        channels: i64,
        /// Cells from top to bottom that it is averaged to.
        rows: i64,
        /// Cells from left to right.
        cols: i64,
    },
    /// MS-Transformer: two transformers read two maps of the encoder, with a query per scene, for position and orientation.
    Transformer {
        /// Their shape.
        shape: TransformerConfig,
    },
    /// No vector at all: each cell of the encoder's maps says which point of the scene it shows, and geometry finds the pose.
    SceneCoordinates {
        /// The layers that say it.
        shape: SceneCoordinatesConfig,
    },
}

/// The layers from the features of a cell to the point that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneCoordinatesConfig {
    /// Numbers per layer.
    pub width: i64,
    /// Residual blocks of three layers each.
    pub blocks: usize,
    /// Cells of an image that are asked when it is localized, evenly spread; 0: all. Fewer cost less and say less.
    pub cells: usize,
    /// Parts of a large place, each with layers of its own; a training sets it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parts: usize,
}

impl SceneCoordinatesConfig {
    /// The most parts of a place: their layers are in memory together.
    pub const MOST_PARTS: usize = 64;
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

/// The transformers of MS-Transformer, and how many scenes they know.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Numbers per token, a multiple of twice the heads.
    pub width: i64,
    /// Heads of each attention.
    pub heads: i64,
    /// Layers of each encoder, and of each decoder.
    pub layers: usize,
    /// Width of the perceptron in each layer.
    pub feedforward: i64,
    /// Probability to drop a number behind each part of a layer, in training.
    pub dropout: f64,
    /// The stage of the encoder whose map the position is read from.
    pub position_stage: usize,
    /// The stage of the encoder whose map the orientation is read from.
    pub orientation_stage: usize,
    /// Scenes, a query each. A training on several datasets sets it.
    #[serde(default = "one")]
    pub scenes: usize,
}

fn one() -> usize {
    1
}

/// What the numbers of the orientation's head are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationOutput {
    /// A quaternion w, x, y, z, normalized (PoseNet, VLocNet).
    #[default]
    Quaternion,
    /// The logarithm of the unit quaternion: axis times half the angle (MapNet).
    LogQuaternion,
    /// Sine and cosine of roll, pitch and yaw (BranchNet).
    Euler6,
}

/// Whether the network also says how the camera moved since the frame before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Odometry {
    /// It knows single frames.
    None,
    /// Both frames pass the same stages, then their features are joined (VLocNet).
    #[default]
    Siamese,
}

/// What the global stream knows of the frame before. Never a pose from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temporal {
    /// Nothing: each frame stands for itself.
    #[default]
    None,
    /// The network's own previous output, or a learned token where there is none (VLocNet).
    #[serde(alias = "own_output")]
    PreviousPose,
    /// The features of the frame before, weighed element by element (VLocNet++).
    PreviousFeatures,
    /// The state of an LSTM behind the localizer, as wide as the first of `hidden` (DGRNets).
    Lstm,
}

/// The semantic stream (VLocNet++): an auxiliary task on the shared stages, whose features the global stream fuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SemanticsConfig {
    /// Channels of its maps.
    pub channels: i64,
    /// The names of the classes of pixels, by the value of a label. Empty: a training takes those of its dataset.
    #[serde(default)]
    pub classes: Vec<String>,
}

/// Where the variance of a prediction comes from, beside the samples of dropout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// The network predicts it for each frame (Kendall & Gal 2017).
    #[default]
    Predicted,
    /// From nowhere: the samples alone say it (Bayesian PoseNet).
    Samples,
}

/// Fixed points of the map that the position is relative to (AnchorNet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorsConfig {
    /// How many; at most as many as training frames.
    pub count: usize,
}

/// Training images that a frame is compared with (NNnet, RelocNet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GalleryConfig {
    /// How many of them: the most alike, whose answers are joined.
    pub neighbours: usize,
    /// The most images in the model folder; evenly spread over the training frames when there are more.
    pub images: usize,
}

/// Parts of the input that the network sees, instead of all of it (PoseNet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropConfig {
    /// Rows of a part.
    pub height: u32,
    /// Columns of a part.
    pub width: u32,
    /// Parts per frame whose poses are averaged, evenly spread; 1: the one in the middle. Training takes one at random.
    pub count: usize,
}
