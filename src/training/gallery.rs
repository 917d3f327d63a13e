//! The gallery of a network in training: what it makes of training images now, and how well it does with them.

use std::ops::Range;

use tch::Tensor;

use super::validation::ValidationErrors;
use crate::geometry::Se3;
use crate::network::{Features, Gallery, MapFromNormalized, PoseNetwork};
use crate::{Error, Result};

/// Frames per forward pass.
const CHUNK: usize = 32;

/// Gives what the network sees of some rows, or their shared features.
pub(super) type Rows<'a> = dyn Fn(Range<usize>) -> Result<Tensor> + 'a;

/// The features of rows of `input`, which are shared ones already where `shared` says so.
fn features(network: &PoseNetwork, input: &Rows, rows: Range<usize>, shared: bool) -> Result<Features> {
    let input = input(rows)?;
    Ok(if shared { Features::of_last(input) } else { network.shared(&input, false) })
}

/// A gallery of training images with these poses (`map_from_camera`), in the order of the rows of `input`.
///
/// # Errors
/// Those of [`Gallery::new`] and `input`; [`Error::Config`] for an architecture without a gallery.
pub(super) fn fill(
    network: &PoseNetwork,
    poses: &[Se3],
    input: &Rows,
    shared: bool,
    (units, neighbours): (MapFromNormalized, usize),
) -> Result<Gallery> {
    let none = || Error::config("network.gallery", "an architecture that compares frames", "one without a gallery");
    let stream = network.relative().ok_or_else(none)?;
    tch::no_grad(|| {
        let (mut embeddings, mut kept) = (Vec::new(), Vec::new());
        for start in (0..poses.len()).step_by(CHUNK) {
            let rows = start..(start + CHUNK).min(poses.len());
            let features = stream.features(&features(network, input, rows, shared)?, false);
            embeddings.push(stream.embedding(&features));
            kept.push(features);
        }
        Gallery::new((&Tensor::cat(&embeddings, 0), &Tensor::cat(&kept, 0)), poses, units, neighbours)
    })
}

/// Whether a gallery of so many images is small enough, found by looking at one, the first row of `input`.
///
/// # Errors
/// Those of [`Gallery::check_size`] and `input`.
pub(super) fn check(network: &PoseNetwork, images: usize, input: &Rows, shared: bool) -> Result<()> {
    let Some(stream) = network.relative() else { return Ok(()) };
    let numbers = tch::no_grad(|| -> Result<usize> {
        let features = stream.features(&features(network, input, 0..1, shared)?, false);
        Ok(features.numel() + stream.embedding(&features).numel())
    });
    Gallery::check_size(images, numbers?)
}

/// Errors over `truth`, whose frames are the rows of `input`.
///
/// # Errors
/// Those of [`Gallery::pose`] and `input`.
pub(super) fn validate(
    network: &PoseNetwork,
    gallery: &Gallery,
    truth: &[Se3],
    input: &Rows,
    shared: bool,
) -> Result<Option<ValidationErrors>> {
    let mut pairs = Vec::with_capacity(truth.len());
    tch::no_grad(|| {
        for start in (0..truth.len()).step_by(CHUNK) {
            let rows = start..(start + CHUNK).min(truth.len());
            let features = features(network, input, rows.clone(), shared)?;
            for (row, truth) in (0..).zip(&truth[rows]) {
                pairs.push((gallery.pose(network, &features.narrow(row, 1))?, *truth));
            }
        }
        Ok(ValidationErrors::of(&pairs))
    })
}
