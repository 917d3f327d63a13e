//! The division of a large place into parts that one head each can hold: by where the cameras stand.
//!
//! Positions are clustered (k-means, the best of a few starts). A frame near the border between two parts is learned by both, so
//! that what is seen from there is known whichever is asked.

use nalgebra::{DMatrix, Vector3};

use crate::dataset::{FrameInfo, Split};
use crate::geometry::Se3;
use crate::retrieval::KMeans;
use crate::training::pairs::mix;
use crate::{Error, Result};

/// Fewer frames do not show a part of a place.
pub(super) const FEWEST: usize = 8;
/// How near to the border a frame is learned by both parts, of the distance between the centres of the two.
const OVERLAP: f64 = 0.1;
/// Starts of k-means.
const STARTS: u64 = 32;

/// A part of the place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// The training frames taken in it.
    pub(super) own: Vec<usize>,
    /// Those and the ones beyond its borders that it learns as well.
    pub(super) learned: Vec<usize>,
    /// The validation frames taken in it.
    pub(super) validation: Vec<usize>,
}

/// Divides the frames of a split into `count` parts, numbered as the training frames come to them. The same seed divides the
/// same.
///
/// # Errors
/// [`Error::Config`] where a part would have too few training frames.
pub(super) fn divide(frames: &[FrameInfo], split: &Split, count: usize, seed: u64) -> Result<Vec<Part>> {
    let Split { train, validation, .. } = split;
    if count == 1 {
        return Ok(vec![Part { own: train.clone(), learned: train.clone(), validation: validation.clone() }]);
    }
    let most = train.len() / FEWEST;
    if count > most {
        let expected = format!("at most {most} for {} training frames: {FEWEST} each at least", train.len());
        return Err(Error::config("scene_coordinates.parts", expected, count.to_string()));
    }
    let pose = |&index: &usize| &frames[index].map_from_camera;
    let centres = centres(&train.iter().map(pose).collect::<Vec<_>>(), count, seed);
    let mut parts = vec![Part { own: Vec::new(), learned: Vec::new(), validation: Vec::new() }; centres.len()];
    for &index in train {
        let squares = squares(pose(&index), &centres);
        let own = nearest(&squares);
        parts[own].own.push(index);
        let beside = (0..parts.len()).filter(|&part| is_beside(own, part, &squares, &centres));
        beside.for_each(|part| parts[part].learned.push(index));
    }
    for &index in validation {
        parts[nearest(&squares(pose(&index), &centres))].validation.push(index);
    }
    let least = parts.iter().map(|part| part.own.len()).min().unwrap_or(0);
    if parts.len() < count || least < FEWEST {
        let found = format!(
            "{count}, where {} parts are left, the smallest with {least} frames; lower it, or record more there",
            parts.len()
        );
        let expected = format!("so many that each part has {FEWEST} training frames");
        return Err(Error::config("scene_coordinates.parts", expected, found));
    }
    parts.sort_by_key(|part| train.iter().position(|index| part.own.first() == Some(index)));
    Ok(parts)
}

/// The centres of the clusters of positions whose frames lie nearest to them, metres; fewer where there are fewer positions.
fn centres(poses: &[&Se3], count: usize, seed: u64) -> Vec<Vector3<f64>> {
    // Single precision is for differences, not for places on the earth.
    let middle = poses.iter().map(|pose| pose.translation).sum::<Vector3<f64>>() / poses.len() as f64;
    let points = DMatrix::from_fn(3, poses.len(), |axis, pose| (poses[pose].translation - middle)[axis] as f32);
    let fits = (0..STARTS).map(|start| KMeans::fit(&points, count, mix(seed, 3, start)));
    let inertia = |fit: &KMeans| fit.inertia.last().copied().unwrap_or(f64::MAX);
    let best = fits.min_by(|one, other| inertia(one).total_cmp(&inertia(other)));
    let columns = best.map_or(DMatrix::zeros(3, 0), |fit| fit.centres);
    columns.column_iter().map(|centre| middle + Vector3::new(centre[0], centre[1], centre[2]).cast()).collect()
}

/// The squared distances of a camera to centres.
fn squares(pose: &Se3, centres: &[Vector3<f64>]) -> Vec<f64> {
    centres.iter().map(|centre| (pose.translation - centre).norm_squared()).collect()
}

/// The place of the smallest; of equal ones, the first.
fn nearest(squares: &[f64]) -> usize {
    (0..squares.len()).min_by(|&one, &other| squares[one].total_cmp(&squares[other])).unwrap_or(0)
}

/// Whether a frame of the part `own` is learned by `part` too: its distance to the plane between both centres is small.
fn is_beside(own: usize, part: usize, squares: &[f64], centres: &[Vector3<f64>]) -> bool {
    let apart = (centres[own] - centres[part]).norm_squared();
    squares[part] - squares[own] <= 2.0 * OVERLAP * apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::geometry::So3;

    /// Frames at these places along x, far from the origin of the map.
    fn frames(places: &[f64]) -> Vec<FrameInfo> {
        let frame = |(index, x): (usize, &f64)| FrameInfo {
            name: format!("{index}"),
            stamp: Stamp::from_nanos(index as i64),
            sequence: 0,
            map_from_camera: Se3::new(So3::identity(), Vector3::new(4e5 + x, 5e6, 0.0)),
        };
        places.iter().enumerate().map(frame).collect()
    }

    fn split(train: Vec<usize>, validation: Vec<usize>) -> Split {
        Split { train, validation, test: Vec::new() }
    }

    #[test]
    fn a_corridor_is_divided_in_its_order_and_borders_belong_to_both() {
        // 30 m, walked from its far end.
        let places: Vec<f64> = (0..300).map(|step| 30.0 - 0.1 * f64::from(step)).collect();
        let (frames, split) = (frames(&places), split((0..300).step_by(2).collect(), (1..300).step_by(2).collect()));
        let parts = divide(&frames, &split, 3, 7).unwrap();
        assert_eq!(parts, divide(&frames, &split, 3, 7).unwrap());
        let all = |of: fn(&Part) -> &Vec<usize>| parts.iter().flat_map(of).copied().collect::<Vec<_>>();
        // The border lies somewhere about a third; each frame is in one part, those of the parts follow each other.
        assert_eq!((all(|part| &part.own), all(|part| &part.validation)), (split.train, split.validation));
        for [one, other] in [[0, 1], [1, 2]] {
            let shared = parts[one].learned.iter().filter(|index| parts[other].learned.contains(index));
            let shared: Vec<f64> = shared.map(|&index| places[index]).collect();
            let extent = shared[0] - shared[shared.len() - 1];
            assert!((1.5..2.5).contains(&extent), "a fifth of 10 m: {shared:?}");
            let border = places[parts[other].own[0]];
            assert!((0.5 * (shared[0] + shared[shared.len() - 1]) - border).abs() < 0.3, "{border}: {shared:?}");
        }
        assert!(parts[0].learned.iter().all(|index| !parts[2].learned.contains(index)));
    }

    #[test]
    fn rooms_are_parts_whatever_the_seed() {
        let places: Vec<f64> = (0..200).map(|step| 5.0 * f64::from(step / 20) + 0.1 * f64::from(step % 20)).collect();
        for seed in 0..20 {
            let parts = divide(&frames(&places), &split((0..200).collect(), Vec::new()), 10, seed).unwrap();
            let rooms: Vec<Vec<usize>> = (0..10).map(|room| (20 * room..20 * (room + 1)).collect()).collect();
            assert_eq!(parts.into_iter().map(|part| part.own).collect::<Vec<_>>(), rooms, "seed {seed}");
        }
    }

    #[test]
    fn parts_with_too_few_frames_are_refused() {
        let attempt = |places: &[f64], count: usize| {
            let split = split((0..places.len()).collect(), Vec::new());
            divide(&frames(places), &split, count, 1).unwrap_err().to_string()
        };
        let many = attempt(&[0.0; 31], 4);
        let expected =
            "parameter scene_coordinates.parts: expected at most 3 for 31 training frames: 8 each at least, found 4";
        assert_eq!(many, expected);
        let still = attempt(&[0.0; 31], 3);
        assert!(still.contains("found 3, where 1 parts are left, the smallest with 31 frames; lower it"), "{still}");
        let outlier: Vec<f64> = (0..40).map(|step| if step < 4 { 100.0 } else { 0.01 * f64::from(step) }).collect();
        let outlier = attempt(&outlier, 2);
        assert!(outlier.contains("found 2, where 2 parts are left, the smallest with 4 frames"), "{outlier}");
    }
}
