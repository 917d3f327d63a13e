//! LSTM-Pose (Walch et al. 2017, arXiv 1611.07890, section 3.2): a fully connected layer whose output is seen as a
//! picture and read by four LSTMs, from the left, the right, above and below; their last states are the vector.
//!
//! The paper has a picture of 32 x 64 and does not say how wide the states are; the preset has 256.

use tch::nn::{self, ModuleT, Path, RNN};
use tch::{Kind, Tensor};

/// The layer and its readers.
#[derive(Debug)]
pub(super) struct FourDirections {
    fc: nn::Linear,
    /// A row is a step: downwards and upwards at once.
    down: nn::LSTM,
    up: nn::LSTM,
    /// A column is a step.
    right: nn::LSTM,
    left: nn::LSTM,
    rows: i64,
    cols: i64,
}

impl FourDirections {
    pub(super) fn new(path: &Path, channels: i64, [rows, cols]: [i64; 2], units: i64) -> Self {
        let reader = |name: &str, width| nn::lstm(&(path / name), width, units, Default::default());
        Self {
            fc: nn::linear(path / "fc", channels, rows * cols, Default::default()),
            down: reader("down", cols),
            up: reader("up", cols),
            right: reader("right", rows),
            left: reader("left", rows),
            rows,
            cols,
        }
    }
}

impl ModuleT for FourDirections {
    /// The last map `bchw` to `b(4 units)`.
    fn forward_t(&self, map_bchw: &Tensor, _train: bool) -> Tensor {
        let vector = map_bchw.adaptive_avg_pool2d([1, 1]).flatten(1, -1).apply(&self.fc).relu();
        let rows_first = vector.view([-1, self.rows, self.cols]);
        let cols_first = rows_first.transpose(1, 2).contiguous();
        let last_state = |reader: &nn::LSTM, steps: &Tensor| {
            let (_, state) = reader.seq(&steps.to_kind(Kind::Float));
            state.h().squeeze_dim(0)
        };
        let states = [
            last_state(&self.down, &rows_first),
            last_state(&self.up, &rows_first.flip([1])),
            last_state(&self.right, &cols_first),
            last_state(&self.left, &cols_first.flip([1])),
        ];
        Tensor::cat(&states, 1)
    }
}
