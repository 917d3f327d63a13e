//! The parts of a large place as a model card has them: each has a head of its own, in units of its own.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::card::ModelCard;
use super::pose_tensor::MapFromNormalized;
use crate::{Error, Result};

/// Name of the file with the training images that say which part of a large place is seen, in a model folder.
pub const PLACE_FILE: &str = "place.safetensors";

/// A place that is too large for one head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceRecord {
    /// Its parts, in the order of the heads.
    pub parts: Vec<PartRecord>,
    /// Training images in the file beside the card.
    pub images: usize,
    /// SHA-256 of this file, hexadecimal.
    pub sha256: String,
}

/// A part of a large place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// Frames that its head was trained on; some are those of its neighbours as well.
    pub frames: usize,
    /// Units of the points of its head.
    pub map_from_normalized: MapFromNormalized,
}

impl ModelCard {
    /// Whether what is said of parts fits the architecture, and each other.
    pub(super) fn check_large_place(&self, path: &Path) -> Result<()> {
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        let heads = self.network.scene_coordinates().map_or(1, |shape| shape.parts);
        let Some(PlaceRecord { parts, images, .. }) = &self.large_place else {
            return match heads {
                1 => Ok(()),
                _ => fail("large_place for an architecture of several parts", format!("none, for {heads} parts")),
            };
        };
        if heads == 1 || parts.len() != heads {
            let found = format!("{}, for {heads} in network.localizer.shape.parts", parts.len());
            return fail("as many parts in large_place as the architecture has", found);
        }
        if *images < heads {
            return fail("a training image of each part in large_place", format!("{images} for {heads} parts"));
        }
        if !self.members.is_empty() {
            return fail("large_place of one network alone", "an ensemble".to_owned());
        }
        let is_usable = |part: &&PartRecord| part.map_from_normalized.is_usable();
        match parts.iter().find(|part| !is_usable(part)) {
            Some(wrong) => fail("finite means and positive scales in large_place", format!("{wrong:?}")),
            None => Ok(()),
        }
    }
}
