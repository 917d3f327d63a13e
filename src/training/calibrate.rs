//! The end of a training: the finished model runs as it will run, in order over the validation frames; their errors go
//! into its card, and the factors that make its covariances true are fitted to them.

use image::RgbImage;

use super::validation::ValidationErrors;
use crate::Result;
use crate::dataset::FrameInfo;
use crate::geometry::{Matrix6, Vector6};
use crate::network::{Calibration, ModelCard, PixelFrame, PoseRegressor, ValidationRecord};
use crate::progress::Progress;

/// Fewer validation frames calibrate nothing.
const MIN_CALIBRATION_FRAMES: usize = 20;

/// The card of `regressor` with errors and calibration over the `validation` frames, whose images, in its own pixels,
/// `image` gives. With too few of them the calibration stays as it is, and a note says so.
///
/// # Errors
/// Those of the images and of [`Calibration::fit`]; [`Error::Compute`](crate::Error::Compute) when the network fails.
pub(super) fn calibrate(
    mut regressor: PoseRegressor,
    frames: &[FrameInfo],
    validation: &[usize],
    image: &dyn Fn(usize) -> Result<RgbImage>,
    progress: Progress,
) -> Result<ModelCard> {
    let mut card = regressor.card().clone();
    let (mut fits, mut poses) = (Vec::<(Matrix6, Vector6)>::new(), Vec::new());
    for &index in validation {
        let frame = PixelFrame { stamp: frames[index].stamp, pixels: image(index)? };
        let estimate = regressor.regress_uncalibrated(&frame)?;
        let truth = frames[index].map_from_camera;
        fits.push((estimate.covariance, estimate.map_from_camera.local(truth)));
        poses.push((estimate.map_from_camera, truth));
    }
    if let Some(errors) = ValidationErrors::of(&poses) {
        card.validation = ValidationRecord {
            frames: errors.frames,
            median_translation_error: errors.median_translation,
            median_rotation_error: errors.median_rotation,
            ..card.validation
        };
    }
    match fits.len() < MIN_CALIBRATION_FRAMES {
        true => progress.note(&format!(
            "warning: {} validation frames are too few to calibrate covariances; give the split a validation block",
            fits.len()
        )),
        false => card.calibration = Calibration::fit(&fits)?,
    }
    Ok(card)
}
