//! What goes out on `/tf`: `map -> odom` or `map -> base_link`, dated ahead, limited in its jumps, repeated.

use std::time::Duration;

use crate::Stamp;
use crate::config::{Config, seconds};
use crate::estimator::{Correction, CorrectionLimit, PoseEstimate};
use crate::geometry::Se3;
use crate::middleware::StampedTransform;

/// How often to look whether a repetition is due, seconds.
pub(super) fn tick_period(period: f64) -> f64 {
    (0.5 * period).clamp(1e-3, 0.1)
}

/// The published transform.
#[derive(Debug)]
pub(super) struct Broadcast {
    map: String,
    odom: String,
    base: String,
    /// Seconds between two repetitions of `map -> odom`; `None` where `map -> base_link` is published.
    period: Option<f64>,
    tolerance: Duration,
    correction: Correction,
    last: Option<Sent>,
}

/// The transform that was published last, and when it is to be repeated.
#[derive(Debug)]
struct Sent {
    transform: StampedTransform,
    due: Stamp,
}

impl Broadcast {
    pub fn new(config: &Config) -> Self {
        let limit = CorrectionLimit {
            translation: config.estimator.correction_speed,
            rotation: config.estimator.correction_rate,
        };
        Self {
            map: config.global_frame_id.clone(),
            odom: config.odom_frame_id.clone(),
            base: config.base_frame_id.clone(),
            period: config.use_odometry.then(|| 1.0 / config.tf_publish_rate),
            tolerance: seconds(config.transform_tolerance),
            correction: Correction::new(limit),
            last: None,
        }
    }

    /// Goes by other parameters; what was published stays published.
    pub fn reconfigure(&mut self, config: &Config) {
        let Self { correction, last, .. } = std::mem::replace(self, Self::new(config));
        (self.correction, self.last) = (correction, last);
    }

    /// Our own transform comes back on `/tf`; it is not a measurement.
    pub fn is_own(&self, child: &str) -> bool {
        self.last.as_ref().is_some_and(|last| last.transform.child == child)
    }

    /// `map -> odom`, moved towards the estimate, or at once if it may `jump`.
    pub fn correct(
        &mut self,
        estimate: &PoseEstimate,
        odom_from_base: Se3,
        jump: bool,
        now: Stamp,
    ) -> StampedTransform {
        let target = estimate.map_from_base * odom_from_base.inverse();
        self.correction.aim(now, target, odom_from_base, jump);
        let map_from_odom = self.correction.at(now).unwrap_or(target);
        self.dated_ahead(estimate.stamp, self.odom.clone(), map_from_odom, now)
    }

    /// `map -> base_link`, where no odometry exists.
    pub fn place(&mut self, estimate: &PoseEstimate, now: Stamp) -> StampedTransform {
        self.dated_ahead(estimate.stamp, self.base.clone(), estimate.map_from_base, now)
    }

    /// Without a new fix the robot still moves, but its odometry's error does not change: `map -> odom` stays true.
    /// `map -> base_link` does not, so it is never repeated. `None` when none is due.
    pub fn repeat(&mut self, now: Stamp) -> Option<StampedTransform> {
        let (last, period) = (self.last.as_ref()?, self.period?);
        let late = now.seconds_since(last.due);
        let stamp = now + self.tolerance;
        if late < 0.0 || stamp <= last.transform.stamp {
            return None;
        }
        // The node looks now and then only: by what one repetition is late, the next one comes earlier.
        let due = if late < period { last.due + seconds(period) } else { now + seconds(period) };
        let mut transform = StampedTransform { stamp, ..last.transform.clone() };
        if let Some(map_from_odom) = self.correction.at(now) {
            transform.parent_from_child = map_from_odom;
        }
        self.last = Some(Sent { transform: transform.clone(), due });
        Some(transform)
    }

    /// Forgets everything: nothing is repeated, and the next transform may be anywhere.
    pub fn clear(&mut self) {
        self.last = None;
        self.correction.clear();
    }

    /// Dated ahead of the image by the tolerance and never behind what was published before.
    fn dated_ahead(&mut self, image: Stamp, child: String, map_from_child: Se3, now: Stamp) -> StampedTransform {
        let dated = image + self.tolerance;
        let after_last = self.last.as_ref().map(|last| last.transform.stamp + Duration::from_nanos(1));
        let stamp = after_last.map_or(dated, |after| after.max(dated));
        let transform = StampedTransform { stamp, parent: self.map.clone(), child, parent_from_child: map_from_child };
        self.sent(transform, now)
    }

    fn sent(&mut self, transform: StampedTransform, now: Stamp) -> StampedTransform {
        let due = now + seconds(self.period.unwrap_or_default());
        self.last = Some(Sent { transform: transform.clone(), due });
        transform
    }
}
