//! SqueezeNet 1.0 (Iandola et al. 2016, arXiv 1602.07360) without its classifier, with torchvision's parameter names
//! `features.*`. A stage ends in front of each pooling.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path, SequentialT};

/// A fire module: 1x1 squeeze, then 1x1 and 3x3 expansions side by side.
#[derive(Debug)]
struct Fire {
    squeeze: nn::Conv2D,
    expand1x1: nn::Conv2D,
    expand3x3: nn::Conv2D,
}

impl Fire {
    fn new(path: &Path, channels_in: i64, squeeze: i64, expand: i64) -> Self {
        let same = nn::ConvConfig { padding: 1, ..Default::default() };
        Self {
            squeeze: nn::conv2d(path / "squeeze", channels_in, squeeze, 1, Default::default()),
            expand1x1: nn::conv2d(path / "expand1x1", squeeze, expand, 1, Default::default()),
            expand3x3: nn::conv2d(path / "expand3x3", squeeze, expand, 3, same),
        }
    }
}

impl ModuleT for Fire {
    fn forward_t(&self, input: &Tensor, _train: bool) -> Tensor {
        let squeezed = input.apply(&self.squeeze).relu_();
        let expansions = [squeezed.apply(&self.expand1x1).relu_(), squeezed.apply(&self.expand3x3).relu_()];
        Tensor::cat(&expansions, 1)
    }
}

/// Channels behind each stage.
pub(super) const CHANNELS: [i64; 4] = [96, 256, 512, 512];

/// Position in `features`, squeeze and expand width of the fire modules of each stage (table 1 of the paper).
const FIRES: [&[(i64, i64, i64)]; 4] = [
    &[],
    &[(3, 16, 64), (4, 16, 64), (5, 32, 128)],
    &[(7, 32, 128), (8, 48, 192), (9, 48, 192), (10, 64, 256)],
    &[(12, 64, 256)],
];

/// Stage 0 to 3 for `channels_in` channels.
pub(super) fn stage(path: &Path, stage: usize, channels_in: i64) -> SequentialT {
    let features = path / "features";
    if stage == 0 {
        let stem = nn::ConvConfig { stride: 2, ..Default::default() };
        let conv = nn::conv2d(&features / 0, channels_in, CHANNELS[0], 7, stem);
        return nn::seq_t().add(conv).add_fn(|input| input.shallow_clone().relu_());
    }
    let (mut layers, mut channels) = (nn::seq_t().add_fn(|input| input.max_pool2d(3, 2, 0, 1, true)), channels_in);
    for &(index, squeeze, expand) in FIRES[stage] {
        layers = layers.add(Fire::new(&(&features / index), channels, squeeze, expand));
        channels = 2 * expand;
    }
    layers
}
