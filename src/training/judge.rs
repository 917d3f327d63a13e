//! What judges a network while it trains, and at the end: the validation frames of its dataset, and of a member that compares
//! the training images that it will have in its model folder.

use std::ops::Range;

use tch::Tensor;

use super::config::TrainingConfig;
use super::gallery::{self, Compared};
use super::material::Material;
use super::scene_labels::SceneLabels;
use super::scenes::Scene;
use super::segmentation::segmentation;
use super::validation::{SceneAnswers, ValidationErrors, answers, validate};
use crate::Result;
use crate::geometry::Se3;
use crate::network::{Gallery, MapFromNormalized, NetworkConfig, PoseNetwork, SegmentationRecord, SemanticsConfig};

/// The validation frames, and what it takes to judge a network by them.
pub(super) struct Judge<'a> {
    material: &'a Material,
    validation: &'a [usize],
    truth: Vec<Se3>,
    units: MapFromNormalized,
    /// Behind a trunk that does not learn.
    frozen: bool,
    compared: Option<Compared<'a>>,
}

/// The errors of a network on the validation frames of all scenes, in the order of their numbers; `None` without any.
///
/// # Errors
/// As of [`Judge::errors`].
pub(super) fn errors(judges: &[Judge], network: &PoseNetwork) -> Result<Option<ValidationErrors>> {
    if let [judge] = judges {
        return judge.errors(network);
    }
    let of_scenes = judges.iter().enumerate().map(|(scene, judge)| judge.answers(network, scene));
    Ok(ValidationErrors::of_scenes(&of_scenes.collect::<Result<Vec<_>>>()?))
}

impl<'a> Judge<'a> {
    /// By the validation frames of the scene, whose images are in `material`.
    pub(super) fn new(
        material: &'a Material,
        scene: &'a Scene,
        units: MapFromNormalized,
        architecture: &NetworkConfig,
        config: &TrainingConfig,
    ) -> Self {
        let (frames, split) = (scene.dataset.frames(), &scene.split);
        let compared =
            architecture.gallery.map(|gallery| Compared::choose(gallery, (frames, &split.train), material, units));
        let truth = split.validation.iter().map(|&index| frames[index].map_from_camera).collect();
        Self { material, validation: &split.validation, truth, units, frozen: config.freeze_trunk, compared }
    }

    /// Whether the network can be judged, found before it trains.
    ///
    /// # Errors
    /// Those of [`Compared::check`].
    pub(super) fn check(&self, network: &PoseNetwork) -> Result<()> {
        self.compared.as_ref().map_or(Ok(()), |compared| compared.check(network, self.frozen))
    }

    /// The errors of a network; `None` without validation frames.
    ///
    /// # Errors
    /// Those of [`validate`] and of a gallery.
    fn errors(&self, network: &PoseNetwork) -> Result<Option<ValidationErrors>> {
        if self.truth.is_empty() {
            return Ok(None);
        }
        let input = |rows: Range<usize>| self.input(rows);
        match self.gallery(network)? {
            None => validate(network, &self.units, &self.truth, self.frozen, &input),
            Some(gallery) => gallery::validate(network, &gallery, &self.truth, &input, self.frozen),
        }
    }

    /// What the network says in the scene of this number.
    fn answers(&self, network: &PoseNetwork, scene: usize) -> Result<SceneAnswers> {
        answers(network, &self.units, &self.truth, (self.frozen, Some(scene)), &|rows| self.input(rows))
    }

    /// The training images as the network sees them now, where it compares.
    ///
    /// # Errors
    /// Those of [`Compared::fill`].
    pub(super) fn gallery(&self, network: &PoseNetwork) -> Result<Option<Gallery>> {
        self.compared.as_ref().map(|compared| compared.fill(network, self.frozen)).transpose()
    }

    /// How well a semantic stream tells what the pixels of the validation frames show, which are labelled.
    ///
    /// # Errors
    /// Those of [`segmentation`].
    pub(super) fn segmentation(
        &self,
        network: &PoseNetwork,
        semantics: &SemanticsConfig,
        labels: &SceneLabels,
    ) -> Result<Option<SegmentationRecord>> {
        segmentation(network, semantics, labels, self.validation, &|rows| self.input(rows))
    }

    fn input(&self, rows: Range<usize>) -> Result<Tensor> {
        self.material.validation_input(rows)
    }
}
