//! The unknowns of a graph: poses in space, poses in the plane, velocities and biases, each with its own tangent.

use std::fmt;

use nalgebra::Vector3;

use super::planar::{self, planar_transform};
use crate::geometry::{Se3, Vector6};

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableKind {
    /// A rigid transform: six degrees of freedom.
    Pose,
    /// A rigid transform in the plane: three degrees of freedom.
    PlanarPose,
    /// A vector of three entries.
    Vector3,
    /// A vector of six entries.
    Vector6,
}

impl VariableKind {
    /// Degrees of freedom.
    pub const fn dim(self) -> usize {
        match self {
            VariableKind::Pose | VariableKind::Vector6 => 6,
            VariableKind::PlanarPose | VariableKind::Vector3 => 3,
        }
    }
}

impl fmt::Display for VariableKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            VariableKind::Pose => "a pose",
            VariableKind::PlanarPose => "a planar pose",
            VariableKind::Vector3 => "a vector of 3",
            VariableKind::Vector6 => "a vector of 6",
        })
    }
}

/// The estimate of one unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variable {
    /// A rigid transform; tangent `[translation (m), rotation (rad)]`, `retract(x, ξ) = x · exp(ξ)`.
    Pose(Se3),
    /// A rigid transform within the x-y plane, embedded in SE(3); tangent `[x, y (m), θ (rad)]`, a planar twist, so that
    /// `retract` is the same.
    PlanarPose(Se3),
    /// A velocity (m/s), or another vector.
    Vector3(Vector3<f64>),
    /// IMU biases `[gyroscope (rad/s), accelerometer (m/s²)]`, or another vector.
    Vector6(Vector6),
}

impl Variable {
    /// The planar pose at `x`, `y` (m) with the heading `theta` (rad).
    pub fn planar(x: f64, y: f64, theta: f64) -> Self {
        Variable::PlanarPose(planar_transform(x, y, theta))
    }

    /// What it is.
    pub const fn kind(&self) -> VariableKind {
        match self {
            Variable::Pose(_) => VariableKind::Pose,
            Variable::PlanarPose(_) => VariableKind::PlanarPose,
            Variable::Vector3(_) => VariableKind::Vector3,
            Variable::Vector6(_) => VariableKind::Vector6,
        }
    }

    /// Degrees of freedom.
    pub const fn dim(&self) -> usize {
        self.kind().dim()
    }

    /// The variable moved by `tangent`, of which the first [`Variable::dim`] entries count.
    pub fn retract(&self, tangent: &[f64]) -> Self {
        match self {
            Variable::Pose(pose) => Variable::Pose(pose.retract(&Vector6::from_column_slice(&tangent[..6]))),
            Variable::PlanarPose(pose) => {
                Variable::PlanarPose(*pose * planar::exp(&Vector3::from_column_slice(&tangent[..3])))
            }
            Variable::Vector3(vector) => Variable::Vector3(vector + Vector3::from_column_slice(&tangent[..3])),
            Variable::Vector6(vector) => Variable::Vector6(vector + Vector6::from_column_slice(&tangent[..6])),
        }
    }

    /// The tangent that moves `self` to `other`, in the first [`Variable::dim`] entries of `tangent`; `None`, with
    /// `tangent` untouched, when they are of different kinds.
    pub fn local(&self, other: &Self, tangent: &mut [f64]) -> Option<()> {
        match (self, other) {
            (Variable::Pose(from), Variable::Pose(to)) => tangent[..6].copy_from_slice(from.local(*to).as_slice()),
            (Variable::PlanarPose(from), Variable::PlanarPose(to)) => {
                tangent[..3].copy_from_slice(planar::log(&(from.inverse() * *to)).as_slice());
            }
            (Variable::Vector3(from), Variable::Vector3(to)) => tangent[..3].copy_from_slice((to - from).as_slice()),
            (Variable::Vector6(from), Variable::Vector6(to)) => tangent[..6].copy_from_slice((to - from).as_slice()),
            _ => return None,
        }
        Some(())
    }

    /// Whether every number in it is finite.
    pub fn is_finite(&self) -> bool {
        match self {
            Variable::Pose(pose) | Variable::PlanarPose(pose) => pose.is_finite(),
            Variable::Vector3(vector) => vector.iter().all(|entry| entry.is_finite()),
            Variable::Vector6(vector) => vector.iter().all(|entry| entry.is_finite()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planar_pose_moves_along_an_arc_in_its_own_axes() {
        let quarter = std::f64::consts::FRAC_PI_2;
        let start = Variable::planar(1.0, 2.0, quarter);
        let moved = start.retract(&[quarter, 0.0, quarter]);
        let Variable::PlanarPose(pose) = moved else { panic!("a planar pose stays one") };
        let expected = Vector3::new(0.0, 3.0, 2.0 * quarter);
        assert!((super::super::planar_coordinates(&pose) - expected).amax() < 1e-12, "{pose:?}");
        let mut tangent = [0.0; 3];
        assert_eq!(start.local(&moved, &mut tangent), Some(()));
        assert!((Vector3::from(tangent) - Vector3::new(quarter, 0.0, quarter)).amax() < 1e-12, "{tangent:?}");
    }

    #[test]
    fn different_kinds_have_no_difference() {
        let mut tangent = [7.0; 6];
        let vector = Variable::Vector3(Vector3::zeros());
        assert_eq!(vector.local(&Variable::Pose(Se3::identity()), &mut tangent), None);
        assert_eq!(tangent, [7.0; 6]);
    }
}
