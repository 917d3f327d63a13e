//! A pass: one recording in the room, with its own light, moving objects and path.

use nalgebra::{Matrix3, Vector3};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::path::Wave;
use super::{Class, Lighting, Motion, Path, PathKind, Solid, World, furniture, random_stream};
use crate::geometry::{Se3, So3};

/// What a pass is for. Each kind and index is a different path, light and crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassKind {
    /// The n-th pass to train on.
    Training(u32),
    /// The pass to test on: the same one however many training passes there are.
    Test,
}

impl PassKind {
    pub(super) fn stream(self) -> u64 {
        match self {
            Self::Training(index) => u64::from(index) + 1,
            Self::Test => 0,
        }
    }
}

/// Where the sensors sit on the robot.
#[derive(Clone, Copy, Debug)]
pub struct Rig {
    /// Pose of the camera's optical frame (z forward, x right, y down) on the base (x forward, y left, z up).
    pub base_from_camera: Se3,
    /// Pose of the IMU on the base.
    pub base_from_imu: Se3,
}

impl Default for Rig {
    /// The camera looks forward from 0.6 m above the floor; the IMU sits level in the body.
    fn default() -> Self {
        let forward = Matrix3::new(0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0);
        let rotation = So3::from_quaternion(nalgebra::UnitQuaternion::from_matrix(&forward));
        Self {
            base_from_camera: Se3::new(rotation, Vector3::new(0.1, 0.0, 0.6)),
            base_from_imu: Se3::new(So3::identity(), Vector3::new(-0.05, 0.02, 0.2)),
        }
    }
}

/// One recording.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The seed of its world.
    pub seed: u64,
    /// What it is for.
    pub kind: PassKind,
    /// Its light.
    pub lighting: Lighting,
    /// The robot's way.
    pub path: Path,
    /// How the camera is carried.
    pub path_kind: PathKind,
    /// The robot's sensors.
    pub rig: Rig,
    movers: Vec<Mover>,
}

/// A box that slides to and fro along a side of the room, between the furniture and the robot's ground.
#[derive(Clone, Debug)]
struct Mover {
    solid: Solid,
    along: usize,
    wave: Wave,
    spin: f32,
}

impl Pass {
    /// The pass of a kind in a world.
    pub fn new(world: &World, kind: PassKind, path: PathKind) -> Self {
        let stream = |purpose| random_stream(world.seed, purpose, kind.stream());
        let (mut crowd, origin) = (stream("movers"), world.origin());
        let first: usize = crowd.random_range(0..4);
        Self {
            seed: world.seed,
            kind,
            lighting: Lighting::any(&mut stream("light"), &world.size()).moved(&origin),
            path: Path::any(&mut stream("path"), path).moved(&origin),
            path_kind: path,
            rig: Rig::default(),
            movers: (0..2).map(|index| Mover::any(&mut crowd, (first + 2 * index + index) % 4, &origin)).collect(),
        }
    }

    /// A camera that stands still in the light of the n-th training pass, while nothing moves.
    pub fn still(world: &World, index: u32, map_from_camera: Se3) -> Self {
        let kind = PassKind::Training(index);
        Self {
            seed: world.seed,
            kind,
            lighting: Lighting::any(&mut random_stream(world.seed, "light", kind.stream()), &world.size())
                .moved(&world.origin()),
            path: Path::default(),
            path_kind: PathKind::Handheld,
            // The base stays at the map's origin.
            rig: Rig { base_from_camera: map_from_camera, ..Rig::default() },
            movers: Vec::new(),
        }
    }

    /// A name for files: `training-01` and on, `test`.
    pub fn name(&self) -> String {
        match self.kind {
            PassKind::Training(index) => format!("training-{:02}", index + 1),
            PassKind::Test => "test".into(),
        }
    }

    /// The motion of the base at `t` seconds.
    pub fn motion(&self, t: f64) -> Motion {
        self.path.motion(t)
    }

    /// The true pose of the camera's optical frame at `t` seconds.
    pub fn map_from_camera(&self, t: f64) -> Se3 {
        self.motion(t).map_from_base * self.rig.base_from_camera
    }

    /// Takes the moving objects away.
    #[cfg(test)]
    pub(super) fn clear_movers(&mut self) {
        self.movers.clear();
    }

    /// The moving objects where they are at `t` seconds.
    pub fn movers(&self, t: f64) -> Vec<Solid> {
        self.movers.iter().map(|mover| mover.at(t)).collect()
    }
}

impl Mover {
    /// A box of person or cart size on side `side` of the room (0: -x, 1: +x, 2: -y, 3: +y).
    fn any(random: &mut ChaCha8Rng, side: usize, origin: &Vector3<f32>) -> Self {
        let half =
            Vector3::new(random.random_range(0.1..0.16), random.random_range(0.1..0.16), random.random_range(0.2..0.7));
        let along = 1 - side / 2;
        let across = side / 2;
        let sign = if side.is_multiple_of(2) { -1.0 } else { 1.0 };
        let mut centre = Vector3::new(0.0, 0.0, half.z);
        centre[across] = sign * [1.75, 1.3][across];
        centre += origin;
        let wave = Wave {
            amplitude: [1.5, 1.1][along],
            frequency: random.random_range(0.15..0.35),
            phase: random.random_range(0.0..std::f64::consts::TAU),
        };
        let (yaw, faces) = (random.random_range(0.0..3.0), furniture::faces(random, &half));
        let solid = Solid { centre, half, yaw, faces, classes: [Class::Mover; 6] };
        Self { solid, along, wave, spin: random.random_range(-0.4..0.4) }
    }

    fn at(&self, t: f64) -> Solid {
        let mut solid = self.solid.clone();
        solid.centre[self.along] += (self.wave.amplitude * (self.wave.frequency * t + self.wave.phase).sin()) as f32;
        solid.yaw += self.spin * t as f32;
        solid
    }
}
