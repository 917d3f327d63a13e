//! How far a trajectory is off as a whole: absolute and relative trajectory error.
//!
//! Sturm et al., "A benchmark for the evaluation of RGB-D SLAM systems", IROS 2012, section V, with the rotation part
//! as angles. The numbers equal those of `evo` (`evo_ape`, `evo_rpe`) on the same poses. Poses come in pairs, already
//! associated: [`associated`] does it by stamp.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pose_error::{PoseError, median};
use crate::geometry::{Se3, Trajectory, umeyama};
use crate::{Error, Result};

/// What is fitted before absolute errors are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// Nothing: the estimate claims to be in the map, so this is the honest one for localization.
    None,
    /// A rigid transform (Umeyama without scale).
    Rigid,
    /// A similarity (Umeyama with scale), for methods that cannot know metres.
    Similarity,
}

/// Which pairs of frames relative errors are measured over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FramePairs {
    /// `(0, d) (1, 1 + d) (2, 2 + d) ...`
    All,
    /// `(0, d) (d, 2d) (2d, 3d) ...`
    Consecutive,
}

/// Statistics of errors over a trajectory; the standard deviation is that of the whole population.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorStatistics {
    /// Root of the mean square.
    pub rmse: f64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// Standard deviation.
    pub std: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

/// Errors of a trajectory, in translation and in rotation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectoryError {
    /// How many errors went into the statistics.
    pub pairs: usize,
    /// Translation, metres.
    pub translation: ErrorStatistics,
    /// Rotation angle, radians.
    pub rotation: ErrorStatistics,
}

/// The absolute trajectory error of `estimate` against `truth`, pose by pose.
///
/// # Errors
/// When the numbers of poses differ or are zero, or the alignment is degenerate (see [`umeyama`]).
pub fn absolute(truth: &[Se3], estimate: &[Se3], alignment: Alignment) -> Result<TrajectoryError> {
    check(truth, estimate, 1)?;
    let positions = |poses: &[Se3]| poses.iter().map(|pose| pose.translation).collect::<Vec<_>>();
    let aligned: Vec<Se3> = match alignment {
        Alignment::None => estimate.to_vec(),
        Alignment::Rigid | Alignment::Similarity => {
            let fit = umeyama(&positions(estimate), &positions(truth), alignment == Alignment::Similarity)?;
            estimate.iter().map(|pose| fit.pose(*pose)).collect()
        }
    };
    statistics(truth.iter().zip(aligned).map(|(truth, estimate)| PoseError::of(*truth, Some(estimate))))
}

/// The relative trajectory error over `delta` frames: of the estimated motion against the true one.
///
/// # Errors
/// When the numbers of poses differ, `delta` is zero, or there is not one pair.
pub fn relative(truth: &[Se3], estimate: &[Se3], delta: usize, pairs: FramePairs) -> Result<TrajectoryError> {
    check(truth, estimate, delta.saturating_add(1))?;
    if delta == 0 {
        return Err(Error::message("relative trajectory error", "a delta of at least one frame", "0"));
    }
    let stride = if pairs == FramePairs::All { 1 } else { delta };
    let motion = |poses: &[Se3], from: usize| poses[from].inverse() * poses[from + delta];
    let starts = (0..truth.len() - delta).step_by(stride);
    statistics(starts.map(|from| PoseError::of(motion(truth, from), Some(motion(estimate, from)))))
}

/// The poses of both trajectories at common stamps, `(truth, estimate)`, associated within `tolerance` from the
/// trajectory with fewer poses (the first when equal), as `evo` does.
///
/// # Errors
/// When no stamps match.
pub fn associated(truth: &Trajectory, estimate: &Trajectory, tolerance: Duration) -> Result<(Vec<Se3>, Vec<Se3>)> {
    let pairs: Vec<(usize, usize)> = if estimate.len() > truth.len() {
        truth.associate(estimate, tolerance)
    } else {
        estimate.associate(truth, tolerance).into_iter().map(|(estimate, truth)| (truth, estimate)).collect()
    };
    if pairs.is_empty() {
        let span = |trajectory: &Trajectory| match trajectory.span() {
            Some((first, last)) => format!("{first} .. {last}"),
            None => "no pose".into(),
        };
        let found = format!("truth {}, estimate {}", span(truth), span(estimate));
        return Err(Error::message("association by stamp", format!("stamps at most {tolerance:?} apart"), found));
    }
    let pose = |trajectory: &Trajectory, index: usize| trajectory.poses()[index].1;
    Ok(pairs.into_iter().map(|(t, e)| (pose(truth, t), pose(estimate, e))).unzip())
}

fn check(truth: &[Se3], estimate: &[Se3], least: usize) -> Result<()> {
    if truth.len() != estimate.len() || truth.len() < least {
        let expected = format!("as many true as estimated poses, at least {least}");
        let found = format!("{} true and {} estimated", truth.len(), estimate.len());
        return Err(Error::message("trajectory error", expected, found));
    }
    Ok(())
}

fn statistics(errors: impl Iterator<Item = PoseError>) -> Result<TrajectoryError> {
    let (translation, rotation): (Vec<f64>, Vec<f64>) = errors.map(|error| (error.translation, error.rotation)).unzip();
    let of = |values: &[f64]| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        Some(ErrorStatistics {
            rmse: (values.iter().map(|value| value * value).sum::<f64>() / count).sqrt(),
            mean,
            median: median(values)?,
            std: (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
            min: values.iter().copied().reduce(f64::min)?,
            max: values.iter().copied().reduce(f64::max)?,
        })
    };
    match (of(&translation), of(&rotation)) {
        (Some(t), Some(r)) => Ok(TrajectoryError { pairs: translation.len(), translation: t, rotation: r }),
        _ => Err(Error::message("trajectory error", "at least one pair of poses", "none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;
    use nalgebra::Vector3;

    fn line(scale: f64, count: usize) -> Vec<Se3> {
        let at = |i: usize| Vector3::new(scale * i as f64, (i * i) as f64 * 0.1 * scale, 1.0);
        (0..count).map(|i| Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 0.1 * i as f64)), at(i))).collect()
    }

    #[test]
    fn alignment_forgives_what_it_fits_and_no_more() {
        let (truth, doubled) = (line(1.0, 10), line(2.0, 10));
        let shift = Se3::new(So3::exp(&Vector3::new(0.3, 0.2, 0.1)), Vector3::new(5.0, 6.0, 7.0));
        let moved: Vec<_> = truth.iter().map(|pose| shift * *pose).collect();
        let rmse = |estimate: &[Se3], alignment| absolute(&truth, estimate, alignment).unwrap().translation.rmse;
        assert!(rmse(&moved, Alignment::None) > 5.0);
        assert!(rmse(&moved, Alignment::Rigid) < 1e-12);
        assert!(rmse(&doubled, Alignment::Rigid) > 1.0);
        assert!(rmse(&doubled, Alignment::Similarity) < 1e-12);
        assert!(relative(&truth, &moved, 3, FramePairs::All).unwrap().translation.max < 1e-12);
    }

    #[test]
    fn pairs_are_counted_as_named() {
        let truth = line(1.0, 10);
        let pairs = |delta, which| relative(&truth, &truth, delta, which).unwrap().pairs;
        assert_eq!((pairs(1, FramePairs::All), pairs(3, FramePairs::All)), (9, 7));
        assert_eq!((pairs(1, FramePairs::Consecutive), pairs(3, FramePairs::Consecutive)), (9, 3));
        assert_eq!(pairs(9, FramePairs::Consecutive), 1);
    }

    #[test]
    fn unusable_input_is_named() {
        let truth = line(1.0, 4);
        let text = |result: Result<TrajectoryError>| result.unwrap_err().to_string();
        assert_eq!(
            text(absolute(&truth, &truth[..3], Alignment::None)),
            "trajectory error: expected as many true as estimated poses, at least 1, found 4 true and 3 estimated"
        );
        assert!(text(relative(&truth, &truth, 4, FramePairs::All)).contains("at least 5, found 4 true"));
        assert!(text(relative(&truth, &truth, 0, FramePairs::All)).ends_with("a delta of at least one frame, found 0"));
        let empty = associated(&Trajectory::default(), &Trajectory::default(), Duration::from_millis(10)).unwrap_err();
        assert_eq!(
            empty.to_string(),
            "association by stamp: expected stamps at most 10ms apart, found truth no pose, estimate no pose"
        );
    }
}
