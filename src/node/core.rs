//! The node without threads, sockets and clocks: messages and answers in, messages out, time as an argument.
//!
//! Live and replayed runs share it, so what a replay shows is what a robot gets. Read it in the order of the data:
//! [`Core::receive`] turns an image into a [`Job`], a [`Worker`](super::Worker) turns the job into an [`Answer`], and
//! [`Core::finish`] gives the answer to the [`Estimator`] and publishes what that makes of it, `pose` and `map -> odom`.
//! A fix whose transforms, odometry or IMU samples are not there yet waits for them, at most `transform_timeout`. IMU
//! and odometry carry the pose on between the images (`odometry`). [`Core::tick`] repeats the last transform and
//! reports.

use std::time::Duration;

use super::broadcast::{Broadcast, tick_period};
use super::health::{Health, Reason, Situation};
use super::intake::Intake;
use super::lifecycle::Phase;
use super::localizer::{Answer, Job, Localization};
use super::mounting::Mountings;
use super::path::PathHistory;
use crate::config::{Config, InitialPose, seconds};
use crate::estimator::{Estimator, Mounting, PoseEstimate, State};
use crate::geometry::{Insertion, PoseCovariance, Se3, So3, TransformError, TransformTree};
use crate::middleware::{
    Incoming, Input, Link, Outgoing, Picture, StampedOdometry, StampedPose, StampedTransform, messages,
};
use crate::msg::read_calibration;
use crate::sensor::{CameraModel, ImuSample};
use crate::{Error, Result, Stamp};

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

/// A pose of the camera on its way to the robot's frames.
#[derive(Debug)]
struct Fix {
    localization: Localization,
    frame_id: String,
    seconds: Option<f64>,
    deadline: Stamp,
    /// Known once `absolute_pose` went out.
    base_from_camera: Option<Se3>,
    /// Known once the estimator answered.
    estimate: Option<PoseEstimate>,
}

/// What an attempt on a [`Fix`] came to.
enum Progress {
    Done,
    /// A transform at the image's stamp has not arrived.
    Waits,
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

    fn forget(&mut self) {
        self.intake.start_epoch();
        self.waiting.clear();
        self.broadcast.clear();
        self.path.clear();
        self.published = None;
        self.published_odometry = None;
        self.last_pose = None;
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
        let localization = match answer.result {
            Ok(_) if answer.epoch != self.intake.epoch() => {
                let error = Error::message("image", "an image of this run of the clock", "one of the run before");
                return self.health.refused(Reason::ClockJumped, &error);
            }
            Ok(localization) => localization,
            Err((reason, error)) => return self.health.refused(reason, &error),
        };
        let deadline = now + seconds(self.config.transform_timeout);
        let (frame_id, seconds) = (answer.frame_id, answer.seconds);
        let fix = Fix { localization, frame_id, seconds, deadline, base_from_camera: None, estimate: None };
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

    /// A simulation's time that does not go on: a report would never be due, so ticks are counted.
    fn time_stands(&mut self, now: Stamp) -> bool {
        let stands = self.config.use_sim_time && self.last_tick == Some(now);
        self.standing_ticks = if stands { self.standing_ticks.saturating_add(1) } else { 0 };
        self.last_tick = Some(now);
        let stood = self.tick_period().as_secs_f64() * f64::from(self.standing_ticks);
        let is_due = stood >= self.config.diagnostics_period.max(1.0);
        if is_due {
            self.standing_ticks = 0;
        }
        is_due
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
        self.intake.admit(picture)
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

    fn insert(&mut self, transform: &StampedTransform, is_static: bool) {
        let StampedTransform { stamp, parent, child, parent_from_child } = transform;
        if self.broadcast.is_own(child) && !is_static {
            return;
        }
        match self.transforms.insert(parent, child, *stamp, *parent_from_child, is_static) {
            Ok(Insertion::Added) => {}
            Ok(Insertion::ClearedAndAdded) => self.start_epoch(),
            Err(error) => return self.health.refused(Reason::TransformRefused, &error.into()),
        }
        let bare = |name: &str| name.trim_start_matches('/').to_owned();
        if self.is_active()
            && self.config.use_estimator
            && self.config.use_odometry
            && bare(parent) == self.config.odom_frame_id
            && bare(child) == self.config.base_frame_id
        {
            self.estimator.add_odometry(*stamp, *parent_from_child);
            self.publish_odometry();
        }
    }

    fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// When the odometry is known up to now, by whatever transforms it comes.
    fn note_odometry(&mut self, now: Stamp) {
        if let Ok(Some(stamp)) = self.transforms.newest_common(&self.config.odom_frame_id, &self.config.base_frame_id) {
            self.health.odometry_came(now, stamp);
        }
    }

    /// Takes a reading of the IMU; its mounting is looked up until it is known.
    fn sense(&mut self, sample: ImuSample, frame_id: &str) {
        if !self.config.use_estimator {
            return;
        }
        if let Err(error) = self.mountings.find_imu(&self.transforms, frame_id, sample.stamp) {
            return self.health.refused(Reason::NoImuExtrinsics, &error.into());
        }
        self.estimator.add_imu(sample);
        self.publish_odometry();
    }

    /// Where the robot is ahead of the camera, each time that something measured its motion.
    fn publish_odometry(&mut self) {
        match self.estimator.predict() {
            Ok(Some(prediction)) if Some(prediction.stamp) > self.published_odometry => {
                self.published_odometry = Some(prediction.stamp);
                self.outgoing.push(Outgoing::Odometry(Box::new(StampedOdometry {
                    stamp: prediction.stamp,
                    frame_id: self.config.global_frame_id.clone(),
                    child_frame_id: self.config.base_frame_id.clone(),
                    map_from_base: prediction.map_from_base,
                    covariance: prediction.covariance,
                    twist: prediction.twist,
                    twist_covariance: prediction.twist_covariance,
                })));
            }
            Ok(_) => {}
            Err(error) => self.health.refused(Reason::EstimatorFailed, &error),
        }
    }

    /// Carries every waiting fix as far as the transforms allow.
    fn settle(&mut self, now: Stamp) {
        for mut fix in std::mem::take(&mut self.waiting) {
            match self.advance(&mut fix, now) {
                Ok(Progress::Done) => {}
                Ok(Progress::Waits) => self.waiting.push(fix),
                Err((reason, error)) => self.health.refused(reason, &error),
            }
        }
    }

    /// From the camera's pose to the robot's (`absolute_pose`), to the estimate (`pose`), and to `map -> odom`.
    fn advance(&mut self, fix: &mut Fix, now: Stamp) -> Result<Progress, (Reason, Error)> {
        let Some(base_from_camera) = self.mount(fix, now)? else { return Ok(Progress::Waits) };
        let stamp = fix.localization.absolute.stamp;
        let estimate = match fix.estimate.take() {
            Some(estimate) => estimate,
            None if !self.config.use_estimator => self.pass_through(fix, base_from_camera)?,
            None if !self.estimator.is_covered(stamp) && now <= fix.deadline => return Ok(Progress::Waits),
            None => match self.estimate(fix, base_from_camera).map_err(|error| (Reason::EstimatorFailed, error))? {
                Some(estimate) => estimate,
                None => return Ok(Progress::Done),
            },
        };
        if self.config.tf_broadcast { self.transform(fix, estimate, now) } else { Ok(Progress::Done) }
    }

    /// Where the camera sat when it saw the image; publishes what the network alone says as soon as that is known.
    fn mount(&mut self, fix: &mut Fix, now: Stamp) -> Result<Option<Se3>, (Reason, Error)> {
        if fix.base_from_camera.is_some() {
            return Ok(fix.base_from_camera);
        }
        let stamp = fix.localization.absolute.stamp;
        let base_from_camera = match self.mountings.camera(&self.transforms, &fix.frame_id, stamp) {
            Err(TransformError::ExtrapolationIntoFuture { .. }) if now <= fix.deadline => return Ok(None),
            found => found.map_err(|error| {
                let camera = self.mountings.camera_frame(&fix.frame_id);
                let what = format!("mounting of \"{camera}\" on \"{}\"", self.config.base_frame_id);
                (Reason::NoExtrinsics, Error::message(what, "a path between them in TF", error.to_string()))
            })?,
        };
        fix.base_from_camera = Some(base_from_camera);
        self.health.answered(fix.seconds);
        let alone = self.robot_pose(fix, base_from_camera)?;
        self.health.fixed(&alone);
        self.outgoing.push(Outgoing::AbsolutePose(Box::new(alone)));
        Ok(fix.base_from_camera)
    }

    /// `map -> odom` from the estimate and the odometry at its stamp, or `map -> base_link` where there is none.
    fn transform(&mut self, fix: &mut Fix, estimate: PoseEstimate, now: Stamp) -> Result<Progress, (Reason, Error)> {
        if !self.config.use_odometry {
            let transform = self.broadcast.place(&estimate, now);
            self.send_transform(transform);
            return Ok(Progress::Done);
        }
        match self.transforms.lookup(&self.config.odom_frame_id, &self.config.base_frame_id, estimate.stamp) {
            Err(TransformError::ExtrapolationIntoFuture { .. }) if now <= fix.deadline => {
                fix.estimate = Some(estimate);
                Ok(Progress::Waits)
            }
            Err(error) => Err((Reason::NoOdometry, error.into())),
            Ok(odom_from_base) => {
                self.correct(&estimate, odom_from_base, now);
                Ok(Progress::Done)
            }
        }
    }

    /// Gives the network's answer to the estimator and publishes what that makes of it.
    fn estimate(&mut self, fix: &Fix, base_from_camera: Se3) -> Result<Option<PoseEstimate>> {
        self.estimator.set_mounting(Mounting { base_from_camera, base_from_imu: self.mountings.imu() });
        let stamp = fix.localization.absolute.stamp;
        if let Some(given) = self.initial_pose.take_if(|given| given.stamp <= stamp) {
            let since = if given.stamp == Stamp::default() { stamp } else { given.stamp };
            self.estimator.start_at(since, given.map_from_base, &given.covariance)?;
        }
        if let Some(relative) = &fix.localization.relative {
            self.estimator.add_relative(relative)?;
        }
        self.estimator.add_absolute(&fix.localization.absolute)?;
        let estimate = self.estimator.step()?;
        self.note_transitions();
        let Some(estimate) = estimate else { return Ok(None) };
        if self.published.is_some_and(|(_, stamp)| estimate.stamp <= stamp) {
            return Ok(None);
        }
        self.publish_pose(StampedPose {
            stamp: estimate.stamp,
            frame_id: self.config.global_frame_id.clone(),
            map_from_base: estimate.map_from_base,
            covariance: estimate.covariance,
        });
        let start = self.published.map_or(0, |(start, _)| start);
        self.published = Some((start, estimate.stamp));
        Ok(Some(estimate))
    }

    /// Moves `map -> odom` towards the estimate, at once after a kidnap.
    fn correct(&mut self, estimate: &PoseEstimate, odom_from_base: Se3, now: Stamp) {
        let is_another = self.published.is_none_or(|(start, _)| start != estimate.start);
        let jump = is_another || !self.config.use_estimator;
        self.published = Some((estimate.start, estimate.stamp));
        let transform = self.broadcast.correct(estimate, odom_from_base, jump, now);
        self.send_transform(transform);
    }

    fn note_transitions(&mut self) {
        for transition in self.estimator.take_transitions() {
            let (from, to) = (transition.from.name(), transition.to.name());
            tracing::info!("{from} -> {to} at {}: {}", transition.stamp, transition.cause);
            self.health.changed_state(&transition);
        }
    }

    /// What the network alone says of the robot.
    fn robot_pose(&self, fix: &Fix, base_from_camera: Se3) -> Result<StampedPose, (Reason, Error)> {
        let camera_from_base = base_from_camera.inverse();
        let camera = &fix.localization.absolute;
        let covariance = PoseCovariance::new(&camera.covariance).map_err(|error| (Reason::NetworkFailed, error))?;
        Ok(StampedPose {
            stamp: camera.stamp,
            frame_id: self.config.global_frame_id.clone(),
            map_from_base: camera.map_from_camera * camera_from_base,
            covariance: covariance.composed_with(camera_from_base),
        })
    }

    /// Without the estimator: `pose` is what the network says.
    fn pass_through(&mut self, fix: &Fix, base_from_camera: Se3) -> Result<PoseEstimate, (Reason, Error)> {
        let pose = self.robot_pose(fix, base_from_camera)?;
        let StampedPose { stamp, map_from_base, covariance, .. } = pose;
        self.publish_pose(pose);
        Ok(PoseEstimate { stamp, map_from_base, covariance, state: State::Tracking, start: 0 })
    }

    fn publish_pose(&mut self, pose: StampedPose) {
        self.health.published(&pose, self.newest_time.unwrap_or(pose.stamp));
        self.outgoing.push(Outgoing::Pose(Box::new(pose.clone())));
        self.outgoing.extend(self.path.add(&pose).map(Outgoing::Path));
        self.last_pose = Some(pose);
    }

    fn send_transform(&mut self, transform: StampedTransform) {
        self.outgoing.push(Outgoing::Transform(transform));
        self.health.transformed();
    }

    /// The node's own clock may jump back as well: a simulation that starts anew.
    fn watch_clock(&mut self, now: Stamp) {
        let jumped =
            self.newest_time.is_some_and(|newest| newest.seconds_since(now) > self.config.clock_jump_threshold);
        if jumped {
            self.transforms.clear();
            self.start_epoch();
        }
        self.newest_time = if jumped { Some(now) } else { self.newest_time.max(Some(now)) };
    }

    /// Another run of the clock: nothing of the one before may meet what comes now.
    fn start_epoch(&mut self) {
        self.estimator.clock_jumped(self.newest_time.unwrap_or_default());
        self.forget();
        // A given pose of the run before is true no more; that of the parameters has no time.
        self.initial_pose = self.initial_pose.take().filter(|given| given.stamp == Stamp::default());
        self.next_report = None;
        self.health.clock_jumped();
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
