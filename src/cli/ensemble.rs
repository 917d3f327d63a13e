//! `vloc ensemble`: several trainings as one model.

use std::path::PathBuf;

use clap::Args;

use super::train::command_line;
use crate::Result;
use crate::config::load_yaml;
use crate::dataset::{self, SplitRule};
use crate::network::{Device, device};
use crate::progress::Progress;
use crate::training::{Joining, join, recorded_split};

/// Join trainings of one architecture on one dataset, of different seeds, to an ensemble: one model folder whose pose
/// is the mean of its members', with their spread in its covariance. Trainings of different folds (`vloc train --folds`)
/// may be joined too, given the dataset.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  vloc train --dataset my_bag --split config/splits/bag.yaml --seed 1 --out out/one
  vloc train --dataset my_bag --split config/splits/bag.yaml --seed 2 --out out/two
  vloc ensemble out/one out/two --dataset my_bag --out out/both")]
pub struct EnsembleArgs {
    /// The model folders; ensembles among them bring all of their members.
    #[arg(required = true, num_args = 2.., value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The model folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The dataset they were trained on: errors and covariances are measured anew on its validation frames. Without it
    /// the covariances keep the largest factors of the models.
    #[arg(long, value_name = "PATH")]
    pub dataset: Option<PathBuf>,
    /// For a rosbag2: which topics and frames (config/bag_dataset.yaml explains them).
    #[arg(long, value_name = "YAML", requires = "dataset")]
    pub bag_options: Option<PathBuf>,
    /// The rule that divided it, instead of the split.yaml in the folder of each model.
    #[arg(long, value_name = "YAML", requires = "dataset")]
    pub split: Option<PathBuf>,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Threads of libtorch; default: all cores.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

/// Runs the command.
///
/// # Errors
/// Those of [`join`] and of the dataset.
pub fn run(args: &EnsembleArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    let job = Joining {
        models: args.models.clone(),
        out: args.out.clone(),
        name: args.out.file_name().map_or("ensemble".to_owned(), |name| name.to_string_lossy().into_owned()),
        command: command_line(),
        device: args.device,
    };
    let card = match &args.dataset {
        Some(path) => {
            let dataset = dataset::open(path, args.bag_options.as_deref())?;
            let rules: Vec<SplitRule> = match &args.split {
                Some(path) => vec![load_yaml(path)?; args.models.len()],
                None => args.models.iter().map(|model| recorded_split(model)).collect::<Result<_>>()?,
            };
            join(&job, Some((dataset.as_ref(), &rules)), Progress::automatic())?
        }
        None => join(&job, None, Progress::automatic())?,
    };
    println!("{}: {} members", args.out.display(), 1 + card.members.len());
    match args.dataset {
        Some(_) => super::train::print_validation(&card),
        None => {
            println!("not measured: the covariances keep the largest factors of the models; --dataset fits them anew")
        }
    }
    Ok(())
}
