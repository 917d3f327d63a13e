//! Whether the accelerometer feels gravity where the map says that down is.
//!
//! A wrong mounting, a map that is not level or an accelerometer in units of g would pull every estimate away, so an IMU
//! that contradicts the fixes is not used. While the robot stands still the same samples tell the gyroscope's bias.

use nalgebra::Vector3;

use crate::geometry::So3;
use crate::imu::{ImuBias, StillLimits, estimate_still};
use crate::sensor::ImuSample;

/// A mean specific force this far from upright contradicts the map, radians: more than a driving robot's acceleration
/// and a fix's error explain.
const LARGEST_TILT: f64 = 0.35;
/// And one of this size off gravity, as a share.
const LARGEST_ERROR: f64 = 0.25;
/// Samples that make a mean.
const FEWEST_SAMPLES: usize = 10;

/// What the samples say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GravityCheck {
    /// There are too few samples.
    Unknown,
    /// They agree with the map.
    Agrees {
        /// The biases as far as they are known: the gyroscope's, if the robot stood still.
        bias: ImuBias,
    },
    /// They contradict it.
    Contradicts {
        /// Angle between up as felt and up in the map, radians.
        tilt: f64,
        /// Mean specific force, m/s².
        force: f64,
    },
}

/// Compares the mean specific force with gravity in the map.
pub fn check_gravity(samples: &[ImuSample], map_from_imu: So3, gravity_in_map: Vector3<f64>) -> GravityCheck {
    let gravity = gravity_in_map.norm();
    if samples.len() < FEWEST_SAMPLES || gravity == 0.0 {
        return GravityCheck::Unknown;
    }
    let sum: Vector3<f64> = samples.iter().map(|sample| sample.linear_acceleration).sum();
    let mean = sum / samples.len() as f64;
    let force = mean.norm();
    let tilt = (map_from_imu * mean).angle(&-gravity_in_map);
    if tilt > LARGEST_TILT || (force - gravity).abs() > LARGEST_ERROR * gravity {
        return GravityCheck::Contradicts { tilt, force };
    }
    let still = estimate_still(samples, gravity, &StillLimits { duration: 0.4, ..StillLimits::default() });
    let gyroscope = still.map_or_else(|_| Vector3::zeros(), |still| still.bias.gyroscope);
    GravityCheck::Agrees { bias: ImuBias { gyroscope, accelerometer: Vector3::zeros() } }
}
