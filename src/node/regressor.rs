//! The network of a model folder as the node's [`Localizer`].

use image::RgbImage;

use super::{Localization, Localizer};
use crate::network::device::describe;
use crate::network::{PixelFrame, PoseRegressor, Regression};
use crate::sensor::{CameraModel, PosePrior, RelativePose};
use crate::{Result, Stamp};

impl Localizer for PoseRegressor {
    fn camera(&self) -> CameraModel {
        self.card().camera
    }

    fn localize(&mut self, stamp: Stamp, pixels: RgbImage) -> Result<Localization> {
        self.regress(&PixelFrame { stamp, pixels }).map(localization)
    }

    fn localize_near(&mut self, stamp: Stamp, pixels: RgbImage, prior: &PosePrior) -> Result<Localization> {
        self.regress_near(&PixelFrame { stamp, pixels }, prior).map(localization)
    }

    fn motion(&self) -> Option<RelativePose> {
        PoseRegressor::motion(self)
    }

    fn correlation_time(&self) -> Option<f64> {
        self.card().pose_calibration().correlation_time
    }

    fn device(&self) -> String {
        describe(PoseRegressor::device(self))
    }

    fn reset(&mut self) {
        PoseRegressor::reset(self);
    }
}

fn localization(Regression { absolute, relative, evidence, alignment }: Regression) -> Localization {
    Localization { absolute, relative, evidence, alignment }
}
