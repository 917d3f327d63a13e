//! How much of what a camera may see another sees too (Balntas, Li & Prisacariu 2018, section 3.2).
//!
//! The frustum is what a pinhole camera sees between a near and a far distance, and stands for the unknown surfaces: points on
//! a regular grid of pixels, evenly spread over the depths between. The overlap of two poses is the share of the points of
//! each that lie in the frustum of the other, averaged over the two: symmetric, 1 for the same pose, 0 for cameras that look
//! away from each other. It knows nothing of walls in between; near and far are choices for a place.

use nalgebra::{Vector2, Vector3};

use crate::geometry::Se3;
use crate::sensor::CameraModel;

/// Points along x, y and the depth.
const GRID: [u32; 3] = [8, 6, 6];

/// What a camera without distortion sees between two depths.
#[derive(Clone, Debug)]
pub struct Frustum {
    camera: CameraModel,
    depths: [f64; 2],
    points: Vec<Vector3<f64>>,
}

impl Frustum {
    /// Of a camera whose distortion is removed, from `near` to `far`, metres.
    pub fn new(camera: &CameraModel, near: f64, far: f64) -> Self {
        let camera = camera.rectified();
        let middle = |index: u32, count: u32| (f64::from(index) + 0.5) / f64::from(count);
        let mut points = Vec::with_capacity(GRID.iter().product::<u32>() as usize);
        for z in 0..GRID[2] {
            let depth = near + (far - near) * middle(z, GRID[2]);
            for y in 0..GRID[1] {
                for x in 0..GRID[0] {
                    let u = middle(x, GRID[0]) * f64::from(camera.width) - 0.5;
                    let v = middle(y, GRID[1]) * f64::from(camera.height) - 0.5;
                    points.push(camera.ray(&Vector2::new(u, v)) * depth);
                }
            }
        }
        Self { camera, depths: [near, far], points }
    }

    /// The overlap of two poses of the camera, 0 to 1.
    pub fn overlap(&self, map_from_a: Se3, map_from_b: Se3) -> f64 {
        let b_from_a = map_from_b.inverse() * map_from_a;
        0.5 * (self.share(b_from_a) + self.share(b_from_a.inverse()))
    }

    /// The share of the points of one that the other sees.
    fn share(&self, other_from_one: Se3) -> f64 {
        let (rotation, translation) = (other_from_one.rotation.matrix(), other_from_one.translation);
        let seen = self.points.iter().filter(|point| self.contains(&(rotation * *point + translation))).count();
        seen as f64 / self.points.len() as f64
    }

    fn contains(&self, point: &Vector3<f64>) -> bool {
        let CameraModel { width, height, .. } = self.camera;
        let inside = |value: f64, size: u32| (-0.5..=f64::from(size) - 0.5).contains(&value);
        (self.depths[0]..=self.depths[1]).contains(&point.z)
            && self.camera.project(point).is_some_and(|pixel| inside(pixel.x, width) && inside(pixel.y, height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{So3, Vector6};

    fn frustum() -> Frustum {
        Frustum::new(&CameraModel::pinhole(64, 48, 55.0), 0.5, 4.0)
    }

    fn at(x: f64, y: f64, z: f64, yaw: f64) -> Se3 {
        Se3::new(So3::exp(&Vector3::new(0.0, yaw, 0.0)), Vector3::new(x, y, z))
    }

    #[test]
    fn the_same_pose_overlaps_wholly_and_one_that_looks_away_not_at_all() {
        let (frustum, pose) = (frustum(), Se3::exp(&Vector6::new(3.0, -1.0, 2.0, 0.5, 1.0, -0.7)));
        assert_eq!(frustum.overlap(pose, pose), 1.0);
        let behind = pose * at(0.0, 0.0, 0.0, std::f64::consts::PI);
        assert_eq!(frustum.overlap(pose, behind), 0.0);
        assert_eq!(frustum.overlap(pose, pose * at(20.0, 0.0, 0.0, 0.0)), 0.0, "too far to the side");
    }

    #[test]
    fn it_is_symmetric_and_does_not_know_the_map() {
        let frustum = frustum();
        let other_from_map = Se3::exp(&Vector6::new(9.0, 2.0, -4.0, 0.3, -1.4, 2.0));
        let mut partial = 0;
        for index in 0..40 {
            let t = f64::from(index);
            let (a, b) = (at(0.0, 0.0, 0.0, 0.02 * t), at(0.04 * t, 0.3 * t.sin(), 0.1 * t.cos(), -0.01 * t));
            let overlap = frustum.overlap(a, b);
            assert_eq!(overlap, frustum.overlap(b, a), "{index}");
            assert!((overlap - frustum.overlap(other_from_map * a, other_from_map * b)).abs() < 0.02, "{index}");
            partial += usize::from(overlap > 0.05 && overlap < 0.95);
        }
        assert!(partial > 20, "poses of every overlap: {partial}");
    }

    #[test]
    fn it_falls_as_the_camera_turns_or_moves_away() {
        let frustum = frustum();
        let still = at(0.0, 0.0, 0.0, 0.0);
        for moved in [|t: f64| at(0.0, 0.0, 0.0, 0.1 * t), |t: f64| at(0.2 * t, 0.0, 0.0, 0.0)] {
            let overlaps: Vec<f64> = (0..12).map(|t| frustum.overlap(still, moved(f64::from(t)))).collect();
            assert!(overlaps.windows(2).all(|pair| pair[1] <= pair[0]), "{overlaps:?}");
            assert!(overlaps[0] == 1.0 && overlaps[11] < 0.2, "{overlaps:?}");
        }
    }

    #[test]
    fn a_case_by_hand() {
        // A step of half the width that is seen at the depth z: half of the points there. Over all depths z of the six
        // layers (focal 55, width 64): a step s leaves the share 1 - 55 s / (64 z) of the columns, in steps of one eighth.
        let step = 0.4;
        let expected: f64 = (0..6)
            .map(|layer| {
                let z = 0.5 + 3.5 * (f64::from(layer) + 0.5) / 6.0;
                (0..8).filter(|column| (f64::from(*column) + 0.5) * 8.0 - 55.0 * step / z >= 0.0).count() as f64 / 8.0
            })
            .sum::<f64>()
            / 6.0;
        let found = frustum().overlap(at(0.0, 0.0, 0.0, 0.0), at(step, 0.0, 0.0, 0.0));
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}
