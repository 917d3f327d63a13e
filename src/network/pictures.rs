//! What a map remembers at a pose, as a small picture (Shavit & Keller 2022, section 3.3 and fig. 4): a perceptron from the
//! encoding of a pose to colours.
//!
//! ```text
//! pose ─ pose auto-encoder ─ embedding ─ fully connected, ReLU ─ ... ─ fully connected, sigmoid ─ picture
//! ```
//!
//! The paper's layers are 512, 1024 and 2048 wide and its picture 64x64, which is 28 million parameters; here the picture has
//! the shape of the camera's, few pixels and two hidden layers. Parameters are `fc1` and so on, in half precision in
//! `pictures.safetensors` in the model folder; the card has its checksum. Localizing does not need it.

use std::path::Path;

use image::RgbImage;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{self, VarStore};

use super::autoencoder::PoseAutoencoder;
use super::card::PicturesRecord;
use super::checkpoint::{self, Precision};
use super::config::{InputSize, NetworkConfig};
use super::device::guarded;
use super::pose_encoder::{apply, perceptron};
use super::pose_tensor::numbers;
use crate::geometry::Se3;
use crate::{Error, Result};

/// Name of the file in a model folder.
pub const PICTURES_FILE: &str = "pictures.safetensors";

/// What a decoder to pictures looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PicturesConfig {
    /// Size of a picture.
    pub size: InputSize,
    /// Widths of the fully connected layers in front of the last.
    pub hidden: Vec<i64>,
}

impl PicturesConfig {
    /// The usual layers for pictures of a size.
    pub fn of(size: InputSize) -> Self {
        Self { size, hidden: vec![512, 1024] }
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key and what it should be.
    pub fn check(&self) -> Result<()> {
        let InputSize { height, width } = self.size;
        if !(1..=128).contains(&height) || !(1..=128).contains(&width) {
            return Err(Error::config("pictures", "1x1 to 128x128 pixels", format!("{width}x{height}")));
        }
        match self.hidden.iter().find(|width| !(1..=8192).contains(*width)) {
            Some(width) => Err(Error::config("pictures.hidden", "widths from 1 to 8192", width.to_string())),
            None => Ok(()),
        }
    }
}

/// Embeddings to pictures. See the module documentation.
#[derive(Debug)]
pub struct PictureDecoder {
    config: PicturesConfig,
    store: VarStore,
    layers: Vec<nn::Linear>,
}

impl PictureDecoder {
    /// A decoder with random weights for the embedding of `network`.
    ///
    /// # Errors
    /// [`Error::Config`] when a number is out of range.
    pub fn new(config: &PicturesConfig, network: &NetworkConfig, device: tch::Device) -> Result<Self> {
        config.check()?;
        let store = VarStore::new(device);
        let InputSize { height, width } = config.size;
        let colours = 3 * i64::from(height) * i64::from(width);
        let inputs = network.hidden[0] * network.branches() as i64;
        let layers = perceptron(&store.root(), inputs, config.hidden.iter().copied().chain([colours]));
        Ok(Self { config: config.clone(), store, layers })
    }

    /// Its parameters, for a training.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// Pictures `b3hw`, colours from 0 to 1, of embeddings `bh`.
    pub fn decode(&self, embedding_bh: &Tensor) -> Tensor {
        let InputSize { height, width } = self.config.size;
        apply(&self.layers, embedding_bh).sigmoid().view([-1, 3, i64::from(height), i64::from(width)])
    }

    /// The picture of what the map remembers at a pose.
    ///
    /// # Errors
    /// [`Error::Compute`] when libtorch fails.
    pub fn picture(&self, autoencoder: &PoseAutoencoder, map_from_camera: Se3) -> Result<RgbImage> {
        let decode = || tch::no_grad(|| self.decode(&autoencoder.encode(&[map_from_camera])));
        let colours_1hw3 = guarded("decoding a picture", decode)?.permute([0, 2, 3, 1]);
        let bytes = numbers(&(colours_1hw3 * 255.0).round()).into_iter().map(|level| level as u8).collect();
        let InputSize { height, width } = self.config.size;
        RgbImage::from_raw(width, height, bytes).ok_or_else(|| {
            Error::compute("decoding a picture", format!("expected {width}x{height} pixels, found others"))
        })
    }

    /// Writes the file into a model folder and returns what the card says of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, folder: &Path, validation_error: Option<f64>) -> Result<PicturesRecord> {
        let sha256 = checkpoint::save(&self.store, &folder.join(PICTURES_FILE), Precision::Half)?;
        Ok(PicturesRecord { network: self.config.clone(), validation_error, sha256 })
    }

    /// Reads the file that the card of the folder speaks of.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing, cut, not the file of the card, or of another architecture.
    pub fn load(folder: &Path, record: &PicturesRecord, network: &NetworkConfig, device: tch::Device) -> Result<Self> {
        let path = folder.join(PICTURES_FILE);
        if !path.is_file() {
            let found = "no such file; copy it from where it was trained, or train one (vloc autoencode --pictures)";
            return Err(Error::model(&path, "the decoder to pictures that model.yaml speaks of", found));
        }
        let mut own = Self::new(&record.network, network, device)?;
        checkpoint::load_verified(&own.store, &path, &record.sha256)?;
        own.store.freeze();
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn a_picture_has_its_size_and_what_is_too_large_is_refused() {
        let network = NetworkConfig::preset("vlocnet-small").unwrap();
        let config = PicturesConfig::of(InputSize { height: 6, width: 8 });
        let decoder = PictureDecoder::new(&config, &network, tch::Device::Cpu).unwrap();
        let width = network.hidden[0];
        let pictures = decoder.decode(&Tensor::randn([2, width], (Kind::Float, tch::Device::Cpu)));
        assert_eq!(pictures.size(), [2, 3, 6, 8]);
        assert!(pictures.min().double_value(&[]) >= 0.0 && pictures.max().double_value(&[]) <= 1.0);
        let large = PicturesConfig::of(InputSize { height: 129, width: 8 });
        let error = PictureDecoder::new(&large, &network, tch::Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "parameter pictures: expected 1x1 to 128x128 pixels, found 8x129");
    }
}
