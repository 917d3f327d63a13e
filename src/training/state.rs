//! What a resumed training needs: every tensor in one file, every number in another that names it.
//!
//! `state.json` is replaced last and in one step, so that a kill at any moment leaves either the old checkpoint or the
//! new one, never half of each.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::validation::ValidationErrors;
use crate::network::checkpoint::{Precision, read_tensors, write_tensors};
use crate::{Error, Result};

const STATE_FILE: &str = "state.json";
/// The most that the tensors of a checkpoint may take.
const MAX_BYTES: u64 = 16 << 30;

/// An epoch in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean loss of the pose steps.
    pub pose_loss: f64,
    /// Mean loss of the odometry steps; absent when there was none.
    pub odometry_loss: Option<f64>,
    /// On the validation frames; absent without any.
    pub validation: Option<ValidationErrors>,
}

/// Sums over the steps of the epoch under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossSums {
    /// Of the pose losses, and their number.
    pub pose: (f64, u64),
    /// Of the odometry losses, and their number.
    pub odometry: (f64, u64),
}

/// Where a training is. The tensors that belong to it are beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Seed of the run.
    pub seed: u64,
    /// Finished epochs.
    pub epoch: usize,
    /// Finished batches of the epoch under way.
    pub batch: usize,
    /// Finished pose steps, of several batches each where the training adds them up.
    pub step: u64,
    /// Factor of the loss in half precision.
    pub loss_scale: f64,
    /// Steps in the moving average.
    pub average_steps: u64,
    /// The epoch under way.
    pub sums: LossSums,
    /// Seconds of training so far, those of an interrupted run that it goes on from included.
    #[serde(default)]
    pub seconds: f64,
    /// The epochs so far.
    pub history: Vec<EpochRecord>,
    /// The epoch whose weights are kept, from 1, and its score; lower is better. Of the cycle under way, where there
    /// are several.
    pub best: Option<(usize, f64)>,
    /// The same of each finished cycle.
    #[serde(default)]
    pub snapshots: Vec<(usize, f64)>,
    /// Name of the file with the tensors.
    #[serde(default)]
    pub(super) tensors: String,
}

impl RunState {
    /// Whether `folder` holds a checkpoint.
    pub fn exists(folder: &Path) -> bool {
        folder.join(STATE_FILE).exists()
    }

    /// Writes the state and its tensors, then removes the checkpoint before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, folder: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let before = std::mem::replace(&mut self.tensors, format!("step-{}-{}.safetensors", self.step, self.epoch));
        write_tensors(tensors, &folder.join(&self.tensors), Precision::Single)?;
        let path = folder.join(STATE_FILE);
        let partial = path.with_extension("partial");
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::compute("writing the run's state", error))?;
        fs::write(&partial, text).map_err(Error::io("write", &partial))?;
        fs::rename(&partial, &path).map_err(Error::io("create", &path))?;
        if !before.is_empty() && before != self.tensors {
            let _ = fs::remove_file(folder.join(before));
        }
        Ok(())
    }

    /// Reads a checkpoint: the state, its tensors by name, and their file.
    ///
    /// # Errors
    /// [`Error::Io`] when there is none; [`Error::Format`] and [`Error::Model`] when it is not what was written.
    pub fn read(folder: &Path) -> Result<(Self, HashMap<String, Tensor>, PathBuf)> {
        let path = folder.join(STATE_FILE);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let state: Self = serde_json::from_slice(&text)
            .map_err(|error| Error::format(&path, "the state of a training", format!("{error}; start it anew")))?;
        if state.tensors.is_empty() || state.tensors.contains(['/', '\\']) {
            return Err(Error::format(&path, "the name of a file beside it", format!("{:?}", state.tensors)));
        }
        let file = folder.join(&state.tensors);
        let tensors = read_tensors(&file, MAX_BYTES)?;
        Ok((state, tensors, file))
    }
}
