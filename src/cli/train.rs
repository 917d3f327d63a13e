//! `vloc train`: posed images to a model folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use crate::config::load_yaml;
use crate::dataset::{self, SplitRule};
use crate::network::{Device, InputSize, NetworkConfig, PRESETS, device};
use crate::progress::Progress;
use crate::training::{Job, TrainingConfig, train};
use crate::{Error, Result};

/// Train a model on posed images: a 7-Scenes or TUM RGB-D folder, or a rosbag2 with poses.
///
/// The model folder gets `model.yaml`, `weights.safetensors` (of a member that compares frames with training images also
/// `gallery.safetensors`), the settings and a log. Ctrl-C stops after the step and leaves a checkpoint; the same command with
/// --resume goes on from there and ends with the same model.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    /// The dataset.
    #[arg(long, value_name = "PATH")]
    pub dataset: PathBuf,
    /// For a rosbag2: which topics and frames (config/bag_dataset.yaml explains them).
    #[arg(long, value_name = "YAML")]
    pub bag_options: Option<PathBuf>,
    /// Rule that divides the frames (see config/splits); test frames are never looked at.
    #[arg(long, value_name = "YAML")]
    pub split: PathBuf,
    /// Architecture and settings: a member of the family, see config/models.
    #[arg(long, default_value = "vlocnet-squeezenet", value_parser = clap::builder::PossibleValuesParser::new(PRESETS))]
    pub preset: String,
    /// An architecture of your own instead of the preset's: a file as those in config/models.
    #[arg(long, value_name = "YAML")]
    pub network: Option<PathBuf>,
    /// Size of the network's input instead of the architecture's, such as 192x144; parts of it (crop) follow.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub input: Option<InputSize>,
    /// Pairs of frames per step, instead of the settings' number.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Settings instead of the preset's (see config/training).
    #[arg(long, value_name = "YAML")]
    pub config: Option<PathBuf>,
    /// Weights the trunk starts from: safetensors under torchvision's names.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Trains the shared stages too, where the settings keep them as they start.
    #[arg(long)]
    pub unfreeze: bool,
    /// The model folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Passes over the training frames, instead of the settings' number.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Go on from the checkpoint in the model folder.
    #[arg(long)]
    pub resume: bool,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Threads of libtorch; default: all cores. One thread makes runs equal bit for bit.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Licence of the weights, for the model card.
    #[arg(long, default_value = "unspecified")]
    pub licence: String,
}

/// Runs the command.
///
/// # Errors
/// Those of [`train`]; [`Error::Interrupted`] after SIGINT or SIGTERM.
pub fn run(args: &TrainArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    let mut config = match &args.config {
        Some(path) => load_yaml(path)?,
        None => TrainingConfig::preset(&args.preset)?,
    };
    let mut network = match (&args.network, config.network.take()) {
        (Some(path), _) => load_yaml(path)?,
        (None, Some(network)) => network,
        (None, None) => NetworkConfig::preset(&args.preset)?,
    };
    if let Some(input) = args.input {
        network = network.with_input(input);
    }
    config.network = Some(network);
    config.epochs = args.epochs.unwrap_or(config.epochs);
    config.batch_size = args.batch_size.unwrap_or(config.batch_size);
    config.freeze_trunk &= !args.unfreeze;
    if config.freeze_trunk && args.weights.is_none() {
        let found = "none, with freeze_trunk; give --weights, or --unfreeze to train it";
        return Err(Error::config("weights", "weights for the trunk, which is not trained", found));
    }
    let job = Job {
        config,
        split: load_yaml::<SplitRule>(&args.split)?,
        pretrained: args.weights.clone(),
        out: args.out.clone(),
        name: args.out.file_name().map_or("model".to_owned(), |name| name.to_string_lossy().into_owned()),
        licence: args.licence.clone(),
        command: command_line(),
        seed: args.seed,
        resume: args.resume,
        device: args.device,
    };
    let dataset = dataset::open(&args.dataset, args.bag_options.as_deref())?;
    dataset.notes().iter().for_each(|note| eprintln!("{note}"));
    let stop = stop_on_signal()?;
    let card = train(dataset.as_ref(), &job, Progress::automatic(), &|| !stop.load(Ordering::Relaxed))?;
    let (errors, calibration) = (&card.validation, &card.calibration);
    println!(
        "{}: {} frames, {} validation frames, medians {:.3} m {:.2} deg, 90 % ellipsoid covers {:.0} %",
        args.out.display(),
        card.training.frames,
        errors.frames,
        errors.median_translation_error,
        errors.median_rotation_error.to_degrees(),
        100.0 * calibration.coverage_90,
    );
    Ok(())
}

/// The command line with file names in place of paths: a model card is no place for a user's folders.
fn command_line() -> String {
    let short = |argument: String| match argument.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.to_owned(),
        _ => argument,
    };
    std::env::args().map(short).collect::<Vec<_>>().join(" ")
}

/// A flag that SIGINT and SIGTERM raise.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let failed = |error: std::io::Error| Error::compute("listening for signals", error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        });
        raised.store(true, Ordering::Relaxed);
    });
    Ok(flag)
}
