//! The network of a model folder as the node's [`Localizer`].

use image::RgbImage;

use super::Localizer;
use crate::network::{PixelFrame, PoseRegressor};
use crate::sensor::{AbsolutePose, CameraModel};
use crate::{Result, Stamp};

impl Localizer for PoseRegressor {
    fn camera(&self) -> CameraModel {
        self.card().camera
    }

    fn localize(&mut self, stamp: Stamp, pixels: RgbImage) -> Result<AbsolutePose> {
        Ok(self.regress(&PixelFrame { stamp, pixels })?.absolute)
    }

    fn reset(&mut self) {
        PoseRegressor::reset(self);
    }
}
