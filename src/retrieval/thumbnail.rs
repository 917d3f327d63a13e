//! The image as a grey thumbnail: the descriptor that costs nothing.

use image::RgbImage;

use super::{Descriptor, normalized};
use crate::{Error, Result};

const WIDTH: usize = 20;
const HEIGHT: usize = 15;
/// Below this spread (grey levels of 255) a thumbnail is of one colour.
const FLAT: f32 = 1e-6;

/// Means of luma (ITU-R BT.601) over 20x15 equal cells, row by row, with zero mean and unit norm: 300 numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thumbnail;

impl Descriptor for Thumbnail {
    fn describe(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let (columns, rows) = (image.width() as usize, image.height() as usize);
        if columns < WIDTH || rows < HEIGHT {
            let expected = format!("at least {WIDTH}x{HEIGHT} pixels");
            return Err(Error::message("image for retrieval", expected, format!("{columns}x{rows}")));
        }
        let (mut sums, mut counts) = ([0.0_f64; WIDTH * HEIGHT], [0.0_f64; WIDTH * HEIGHT]);
        for (x, y, pixel) in image.enumerate_pixels() {
            let cell = (y as usize * HEIGHT / rows) * WIDTH + x as usize * WIDTH / columns;
            let [red, green, blue] = pixel.0.map(f64::from);
            sums[cell] += 0.299 * red + 0.587 * green + 0.114 * blue;
            counts[cell] += 1.0;
        }
        let means: Vec<f64> = sums.iter().zip(counts).map(|(sum, count)| sum / count).collect();
        let middle = means.iter().sum::<f64>() / means.len() as f64;
        let centred: Vec<f32> = means.iter().map(|mean| (mean - middle) as f32).collect();
        let is_flat = centred.iter().all(|value| value.abs() < FLAT);
        Ok(if is_flat { vec![0.0; WIDTH * HEIGHT] } else { normalized(centred) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn light_does_not_matter_and_one_colour_is_nothing() {
        let image = RgbImage::from_fn(40, 30, |x, y| Rgb([(6 * x) as u8, (8 * y) as u8, 90]));
        let darker = RgbImage::from_fn(40, 30, |x, y| Rgb(image.get_pixel(x, y).0.map(|value| value / 2)));
        let (bright, dark) = (Thumbnail.describe(&image).unwrap(), Thumbnail.describe(&darker).unwrap());
        let cosine: f32 = bright.iter().zip(&dark).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "{cosine}");
        assert_eq!(Thumbnail.describe(&RgbImage::new(20, 15)).unwrap(), vec![0.0; 300]);
    }

    #[test]
    fn a_smaller_image_is_refused() {
        let text = Thumbnail.describe(&RgbImage::new(19, 15)).unwrap_err().to_string();
        assert_eq!(text, "image for retrieval: expected at least 20x15 pixels, found 19x15");
    }
}
