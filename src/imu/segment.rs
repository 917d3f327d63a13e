//! The motion between two readings of an IMU, in the axes of the first one.
//!
//! Rate of turn `ω` and specific force `a` are taken to be linear in time between the two readings, biases removed.
//! The rotation is the fourth-order Magnus expansion (Blanes, Casas, Oteo & Ros 2009); velocity and
//! position are Simpson's rule for `∫ R a ds` and `∫ (h - s) R a ds`. All are of fourth order in the step `h`; the
//! plain midpoint rule, of second order, misses 1e-4 m/s per second of a lively motion at 200 Hz.

use nalgebra::{Matrix3, SMatrix, Vector3};

use crate::geometry::So3;
use crate::sensor::ImuSample;

/// The derivative of `[position, rotation, velocity]` by `[gyroscope bias, accelerometer bias]`.
pub(super) type Matrix9x6 = SMatrix<f64, 9, 6>;

/// The motion over one step.
pub(super) struct Segment {
    /// Seconds.
    pub duration: f64,
    /// Rotation from the end to the start, `Exp(φ)`.
    pub rotation: So3,
    /// `∫ (h - s) R(s) a(s) ds`, metres.
    pub position: Vector3<f64>,
    /// `∫ R(s) a(s) ds`, m/s.
    pub velocity: Vector3<f64>,
    /// Exact derivative of the three by the biases; the rotation moves on the right.
    pub bias_jacobian: Matrix9x6,
}

impl Segment {
    /// The motion between two readings without biases, `duration` seconds apart.
    pub fn between(from: &ImuSample, to: &ImuSample, duration: f64) -> Self {
        let h = duration;
        let (w0, w1) = (from.angular_velocity, to.angular_velocity);
        let (a0, a1) = (from.linear_acceleration, to.linear_acceleration);
        let coning = w0.cross(&w1);
        let phi = 0.5 * h * (w0 + w1) + h * h / 12.0 * coning;
        let phi_middle = h / 8.0 * (3.0 * w0 + w1) + h * h / 96.0 * coning;
        let (rotation, middle) = (So3::exp(&phi), So3::exp(&phi_middle));
        let (rotated, rotated_middle) = (rotation.matrix(), middle.matrix());
        let (force_middle, force_end) = (rotated_middle * (0.5 * (a0 + a1)), rotated * a1);
        let velocity = h / 6.0 * (a0 + 4.0 * force_middle + force_end);
        let position = h * h / 6.0 * (a0 + 2.0 * force_middle);

        // ω0 × ω1 loses (ω0 - ω1) × b when both lose b.
        let turn = So3::hat(&(w1 - w0));
        let d_phi = So3::right_jacobian(&phi) * (h * h / 12.0 * turn - h * Matrix3::identity());
        let d_phi_middle = So3::right_jacobian(&phi_middle) * (h * h / 96.0 * turn - 0.5 * h * Matrix3::identity());
        // R a moves by R (δφ × a) = -(R a) × (R δφ).
        let d_middle = -So3::hat(&force_middle) * (rotated_middle * d_phi_middle);
        let d_end = -So3::hat(&force_end) * (rotated * d_phi);
        let mut bias_jacobian = Matrix9x6::zeros();
        let mut set = |row, column, block: Matrix3<f64>| {
            bias_jacobian.fixed_view_mut::<3, 3>(row, column).copy_from(&block);
        };
        set(0, 0, h * h / 3.0 * d_middle);
        set(3, 0, d_phi);
        set(6, 0, h / 6.0 * (4.0 * d_middle + d_end));
        set(0, 3, -h * h / 6.0 * (Matrix3::identity() + 2.0 * rotated_middle));
        set(6, 3, -h / 6.0 * (Matrix3::identity() + 4.0 * rotated_middle + rotated));
        Self { duration, rotation, position, velocity, bias_jacobian }
    }
}
