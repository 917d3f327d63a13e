//! `map -> odom` without jumps: what is published follows the estimate no faster than its consumers can bear.
//!
//! A correction of the estimate moves the whole odometry frame in the map, and with it every path that a planner
//! follows. [`Correction`] lets it through at a limited speed; after a kidnap it jumps, once.

use crate::Stamp;
use crate::geometry::Se3;

/// How fast `map -> odom` may move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrectionLimit {
    /// Metres per second; infinite: at once.
    pub translation: f64,
    /// Radians per second; infinite: at once.
    pub rotation: f64,
}

/// The published `map_from_odom` on its way to the estimated one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    limit: CorrectionLimit,
    published: Option<Published>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Published {
    stamp: Stamp,
    map_from_odom: Se3,
    target: Se3,
    /// The robot in the odometry's frame: the point that must not jump.
    odom_from_base: Se3,
}

impl Correction {
    /// Nothing published yet.
    pub fn new(limit: CorrectionLimit) -> Self {
        Self { limit, published: None }
    }

    /// The estimate says `target` for a robot at `odom_from_base`; it may jump there if `jump` says so.
    pub fn aim(&mut self, stamp: Stamp, target: Se3, odom_from_base: Se3, jump: bool) {
        self.published = match self.published.filter(|_| !jump) {
            None => Some(Published { stamp, map_from_odom: target, target, odom_from_base }),
            Some(last) => Some(Published { target, odom_from_base, ..last }),
        };
    }

    /// What to publish at `now`; `None` before the first estimate.
    ///
    /// The limits hold for the *robot* in the map, not for the origin of the odometry far behind it.
    pub fn at(&mut self, now: Stamp) -> Option<Se3> {
        let last = self.published?;
        let seconds = now.seconds_since(last.stamp).max(0.0);
        let (from, to) = (last.map_from_odom * last.odom_from_base, last.target * last.odom_from_base);
        let (distance, angle) =
            ((to.translation - from.translation).norm(), (from.rotation.inverse() * to.rotation).log().norm());
        let share = share(self.limit.translation * seconds, distance).min(share(self.limit.rotation * seconds, angle));
        let map_from_base = if share >= 1.0 { to } else { from.interpolate(to, share) };
        let map_from_odom = if share >= 1.0 { last.target } else { map_from_base * last.odom_from_base.inverse() };
        self.published = Some(Published { stamp: now.max(last.stamp), map_from_odom, ..last });
        Some(map_from_odom)
    }

    /// Forgets everything: the next estimate is published as it is.
    pub fn clear(&mut self) {
        self.published = None;
    }
}

/// The share of a way that can be gone.
fn share(allowed: f64, needed: f64) -> f64 {
    if needed <= allowed { 1.0 } else { allowed / needed }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;
    use crate::geometry::So3;

    fn at(milliseconds: i64) -> Stamp {
        Stamp::from_nanos(milliseconds * 1_000_000)
    }

    fn pose(x: f64, yaw: f64) -> Se3 {
        Se3::new(So3::exp(&Vector3::new(0.0, 0.0, yaw)), Vector3::new(x, 0.0, 0.0))
    }

    #[test]
    fn the_robot_moves_in_the_map_no_faster_than_the_limit_and_arrives() {
        let mut correction = Correction::new(CorrectionLimit { translation: 0.5, rotation: 0.2 });
        assert_eq!(correction.at(at(0)), None);
        let odom_from_base = pose(40.0, 0.3);
        correction.aim(at(0), pose(1.0, 0.0), odom_from_base, false);
        assert_eq!(correction.at(at(0)), Some(pose(1.0, 0.0)));
        let target = pose(1.2, 0.1) * odom_from_base * pose(0.1, 0.0) * odom_from_base.inverse();
        correction.aim(at(0), target, odom_from_base, false);
        let mut before = pose(1.0, 0.0) * odom_from_base;
        let mut arrived = None;
        for step in 1..1000 {
            let map_from_odom = correction.at(at(10 * step)).unwrap();
            let now = map_from_odom * odom_from_base;
            assert!((now.translation - before.translation).norm() <= 0.5 * 0.01 + 1e-9);
            assert!((before.rotation.inverse() * now.rotation).log().norm() <= 0.2 * 0.01 + 1e-9);
            before = now;
            if arrived.is_none() && map_from_odom == target {
                arrived = Some(step);
            }
        }
        assert!(arrived.is_some_and(|step| step > 100), "{arrived:?}");
    }

    #[test]
    fn a_kidnap_jumps_once() {
        let mut correction = Correction::new(CorrectionLimit { translation: 0.1, rotation: 0.1 });
        correction.aim(at(0), pose(0.0, 0.0), Se3::identity(), false);
        correction.aim(at(100), pose(9.0, 2.0), Se3::identity(), true);
        assert_eq!(correction.at(at(100)), Some(pose(9.0, 2.0)));
        correction.aim(at(200), pose(10.0, 2.0), Se3::identity(), false);
        assert!(correction.at(at(200)).unwrap().translation.x < 9.02);
    }
}
