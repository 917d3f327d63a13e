//! Finished models as one: trainings of one architecture that differ in their seeds (Lakshminarayanan, Pritzel & Blundell
//! 2017, arXiv 1612.01474, "deep ensembles") or in the part of the frames that was set apart (folds), or whose snapshots
//! are joined.
//!
//! The folder gets the weights of all as its members, those of the first model first, with their galleries; an ensemble
//! among them brings all of its own. What its covariances need is fitted anew where the dataset is given:
//!
//! - Of trainings on the same frames, on validation frames that no member was trained on.
//! - Of folds, on the validation frames of each by that member alone ("cross-fitting"; the CV+ of Barber, Candès, Ramdas &
//!   Tibshirani 2021, Annals of Statistics 49(1), in its simplest form): every place has its say, not those of one block or two.
//!
//! Without the dataset the largest factors of the models stay: the mean of several errs less and its covariance has their
//! spread in it as well, so that they are no smaller than they should be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::calibrate::{Answers, calibrate};
use super::run::frames_sha256;
use crate::config::load_yaml;
use crate::dataset::{Dataset, Split, SplitRule};
use crate::network::{
    CARD_FILE, Calibration, Device, MAX_MEMBERS, MEMBERS_FOLDER, MemberRecord, ModelCard, PoseRegressor,
    ValidationRecord,
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

/// The dataset that models were trained on, and the rule that divided it for each of them.
pub type TrainedOn<'a> = (&'a dyn Dataset, &'a [SplitRule]);

/// Joins models and returns the card of the ensemble, whose covariances are fitted anew where `trained_on` says on what.
///
/// # Errors
/// Those of reading the models; [`Error::Model`] for models of several scenes or of a place of several parts, that differ in architecture, camera or map, that were trained
/// on other frames without being folds of one rule, or that have the same weights; [`Error::Config`] when there are too few
/// or too many of them, when the folder holds a model already, and when a rule does not give the frames that its model was
/// trained on.
pub fn join(job: &Joining, trained_on: Option<TrainedOn>, progress: Progress) -> Result<ModelCard> {
    let device = job.device.resolve()?;
    let cards = job.models.iter().map(|folder| ModelCard::read(folder)).collect::<Result<Vec<_>>>()?;
    let [first, _, ..] = cards.as_slice() else {
        return Err(Error::config("models", "at least two models to join", cards.len().to_string()));
    };
    for (folder, card) in job.models.iter().zip(&cards).skip(1) {
        check_kin(first, card, folder)?;
    }
    if !first.scenes.is_empty() {
        let found = format!("one of {}; train it with --snapshots for an ensemble", first.scene_names());
        return Err(Error::model(&job.models[0], "models that know one place", found));
    }
    if let Some(index) = cards.iter().position(|card| card.large_place.is_some()) {
        let found = "one of several parts; train it with scene_coordinates.parts: 1";
        return Err(Error::model(&job.models[index], "models that know their place by one head", found));
    }
    if job.out.join(CARD_FILE).exists() {
        let found = format!("{} with a model; name another, or remove it", job.out.display());
        return Err(Error::config("out", "a new folder", found));
    }
    let same_frames =
        cards.iter().all(|card| card.training.dataset_sha256 == first.training.dataset_sha256 && !card.cross_fitted);
    let splits = trained_on.map(|trained_on| splits(&cards, trained_on)).transpose()?;
    if !same_frames {
        check_folds(job, &cards, trained_on.map(|(_, rules)| rules))?;
    }
    let card = ModelCard { cross_fitted: !same_frames, ..copy_members(job, &cards)? };
    // Reads every file again: what was cut or is another's does not become a model.
    let joined = PoseRegressor::load_with(card, &job.out, device)?;
    let card = match (trained_on, splits) {
        (Some((dataset, _)), Some(splits)) => {
            let preprocessor = Preprocessor::new(dataset.camera(), &first.camera)?;
            let image = |index: usize| preprocessor.apply(&dataset.image(index)?);
            match same_frames {
                true => calibrate(joined, dataset.frames(), &splits[0].validation, &image, progress)?,
                false => {
                    let mut answers = Answers::default();
                    for (folder, split) in job.models.iter().zip(&splits) {
                        let mut fold = PoseRegressor::load(folder, job.device)?;
                        answers.collect(&mut fold, dataset.frames(), &split.validation, &image)?;
                    }
                    answers.calibrate(answers.recorded(joined.card().clone()), progress)?
                }
            }
        }
        _ => joined.card().clone(),
    };
    card.write(&job.out)?;
    Ok(card)
}

/// How the rules divide the dataset, each as its model knew it.
fn splits(cards: &[ModelCard], (dataset, rules): TrainedOn) -> Result<Vec<Split>> {
    let split = |(card, rule): (&ModelCard, &SplitRule)| {
        let split = rule.split(dataset)?;
        if frames_sha256(dataset.frames(), &split.train) != card.training.dataset_sha256 {
            let expected = format!("the rule and the dataset that {} was trained with", card.name);
            return Err(Error::config("split", expected, "other training frames; validation frames may be known"));
        }
        Ok(split)
    };
    cards.iter().zip(rules).map(split).collect()
}

/// Whether trainings on different frames are folds: of rules that differ in what they set apart alone, and no ensembles.
fn check_folds(job: &Joining, cards: &[ModelCard], rules: Option<&[SplitRule]>) -> Result<()> {
    let Some([first, others @ ..]) = rules else {
        let expected = "the training frames of the first model, or the dataset, if they are folds of it";
        return Err(Error::config("dataset", expected, "models of different training frames, and no dataset"));
    };
    let fold = |rule: &SplitRule| (rule.without_validation(), rule.validation().map(|validation| validation.every));
    for (rule, folder) in others.iter().zip(&job.models[1..]) {
        if fold(rule) != fold(first) {
            let found = "another; join trainings that differ in their seed, or in their fold, alone";
            return Err(Error::model(folder, "the rule of the first model but for its fold", found));
        }
    }
    match cards.iter().position(|card| !card.members.is_empty()) {
        Some(index) => Err(Error::model(&job.models[index], "a fold that is one model", "an ensemble; join its parts")),
        None => Ok(()),
    }
}

/// The rule in the folder of a model, as its training left it.
///
/// # Errors
/// [`Error::Model`] when there is none; [`Error::Format`] when it is something else.
pub fn recorded_split(model: &Path) -> Result<SplitRule> {
    let path = model.join(super::run::SPLIT_FILE);
    if !path.is_file() {
        let expected = "the folder of a model with the split.yaml of its training, or the rule by --split";
        let found = if model.is_dir() { "no split.yaml in it" } else { "no such folder" };
        return Err(Error::model(model, expected, found));
    }
    load_yaml(&path)
}

fn check_kin(first: &ModelCard, card: &ModelCard, folder: &Path) -> Result<()> {
    let differs = [
        ("architecture", card.network != first.network),
        ("camera", card.camera != first.camera),
        ("map_frame", card.map_frame != first.map_frame),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((what, _)) => {
            let expected = format!("the {what} of {}", first.name);
            Err(Error::model(
                folder,
                expected,
                "another; join trainings that differ in their seed, or in their fold, alone",
            ))
        }
        None => Ok(()),
    }
}

/// Copies the weights and galleries of all models into the folder; its card is not written yet.
fn copy_members(job: &Joining, cards: &[ModelCard]) -> Result<ModelCard> {
    let mut card = cards[0].clone();
    let mut sources = Vec::new();
    let mut known = BTreeSet::new();
    for (folder, model) in job.models.iter().zip(cards) {
        let own = (model.training.seed, model.training.epochs);
        let trained = std::iter::once(own).chain(model.members.iter().map(|member| (member.seed, member.epochs)));
        for (parts, (seed, epochs)) in model.parts().into_iter().zip(trained) {
            let file = folder.join(&parts.weights);
            if !known.insert(parts.sha256.to_owned()) {
                let found = format!("those of another member (SHA-256 {}); leave one of them out", parts.sha256);
                return Err(Error::model(file, "weights of its own", found));
            }
            let units = Some(parts.map_from_normalized).filter(|units| *units != card.map_from_normalized);
            let gallery = parts.gallery.map(|(file, record)| (folder.join(file), record.clone()));
            let record = MemberRecord {
                sha256: parts.sha256.to_owned(),
                seed,
                epochs,
                map_from_normalized: units,
                gallery: gallery.as_ref().map(|(_, record)| record.clone()),
            };
            sources.push((file, gallery.map(|(file, _)| file), record));
        }
    }
    if sources.len() > MAX_MEMBERS {
        let found = format!("{}; each costs a forward pass per frame", sources.len());
        return Err(Error::config("models", format!("at most {MAX_MEMBERS} members"), found));
    }
    fs::create_dir_all(job.out.join(MEMBERS_FOLDER)).map_err(Error::io("create", &job.out))?;
    card.members = sources.iter().skip(1).map(|(_, _, record)| record.clone()).collect();
    let copy = |from: &Path, to: &Path| fs::copy(from, job.out.join(to)).map_err(Error::io("copy", from));
    for ((weights, gallery, _), target) in sources.iter().zip(card.parts()) {
        copy(weights, &target.weights)?;
        if let (Some(gallery), Some((target, _))) = (gallery, &target.gallery) {
            copy(gallery, target)?;
        }
    }
    card.calibration = largest(cards.iter().map(|card| card.calibration));
    let relative: Option<Vec<Calibration>> = cards.iter().map(|card| card.relative_calibration).collect();
    card.relative_calibration = relative.map(|relative| largest(relative.into_iter()));
    let licences: BTreeSet<&str> = cards.iter().map(|card| card.licence.as_str()).collect();
    card.licence = licences.into_iter().collect::<Vec<_>>().join(" and ");
    card.max_pair_interval = cards.iter().map(|card| card.max_pair_interval).fold(f64::INFINITY, f64::min);
    card.validation = ValidationRecord::default();
    // They fit the weights of their own model alone.
    (card.autoencoder, card.references) = (None, None);
    card.created_by = format!("vloc {}", env!("CARGO_PKG_VERSION"));
    card.training.command.clone_from(&job.command);
    card.name.clone_from(&job.name);
    Ok(card)
}

/// The largest factors of several calibrations; fitted on nothing.
fn largest(calibrations: impl Iterator<Item = Calibration>) -> Calibration {
    let none = Calibration { translation_scale: 0.0, rotation_scale: 0.0, ..Calibration::unfitted() };
    calibrations.fold(none, Calibration::or_larger)
}
