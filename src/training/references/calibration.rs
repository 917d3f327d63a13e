//! How far poses are off that are measured from reference frames, where a model knows no points itself.
//!
//! Validation frames lie beside references, as the places that a robot passes again and again do. Of a view unlike all of them they
//! say little. So training frames are recognized as well, each without the references nearest to it: errors of both fit one
//! calibration. No network has to be trained for that, since what it says only chooses what is compared.

use super::Trial;
use crate::Result;
use crate::network::references::References;
use crate::network::{Calibration, ValidationRecord, nearest_poses};
use crate::training::calibrate::Answers;
use crate::training::pairs::spread;

/// Training frames that are recognized without their neighbours.
const ALONE: usize = 100;
/// The share of the references that is left out then, the nearest ones.
const NEIGHBOURS: f64 = 0.05;

/// How far off poses are that are measured from references.
pub(super) struct Recognized {
    pub(super) calibration: Calibration,
    /// Of motions where nothing is recognized.
    pub(super) motion_calibration: Option<Calibration>,
    /// Errors on the validation frames, where there are some.
    pub(super) recognized: Option<ValidationRecord>,
    /// Errors on frames whose neighbours were left out.
    pub(super) alone: ValidationRecord,
}

impl Trial<'_> {
    pub(super) fn calibrate_recognized(&self, references: &References, chosen: &[usize]) -> Result<Recognized> {
        let mut regressor = self.regressor(true)?;
        let mut known = Answers::default();
        if !self.validation.is_empty() {
            known.collect(&mut regressor, self.frames, self.validation, self.image)?;
        }
        let mut alone = Answers::default();
        let places: Vec<usize> = (0..chosen.len()).collect();
        let asked = spread(&places, ALONE);
        let bar = self.progress.steps("recognizing frames without their neighbours", asked.len() as u64);
        let neighbours = (NEIGHBOURS * chosen.len() as f64).ceil() as usize;
        let poses: Vec<_> = chosen.iter().map(|&index| self.frames[index].map_from_camera).collect();
        for place in asked {
            let near = nearest_poses(&poses[place], &poses, self.card.map_from_normalized.scale, neighbours);
            regressor.reset();
            regressor.refer_to(references.without(&near));
            alone.collect(&mut regressor, self.frames, &[chosen[place]], self.image)?;
            bar.advance(1);
        }
        let (calibration, motion_calibration) = known.calibrate_recognized(&alone)?;
        let errors = |answers: &Answers| answers.recorded(self.card.clone()).validation;
        let recognized = (!self.validation.is_empty()).then(|| errors(&known));
        Ok(Recognized { calibration, motion_calibration, recognized, alone: errors(&alone) })
    }
}
