//! Paths of the robot: sums of sinusoids, so pose, velocity and acceleration are exact at any time.

use nalgebra::Vector3;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::World;
use crate::geometry::{Se3, So3};

/// How the camera is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "bag", derive(clap::ValueEnum))]
pub enum PathKind {
    /// On an omnidirectional wheeled base: x, y and yaw on the floor.
    #[default]
    Planar,
    /// In the hand: the same walk, with height, roll and pitch that sway.
    Handheld,
}

/// One sinusoid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wave {
    /// Metres or radians.
    pub amplitude: f64,
    /// Angular frequency, rad/s.
    pub frequency: f64,
    /// Radians.
    pub phase: f64,
}

/// `offset + slope t + Σ amplitude sin(frequency t + phase)`.
#[derive(Clone, Debug, Default)]
struct Curve {
    offset: f64,
    slope: f64,
    waves: Vec<Wave>,
}

impl Curve {
    /// Value, first and second derivative at `t` seconds.
    fn at(&self, t: f64) -> [f64; 3] {
        self.waves.iter().fold([self.offset + self.slope * t, self.slope, 0.0], |[value, rate, second], wave| {
            let (sine, cosine) = (wave.frequency * t + wave.phase).sin_cos();
            let (a, w) = (wave.amplitude, wave.frequency);
            [value + a * sine, rate + a * w * cosine, second - a * w * w * sine]
        })
    }

    /// The same curve, followed `factor` times as fast.
    fn hasten(&mut self, factor: f64) {
        self.slope *= factor;
        self.waves.iter_mut().for_each(|wave| wave.frequency *= factor);
    }
}

/// Where the body is at a moment and how it moves.
#[derive(Clone, Copy, Debug)]
pub struct Motion {
    /// Pose of `base_link` in the map.
    pub map_from_base: Se3,
    /// Velocity of the origin of `base_link`, map axes, m/s.
    pub velocity: Vector3<f64>,
    /// Acceleration of the origin of `base_link`, map axes, m/s².
    pub acceleration: Vector3<f64>,
    /// Rate of turn, body axes, rad/s.
    pub angular_velocity: Vector3<f64>,
    /// Its derivative, body axes, rad/s².
    pub angular_acceleration: Vector3<f64>,
}

/// The path of `base_link` through the room: smooth (all derivatives exist), within [`World::FREE`] of its middle. By default it stays at
/// the map's origin.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// x, y, z (metres), roll, pitch, yaw (radians; R = Rz(yaw) Ry(pitch) Rx(roll)).
    curves: [Curve; 6],
}

impl Path {
    /// Fastest speed over the floor, m/s.
    pub const MAX_SPEED: f64 = 0.5;
    /// Fastest turn about the vertical, rad/s.
    pub const MAX_YAW_RATE: f64 = 0.8;

    /// A random path.
    pub(super) fn any(random: &mut ChaCha8Rng, kind: PathKind) -> Self {
        let mut curves: [Curve; 6] = Default::default();
        curves[0] = wander(random, World::FREE[0]);
        curves[1] = wander(random, World::FREE[1]);
        let turn = if random.random_bool(0.5) { 1.0 } else { -1.0 };
        curves[5] = Curve {
            offset: random.random_range(0.0..std::f64::consts::TAU),
            slope: turn * random.random_range(0.28..0.4),
            waves: vec![wave(random, 0.9, 0.13..0.25), wave(random, 0.25, 0.4..0.7)],
        };
        let mut path = Self { curves };
        path.slow_down();
        if kind == PathKind::Handheld {
            path.curves[2] = Curve { offset: 0.6, slope: 0.0, waves: sway(random, 0.06) };
            path.curves[3] = Curve { waves: sway(random, 0.06), ..Curve::default() };
            path.curves[4] = Curve { waves: sway(random, 0.09), ..Curve::default() };
        }
        path
    }

    /// The same path elsewhere in the map.
    pub(super) fn moved(mut self, shift: &Vector3<f32>) -> Self {
        self.curves.iter_mut().zip(shift.iter()).for_each(|(curve, metres)| curve.offset += f64::from(*metres));
        self
    }

    /// Stretches time until the sums of all amplitudes keep to the limits of speed and yaw rate.
    fn slow_down(&mut self) {
        let fastest = |curve: &Curve| {
            curve.slope.abs() + curve.waves.iter().map(|wave| (wave.amplitude * wave.frequency).abs()).sum::<f64>()
        };
        let speed = fastest(&self.curves[0]).hypot(fastest(&self.curves[1]));
        self.curves[..2].iter_mut().for_each(|curve| curve.hasten((Self::MAX_SPEED / speed).min(1.0)));
        let rate = fastest(&self.curves[5]);
        self.curves[5].hasten((Self::MAX_YAW_RATE / rate).min(1.0));
    }

    /// The motion at `t` seconds from the start; also before the start, where the path goes on.
    pub fn motion(&self, t: f64) -> Motion {
        let [x, y, z, roll, pitch, yaw] = [0, 1, 2, 3, 4, 5].map(|index: usize| self.curves[index].at(t));
        let derivative = |order: usize| Vector3::new(x[order], y[order], z[order]);
        let axis_angle = |axis: Vector3<f64>, angle: f64| So3::exp(&(axis * angle));
        let rotation =
            axis_angle(Vector3::z(), yaw[0]) * axis_angle(Vector3::y(), pitch[0]) * axis_angle(Vector3::x(), roll[0]);
        let (angular_velocity, angular_acceleration) = body_rates(roll, pitch, yaw);
        Motion {
            map_from_base: Se3::new(rotation, derivative(0)),
            velocity: derivative(1),
            acceleration: derivative(2),
            angular_velocity,
            angular_acceleration,
        }
    }
}

/// Angular velocity and acceleration in body axes from the angles Rz(yaw) Ry(pitch) Rx(roll), each with its first
/// and second derivative (Diebel 2006, eq. 309 and its derivative).
fn body_rates(roll: [f64; 3], pitch: [f64; 3], yaw: [f64; 3]) -> (Vector3<f64>, Vector3<f64>) {
    let ((sr, cr), (sp, cp)) = (roll[0].sin_cos(), pitch[0].sin_cos());
    let (r1, p1, y1) = (roll[1], pitch[1], yaw[1]);
    let (r2, p2, y2) = (roll[2], pitch[2], yaw[2]);
    let velocity = Vector3::new(r1 - y1 * sp, p1 * cr + y1 * sr * cp, y1 * cr * cp - p1 * sr);
    let acceleration = Vector3::new(
        r2 - y2 * sp - y1 * cp * p1,
        p2 * cr - p1 * sr * r1 + y2 * sr * cp + y1 * (cr * r1 * cp - sr * sp * p1),
        y2 * cr * cp - y1 * (sr * r1 * cp + cr * sp * p1) - p2 * sr - p1 * cr * r1,
    );
    (velocity, acceleration)
}

/// A walk within ±`extent`: two slow waves with unrelated periods, which fill the range evenly.
fn wander(random: &mut ChaCha8Rng, extent: f64) -> Curve {
    let share = random.random_range(0.55..0.75);
    let waves = vec![wave(random, share * extent, 0.14..0.24), wave(random, (1.0 - share) * extent, 0.3..0.55)];
    Curve { waves, ..Curve::default() }
}

/// What a hand does: a slow and a quick wave.
fn sway(random: &mut ChaCha8Rng, amplitude: f64) -> Vec<Wave> {
    vec![wave(random, 0.75 * amplitude, 1.0..2.5), wave(random, 0.25 * amplitude, 5.0..9.0)]
}

fn wave(random: &mut ChaCha8Rng, amplitude: f64, frequency: std::ops::Range<f64>) -> Wave {
    let phase = random.random_range(0.0..std::f64::consts::TAU);
    Wave { amplitude, frequency: random.random_range(frequency), phase }
}
