//! A finished model as the teacher of its pose auto-encoder (Shavit & Keller 2022, section 3.1).

use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::config::TrainingConfig;
use super::descent::Descent;
use super::pairs::{View, mix};
use super::pixels::Pixels;
use super::validation::ValidationErrors;
use crate::geometry::Se3;
use crate::loss::{Norm, PoseWeights, embedding_loss, output_errors};
use crate::network::device::guarded;
use crate::network::input::input_tensor;
use crate::network::{AutoencoderErrors, History, ModelCard, PoseAutoencoder, PoseNetwork, PoseTensor};
use crate::progress::Progress;
use crate::{Error, Result};

/// Frames per forward pass of the model.
const CHUNK: usize = 32;

/// What the model makes of images, and where they were taken.
pub(super) struct Lessons {
    pub(super) embeddings_nh: Tensor,
    poses: PoseTensor,
    map_from_camera: Vec<Se3>,
}

/// The frozen model, where it computes.
pub(super) struct Teacher<'a> {
    pub(super) network: &'a PoseNetwork,
    pub(super) card: &'a ModelCard,
    pub(super) device: tch::Device,
}

impl Teacher<'_> {
    /// What the model makes of frames, and of augmented copies of them; without a frame before.
    ///
    /// # Errors
    /// [`Error::Config`] when that exceeds `cache_limit`; [`Error::Interrupted`] when `keep_going` says no;
    /// [`Error::Compute`] when libtorch fails.
    pub(super) fn lessons(
        &self,
        (pixels, frames): (&Pixels, &[usize]),
        copies: usize,
        (config, seed): (&TrainingConfig, u64),
        (progress, keep_going): (Progress, &dyn Fn() -> bool),
    ) -> Result<Lessons> {
        let architecture = &self.card.network;
        let (mut embeddings, mut map_from_camera, mut numbers) = (Vec::new(), Vec::new(), 0);
        let bar = progress.steps("looking at images", ((copies + 1) * frames.len()) as u64);
        for copy in 0..=copies {
            for chunk in frames.chunks(CHUNK) {
                if !keep_going() {
                    return Err(Error::Interrupted("; the model is as it was".to_owned()));
                }
                let view = |&frame: &usize| View { frame, draw: mix(seed, copy as u64, frame as u64) };
                let plain = |&frame: &usize| (pixels.plain(frame).0.clone(), pixels.plain(frame).1);
                let images: Vec<_> = match copy {
                    0 => chunk.iter().map(plain).collect(),
                    _ => pixels.augmented(&chunk.iter().map(view).collect::<Vec<_>>()),
                };
                let references: Vec<_> = images.iter().map(|(image, _)| image).collect();
                let input = input_tensor(&references, architecture.input, &architecture.normalization, self.device)?;
                let crop = architecture.crop;
                let seen = crop.map_or_else(|| input.shallow_clone(), |crop| crop.middle(&input, architecture.input));
                let look = || self.network.embedding(&self.network.shared(&seen, false), &History::none());
                let embedding = guarded("looking at images", || tch::no_grad(look))?;
                numbers += embedding.numel();
                if (4 * numbers) >> 20 > config.cache_limit {
                    let expected = format!("few enough for {} MiB of embeddings (cache_limit)", config.cache_limit);
                    return Err(Error::config("copies", expected, copies.to_string()));
                }
                embeddings.push(embedding.to_kind(Kind::Float));
                map_from_camera.extend(images.into_iter().map(|(_, pose)| pose));
                bar.advance(chunk.len() as u64);
            }
        }
        let poses = PoseTensor::from_poses(&map_from_camera, &self.card.map_from_normalized, self.device);
        Ok(Lessons { embeddings_nh: Tensor::cat(&embeddings, 0), poses, map_from_camera })
    }

    /// Trains the encoder.
    ///
    /// # Errors
    /// Those of [`Descent::run`].
    pub(super) fn teach(
        &self,
        autoencoder: &PoseAutoencoder,
        lessons: &Lessons,
        descent: Descent,
        running: (Progress, &dyn Fn() -> bool),
    ) -> Result<()> {
        let own = VarStore::new(self.device);
        let weights = PoseWeights::learned(&own.root(), 0.0, -3.0);
        let variables = autoencoder.store().variables().into_iter().chain(own.variables());
        let loss = |rows: &Tensor| self.loss(autoencoder, lessons, &rows.to_device(self.device), &weights);
        descent.run("encoding poses", variables, lessons.map_from_camera.len(), &loss, running)
    }

    fn loss(
        &self,
        autoencoder: &PoseAutoencoder,
        lessons: &Lessons,
        rows: &Tensor,
        weights: &PoseWeights,
    ) -> Result<Tensor> {
        let pick = |tensor: &Tensor| tensor.index_select(0, rows);
        let PoseTensor { translation_b3, quaternion_b4 } = &lessons.poses;
        let truth = PoseTensor { translation_b3: pick(translation_b3), quaternion_b4: pick(quaternion_b4) };
        let encoder = autoencoder.encoder();
        let encoding_bh = encoder.encode(&truth);
        let decoded = self.network.decode(&encoding_bh).ok_or_else(no_head)?;
        let errors = output_errors(&decoded, &truth, self.card.network.rotation, Norm::L2);
        Ok(embedding_loss(&encoding_bh, &pick(&lessons.embeddings_nh), encoder.count()) + weights.apply(&errors))
    }

    /// How well it does where it was not trained, beside the mean of what the model makes of images where it was.
    ///
    /// # Errors
    /// [`Error::Compute`] when a number is not finite.
    pub(super) fn errors(
        &self,
        autoencoder: &PoseAutoencoder,
        unseen: &Lessons,
        seen: &Lessons,
    ) -> Result<AutoencoderErrors> {
        let (decoded, embedding_error) = tch::no_grad(|| {
            let mean_1h = seen.embeddings_nh.mean_dim([0i64].as_slice(), true, Kind::Float);
            let encoding_nh = autoencoder.encoder().encode(&unseen.poses);
            let square = |difference: Tensor| difference.square().sum(Kind::Double).double_value(&[]);
            let own = square(&encoding_nh - &unseen.embeddings_nh);
            let spread = square(mean_1h - &unseen.embeddings_nh);
            (self.network.decode(&encoding_nh), (own / spread.max(f64::MIN_POSITIVE)).sqrt())
        });
        let decoded = decoded.ok_or_else(no_head)?.pose().to_poses(&self.card.map_from_normalized)?;
        let pairs: Vec<(Se3, Se3)> = decoded.into_iter().zip(unseen.map_from_camera.iter().copied()).collect();
        let ValidationErrors { frames, median_translation, median_rotation, .. } =
            ValidationErrors::of(&pairs).unwrap_or_default();
        Ok(AutoencoderErrors {
            frames,
            embedding_error,
            median_translation_error: median_translation,
            median_rotation_error: median_rotation,
        })
    }
}

fn no_head() -> Error {
    let reason = "expected a network that answers from the frame alone, found one that compares";
    Error::compute("decoding an embedding", reason)
}
