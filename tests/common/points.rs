//! Points of a map and the pixels that show them.

use nalgebra::{Vector2, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use vloc::geometry::{Se3, So3};
use vloc::pnp::Correspondence;
use vloc::sensor::CameraModel;

/// What a camera sees of a room, with noise on the pixels and some of the points anywhere in it.
pub struct Scene {
    pub camera: CameraModel,
    pub map_from_camera: Se3,
    pub correspondences: Vec<Correspondence>,
}

/// A number of the standard normal distribution.
pub fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// `count` points of 1 to 5 m before the camera, pixels with `noise` (pixels), the first share of them `outliers`.
pub fn scene(count: usize, noise: f64, outliers: f64, seed: u64) -> Scene {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let camera = CameraModel::pinhole(640, 480, 525.0);
    let turn = Vector3::from_fn(|_, _| 1.5 * normal(&mut random));
    let place = Vector3::from_fn(|_, _| 2.0 * normal(&mut random));
    let map_from_camera = Se3::new(So3::exp(&turn), place);
    let seen = |random: &mut ChaCha8Rng| {
        let pixel = Vector2::new(random.random_range(0.0..639.0), random.random_range(0.0..479.0));
        (pixel, camera.ray(&pixel) * random.random_range(1.0..5.0))
    };
    let correspondences = (0..count)
        .map(|at| {
            let (pixel, mut in_camera) = seen(&mut random);
            if (at as f64) < outliers * count as f64 {
                in_camera = seen(&mut random).1;
            }
            let pixel = pixel + Vector2::from_fn(|_, _| noise * normal(&mut random));
            Correspondence { pixel, point: map_from_camera * in_camera }
        })
        .collect();
    Scene { camera, map_from_camera, correspondences }
}
