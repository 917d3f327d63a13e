//! The end of a training: the finished model runs as it will run, in order over the validation frames; their errors go
//! into its card, and the factors that make its covariances true are fitted to them.

use image::RgbImage;
use nalgebra::Cholesky;

use super::validation::ValidationErrors;
use crate::dataset::FrameInfo;
use crate::estimator::calibration::integrated_correlation_time;
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::network::uncertainty::MIN_CALIBRATION_FRAMES;
use crate::network::{Calibration, ModelCard, PixelFrame, PoseRegressor, Regression, ValidationRecord};
use crate::progress::Progress;
use crate::sensor::RelativePose;
use crate::{Error, Result, Stamp};

/// Over which relative poses are added up to see whether their errors are alike.
const CHAIN_SECONDS: f64 = 0.9;

/// The card of the model of `regressor` with errors and calibration (of a model of several scenes: of the one in use) over
/// the `validation` frames, whose images, in its own pixels, `image` gives. Frames that it takes for those of another scene, or
/// has no answer to, count as infinitely wrong. With too few frames the calibration stays as it is, and a note says so.
///
/// # Errors
/// Those of the images and of [`Calibration::fit`]; [`Error::Compute`](crate::Error::Compute) when the network fails.
pub fn calibrate(
    mut regressor: PoseRegressor,
    frames: &[FrameInfo],
    validation: &[usize],
    image: &dyn Fn(usize) -> Result<RgbImage>,
    progress: Progress,
) -> Result<ModelCard> {
    let mut answers = Answers::default();
    answers.collect(&mut regressor, frames, validation, image)?;
    let card = answers.calibrate(answers.recorded(regressor.card().clone()), progress)?;
    Ok(match regressor.scene() {
        Some(scene) => card.filed(scene),
        None => card,
    })
}

/// The card of the model of `regressor` with errors over the `validation` frames alone, as [`calibrate`].
///
/// # Errors
/// Those of the images; [`Error::Compute`](crate::Error::Compute) when the network fails.
pub(super) fn validated(
    mut regressor: PoseRegressor,
    frames: &[FrameInfo],
    validation: &[usize],
    image: &dyn Fn(usize) -> Result<RgbImage>,
) -> Result<ModelCard> {
    let mut answers = Answers::default();
    answers.collect(&mut regressor, frames, validation, image)?;
    Ok(answers.recorded(regressor.card().clone()))
}

/// What models say of frames that they were not trained on, before calibration, and what is true.
#[derive(Default)]
pub(super) struct Answers {
    /// Covariance and error of absolute poses.
    fits: Vec<(Matrix6, Vector6)>,
    /// Of each of those, which run of frames it is of, and when it was.
    moments: Vec<(usize, Stamp)>,
    runs: usize,
    /// Absolute poses and true ones.
    poses: Vec<(Se3, Se3)>,
    /// Relative poses; `None` where there is none, or another run begins.
    steps: Vec<Option<Step>>,
    /// How the camera moved from keyframes, of models that know points ([`PoseRegressor::motion`]).
    motions: Vec<Step>,
    /// Frames that were taken for those of another scene, or whose pose could not be measured.
    unanswered: usize,
}

impl Answers {
    /// Adds those of a model over `validation`, in order.
    ///
    /// # Errors
    /// Those of the images; [`Error::Compute`](crate::Error::Compute) when the network fails.
    pub(super) fn collect(
        &mut self,
        regressor: &mut PoseRegressor,
        frames: &[FrameInfo],
        validation: &[usize],
        image: &dyn Fn(usize) -> Result<RgbImage>,
    ) -> Result<()> {
        let mut before = None;
        let mut run: Vec<(Stamp, Se3)> = Vec::new();
        self.runs += 1;
        regressor.rehearse_motion();
        for &index in validation {
            let frame = PixelFrame { stamp: frames[index].stamp, pixels: image(index)? };
            let answer = regressor.regress_uncalibrated(&frame);
            run.push((frame.stamp, frames[index].map_from_camera));
            self.motions.extend(regressor.raw_motion().and_then(|motion| Step::within(&run, motion)));
            let Regression { absolute, relative, .. } = match answer {
                Err(Error::OtherScene { .. } | Error::NoAnswer { .. }) => {
                    (before, self.unanswered) = (None, self.unanswered + 1);
                    continue;
                }
                answer => answer?,
            };
            let truth = frames[index].map_from_camera;
            self.fits.push((absolute.covariance, absolute.map_from_camera.local(truth)));
            self.moments.push((self.runs, absolute.stamp));
            self.poses.push((absolute.map_from_camera, truth));
            let before: Option<Se3> = before.replace(truth);
            let step = before.zip(relative);
            self.steps.push(step.map(|(before, estimate)| Step { estimate, truth: before.inverse() * truth }));
        }
        Ok(())
    }

    /// Whether they are enough for a calibration.
    pub(super) fn are_many(&self) -> bool {
        self.fits.len() >= MIN_CALIBRATION_FRAMES
    }

    /// The card with their errors.
    pub(super) fn recorded(&self, mut card: ModelCard) -> ModelCard {
        if let Some(errors) = ValidationErrors::of_answers(&self.poses, self.unanswered) {
            let recognized = self.poses.len() as f64 / errors.frames as f64;
            card.validation = ValidationRecord {
                frames: errors.frames,
                recognized: (!card.scenes.is_empty()).then_some(recognized),
                median_translation_error: errors.median_translation,
                median_rotation_error: errors.median_rotation,
                ..card.validation
            };
        }
        card
    }

    /// The time over which their errors, by a calibrated covariance, are alike, seconds; `None` where they are too few to tell.
    pub(super) fn correlation_time(&self, calibration: &Calibration) -> Option<f64> {
        let whitened = |(raw, error): &(Matrix6, Vector6)| {
            let factor = Cholesky::new(calibration.apply(raw).ok()?)?;
            factor.l().solve_lower_triangular(error)
        };
        let errors = self.fits.iter().zip(&self.moments).filter_map(|(fit, moment)| Some((*moment, whitened(fit)?)));
        let errors: Vec<((usize, Stamp), Vector6)> = errors.collect();
        let runs: Vec<Vec<(Stamp, Vector6)>> = errors
            .chunk_by(|one, other| one.0.0 == other.0.0)
            .map(|run| run.iter().map(|((_, stamp), error)| (*stamp, *error)).collect())
            .collect();
        integrated_correlation_time(&runs)
    }

    /// The calibration of poses that are measured from reference frames, by these answers and by those to frames whose neighbours were
    /// left out, and that of motions, where they are enough; how long errors are alike is seen in these.
    ///
    /// # Errors
    /// [`Error::Compute`] with too few answers; those of [`Calibration::fit`].
    pub(super) fn calibrate_recognized(&self, alone: &Self) -> Result<(Calibration, Option<Calibration>)> {
        let fits = [self.fits.as_slice(), &alone.fits].concat();
        if fits.len() < MIN_CALIBRATION_FRAMES {
            let asked = fits.len() + self.unanswered + alone.unanswered;
            let reason = format!(
                "expected {MIN_CALIBRATION_FRAMES} frames or more that are recognized, to calibrate covariances; found {} of {asked}: \
                 give it a larger input, or more reference frames",
                fits.len()
            );
            return Err(Error::compute("reference frames", reason));
        }
        Ok((self.measured_calibration(&fits)?, self::alone(&self.motions)?))
    }

    /// The calibration of measured poses by `fits`, and over which time the errors of these answers are alike.
    fn measured_calibration(&self, fits: &[(Matrix6, Vector6)]) -> Result<Calibration> {
        let calibration = Calibration::fit_measured(fits)?;
        Ok(Calibration { correlation_time: self.correlation_time(&calibration), ..calibration })
    }

    /// The card with the calibration that they show, as [`calibrate`] says.
    ///
    /// # Errors
    /// Those of [`Calibration::fit`].
    pub(super) fn calibrate(&self, mut card: ModelCard, progress: Progress) -> Result<ModelCard> {
        match !self.are_many() {
            true => progress.note(&format!(
                "warning: {} validation frames are too few to calibrate covariances; give the split a validation block",
                self.fits.len()
            )),
            false if card.network.scene_coordinates().is_some() => {
                card.calibration = self.measured_calibration(&self.fits)?;
            }
            false if card.recognizes() => {
                if let Some(record) = &mut card.references {
                    record.calibration = Some(self.measured_calibration(&self.fits)?);
                    record.motion_calibration = alone(&self.motions)?.or(record.motion_calibration);
                }
            }
            false => card.calibration = Calibration::fit(&self.fits)?,
        }
        let measures = card.network.scene_coordinates().is_some();
        let of_motion = if measures { alone(&self.motions)? } else { relative_calibration(&self.steps)? };
        // Frames too far apart for relative poses say nothing against what is known of them.
        card.relative_calibration = of_motion.or(card.relative_calibration);
        Ok(card)
    }
}

/// How the camera moved between two frames, as the network says, before calibration, and in truth.
struct Step {
    estimate: RelativePose,
    truth: Se3,
}

impl Step {
    /// The truth beside how the camera moved to the last frame of a run, of which stamps and true poses are known.
    fn within(run: &[(Stamp, Se3)], estimate: &RelativePose) -> Option<Self> {
        let at = |stamp: Stamp| Some(run.iter().rev().find(|(known, _)| *known == stamp)?.1);
        let truth = at(estimate.previous_stamp)?.inverse() * at(estimate.stamp)?;
        Some(Self { estimate: estimate.clone(), truth })
    }

    /// Its covariance and its error.
    fn fit(&self) -> (Matrix6, Vector6) {
        (self.estimate.covariance, self.estimate.previous_from_current.local(self.truth))
    }
}

/// Factors with which motions are true one by one; `None` with too few of them.
fn alone(motions: &[Step]) -> Result<Option<Calibration>> {
    let fits: Vec<(Matrix6, Vector6)> = motions.iter().map(Step::fit).collect();
    (fits.len() >= MIN_CALIBRATION_FRAMES).then(|| Calibration::fit(&fits)).transpose()
}

/// Factors with which steps are true alone, and what they add up to over [`CHAIN_SECONDS`] as well: errors of successive
/// steps are alike, so that sums of them err by more than independent ones would, and a filter adds them up. `None` with
/// too few of them.
fn relative_calibration(steps: &[Option<Step>]) -> Result<Option<Calibration>> {
    let alone: Vec<(Matrix6, Vector6)> = steps.iter().flatten().map(Step::fit).collect();
    let chains: Vec<(Matrix6, Vector6)> = (0..steps.len()).filter_map(|start| chain(&steps[start..])).collect();
    if alone.len() < MIN_CALIBRATION_FRAMES {
        return Ok(None);
    }
    let of_steps = Calibration::fit(&alone)?;
    match chains.len() < MIN_CALIBRATION_FRAMES {
        true => Ok(Some(of_steps)),
        false => Ok(Some(of_steps.at_least(Calibration::fit(&chains)?, &alone))),
    }
}

/// The covariance of the first steps up to [`CHAIN_SECONDS`] as if they erred independently, and the error of what they
/// add up to; `None` where a frame between them is missing.
fn chain(steps: &[Option<Step>]) -> Option<(Matrix6, Vector6)> {
    let begin = steps.first()?.as_ref()?.estimate.previous_stamp;
    let (mut estimate, mut truth, mut covariance) = (Se3::identity(), Se3::identity(), Matrix6::zeros());
    for step in steps {
        let Step { estimate: RelativePose { stamp, previous_from_current, covariance: own, .. }, truth: moved } =
            step.as_ref()?;
        let adjoint = previous_from_current.inverse().adjoint();
        covariance = adjoint * covariance * adjoint.transpose() + own;
        (estimate, truth) = (estimate * *previous_from_current, truth * *moved);
        if stamp.seconds_since(begin) >= CHAIN_SECONDS {
            return Some((covariance, estimate.local(truth)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::Stamp;

    /// Steps of 100 ms whose errors are as large as they claim; the part `alike` of each is the same for 20 of them.
    fn steps(alike: f64) -> Vec<Option<Step>> {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let mut normal = || Vector6::from_fn(|_, _| StandardNormal.sample(&mut generator));
        let sigma = Vector6::new(0.01, 0.01, 0.01, 0.005, 0.005, 0.005);
        let truth = Se3::exp(&Vector6::new(0.05, 0.0, 0.1, 0.0, 0.02, 0.0));
        let (mut common, mut steps) = (normal(), Vec::new());
        for index in 0..2000 {
            if index % 20 == 0 {
                common = normal();
            }
            let error = (common * alike.sqrt() + normal() * (1.0 - alike).sqrt()).component_mul(&sigma);
            let stamp = |index: i64| Stamp::from_nanos(index * 100_000_000);
            let estimate = RelativePose {
                previous_stamp: stamp(index),
                stamp: stamp(index + 1),
                previous_from_current: truth.retract(&error),
                covariance: Matrix6::from_diagonal(&sigma.component_mul(&sigma)),
            };
            steps.push((index % 100 != 0).then_some(Step { estimate, truth }));
        }
        steps
    }

    #[test]
    fn steps_that_err_alike_count_less_than_independent_ones() {
        let factors = |alike: f64| {
            let calibration = relative_calibration(&steps(alike)).unwrap().unwrap();
            [calibration.translation_scale, calibration.rotation_scale]
        };
        for factor in factors(0.0) {
            assert!((0.95..1.15).contains(&factor), "{factor}: independent errors are as large as claimed");
        }
        // Nine steps or so of the same error are as far off as nine times as many independent ones: three times the sigma.
        for factor in factors(1.0) {
            assert!((2.4..3.3).contains(&factor), "{factor}");
        }
    }

    #[test]
    fn too_few_steps_calibrate_nothing() {
        assert!(relative_calibration(&steps(0.0)[..15]).unwrap().is_none());
        assert!(relative_calibration(&[]).unwrap().is_none());
    }
}
