//! What a network learns from and is judged by: images in memory or, behind a frozen trunk, what it makes of them.

use std::ops::Range;

use tch::{Device, Tensor};

use super::batch::{PixelSource, Source};
use super::config::TrainingConfig;
use super::features::FeatureCache;
use super::pairs::View;
use super::pixels::Pixels;
use crate::Result;
use crate::dataset::{Dataset, Split};
use crate::geometry::Se3;
use crate::network::input::input_tensor;
use crate::network::{NetworkConfig, PoseNetwork};
use crate::progress::Progress;
use crate::sensor::CameraModel;

/// The network that learns, where it computes.
#[derive(Clone, Copy)]
pub(super) struct Learner<'a> {
    pub(super) network: &'a PoseNetwork,
    pub(super) architecture: &'a NetworkConfig,
    pub(super) device: Device,
}

/// Training and validation frames as tensors.
pub(super) struct Material {
    pixels: Pixels,
    architecture: NetworkConfig,
    device: Device,
    validation: Vec<usize>,
    training_features: Option<FeatureCache>,
    validation_features: Option<FeatureCache>,
}

impl Material {
    /// Reads the frames of a split for the `camera` of the network's input, and passes them through a frozen trunk.
    ///
    /// # Errors
    /// Those of [`Pixels::load`], [`Pixels::with_synthetic_views`] and [`FeatureCache::compute`].
    pub(super) fn prepare(
        (dataset, split): (&dyn Dataset, &Split),
        camera: CameraModel,
        learner: Learner,
        (config, seed): (&TrainingConfig, u64),
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self> {
        let used: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
        let pixels = Pixels::load(dataset, &used, camera, config, &progress)?;
        let pixels = match config.synthetic_views {
            Some(views) => pixels.with_synthetic_views(dataset, &split.train, views, config, seed, &progress)?,
            None => pixels,
        };
        let Learner { network, architecture, device } = learner;
        let features = |frames: &[usize], copies: usize| {
            if !config.freeze_trunk || frames.is_empty() {
                return Ok(None);
            }
            let config = TrainingConfig { cached_copies: copies, ..config.clone() };
            let network = (network, architecture, device);
            FeatureCache::compute(&pixels, frames, network, &config, seed, &progress, keep_going).map(Some)
        };
        let validation_features = features(&split.validation, 0)?;
        let training_features = features(&split.train, config.cached_copies)?;
        let validation = split.validation.clone();
        let architecture = architecture.clone();
        Ok(Self { pixels, architecture, device, validation, training_features, validation_features })
    }

    /// The images.
    pub(super) fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// What the network sees of these rows of the validation frames, or their shared features behind a frozen trunk.
    ///
    /// # Errors
    /// [`Error::Message`](crate::Error::Message) for an image of another size than the network's.
    pub(super) fn validation_input(&self, rows: Range<usize>) -> Result<Tensor> {
        self.plain(&self.validation_features, &self.validation[rows])
    }

    /// The same of training frames.
    ///
    /// # Errors
    /// As of [`Material::validation_input`].
    pub(super) fn training_input(&self, frames: &[usize]) -> Result<Tensor> {
        self.plain(&self.training_features, frames)
    }

    fn plain(&self, features: &Option<FeatureCache>, frames: &[usize]) -> Result<Tensor> {
        if let Some(features) = features {
            return Ok(features.plain(frames).to_device(self.device));
        }
        let NetworkConfig { input, normalization, crop, .. } = &self.architecture;
        let images: Vec<_> = frames.iter().map(|&frame| self.pixels.plain(frame).0).collect();
        let images_b3hw = input_tensor(&images, *input, normalization, self.device)?;
        Ok(crop.map_or_else(|| images_b3hw.shallow_clone(), |crop| crop.middle(&images_b3hw, *input)))
    }
}

impl Source for Material {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        match &self.training_features {
            Some(features) => features.views(views),
            None => PixelSource { pixels: &self.pixels, network: &self.architecture }.views(views),
        }
    }
}
