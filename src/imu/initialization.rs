//! The direction of gravity and the gyroscope's bias from an interval in which the robot stands still.
//!
//! At rest the gyroscope reads its bias and the accelerometer the reaction to gravity, up. Whether it was at rest is
//! tested: by the spread of the readings, by their drift from the first half of the interval to the second (a slow
//! turn spreads little), and by their means. What a still interval cannot tell: yaw, and the part of the
//! accelerometer's bias across the vertical, which is taken for tilt (0.05 m/s² are 0.3 degrees).

use nalgebra::Vector3;
use serde::{Deserialize, Serialize};

use super::ImuBias;
use crate::geometry::So3;
use crate::sensor::ImuSample;
use crate::{Error, Stamp};

/// What counts as standing still.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StillLimits {
    /// Shortest interval, seconds.
    pub duration: f64,
    /// Largest standard deviation of the rate of turn per axis, rad/s.
    pub angular_velocity_sigma: f64,
    /// Largest standard deviation of the specific force per axis, m/s².
    pub linear_acceleration_sigma: f64,
    /// Largest change of the mean specific force from the first half to the second, m/s².
    pub linear_acceleration_drift: f64,
    /// Largest bias of the gyroscope per axis, rad/s.
    pub gyroscope_bias: f64,
    /// Largest difference of the mean specific force from gravity, m/s².
    pub gravity_error: f64,
}

impl Default for StillLimits {
    /// For a robot whose motors may run: of the flight EuRoC V1_01, the seconds on the ground with idling rotors pass
    /// and no second in the air does.
    fn default() -> Self {
        Self {
            duration: 0.5,
            angular_velocity_sigma: 0.05,
            linear_acceleration_sigma: 0.4,
            linear_acceleration_drift: 0.1,
            gyroscope_bias: 0.1,
            gravity_error: 0.5,
        }
    }
}

/// Why an interval does not tell gravity and bias.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NotStill {
    /// There is too little of it.
    #[error("still interval: expected at least {needed} s of readings in time order, found {found} s")]
    TooShort {
        /// Seconds from the first reading to the last.
        found: f64,
        /// [`StillLimits::duration`].
        needed: f64,
    },
    /// A number is NaN or infinite.
    #[error("still interval: expected finite readings, found NaN or infinity at {stamp}")]
    NotFinite {
        /// Stamp of the reading.
        stamp: Stamp,
    },
    /// The rate of turn changes.
    #[error("still interval: expected a rate of turn that spreads by at most {limit} rad/s, found {found}")]
    Turning {
        /// Standard deviation on the worst axis, rad/s.
        found: f64,
        /// [`StillLimits::angular_velocity_sigma`].
        limit: f64,
    },
    /// The specific force changes.
    #[error("still interval: expected a specific force that spreads by at most {limit} m/s², found {found}")]
    Shaking {
        /// Standard deviation on the worst axis, m/s².
        found: f64,
        /// [`StillLimits::linear_acceleration_sigma`].
        limit: f64,
    },
    /// The specific force moves slowly.
    #[error("still interval: expected a specific force that drifts by at most {limit} m/s², found {found}")]
    Drifting {
        /// Change of the mean between the halves, m/s².
        found: f64,
        /// [`StillLimits::linear_acceleration_drift`].
        limit: f64,
    },
    /// It turns steadily, or is no gyroscope in rad/s.
    #[error(
        "still interval: expected a mean rate of turn of at most {limit} rad/s, found {found}; it turns, or is not in rad/s"
    )]
    SteadyTurn {
        /// Mean on the worst axis, rad/s.
        found: f64,
        /// [`StillLimits::gyroscope_bias`].
        limit: f64,
    },
    /// The mean specific force is not gravity.
    #[error(
        "still interval: expected a mean specific force of {expected} ± {limit} m/s², found {found}; is it in g, or without gravity?"
    )]
    NotGravity {
        /// Size of the mean, m/s².
        found: f64,
        /// Gravity, m/s².
        expected: f64,
        /// [`StillLimits::gravity_error`].
        limit: f64,
    },
}

impl From<NotStill> for Error {
    fn from(reason: NotStill) -> Self {
        Error::compute("initialization from a still interval", reason)
    }
}

/// What a still interval tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StillEstimate {
    /// The gyroscope's bias, and the accelerometer's along the vertical: the part that the size of gravity shows.
    pub bias: ImuBias,
    /// Standard deviation of the gyroscope's bias per axis, rad/s: the spread over √n.
    pub gyroscope_bias_sigma: f64,
    /// The vertical, up, in the axes of the IMU.
    pub up_in_imu: Vector3<f64>,
    /// Rotation of the IMU in a frame with z up; its yaw is a choice (the shortest rotation to upright).
    pub level_from_imu: So3,
}

/// Gravity's direction and the biases from readings at rest, in time order; `gravity` is its size, m/s².
///
/// # Errors
/// [`NotStill`], with the quantity and the limit that it broke.
pub fn estimate_still(samples: &[ImuSample], gravity: f64, limits: &StillLimits) -> Result<StillEstimate, NotStill> {
    check_extent(samples, limits)?;
    let turn = Spread::of(samples, |sample| sample.angular_velocity);
    let force = Spread::of(samples, |sample| sample.linear_acceleration);
    let halves = samples.split_at(samples.len() / 2);
    let half_mean = |half| Spread::of(half, |sample| sample.linear_acceleration).mean;
    let drift = (half_mean(halves.1) - half_mean(halves.0)).norm();
    let size = force.mean.norm();
    if turn.sigma > limits.angular_velocity_sigma {
        return Err(NotStill::Turning { found: turn.sigma, limit: limits.angular_velocity_sigma });
    }
    if force.sigma > limits.linear_acceleration_sigma {
        return Err(NotStill::Shaking { found: force.sigma, limit: limits.linear_acceleration_sigma });
    }
    if drift > limits.linear_acceleration_drift {
        return Err(NotStill::Drifting { found: drift, limit: limits.linear_acceleration_drift });
    }
    if turn.mean.amax() > limits.gyroscope_bias {
        return Err(NotStill::SteadyTurn { found: turn.mean.amax(), limit: limits.gyroscope_bias });
    }
    if (size - gravity).abs() > limits.gravity_error {
        return Err(NotStill::NotGravity { found: size, expected: gravity, limit: limits.gravity_error });
    }
    let up_in_imu = force.mean / size;
    Ok(StillEstimate {
        bias: ImuBias { gyroscope: turn.mean, accelerometer: (size - gravity) * up_in_imu },
        gyroscope_bias_sigma: turn.sigma / (samples.len() as f64).sqrt(),
        up_in_imu,
        level_from_imu: shortest_rotation_to_z(&up_in_imu),
    })
}

fn check_extent(samples: &[ImuSample], limits: &StillLimits) -> Result<(), NotStill> {
    if let Some(sample) = samples.iter().find(|sample| !sample.is_finite()) {
        return Err(NotStill::NotFinite { stamp: sample.stamp });
    }
    let found = match samples {
        [first, .., last] => last.stamp.seconds_since(first.stamp),
        _ => 0.0,
    };
    let ordered = samples.windows(2).all(|pair| pair[0].stamp < pair[1].stamp);
    if !ordered || found < limits.duration {
        return Err(NotStill::TooShort { found: if ordered { found } else { 0.0 }, needed: limits.duration });
    }
    Ok(())
}

/// Mean of vectors, and their standard deviation on the worst axis.
struct Spread {
    mean: Vector3<f64>,
    sigma: f64,
}

impl Spread {
    fn of(samples: &[ImuSample], quantity: impl Fn(&ImuSample) -> Vector3<f64>) -> Self {
        let count = samples.len() as f64;
        let mean = samples.iter().map(&quantity).sum::<Vector3<f64>>() / count;
        let square = |sample| (quantity(sample) - mean).map(|value| value * value);
        let variance = samples.iter().map(square).sum::<Vector3<f64>>() / (count - 1.0).max(1.0);
        Self { mean, sigma: variance.max().sqrt() }
    }
}

/// The shortest rotation that takes the unit vector `up` to z.
fn shortest_rotation_to_z(up: &Vector3<f64>) -> So3 {
    let axis = up.cross(&Vector3::z());
    let (sine, cosine) = (axis.norm(), up.z);
    let angle = sine.atan2(cosine);
    // Upside down, every horizontal axis is as short.
    let direction = if sine > 1e-9 { axis / sine } else { Vector3::x() };
    So3::exp(&(angle * direction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// A second of readings at 100 Hz with a ripple of a hundredth, in which `change` has a hand: `(seconds, reading)`.
    fn second(change: impl Fn(f64, &mut ImuSample)) -> Vec<ImuSample> {
        let at = |index: u32| {
            let t = f64::from(index) / 100.0;
            let ripple = if index.is_multiple_of(2) { 0.01 } else { -0.01 };
            let mut sample = ImuSample {
                stamp: Stamp::from_nanos((t * 1e9) as i64),
                angular_velocity: Vector3::new(0.01 + ripple, -0.02, 0.03),
                linear_acceleration: Vector3::new(0.0, 6.0, 8.0) + Vector3::repeat(ripple),
            };
            change(t, &mut sample);
            sample
        };
        (0..=100).map(at).collect()
    }

    fn refusal(change: impl Fn(f64, &mut ImuSample)) -> String {
        estimate_still(&second(change), 9.81, &StillLimits::default()).unwrap_err().to_string()
    }

    #[test]
    fn at_rest_gravity_and_biases_are_found() {
        let still = estimate_still(&second(|_, _| ()), 9.81, &StillLimits::default()).unwrap();
        assert!((still.bias.gyroscope - Vector3::new(0.01, -0.02, 0.03)).amax() < 2e-4);
        assert!((still.up_in_imu - Vector3::new(0.0, 0.6, 0.8)).amax() < 1e-4);
        assert!((still.bias.accelerometer - Vector3::new(0.0, 0.6, 0.8) * 0.19).amax() < 1e-3);
        assert!((still.level_from_imu * still.up_in_imu - Vector3::z()).amax() < 1e-12);
        assert!((still.gyroscope_bias_sigma - 1e-3).abs() < 2e-5, "{}", still.gyroscope_bias_sigma);
        let upside_down = second(|_, sample| sample.linear_acceleration = Vector3::new(0.0, 0.0, -9.81));
        let still = estimate_still(&upside_down, 9.81, &StillLimits::default()).unwrap();
        assert!((still.level_from_imu.angle() - PI).abs() < 1e-9);
        assert!((still.level_from_imu * still.up_in_imu - Vector3::z()).amax() < 1e-9);
    }

    #[test]
    fn whatever_moves_is_refused_with_the_reason() {
        let what = "still interval: expected";
        let found = refusal(|t, sample| sample.angular_velocity.y += 0.2 * (9.0 * t).sin());
        assert!(
            found.starts_with(&format!("{what} a rate of turn that spreads by at most 0.05 rad/s, found 0.1")),
            "{found}"
        );
        let found = refusal(|t, sample| sample.linear_acceleration.x += 2.0 * (9.0 * t).sin());
        assert!(
            found.starts_with(&format!("{what} a specific force that spreads by at most 0.4 m/s², found 1.")),
            "{found}"
        );
        let found = refusal(|t, sample| sample.linear_acceleration.z += 0.5 * t);
        assert!(
            found.starts_with(&format!("{what} a specific force that drifts by at most 0.1 m/s², found 0.25")),
            "{found}"
        );
        let found = refusal(|_, sample| sample.angular_velocity.z = 0.3);
        assert!(found.starts_with(&format!("{what} a mean rate of turn of at most 0.1 rad/s, found 0.3")), "{found}");
        let found = refusal(|_, sample| sample.linear_acceleration /= 9.81);
        assert!(found.starts_with(&format!("{what} a mean specific force of 9.81 ± 0.5 m/s², found 1.0")), "{found}");
        let found = refusal(|t, sample| sample.linear_acceleration.z = if t == 0.5 { f64::NAN } else { 8.0 });
        assert_eq!(found, format!("{what} finite readings, found NaN or infinity at 0.500000000"));
        let found = refusal(|_, sample| sample.stamp = Stamp::from_nanos(sample.stamp.as_nanos() / 10));
        assert_eq!(found, format!("{what} at least 0.5 s of readings in time order, found 0.1 s"));
        let found = refusal(|_, sample| sample.stamp = Stamp::from_nanos(-sample.stamp.as_nanos()));
        assert_eq!(found, format!("{what} at least 0.5 s of readings in time order, found 0 s"));
        assert!(estimate_still(&[], 9.81, &StillLimits::default()).is_err());
    }
}
