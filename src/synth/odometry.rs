//! Wheel odometry: the motion between two moments, measured with an error of scale and slip, and added up.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Pass, random_stream};
use crate::Stamp;
use crate::geometry::{Se3, Vector6};

/// The errors of wheel odometry.
#[derive(Clone, Copy, Debug)]
pub struct OdometryNoise {
    /// Standard deviation of the error of scale, of distance and of turn, fixed for a pass.
    pub scale: f64,
    /// Standard deviation of the slip along each axis after 1 m, metres; after n m √n times as much.
    pub slip: f64,
    /// Standard deviation of the heading's error after a turn of 1 rad, rad.
    pub turn_slip: f64,
}

impl OdometryNoise {
    /// A calibrated indoor robot: drifts by about one per cent of the way.
    pub const INDOOR: Self = Self { scale: 0.01, slip: 0.01, turn_slip: 0.01 };
}

/// What the wheels say.
#[derive(Clone, Debug)]
pub struct OdometrySample {
    /// When.
    pub stamp: Stamp,
    /// Pose of the base in the odometry's frame; identity at the first sample.
    pub odom_from_base: Se3,
    /// Velocity (m/s) then rate of turn (rad/s), in the axes of the base.
    pub twist: Vector6,
    /// Variance of each axis of the pose that slip has added up to: translation (m²), rotation (rad²).
    pub variance: Vector6,
}

/// The odometry of a planar pass: `count` samples at `rate` Hz from `start`.
pub fn simulate_odometry(
    pass: &Pass,
    start: Stamp,
    rate: f64,
    count: usize,
    noise: &OdometryNoise,
) -> Vec<OdometrySample> {
    let mut random = random_stream(pass.seed, "odometry", pass.kind.stream());
    let scale = [1.0 + noise.scale * normal(&mut random), 1.0 + noise.scale * normal(&mut random)];
    let mut previous = pass.motion(0.0).map_from_base;
    let mut odom_from_base = Se3::identity();
    let mut variance = Vector6::repeat(1e-6);
    let sample = |index: usize| {
        let nanos = (index as f64 / rate * 1e9).round() as i64;
        let current = pass.motion(nanos as f64 * 1e-9).map_from_base;
        let step = previous.local(current);
        let slip = (noise.slip.powi(2) * step.fixed_rows::<2>(0).norm()).sqrt();
        let turn_slip = (noise.turn_slip.powi(2) * step[5].abs()).sqrt();
        let slipped = Vector6::new(
            slip * normal(&mut random),
            slip * normal(&mut random),
            0.0,
            0.0,
            0.0,
            turn_slip * normal(&mut random),
        );
        let measured =
            Vector6::new(step[0] * scale[0], step[1] * scale[0], 0.0, 0.0, 0.0, step[5] * scale[1]) + slipped;
        odom_from_base = odom_from_base.retract(&measured);
        variance += Vector6::new(slip * slip, slip * slip, 0.0, 0.0, 0.0, turn_slip * turn_slip);
        previous = current;
        let stamp = Stamp::from_nanos(start.as_nanos() + nanos);
        OdometrySample { stamp, odom_from_base, twist: measured * rate, variance }
    };
    (0..count).map(sample).collect()
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    random.sample(StandardNormal)
}
