//! The reference frames as a model card has them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::network::card::ModelCard;
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
    /// Whether poses are aligned to them; the card's errors are then those of aligned poses, its calibration serves both.
    pub used: bool,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

impl ModelCard {
    /// Whether the architecture can have reference frames.
    pub(in crate::network) fn check_references(&self, path: &Path) -> Result<()> {
        let Some(ReferencesRecord { frames, points, .. }) = &self.references else { return Ok(()) };
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        if self.network.scene_coordinates().is_none() || !self.members.is_empty() {
            let found = "another, or an ensemble; leave out references".to_owned();
            return fail("references only beside a single network that knows points", found);
        }
        match (frames, points) {
            (1.., 1..) => Ok(()),
            _ => fail("references with frames and points", format!("{frames} frames, {points} points")),
        }
    }
}
