//! Collages of overlapping shapes of all sizes: dead leaves (Lee, Mumford & Huang 2001, "Occlusion models for natural images",
//! section 3). The number of shapes falls with the cube of their size, so that the collage looks alike from near and far.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::paint::{Area, Canvas, lattice};
use super::super::texture::{Rgb, mix};
use super::material::Palette;

/// How often shapes cover a place, in the mean.
const LAYERS: f32 = 3.0;
/// The smallest shape, metres.
const SMALLEST: f32 = 0.008;

/// Fills an area with overlapping shapes.
pub(super) fn strew(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette, area: Area) {
    let largest = (0.35 * area.width.min(area.height)).max(2.0 * SMALLEST);
    let colours: Vec<Rgb> = (0..random.random_range(3..9)).map(|_| palette.small(random)).collect();
    // The mean of the square of a radius with density ~ r^-3.
    let mean_square = 2.0 * SMALLEST.powi(2) * (largest / SMALLEST).ln() / (1.0 - (SMALLEST / largest).powi(2));
    let count = LAYERS * area.width * area.height / (2.5 * mean_square);
    for _ in 0..(count as usize).clamp(4, 20_000) {
        let draw: f32 = random.random();
        let radius = SMALLEST / (1.0 - draw * (1.0 - (SMALLEST / largest).powi(2))).sqrt();
        leaf(canvas, random, &colours, (&area, radius));
    }
}

/// One shape: a disc, a bar, or a corner, of one colour, shaded, or striped.
fn leaf(canvas: &mut Canvas, random: &mut ChaCha8Rng, colours: &[Rgb], (area, radius): (&Area, f32)) {
    let middle = [area.left + area.width * random.random::<f32>(), area.bottom + area.height * random.random::<f32>()];
    let left = (middle[0] - radius).max(area.left);
    let bottom = (middle[1] - radius).max(area.bottom);
    let width = (middle[0] + radius).min(area.left + area.width) - left;
    let height = (middle[1] + radius).min(area.bottom + area.height) - bottom;
    let (sine, cosine) = (std::f32::consts::TAU * random.random::<f32>()).sin_cos();
    let (kind, slim) = (random.random_range(0..3), random.random_range(0.2..0.9f32));
    let mut tone = || {
        let shade = random.random_range(0.7..1.3f32);
        colours[random.random_range(0..colours.len())].map(|channel| (channel * shade).clamp(0.01, 0.95))
    };
    let (one, other) = (tone(), tone());
    let (stripes, shaded) = (random.random_bool(0.15), random.random_bool(0.5));
    let (period, seed) = (radius * random.random_range(0.1..0.5), random.random());
    canvas.paint(Area { left, bottom, width, height }, |u, v, old| {
        let (x, y) = (u + left - middle[0], v + bottom - middle[1]);
        let (along, across) = (cosine * x + sine * y, cosine * y - sine * x);
        let inside = match kind {
            0 => x.hypot(y * (1.0 + slim)) < radius,
            1 => along.abs() < 0.7 * radius && across.abs() < 0.7 * slim * radius,
            _ => across > -0.5 * radius && across + (1.0 + slim) * along.abs() < 0.5 * radius,
        };
        match (inside, stripes, shaded) {
            (false, ..) => old,
            (_, true, _) => mix(one, other, (along / period).rem_euclid(2.0).floor()),
            (_, _, true) => mix(one, other, 0.3 + 0.3 * along / radius),
            _ => one.map(|channel| channel * (0.95 + 0.1 * lattice(seed, (x * 200.0) as i32, (y * 200.0) as i32))),
        }
    });
}
