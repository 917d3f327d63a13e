//! Hourglass-Pose (Melekhov et al. 2017, arXiv 1703.07971, section 3.1): transposed convolutions bring the last map up
//! to a quarter of the image's resolution again, and the encoder's map of each resolution is added, so that what was
//! seen where is still known when the pose is regressed.
//!
//! The paper flattens the last map for its fully connected layer; here it is averaged to a grid first, which keeps that
//! layer small and lets the input have any size.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path};

/// One step up: twice the resolution, the encoder's map added.
#[derive(Debug)]
struct Up {
    conv: nn::ConvTranspose2D,
    bn: nn::BatchNorm,
}

impl Up {
    fn new(path: &Path, channels_in: i64, channels_out: i64) -> Self {
        let twice = nn::ConvTransposeConfig { stride: 2, padding: 1, bias: false, ..Default::default() };
        Self {
            conv: nn::conv_transpose2d(path / "conv", channels_in, channels_out, 4, twice),
            bn: nn::batch_norm2d(
                path / "bn",
                channels_out,
                nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() },
            ),
        }
    }

    /// `map` at twice its resolution, plus `skip`. Where halving rounded up, the last row or column is left out.
    fn forward(&self, map: &Tensor, skip: &Tensor, train: bool) -> Tensor {
        let (height, width) = (skip.size()[2], skip.size()[3]);
        let up = map.apply(&self.conv).narrow(2, 0, height).narrow(3, 0, width);
        self.bn.forward_t(&up, train).relu() + skip
    }
}

/// The way up.
#[derive(Debug)]
pub(super) struct Hourglass {
    ups: Vec<Up>,
    last: nn::Conv2D,
    cells: [i64; 2],
}

impl Hourglass {
    /// For a ResNet's maps with these channels: behind the stem, then behind each of four stages.
    pub(super) fn new(path: &Path, channels: &[i64], channels_out: i64, cells: [i64; 2]) -> Self {
        let ups = (1..4)
            .rev()
            .zip(1..)
            .map(|(stage, number)| Up::new(&(path / format!("up{number}")), channels[stage + 1], channels[stage]));
        let same = nn::ConvConfig { padding: 1, ..Default::default() };
        Self { ups: ups.collect(), last: nn::conv2d(path / "last", channels[1], channels_out, 3, same), cells }
    }

    /// Maps from the stem to the last, `bchw` each, to `bchw` of the grid.
    pub(super) fn forward(&self, maps: &[Tensor], train: bool) -> Tensor {
        let last = maps.len() - 1;
        let top = maps[last].shallow_clone();
        let skips = maps[..last].iter().rev();
        let map = self.ups.iter().zip(skips).fold(top, |map, (up, skip)| up.forward(&map, skip, train));
        map.apply(&self.last).relu().adaptive_avg_pool2d(self.cells)
    }
}
