//! How far poses err where nothing was learned, for the covariance.
//!
//! A validation block or two are one or two places, and what is learned errs differently elsewhere. Here each of the training
//! frames is set apart once: a fold is a few runs of consecutive frames from all over the recording, a head learns from the
//! cells of the others for a few epochs, and says where the frames of the fold were taken: at the ends of a run near what was
//! learned, in its middle far from it (Stone 1974, "Cross-validatory choice and assessment of statistical predictions"). A
//! head that learned from less, and for a shorter time, errs rather more than the one that is kept.
//!
//! A place of several parts is done part by part: each of its frames is set apart once, in the part in which it was taken, whose
//! head alone answers. That another part might be taken for it is not in these errors.

use image::RgbImage;

use super::buffer::Material;
use super::descent::Descent;
use super::lesson::{Lesson, head_of, standardize};
use crate::Result;
use crate::network::{ModelCard, PoseRegressor};
use crate::training::calibrate::Answers;
use crate::training::config::TrainingConfig;
use crate::training::pairs::mix;

/// Runs of consecutive frames in a fold.
const RUNS: usize = 3;

/// What the folds learn from: a part of the place, or all of it.
pub(super) struct Folds<'a> {
    pub(super) lesson: &'a Lesson<'a>,
    /// The training frames taken in the part, in order.
    pub(super) train: &'a [usize],
    pub(super) material: &'a Material,
    /// The card of a model of this part alone, as far as it is known.
    pub(super) card: ModelCard,
    /// What the part is called.
    pub(super) name: &'a str,
}

impl Folds<'_> {
    /// Adds what heads say of frames that they have not learned from; nothing where no folds are asked for.
    ///
    /// # Errors
    /// Those of the images and of [`Descent::run`].
    pub(super) fn answer(
        &self,
        answers: &mut Answers,
        image: &dyn Fn(usize) -> Result<RgbImage>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<()> {
        let Lesson { dataset, job, eye, settings, progress } = *self.lesson;
        let config = TrainingConfig { epochs: settings.fold_epochs, ..job.config.clone() };
        for fold in 0..settings.folds {
            let runs = runs(self.train, fold, settings.folds);
            let apart = runs.concat();
            if apart.is_empty() {
                continue;
            }
            let seed = mix(job.seed, 2, fold as u64);
            let (mut network, store) = self.lesson.start()?;
            let head = head_of(&network)?;
            standardize(head, self.material, eye.device);
            let (camera, scale) = (eye.camera, self.card.map_from_normalized.scale);
            let title = format!("learning {} without fold {} of {}", self.name, fold + 1, settings.folds);
            let descent = Descent { head, store: &store, camera, scale, config: &config, settings, seed, title };
            descent.run((self.material, self.material.numbers(&apart)), None, progress, keep_going)?;
            network.quicken(&store);
            let mut regressor = PoseRegressor::from_parts(self.card.clone(), network, store);
            for run in runs {
                answers.collect(&mut regressor, dataset.frames(), run, image)?;
            }
        }
        Ok(())
    }
}

/// The frames of a fold: never all of them, and none where there are fewer frames than folds.
fn runs(frames: &[usize], fold: usize, folds: usize) -> Vec<&[usize]> {
    let count = (folds * RUNS).min(frames.len());
    let end = |run: usize| run * frames.len() / count;
    (fold..count).step_by(folds).map(|run| &frames[end(run)..end(run + 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_set_apart_once_and_never_are_all() {
        for (count, folds) in [(2, 2), (3, 2), (3, 4), (11, 4), (12, 4), (700, 4), (701, 20)] {
            let frames: Vec<usize> = (10..10 + count).collect();
            let parts: Vec<Vec<usize>> = (0..folds).map(|fold| runs(&frames, fold, folds).concat()).collect();
            assert!(parts.iter().all(|part| part.len() < count), "{count} frames, {folds} folds: {parts:?}");
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, frames, "{count} frames, {folds} folds");
        }
        let frames: Vec<usize> = (0..24).collect();
        assert_eq!(runs(&frames, 1, 4), [&frames[2..4], &frames[10..12], &frames[18..20]]);
    }
}
