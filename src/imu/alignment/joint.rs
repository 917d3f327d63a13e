//! The third step of the alignment: everything at once, with gravity of known size.

use nalgebra::{Matrix3, SMatrix, Vector3};

use super::linear::LinearAlignment;
use super::normal_equations::NormalEquations;
use super::rotation::RotationAlignment;
use super::{AlignmentOptions, NotAligned, ROUNDS};
use crate::Stamp;
use crate::geometry::{Se3, Vector6};
use crate::imu::{ImuBias, NavState, PreintegratedImu, Vector9};

/// How well the size of gravity is taken to be known, m/s²: from the poles to the equator it varies by 0.05.
const GRAVITY_SIZE_SIGMA: f64 = 0.01;

/// States, biases and gravity with the least error of poses and readings together.
pub(super) struct JointAlignment {
    pub states: Vec<NavState>,
    pub bias: ImuBias,
    pub gravity: Vector3<f64>,
    /// Standard deviation of gravity in the worst direction, m/s².
    pub gravity_sigma: f64,
    pub gyroscope_bias_sigma: f64,
    pub accelerometer_bias_sigma: f64,
}

impl JointAlignment {
    /// Unknowns: nine per state, then gyroscope bias, accelerometer bias and gravity.
    pub fn solve(
        poses: &[(Stamp, Se3)],
        turned: &RotationAlignment,
        start: &LinearAlignment,
        intervals: &[PreintegratedImu],
        options: &AlignmentOptions,
    ) -> Result<Self, NotAligned> {
        let of_bias = 9 * poses.len();
        let of_gravity = of_bias + 6;
        let state = |index: usize| NavState {
            map_from_imu: Se3::new(turned.rotations[index], poses[index].1.translation),
            velocity: start.velocities[index],
        };
        let mut joint = Self {
            states: (0..poses.len()).map(state).collect(),
            bias: ImuBias { gyroscope: turned.gyroscope_bias, accelerometer: start.accelerometer_bias },
            gravity: options.gravity * start.gravity.normalize(),
            gravity_sigma: f64::INFINITY,
            gyroscope_bias_sigma: f64::INFINITY,
            accelerometer_bias_sigma: f64::INFINITY,
        };
        for _ in 0..ROUNDS {
            let solution = joint.linearized(poses, intervals, options)?.solve().ok_or(NotAligned::Singular)?;
            for (index, state) in joint.states.iter_mut().enumerate() {
                let [p, r, v] = [0, 3, 6].map(|row| solution.at(9 * index + row));
                *state = state.retract(&Vector9::from_iterator([p, r, v].iter().flatten().copied()));
            }
            joint.bias.gyroscope += solution.at(of_bias);
            joint.bias.accelerometer += solution.at(of_bias + 3);
            joint.gravity += solution.at(of_gravity);
            joint.gravity_sigma = solution.sigma(of_gravity);
            joint.gyroscope_bias_sigma = solution.sigma(of_bias);
            joint.accelerometer_bias_sigma = solution.sigma(of_bias + 3);
        }
        Ok(joint)
    }

    fn linearized(
        &self,
        poses: &[(Stamp, Se3)],
        intervals: &[PreintegratedImu],
        options: &AlignmentOptions,
    ) -> Result<NormalEquations, NotAligned> {
        let of_bias = 9 * poses.len();
        let of_gravity = of_bias + 6;
        let mut equations = NormalEquations::new(of_gravity + 3);
        for (index, interval) in intervals.iter().enumerate() {
            let (i, j) = (&self.states[index], &self.states[index + 1]);
            let exact = interval.linearize(i, self.bias, j, self.gravity);
            let seconds = interval.duration();
            let map_to_i = i.map_from_imu.rotation.inverse().matrix();
            let mut by_gravity = SMatrix::<f64, 9, 3>::zeros();
            by_gravity.fixed_view_mut::<3, 3>(0, 0).copy_from(&(-0.5 * seconds * seconds * map_to_i));
            by_gravity.fixed_view_mut::<3, 3>(6, 0).copy_from(&(-seconds * map_to_i));
            let (of_i, of_j) = (9 * index, 9 * index + 9);
            let half = |matrix: &SMatrix<f64, 9, 6>, column| matrix.fixed_columns::<3>(column).into_owned();
            let terms = [
                (of_i, half(&exact.by_pose_i, 0)),
                (of_i + 3, half(&exact.by_pose_i, 3)),
                (of_i + 6, exact.by_velocity_i),
                (of_j, half(&exact.by_pose_j, 0)),
                (of_j + 3, half(&exact.by_pose_j, 3)),
                (of_j + 6, exact.by_velocity_j),
                (of_bias, half(&exact.by_bias_i, 0)),
                (of_bias + 3, half(&exact.by_bias_i, 3)),
                (of_gravity, by_gravity),
            ];
            let weight = interval.covariance().try_inverse().ok_or(NotAligned::Singular)?;
            equations.add(&-exact.value, &terms, &weight);
        }
        self.add_priors(&mut equations, poses, options);
        Ok(equations)
    }

    /// The poses as they were measured, the accelerometer's bias about zero, and the size of gravity.
    fn add_priors(&self, equations: &mut NormalEquations, poses: &[(Stamp, Se3)], options: &AlignmentOptions) {
        let (of_bias, of_gravity) = (9 * poses.len(), 9 * poses.len() + 6);
        let identity = Matrix3::identity();
        for (index, (_, measured)) in poses.iter().enumerate() {
            let remaining: Vector6 = self.states[index].map_from_imu.local(*measured);
            for (row, sigma) in [(0, options.translation_sigma), (3, options.rotation_sigma)] {
                let part: Vector3<f64> = remaining.fixed_rows::<3>(row).into();
                equations.add(&part, &[(9 * index + row, identity)], &(identity / (sigma * sigma)));
            }
        }
        let weight = identity / options.accelerometer_bias_sigma.powi(2);
        equations.add(&-self.bias.accelerometer, &[(of_bias + 3, identity)], &weight);
        let along = self.gravity.normalize();
        let missing = (options.gravity - self.gravity.norm()) * along;
        equations.add(&missing, &[(of_gravity, identity)], &(along * along.transpose() / GRAVITY_SIZE_SIGMA.powi(2)));
    }
}
