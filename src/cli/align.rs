//! `vloc align`: reference frames for a finished model that knows points.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;

use super::train::stop_on_signal;
use crate::Result;
use crate::config::load_yaml;
use crate::dataset;
use crate::network::references::REFERENCES_FILE;
use crate::network::{Device, ValidationRecord, device};
use crate::progress::Progress;
use crate::training::{Referenced, Referencing, add_references};

/// Add reference frames to a scene-coordinates model: training frames to which the pose of a new frame is aligned by the features
/// of the encoder, after it was measured from points.
///
/// The model folder gets references.safetensors (a few MB), and model.yaml what it does; the weights stay. Poses are aligned from
/// now on where that was better on the validation frames; `vloc eval --align` says otherwise. Covariances stay those
/// of the measured poses, or become larger; `vloc calibrate` fits them on frames of your own.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc align out/my_model --dataset my_scene
  vloc eval --dataset my_scene --split config/splits/interpolation.yaml --model out/my_model --align false --out out/eval")]
pub struct AlignArgs {
    /// The model folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The dataset that the model was trained on.
    #[arg(long, value_name = "PATH")]
    pub dataset: PathBuf,
    /// For a rosbag2: which topics and frames (config/bag_dataset.yaml explains them).
    #[arg(long, value_name = "YAML")]
    pub bag_options: Option<PathBuf>,
    /// The rule that divided it, where the model folder has no split.yaml.
    #[arg(long, value_name = "YAML")]
    pub split: Option<PathBuf>,
    /// Training frames that become references, at most.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub frames: usize,
    /// Points of each, at most.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub cells: usize,
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
/// Those of [`add_references`] and of the dataset.
pub fn run(args: &AlignArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    let stop = stop_on_signal()?;
    let dataset = dataset::open(&args.dataset, args.bag_options.as_deref())?;
    dataset.notes().iter().for_each(|note| eprintln!("{note}"));
    let usual = match &args.split {
        Some(path) => Referencing::with_split(args.model.clone(), load_yaml(path)?),
        None => Referencing::of(args.model.clone())?,
    };
    let job = Referencing { frames: args.frames, cells: args.cells, device: args.device, ..usual };
    let keep_going = || !stop.load(Ordering::Relaxed);
    let referenced = add_references(&job, dataset.as_ref(), Progress::automatic(), &keep_going)?;
    print(args, &referenced);
    Ok(())
}

fn print(args: &AlignArgs, Referenced { card, measured }: &Referenced) {
    let Some(record) = &card.references else { return };
    let file = args.model.join(REFERENCES_FILE);
    println!("{}: {} reference frames with {} points", file.display(), record.frames, record.points);
    let medians = |errors: &ValidationRecord| {
        format!("{:.3} m {:.2} deg", errors.median_translation_error, errors.median_rotation_error.to_degrees())
    };
    let taken = if record.used { "poses are aligned from now on" } else { "poses stay as they were measured" };
    match measured {
        Some([plain, aligned]) => println!(
            "medians on {} validation frames {}, aligned {}: {taken}",
            plain.frames,
            medians(plain),
            medians(aligned)
        ),
        None => println!("no validation frames to measure on: {taken}; measure with vloc eval --align true"),
    }
}
