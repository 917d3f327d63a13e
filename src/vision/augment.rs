//! Photometric augmentation: light and colour change, no pixel moves, so the pose of the image stays true.
//!
//! Order: gamma, contrast and brightness in one look-up table; saturation and hue in one colour matrix; blur; noise;
//! erasing. Every draw comes from the given generator; a fixed generator gives fixed pixels. Note that on 7-Scenes,
//! whose light does not change, strong colour jitter costs accuracy.

use image::{Rgb, RgbImage, imageops};
use nalgebra::{Matrix3, Vector3};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How strongly images are changed. Zero switches a change off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Added light, up to this part of full scale in either direction.
    pub brightness: f32,
    /// Contrast about middle grey: a factor in `1 - contrast ..= 1 + contrast`.
    pub contrast: f32,
    /// Distance of colours from grey: a factor in `1 - saturation ..= 1 + saturation`.
    pub saturation: f32,
    /// Rotation of colours about the grey axis, up to this angle in degrees in either direction.
    pub hue_degrees: f32,
    /// Exponent of the tone curve: `exp(-gamma) ..= exp(gamma)`.
    pub gamma: f32,
    /// Probability of a Gaussian blur.
    pub blur_probability: f32,
    /// Largest standard deviation of the blur, pixels.
    pub blur_sigma: f32,
    /// Largest standard deviation of the noise, as a part of full scale.
    pub noise: f32,
    /// Probability that a rectangle is replaced by noise (Zhong et al. 2020).
    pub erasing_probability: f32,
    /// Largest area of the rectangle, as a part of the image.
    pub erasing_area: f32,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            brightness: 0.15,
            contrast: 0.2,
            saturation: 0.2,
            hue_degrees: 5.0,
            gamma: 0.2,
            blur_probability: 0.2,
            blur_sigma: 1.0,
            noise: 0.02,
            erasing_probability: 0.2,
            erasing_area: 0.1,
        }
    }
}

impl Augmentation {
    /// No change at all.
    pub fn none() -> Self {
        Self {
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue_degrees: 0.0,
            gamma: 0.0,
            blur_probability: 0.0,
            blur_sigma: 0.0,
            noise: 0.0,
            erasing_probability: 0.0,
            erasing_area: 0.0,
        }
    }

    /// Whether every strength is in its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the first key that is not.
    pub fn check(&self) -> Result<()> {
        let strengths = [
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 1.0),
            ("saturation", self.saturation, 1.0),
            ("hue_degrees", self.hue_degrees, 180.0),
            ("gamma", self.gamma, 2.0),
            ("blur_probability", self.blur_probability, 1.0),
            ("blur_sigma", self.blur_sigma, 20.0),
            ("noise", self.noise, 1.0),
            ("erasing_probability", self.erasing_probability, 1.0),
            ("erasing_area", self.erasing_area, 1.0),
        ];
        match strengths.into_iter().find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            None => Ok(()),
            Some((key, value, most)) => {
                Err(Error::config(format!("augmentation.{key}"), format!("a number in 0..={most}"), value.to_string()))
            }
        }
    }

    /// Changes an image in place. The strengths must have passed [`Augmentation::check`].
    pub fn apply(&self, image: &mut RgbImage, random: &mut impl Rng) {
        if self.brightness > 0.0 || self.contrast > 0.0 || self.gamma > 0.0 {
            let table = self.tone_table(random);
            image.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
        }
        if self.saturation > 0.0 || self.hue_degrees > 0.0 {
            turn_colours(image, &self.colour_matrix(random));
        }
        if self.blur_sigma > 0.0 && random.random::<f32>() < self.blur_probability {
            *image = imageops::blur(image, (self.blur_sigma * random.random::<f32>()).max(0.05));
        }
        if self.noise > 0.0 {
            let sigma = 255.0 * self.noise * random.random::<f32>();
            image.iter_mut().for_each(|value| {
                let draw: f32 = StandardNormal.sample(random);
                *value = (f32::from(*value) + sigma * draw).round() as u8;
            });
        }
        if self.erasing_area > 0.0 && random.random::<f32>() < self.erasing_probability {
            self.erase(image, random);
        }
    }

    fn tone_table(&self, random: &mut impl Rng) -> [u8; 256] {
        let exponent = (self.gamma * signed(random)).exp();
        let contrast = 1.0 + self.contrast * signed(random);
        let brightness = self.brightness * signed(random);
        std::array::from_fn(|value| {
            let tone = (value as f32 / 255.0).powf(exponent);
            (255.0 * ((tone - 0.5) * contrast + 0.5 + brightness)).round() as u8
        })
    }

    /// Saturation after a rotation about the grey axis (Rodrigues' formula); grey stays grey.
    fn colour_matrix(&self, random: &mut impl Rng) -> Matrix3<f32> {
        let (sine, cosine) = (self.hue_degrees * signed(random)).to_radians().sin_cos();
        let saturation = 1.0 + self.saturation * signed(random);
        let grey = Matrix3::from_element(1.0 / 3.0);
        let axis = Vector3::from_element(1.0 / 3f32.sqrt());
        let rotation = Matrix3::identity() * cosine + grey * (1.0 - cosine) + axis.cross_matrix() * sine;
        (Matrix3::identity() * saturation + grey * (1.0 - saturation)) * rotation
    }

    fn erase(&self, image: &mut RgbImage, random: &mut impl Rng) {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let area = self.erasing_area * random.random::<f32>() * width * height;
        let aspect = signed(random).exp();
        let columns = ((area * aspect).sqrt().round() as u32).clamp(1, image.width());
        let rows = ((area / aspect).sqrt().round() as u32).clamp(1, image.height());
        let left = random.random_range(0..=image.width() - columns);
        let top = random.random_range(0..=image.height() - rows);
        for y in top..top + rows {
            for x in left..left + columns {
                image.put_pixel(x, y, Rgb(random.random()));
            }
        }
    }
}

/// Uniform in -1..1.
fn signed(random: &mut impl Rng) -> f32 {
    random.random_range(-1.0..1.0)
}

fn turn_colours(image: &mut RgbImage, matrix: &Matrix3<f32>) {
    for pixel in image.pixels_mut() {
        let colour = matrix * Vector3::from(pixel.0.map(f32::from));
        pixel.0 = [colour.x, colour.y, colour.z].map(|value| value.round() as u8);
    }
}
