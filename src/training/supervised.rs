//! Inputs with what else a loss wants to know of each view, beside its pose.

use tch::Tensor;

use super::batch::Source;
use super::pairs::View;
use super::scene_labels::SceneLabels;
use super::scene_points::ScenePoints;
use crate::Result;
use crate::geometry::Se3;

/// A source of inputs, and what the dataset knows of their frames.
pub(super) struct Supervised<'a> {
    pub(super) inputs: &'a dyn Source,
    /// For the reprojection loss.
    pub(super) points: Option<ScenePoints>,
    /// For the semantic stream.
    pub(super) labels: Option<SceneLabels<'a>>,
}

impl Source for Supervised<'_> {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        self.inputs.views(views)
    }

    fn points(&self, views: &[View]) -> Option<Tensor> {
        self.points.as_ref().map(|points| points.of(views))
    }

    fn labels(&self, views: &[View]) -> Option<Tensor> {
        self.labels.as_ref().map(|labels| labels.of(views))
    }

    fn scenes(&self, views: &[View]) -> Option<Vec<usize>> {
        self.inputs.scenes(views)
    }
}
