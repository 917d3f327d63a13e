//! How errors of a delta pass through one more step.

use nalgebra::{Matrix3, SMatrix, Vector3};

use super::segment::Segment;
use crate::geometry::So3;

/// The matrix A of the README, by blocks.
pub(super) struct Transition {
    duration: f64,
    turn_back: Matrix3<f64>,
    position_by_rotation: Matrix3<f64>,
    velocity_by_rotation: Matrix3<f64>,
}

impl Transition {
    /// The transition over `segment` of a delta with this rotation.
    pub fn new(rotation: &Matrix3<f64>, segment: &Segment) -> Self {
        Self {
            duration: segment.duration,
            turn_back: segment.rotation.inverse().matrix(),
            position_by_rotation: -rotation * So3::hat(&segment.position),
            velocity_by_rotation: -rotation * So3::hat(&segment.velocity),
        }
    }

    /// `A · errors`, in place.
    pub fn apply<const N: usize>(&self, errors: &mut SMatrix<f64, 9, N>) {
        for mut column in errors.column_iter_mut() {
            let rotation: Vector3<f64> = column.fixed_rows::<3>(3).into();
            let velocity: Vector3<f64> = column.fixed_rows::<3>(6).into();
            let mut position = column.fixed_rows_mut::<3>(0);
            position += self.position_by_rotation * rotation + self.duration * velocity;
            column.fixed_rows_mut::<3>(3).copy_from(&(self.turn_back * rotation));
            let mut velocity = column.fixed_rows_mut::<3>(6);
            velocity += self.velocity_by_rotation * rotation;
        }
    }
}
