//! The trajectory in hindsight as files, marked as not causal.
//!
//! | file | content |
//! |---|---|
//! | `smoothed.tum` | pose of the base in the map at the keyframes' stamps; a clock that jumped back leaves the last run |
//! | `smoothed_covariance.csv` | `run,stamp`, then the upper triangle of the pose's covariance, row by row: right perturbation `[x, y, z (m), rx, ry, rz (rad)]` in the axes of the base |
//!
//! Covariances hold what `estimator.map_position_sigma` and `estimator.map_rotation_sigma` say of the error that all
//! fixes have in common, which no averaging removes. A run is one start of the estimate. Between two runs the robot was
//! lost or carried: nothing joins them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::config::Config;
use crate::estimator::SmoothedRun;
use crate::geometry::{Matrix6, tum_text};
use crate::{Error, Result};

const AXES: [&str; 6] = ["x", "y", "z", "rx", "ry", "rz"];

/// What was smoothed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SmoothedSummary {
    /// Whether a pose rests on what came before it only: never.
    pub causal: bool,
    /// Starts of the estimate.
    pub runs: usize,
    /// Poses of all runs.
    pub poses: usize,
}

/// Whether a replay with these parameters can be smoothed.
///
/// # Errors
/// [`Error::Config`] without the estimator.
pub(super) fn check(config: &Config) -> Result<()> {
    if config.use_estimator {
        return Ok(());
    }
    let expected = "true for a smoothed trajectory, which is the estimator's; give -p use_estimator:=true";
    Err(Error::config("use_estimator", expected, "false"))
}

/// Writes the two files into a folder.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(runs: &[SmoothedRun], folder: &Path) -> Result<SmoothedSummary> {
    let poses = || runs.iter().flat_map(|run| &run.poses);
    let by_stamp: BTreeMap<_, _> = poses().map(|pose| (pose.stamp, pose.map_from_base)).collect();
    let trajectory = format!("# smoothed, not causal\n{}", tum_text(by_stamp));
    let path = folder.join("smoothed.tum");
    std::fs::write(&path, trajectory).map_err(Error::io("write", &path))?;
    let path = folder.join("smoothed_covariance.csv");
    std::fs::write(&path, covariances(runs)).map_err(Error::io("write", &path))?;
    Ok(SmoothedSummary { causal: false, runs: runs.len(), poses: poses().count() })
}

fn covariances(runs: &[SmoothedRun]) -> String {
    let upper: Vec<(usize, usize)> = (0..6).flat_map(|row| (row..6).map(move |column| (row, column))).collect();
    let mut text = String::from("run,stamp");
    // Writing to a String cannot fail.
    for (row, column) in &upper {
        let _ = write!(text, ",{}_{}", AXES[*row], AXES[*column]);
    }
    text.push('\n');
    for run in runs {
        for pose in &run.poses {
            let covariance: Matrix6 = pose.covariance.matrix();
            let _ = write!(text, "{},{}", run.start, pose.stamp);
            for place in &upper {
                let _ = write!(text, ",{:e}", covariance[*place]);
            }
            text.push('\n');
        }
    }
    text
}
