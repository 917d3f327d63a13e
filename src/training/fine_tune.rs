//! Going on from a finished model with new data: another bag of the same place, another light, another camera.
//!
//! What is kept is what the weights mean: the architecture, the pinhole camera of the input (images of any camera are
//! turned into it) and, unless said otherwise, the units of translations. The heads speak in these units, so that
//! fitting them to the new frames would move and stretch every position that the model knows; in the same map they stay.
//! For another map there is nothing to keep of them, and they are fitted anew ([`Units::Fitted`]).
//!
//! Training on new data alone forgets the old: give a dataset that has both where both matter.

use std::path::{Path, PathBuf};

use tch::nn::VarStore;

use super::config::TrainingConfig;
use super::run::CONFIG_FILE;
use crate::config::load_yaml;
use crate::geometry::Se3;
use crate::network::{MapFromNormalized, ModelCard, NetworkConfig, OriginRecord, WEIGHTS_FILE, checkpoint};
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::vision::Preprocessor;
use crate::{Error, Result};

/// The learning rate of a fine-tuning as a part of the training's: the weights need a push, not a new start.
const RATE: f64 = 0.1;
/// The most of the model's picture that the new camera may leave black.
const MAX_OUTSIDE: f64 = 0.2;
/// New poses further from the model's, in its units of translations, are those of another map: a place that was
/// learned reaches to about 2.
const MAX_DISTANCE: f64 = 10.0;

/// Where the units of translations come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Units {
    /// From the model: the poses are in its map.
    #[default]
    Kept,
    /// From the new training poses, whatever their map.
    Fitted,
}

/// A model that a training goes on from; of an ensemble, its first member.
#[derive(Clone, Debug)]
pub struct FineTuning {
    /// Its folder.
    pub model: PathBuf,
    /// Whether its units of translations stay.
    pub units: Units,
}

/// The settings for going on from a model: those of its own training, with its architecture and a tenth of the learning
/// rate.
///
/// # Errors
/// Those of [`ModelCard::read`]; [`Error::Io`] when the folder has no `training.yaml`; [`Error::Format`] when it is
/// something else.
pub fn fine_tuning_config(model: &Path) -> Result<TrainingConfig> {
    let network = Some(ModelCard::read(model)?.network);
    let path = model.join(CONFIG_FILE);
    if !path.exists() {
        let found = format!("none in {}; give settings of your own (--config)", model.display());
        return Err(Error::config("from", format!("a model with the settings of its training, {CONFIG_FILE}"), found));
    }
    let config: TrainingConfig = load_yaml(&path)?;
    Ok(TrainingConfig { network, learning_rate: RATE * config.learning_rate, ..config })
}

/// The settings of a preset for going on from a model: with the model's architecture and a tenth of the learning rate.
///
/// # Errors
/// Those of [`ModelCard::read`]; [`Error::Config`] for an unknown preset.
pub fn fine_tuning_preset(name: &str, model: &Path) -> Result<TrainingConfig> {
    let network = Some(ModelCard::read(model)?.network);
    let config = TrainingConfig::preset(name)?;
    Ok(TrainingConfig { network, learning_rate: RATE * config.learning_rate, ..config })
}

/// Checks whether images of a camera fill the picture of a network's.
///
/// # Errors
/// [`Error::Config`] when they leave too much of it black, with an advice; those of [`Preprocessor::new`].
pub(super) fn check_camera(
    source: &CameraModel,
    target: &CameraModel,
    advice: &str,
    progress: &Progress,
) -> Result<()> {
    let outside = Preprocessor::new(source, target)?.outside_fraction();
    if outside > MAX_OUTSIDE {
        let expected = format!("one that sees at least {:.0} % of the model's picture", 100.0 * (1.0 - MAX_OUTSIDE));
        let found = format!("{:.0} %; {advice}", 100.0 * (1.0 - outside));
        return Err(Error::config("camera", expected, found));
    }
    if outside > 0.0 {
        progress.note(&format!("{:.1} % of the model's picture stay black with this camera", 100.0 * outside));
    }
    Ok(())
}

/// The model that is gone on from, with what it gives to the new one.
pub(super) struct Start {
    folder: PathBuf,
    card: ModelCard,
    units: Units,
}

impl Start {
    /// Reads the card and checks that `architecture` and the camera of the new images suit it.
    ///
    /// # Errors
    /// Those of [`ModelCard::read`]; [`Error::Config`] for another architecture, or a camera that sees too little of
    /// what the model's sees.
    pub(super) fn read(
        tuning: &FineTuning,
        architecture: &NetworkConfig,
        source: &CameraModel,
        progress: &Progress,
    ) -> Result<Self> {
        let card = ModelCard::read(&tuning.model)?;
        if card.network != *architecture {
            let expected = format!("the architecture of {}, whose weights it starts from", tuning.model.display());
            return Err(Error::config("network", expected, "another; leave out network, or train it from the start"));
        }
        check_camera(source, &card.camera, "train a model for this camera from the start", progress)?;
        Ok(Self { folder: tuning.model.clone(), card, units: tuning.units })
    }

    /// Sets the weights.
    ///
    /// # Errors
    /// Those of [`checkpoint::load_verified`].
    pub(super) fn load(&self, store: &VarStore) -> Result<()> {
        checkpoint::load_verified(store, &self.folder.join(WEIGHTS_FILE), &self.card.weights.sha256)
    }

    /// The camera of the input.
    pub(super) fn camera(&self) -> CameraModel {
        self.card.camera
    }

    /// The frame of the poses.
    pub(super) fn map_frame(&self) -> &str {
        &self.card.map_frame
    }

    /// The units of translations.
    ///
    /// # Errors
    /// [`Error::Config`] when the training poses cannot be in the model's map; those of [`MapFromNormalized::fit`].
    pub(super) fn units(&self, poses: &[Se3]) -> Result<MapFromNormalized> {
        let fitted = MapFromNormalized::fit(poses)?;
        let kept = self.card.map_from_normalized;
        let centre = nalgebra::Vector3::from(fitted.mean) - nalgebra::Vector3::from(kept.mean);
        match self.units {
            Units::Fitted => Ok(fitted),
            Units::Kept if centre.norm() <= MAX_DISTANCE * kept.scale => Ok(kept),
            Units::Kept => {
                let most = MAX_DISTANCE * kept.scale;
                let found =
                    format!("{:.0} m from it; give --new-map if the dataset has a map of its own", centre.norm());
                Err(Error::config("dataset", format!("poses about the model's place, within {most:.0} m"), found))
            }
        }
    }

    /// What the new card says of it.
    pub(super) fn record(&self) -> OriginRecord {
        let ModelCard { name, weights, training, .. } = &self.card;
        OriginRecord { name: name.clone(), sha256: weights.sha256.clone(), dataset: training.dataset.clone() }
    }
}
