//! The room that stays the same in all passes.

use std::sync::Arc;

use nalgebra::Vector3;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::furniture;
use super::paint::{Area, Canvas, colour};
use super::{Class, Solid, Texture, random_stream};

/// A furnished room. The origin of the map is on the floor in its middle (but see [`Building`](super::Building)); x along the longer side,
/// z up.
#[derive(Clone, Debug)]
pub struct World {
    /// The seed that made it.
    pub seed: u64,
    /// The walls, floor and ceiling: a box to be seen from inside.
    pub room: Solid,
    /// What stands in it, all along the walls: the middle is free.
    pub furniture: Vec<Solid>,
}

impl World {
    /// Length (x), width (y) and height (z) of the room, metres.
    pub const SIZE: [f32; 3] = [5.0, 4.0, 2.6];
    /// Half the extent along x and y of the rectangle around the origin in which a robot may drive, metres.
    pub const FREE: [f64; 2] = [1.4, 0.95];

    /// The room of a seed.
    pub fn new(seed: u64) -> Self {
        Self::alike(seed, seed, &|_, _, _| ())
    }

    /// A room that looks as that of the seed `looks`, with its furniture moved as that of `seed` and what `hang` adds to a wall,
    /// of which it gets number and size (metres).
    pub(super) fn alike(looks: u64, seed: u64, hang: &dyn Fn(&mut Canvas, u64, [f32; 2])) -> Self {
        let size = Vector3::from(Self::SIZE);
        let first_hue: f32 = random_stream(looks, "hue", 0).random();
        let wall = |index: u64, width: f32| {
            // Four hues far apart: which wall it is shows from any piece of it.
            let hue = first_hue + [0.0, 0.5, 0.25, 0.75][index as usize];
            let mut canvas = paint_wall(&mut random_stream(looks, "wall", index), [width, size.z], hue);
            hang(&mut canvas, index, [width, size.z]);
            Arc::new(canvas.finish())
        };
        let faces = [
            wall(0, size.y),
            wall(1, size.y),
            wall(2, size.x),
            wall(3, size.x),
            Arc::new(paint_floor(&mut random_stream(looks, "floor", 0), [size.x, size.y])),
            Arc::new(paint_ceiling(&mut random_stream(looks, "ceiling", 0), [size.x, size.y])),
        ];
        let classes = [Class::Wall, Class::Wall, Class::Wall, Class::Wall, Class::Floor, Class::Ceiling];
        let room = Solid { centre: Vector3::new(0.0, 0.0, 0.5 * size.z), half: 0.5 * size, yaw: 0.0, faces, classes };
        Self { seed, room, furniture: furniture::along_walls(looks, seed, &size) }
    }

    /// Length (x), width (y) and height (z), metres.
    pub fn size(&self) -> Vector3<f32> {
        2.0 * self.room.half
    }

    /// Where the middle of its floor lies in the map, metres: at the origin, but for a room of a building.
    pub fn origin(&self) -> Vector3<f32> {
        self.room.centre - Vector3::new(0.0, 0.0, self.room.half.z)
    }

    /// The same room elsewhere in the map.
    pub(super) fn moved(mut self, shift: &Vector3<f32>) -> Self {
        self.room.centre += shift;
        self.furniture.iter_mut().for_each(|piece| piece.centre += shift);
        self
    }
}

/// A wall: clouds of its hue that change along it, a skirting, and a jumble of posters, none over another's middle.
fn paint_wall(random: &mut ChaCha8Rng, size: [f32; 2], hue: f32) -> Canvas {
    let mut canvas = Canvas::new(size, 110.0);
    canvas.clouds(random, 1.3, [colour(hue, 0.5, 0.9), colour(hue + 0.12, 0.65, 0.55)]);
    let (period, slope) = (random.random_range(0.25..0.5), random.random_range(-0.5..0.5_f32));
    let stripe = colour(hue + 0.06, 0.35, 0.75);
    canvas.paint(canvas.area(), |u, v, old| {
        if ((u + slope * v) / period).rem_euclid(1.0) < 0.12 + 0.25 * u / size[0] { stripe } else { old }
    });
    let skirting = colour(hue + 0.5, 0.4, 0.35);
    canvas.paint(Area { height: 0.1, ..canvas.area() }, |_, _, _| skirting);
    hang_posters(random, &mut canvas, size, 26);
    canvas.mottle(random, 0.12, 0.18);
    canvas
}

/// Up to `count` posters, large ones first; a place whose middle is taken is left.
pub(super) fn hang_posters(random: &mut ChaCha8Rng, canvas: &mut Canvas, size: [f32; 2], count: usize) {
    let mut hung: Vec<Area> = Vec::new();
    for _ in 0..4 * count {
        let scale = if hung.len() < 5 { random.random_range(0.5..0.95) } else { random.random_range(0.16..0.45) };
        let (width, height) = (scale * random.random_range(0.7..1.3), scale * random.random_range(0.7..1.2));
        let left = random.random_range(0.05..size[0] - width - 0.05);
        let bottom = random.random_range(0.12..size[1] - height - 0.05);
        let area = Area { left, bottom, width, height };
        let overlaps = |other: &Area| {
            let gap = 0.02;
            left < other.left + other.width + gap
                && other.left < left + width + gap
                && bottom < other.bottom + other.height + gap
                && other.bottom < bottom + height + gap
        };
        if hung.iter().any(overlaps) {
            continue;
        }
        canvas.poster(random, area);
        hung.push(area);
        if hung.len() == count {
            break;
        }
    }
}

/// A floor: boards whose tint drifts along the room, and three rugs.
fn paint_floor(random: &mut ChaCha8Rng, size: [f32; 2]) -> Texture {
    let mut canvas = Canvas::new(size, 100.0);
    canvas.clouds(random, 1.0, [colour(0.08, 0.5, 0.65), colour(0.02, 0.6, 0.4)]);
    canvas.paint(canvas.area(), |u, v, old| {
        let board = (v / 0.25).floor();
        let joint = (v / 0.25).rem_euclid(1.0) < 0.05 || ((u + 0.37 * board) / 1.1).rem_euclid(1.0) < 0.012;
        if joint { old.map(|channel| 0.4 * channel) } else { old }
    });
    for (left, bottom) in [(0.6, 0.7), (2.0, 1.7), (3.3, 0.6)] {
        let (width, height) = (random.random_range(0.7..1.2), random.random_range(0.6..1.1));
        canvas.poster(random, Area { left, bottom, width, height });
    }
    canvas.mottle(random, 0.15, 0.2);
    canvas.finish()
}

/// A ceiling: pale panels, each a little different, and some coloured fields.
fn paint_ceiling(random: &mut ChaCha8Rng, size: [f32; 2]) -> Texture {
    let mut canvas = Canvas::new(size, 60.0);
    canvas.clouds(random, 1.5, [colour(0.6, 0.1, 0.95), colour(0.1, 0.15, 0.75)]);
    canvas.paint(canvas.area(), |u, v, old| {
        let joint = u.rem_euclid(0.625) < 0.03 || v.rem_euclid(0.625) < 0.03;
        if joint { old.map(|channel| 0.5 * channel) } else { old }
    });
    for _ in 0..9 {
        let (left, bottom) = (random.random_range(0.0..size[0] - 0.7), random.random_range(0.0..size[1] - 0.7));
        let (width, height) = (random.random_range(0.3..0.7), random.random_range(0.3..0.7));
        canvas.poster(random, Area { left, bottom, width, height });
    }
    canvas.finish()
}
