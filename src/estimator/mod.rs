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
//! [`news`]), or the covariance would be a lie.

use nalgebra::Vector3;

use crate::config::EstimatorConfig;
use crate::geometry::{PoseCovariance, Se3};
use crate::imu::{ImuBias, ImuNoise};
use crate::sensor::{AbsolutePose, ImuSample, RelativePose};
use crate::{Result, Stamp};

pub mod calibration;
mod consensus;
mod correction;
mod efficiency;
mod gravity;
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

use consensus::{Agreement, Consensus, Fix};
use gravity::{GravityCheck, check_gravity};
use smoothing::History;
use sources::{Relative, Sources};
use window::{Head, ImuModel, Window};

/// Fixes agree when their squared Mahalanobis distance is within this: chi-square, six degrees of freedom, 99 %.
const AGREEMENT: f64 = 16.81;
/// A fix this far ahead of everything else comes from another clock, seconds.
const FUTURE: f64 = 0.5;
/// Gated fixes that are kept to compare with.
const KEPT_GATED: usize = 400;
/// What Tracking needs, as a share of the limits (three standard deviations); and where it ends.
const TRACKING_SHARE: f64 = 1.0 / 3.0;
const CONVERGING_SHARE: f64 = 0.4;
/// IMU samples that tell the direction of gravity, seconds.
const GRAVITY_INTERVAL: f64 = 0.5;

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
        Ok(Self {
            sources: Sources::new(&config),
            config,
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

    /// The clock jumped back: forgets everything but the mounting.
    pub fn clock_jumped(&mut self, now: Stamp) {
        self.restart(now, State::Uninitialized, Cause::ClockJumped);
        self.sources.clear();
        self.newest_fix = None;
    }

    fn newest(&self) -> Stamp {
        self.newest_fix.max(self.sources.newest()).unwrap_or_default()
    }

    fn fix_of(&self, pose: &AbsolutePose) -> std::result::Result<Fix, Rejection> {
        let mounting = self.mounting.ok_or(Rejection::NotMounted)?;
        let covariance = PoseCovariance::new(&pose.covariance).map_err(|_| Rejection::NotFinite)?;
        if !pose.map_from_camera.is_finite() {
            return Err(Rejection::NotFinite);
        }
        let camera_from_base = mounting.base_from_camera.inverse();
        Ok(Fix {
            stamp: pose.stamp,
            map_from_base: pose.map_from_camera * camera_from_base,
            covariance: covariance.composed_with(camera_from_base),
        })
    }

    /// A stamp ahead of every other measurement is wrong once; twice in a row the others have ended.
    fn is_from_the_future(&mut self, stamp: Stamp) -> bool {
        let known = self.sources.newest().max(self.newest_fix);
        let ahead = self.sources.newest().is_some() && known.is_some_and(|known| stamp.seconds_since(known) > FUTURE);
        let refused = ahead && !self.was_ahead;
        self.was_ahead = refused;
        refused
    }

    /// Without an estimate: waits until enough fixes agree.
    fn seek(&mut self, fix: Fix) -> Result<Verdict> {
        let (stamp, kept) = (fix.stamp, self.config.consensus_window);
        self.consensus.add(fix, kept);
        let agreement = self.agreement()?;
        let Some(agreement) = agreement.filter(|agreement| agreement.fixes >= self.config.consensus_fixes) else {
            self.rejections.count(Rejection::NoConsensus);
            return Ok(Verdict::Waiting);
        };
        let cause = Cause::Consensus { fixes: agreement.fixes };
        self.start(&agreement, stamp, cause)?;
        Ok(Verdict::Accepted)
    }

    /// With an estimate: uses the fix, or gates it and asks whether the robot was moved.
    fn compare(&mut self, fix: Fix) -> Result<Verdict> {
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let stood = window.keyframe(fix.stamp, &self.sources, &self.config);
        if let Err(rejection) = self.guarded(fix.stamp, stood)? {
            return Ok(self.reject(rejection));
        }
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let predicted = window.predicted(fix.stamp);
        let (map_from_base, covariance) = self.guarded(fix.stamp, predicted)?;
        let square = fix.squared_distance(map_from_base, &covariance)?;
        if square > self.config.gate * self.config.gate {
            return self.gate(fix, map_from_base, square.sqrt());
        }
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let added = window.add_fix(&fix, &self.config);
        match self.guarded(fix.stamp, added)? {
            Ok(()) => {
                self.forget_waiting();
                Ok(Verdict::Accepted)
            }
            Err(rejection) => Ok(self.reject(rejection)),
        }
    }

    fn gate(&mut self, fix: Fix, estimate: Se3, mahalanobis: f64) -> Result<Verdict> {
        self.rejections.count(Rejection::Gated);
        let stamp = fix.stamp;
        let jump = estimate.local(fix.map_from_base);
        let sigmas = |start: usize| {
            let variance = fix.covariance.matrix().fixed_view::<3, 3>(start, start).trace() / 3.0;
            jump.fixed_rows::<3>(start).norm() / variance.sqrt()
        };
        let is_large = sigmas(0).max(sigmas(3)) > self.config.kidnap_distance;
        self.consensus.add(fix, KEPT_GATED);
        if let Some(agreement) = self.agreement()? {
            let young = self.window.as_ref().is_none_or(|window| window.evidence() < self.config.tracking_evidence);
            let enough = is_large || young || agreement.evidence >= self.config.kidnap_evidence;
            if enough && agreement.fixes >= self.config.kidnap_fixes {
                let cause = Cause::Kidnapped { fixes: agreement.fixes };
                self.start(&agreement, stamp, cause)?;
                return Ok(Verdict::Accepted);
            }
            self.contradicting = agreement.fixes;
            if self.state == State::Tracking && self.is_contradicted() {
                self.enter(stamp, State::Converging, Cause::Contradicted { fixes: agreement.fixes });
            }
        }
        Ok(Verdict::Gated { mahalanobis })
    }

    /// So many fixes contradict the estimate and agree with each other that it may be wrong.
    fn is_contradicted(&self) -> bool {
        self.contradicting >= self.config.kidnap_fixes
    }

    fn forget_waiting(&mut self) {
        self.consensus.clear();
        self.contradicting = 0;
    }

    fn agreement(&self) -> Result<Option<Agreement>> {
        let motion = |earlier, later| self.sources.motion(earlier, later);
        self.consensus.agreement(AGREEMENT, self.config.correlation_time, motion)
    }

    /// A new window where fixes agree.
    fn start(&mut self, agreement: &Agreement, stamp: Stamp, cause: Cause) -> Result<()> {
        let imu = self.imu_model(agreement);
        let window = Window::start(agreement, imu, &self.config, self.history.is_some())?;
        self.end_run(&cause);
        self.window = Some(window);
        self.starts += 1;
        self.forget_waiting();
        self.enter(stamp, State::Converging, cause);
        Ok(())
    }

    /// The IMU's part in a new window; `None` when it does not come or gravity contradicts it.
    fn imu_model(&mut self, agreement: &Agreement) -> Option<ImuModel> {
        let base_from_imu = self.mounting?.base_from_imu?;
        let gravity_in_map = Vector3::from(self.config.gravity_in_map);
        let newest = self.sources.imu.newest()?;
        if agreement.stamp.seconds_since(newest) > FUTURE {
            return None;
        }
        let map_from_imu = agreement.map_from_base * base_from_imu;
        let recent: Vec<ImuSample> = {
            let since = newest - crate::config::seconds(GRAVITY_INTERVAL);
            self.sources.imu.samples().filter(|sample| sample.stamp >= since).copied().collect()
        };
        let bias = match check_gravity(&recent, map_from_imu.rotation, gravity_in_map) {
            GravityCheck::Agrees { bias } => bias,
            GravityCheck::Unknown => ImuBias::zero(),
            GravityCheck::Contradicts { tilt, force } => {
                let degrees = tilt.to_degrees();
                tracing::warn!(
                    "the IMU is not used: expected gravity_in_map, found {force:.2} m/s², {degrees:.0} degrees from up; \
                     check the IMU's mounting and units, and estimator.gravity_in_map"
                );
                self.rejections.count(Rejection::Gravity);
                return None;
            }
        };
        let noise = ImuNoise {
            gyroscope_noise_density: self.config.gyroscope_noise_density,
            gyroscope_random_walk: self.config.gyroscope_random_walk,
            accelerometer_noise_density: self.config.accelerometer_noise_density,
            accelerometer_random_walk: self.config.accelerometer_random_walk,
        };
        Some(ImuModel { base_from_imu, noise, gravity_in_map, bias })
    }

    /// The head as a prediction over no time: pose and covariance of the base.
    fn guarded_prediction(&mut self, stamp: Stamp) -> Result<Option<Prediction>> {
        let (Some(head), Some(window)) = (&self.head, &self.window) else { return Ok(None) };
        let predicted = prediction::now(head, window, &self.config);
        self.guarded(stamp, predicted).map(Some)
    }

    /// Follows the uncertainty from state to state.
    fn judge(&mut self, stamp: Stamp, covariance: &PoseCovariance) {
        let worst = |start: usize| {
            let block: nalgebra::Matrix3<f64> = covariance.matrix().fixed_view::<3, 3>(start, start).into();
            block.symmetric_eigenvalues().max().max(0.0).sqrt()
        };
        let (position, rotation) = (worst(0), worst(3));
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
    fn guarded<T>(&mut self, stamp: Stamp, done: Result<T>) -> Result<T> {
        let refusals = self.window.as_mut().map(Window::take_refusals).unwrap_or_default();
        refusals.into_iter().for_each(|refusal| self.rejections.count(refusal));
        if let Err(error) = &done {
            self.restart(stamp, State::Lost, Cause::Solver(error.to_string()));
        }
        done
    }

    fn restart(&mut self, stamp: Stamp, state: State, cause: Cause) {
        self.end_run(&cause);
        self.forget_waiting();
        self.enter(stamp, state, cause);
    }

    /// Nothing that comes belongs to the present estimate.
    fn end_run(&mut self, cause: &Cause) {
        self.head = None;
        if let (Some(window), Some(history)) = (self.window.take(), &mut self.history) {
            history.add(self.starts, window, cause);
        }
    }

    fn enter(&mut self, stamp: Stamp, to: State, cause: Cause) {
        let from = std::mem::replace(&mut self.state, to);
        if from != to || matches!(cause, Cause::Kidnapped { .. }) {
            self.transitions.push(Transition { stamp, from, to, cause });
        }
    }

    fn reject(&mut self, rejection: Rejection) -> Verdict {
        self.rejections.count(rejection);
        Verdict::Rejected(rejection)
    }
}
