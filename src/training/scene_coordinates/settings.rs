//! What there is to choose.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// More parts cost more than they tell.
const MOST_FOLDS: usize = 20;

/// How points are learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SceneCoordinates {
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
}

impl Default for SceneCoordinates {
    fn default() -> Self {
        Self {
            cells: 5120,
            coarse: 0.5,
            fine: 0.02,
            coarse_pixels: 50.0,
            fine_pixels: 1.0,
            folds: 0,
            fold_epochs: 4,
            metres_per_pixel: 0.005,
        }
    }
}

impl SceneCoordinates {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the range and the value.
    pub(in crate::training) fn check(&self) -> Result<()> {
        let Self { cells, coarse, fine, coarse_pixels, fine_pixels, folds, fold_epochs, metres_per_pixel } = *self;
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
}
