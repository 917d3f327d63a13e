//! What the node counts, and how it tells: refusals by reason, rate and age of inputs, time of inference, state.

use std::collections::{BTreeMap, VecDeque};

use crate::estimator::Estimator;
use crate::middleware::{Diagnostics, Input, Level, Link, StampedPose};
use crate::{Error, Stamp};

/// Why an image got no pose, or another message was not used. The name is the key in diagnostics and summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A newer image came before the network was free: no defect.
    Replaced,
    /// Not newer than the image before it.
    ImageOutOfOrder,
    /// The message or its pixels mean nothing: lying sizes, unknown encoding, broken jpeg.
    ImageUndecodable,
    /// Not of the size that `camera_info` announced.
    ImageSize,
    /// It shows nothing: the camera is covered, or faces a wall of one colour.
    ImageWithoutContrast,
    /// No usable `camera_info` came before it.
    NoCameraInfo,
    /// A `camera_info` that is no calibration.
    CameraInfoRefused,
    /// A transform that is none: NaN, zero quaternion, a circle.
    TransformRefused,
    /// An IMU message that measures nothing or is not finite.
    ImuRefused,
    /// An odometry message that is no pose.
    OdometryRefused,
    /// An initial pose that is none, of another frame, or without an estimator to start.
    InitialPoseRefused,
    /// The IMU's mounting is not known: no path from base to IMU in TF.
    NoImuExtrinsics,
    /// The estimator failed; it looks for the robot anew.
    EstimatorFailed,
    /// The network failed on the image.
    NetworkFailed,
    /// The camera's mounting is not known: no path from base to camera in TF.
    NoExtrinsics,
    /// No odometry at the image's stamp: the pose went out, `map -> odom` did not.
    NoOdometry,
    /// The clock jumped back while the image was worked on.
    ClockJumped,
    /// A service was called where none is offered.
    CallRefused,
    /// The last pose could not be written to its file.
    PoseNotSaved,
    /// The middleware did not take a message of the node.
    SendFailed,
}

impl Reason {
    /// The name in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Replaced => "replaced",
            Reason::ImageOutOfOrder => "image_out_of_order",
            Reason::ImageUndecodable => "image_undecodable",
            Reason::ImageSize => "image_size",
            Reason::ImageWithoutContrast => "image_without_contrast",
            Reason::NoCameraInfo => "no_camera_info",
            Reason::CameraInfoRefused => "camera_info_refused",
            Reason::TransformRefused => "transform_refused",
            Reason::ImuRefused => "imu_refused",
            Reason::OdometryRefused => "odometry_refused",
            Reason::InitialPoseRefused => "initial_pose_refused",
            Reason::NoImuExtrinsics => "no_imu_extrinsics",
            Reason::EstimatorFailed => "estimator_failed",
            Reason::NetworkFailed => "network_failed",
            Reason::NoExtrinsics => "no_extrinsics",
            Reason::NoOdometry => "no_odometry",
            Reason::ClockJumped => "clock_jumped",
            Reason::CallRefused => "call_refused",
            Reason::PoseNotSaved => "pose_not_saved",
            Reason::SendFailed => "send_failed",
        }
    }

    fn level(self) -> Level {
        match self {
            Reason::Replaced => Level::Ok,
            Reason::NetworkFailed | Reason::EstimatorFailed | Reason::NoCameraInfo | Reason::NoExtrinsics => {
                Level::Error
            }
            _ => Level::Warn,
        }
    }
}

/// How often something was refused, and the text of the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refusals {
    /// How often since the start.
    pub count: u64,
    /// What was said the last time.
    pub last: String,
}

#[derive(Debug, Default)]
struct Arrivals {
    count: u64,
    since_report: u64,
    last: Option<Stamp>,
}

/// Durations that are kept for the percentiles.
const KEPT_DURATIONS: usize = 512;

/// The node's counters.
#[derive(Debug, Default)]
pub struct Health {
    inputs: BTreeMap<Input, Arrivals>,
    refusals: BTreeMap<Reason, Refusals>,
    answers: u64,
    poses: u64,
    transforms: u64,
    clock_jumps: u64,
    seconds: VecDeque<f64>,
    worst_since_report: Option<(Level, String)>,
    poses_since_report: u64,
    last_report: Option<Stamp>,
    /// Stamp, and standard deviations of position (m) and rotation (rad).
    last_pose: Option<(Stamp, (f64, f64))>,
}

impl Health {
    /// A message came in at `now`.
    pub fn arrived(&mut self, input: Input, now: Stamp) {
        let arrivals = self.inputs.entry(input).or_default();
        arrivals.count += 1;
        arrivals.since_report += 1;
        arrivals.last = Some(now);
    }

    /// Something was not used.
    pub fn refused(&mut self, reason: Reason, error: &Error) {
        let refusals = self.refusals.entry(reason).or_default();
        refusals.count += 1;
        refusals.last = error.to_string();
        if refusals.count.is_power_of_two() {
            tracing::warn!(reason = reason.name(), count = refusals.count, "{error}");
        }
        let level = reason.level();
        if level > Level::Ok && self.worst_since_report.as_ref().is_none_or(|(worst, _)| level >= *worst) {
            self.worst_since_report = Some((level, format!("{}: {error}", reason.name())));
        }
    }

    /// A newer image took the place of one that waited.
    pub fn replaced(&mut self) {
        self.refusals.entry(Reason::Replaced).or_default().count += 1;
    }

    /// Another network is at work: the times of the one before say nothing of it.
    pub fn network_changed(&mut self) {
        self.seconds.clear();
    }

    /// A pose went out.
    pub fn published(&mut self, pose: &StampedPose) {
        self.last_pose = Some((pose.stamp, pose.covariance.sigmas()));
        self.poses += 1;
        self.poses_since_report += 1;
    }

    /// The network answered; the work on its image took so many seconds.
    pub fn answered(&mut self, seconds: Option<f64>) {
        self.answers += 1;
        if let Some(seconds) = seconds {
            self.seconds.truncate(KEPT_DURATIONS - 1);
            self.seconds.push_front(seconds);
        }
    }

    /// A transform went out.
    pub fn transformed(&mut self) {
        self.transforms += 1;
    }

    /// The clock jumped back: ages and rates start anew.
    pub fn clock_jumped(&mut self) {
        self.clock_jumps += 1;
        self.last_report = None;
        self.last_pose = None;
        for arrivals in self.inputs.values_mut() {
            arrivals.last = None;
        }
    }

    /// Poses since the start.
    pub fn poses(&self) -> u64 {
        self.poses
    }

    /// Answers of the network since the start.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Messages of an input since the start.
    pub fn arrivals(&self, input: Input) -> u64 {
        self.inputs.get(&input).map_or(0, |arrivals| arrivals.count)
    }

    /// Clock jumps since the start.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps
    }

    /// Refusals since the start, by reason.
    pub fn refusals(&self) -> &BTreeMap<Reason, Refusals> {
        &self.refusals
    }

    /// The state now; starts a new interval for rates and for the worst event.
    pub fn report(
        &mut self,
        now: Stamp,
        estimator: Option<&Estimator>,
        silent: Option<&str>,
        links: &[Link],
    ) -> Diagnostics {
        let interval = self.last_report.map(|last| now.seconds_since(last)).filter(|seconds| *seconds > 0.0);
        let (level, message) = match silent {
            Some(phase) => (Level::Warn, format!("{phase}: nothing is localized until the node is active")),
            None => self.state(estimator),
        };
        let mut values = vec![("poses".to_owned(), self.poses.to_string())];
        if let Some(estimator) = estimator {
            values.push(("state".to_owned(), estimator.state().name().to_owned()));
        }
        if let Some((stamp, (position, rotation))) = self.last_pose {
            values.push(("pose/age_s".to_owned(), format!("{:.3}", now.seconds_since(stamp))));
            values.push(("pose/position_sigma_m".to_owned(), format!("{position:.3}")));
            values.push(("pose/rotation_sigma_deg".to_owned(), format!("{:.2}", rotation.to_degrees())));
        }
        values.push(("network_answers".to_owned(), self.answers.to_string()));
        values.push(("transforms".to_owned(), self.transforms.to_string()));
        values.push(("clock_jumps".to_owned(), self.clock_jumps.to_string()));
        for input in Input::ALL {
            let arrivals = self.inputs.entry(input).or_default();
            values.push((format!("{}/count", input.name()), arrivals.count.to_string()));
            let rate = interval.map_or("unknown".into(), |s| format!("{:.1}", arrivals.since_report as f64 / s));
            values.push((format!("{}/rate_hz", input.name()), rate));
            let age = arrivals.last.map_or("none came".into(), |last| format!("{:.3}", now.seconds_since(last)));
            values.push((format!("{}/age_s", input.name()), age));
            arrivals.since_report = 0;
            if let Some(link) = links.iter().find(|link| link.input == input) {
                values.push((format!("{}/topic", input.name()), link.topic.clone()));
                values.push((format!("{}/qos", input.name()), link.requested.to_string()));
                values.push((format!("{}/publishers", input.name()), link.publishers.to_string()));
            }
        }
        for (reason, refusals) in &self.refusals {
            values.push((format!("refused/{}", reason.name()), refusals.count.to_string()));
            if !refusals.last.is_empty() {
                values.push((format!("refused/{}/last", reason.name()), refusals.last.clone()));
            }
        }
        for (rejection, count) in estimator.iter().flat_map(|estimator| estimator.rejections().iter()) {
            values.push((format!("estimator/rejected/{}", rejection.name()), count.to_string()));
        }
        for (name, share) in [("inference/p50_ms", 0.5), ("inference/p99_ms", 0.99)] {
            if let Some(seconds) = self.percentile(share) {
                values.push((name.to_owned(), format!("{:.1}", 1e3 * seconds)));
            }
        }
        self.worst_since_report = None;
        self.poses_since_report = 0;
        self.last_report = Some(now);
        Diagnostics { stamp: now, level, message, values }
    }

    fn state(&mut self, estimator: Option<&Estimator>) -> (Level, String) {
        let images = self.inputs.entry(Input::Image).or_default().since_report;
        match &self.worst_since_report {
            Some((level, text)) => (*level, text.clone()),
            None if images == 0 => (Level::Stale, "no image came".into()),
            None if self.poses_since_report == 0 => {
                let state = estimator.map_or("yet".into(), |estimator| format!("yet: {}", estimator.state().name()));
                (Level::Warn, format!("images came, no pose {state}"))
            }
            None => (Level::Ok, "localizing".into()),
        }
    }

    /// The time of work that a share of the last images stayed below, seconds.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.seconds.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let index = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }
}
