//! Whether an image shows anything.

use image::RgbImage;

/// Standard deviation of the brightness over the image, in levels of 256: 25 to 70 for a room, below 3 for a covered
/// lens, a wall of one colour, or an exposure that went black or white. Zero for an image without pixels.
///
/// Brightness is the mean of red, green and blue: what counts is whether something differs, not how bright it looks.
pub fn contrast(image: &RgbImage) -> f64 {
    let brightness = |pixel: &image::Rgb<u8>| pixel.0.iter().map(|value| f64::from(*value)).sum::<f64>() / 3.0;
    let count = image.pixels().len().max(1) as f64;
    let mean = image.pixels().map(brightness).sum::<f64>() / count;
    let square = |pixel| (brightness(pixel) - mean).powi(2);
    (image.pixels().map(square).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_covered_lens_has_none_and_stripes_have_half_their_step() {
        let dark = RgbImage::from_fn(64, 48, |x, y| Rgb([8 + ((x * 7 + y * 13) % 3) as u8; 3]));
        assert!(contrast(&dark) < 1.0, "{}", contrast(&dark));
        let stripes = RgbImage::from_fn(64, 48, |x, _| Rgb([100 + 60 * (x / 8 % 2) as u8; 3]));
        assert!((contrast(&stripes) - 30.0).abs() < 1e-9, "{}", contrast(&stripes));
        assert_eq!(contrast(&RgbImage::new(0, 0)), 0.0);
    }
}
