//! A building of rooms that are alike.

use nalgebra::Vector3;
use rand::Rng;

use super::world::hang_posters;
use super::{World, random_stream};

/// Rooms in a row along x, with a wall between each two that cannot be seen through. The same kinds of furniture stand in all of
/// them in nearly the same places, and walls, floor and ceiling are alike; some of the pictures on the walls are each
/// room's own, and so are the passes through it. The origin of the map is on the floor in the middle of the first room.
#[derive(Clone, Debug)]
pub struct Building {
    /// Each in its place in the map.
    pub rooms: Vec<World>,
}

impl Building {
    /// From the middle of a room to that of the next, metres: the room and a wall of 0.2 m.
    pub const PITCH: f32 = World::SIZE[0] + 0.2;
    /// Pictures on each wall that are the room's own.
    const OWN_PICTURES: usize = 6;

    /// The building of a seed with so many rooms; the first is [`World::new`] but for its own pictures.
    pub fn new(seed: u64, rooms: usize) -> Self {
        let room = |number: usize| {
            let own: u64 = if number == 0 { seed } else { random_stream(seed, "room", number as u64).random() };
            let hang = |canvas: &mut _, wall, size| {
                hang_posters(&mut random_stream(own, "pictures", wall), canvas, size, Self::OWN_PICTURES);
            };
            let shift = Vector3::new(number as f32 * Self::PITCH, 0.0, 0.0);
            World::alike(seed, own, &hang).moved(&shift)
        };
        Self { rooms: (0..rooms).map(room).collect() }
    }

    /// The number of the room that a place (map frame, metres) belongs to: the nearest.
    pub fn room_of(&self, place: &Vector3<f64>) -> usize {
        let nearest = (place.x / f64::from(Self::PITCH)).round().max(0.0);
        (nearest as usize).min(self.rooms.len().saturating_sub(1))
    }
}
