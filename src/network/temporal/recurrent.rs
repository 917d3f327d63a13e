//! DGRNets' memory (Lin, Liu, Huang, Wang & Xu 2019, arXiv 1812.07869, as Shavit & Ferens 2019, section 2.1.1, tell it): an
//! LSTM reads the vectors of the frames one after the other, behind the localizer; its state is what the head sees.
//!
//! No source is public. Here the state is as wide as the first fully connected layer. Training knows pairs of frames: the
//! earlier is read from nothing, the later from the state that left, and the gradient goes back through both. So
//! inference does the same: what a frame hands to the next is the state of having read it alone, a window of two that
//! slides. A state that is carried on without end is none that pairs have trained; tried, with an earlier frame that
//! was read up to eight times in training, it lagged behind the camera and was worse than no memory at all. The paper
//! also hands the features of the relative stream to the absolute head; here both streams meet in the loss alone.

use tch::nn::{self, Path, RNN};
use tch::{Kind, Tensor};

use super::{History, Memory};

/// The LSTM.
#[derive(Debug)]
pub(in crate::network) struct Recurrent {
    lstm: nn::LSTM,
    units: i64,
}

impl Recurrent {
    pub(in crate::network) fn new(path: &Path, width: i64, units: i64) -> Self {
        Self { lstm: nn::lstm(&(path / "recurrent"), width, units, Default::default()), units }
    }

    /// Length of what it gives.
    pub(in crate::network) fn width(&self) -> i64 {
        self.units
    }

    /// The vectors `bw` to states `bu`, and the memory for the next frame.
    pub(in crate::network) fn forward(&self, vector_bw: &Tensor, history: &History) -> (Tensor, Memory) {
        // The cell stays in single precision when the rest runs in half.
        let vector_bw = vector_bw.to_kind(Kind::Float);
        tch::autocast(false, || {
            let alone = self.lstm.step(&vector_bw, &self.lstm.zero_state(vector_bw.size()[0]));
            let output = match (&history.memory, &history.known_b1) {
                (Some(Memory::State([h, c])), Some(known_b1)) => {
                    let before = nn::LSTMState((h * known_b1, c * known_b1));
                    self.lstm.step(&vector_bw, &before).h()
                }
                _ => alone.h(),
            };
            let nn::LSTMState((h, c)) = alone;
            (output.squeeze_dim(0), Memory::State([h, c]))
        })
    }
}
