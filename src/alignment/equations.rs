//! The normal equations of an alignment at a pose.

use nalgebra::{SMatrix, Vector2, Vector3};

use super::feature_map::{Comparison, FeatureMap};
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::sensor::CameraModel;

/// Fewest points in view: six numbers are asked for, and most points may be wrong.
pub(super) const LEAST_POINTS: usize = 20;
/// Nearer than this to the camera's plane a point is not in front of it, metres.
const NEAREST: f64 = 1e-3;
/// Where the cost of a difference levels off (Geman-McClure), of the length of a descriptor, which is 1.
const SCALE: f64 = 0.5;

/// An image at one resolution, and what it should show.
#[derive(Clone, Copy, Debug)]
pub struct Level<'a> {
    /// Features of the image.
    pub map: &'a FeatureMap,
    /// What the references saw of each point: as many numbers as the map has channels, for one point after the other.
    pub descriptors: &'a [f32],
}

/// Who looks at what.
pub(super) struct Scene<'a> {
    pub camera: &'a CameraModel,
    pub points: &'a [Vector3<f64>],
}

/// `Σ w JᵀJ δ = -Σ w Jᵀr`, for the right perturbation δ of `map_from_camera`.
pub(super) struct Equations {
    matrix: Matrix6,
    gradient: Vector6,
    /// Σ w rᵀr.
    squares: f64,
    channels: usize,
    /// Mean over all points; one out of view costs as much as the worst.
    pub cost: f64,
    /// In view.
    pub points: usize,
    /// Of these, with descriptors nearer than where the cost levels off.
    pub agreeing: usize,
    /// Their mean depth, metres.
    pub depth: f64,
}

impl Equations {
    /// Those at a pose; `None` where too few points are in view.
    pub(super) fn at(scene: &Scene, level: &Level, map_from_camera: &Se3) -> Option<Self> {
        let (matrix, gradient, channels) = (Matrix6::zeros(), Vector6::zeros(), level.map.channels());
        let (cost, squares, depth) = (0.0, 0.0, 0.0);
        let mut sums = Self { matrix, gradient, squares, channels, cost, points: 0, agreeing: 0, depth };
        let camera_from_map = map_from_camera.inverse();
        for (point, descriptor) in scene.points.iter().zip(level.descriptors.chunks_exact(channels)) {
            let in_camera = camera_from_map * *point;
            let seen = project(scene.camera, &in_camera).and_then(|pixel| level.map.compare(&pixel, descriptor));
            let Some(Comparison { squared, gradient, curvature }) = seen else {
                sums.cost += SCALE * SCALE;
                continue;
            };
            let (cost, weight) = geman_mcclure(squared);
            let jacobian = pixel_jacobian(scene.camera, &in_camera);
            sums.matrix += jacobian.transpose() * (weight * curvature) * jacobian;
            sums.gradient += jacobian.transpose() * (weight * gradient);
            sums.squares += weight * squared;
            sums.cost += cost;
            sums.points += 1;
            sums.agreeing += usize::from(squared < SCALE * SCALE);
            sums.depth += in_camera.z;
        }
        sums.cost /= scene.points.len().max(1) as f64;
        sums.depth /= sums.points.max(1) as f64;
        (sums.points >= LEAST_POINTS && sums.cost.is_finite()).then_some(sums)
    }

    /// Covariance of the right perturbation at a minimum, as if all numbers of all descriptors erred independently and alike; `None`
    /// where the points leave the pose open.
    pub(super) fn covariance(&self) -> Option<Matrix6> {
        let variance = self.squares / (self.points * self.channels) as f64;
        self.matrix.cholesky().map(|factor| factor.inverse() * variance)
    }

    /// The step with its damping, of each direction by how well it is determined (Marquardt 1963); `None` where one is not.
    pub(super) fn step(&self, damping: f64) -> Option<Vector6> {
        let damped = self.matrix + Matrix6::from_diagonal(&(damping * self.matrix.diagonal()));
        damped.cholesky().map(|factor| -factor.solve(&self.gradient))
    }
}

/// Where a point in front of a rectified camera is seen, pixels.
pub fn project(camera: &CameraModel, in_camera: &Vector3<f64>) -> Option<Vector2<f64>> {
    (in_camera.z > NEAREST).then(|| {
        let seen = in_camera.xy() / in_camera.z;
        Vector2::new(camera.fx * seen.x + camera.cx, camera.fy * seen.y + camera.cy)
    })
}

/// How the pixel of a point moves with the right perturbation of `map_from_camera` (the interaction matrix of Chaumette &
/// Hutchinson 2006, "Visual servo control I", eq. 11).
fn pixel_jacobian(camera: &CameraModel, in_camera: &Vector3<f64>) -> SMatrix<f64, 2, 6> {
    let (x, y, near) = (in_camera.x / in_camera.z, in_camera.y / in_camera.z, 1.0 / in_camera.z);
    let column = [-near, 0.0, x * near, x * y, -1.0 - x * x, y].map(|value| camera.fx * value);
    let row = [0.0, -near, y * near, 1.0 + y * y, -x * y, -x].map(|value| camera.fy * value);
    SMatrix::<f64, 2, 6>::from_row_iterator(column.into_iter().chain(row))
}

/// ρ(s) = c² s / (c² + s) and its derivative (Geman & McClure 1985).
fn geman_mcclure(squared: f64) -> (f64, f64) {
    let share = SCALE * SCALE / (SCALE * SCALE + squared);
    (share * squared, share * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;

    #[test]
    fn the_jacobian_is_the_numeric_one() {
        let camera = CameraModel { fy: 480.0, ..CameraModel::pinhole(640, 480, 525.0) };
        let map_from_camera = Se3::new(So3::exp(&Vector3::new(0.4, -1.0, 0.3)), Vector3::new(3.0, -2.0, 0.7));
        for point in [Vector3::new(0.3, -0.2, 1.5), Vector3::new(-2.0, 1.0, 4.0), Vector3::new(0.0, 0.0, 0.5)] {
            let in_map = map_from_camera * point;
            let numeric = SMatrix::<f64, 2, 6>::from_fn(|row, column| {
                let pixel = |step: f64| {
                    let mut perturbation = Vector6::zeros();
                    perturbation[column] = step;
                    project(&camera, &(map_from_camera.retract(&perturbation).inverse() * in_map)).unwrap()[row]
                };
                (pixel(1e-6) - pixel(-1e-6)) / 2e-6
            });
            assert!((numeric - pixel_jacobian(&camera, &point)).amax() < 1e-4, "{numeric}");
        }
    }

    #[test]
    fn the_gradient_of_the_equations_is_that_of_the_cost() {
        // Smooth features of a tilted plane, seen a little beside the pose that the descriptors fit.
        let (camera, pixels) = (CameraModel::pinhole(160, 120, 130.0), 30 * 40);
        let feature = |x: f64, y: f64| [(0.04 * x + 0.01 * y).sin() as f32, (0.05 * y - 0.02 * x).cos() as f32];
        let values = (0..pixels).flat_map(|cell| feature(4.0 * f64::from(cell % 40), 4.0 * f64::from(cell / 40)));
        let map = FeatureMap::new(values.collect(), [30, 40], (4.0, 0.0)).unwrap();
        let pose = Se3::new(So3::exp(&Vector3::new(0.1, 0.2, -0.1)), Vector3::new(1.0, 2.0, 3.0));
        let places = (0..63).map(|at| (15.0 + 14.3 * f64::from(at % 9), 12.0 + 13.7 * f64::from(at / 9)));
        let (points, descriptors): (Vec<_>, Vec<_>) = places
            .map(|(x, y)| (pose * (camera.ray(&Vector2::new(x, y)) * (2.0 + 0.01 * x)), feature(x + 3.0, y - 2.0)))
            .unzip();
        let (scene, descriptors) = (Scene { camera: &camera, points: &points }, descriptors.concat());
        let level = Level { map: &map, descriptors: &descriptors };
        let equations = Equations::at(&scene, &level, &pose).unwrap();
        assert_eq!(equations.points, 63);
        for axis in 0..6 {
            let cost = |step: f64| {
                let mut perturbation = Vector6::zeros();
                perturbation[axis] = step;
                Equations::at(&scene, &level, &pose.retract(&perturbation)).unwrap().cost
            };
            let numeric = (cost(1e-4) - cost(-1e-4)) / 2e-4 * 63.0 / 2.0;
            let difference = (numeric - equations.gradient[axis]).abs();
            assert!(difference < 0.02 * equations.gradient.norm(), "{axis}: {numeric} {}", equations.gradient);
        }
    }
}
