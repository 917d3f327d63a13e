//! The way from a dataset to a model folder.
//!
//! The folder holds, beside the model itself: `training.yaml` (the effective configuration), `split.yaml`, `log.csv` (a
//! line per epoch), `timing.yaml` and `checkpoint/` (to go on after an interruption; removed when the training is done).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tch::nn::VarStore;

use super::config::TrainingConfig;
use super::features::FeatureCache;
use super::pairs::PairPlan;
use super::pixels::Pixels;
use super::scene_labels::{SceneLabels, with_classes};
use super::scene_points::ScenePoints;
use super::segmentation::segmentation;
use super::state::RunState;
use super::supervised::Supervised;
use super::trainer::{Data, Trainer};
use super::validation::{ValidationErrors, validate};
use crate::config::load_yaml;
use crate::dataset::{Dataset, FrameInfo, Split, SplitRule};
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::network::device::describe;
use crate::network::input::input_tensor;
use crate::network::{
    AnchorsConfig, Calibration, Device, MapFromNormalized, ModelCard, PixelFrame, PoseNetwork, PoseRegressor,
    PoseTensor, SCHEMA_VERSION, TrainingRecord, ValidationRecord, WEIGHTS_FILE, WeightsRecord, checkpoint,
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
    let architecture = with_classes(architecture, dataset)?;
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
    let plan = PairPlan::new(frames, &split.train, config.max_skip, seed)?;
    let poses =
        |indices: &[usize]| -> Vec<Se3> { indices.iter().map(|&index| frames[index].map_from_camera).collect() };
    let units = MapFromNormalized::fit(&poses(&split.train))?;
    if let Some(AnchorsConfig { count }) = architecture.anchors {
        let anchors = PoseTensor::from_poses(&spread(&poses(&split.train), count)?, &units, device);
        network.place_anchors(&anchors.translation_b3);
    }
    let points = config
        .reprojection
        .map(|reprojection| ScenePoints::load(dataset, &split.train, reprojection.points, &units, seed, &progress));
    let points = points.transpose()?;
    let camera = network_camera(dataset.camera(), architecture.input.width, architecture.input.height);
    let used: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
    let pixels = Pixels::load(dataset, &used, camera, config, &progress)?;
    let pixels = match config.synthetic_views {
        Some(views) => pixels.with_synthetic_views(dataset, &split.train, views, config, seed, &progress)?,
        None => pixels,
    };
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
    let labels = |frames: &[usize]| SceneLabels::load(dataset, frames, &pixels, &progress);
    let labelled = architecture.semantics.as_ref().map(|_| labels(&split.train)).transpose()?;
    let source = Supervised { inputs: source, points, labels: labelled };
    let truth = poses(&split.validation);
    let validation_input = |rows: std::ops::Range<usize>| match &validation_cache {
        Some(cache) => Ok(cache.plain(&split.validation[rows]).to_device(device)),
        None => {
            let images: Vec<_> = split.validation[rows].iter().map(|&frame| pixels.plain(frame).0).collect();
            let input = input_tensor(&images, architecture.input, &architecture.normalization, device)?;
            Ok(match architecture.crop {
                Some(crop) => crop.middle(&input, architecture.input),
                None => input,
            })
        }
    };
    let validate = |network: &PoseNetwork| validate(network, &units, &truth, config.freeze_trunk, &validation_input);
    let data = Data { plan: &plan, source: &source, shared: config.freeze_trunk, validate: &validate };

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
    let validation = &split.validation;
    let segmented = match &architecture.semantics {
        Some(semantics) => segmentation(&network, semantics, &labels(validation)?, validation, &validation_input)?,
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
        validation: ValidationRecord { segmentation: segmented, ..ValidationRecord::default() },
        calibration: Calibration::unfitted(),
        weights: WeightsRecord { precision: config.precision, sha256, parameters },
    };
    let card = calibrate(card, (network, store), &pixels, frames, &split.validation, progress)?;
    card.write(&job.out)?;
    write_yaml(&job.out.join(TIMING_FILE), &Timing::new(preparation + state.seconds, device))?;
    fs::remove_dir_all(&checkpoint_folder).map_err(Error::io("remove", &checkpoint_folder))?;
    Ok(card)
}

/// `count` of the poses, evenly spread over their order.
fn spread(poses: &[Se3], count: usize) -> Result<Vec<Se3>> {
    match poses.len() < count {
        true => {
            let expected = format!("at most {}, one per training frame", poses.len());
            Err(Error::config("network.anchors.count", expected, count.to_string()))
        }
        false => Ok((0..count).map(|index| poses[(2 * index + 1) * poses.len() / (2 * count)]).collect()),
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
    (network, store): (PoseNetwork, VarStore),
    pixels: &Pixels,
    frames: &[FrameInfo],
    validation: &[usize],
    progress: Progress,
) -> Result<ModelCard> {
    let mut regressor = PoseRegressor::from_parts(card.clone(), network, store);
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
            ..card.validation
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
