//! Stamped poses in time order: interpolation between them and association with another trajectory.

use std::time::Duration;

use nalgebra::Vector3;

use super::Se3;
use crate::{Error, Result, Stamp};

/// Poses with strictly increasing stamps, each finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    poses: Vec<(Stamp, Se3)>,
}

impl Trajectory {
    /// A trajectory from poses in time order.
    ///
    /// # Errors
    /// When a stamp does not come after the one before, or a pose is not finite.
    pub fn new(poses: Vec<(Stamp, Se3)>) -> Result<Self> {
        let mut trajectory = Self { poses: Vec::with_capacity(poses.len()) };
        for (stamp, pose) in poses {
            trajectory.push(stamp, pose)?;
        }
        Ok(trajectory)
    }

    /// Appends a pose.
    ///
    /// # Errors
    /// When `stamp` does not come after the last one, or the pose is not finite.
    pub fn push(&mut self, stamp: Stamp, pose: Se3) -> Result<()> {
        let what = || format!("trajectory pose {} at {stamp}", self.poses.len());
        if !pose.is_finite() {
            return Err(Error::message(what(), "finite numbers", format!("{pose:?}")));
        }
        if let Some((last, _)) = self.poses.last().filter(|(last, _)| *last >= stamp) {
            return Err(Error::message(what(), format!("a stamp after the one before, {last}"), stamp.to_string()));
        }
        self.poses.push((stamp, pose));
        Ok(())
    }

    /// The stamped poses, in time order.
    pub fn poses(&self) -> &[(Stamp, Se3)] {
        &self.poses
    }

    /// How many poses there are.
    pub fn len(&self) -> usize {
        self.poses.len()
    }

    /// Whether there is no pose.
    pub fn is_empty(&self) -> bool {
        self.poses.is_empty()
    }

    /// The first and the last stamp.
    pub fn span(&self) -> Option<(Stamp, Stamp)> {
        Some((self.poses.first()?.0, self.poses.last()?.0))
    }

    /// The positions, metres, in time order.
    pub fn positions(&self) -> impl Iterator<Item = Vector3<f64>> {
        self.poses.iter().map(|(_, pose)| pose.translation)
    }

    /// The pose at `stamp`: straight in translation, spherical in rotation between the two neighbours; `None` before
    /// the first and after the last.
    pub fn interpolate(&self, stamp: Stamp) -> Option<Se3> {
        self.interpolate_within(stamp, Duration::MAX)
    }

    /// As [`Trajectory::interpolate`], and `None` also where the neighbours lie further apart than `longest_gap`.
    pub fn interpolate_within(&self, stamp: Stamp, longest_gap: Duration) -> Option<Se3> {
        match self.poses.binary_search_by_key(&stamp, |(at, _)| *at) {
            Ok(index) => Some(self.poses[index].1),
            Err(index) => {
                let ((earlier, from), (later, to)) = (self.poses[..index].last()?, self.poses.get(index)?);
                let gap = later.nanos_since(*earlier);
                let bridged = Duration::from_nanos(gap.unsigned_abs()) <= longest_gap;
                bridged.then(|| from.interpolate(*to, stamp.nanos_since(*earlier) as f64 / gap as f64))
            }
        }
    }

    /// Pairs of indices into `self` and `other`: each pose of `self` with the nearest of `other` in time, if it is
    /// within `tolerance`; of two at the same distance the earlier one.
    ///
    /// A pose of `other` may serve several of `self`, so start from the trajectory with fewer poses.
    pub fn associate(&self, other: &Trajectory, tolerance: Duration) -> Vec<(usize, usize)> {
        let nearest = |stamp: Stamp| {
            let after = other.poses.partition_point(|(at, _)| *at < stamp);
            let candidates = [after.checked_sub(1), (after < other.len()).then_some(after)];
            let distance = |index: &usize| stamp.nanos_since(other.poses[*index].0).unsigned_abs();
            let best = candidates.into_iter().flatten().min_by_key(distance)?;
            (Duration::from_nanos(distance(&best)) <= tolerance).then_some(best)
        };
        let pairs = self.poses.iter().enumerate();
        pairs.filter_map(|(index, (stamp, _))| Some((index, nearest(*stamp)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;

    fn along_x(stamps: &[i64]) -> Trajectory {
        let pose = |nanos: &i64| Se3::new(So3::identity(), Vector3::new(*nanos as f64, 0.0, 0.0));
        Trajectory::new(stamps.iter().map(|nanos| (Stamp::from_nanos(*nanos), pose(nanos))).collect()).unwrap()
    }

    #[test]
    fn interpolation_meets_the_poses_and_never_leaves_them() {
        let trajectory = along_x(&[0, 10, 30]);
        let x = |nanos: i64| trajectory.interpolate(Stamp::from_nanos(nanos)).map(|pose| pose.translation.x);
        assert_eq!([x(-1), x(0), x(10), x(30), x(31)], [None, Some(0.0), Some(10.0), Some(30.0), None]);
        assert!((x(25).unwrap() - 25.0).abs() < 1e-12);
        let within = |nanos: i64| trajectory.interpolate_within(Stamp::from_nanos(nanos), Duration::from_nanos(10));
        assert!(within(5).is_some() && within(15).is_none() && within(30).is_some());
        assert_eq!(Trajectory::default().interpolate(Stamp::from_nanos(0)), None);
    }

    #[test]
    fn association_takes_the_nearest_within_the_tolerance() {
        let pairs = along_x(&[-9, 4, 5, 16, 40]).associate(&along_x(&[0, 10, 20]), Duration::from_nanos(6));
        assert_eq!(pairs, [(1, 0), (2, 0), (3, 2)]);
        assert!(along_x(&[1]).associate(&Trajectory::default(), Duration::MAX).is_empty());
    }

    #[test]
    fn disorder_and_nan_are_refused() {
        let mut trajectory = along_x(&[0, 10]);
        let error = trajectory.push(Stamp::from_nanos(10), Se3::identity()).unwrap_err();
        let text = "trajectory pose 2 at 0.000000010: expected a stamp after the one before, 0.000000010, \
                    found 0.000000010";
        assert_eq!(error.to_string(), text);
        let nan = Se3::new(So3::identity(), Vector3::new(f64::NAN, 0.0, 0.0));
        let error = trajectory.push(Stamp::from_nanos(20), nan).unwrap_err();
        assert!(error.to_string().contains("expected finite numbers"), "{error}");
    }
}
