//! What is wrong with each input, by itself: silent, refused, or of another clock.

use super::arrivals::Arrivals;
use super::silence::{self, Silence, offers};
use super::{Health, Reason, Situation, clock};
use crate::config::OdometrySource;
use crate::middleware::Input;

/// An input without a message for longer than this is silent, seconds.
pub(super) const SILENCE: f64 = 1.0;

impl Health {
    /// What is wrong with an input, and what to do; `None` also where the configuration does not need it.
    pub(super) fn problem(&self, input: Input, situation: &Situation) -> Option<String> {
        let config = situation.config;
        match input {
            Input::Image => self
                .silence(input, situation)
                .or_else(|| {
                    self.first_recent(&[
                        Reason::ImageUndecodable,
                        Reason::ImageWithoutContrast,
                        Reason::OtherScene,
                        Reason::PlaceUnknown,
                    ])
                })
                .or_else(|| self.clock_of(input, situation))
                .or_else(|| self.recent(Reason::ImageOutOfOrder)),
            Input::CameraInfo => self.calibration_problem(situation),
            Input::Imu if config.use_imu && config.use_estimator => self
                .silence(input, situation)
                .or_else(|| self.first_recent(&[Reason::ImuRefused, Reason::NoImuExtrinsics]))
                .or_else(|| self.clock_of(input, situation)),
            Input::Odometry if config.use_odometry && config.odometry_source == OdometrySource::Topic => self
                .silence(input, situation)
                .or_else(|| self.recent(Reason::OdometryRefused))
                .or_else(|| self.clock_of(input, situation))
                .or_else(|| other_frames(situation)),
            Input::Transforms => self
                .mounting_problem(situation)
                .or_else(|| self.odometry_on_tf_problem(situation))
                .or_else(|| self.recent(Reason::TransformRefused)),
            Input::InitialPose => self.recent(Reason::InitialPoseRefused),
            Input::Imu | Input::Odometry => None,
        }
    }

    /// The camera's place on the robot is unknown.
    pub(super) fn mounting_problem(&self, situation: &Situation) -> Option<String> {
        let text = self.recent(Reason::NoExtrinsics)?;
        let why = match situation.static_link() {
            Some(link) if link.publishers == 0 && link.incompatible.is_empty() => {
                format!("nobody publishes {} (robot_state_publisher?); ", link.topic)
            }
            Some(link) if link.publishers == 0 => {
                format!("publishers of {} offer {}, asked is {}; ", link.topic, offers(link), link.requested)
            }
            _ => String::new(),
        };
        Some(format!("{text}: {why}publish it on /tf_static, or set base_from_camera (or camera_frame_id)"))
    }

    /// Whether somebody sends to an input, or ever did.
    pub(super) fn is_connected(&self, input: Input, situation: &Situation) -> bool {
        let is_there = |link: &crate::middleware::Link| link.publishers > 0 || !link.incompatible.is_empty();
        self.arrivals(input) > 0 || situation.link(input).is_some_and(is_there)
    }

    fn calibration_problem(&self, situation: &Situation) -> Option<String> {
        let refused = self.recent(Reason::CameraInfoRefused);
        if situation.is_calibrated {
            return refused.or_else(|| {
                let text = self.recent(Reason::ImageSize)?;
                Some(format!("{text}: calibrate at the size that is sent, and send camera_info of the same stream"))
            });
        }
        let unheard = || match situation.link(Input::CameraInfo) {
            None => self.recent(Reason::NoCameraInfo),
            Some(_) => None,
        };
        refused.or_else(unheard).or_else(|| {
            let text = self.silence(Input::CameraInfo, situation)?;
            Some(format!("{text} camera_info_file takes its place."))
        })
    }

    fn odometry_on_tf_problem(&self, situation: &Situation) -> Option<String> {
        let config = situation.config;
        if !config.use_odometry || config.odometry_source != OdometrySource::Tf {
            return None;
        }
        let (odom, base) = (&config.odom_frame_id, &config.base_frame_id);
        let silent = silent_for(&self.odometry, situation).filter(|(came, _)| *came || !situation.has_odometry);
        let Some((came, seconds)) = silent else {
            return clock::disagreement(
                &format!("{odom} -> {base}"),
                &self.odometry,
                situation.now,
                config.use_sim_time,
            );
        };
        let moving = situation.link(Input::Transforms);
        if moving.is_some_and(|link| link.publishers == 0) {
            return self.silence_of(Input::Transforms, came, seconds, situation);
        }
        let since = if came { format!("for {seconds:.1} s") } else { "came yet".into() };
        Some(format!(
            "no {odom} -> {base} on /tf {since}: does the odometry publish it, are odom_frame_id and base_frame_id right? \
             odometry_source: topic where it is on odom only, use_odometry: false where there is none"
        ))
    }

    /// `name: text` of a reason that occurred recently.
    pub(super) fn recent(&self, reason: Reason) -> Option<String> {
        let refusals = self.refusals.get(&reason).filter(|refusals| refusals.recent > 0)?;
        Some(format!("{}: {}", reason.name(), refusals.last))
    }

    /// The first of some reasons that occurred recently.
    fn first_recent(&self, reasons: &[Reason]) -> Option<String> {
        reasons.iter().find_map(|reason| self.recent(*reason))
    }

    fn silence(&self, input: Input, situation: &Situation) -> Option<String> {
        let (came, seconds) =
            self.inputs.get(&input).map_or(Some((false, 0.0)), |arrivals| silent_for(arrivals, situation))?;
        self.silence_of(input, came, seconds, situation)
    }

    fn silence_of(&self, input: Input, came: bool, seconds: f64, situation: &Situation) -> Option<String> {
        let silence = Silence { input, came, seconds, transport: situation.config.image_transport };
        Some(silence::sentence(silence, situation.link(input)))
    }

    fn clock_of(&self, input: Input, situation: &Situation) -> Option<String> {
        let what = situation.link(input).map_or(input.name(), |link| link.topic.as_str());
        let arrivals = self.inputs.get(&input)?;
        clock::disagreement(what, arrivals, situation.now, situation.config.use_sim_time)
    }
}

/// Odometry comes, of other frames than the configured ones.
fn other_frames(situation: &Situation) -> Option<String> {
    let (odom, base) = (&situation.config.odom_frame_id, &situation.config.base_frame_id);
    (!situation.has_odometry).then(|| {
        format!(
            "odom comes, but not from {odom} to {base}: set odom_frame_id and base_frame_id to its frame_id and \
             child_frame_id"
        )
    })
}

/// Whether anything came before, and for how long nothing did.
pub(super) fn silent_for(arrivals: &Arrivals, situation: &Situation) -> Option<(bool, f64)> {
    match arrivals.age(situation.now) {
        None => Some((false, 0.0)),
        Some(age) if arrivals.recent == 0 && age > SILENCE => Some((true, age)),
        Some(_) => None,
    }
}
