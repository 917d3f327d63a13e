//! Localizers: the feature maps of an image to one vector, which decides what is kept of where something was seen.

mod hourglass;
mod lstm;

use tch::Tensor;
use tch::nn::{self, ModuleT, Path};

use super::config::{Activation, LocalizerConfig};
use hourglass::Hourglass;
use lstm::FourDirections;

#[derive(Debug)]
enum Kind {
    Average,
    Grid { reduce: nn::Conv2D, cells: [i64; 2] },
    Lstm(Box<FourDirections>),
    Hourglass(Box<Hourglass>),
}

/// Feature maps to a vector.
#[derive(Debug)]
pub(super) struct Localizer {
    kind: Kind,
    activation: Activation,
    width: i64,
}

impl Localizer {
    /// For maps with these channels, of which all but [`LocalizerConfig::Hourglass`] read the last.
    pub(super) fn new(path: &Path, config: LocalizerConfig, channels: &[i64], activation: Activation) -> Self {
        let last = channels[channels.len() - 1];
        let (kind, width) = match config {
            // Transformers are a stream of their own, `scene_stream`, and `scene_coordinates` needs no vector.
            LocalizerConfig::Average
            | LocalizerConfig::Transformer { .. }
            | LocalizerConfig::SceneCoordinates { .. } => (Kind::Average, last),
            LocalizerConfig::Grid { rows, cols, channels } => {
                let reduce = nn::conv2d(path / "reduce", last, channels, 1, Default::default());
                (Kind::Grid { reduce, cells: [rows, cols] }, rows * cols * channels)
            }
            LocalizerConfig::Lstm { rows, cols, units } => {
                let lstm = FourDirections::new(&(path / "lstm"), last, [rows, cols], units);
                (Kind::Lstm(Box::new(lstm)), 4 * units)
            }
            LocalizerConfig::Hourglass { channels: out, rows, cols } => {
                let hourglass = Hourglass::new(&(path / "hourglass"), channels, out, [rows, cols]);
                (Kind::Hourglass(Box::new(hourglass)), rows * cols * out)
            }
        };
        Self { kind, activation, width }
    }

    /// Length of the vector.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// Maps `bchw`, from the stem to the last, to vectors `bw`.
    pub(super) fn forward(&self, maps: &[Tensor], train: bool) -> Tensor {
        let last = &maps[maps.len() - 1];
        let vector = match &self.kind {
            Kind::Average => last.adaptive_avg_pool2d([1, 1]),
            Kind::Grid { reduce, cells } => self.activation.apply(&last.apply(reduce)).adaptive_avg_pool2d(cells),
            Kind::Lstm(lstm) => lstm.forward_t(last, train),
            Kind::Hourglass(hourglass) => hourglass.forward(maps, train),
        };
        vector.flatten(1, -1)
    }
}
