//! What a pose stands on.

use super::{FocalCheck, PnpSolution};

/// The points that agree with a pose: how many, how well, and with which focal length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Cells of the image that were asked for their points.
    pub asked: usize,
    /// Those whose points agree with the pose.
    pub inliers: usize,
    /// Root mean square of what these are off by, pixels of the network's image.
    pub residual: f64,
    /// The focal length that they ask for, of the one that the camera claims.
    pub focal: FocalCheck,
    /// Whether the pose was where it was expected, so that nothing had to be searched.
    pub expected: bool,
}

impl Evidence {
    /// What a solution from so many cells stands on.
    pub fn new(asked: usize, solution: &PnpSolution) -> Self {
        let PnpSolution { inliers, residual, focal, expected, .. } = solution;
        Self { asked, inliers: inliers.len(), residual: *residual, focal: *focal, expected: *expected }
    }

    /// The share of the cells whose points agree.
    pub fn share(&self) -> f64 {
        self.inliers as f64 / self.asked.max(1) as f64
    }
}
