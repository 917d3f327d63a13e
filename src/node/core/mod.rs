//! The node without threads, sockets and clocks: messages and answers in, messages out, time as an argument.
//!
//! Live and replayed runs share it, so what a replay shows is what a robot gets. Read it in the order of the data:
//! [`Core::receive`] turns an image into a [`Job`], a [`Worker`](super::Worker) turns the job into an [`Answer`], and
//! [`Core::finish`] gives the answer to the [`Estimator`] and publishes what that makes of it, `pose` and `map -> odom`.
//! A fix whose transforms, odometry or IMU samples are not there yet waits for them, at most `transform_timeout`. IMU
//! and odometry carry the pose on between the images (`odometry`). [`Core::tick`] repeats the last transform and
//! reports.

mod epoch;
mod fix;
mod motion;

use std::time::Duration;

use super::broadcast::{Broadcast, tick_period};
use super::health::{Health, Reason, Situation};
use super::intake::Intake;
use super::lifecycle::Phase;
use super::localizer::{Answer, Job};
use super::mounting::Mountings;
use super::path::PathHistory;
use crate::config::{Config, InitialPose, seconds};
use crate::estimator::Estimator;
use crate::geometry::{PoseCovariance, Se3, So3, TransformTree};
use crate::middleware::{Incoming, Input, Link, Outgoing, Picture, StampedPose, messages};
use crate::msg::read_calibration;
use crate::sensor::{CameraModel, PosePrior};
use crate::{Error, Result, Stamp};
use fix::Fix;

/// Fixes that wait for transforms, odometry or IMU at the same time.
const MOST_WAITING: usize = 256;

/// The node's state and rules. See the module's text.
pub struct Core {
    config: Config,
    /// Unless it is active, nothing is localized or published.
    phase: Phase,
    intake: Intake,
    mountings: Mountings,
    transforms: TransformTree,
    estimator: Estimator,
    /// Of the answers of the network in use.
    measured_correlation_time: Option<f64>,
    broadcast: Broadcast,
    waiting: Vec<Fix>,
    /// Where somebody said that the robot is; the next image starts the estimate there.
    initial_pose: Option<StampedPose>,
    /// Which start of the estimate the last published pose belongs to, and its stamp.
    published: Option<(u64, Stamp)>,
    published_odometry: Option<Stamp>,
    newest_time: Option<Stamp>,
    next_report: Option<Stamp>,
    last_tick: Option<Stamp>,
    /// Ticks in a row at which time had not gone on.
    standing_ticks: u32,
    path: PathHistory,
    last_pose: Option<StampedPose>,
    health: Health,
    outgoing: Vec<Outgoing>,
}

impl Core {
    /// A core that waits for a network.
    ///
    /// # Errors
    /// [`Error::Config`] when a mounting is no rigid transform or a parameter of the estimator is out of its range; what is
    /// wrong with the calibration file.
    pub fn new(config: Config) -> Result<Self> {
        let mut intake = Intake::new(config.min_image_contrast);
        if !config.camera_info_file.as_os_str().is_empty() {
            let calibration = read_calibration(&config.camera_info_file)?;
            intake.calibrate(messages::camera(&calibration, config.rectified_images)?)?;
        }
        Ok(Self {
            phase: Phase::Active,
            intake,
            mountings: Mountings::new(&config)?,
            transforms: TransformTree::new(seconds(config.tf_buffer_duration)),
            estimator: Estimator::new(config.estimator.clone())?,
            measured_correlation_time: None,
            broadcast: Broadcast::new(&config),
            initial_pose: config.set_initial_pose.then(|| configured_pose(&config)).transpose()?,
            path: PathHistory::new(config.path_length),
            config,
            waiting: Vec::new(),
            published: None,
            published_odometry: None,
            newest_time: None,
            next_report: None,
            last_tick: None,
            standing_ticks: 0,
            last_pose: None,
            health: Health::default(),
            outgoing: Vec::new(),
        })
    }

    /// Takes another network, that sees through `camera`: its map may be another, so everything starts anew.
    ///
    /// # Errors
    /// When its camera cannot be had from that of the images.
    pub fn set_network_camera(&mut self, camera: CameraModel) -> Result<()> {
        self.intake.set_network_camera(camera)?;
        self.start_anew();
        self.health.network_changed();
        Ok(())
    }

    /// Localizes in the active phase and is silent in every other. Transforms and calibrations are taken in either case;
    /// nothing else is.
    pub fn set_phase(&mut self, phase: Phase) {
        if self.is_active() && phase != Phase::Active {
            self.start_anew();
        }
        if phase != self.phase {
            self.health.phase_changed();
        }
        self.phase = phase;
    }

    /// Where the network computes, for diagnostics.
    pub fn runs_on(&mut self, device: String) {
        self.health.runs_on(device);
    }

    /// Asks `resident` how many bytes the process holds, for diagnostics. Without it they do not tell: a replay has the same
    /// bytes on every run.
    pub fn watch_memory(&mut self, resident: fn() -> Option<u64>) {
        self.health.watch_memory(resident);
    }

    /// Over which time the errors of the network's answers are alike, seconds, where that was measured.
    pub fn set_measured_correlation_time(&mut self, measured: Option<f64>) {
        self.measured_correlation_time = measured;
        self.estimator.set_measured_correlation_time(measured);
    }

    /// A model that was asked for is not in use, for diagnostics.
    pub fn model_refused(&mut self, reason: String) {
        self.health.model_refused(reason);
    }

    /// Lives by other parameters from now on. Where they are the estimator's, the estimate starts anew.
    ///
    /// # Errors
    /// As [`Core::new`]; then the old ones stay.
    pub fn reconfigure(&mut self, config: Config) -> Result<()> {
        let mountings = Mountings::new(&config)?;
        if config.estimator != self.config.estimator || config.use_estimator != self.config.use_estimator {
            self.estimator = Estimator::new(config.estimator.clone())?;
            self.estimator.set_measured_correlation_time(self.measured_correlation_time);
            self.start_anew();
        }
        let given = (config.set_initial_pose, config.initial_pose);
        if config.set_initial_pose && given != (self.config.set_initial_pose, self.config.initial_pose) {
            self.initial_pose = Some(configured_pose(&config)?);
        }
        self.mountings = mountings;
        self.broadcast.reconfigure(&config);
        self.transforms.set_history(seconds(config.tf_buffer_duration));
        self.intake.set_min_contrast(config.min_image_contrast);
        self.path.set_length(config.path_length);
        self.config = config;
        Ok(())
    }

    /// The robot may be anywhere: it is looked for as at the start.
    pub fn relocalize(&mut self) {
        self.initial_pose = None;
        self.estimator.relocalize();
        self.note_transitions();
    }

    /// Everything measured so far is forgotten; only transforms and calibrations stay.
    pub fn start_anew(&mut self) {
        self.estimator.start_anew();
        self.forget();
    }

    /// The estimate starts here with the next image.
    pub fn start_at(&mut self, pose: StampedPose) {
        self.initial_pose = Some(pose);
    }

    /// The pose that was published last.
    pub fn last_pose(&self) -> Option<&StampedPose> {
        self.last_pose.as_ref()
    }

    /// The counters.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The estimator: to have it keep its history, and to ask for the trajectory in hindsight.
    pub fn estimator(&mut self) -> &mut Estimator {
        &mut self.estimator
    }

    /// What is to be sent, in order.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// Takes a message that came at `now`; an image that can be localized becomes a job for the network.
    pub fn receive(&mut self, incoming: Incoming, now: Stamp) -> Option<Job> {
        self.watch_clock(now);
        match incoming {
            Incoming::Image(picture) => {
                self.health.arrived(Input::Image, now, Some(picture.stamp()));
                if !self.is_active() {
                    return None;
                }
                let admitted = self.admit(picture).inspect(|_| self.health.admitted(now));
                return admitted.map_err(|(reason, error)| self.health.refused(reason, &error)).ok();
            }
            Incoming::CameraInfo(camera) => {
                self.health.arrived(Input::CameraInfo, now, None);
                if let Err(error) = self.intake.calibrate(camera) {
                    self.health.refused(Reason::CameraInfoRefused, &error);
                }
            }
            Incoming::Transforms { transforms, is_static } => {
                self.health.arrived(Input::Transforms, now, None);
                for transform in transforms {
                    self.insert(&transform, is_static);
                }
                self.note_odometry(now);
                self.settle(now);
            }
            Incoming::Imu { sample, frame_id } => {
                self.health.arrived(Input::Imu, now, Some(sample.stamp));
                if self.is_active() {
                    self.sense(sample, &frame_id);
                }
                self.settle(now);
            }
            Incoming::Odometry(transform) => {
                self.health.arrived(Input::Odometry, now, Some(transform.stamp));
                self.insert(&transform, false);
                self.note_odometry(now);
                self.settle(now);
            }
            Incoming::InitialPose(pose) => {
                self.health.arrived(Input::InitialPose, now, None);
                match self.startable(&pose) {
                    Ok(()) => self.initial_pose = Some(*pose),
                    Err(error) => self.health.refused(Reason::InitialPoseRefused, &error),
                }
            }
            Incoming::Refused { input, error } => {
                self.health.arrived(input, now, None);
                let reason = match input {
                    Input::Image => Reason::ImageUndecodable,
                    Input::CameraInfo => Reason::CameraInfoRefused,
                    Input::Transforms => Reason::TransformRefused,
                    Input::Imu => Reason::ImuRefused,
                    Input::Odometry => Reason::OdometryRefused,
                    Input::InitialPose => Reason::InitialPoseRefused,
                };
                self.health.refused(reason, &error);
            }
            Incoming::Call(_) => {
                let error = Error::middleware("a service call", "nothing here answers it");
                self.health.refused(Reason::CallRefused, &error);
            }
        }
        None
    }

    /// Takes what the network made of a job, at `now`.
    pub fn finish(&mut self, answer: Answer, now: Stamp) {
        self.health.worked();
        let deadline = now + seconds(self.config.transform_timeout);
        let (frame_id, seconds) = (answer.frame_id, answer.seconds);
        let fix = match answer.result {
            Ok(_) if answer.epoch != self.intake.epoch() => {
                let error = Error::message("image", "an image of this run of the clock", "one of the run before");
                return self.health.refused(Reason::ClockJumped, &error);
            }
            Ok(localization) => Fix::new(localization, frame_id, seconds, deadline),
            Err((reason, error)) => {
                self.health.refused(reason, &error);
                match answer.motion.filter(|_| self.config.use_estimator && answer.epoch == self.intake.epoch()) {
                    Some(motion) => Fix::of_motion(motion, frame_id, deadline),
                    None => return,
                }
            }
        };
        self.waiting.push(fix);
        // A clock that stands still would have them wait for ever.
        let surplus = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting[..surplus].iter_mut().for_each(|fix| fix.deadline = Stamp::from_nanos(i64::MIN));
        self.settle(now);
    }

    /// A newer image took this one's place before the network was free.
    pub fn replaced(&mut self, _job: Job) {
        self.health.replaced();
    }

    /// Something went wrong around the core.
    pub fn refused(&mut self, reason: Reason, error: &Error) {
        self.health.refused(reason, error);
    }

    /// A message could not be sent.
    pub fn not_sent(&mut self, error: &Error) {
        self.health.refused(Reason::SendFailed, error);
    }

    /// Time passes: overdue fixes are given up, the last transform is repeated, diagnostics go out.
    ///
    /// `links` tells how the inputs are connected, where that is known.
    pub fn tick(&mut self, now: Stamp, links: Vec<Link>) {
        self.watch_clock(now);
        self.settle(now);
        if let Err(error) = self.estimator.pass_time(now) {
            self.health.refused(Reason::EstimatorFailed, &error);
        }
        if let Some(transform) = self.broadcast.repeat(now) {
            self.send_transform(transform);
        }
        let time_stands = self.time_stands(now);
        if now >= *self.next_report.get_or_insert(now) || time_stands {
            self.next_report = Some(now + seconds(self.config.diagnostics_period));
            self.report(now, time_stands, &links);
        }
    }

    fn report(&mut self, now: Stamp, time_stands: bool, links: &[Link]) {
        self.note_transitions();
        let (odom, base) = (&self.config.odom_frame_id, &self.config.base_frame_id);
        let situation = Situation {
            now,
            config: &self.config,
            phase: self.phase,
            is_calibrated: self.intake.is_calibrated(),
            has_odometry: self.transforms.newest_common(odom, base).is_ok(),
            estimator: self.config.use_estimator.then_some(&self.estimator),
            time_stands,
            links,
        };
        let report = self.health.report(&situation);
        self.outgoing.push(Outgoing::Diagnostics(report));
    }

    /// The time between two calls of [`Core::tick`].
    pub fn tick_period(&self) -> Duration {
        seconds(tick_period(1.0 / self.config.tf_publish_rate))
    }

    /// Nothing will come any more: what still waits is given up.
    pub fn end(&mut self) {
        for fix in &mut self.waiting {
            fix.deadline = Stamp::from_nanos(i64::MIN);
        }
        self.settle(self.newest_time.unwrap_or_default());
    }

    fn admit(&mut self, picture: Picture) -> Result<Job, (Reason, Error)> {
        if self.intake.seconds_behind(picture.stamp()) > self.config.clock_jump_threshold {
            self.transforms.clear();
            self.start_epoch();
        }
        let mut job = self.intake.admit(picture)?;
        job.prior = self.prior(job.picture.frame_id(), job.picture.stamp());
        Ok(job)
    }

    /// Where the camera of an image is expected, while the robot is tracked and where the camera's mounting is known by now.
    fn prior(&self, frame_id: &str, stamp: Stamp) -> Option<PosePrior> {
        if !(self.config.use_estimator && self.config.use_pose_prior) {
            return None;
        }
        let expected = self.estimator.expect(stamp).ok()??;
        let base_from_camera = self.mountings.camera(&self.transforms, frame_id, stamp).ok()?;
        Some(PosePrior::new(expected.map_from_base * base_from_camera))
    }

    /// Whether an estimate can start at a given pose.
    fn startable(&self, pose: &StampedPose) -> Result<()> {
        if pose.frame_id.trim_start_matches('/') != self.config.global_frame_id {
            let expected = format!("a pose in {}", self.config.global_frame_id);
            return Err(Error::message("initial pose", expected, format!("one in {:?}", pose.frame_id)));
        }
        if !self.config.use_estimator {
            let found = "use_estimator: false, which makes each pose from its image alone";
            return Err(Error::message("initial pose", "an estimator to start", found));
        }
        Ok(())
    }

    fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    fn note_transitions(&mut self) {
        for transition in self.estimator.take_transitions() {
            let (from, to) = (transition.from.name(), transition.to.name());
            tracing::info!("{from} -> {to} at {}: {}", transition.stamp, transition.cause);
            self.health.changed_state(&transition);
        }
    }
}

/// The parameters' pose, as unsure as `nav2_amcl`'s.
fn configured_pose(config: &Config) -> Result<StampedPose> {
    let InitialPose { x, y, z, yaw } = config.initial_pose;
    Ok(StampedPose {
        stamp: Stamp::default(),
        frame_id: config.global_frame_id.clone(),
        map_from_base: Se3::new(So3::exp(&[0.0, 0.0, yaw].into()), [x, y, z].into()),
        covariance: PoseCovariance::from_sigmas(0.5, 0.26)?,
    })
}
