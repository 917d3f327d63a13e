//! The images of a training in memory, as the network takes them, and their augmentation.

use std::collections::BTreeMap;

use image::RgbImage;
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::{RotationAugmentation, TrainingConfig};
use super::pairs::{View, mix};
use super::rotation::rotate_view;
use super::scene_points::without_depth;
use super::synthetic_views::{SyntheticViews, synthesize_view};
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
    /// The same from places nearby, for some frames.
    synthetic: BTreeMap<usize, Vec<(RgbImage, Se3)>>,
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
        check_memory(frames.len(), (camera.width, camera.height), config)?;
        let preprocessor = Preprocessor::new(dataset.camera(), &camera)?;
        let bar = progress.steps("reading images", frames.len() as u64);
        let load = |&frame: &usize| {
            let image = preprocessor.apply(&dataset.image(frame)?)?;
            bar.advance(1);
            Ok((frame, (image, dataset.frames()[frame].map_from_camera)))
        };
        let images = frames.par_iter().map(load).collect::<Result<_>>()?;
        let synthetic = BTreeMap::new();
        Ok(Self { camera, images, synthetic, rotation: config.rotation, photometric: config.photometric.clone() })
    }

    /// The same with synthetic views of `frames`, on all cores. A frame whose depth image has no reading has none. The same seed
    /// gives the same views.
    ///
    /// # Errors
    /// Those of the dataset; [`Error::Config`] for a frame without a depth image, and when images exceed `cache_limit`.
    pub fn with_synthetic_views(
        mut self,
        dataset: &dyn Dataset,
        frames: &[usize],
        views: SyntheticViews,
        config: &TrainingConfig,
        seed: u64,
        progress: &Progress,
    ) -> Result<Self> {
        let images = self.images.len() + views.copies * frames.len();
        check_memory(images, (self.camera.width, self.camera.height), config)?;
        let bar = progress.steps("rendering synthetic views", frames.len() as u64);
        let render = |&frame: &usize| {
            let (image, map_from_old) = self.plain(frame);
            let without = || without_depth("synthetic_views", dataset, frame);
            let depth = dataset.depth(frame)?.ok_or_else(without)?;
            let copy = |copy: usize| {
                let old_from_new = views.draw(mix(seed, copy as u64, frame as u64));
                Some((synthesize_view(image, &self.camera, &depth, old_from_new)?, map_from_old * old_from_new))
            };
            bar.advance(1);
            Ok((frame, (0..views.copies).filter_map(copy).collect()))
        };
        self.synthetic = frames.par_iter().map(render).collect::<Result<_>>()?;
        Ok(self)
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

    /// The frame of a view as it is, or one of its synthetic views.
    fn shown(&self, view: View) -> (&RgbImage, Se3) {
        let copies = self.synthetic.get(&view.frame).map_or(&[][..], Vec::as_slice);
        let choice = mix(view.draw, 0, 0) as usize % (copies.len() + 1);
        copies.get(choice).map_or_else(|| self.plain(view.frame), |(image, pose)| (image, *pose))
    }

    /// How the camera is turned for a view: `old_from_new`.
    pub fn turn(&self, view: View) -> So3 {
        self.draw_turn(&mut ChaCha8Rng::seed_from_u64(view.draw))
    }

    /// The first draw of a view's generator.
    fn draw_turn(&self, generator: &mut ChaCha8Rng) -> So3 {
        let RotationAugmentation { pitch, yaw, roll } = self.rotation;
        let angles = [pitch, yaw, roll].map(|most| most.to_radians() * generator.random_range(-1.0..1.0));
        So3::exp(&Vector3::from(angles))
    }

    fn augment(&self, view: View) -> (RgbImage, Se3) {
        let (image, map_from_camera) = self.shown(view);
        let mut generator = ChaCha8Rng::seed_from_u64(view.draw);
        let old_from_new = self.draw_turn(&mut generator);
        let mut turned = rotate_view(image, &self.camera, old_from_new);
        self.photometric.apply(&mut turned, &mut generator);
        (turned, map_from_camera * Se3::new(old_from_new, Vector3::zeros()))
    }
}

/// Whether so many images of this width and height fit into memory.
///
/// # Errors
/// [`Error::Config`] when they exceed `cache_limit`.
pub(super) fn check_memory(images: usize, (width, height): (u32, u32), config: &TrainingConfig) -> Result<()> {
    let mebibytes = (images as u64 * 3 * u64::from(width) * u64::from(height)) >> 20;
    if mebibytes <= config.cache_limit as u64 {
        return Ok(());
    }
    let found = format!("{mebibytes} MiB of images; raise it, or give fewer frames");
    Err(Error::config("cache_limit", format!("at most {} MiB", config.cache_limit), found))
}
