//! The way from a dataset to a model folder that knows where its points lie.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use tch::nn::VarStore;

use super::checks::{check, check_motion, supervision};
use super::descent::{EpochRecord, median};
use super::division::{Part, divide};
use super::eye::Eye;
use super::folds::Folds;
use super::lesson::{Learned, Lesson, head_of};
use super::settings::SceneCoordinates;
use crate::geometry::Se3;
use crate::network::scene_coordinates::{PlaceIndex, Supervision};
use crate::network::{
    Calibration, MapFromNormalized, ModelCard, NetworkConfig, PLACE_FILE, PartRecord, PlaceRecord, PoseNetwork,
    PoseRegressor, SCHEMA_VERSION, TrainingRecord, ValidationRecord, WEIGHTS_FILE, WeightsRecord, checkpoint,
};
use crate::progress::Progress;
use crate::training::calibrate::{Answers, calibrate, validated};
use crate::training::pairs::spread;
use crate::training::run::{Job, LOG_FILE, TIMING_FILE, Timing, initial_network, prepare_folder, record, write_yaml};
use crate::training::scenes::{SceneDataset, Scenes};
use crate::vision::{Preprocessor, network_camera};
use crate::{Error, Result};

/// The most training images that say which part of a place is seen.
const MOST_IMAGES: usize = 4096;

/// Trains on one scene and writes the model folder; returns its card.
///
/// # Errors
/// Those of the dataset and the split; [`Error::Config`] for one training frame, parts with too few of them, a camera that stood
/// still where there is no depth, a model or a video to learn from, and a run to resume; [`Error::Interrupted`] after `keep_going` said no;
/// [`Error::Compute`] for poses that are not finite and a training that diverges.
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
    let all_units = MapFromNormalized::fit(&scenes.first().train_poses())?;
    let camera = network_camera(dataset.camera(), architecture.input.width, architecture.input.height);
    let settings = config.scene_coordinates.unwrap_or_default();
    let of_part = settings.with_parts(architecture, 1)?;
    let parts = divide(dataset.frames(), split, settings.parts, job.seed)?;
    let settings = SceneCoordinates { supervision: supervision(dataset, &parts, settings)?, ..settings };
    if settings.supervision == Supervision::Reprojection {
        let pose = |&index: &usize| dataset.frames()[index].map_from_camera;
        let poses = |part: &Part| part.learned.iter().map(pose).collect::<Vec<Se3>>();
        parts.iter().try_for_each(|part| check_motion(&poses(part), &camera, settings, dataset))?;
    }
    let preprocessor = Preprocessor::new(dataset.camera(), &camera)?;
    let image = |index: usize| preprocessor.apply(&dataset.image(index)?);
    let device = job.device.resolve()?;
    let seeing = eye_network(job, &of_part, device, &progress)?;
    let eye = Eye { network: &seeing, head: head_of(&seeing)?, architecture: &of_part, camera: &camera, device };
    prepare_folder(job, &scenes)?;

    // The heads, part by part.
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: job.name.clone(),
        created_by: format!("vloc {}", env!("CARGO_PKG_VERSION")),
        licence: job.licence.clone(),
        network: of_part.clone(),
        camera,
        map_frame: "map".to_owned(),
        map_from_normalized: all_units,
        max_pair_interval: 0.0,
        training: TrainingRecord {
            supervision: Some(settings.supervision),
            ..record(&scenes, job, config.epochs, None)
        },
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        references: None,
        weights: WeightsRecord { precision: config.precision, sha256: String::new(), parameters: 0 },
        members: Vec::new(),
        gallery: None,
        cross_fitted: false,
        scenes: Vec::new(),
        large_place: None,
    };
    let lesson = Lesson { dataset, job, eye, settings, progress };
    let (mut heads, mut records) = (Vec::new(), Vec::new());
    let (mut histories, mut distances, mut elsewhere) = (Vec::new(), Vec::new(), Answers::default());
    for (number, part) in parts.iter().enumerate() {
        let name = if parts.len() == 1 { "points".to_owned() } else { format!("part {}/{}", number + 1, parts.len()) };
        let learned = lesson.learn(part, &name, keep_going)?;
        let Learned { store, units, material, history, distances: of_part } = learned;
        histories.push(history);
        write_log(&job.out.join(LOG_FILE), &histories)?;
        let alone = ModelCard { map_from_normalized: units, ..card.clone() };
        let folds = Folds { lesson: &lesson, train: &part.own, material: &material, card: alone, name: &name };
        folds.answer(&mut elsewhere, &image, keep_going)?;
        heads.push(store);
        records.push(PartRecord { frames: part.learned.len(), map_from_normalized: units });
        distances.extend(of_part);
    }

    // The model folder.
    let network = settings.with_parts(architecture, parts.len())?;
    let store = together(heads, &network, job, device)?;
    let map_from_normalized = if let [alone] = &records[..] { alone.map_from_normalized } else { all_units };
    let large_place = match parts.len() {
        1 => None,
        _ => Some(write_place(&lesson, &parts, records, keep_going)?),
    };
    let weights = write_weights(&store, job)?;
    let card = ModelCard { network, map_from_normalized, large_place, weights, ..card };
    let regressor = PoseRegressor::load_with(card, &job.out, device)?;
    let mut card = match elsewhere.are_many() {
        true => elsewhere.calibrate(validated(regressor, dataset.frames(), &split.validation, &image)?, progress)?,
        false => calibrate(regressor, dataset.frames(), &split.validation, &image, progress)?,
    };
    card.validation.median_point_error = median(distances);
    card.write(&job.out)?;
    write_yaml(&job.out.join(TIMING_FILE), &Timing::new(started.elapsed().as_secs_f64(), device))?;
    Ok(card)
}

/// The network as it starts, to look with: in the precision in which the model will look.
fn eye_network(
    job: &Job,
    architecture: &NetworkConfig,
    device: tch::Device,
    progress: &Progress,
) -> Result<PoseNetwork> {
    let (mut network, store) = initial_network(architecture, None, job, device, progress)?;
    if job.config.mixed_precision {
        network.quicken(&store);
    }
    Ok(network)
}

/// The heads of all parts in one network, behind the encoder that they share.
fn together(mut heads: Vec<VarStore>, network: &NetworkConfig, job: &Job, device: tch::Device) -> Result<VarStore> {
    if heads.len() == 1 {
        return Ok(heads.remove(0));
    }
    let (_, store) = initial_network(network, None, job, device, &Progress::Silent)?;
    let mut variables = store.variables();
    for (part, head) in heads.iter().enumerate() {
        for (name, learned) in head.variables() {
            let Some(own) = name.strip_prefix("coordinates.") else { continue };
            let none = || Error::compute("joining the heads of a place", format!("part {part} has no {name}"));
            let variable = variables.get_mut(&format!("coordinates.{part}.{own}")).ok_or_else(none)?;
            tch::no_grad(|| variable.copy_(&learned));
        }
    }
    Ok(store)
}

/// Writes what the training images of each part look like, as many of each.
fn write_place(
    lesson: &Lesson,
    parts: &[Part],
    records: Vec<PartRecord>,
    keep_going: &dyn Fn() -> bool,
) -> Result<PlaceRecord> {
    let (mut frames, mut numbers) = (Vec::new(), Vec::new());
    for (number, part) in parts.iter().enumerate() {
        let chosen = spread(&part.own, MOST_IMAGES / parts.len());
        numbers.extend(vec![number; chosen.len()]);
        frames.extend(chosen);
    }
    let Lesson { dataset, job, eye, .. } = lesson;
    let described_nd = eye.descriptions(*dataset, &frames, &job.config, keep_going)?;
    PlaceIndex::new(&described_nd, numbers).save(&job.out.join(PLACE_FILE), records)
}

fn write_weights(store: &VarStore, job: &Job) -> Result<WeightsRecord> {
    let (path, precision) = (job.out.join(WEIGHTS_FILE), job.config.precision);
    let sha256 = checkpoint::save(store, &path, precision)?;
    // What is judged is what was written.
    checkpoint::load(store, &path)?;
    let parameters = store.variables().values().map(|variable| variable.numel() as u64).sum();
    Ok(WeightsRecord { precision, sha256, parameters })
}

/// The epochs as CSV; of a place of several parts those of one part after the other.
fn write_log(path: &Path, parts: &[Vec<EpochRecord>]) -> Result<()> {
    let mut text = "epoch,loss_m,clip_m,validation_median_point_m\n".to_owned();
    for (epoch, EpochRecord { loss, clip, validation }) in parts.iter().flat_map(|history| history.iter().enumerate()) {
        let validation = validation.map_or(String::new(), |metres| format!("{metres:.6}"));
        let _ = writeln!(text, "{},{loss:.6},{clip:.6},{validation}", epoch + 1);
    }
    fs::write(path, text).map_err(Error::io("write", path))
}
