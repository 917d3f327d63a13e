//! Absolute poses, relative poses, odometry and IMU become one pose of the robot with a covariance, or nothing.
//!
//! Synchronous and deterministic: no clock, no threads, no messages. Measurements come in any order and late; each goes
//! to its own stamp. The way of a fix through [`Estimator::add_absolute`]: it is refused when it is no pose, from the
//! future or older than the window; it waits for others to agree with while there is no estimate; it is gated when it
//! contradicts the estimate, and joins those that may show a kidnap; else it becomes a factor of its keyframe.
//! [`Estimator::step`] then optimizes the window and answers, and [`Estimator::predict`] carries the answer ahead of the
//! camera. Works with any subset: fixes alone, with odometry, with relative poses, with an IMU.
//!
//! The errors of a network's successive fixes are alike: they are discounted as samples of a Gauss-Markov process (see
//! [`news`]), or the covariance would be a lie. Where nothing measured the motion between them there is nothing to
//! average, and the newest says nearly all: it is joined with the estimate as two answers that err alike.

use crate::config::{EstimatorConfig, USUAL_CORRELATION_TIME};
use crate::geometry::{PoseCovariance, Se3};
use crate::sensor::{AbsolutePose, ImuSample, RelativePose};
use crate::{Result, Stamp};

pub mod calibration;
mod consensus;
mod correction;
mod efficiency;
mod fixes;
mod gravity;
mod judgement;
mod mapnet_pgo;
mod motion;
mod odometry;
mod prediction;
mod rejection;
mod smoothing;
mod sources;
mod state;
mod window;

pub use consensus::news;
pub use correction::{Correction, CorrectionLimit};
pub use mapnet_pgo::{MapNetPgo, PgoAnswer, PgoFrame, PgoLinks};
pub use motion::{Motion, OdometryNoise};
pub use prediction::Prediction;
pub use rejection::{Rejection, Rejections};
pub use smoothing::{SmoothedPose, SmoothedRun};
pub use sources::Mounting;
pub use state::{Cause, State, Transition};

use consensus::{Agreement, Consensus};
use smoothing::History;
use sources::{Relative, Sources};
use window::{Head, Window};

/// A fix this far ahead of everything else comes from another clock, seconds.
const FUTURE: f64 = 0.5;

/// What became of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is part of the estimate.
    Accepted,
    /// It waits for others to agree with.
    Waiting,
    /// It contradicts the estimate.
    Gated {
        /// Its Mahalanobis distance.
        mahalanobis: f64,
    },
    /// It is not used.
    Rejected(Rejection),
}

/// Where the robot was.
#[derive(Clone, Debug, PartialEq)]
pub struct PoseEstimate {
    /// The stamp of the newest keyframe.
    pub stamp: Stamp,
    /// Pose of the robot's base in the map.
    pub map_from_base: Se3,
    /// Covariance of its right perturbation.
    pub covariance: PoseCovariance,
    /// Tracking, or Converging: fixes agreed, and the covariance is still large or others contradict them.
    pub state: State,
    /// How often the estimate was started anew: a change means that the pose may have jumped.
    pub start: u64,
}

/// The estimator. See the module's text.
#[derive(Debug)]
pub struct Estimator {
    config: EstimatorConfig,
    /// Whether the configuration leaves the correlation time to the source of the fixes.
    takes_measured_time: bool,
    mounting: Option<Mounting>,
    sources: Sources,
    consensus: Consensus,
    window: Option<Window>,
    /// The windows that ended, if they are kept.
    history: Option<History>,
    head: Option<Head>,
    state: State,
    starts: u64,
    transitions: Vec<Transition>,
    rejections: Rejections,
    newest_fix: Option<Stamp>,
    /// The fix before was refused as one from the future: two in a row mean that time went on.
    was_ahead: bool,
    /// Gated fixes that agree with each other, since the last one that was used.
    contradicting: usize,
}

impl Estimator {
    /// An estimator that knows nothing.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a parameter out of range.
    pub fn new(config: EstimatorConfig) -> Result<Self> {
        config.check()?;
        let correlation_time = config.correlation_time_for(None);
        Ok(Self {
            takes_measured_time: config.correlation_time < 0.0,
            sources: Sources::new(&config),
            config: EstimatorConfig { correlation_time, ..config },
            mounting: None,
            consensus: Consensus::default(),
            window: None,
            history: None,
            head: None,
            state: State::Uninitialized,
            starts: 0,
            transitions: Vec::new(),
            rejections: Rejections::default(),
            newest_fix: None,
            was_ahead: false,
            contradicting: 0,
        })
    }

    /// Says where the sensors sit, from now on: a camera that moves on the robot has another mounting for each pose.
    pub fn set_mounting(&mut self, mounting: Mounting) {
        self.mounting = Some(mounting);
    }

    /// Says over which time the errors of the fixes are alike, seconds, as was measured of their source: it counts where the
    /// configuration leaves it open.
    pub fn set_measured_correlation_time(&mut self, measured: Option<f64>) {
        if self.takes_measured_time {
            self.config.correlation_time = measured.unwrap_or(USUAL_CORRELATION_TIME);
        }
    }

    /// How far the estimate can be trusted.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was not used, by reason.
    pub fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// The changes of state since the last call.
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// Whether odometry and IMU, where they come at all, reach up to `stamp`: a fix before is best held back.
    pub fn is_covered(&self, stamp: Stamp) -> bool {
        let behind =
            |newest: Option<Stamp>| newest.is_some_and(|newest| newest < stamp && stamp.seconds_since(newest) < FUTURE);
        !behind(self.sources.odometry.newest()) && !behind(self.sources.imu.newest())
    }

    /// Takes a reading of the IMU.
    pub fn add_imu(&mut self, sample: ImuSample) -> Verdict {
        use crate::imu::ImuRefusal;
        match self.sources.imu.push(sample) {
            Ok(()) => Verdict::Accepted,
            Err(ImuRefusal::NotFinite { .. }) => self.reject(Rejection::NotFinite),
            Err(ImuRefusal::Duplicate { .. }) => self.reject(Rejection::Duplicate),
            Err(ImuRefusal::TooOld { .. }) => self.reject(Rejection::TooOld),
        }
    }

    /// Takes where the odometry says that the base is.
    pub fn add_odometry(&mut self, stamp: Stamp, odom_from_base: Se3) -> Verdict {
        match self.sources.odometry.add(stamp, odom_from_base) {
            Ok(()) => Verdict::Accepted,
            Err(rejection) => self.reject(rejection),
        }
    }

    /// Takes how the camera moved. Its two stamps become keyframes once there is an estimate.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when the graph cannot go on; the estimate is then lost.
    pub fn add_relative(&mut self, relative: &RelativePose) -> Result<Verdict> {
        let Some(mounting) = self.mounting else { return Ok(self.reject(Rejection::NotMounted)) };
        let Ok(covariance) = PoseCovariance::new(&relative.covariance) else {
            return Ok(self.reject(Rejection::NotFinite));
        };
        if !relative.previous_from_current.is_finite() {
            return Ok(self.reject(Rejection::NotFinite));
        }
        let camera = Motion { earlier_from_later: relative.previous_from_current, covariance };
        let motion = camera.of_fixed_body(mounting.base_from_camera.inverse());
        let (earlier, later) = (relative.previous_stamp, relative.stamp);
        if let Err(rejection) = self.sources.add_relative(Relative { earlier, later, motion }) {
            return Ok(self.reject(rejection));
        }
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let stood = window.has_keyframe(later);
        let done = match window.keyframe(later, &self.sources, &self.config) {
            Ok(Ok(())) if stood => window.attach_relatives(later, &self.sources, &self.config).map(Ok),
            done => done,
        };
        match self.guarded(later, done)? {
            Ok(()) => Ok(Verdict::Accepted),
            Err(rejection) => Ok(self.reject(rejection)),
        }
    }

    /// Takes where the camera was.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when the graph cannot go on; the estimate is then lost.
    pub fn add_absolute(&mut self, pose: &AbsolutePose) -> Result<Verdict> {
        let fix = match self.fix_of(pose) {
            Ok(fix) => fix,
            Err(rejection) => return Ok(self.reject(rejection)),
        };
        if self.is_from_the_future(fix.stamp) {
            return Ok(self.reject(Rejection::FromTheFuture));
        }
        self.newest_fix = self.newest_fix.max(Some(fix.stamp));
        if self.state == State::Uninitialized {
            self.enter(fix.stamp, State::Converging, Cause::FirstFix);
        }
        if self.window.is_none() { self.seek(fix) } else { self.compare(fix) }
    }

    /// Optimizes and judges. `None`: there is nothing honest to publish.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when the graph cannot go on; the estimate is then lost.
    pub fn step(&mut self) -> Result<Option<PoseEstimate>> {
        let Some(window) = &mut self.window else { return Ok(None) };
        let (_, newest) = window.span();
        let solved = window.update(&self.config).and_then(|()| window.head());
        self.head = Some(self.guarded(newest, solved)?);
        let prediction = self.guarded_prediction(newest)?;
        let Some(prediction) = prediction else { return Ok(None) };
        self.judge(newest, &prediction.covariance);
        Ok(self.window.as_ref().map(|_| PoseEstimate {
            stamp: newest,
            map_from_base: prediction.map_from_base,
            covariance: prediction.covariance,
            state: self.state,
            start: self.starts,
        }))
    }

    /// The estimate carried ahead to the newest sample of IMU or odometry; `None` without an estimate.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when a number is not finite.
    pub fn predict(&self) -> Result<Option<Prediction>> {
        let (Some(head), Some(window)) = (&self.head, &self.window) else { return Ok(None) };
        prediction::ahead(head, window, &self.sources, &self.config).map(Some)
    }

    /// Where the base is expected to be at a stamp, while the robot is tracked; `None` for a stamp that is not after the estimate.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when a number is not finite.
    pub fn expect(&self, stamp: Stamp) -> Result<Option<Prediction>> {
        let (State::Tracking, Some(head), Some(window)) = (self.state, &self.head, &self.window) else {
            return Ok(None);
        };
        let expected = (stamp > head.stamp).then(|| prediction::at(stamp, head, window, &self.sources, &self.config));
        expected.transpose()
    }

    /// Time passed without a fix: the estimate is lost once its uncertainty says so.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when a number is not finite.
    pub fn pass_time(&mut self, now: Stamp) -> Result<()> {
        let (Some(head), Some(window)) = (&self.head, &self.window) else { return Ok(()) };
        let predicted = prediction::at(now, head, window, &self.sources, &self.config)?;
        self.judge(now, &predicted.covariance);
        Ok(())
    }

    /// Forgets the estimate and looks for the robot anew, with all that was measured so far.
    pub fn relocalize(&mut self) {
        self.restart(self.newest(), State::Uninitialized, Cause::Asked);
    }

    /// Starts anew at a pose of the base in the map that somebody gave, true at `stamp`, with the covariance of its right
    /// perturbation (translation in metres, then rotation in radians). It is worth no fix: those that come gate
    /// against it, correct it, and replace it where they contradict it and agree.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] when the covariance is numerically singular.
    pub fn start_at(&mut self, stamp: Stamp, map_from_base: Se3, covariance: &PoseCovariance) -> Result<()> {
        let given = Agreement { stamp, map_from_base, covariance: *covariance, fixes: 0, evidence: 0.0 };
        self.start(&given, stamp, Cause::Given)
    }

    /// The clock jumped back: forgets everything but the mounting.
    pub fn clock_jumped(&mut self, now: Stamp) {
        self.restart(now, State::Uninitialized, Cause::ClockJumped);
        self.forget();
    }

    /// Forgets everything but the mounting, because somebody asked.
    pub fn start_anew(&mut self) {
        self.relocalize();
        self.forget();
    }

    fn forget(&mut self) {
        self.sources.clear();
        self.newest_fix = None;
    }

    fn newest(&self) -> Stamp {
        self.newest_fix.max(self.sources.newest()).unwrap_or_default()
    }

    fn reject(&mut self, rejection: Rejection) -> Verdict {
        self.rejections.count(rejection);
        Verdict::Rejected(rejection)
    }
}
