//! Antialiased resizing.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
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
    let mut target = RgbImage::new(width, height);
    // Typed views: views of any pixel type would compile a kernel for each type there is.
    let from = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw());
    let to = TypedImage::<U8x3>::from_buffer(width, height, &mut target);
    let (from, mut to) = (from.map_err(|error| failed(&error))?, to.map_err(|error| failed(&error))?);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&from, &mut to, &options).map_err(|error| failed(&error))?;
    Ok(target)
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
