//! Stamped pose measurements with covariance, whoever made them.

use crate::Stamp;
use crate::geometry::{Matrix6, Se3};

/// Where the camera was when an image was exposed.
#[derive(Clone, Debug, PartialEq)]
pub struct AbsolutePose {
    /// The stamp of the image.
    pub stamp: Stamp,
    /// Pose of the camera's optical frame in the map.
    pub map_from_camera: Se3,
    /// Covariance of the right perturbation, `[translation (m), rotation (rad)]` in the camera's axes.
    pub covariance: Matrix6,
}

/// How the camera moved between two images.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativePose {
    /// The stamp of the earlier image.
    pub previous_stamp: Stamp,
    /// The stamp of the later image.
    pub stamp: Stamp,
    /// Pose of the later camera in the axes of the earlier one.
    pub previous_from_current: Se3,
    /// Covariance of the right perturbation, `[translation (m), rotation (rad)]` in the later camera's axes.
    pub covariance: Matrix6,
}

/// Where a camera is expected to be when an image is exposed: what a filter made of all that was measured before.
///
/// Only this crate makes one, and only of an estimate: a true pose of a dataset cannot become one, so that no evaluation can
/// help a model with what it should find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PosePrior {
    map_from_camera: Se3,
}

impl PosePrior {
    /// The prior of a filter that tracks the camera.
    pub(crate) fn new(map_from_camera: Se3) -> Self {
        Self { map_from_camera }
    }

    /// Pose of the camera's optical frame in the map.
    pub fn map_from_camera(&self) -> &Se3 {
        &self.map_from_camera
    }
}
