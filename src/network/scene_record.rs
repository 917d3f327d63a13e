//! The scenes of a model card: a model of several scenes speaks of each in units of its own, for a camera of its own, in a
//! map of its own. The fields of the card that a scene has too are those of the scene in use; in the file, of the first.

use serde::{Deserialize, Serialize};

use super::card::{ModelCard, ValidationRecord};
use super::pose_tensor::MapFromNormalized;
use super::uncertainty::Calibration;
use crate::sensor::CameraModel;
use crate::{Error, Result};

/// A scene that a model of several knows. What the fields say is what those of the same names in [`ModelCard`] do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneRecord {
    /// Its name, by which it is asked for.
    pub name: String,
    /// The data, by name.
    pub dataset: String,
    /// Frames trained on.
    pub frames: usize,
    /// The pinhole camera of the input in this scene.
    pub camera: CameraModel,
    /// The frame of its poses.
    pub map_frame: String,
    /// Units of its translations.
    pub map_from_normalized: MapFromNormalized,
    /// Errors on its validation frames.
    pub validation: ValidationRecord,
    /// What makes the covariances true there.
    pub calibration: Calibration,
}

impl ModelCard {
    /// The number of the scene of that name; `None` of a model that knows one place, which has no name to give but that of
    /// its dataset. An empty name is that of the only place there is.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is none, or none given where there are several, with those there are.
    pub fn scene(&self, name: &str) -> Result<Option<usize>> {
        let found = if name.is_empty() { "none".to_owned() } else { format!("{name:?}") };
        if self.scenes.is_empty() {
            return match name.is_empty() || name == self.training.dataset {
                true => Ok(None),
                false => {
                    let expected = format!("none, or {}, the only place that the model knows", self.training.dataset);
                    Err(Error::config("scene", expected, found))
                }
            };
        }
        let unknown = || Error::config("scene", format!("one of {}", self.scene_names()), found);
        self.scenes.iter().position(|scene| scene.name == name).map(Some).ok_or_else(unknown)
    }

    /// The names of the scenes, of a model of several.
    pub fn scene_names(&self) -> String {
        self.scenes.iter().map(|scene| scene.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The card as the scene of this number has it.
    pub fn of_scene(&self, scene: usize) -> Self {
        let Some(SceneRecord { camera, map_frame, map_from_normalized, validation, calibration, .. }) =
            self.scenes.get(scene).cloned()
        else {
            return self.clone();
        };
        Self { camera, map_frame, map_from_normalized, validation, calibration, ..self.clone() }
    }

    /// The card of the model again, from that of a scene: what is new of it is kept in its record.
    pub(crate) fn filed(mut self, scene: usize) -> Self {
        let Self { camera, map_frame, map_from_normalized, validation, calibration, scenes, .. } = &mut self;
        if let Some(record) = scenes.get_mut(scene) {
            record.camera = *camera;
            record.map_frame.clone_from(map_frame);
            record.map_from_normalized = *map_from_normalized;
            record.validation = *validation;
            record.calibration = *calibration;
        }
        self.of_scene(0)
    }
}
