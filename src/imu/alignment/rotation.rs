//! The first step of the alignment: rotations and the gyroscope's bias.

use nalgebra::{Matrix3, Vector3};

use super::normal_equations::NormalEquations;
use super::{AlignmentOptions, NotAligned, ROUNDS, preintegrate};
use crate::Stamp;
use crate::geometry::{Se3, So3};
use crate::imu::{ImuBias, ImuBuffer, ImuNoise};

/// Qin et al. 2018, section V-B1: the bias with which the readings turn as the poses turn.
pub(super) struct RotationAlignment {
    pub gyroscope_bias: Vector3<f64>,
    /// Rotation of the IMU in the map at each pose, corrected by the readings.
    pub rotations: Vec<So3>,
    /// Standard deviation of a corrected rotation, the worst one, radians.
    pub rotation_sigma: f64,
}

impl RotationAlignment {
    /// Unknowns: a correction per rotation (on the right) and the bias.
    pub fn solve(
        poses: &[(Stamp, Se3)],
        buffer: &ImuBuffer,
        noise: ImuNoise,
        options: &AlignmentOptions,
    ) -> Result<Self, NotAligned> {
        let of_bias = 3 * poses.len();
        let mut aligned = Self {
            gyroscope_bias: Vector3::zeros(),
            rotations: poses.iter().map(|(_, pose)| pose.rotation).collect(),
            rotation_sigma: options.rotation_sigma,
        };
        for _ in 0..ROUNDS {
            let bias = ImuBias { gyroscope: aligned.gyroscope_bias, accelerometer: Vector3::zeros() };
            let mut equations = NormalEquations::new(of_bias + 3);
            for (index, interval) in preintegrate(poses, buffer, bias, noise)?.iter().enumerate() {
                let j_from_i = aligned.rotations[index + 1].inverse() * aligned.rotations[index];
                let residual = interval.delta().rotation.local(j_from_i.inverse());
                let by_bias: Matrix3<f64> = interval.bias_jacobian().fixed_view::<3, 3>(3, 0).into();
                let covariance: Matrix3<f64> = interval.covariance().fixed_view::<3, 3>(3, 3).into();
                let weight = covariance.try_inverse().ok_or(NotAligned::Singular)?;
                let (i, j) = (3 * index, 3 * index + 3);
                let terms = [(i, j_from_i.matrix()), (j, -Matrix3::identity()), (of_bias, by_bias)];
                equations.add(&residual, &terms, &weight);
            }
            for (index, (_, pose)) in poses.iter().enumerate() {
                let remaining = aligned.rotations[index].local(pose.rotation);
                let weight = Matrix3::identity() / options.rotation_sigma.powi(2);
                equations.add(&remaining, &[(3 * index, Matrix3::identity())], &weight);
            }
            let solution = equations.solve().ok_or(NotAligned::Singular)?;
            for (index, rotation) in aligned.rotations.iter_mut().enumerate() {
                *rotation = rotation.retract(&solution.at(3 * index));
            }
            aligned.gyroscope_bias += solution.at(of_bias);
            aligned.rotation_sigma = (0..poses.len()).map(|index| solution.sigma(3 * index)).fold(0.0, f64::max);
        }
        Ok(aligned)
    }
}
