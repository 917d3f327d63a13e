//! From pairs of views to tensors, prepared on a thread of their own while the network works.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use image::RgbImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::pairs::{Pair, View};
use super::pixels::Pixels;
use crate::geometry::Se3;
use crate::network::NetworkConfig;
use crate::network::input::input_tensor;
use crate::{Error, Result};

/// Batches that wait for the network.
pub(super) const PREPARED: usize = 2;

/// What gives the tensor of some views, and their `map_from_camera`: network inputs, or features of a frozen trunk.
pub trait Source: Sync {
    /// The views in their order, on the CPU.
    ///
    /// # Errors
    /// [`Error::Message`] for an image of another size than the network's.
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)>;

    /// Points of the map that the views' frames see, normalized, `vn3` on the CPU; `None` where the training needs none.
    fn points(&self, _views: &[View]) -> Option<Tensor> {
        None
    }

    /// The class of each pixel of the views, `vhw` bytes on the CPU, [`UNLABELLED`](crate::loss::UNLABELLED) where there is
    /// none; `None` where the training needs none.
    fn labels(&self, _views: &[View]) -> Option<Tensor> {
        None
    }

    /// The number of the scene of each view; `None` where all are of one.
    fn scenes(&self, _views: &[View]) -> Option<Vec<usize>> {
        None
    }
}

/// Augmented images as inputs of a network.
pub(super) struct PixelSource<'a> {
    pub(super) pixels: &'a Pixels,
    pub(super) network: &'a NetworkConfig,
}

impl Source for PixelSource<'_> {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        let (images, poses): (Vec<_>, Vec<_>) = self.pixels.augmented(views).into_iter().unzip();
        let network = self.network;
        let seen = images.into_iter().zip(views).map(|(image, view)| part(image, network, view.draw));
        let images: Vec<RgbImage> = seen.collect();
        let references: Vec<_> = images.iter().collect();
        Ok((input_tensor(&references, network.seen(), &network.normalization, tch::Device::Cpu)?, poses))
    }
}

/// A part of the image at random, where the network sees parts.
fn part(image: RgbImage, network: &NetworkConfig, draw: u64) -> RgbImage {
    let Some(crop) = network.crop else { return image };
    let mut generator = ChaCha8Rng::seed_from_u64(!draw);
    let x = generator.random_range(0..=image.width() - crop.width);
    let y = generator.random_range(0..=image.height() - crop.height);
    image::imageops::crop_imm(&image, x, y, crop.width, crop.height).to_image()
}

/// Pairs ready for a step.
#[derive(Debug)]
pub struct Batch {
    /// The earlier frames, then the later ones.
    pub input: Tensor,
    /// `map_from_camera` of the earlier frames.
    pub previous: Vec<Se3>,
    /// `map_from_camera` of the later frames.
    pub current: Vec<Se3>,
    /// What [`Source::points`] says of the earlier frames, then of the later ones.
    pub points: Option<Tensor>,
    /// What [`Source::labels`] says of them.
    pub labels: Option<Tensor>,
    /// What [`Source::scenes`] says of them.
    pub scenes: Option<Vec<usize>>,
}

impl Batch {
    fn new(source: &dyn Source, pairs: &[Pair]) -> Result<Self> {
        let earlier = pairs.iter().map(|pair| pair.previous);
        let views: Vec<View> = earlier.chain(pairs.iter().map(|pair| pair.current)).collect();
        let (input, mut previous) = source.views(&views)?;
        let current = previous.split_off(pairs.len());
        let (points, labels, scenes) = (source.points(&views), source.labels(&views), source.scenes(&views));
        Ok(Self { input, previous, current, points, labels, scenes })
    }
}

/// Makes the batches of `pairs` on a thread of `scope`, in their order, a few ahead. Dropping the receiver ends it.
pub(super) fn prefetch<'scope, 'data: 'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: &'data dyn Source,
    batches: Vec<Vec<Pair>>,
) -> Result<Receiver<Result<Batch>>> {
    let (sender, receiver) = sync_channel(PREPARED);
    let work = move || {
        for pairs in batches {
            if sender.send(Batch::new(source, &pairs)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("batches".to_owned());
    thread.spawn_scoped(scope, work).map_err(|error| Error::compute("starting the batch thread", error))?;
    Ok(receiver)
}
