//! Compressed image messages and image files (jpeg, png) to 8-bit RGB, and depth images (png) to 16-bit grey.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageError, ImageFormat, ImageReader, Limits, Luma, RgbImage};

use super::decode::{MAX_PIXELS, check_size};
use crate::sensor::CompressedImage;
use crate::{Error, Result};

/// Decodes a jpeg or png image; the bytes decide, not the `format` field. 16-bit samples become 8-bit, alpha is
/// dropped, grey is tripled.
///
/// # Errors
/// [`Error::Message`] for any other format (with what the sender called it), cut or broken data, and absurd sizes.
pub fn decode_compressed(image: &CompressedImage) -> Result<RgbImage> {
    decode_bytes(&image.data).map_err(|(expected, found)| {
        Error::message(format!("compressed image (format {:?})", image.format), expected, found)
    })
}

/// Reads and decodes a jpeg or png file, with the checks of [`decode_compressed`].
///
/// # Errors
/// [`Error::Io`] when unreadable, [`Error::Format`] with the file's name when it does not decode.
pub fn decode_file(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    decode_bytes(&bytes).map_err(|(expected, found)| Error::format(path, expected, found))
}

/// Reads and decodes a png file of 16-bit grey, as depth images are; the values are not changed.
///
/// # Errors
/// [`Error::Io`] when unreadable, [`Error::Format`] with the file's name when it is no png, is cut, has an absurd size or
/// other pixels.
pub fn decode_grey16_file(path: &Path) -> Result<ImageBuffer<Luma<u16>, Vec<u16>>> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let image = decode_dynamic(&bytes).map_err(|(expected, found)| Error::format(path, expected, found))?;
    match image {
        DynamicImage::ImageLuma16(grey) => Ok(grey),
        other => Err(Error::format(path, "a png image of one channel of 16 bits", format!("{:?}", other.color()))),
    }
}

/// Reads and decodes a png file of 8-bit grey, as label images are; the values are not changed.
///
/// # Errors
/// As [`decode_grey16_file`].
pub fn decode_grey8_file(path: &Path) -> Result<GrayImage> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let image = decode_dynamic(&bytes).map_err(|(expected, found)| Error::format(path, expected, found))?;
    match image {
        DynamicImage::ImageLuma8(grey) => Ok(grey),
        other => Err(Error::format(path, "a png image of one channel of 8 bits", format!("{:?}", other.color()))),
    }
}

/// Columns and rows of a jpeg or png image, as its header says: to know before it is decoded.
///
/// # Errors
/// As [`decode_compressed`], as far as the header tells.
pub fn compressed_size(image: &CompressedImage) -> Result<(u32, u32)> {
    header(&image.data).map(|(_, size)| size).map_err(|(expected, found)| {
        Error::message(format!("compressed image (format {:?})", image.format), expected, found)
    })
}

/// More pixels than this are in no byte of a jpeg: one colour in blocks of 16 x 16 takes a byte and a half per block.
/// A progressive one can claim them in each of a hundred scans, which takes seconds to decode.
const MOST_PIXELS_PER_BYTE: u64 = 2000;

/// The format and size that jpeg or png bytes claim, or (expected, found).
fn header(bytes: &[u8]) -> Result<(ImageFormat, (u32, u32)), (String, String)> {
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        _ if bytes.is_empty() => return Err(("jpeg or png data".into(), "no bytes at all".into())),
        _ => return Err(("jpeg or png data".into(), format!("{} bytes of another format", bytes.len()))),
    };
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader.into_dimensions().map_err(|error| broken(format, &error))?;
    check_size(u64::from(width), u64::from(height)).map_err(|error| match error {
        Error::Message { expected, found, .. } => (expected, found),
        other => ("a complete image".into(), other.to_string()),
    })?;
    let most = MOST_PIXELS_PER_BYTE.saturating_mul(bytes.len() as u64);
    if format == ImageFormat::Jpeg && u64::from(width) * u64::from(height) > most {
        let found = format!("{width}x{height} in {} bytes", bytes.len());
        return Err((format!("a jpeg image of at most {MOST_PIXELS_PER_BYTE} pixels per byte"), found));
    }
    Ok((format, (width, height)))
}

fn broken(format: ImageFormat, error: &ImageError) -> (String, String) {
    let name = if format == ImageFormat::Jpeg { "jpeg" } else { "png" };
    (format!("a complete {name} image"), error.to_string())
}

/// The pixels of jpeg or png bytes as 8-bit RGB, or (expected, found).
fn decode_bytes(bytes: &[u8]) -> Result<RgbImage, (String, String)> {
    Ok(decode_dynamic(bytes)?.into_rgb8())
}

/// The pixels of jpeg or png bytes as they are stored, or (expected, found).
fn decode_dynamic(bytes: &[u8]) -> Result<DynamicImage, (String, String)> {
    let (format, _) = header(bytes)?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        let found = format!("{} bytes without an end-of-image marker: the data are cut", bytes.len());
        return Err(("a complete jpeg image".into(), found));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    reader.decode().map_err(|error| broken(format, &error))
}

/// Whether the end-of-image marker follows the first scan. Decoders fill what is missing with grey and say nothing.
///
/// Walks the header segments (ITU T.81, B.1.1) so that a thumbnail inside them is not taken for the image; inside a
/// scan a 0xFF byte is always followed by zero or a restart marker, so `FF D9` there is the end.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let mut position = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(position..position + 4) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xFF {
            position += 1;
            continue;
        }
        position += 2 + length;
        if marker == START_OF_SCAN {
            return bytes.get(position..).is_some_and(|scan| scan.windows(2).any(|pair| pair == [0xFF, 0xD9]));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_complete_only_with_its_end() {
        let mut bytes = Vec::new();
        let picture = RgbImage::from_fn(32, 32, |x, y| image::Rgb([8 * x as u8, 8 * y as u8, 128]));
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
        assert!(jpeg_is_complete(&bytes));
        for length in 0..bytes.len() {
            assert!(!jpeg_is_complete(&bytes[..length]), "cut after {length} of {} bytes", bytes.len());
        }
    }
}
