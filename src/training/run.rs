//! The way from a dataset to a model folder.
//!
//! The folder holds, beside the model itself: `training.yaml` (the effective configuration), `split.yaml`, `log.csv` (a
//! line per epoch), `timing.yaml` and `checkpoint/` (to go on after an interruption; removed when the training is done).

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tch::nn::VarStore;

use super::config::{PairRule, TrainingConfig};
use super::features::FeatureCache;
use super::frustum::Frustum;
use super::gallery;
use super::pairs::PairPlan;
use super::pixels::Pixels;
use super::state::RunState;
use super::trainer::{Data, Trainer};
use super::validation::{ValidationErrors, validate};
use crate::config::load_yaml;
use crate::dataset::{Dataset, FrameInfo, Split, SplitRule};
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::network::device::describe;
use crate::network::input::input_tensor;
use crate::network::{
    AnchorsConfig, Calibration, Device, GalleryConfig, MapFromNormalized, ModelCard, PixelFrame, PoseNetwork,
    PoseRegressor, PoseTensor, SCHEMA_VERSION, TrainingRecord, ValidationRecord, WEIGHTS_FILE, WeightsRecord,
    checkpoint,
};
use crate::progress::Progress;
use crate::training::batch::{PixelSource, Source};
use crate::vision::network_camera;
use crate::{Error, Result};

const CONFIG_FILE: &str = "training.yaml";
const SPLIT_FILE: &str = "split.yaml";
const LOG_FILE: &str = "log.csv";
const TIMING_FILE: &str = "timing.yaml";
const CHECKPOINT_FOLDER: &str = "checkpoint";
/// Fewer validation frames calibrate nothing.
const MIN_CALIBRATION_FRAMES: usize = 20;

/// How long a training took, and where: beside the card, which two equal trainings share.
#[derive(Clone, Debug, Serialize)]
struct Timing {
    seconds: f64,
    device: String,
    threads: i32,
}

impl Timing {
    fn new(seconds: f64, device: tch::Device) -> Self {
        Self { seconds: seconds.round(), device: describe(device), threads: tch::get_num_threads() }
    }
}

/// What to train, on what, and where it goes.
#[derive(Clone, Debug)]
pub struct Job {
    /// Every choice; [`TrainingConfig::network`] must be set.
    pub config: TrainingConfig,
    /// Which frames train and which validate.
    pub split: SplitRule,
    /// Weights the trunk starts from (safetensors under torchvision's names).
    pub pretrained: Option<PathBuf>,
    /// The model folder.
    pub out: PathBuf,
    /// Name of the model, for its card.
    pub name: String,
    /// Licence of the weights, for the card.
    pub licence: String,
    /// The command line, for the card.
    pub command: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Go on from the checkpoint in the folder.
    pub resume: bool,
    /// Where to compute.
    pub device: Device,
}

/// Trains a model and writes its folder; returns its card. Asks `keep_going` before each step.
///
/// # Errors
/// Those of the dataset, the split and the configuration; [`Error::Config`] when the folder holds an unfinished run and
/// `resume` is off, or `resume` is on and there is none, or one of other settings; [`Error::Interrupted`] after
/// `keep_going` said no; [`Error::Compute`] when the training diverges.
pub fn train(dataset: &dyn Dataset, job: &Job, progress: Progress, keep_going: &dyn Fn() -> bool) -> Result<ModelCard> {
    let config = &job.config;
    config.check()?;
    let architecture = config.network.clone().ok_or_else(|| Error::config("network", "an architecture", "none"))?;
    config.check_with(&architecture)?;
    let started = Instant::now();
    let frames = dataset.frames();
    let split = job.split.split(dataset)?;
    let checkpoint_folder = prepare_folder(job)?;
    let seed = job.seed;

    // The network starts from its seed, then from the given weights.
    let device = job.device.resolve()?;
    tch::manual_seed(seed as i64);
    let store = VarStore::new(device);
    let network = PoseNetwork::new(&store.root(), &architecture)?;
    if let Some(path) = &job.pretrained {
        let report = checkpoint::load_pretrained(&store, path)?;
        progress.note(&format!("{} variables start from {}", report.loaded.len(), path.display()));
    }

    // What it learns from.
    let poses =
        |indices: &[usize]| -> Vec<Se3> { indices.iter().map(|&index| frames[index].map_from_camera).collect() };
    let units = MapFromNormalized::fit(&poses(&split.train))?;
    if let Some(AnchorsConfig { count }) = architecture.anchors {
        let anchors = PoseTensor::from_poses(&anchor_poses(&poses(&split.train), count)?, &units, device);
        network.place_anchors(&anchors.translation_b3);
    }
    let camera = network_camera(dataset.camera(), architecture.input.width, architecture.input.height);
    let plan = match config.pairs {
        PairRule::Consecutive => PairPlan::new(frames, &split.train, config.max_skip, seed)?,
        PairRule::Overlapping { overlap, distance, near, far } => {
            let frustum = Frustum::new(&camera, near, far);
            PairPlan::overlapping(frames, &split.train, frustum, (overlap, distance), seed)?
        }
    };
    let used: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
    let pixels = Pixels::load(dataset, &used, camera, config, &progress)?;
    let validation_cache = match config.freeze_trunk && !split.validation.is_empty() {
        true => {
            let plain = TrainingConfig { cached_copies: 0, ..config.clone() };
            let network = (&network, &architecture, device);
            Some(FeatureCache::compute(&pixels, &split.validation, network, &plain, seed, &progress, keep_going)?)
        }
        false => None,
    };
    let training_cache = match config.freeze_trunk {
        true => {
            let network = (&network, &architecture, device);
            Some(FeatureCache::compute(&pixels, &split.train, network, config, seed, &progress, keep_going)?)
        }
        false => None,
    };
    let pixel_source = PixelSource { pixels: &pixels, network: &architecture };
    let source: &dyn Source = training_cache.as_ref().map_or(&pixel_source, |cache| cache);
    let truth = poses(&split.validation);
    let plain = |cache: Option<&FeatureCache>, frames: &[usize]| match cache {
        Some(cache) => Ok(cache.plain(frames).to_device(device)),
        None => {
            let images: Vec<_> = frames.iter().map(|&frame| pixels.plain(frame).0).collect();
            let input = input_tensor(&images, architecture.input, &architecture.normalization, device)?;
            Ok(match architecture.crop {
                Some(crop) => crop.middle(&input, architecture.input),
                None => input,
            })
        }
    };
    let frozen = config.freeze_trunk;
    let validation_input = |rows: Range<usize>| plain(validation_cache.as_ref(), &split.validation[rows]);
    // The training images that a member with a gallery compares with.
    let compared = spread(&split.train, architecture.gallery.map_or(0, |gallery| gallery.images));
    let compared_input = |rows: Range<usize>| plain(training_cache.as_ref(), &compared[rows]);
    gallery::check(&network, compared.len(), &compared_input, frozen)?;
    let gallery = |network: &PoseNetwork, config: GalleryConfig| {
        gallery::fill(network, &poses(&compared), &compared_input, frozen, (units, config.neighbours))
    };
    let validate = |network: &PoseNetwork| match architecture.gallery {
        None => validate(network, &units, &truth, frozen, &validation_input),
        Some(_) if truth.is_empty() => Ok(None),
        Some(config) => gallery::validate(network, &gallery(network, config)?, &truth, &validation_input, frozen),
    };
    let data = Data { plan: &plan, source, shared: frozen, validate: &validate };

    // The training itself.
    let preparation = started.elapsed().as_secs_f64();
    let mut trainer = Trainer::new((network, store), &architecture, config, units, seed, &checkpoint_folder)?;
    if job.resume {
        trainer.resume()?;
    }
    let trained = trainer.run(&data, progress, keep_going);
    write_log(&job.out.join(LOG_FILE), trainer.state())?;
    trained?;
    let (network, store, state) = trainer.into_network();

    // The model folder.
    let weights = job.out.join(WEIGHTS_FILE);
    let sha256 = checkpoint::save(&store, &weights, config.precision)?;
    checkpoint::load(&store, &weights)?;
    let gallery = match architecture.gallery {
        Some(config) => Some(gallery(&network, config)?),
        None => None,
    };
    let parameters = store.variables().values().map(|variable| variable.numel() as u64).sum();
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: job.name.clone(),
        created_by: format!("vloc {}", env!("CARGO_PKG_VERSION")),
        licence: job.licence.clone(),
        network: architecture.clone(),
        camera,
        map_frame: "map".to_owned(),
        map_from_normalized: units,
        max_pair_interval: plan.max_interval(frames),
        training: record(dataset, &split, job, &state),
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
        weights: WeightsRecord { precision: config.precision, sha256, parameters },
        gallery: match &gallery {
            Some(gallery) => Some(gallery.save(&job.out)?),
            None => None,
        },
    };
    let mut regressor = PoseRegressor::from_parts(card.clone(), network, store);
    if let Some(gallery) = gallery {
        regressor = regressor.with_gallery(gallery);
    }
    let card = calibrate(card, regressor, &pixels, frames, &split.validation, progress)?;
    card.write(&job.out)?;
    write_yaml(&job.out.join(TIMING_FILE), &Timing::new(preparation + state.seconds, device))?;
    fs::remove_dir_all(&checkpoint_folder).map_err(Error::io("remove", &checkpoint_folder))?;
    Ok(card)
}

/// `count` of the items, or all when there are fewer, evenly spread over their order.
fn spread<T: Copy>(items: &[T], count: usize) -> Vec<T> {
    let count = count.min(items.len());
    (0..count).map(|index| items[(2 * index + 1) * items.len() / (2 * count)]).collect()
}

/// The poses whose positions become anchors.
fn anchor_poses(poses: &[Se3], count: usize) -> Result<Vec<Se3>> {
    match poses.len() < count {
        true => {
            let expected = format!("at most {}, one per training frame", poses.len());
            Err(Error::config("network.anchors.count", expected, count.to_string()))
        }
        false => Ok(spread(poses, count)),
    }
}

/// Creates the folder and notes the settings in it, or compares them with those of the run to be resumed.
fn prepare_folder(job: &Job) -> Result<PathBuf> {
    let (config_path, split_path) = (job.out.join(CONFIG_FILE), job.out.join(SPLIT_FILE));
    let checkpoint_folder = job.out.join(CHECKPOINT_FOLDER);
    let unfinished = RunState::exists(&checkpoint_folder);
    let folder = job.out.display();
    match (job.resume, unfinished) {
        (true, false) => return Err(Error::config("resume", "an unfinished run", format!("none in {folder}"))),
        (false, true) => {
            let found = format!("an unfinished run in {folder}; give --resume, or remove the folder");
            return Err(Error::config("out", "a new folder", found));
        }
        (true, true) => {
            let config: TrainingConfig = load_yaml(&config_path)?;
            let split: SplitRule = load_yaml(&split_path)?;
            if config != job.config || split != job.split {
                let found = format!("other settings than in {folder}/{CONFIG_FILE} and {SPLIT_FILE}");
                return Err(Error::config("resume", "the settings the run began with", found));
            }
        }
        (false, false) => {
            fs::create_dir_all(&job.out).map_err(Error::io("create", &job.out))?;
            write_yaml(&config_path, &job.config)?;
            write_yaml(&split_path, &job.split)?;
        }
    }
    Ok(checkpoint_folder)
}

fn write_yaml(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_yaml::to_string(value).map_err(|error| Error::compute("writing the configuration", error))?;
    fs::write(path, text).map_err(Error::io("write", path))
}

/// The epochs so far as CSV.
fn write_log(path: &Path, state: &RunState) -> Result<()> {
    let mut text = "epoch,pose_loss,odometry_loss,validation_median_m,validation_median_deg\n".to_owned();
    for record in &state.history {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
        let metres = record.validation.map(|errors| errors.median_translation);
        let degrees = record.validation.map(|errors| errors.median_rotation.to_degrees());
        let (odometry, metres, degrees) = (number(record.odometry_loss), number(metres), number(degrees));
        let _ = writeln!(text, "{},{:.6},{odometry},{metres},{degrees}", record.epoch, record.pose_loss);
    }
    fs::write(path, text).map_err(Error::io("write", path))
}

fn record(dataset: &dyn Dataset, split: &Split, job: &Job, state: &RunState) -> TrainingRecord {
    let mut hasher = Sha256::new();
    for &index in &split.train {
        let FrameInfo { name, stamp, map_from_camera: pose, .. } = &dataset.frames()[index];
        hasher.update(name.as_bytes());
        hasher.update(stamp.as_nanos().to_le_bytes());
        let numbers = pose.translation.iter().copied().chain(pose.rotation.to_xyzw());
        numbers.for_each(|number| hasher.update(number.to_le_bytes()));
    }
    let file_name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    TrainingRecord {
        dataset: dataset.name().to_owned(),
        dataset_sha256: hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        frames: split.train.len(),
        command: job.command.clone(),
        seed: job.seed,
        epochs: state.best.map_or(0, |(epoch, _)| epoch),
        pretrained: job.pretrained.as_ref().and_then(file_name).unwrap_or_default(),
    }
}

/// Runs the model as it will run, in order over the validation frames, and fits the factors of its covariances.
fn calibrate(
    mut card: ModelCard,
    mut regressor: PoseRegressor,
    pixels: &Pixels,
    frames: &[FrameInfo],
    validation: &[usize],
    progress: Progress,
) -> Result<ModelCard> {
    let (mut fits, mut poses) = (Vec::<(Matrix6, Vector6)>::new(), Vec::new());
    for &index in validation {
        let frame = PixelFrame { stamp: frames[index].stamp, pixels: pixels.plain(index).0.clone() };
        let estimate = regressor.regress_uncalibrated(&frame)?;
        let truth = frames[index].map_from_camera;
        fits.push((estimate.covariance, estimate.map_from_camera.local(truth)));
        poses.push((estimate.map_from_camera, truth));
    }
    if let Some(errors) = ValidationErrors::of(&poses) {
        card.validation = ValidationRecord {
            frames: errors.frames,
            median_translation_error: errors.median_translation,
            median_rotation_error: errors.median_rotation,
        };
    }
    match fits.len() < MIN_CALIBRATION_FRAMES {
        true => progress.note(&format!(
            "warning: {} validation frames are too few to calibrate covariances; give the split a validation block",
            fits.len()
        )),
        false => card.calibration = Calibration::fit(&fits)?,
    }
    Ok(card)
}
