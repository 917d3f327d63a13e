//! Furniture and other boxes with their own textures.

use std::sync::Arc;

use nalgebra::Vector3;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::paint::{Area, Canvas, vivid};
use super::{Class, Solid, Texture, random_stream};

/// Ten pieces along the four walls of a room of `size` metres, none deeper than 0.5 m: what they are by the seed `looks`, and how
/// far each is moved along its wall by `seed`.
pub(super) fn along_walls(looks: u64, seed: u64, size: &Vector3<f32>) -> Vec<Solid> {
    // Which wall (0: -x, 1: +x, 2: -y, 3: +y) and the place along it, as a share of the wall.
    let places =
        [(0, 0.3), (0, 0.72), (1, 0.25), (1, 0.75), (2, 0.2), (2, 0.5), (2, 0.82), (3, 0.22), (3, 0.55), (3, 0.85)];
    let piece = |(index, &(wall, share)): (usize, &(usize, f32))| {
        let mut random = random_stream(looks, "furniture", index as u64);
        let (half_height, class) =
            [(0.2, Class::Bench), (0.45, Class::Cabinet), (0.3, Class::Chest), (0.65, Class::Shelf)][index % 4];
        let half = Vector3::new(
            random.random_range(0.25..0.45),
            random.random_range(0.15..0.22),
            half_height * random.random_range(0.8..1.2),
        );
        let along = |extent: f32| (share - 0.5) * extent + random_shift(seed, index);
        let centre = match wall {
            0 => Vector3::new(0.03 + half.y - 0.5 * size.x, along(size.y), half.z),
            1 => Vector3::new(0.5 * size.x - half.y - 0.03, along(size.y), half.z),
            2 => Vector3::new(along(size.x), 0.03 + half.y - 0.5 * size.y, half.z),
            _ => Vector3::new(along(size.x), 0.5 * size.y - half.y - 0.03, half.z),
        };
        let yaw = if wall < 2 { std::f32::consts::FRAC_PI_2 } else { 0.0 };
        Solid { centre, half, yaw, faces: faces(&mut random, &half), classes: [class; 6] }
    };
    places.iter().enumerate().map(piece).collect()
}

fn random_shift(seed: u64, index: usize) -> f32 {
    random_stream(seed, "shift", index as u64).random_range(-0.12..0.12)
}

/// Six faces for a box: opposite sides share a texture, the whole box its base colours.
pub(super) fn faces(random: &mut ChaCha8Rng, half: &Vector3<f32>) -> [Arc<Texture>; 6] {
    let base = [vivid(random), vivid(random)];
    let mut side = |width: f32, height: f32| {
        let mut canvas = Canvas::new([2.0 * width, 2.0 * height], 130.0);
        canvas.clouds(random, 0.4, base);
        let rows = (2.0 * height / 0.4).ceil();
        let columns = (2.0 * width / 0.45).ceil();
        let cell = [2.0 * width / columns, 2.0 * height / rows];
        for row in 0..rows as usize {
            for column in 0..columns as usize {
                let (left, bottom) = (cell[0] * column as f32, cell[1] * row as f32);
                let (margin_u, margin_v) = (0.08 * cell[0], 0.08 * cell[1]);
                canvas.poster(
                    random,
                    Area {
                        left: left + margin_u,
                        bottom: bottom + margin_v,
                        width: cell[0] - 2.0 * margin_u,
                        height: cell[1] - 2.0 * margin_v,
                    },
                );
            }
        }
        canvas.mottle(random, 0.1, 0.15);
        Arc::new(canvas.finish())
    };
    let (x, y, z) = (side(half.y, half.z), side(half.x, half.z), side(half.x, half.y));
    [x.clone(), x, y.clone(), y, z.clone(), z]
}
