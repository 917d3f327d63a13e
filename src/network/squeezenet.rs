//! SqueezeNet 1.0 (Iandola et al. 2016, arXiv 1602.07360) without its classifier, with torchvision's parameter names
//! `features.*`: a small trunk that can start from ImageNet weights.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path};

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

    fn forward(&self, input: &Tensor) -> Tensor {
        let squeezed = input.apply(&self.squeeze).relu();
        let expansions = [squeezed.apply(&self.expand1x1).relu(), squeezed.apply(&self.expand3x3).relu()];
        Tensor::cat(&expansions, 1)
    }
}

/// The trunk: normalized colours `b3hw` to features `b512hw` at about a sixteenth of the resolution.
#[derive(Debug)]
pub struct SqueezeNet {
    conv: nn::Conv2D,
    fires: Vec<Fire>,
}

/// Position in `features`, channels in, squeeze and expand width of each fire module (table 1 of the paper).
const FIRES: [(i64, i64, i64, i64); 8] = [
    (3, 96, 16, 64),
    (4, 128, 16, 64),
    (5, 128, 32, 128),
    (7, 256, 32, 128),
    (8, 256, 48, 192),
    (9, 384, 48, 192),
    (10, 384, 64, 256),
    (12, 512, 64, 256),
];

impl SqueezeNet {
    /// Channels of the features.
    pub const CHANNELS: i64 = 512;

    /// The trunk with random weights.
    pub fn new(path: &Path) -> Self {
        let features = path / "features";
        let stem = nn::ConvConfig { stride: 2, ..Default::default() };
        let fire =
            |(index, channels_in, squeeze, expand)| Fire::new(&(&features / index), channels_in, squeeze, expand);
        Self { conv: nn::conv2d(&features / 0, 3, 96, 7, stem), fires: FIRES.into_iter().map(fire).collect() }
    }
}

impl ModuleT for SqueezeNet {
    fn forward_t(&self, input_b3hw: &Tensor, _train: bool) -> Tensor {
        let pool = |features: &Tensor| features.max_pool2d(3, 2, 0, 1, true);
        let mut features = pool(&input_b3hw.apply(&self.conv).relu());
        for (fire, (index, ..)) in self.fires.iter().zip(FIRES) {
            // features.6 and features.11 are the other two poolings
            if index == 7 || index == 12 {
                features = pool(&features);
            }
            features = fire.forward(&features);
        }
        features
    }
}
