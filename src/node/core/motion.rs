//! What measured the robot's motion, on its way to the estimator: transforms, odometry and IMU; and the pose that they carry on
//! between the images (`odometry`).

use super::Core;
use crate::Stamp;
use crate::geometry::Insertion;
use crate::middleware::{Outgoing, StampedOdometry, StampedTransform};
use crate::node::health::Reason;
use crate::sensor::ImuSample;

impl Core {
    pub(super) fn insert(&mut self, transform: &StampedTransform, is_static: bool) {
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
        // What never changes was not measured.
        if !is_static
            && self.is_active()
            && self.config.use_estimator
            && self.config.use_odometry
            && bare(parent) == self.config.odom_frame_id
            && bare(child) == self.config.base_frame_id
        {
            self.estimator.add_odometry(*stamp, *parent_from_child);
            self.publish_odometry();
        }
    }

    /// When the odometry is known up to now, by whatever transforms it comes.
    pub(super) fn note_odometry(&mut self, now: Stamp) {
        if let Ok(Some(stamp)) = self.transforms.newest_common(&self.config.odom_frame_id, &self.config.base_frame_id) {
            self.health.odometry_came(now, stamp);
        }
    }

    /// Takes a reading of the IMU; its mounting is looked up until it is known.
    pub(super) fn sense(&mut self, sample: ImuSample, frame_id: &str) {
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
}
