//! Raw and compressed image messages to 8-bit RGB.
//!
//! Nothing in a message is believed: sizes are multiplied with overflow checks, held against a limit and against the
//! bytes that are really there before anything is allocated. The encodings are those of
//! `sensor_msgs/image_encodings.hpp`; the generic `8UC3` and `8UC4` carry BGR(A), OpenCV's order, as cv_bridge has it.

use std::io::Cursor;
use std::path::Path;

use image::{ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use crate::sensor::{CompressedImage, Image};
use crate::{Error, Result};

/// The largest image that is decoded: 64 megapixels. Larger sizes come from broken headers.
const MAX_PIXELS: u64 = 64_000_000;

/// How the bytes of one pixel stand for a colour.
#[derive(Clone, Copy)]
struct PixelLayout {
    channels: usize,
    /// Positions of red, green and blue.
    rgb: [usize; 3],
}

/// The raw encodings that [`decode`] takes.
const ENCODINGS: [(&str, PixelLayout); 8] = [
    ("rgb8", PixelLayout { channels: 3, rgb: [0, 1, 2] }),
    ("bgr8", PixelLayout { channels: 3, rgb: [2, 1, 0] }),
    ("mono8", PixelLayout { channels: 1, rgb: [0, 0, 0] }),
    ("rgba8", PixelLayout { channels: 4, rgb: [0, 1, 2] }),
    ("bgra8", PixelLayout { channels: 4, rgb: [2, 1, 0] }),
    ("8UC1", PixelLayout { channels: 1, rgb: [0, 0, 0] }),
    ("8UC3", PixelLayout { channels: 3, rgb: [2, 1, 0] }),
    ("8UC4", PixelLayout { channels: 4, rgb: [2, 1, 0] }),
];

/// Decodes a raw image. Row padding (`step` larger than a row) is skipped, alpha is dropped, grey is tripled.
///
/// # Errors
/// [`Error::Message`] for an unknown encoding (the known ones are listed), a zero or absurd size, a `step` shorter
/// than a row, and data that are not `step * height` bytes.
pub fn decode(image: &Image) -> Result<RgbImage> {
    let layout = layout_of(&image.encoding)?;
    check_size(u64::from(image.width), u64::from(image.height))?;
    let (width, height, step) = (image.width as usize, image.height as usize, image.step as usize);
    let row_bytes = width * layout.channels;
    if step < row_bytes {
        let expected = format!("at least width * channels = {width} * {} = {row_bytes} bytes", layout.channels);
        return Err(Error::message("image step", expected, format!("{step} bytes")));
    }
    let total = u64::from(image.step) * u64::from(image.height);
    if image.data.len() as u64 != total {
        let expected = format!("step * height = {step} * {height} = {total} bytes");
        return Err(Error::message("image data", expected, format!("{} bytes", image.data.len())));
    }
    let mut rgb = Vec::with_capacity(width * height * 3);
    for row in image.data.chunks_exact(step) {
        append_row(&mut rgb, &row[..row_bytes], layout);
    }
    RgbImage::from_raw(image.width, image.height, rgb)
        .ok_or_else(|| Error::compute("decode an image", "the rows do not fill the image"))
}

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

/// The pixels of jpeg or png bytes, or (expected, found).
fn decode_bytes(bytes: &[u8]) -> Result<RgbImage, (String, String)> {
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        _ if bytes.is_empty() => return Err(("jpeg or png data".into(), "no bytes at all".into())),
        _ => return Err(("jpeg or png data".into(), format!("{} bytes of another format", bytes.len()))),
    };
    let name = if format == ImageFormat::Jpeg { "jpeg" } else { "png" };
    let broken = |error: ImageError| (format!("a complete {name} image"), error.to_string());
    let (width, height) = ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().map_err(broken)?;
    check_size(u64::from(width), u64::from(height)).map_err(|error| match error {
        Error::Message { expected, found, .. } => (expected, found),
        other => (format!("a complete {name} image"), other.to_string()),
    })?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        let found = format!("{} bytes without an end-of-image marker: the data are cut", bytes.len());
        return Err(("a complete jpeg image".into(), found));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    Ok(reader.decode().map_err(broken)?.into_rgb8())
}

fn layout_of(encoding: &str) -> Result<PixelLayout> {
    ENCODINGS.iter().find(|(name, _)| *name == encoding).map(|(_, layout)| *layout).ok_or_else(|| {
        let known = ENCODINGS.map(|(name, _)| name).join(", ");
        Error::message("image encoding", format!("one of {known}"), format!("{encoding:?}"))
    })
}

fn check_size(width: u64, height: u64) -> Result<()> {
    if width > 0 && height > 0 && width.saturating_mul(height) <= MAX_PIXELS {
        return Ok(());
    }
    let expected = format!("width and height above zero and at most {MAX_PIXELS} pixels");
    Err(Error::message("image size", expected, format!("{width}x{height}")))
}

fn append_row(rgb: &mut Vec<u8>, row: &[u8], layout: PixelLayout) {
    let [red, green, blue] = layout.rgb;
    match (layout.channels, red) {
        (3, 0) => rgb.extend_from_slice(row),
        (3, _) => rgb.extend(row.as_chunks::<3>().0.iter().flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])),
        (1, _) => rgb.extend(row.iter().flat_map(|&grey| [grey; 3])),
        _ => rgb.extend(row.chunks_exact(layout.channels).flat_map(|pixel| [pixel[red], pixel[green], pixel[blue]])),
    }
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
    use crate::Stamp;

    fn raw(encoding: &str, width: u32, height: u32, step: u32, data: &[u8]) -> Image {
        let (encoding, data) = (encoding.to_owned(), data.to_vec());
        Image {
            stamp: Stamp::default(),
            frame_id: "cam".into(),
            height,
            width,
            encoding,
            step,
            is_bigendian: false,
            data,
        }
    }

    #[test]
    fn each_encoding_gives_its_colours() {
        let cases: [(&str, u32, &[u8], [u8; 3]); 8] = [
            ("rgb8", 3, &[1, 2, 3], [1, 2, 3]),
            ("bgr8", 3, &[1, 2, 3], [3, 2, 1]),
            ("mono8", 1, &[7], [7, 7, 7]),
            ("rgba8", 4, &[1, 2, 3, 9], [1, 2, 3]),
            ("bgra8", 4, &[1, 2, 3, 9], [3, 2, 1]),
            ("8UC1", 1, &[7], [7, 7, 7]),
            ("8UC3", 3, &[1, 2, 3], [3, 2, 1]),
            ("8UC4", 4, &[1, 2, 3, 9], [3, 2, 1]),
        ];
        for (encoding, step, data, expected) in cases {
            assert_eq!(decode(&raw(encoding, 1, 1, step, data)).unwrap().as_raw(), &expected, "{encoding}");
        }
    }

    #[test]
    fn row_padding_is_skipped() {
        let image = decode(&raw("mono8", 2, 2, 3, &[1, 2, 99, 3, 4, 99])).unwrap();
        assert_eq!(image.as_raw(), &[1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn lying_headers_are_refused_with_both_numbers() {
        let text = |image: Image| decode(&image).unwrap_err().to_string();
        assert_eq!(
            text(raw("rgb8", 2, 1, 5, &[0; 5])),
            "image step: expected at least width * channels = 2 * 3 = 6 bytes, found 5 bytes"
        );
        assert_eq!(
            text(raw("rgb8", 2, 2, 6, &[0; 11])),
            "image data: expected step * height = 6 * 2 = 12 bytes, found 11 bytes"
        );
        assert_eq!(
            text(raw("rgb8", 0, 2, 6, &[0; 12])),
            "image size: expected width and height above zero and at most 64000000 pixels, found 0x2"
        );
        assert!(text(raw("rgb8", u32::MAX, u32::MAX, u32::MAX, &[])).ends_with("found 4294967295x4294967295"));
        assert_eq!(
            text(raw("yuv422", 1, 1, 2, &[0; 2])),
            "image encoding: expected one of rgb8, bgr8, mono8, rgba8, bgra8, 8UC1, 8UC3, 8UC4, found \"yuv422\""
        );
    }

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
