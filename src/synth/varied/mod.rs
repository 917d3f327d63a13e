//! Rooms that differ from each other as real ones do: in size, light and dark colours, materials, order and disorder.
//!
//! [`World::new`] makes rooms in which each place looks like no other, for a robot to be localized in. What is learned from many
//! of these rooms should be of use in real ones, where walls are plain, things repeat, and most colours are pale. So surfaces have
//! materials (plain, clouded, wood, tiles, a repeated pattern, speckles), on which hang posters, sheets of text, boards of
//! books and collages of overlapping shapes of all sizes ("dead leaves": Lee, Mumford & Huang 2001; what they look like is
//! about what a photograph looks like to a filter, and networks learn from them: Baradad et al. 2021, arXiv 2106.05963).

mod clutter;
mod leaves;
mod material;
mod things;

use std::sync::Arc;

use nalgebra::Vector3;
use rand::Rng;

use super::{Class, Solid, Texture, World, random_stream};
use material::Palette;

impl World {
    /// A furnished room of any size (3 to 8 m), with other materials, colours and clutter for each seed. Each piece of furniture
    /// stands or hangs anywhere; [`World::is_free`] says where a camera may be.
    pub fn varied(seed: u64) -> Self {
        let mut random = random_stream(seed, "varied", 0);
        let size =
            Vector3::new(random.random_range(3.5..8.0), random.random_range(3.0..6.0), random.random_range(2.3..3.3));
        let palette = Palette::any(&mut random);
        // Two walls of one paper, or four of four.
        let papers: [u64; 4] = if random.random_bool(0.5) { [0, 0, 0, 0] } else { [0, 1, 0, 1] };
        let face = |index: usize, width: f32, height: f32| -> Arc<Texture> {
            let stream = |purpose, index| random_stream(seed, purpose, index);
            let texture = match index {
                0..4 => {
                    let paper = &mut stream("paper", papers[index]);
                    things::wall(paper, &mut stream("things", index as u64), &palette, [width, height])
                }
                4 => things::floor(&mut stream("floor", 1), &palette, [width, height]),
                _ => things::ceiling(&mut stream("ceiling", 1), &palette, [width, height]),
            };
            Arc::new(texture)
        };
        let sides = [
            (size.y, size.z),
            (size.y, size.z),
            (size.x, size.z),
            (size.x, size.z),
            (size.x, size.y),
            (size.x, size.y),
        ];
        let faces = std::array::from_fn(|index| face(index, sides[index].0, sides[index].1));
        let classes = [Class::Wall, Class::Wall, Class::Wall, Class::Wall, Class::Floor, Class::Ceiling];
        let room = Solid { centre: Vector3::new(0.0, 0.0, 0.5 * size.z), half: 0.5 * size, yaw: 0.0, faces, classes };
        Self { seed, room, furniture: clutter::scatter(seed, &palette, &size) }
    }

    /// Whether a point (map frame, metres) lies in the room and farther than `margin` metres from everything.
    pub fn is_free(&self, point: &Vector3<f64>, margin: f32) -> bool {
        let point: Vector3<f32> = point.cast();
        let from_walls = self.room.half - (point - self.room.centre).abs();
        let in_the_way = |solid: &Solid| {
            let (sine, cosine) = solid.yaw.sin_cos();
            let offset = point - solid.centre;
            let local =
                Vector3::new(cosine * offset.x + sine * offset.y, cosine * offset.y - sine * offset.x, offset.z);
            (local.abs() - solid.half).max() < margin
        };
        from_walls.min() > margin && !self.furniture.iter().any(in_the_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours at some places of all faces of a room.
    fn looks(world: &World) -> Vec<[u32; 3]> {
        let places = [0.13, 0.37, 0.52, 0.81];
        let faces = world.room.faces.iter().chain(world.furniture.iter().flat_map(|solid| &solid.faces));
        let sampled = faces.flat_map(|face| places.map(|u| face.sample(u, 1.0 - 0.9 * u, 0.01)));
        sampled.map(|colour| colour.map(f32::to_bits)).collect()
    }

    #[test]
    fn a_room_is_a_function_of_its_seed_and_differs_from_others() {
        let rooms: Vec<World> = (0..6).map(World::varied).collect();
        assert_eq!(looks(&rooms[2]), looks(&World::varied(2)));
        for (index, one) in rooms.iter().enumerate() {
            for other in &rooms[..index] {
                let (one_looks, other_looks) = (looks(one), looks(other));
                let same = one_looks.iter().zip(&other_looks).filter(|(one, other)| one == other).count();
                assert!(same * 20 < one_looks.len(), "{} and {}: {same} alike", one.seed, other.seed);
                assert!((one.size() - other.size()).norm() > 0.05);
            }
        }
        let brightness = |world: &World| {
            let colours: Vec<f32> = world.room.faces[..4].iter().map(|face| face.sample(0.5, 0.5, 9.0)[1]).collect();
            colours.iter().sum::<f32>() / 4.0
        };
        let levels: Vec<f32> = rooms.iter().map(brightness).collect();
        let (low, high) = (levels.iter().copied().fold(1.0, f32::min), levels.iter().copied().fold(0.0, f32::max));
        assert!(high > 1.3 * low, "walls between {low} and {high}");
    }

    #[test]
    fn there_is_room_for_a_camera_but_not_in_the_furniture() {
        for seed in 0..8 {
            let world = World::varied(seed);
            let half = 0.5 * world.size();
            let solid = &world.furniture[0];
            assert!(!world.is_free(&solid.centre.cast(), 0.0));
            assert!(!world.is_free(&Vector3::new(f64::from(half.x) + 0.1, 0.0, 1.0), 0.0));
            let places = (0..100).map(|index| {
                let share = |index: usize| (f64::from(index as u8) + 0.5) / 10.0 - 0.5;
                Vector3::new(f64::from(half.x) * share(index % 10), f64::from(half.y) * share(index / 10), 1.4)
            });
            let free = places.filter(|place| world.is_free(place, 0.2)).count();
            assert!(free > 20, "room {seed}: only {free} of 100 places are free");
        }
    }
}
