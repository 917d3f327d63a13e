//! Batches for training: preprocessed, augmented, shuffled, made ahead by worker threads.
//!
//! The order of the frames and every random number depend on the seed, the epoch and the frame alone, so an epoch is
//! the same whatever the number of threads. Worker `n` of `N` makes the batches `n, n + N, ...` and hands them over
//! in a bounded channel of its own: memory is bounded and the order needs no sorting.
//!
//! A pair is a frame and the frame `skip` before it in the same sequence, both of the given part of the split: a
//! training pair never holds a test image.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};

use image::RgbImage;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::geometry::Se3;
use crate::vision::{Augmentation, Preprocessor};
use crate::{Error, Result};

/// Batches that a worker may have ready before it waits.
const BATCHES_AHEAD: usize = 2;

/// How a [`Loader`] makes its batches.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Samples per batch; the last batch of an epoch may have fewer.
    pub batch_size: usize,
    /// Distance in frames between the two images of a pair; 0 for single images.
    pub skip: usize,
    /// Leave out frames that have no partner (the first ones of a block) instead of giving them without.
    pub pairs_only: bool,
    /// A new order every epoch; otherwise the dataset's order.
    pub shuffle: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Changes of light and colour; the same for both images of a pair.
    pub augmentation: Augmentation,
    /// Keep the preprocessed images in memory when all of them take at most this many bytes.
    pub cache_bytes: u64,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            batch_size: 16,
            skip: 1,
            pairs_only: false,
            shuffle: true,
            seed: 0,
            threads: 2,
            augmentation: Augmentation::none(),
            cache_bytes: 2 << 30,
        }
    }
}

/// One frame, ready for the network, with what the dataset claims.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Index of the frame in [`Dataset::frames`].
    pub index: usize,
    /// The image in the pixels of the network's camera.
    pub image: RgbImage,
    /// The pose of the camera's optical frame.
    pub map_from_camera: Se3,
    /// The earlier image of the pair.
    pub previous: Option<Previous>,
}

/// The earlier half of a pair.
#[derive(Clone, Debug)]
pub struct Previous {
    /// Index of the frame in [`Dataset::frames`].
    pub index: usize,
    /// The image in the pixels of the network's camera.
    pub image: RgbImage,
    /// The earlier camera's pose.
    pub map_from_camera: Se3,
    /// Pose of the later camera in the axes of the earlier one.
    pub previous_from_current: Se3,
}

/// Makes the batches of one part of a split, epoch after epoch.
pub struct Loader {
    work: Arc<Work>,
    frames: Vec<usize>,
    options: LoaderOptions,
}

/// What the workers share.
struct Work {
    dataset: Arc<dyn Dataset>,
    preprocessor: Preprocessor,
    augmentation: Augmentation,
    seed: u64,
    /// Per frame of the dataset, its partner; only of this part of the split.
    partners: Vec<Option<usize>>,
    /// Per frame of the dataset, its preprocessed image; `None` when they do not fit.
    cache: Option<Vec<OnceLock<RgbImage>>>,
}

impl Loader {
    /// Prepares to load `frames` (indices into the dataset, one part of a [`super::Split`]).
    ///
    /// # Errors
    /// [`Error::Config`] when there are no frames, a batch size or thread count of zero, or an unsound augmentation.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        frames: &[usize],
        preprocessor: Preprocessor,
        options: LoaderOptions,
    ) -> Result<Self> {
        options.augmentation.check()?;
        let (batch, threads) = (options.batch_size, options.threads);
        if batch == 0 || threads == 0 {
            let found = format!("batch size {batch}, threads {threads}");
            return Err(Error::config("loader", "a batch size and a thread count of at least 1", found));
        }
        let partners = partners_of(dataset.as_ref(), frames, options.skip)?;
        let mut frames = frames.to_vec();
        frames.retain(|&index| !options.pairs_only || partners[index].is_some());
        if frames.is_empty() {
            let found = format!("none with skip {} and pairs only: {}", options.skip, options.pairs_only);
            return Err(Error::config("loader", "at least one frame", found));
        }
        let camera = preprocessor.target();
        let bytes = 3 * u64::from(camera.width) * u64::from(camera.height) * frames.len() as u64;
        let cache =
            (bytes <= options.cache_bytes).then(|| (0..dataset.frames().len()).map(|_| OnceLock::new()).collect());
        let (augmentation, seed) = (options.augmentation.clone(), options.seed);
        let work = Arc::new(Work { dataset, preprocessor, augmentation, seed, partners, cache });
        Ok(Self { work, frames, options })
    }

    /// Samples per epoch.
    pub fn samples(&self) -> usize {
        self.frames.len()
    }

    /// Batches per epoch.
    pub fn batches(&self) -> usize {
        self.frames.len().div_ceil(self.options.batch_size)
    }

    /// Starts the workers on one epoch. Ends after the first error; dropping the iterator stops the workers.
    pub fn epoch(&self, epoch: u32) -> Batches {
        let mut order = self.frames.clone();
        if self.options.shuffle {
            let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
            random.set_stream(u64::MAX - u64::from(epoch));
            order.shuffle(&mut random);
        }
        let (order, count, batch_size) = (Arc::new(order), self.batches(), self.options.batch_size);
        let workers = self.options.threads.min(count);
        let start_worker = |worker: usize| {
            let (sender, receiver) = sync_channel(BATCHES_AHEAD);
            let (work, order) = (self.work.clone(), order.clone());
            std::thread::spawn(move || {
                for batch in order.chunks(batch_size).skip(worker).step_by(workers) {
                    let samples = batch.iter().map(|&index| work.sample(index, epoch)).collect();
                    if sender.send(samples).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        Batches { receivers: (0..workers).map(start_worker).collect(), next: 0, count }
    }
}

/// The batches of one epoch, in order.
pub struct Batches {
    receivers: Vec<Receiver<Result<Vec<Sample>>>>,
    next: usize,
    count: usize,
}

impl Iterator for Batches {
    type Item = Result<Vec<Sample>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let worker = self.next % self.receivers.len();
        let stopped = |_| Err(Error::compute("load a batch", "a worker thread stopped before its work was done"));
        let batch = self.receivers[worker].recv().unwrap_or_else(stopped);
        self.next = if batch.is_ok() { self.next + 1 } else { self.count };
        Some(batch)
    }
}

impl Work {
    fn sample(&self, index: usize, epoch: u32) -> Result<Sample> {
        let map_from_camera = self.dataset.frames()[index].map_from_camera;
        let image = self.pixels(index, index, epoch)?;
        let Some(partner) = self.partners[index] else {
            return Ok(Sample { index, image, map_from_camera, previous: None });
        };
        let earlier = self.dataset.frames()[partner].map_from_camera;
        let previous = Previous {
            index: partner,
            image: self.pixels(partner, index, epoch)?,
            map_from_camera: earlier,
            previous_from_current: earlier.inverse() * map_from_camera,
        };
        Ok(Sample { index, image, map_from_camera, previous: Some(previous) })
    }

    /// The image of frame `index`, augmented as the sample of frame `sample` is.
    fn pixels(&self, index: usize, sample: usize, epoch: u32) -> Result<RgbImage> {
        let mut image = match self.cache.as_ref().map(|cache| &cache[index]) {
            None => self.preprocessed(index)?,
            Some(slot) => match slot.get() {
                Some(image) => image.clone(),
                None => slot
                    .get_or_init({
                        let image = self.preprocessed(index)?;
                        || image
                    })
                    .clone(),
            },
        };
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(u64::from(epoch) << 32 | sample as u64);
        self.augmentation.apply(&mut image, &mut random);
        Ok(image)
    }

    fn preprocessed(&self, index: usize) -> Result<RgbImage> {
        self.preprocessor.apply(&self.dataset.image(index)?)
    }
}

/// For each frame of the dataset its partner: `skip` frames earlier, same sequence, both among `frames`.
fn partners_of(dataset: &dyn Dataset, frames: &[usize], skip: usize) -> Result<Vec<Option<usize>>> {
    let all = dataset.frames();
    let mut member = vec![false; all.len()];
    for &index in frames {
        let found = || format!("frame {index} of {}", all.len());
        *member.get_mut(index).ok_or_else(|| Error::config("loader", "frames of the dataset", found()))? = true;
    }
    let partner = |index: usize| {
        let earlier = index.checked_sub(skip).filter(|_| skip > 0)?;
        let usable = member[index] && member[earlier] && all[earlier].sequence == all[index].sequence;
        usable.then_some(earlier)
    };
    Ok((0..all.len()).map(partner).collect())
}
