//! A pose auto-encoder beside a model: the encoder, the training poses, and how many of them refine a position.
//!
//! `autoencoder.safetensors` in the model folder has the layers of the [`PoseEncoder`] and, as `poses.translation`
//! (normalized) and `poses.quaternion` (w, x, y, z), `map_from_camera` of the training frames: seven numbers of each, and no
//! image. The card has its checksum. It fits the weights that it was trained with alone, so an ensemble has none.

use std::path::Path;

use nalgebra::{DMatrix, DVector};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::card::{AutoencoderErrors, AutoencoderRecord};
use super::checkpoint::{self, Precision};
use super::config::NetworkConfig;
use super::pose_encoder::{AutoencoderConfig, PoseEncoder};
use super::pose_tensor::{MapFromNormalized, PoseTensor, numbers};
use super::refinement::{affine_weights, nearest_poses};
use crate::geometry::Se3;
use crate::{Error, Result};

/// Name of the file in a model folder.
pub const AUTOENCODER_FILE: &str = "autoencoder.safetensors";
/// The most training poses in it.
pub(super) const MAX_POSES: usize = 1_000_000;

/// A trained pose auto-encoder with the poses that it was trained on.
#[derive(Debug)]
pub struct PoseAutoencoder {
    config: AutoencoderConfig,
    store: VarStore,
    encoder: PoseEncoder,
    poses: Vec<Se3>,
    units: MapFromNormalized,
    neighbours: usize,
}

impl PoseAutoencoder {
    /// An untrained one for the embedding of `network`, with the training poses `map_from_camera`.
    ///
    /// # Errors
    /// Those of [`PoseEncoder::new`]; [`Error::Config`] without a pose, or with more than a million.
    pub fn new(
        config: &AutoencoderConfig,
        network: &NetworkConfig,
        map_from_camera: &[Se3],
        units: MapFromNormalized,
        device: tch::Device,
    ) -> Result<Self> {
        let own = Self::empty(config, network, map_from_camera.len(), units, device)?;
        let poses = PoseTensor::from_poses(map_from_camera, &units, device);
        let mut variables = own.store.variables();
        for (name, value) in [("poses.translation", poses.translation_b3), ("poses.quaternion", poses.quaternion_b4)] {
            if let Some(variable) = variables.get_mut(name) {
                tch::no_grad(|| variable.copy_(&value));
            }
        }
        own.with_stored_poses()
    }

    /// One with random weights and without the numbers of its poses.
    fn empty(
        config: &AutoencoderConfig,
        network: &NetworkConfig,
        poses: usize,
        units: MapFromNormalized,
        device: tch::Device,
    ) -> Result<Self> {
        if !(1..=MAX_POSES).contains(&poses) {
            return Err(Error::config("autoencoder.poses", format!("1 to {MAX_POSES}"), poses.to_string()));
        }
        let store = VarStore::new(device);
        let encoder = PoseEncoder::new(&store.root(), config, network)?;
        let root = store.root() / "poses";
        for (name, width) in [("translation", 3), ("quaternion", 4)] {
            let _ = root.zeros_no_train(name, &[poses as i64, width]);
        }
        Ok(Self { config: config.clone(), store, encoder, poses: Vec::new(), units, neighbours: 0 })
    }

    /// With the poses that are in the store: what is read back is what was there before, to the bit.
    fn with_stored_poses(mut self) -> Result<Self> {
        let variables = self.store.variables();
        let stored = |name: &str| variables.get(name).map(Tensor::shallow_clone);
        if let Some((translation_b3, quaternion_b4)) = stored("poses.translation").zip(stored("poses.quaternion")) {
            self.poses = PoseTensor { translation_b3, quaternion_b4 }.to_poses(&self.units)?;
        }
        Ok(self)
    }

    /// Refines positions with this many training poses; 0 for not at all.
    ///
    /// # Errors
    /// [`Error::Config`] when there are fewer.
    pub fn with_neighbours(self, neighbours: usize) -> Result<Self> {
        match neighbours > self.poses.len() {
            true => {
                let expected = format!("at most the {} training poses", self.poses.len());
                Err(Error::config("neighbours", expected, neighbours.to_string()))
            }
            false => Ok(Self { neighbours, ..self }),
        }
    }

    /// Its parameters, for a training.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// Its layers.
    pub fn encoder(&self) -> &PoseEncoder {
        &self.encoder
    }

    /// The embeddings of poses, `bh`.
    pub fn encode(&self, map_from_camera: &[Se3]) -> Tensor {
        self.encoder.encode(&PoseTensor::from_poses(map_from_camera, &self.units, self.store.device()))
    }

    /// The training poses that refine the position of a frame.
    pub(super) fn neighbours(&self) -> usize {
        self.neighbours
    }

    /// The pose with its position refined by the embedding `bh` of the frame that the network says was taken there, the
    /// mean of its rows where the network saw parts of it. The orientation stays. As it is without neighbours.
    ///
    /// # Errors
    /// [`Error::Compute`] when a number is not finite, or the embedding is that of another network.
    pub fn refine(&self, map_from_camera: Se3, embedding_bh: &Tensor) -> Result<Se3> {
        if self.neighbours == 0 {
            return Ok(map_from_camera);
        }
        let nearest = nearest_poses(&map_from_camera, &self.poses, self.units.scale, self.neighbours);
        let poses: Vec<Se3> = nearest.into_iter().map(|index| self.poses[index]).collect();
        let encodings = numbers(&tch::no_grad(|| self.encode(&poses)));
        let embedding = numbers(&embedding_bh.to_kind(Kind::Float).mean_dim([0i64].as_slice(), false, Kind::Float));
        let encodings = DMatrix::from_row_slice(poses.len(), encodings.len() / poses.len(), &encodings);
        let weights = affine_weights(&DVector::from_vec(embedding), &encodings)?;
        let translation = poses.iter().zip(&weights).map(|(pose, weight)| pose.translation * *weight).sum();
        Ok(Se3::new(map_from_camera.rotation, translation))
    }

    /// Writes the file into a model folder and returns what the card says of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, folder: &Path, validation: Option<AutoencoderErrors>) -> Result<AutoencoderRecord> {
        let sha256 = checkpoint::save(&self.store, &folder.join(AUTOENCODER_FILE), Precision::Single)?;
        Ok(AutoencoderRecord {
            network: self.config.clone(),
            poses: self.poses.len(),
            neighbours: self.neighbours,
            validation,
            pictures: None,
            sha256,
        })
    }

    /// Reads the file that the card of the folder speaks of.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing, cut, not the file of the card, or of another architecture.
    pub fn load(
        folder: &Path,
        record: &AutoencoderRecord,
        network: &NetworkConfig,
        units: MapFromNormalized,
        device: tch::Device,
    ) -> Result<Self> {
        let path = folder.join(AUTOENCODER_FILE);
        if !path.is_file() {
            let found = "no such file; copy it from where it was trained, or train one (vloc autoencode)";
            return Err(Error::model(&path, "the pose auto-encoder that model.yaml speaks of", found));
        }
        let mut own = Self::empty(&record.network, network, record.poses, units, device)?;
        checkpoint::load_verified(&own.store, &path, &record.sha256)?;
        own.store.freeze();
        own.with_stored_poses()?.with_neighbours(record.neighbours)
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;
    use crate::geometry::So3;

    const UNITS: MapFromNormalized = MapFromNormalized { mean: [1.0, 0.0, 0.0], scale: 2.0 };

    fn network() -> NetworkConfig {
        NetworkConfig { hidden: vec![24], ..NetworkConfig::preset("vlocnet-small").unwrap() }
    }

    /// Cameras in a plane that look the same way.
    fn poses() -> Vec<Se3> {
        let rotation = So3::exp(&Vector3::new(0.1, 0.2, 0.3));
        (0..5)
            .flat_map(|x| (0..5).map(move |y| Vector3::new(f64::from(x), f64::from(y), 0.5)))
            .map(|t| Se3::new(rotation, t))
            .collect()
    }

    #[test]
    fn a_refined_position_is_where_the_embedding_lies() {
        // Without Fourier features and hidden layers an embedding is linear in the position, so that one of a place
        // between three poses is the same combination of theirs.
        let config = AutoencoderConfig { frequencies: 0, hidden: Vec::new() };
        let autoencoder = PoseAutoencoder::new(&config, &network(), &poses(), UNITS, tch::Device::Cpu).unwrap();
        let autoencoder = autoencoder.with_neighbours(4).unwrap();
        let truth = Se3::new(poses()[0].rotation, Vector3::new(2.3, 1.6, 0.5));
        let embedding = autoencoder.encode(&[truth]);
        let answer = truth.retract(&nalgebra::Vector6::new(0.1, -0.15, 0.2, 0.05, 0.0, -0.02));
        let refined = autoencoder.refine(answer, &embedding).unwrap();
        assert!((refined.translation - truth.translation).norm() < 5e-3, "{refined:?}");
        assert_eq!(refined.rotation, answer.rotation);
        let off = autoencoder.with_neighbours(0).unwrap();
        assert_eq!(off.refine(answer, &embedding).unwrap(), answer);
    }

    #[test]
    fn neighbours_and_poses_have_bounds() {
        let config = AutoencoderConfig::default();
        let new = |poses: &[Se3]| PoseAutoencoder::new(&config, &network(), poses, UNITS, tch::Device::Cpu);
        let error = new(&poses()).unwrap().with_neighbours(26).unwrap_err().to_string();
        assert_eq!(error, "parameter neighbours: expected at most the 25 training poses, found 26");
        let error = new(&[]).unwrap_err().to_string();
        assert_eq!(error, "parameter autoencoder.poses: expected 1 to 1000000, found 0");
    }
}
