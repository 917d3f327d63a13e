//! Light: lamps with colour and place, and diffuse reflection.

use nalgebra::Vector3;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::texture::{Rgb, mix};

/// A lamp that shines in all directions.
#[derive(Clone, Debug)]
pub struct Lamp {
    /// Where it hangs, map frame, metres.
    pub position: Vector3<f32>,
    /// Its power by colour, in the unit of [`Lighting::ambient`] at 1 m.
    pub power: Rgb,
}

/// The light of one pass.
#[derive(Clone, Debug)]
pub struct Lighting {
    /// Light from everywhere.
    pub ambient: Rgb,
    /// The lamps.
    pub lamps: Vec<Lamp>,
}

impl Lighting {
    /// A random evening or morning in a room of `size` metres: two or three lamps of 3000 K to 7500 K near the
    /// ceiling, and daylight. The camera's exposure control keeps the mean brightness within about ±20 %.
    pub(super) fn any(random: &mut ChaCha8Rng, size: &Vector3<f32>) -> Self {
        let mut tint = || mix([1.0; 3], black_body(random.random_range(3000.0..7500.0)), 0.6);
        let (sky, first, second, third) = (tint(), tint(), tint(), tint());
        let mut lamp = |colour: Rgb| {
            let power = random.random_range(0.5..1.6);
            let spot = |random: &mut ChaCha8Rng, extent: f32| random.random_range(-0.4..0.4) * extent;
            let height = size.z * random.random_range(0.75..0.95);
            let position = Vector3::new(spot(random, size.x), spot(random, size.y), height);
            Lamp { position, power: colour.map(|channel| channel * power) }
        };
        let mut lamps = vec![lamp(first), lamp(second)];
        let last = lamp(third);
        if random.random_bool(0.5) {
            lamps.push(last);
        }
        let level = random.random_range(0.35..0.6);
        let mut lighting = Self { ambient: sky.map(|channel| channel * level), lamps };
        let target = random.random_range(1.0..1.5);
        lighting.scale(target / lighting.mean(size));
        lighting
    }

    /// The same light in a room elsewhere in the map.
    pub(super) fn moved(mut self, shift: &Vector3<f32>) -> Self {
        self.lamps.iter_mut().for_each(|lamp| lamp.position += shift);
        self
    }

    /// The light that falls on a surface, by colour. Lambert's law; `normal` has length 1.
    pub fn irradiance(&self, point: &Vector3<f32>, normal: &Vector3<f32>) -> Rgb {
        self.lamps.iter().fold(self.ambient, |mut sum, lamp| {
            let towards = lamp.position - point;
            let square = towards.norm_squared().max(1e-6);
            let cosine = (towards.dot(normal) / square.sqrt()).max(0.0);
            // A lamp has a size: without the constant a ceiling beside it would be infinitely bright.
            let factor = cosine / (0.6 + square);
            sum.iter_mut().zip(lamp.power).for_each(|(channel, power)| *channel += power * factor);
            sum
        })
    }

    /// Mean over the four walls and the floor.
    fn mean(&self, size: &Vector3<f32>) -> f32 {
        let half = 0.5 * size;
        let spots = [Vector3::x(), -Vector3::x(), Vector3::y(), -Vector3::y(), -Vector3::z()].map(|outward| {
            let point = Vector3::new(0.0, 0.0, half.z) + outward.component_mul(&half);
            self.irradiance(&point, &-outward).iter().sum::<f32>() / 3.0
        });
        spots.iter().sum::<f32>() / spots.len() as f32
    }

    fn scale(&mut self, factor: f32) {
        let powers = self.lamps.iter_mut().map(|lamp| &mut lamp.power);
        for channels in powers.chain([&mut self.ambient]) {
            channels.iter_mut().for_each(|channel| *channel *= factor);
        }
    }
}

/// The colour of a black body of `kelvin`, brightest channel about 1 (a fit by T. Helland to the CIE 1964 tables).
fn black_body(kelvin: f32) -> Rgb {
    let hundreds = kelvin / 100.0;
    let red = if hundreds <= 66.0 { 255.0 } else { 329.7 * (hundreds - 60.0).powf(-0.1332) };
    let green = if hundreds <= 66.0 { 99.47 * hundreds.ln() - 161.1 } else { 288.1 * (hundreds - 60.0).powf(-0.0755) };
    let blue = if hundreds >= 66.0 { 255.0 } else { 138.5 * (hundreds - 10.0).ln() - 305.0 };
    [red, green, blue].map(|display| (display / 255.0).clamp(0.0, 1.0).powf(2.2))
}
