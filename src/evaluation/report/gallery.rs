//! Photographs in a report: the frames that went wrong, and what the network looks at.

use std::fmt::Write;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};

use super::Section;
use super::csv::quoted;
use super::heat::Heat;
use crate::evaluation::PoseError;
use crate::{Error, Result};

/// Width of a photograph in the page, pixels: enough to recognise a place, small enough for many.
const WIDTH: u32 = 288;
const JPEG_QUALITY: u8 = 72;
/// Letters of base64 (RFC 4648, section 4).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Photographs in rows, with texts.
#[derive(Clone, Debug, Default)]
pub struct Gallery {
    pub(super) name: String,
    pub(super) caption: String,
    pub(super) entries: Vec<Entry>,
    pub(super) csv: String,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub text: String,
    pub photos: Vec<Photo>,
}

#[derive(Clone, Debug)]
pub(super) struct Photo {
    pub label: String,
    pub alt: String,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// A JPEG file.
    pub base64: String,
}

/// A frame with the training image that was taken nearest to it.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// The frame, as its dataset names it.
    pub name: String,
    /// How far its answer is off.
    pub error: PoseError,
    /// Its image.
    pub query: RgbImage,
    /// The training image whose pose is nearest to the true one: its name, its image, and how far it is.
    pub nearest: Option<(String, RgbImage, PoseError)>,
}

/// A frame with how much each pixel moves its answer.
#[derive(Clone, Debug)]
pub struct SaliencyExhibit {
    /// The frame, as its dataset names it.
    pub name: String,
    /// Why this one, for example `the worst answer`.
    pub reason: String,
    /// How far its answer is off.
    pub error: PoseError,
    /// The image as the network sees it.
    pub pixels: RgbImage,
    /// Metres per level of colour.
    pub translation: Heat,
    /// Radians per level of colour.
    pub rotation: Heat,
}

/// The frames that are furthest off, beside what was seen from nearby in training.
///
/// # Errors
/// When an image has no pixels.
pub fn worst_frames(exhibits: &[Exhibit]) -> Result<Section> {
    let mut csv = String::from(
        "name,translation_error_m,rotation_error_deg,nearest_training,nearest_translation_m,nearest_rotation_deg\n",
    );
    let mut entries = Vec::new();
    for (index, exhibit) in exhibits.iter().enumerate() {
        let name = &exhibit.name;
        let mut photos = vec![Photo::new("query", format!("query image {name}"), &exhibit.query)?];
        let mut text = format!("is {} off.", in_words(exhibit.error));
        let _ = write!(csv, "{},{}", quoted(name), in_numbers(exhibit.error));
        match &exhibit.nearest {
            Some((nearest, image, distance)) => {
                photos.push(Photo::new("nearest training image", format!("training image {nearest}"), image)?);
                let _ = write!(text, " Nearest training image: {nearest}, {} away.", in_words(*distance));
                let _ = writeln!(csv, ",{},{}", quoted(nearest), in_numbers(*distance));
            }
            None => csv.push_str(",,,\n"),
        }
        entries.push(Entry { name: format!("{}. {name}", index + 1), text, photos });
    }
    let caption = "Answered frames with the greatest errors (metres plus radians), each beside the training image that \
                   was taken nearest to the true pose. If that image is far away, the place was not taught; if it is \
                   near and looks the same, the network has not learned it; if it looks different, light or objects \
                   have changed.";
    Ok(Section::new("The worst answers").with(Gallery {
        name: "worst_frames".into(),
        caption: caption.into(),
        entries,
        csv,
    }))
}

/// What the network looks at, in a few frames.
///
/// # Errors
/// When an image has no pixels, or a map has another number of values than pixels.
pub fn saliency(exhibits: &[SaliencyExhibit]) -> Result<Section> {
    let mut csv = String::from(
        "name,reason,translation_error_m,rotation_error_deg,translation_m_per_level,rotation_rad_per_level\n",
    );
    let mut entries = Vec::new();
    for exhibit in exhibits {
        let SaliencyExhibit { name, reason, error, pixels, translation, rotation } = exhibit;
        let _ = writeln!(
            csv,
            "{},{},{},{:e},{:e}",
            quoted(name),
            quoted(reason),
            in_numbers(*error),
            translation.greatest(),
            rotation.greatest()
        );
        let photos = vec![
            Photo::new("seen", format!("{name} as the network sees it"), pixels)?,
            Photo::new(
                "moves the position",
                format!("saliency of the position in {name}"),
                &translation.over(pixels)?,
            )?,
            Photo::new("moves the rotation", format!("saliency of the rotation in {name}"), &rotation.over(pixels)?)?,
        ];
        entries.push(Entry { name: format!("{name}, {reason}:"), text: format!("{} off.", in_words(*error)), photos });
    }
    let caption = "How much the position and the rotation move when the colour of a pixel changes (the norm of the \
                   gradient, Simonyan et al. 2014), a little smoothed, each map by its own 99th percentile: from blue \
                   (little) to red (much). A network that localizes looks at edges of what does not move; one that has \
                   learned moving things or reflections will fail when they do.";
    Ok(Section::new("What the network looks at").with(Gallery {
        name: "saliency".into(),
        caption: caption.into(),
        entries,
        csv,
    }))
}

impl Photo {
    pub(super) fn new(label: &str, alt: String, image: &RgbImage) -> Result<Self> {
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::message("image of a report", "pixels", format!("{width}x{height}")));
        }
        let size = (WIDTH, (f64::from(height) * f64::from(WIDTH) / f64::from(width)).round().max(1.0) as u32);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
            .encode_image(&resize(image, size.0, size.1, FilterType::Triangle))
            .map_err(|error| Error::compute("JPEG of a report", error))?;
        Ok(Self { label: label.to_owned(), alt, size, base64: base64(&jpeg) })
    }
}

/// In letters, as a page holds files.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().enumerate().fold(0u32, |bits, (index, byte)| bits | u32::from(*byte) << (16 - 8 * index));
        for letter in 0..4 {
            let value = (bits >> (18 - 6 * letter)) as usize & 63;
            text.push(if letter > three.len() { '=' } else { char::from(BASE64[value]) });
        }
    }
    text
}

pub(super) fn in_words(error: PoseError) -> String {
    format!("{:.2} m and {:.1}°", error.translation, error.rotation.to_degrees())
}

pub(super) fn in_numbers(error: PoseError) -> String {
    format!("{:.6},{:.6}", error.translation, error.rotation.to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648, section 10.
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, expected) in vectors {
            assert_eq!(base64(plain.as_bytes()), expected);
        }
    }

    #[test]
    fn a_photograph_without_pixels_is_refused() {
        assert!(Photo::new("query", String::new(), &RgbImage::new(0, 3)).is_err());
        let photo = Photo::new("query", String::new(), &RgbImage::new(640, 480)).unwrap();
        assert_eq!(photo.size, (288, 216));
        assert!(photo.base64.starts_with("/9j/"), "a JPEG begins with ff d8 ff");
    }
}
