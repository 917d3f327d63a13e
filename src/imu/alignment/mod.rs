//! Gyroscope bias, gravity, velocities and accelerometer bias from poses of a moving IMU, with known scale.
//!
//! Two linear problems give a start, as in VINS-Mono (Qin, Li & Shen 2018, section V-B): the gyroscope's bias from the
//! rotations alone, then velocities, gravity and the accelerometer's bias. The third step of the paper, gravity on its
//! sphere, is a Gauss-Newton refinement of everything here. For poses are the answers of a network, noisier than the
//! readings between them: each has a correction among the unknowns, as large as its noise may be. So the standard
//! deviations that come out can be believed.

mod joint;
mod linear;
mod normal_equations;
mod rotation;

use nalgebra::Vector3;
use serde::{Deserialize, Serialize};

use self::joint::JointAlignment;
use self::linear::LinearAlignment;
use self::rotation::RotationAlignment;
use super::{ImuBias, ImuBuffer, ImuNoise, IntervalRefusal, NavState, PreintegratedImu};
use crate::geometry::Se3;
use crate::{Error, Stamp};

/// Rounds of integrating again and of Gauss-Newton: from a linear start both converge quadratically.
const ROUNDS: usize = 4;

/// What is known of the poses and the IMU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlignmentOptions {
    /// Size of gravity, m/s².
    pub gravity: f64,
    /// Standard deviation of the poses per axis, metres.
    pub translation_sigma: f64,
    /// Standard deviation of the poses per axis, radians.
    pub rotation_sigma: f64,
    /// What is known of the accelerometer's bias: standard deviation about zero per axis, m/s².
    pub accelerometer_bias_sigma: f64,
    /// Largest standard deviation of gravity's direction that is an answer, radians.
    pub max_gravity_sigma: f64,
    /// Largest difference in size of the gravity that was found freely, beyond three standard deviations, m/s².
    pub gravity_error: f64,
}

impl Default for AlignmentOptions {
    fn default() -> Self {
        Self {
            gravity: 9.81,
            translation_sigma: 0.02,
            rotation_sigma: 0.01,
            accelerometer_bias_sigma: 0.1,
            max_gravity_sigma: 0.1,
            gravity_error: 0.5,
        }
    }
}

/// Why poses and readings do not tell how the IMU moves.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotAligned {
    /// There are too few poses.
    #[error("alignment of an IMU: expected at least 3 poses, found {found}")]
    TooFew {
        /// Number of poses.
        found: usize,
    },
    /// A pose cannot be used.
    #[error("alignment of an IMU: expected finite poses in time order, found otherwise at {stamp}")]
    BadPose {
        /// Stamp of the pose.
        stamp: Stamp,
    },
    /// The readings between two poses are missing or defective.
    #[error("alignment of an IMU: {0}")]
    Readings(#[from] IntervalRefusal),
    /// Time and motion are too little for the noise of the poses.
    #[error("alignment of an IMU: expected gravity known to {limit} rad, found {found} rad; wait for more poses")]
    Unobservable {
        /// Standard deviation in the worst direction, radians.
        found: f64,
        /// [`AlignmentOptions::max_gravity_sigma`].
        limit: f64,
    },
    /// The poses do not move as the IMU does.
    #[error(
        "alignment of an IMU: expected a gravity of {expected} m/s², found {found}; poses, scale, axes or units disagree"
    )]
    NotGravity {
        /// Size of the gravity that fits, m/s².
        found: f64,
        /// [`AlignmentOptions::gravity`].
        expected: f64,
    },
    /// The equations cannot be solved.
    #[error("alignment of an IMU: the equations are numerically singular")]
    Singular,
}

impl From<NotAligned> for Error {
    fn from(reason: NotAligned) -> Self {
        Error::compute("initialization from motion", reason)
    }
}

/// How the IMU moves.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionEstimate {
    /// Biases over the whole time.
    pub bias: ImuBias,
    /// Standard deviation of the gyroscope's bias in the worst direction, rad/s.
    pub gyroscope_bias_sigma: f64,
    /// Standard deviation of the accelerometer's bias in the worst direction, m/s².
    pub accelerometer_bias_sigma: f64,
    /// Acceleration of free fall in the map, m/s².
    pub gravity_in_map: Vector3<f64>,
    /// Standard deviation of its direction in the worst direction, radians.
    pub gravity_sigma: f64,
    /// State of the IMU at each pose.
    pub states: Vec<NavState>,
}

/// Aligns the readings in `buffer` with poses `map_from_imu` at three stamps or more.
///
/// # Errors
/// [`NotAligned`], with its reason.
pub fn align_motion(
    poses: &[(Stamp, Se3)],
    buffer: &ImuBuffer,
    noise: ImuNoise,
    options: &AlignmentOptions,
) -> Result<MotionEstimate, NotAligned> {
    check_poses(poses)?;
    let turned = RotationAlignment::solve(poses, buffer, noise, options)?;
    let bias = ImuBias { gyroscope: turned.gyroscope_bias, accelerometer: Vector3::zeros() };
    let intervals = preintegrate(poses, buffer, bias, noise)?;
    let free = LinearAlignment::solve(poses, &turned, &intervals, options)?;
    let found = free.gravity.norm();
    if (found - options.gravity).abs() > options.gravity_error + 3.0 * free.gravity_sigma {
        return Err(NotAligned::NotGravity { found, expected: options.gravity });
    }
    let joint = JointAlignment::solve(poses, &turned, &free, &intervals, options)?;
    let gravity_sigma = joint.gravity_sigma / options.gravity;
    if gravity_sigma > options.max_gravity_sigma {
        return Err(NotAligned::Unobservable { found: gravity_sigma, limit: options.max_gravity_sigma });
    }
    Ok(MotionEstimate {
        bias: joint.bias,
        gyroscope_bias_sigma: joint.gyroscope_bias_sigma,
        accelerometer_bias_sigma: joint.accelerometer_bias_sigma,
        gravity_in_map: options.gravity * joint.gravity.normalize(),
        gravity_sigma,
        states: joint.states,
    })
}

fn check_poses(poses: &[(Stamp, Se3)]) -> Result<(), NotAligned> {
    if poses.len() < 3 {
        return Err(NotAligned::TooFew { found: poses.len() });
    }
    if let Some((stamp, _)) = poses.iter().find(|(_, pose)| !pose.is_finite()) {
        return Err(NotAligned::BadPose { stamp: *stamp });
    }
    match poses.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
        Some(pair) => Err(NotAligned::BadPose { stamp: pair[1].0 }),
        None => Ok(()),
    }
}

fn preintegrate(
    poses: &[(Stamp, Se3)],
    buffer: &ImuBuffer,
    bias: ImuBias,
    noise: ImuNoise,
) -> Result<Vec<PreintegratedImu>, NotAligned> {
    let between =
        |pair: &[(Stamp, Se3)]| Ok(buffer.interval(pair[0].0, pair[1].0)?.refuse_defects()?.preintegrate(bias, noise));
    poses.windows(2).map(between).collect()
}
