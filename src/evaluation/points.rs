//! What answers stand on, of a method that measures each pose from points of the map: how many it asked for, how many of
//! them agree with the pose, how well, and which focal length they ask for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pose_error::median;
use crate::pnp::{Evidence, FocalHistory, FocalSummary};

/// What the answers stand on, in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsSummary {
    /// Frames with an answer.
    pub answers: usize,
    /// Median of the points that were asked for in a frame.
    pub median_asked: f64,
    /// Median of those that agree with the pose.
    pub median_agreeing: f64,
    /// Median over the frames of the share that agrees, in `[0, 1]`.
    pub median_share: f64,
    /// Median over the frames of what the agreeing points are off by (root mean square), pixels of the network's image.
    pub median_residual_px: f64,
    /// The focal length that the images ask for, of the one that the camera claims, by the last 256 that tell; `null` where
    /// fewer than 20 do.
    pub focal: Option<FocalSummary>,
}

impl PointsSummary {
    /// Of the answers there are; `None` where none stands on points.
    pub fn new(evidence: &[Option<Evidence>]) -> Option<Self> {
        let answered: Vec<&Evidence> = evidence.iter().flatten().collect();
        let middle = |value: fn(&Evidence) -> f64| median(&answered.iter().map(|one| value(one)).collect::<Vec<_>>());
        let mut focal = FocalHistory::default();
        answered.iter().for_each(|evidence| focal.add(&evidence.focal));
        Some(Self {
            answers: answered.len(),
            median_asked: middle(|evidence| evidence.asked as f64)?,
            median_agreeing: middle(|evidence| evidence.inliers as f64)?,
            median_share: middle(Evidence::share)?,
            median_residual_px: middle(|evidence| evidence.residual)?,
            focal: focal.summary(),
        })
    }
}

impl fmt::Display for PointsSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median_asked, median_agreeing, median_share, median_residual_px, .. } = self;
        write!(
            formatter,
            "points: median {median_agreeing:.0} of {median_asked:.0} agree with the pose ({:.1} %), to {median_residual_px:.2} pixels",
            100.0 * median_share
        )?;
        match &self.focal {
            Some(focal) => write!(formatter, "; they ask for {focal}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pnp::FocalCheck;

    #[test]
    fn medians_are_over_the_answers() {
        let evidence = |inliers: usize| {
            let (residual, focal) = (0.01 * inliers as f64, FocalCheck { scale: 0.98, sigma: 0.01 });
            Some(Evidence { asked: 1000, inliers, residual, focal, expected: false })
        };
        let summary = PointsSummary::new(&[evidence(100), None, evidence(300), None, evidence(200)]).unwrap();
        assert_eq!((summary.answers, summary.median_asked, summary.median_agreeing), (3, 1000.0, 200.0));
        assert_eq!((summary.median_share, summary.median_residual_px, summary.focal), (0.2, 2.0, None));
        let text = "points: median 200 of 1000 agree with the pose (20.0 %), to 2.00 pixels";
        assert_eq!(summary.to_string(), text);
        let many = PointsSummary::new(&[evidence(200); 30]).unwrap();
        assert!(many.to_string().contains("pixels; they ask for 0.980 of the camera's focal length"), "{many}");
        assert_eq!((PointsSummary::new(&[None, None]), PointsSummary::new(&[])), (None, None));
    }
}
