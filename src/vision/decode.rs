//! Raw image messages to 8-bit RGB.
//!
//! Nothing in a message is believed: sizes are multiplied with overflow checks, held against a limit and against the
//! bytes that are really there before anything is allocated. The encodings are those of
//! `sensor_msgs/image_encodings.hpp` that camera drivers send; the generic `8UC3` and `8UC4` carry BGR(A), OpenCV's
//! order, as cv_bridge has it.

use image::RgbImage;

use super::bayer::{Pattern, demosaic};
use super::yuv::{Interleaving, from_nv, from_yuv422};
use crate::sensor::Image;
use crate::{Error, Result};

/// The largest image that is decoded, raw or compressed: 64 megapixels. Larger sizes come from broken headers.
pub const MAX_PIXELS: u64 = 64_000_000;
/// The longest side of an image that is decoded: that of the largest jpeg.
pub const MAX_SIDE: u64 = 65_535;

/// How bytes stand for colours.
#[derive(Clone, Copy)]
enum Encoding {
    /// One byte per channel: how many, and the positions of red, green and blue.
    Bytes(usize, [usize; 3]),
    /// Grey in 16 bits; the upper eight are kept.
    Mono16,
    /// A mosaic of colour filters, one byte per pixel.
    Bayer(Pattern),
    /// Two pixels in four bytes.
    Yuv422(Interleaving),
    /// A plane of brightness, and below it one of colour in half the resolution, `u` before `v` or behind it.
    Nv { u_first: bool },
}

/// The raw encodings that [`decode`] takes.
const ENCODINGS: [(&str, Encoding); 20] = [
    ("rgb8", Encoding::Bytes(3, [0, 1, 2])),
    ("bgr8", Encoding::Bytes(3, [2, 1, 0])),
    ("rgba8", Encoding::Bytes(4, [0, 1, 2])),
    ("bgra8", Encoding::Bytes(4, [2, 1, 0])),
    ("mono8", Encoding::Bytes(1, [0, 0, 0])),
    ("mono16", Encoding::Mono16),
    ("bayer_rggb8", Encoding::Bayer(Pattern::Rggb)),
    ("bayer_bggr8", Encoding::Bayer(Pattern::Bggr)),
    ("bayer_gbrg8", Encoding::Bayer(Pattern::Gbrg)),
    ("bayer_grbg8", Encoding::Bayer(Pattern::Grbg)),
    ("yuv422", Encoding::Yuv422(Interleaving::Uyvy)),
    ("uyvy", Encoding::Yuv422(Interleaving::Uyvy)),
    ("yuv422_yuy2", Encoding::Yuv422(Interleaving::Yuyv)),
    ("yuyv", Encoding::Yuv422(Interleaving::Yuyv)),
    ("nv12", Encoding::Nv { u_first: true }),
    ("nv21", Encoding::Nv { u_first: false }),
    ("8UC1", Encoding::Bytes(1, [0, 0, 0])),
    ("8UC3", Encoding::Bytes(3, [2, 1, 0])),
    ("8UC4", Encoding::Bytes(4, [2, 1, 0])),
    ("16UC1", Encoding::Mono16),
];

/// Decodes a raw image. Row padding (`step` larger than a row) is skipped, alpha is dropped, grey is tripled, a mosaic
/// is interpolated bilinearly, and YUV is taken for ITU-R BT.601 in the limited range, as cv_bridge takes it.
///
/// # Errors
/// [`Error::Message`] for an unknown encoding (the known ones are listed), a zero or absurd size, an odd one where colour
/// is shared by two pixels, a `step` shorter than a row, and data that are not `step` bytes for each row.
pub fn decode(image: &Image) -> Result<RgbImage> {
    let encoding = encoding_of(&image.encoding)?;
    check_size(u64::from(image.width), u64::from(image.height))?;
    encoding.check_parity(image)?;
    let (width, height, step) = (image.width as usize, image.height as usize, image.step as usize);
    let bytes = encoding.bytes_per_pixel();
    let row_bytes = width * bytes;
    if step < row_bytes {
        let expected = format!("at least width * bytes of a pixel = {width} * {bytes} = {row_bytes} bytes");
        return Err(Error::message("image step", expected, format!("{step} bytes")));
    }
    let (rows, meaning) = match encoding {
        Encoding::Nv { .. } => (height / 2 * 3, "step * height * 3 / 2"),
        _ => (height, "step * height"),
    };
    let total = u64::from(image.step) * rows as u64;
    if image.data.len() as u64 != total {
        let expected = format!("{meaning} = {total} bytes, with step {step} and height {height}");
        return Err(Error::message("image data", expected, format!("{} bytes", image.data.len())));
    }
    let mut rgb = Vec::with_capacity(width * height * 3);
    let rows: Vec<&[u8]> = image.data.chunks_exact(step).map(|row| &row[..row_bytes]).collect();
    match encoding {
        Encoding::Bytes(channels, colours) => rows.iter().for_each(|row| append_row(&mut rgb, row, channels, colours)),
        Encoding::Mono16 => {
            let upper = usize::from(!image.is_bigendian);
            let greys = rows.iter().flat_map(|row| row.chunks_exact(2)).map(|sample| sample[upper]);
            rgb.extend(greys.flat_map(|grey| [grey; 3]));
        }
        Encoding::Bayer(pattern) => demosaic(&rows, pattern, &mut rgb),
        Encoding::Yuv422(interleaving) => from_yuv422(&rows, interleaving, &mut rgb),
        Encoding::Nv { u_first } => from_nv(&rows, height, u_first, &mut rgb),
    }
    RgbImage::from_raw(image.width, image.height, rgb)
        .ok_or_else(|| Error::compute("decode an image", "the rows do not fill the image"))
}

impl Encoding {
    fn bytes_per_pixel(self) -> usize {
        match self {
            Encoding::Bytes(channels, _) => channels,
            Encoding::Mono16 | Encoding::Yuv422(_) => 2,
            Encoding::Bayer(_) | Encoding::Nv { .. } => 1,
        }
    }

    /// Two pixels in a row share their colour, or four in a square.
    fn check_parity(self, image: &Image) -> Result<()> {
        let (expected, holds) = match self {
            Encoding::Yuv422(_) => ("an even width", image.width.is_multiple_of(2)),
            Encoding::Nv { .. } => {
                ("an even width and height", image.width.is_multiple_of(2) && image.height.is_multiple_of(2))
            }
            Encoding::Bayer(_) => ("at least 2x2 pixels", image.width >= 2 && image.height >= 2),
            _ => return Ok(()),
        };
        if holds {
            return Ok(());
        }
        let found = format!("{}x{}", image.width, image.height);
        Err(Error::message("image size", format!("{expected} for {}", image.encoding), found))
    }
}

fn encoding_of(name: &str) -> Result<Encoding> {
    ENCODINGS.iter().find(|(known, _)| *known == name).map(|(_, encoding)| *encoding).ok_or_else(|| {
        let known = ENCODINGS.map(|(name, _)| name).join(", ");
        Error::message("image encoding", format!("one of {known}"), format!("{name:?}"))
    })
}

pub(super) fn check_size(width: u64, height: u64) -> Result<()> {
    let longest = width.max(height);
    if width > 0 && height > 0 && longest <= MAX_SIDE && width.saturating_mul(height) <= MAX_PIXELS {
        return Ok(());
    }
    let expected = format!("width and height from 1 to {MAX_SIDE} and at most {MAX_PIXELS} pixels");
    Err(Error::message("image size", expected, format!("{width}x{height}")))
}

fn append_row(rgb: &mut Vec<u8>, row: &[u8], channels: usize, [red, green, blue]: [usize; 3]) {
    match (channels, red) {
        (3, 0) => rgb.extend_from_slice(row),
        (3, _) => rgb.extend(row.as_chunks::<3>().0.iter().flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])),
        (1, _) => rgb.extend(row.iter().flat_map(|&grey| [grey; 3])),
        _ => rgb.extend(row.chunks_exact(channels).flat_map(|pixel| [pixel[red], pixel[green], pixel[blue]])),
    }
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
        let cases: [(&str, u32, &[u8], [u8; 3]); 10] = [
            ("rgb8", 3, &[1, 2, 3], [1, 2, 3]),
            ("bgr8", 3, &[1, 2, 3], [3, 2, 1]),
            ("mono8", 1, &[7], [7, 7, 7]),
            ("rgba8", 4, &[1, 2, 3, 9], [1, 2, 3]),
            ("bgra8", 4, &[1, 2, 3, 9], [3, 2, 1]),
            ("8UC1", 1, &[7], [7, 7, 7]),
            ("8UC3", 3, &[1, 2, 3], [3, 2, 1]),
            ("8UC4", 4, &[1, 2, 3, 9], [3, 2, 1]),
            ("mono16", 2, &[9, 7], [7, 7, 7]),
            ("16UC1", 2, &[9, 7], [7, 7, 7]),
        ];
        for (encoding, step, data, expected) in cases {
            assert_eq!(decode(&raw(encoding, 1, 1, step, data)).unwrap().as_raw(), &expected, "{encoding}");
        }
        let big = Image { is_bigendian: true, ..raw("mono16", 1, 1, 2, &[9, 7]) };
        assert_eq!(decode(&big).unwrap().as_raw(), &[9, 9, 9]);
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
            "image step: expected at least width * bytes of a pixel = 2 * 3 = 6 bytes, found 5 bytes"
        );
        assert_eq!(
            text(raw("rgb8", 2, 2, 6, &[0; 11])),
            "image data: expected step * height = 12 bytes, with step 6 and height 2, found 11 bytes"
        );
        assert_eq!(
            text(raw("rgb8", 0, 2, 6, &[0; 12])),
            "image size: expected width and height from 1 to 65535 and at most 64000000 pixels, found 0x2"
        );
        assert!(text(raw("rgb8", u32::MAX, u32::MAX, u32::MAX, &[])).ends_with("found 4294967295x4294967295"));
        assert_eq!(
            text(raw("klingon8", 1, 1, 2, &[0; 2])),
            "image encoding: expected one of rgb8, bgr8, rgba8, bgra8, mono8, mono16, bayer_rggb8, bayer_bggr8, \
             bayer_gbrg8, bayer_grbg8, yuv422, uyvy, yuv422_yuy2, yuyv, nv12, nv21, 8UC1, 8UC3, 8UC4, 16UC1, found \
             \"klingon8\""
        );
        assert_eq!(text(raw("yuv422", 3, 1, 6, &[0; 6])), "image size: expected an even width for yuv422, found 3x1");
        assert_eq!(
            text(raw("nv12", 2, 2, 2, &[0; 4])),
            "image data: expected step * height * 3 / 2 = 6 bytes, with step 2 and height 2, found 4 bytes"
        );
        assert!(text(raw("nv12", 2, 3, 2, &[0; 8])).contains("an even width and height for nv12"));
        assert!(text(raw("bayer_rggb8", 1, 4, 1, &[0; 4])).contains("at least 2x2 pixels"));
    }
}
