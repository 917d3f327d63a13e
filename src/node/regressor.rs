//! The network of a model folder as the node's [`Localizer`].

use image::RgbImage;

use super::{Localization, Localizer};
use crate::network::device::describe;
use crate::network::{PixelFrame, PoseRegressor, Regression};
use crate::sensor::CameraModel;
use crate::{Result, Stamp};

impl Localizer for PoseRegressor {
    fn camera(&self) -> CameraModel {
        self.card().camera
    }

    fn localize(&mut self, stamp: Stamp, pixels: RgbImage) -> Result<Localization> {
        let regression = self.regress(&PixelFrame { stamp, pixels })?;
        let Regression { absolute, relative, evidence, .. } = regression;
        Ok(Localization { absolute, relative, evidence })
    }

    fn correlation_time(&self) -> Option<f64> {
        self.card().calibration.correlation_time
    }

    fn device(&self) -> String {
        describe(PoseRegressor::device(self))
    }

    fn reset(&mut self) {
        PoseRegressor::reset(self);
    }
}
