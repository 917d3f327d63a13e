//! One training per fold: the validation of a split rule is turned, so that each of its blocks is set apart once, and what
//! the trainings leave is joined to one model.
//!
//! A single validation block is one place, and the errors there say little of those elsewhere. Folds answer for all places:
//! each member says how far it errs where it was not trained ([`join`]). Each fold is a model folder of its own in
//! `OUT/folds/0`, `OUT/folds/1` and so on, trained with the seed of the job plus its number; it is not needed any more
//! once the model is there.

use std::path::PathBuf;

use super::ensemble::{Joining, join};
use super::run::{Job, check_folder, recorded_config, train};
use crate::dataset::{Dataset, SplitRule};
use crate::network::{CARD_FILE, MAX_MEMBERS, ModelCard};
use crate::progress::Progress;
use crate::training::recorded_split;
use crate::{Error, Result};

/// Name of the folder with the folds, in a model folder.
pub const FOLDS_FOLDER: &str = "folds";

/// Trains a model per fold and joins them; with `resume`, folds that are done stay, and one that was interrupted goes on.
///
/// # Errors
/// Those of [`train`] and [`join`]; [`Error::Config`] for fewer than two folds or too many, a rule without validation, or a
/// folder with folds of other settings.
pub fn train_folds(
    dataset: &dyn Dataset,
    (job, folds): (&Job, usize),
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<ModelCard> {
    if !(2..=MAX_MEMBERS).contains(&folds) {
        return Err(Error::config("folds", format!("2 to {MAX_MEMBERS}"), folds.to_string()));
    }
    if job.config.snapshots > 1 {
        let found = format!("{}, with {folds} folds, each of which is one model", job.config.snapshots);
        return Err(Error::config("snapshots", "0", found));
    }
    let folder = job.out.join(FOLDS_FOLDER);
    let (out, begun) = (job.out.display(), folder.exists());
    if job.out.join(CARD_FILE).exists() {
        return Err(Error::config("out", "a new folder", format!("{out} with a model; name another, or remove it")));
    }
    if job.resume && !begun {
        return Err(Error::config("resume", "folds that were begun", format!("none in {out}")));
    }
    if !job.resume && begun {
        let found = format!("{out} with folds; give --resume to go on with them, or remove it");
        return Err(Error::config("out", "a new folder", found));
    }
    let rules = (0..folds).map(|fold| job.split.with_fold(fold, folds)).collect::<Result<Vec<SplitRule>>>()?;
    let models: Vec<PathBuf> = (0..folds).map(|fold| folder.join(fold.to_string())).collect();
    for (fold, (split, out)) in rules.iter().zip(&models).enumerate() {
        let own =
            Job { split: split.clone(), out: out.clone(), seed: job.seed.wrapping_add(fold as u64), ..job.clone() };
        if !is_done(&own)? {
            progress.note(&format!("fold {} of {folds}", fold + 1));
            let resume = check_folder(out, true).is_ok();
            train(dataset, &Job { resume, ..own }, progress, keep_going)?;
        }
    }
    let joining = Joining {
        models,
        out: job.out.clone(),
        name: job.name.clone(),
        command: job.command.clone(),
        device: job.device,
    };
    join(&joining, Some((dataset, &rules)), progress)
}

/// Whether the model of a fold is there already.
fn is_done(job: &Job) -> Result<bool> {
    if !job.out.join(CARD_FILE).exists() {
        return Ok(false);
    }
    let same = recorded_config(&job.out)? == job.config && recorded_split(&job.out)? == job.split;
    let seed = ModelCard::read(&job.out)?.training.seed;
    match same && seed == job.seed {
        true => Ok(true),
        false => {
            let found = format!("other ones in {}", job.out.display());
            Err(Error::config("resume", "the settings, the rule and the seed that the folds began with", found))
        }
    }
}
