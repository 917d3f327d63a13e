//! Gyroscope bias, gravity, velocities and accelerometer bias from poses of a moving IMU: the linear alignment of
//! VINS-Mono (Qin, Li & Shen 2018, section V-B) with the scale known.
//!
//! Three steps: the gyroscope's bias from rotations alone; velocities, gravity and the accelerometer's bias in one linear
//! least-squares problem; and again with gravity of known size, which moves on its sphere. Unlike the paper, each equation
//! has its weight: poses come from a network and are the noisy part, so the noise of two poses is added to that of the
//! readings between them (neighbours share a pose, which the weights leave out).

use nalgebra::{DMatrix, DVector, Dyn, Matrix3, Matrix6, SMatrix, Vector3, Vector6};
use serde::{Deserialize, Serialize};

use super::{ImuBias, ImuBuffer, ImuNoise, IntervalRefusal, PreintegratedImu};
use crate::geometry::{Se3, So3};
use crate::{Error, Stamp};

/// Rounds of re-integration and of moving gravity on its sphere: both converge quadratically.
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
    /// Standard deviation of the gyroscope's bias on the worst axis, rad/s.
    pub gyroscope_bias_sigma: f64,
    /// Acceleration of free fall in the map, m/s².
    pub gravity_in_map: Vector3<f64>,
    /// Standard deviation of its direction in the worst direction, radians.
    pub gravity_sigma: f64,
    /// Velocity of the IMU at each pose, map axes, m/s.
    pub velocities: Vec<Vector3<f64>>,
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
    let (gyroscope, gyroscope_bias_sigma) = gyroscope_bias(poses, buffer, noise, options)?;
    let bias = ImuBias { gyroscope, accelerometer: Vector3::zeros() };
    let intervals = preintegrate(poses, buffer, bias, noise)?;

    let free = LinearAlignment::solve(poses, &intervals, options, Vector3::zeros(), &DMatrix::identity(3, 3))?;
    let found = free.gravity.norm();
    if (found - options.gravity).abs() > options.gravity_error + 3.0 * free.gravity_sigma {
        return Err(NotAligned::NotGravity { found, expected: options.gravity });
    }
    let mut aligned = free;
    for _ in 0..ROUNDS {
        let down = aligned.gravity.normalize();
        aligned = LinearAlignment::solve(poses, &intervals, options, options.gravity * down, &tangents_of(&down))?;
    }
    let gravity_sigma = aligned.gravity_sigma / options.gravity;
    if gravity_sigma > options.max_gravity_sigma {
        return Err(NotAligned::Unobservable { found: gravity_sigma, limit: options.max_gravity_sigma });
    }
    Ok(MotionEstimate {
        bias: ImuBias { gyroscope, accelerometer: aligned.accelerometer_bias },
        gyroscope_bias_sigma,
        gravity_in_map: options.gravity * aligned.gravity.normalize(),
        gravity_sigma,
        velocities: aligned.velocities,
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

/// Qin et al. 2018, section V-B1: the bias that turns the readings as the poses turn, and its standard deviation.
fn gyroscope_bias(
    poses: &[(Stamp, Se3)],
    buffer: &ImuBuffer,
    noise: ImuNoise,
    options: &AlignmentOptions,
) -> Result<(Vector3<f64>, f64), NotAligned> {
    let mut bias = ImuBias::zero();
    let mut variance = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (mut information, mut vector) = (Matrix3::zeros(), Vector3::zeros());
        for (pair, interval) in poses.windows(2).zip(preintegrate(poses, buffer, bias, noise)?) {
            let turned = pair[0].1.rotation.inverse() * pair[1].1.rotation;
            let residual = interval.delta().rotation.local(turned);
            let jacobian: Matrix3<f64> = interval.bias_jacobian().fixed_view::<3, 3>(3, 0).into();
            let of_readings: Matrix3<f64> = interval.covariance().fixed_view::<3, 3>(3, 3).into();
            let covariance = of_readings + 2.0 * options.rotation_sigma.powi(2) * Matrix3::identity();
            let weight = covariance.try_inverse().ok_or(NotAligned::Singular)?;
            information += jacobian.transpose() * weight * jacobian;
            vector += jacobian.transpose() * weight * residual;
        }
        let covariance = information.try_inverse().ok_or(NotAligned::Singular)?;
        bias.gyroscope += covariance * vector;
        variance = covariance.diagonal().max();
    }
    Ok((bias.gyroscope, variance.sqrt()))
}

/// Qin et al. 2018, section V-B2 and B3: the solution for velocities, gravity and accelerometer bias.
struct LinearAlignment {
    velocities: Vec<Vector3<f64>>,
    gravity: Vector3<f64>,
    /// Standard deviation of gravity in the worst direction of its basis, m/s².
    gravity_sigma: f64,
    accelerometer_bias: Vector3<f64>,
}

impl LinearAlignment {
    /// Unknowns: a velocity per pose (map axes), the coordinates of `gravity - known_gravity` in `basis` (3xk), and the
    /// accelerometer's bias.
    fn solve(
        poses: &[(Stamp, Se3)],
        intervals: &[PreintegratedImu],
        options: &AlignmentOptions,
        known_gravity: Vector3<f64>,
        basis: &DMatrix<f64>,
    ) -> Result<Self, NotAligned> {
        let (of_gravity, directions) = (3 * poses.len(), basis.ncols());
        let of_bias = of_gravity + directions;
        let size = of_bias + 3;
        let (mut information, mut vector) = (DMatrix::zeros(size, size), DVector::zeros(size));
        for (index, (pair, interval)) in poses.windows(2).zip(intervals).enumerate() {
            let equation = Equation::new(pair[0].1, pair[1].1, interval, options, known_gravity)?;
            let columns = [
                (3 * index, DMatrix::from_column_slice(6, 3, equation.by_velocity_i.as_slice())),
                (3 * index + 3, DMatrix::from_column_slice(6, 3, equation.by_velocity_j.as_slice())),
                (of_gravity, DMatrix::from_column_slice(6, 3, equation.by_gravity.as_slice()) * basis),
                (of_bias, DMatrix::from_column_slice(6, 3, equation.by_bias.as_slice())),
            ];
            for (row, left) in &columns {
                let weighted = left.transpose() * equation.weight;
                let mut part = vector.rows_mut(*row, left.ncols());
                part += &weighted * equation.known;
                for (column, right) in &columns {
                    let mut block = information.view_mut((*row, *column), (left.ncols(), right.ncols()));
                    block += &weighted * right;
                }
            }
        }
        for axis in of_bias..size {
            information[(axis, axis)] += options.accelerometer_bias_sigma.powi(-2);
        }
        let factor = nalgebra::Cholesky::<f64, Dyn>::new(information).ok_or(NotAligned::Singular)?;
        let solution = factor.solve(&vector);
        let covariance = factor.inverse();
        let gravity_block = covariance.view((of_gravity, of_gravity), (directions, directions)).into_owned();
        let three = |row: usize| Vector3::from(solution.fixed_rows::<3>(row));
        let moved = basis * solution.rows(of_gravity, directions);
        Ok(Self {
            velocities: (0..poses.len()).map(|index| three(3 * index)).collect(),
            gravity: known_gravity + Vector3::new(moved[0], moved[1], moved[2]),
            gravity_sigma: gravity_block.symmetric_eigenvalues().max().max(0.0).sqrt(),
            accelerometer_bias: three(of_bias),
        })
    }
}

/// Position and velocity over one interval, in the axes of the IMU at its start: `known = Σ by_unknown · unknown`.
struct Equation {
    known: Vector6<f64>,
    by_velocity_i: SMatrix<f64, 6, 3>,
    by_velocity_j: SMatrix<f64, 6, 3>,
    by_gravity: SMatrix<f64, 6, 3>,
    by_bias: SMatrix<f64, 6, 3>,
    weight: Matrix6<f64>,
}

impl Equation {
    fn new(
        map_from_i: Se3,
        map_from_j: Se3,
        interval: &PreintegratedImu,
        options: &AlignmentOptions,
        known_gravity: Vector3<f64>,
    ) -> Result<Self, NotAligned> {
        let (seconds, delta) = (interval.duration(), interval.delta());
        let map_to_i = map_from_i.rotation.inverse().matrix();
        let stacked = |upper: Matrix3<f64>, lower: Matrix3<f64>| {
            let mut matrix = SMatrix::<f64, 6, 3>::zeros();
            matrix.fixed_view_mut::<3, 3>(0, 0).copy_from(&upper);
            matrix.fixed_view_mut::<3, 3>(3, 0).copy_from(&lower);
            matrix
        };
        let by_gravity = stacked(0.5 * seconds * seconds * map_to_i, seconds * map_to_i);
        let way = map_to_i * (map_from_j.translation - map_from_i.translation);
        let mut known = -by_gravity * known_gravity;
        known += Vector6::from_iterator((way - delta.position).iter().chain((-delta.velocity).iter()).copied());

        let jacobian = interval.bias_jacobian();
        let by_bias = stacked(jacobian.fixed_view::<3, 3>(0, 3).into(), jacobian.fixed_view::<3, 3>(6, 3).into());
        // The noise of the readings, of the two positions, and of the rotation at the start.
        let of_delta = interval.covariance();
        let mut covariance = Matrix6::zeros();
        for (row, from_row) in [(0, 0), (3, 6)] {
            for (column, from_column) in [(0, 0), (3, 6)] {
                let block = of_delta.fixed_view::<3, 3>(from_row, from_column);
                covariance.fixed_view_mut::<3, 3>(row, column).copy_from(&block);
            }
        }
        let by_rotation = stacked(So3::hat(&delta.position), So3::hat(&delta.velocity));
        covariance += options.rotation_sigma.powi(2) * by_rotation * by_rotation.transpose();
        for axis in 0..3 {
            covariance[(axis, axis)] += 2.0 * options.translation_sigma.powi(2);
        }
        Ok(Self {
            known,
            by_velocity_i: stacked(seconds * map_to_i, map_to_i),
            by_velocity_j: stacked(Matrix3::zeros(), -map_to_i),
            by_gravity,
            by_bias,
            weight: covariance.try_inverse().ok_or(NotAligned::Singular)?,
        })
    }
}

/// Two unit vectors that span the plane across the unit vector `down`, as columns.
fn tangents_of(down: &Vector3<f64>) -> DMatrix<f64> {
    let across = down.cross(&Vector3::ith(down.iamin(), 1.0)).normalize();
    let other = down.cross(&across);
    DMatrix::from_columns(&[
        DVector::from_column_slice(across.as_slice()),
        DVector::from_column_slice(other.as_slice()),
    ])
}
