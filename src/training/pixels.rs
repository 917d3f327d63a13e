//! The images of a training in memory, as the network takes them, and their augmentation.

use std::collections::BTreeMap;

use image::RgbImage;
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::{RotationAugmentation, TrainingConfig};
use super::pairs::View;
use super::rotation::rotate_view;
use crate::dataset::Dataset;
use crate::geometry::{Se3, So3};
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::vision::{Augmentation, Preprocessor};
use crate::{Error, Result};

/// Preprocessed images of some frames with their poses, and how to vary them.
pub struct Pixels {
    camera: CameraModel,
    images: BTreeMap<usize, (RgbImage, Se3)>,
    rotation: RotationAugmentation,
    photometric: Augmentation,
}

impl Pixels {
    /// Decodes and preprocesses the images of `frames` for the network's `camera`, on all cores.
    ///
    /// # Errors
    /// Those of the dataset for the first frame that fails; [`Error::Config`] when they exceed `cache_limit`.
    pub fn load(
        dataset: &dyn Dataset,
        frames: &[usize],
        camera: CameraModel,
        config: &TrainingConfig,
        progress: &Progress,
    ) -> Result<Self> {
        let mebibytes = (frames.len() as u64 * 3 * u64::from(camera.width) * u64::from(camera.height)) >> 20;
        if mebibytes > config.cache_limit as u64 {
            let found = format!("{mebibytes} MiB of images; raise it, or give fewer frames");
            return Err(Error::config("cache_limit", format!("at most {} MiB", config.cache_limit), found));
        }
        let preprocessor = Preprocessor::new(dataset.camera(), &camera)?;
        let bar = progress.steps("reading images", frames.len() as u64);
        let load = |&frame: &usize| {
            let image = preprocessor.apply(&dataset.image(frame)?)?;
            bar.advance(1);
            Ok((frame, (image, dataset.frames()[frame].map_from_camera)))
        };
        let images = frames.par_iter().map(load).collect::<Result<_>>()?;
        Ok(Self { camera, images, rotation: config.rotation, photometric: config.photometric.clone() })
    }

    /// The camera of the images.
    pub fn camera(&self) -> &CameraModel {
        &self.camera
    }

    /// A frame as it is, with its `map_from_camera`. The frame must be one of those loaded.
    pub fn plain(&self, frame: usize) -> (&RgbImage, Se3) {
        let (image, pose) = &self.images[&frame];
        (image, *pose)
    }

    /// Frames as they are shown once: turned, then changed in colour, on all cores. The same views give the same bytes.
    pub fn augmented(&self, views: &[View]) -> Vec<(RgbImage, Se3)> {
        views.par_iter().map(|view| self.augment(*view)).collect()
    }

    fn augment(&self, view: View) -> (RgbImage, Se3) {
        let (image, map_from_camera) = self.plain(view.frame);
        let mut generator = ChaCha8Rng::seed_from_u64(view.draw);
        let RotationAugmentation { pitch, yaw, roll } = self.rotation;
        let angles =
            Vector3::from([pitch, yaw, roll].map(|most| most.to_radians() * generator.random_range(-1.0..1.0)));
        let old_from_new = So3::exp(&angles);
        let mut turned = rotate_view(image, &self.camera, old_from_new);
        self.photometric.apply(&mut turned, &mut generator);
        (turned, map_from_camera * Se3::new(old_from_new, Vector3::zeros()))
    }
}
