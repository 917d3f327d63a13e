//! What there is to choose.

use serde::{Deserialize, Serialize};

use crate::network::scene_coordinates::Supervision;
use crate::network::{LocalizerConfig, NetworkConfig, SceneCoordinatesConfig};
use crate::{Error, Result};

/// More folds cost more than they tell.
const MOST_FOLDS: usize = 20;

/// How points are learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SceneCoordinates {
    /// Parts that the place is divided into, by where the cameras stand, each with a head of its own that takes as many steps as
    /// one head for all would: for a place that is too large for one head, which holds a few rooms.
    pub parts: usize,
    /// What cells learn from; the model card says what it was.
    pub supervision: Supervision,
    /// Cells per step.
    pub cells: usize,
    /// What the distance to a point cannot exceed at the start, metres: about a quarter of the extent of a room.
    pub coarse: f64,
    /// The same at the end: about the accuracy that is wanted.
    pub fine: f64,
    /// What the reprojection error of a cell without depth cannot exceed at the start, pixels of the network's image.
    pub coarse_pixels: f64,
    /// The same at the end.
    pub fine_pixels: f64,
    /// In so many parts the training frames are set apart in turn to see how far poses err where nothing was learned, for the
    /// covariance; 0: the validation frames alone say it.
    pub folds: usize,
    /// Epochs of each of these trainings.
    pub fold_epochs: usize,
    /// Metres that a pixel of that error counts: about the depth of the scene over the focal length.
    pub metres_per_pixel: f64,
    /// How far away the scene is about, metres, where no depth image says it: points are looked for between a fifth and five
    /// times of it.
    pub assumed_depth: f64,
    /// The share of the training, from its first step, that learns the points found there; reprojection errors follow.
    pub start: f64,
}

impl Default for SceneCoordinates {
    fn default() -> Self {
        Self {
            parts: 1,
            supervision: Supervision::Depth,
            cells: 5120,
            coarse: 0.5,
            fine: 0.02,
            coarse_pixels: 50.0,
            fine_pixels: 1.0,
            folds: 0,
            fold_epochs: 4,
            metres_per_pixel: 0.005,
            assumed_depth: 2.0,
            start: 0.5,
        }
    }
}

impl SceneCoordinates {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the range and the value.
    pub(in crate::training) fn check(&self) -> Result<()> {
        let Self { cells, coarse, fine, coarse_pixels, fine_pixels, metres_per_pixel, .. } = *self;
        let Self { parts, folds, fold_epochs, assumed_depth, start, .. } = *self;
        let most_parts = SceneCoordinatesConfig::MOST_PARTS;
        if !(1..=most_parts).contains(&parts) {
            let expected = format!("1 for one head, or up to {most_parts}");
            return Err(Error::config("scene_coordinates.parts", expected, parts.to_string()));
        }
        if cells < 2 {
            return Err(Error::config("scene_coordinates.cells", "at least 2", cells.to_string()));
        }
        if folds == 1 || folds > MOST_FOLDS {
            let expected = format!("0, or 2 to {MOST_FOLDS}");
            return Err(Error::config("scene_coordinates.folds", expected, folds.to_string()));
        }
        if fold_epochs == 0 {
            return Err(Error::config("scene_coordinates.fold_epochs", "at least 1", "0"));
        }
        let ranges = [
            ("coarse", coarse, fine, 1e6),
            ("fine", fine, f64::MIN_POSITIVE, 1e6),
            ("coarse_pixels", coarse_pixels, fine_pixels, 1e4),
            ("fine_pixels", fine_pixels, f64::MIN_POSITIVE, 1e4),
            ("metres_per_pixel", metres_per_pixel, f64::MIN_POSITIVE, 1e3),
            ("assumed_depth", assumed_depth, f64::MIN_POSITIVE, 1e6),
            ("start", start, 0.0, 1.0),
        ];
        match ranges.iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            None => Ok(()),
            Some((key, value, low, high)) => {
                let low = if *low == f64::MIN_POSITIVE { "more than 0".to_owned() } else { format!("at least {low}") };
                let expected = format!("{low}, at most {high}");
                Err(Error::config(format!("scene_coordinates.{key}"), expected, value.to_string()))
            }
        }
    }

    /// The architecture with so many parts.
    ///
    /// # Errors
    /// [`Error::Config`] for one that has another number of them already.
    pub(super) fn with_parts(&self, network: &NetworkConfig, parts: usize) -> Result<NetworkConfig> {
        match network.scene_coordinates() {
            Some(shape) if shape.parts != 1 && shape.parts != self.parts => {
                let expected = format!("{}, as network.localizer.shape.parts says, or 1 there", shape.parts);
                Err(Error::config("scene_coordinates.parts", expected, self.parts.to_string()))
            }
            Some(shape) => {
                let shape = SceneCoordinatesConfig { parts, ..*shape };
                Ok(NetworkConfig { localizer: LocalizerConfig::SceneCoordinates { shape }, ..network.clone() })
            }
            None => Ok(network.clone()),
        }
    }
}
