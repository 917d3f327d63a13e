//! How far the estimate can be trusted: from its uncertainty to the state, and every way that an estimate ends.

use super::window::Window;
use super::{Cause, Estimator, Prediction, State, Transition, prediction};
use crate::geometry::PoseCovariance;
use crate::{Result, Stamp};

/// What Tracking needs, as a share of the limits (three standard deviations); and where it ends.
const TRACKING_SHARE: f64 = 1.0 / 3.0;
const CONVERGING_SHARE: f64 = 0.4;

impl Estimator {
    /// The head as a prediction over no time: pose and covariance of the base.
    pub(super) fn guarded_prediction(&mut self, stamp: Stamp) -> Result<Option<Prediction>> {
        let (Some(head), Some(window)) = (&self.head, &self.window) else { return Ok(None) };
        let predicted = prediction::now(head, window, &self.config);
        self.guarded(stamp, predicted).map(Some)
    }

    /// Follows the uncertainty from state to state.
    pub(super) fn judge(&mut self, stamp: Stamp, covariance: &PoseCovariance) {
        let (position, rotation) = covariance.worst_sigmas();
        let share = (position / self.config.position_limit).max(rotation / self.config.rotation_limit);
        let evidence = self.window.as_ref().map_or(0.0, Window::evidence);
        match self.state {
            _ if share > 1.0 && evidence >= self.config.tracking_evidence => {
                self.restart(stamp, State::Lost, Cause::Uncertain { position, rotation });
            }
            State::Converging
                if share <= TRACKING_SHARE && !self.is_contradicted() && evidence >= self.config.tracking_evidence =>
            {
                self.enter(stamp, State::Tracking, Cause::Certain { position, rotation });
            }
            State::Tracking if share > CONVERGING_SHARE => {
                self.enter(stamp, State::Converging, Cause::Uncertain { position, rotation });
            }
            _ => {}
        }
    }

    /// Counts what the window refused; an error of the graph ends the estimate: nothing that it says can be trusted.
    pub(super) fn guarded<T>(&mut self, stamp: Stamp, done: Result<T>) -> Result<T> {
        let refusals = self.window.as_mut().map(Window::take_refusals).unwrap_or_default();
        refusals.into_iter().for_each(|refusal| self.rejections.count(refusal));
        if let Err(error) = &done {
            self.restart(stamp, State::Lost, Cause::Solver(error.to_string()));
        }
        done
    }

    pub(super) fn restart(&mut self, stamp: Stamp, state: State, cause: Cause) {
        self.end_run(&cause);
        self.forget_waiting();
        self.enter(stamp, state, cause);
    }

    /// Nothing that comes belongs to the present estimate.
    pub(super) fn end_run(&mut self, cause: &Cause) {
        self.head = None;
        if let (Some(window), Some(history)) = (self.window.take(), &mut self.history) {
            history.add(self.starts, window, cause);
        }
    }

    pub(super) fn enter(&mut self, stamp: Stamp, to: State, cause: Cause) {
        let from = std::mem::replace(&mut self.state, to);
        if from != to || matches!(cause, Cause::Kidnapped { .. }) {
            self.transitions.push(Transition { stamp, from, to, cause });
        }
    }
}
