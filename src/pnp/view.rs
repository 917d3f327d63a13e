//! Correspondences as the search reads them: finite ones, in an order that chance gave them.

use nalgebra::{Vector2, Vector3};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Correspondence;
use super::p3p::CameraFromMap;
use crate::sensor::CameraModel;

/// Nearer than this to the camera's plane a point is not in front of it, metres.
const NEAREST: f64 = 1e-6;
/// The order is one for all seeds: the search itself is what the seed changes.
const ORDER: u64 = 0x5eed;

/// What a camera sees of the map.
pub(super) struct View {
    /// Focal lengths, pixels.
    pub focal: Vector2<f64>,
    center: Vector2<f64>,
    pixels: Vec<Vector2<f64>>,
    points: Vec<Vector3<f64>>,
    origins: Vec<usize>,
}

impl View {
    /// Leaves out what is not finite.
    pub fn new(camera: &CameraModel, correspondences: &[Correspondence]) -> Self {
        let finite = |of: &Correspondence| of.pixel.iter().chain(of.point.iter()).all(|value| value.is_finite());
        let mut origins: Vec<usize> = (0..correspondences.len()).filter(|&at| finite(&correspondences[at])).collect();
        origins.shuffle(&mut ChaCha8Rng::seed_from_u64(ORDER));
        Self {
            focal: Vector2::new(camera.fx, camera.fy),
            center: Vector2::new(camera.cx, camera.cy),
            pixels: origins.iter().map(|&at| correspondences[at].pixel).collect(),
            points: origins.iter().map(|&at| correspondences[at].point).collect(),
            origins,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pixels.len()
    }

    /// The place of one among those that were given.
    pub fn origin(&self, at: usize) -> usize {
        self.origins[at]
    }

    /// Its pixel.
    pub fn pixel(&self, at: usize) -> Vector2<f64> {
        self.pixels[at]
    }

    /// Its point, in the map.
    pub fn point(&self, at: usize) -> Vector3<f64> {
        self.points[at]
    }

    /// The direction of its pixel in the camera, of length one.
    pub fn ray(&self, at: usize) -> Vector3<f64> {
        let seen = (self.pixels[at] - self.center).component_div(&self.focal);
        Vector3::new(seen.x, seen.y, 1.0).normalize()
    }

    /// Its pixel from where its point is in the camera, pixels; `None` behind the camera.
    pub fn residual(&self, at: usize, in_camera: &Vector3<f64>) -> Option<Vector2<f64>> {
        (in_camera.z > NEAREST).then(|| {
            let projected = in_camera.xy().component_mul(&self.focal) / in_camera.z + self.center;
            projected - self.pixels[at]
        })
    }

    /// The squared distance of pixel and projected point; infinite behind the camera.
    pub fn squared_distance(&self, at: usize, pose: &CameraFromMap) -> f64 {
        let in_camera = pose.transform(&self.points[at]);
        self.residual(at, &in_camera).map_or(f64::INFINITY, |residual| residual.norm_squared())
    }

    /// The soft number of inliers among `range`: each counts 1 less its squared distance by the squared threshold, and
    /// none below 0 (Torr and Zisserman 2000, eq. 16, turned over).
    pub fn score(&self, range: std::ops::Range<usize>, pose: &CameraFromMap, threshold: f64) -> f64 {
        let square = threshold * threshold;
        range.map(|at| (1.0 - self.squared_distance(at, pose) / square).max(0.0)).sum()
    }
}
