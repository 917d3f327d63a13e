//! What wheel odometry said lately: where the base was in the odometry's own frame, between any two stamps.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rejection;
use super::motion::{Motion, OdometryNoise};
use crate::geometry::Se3;
use crate::{Result, Stamp};

/// Most poses that are kept, whatever their stamps say: eight seconds at 2 kHz.
const MOST_POSES: usize = 1 << 14;

/// Poses of the odometry in time order, as far back as the window reaches.
#[derive(Clone, Debug)]
pub struct OdometryBuffer {
    poses: VecDeque<(Stamp, Se3)>,
    kept: Duration,
    longest_gap: Duration,
}

impl OdometryBuffer {
    /// An empty buffer that keeps `kept` of history and interpolates over gaps of at most `longest_gap`.
    pub fn new(kept: Duration, longest_gap: Duration) -> Self {
        Self { poses: VecDeque::new(), kept, longest_gap }
    }

    /// Takes a pose that is newer than those before.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn add(&mut self, stamp: Stamp, odom_from_base: Se3) -> std::result::Result<(), Rejection> {
        if !odom_from_base.is_finite() {
            return Err(Rejection::NotFinite);
        }
        match self.newest() {
            Some(newest) if stamp == newest => return Err(Rejection::Duplicate),
            Some(newest) if stamp < newest => return Err(Rejection::OutOfOrder),
            _ => {}
        }
        self.poses.push_back((stamp, odom_from_base));
        let kept = stamp - self.kept;
        while self.poses.len() > MOST_POSES || self.poses.front().is_some_and(|(oldest, _)| *oldest < kept) {
            self.poses.pop_front();
        }
        Ok(())
    }

    /// The newest stamp.
    pub fn newest(&self) -> Option<Stamp> {
        self.poses.back().map(|(stamp, _)| *stamp)
    }

    /// The motion between two stamps; `None` where one of them is not covered.
    ///
    /// # Errors
    /// Those of [`OdometryNoise::motion`].
    pub fn motion(&self, earlier: Stamp, later: Stamp, noise: &OdometryNoise) -> Result<Option<Motion>> {
        let (Some(from), Some(to)) = (self.at(earlier), self.at(later)) else { return Ok(None) };
        noise.motion(from.inverse() * to).map(Some)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.poses.clear();
    }

    fn at(&self, stamp: Stamp) -> Option<Se3> {
        let after = self.poses.partition_point(|(at, _)| *at < stamp);
        let (later, to) = self.poses.get(after)?;
        if *later == stamp {
            return Some(*to);
        }
        let (earlier, from) = self.poses.get(after.checked_sub(1)?)?;
        let gap = later.nanos_since(*earlier);
        let bridged = Duration::from_nanos(gap.unsigned_abs()) <= self.longest_gap;
        bridged.then(|| from.interpolate(*to, stamp.nanos_since(*earlier) as f64 / gap as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poses_of_every_nanosecond_fill_no_memory() {
        let mut buffer = OdometryBuffer::new(Duration::from_secs(8), Duration::from_millis(500));
        for nanos in 0..MOST_POSES as i64 + 10 {
            buffer.add(Stamp::from_nanos(nanos), Se3::identity()).unwrap();
        }
        assert_eq!(buffer.poses.len(), MOST_POSES);
        assert!(buffer.at(Stamp::from_nanos(9)).is_none() && buffer.at(Stamp::from_nanos(10)).is_some());
    }
}
