//! Which rooms are there at which step: they come and go one by one, so that young and old ones are there at any time.

/// Places for rooms, and when the next one takes the place of the oldest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Population {
    rooms: usize,
    places: usize,
    steps: u64,
}

/// A room that is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tenant {
    /// Its number among all rooms.
    pub(super) room: usize,
    /// The share of its life that it has lived, in `0..=1`.
    pub(super) age: f64,
}

impl Population {
    /// `rooms` rooms in `places` places over so many steps.
    pub(super) fn new(rooms: usize, places: usize, steps: u64) -> Self {
        Self { rooms, places: places.min(rooms), steps }
    }

    /// Steps from the coming of a room to that of the next.
    fn gap(&self) -> f64 {
        self.steps as f64 / (self.rooms - self.places + 1) as f64
    }

    /// Which room is in a place at a step. Each lives as long as any; the first ones, until their places are needed.
    pub(super) fn at(&self, step: u64, place: usize) -> Tenant {
        let (step, gap) = (step as f64, self.gap());
        // The place is taken anew at gap * (place + 1), and every `places` gaps from then on.
        let come =
            (((step / gap).floor() as usize).min(self.rooms - self.places) + self.places - 1 - place) / self.places;
        let room = place + come * self.places;
        let born = if come == 0 { 0.0 } else { gap * (room - self.places + 1) as f64 };
        let is_last = room + self.places >= self.rooms;
        let life = match (come, is_last) {
            (0, true) => self.steps as f64,
            (0, false) => gap * (place + 1) as f64,
            _ => gap * self.places as f64,
        };
        Tenant { room, age: ((step - born) / life).clamp(0.0, 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rooms_come_once_and_in_order() {
        for (rooms, places, steps) in [(7, 3, 100), (4, 4, 10), (20, 5, 400), (2, 8, 9)] {
            let population = Population::new(rooms, places, steps);
            let mut seen = vec![0; rooms];
            for place in 0..places.min(rooms) {
                let tenants: Vec<Tenant> = (0..steps).map(|step| population.at(step, place)).collect();
                seen[tenants[0].room] += 1;
                assert!(tenants[0] == Tenant { room: place, age: 0.0 });
                for pair in tenants.windows(2) {
                    match pair[1].room == pair[0].room {
                        true => assert!(pair[1].age > pair[0].age, "{pair:?}"),
                        false => {
                            assert!(
                                pair[1].room == pair[0].room + places && pair[1].age < 0.2 && pair[0].age > 0.5,
                                "{pair:?}"
                            );
                            seen[pair[1].room] += 1;
                        }
                    }
                }
            }
            assert_eq!(seen, vec![1; rooms], "{rooms} rooms in {places} places");
        }
    }
}
