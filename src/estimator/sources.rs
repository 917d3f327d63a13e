//! What measured the robot's motion: wheel odometry, relative poses, the IMU; kept as far back as the window reaches.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rejection;
use super::motion::{Motion, OdometryNoise};
use super::odometry::OdometryBuffer;
use crate::config::{EstimatorConfig, seconds};
use crate::geometry::Se3;
use crate::imu::{ImuBuffer, ImuLimits};
use crate::{Result, Stamp};

/// Odometry is interpolated over gaps of at most this.
const LONGEST_ODOMETRY_GAP: Duration = Duration::from_millis(500);
/// What is kept beyond the window, for fixes that are late.
const SPARE: f64 = 5.0;
/// Nothing is kept longer than a year, whatever the window's lag: seconds.
const LONGEST: f64 = 3e7;
/// Most relative poses that are kept, whatever their stamps say.
const MOST_RELATIVES: usize = 1 << 12;

/// A relative pose of the base, with the stamps at its ends.
#[derive(Clone, Copy, Debug)]
pub struct Relative {
    /// The stamp of the earlier pose.
    pub earlier: Stamp,
    /// The stamp of the later pose.
    pub later: Stamp,
    /// The motion of the base between them.
    pub motion: Motion,
}

/// The measurements of motion. See the module's text.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Wheel odometry.
    pub odometry: OdometryBuffer,
    /// IMU samples, in the axes of the IMU.
    pub imu: ImuBuffer,
    /// In the order of their later stamps.
    relatives: VecDeque<Relative>,
    odometry_noise: OdometryNoise,
    speed: f64,
    rate_of_turn: f64,
    kept: Duration,
}

impl Sources {
    /// Nothing measured yet.
    pub fn new(config: &EstimatorConfig) -> Self {
        let kept = seconds((config.lag + SPARE).min(LONGEST));
        Self {
            odometry: OdometryBuffer::new(kept, LONGEST_ODOMETRY_GAP),
            imu: ImuBuffer::new(kept, ImuLimits::default()),
            relatives: VecDeque::new(),
            odometry_noise: OdometryNoise {
                translation_per_metre: config.odometry_translation,
                rotation_per_radian: config.odometry_rotation,
                rotation_per_metre: config.odometry_drift,
            },
            speed: config.speed,
            rate_of_turn: config.rate_of_turn,
            kept,
        }
    }

    /// Takes a relative pose of the base.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn add_relative(&mut self, relative: Relative) -> std::result::Result<(), Rejection> {
        if relative.later <= relative.earlier {
            return Err(Rejection::OutOfOrder);
        }
        let place = self.relatives.partition_point(|other| other.later < relative.later);
        let same = |other: &&Relative| other.later == relative.later && other.earlier == relative.earlier;
        if self.relatives.range(place..).take_while(|other| other.later == relative.later).any(|other| same(&other)) {
            return Err(Rejection::Duplicate);
        }
        self.relatives.insert(place, relative);
        let newest = self.relatives.back().map_or(relative.later, |newest| newest.later);
        let kept = newest - self.kept;
        while self.relatives.len() > MOST_RELATIVES || self.relatives.front().is_some_and(|oldest| oldest.later < kept)
        {
            self.relatives.pop_front();
        }
        Ok(())
    }

    /// Relative poses that begin or end at `stamp`.
    pub fn relatives_at(&self, stamp: Stamp) -> impl Iterator<Item = &Relative> {
        self.relatives.iter().filter(move |relative| relative.earlier == stamp || relative.later == stamp)
    }

    /// Whether a relative pose spans exactly this interval.
    pub fn has_relative(&self, earlier: Stamp, later: Stamp) -> bool {
        self.relatives.iter().rev().any(|relative| relative.earlier == earlier && relative.later == later)
    }

    /// The odometry's motion of the base; `None` where it is not covered.
    ///
    /// # Errors
    /// When the motion is no rigid one.
    pub fn odometry_motion(&self, earlier: Stamp, later: Stamp) -> Result<Option<Motion>> {
        self.odometry.motion(earlier, later, &self.odometry_noise)
    }

    /// The best-known motion of the base between two stamps: by odometry, else along relative poses, else unknown.
    ///
    /// # Errors
    /// When the motion is no rigid one.
    pub fn motion(&self, earlier: Stamp, later: Stamp) -> Result<Motion> {
        if let Some(motion) = self.odometry_motion(earlier, later)? {
            return Ok(motion);
        }
        match self.chain(earlier, later) {
            Some(motion) => Ok(motion),
            None => self.unknown(earlier, later),
        }
    }

    /// The motion by the relative pose of exactly this interval, else unknown.
    ///
    /// # Errors
    /// When `later` is not after `earlier`.
    pub fn relative_motion(&self, earlier: Stamp, later: Stamp) -> Result<Motion> {
        let found = self.relatives_at(later).find(|relative| relative.earlier == earlier && relative.later == later);
        found.map_or_else(|| self.unknown(earlier, later), |relative| Ok(relative.motion))
    }

    /// A motion that nothing measured.
    ///
    /// # Errors
    /// When `later` is not after `earlier`.
    pub fn unknown(&self, earlier: Stamp, later: Stamp) -> Result<Motion> {
        Motion::unknown(later.seconds_since(earlier), self.speed, self.rate_of_turn)
    }

    /// The newest stamp of any of them.
    pub fn newest(&self) -> Option<Stamp> {
        let relative = self.relatives.back().map(|relative| relative.later);
        self.odometry.newest().max(self.imu.newest()).max(relative)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.odometry.clear();
        self.imu.clear();
        self.relatives.clear();
    }

    /// Relative poses end to end, from `earlier` to `later`.
    fn chain(&self, earlier: Stamp, later: Stamp) -> Option<Motion> {
        let mut at = later;
        let mut motion: Option<Motion> = None;
        for relative in self.relatives.iter().rev() {
            if at == earlier {
                break;
            }
            if relative.later == at && relative.earlier >= earlier {
                motion = Some(motion.map_or(relative.motion, |after| relative.motion.then(&after)));
                at = relative.earlier;
            }
        }
        motion.filter(|_| at == earlier)
    }
}

/// The constant transforms between the robot's base and its sensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mounting {
    /// Pose of the camera's optical frame on the base.
    pub base_from_camera: Se3,
    /// Pose of the IMU on the base; `None` while it is not known.
    pub base_from_imu: Option<Se3>,
}
