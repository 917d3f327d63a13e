//! The gallery of a network in training: what it makes of training images now, and how well it does with them.

use std::ops::Range;

use tch::Tensor;

use super::material::Material;
use super::pairs::spread;
use super::validation::ValidationErrors;
use crate::dataset::FrameInfo;
use crate::geometry::Se3;
use crate::network::{Features, Gallery, GalleryConfig, MapFromNormalized, PoseNetwork};
use crate::{Error, Result};

/// Frames per forward pass.
const CHUNK: usize = 32;

/// The training images that a member with a gallery compares with.
pub(super) struct Compared<'a> {
    material: &'a Material,
    frames: Vec<usize>,
    poses: Vec<Se3>,
    units: MapFromNormalized,
    neighbours: usize,
}

impl<'a> Compared<'a> {
    /// As many of the training frames as the gallery takes, evenly spread over their order.
    pub(super) fn choose(
        config: GalleryConfig,
        (frames, train): (&[FrameInfo], &[usize]),
        material: &'a Material,
        units: MapFromNormalized,
    ) -> Self {
        let chosen = spread(train, config.images);
        let poses = chosen.iter().map(|&index| frames[index].map_from_camera).collect();
        Self { material, frames: chosen, poses, units, neighbours: config.neighbours }
    }

    /// Whether the gallery is small enough, found by looking at one image. `frozen`: behind a trunk that does not learn.
    ///
    /// # Errors
    /// Those of [`Gallery::check_size`] and of the images.
    pub(super) fn check(&self, network: &PoseNetwork, frozen: bool) -> Result<()> {
        let Some(stream) = network.relative() else { return Ok(()) };
        let numbers = tch::no_grad(|| -> Result<usize> {
            let input = self.material.training_input(&self.frames[..1])?;
            let features = stream.features(&features(network, input, frozen), false);
            Ok(features.numel() + stream.embedding(&features).numel())
        });
        Gallery::check_size(self.frames.len(), numbers?)
    }

    /// The gallery as the network sees it now.
    ///
    /// # Errors
    /// Those of [`Gallery::new`] and of the images; [`Error::Config`] for an architecture without a gallery.
    pub(super) fn fill(&self, network: &PoseNetwork, frozen: bool) -> Result<Gallery> {
        let none = || Error::config("network.gallery", "an architecture that compares frames", "one without a gallery");
        let stream = network.relative().ok_or_else(none)?;
        tch::no_grad(|| {
            let (mut embeddings, mut kept) = (Vec::new(), Vec::new());
            for frames in self.frames.chunks(CHUNK) {
                let input = self.material.training_input(frames)?;
                let features = stream.features(&features(network, input, frozen), false);
                embeddings.push(stream.embedding(&features));
                kept.push(features);
            }
            let rows = (&Tensor::cat(&embeddings, 0), &Tensor::cat(&kept, 0));
            Gallery::new(rows, &self.poses, self.units, self.neighbours)
        })
    }
}

/// What the network makes of an input, which is its shared features already where `shared` says so.
fn features(network: &PoseNetwork, input: Tensor, shared: bool) -> Features {
    if shared { Features::of_last(input) } else { network.shared(&input, false) }
}

/// Errors over `truth`, whose frames are the rows of `input`.
///
/// # Errors
/// Those of [`Gallery::pose`] and `input`.
pub(super) fn validate(
    network: &PoseNetwork,
    gallery: &Gallery,
    truth: &[Se3],
    input: &dyn Fn(Range<usize>) -> Result<Tensor>,
    shared: bool,
) -> Result<Option<ValidationErrors>> {
    let mut pairs = Vec::with_capacity(truth.len());
    tch::no_grad(|| {
        for start in (0..truth.len()).step_by(CHUNK) {
            let rows = start..(start + CHUNK).min(truth.len());
            let features = features(network, input(rows.clone())?, shared);
            for (row, truth) in (0..).zip(&truth[rows]) {
                pairs.push((gallery.pose(network, &features.narrow(row, 1))?, *truth));
            }
        }
        Ok(ValidationErrors::of(&pairs))
    })
}
