//! Pixels to the tensor that a trunk takes.

use image::RgbImage;
use tch::{Device, Kind, Tensor};

use super::config::{InputSize, Normalization};
use crate::{Error, Result};

/// Images of the size `input` as one tensor `b3hw` of normalized colours on `device`.
///
/// # Errors
/// [`Error::Message`] when an image has another size: it was not preprocessed for this network.
pub fn input_tensor(
    images: &[&RgbImage],
    input: InputSize,
    normalization: &Normalization,
    device: Device,
) -> Result<Tensor> {
    let (width, height) = (input.width, input.height);
    let mut bytes = Vec::with_capacity(images.len() * 3 * width as usize * height as usize);
    for image in images {
        if image.dimensions() != (width, height) {
            let found = format!("{}x{}", image.width(), image.height());
            return Err(Error::message("network input", format!("an image of {width}x{height} pixels"), found));
        }
        bytes.extend_from_slice(image.as_raw());
    }
    let shape = [images.len() as i64, i64::from(height), i64::from(width), 3];
    let pixels_bhw3 = Tensor::from_slice(&bytes).view(shape).to_device(device);
    Ok(normalize(&pixels_bhw3.permute([0, 3, 1, 2]), normalization))
}

/// Colours `b3hw` from 0 to 255 as the network takes them.
pub fn normalize(colours_b3hw: &Tensor, normalization: &Normalization) -> Tensor {
    let device = colours_b3hw.device();
    let channels = |values: [f64; 3]| {
        Tensor::from_slice(&values.map(|value| (255.0 * value) as f32)).view([1, 3, 1, 1]).to_device(device)
    };
    (colours_b3hw.to_kind(Kind::Float) - channels(normalization.mean)) / channels(normalization.std)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_red_green_blue_and_normalized() {
        let image = RgbImage::from_fn(4, 2, |x, y| image::Rgb([255, (10 * x) as u8, (100 * y) as u8]));
        let size = InputSize { height: 2, width: 4 };
        let tensor = input_tensor(&[&image], size, &Normalization::default(), Device::Cpu).unwrap();
        assert_eq!(tensor.size(), [1, 3, 2, 4]);
        let at = |channel, y, x| tensor.double_value(&[0, channel, y, x]);
        assert!((at(0, 1, 2) - (1.0 - 0.485) / 0.229).abs() < 1e-5);
        assert!((at(1, 1, 3) - (30.0 / 255.0 - 0.456) / 0.224).abs() < 1e-5);
        assert!((at(2, 1, 3) - (100.0 / 255.0 - 0.406) / 0.225).abs() < 1e-5);
    }

    #[test]
    fn another_size_is_refused() {
        let size = InputSize { height: 96, width: 128 };
        let error = input_tensor(&[&RgbImage::new(64, 48)], size, &Normalization::default(), Device::Cpu).unwrap_err();
        assert_eq!(error.to_string(), "network input: expected an image of 128x96 pixels, found 64x48");
    }
}
