//! Numbers over the pixels of an image, in colour.

use image::{Rgb, RgbImage};

use crate::evaluation::canvas::scale_colour;
use crate::{Error, Result};

/// Numbers over the pixels of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row by row, 0 or more.
    pub values: Vec<f64>,
}

impl Heat {
    /// The greatest value.
    pub(super) fn greatest(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// In colour over a grey image.
    ///
    /// # Errors
    /// When the image has another size.
    pub(super) fn over(&self, pixels: &RgbImage) -> Result<RgbImage> {
        if (self.width, self.height) != pixels.dimensions() || self.values.len() != pixels.pixels().len() {
            let found = format!("{}x{} with {} values", self.width, self.height, self.values.len());
            return Err(Error::message(
                "saliency map",
                format!("{:?} pixels as its image", pixels.dimensions()),
                found,
            ));
        }
        let smooth = self.smoothed((self.width / 64).max(1) as usize);
        let mut sorted = smooth.clone();
        sorted.sort_by(f64::total_cmp);
        let high = sorted[(sorted.len() - 1) * 99 / 100].max(f64::MIN_POSITIVE);
        let mut shown = pixels.clone();
        for (pixel, value) in shown.pixels_mut().zip(smooth) {
            let share = (value / high).clamp(0.0, 1.0);
            let [red, green, blue] = pixel.0.map(f64::from);
            let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
            let heat = scale_colour(share);
            let weight = 0.25 + 0.6 * share;
            let mix = |heat: u8| (weight * f64::from(heat) + (1.0 - weight) * grey).round() as u8;
            *pixel = Rgb([mix(heat.0), mix(heat.1), mix(heat.2)]);
        }
        Ok(shown)
    }

    /// Means over squares of `2 radius + 1` pixels, twice: nearly a Gaussian.
    fn smoothed(&self, radius: usize) -> Vec<f64> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut values = self.values.clone();
        for _ in 0..2 {
            let columns = means(&values, [height, width], [width, 1], radius);
            values = means(&columns, [width, height], [1, width], radius);
        }
        values
    }
}

/// Running means along lines: `lines` of `length` values, `stride` apart from line to line and from value to value.
fn means(values: &[f64], [lines, length]: [usize; 2], [line_stride, stride]: [usize; 2], radius: usize) -> Vec<f64> {
    let mut smooth = vec![0.0; values.len()];
    for line in 0..lines {
        let at = |place: usize| line * line_stride + place * stride;
        for place in 0..length {
            let window = place.saturating_sub(radius)..(place + radius + 1).min(length);
            let count = window.len() as f64;
            smooth[at(place)] = window.map(|near| values[at(near)]).sum::<f64>() / count;
        }
    }
    smooth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_hottest_where_it_is_greatest() {
        let mut values = vec![0.0; 40 * 30];
        values[15 * 40 + 20] = 3.0;
        let heat = Heat { width: 40, height: 30, values };
        assert!((heat.smoothed(1).iter().sum::<f64>() - 3.0).abs() < 1e-9, "smoothing keeps the sum away from edges");
        let shown = heat.over(&RgbImage::from_pixel(40, 30, Rgb([128; 3]))).unwrap();
        assert!(shown.get_pixel(20, 15).0[0] > 200 && shown.get_pixel(0, 0).0[0] < 128);
        let wrong = heat.over(&RgbImage::new(10, 10)).unwrap_err().to_string();
        assert_eq!(wrong, "saliency map: expected (10, 10) pixels as its image, found 40x30 with 1200 values");
    }
}
