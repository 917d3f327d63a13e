//! Where the cells of an encoder's maps lie in the image: what a convolution says of its output's centre.
//!
//! An output `i` of a convolution or pooling with kernel k, stride s and padding p is centred at the input `s i + (k - 1) / 2 - p`.
//! Stride and the centre of the first cell follow by composition, whatever the size of the image.

use std::ops::Range;

use nalgebra::Vector2;

use super::super::config::EncoderConfig;

/// The cells of a map in pixels of the encoder's input, of which integer coordinates are centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellGrid {
    /// Pixels from cell to cell.
    pub stride: f64,
    /// The centre of the first cell, along rows and columns alike.
    pub first: f64,
}

impl CellGrid {
    /// The grid of the input's pixels themselves.
    const PIXELS: Self = Self { stride: 1.0, first: 0.0 };

    /// The grid behind a convolution or pooling of this grid.
    fn behind(self, kernel: u32, stride: u32, padding: u32) -> Self {
        let shift = 0.5 * (f64::from(kernel) - 1.0) - f64::from(padding);
        Self { stride: self.stride * f64::from(stride), first: self.first + self.stride * shift }
    }

    /// The centre of a cell, column and row of the input's pixels.
    pub fn centre(&self, column: i64, row: i64) -> Vector2<f64> {
        Vector2::new(column as f64, row as f64) * self.stride + Vector2::repeat(self.first)
    }

    /// Where the cell `index` of this grid lies in another one, in cells of that.
    pub fn index_in(&self, other: &Self, index: i64) -> f64 {
        (self.first + self.stride * index as f64 - other.first) / other.stride
    }
}

impl EncoderConfig {
    /// The stages whose maps have an eighth and a sixteenth of the resolution; `None` for an encoder whose cells are not known.
    pub fn cell_stages(&self) -> Option<(usize, usize)> {
        match self {
            EncoderConfig::Squeezenet => Some((2, 3)),
            EncoderConfig::Resnet { .. } => Some((2, 3)),
            _ => None,
        }
    }

    /// The cells of a stage of those.
    pub(in super::super) fn cells(&self, stage: usize) -> Option<CellGrid> {
        let pooled = |grid: CellGrid, stages: Range<usize>| stages.fold(grid, |grid, _| grid.behind(3, 2, 0));
        let halved = |grid: CellGrid, stages: Range<usize>| stages.fold(grid, |grid, _| grid.behind(3, 2, 1));
        match self {
            // A 7x7 convolution without padding, then poolings.
            EncoderConfig::Squeezenet => Some(pooled(CellGrid::PIXELS.behind(7, 2, 0), 0..stage)),
            // The stem halves twice; stage 1 keeps the size.
            EncoderConfig::Resnet { .. } => {
                let stem = CellGrid::PIXELS.behind(7, 2, 3).behind(3, 2, 1);
                Some(halved(stem, 1..stage.max(1)))
            }
            _ => None,
        }
    }
}
