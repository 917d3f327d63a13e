//! Reference frames for a finished model, to which poses are aligned, or from which they are measured ([`References`]).
//!
//! Training frames alone, spread over the places and directions that the recording has; points from their depth images, or where
//! there are none from what the model says of a cell, if its own frame agrees. At the end the model answers on the validation
//! frames with and without them, and keeps what is better.
//!
//! Of a model that knows points no factor of the calibration becomes smaller than for measured poses. Validation frames lie beside the
//! references: fitted to aligned poses there alone, the covariances would claim too much elsewhere (on a part of a kitchen that no
//! reference shows, 4 % of the errors lay within their 90 % ellipsoids). A model that regresses has nothing of the kind to go by:
//! its measured poses are calibrated on views whose neighbours are taken away as well ([`calibration`]).

use std::path::PathBuf;

mod calibration;
mod collect;

use image::RgbImage;

use super::calibrate::{calibrate, validated};
use super::ensemble::recorded_split;
use super::run::frames_sha256;
use crate::dataset::{Dataset, FrameInfo, SplitRule};
use crate::network::references::{REFERENCES_FILE, References, ReferencesRecord};
use crate::network::{Device, ModelCard, PoseRegressor, ValidationRecord};
use crate::progress::Progress;
use crate::vision::Preprocessor;
use crate::{Error, Result};
use calibration::Recognized;
use collect::collect;

/// Cells of a frame that poses are aligned to.
const ALIGNED_CELLS: usize = 300;
/// Cells of a frame that poses are measured from: of small inputs all. With 108 instead of 432 the medians on a kitchen were 0.055 m
/// instead of 0.044 m.
const RECOGNIZED_CELLS: usize = 500;

/// Which model gets reference frames, and how many.
#[derive(Clone, Debug)]
pub struct Referencing {
    /// The model folder.
    pub model: PathBuf,
    /// The rule that divided the dataset when it was trained.
    pub split: SplitRule,
    /// Frames at most.
    pub frames: usize,
    /// Cells of each at most, evenly spread over the image; `None`: as many as usual, 300 of a model that knows points and
    /// 500 of any other.
    pub cells: Option<usize>,
    /// Where to compute.
    pub device: Device,
}

impl Referencing {
    /// The usual choices for a model, with the split that its folder has.
    ///
    /// # Errors
    /// [`Error::Model`] when it has none; [`Error::Format`] when it is something else.
    pub fn of(model: PathBuf) -> Result<Self> {
        let split = recorded_split(&model)?;
        Ok(Self::with_split(model, split))
    }

    /// The usual choices for a model that was trained with this split.
    pub fn with_split(model: PathBuf, split: SplitRule) -> Self {
        Self { model, split, frames: 200, cells: None, device: Device::Auto }
    }
}

/// What reference frames do for their model.
#[derive(Clone, Debug)]
pub struct Referenced {
    /// The new card; where poses are better with them, with the errors of these.
    pub card: ModelCard,
    /// Errors on the validation frames without and with them, where there are such frames.
    pub measured: Option<[ValidationRecord; 2]>,
    /// Of a model that knows no points: errors on training frames whose neighbours among the references were left out.
    pub alone: Option<ValidationRecord>,
}

/// A model, its references on disk and the frames to try it on.
struct Trial<'a> {
    job: &'a Referencing,
    card: ModelCard,
    record: ReferencesRecord,
    frames: &'a [FrameInfo],
    validation: &'a [usize],
    image: &'a dyn Fn(usize) -> Result<RgbImage>,
    progress: Progress,
}

/// Chooses reference frames and puts them into the model folder. Asks `keep_going` before each image.
///
/// # Errors
/// Those of the model, the dataset and the split; [`Error::Model`] for an ensemble, a model of several scenes, one that sees parts of
/// its input and one whose encoder has no maps to compare; [`Error::Config`] when the rule does not give the frames that trained
/// the model, or for no frames or cells; [`Error::Interrupted`] after `keep_going` said no: poses are not aligned to what was chosen;
/// [`Error::Compute`] where no frame shows a point, or where too few frames are recognized to calibrate a model that knows none.
pub fn add_references(
    job: &Referencing,
    dataset: &dyn Dataset,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<Referenced> {
    let card = referable(job)?;
    let (frames, split) = (dataset.frames(), job.split.split(dataset)?);
    if frames_sha256(frames, &split.train) != card.training.dataset_sha256 {
        let expected = format!("the rule and the dataset that {} was trained with", card.name);
        return Err(Error::config("split", expected, "other training frames"));
    }
    let preprocessor = Preprocessor::new(dataset.camera(), &card.camera)?;
    let image = |index: usize, left: &str| match keep_going() {
        true => preprocessor.apply(&dataset.image(index)?),
        false => Err(Error::Interrupted(format!("; {left}"))),
    };
    let as_it_was = |index| image(index, "the model is as it was");
    let (references, chosen) = collect(job, (&card, &split.train), dataset, &as_it_was, progress)?;

    // The model folder: first with poses as they were; of a model that regresses, how far off others are is not known yet.
    let record = references.save(&job.model.join(REFERENCES_FILE))?;
    let aligns = card.network.scene_coordinates().is_some();
    ModelCard { references: aligns.then(|| record.clone()), ..card.clone() }.write(&job.model)?;
    let unused = |index| match aligns {
        true => image(index, "the reference frames are in the model, and poses are not aligned to them"),
        false => image(index, "the model is without reference frames"),
    };
    let (card, validation) = (ModelCard { references: None, ..card }, &split.validation);
    let trial = Trial { job, card, record, frames, validation, image: &unused, progress };
    let referenced = if aligns { trial.align() } else { trial.recognize(&references, &chosen) };
    let referenced = referenced.inspect_err(|_| {
        // The error counts; a file that no card speaks of would only take place.
        let _ = if aligns { Ok(()) } else { std::fs::remove_file(job.model.join(REFERENCES_FILE)) };
    })?;
    referenced.card.write(&job.model)?;
    Ok(referenced)
}

impl Trial<'_> {
    fn card(&self, used: bool) -> ModelCard {
        ModelCard { references: Some(ReferencesRecord { used, ..self.record.clone() }), ..self.card.clone() }
    }

    fn regressor(&self, used: bool) -> Result<PoseRegressor> {
        PoseRegressor::load_with(self.card(used), &self.job.model, self.job.device.resolve()?)
    }

    /// Of a model that knows points.
    fn align(&self) -> Result<Referenced> {
        if self.validation.is_empty() {
            return Ok(Referenced { card: self.card(false), measured: None, alone: None });
        }
        let measured = |used| calibrate(self.regressor(used)?, self.frames, self.validation, self.image, self.progress);
        let (plain, aligned) = (measured(false)?, measured(true)?);
        let both = [plain.validation, aligned.validation];
        // Motions are not aligned; what the training knows of them, it knows from more frames.
        let relative_calibration = self.card.relative_calibration.or(plain.relative_calibration);
        let (calibration, measured) = match is_better(&both[1], &both[0]) {
            true => (self.card.calibration.or_larger(aligned.calibration), aligned),
            false => (self.card.calibration, plain),
        };
        let card = ModelCard { calibration, relative_calibration, ..measured };
        Ok(Referenced { card, measured: Some(both), alone: None })
    }

    /// Of a model that regresses: its references are the frames `chosen`.
    fn recognize(&self, references: &References, chosen: &[usize]) -> Result<Referenced> {
        let Recognized { calibration, motion_calibration, recognized, alone } =
            self.calibrate_recognized(references, chosen)?;
        let plain = match self.validation.is_empty() {
            true => None,
            false => Some(validated(self.regressor(false)?, self.frames, self.validation, self.image)?),
        };
        let both = plain.zip(recognized).map(|(plain, recognized)| [plain.validation, recognized]);
        let used = both.is_some_and(|[plain, recognized]| is_better(&recognized, &plain));
        let mut card = self.card(used);
        if let Some(record) = &mut card.references {
            (record.calibration, record.motion_calibration) = (Some(calibration), motion_calibration);
        }
        if let Some([plain, recognized]) = both {
            card.validation = if used { recognized } else { plain };
        }
        Ok(Referenced { card, measured: both, alone: Some(alone) })
    }
}

/// The card of a model that can have reference frames.
fn referable(job: &Referencing) -> Result<ModelCard> {
    if job.frames == 0 || job.cells == Some(0) {
        let cells = job.cells.map_or("the usual".to_owned(), |cells| cells.to_string());
        let found = format!("{} and {cells}", job.frames);
        return Err(Error::config("references", "at least one frame and one cell of each", found));
    }
    let card = ModelCard::read(&job.model)?;
    match card.can_have_references() {
        Ok(()) => Ok(card),
        Err(found) => Err(Error::model(&job.model, "a single network whose maps show where things are", found)),
    }
}

/// Whether the position errs less, and the orientation no more.
fn is_better(one: &ValidationRecord, other: &ValidationRecord) -> bool {
    one.median_translation_error < other.median_translation_error
        && one.median_rotation_error <= other.median_rotation_error
}
