//! Painting textures: value noise, stripes and posters of many motifs, so that each place looks like no other.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::texture::{Rgb, Texture, mix};

/// A face being painted: coordinates in metres from its lower left corner.
pub(super) struct Canvas {
    size: [f32; 2],
    texels_per_metre: f32,
    width: usize,
    height: usize,
    texels: Vec<Rgb>,
}

/// A rectangle in metres.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub left: f32,
    pub bottom: f32,
    pub width: f32,
    pub height: f32,
}

impl Canvas {
    /// A canvas of `size` metres.
    pub fn new(size: [f32; 2], texels_per_metre: f32) -> Self {
        let [width, height] = size.map(|metres| ((metres * texels_per_metre).round() as usize).max(2));
        Self { size, texels_per_metre, width, height, texels: vec![[0.5; 3]; width * height] }
    }

    /// The whole face.
    pub fn area(&self) -> Area {
        Area { left: 0.0, bottom: 0.0, width: self.size[0], height: self.size[1] }
    }

    /// Repaints the texels of `area`: `colour` gets metres from the area's corner and the colour that is there.
    pub fn paint(&mut self, area: Area, colour: impl Fn(f32, f32, Rgb) -> Rgb) {
        let texel = |metres: f32, limit: usize| ((metres * self.texels_per_metre).max(0.0) as usize).min(limit);
        let columns = texel(area.left, self.width)..texel(area.left + area.width, self.width);
        for row in texel(area.bottom, self.height)..texel(area.bottom + area.height, self.height) {
            for column in columns.clone() {
                let u = (column as f32 + 0.5) / self.texels_per_metre - area.left;
                let v = (row as f32 + 0.5) / self.texels_per_metre - area.bottom;
                let old = &mut self.texels[row * self.width + column];
                *old = colour(u, v, *old);
            }
        }
    }

    /// Fills everything with clouds between two colours; `grain` is the size of the largest cloud in metres.
    pub fn clouds(&mut self, random: &mut ChaCha8Rng, grain: f32, colours: [Rgb; 2]) {
        let seed = random.random();
        self.paint(self.area(), |u, v, _| mix(colours[0], colours[1], octaves(seed, u / grain, v / grain)));
    }

    /// Darkens and lightens everything by noise of `grain` metres.
    pub fn mottle(&mut self, random: &mut ChaCha8Rng, grain: f32, strength: f32) {
        let seed = random.random();
        self.paint(self.area(), |u, v, old| {
            let factor = 1.0 + strength * (2.0 * octaves(seed, u / grain, v / grain) - 1.0);
            old.map(|channel| (channel * factor).clamp(0.01, 0.95))
        });
    }

    /// Hangs a framed picture with a random motif into `area`.
    pub fn poster(&mut self, random: &mut ChaCha8Rng, area: Area) {
        let (frame, ground, figure) = (vivid(random), vivid(random), vivid(random));
        let border = 0.04_f32.min(0.1 * area.width.min(area.height));
        self.paint(area, |_, _, _| frame);
        let inner = Area {
            left: area.left + border,
            bottom: area.bottom + border,
            width: area.width - 2.0 * border,
            height: area.height - 2.0 * border,
        };
        let motif = Motif::any(random, inner);
        let accent = vivid(random);
        self.paint(inner, |u, v, _| match motif.layer(u, v) {
            0 => ground,
            1 => figure,
            _ => accent,
        });
    }

    /// The finished texture.
    pub fn finish(self) -> Texture {
        Texture::new(self.width, self.height, self.texels, self.texels_per_metre)
    }
}

/// What a poster shows, in metres of the poster.
enum Motif {
    Stripes { direction: [f32; 2], period: f32 },
    Checker { period: f32, slant: f32 },
    Rings { centre: [f32; 2], period: f32 },
    Discs { discs: Vec<[f32; 3]> },
    Lines { seed: u32, height: f32, indent: f32, width: f32 },
    Islands { seed: u32, grain: f32 },
    Rays { centre: [f32; 2], count: f32 },
}

impl Motif {
    fn any(random: &mut ChaCha8Rng, area: Area) -> Self {
        let small = area.width.min(area.height);
        let centre = [area.width * random.random_range(0.25..0.75), area.height * random.random_range(0.25..0.75)];
        match random.random_range(0..7) {
            0 => {
                let angle = random.random_range(0.0..std::f32::consts::PI);
                Self::Stripes { direction: [angle.cos(), angle.sin()], period: small * random.random_range(0.15..0.5) }
            }
            1 => {
                Self::Checker { period: small * random.random_range(0.15..0.4), slant: random.random_range(-0.6..0.6) }
            }
            2 => Self::Rings { centre, period: small * random.random_range(0.15..0.45) },
            3 => {
                let disc = |random: &mut ChaCha8Rng| {
                    let radius = small * random.random_range(0.08..0.3);
                    [random.random_range(0.0..area.width), random.random_range(0.0..area.height), radius]
                };
                Self::Discs { discs: (0..random.random_range(2..7)).map(|_| disc(random)).collect() }
            }
            4 => Self::Lines {
                seed: random.random(),
                height: small * random.random_range(0.08..0.16),
                indent: 0.1 * area.width,
                width: area.width,
            },
            5 => Self::Islands { seed: random.random(), grain: small * random.random_range(0.3..0.7) },
            _ => Self::Rays { centre, count: random.random_range(3..9) as f32 },
        }
    }

    /// Which of three colours a point has: 0 ground, 1 figure, 2 accent.
    fn layer(&self, u: f32, v: f32) -> usize {
        let every_other = |value: f32| value.rem_euclid(2.0) as usize;
        match self {
            Self::Stripes { direction, period } => every_other((u * direction[0] + v * direction[1]) / period),
            Self::Checker { period, slant } => {
                every_other(((u + slant * v) / period).floor() + (v / period).floor()).min(1)
            }
            Self::Rings { centre, period } => {
                ((u - centre[0]).hypot(v - centre[1]) / period * 2.0).rem_euclid(3.0) as usize
            }
            Self::Discs { discs } => discs
                .iter()
                .enumerate()
                .filter(|(_, [x, y, radius])| (u - x).hypot(v - y) < *radius)
                .map(|(index, _)| 1 + index % 2)
                .next_back()
                .unwrap_or(0),
            Self::Lines { seed, height, indent, width } => {
                let line = (v / height).floor();
                let end = width * (0.35 + 0.55 * lattice(*seed, line as i32, 0));
                let word = lattice(*seed, (u / (1.6 * height)).floor() as i32, line as i32 + 1) < 0.8;
                let inside = u > *indent && u < end && (v / height).rem_euclid(1.0) > 0.4;
                if inside && word { 1 + usize::from(line as i32 % 5 == 0) } else { 0 }
            }
            Self::Islands { seed, grain } => {
                let height = octaves(*seed, u / grain, v / grain);
                usize::from(height > 0.45) + usize::from(height > 0.58)
            }
            Self::Rays { centre, count } => {
                let turn = (v - centre[1]).atan2(u - centre[0]) / std::f32::consts::TAU + 0.5;
                every_other(turn * 2.0 * count)
            }
        }
    }
}

/// A saturated colour of any hue, as linear albedo.
pub(super) fn vivid(random: &mut ChaCha8Rng) -> Rgb {
    colour(random.random_range(0.0..1.0), random.random_range(0.25..1.0), random.random_range(0.15..0.95))
}

/// Hue (turns), saturation and value of the display colour, as linear albedo.
pub(super) fn colour(hue: f32, saturation: f32, value: f32) -> Rgb {
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + 6.0 * hue).rem_euclid(6.0);
        let channel = value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0));
        channel.clamp(0.0, 1.0).powf(2.2).clamp(0.01, 0.95)
    })
}

/// Value noise of four octaves, in `0..1`, the largest with period 1.
pub(super) fn octaves(seed: u32, u: f32, v: f32) -> f32 {
    let octave = |n: u32| {
        let scale = (1 << n) as f32;
        value_noise(seed.wrapping_add(n), u * scale, v * scale) / scale
    };
    (0..4).map(octave).sum::<f32>() / 1.875
}

/// Smoothly interpolated random values on the integer grid, in `0..1`.
fn value_noise(seed: u32, u: f32, v: f32) -> f32 {
    let (column, row) = (u.floor(), v.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fu, fv) = (smooth(u - column), smooth(v - row));
    let corner = |du: i32, dv: i32| lattice(seed, column as i32 + du, row as i32 + dv);
    let lower = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * fu;
    let upper = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * fu;
    lower + (upper - lower) * fv
}

/// A random number in `0..1` for each integer point.
pub(super) fn lattice(seed: u32, column: i32, row: i32) -> f32 {
    let mut hash = seed ^ (column as u32).wrapping_mul(0x8da6_b343) ^ (row as u32).wrapping_mul(0xd816_3841);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
    ((hash ^ (hash >> 16)) >> 8) as f32 / (1 << 24) as f32
}
