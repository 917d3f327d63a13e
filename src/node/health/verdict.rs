//! What the estimator said of itself: why it is in its state, and whether it can ever be sure enough.

use crate::Stamp;
use crate::config::EstimatorConfig;
use crate::estimator::{Cause, State, Transition};
use crate::geometry::PoseCovariance;

/// Lost so often for its own uncertainty without having tracked in between, it is the rule and no event.
const TIMES_THAT_ARE_A_RULE: u64 = 2;
/// Tracking needs this share of the limits.
const TRACKING_SHARE: f64 = 1.0 / 3.0;

/// The estimator's last words.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    /// Why the state is what it is, and since when.
    pub reason: Option<(Stamp, String)>,
    /// Changes of state since the start.
    pub changes: u64,
    lost: Option<TooUnsure>,
}

/// The estimate was lost because it became less sure than the limits, again and again.
#[derive(Clone, Copy, Debug)]
struct TooUnsure {
    times: u64,
    position: f64,
    rotation: f64,
}

impl Estimate {
    pub fn note(&mut self, transition: &Transition) {
        self.changes += 1;
        self.reason = Some((transition.stamp, transition.cause.to_string()));
        match (&transition.cause, transition.to) {
            (Cause::Uncertain { position, rotation }, State::Lost) => {
                let times = self.lost.map_or(1, |lost| lost.times + 1);
                self.lost = Some(TooUnsure { times, position: *position, rotation: *rotation });
            }
            (_, State::Tracking) | (Cause::Asked | Cause::Given | Cause::ClockJumped, _) => self.lost = None,
            _ => {}
        }
    }

    /// Converging and lost in turn: the limits ask for more than the model and the motion give.
    pub fn never_sure_enough(&self, config: &EstimatorConfig) -> Option<String> {
        let TooUnsure { times, position, rotation } = self.lost.filter(|lost| lost.times >= TIMES_THAT_ARE_A_RULE)?;
        let excess = excess(position, rotation, config, 1.0)?;
        Some(format!(
            "the pose is less sure than {excess}, {times} times lost for it without tracking: raise the limit if the \
             model is no better, or train it further"
        ))
    }
}

/// Poses go out, and are not sure enough for Tracking.
pub(super) fn not_sure_yet(covariance: &PoseCovariance, config: &EstimatorConfig) -> Option<String> {
    let (position, rotation) = covariance.worst_sigmas();
    let excess = excess(position, rotation, config, TRACKING_SHARE)?;
    Some(format!(
        "the pose is less sure than a third of {excess}: drive a little; raise the limit if the model is no better"
    ))
}

/// Which limit a pose exceeds, `share` of it allowed: its name and both numbers.
fn excess(position: f64, rotation: f64, config: &EstimatorConfig, share: f64) -> Option<String> {
    let allowed = (share * config.position_limit, share * config.rotation_limit);
    if position > allowed.0 {
        Some(format!("estimator.position_limit: {position:.2} m > {:.2} m", allowed.0))
    } else if rotation > allowed.1 {
        let (found, limit) = (rotation.to_degrees(), allowed.1.to_degrees());
        Some(format!("estimator.rotation_limit: {found:.1} degrees > {limit:.1} degrees"))
    } else {
        None
    }
}
