//! What the estimator said of itself: why it is in its state, and whether it can ever be sure enough.

use crate::Stamp;
use crate::config::EstimatorConfig;
use crate::estimator::{Cause, State, Transition};
use crate::geometry::PoseCovariance;

/// Lost so often for its own uncertainty, it is the rule and no event.
const TIMES_THAT_ARE_A_RULE: u64 = 2;
/// Tracking for longer than this in between makes it an event again, seconds.
const TRACKED: f64 = 5.0;
/// Tracking needs this share of the limits.
const TRACKING_SHARE: f64 = 1.0 / 3.0;

/// What the network alone said of an image: its stamp, and standard deviations (m, rad) along and about the worst axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fix {
    pub stamp: Stamp,
    pub sigmas: (f64, f64),
}

/// The estimator's last words.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    /// Why the state is what it is, and since when.
    pub reason: Option<(Stamp, String)>,
    /// Changes of state since the start.
    pub changes: u64,
    /// Tracking ended only because time passed after the last image.
    pub is_between_images: bool,
    lost: Option<TooUnsure>,
    /// Since when it tracks, since it was lost.
    tracking_since: Option<Stamp>,
}

/// The estimate was lost because it became less sure than the limits, again and again.
#[derive(Clone, Copy, Debug)]
struct TooUnsure {
    times: u64,
    position: f64,
    rotation: f64,
    /// Those of the network's last answer by itself.
    fix: Option<(f64, f64)>,
}

impl Estimate {
    /// A change of state; `fix` is what the network alone last said.
    pub fn note(&mut self, transition: &Transition, fix: Option<&Fix>) {
        let is_after_image = fix.is_some_and(|fix| transition.stamp > fix.stamp);
        let is_growth = matches!(transition.cause, Cause::Uncertain { .. });
        self.is_between_images = is_growth && transition.to == State::Converging && is_after_image;
        self.changes += 1;
        self.reason = Some((transition.stamp, transition.cause.to_string()));
        match (&transition.cause, transition.to) {
            (Cause::Uncertain { position, rotation }, State::Lost) => {
                let again = !self.has_tracked(transition.stamp);
                let times = 1 + self.lost.filter(|_| again).map_or(0, |lost| lost.times);
                self.lost =
                    Some(TooUnsure { times, position: *position, rotation: *rotation, fix: fix.map(|fix| fix.sigmas) });
                self.tracking_since = None;
            }
            (Cause::Asked | Cause::Given | Cause::ClockJumped, _) => (self.lost, self.tracking_since) = (None, None),
            (_, State::Tracking) => {
                self.tracking_since.get_or_insert(transition.stamp);
            }
            _ => {}
        }
    }

    /// Converging and lost in turn: the limits ask for more than the model and the motion give.
    pub fn never_sure_enough(&self, now: Stamp, config: &EstimatorConfig) -> Option<String> {
        if self.has_tracked(now) {
            return None;
        }
        let lost = self.lost.filter(|lost| lost.times >= TIMES_THAT_ARE_A_RULE)?;
        let TooUnsure { times, position, rotation, fix } = lost;
        let excess = excess(position, rotation, config, 1.0)?;
        let is_surer = |(position, rotation): &(f64, f64)| self::excess(*position, *rotation, config, 1.0).is_none();
        let advice = match fix.filter(is_surer) {
            Some((position, rotation)) => format!(
                "the network's answers are surer ({position:.2} m, {:.1} degrees), images are too rare for the motion \
                 between them: send them faster, add odometry or an IMU, or lower estimator.speed and estimator.rate_of_turn",
                rotation.to_degrees()
            ),
            None => "raise the limit if the model is no better, or train it further".into(),
        };
        Some(format!("the pose is less sure than {excess}, {times} times lost for it: {advice}"))
    }

    fn has_tracked(&self, now: Stamp) -> bool {
        self.tracking_since.is_some_and(|since| now.seconds_since(since) > TRACKED)
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
