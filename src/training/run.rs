//! The way from a dataset to a model folder.
//!
//! The folder holds, beside the model itself (`model.yaml`, `weights.safetensors`, of an ensemble also `members/`):
//! `training.yaml` (the effective configuration), `split.yaml`, `log.csv` (a line per epoch), `timing.yaml` and
//! `checkpoint/` (to go on after an interruption; removed when the training is done), of several scenes also `scenes.yaml`,
//! their names in order.

use std::fmt::Write as _;
use std::fs;
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
use super::judge::{self, Judge};
use super::material::{Learner, Material};
use super::pairs::{PairPlan, spread};
use super::scene_coordinates;
use super::scene_labels::{SceneLabels, with_classes};
use super::scene_points::ScenePoints;
use super::scenes::{Scene, SceneDataset, SceneSource, Scenes, with_scenes};
use super::state::{EpochRecord, RunState};
use super::supervised::Supervised;
use super::trainer::{Data, Snapshot, Trainer};
use super::video::{Footage, Video};
use crate::config::load_yaml;
use crate::dataset::{Dataset, FrameInfo, SplitRule};
use crate::geometry::Se3;
use crate::network::device::describe;
use crate::network::{
    AnchorsConfig, Calibration, Device, GALLERY_FILE, MEMBERS_FOLDER, MapFromNormalized, MemberRecord, ModelCard,
    NetworkConfig, PoseNetwork, PoseRegressor, PoseTensor, SCHEMA_VERSION, SceneRecord, TrainingRecord,
    ValidationRecord, WEIGHTS_FILE, WeightsRecord, checkpoint,
};
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::vision::network_camera;
use crate::{Error, Result};

pub(super) const CONFIG_FILE: &str = "training.yaml";
pub(super) const SPLIT_FILE: &str = "split.yaml";
/// The names of the scenes in their order, where there are several.
const SCENES_FILE: &str = "scenes.yaml";
pub(super) const LOG_FILE: &str = "log.csv";
pub(super) const TIMING_FILE: &str = "timing.yaml";
const CHECKPOINT_FOLDER: &str = "checkpoint";

/// How long a training took, and where: beside the card, which two equal trainings share.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Timing {
    seconds: f64,
    device: String,
    threads: i32,
}

impl Timing {
    pub(super) fn new(seconds: f64, device: tch::Device) -> Self {
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
    train_scenes(&[SceneDataset { name: dataset.name().to_owned(), dataset }], job, progress, keep_going)
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
    train_on(&[SceneDataset { name: dataset.name().to_owned(), dataset }], video, job, progress, keep_going)
}

/// The same on several scenes, in one model: each dataset is a scene, divided by the rule of the job, with a camera, units
/// and a map of its own. One dataset is a model that knows one place.
///
/// # Errors
/// As [`train`]; [`Error::Config`] for scenes of one name, an architecture that knows one place, and a model to go on from.
pub fn train_scenes(
    datasets: &[SceneDataset],
    job: &Job,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<ModelCard> {
    train_on(datasets, None, job, progress, keep_going)
}

fn train_on(
    datasets: &[SceneDataset],
    video: Option<&Video>,
    job: &Job,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<ModelCard> {
    let started = Instant::now();
    let architecture = architecture(datasets, job)?;
    if let (Some(_), [scene]) = (architecture.scene_coordinates(), datasets) {
        return scene_coordinates::train(scene, video.is_some(), (job, &architecture), progress, keep_going);
    }
    let (config, seed) = (&job.config, job.seed);
    let scenes = Scenes::new(datasets, &job.split)?;
    let (frames, first) = (scenes.frames(), scenes.first());
    let read = |tuning: &FineTuning| Start::read(tuning, &architecture, first.dataset.camera(), &progress);
    let start = job.from.as_ref().map(read).transpose()?;
    let place = |scene: &Scene| Place::of(scene, &architecture, start.as_ref());
    let places = scenes.iter().map(place).collect::<Result<Vec<_>>>()?;
    let camera = places[0].camera;
    let footage = Footage::check(video, (config, seed), (first.dataset, &first.split), &camera, &progress)?;
    let device = job.device.resolve()?;
    let (network, store) = initial_network(&architecture, start.as_ref(), job, device, &progress)?;
    let checkpoint_folder = prepare_folder(job, &scenes)?;
    footage.as_ref().map(|footage| footage.note(&job.out, job.resume)).transpose()?;

    // What it learns from.
    let units: Vec<MapFromNormalized> = places.iter().map(|place| place.units).collect();
    place_anchors(&network, &architecture, (&first.train_poses(), &units[0]), job, device)?;
    let plan = pair_plan(&scenes, &camera, job)?;
    let points = config.reprojection.map(|reprojection| {
        ScenePoints::load(first.dataset, &first.split.train, reprojection.points, &units[0], seed, &progress)
    });
    let points = points.transpose()?;
    scenes.check_memory(&architecture, config)?;
    let learner = Learner { network: &network, architecture: &architecture, device };
    let prepare = |(scene, place): (&Scene, &Place)| {
        let frames = (scene.dataset, &scene.split);
        Material::prepare(frames, place.camera, learner, (config, seed), progress, keep_going)
    };
    let materials = scenes.iter().zip(&places).map(prepare).collect::<Result<Vec<_>>>()?;
    let unlabelled = |footage: &Footage| footage.material(camera, learner, (config, seed), progress, keep_going);
    let unlabelled = footage.as_ref().map(unlabelled).transpose()?;
    let labels = |frames: &[usize]| SceneLabels::load(first.dataset, frames, materials[0].pixels(), &progress);
    let labelled = architecture.semantics.as_ref().map(|_| labels(&first.split.train)).transpose()?;
    let inputs = SceneSource { scenes: &scenes, materials: &materials };
    let source = Supervised { inputs: &inputs, points, labels: labelled };
    let judged = scenes.iter().zip(&materials).zip(&units);
    let judges: Vec<Judge> =
        judged.map(|((scene, material), units)| Judge::new(material, scene, *units, &architecture, config)).collect();
    judges.iter().try_for_each(|judge| judge.check(&network))?;
    let validate = |network: &PoseNetwork| judge::errors(&judges, network);
    let video = footage.as_ref().zip(unlabelled.as_ref());
    let video = video.map(|(footage, material)| (&footage.plan, material as &dyn Source));
    let data = Data { plan: &plan, source: &source, shared: config.freeze_trunk, validate: &validate, video };

    // The training itself.
    let preparation = started.elapsed().as_secs_f64();
    let trainer = Trainer::new((network, store), &architecture, config, units[0], seed, &checkpoint_folder)?;
    let mut trainer = trainer.with_scenes(units);
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
    let segmented = match &architecture.semantics {
        Some(semantics) => judges[0].segmentation(&network, semantics, &labels(&first.split.validation)?)?,
        None => None,
    };
    let gallery = judges[0].gallery(&network)?.map(|gallery| gallery.save(&job.out.join(GALLERY_FILE))).transpose()?;
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: job.name.clone(),
        created_by: format!("vloc {}", env!("CARGO_PKG_VERSION")),
        licence: job.licence.clone(),
        network: architecture.clone(),
        camera: places[0].camera,
        map_frame: places[0].map_frame.clone(),
        map_from_normalized: places[0].units,
        max_pair_interval: plan.max_interval(frames),
        training: TrainingRecord {
            unlabelled: footage.map(|footage| footage.record),
            ..record(&scenes, job, snapshots.first().map_or(0, |snapshot| snapshot.epoch), start.as_ref())
        },
        validation: ValidationRecord { segmentation: segmented, ..ValidationRecord::default() },
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        references: None,
        weights,
        members,
        gallery,
        large_place: None,
        cross_fitted: false,
        scenes: scene_records(&scenes, &places),
    };
    let card = calibrate_scenes(card, (&scenes, &materials), &job.out, device, progress)?;
    card.write(&job.out)?;
    write_yaml(&job.out.join(TIMING_FILE), &Timing::new(preparation + state.seconds, device))?;
    fs::remove_dir_all(&checkpoint_folder).map_err(Error::io("remove", &checkpoint_folder))?;
    Ok(card)
}

/// The architecture of a job, with as many scenes as there are datasets, and the classes of the dataset, when all of its
/// settings go together.
fn architecture(datasets: &[SceneDataset], job: &Job) -> Result<NetworkConfig> {
    job.config.check()?;
    let none = || Error::config("network", "an architecture", "none");
    let architecture = job.config.network.clone().ok_or_else(none)?;
    let architecture = with_scenes(architecture, datasets.len())?;
    job.config.check_with(&architecture)?;
    if datasets.len() > 1 && job.from.is_some() {
        let found =
            format!("a model, and {} datasets; several scenes are learned together from the start", datasets.len());
        return Err(Error::config("from", "none with several datasets", found));
    }
    match datasets {
        [SceneDataset { dataset, .. }] => with_classes(architecture, *dataset),
        _ => Ok(architecture),
    }
}

/// The records of the scenes, where there are several; nothing is known of their errors yet.
fn scene_records(scenes: &Scenes, places: &[Place]) -> Vec<SceneRecord> {
    if !scenes.are_several() {
        return Vec::new();
    }
    let record = |(scene, place): (&Scene, &Place)| SceneRecord {
        name: scene.name.clone(),
        dataset: scene.dataset.name().to_owned(),
        frames: scene.split.train.len(),
        camera: place.camera,
        map_frame: place.map_frame.clone(),
        map_from_normalized: place.units,
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
    };
    scenes.iter().zip(places).map(record).collect()
}

/// The card with what the finished model does on the validation frames of each scene.
fn calibrate_scenes(
    mut card: ModelCard,
    (scenes, materials): (&Scenes, &[Material]),
    folder: &Path,
    device: tch::Device,
    progress: Progress,
) -> Result<ModelCard> {
    for (index, (scene, material)) in scenes.iter().zip(materials).enumerate() {
        let regressor = PoseRegressor::load_with(card, folder, device)?;
        let regressor = regressor.in_scene(scenes.are_several().then_some(index));
        let image = |index: usize| Ok(material.pixels().plain(index).0.clone());
        card = calibrate(regressor, scene.dataset.frames(), &scene.split.validation, &image, progress)?;
    }
    Ok(card)
}

/// The network as it starts: from its seed, then from the given weights.
pub(super) fn initial_network(
    architecture: &NetworkConfig,
    start: Option<&Start>,
    job: &Job,
    device: tch::Device,
    progress: &Progress,
) -> Result<(PoseNetwork, VarStore)> {
    tch::manual_seed(job.seed as i64);
    let store = VarStore::new(device);
    let network = PoseNetwork::new(&store.root(), architecture)?;
    if let Some(path) = &job.pretrained {
        let report = checkpoint::load_pretrained(&store, path)?;
        progress.note(&format!("{} variables start from {}", report.loaded.len(), path.display()));
    }
    if let Some(start) = start {
        start.load(&store)?;
    }
    Ok((network, store))
}

/// What the network's numbers mean in the world: the camera of its input, the units and the frame of its poses.
struct Place {
    camera: CameraModel,
    units: MapFromNormalized,
    map_frame: String,
}

impl Place {
    /// Those of the model that is gone on from, or what suits the dataset.
    fn of(scene: &Scene, architecture: &NetworkConfig, start: Option<&Start>) -> Result<Self> {
        let train_poses = scene.train_poses();
        let (units, camera) = match start {
            Some(start) => (start.units(&train_poses)?, start.camera()),
            None => {
                let (input, source) = (architecture.input, scene.dataset.camera());
                (MapFromNormalized::fit(&train_poses)?, network_camera(source, input.width, input.height))
            }
        };
        Ok(Self { camera, units, map_frame: start.map_or("map", Start::map_frame).to_owned() })
    }
}

/// Puts the anchors of a network that has some among the training positions, unless it goes on in the same units.
fn place_anchors(
    network: &PoseNetwork,
    architecture: &NetworkConfig,
    (train_poses, units): (&[Se3], &MapFromNormalized),
    job: &Job,
    device: tch::Device,
) -> Result<()> {
    let keeps_anchors = job.from.as_ref().is_some_and(|tuning| tuning.units == Units::Kept);
    if let (Some(AnchorsConfig { count }), false) = (architecture.anchors, keeps_anchors) {
        let anchors = PoseTensor::from_poses(&anchor_poses(train_poses, count)?, units, device);
        network.place_anchors(&anchors.translation_b3);
    }
    Ok(())
}

/// Which of the training frames meet.
fn pair_plan(scenes: &Scenes, camera: &CameraModel, job: &Job) -> Result<PairPlan> {
    let (frames, train) = (scenes.frames(), scenes.train());
    match job.config.pairs {
        PairRule::Consecutive => PairPlan::new(frames, train, job.config.max_skip, job.seed),
        PairRule::Overlapping { overlap, distance, near, far } => {
            PairPlan::overlapping(frames, train, Frustum::new(camera, near, far), (overlap, distance), job.seed)
        }
    }
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
pub(super) fn prepare_folder(job: &Job, scenes: &Scenes) -> Result<PathBuf> {
    if job.from.as_ref().is_some_and(|tuning| is_same(&tuning.model, &job.out)) {
        let found = format!("{}, which it goes on from", job.out.display());
        return Err(Error::config("out", "another folder than the model's", found));
    }
    let (config_path, split_path) = (job.out.join(CONFIG_FILE), job.out.join(SPLIT_FILE));
    let (scenes_path, names) = (job.out.join(SCENES_FILE), scenes.names());
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
            let known: Vec<String> = if scenes_path.exists() { load_yaml(&scenes_path)? } else { Vec::new() };
            let several: &[&str] = if scenes.are_several() { &names } else { &[] };
            if known != several {
                let expected = format!("the scenes the run began with: [{}]", known.join(", "));
                return Err(Error::config("resume", expected, format!("[{}]", names.join(", "))));
            }
        }
        false => {
            fs::create_dir_all(&job.out).map_err(Error::io("create", &job.out))?;
            write_yaml(&config_path, &job.config)?;
            write_yaml(&split_path, &job.split)?;
            if scenes.are_several() {
                write_yaml(&scenes_path, &names)?;
            }
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
    let of_scenes = |record: &EpochRecord| record.validation.and_then(|errors| errors.scenes);
    let several = state.history.iter().any(|record| of_scenes(record).is_some());
    let mut text = "epoch,pose_loss,odometry_loss,validation_median_m,validation_median_deg".to_owned();
    text.push_str(if several { ",scenes_recognized\n" } else { "\n" });
    for record in &state.history {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
        let metres = record.validation.map(|errors| errors.median_translation);
        let degrees = record.validation.map(|errors| errors.median_rotation.to_degrees());
        let (odometry, metres, degrees) = (number(record.odometry_loss), number(metres), number(degrees));
        let _ = write!(text, "{},{:.6},{odometry},{metres},{degrees}", record.epoch, record.pose_loss);
        let recognized = of_scenes(record).map(|scenes| scenes.recognized);
        text.push_str(&if several { format!(",{}\n", number(recognized)) } else { "\n".to_owned() });
    }
    fs::write(path, text).map_err(Error::io("write", path))
}

pub(super) fn record(scenes: &Scenes, job: &Job, epochs: usize, start: Option<&Start>) -> TrainingRecord {
    let file_name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let datasets: Vec<&str> = scenes.iter().map(|scene| scene.dataset.name()).collect();
    TrainingRecord {
        dataset: datasets.join(" + "),
        dataset_sha256: frames_sha256(scenes.frames(), scenes.train()),
        frames: scenes.train().len(),
        command: job.command.clone(),
        seed: job.seed,
        epochs,
        pretrained: job.pretrained.as_ref().and_then(file_name).unwrap_or_default(),
        origin: start.map(Start::record),
        unlabelled: None,
        supervision: None,
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
