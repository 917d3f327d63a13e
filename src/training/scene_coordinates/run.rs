//! The way from a dataset with depth to a model folder that knows where its points lie.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use nalgebra::Vector3;
use tch::nn::VarStore;

use super::buffer::{CellBuffer, Eye};
use super::descent::{Descent, EpochRecord};
use super::folds::Folds;
use crate::dataset::{Dataset, Split};
use crate::network::scene_coordinates::SceneCoordinateHead;
use crate::network::{
    Calibration, MapFromNormalized, ModelCard, NetworkConfig, PoseNetwork, PoseRegressor, SCHEMA_VERSION,
    ValidationRecord, WEIGHTS_FILE, WeightsRecord, checkpoint,
};
use crate::progress::Progress;
use crate::training::calibrate::{calibrate, validated};
use crate::training::config::TrainingConfig;
use crate::training::pairs::mix;
use crate::training::run::{Job, LOG_FILE, TIMING_FILE, Timing, initial_network, prepare_folder, record, write_yaml};
use crate::training::scenes::{SceneDataset, Scenes};
use crate::vision::{Preprocessor, network_camera};
use crate::{Error, Result};

/// Trains on one scene and writes the model folder; returns its card.
///
/// # Errors
/// Those of the dataset and the split; [`Error::Config`] for a dataset without depth or with one training frame, a model or a
/// video to learn from, and a run to resume; [`Error::Interrupted`] after `keep_going` said no; [`Error::Compute`] for poses
/// that are not finite and a training that diverges.
pub(in crate::training) fn train(
    scene: &SceneDataset,
    has_video: bool,
    (job, architecture): (&Job, &NetworkConfig),
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<ModelCard> {
    let started = Instant::now();
    let (config, dataset) = (&job.config, scene.dataset);
    let alone = [SceneDataset { name: scene.name.clone(), dataset }];
    let scenes = Scenes::new(&alone, &job.split)?;
    let split = &scenes.first().split;
    check(dataset, split, has_video, job)?;
    MapFromNormalized::fit(&scenes.first().train_poses())?;
    let camera = network_camera(dataset.camera(), architecture.input.width, architecture.input.height);
    let preprocessor = Preprocessor::new(dataset.camera(), &camera)?;
    let device = job.device.resolve()?;
    let (network, store) = initial_network(architecture, None, job, device, &progress)?;
    let head = head_of(&network)?;
    prepare_folder(job, &scenes)?;

    // What it learns from: cells of the training frames, and some of the validation frames to judge by.
    let seeing = eye_network(job, architecture, device)?;
    let eye = Eye { network: &seeing, head, architecture, camera: &camera, device };
    let buffer = CellBuffer::fill((dataset, &split.train), eye, (config, job.seed), progress, keep_going)?;
    let units = units(&buffer, dataset, split)?;
    let judged = TrainingConfig { cached_copies: 0, cache_limit: config.cache_limit.div_ceil(16), ..config.clone() };
    let validation = match split.validation.is_empty() {
        true => None,
        false => {
            let seed = mix(job.seed, 1, 0);
            let of_frames = (dataset, &*split.validation);
            Some(CellBuffer::fill(of_frames, eye, (&judged, seed), progress, keep_going)?.into_material(&units))
        }
    };
    let material = buffer.into_material(&units);
    head.standardize(&material.spread(SAMPLED, device).features_nc);

    // The training itself.
    let settings = config.scene_coordinates.unwrap_or_default();
    let (seed, scale) = (job.seed, units.scale);
    let title = "learning points".to_owned();
    let descent = Descent { head, store: &store, camera: &camera, scale, config, settings, seed, title };
    let history = descent.run((&material, material.numbers(&[])), validation.as_ref(), progress, keep_going)?;
    write_log(&job.out.join(LOG_FILE), &history)?;

    // The model folder.
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: job.name.clone(),
        created_by: format!("vloc {}", env!("CARGO_PKG_VERSION")),
        licence: job.licence.clone(),
        network: architecture.clone(),
        camera,
        map_frame: "map".to_owned(),
        map_from_normalized: units,
        max_pair_interval: 0.0,
        training: record(&scenes, job, config.epochs, None),
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        weights: write_weights(&store, job)?,
        members: Vec::new(),
        gallery: None,
        cross_fitted: false,
        scenes: Vec::new(),
    };
    let image = |index: usize| preprocessor.apply(&dataset.image(index)?);
    let folds = Folds { dataset, train: &split.train, material: &material, job, card: &card, device };
    let elsewhere = folds.answers(&image, progress, keep_going)?;
    let regressor = PoseRegressor::load_with(card, &job.out, device)?;
    let mut card = match elsewhere.are_many() {
        true => elsewhere.calibrate(validated(regressor, dataset.frames(), &split.validation, &image)?, progress)?,
        false => calibrate(regressor, dataset.frames(), &split.validation, &image, progress)?,
    };
    card.validation.median_point_error = history.last().and_then(|last| last.validation);
    card.write(&job.out)?;
    write_yaml(&job.out.join(TIMING_FILE), &Timing::new(started.elapsed().as_secs_f64(), device))?;
    Ok(card)
}

/// Cells whose features say what the mean and the deviation of all are.
pub(super) const SAMPLED: usize = 65_536;

/// Whether there is something to learn from, found before anything is computed.
fn check(dataset: &dyn Dataset, split: &Split, has_video: bool, job: &Job) -> Result<()> {
    if job.from.is_some() || has_video {
        let found =
            "a model to go on from, or a video; points are learned from posed images with depth, from the start";
        return Err(Error::config("from", "neither --from nor --unlabelled for scene_coordinates", found));
    }
    if split.train.len() < 2 {
        let found =
            format!("{} in {}; record more of the scene, or give another split", split.train.len(), dataset.name());
        return Err(Error::config("split", "at least 2 training frames", found));
    }
    for &frame in &split.train {
        if dataset.depth(frame)?.is_some_and(|depth| depth.points().next().is_some()) {
            return Ok(());
        }
    }
    Err(no_depth(dataset, split))
}

fn no_depth(dataset: &dyn Dataset, split: &Split) -> Error {
    let found = format!(
        "no reading on any of the {} training frames of {}; take a dataset with depth (7-Scenes, TUM RGB-D, vloc synth --depth) \
         or another preset, such as vlocnet-squeezenet",
        split.train.len(),
        dataset.name()
    );
    Error::config("scene_coordinates", "depth images of the training frames", found)
}

/// The network as it starts, to look with: in the precision in which the model will look.
fn eye_network(job: &Job, architecture: &NetworkConfig, device: tch::Device) -> Result<PoseNetwork> {
    let (mut network, store) = initial_network(architecture, None, job, device, &Progress::Silent)?;
    if job.config.mixed_precision {
        network.quicken(&store);
    }
    Ok(network)
}

pub(super) fn head_of(network: &PoseNetwork) -> Result<&SceneCoordinateHead> {
    let none = || Error::compute("training of points", "expected an architecture with the localizer scene_coordinates");
    network.coordinates().ok_or_else(none)
}

/// The middle of the points of the scene, and their root mean square distance to it per axis.
fn units(buffer: &CellBuffer, dataset: &dyn Dataset, split: &Split) -> Result<MapFromNormalized> {
    let count = buffer.points().count();
    if count == 0 {
        return Err(no_depth(dataset, split));
    }
    let mean = buffer.points().sum::<Vector3<f64>>() / count as f64;
    let variance = buffer.points().map(|point| (point - mean).norm_squared()).sum::<f64>() / (3 * count) as f64;
    Ok(MapFromNormalized { mean: mean.into(), scale: variance.sqrt().max(0.01) })
}

fn write_weights(store: &VarStore, job: &Job) -> Result<WeightsRecord> {
    let (path, precision) = (job.out.join(WEIGHTS_FILE), job.config.precision);
    let sha256 = checkpoint::save(store, &path, precision)?;
    // What is judged is what was written.
    checkpoint::load(store, &path)?;
    let parameters = store.variables().values().map(|variable| variable.numel() as u64).sum();
    Ok(WeightsRecord { precision, sha256, parameters })
}

/// The epochs as CSV.
fn write_log(path: &Path, history: &[EpochRecord]) -> Result<()> {
    let mut text = "epoch,loss_m,clip_m,validation_median_point_m\n".to_owned();
    for (epoch, EpochRecord { loss, clip, validation }) in history.iter().enumerate() {
        let validation = validation.map_or(String::new(), |metres| format!("{metres:.6}"));
        let _ = writeln!(text, "{},{loss:.6},{clip:.6},{validation}", epoch + 1);
    }
    fs::write(path, text).map_err(Error::io("write", path))
}
