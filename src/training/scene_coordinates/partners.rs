//! Which frames show the same things from another side: from poses alone.

use nalgebra::Vector3;
use rayon::prelude::*;

use crate::geometry::Se3;
use crate::sensor::CameraModel;
use crate::training::pairs::spread;

/// Frames that a frame is compared with.
const PARTNERS: usize = 10;
/// The fewest of which a point is believed.
pub(super) const FEWEST: usize = 3;
/// The angle between the rays of two frames to what the one looks at, degrees: below the least, a depth hardly moves what the
/// other sees; beyond the most, features no longer look the same.
const PARALLAX: [f64; 2] = [2.0, 20.0];
/// How far a partner may be rolled about the direction of view, as the cosine: features are not the same sideways.
const UPRIGHT: f64 = 0.8;
/// What lies this share of the image from its edge is not in the middle of what a partner sees.
const EDGE: f64 = 0.15;

/// What a camera looks at, when the scene is `depth` metres away: a point in the map.
pub(super) fn focus(map_from_camera: &Se3, depth: f64) -> Vector3<f64> {
    *map_from_camera * Vector3::new(0.0, 0.0, depth)
}

/// The partners of each frame, evenly spread over their order; none where there are fewer than [`FEWEST`].
pub(super) fn partners(map_from_camera: &[Se3], camera: &CameraModel, depth: f64) -> Vec<Vec<usize>> {
    let of = |frame: &Se3| {
        let suits = |other: &usize| sees_from_aside(frame, &map_from_camera[*other], camera, depth);
        let all: Vec<usize> = (0..map_from_camera.len()).filter(suits).collect();
        if all.len() < FEWEST { Vec::new() } else { spread(&all, PARTNERS) }
    };
    map_from_camera.par_iter().map(of).collect()
}

/// Whether another camera sees from another side what a frame looks at.
fn sees_from_aside(frame: &Se3, other: &Se3, camera: &CameraModel, depth: f64) -> bool {
    let focus = focus(frame, depth);
    let parallax = (frame.translation - focus).angle(&(other.translation - focus)).to_degrees();
    let down = |pose: &Se3| pose.rotation * Vector3::y();
    let (width, height) = (f64::from(camera.width), f64::from(camera.height));
    let inside = |at: f64, size: f64| (EDGE * size..(1.0 - EDGE) * size).contains(&at);
    let middle = || camera.project(&(other.inverse() * focus));
    (PARALLAX[0]..=PARALLAX[1]).contains(&parallax)
        && down(frame).dot(&down(other)) > UPRIGHT
        && middle().is_some_and(|pixel| inside(pixel.x, width) && inside(pixel.y, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;

    /// At x metres, looking at the point 2 m ahead of the origin, rolled.
    fn at(x: f64, roll: f64) -> Se3 {
        let yaw = So3::exp(&Vector3::new(0.0, -(x / 2.0).atan(), 0.0));
        Se3::new(yaw * So3::exp(&Vector3::new(0.0, 0.0, roll)), Vector3::new(x, 0.0, 0.0))
    }

    #[test]
    fn partners_look_at_the_same_from_aside() {
        let camera = CameraModel::pinhole(640, 480, 525.0);
        // 0, 0.3, 5.7, 8.5, 11.3 and 45 degrees aside; rolled by 60 degrees; one that looks away.
        let away = Se3::new(So3::exp(&Vector3::new(0.0, 2.0, 0.0)), Vector3::new(0.2, 0.0, 0.0));
        let poses = [at(0.0, 0.0), at(0.01, 0.0), at(0.2, 0.0), at(0.3, 0.0), at(0.4, 0.0), at(2.0, 0.0)];
        let poses = [&poses[..], &[at(0.3, 1.05), away]].concat();
        let found = partners(&poses, &camera, 2.0);
        assert_eq!(found[0], [2, 3, 4]);
        assert!(found[7].is_empty(), "{:?}", found[7]);
        // As much nearer as it moves less.
        let small: Vec<Se3> = poses.iter().map(|pose| Se3::new(pose.rotation, pose.translation * 0.1)).collect();
        assert_eq!(partners(&small, &camera, 0.2), found);
        assert!(partners(&small, &camera, 2.0).iter().all(Vec::is_empty), "the camera hardly moves");
    }
}
