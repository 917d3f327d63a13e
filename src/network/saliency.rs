//! What a model looks at: how far the pose moves when a pixel changes, and the vector that stands for a frame.
//!
//! Saliency is the norm of the pose's gradient with respect to the colours of a pixel (Simonyan, Vedaldi & Zisserman
//! 2014, section 3), over all outputs and channels: `s(x, y) = |∂pose / ∂colours(x, y)|`. Translation in metres and
//! rotation in radians per level of colour (of 256). Both are of the frame alone: without a frame before, without
//! dropout; of a network that compares frames, relative to the most alike training image; of a network that sees parts of
//! its input, of the part in the middle. The quaternion has unit length, so a rotation by an angle moves it by half of it.

use image::RgbImage;
use tch::{Kind, Tensor};

use super::config::NetworkConfig;
use super::device::guarded;
use super::input::input_tensor;
use super::member::no_gallery;
use super::pose_tensor::numbers;
use super::regressor::PoseRegressor;
use super::temporal::History;
use crate::{Error, Result};

/// How much each pixel of the network's input moves the pose, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Saliency {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Metres per level of colour.
    pub translation: Vec<f64>,
    /// Radians per level of colour.
    pub rotation: Vec<f64>,
}

impl PoseRegressor {
    /// The saliency of a frame. What is remembered of the frame before is neither used nor changed.
    ///
    /// # Errors
    /// [`Error::Message`](crate::Error::Message) for an image of another size than the network's input;
    /// [`Error::Compute`](crate::Error::Compute) when libtorch fails.
    pub fn saliency(&self, pixels: &RgbImage) -> Result<Saliency> {
        let config = &self.card().network;
        if config.scene_coordinates().is_some() {
            let reason = "a pose that is measured from points has no gradient with respect to the image";
            return Err(Error::compute("saliency", reason));
        }
        let input_b3hw = input_tensor(&[pixels], config.input, &config.normalization, self.device())?;
        let std = config.normalization.std.map(|std| (255.0 * std) as f32);
        let maps = guarded("saliency", || -> Result<_> {
            let input_b3hw = input_b3hw.set_requires_grad(true);
            let shared = self.network().shared(&self.seen(&input_b3hw), false);
            let output = match self.gallery() {
                Some(gallery) => gallery.nearest_output(self.network(), &shared)?,
                None => {
                    let (scene, history) = (self.scene_1(), History::none());
                    self.network().absolute_in(&shared, scene.as_ref(), &history, false).ok_or_else(no_gallery)?
                }
            };
            let levels_13hw = Tensor::from_slice(&std).view([1, 3, 1, 1]).to_device(self.device());
            let map = |outputs: &Tensor| numbers(&squared_gradient(outputs, &input_b3hw, &levels_13hw).sqrt());
            Ok((map(&output.pose().translation_b3), map(&output.pose().quaternion_b4)))
        })??;
        let scaled = |map: Vec<f64>, unit: f64| map.into_iter().map(|value| unit * value).collect();
        Ok(Saliency {
            width: pixels.width(),
            height: pixels.height(),
            translation: scaled(maps.0, self.card().map_from_normalized.scale),
            rotation: scaled(maps.1, 2.0),
        })
    }

    /// The vector that stands for a frame: the last deterministic layer before the pose, as long as the first width of
    /// the network's `hidden` (twice that with a branch for the orientation). What is remembered of the frame before is
    /// neither used nor changed.
    ///
    /// # Errors
    /// As [`PoseRegressor::saliency`].
    pub fn embedding(&self, pixels: &RgbImage) -> Result<Vec<f64>> {
        let config = &self.card().network;
        let input_b3hw = input_tensor(&[pixels], config.input, &config.normalization, self.device())?;
        guarded("embedding", || {
            tch::no_grad(|| {
                let shared = self.network().shared(&self.seen(&input_b3hw), false);
                numbers(&self.network().embedding(&shared, &History::none()))
            })
        })
    }

    /// What the network sees of the images.
    fn seen(&self, input_b3hw: &Tensor) -> Tensor {
        let NetworkConfig { crop, input, .. } = &self.card().network;
        crop.as_ref().map_or_else(|| input_b3hw.shallow_clone(), |crop| crop.middle(input_b3hw, *input))
    }
}

/// Sum over outputs `1n` and channels of the squared gradients with respect to colours, `hw`; `levels_13hw` are the
/// levels of colour that a unit of the input stands for.
fn squared_gradient(outputs_1n: &Tensor, input_13hw: &Tensor, levels_13hw: &Tensor) -> Tensor {
    let squares = (0..outputs_1n.size()[1]).map(|index| {
        let gradient = Tensor::run_backward(&[outputs_1n.get(0).get(index)], &[input_13hw], true, false).remove(0);
        (gradient / levels_13hw).square().sum_dim_intlist([0i64, 1].as_slice(), false, Kind::Float)
    });
    squares.reduce(|sum, square| sum + square).unwrap_or_else(|| input_13hw.zeros_like().get(0).get(0))
}
