//! `vloc calibrate`: the covariances of a finished model, fitted anew.

use std::path::PathBuf;

use clap::Args;

use crate::config::load_yaml;
use crate::dataset::{self, SplitRule};
use crate::network::uncertainty::MIN_CALIBRATION_FRAMES;
use crate::network::{Device, PoseRegressor, device};
use crate::progress::Progress;
use crate::training::calibrate;
use crate::vision::Preprocessor;
use crate::{Error, Result};

/// Fit the covariances of a finished model anew, on a recording of the same place that it was not trained on, or on the
/// validation frames of the one that it was.
///
/// The model folder's model.yaml gets the new factors and the errors on these frames; the weights stay.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc calibrate out/my_model --dataset second_bag
  vloc calibrate out/my_model --dataset my_bag --split config/splits/bag.yaml")]
pub struct CalibrateArgs {
    /// The model folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Of a model of several scenes: the name of the one that the dataset shows, whose covariances are fitted.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub scene: String,
    /// The dataset, with poses in the model's map.
    #[arg(long, value_name = "PATH")]
    pub dataset: PathBuf,
    /// For a rosbag2: which topics and frames (config/bag_dataset.yaml explains them).
    #[arg(long, value_name = "YAML")]
    pub bag_options: Option<PathBuf>,
    /// Rule whose validation frames count (see config/splits): the one that the model was trained with. Without it all
    /// frames count, so none of them may have trained the model.
    #[arg(long, value_name = "YAML")]
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
/// Those of the model, the dataset and the split; [`Error::Config`] when fewer than 20 frames validate, or when all frames
/// of the training's dataset would.
pub fn run(args: &CalibrateArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    let regressor = PoseRegressor::load_in(&args.model, &args.scene, args.device)?;
    let dataset = dataset::open(&args.dataset, args.bag_options.as_deref())?;
    dataset.notes().iter().for_each(|note| eprintln!("{note}"));
    if regressor.card().cross_fitted && args.split.is_some() {
        let found = "a rule, of whose frames each trained some of the folds; `vloc ensemble` fits folds anew";
        return Err(Error::config("split", "none for a model of folds", found));
    }
    let (card, scene) = (regressor.card(), regressor.scene());
    let known = scene.map_or(&card.training.dataset, |scene| &card.scenes[scene].dataset);
    let frames = match &args.split {
        Some(path) => load_yaml::<SplitRule>(path)?.split(dataset.as_ref())?.validation,
        None if dataset.name() == known => {
            let found = format!("none, and all frames of {}, which trained it", dataset.name());
            return Err(Error::config("split", "a rule that sets validation frames apart", found));
        }
        None => (0..dataset.frames().len()).collect(),
    };
    if frames.len() < MIN_CALIBRATION_FRAMES {
        let expected = format!("at least {MIN_CALIBRATION_FRAMES} frames to calibrate on");
        return Err(Error::config("split", expected, frames.len().to_string()));
    }
    let preprocessor = Preprocessor::new(dataset.camera(), &regressor.card().camera)?;
    let image = |index: usize| preprocessor.apply(&dataset.image(index)?);
    let card = calibrate(regressor, dataset.frames(), &frames, &image, Progress::automatic())?;
    card.write(&args.model)?;
    print!("{}: ", args.model.display());
    super::train::print_validation(&scene.map_or_else(|| card.clone(), |scene| card.of_scene(scene)));
    Ok(())
}
