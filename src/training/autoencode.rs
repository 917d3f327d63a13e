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
//! computed once. At the end the model answers on the validation frames with and without refined positions, and its
//! covariances are fitted to the answers that stay.
//!
//! Where asked for, a decoder from encodings to small pictures is trained as well ([`PictureDecoder`]).
//!
//! [`PictureDecoder`]: crate::network::PictureDecoder

use std::path::PathBuf;

use tch::nn::VarStore;

use super::calibrate::calibrate;
use super::config::TrainingConfig;
use super::descent::Descent;
use super::ensemble::recorded_split;
use super::pictures::learn_pictures;
use super::pixels::Pixels;
use super::run::{CONFIG_FILE, frames_sha256, recorded_config};
use super::teacher::Teacher;
use crate::dataset::{Dataset, SplitRule};
use crate::geometry::Se3;
use crate::network::device::guarded;
use crate::network::{
    AutoencoderConfig, AutoencoderRecord, Device, InputSize, ModelCard, PicturesConfig, PoseAutoencoder, PoseNetwork,
    PoseRegressor, ValidationRecord, WEIGHTS_FILE, checkpoint,
};
use crate::progress::Progress;
use crate::{Error, Result};

/// The neighbours that are tried: the paper's (section 3.4).
const NEIGHBOURS: usize = 3;

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
    /// Training poses that refine a position. Absent: none do, and 3 are tried on the validation frames.
    pub neighbours: Option<usize>,
    /// Size of pictures to decode encodings to; absent: none.
    pub pictures: Option<InputSize>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
}

impl Autoencoding {
    /// The usual choices for a model, with the split that its folder has.
    ///
    /// # Errors
    /// [`Error::Model`] when it has none; [`Error::Format`] when it is something else.
    pub fn of(model: PathBuf) -> Result<Self> {
        let split = recorded_split(&model)?;
        Ok(Self::with_split(model, split))
    }

    /// The usual choices for a model that was trained with this split.
    pub fn with_split(model: PathBuf, split: SplitRule) -> Self {
        let (epochs, copies, seed) = (100, 8, 1);
        let network = AutoencoderConfig::default();
        let (neighbours, pictures, device) = (None, None, Device::Auto);
        Self { model, split, network, epochs, learning_rate: 1e-3, copies, neighbours, pictures, seed, device }
    }
}

/// What a pose auto-encoder does for its model.
#[derive(Clone, Debug)]
pub struct Autoencoded {
    /// The new card, with errors and covariances of the positions as they now are.
    pub card: ModelCard,
    /// The model's errors without it.
    pub plain: ValidationRecord,
    /// How many training poses refined positions, and the errors then, where there are validation frames to try it on.
    pub refined: Option<(usize, ValidationRecord)>,
}

/// What can be told without looking at an image.
fn check(job: &Autoencoding) -> Result<()> {
    job.network.check()?;
    job.pictures.map_or(Ok(()), |size| PicturesConfig::of(size).check())
}

/// Trains a pose auto-encoder and puts it into the model folder. Asks `keep_going` before each batch.
///
/// # Errors
/// Those of the model, the dataset and the split; [`Error::Model`] for an ensemble and for a model with a gallery or
/// a transformer;
/// [`Error::Config`] when the rule does not give the frames that trained the model; [`Error::Interrupted`] after
/// `keep_going` said no; [`Error::Compute`] when the training diverges.
pub fn autoencode(
    job: &Autoencoding,
    dataset: &dyn Dataset,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<Autoencoded> {
    check(job)?;
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
    let running = (progress, keep_going);
    let lessons = teacher.lessons((&pixels, &split.train), job.copies, (&config, job.seed), running)?;
    let unseen = match split.validation.is_empty() {
        true => None,
        false => Some(teacher.lessons((&pixels, &split.validation), 0, (&config, job.seed), running)?),
    };

    // The training itself.
    let poses: Vec<Se3> = split.train.iter().map(|&index| frames[index].map_from_camera).collect();
    let autoencoder = PoseAutoencoder::new(&job.network, &card.network, &poses, card.map_from_normalized, device)?;
    let autoencoder = autoencoder.with_neighbours(job.neighbours.unwrap_or(0))?.with_neighbours(0)?;
    let Autoencoding { epochs, learning_rate, seed, .. } = *job;
    let descent = Descent { epochs, learning_rate, seed };
    teacher.teach(&autoencoder, &lessons, descent, running)?;
    let errors = unseen.map(|unseen| teacher.errors(&autoencoder, &unseen, &lessons)).transpose()?;
    let pictures = job.pictures.map(|size| {
        let (known, frames) = ((&card, &autoencoder), (&pixels, &*split.train, &*split.validation));
        learn_pictures(&PicturesConfig::of(size), known, frames, descent, running)
    });

    // The model folder: first with the model's own positions, then with the better ones.
    let pictures = pictures.transpose()?.map(|(decoder, error)| decoder.save(&job.model, error)).transpose()?;
    let record = AutoencoderRecord { pictures, ..autoencoder.save(&job.model, errors)? };
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
    let untold = if split.validation.is_empty() { 0 } else { NEIGHBOURS.min(poses.len()) };
    let tried = job.neighbours.unwrap_or(untold);
    let refined = if tried > 0 { Some(measured(tried)?) } else { None };
    let report = refined.as_ref().filter(|_| !split.validation.is_empty()).map(|card| (tried, card.validation));
    let plain_errors = plain.validation;
    // A few validation frames in a row may like refined positions by chance: it takes a user who asks for them.
    let card = refined.filter(|_| job.neighbours.is_some()).unwrap_or(plain);
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
    if card.network.scene_coordinates().is_some() {
        let found = "one that knows points, which has no pose head; train another (such as vlocnet-squeezenet)";
        return refuse("a model whose pose head reads an embedding", found);
    }
    if card.network.transformer().is_some() {
        let found =
            "a transformer, whose heads read two of them; train a model without one (such as vlocnet-squeezenet)";
        return refuse("a model whose pose head reads one embedding", found);
    }
    if !card.members.is_empty() {
        let found = "an ensemble, whose members each have another; give the folder of one of its trainings";
        return refuse("a model with one set of weights", found);
    }
    Ok(card)
}
