//! DGRNets' memory (Lin, Liu, Huang, Wang & Xu 2019, arXiv 1812.07869, as Shavit & Ferens 2019, section 2.1.1, tell it): an
//! LSTM reads the vectors of the frames one after the other, behind the localizer; its state is what the head sees,
//! and what it goes on from at the next frame.
//!
//! No source is public. Here the state is as wide as the first fully connected layer. Training knows pairs of frames, and
//! a run has hundreds: a state that was never carried further than one frame would soon be one that nobody trained. So
//! the first frame of a training pair is read several times, as if the camera had stood there
//! ([`History::standing`]), and the gradient goes back through all steps. The paper also hands the features of the
//! relative stream to the absolute head; here both streams meet in the loss alone.

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
            let mut state = self.start(&vector_bw, history);
            for _ in 0..history.standing {
                state = self.lstm.step(&vector_bw, &state);
            }
            let nn::LSTMState((h, c)) = self.lstm.step(&vector_bw, &state);
            let output = h.squeeze_dim(0);
            (output, Memory::State([h, c]))
        })
    }

    /// The state of the frame before, and nothing where there was none.
    fn start(&self, vector_bw: &Tensor, history: &History) -> nn::LSTMState {
        match (&history.memory, &history.known_b1) {
            (Some(Memory::State([h, c])), Some(known_b1)) => nn::LSTMState((h * known_b1, c * known_b1)),
            _ => self.lstm.zero_state(vector_bw.size()[0]),
        }
    }
}
