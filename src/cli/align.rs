//! `vloc align`: reference frames for a finished model.

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

/// Add reference frames to a model: training frames with points (from depth images) by which poses are measured or aligned.
///
/// Of a scene-coordinates model the pose of a new frame is aligned to them by the features of the encoder, after it was measured from
/// points. What any other model says of a frame is a proposal then: the frame is compared with the references near it and with
/// those that look alike, RANSAC finds the pose that what looks alike agrees with, and that pose is aligned; a frame in which too
/// little is recognized has no answer. The encoder has to be SqueezeNet or a ResNet, of one scene, and to see the whole input.
///
/// The model folder gets references.safetensors (a few MB), and model.yaml what it does; the weights stay. References are used from
/// now on where that was better on the validation frames; `vloc eval --align` says otherwise. Covariances of a
/// scene-coordinates model stay those of the measured poses, or become larger; of other models they are fitted to validation frames and
/// to training frames whose neighbours are left out. `vloc calibrate` fits them on frames of your own.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc align out/my_model --dataset my_scene
  vloc align out/my_vlocnet --dataset my_scene --frames 400
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
    /// Points of each, at most; without it 300 of a scene-coordinates model and 500 of any other.
    #[arg(long, value_name = "N")]
    pub cells: Option<usize>,
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

fn print(args: &AlignArgs, Referenced { card, measured, alone }: &Referenced) {
    let Some(record) = &card.references else { return };
    let file = args.model.join(REFERENCES_FILE);
    println!("{}: {} reference frames with {} points", file.display(), record.frames, record.points);
    let medians = |errors: &ValidationRecord| {
        format!("{:.3} m {:.2} deg", errors.median_translation_error, errors.median_rotation_error.to_degrees())
    };
    let (done, usual) = match alone {
        Some(_) => ("measured from references", "as the network says them"),
        None => ("aligned", "as they were measured"),
    };
    let taken = match record.used {
        true => format!("poses are {done} from now on"),
        false => format!("poses stay {usual}"),
    };
    match measured {
        Some([plain, better]) => println!(
            "medians on {} validation frames {}, {done} {}: {taken}",
            plain.frames,
            medians(plain),
            medians(better)
        ),
        None => println!("no validation frames to measure on: {taken}; measure with vloc eval --align true"),
    }
    if let Some(alone) = alone {
        println!(
            "medians on {} training frames without the references near them {}, which the covariances know",
            alone.frames,
            medians(alone)
        );
    }
}
