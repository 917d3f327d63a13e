//! The poses of the last while, for those who look: `path`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::middleware::{StampedPath, StampedPose};

/// The least time between two poses of the path.
const SPACING: Duration = Duration::from_millis(100);
/// The least time between two messages of it.
const PERIOD: Duration = Duration::from_secs(1);

/// The published poses, thinned out.
#[derive(Debug, Default)]
pub(super) struct PathHistory {
    length: usize,
    poses: VecDeque<StampedPose>,
    published: Option<crate::Stamp>,
}

impl PathHistory {
    /// Keeps `length` poses; none: no path.
    pub fn new(length: usize) -> Self {
        Self { length, ..Self::default() }
    }

    /// Keeps `length` poses from now on.
    pub fn set_length(&mut self, length: usize) {
        self.length = length;
        self.poses.drain(..self.poses.len().saturating_sub(length));
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        *self = Self::new(self.length);
    }

    /// Takes a published pose; the path when it is due.
    pub fn add(&mut self, pose: &StampedPose) -> Option<StampedPath> {
        if self.length == 0 || self.poses.back().is_some_and(|last| pose.stamp < last.stamp + SPACING) {
            return None;
        }
        if self.poses.len() >= self.length {
            self.poses.pop_front();
        }
        self.poses.push_back(pose.clone());
        if self.published.is_some_and(|published| pose.stamp < published + PERIOD) {
            return None;
        }
        self.published = Some(pose.stamp);
        let poses = self.poses.iter().map(|pose| (pose.stamp, pose.map_from_base)).collect();
        Some(StampedPath { stamp: pose.stamp, frame_id: pose.frame_id.clone(), poses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::geometry::{PoseCovariance, Se3};

    #[test]
    fn a_path_is_thinned_out_bounded_and_published_each_second() {
        let mut path = PathHistory::new(15);
        let mut published = Vec::new();
        for frame in 0..100 {
            let stamp = Stamp::from_nanos(frame * 50_000_000);
            let covariance = PoseCovariance::from_sigmas(0.1, 0.1).unwrap();
            let pose = StampedPose { stamp, frame_id: "map".into(), map_from_base: Se3::identity(), covariance };
            published.extend(path.add(&pose));
        }
        assert_eq!(published.len(), 5);
        assert_eq!(published.iter().map(|path| path.poses.len()).collect::<Vec<_>>(), [1, 11, 15, 15, 15]);
        let last = published.last().unwrap();
        assert!(last.poses.windows(2).all(|pair| pair[1].0 == pair[0].0 + SPACING));
        path.set_length(0);
        path.clear();
        assert!(path.poses.is_empty() && path.length == 0);
    }
}
