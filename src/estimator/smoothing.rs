//! The trajectory in hindsight: every pose from all that was measured, before it and after it.
//!
//! It is *not causal*: no robot can drive by it, and it is reported apart from what the estimator answered at the time.
//! [`Estimator::keep_history`] keeps the factors that leave the window as they were measured;
//! [`Estimator::smoothed`] solves them together with those still in the window as one batch (Levenberg-Marquardt, the
//! same noise and robust kernels, all variables linearized where they end up; Dellaert and Kaess 2017, chapters 2 and 5).
//! The priors of marginalization are left out, and with them the fading of old information
//! (`estimator.memory`): fixes count as often as their correlation time says. Over a long run their independent errors
//! average out, and what is left is the error that they have in common: a covariance is true only as far as
//! `estimator.map_position_sigma` and `estimator.map_rotation_sigma`, which are added to it, are.
//!
//! A run begins where fixes agreed and ends with a kidnap, a loss, a restart or a clock that jumped. Nothing joins two
//! runs: what happened between them was not measured.

use super::prediction::with_map_error;
use super::window::Window;
use super::{Cause, Estimator};
use crate::config::EstimatorConfig;
use crate::geometry::{PoseCovariance, Se3};
use crate::graph::{Key, Optimizer, Settings};
use crate::{Error, Result, Stamp};

/// Where the robot was, in hindsight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothedPose {
    /// The stamp of the keyframe.
    pub stamp: Stamp,
    /// Pose of the robot's base in the map.
    pub map_from_base: Se3,
    /// Covariance of its right perturbation.
    pub covariance: PoseCovariance,
}

/// The trajectory from one start of the estimate to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct SmoothedRun {
    /// Which start: the one of [`super::PoseEstimate::start`].
    pub start: u64,
    /// How many independent fixes it rests on; a run of few may be a mistake that later fixes corrected.
    pub evidence: f64,
    /// One pose per keyframe, in the order of time.
    pub poses: Vec<SmoothedPose>,
}

/// The windows that ended.
#[derive(Debug, Default)]
pub(super) struct History(Vec<Ended>);

#[derive(Debug)]
struct Ended {
    start: u64,
    window: Window,
    /// Where the run ends, if that is before its last keyframe.
    end: Option<Stamp>,
}

impl History {
    /// Keeps a window that ended for this reason.
    ///
    /// A robot that was moved was moved at some time after the last fix that fits: the run ends with that one.
    pub fn add(&mut self, start: u64, window: Window, cause: &Cause) {
        let is_moved = matches!(cause, Cause::Kidnapped { .. } | Cause::Asked);
        let end = window.last_fix().filter(|_| is_moved);
        self.0.push(Ended { start, window, end });
    }
}

impl Estimator {
    /// Keeps all that is measured from the next start of the estimate on, for [`Estimator::smoothed`]. The memory then
    /// grows with the recording: a few kilobytes per keyframe with an IMU. Best called before anything is added.
    pub fn keep_history(&mut self) {
        self.history.get_or_insert_default();
    }

    /// The trajectory in hindsight, one run per start of the estimate; not causal. The same bytes for the same input.
    /// The estimator goes on as if it had not been asked.
    ///
    /// # Errors
    /// [`Error::Message`] without [`Estimator::keep_history`]; [`Error::Compute`] when the factors of a run do not
    /// determine it or the search for its minimum fails.
    pub fn smoothed(&self) -> Result<Vec<SmoothedRun>> {
        let Some(History(ended)) = &self.history else {
            let expected = "the measurements of the whole run: call Estimator::keep_history before the first of them";
            return Err(Error::message("smoothed trajectory", expected, "those of the window only"));
        };
        let ended = ended.iter().map(|run| (run.start, &run.window, run.end));
        let present = self.window.iter().map(|window| (self.starts, window, None));
        let kept = ended.chain(present).filter(|(_, window, _)| window.has_history());
        kept.map(|(start, window, end)| smooth(start, window, end, &self.config)).collect()
    }
}

/// Solves one run.
fn smooth(start: u64, window: &Window, end: Option<Stamp>, config: &EstimatorConfig) -> Result<SmoothedRun> {
    let what = || format!("smoothed trajectory of run {start}");
    let (graph, mut values) = window.whole()?;
    // The window's updates ended near the minimum: the first step is Gauss-Newton's.
    let mut optimizer = Optimizer::new(Settings { initial_lambda: 0.0, ..Settings::default() });
    let report = optimizer.optimize(&graph, &mut values)?;
    if !report.stop.is_converged() {
        return Err(Error::compute(what(), report.stop));
    }
    let marginals = optimizer.marginals(&graph, &values)?;
    let body_from_base = window.base_from_body().inverse();
    let keyframes = window.all_keyframes().filter(|(_, stamp)| end.is_none_or(|end| *stamp <= end));
    let (keys, stamps): (Vec<Key>, Vec<Stamp>) = keyframes.map(|(index, stamp)| (Key::pose(index), stamp)).unzip();
    let covariances = marginals.pose_covariances(&keys)?;
    let mut poses = Vec::with_capacity(keys.len());
    for ((key, stamp), covariance) in keys.into_iter().zip(stamps).zip(covariances) {
        let covariance = with_map_error(&covariance.composed_with(body_from_base), config)?;
        poses.push(SmoothedPose { stamp, map_from_base: values.pose(key)? * body_from_base, covariance });
    }
    Ok(SmoothedRun { start, evidence: window.evidence(), poses })
}
