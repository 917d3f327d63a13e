//! PoseNet's auxiliary heads (Kendall, Grimes & Cipolla 2015, arXiv 1505.07427, after GoogLeNet's classifiers): poses
//! from maps in the middle, in training only, which bring the gradient to the early stages.

use tch::Tensor;
use tch::nn::{self, Path};

use super::config::{Activation, RotationOutput, Variance};
use super::pose_head::{Dropout, HeadShape, PoseHead, PoseOutput};

/// Rows and columns that the map is averaged to, channels behind the 1x1 convolution, and width of the fully connected
/// layer, as in GoogLeNet.
const CELLS: [i64; 2] = [4, 4];
const CHANNELS: i64 = 128;
const HIDDEN: i64 = 1024;
/// Probability to drop one of its units.
const DROPOUT: f64 = 0.7;

/// A head behind a stage in the middle.
#[derive(Debug)]
pub(super) struct AuxiliaryHead {
    stage: usize,
    reduce: nn::Conv2D,
    head: PoseHead,
}

impl AuxiliaryHead {
    /// Behind `stage`, which has `channels` channels.
    pub(super) fn new(path: &Path, stage: usize, channels: i64, rotation: RotationOutput) -> Self {
        let path = path / stage;
        let shape = HeadShape {
            hidden: &[HIDDEN],
            activation: Activation::Relu,
            dropout: DROPOUT,
            rotation,
            anchors: None,
            variance: Variance::Samples,
        };
        let reduce = nn::conv2d(&path / "reduce", channels, CHANNELS, 1, Default::default());
        let pooled = CELLS.iter().product::<i64>() * CHANNELS;
        Self { stage, reduce, head: PoseHead::new(&[(path, pooled)], shape) }
    }

    /// The poses from the maps of all stages.
    pub(super) fn forward(&self, maps: &[Tensor]) -> PoseOutput {
        let pooled = maps[self.stage].adaptive_avg_pool2d(CELLS).apply(&self.reduce).relu().flatten(1, -1);
        self.head.regress(&self.head.embed(&[pooled]), Dropout::Random)
    }
}
