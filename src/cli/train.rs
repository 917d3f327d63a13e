//! `vloc train`: posed images to a model folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::load_yaml;
use crate::dataset::{self, Dataset, SplitRule};
use crate::network::memory::keep_freed_memory;
use crate::network::{Device, InputSize, ModelCard, NetworkConfig, PRESETS, device};
use crate::progress::Progress;
use crate::training::{
    FineTuning, Job, SceneDataset, TrainingConfig, Trials, Units, Video, candidates, check_folder, fine_tuning_config,
    fine_tuning_preset, parse_budget, recorded_config, train_folds, train_scenes, train_with_video,
};
use crate::{Error, Result};

/// The preset where none is named.
const PRESET: &str = "vlocnet-squeezenet";

/// Which frames of a split.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Part {
    /// Its training frames.
    Train,
    /// Its test frames.
    Test,
}

/// Train a model on posed images: a 7-Scenes or TUM RGB-D folder, or a rosbag2 with poses.
///
/// The model folder gets `model.yaml`, `weights.safetensors` (of a member that compares frames with training images also
/// `gallery.safetensors`), the settings and a log. Ctrl-C stops after the step and leaves a checkpoint; the same command with
/// --resume goes on from there and ends with the same model.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    /// The dataset. Given several times, each is a scene of one model (--preset ms-transformer), named as its folder or as
    /// said in front of it; the split divides each.
    #[arg(long, value_name = "[NAME=]PATH", required = true)]
    pub dataset: Vec<NamedDataset>,
    /// For a rosbag2: which topics and frames (config/bag_dataset.yaml explains them).
    #[arg(long, value_name = "YAML")]
    pub bag_options: Option<PathBuf>,
    /// Rule that divides the frames (see config/splits); test frames are never looked at (unless --unlabelled names them).
    #[arg(long, value_name = "YAML")]
    pub split: PathBuf,
    /// Architecture and settings: a member of the family, see config/models [default: vlocnet-squeezenet].
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(PRESETS))]
    pub preset: Option<String>,
    /// Chooses preset, size of the input, batch and epochs by itself: tries some on the dataset and takes the largest that
    /// the budget lasts for. Writes what it tried to auto.yaml, what it chose to training.yaml.
    #[arg(long, conflicts_with_all = ["preset", "network", "input", "batch_size", "accumulate", "config", "from", "unfreeze",
        "epochs", "learning_rate", "unlabelled"])]
    pub auto: bool,
    /// With --auto: the time for all of it, such as 90s, 30min, 2h or 1h30min.
    #[arg(long, value_name = "TIME", requires = "auto", default_value = "30min", value_parser = parse_budget)]
    pub budget: Duration,
    /// An architecture of your own instead of the preset's: a file as those in config/models.
    #[arg(long, value_name = "YAML")]
    pub network: Option<PathBuf>,
    /// Size of the network's input instead of the architecture's, such as 192x144; parts of it (crop) follow.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub input: Option<InputSize>,
    /// Pairs of frames per step, instead of the settings' number.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Batches per step, instead of the settings' number: their gradients are added up, as of one larger batch.
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// Settings instead of the preset's (see config/training).
    #[arg(long, value_name = "YAML")]
    pub config: Option<PathBuf>,
    /// A finished model to go on from, with its architecture, its camera, its units and, unless --config is given, the
    /// settings of its training (or those of --preset) at a tenth of the learning rate.
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["network", "input", "weights"])]
    pub from: Option<PathBuf>,
    /// With --from: the dataset has another map than the model's; the units of translations are fitted anew.
    #[arg(long, requires = "from")]
    pub new_map: bool,
    /// Video of the place without labels, to learn from beside the labelled frames: any dataset whose poses are an odometry's
    /// (a bag with its Odometry topic, visual odometry), in metres, in any frame. Only how the camera moved from frame to
    /// frame is used.
    #[arg(long, value_name = "PATH")]
    pub unlabelled: Option<PathBuf>,
    /// With --unlabelled, for a rosbag2: which topics and frames; its pose_topic is the odometry's.
    #[arg(long, value_name = "YAML", requires = "unlabelled")]
    pub unlabelled_bag_options: Option<PathBuf>,
    /// With --unlabelled: a rule that divides the video, of which a part is learned from; without, all of it.
    #[arg(long, value_name = "YAML", requires = "unlabelled")]
    pub unlabelled_split: Option<PathBuf>,
    /// With --unlabelled-split: the part. A model that learned from the video of test frames did see them: say so beside
    /// its errors.
    #[arg(long, value_enum, default_value = "train", requires = "unlabelled_split")]
    pub unlabelled_part: Part,
    /// Adam's learning rate at its highest, instead of the settings'.
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
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
    /// Ends with an ensemble of so many snapshots, each the best of its part of the epochs: a better pose and an honester
    /// covariance for as many forward passes per frame (one through what the snapshots share).
    #[arg(long, value_name = "N")]
    pub snapshots: Option<usize>,
    /// Trains one model per fold, each with other validation blocks (the split's, of which every Nth is set apart), and joins
    /// them: the pose is their mean, and its covariance is fitted at all places, by the member that was not trained there.
    /// Takes N times as long.
    #[arg(long, value_name = "N", conflicts_with_all = ["auto", "snapshots", "from", "unlabelled"])]
    pub folds: Option<usize>,
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

/// A dataset and, where it is said, the name of the scene that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDataset {
    /// The name; `None`: that of the dataset.
    pub name: Option<String>,
    /// Where it is.
    pub path: PathBuf,
}

impl FromStr for NamedDataset {
    type Err = Error;
    /// `NAME=PATH` or `PATH`; a path that is there may have an equals sign.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() && !Path::new(text).exists() => {
                Ok(Self { name: Some(name.to_owned()), path: PathBuf::from(path) })
            }
            _ => Ok(Self { name: None, path: PathBuf::from(text) }),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Those of [`train_scenes`]; [`Error::Interrupted`] after SIGINT or SIGTERM.
pub fn run(args: &TrainArgs) -> Result<()> {
    keep_freed_memory();
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    let split: SplitRule = load_yaml(&args.split)?;
    let opened = open(&args.dataset, args.bag_options.as_deref())?;
    let scenes: Vec<SceneDataset> =
        opened.iter().map(|(name, dataset)| SceneDataset { name: name.clone(), dataset: dataset.as_ref() }).collect();
    let stop = stop_on_signal()?;
    let keep_going = || !stop.load(Ordering::Relaxed);
    let config = match args.auto {
        true => automatic(args, &scenes, &split, &keep_going)?,
        false => settings(args)?,
    };
    let units = if args.new_map { Units::Fitted } else { Units::Kept };
    let job = Job {
        config,
        split,
        pretrained: args.weights.clone(),
        from: args.from.clone().map(|model| FineTuning { model, units }),
        out: args.out.clone(),
        name: args.out.file_name().map_or("model".to_owned(), |name| name.to_string_lossy().into_owned()),
        licence: args.licence.clone(),
        command: command_line(),
        seed: args.seed,
        resume: args.resume,
        device: args.device,
    };
    let unlabelled = args.unlabelled.as_deref().map(|path| dataset::open(path, args.unlabelled_bag_options.as_deref()));
    let unlabelled = unlabelled.transpose()?;
    let video = unlabelled.as_deref().map(|unlabelled| video(unlabelled, args)).transpose()?;
    let progress = Progress::automatic();
    let card = match (&*scenes, args.folds) {
        ([SceneDataset { dataset, .. }], Some(folds)) => train_folds(*dataset, (&job, folds), progress, &keep_going)?,
        ([SceneDataset { dataset, .. }], None) => {
            train_with_video(*dataset, video.as_ref(), &job, progress, &keep_going)?
        }
        (several, folds) => {
            if folds.is_some() || video.is_some() {
                let found =
                    format!("{}; several scenes are learned from labelled frames, in one training", several.len());
                return Err(Error::config("dataset", "one with --folds or --unlabelled", found));
            }
            train_scenes(several, &job, progress, &keep_going)?
        }
    };
    println!("{}: {} frames", args.out.display(), card.training.frames);
    for (index, scene) in card.scenes.iter().enumerate() {
        print!("{}: ", scene.name);
        print_validation(&card.of_scene(index));
    }
    if card.scenes.is_empty() {
        print_validation(&card);
    }
    Ok(())
}

/// The datasets with the names of their scenes.
fn open(named: &[NamedDataset], bag_options: Option<&Path>) -> Result<Vec<(String, Box<dyn Dataset>)>> {
    if let [NamedDataset { name: Some(name), .. }] = named {
        let found = format!("the name {name:?} for the only one");
        return Err(Error::config("dataset", "a path alone; names are for several scenes in one model", found));
    }
    let open = |NamedDataset { name, path }: &NamedDataset| {
        let dataset = dataset::open(path, bag_options)?;
        dataset.notes().iter().for_each(|note| eprintln!("{note}"));
        Ok((name.clone().unwrap_or_else(|| dataset.name().to_owned()), dataset))
    };
    named.iter().map(open).collect()
}

/// The frames of a video that the command line names.
fn video<'a>(dataset: &'a dyn Dataset, args: &TrainArgs) -> Result<Video<'a>> {
    dataset.notes().iter().for_each(|note| eprintln!("{note}"));
    let Some(rule) = &args.unlabelled_split else { return Ok(Video::of(dataset)) };
    let split = load_yaml::<SplitRule>(rule)?.split(dataset)?;
    let frames = match args.unlabelled_part {
        Part::Train => split.train,
        Part::Test => split.test,
    };
    Ok(Video { dataset, frames })
}

/// The settings that the budget allows, or those that the run to be resumed began with.
fn automatic(
    args: &TrainArgs,
    scenes: &[SceneDataset],
    rule: &SplitRule,
    keep_going: &dyn Fn() -> bool,
) -> Result<TrainingConfig> {
    let [SceneDataset { dataset, .. }] = *scenes else {
        let found = format!("{}; name the preset, ms-transformer", scenes.len());
        return Err(Error::config("dataset", "one with --auto", found));
    };
    check_folder(&args.out, args.resume)?;
    if args.resume {
        return recorded_config(&args.out);
    }
    let mut candidates = candidates(args.weights.is_some())?;
    for candidate in &mut candidates {
        candidate.config.snapshots = args.snapshots.unwrap_or(candidate.config.snapshots);
    }
    let trials = Trials {
        dataset,
        split: &rule.split(dataset)?,
        pretrained: args.weights.as_deref(),
        device: args.device.resolve()?,
        seed: args.seed,
    };
    let choice = trials.choose(&candidates, args.budget, Progress::automatic(), keep_going)?;
    choice.write(&args.out)?;
    let TrainingConfig { batch_size, accumulate, epochs, .. } = choice.config;
    println!("{}, {epochs} epochs, {accumulate} x {batch_size} pairs per step: {}", choice.chosen, choice.reason);
    Ok(choice.config)
}

/// The settings of a file, of the model to go on from, or of the preset, with what the command line changes.
fn settings(args: &TrainArgs) -> Result<TrainingConfig> {
    let preset = args.preset.as_deref();
    let mut config = match (&args.config, &args.from) {
        (Some(path), _) => load_yaml(path)?,
        (None, Some(model)) => {
            preset.map_or_else(|| fine_tuning_config(model), |name| fine_tuning_preset(name, model))?
        }
        (None, None) => TrainingConfig::preset(preset.unwrap_or(PRESET))?,
    };
    if args.unlabelled.is_some() {
        config.unlabelled.get_or_insert_default();
    }
    let mut network = match (&args.network, &args.from, config.network.take()) {
        (Some(path), _, _) => load_yaml(path)?,
        (None, _, Some(network)) => network,
        (None, Some(model), None) => ModelCard::read(model)?.network,
        (None, None, None) => NetworkConfig::preset(preset.unwrap_or(PRESET))?,
    };
    if let Some(input) = args.input {
        network = network.with_input(input);
    }
    let knows_points = network.scene_coordinates().is_some();
    if let (true, Some(batch_size)) = (knows_points, args.batch_size) {
        let expected = "none for this architecture, whose cells per step are scene_coordinates.cells of its settings";
        return Err(Error::config("batch_size", expected, batch_size.to_string()));
    }
    config.network = Some(network);
    config.epochs = args.epochs.unwrap_or(config.epochs);
    config.learning_rate = args.learning_rate.unwrap_or(config.learning_rate);
    config.accumulate = args.accumulate.unwrap_or(config.accumulate);
    config.snapshots = args.snapshots.unwrap_or(config.snapshots);
    config.batch_size = args.batch_size.unwrap_or(config.batch_size);
    config.freeze_trunk &= !args.unfreeze;
    if config.freeze_trunk && args.weights.is_none() && args.from.is_none() {
        let found = match knows_points {
            true => "none; points are learned on features that are not, give --weights (ImageNet's do)",
            false => "none, with freeze_trunk; give --weights, or --unfreeze to train it",
        };
        return Err(Error::config("weights", "weights for the trunk, which is not trained", found));
    }
    Ok(config)
}

/// What a new model does on its validation frames.
pub(super) fn print_validation(card: &ModelCard) {
    let (errors, calibration) = (&card.validation, card.pose_calibration());
    if errors.frames == 0 {
        println!("no validation frames: how far it errs is not known; give the split a validation block");
        return;
    }
    println!(
        "{} validation frames, medians {:.3} m {:.2} deg, 90 % ellipsoid covers {:.0} %",
        errors.frames,
        errors.median_translation_error,
        errors.median_rotation_error.to_degrees(),
        100.0 * calibration.coverage_90,
    );
    if let Some(recognized) = errors.recognized {
        println!("the scene of {:.1} % of them is told right, the others have no answer", 100.0 * recognized);
    }
    if let Some(metres) = errors.median_point_error {
        println!("the point that a part of a validation frame shows is {metres:.3} m off in the median");
    }
    if let Some(relative) = &card.relative_calibration {
        println!(
            "relative poses: {} pairs, 90 % ellipsoid covers {:.0} %",
            relative.frames,
            100.0 * relative.coverage_90
        );
    }
    if let Some(motion) = card.references.as_ref().and_then(|record| record.motion_calibration) {
        println!(
            "motions without an answer: {} pairs, 90 % ellipsoid covers {:.0} %",
            motion.frames,
            100.0 * motion.coverage_90
        );
    }
    if let Some(segmentation) = &errors.segmentation {
        println!(
            "semantic stream: {:.1} % of the pixels right, mean intersection over union {:.3}",
            100.0 * segmentation.pixel_accuracy,
            segmentation.mean_iou,
        );
    }
}

/// The command line with file names in place of paths: a model card is no place for a user's folders.
pub(super) fn command_line() -> String {
    let short = |argument: String| match argument.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.to_owned(),
        _ => argument,
    };
    std::env::args().map(short).collect::<Vec<_>>().join(" ")
}

/// A flag that SIGINT and SIGTERM raise.
pub(super) fn stop_on_signal() -> Result<Arc<AtomicBool>> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dataset_may_have_a_name_in_front() {
        let named: NamedDataset = "kitchen=data/redkitchen".parse().unwrap();
        assert_eq!(named, NamedDataset { name: Some("kitchen".to_owned()), path: PathBuf::from("data/redkitchen") });
        for text in ["data/redkitchen", "=data", "data="] {
            assert_eq!(text.parse::<NamedDataset>().unwrap().name, None, "{text}");
        }
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("light=off");
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(folder.to_str().unwrap().parse::<NamedDataset>().unwrap().path, folder);
        let error = open(&[named], None).err().unwrap().to_string();
        assert!(error.starts_with("parameter dataset: expected a path alone; names are for several scenes"), "{error}");
    }
}
