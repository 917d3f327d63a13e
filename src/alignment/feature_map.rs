//! Features of an image as the alignment reads them: between cells, with their gradients.

use nalgebra::{Matrix2, Vector2};

use crate::{Error, Result};

/// A map of features over an image, read bilinearly between the centres of its cells.
#[derive(Clone, Debug)]
pub struct FeatureMap {
    /// Row by row, the channels of a cell together.
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    channels: usize,
    stride: f64,
    first: f64,
}

/// What differs between the map at a pixel and a descriptor: r = F - f, with G = ∂F/∂pixel.
pub(super) struct Comparison {
    /// |r|².
    pub squared: f64,
    /// Gᵀ r, per pixel.
    pub gradient: Vector2<f64>,
    /// Gᵀ G, per pixel².
    pub curvature: Matrix2<f64>,
}

/// The cells around a pixel, those above it first, and how far it lies between them.
struct Corners<'a> {
    cells: [&'a [f32]; 4],
    right: f32,
    down: f32,
}

impl FeatureMap {
    /// A map of `[rows, columns]` cells from their channels `hwc`; cells are `stride` pixels apart, the centre of the first is
    /// at `first` along both axes.
    ///
    /// # Errors
    /// [`Error::Compute`] for fewer than 2x2 cells, another number of values, no positive stride, or a number that is not finite.
    pub fn new(values: Vec<f32>, [rows, columns]: [usize; 2], (stride, first): (f64, f64)) -> Result<Self> {
        let fail = |reason: String| Err(Error::compute("a map of features", reason));
        let channels = values.len() / (rows * columns).max(1);
        if rows < 2 || columns < 2 || channels == 0 || channels * rows * columns != values.len() {
            return fail(format!(
                "expected channels of at least 2x2 cells, found {} of {rows}x{columns}",
                values.len()
            ));
        }
        if !(stride.is_finite() && stride > 0.0 && first.is_finite()) {
            return fail(format!("expected cells a positive number of pixels apart, found {stride} from {first}"));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return fail("expected finite numbers, found NaN or infinity".to_owned());
        }
        Ok(Self { values, rows, columns, channels, stride, first })
    }

    /// Numbers per cell.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Pixels from cell to cell.
    pub fn stride(&self) -> f64 {
        self.stride
    }

    /// Rows and columns of cells.
    pub fn size(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The cells, row by row: where the centre of each lies (column, row), pixels, and its features.
    pub fn cells(&self) -> impl Iterator<Item = (Vector2<f64>, &[f32])> {
        self.values.chunks_exact(self.channels).enumerate().map(|(cell, features)| {
            let place = Vector2::new((cell % self.columns) as f64, (cell / self.columns) as f64);
            (place.map(|at| self.first + self.stride * at), features)
        })
    }

    /// The features at a pixel (column, row); `None` beyond the centres of the outermost cells.
    pub fn read(&self, pixel: &Vector2<f64>) -> Option<Vec<f32>> {
        let Corners { cells: [a, b, c, d], right, down } = self.corners(pixel)?;
        let at = |channel: usize| {
            let (above, below) = (mix(a[channel], b[channel], right), mix(c[channel], d[channel], right));
            mix(above, below, down)
        };
        Some((0..self.channels).map(at).collect())
    }

    /// Compares the features at a pixel with a descriptor; `None` where there are none.
    pub(super) fn compare(&self, pixel: &Vector2<f64>, descriptor: &[f32]) -> Option<Comparison> {
        let Corners { cells: [a, b, c, d], right, down } = self.corners(pixel)?;
        let (mut squared, mut gx, mut gy, mut xx, mut xy, mut yy) = (0f32, 0f32, 0f32, 0f32, 0f32, 0f32);
        for ((((a, b), c), d), f) in a.iter().zip(b).zip(c).zip(d).zip(descriptor) {
            let (above, below) = (mix(*a, *b, right), mix(*c, *d, right));
            let (x, y) = (mix(b - a, d - c, down), below - above);
            let r = mix(above, below, down) - f;
            squared += r * r;
            (gx, gy) = (gx + x * r, gy + y * r);
            (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        }
        let per_pixel = 1.0 / self.stride;
        Some(Comparison {
            squared: f64::from(squared),
            gradient: Vector2::new(gx, gy).map(f64::from) * per_pixel,
            curvature: Matrix2::new(xx, xy, xy, yy).map(f64::from) * (per_pixel * per_pixel),
        })
    }

    fn corners(&self, pixel: &Vector2<f64>) -> Option<Corners<'_>> {
        let place = pixel.map(|at| (at - self.first) / self.stride);
        let inside = |at: f64, cells: usize| at >= 0.0 && at <= (cells - 1) as f64;
        if !(inside(place.x, self.columns) && inside(place.y, self.rows)) {
            return None;
        }
        // On the last centre itself the cell before it and all of the way to it.
        let (column, row) = ((place.x as usize).min(self.columns - 2), (place.y as usize).min(self.rows - 2));
        let cell = |down: usize, right: usize| {
            let start = ((row + down) * self.columns + column + right) * self.channels;
            &self.values[start..start + self.channels]
        };
        let (right, down) = ((place.x - column as f64) as f32, (place.y - row as f64) as f32);
        Some(Corners { cells: [cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)], right, down })
    }
}

fn mix(one: f32, other: f32, share: f32) -> f32 {
    one + (other - one) * share
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Two channels, the pixel's column and ten times its row, as cells see them.
    fn ramp() -> FeatureMap {
        let values = (0..12).flat_map(|cell| [(9 + 8 * (cell % 4)) as f32, (90 + 80 * (cell / 4)) as f32]);
        FeatureMap::new(values.collect(), [3, 4], (8.0, 9.0)).unwrap()
    }

    #[test]
    fn a_ramp_is_read_at_pixels_and_not_beyond_its_cells() {
        for (x, y) in [(9.0, 9.0), (20.0, 11.0), (33.0, 25.0)] {
            assert_eq!(ramp().read(&Vector2::new(x, y)).unwrap(), [x as f32, 10.0 * y as f32]);
        }
        for (x, y) in [(8.9, 12.0), (33.1, 12.0), (12.0, 25.1), (12.0, -300.0), (f64::NAN, 12.0), (12.0, f64::INFINITY)]
        {
            assert_eq!(ramp().read(&Vector2::new(x, y)), None, "{x} {y}");
        }
    }

    #[test]
    fn a_comparison_has_the_gradients_of_the_ramp() {
        let Comparison { squared, gradient, curvature } =
            ramp().compare(&Vector2::new(20.0, 11.0), &[17.0, 114.0]).unwrap();
        assert_eq!((squared, gradient), (25.0, Vector2::new(3.0, -40.0)));
        assert_eq!(curvature, Matrix2::new(1.0, 0.0, 0.0, 100.0));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let error = |values: Vec<f32>, size, grid| FeatureMap::new(values, size, grid).unwrap_err().to_string();
        let few = error(vec![0.0; 8], [1, 4], (8.0, 0.0));
        assert_eq!(few, "a map of features: expected channels of at least 2x2 cells, found 8 of 1x4");
        assert!(error(vec![0.0; 9], [2, 4], (8.0, 0.0)).contains("found 9 of 2x4"));
        assert!(error(vec![0.0; 8], [2, 4], (0.0, 0.0)).contains("a positive number of pixels apart, found 0 from 0"));
        assert!(error(vec![f32::NAN; 8], [2, 4], (8.0, 0.0)).ends_with("found NaN or infinity"));
    }
}
