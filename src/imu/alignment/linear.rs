//! The second step of the alignment: a linear start for velocities, gravity and the accelerometer's bias.

use nalgebra::{Matrix3, Matrix6, SMatrix, Vector3, Vector6};

use super::normal_equations::NormalEquations;
use super::rotation::RotationAlignment;
use super::{AlignmentOptions, NotAligned};
use crate::Stamp;
use crate::geometry::{Se3, So3};
use crate::imu::PreintegratedImu;

/// Qin et al. 2018, section V-B2: velocities, gravity of any size, and the accelerometer's bias.
pub(super) struct LinearAlignment {
    pub velocities: Vec<Vector3<f64>>,
    pub gravity: Vector3<f64>,
    /// Standard deviation of gravity in the worst direction, m/s².
    pub gravity_sigma: f64,
    pub accelerometer_bias: Vector3<f64>,
}

impl LinearAlignment {
    /// Unknowns: a correction per position and a velocity per pose (map axes), gravity, and the accelerometer's bias.
    pub fn solve(
        poses: &[(Stamp, Se3)],
        turned: &RotationAlignment,
        intervals: &[PreintegratedImu],
        options: &AlignmentOptions,
    ) -> Result<Self, NotAligned> {
        let (of_velocity, of_gravity, of_bias) = (3 * poses.len(), 6 * poses.len(), 6 * poses.len() + 3);
        let mut equations = NormalEquations::new(of_bias + 3);
        for (index, interval) in intervals.iter().enumerate() {
            let map_to_i = turned.rotations[index].inverse().matrix();
            let way = map_to_i * (poses[index + 1].1.translation - poses[index].1.translation);
            let (t, delta, by_bias) = (interval.duration(), interval.delta(), interval.bias_jacobian());
            let by_gravity = stacked(0.5 * t * t * map_to_i, t * map_to_i);
            let known = joined(way - delta.position, -delta.velocity);
            let (i, j) = (3 * index, 3 * index + 3);
            let terms = [
                (i, stacked(map_to_i, Matrix3::zeros())),
                (j, stacked(-map_to_i, Matrix3::zeros())),
                (of_velocity + i, stacked(t * map_to_i, map_to_i)),
                (of_velocity + j, stacked(Matrix3::zeros(), -map_to_i)),
                (of_gravity, by_gravity),
                (of_bias, stacked(by_bias.fixed_view::<3, 3>(0, 3).into(), by_bias.fixed_view::<3, 3>(6, 3).into())),
            ];
            equations.add(&known, &terms, &weight_of(interval, turned.rotation_sigma)?);
        }
        (0..poses.len()).for_each(|index| equations.add_prior(3 * index, options.translation_sigma));
        equations.add_prior(of_bias, options.accelerometer_bias_sigma);
        let solution = equations.solve().ok_or(NotAligned::Singular)?;
        Ok(Self {
            velocities: (0..poses.len()).map(|index| solution.at(of_velocity + 3 * index)).collect(),
            gravity: solution.at(of_gravity),
            gravity_sigma: solution.sigma(of_gravity),
            accelerometer_bias: solution.at(of_bias),
        })
    }
}

/// The inverse covariance of position and velocity over an interval: of its readings, and of the rotation at its start.
fn weight_of(interval: &PreintegratedImu, rotation_sigma: f64) -> Result<Matrix6<f64>, NotAligned> {
    let (delta, of_delta) = (interval.delta(), interval.covariance());
    let mut covariance = Matrix6::zeros();
    for (row, from_row) in [(0, 0), (3, 6)] {
        for (column, from_column) in [(0, 0), (3, 6)] {
            let block = of_delta.fixed_view::<3, 3>(from_row, from_column);
            covariance.fixed_view_mut::<3, 3>(row, column).copy_from(&block);
        }
    }
    let by_rotation = stacked(So3::hat(&delta.position), So3::hat(&delta.velocity));
    covariance += rotation_sigma.powi(2) * by_rotation * by_rotation.transpose();
    covariance.try_inverse().ok_or(NotAligned::Singular)
}

fn stacked(upper: Matrix3<f64>, lower: Matrix3<f64>) -> SMatrix<f64, 6, 3> {
    let mut matrix = SMatrix::<f64, 6, 3>::zeros();
    matrix.fixed_view_mut::<3, 3>(0, 0).copy_from(&upper);
    matrix.fixed_view_mut::<3, 3>(3, 0).copy_from(&lower);
    matrix
}

fn joined(upper: Vector3<f64>, lower: Vector3<f64>) -> Vector6<f64> {
    Vector6::new(upper.x, upper.y, upper.z, lower.x, lower.y, lower.z)
}
