//! An inertial measurement unit on the path: the exact derivatives, with biases that wander and white noise.

use nalgebra::Vector3;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Pass, random_stream};
use crate::Stamp;
use crate::imu::ImuNoise;
use crate::sensor::ImuSample;

/// Gravity in the map, m/s².
pub const GRAVITY_IN_MAP: Vector3<f64> = Vector3::new(0.0, 0.0, -9.81);

/// The errors of an IMU: its noise, and the biases that it starts with.
#[derive(Clone, Copy, Debug)]
pub struct ImuErrors {
    /// White noise and random walks; zeros are allowed.
    pub noise: ImuNoise,
    /// Standard deviation of each axis of the gyroscope's bias at the start, rad/s.
    pub gyroscope_bias: f64,
    /// Standard deviation of each axis of the accelerometer's bias at the start, m/s².
    pub accelerometer_bias: f64,
}

impl ImuErrors {
    /// No errors.
    pub const NONE: Self = Self {
        noise: ImuNoise {
            gyroscope_noise_density: 0.0,
            gyroscope_random_walk: 0.0,
            accelerometer_noise_density: 0.0,
            accelerometer_random_walk: 0.0,
        },
        gyroscope_bias: 0.0,
        accelerometer_bias: 0.0,
    };

    /// The ADIS16448 of the EuRoC dataset (Burri et al. 2016, `sensor.yaml`), with biases of a unit calibrated at
    /// its last start.
    pub const EUROC: Self = Self {
        noise: ImuNoise {
            gyroscope_noise_density: 1.6968e-4,
            gyroscope_random_walk: 1.9393e-5,
            accelerometer_noise_density: 2.0e-3,
            accelerometer_random_walk: 3.0e-3,
        },
        gyroscope_bias: 5.0e-3,
        accelerometer_bias: 5.0e-2,
    };
}

/// The readings of the pass's IMU: `count` samples at `rate` Hz from `start`, in the axes of `imu_link`.
///
/// White noise of a density σ has the standard deviation σ √rate per sample, a random walk σ moves σ / √rate.
pub fn simulate_imu(pass: &Pass, start: Stamp, rate: f64, count: usize, errors: &ImuErrors) -> Vec<ImuSample> {
    let mut random = random_stream(pass.seed, "imu", pass.kind.stream());
    let mut gyroscope_bias = errors.gyroscope_bias * normal(&mut random);
    let mut accelerometer_bias = errors.accelerometer_bias * normal(&mut random);
    let (noise, root) = (errors.noise, rate.sqrt());
    let sample = |index: usize| {
        let nanos = (index as f64 / rate * 1e9).round() as i64;
        let (angular_velocity, linear_acceleration) = ideal_reading(pass, nanos as f64 * 1e-9);
        gyroscope_bias += noise.gyroscope_random_walk / root * normal(&mut random);
        accelerometer_bias += noise.accelerometer_random_walk / root * normal(&mut random);
        ImuSample {
            stamp: Stamp::from_nanos(start.as_nanos() + nanos),
            angular_velocity: angular_velocity
                + gyroscope_bias
                + noise.gyroscope_noise_density * root * normal(&mut random),
            linear_acceleration: linear_acceleration
                + accelerometer_bias
                + noise.accelerometer_noise_density * root * normal(&mut random),
        }
    };
    (0..count).map(sample).collect()
}

/// Rate of turn and specific force in the axes of the IMU, which sits beside the origin of the base.
fn ideal_reading(pass: &Pass, t: f64) -> (Vector3<f64>, Vector3<f64>) {
    let motion = pass.motion(t);
    let base_from_imu = pass.rig.base_from_imu;
    let (omega, lever) = (motion.angular_velocity, base_from_imu.translation);
    let of_base = motion.map_from_base.rotation.inverse() * (motion.acceleration - GRAVITY_IN_MAP);
    let of_imu = of_base + motion.angular_acceleration.cross(&lever) + omega.cross(&omega.cross(&lever));
    let imu_from_base = base_from_imu.rotation.inverse();
    (imu_from_base * omega, imu_from_base * of_imu)
}

fn normal(random: &mut ChaCha8Rng) -> Vector3<f64> {
    Vector3::from_fn(|_, _| random.sample(StandardNormal))
}
