//! The reference frames as a model card has them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::network::card::ModelCard;
use crate::network::uncertainty::Calibration;
use crate::{Error, Result};

/// Name of the file in a model folder.
pub const REFERENCES_FILE: &str = "references.safetensors";

/// The reference frames beside the card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferencesRecord {
    /// Training frames in the file.
    pub frames: usize,
    /// Points in them.
    pub points: usize,
    /// Whether poses are aligned to them, or of a model that knows no points measured from them; the card's errors are then those of
    /// these poses.
    pub used: bool,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Of poses that are measured from them; absent beside a model that knows points, whose calibration serves aligned poses too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Of how the camera moved where nothing of them is recognized ([`PoseRegressor::motion`](crate::network::PoseRegressor::motion)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_calibration: Option<Calibration>,
}

impl ModelCard {
    /// Whether the architecture can have reference frames.
    pub(in crate::network) fn check_references(&self, path: &Path) -> Result<()> {
        let Some(record @ ReferencesRecord { frames, points, .. }) = &self.references else { return Ok(()) };
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        if let Err(found) = self.can_have_references() {
            return fail("references only beside a single network whose maps show where things are", found.to_owned());
        }
        if self.network.scene_coordinates().is_none() && record.calibration.is_none() {
            return fail(
                "references.calibration beside a model that regresses",
                "none; run vloc align again".to_owned(),
            );
        }
        match (frames, points) {
            (1.., 1..) => Ok(()),
            _ => fail("references with frames and points", format!("{frames} frames, {points} points")),
        }
    }

    /// Whether what the network says is a proposal, and poses are measured from reference frames.
    pub(crate) fn recognizes(&self) -> bool {
        self.network.scene_coordinates().is_none() && self.references.as_ref().is_some_and(|record| record.used)
    }

    /// What makes the covariances of its poses true.
    pub(crate) fn pose_calibration(&self) -> &Calibration {
        let of_references = self.references.as_ref().filter(|_| self.recognizes());
        of_references.and_then(|record| record.calibration.as_ref()).unwrap_or(&self.calibration)
    }

    /// Whether frames can be compared with reference frames.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn can_have_references(&self) -> std::result::Result<(), &'static str> {
        match () {
            () if !self.members.is_empty() => Err("an ensemble; give the folder of one of its trainings"),
            () if !self.scenes.is_empty() => Err("one of several scenes"),
            () if self.network.crop.is_some() => Err("one that sees parts of its input (crop)"),
            () if self.network.alignment_stages().is_none() => Err(
                "another encoder, or one of which the streams share too little; SqueezeNet and ResNets have such maps",
            ),
            () => Ok(()),
        }
    }
}
