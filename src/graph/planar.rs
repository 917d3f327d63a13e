//! Rigid transforms in the plane, SE(2), embedded in SE(3): translation along x and y, rotation about z.
//!
//! The tangent is `[x, y (m), θ (rad)]`, the twist of a motion at constant speed, as that of [`Se3`] restricted to the
//! plane (Solà et al. 2018, section on SE(2)). GTSAM 4.3 measures planar differences the same way; g2o and older
//! versions of GTSAM take `[x, y, θ]` of the transform itself, which differs where edges do not fit.

use nalgebra::{Matrix3, UnitQuaternion, Vector3};

use crate::geometry::{Se3, So3};

/// Below this angle (radians) series replace the closed forms: the first omitted term is below 1e-16 there.
const SMALL_ANGLE: f64 = 1e-2;

/// The transform in the plane with the translation `x`, `y` (m) and the rotation `theta` (rad).
pub fn planar_transform(x: f64, y: f64, theta: f64) -> Se3 {
    let (sine, cosine) = (0.5 * theta).sin_cos();
    let about_z = UnitQuaternion::new_unchecked(nalgebra::Quaternion::new(cosine, 0.0, 0.0, sine));
    Se3::new(So3::from_quaternion(about_z), Vector3::new(x, y, 0.0))
}

/// `[x, y (m), θ (rad)]` of a transform in the plane, θ in (-π, π].
pub fn planar_coordinates(transform: &Se3) -> Vector3<f64> {
    let [_, _, z, w] = transform.rotation.to_xyzw();
    Vector3::new(transform.translation.x, transform.translation.y, 2.0 * z.atan2(w))
}

/// The motion along a constant planar twist for unit time (Solà et al. 2018, eq. 156).
pub(super) fn exp(twist: &Vector3<f64>) -> Se3 {
    let theta = twist.z;
    let (a, b) = if theta.abs() < SMALL_ANGLE {
        let square = theta * theta;
        (
            1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)),
            theta * (0.5 - square / 24.0 * (1.0 - square / 30.0)),
        )
    } else {
        let half = (0.5 * theta).sin();
        (theta.sin() / theta, 2.0 * half * half / theta)
    };
    planar_transform(a * twist.x - b * twist.y, b * twist.x + a * twist.y, theta)
}

/// The twist of a planar transform: inverse of [`exp`] for angles within (-π, π] (Solà et al. 2018, eq. 157).
pub(super) fn log(transform: &Se3) -> Vector3<f64> {
    let coordinates = planar_coordinates(transform);
    let (x, y, theta) = (coordinates.x, coordinates.y, coordinates.z);
    let (a, half) = (half_cotangent(theta), 0.5 * theta);
    Vector3::new(a * x + half * y, a * y - half * x, theta)
}

/// Inverse of the right Jacobian at a planar twist: `log(exp(ξ) exp(d)) ≈ ξ + J_r⁻¹(ξ) d` (inverse of Solà et al. 2018,
/// eq. 163).
pub(super) fn right_jacobian_inverse(twist: &Vector3<f64>) -> Matrix3<f64> {
    let theta = twist.z;
    let (a, half) = (half_cotangent(theta), 0.5 * theta);
    let square = theta * theta;
    // (θ - sin θ) / θ² and (1 - cos θ) / θ²
    let (b, c) = if theta.abs() < SMALL_ANGLE {
        (theta / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)), 0.5 - square / 24.0 * (1.0 - square / 30.0))
    } else {
        ((theta - theta.sin()) / square, 2.0 * (0.5 * theta).sin().powi(2) / square)
    };
    let (x, y) = (b * twist.x - c * twist.y, c * twist.x + b * twist.y);
    Matrix3::new(a, -half, half * y - a * x, half, a, -half * x - a * y, 0.0, 0.0, 1.0)
}

/// The adjoint on planar twists (Solà et al. 2018, eq. 159).
pub(super) fn adjoint(transform: &Se3) -> Matrix3<f64> {
    let [_, _, z, w] = transform.rotation.to_xyzw();
    let (cosine, sine) = (w * w - z * z, 2.0 * z * w);
    Matrix3::new(cosine, -sine, transform.translation.y, sine, cosine, -transform.translation.x, 0.0, 0.0, 1.0)
}

/// `θ/2 · cot(θ/2)`.
fn half_cotangent(theta: f64) -> f64 {
    if theta.abs() < SMALL_ANGLE {
        let square = theta * theta;
        1.0 - square / 12.0 * (1.0 + square / 60.0 * (1.0 + square / 42.0))
    } else {
        0.5 * theta / (0.5 * theta).tan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Matrix6, Vector6};
    use proptest::prelude::*;

    fn embedded(twist: &Vector3<f64>) -> Vector6 {
        Vector6::new(twist.x, twist.y, 0.0, 0.0, 0.0, twist.z)
    }

    fn planar_part(matrix: &Matrix6) -> Matrix3<f64> {
        Matrix3::from_fn(|row, column| matrix[([0, 1, 5][row], [0, 1, 5][column])])
    }

    fn twists() -> impl Strategy<Value = Vector3<f64>> {
        let angles = prop_oneof![-3.1..3.1f64, -0.011..0.011f64, -1e-6..1e-6f64, Just(0.0)];
        (-5.0..5.0f64, -5.0..5.0f64, angles).prop_map(|(x, y, theta)| Vector3::new(x, y, theta))
    }

    proptest! {
        #[test]
        fn the_plane_is_a_part_of_space(twist in twists()) {
            let (planar, space) = (exp(&twist), Se3::exp(&embedded(&twist)));
            prop_assert!((planar.matrix() - space.matrix()).amax() < 1e-12);
            prop_assert!((log(&planar) - twist).amax() < 1e-11);
            prop_assert!((adjoint(&planar) - planar_part(&space.adjoint())).amax() < 1e-12);
            let expected = planar_part(&Se3::right_jacobian_inverse(&embedded(&twist)));
            prop_assert!((right_jacobian_inverse(&twist) - expected).amax() < 1e-11);
        }
    }
}
