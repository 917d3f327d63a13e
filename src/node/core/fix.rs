//! The way of a fix: from the pose of the camera to the robot's (`absolute_pose`), to the estimate (`pose`), and to
//! `map -> odom`. [`Core::advance`] is that way; a fix that lacks a transform, odometry or IMU samples waits on it.

use super::Core;
use crate::alignment::Outcome;
use crate::estimator::{Mounting, PoseEstimate, State};
use crate::geometry::{PoseCovariance, Se3, TransformError};
use crate::middleware::{Outgoing, StampedPose, StampedTransform};
use crate::node::health::Reason;
use crate::node::localizer::Localization;
use crate::pnp::Evidence;
use crate::sensor::{AbsolutePose, RelativePose};
use crate::{Error, Result, Stamp};

/// What the network says of an image, on its way to the robot's frames.
#[derive(Debug)]
pub(super) struct Fix {
    stamp: Stamp,
    /// Where the camera was; `None` of an image that tells no place, only how the camera moved.
    absolute: Option<AbsolutePose>,
    relative: Option<RelativePose>,
    evidence: Option<Evidence>,
    alignment: Option<Outcome>,
    frame_id: String,
    seconds: Option<f64>,
    pub(super) deadline: Stamp,
    /// Known once `absolute_pose` went out.
    base_from_camera: Option<Se3>,
    /// Known once the estimator answered.
    estimate: Option<PoseEstimate>,
}

impl Fix {
    /// An answer of the network that may wait until `deadline`.
    pub(super) fn new(answer: Localization, frame_id: String, seconds: Option<f64>, deadline: Stamp) -> Self {
        let Localization { absolute, relative, evidence, alignment } = answer;
        let alignment = alignment.map(|report| report.outcome);
        let (stamp, absolute) = (absolute.stamp, Some(absolute));
        let (base_from_camera, estimate) = (None, None);
        Self { stamp, absolute, relative, evidence, alignment, frame_id, seconds, deadline, base_from_camera, estimate }
    }

    /// How the camera moved to an image whose place is not known.
    pub(super) fn of_motion(motion: RelativePose, frame_id: String, deadline: Stamp) -> Self {
        let (stamp, relative) = (motion.stamp, Some(motion));
        let (absolute, evidence, alignment, seconds) = (None, None, None, None);
        let (base_from_camera, estimate) = (None, None);
        Self { stamp, absolute, relative, evidence, alignment, frame_id, seconds, deadline, base_from_camera, estimate }
    }
}

/// What an attempt on a [`Fix`] came to.
enum Progress {
    Done,
    /// A transform at the image's stamp has not arrived.
    Waits,
}

impl Core {
    /// Carries every waiting fix as far as the transforms allow.
    pub(super) fn settle(&mut self, now: Stamp) {
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
        let estimate = match fix.estimate.take() {
            Some(estimate) => estimate,
            None if !self.config.use_estimator => match &fix.absolute {
                Some(camera) => self.pass_through(camera, base_from_camera)?,
                None => return Ok(Progress::Done),
            },
            None if !self.estimator.is_covered(fix.stamp) && now <= fix.deadline => return Ok(Progress::Waits),
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
        let base_from_camera = match self.mountings.camera(&self.transforms, &fix.frame_id, fix.stamp) {
            Err(TransformError::ExtrapolationIntoFuture { .. }) if now <= fix.deadline => return Ok(None),
            found => found.map_err(|error| {
                let camera = self.mountings.camera_frame(&fix.frame_id);
                let what = format!("mounting of \"{camera}\" on \"{}\"", self.config.base_frame_id);
                (Reason::NoExtrinsics, Error::message(what, "a path between them in TF", error.to_string()))
            })?,
        };
        fix.base_from_camera = Some(base_from_camera);
        if let Some(camera) = &fix.absolute {
            self.health.answered(fix.seconds, fix.evidence, fix.alignment);
            let alone = self.robot_pose(camera, base_from_camera)?;
            self.health.fixed(&alone);
            self.outgoing.push(Outgoing::AbsolutePose(Box::new(alone)));
        }
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
        if let Some(given) = self.initial_pose.take_if(|given| given.stamp <= fix.stamp) {
            let since = if given.stamp == Stamp::default() { fix.stamp } else { given.stamp };
            self.estimator.start_at(since, given.map_from_base, &given.covariance)?;
        }
        if let Some(relative) = &fix.relative {
            self.estimator.add_relative(relative)?;
        }
        if let Some(absolute) = &fix.absolute {
            self.estimator.add_absolute(absolute)?;
        }
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
        if fix.absolute.is_none() {
            self.health.carried();
        }
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

    /// What the network alone says of the robot.
    fn robot_pose(&self, camera: &AbsolutePose, base_from_camera: Se3) -> Result<StampedPose, (Reason, Error)> {
        let camera_from_base = base_from_camera.inverse();
        let covariance = PoseCovariance::new(&camera.covariance).map_err(|error| (Reason::NetworkFailed, error))?;
        Ok(StampedPose {
            stamp: camera.stamp,
            frame_id: self.config.global_frame_id.clone(),
            map_from_base: camera.map_from_camera * camera_from_base,
            covariance: covariance.composed_with(camera_from_base),
        })
    }

    /// Without the estimator: `pose` is what the network says.
    fn pass_through(&mut self, camera: &AbsolutePose, base_from_camera: Se3) -> Result<PoseEstimate, (Reason, Error)> {
        let pose = self.robot_pose(camera, base_from_camera)?;
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

    pub(super) fn send_transform(&mut self, transform: StampedTransform) {
        self.outgoing.push(Outgoing::Transform(transform));
        self.health.transformed();
    }
}
