//! Antialiased resizing.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use crate::{Error, Result};

/// Resizes to `width` x `height` with a triangle filter as wide as the reduction asks for (PIL's `BILINEAR` with
/// antialiasing). The camera of the result is [`crate::sensor::CameraModel::resized`].
///
/// # Errors
/// [`Error::Message`] when a size is zero.
pub fn resize(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    if image.dimensions() == (width, height) {
        return Ok(image.clone());
    }
    if width == 0 || height == 0 || image.width() == 0 || image.height() == 0 {
        let found = format!("{}x{} to {width}x{height}", image.width(), image.height());
        return Err(Error::message("image resize", "sizes above zero", found));
    }
    let failed = |reason: &dyn ToString| Error::compute("resize an image", reason.to_string());
    let source = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3)
        .map_err(|error| failed(&error))?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
    RgbImage::from_raw(width, height, target.into_vec()).ok_or_else(|| failed(&"the rows do not fill the image"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_fine_checkerboard_becomes_grey_and_not_moire() {
        let board = RgbImage::from_fn(64, 64, |x, y| Rgb([255 * ((x + y) % 2) as u8; 3]));
        let small = resize(&board, 16, 16).unwrap();
        assert!(small.pixels().all(|pixel| (124..=131).contains(&pixel[0])), "{:?}", small.get_pixel(8, 8));
    }

    #[test]
    fn a_zero_size_is_refused() {
        let text = resize(&RgbImage::new(4, 4), 0, 3).unwrap_err().to_string();
        assert_eq!(text, "image resize: expected sizes above zero, found 4x4 to 0x3");
    }
}
