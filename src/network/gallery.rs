//! The training images that a frame is compared with (NNnet: Laskar, Melekhov, Kalia & Kannala 2017, arXiv 1707.09733; RelocNet:
//! Balntas, Li & Prisacariu 2018, ECCV): the frame's pose is that of an alike image, moved by what the network says lies
//! between the two.
//!
//! ```text
//! frame ─ encoder ─┬─ embedding ─ nearest images ─┐ their features, map_from_image
//!                  └─ features ───────────────────┴─ pair regressor ─ image_from_frame, each ─ consensus ─ map_from_frame
//! ```
//!
//! `gallery.safetensors` in the model folder has a row per image: `embedding` (unit length) and `features` (what the pair
//! regressor keeps of it) in half precision, `translation` (normalized) and `quaternion` (w, x, y, z) of `map_from_camera` in
//! single. The card has its checksum. In memory the numbers are the stored ones, so a calibration before holds after loading.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::card::GalleryRecord;
use super::checkpoint::{self, Precision, write_tensors};
use super::consensus::{Hypothesis, consensus};
use super::pose_head::{Dropout, PoseOutput};
use super::pose_network::{Features, OdometryStream, PoseNetwork};
use super::pose_tensor::{MapFromNormalized, PoseTensor, numbers};
use super::prediction::Prediction;
use crate::geometry::Se3;
use crate::retrieval::Index;
use crate::{Error, Result};

/// The most that it may take.
const MAX_BYTES: u64 = 1 << 30;

/// Training images as a network knows them, to be compared with.
#[derive(Debug)]
pub struct Gallery {
    embeddings_nd: Tensor,
    features_nchw: Tensor,
    poses: PoseTensor,
    index: Index,
    units: MapFromNormalized,
    neighbours: usize,
}

impl Gallery {
    /// Images by what [`OdometryStream::features`] and [`OdometryStream::embedding`] make of them, with `map_from_camera`; a
    /// frame is compared with `neighbours` of them.
    ///
    /// # Errors
    /// [`Error::Config`] when they would exceed a GiB; [`Error::Message`] when there is none or the numbers of rows differ;
    /// [`Error::Compute`] when a number is not finite in half precision.
    pub fn new(
        (embeddings_nd, features_nchw): (&Tensor, &Tensor),
        map_from_camera: &[Se3],
        units: MapFromNormalized,
        neighbours: usize,
    ) -> Result<Self> {
        let images = map_from_camera.len().max(1);
        Self::check_size(images, (embeddings_nd.numel() + features_nchw.numel()) / images)?;
        let half = |tensor: &Tensor| tensor.detach().to_kind(Kind::Half);
        let poses = PoseTensor::from_poses(map_from_camera, &units, Device::Cpu);
        Self::of_rows(half(embeddings_nd), half(features_nchw), poses, units, neighbours)
    }

    /// Whether so many images, with so many numbers of embedding and features each, are few enough.
    ///
    /// # Errors
    /// [`Error::Config`] when they would exceed a GiB, with the number that would not.
    pub fn check_size(images: usize, numbers: usize) -> Result<()> {
        let fits = MAX_BYTES / (2 * numbers.max(1) as u64);
        match images as u64 > fits {
            true => {
                let expected = format!("at most {fits}, with {numbers} numbers to keep of each");
                Err(Error::config("network.gallery.images", expected, images.to_string()))
            }
            false => Ok(()),
        }
    }

    fn of_rows(
        embeddings_nd: Tensor,
        features_nchw: Tensor,
        poses: PoseTensor,
        units: MapFromNormalized,
        neighbours: usize,
    ) -> Result<Self> {
        let rows = [&embeddings_nd, &features_nchw, &poses.translation_b3].map(|tensor| tensor.size()[0]);
        if rows[0] != rows[1] || rows[0] != rows[2] {
            let found = format!("{rows:?} rows of embeddings, features and poses");
            return Err(Error::message("gallery", "a row of each per image", found));
        }
        if features_nchw.isfinite().all().int64_value(&[]) == 0 {
            let reason = "expected features within the range of half precision, found larger ones or NaN; train again";
            return Err(Error::compute("gallery", reason));
        }
        let width = embeddings_nd.size()[1].max(1) as usize;
        let values: Vec<f32> = numbers(&embeddings_nd).into_iter().map(|value| value as f32).collect();
        let index = Index::new(values.chunks(width).map(<[f32]>::to_vec).collect(), poses.to_poses(&units)?)?;
        Ok(Self { embeddings_nd, features_nchw, poses, index, units, neighbours })
    }

    /// Writes a file and returns what the card says of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<GalleryRecord> {
        let tensors: BTreeMap<String, Tensor> = [
            ("embedding", &self.embeddings_nd),
            ("features", &self.features_nchw),
            ("translation", &self.poses.translation_b3),
            ("quaternion", &self.poses.quaternion_b4),
        ]
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
        .collect();
        let sha256 = write_tensors(&tensors, path, Precision::Single)?;
        Ok(GalleryRecord { images: self.index.poses().len(), neighbours: self.neighbours, sha256 })
    }

    /// Reads the file that a card speaks of.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing, larger than a GiB, not the file of the card, or not a gallery.
    pub fn load(path: &Path, record: &GalleryRecord, units: &MapFromNormalized, device: Device) -> Result<Self> {
        let what = format!("the {} training images that this model compares with", record.images);
        let mut tensors = checkpoint::read_of_card(path, &what, &record.sha256, MAX_BYTES)?;
        let mut take = |name: &str, dimensions: usize| match tensors.remove(name) {
            Some(tensor) if tensor.dim() == dimensions && tensor.size()[0] == record.images as i64 => Ok(tensor),
            found => {
                let expected = format!("{name} with {} rows and {dimensions} dimensions", record.images);
                let found = found.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.size()));
                Err(Error::model(path, expected, found))
            }
        };
        let half = |tensor: Tensor| tensor.to_kind(Kind::Half);
        let (embeddings, features) = (half(take("embedding", 2)?), half(take("features", 4)?).to_device(device));
        let poses = PoseTensor { translation_b3: take("translation", 2)?, quaternion_b4: take("quaternion", 2)? };
        Self::of_rows(embeddings, features, poses, *units, record.neighbours)
    }

    /// The pose of a frame, of which `shared` is the only row.
    ///
    /// # Errors
    /// [`Error::Compute`] for a network without a pair regressor, or when a number is not finite.
    pub(super) fn locate(&self, network: &PoseNetwork, shared: &Features, dropout: Dropout) -> Result<Prediction> {
        let stream = network.relative().ok_or_else(no_pairs)?;
        let features = stream.features(shared, false);
        let mut hypotheses = Vec::with_capacity(self.neighbours);
        for (map_from_image, of_image) in self.nearest(stream, &features)? {
            let output = stream.forward(&of_image, &features, false, dropout);
            let Prediction { pose: image_from_frame, raw_covariance } =
                Prediction::of_samples(&output, &self.units.relative())?;
            // The image's pose is known, so the covariance stays what it is in the axes of the frame.
            hypotheses.push(Hypothesis { pose: map_from_image * image_from_frame, covariance: raw_covariance });
        }
        let Hypothesis { pose, covariance } = consensus(&hypotheses)?;
        Ok(Prediction { pose, raw_covariance: covariance })
    }

    /// The pose of a frame without its covariance and without dropout: what validation in training compares.
    ///
    /// # Errors
    /// As of inference: [`Error::Compute`] for a network without a pair regressor, or when a number is not finite.
    pub fn pose(&self, network: &PoseNetwork, shared: &Features) -> Result<Se3> {
        Ok(self.locate(network, shared, Dropout::Off)?.pose)
    }

    /// What the pair regressor says of a frame and the image that is most alike; gradients reach the frame.
    pub(super) fn nearest_output(&self, network: &PoseNetwork, shared: &Features) -> Result<PoseOutput> {
        let stream = network.relative().ok_or_else(no_pairs)?;
        let features = stream.features(shared, false);
        let nearest = self.nearest(stream, &features)?.into_iter().next();
        let (_, of_image) = nearest.ok_or_else(no_pairs)?;
        Ok(stream.forward(&of_image, &features, false, Dropout::Off))
    }

    /// The images most alike, as `map_from_image` and their features `1chw`, the most alike first.
    fn nearest(&self, stream: &OdometryStream, features_1chw: &Tensor) -> Result<Vec<(Se3, Tensor)>> {
        let embedding = numbers(&stream.embedding(features_1chw));
        let embedding: Vec<f32> = embedding.into_iter().map(|value| value as f32).collect();
        let neighbours = self.index.neighbours(&embedding, self.neighbours)?.into_iter();
        let row = |index: usize| self.features_nchw.narrow(0, index as i64, 1).to_kind(Kind::Float);
        Ok(neighbours.map(|found| (self.index.poses()[found.index], row(found.index))).collect())
    }
}

fn no_pairs() -> Error {
    Error::compute("comparing with training images", "expected a network with a gallery, found one without")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: MapFromNormalized = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };

    #[test]
    fn a_gallery_is_bounded_and_its_rows_belong_together() {
        Gallery::check_size(1_000_000, 512).unwrap();
        let error = Gallery::check_size(1_100_000, 512).unwrap_err().to_string();
        let expected = "parameter network.gallery.images: expected at most 1048576, with 512 numbers to keep of each, found 1100000";
        assert_eq!(error, expected);
        let rows = |count: i64| {
            (
                Tensor::ones([count, 4], (Kind::Float, Device::Cpu)),
                Tensor::ones([count, 4, 1, 1], (Kind::Float, Device::Cpu)),
            )
        };
        let (embeddings, features) = rows(3);
        let error = Gallery::new((&embeddings, &features), &[Se3::identity(); 2], UNITS, 1).unwrap_err().to_string();
        assert!(error.contains("expected a row of each per image, found [3, 3, 2] rows"), "{error}");
        let large = &features * 1e6;
        let error = Gallery::new((&embeddings, &large), &[Se3::identity(); 3], UNITS, 1).unwrap_err().to_string();
        assert!(error.contains("expected features within the range of half precision"), "{error}");
        let error = Gallery::new((&embeddings, &features), &[], UNITS, 1).unwrap_err().to_string();
        assert!(error.contains("a row of each per image"), "{error}");
    }
}
