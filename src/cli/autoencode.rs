//! `vloc autoencode`: a pose auto-encoder for a finished model.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;

use super::train::{print_validation, stop_on_signal};
use crate::config::load_yaml;
use crate::dataset;
use crate::network::{Device, InputSize, device};
use crate::progress::Progress;
use crate::training::{Autoencoded, Autoencoding, autoencode};
use crate::{Error, Result};

/// Train a pose auto-encoder for a finished model: a small network that says what the model makes of an image, from the pose
/// of the camera alone. With it the training poses nearest to the model's answer can refine the position (--neighbours).
///
/// The model folder gets autoencoder.safetensors, and model.yaml what it does; the weights stay, and the covariances are
/// fitted anew. Measure refined positions on frames of your own before you rely on them: they are a mixture of training
/// positions, and no better where these are far apart.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc autoencode out/my_model --dataset my_bag
  vloc eval --dataset my_bag --split config/splits/bag.yaml --model out/my_model --neighbours 3 --out out/eval")]
pub struct AutoencodeArgs {
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
    /// Training poses that refine a position from now on; 0 for none. Default: none, and 3 are tried on the validation frames.
    #[arg(long, value_name = "N")]
    pub neighbours: Option<usize>,
    /// Also train a decoder to pictures of this size, for `vloc picture`: WIDTHxHEIGHT, such as 48x36.
    #[arg(long, value_name = "SIZE")]
    pub pictures: Option<InputSize>,
    /// Passes over the training frames and their augmented copies.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Frequencies of the Fourier features.
    #[arg(long, value_name = "N")]
    pub frequencies: Option<usize>,
    /// Augmented copies of each training frame.
    #[arg(long, value_name = "N")]
    pub copies: Option<usize>,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
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
/// Those of [`autoencode`] and of the dataset.
pub fn run(args: &AutoencodeArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    if args.epochs == Some(0) {
        return Err(Error::config("--epochs", "at least 1", "0"));
    }
    let stop = stop_on_signal()?;
    let dataset = dataset::open(&args.dataset, args.bag_options.as_deref())?;
    dataset.notes().iter().for_each(|note| eprintln!("{note}"));
    let usual = match &args.split {
        Some(path) => Autoencoding::with_split(args.model.clone(), load_yaml(path)?),
        None => Autoencoding::of(args.model.clone())?,
    };
    let AutoencodeArgs { neighbours, pictures, seed, device, .. } = *args;
    let mut job = Autoencoding { neighbours, pictures, seed, device, ..usual };
    job.epochs = args.epochs.unwrap_or(job.epochs);
    job.copies = args.copies.unwrap_or(job.copies);
    job.network.frequencies = args.frequencies.unwrap_or(job.network.frequencies);
    let keep_going = || !stop.load(Ordering::Relaxed);
    let autoencoded = autoencode(&job, dataset.as_ref(), Progress::automatic(), &keep_going)?;
    print(args, &autoencoded);
    Ok(())
}

fn print(args: &AutoencodeArgs, Autoencoded { card, plain, refined }: &Autoencoded) {
    let record = card.autoencoder.as_ref();
    println!("{}: an autoencoder of {} poses", args.model.display(), record.map_or(0, |record| record.poses));
    if let Some(errors) = record.and_then(|record| record.validation) {
        println!(
            "{} validation frames, encodings off by {:.2} of the spread of embeddings, decoded to medians {:.3} m {:.2} deg",
            errors.frames,
            errors.embedding_error,
            errors.median_translation_error,
            errors.median_rotation_error.to_degrees()
        );
    }
    if let Some(error) = record.and_then(|record| record.pictures.as_ref()?.validation_error) {
        println!("pictures off by {error:.2} of the difference to the mean training picture");
    }
    if let Some((neighbours, errors)) = refined {
        let refines = record.is_some_and(|record| record.neighbours > 0);
        println!(
            "positions {:.3} m, refined by {neighbours} training poses {:.3} m: {}",
            plain.median_translation_error,
            errors.median_translation_error,
            if refines { "refined from now on" } else { "left as they are (--neighbours)" }
        );
    }
    print_validation(card);
}
