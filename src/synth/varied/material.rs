//! What surfaces are made of, and the colours of a room.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::paint::{Canvas, colour, lattice, octaves};
use super::super::texture::{Rgb, mix};

/// The colours that a room has more of than others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    hues: [f32; 3],
    /// How colourful it is at most.
    saturation: f32,
    brightness: f32,
}

impl Palette {
    pub(super) fn any(random: &mut ChaCha8Rng) -> Self {
        let hues = std::array::from_fn(|_| random.random());
        Self { hues, saturation: random.random_range(0.1..0.7), brightness: random.random_range(0.5..1.0) }
    }

    /// A colour of a wall, a floor or a large piece: one of the palette's hues, pale more often than not.
    pub(super) fn large(&self, random: &mut ChaCha8Rng) -> Rgb {
        let hue = self.hues[random.random_range(0..3)] + random.random_range(-0.04..0.04);
        let saturation = self.saturation * random.random::<f32>().powi(2);
        colour(hue, saturation, self.brightness * random.random_range(0.45..1.0))
    }

    /// A colour of a small thing: any.
    pub(super) fn small(&self, random: &mut ChaCha8Rng) -> Rgb {
        let hue = if random.random_bool(0.3) { self.hues[random.random_range(0..3)] } else { random.random() };
        colour(hue, random.random::<f32>().powf(1.5), random.random_range(0.05..1.0))
    }
}

/// Wood: red-brown to yellow, dark to pale.
fn wood_tones(random: &mut ChaCha8Rng) -> [Rgb; 2] {
    let (hue, saturation, value) =
        (random.random_range(0.04..0.12), random.random_range(0.25..0.7), random.random_range(0.25..0.85));
    [colour(hue, saturation, value), colour(hue - 0.01, saturation, value * random.random_range(0.55..0.85))]
}

/// Covers all of a canvas with a material.
pub(super) fn cover(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette) {
    let colours = [palette.large(random), palette.large(random)];
    match random.random_range(0..7) {
        0 | 1 => plain(canvas, random, colours[0]),
        2 => {
            let grain = 10f32.powf(random.random_range(-0.7..0.3));
            canvas.clouds(random, grain, colours);
        }
        3 => wood(canvas, random),
        4 => tiles(canvas, random, colours),
        5 => pattern(canvas, random, colours),
        _ => speckles(canvas, random, colours),
    }
    let (grain, strength) = (10f32.powf(random.random_range(-1.0..0.3)), 0.25 * random.random::<f32>().powi(2));
    canvas.mottle(random, grain, strength);
}

/// One colour, a little lighter on one side.
fn plain(canvas: &mut Canvas, random: &mut ChaCha8Rng, base: Rgb) {
    let slopes = [random.random_range(-0.04..0.04f32), random.random_range(-0.04..0.04f32)];
    canvas.paint(canvas.area(), |u, v, _| base.map(|channel| channel * (1.0 + slopes[0] * u + slopes[1] * v).max(0.3)));
}

/// Grain along one side, often in boards.
pub(super) fn wood(canvas: &mut Canvas, random: &mut ChaCha8Rng) {
    let (seed, [light, dark]) = (random.random(), wood_tones(random));
    let (upright, boards) = (random.random_bool(0.4), random.random_bool(0.6));
    let (width, length) = (random.random_range(0.07..0.25f32), random.random_range(0.6..2.0f32));
    let grain = random.random_range(0.008..0.03f32);
    canvas.paint(canvas.area(), |u, v, _| {
        let (along, across) = if upright { (v, u) } else { (u, v) };
        let board = if boards { (across / width).floor() } else { 0.0 };
        let shift = along + 3.7 * lattice(seed, board as i32, 7);
        let piece = if boards { (shift / length).floor() } else { 0.0 };
        let tint = 0.75 + 0.5 * lattice(seed, board as i32, piece as i32);
        let streak = octaves(seed.wrapping_add(piece as u32), along / (30.0 * grain), across / grain + 40.0 * board);
        let near_joint = (across / width).rem_euclid(1.0) < 0.04 || (shift / length).rem_euclid(1.0) < 0.004;
        let tone = mix(light, dark, streak).map(|channel| (channel * tint).min(0.95));
        if boards && near_joint { tone.map(|channel| 0.4 * channel) } else { tone }
    });
}

/// Tiles or bricks, each of its own tint.
fn tiles(canvas: &mut Canvas, random: &mut ChaCha8Rng, [base, joint]: [Rgb; 2]) {
    let (seed, height) = (random.random(), 10f32.powf(random.random_range(-1.2..-0.3)));
    let (width, offset) = (height * random.random_range(1.0..3.0), if random.random_bool(0.5) { 0.5 } else { 0.0 });
    let (gap, uneven) = (random.random_range(0.02..0.08f32), 0.6 * random.random::<f32>().powi(2));
    canvas.paint(canvas.area(), |u, v, _| {
        let row = (v / height).floor();
        let place = u / width + offset * row.rem_euclid(2.0);
        let in_gap = (v / height).rem_euclid(1.0) < gap || place.rem_euclid(1.0) < gap * height / width;
        let tint = 1.0 + uneven * (lattice(seed, place.floor() as i32, row as i32) - 0.5);
        if in_gap { joint } else { base.map(|channel| (channel * tint).min(0.95)) }
    });
}

/// A wallpaper: two waves that beat, cut into two or three tones.
fn pattern(canvas: &mut Canvas, random: &mut ChaCha8Rng, [one, other]: [Rgb; 2]) {
    let period = 10f32.powf(random.random_range(-1.4..-0.3));
    let (ratio, turn, cut) =
        (random.random_range(0.5..2.0f32), random.random_range(0.0..1.6f32), random.random_range(0.2..0.8f32));
    let (sine, cosine) = turn.sin_cos();
    let contrast = random.random_range(0.1..1.0f32);
    let frequency = std::f32::consts::TAU / period;
    canvas.paint(canvas.area(), |u, v, _| {
        let (x, y) = (cosine * u + sine * v, cosine * v - sine * u);
        let wave = 0.5 + 0.25 * ((frequency * x).sin() + (frequency * ratio * y).sin());
        mix(one, other, if wave > cut { contrast } else { 0.0 })
    });
}

/// Speckles of a few millimetres to centimetres: terrazzo, carpet, plaster.
fn speckles(canvas: &mut Canvas, random: &mut ChaCha8Rng, colours: [Rgb; 2]) {
    let (seed, grain) = (random.random(), 10f32.powf(random.random_range(-1.9..-1.0)));
    let strength = random.random_range(0.2..1.0f32);
    canvas.paint(canvas.area(), |u, v, _| {
        let fine = lattice(seed, (u / grain) as i32, (v / grain) as i32);
        mix(colours[0], colours[1], strength * (0.5 * fine + 0.5 * octaves(seed, u / (8.0 * grain), v / (8.0 * grain))))
    });
}
