//! The first cause in the order of the data, and its level: what the message of a report says.
//!
//! | level | meaning |
//! |---|---|
//! | OK | poses go out |
//! | WARN | poses go out, and something is wrong; or the node is not active, or looks for the robot since a few seconds |
//! | ERROR | images come and no pose goes out, or images cannot come as things are |
//! | STALE | no image comes in |

use super::inputs::SILENCE;
use super::verdict::not_sure_yet;
use super::{Health, Reason, Situation};
use crate::Stamp;
use crate::estimator::{Estimator, Rejection, State};
use crate::middleware::{Input, Level};
use crate::node::Phase;

/// A robot may be looked for so long before that is an error, seconds.
const SEARCH: f64 = 5.0;
/// The network may work on an image so long before it is told, seconds.
const WORK: f64 = 5.0;

type Finding = Option<(Level, String)>;

impl Health {
    /// How well the node is, in one sentence.
    pub(super) fn verdict(&self, situation: &Situation) -> (Level, String) {
        let stages: [fn(&Self, &Situation) -> Finding; 11] = [
            Self::phase,
            Self::time,
            Self::images,
            Self::calibration,
            Self::network,
            Self::mounting,
            Self::imu,
            Self::estimator,
            Self::map_from_odom,
            Self::focal_length,
            Self::rest,
        ];
        let found = stages.iter().find_map(|stage| stage(self, situation));
        found.unwrap_or_else(|| (Level::Ok, "localizing".into()))
    }

    fn phase(&self, situation: &Situation) -> Finding {
        let text = match situation.phase {
            Phase::Active => return None,
            Phase::Unconfigured if self.model_error.is_some() => {
                let error = self.model_error.as_deref().unwrap_or_default();
                return Some((Level::Error, format!("unconfigured: the model did not load: {error}")));
            }
            Phase::Configuring => "the model is being loaded",
            Phase::Inactive => "nothing is localized until the node is active: activate it (ros2 lifecycle set)",
            Phase::Finalized => "the node has ended its life: start it anew",
            _ => {
                "nothing is localized until the node is active: configure and activate it (ros2 lifecycle set), or \
                 autostart: true"
            }
        };
        Some((Level::Warn, format!("{}: {text}", situation.phase.label())))
    }

    fn time(&self, situation: &Situation) -> Finding {
        if situation.config.use_sim_time && situation.now == Stamp::default() {
            let text = "use_sim_time is true and no /clock came: play the recording with --clock, start the simulation, or \
                        set use_sim_time: false";
            return Some((Level::Error, text.into()));
        }
        let text = || format!("time stands still at {}: is the simulation or recording paused or over?", situation.now);
        situation.time_stands.then(|| (Level::Stale, text()))
    }

    fn images(&self, situation: &Situation) -> Finding {
        let text = self.problem(Input::Image, situation)?;
        let comes = self.inputs.get(&Input::Image).is_some_and(|images| images.recent > 0);
        let unheard =
            situation.link(Input::Image).is_some_and(|link| link.publishers == 0 && !link.incompatible.is_empty());
        let level = if comes || unheard { self.severity(situation) } else { Level::Stale };
        Some((level, text))
    }

    fn calibration(&self, situation: &Situation) -> Finding {
        let text = self.problem(Input::CameraInfo, situation)?;
        Some((self.severity(situation), text))
    }

    fn network(&self, situation: &Situation) -> Finding {
        if let Some(text) = self.recent(Reason::NetworkFailed) {
            return Some((self.severity(situation), text));
        }
        let waited = situation.now.seconds_since(self.working_since?);
        let usual = self.percentile(0.99).unwrap_or_default();
        let device = self.device.as_deref().unwrap_or("its device");
        let text = format!(
            "the network works on one image for {waited:.1} s on {device}: is the machine overloaded, or does the model \
             need a GPU (device: cuda:0)?"
        );
        (waited > WORK.max(3.0 * usual)).then(|| (self.severity(situation), text))
    }

    fn mounting(&self, situation: &Situation) -> Finding {
        Some((self.severity(situation), self.mounting_problem(situation)?))
    }

    /// An IMU that is not there is no fault: most cameras have none.
    fn imu(&self, situation: &Situation) -> Finding {
        let text = self.problem(Input::Imu, situation).filter(|_| self.is_connected(Input::Imu, situation))?;
        Some((self.severity(situation), text))
    }

    fn estimator(&self, situation: &Situation) -> Finding {
        if let Some(text) = self.recent(Reason::EstimatorFailed) {
            return Some((self.severity(situation), text));
        }
        let goes_out = self.goes_out(situation.now);
        let Some(estimator) = situation.estimator else {
            let level = self.search_level(situation);
            return (!goes_out).then(|| (level, "images came, no pose yet".into()));
        };
        if let Some(text) = self.estimate.never_sure_enough(situation.now, &situation.config.estimator) {
            return Some((Level::Error, text));
        }
        match (estimator.state(), &self.last_pose) {
            (State::Tracking, _) if goes_out => None,
            (State::Converging, Some(pose)) if goes_out => {
                let reason = not_sure_yet(&pose.covariance, &situation.config.estimator);
                // The poses that go out are sure enough; what comes between them is not their fault.
                let between = || (!self.estimate.is_between_images).then(|| self.reason().to_owned());
                reason.or_else(between).map(|reason| (Level::Warn, format!("converging: {reason}")))
            }
            _ => Some((self.search_level(situation), self.search(estimator))),
        }
    }

    /// Images come and no pose goes out.
    fn search(&self, estimator: &Estimator) -> String {
        let state = estimator.state();
        let others = estimator.rejections().of(Rejection::FromTheFuture) + estimator.rejections().of(Rejection::TooOld);
        let advice = match state {
            _ if others > 0 && self.answers <= 2 * others => {
                "; fixes are refused as from_the_future or too_old: images, IMU and odometry are stamped by different clocks"
            }
            State::Converging => {
                "; the network's answers do not agree: is this the model's place, the camera's height and tilt its own?"
            }
            State::Lost => "; it is found again once answers of the network agree",
            _ => "",
        };
        format!("images came, no pose yet: {}: {}{advice}", state.name(), self.reason())
    }

    fn map_from_odom(&self, situation: &Situation) -> Finding {
        let config = situation.config;
        if !config.use_odometry || !config.tf_broadcast {
            return None;
        }
        let missing = self.recent(Reason::NoOdometry);
        let source = [Input::Odometry, Input::Transforms].into_iter().find_map(|input| self.problem(input, situation));
        let late = || {
            let delay = self.odometry.delay().filter(|delay| delay.median > config.transform_timeout)?;
            Some(format!(
                "no_odometry: {} -> {} comes {:.2} s late, transform_timeout is {:.2} s: raise it",
                config.odom_frame_id, config.base_frame_id, delay.median, config.transform_timeout
            ))
        };
        let text = match missing {
            Some(missing) => source.or_else(late).unwrap_or(missing),
            None => source?,
        };
        let level = if self.recent_transforms > 0 { Level::Warn } else { Level::Error };
        Some((level, text))
    }

    fn focal_length(&self, _: &Situation) -> Finding {
        let summary = self.focal.summary().filter(|summary| summary.contradicts())?;
        let text = format!(
            "the points in the images ask for {summary}: is camera_info of this camera, and of this resolution?"
        );
        Some((Level::Warn, text))
    }

    fn rest(&self, _: &Situation) -> Finding {
        let mut reasons = self.refusals.keys().filter(|reason| **reason != Reason::Replaced);
        reasons.find_map(|reason| self.recent(*reason)).map(|text| (Level::Warn, text))
    }

    /// Why the estimator is in its state.
    pub(super) fn reason(&self) -> &str {
        self.estimate.reason.as_ref().map_or("no fix came", |(_, reason)| reason)
    }

    /// A fault that leaves poses going out is a warning.
    fn severity(&self, situation: &Situation) -> Level {
        if self.goes_out(situation.now) { Level::Warn } else { Level::Error }
    }

    fn search_level(&self, situation: &Situation) -> Level {
        let since = self.looking_since.map_or(0.0, |since| situation.now.seconds_since(since));
        if since > SEARCH { Level::Error } else { Level::Warn }
    }

    /// Whether poses go out, as often as the network can make them.
    fn goes_out(&self, now: Stamp) -> bool {
        let patience = SILENCE.max(3.0 * self.percentile(0.99).unwrap_or_default());
        let is_young = |since: Stamp| now.seconds_since(since) <= patience;
        self.recent_poses > 0 || self.last_pose.is_some() && self.looking_since.is_some_and(is_young)
    }
}
