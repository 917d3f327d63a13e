//! How frames are seen: by the frozen encoder of the network.

use image::RgbImage;
use tch::{Device, Kind, Tensor};

use super::components::Components;
use crate::dataset::Dataset;
use crate::network::input::input_tensor;
use crate::network::scene_coordinates::{SceneCoordinateHead, describe};
use crate::network::{Features, NetworkConfig, PoseNetwork};
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::training::config::TrainingConfig;
use crate::training::pairs::spread;
use crate::training::pixels::Pixels;
use crate::{Error, Result};

/// Frames whose features say in what features differ.
const COMPARED: usize = 16;
/// Frames in one forward pass of the encoder.
const CHUNK: usize = 8;

/// The network whose encoder sees the frames.
#[derive(Clone, Copy)]
pub(super) struct Eye<'a> {
    pub(super) network: &'a PoseNetwork,
    pub(super) head: &'a SceneCoordinateHead,
    pub(super) architecture: &'a NetworkConfig,
    pub(super) camera: &'a CameraModel,
    pub(super) device: Device,
}

impl Eye<'_> {
    /// What the encoder says of images.
    ///
    /// # Errors
    /// [`Error::Message`](crate::Error::Message) for an image of another size than the network's.
    pub(super) fn look(&self, images: &[&RgbImage]) -> Result<Features> {
        let NetworkConfig { input, normalization, .. } = self.architecture;
        let input = input_tensor(images, *input, normalization, self.device)?;
        Ok(tch::no_grad(|| self.network.shared(&input, false)))
    }

    /// The main directions in which features of some of the frames differ, of their finer map.
    ///
    /// # Errors
    /// Those of the dataset.
    pub(super) fn components(
        &self,
        dataset: &dyn Dataset,
        frames: &[usize],
        config: &TrainingConfig,
    ) -> Result<Components> {
        let mut features = Vec::new();
        for frame in spread(frames, COMPARED) {
            let pixels = Pixels::load(dataset, &[frame], *self.camera, config, &Progress::Silent)?;
            let shared = self.look(&[pixels.plain(frame).0])?;
            features.push(self.head.fine_map(&shared).get(0).flatten(1, 2).tr().to_kind(Kind::Float));
        }
        Ok(Components::new(&Tensor::cat(&features, 0)))
    }

    /// What frames look like as a whole, `nd` ([`describe`]).
    ///
    /// # Errors
    /// Those of the dataset; [`Error::Interrupted`] when `keep_going` says no.
    pub(super) fn descriptions(
        &self,
        dataset: &dyn Dataset,
        frames: &[usize],
        config: &TrainingConfig,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Tensor> {
        let mut rows = Vec::new();
        for chunk in frames.chunks(CHUNK) {
            if !keep_going() {
                return Err(Error::Interrupted("; a training of points starts anew, it takes minutes".to_owned()));
            }
            let pixels = Pixels::load(dataset, chunk, *self.camera, config, &Progress::Silent)?;
            let images: Vec<&RgbImage> = chunk.iter().map(|&frame| pixels.plain(frame).0).collect();
            rows.push(describe(self.head, &self.look(&images)?).to_device(Device::Cpu));
        }
        Ok(Tensor::cat(&rows, 0))
    }
}
