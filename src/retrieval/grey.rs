//! Grey images of floating-point numbers, for gradients.

use image::RgbImage;

/// Luma (ITU-R BT.601) from 0 to 1, row by row.
#[derive(Clone, Debug)]
pub struct Grey {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Grey {
    /// The luma of an image.
    pub fn new(image: &RgbImage) -> Self {
        let luma = |pixel: &image::Rgb<u8>| {
            let [red, green, blue] = pixel.0.map(f32::from);
            (0.299 * red + 0.587 * green + 0.114 * blue) / 255.0
        };
        Self {
            width: image.width() as usize,
            height: image.height() as usize,
            values: image.pixels().map(luma).collect(),
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Convolved with a Gaussian of standard deviation `sigma` pixels, cut at 4 sigma; the image is mirrored at its
    /// border.
    pub fn blurred(&self, sigma: f32) -> Self {
        let radius = (4.0 * sigma).ceil() as isize;
        if radius == 0 || self.values.is_empty() {
            return self.clone();
        }
        let mut kernel: Vec<f32> =
            (-radius..=radius).map(|offset| (-0.5 * (offset as f32 / sigma).powi(2)).exp()).collect();
        let sum: f32 = kernel.iter().sum();
        kernel.iter_mut().for_each(|weight| *weight /= sum);

        let mut across = vec![0.0; self.values.len()];
        for (line, blurred) in self.values.chunks_exact(self.width).zip(across.chunks_exact_mut(self.width)) {
            let padded: Vec<f32> =
                (-radius..self.width as isize + radius).map(|x| line[mirrored(x, self.width)]).collect();
            for (value, window) in blurred.iter_mut().zip(padded.windows(kernel.len())) {
                *value = window.iter().zip(&kernel).map(|(value, weight)| value * weight).sum();
            }
        }
        let mut values = vec![0.0; self.values.len()];
        for (y, blurred) in values.chunks_exact_mut(self.width).enumerate() {
            for (offset, weight) in (-radius..).zip(&kernel) {
                let row = mirrored(y as isize + offset, self.height) * self.width;
                let line = &across[row..row + self.width];
                blurred.iter_mut().zip(line).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        Self { values, ..*self }
    }
}

/// The place in `0..size` that a place outside of it mirrors; the border itself is not repeated.
fn mirrored(place: isize, size: usize) -> usize {
    let period = 2 * (size as isize - 1).max(1);
    let place = place.rem_euclid(period);
    (place.min(period - place) as usize).min(size - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_mirror_does_not_repeat_the_border() {
        let places: Vec<usize> = (-4..8).map(|place| mirrored(place, 4)).collect();
        assert_eq!(places, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(mirrored(-3, 1), 0);
    }

    #[test]
    fn a_point_becomes_a_gaussian_and_the_mean_stays() {
        let point = RgbImage::from_fn(31, 31, |x, y| Rgb([if (x, y) == (15, 15) { 255 } else { 0 }; 3]));
        let blurred = Grey::new(&point).blurred(1.5);
        let at = |x: usize, y: usize| blurred.values()[31 * y + x];
        assert!((blurred.values().iter().sum::<f32>() - 1.0).abs() < 1e-4);
        assert!((at(17, 15) / at(15, 15) - (-0.5 * (2.0_f32 / 1.5).powi(2)).exp()).abs() < 1e-5);
        assert!((at(15, 13) - at(17, 15)).abs() < 1e-7);
    }
}
