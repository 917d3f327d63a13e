//! The largest training that a time budget allows on this machine (`vloc train --auto`).
//!
//! The candidates stand in one order, from the cheapest to the dearest, which is also that of what they can learn:
//! larger inputs, then a deeper encoder. Each is tried on frames of the dataset itself: reading images, a frozen
//! trunk's features, some steps, a validation. A candidate fits when the budget lasts for half of the passes that its
//! settings ask for; the dearest that fits is taken, with as many passes as there is time for and no more than its
//! settings say. The trying ends at the first that does not fit, or where the one before it leaves too little time for
//! the next, so it costs a small part of the budget.
//!
//! Where memory does not suffice, batches are halved and as many more are added up per step. What is found is a
//! [`TrainingConfig`] like any other; the model folder keeps it, and `auto.yaml` says why.
//!
//! Time is a forecast: a machine that is busier later takes longer.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use tch::nn::VarStore;

use super::config::TrainingConfig;
use super::material::{Learner, Material};
use super::pairs::PairPlan;
use super::run::write_yaml;
use super::trainer::{Data, Trainer};
use super::validation::validate;
use crate::dataset::{Dataset, Split};
use crate::geometry::Se3;
use crate::network::device::guarded;
use crate::network::{InputSize, MapFromNormalized, PoseNetwork, checkpoint};
use crate::progress::Progress;
use crate::vision::network_camera;
use crate::{Error, Result};

/// From the cheapest to the dearest: a preset and the width and height of its input. The second list is for weights to
/// start from; those whose trunk these weights do not fit are passed over.
const CANDIDATES: &[(&str, [u32; 2])] = &[
    ("vlocnet-small", [128, 96]),
    ("vlocnet-small", [192, 144]),
    ("vlocnet-small", [256, 192]),
    ("vlocnet", [224, 224]),
];
const CANDIDATES_WITH_WEIGHTS: &[(&str, [u32; 2])] = &[
    ("vlocnet-squeezenet", [128, 96]),
    ("vlocnet-squeezenet", [192, 144]),
    ("vlocnet-squeezenet", [256, 192]),
    ("vlocnet", [224, 224]),
];
/// Why an automatic training is as it is, in its folder.
const AUTO_FILE: &str = "auto.yaml";
/// Training frames that a candidate is tried on, at least.
const SAMPLE: usize = 64;
/// Steps that are timed, at least; one more goes before them.
const STEPS: usize = 3;
/// The part of the budget that a forecast may fill: the rest is for what it does not know.
const MARGIN: f64 = 0.9;
/// A candidate must pass this part of the epochs that its settings ask for.
const ENOUGH: f64 = 0.5;
/// The fewest pairs of a batch that is halved.
const SMALLEST_BATCH: usize = 4;

/// A training that might be taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name: preset and input.
    pub name: String,
    /// Its settings, with the most epochs that it may have.
    pub config: TrainingConfig,
}

/// The candidates of this crate, the cheapest first; `with_weights`: the trunk starts from weights.
///
/// # Errors
/// None for presets that can be read.
pub fn candidates(with_weights: bool) -> Result<Vec<Candidate>> {
    let list = if with_weights { CANDIDATES_WITH_WEIGHTS } else { CANDIDATES };
    let candidate = |&(preset, [width, height]): &(&str, [u32; 2])| {
        let config = TrainingConfig::preset(preset)?;
        let network = config.network.map(|network| network.with_input(InputSize { height, width }));
        Ok(Candidate { name: format!("{preset} {width}x{height}"), config: TrainingConfig { network, ..config } })
    };
    list.iter().map(candidate).collect()
}

/// What a candidate costs, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Before the first step: images and features.
    pub preparation: f64,
    /// A pass over the training frames, with its validation.
    pub epoch: f64,
}

impl Cost {
    /// The passes that `seconds` suffice for.
    fn epochs(&self, seconds: f64) -> usize {
        ((seconds - self.preparation) / self.epoch.max(1e-9)).max(0.0) as usize
    }
}

/// A candidate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// Pairs of frames per batch.
    pub batch_size: usize,
    /// Batches per step.
    pub accumulate: usize,
    /// What it costs.
    pub cost: Cost,
    /// The passes that there was time for, at most those its settings ask for.
    pub epochs: usize,
    /// Whether that is enough.
    pub fits: bool,
}

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The budget, seconds.
    pub budget: f64,
    /// What was tried, in order.
    pub trials: Vec<Trial>,
    /// The one that is taken.
    pub chosen: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Its settings.
    #[serde(skip)]
    pub config: TrainingConfig,
}

impl Choice {
    /// Writes `auto.yaml` into a model folder: budget, what was tried, what was chosen and why.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        write_yaml(&folder.join(AUTO_FILE), self)
    }
}

/// What the candidates are tried with.
pub struct Trials<'a> {
    /// The dataset.
    pub dataset: &'a dyn Dataset,
    /// Its division.
    pub split: &'a Split,
    /// Weights the trunk starts from.
    pub pretrained: Option<&'a Path>,
    /// Where to compute.
    pub device: tch::Device,
    /// Seed of the frames' augmentation.
    pub seed: u64,
}

impl Trials<'_> {
    /// Tries the candidates in their order and takes the last that fits into `budget`, which counts from now.
    ///
    /// # Errors
    /// [`Error::Config`] when not even one pass of the first fits, or the weights fit none; [`Error::Interrupted`] when
    /// `keep_going` says no; those of the dataset.
    pub fn choose(
        &self,
        candidates: &[Candidate],
        budget: Duration,
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Choice> {
        let started = Instant::now();
        let left = || MARGIN * budget.as_secs_f64() - started.elapsed().as_secs_f64();
        let (mut tried, mut dearer, mut refused) = (Vec::<(Trial, TrainingConfig)>::new(), None, None);
        for candidate in candidates {
            let before = tried.last().map(|(trial, _)| trial.cost);
            let too_dear = |cost: Cost| (cost.epochs(left()) as f64) < ENOUGH * candidate.config.epochs as f64;
            if before.is_some_and(too_dear) {
                dearer = Some(candidate.name.clone());
                break;
            }
            let (config, cost) = match self.cost(candidate, progress, keep_going) {
                Ok(tried) => tried,
                Err(error @ Error::Model { .. }) if self.pretrained.is_some() => {
                    refused = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let trial = trial(&candidate.name, &config, cost, left());
            progress.note(&describe(&trial, config.epochs));
            if !trial.fits && !tried.is_empty() {
                dearer = Some(candidate.name.clone());
            }
            let fits = trial.fits;
            tried.push((trial, config));
            if !fits {
                break;
            }
        }
        match refused {
            Some(refused) if tried.is_empty() => Err(refused),
            _ => choice(tried, dearer, budget.as_secs_f64(), left()),
        }
    }

    /// The cost of a candidate with batches that memory suffices for.
    fn cost(
        &self,
        candidate: &Candidate,
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(TrainingConfig, Cost)> {
        let mut config = candidate.config.clone();
        loop {
            // libtorch's panics, out of memory among them, come back as errors of computing.
            let measured = guarded("a trial step", || self.measure(&config, keep_going));
            match measured.and_then(|cost| cost) {
                Ok(cost) => return Ok((config, cost)),
                Err(error) if is_out_of_memory(&error) && config.batch_size / 2 >= SMALLEST_BATCH => {
                    config.batch_size /= 2;
                    config.accumulate *= 2;
                    progress.note(&format!(
                        "{}: memory suffices for less; {} pairs per batch",
                        candidate.name, config.batch_size
                    ));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tries a candidate on some frames.
    fn measure(&self, config: &TrainingConfig, keep_going: &dyn Fn() -> bool) -> Result<Cost> {
        config.check()?;
        let network_config = config.network.clone();
        let architecture = network_config.ok_or_else(|| Error::config("network", "an architecture", "none"))?;
        config.check_with(&architecture)?;
        let (dataset, frames, device) = (self.dataset, self.dataset.frames(), self.device);
        let store = VarStore::new(device);
        let network = PoseNetwork::new(&store.root(), &architecture)?;
        if let Some(path) = self.pretrained {
            checkpoint::load_pretrained(&store, path)?;
        }

        let part = |indices: &[usize], most: usize| indices.iter().copied().take(most).collect::<Vec<usize>>();
        let train = part(&self.split.train, SAMPLE.max(2 * config.batch_size));
        // As many for validation as in the whole, so that the time per frame is that of the whole.
        let share = (train.len() * self.split.validation.len()).div_ceil(self.split.train.len().max(1));
        let sample = Split { train, validation: part(&self.split.validation, share), test: Vec::new() };
        let begun = Instant::now();
        let learner = Learner { network: &network, architecture: &architecture, device };
        let camera = network_camera(dataset.camera(), architecture.input.width, architecture.input.height);
        let material =
            Material::prepare((dataset, &sample), camera, learner, (config, self.seed), Progress::Silent, keep_going)?;
        let preparation = begun.elapsed().as_secs_f64() / (sample.train.len() + sample.validation.len()) as f64;

        let poses =
            |indices: &[usize]| -> Vec<Se3> { indices.iter().map(|&index| frames[index].map_from_camera).collect() };
        let units = MapFromNormalized::fit(&poses(&self.split.train))?;
        let truth = poses(&sample.validation);
        let begun = Instant::now();
        validate(&network, &units, &truth, config.freeze_trunk, &|rows| material.validation_input(rows))?;
        let validation = begun.elapsed().as_secs_f64() / truth.len().max(1) as f64;

        let plan = PairPlan::new(frames, &sample.train, config.max_skip, self.seed)?;
        let pairs = PairPlan::new(frames, &self.split.train, config.max_skip, self.seed)?.len();
        let data =
            Data { plan: &plan, source: &material, shared: config.freeze_trunk, validate: &|_| Ok(None), video: None };
        // A multiple of the steps from one odometry step to the next, so that the mean has its share of them.
        let steps = STEPS.next_multiple_of(config.odometry_every as usize);
        let mut trainer = Trainer::new((network, store), &architecture, config, units, self.seed, Path::new(""))?;
        let per_pair = trainer.rehearse(&data, steps, keep_going)?;
        Ok(Cost {
            preparation: preparation * (self.split.train.len() + self.split.validation.len()) as f64,
            epoch: per_pair * pairs as f64 + validation * self.split.validation.len() as f64,
        })
    }
}

fn is_out_of_memory(error: &Error) -> bool {
    let text = error.to_string().to_lowercase();
    ["out of memory", "can't allocate memory", "not enough memory"].iter().any(|sign| text.contains(sign))
}

/// Whether a candidate fits into what is `left`, seconds.
fn trial(name: &str, config: &TrainingConfig, cost: Cost, left: f64) -> Trial {
    let epochs = cost.epochs(left).min(config.epochs);
    let fits = epochs as f64 >= ENOUGH * config.epochs as f64;
    let TrainingConfig { batch_size, accumulate, .. } = *config;
    Trial { name: name.to_owned(), batch_size, accumulate, cost, epochs, fits }
}

/// The last that fits; where none does, the first with what passes there is time for. `dearer`: the first that does not
/// fit behind one that does; `left`: the seconds for it.
fn choice(mut tried: Vec<(Trial, TrainingConfig)>, dearer: Option<String>, budget: f64, left: f64) -> Result<Choice> {
    let fitting = tried.iter().rposition(|(trial, _)| trial.fits);
    let Some((trial, config)) = tried.get_mut(fitting.unwrap_or(0)) else {
        return Err(Error::config("auto", "at least one candidate", "none"));
    };
    trial.epochs = trial.cost.epochs(left).min(config.epochs);
    if trial.epochs == 0 {
        let Cost { preparation, epoch } = trial.cost;
        let least = ((preparation + epoch) / MARGIN + (MARGIN * budget - left)).ceil();
        let expected = format!("at least {least:.0} s, for one pass of {}", trial.name);
        return Err(Error::config("budget", expected, format!("{budget:.0} s")));
    }
    let asked = std::mem::replace(&mut config.epochs, trial.epochs);
    let (name, epochs, config) = (trial.name.clone(), trial.epochs, config.clone());
    let reason = match (fitting, dearer) {
        (Some(_), Some(dearer)) => format!("{epochs} of its {asked} passes fit; of {dearer}, fewer than half would"),
        (Some(_), None) => format!("{epochs} of its {asked} passes fit, and it is the largest candidate"),
        (None, _) => format!("the smallest candidate; only {epochs} of its {asked} passes fit"),
    };
    let trials = tried.into_iter().map(|(trial, _)| trial).collect();
    Ok(Choice { budget, trials, chosen: name, reason, config })
}

fn describe(trial: &Trial, asked: usize) -> String {
    let Trial { name, cost, epochs, fits, .. } = trial;
    let verdict = if *fits { "fits" } else { "does not fit" };
    format!(
        "{name}: {:.1} s to prepare, {:.1} s per pass; {epochs} of {asked} passes in the budget: {verdict}",
        cost.preparation, cost.epoch
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(costs: &[(&str, f64)], left: f64) -> Vec<(Trial, TrainingConfig)> {
        let config = TrainingConfig { epochs: 100, ..TrainingConfig::default() };
        let one = |&(name, epoch): &(&str, f64)| {
            (trial(name, &config, Cost { preparation: 20.0, epoch }, left), config.clone())
        };
        costs.iter().map(one).collect()
    }

    #[test]
    fn the_dearest_that_fits_is_taken_with_the_passes_there_is_time_for() {
        let costs = [("small", 1.0), ("middle", 5.0), ("large", 30.0)];
        let of = |left: f64| {
            let tried = tried(&costs, left);
            let dearer = tried.iter().find(|(trial, _)| !trial.fits).map(|(trial, _)| trial.name.clone());
            choice(tried, dearer, 1.2 * left, left).unwrap()
        };
        let middle = of(420.0);
        assert_eq!((middle.chosen.as_str(), middle.config.epochs), ("middle", 80));
        assert_eq!(middle.reason, "80 of its 100 passes fit; of large, fewer than half would");
        let all = of(1e5);
        assert_eq!((all.chosen.as_str(), all.config.epochs), ("large", 100));
        let little = of(40.0);
        assert_eq!((little.chosen.as_str(), little.config.epochs), ("small", 20));
        assert_eq!(little.reason, "the smallest candidate; only 20 of its 100 passes fit");
        let error = choice(tried(&costs, 15.0), None, 20.0, 15.0).unwrap_err().to_string();
        assert_eq!(error, "parameter budget: expected at least 27 s, for one pass of small, found 20 s");
    }

    #[test]
    fn candidates_can_be_trained() {
        for with_weights in [false, true] {
            let candidates = candidates(with_weights).unwrap();
            for candidate in &candidates {
                candidate.config.check().unwrap();
                let network = candidate.config.network.as_ref().unwrap();
                network.check().unwrap();
                candidate.config.check_with(network).unwrap();
                assert!(with_weights || !candidate.config.freeze_trunk, "{}", candidate.name);
            }
        }
    }
}
