//! The way from a dataset to a model folder.
//!
//! The folder holds, beside the model itself (`model.yaml`, `weights.safetensors`, of an ensemble also `members/`):
//! `training.yaml` (the effective configuration), `split.yaml`, `log.csv` (a line per epoch), `timing.yaml` and
//! `checkpoint/` (to go on after an interruption; removed when the training is done).

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tch::nn::VarStore;

use super::average::put;
use super::batch::Source;
use super::calibrate::calibrate;
use super::config::{PairRule, TrainingConfig};
use super::fine_tune::{FineTuning, Start, Units};
use super::frustum::Frustum;
use super::gallery::{self, Compared};
use super::material::{Learner, Material};
use super::pairs::{PairPlan, spread};
use super::scene_labels::{SceneLabels, with_classes};
use super::scene_points::ScenePoints;
use super::segmentation::segmentation;
use super::state::RunState;
use super::supervised::Supervised;
use super::trainer::{Data, Snapshot, Trainer};
use super::validation::validate;
use super::video::{Footage, Video};
use crate::config::load_yaml;
use crate::dataset::{Dataset, FrameInfo, Split, SplitRule};
use crate::geometry::Se3;
use crate::network::device::describe;
use crate::network::{
    AnchorsConfig, Calibration, Device, GALLERY_FILE, MEMBERS_FOLDER, MapFromNormalized, MemberRecord, ModelCard,
    NetworkConfig, PoseNetwork, PoseRegressor, PoseTensor, SCHEMA_VERSION, TrainingRecord, ValidationRecord,
    WEIGHTS_FILE, WeightsRecord, checkpoint,
};
use crate::progress::Progress;
use crate::vision::network_camera;
use crate::{Error, Result};

pub(super) const CONFIG_FILE: &str = "training.yaml";
pub(super) const SPLIT_FILE: &str = "split.yaml";
const LOG_FILE: &str = "log.csv";
const TIMING_FILE: &str = "timing.yaml";
const CHECKPOINT_FOLDER: &str = "checkpoint";

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
    /// A finished model whose weights it starts from.
    pub from: Option<FineTuning>,
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
    train_with_video(dataset, None, job, progress, keep_going)
}

/// [`train`], which also learns from the motions of a video without labels where [`TrainingConfig::unlabelled`] says how.
///
/// # Errors
/// Those of [`train`]; [`Error::Config`] for a video without settings or settings without a video, and one that cannot be
/// learned from: validation frames in it, poses that are not finite, frames too few or too far apart, or a camera that sees
/// too little of the network's picture.
pub fn train_with_video(
    dataset: &dyn Dataset,
    video: Option<&Video>,
    job: &Job,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<ModelCard> {
    let config = &job.config;
    config.check()?;
    let architecture = config.network.clone().ok_or_else(|| Error::config("network", "an architecture", "none"))?;
    config.check_with(&architecture)?;
    let architecture = with_classes(architecture, dataset)?;
    let started = Instant::now();
    let frames = dataset.frames();
    let split = job.split.split(dataset)?;
    let read = |tuning: &FineTuning| Start::read(tuning, &architecture, dataset.camera(), &progress);
    let start = job.from.as_ref().map(read).transpose()?;
    let seed = job.seed;
    let NetworkConfig { input, .. } = &architecture;
    let of_dataset = || network_camera(dataset.camera(), input.width, input.height);
    let camera = start.as_ref().map_or_else(of_dataset, Start::camera);
    let footage = Footage::check(video, (config, seed), (dataset, &split), &camera, &progress)?;

    // The network starts from its seed, then from the given weights.
    let device = job.device.resolve()?;
    tch::manual_seed(seed as i64);
    let store = VarStore::new(device);
    let network = PoseNetwork::new(&store.root(), &architecture)?;
    if let Some(path) = &job.pretrained {
        let report = checkpoint::load_pretrained(&store, path)?;
        progress.note(&format!("{} variables start from {}", report.loaded.len(), path.display()));
    }
    if let Some(start) = &start {
        start.load(&store)?;
    }
    let checkpoint_folder = prepare_folder(job)?;
    footage.as_ref().map(|footage| footage.note(&job.out, job.resume)).transpose()?;

    // What it learns from.
    let poses =
        |indices: &[usize]| -> Vec<Se3> { indices.iter().map(|&index| frames[index].map_from_camera).collect() };
    let units = match &start {
        Some(start) => start.units(&poses(&split.train))?,
        None => MapFromNormalized::fit(&poses(&split.train))?,
    };
    let keeps_anchors = job.from.as_ref().is_some_and(|tuning| tuning.units == Units::Kept);
    if let (Some(AnchorsConfig { count }), false) = (architecture.anchors, keeps_anchors) {
        let anchors = PoseTensor::from_poses(&anchor_poses(&poses(&split.train), count)?, &units, device);
        network.place_anchors(&anchors.translation_b3);
    }
    let plan = match config.pairs {
        PairRule::Consecutive => PairPlan::new(frames, &split.train, config.max_skip, seed)?,
        PairRule::Overlapping { overlap, distance, near, far } => {
            let frustum = Frustum::new(&camera, near, far);
            PairPlan::overlapping(frames, &split.train, frustum, (overlap, distance), seed)?
        }
    };
    let points = config
        .reprojection
        .map(|reprojection| ScenePoints::load(dataset, &split.train, reprojection.points, &units, seed, &progress));
    let points = points.transpose()?;
    let learner = Learner { network: &network, architecture: &architecture, device };
    let material = Material::prepare((dataset, &split), camera, learner, (config, seed), progress, keep_going)?;
    let unlabelled = |footage: &Footage| footage.material(camera, learner, (config, seed), progress, keep_going);
    let unlabelled = footage.as_ref().map(unlabelled).transpose()?;
    let labels = |frames: &[usize]| SceneLabels::load(dataset, frames, material.pixels(), &progress);
    let labelled = architecture.semantics.as_ref().map(|_| labels(&split.train)).transpose()?;
    let source = Supervised { inputs: &material, points, labels: labelled };
    let truth = poses(&split.validation);
    let frozen = config.freeze_trunk;
    let validation_input = |rows: Range<usize>| material.validation_input(rows);
    let compared =
        architecture.gallery.map(|gallery| Compared::choose(gallery, (frames, &split.train), &material, units));
    if let Some(compared) = &compared {
        compared.check(&network, frozen)?;
    }
    let validate = |network: &PoseNetwork| match &compared {
        None => validate(network, &units, &truth, frozen, &validation_input),
        Some(_) if truth.is_empty() => Ok(None),
        Some(compared) => {
            gallery::validate(network, &compared.fill(network, frozen)?, &truth, &validation_input, frozen)
        }
    };
    let video = footage.as_ref().zip(unlabelled.as_ref());
    let video = video.map(|(footage, material)| (&footage.plan, material as &dyn Source));
    let data = Data { plan: &plan, source: &source, shared: frozen, validate: &validate, video };

    // The training itself.
    let preparation = started.elapsed().as_secs_f64();
    let mut trainer = Trainer::new((network, store), &architecture, config, units, seed, &checkpoint_folder)?;
    if job.resume {
        trainer.resume()?;
    }
    let trained = trainer.run(&data, progress, keep_going);
    write_log(&job.out.join(LOG_FILE), trainer.state())?;
    trained?;
    let snapshots = trainer.snapshots();
    let (network, store, state) = trainer.into_network();

    // The model folder.
    let (weights, members) = write_members(&store, &snapshots, job)?;
    checkpoint::load(&store, &job.out.join(WEIGHTS_FILE))?;
    let validation = &split.validation;
    let segmented = match &architecture.semantics {
        Some(semantics) => segmentation(&network, semantics, &labels(validation)?, validation, &validation_input)?,
        None => None,
    };
    let gallery = match &compared {
        Some(compared) => Some(compared.fill(&network, frozen)?.save(&job.out.join(GALLERY_FILE))?),
        None => None,
    };
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: job.name.clone(),
        created_by: format!("vloc {}", env!("CARGO_PKG_VERSION")),
        licence: job.licence.clone(),
        network: architecture.clone(),
        camera,
        map_frame: start.as_ref().map_or("map", Start::map_frame).to_owned(),
        map_from_normalized: units,
        max_pair_interval: plan.max_interval(frames),
        training: TrainingRecord {
            unlabelled: footage.map(|footage| footage.record),
            ..record(dataset, &split, job, &snapshots, start.as_ref())
        },
        validation: ValidationRecord { segmentation: segmented, ..ValidationRecord::default() },
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        weights,
        members,
        gallery,
        cross_fitted: false,
    };
    let regressor = PoseRegressor::load_with(card, &job.out, device)?;
    let image = |index: usize| Ok(material.pixels().plain(index).0.clone());
    let card = calibrate(regressor, frames, &split.validation, &image, progress)?;
    card.write(&job.out)?;
    write_yaml(&job.out.join(TIMING_FILE), &Timing::new(preparation + state.seconds, device))?;
    fs::remove_dir_all(&checkpoint_folder).map_err(Error::io("remove", &checkpoint_folder))?;
    Ok(card)
}

/// Writes the weights of the members of the model, the best first, and returns what the card says of them.
fn write_members(store: &VarStore, snapshots: &[Snapshot], job: &Job) -> Result<(WeightsRecord, Vec<MemberRecord>)> {
    let precision = job.config.precision;
    let folder = job.out.join(MEMBERS_FOLDER);
    if snapshots.len() > 1 {
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let write = |(snapshot, file): (&Snapshot, PathBuf)| {
        put(store, &snapshot.weights);
        checkpoint::save(store, &job.out.join(file), precision)
    };
    let files = std::iter::once(PathBuf::from(WEIGHTS_FILE)).chain((0..).map(ModelCard::member_file));
    let mut hashes = snapshots.iter().zip(files).map(write).collect::<Result<Vec<_>>>()?.into_iter();
    let parameters = store.variables().values().map(|variable| variable.numel() as u64).sum();
    let weights = WeightsRecord { precision, sha256: hashes.next().unwrap_or_default(), parameters };
    let further = hashes.zip(snapshots.iter().skip(1));
    let member = |(sha256, snapshot): (String, &Snapshot)| MemberRecord {
        sha256,
        seed: job.seed,
        epochs: snapshot.epoch,
        map_from_normalized: None,
        gallery: None,
    };
    Ok((weights, further.map(member).collect()))
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
    if job.from.as_ref().is_some_and(|tuning| is_same(&tuning.model, &job.out)) {
        let found = format!("{}, which it goes on from", job.out.display());
        return Err(Error::config("out", "another folder than the model's", found));
    }
    let (config_path, split_path) = (job.out.join(CONFIG_FILE), job.out.join(SPLIT_FILE));
    let checkpoint_folder = job.out.join(CHECKPOINT_FOLDER);
    let folder = job.out.display();
    check_folder(&job.out, job.resume)?;
    match job.resume {
        true => {
            let config: TrainingConfig = load_yaml(&config_path)?;
            let split: SplitRule = load_yaml(&split_path)?;
            if config != job.config || split != job.split {
                let found = format!("other settings than in {folder}/{CONFIG_FILE} and {SPLIT_FILE}");
                return Err(Error::config("resume", "the settings the run began with", found));
            }
        }
        false => {
            fs::create_dir_all(&job.out).map_err(Error::io("create", &job.out))?;
            write_yaml(&config_path, &job.config)?;
            write_yaml(&split_path, &job.split)?;
        }
    }
    Ok(checkpoint_folder)
}

/// Whether a training may begin in a folder, or go on in it.
///
/// # Errors
/// [`Error::Config`] when there is an unfinished run and `resume` is off, or none and it is on.
pub fn check_folder(out: &Path, resume: bool) -> Result<()> {
    let folder = out.display();
    match (resume, RunState::exists(&out.join(CHECKPOINT_FOLDER))) {
        (true, false) => Err(Error::config("resume", "an unfinished run", format!("none in {folder}"))),
        (false, true) => {
            let found = format!("an unfinished run in {folder}; give --resume, or remove the folder");
            Err(Error::config("out", "a new folder", found))
        }
        _ => Ok(()),
    }
}

/// The settings that a training in a folder began with.
///
/// # Errors
/// [`Error::Io`] when there are none; [`Error::Format`] when they are something else.
pub fn recorded_config(out: &Path) -> Result<TrainingConfig> {
    load_yaml(&out.join(CONFIG_FILE))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(one).is_some() && real(one) == real(other)
}

pub(super) fn write_yaml(path: &Path, value: &impl serde::Serialize) -> Result<()> {
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

fn record(
    dataset: &dyn Dataset,
    split: &Split,
    job: &Job,
    snapshots: &[Snapshot],
    start: Option<&Start>,
) -> TrainingRecord {
    let file_name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    TrainingRecord {
        dataset: dataset.name().to_owned(),
        dataset_sha256: frames_sha256(dataset.frames(), &split.train),
        frames: split.train.len(),
        command: job.command.clone(),
        seed: job.seed,
        epochs: snapshots.first().map_or(0, |snapshot| snapshot.epoch),
        pretrained: job.pretrained.as_ref().and_then(file_name).unwrap_or_default(),
        origin: start.map(Start::record),
        unlabelled: None,
    }
}

/// The SHA-256 over names, stamps and poses of some frames, hexadecimal.
pub(super) fn frames_sha256(frames: &[FrameInfo], indices: &[usize]) -> String {
    let mut hasher = Sha256::new();
    for &index in indices {
        let FrameInfo { name, stamp, map_from_camera: pose, .. } = &frames[index];
        hasher.update(name.as_bytes());
        hasher.update(stamp.as_nanos().to_le_bytes());
        let numbers = pose.translation.iter().copied().chain(pose.rotation.to_xyzw());
        numbers.for_each(|number| hasher.update(number.to_le_bytes()));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
