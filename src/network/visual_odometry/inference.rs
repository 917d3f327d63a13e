//! Visual odometry at work: what follows of a frame that was answered, and of one that was not.

use super::VisualOdometry;
use crate::alignment::FeatureMap;
use crate::network::device::guarded;
use crate::network::member::Opinion;
use crate::network::references::EncoderMaps;
use crate::network::regressor::PoseRegressor;
use crate::network::uncertainty::Calibration;
use crate::sensor::RelativePose;
use crate::{Error, Result, Stamp};

impl PoseRegressor {
    /// How the camera moved to the last frame, where a model whose poses geometry measures had no answer to it ([`Error::NoAnswer`]) but
    /// sees points of a frame before it (see [`visual_odometry`](super)). `None` of other models, and of one that was never
    /// calibrated for it.
    pub fn motion(&self) -> Option<RelativePose> {
        let mut motion = self.raw_motion()?.clone();
        motion.covariance = self.motion_calibration()?.apply(&motion.covariance).ok()?;
        Some(motion)
    }

    /// The same before calibration.
    pub(crate) fn raw_motion(&self) -> Option<&RelativePose> {
        self.odometry.motion()
    }

    /// Tells motions of frames with an answer as well, for their calibration.
    pub(crate) fn rehearse_motion(&mut self) {
        self.odometry.rehearse();
    }

    /// What makes the covariances of motions true; a network that regresses may have an odometry of its own, with its own.
    fn motion_calibration(&self) -> Option<Calibration> {
        match self.knows_points() {
            true => self.card().relative_calibration,
            false => self.card().references.as_ref()?.motion_calibration,
        }
    }

    /// Whether it follows the camera from what it saw of points.
    fn follows(&self) -> bool {
        let sees_points = self.knows_points() || self.used_references().is_some();
        sees_points && (self.odometry.rehearses || self.motion_calibration().is_some())
    }

    /// The maps of the encoder of a frame with these opinions, compressed as poses are aligned in them; `None` where nobody needs them.
    ///
    /// # Errors
    /// Those of [`Compression::of`](crate::network::references::Compression::of).
    pub(in crate::network) fn compressed(
        &mut self,
        raw: Option<EncoderMaps>,
        opinions: &Result<Vec<Opinion>>,
    ) -> Result<Option<[FeatureMap; 2]>> {
        let is_seen = matches!(opinions, Ok(_) | Err(Error::NoAnswer { .. }));
        let Some(raw) = raw.filter(|_| is_seen && (self.follows() || self.used_references().is_some())) else {
            return Ok(None);
        };
        let has_pose = opinions.is_ok();
        let compress = |own: &mut Self| match own.used_references() {
            Some(references) => references.compress(&raw).map(Some),
            None => own.odometry.compress(&raw, has_pose),
        };
        guarded("compression of features", || tch::no_grad(|| compress(self)))?
    }

    /// Follows the camera to a frame with these opinions and compressed maps.
    pub(in crate::network) fn follow(
        &mut self,
        stamp: Stamp,
        maps: Option<&[FeatureMap; 2]>,
        opinions: &Result<Vec<Opinion>>,
    ) {
        let Some(maps) = maps.filter(|_| self.follows()) else { return };
        let camera = self.card().camera;
        let odometry: &mut VisualOdometry = &mut self.odometry;
        match opinions.as_deref() {
            Ok([Opinion { absolute, seen, .. }]) => odometry.answered(stamp, maps, &camera, (absolute.pose, seen)),
            Err(_) => odometry.unanswered(stamp, maps, &camera),
            Ok(_) => (),
        }
    }
}
