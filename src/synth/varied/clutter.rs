//! Furniture along the walls, tables, and small things on them, some of which are there several times.

use std::sync::Arc;

use nalgebra::Vector3;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::{Class, Solid, Texture, random_stream};
use super::material::Palette;
use super::things;

/// What stands and hangs in a room of `size` metres.
pub(super) fn scatter(seed: u64, palette: &Palette, size: &Vector3<f32>) -> Vec<Solid> {
    let mut random = random_stream(seed, "clutter", 0);
    let large: Vec<Solid> = (0..random.random_range(5..11)).map(|_| by_the_wall(&mut random, palette, size)).collect();
    let tables: Vec<Solid> = (0..random.random_range(0..3)).map(|_| table(&mut random, palette, size)).collect();
    // Things that look the same stand in several places.
    let looks: Vec<_> = (0..random.random_range(3..8)).map(|_| small_looks(&mut random, palette)).collect();
    let stands: Vec<Solid> = large.into_iter().chain(tables).collect();
    let on_top = (0..random.random_range(6..24)).map(|_| {
        let below = &stands[random.random_range(0..stands.len())];
        let (half, faces) = looks[random.random_range(0..looks.len())].clone();
        let shift = |random: &mut ChaCha8Rng, half: f32| random.random_range(-0.8..0.8) * half;
        let (x, y) = (shift(&mut random, below.half.x), shift(&mut random, below.half.y));
        let (sine, cosine) = below.yaw.sin_cos();
        let offset = Vector3::new(cosine * x - sine * y, sine * x + cosine * y, below.half.z + half.z);
        let yaw = below.yaw + random.random_range(-0.8..0.8);
        Solid { centre: below.centre + offset, half, yaw, faces, classes: [Class::Chest; 6] }
    });
    let on_top: Vec<Solid> = on_top.collect();
    stands.into_iter().chain(on_top).collect()
}

/// The size and the sides of something small.
fn small_looks(random: &mut ChaCha8Rng, palette: &Palette) -> (Vector3<f32>, [Arc<Texture>; 6]) {
    let half =
        Vector3::new(random.random_range(0.03..0.2), random.random_range(0.03..0.15), random.random_range(0.02..0.25));
    (half, sides(random, palette, &half))
}

/// A cupboard, a shelf or a box with its back to a wall; some of them hang.
fn by_the_wall(random: &mut ChaCha8Rng, palette: &Palette, size: &Vector3<f32>) -> Solid {
    let half = Vector3::new(
        random.random_range(0.2..0.8),
        random.random_range(0.1..0.35),
        random.random_range(0.15..1.05f32).min(0.45 * size.z),
    );
    let hangs = half.y < 0.2 && half.z < 0.5 && random.random_bool(0.6);
    let height = if hangs { random.random_range(1.0..size.z - half.z) } else { half.z };
    let wall: usize = random.random_range(0..4);
    let (extent, across) = if wall < 2 { (size.y, size.x) } else { (size.x, size.y) };
    let along = random.random_range(-0.5..0.5) * (extent - 2.0 * half.x);
    let back = (0.5 * across - half.y - 0.01) * if wall.is_multiple_of(2) { -1.0 } else { 1.0 };
    let centre = if wall < 2 { Vector3::new(back, along, height) } else { Vector3::new(along, back, height) };
    let yaw = if wall < 2 { std::f32::consts::FRAC_PI_2 } else { 0.0 };
    Solid { centre, half, yaw, faces: sides(random, palette, &half), classes: [Class::Cabinet; 6] }
}

/// A table or a counter, anywhere.
fn table(random: &mut ChaCha8Rng, palette: &Palette, size: &Vector3<f32>) -> Solid {
    let thick = if random.random_bool(0.5) { 0.03 } else { random.random_range(0.2..0.42) };
    let half = Vector3::new(random.random_range(0.3..0.8), random.random_range(0.25..0.45), thick);
    let spot = |random: &mut ChaCha8Rng, extent: f32| random.random_range(-0.35..0.35) * extent;
    let top = random.random_range(0.4..0.9f32).max(2.0 * thick);
    let centre = Vector3::new(spot(random, size.x), spot(random, size.y), top - thick);
    let yaw = random.random_range(0.0..std::f32::consts::PI);
    Solid { centre, half, yaw, faces: sides(random, palette, &half), classes: [Class::Bench; 6] }
}

/// Six sides of a box: two textures or three, as opposite sides often look alike.
fn sides(random: &mut ChaCha8Rng, palette: &Palette, half: &Vector3<f32>) -> [Arc<Texture>; 6] {
    let mut side = |width: f32, height: f32| Arc::new(things::side(random, palette, [2.0 * width, 2.0 * height]));
    let (x, y, z) = (side(half.y, half.z), side(half.x, half.z), side(half.x, half.y));
    let front = side(half.x, half.z);
    [x.clone(), x, y, front, z.clone(), z]
}
