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
use crate::network::InputSize;
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::vision::{Augmentation, Preprocessor, resize};
use crate::{Error, Result};

/// The network's camera for images of `source`: its rectified image, resized to cover the input and cut at the centre.
pub fn network_camera(source: &CameraModel, input: InputSize) -> CameraModel {
    let ratio = |size: u32, of: u32| f64::from(size) / f64::from(of);
    let scale = ratio(input.width, source.width).max(ratio(input.height, source.height));
    let covering = |size: u32, at_least: u32| ((f64::from(size) * scale).round() as u32).max(at_least);
    let (width, height) = (covering(source.width, input.width), covering(source.height, input.height));
    let resized = source.rectified().resized(width, height);
    resized.cropped((width - input.width) / 2, (height - input.height) / 2, input.width, input.height)
}

/// Views are turned at this multiple of the network's resolution, where the camera has it: a second interpolation at
/// the final resolution would blur what the network trains on, and not what it later sees.
const DETAIL: u32 = 2;

/// An image of a frame at the network's resolution, as it will be at work, and in the detail from which it is turned.
struct Picture {
    plain: RgbImage,
    detailed: Option<RgbImage>,
    map_from_camera: Se3,
}

/// Preprocessed images of some frames with their poses, and how to vary them.
pub struct Pixels {
    camera: CameraModel,
    detailed_camera: Option<CameraModel>,
    pictures: BTreeMap<usize, Picture>,
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
        let source = dataset.camera();
        let fine = source.width >= DETAIL * camera.width && source.height >= DETAIL * camera.height;
        let detailed_camera = fine.then(|| camera.resized(DETAIL * camera.width, DETAIL * camera.height));
        let copies = if fine { 1 + u64::from(DETAIL * DETAIL) } else { 1 };
        let mebibytes = (frames.len() as u64 * copies * 3 * u64::from(camera.width) * u64::from(camera.height)) >> 20;
        if mebibytes > config.cache_limit as u64 {
            let found = format!("{mebibytes} MiB of images; raise it, or give fewer frames");
            return Err(Error::config("cache_limit", format!("at most {} MiB", config.cache_limit), found));
        }
        let preprocessor = Preprocessor::new(source, &camera)?;
        let detail = detailed_camera.map(|detailed| Preprocessor::new(source, &detailed)).transpose()?;
        let bar = progress.steps("reading images", frames.len() as u64);
        let load = |&frame: &usize| {
            let image = dataset.image(frame)?;
            let picture = Picture {
                plain: preprocessor.apply(&image)?,
                detailed: detail.as_ref().map(|detail| detail.apply(&image)).transpose()?,
                map_from_camera: dataset.frames()[frame].map_from_camera,
            };
            bar.advance(1);
            Ok((frame, picture))
        };
        let pictures = frames.par_iter().map(load).collect::<Result<_>>()?;
        let (rotation, photometric) = (config.rotation, config.photometric.clone());
        Ok(Self { camera, detailed_camera, pictures, rotation, photometric })
    }

    /// The camera of the images.
    pub fn camera(&self) -> &CameraModel {
        &self.camera
    }

    /// A frame as it is, with its `map_from_camera`. The frame must be one of those loaded.
    pub fn plain(&self, frame: usize) -> (&RgbImage, Se3) {
        let picture = &self.pictures[&frame];
        (&picture.plain, picture.map_from_camera)
    }

    /// Frames as they are shown once: turned, then changed in colour, on all cores. The same views give the same bytes.
    ///
    /// # Errors
    /// [`Error::Message`] when an image cannot be resized.
    pub fn augmented(&self, views: &[View]) -> Result<Vec<(RgbImage, Se3)>> {
        views.par_iter().map(|view| self.augment(*view)).collect()
    }

    fn augment(&self, view: View) -> Result<(RgbImage, Se3)> {
        let picture = &self.pictures[&view.frame];
        let mut generator = ChaCha8Rng::seed_from_u64(view.draw);
        let RotationAugmentation { pitch, yaw, roll } = self.rotation;
        let angles =
            Vector3::from([pitch, yaw, roll].map(|most| most.to_radians() * generator.random_range(-1.0..1.0)));
        let old_from_new = So3::exp(&angles);
        let mut turned = match (&picture.detailed, &self.detailed_camera) {
            (Some(detailed), Some(camera)) => {
                let turned = rotate_view(detailed, camera, old_from_new);
                resize(&turned, self.camera.width, self.camera.height)?
            }
            _ => rotate_view(&picture.plain, &self.camera, old_from_new),
        };
        self.photometric.apply(&mut turned, &mut generator);
        Ok((turned, picture.map_from_camera * Se3::new(old_from_new, Vector3::zeros())))
    }
}
