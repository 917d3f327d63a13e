//! VGG16 (Simonyan & Zisserman 2015, arXiv 1409.1556, configuration D) without its classifier, the encoder of SVS-Pose,
//! with torchvision's parameter names `features.*`. A stage ends behind each of the five poolings.

use tch::nn::{self, Path, SequentialT};

/// Channels behind each stage.
pub(super) const CHANNELS: [i64; 5] = [64, 128, 256, 512, 512];

/// Position in `features` of the first convolution of each stage, and how many there are; two apart, with a rectifier
/// between.
const CONVOLUTIONS: [(usize, usize); 5] = [(0, 2), (5, 2), (10, 3), (17, 3), (24, 3)];

/// Stage 0 to 4 for `channels_in` channels.
pub(super) fn stage(path: &Path, stage: usize, channels_in: i64) -> SequentialT {
    let (first, count) = CONVOLUTIONS[stage];
    let same = nn::ConvConfig {
        padding: 1,
        ws_init: nn::Init::Kaiming {
            dist: nn::init::NormalOrUniform::Normal,
            fan: nn::init::FanInOut::FanOut,
            non_linearity: nn::init::NonLinearity::ReLU,
        },
        ..Default::default()
    };
    let convolution = |layers: SequentialT, index: usize| {
        let channels_in = if index == 0 { channels_in } else { CHANNELS[stage] };
        let path = path / "features" / (first + 2 * index);
        layers.add(nn::conv2d(path, channels_in, CHANNELS[stage], 3, same)).add_fn(|input| input.relu())
    };
    (0..count).fold(nn::seq_t(), convolution).add_fn(|input| input.max_pool2d_default(2))
}
