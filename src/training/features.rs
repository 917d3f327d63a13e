//! What a frozen trunk makes of each frame and of augmented copies of it, computed once: then an epoch costs what the
//! streams behind the trunk cost.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, Tensor};

use super::batch::Source;
use super::config::TrainingConfig;
use super::pairs::{View, mix};
use super::pixels::Pixels;
use crate::geometry::Se3;
use crate::network::input::input_tensor;
use crate::network::{NetworkConfig, PoseNetwork};
use crate::progress::Progress;
use crate::{Error, Result};

/// Frames per forward pass of the trunk.
const CHUNK: usize = 32;

/// Shared features of some frames in half precision, on the CPU: the plain frame first, then its copies.
pub struct FeatureCache {
    rows: HashMap<usize, usize>,
    /// Per copy, features of all frames `nchw`. Tensors may be used by one thread at a time.
    features: Mutex<Vec<Tensor>>,
    /// Per copy, `map_from_camera` of all frames.
    poses: Vec<Vec<Se3>>,
}

impl FeatureCache {
    /// Passes the frames `copies + 1` times through the trunk.
    ///
    /// # Errors
    /// [`Error::Config`] when the features exceed `cache_limit`; [`Error::Interrupted`] when `keep_going` says no.
    #[allow(clippy::too_many_arguments)]
    pub fn compute(
        pixels: &Pixels,
        frames: &[usize],
        network: (&PoseNetwork, &NetworkConfig, Device),
        config: &TrainingConfig,
        seed: u64,
        progress: &Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self> {
        let (network, architecture, device) = network;
        let rows = frames.iter().enumerate().map(|(row, &frame)| (frame, row)).collect();
        let bar = progress.steps("computing features", ((config.cached_copies + 1) * frames.len()) as u64);
        let mut cache = Self { rows, features: Mutex::default(), poses: Vec::new() };
        for copy in 0..=config.cached_copies {
            let (mut features, mut poses) = (Vec::new(), Vec::new());
            for chunk in frames.chunks(CHUNK) {
                if !keep_going() {
                    return Err(Error::Interrupted("; nothing was trained yet".to_owned()));
                }
                let view = |&frame: &usize| View { frame, draw: mix(seed, copy as u64, frame as u64) };
                let views: Vec<View> = chunk.iter().map(view).collect();
                let images = match copy {
                    0 => chunk
                        .iter()
                        .map(|&frame| pixels.plain(frame))
                        .map(|(image, pose)| (image.clone(), pose))
                        .collect(),
                    _ => pixels.augmented(&views),
                };
                let references: Vec<_> = images.iter().map(|(image, _)| image).collect();
                let input = input_tensor(&references, architecture.input, &architecture.normalization, device)?;
                let seen = architecture
                    .crop
                    .map_or_else(|| input.shallow_clone(), |crop| crop.middle(&input, architecture.input));
                let shared = tch::no_grad(|| network.shared(&seen, false));
                features.push(shared.last().to_kind(Kind::Half).to_device(Device::Cpu));
                poses.extend(images.iter().map(|(_, pose)| *pose));
                bar.advance(chunk.len() as u64);
            }
            cache.features().push(Tensor::cat(&features, 0));
            cache.poses.push(poses);
            cache.check_size(config)?;
        }
        Ok(cache)
    }

    fn check_size(&self, config: &TrainingConfig) -> Result<()> {
        let bytes = 2 * self.features()[0].numel() * (config.cached_copies + 1);
        if bytes >> 20 > config.cache_limit {
            let found = format!("{} MiB of features; raise it, or lower cached_copies", bytes >> 20);
            return Err(Error::config("cache_limit", format!("at most {} MiB", config.cache_limit), found));
        }
        Ok(())
    }

    fn features(&self) -> MutexGuard<'_, Vec<Tensor>> {
        self.features.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plain features of frames, single precision.
    pub fn plain(&self, frames: &[usize]) -> Tensor {
        let rows: Vec<i64> = frames.iter().map(|frame| self.rows[frame] as i64).collect();
        self.features()[0].index_select(0, &Tensor::from_slice(&rows)).to_kind(Kind::Float)
    }
}

impl Source for FeatureCache {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        let cached = self.features();
        let copies = cached.len() as u64;
        let picked = views.iter().map(|view| {
            let (copy, row) = ((view.draw % copies) as usize, self.rows[&view.frame]);
            (cached[copy].get(row as i64), self.poses[copy][row])
        });
        let (features, poses): (Vec<Tensor>, Vec<Se3>) = picked.unzip();
        Ok((Tensor::stack(&features, 0).to_kind(Kind::Float), poses))
    }
}
