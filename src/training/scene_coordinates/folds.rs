//! How far poses err where nothing was learned, for the covariance.
//!
//! A validation block or two are one or two places, and what is learned errs differently elsewhere. Here the training frames
//! are cut into consecutive parts; each is set apart once, a head learns from the cells of the others for a few epochs, and
//! says where the frames of the part were taken: at its ends near what was learned, in its middle far from it (Stone 1974,
//! "Cross-validatory choice and assessment of statistical predictions"). A head that learned from less, and for a shorter
//! time, errs rather more than the one that is kept.

use image::RgbImage;

use super::buffer::Material;
use super::descent::Descent;
use super::run::head_of;
use crate::Result;
use crate::dataset::Dataset;
use crate::network::{ModelCard, PoseRegressor};
use crate::progress::Progress;
use crate::training::calibrate::Answers;
use crate::training::config::TrainingConfig;
use crate::training::pairs::mix;
use crate::training::run::{Job, initial_network};

/// What the folds learn from.
pub(super) struct Folds<'a> {
    pub(super) dataset: &'a dyn Dataset,
    /// The training frames, in order.
    pub(super) train: &'a [usize],
    pub(super) material: &'a Material,
    /// The training of the model itself.
    pub(super) job: &'a Job,
    /// Its card, as far as it is known.
    pub(super) card: &'a ModelCard,
    pub(super) device: tch::Device,
}

impl Folds<'_> {
    /// What heads say of frames that they have not learned from; nothing where no folds are asked for.
    ///
    /// # Errors
    /// Those of the images and of [`Descent::run`].
    pub(super) fn answers(
        &self,
        image: &dyn Fn(usize) -> Result<RgbImage>,
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Answers> {
        let mut answers = Answers::default();
        let settings = self.job.config.scene_coordinates.unwrap_or_default();
        let config = TrainingConfig { epochs: settings.fold_epochs, ..self.job.config.clone() };
        for fold in 0..settings.folds {
            let ends = [fold, fold + 1].map(|end| end * self.train.len() / settings.folds);
            let apart = &self.train[ends[0]..ends[1]];
            let seed = mix(self.job.seed, 2, fold as u64);
            let job = Job { seed, ..self.job.clone() };
            let (mut network, store) = initial_network(&self.card.network, None, &job, self.device, &Progress::Silent)?;
            let head = head_of(&network)?;
            head.standardize(&self.material.spread(super::run::SAMPLED, self.device).features_nc);
            let (camera, scale) = (&self.card.camera, self.card.map_from_normalized.scale);
            let title = format!("learning without part {} of {}", fold + 1, settings.folds);
            let descent = Descent { head, store: &store, camera, scale, config: &config, settings, seed, title };
            descent.run((self.material, self.material.numbers(apart)), None, progress, keep_going)?;
            network.quicken(&store);
            let mut regressor = PoseRegressor::from_parts(self.card.clone(), network, store);
            answers.collect(&mut regressor, self.dataset.frames(), apart, image)?;
        }
        Ok(answers)
    }
}
