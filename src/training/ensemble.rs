//! Finished models as one: trainings of one architecture on the same frames that differ in their seeds (Lakshminarayanan,
//! Pritzel & Blundell 2017, arXiv 1612.01474, "deep ensembles"), or whose snapshots are joined.
//!
//! The folder gets the weights of all as its members, those of the first model first; an ensemble among them brings all
//! of its own. What its covariances need is fitted anew where the dataset is given, on validation frames that no member
//! was trained on. Else the largest factors of the models stay: the mean of several errs less and its covariance has
//! their spread in it as well, so that they are no smaller than they should be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::calibrate::calibrate;
use super::run::frames_sha256;
use crate::config::load_yaml;
use crate::dataset::{Dataset, SplitRule};
use crate::network::{
    CARD_FILE, Calibration, Device, MAX_MEMBERS, MEMBERS_FOLDER, MemberRecord, ModelCard, PoseRegressor,
    ValidationRecord, WEIGHTS_FILE,
};
use crate::progress::Progress;
use crate::vision::Preprocessor;
use crate::{Error, Result};

/// Which models become one, and where it goes.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The model folders, at least two.
    pub models: Vec<PathBuf>,
    /// The folder to write.
    pub out: PathBuf,
    /// Name of the model, for its card.
    pub name: String,
    /// The command line, for the card.
    pub command: String,
    /// Where to compute.
    pub device: Device,
}

/// Joins models and returns the card of the ensemble. `calibrate_on`: the dataset that they were trained on, and the
/// rule that divided it.
///
/// # Errors
/// Those of reading the models; [`Error::Model`] for models of several scenes, for those that differ in architecture,
/// camera, units or training frames, or have the same weights; [`Error::Config`] when there are too few or too many of
/// them, when the folder holds a model already, and when the rule does not give the frames that they were trained on.
pub fn join(job: &Joining, calibrate_on: Option<(&dyn Dataset, &SplitRule)>, progress: Progress) -> Result<ModelCard> {
    let device = job.device.resolve()?;
    let cards = job.models.iter().map(|folder| ModelCard::read(folder)).collect::<Result<Vec<_>>>()?;
    let [first, others @ ..] = cards.as_slice() else { return Err(too_few(0)) };
    if others.is_empty() {
        return Err(too_few(1));
    }
    for (folder, card) in job.models.iter().zip(&cards).skip(1) {
        check_kin(first, card, folder)?;
    }
    if first.gallery.is_some() {
        let expected = "models that answer from the frame alone";
        return Err(Error::model(&job.models[0], expected, "one with a gallery, which its own weights alone can read"));
    }
    if !first.scenes.is_empty() {
        let found = format!("one of {}; train it with --snapshots for an ensemble", first.scene_names());
        return Err(Error::model(&job.models[0], "models that know one place", found));
    }
    if job.out.join(CARD_FILE).exists() {
        let found = format!("{} with a model; name another, or remove it", job.out.display());
        return Err(Error::config("out", "a new folder", found));
    }
    let split = match calibrate_on {
        Some((dataset, rule)) => {
            let split = rule.split(dataset)?;
            if frames_sha256(dataset.frames(), &split.train) != first.training.dataset_sha256 {
                let expected = format!("the rule and the dataset that {} was trained with", first.name);
                return Err(Error::config("split", expected, "other training frames; validation frames may be known"));
            }
            Some((dataset, split))
        }
        None => None,
    };
    let card = copy_members(job, &cards)?;
    let regressor = PoseRegressor::load_with(card, &job.out, device)?;
    let card = match split {
        None => regressor.card().clone(),
        Some((dataset, split)) => {
            let preprocessor = Preprocessor::new(dataset.camera(), &first.camera)?;
            let image = |index: usize| preprocessor.apply(&dataset.image(index)?);
            calibrate(regressor, dataset.frames(), &split.validation, &image, progress)?
        }
    };
    card.write(&job.out)?;
    Ok(card)
}

/// The rule in the folder of the first model, as its training left it.
///
/// # Errors
/// [`Error::Io`] when there is none; [`Error::Format`] when it is something else.
pub fn recorded_split(model: &Path) -> Result<SplitRule> {
    load_yaml(&model.join(super::run::SPLIT_FILE))
}

fn too_few(found: usize) -> Error {
    Error::config("models", "at least two models to join", found.to_string())
}

fn check_kin(first: &ModelCard, card: &ModelCard, folder: &Path) -> Result<()> {
    let differs = [
        ("architecture", card.network != first.network),
        ("camera", card.camera != first.camera),
        ("training frames (same dataset, same split)", card.training.dataset_sha256 != first.training.dataset_sha256),
        ("units (map_from_normalized)", card.map_from_normalized != first.map_from_normalized),
        ("map_frame", card.map_frame != first.map_frame),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((what, _)) => {
            let expected = format!("the {what} of {}", first.name);
            Err(Error::model(folder, expected, "another; join trainings that differ in their seed alone"))
        }
        None => Ok(()),
    }
}

/// Copies the weights of all models into the folder; its card is not written yet.
fn copy_members(job: &Joining, cards: &[ModelCard]) -> Result<ModelCard> {
    let mut sources = Vec::new();
    let mut known = BTreeSet::new();
    for (folder, card) in job.models.iter().zip(cards) {
        let own = MemberRecord {
            sha256: card.weights.sha256.clone(),
            seed: card.training.seed,
            epochs: card.training.epochs,
        };
        let records = std::iter::once(own).chain(card.members.iter().cloned());
        for ((file, sha256), record) in card.weight_files().into_iter().zip(records) {
            if !known.insert(sha256.to_owned()) {
                let found = format!("those of another member (SHA-256 {sha256}); leave one of them out");
                return Err(Error::model(folder.join(file), "weights of its own", found));
            }
            sources.push((folder.join(file), record));
        }
    }
    if sources.len() > MAX_MEMBERS {
        let found = format!("{}; each costs a forward pass per frame", sources.len());
        return Err(Error::config("models", format!("at most {MAX_MEMBERS} members"), found));
    }
    fs::create_dir_all(job.out.join(MEMBERS_FOLDER)).map_err(Error::io("create", &job.out))?;
    let mut card = cards[0].clone();
    let targets = std::iter::once(PathBuf::from(WEIGHTS_FILE)).chain((0..).map(ModelCard::member_file));
    for ((source, _), target) in sources.iter().zip(targets) {
        fs::copy(source, job.out.join(target)).map_err(Error::io("copy", source))?;
    }
    card.calibration = largest(cards.iter().map(|card| card.calibration));
    let relative: Option<Vec<Calibration>> = cards.iter().map(|card| card.relative_calibration).collect();
    card.relative_calibration = relative.map(|relative| largest(relative.into_iter()));
    let licences: BTreeSet<&str> = cards.iter().map(|card| card.licence.as_str()).collect();
    card.licence = licences.into_iter().collect::<Vec<_>>().join(" and ");
    card.max_pair_interval = cards.iter().map(|card| card.max_pair_interval).fold(f64::INFINITY, f64::min);
    card.members = sources.into_iter().skip(1).map(|(_, record)| record).collect();
    card.validation = ValidationRecord::default();
    card.created_by = format!("vloc {}", env!("CARGO_PKG_VERSION"));
    card.training.command.clone_from(&job.command);
    card.name.clone_from(&job.name);
    Ok(card)
}

/// The largest factors of several calibrations; fitted on nothing.
fn largest(calibrations: impl Iterator<Item = Calibration>) -> Calibration {
    let none = Calibration { translation_scale: 0.0, rotation_scale: 0.0, ..Calibration::unfitted() };
    calibrations.fold(none, |largest, one| Calibration {
        translation_scale: largest.translation_scale.max(one.translation_scale),
        rotation_scale: largest.rotation_scale.max(one.rotation_scale),
        ..largest
    })
}
