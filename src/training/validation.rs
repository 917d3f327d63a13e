//! How far off a network is on frames it does not train on.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::geometry::Se3;
use crate::network::{Features, History, MapFromNormalized, PoseNetwork};
use crate::{Error, Result};

/// Frames per forward pass.
const CHUNK: usize = 64;

/// Errors of absolute poses without a history and without dropout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationErrors {
    /// Frames.
    pub frames: usize,
    /// Median error of the position, metres.
    pub median_translation: f64,
    /// Median error of the orientation, radians.
    pub median_rotation: f64,
}

impl ValidationErrors {
    /// Of pairs of an estimate and the truth; none without a pair.
    pub fn of(pairs: &[(Se3, Se3)]) -> Option<Self> {
        let median = |error: &dyn Fn(&(Se3, Se3)) -> f64| {
            let mut errors: Vec<f64> = pairs.iter().map(error).collect();
            errors.sort_by(f64::total_cmp);
            errors.get(errors.len() / 2).copied()
        };
        Some(Self {
            frames: pairs.len(),
            median_translation: median(&|(a, b)| (a.translation - b.translation).norm())?,
            median_rotation: median(&|(a, b)| (a.rotation.inverse() * b.rotation).angle())?,
        })
    }

    /// What early stopping compares: normalized units plus radians, the sum that the losses weigh.
    pub fn score(&self, units: &MapFromNormalized) -> f64 {
        self.median_translation / units.scale + self.median_rotation
    }
}

/// Errors over `truth`, with `input` giving the tensor of rows `start..end`: what the network sees, or shared features where
/// `shared` says so.
///
/// # Errors
/// [`Error::Compute`] when a pose is not finite or the network gives none of a single frame, and what `input` says.
pub fn validate(
    network: &PoseNetwork,
    units: &MapFromNormalized,
    truth: &[Se3],
    shared: bool,
    input: &dyn Fn(std::ops::Range<usize>) -> Result<Tensor>,
) -> Result<Option<ValidationErrors>> {
    let mut pairs = Vec::with_capacity(truth.len());
    for start in (0..truth.len()).step_by(CHUNK) {
        let rows = start..(start + CHUNK).min(truth.len());
        let input = input(rows.clone())?;
        let output = tch::no_grad(|| {
            let features = if shared { Features::of_last(input) } else { network.shared(&input, false) };
            network.absolute(&features, &History::none(), false)
        });
        let output =
            output.ok_or_else(|| Error::compute("validation", "a network that compares frames needs a gallery"))?;
        pairs.extend(output.pose().to_poses(units)?.into_iter().zip(truth[rows].iter().copied()));
    }
    Ok(ValidationErrors::of(&pairs))
}
