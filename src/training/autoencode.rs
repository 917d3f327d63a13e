//! A pose auto-encoder for a finished model, which is its teacher and its decoder (Shavit & Keller 2022, "Camera Pose
//! Auto-Encoders for Improving Pose Regression", section 3.1):
//!
//! L = ‖z - ẑ‖₂ + L_p
//!
//! with z what the frozen model makes of an image ([`PoseNetwork::embedding`]), ẑ the encoding of its pose
//! ([`PoseAutoencoder`]), and L_p the pose loss with learned weights of what the frozen head reads from ẑ.
//!
//! Images are those that trained the model, each as it is and several times turned and changed in colour as in that
//! training, with the pose corrected; the paper sees a new augmentation in each epoch. What the model makes of them is
//! computed once. At the end the model answers on the validation frames with and without refined positions, and its covariances are
//! fitted to the answers that stay.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::adam::{Adam, AdamConfig};
use super::calibrate::calibrate;
use super::config::TrainingConfig;
use super::pairs::{View, mix};
use super::pixels::Pixels;
use super::run::{CONFIG_FILE, frames_sha256, recorded_config};
use super::schedule::learning_rate;
use super::validation::ValidationErrors;
use crate::dataset::{Dataset, SplitRule};
use crate::geometry::Se3;
use crate::loss::{Norm, PoseWeights, embedding_loss, output_errors};
use crate::network::device::guarded;
use crate::network::input::input_tensor;
use crate::network::uncertainty::MIN_CALIBRATION_FRAMES;
use crate::network::{
    AutoencoderConfig, AutoencoderErrors, AutoencoderRecord, Device, History, ModelCard, PoseAutoencoder, PoseNetwork,
    PoseRegressor, PoseTensor, ValidationRecord, WEIGHTS_FILE, checkpoint,
};
use crate::progress::Progress;
use crate::{Error, Result};

/// The neighbours of the paper (section 3.4).
const NEIGHBOURS: usize = 3;
/// Rows per step; the paper's.
const BATCH: usize = 32;
/// Frames per forward pass of the model.
const CHUNK: usize = 32;
/// Steps until the full learning rate.
const WARMUP: u64 = 100;
/// Longest gradient.
const GRADIENT_CLIP: f64 = 5.0;

/// Which model gets a pose auto-encoder, and how it is trained.
#[derive(Clone, Debug)]
pub struct Autoencoding {
    /// The model folder.
    pub model: PathBuf,
    /// The rule that divided the dataset when it was trained.
    pub split: SplitRule,
    /// The layers.
    pub network: AutoencoderConfig,
    /// Passes over the frames and their copies.
    pub epochs: usize,
    /// Adam's learning rate at its highest; the paper: 1e-3.
    pub learning_rate: f64,
    /// Augmented copies of each frame.
    pub copies: usize,
    /// Training poses that refine a position, 0 for none. Absent: 3 if positions on the validation frames are better so.
    pub neighbours: Option<usize>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
}

impl Autoencoding {
    /// The usual choices for a model, with the split that its folder has.
    ///
    /// # Errors
    /// [`Error::Io`] when it has none; [`Error::Format`] when it is something else.
    pub fn of(model: PathBuf) -> Result<Self> {
        let split = super::ensemble::recorded_split(&model)?;
        Ok(Self::with_split(model, split))
    }

    /// The usual choices for a model that was trained with this split.
    pub fn with_split(model: PathBuf, split: SplitRule) -> Self {
        let (epochs, copies, seed) = (100, 8, 1);
        let network = AutoencoderConfig::default();
        let (neighbours, device) = (None, Device::Auto);
        Self { model, split, network, epochs, learning_rate: 1e-3, copies, neighbours, seed, device }
    }
}

/// What a pose auto-encoder does for its model.
#[derive(Clone, Debug)]
pub struct Autoencoded {
    /// The new card, with errors and covariances of the positions as they now are.
    pub card: ModelCard,
    /// The model's errors without it.
    pub plain: ValidationRecord,
    /// How many training poses refined positions, and the errors then, where that was asked for or tried.
    pub refined: Option<(usize, ValidationRecord)>,
}

/// What the model makes of images, and where they were taken.
struct Lessons {
    embeddings_nh: Tensor,
    poses: PoseTensor,
    map_from_camera: Vec<Se3>,
}

/// Trains a pose auto-encoder and puts it into the model folder. Asks `keep_going` before each batch.
///
/// # Errors
/// Those of the model, the dataset and the split; [`Error::Model`] for an ensemble and for a model with a gallery;
/// [`Error::Config`] when the rule does not give the frames that trained the model; [`Error::Interrupted`] after
/// `keep_going` said no; [`Error::Compute`] when the training diverges.
pub fn autoencode(
    job: &Autoencoding,
    dataset: &dyn Dataset,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<Autoencoded> {
    let card = ModelCard { autoencoder: None, ..teacher(job)? };
    let frames = dataset.frames();
    let split = job.split.split(dataset)?;
    if frames_sha256(frames, &split.train) != card.training.dataset_sha256 {
        let expected = format!("the rule and the dataset that {} was trained with", card.name);
        return Err(Error::config("split", expected, "other training frames"));
    }
    let device = job.device.resolve()?;
    tch::manual_seed(job.seed as i64);
    let mut store = VarStore::new(device);
    let network = guarded("building the network", || PoseNetwork::new(&store.root(), &card.network))??;
    checkpoint::load_verified(&store, &job.model.join(WEIGHTS_FILE), &card.weights.sha256)?;
    store.freeze();

    // What it learns from.
    let config = match job.model.join(CONFIG_FILE).is_file() {
        true => recorded_config(&job.model)?,
        false => TrainingConfig::default(),
    };
    let used: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
    let pixels = Pixels::load(dataset, &used, card.camera, &config, &progress)?;
    let teacher = Teacher { network: &network, card: &card, device };
    let lessons = teacher.lessons(&pixels, &split.train, job.copies, (job.seed, &config), progress, keep_going)?;
    let unseen = match split.validation.is_empty() {
        true => None,
        false => Some(teacher.lessons(&pixels, &split.validation, 0, (job.seed, &config), progress, keep_going)?),
    };

    // The training itself.
    let poses: Vec<Se3> = split.train.iter().map(|&index| frames[index].map_from_camera).collect();
    let autoencoder = PoseAutoencoder::new(&job.network, &card.network, &poses, card.map_from_normalized, device)?;
    let autoencoder = autoencoder.with_neighbours(job.neighbours.unwrap_or(0))?.with_neighbours(0)?;
    teacher.teach(&autoencoder, &lessons, job, progress, keep_going)?;
    let mean_1h = lessons.embeddings_nh.mean_dim([0i64].as_slice(), true, Kind::Float);
    let errors = unseen.map(|unseen| teacher.errors(&autoencoder, &unseen, &mean_1h)).transpose()?;

    // The model folder: first with the model's own positions, then with the better ones.
    let record = autoencoder.save(&job.model, errors)?;
    let card = ModelCard { autoencoder: Some(record.clone()), ..card };
    card.write(&job.model)?;
    let image = |index: usize| Ok(pixels.plain(index).0.clone());
    let measured = |neighbours: usize| {
        let record = AutoencoderRecord { neighbours, ..record.clone() };
        let card = ModelCard { autoencoder: Some(record), ..card.clone() };
        let regressor = PoseRegressor::load_with(card, &job.model, device)?;
        calibrate(regressor, frames, &split.validation, &image, progress)
    };
    let plain = measured(0)?;
    let tried = match job.neighbours {
        Some(asked) => asked,
        None if split.validation.len() < MIN_CALIBRATION_FRAMES => 0,
        None => NEIGHBOURS.min(poses.len()),
    };
    let refined = if tried > 0 { Some(measured(tried)?) } else { None };
    let error = |card: &ModelCard| card.validation.median_translation_error;
    let report = refined.as_ref().map(|card| (tried, card.validation));
    let plain_errors = plain.validation;
    let card = match refined {
        Some(refined) if job.neighbours.is_some() || error(&refined) < error(&plain) => refined,
        _ => plain,
    };
    card.write(&job.model)?;
    Ok(Autoencoded { card, plain: plain_errors, refined: report })
}

/// The card of a model that can have a pose auto-encoder.
fn teacher(job: &Autoencoding) -> Result<ModelCard> {
    let card = ModelCard::read(&job.model)?;
    let refuse = |expected: &str, found: &str| Err(Error::model(&job.model, expected, found));
    if card.network.gallery.is_some() {
        let found =
            "one with a gallery, which answers from images; train a model without one (such as vlocnet-squeezenet)";
        return refuse("a model that answers from the frame alone", found);
    }
    if !card.members.is_empty() {
        let found = "an ensemble, whose members each have another; give the folder of one of its trainings";
        return refuse("a model with one set of weights", found);
    }
    Ok(card)
}

/// The frozen model.
struct Teacher<'a> {
    network: &'a PoseNetwork,
    card: &'a ModelCard,
    device: tch::Device,
}

impl Teacher<'_> {
    /// What the model makes of frames, and of augmented copies of them; without a frame before.
    fn lessons(
        &self,
        pixels: &Pixels,
        frames: &[usize],
        copies: usize,
        (seed, config): (u64, &TrainingConfig),
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
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
                let input = input_tensor(&references, architecture.input, &architecture.normalization, self.device)?;
                let crop = architecture.crop;
                let seen = crop.map_or_else(|| input.shallow_clone(), |crop| crop.middle(&input, architecture.input));
                let embedding = guarded("looking at images", || {
                    tch::no_grad(|| self.network.embedding(&self.network.shared(&seen, false), &History::none()))
                })?;
                numbers += embedding.numel();
                if (4 * numbers) >> 20 > config.cache_limit {
                    let found = format!("more than {} MiB of embeddings; lower copies", config.cache_limit);
                    return Err(Error::config("copies", format!("at most {} MiB", config.cache_limit), found));
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
    fn teach(
        &self,
        autoencoder: &PoseAutoencoder,
        lessons: &Lessons,
        job: &Autoencoding,
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<()> {
        let weights_store = VarStore::new(self.device);
        let weights = PoseWeights::learned(&weights_store.root(), 0.0, -3.0);
        let learned = autoencoder.store().variables().into_iter().chain(weights_store.variables());
        let learned: std::collections::BTreeMap<String, Tensor> =
            learned.filter(|(_, parameter)| parameter.requires_grad()).collect();
        let mut adam = Adam::new(learned, AdamConfig::default());
        let rows = lessons.map_from_camera.len();
        let steps = (job.epochs * rows.div_ceil(BATCH)) as u64;
        let (bar, mut step) = (progress.steps("encoding poses", steps), 0);
        for epoch in 0..job.epochs {
            let mut order: Vec<i64> = (0..rows as i64).collect();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(mix(job.seed, epoch as u64, 0)));
            for chunk in order.chunks(BATCH) {
                if !keep_going() {
                    return Err(Error::Interrupted("; the model is as it was".to_owned()));
                }
                let mut gradients = adam.gradients(&self.loss(autoencoder, lessons, chunk, &weights)?)?;
                if !gradients.clip(1.0, GRADIENT_CLIP).is_finite() {
                    let reason = "the gradient is not finite; lower the learning rate";
                    return Err(Error::compute("training a pose auto-encoder", reason));
                }
                adam.step(&gradients, job.learning_rate * learning_rate(step, steps, WARMUP));
                step += 1;
                bar.advance(1);
            }
        }
        Ok(())
    }

    fn loss(
        &self,
        autoencoder: &PoseAutoencoder,
        lessons: &Lessons,
        rows: &[i64],
        weights: &PoseWeights,
    ) -> Result<Tensor> {
        let rows = Tensor::from_slice(rows).to_device(self.device);
        let pick = |tensor: &Tensor| tensor.index_select(0, &rows);
        let PoseTensor { translation_b3, quaternion_b4 } = &lessons.poses;
        let truth = PoseTensor { translation_b3: pick(translation_b3), quaternion_b4: pick(quaternion_b4) };
        let encoder = autoencoder.encoder();
        let encoding_bh = encoder.encode(&truth);
        let decoded = self.network.decode(&encoding_bh).ok_or_else(no_head)?;
        let errors = output_errors(&decoded, &truth, self.card.network.rotation, Norm::L2);
        Ok(embedding_loss(&encoding_bh, &pick(&lessons.embeddings_nh), encoder.count()) + weights.apply(&errors))
    }

    /// How well it does where it was not trained; `mean_1h` is the mean embedding where it was.
    fn errors(&self, autoencoder: &PoseAutoencoder, unseen: &Lessons, mean_1h: &Tensor) -> Result<AutoencoderErrors> {
        let (decoded, error) = tch::no_grad(|| {
            let encoding_nh = autoencoder.encoder().encode(&unseen.poses);
            let square = |difference: Tensor| difference.square().sum(Kind::Double).double_value(&[]);
            let own = square(&encoding_nh - &unseen.embeddings_nh);
            let spread = square(mean_1h - &unseen.embeddings_nh);
            (self.network.decode(&encoding_nh), (own / spread.max(f64::MIN_POSITIVE)).sqrt())
        });
        let decoded = decoded.ok_or_else(no_head)?.pose().to_poses(&self.card.map_from_normalized)?;
        let pairs: Vec<(Se3, Se3)> = decoded.into_iter().zip(unseen.map_from_camera.iter().copied()).collect();
        let errors = ValidationErrors::of(&pairs).unwrap_or_default();
        Ok(AutoencoderErrors {
            frames: errors.frames,
            embedding_error: error,
            median_translation_error: errors.median_translation,
            median_rotation_error: errors.median_rotation,
        })
    }
}

fn no_head() -> Error {
    Error::compute(
        "decoding an embedding",
        "expected a network that answers from the frame alone, found one that compares",
    )
}
