//! VLocNet's fusion of the previous pose (Valada, Radwan & Burgard 2018, arXiv 1803.03642, section III-A): a fully
//! connected layer 7 -> C·H·W, ELU, concatenation. Where there is no previous pose, a learned token stands for it.

use tch::Tensor;
use tch::nn::{self, Path};

use super::History;

/// The layer and the token.
#[derive(Debug)]
pub(in crate::network) struct PreviousPose {
    fc: nn::Linear,
    no_history: Tensor,
    size_chw: [i64; 3],
}

impl PreviousPose {
    pub(super) fn new(path: &Path, size_chw: [i64; 3]) -> Self {
        let fc = nn::linear(path / "fc", 7, size_chw.iter().product(), Default::default());
        Self { fc, no_history: path.randn("no_history", &[1, 7], 0.0, 0.1), size_chw }
    }

    pub(super) fn forward(&self, features_bchw: &Tensor, history: &History) -> Tensor {
        let rows = features_bchw.size()[0];
        let pose_b7 = match (&history.pose_b7, &history.known_b1) {
            (Some(pose_b7), Some(known_b1)) => pose_b7 * known_b1 + &self.no_history * (1.0 - known_b1),
            _ => self.no_history.expand([rows, 7], false),
        };
        let [channels, height, width] = self.size_chw;
        let map = pose_b7.apply(&self.fc).elu().view([rows, channels, height, width]);
        Tensor::cat(&[features_bchw, &map], 1)
    }
}
