//! What points are learned from.

use serde::{Deserialize, Serialize};

/// What the points of cells are learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// Depth images, and of cells without a reading the reprojection error. A dataset without any reading is learned from by
    /// [`Supervision::Reprojection`].
    #[default]
    Depth,
    /// The reprojection error alone, behind a start from points that the images themselves show from several sides. Depth
    /// images are not looked at.
    Reprojection,
}
