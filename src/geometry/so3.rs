//! Rotations in three dimensions.

use std::ops::Mul;

use nalgebra::{Matrix3, Quaternion, Rotation3, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

/// Below this angle (radians) the closed forms lose digits to cancellation and their series are used: the first
/// omitted term is below 1e-16 there.
const SMALL_ANGLE: f64 = 1e-2;

/// A rotation, stored as a unit quaternion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct So3(UnitQuaternion<f64>);

impl So3 {
    /// No rotation.
    pub fn identity() -> Self {
        Self(UnitQuaternion::identity())
    }

    /// The rotation of a unit quaternion.
    pub fn from_quaternion(quaternion: UnitQuaternion<f64>) -> Self {
        Self(quaternion)
    }

    /// The rotation of quaternion components in ROS's order; `None` if they are not finite or their norm is not
    /// within 1e-2 of one (a zero quaternion is not a rotation).
    pub fn from_xyzw(x: f64, y: f64, z: f64, w: f64) -> Option<Self> {
        let quaternion = Quaternion::new(w, x, y, z);
        let norm = quaternion.norm();
        (norm.is_finite() && (norm - 1.0).abs() < 1e-2).then(|| Self(UnitQuaternion::from_quaternion(quaternion)))
    }

    /// Quaternion components in ROS's order `[x, y, z, w]`, with `w >= 0`.
    pub fn to_xyzw(self) -> [f64; 4] {
        let q = self.0.quaternion();
        let sign = if q.w < 0.0 { -1.0 } else { 1.0 };
        [sign * q.i, sign * q.j, sign * q.k, sign * q.w]
    }

    /// The rotation nearest to a matrix that is orthonormal within `tolerance` (at most 0.5) per entry of `RᵀR - I`
    /// and has a positive determinant; `None` otherwise. Files round their digits: 1e-3 suits them.
    pub fn from_matrix(matrix: &Matrix3<f64>, tolerance: f64) -> Option<Self> {
        let defect = (matrix.transpose() * matrix - Matrix3::identity()).amax();
        let sound = defect.is_finite() && defect < tolerance.min(0.5) && matrix.determinant() > 0.0;
        sound.then(|| Self(UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(nearest(matrix)))))
    }

    /// The underlying quaternion.
    pub fn quaternion(self) -> UnitQuaternion<f64> {
        self.0
    }

    /// The 3x3 rotation matrix.
    pub fn matrix(self) -> Matrix3<f64> {
        self.0.to_rotation_matrix().into_inner()
    }

    /// The rotation by `phi` (axis times angle, radians).
    pub fn exp(phi: &Vector3<f64>) -> Self {
        let half = 0.5 * phi.norm();
        let sinc_half = if half < SMALL_ANGLE {
            let h2 = half * half;
            0.5 * (1.0 - h2 / 6.0 * (1.0 - h2 / 20.0 * (1.0 - h2 / 42.0)))
        } else {
            0.5 * half.sin() / half
        };
        let v = phi * sinc_half;
        Self(UnitQuaternion::from_quaternion(Quaternion::new(half.cos(), v.x, v.y, v.z)))
    }

    /// Axis times angle (radians) of the short rotation: length in `[0, π]`.
    pub fn log(self) -> Vector3<f64> {
        let [x, y, z, w] = self.to_xyzw();
        let v = Vector3::new(x, y, z);
        let sine = v.norm();
        let scale = if sine < 1e-4 {
            // angle / sin(angle / 2) = 2 atan(sine / w) / sine, as a series in sine / w
            2.0 / w - 2.0 * sine * sine / (3.0 * w.powi(3))
        } else {
            2.0 * sine.atan2(w) / sine
        };
        v * scale
    }

    /// The opposite rotation.
    pub fn inverse(self) -> Self {
        Self(self.0.inverse())
    }

    /// `self · exp(phi)`.
    pub fn retract(self, phi: &Vector3<f64>) -> Self {
        self * Self::exp(phi)
    }

    /// `log(self⁻¹ other)`: the `phi` with `self.retract(phi) = other`.
    pub fn local(self, other: Self) -> Vector3<f64> {
        (self.inverse() * other).log()
    }

    /// The angle of the rotation, radians in `[0, π]`.
    pub fn angle(self) -> f64 {
        self.log().norm()
    }

    /// Spherical interpolation: `self` at 0, `other` at 1, at constant angular velocity along the short way.
    pub fn interpolate(self, other: Self, ratio: f64) -> Self {
        self.retract(&(ratio * self.local(other)))
    }

    /// The skew-symmetric matrix with `hat(a) b = a × b`.
    pub fn hat(v: &Vector3<f64>) -> Matrix3<f64> {
        v.cross_matrix()
    }

    /// The vector of a skew-symmetric matrix: `vee(hat(v)) = v`.
    pub fn vee(matrix: &Matrix3<f64>) -> Vector3<f64> {
        Vector3::new(matrix[(2, 1)], matrix[(0, 2)], matrix[(1, 0)])
    }

    /// Right Jacobian: `exp(phi + d) ≈ exp(phi) exp(J_r(phi) d)` (Solà et al. 2018, eq. 143).
    pub fn right_jacobian(phi: &Vector3<f64>) -> Matrix3<f64> {
        Self::left_jacobian(&-phi)
    }

    /// Inverse of [`So3::right_jacobian`] (Solà et al. 2018, eq. 144); defined for angles below 2π.
    pub fn right_jacobian_inverse(phi: &Vector3<f64>) -> Matrix3<f64> {
        Self::left_jacobian_inverse(&-phi)
    }

    /// Left Jacobian: `exp(phi + d) ≈ exp(J_l(phi) d) exp(phi)` (Solà et al. 2018, eq. 145).
    pub fn left_jacobian(phi: &Vector3<f64>) -> Matrix3<f64> {
        let t2 = phi.norm_squared();
        let theta = t2.sqrt();
        let (a, b) = if theta < SMALL_ANGLE {
            (0.5 - t2 / 24.0 + t2 * t2 / 720.0, 1.0 / 6.0 - t2 / 120.0 + t2 * t2 / 5040.0)
        } else {
            (2.0 * ((0.5 * theta).sin() / theta).powi(2), (theta - theta.sin()) / (t2 * theta))
        };
        let hat = Self::hat(phi);
        Matrix3::identity() + a * hat + b * hat * hat
    }

    /// Inverse of [`So3::left_jacobian`] (Solà et al. 2018, eq. 146); defined for angles below 2π.
    pub fn left_jacobian_inverse(phi: &Vector3<f64>) -> Matrix3<f64> {
        let t2 = phi.norm_squared();
        let theta = t2.sqrt();
        let c = if theta < SMALL_ANGLE {
            1.0 / 12.0 + t2 / 720.0 + t2 * t2 / 30240.0
        } else {
            let half = 0.5 * theta;
            (1.0 - half * half.cos() / half.sin()) / t2
        };
        let hat = Self::hat(phi);
        Matrix3::identity() - 0.5 * hat + c * hat * hat
    }
}

impl Mul for So3 {
    type Output = So3;
    fn mul(self, other: So3) -> So3 {
        So3(UnitQuaternion::new_normalize((self.0 * other.0).into_inner()))
    }
}

impl Mul<Vector3<f64>> for So3 {
    type Output = Vector3<f64>;
    fn mul(self, vector: Vector3<f64>) -> Vector3<f64> {
        self.0 * vector
    }
}

/// The rotation matrix nearest to a nearly orthonormal one: its polar factor, by Newton's iteration
/// `X <- (X + X⁻ᵀ) / 2`, which doubles the correct digits each time (Higham 1986).
fn nearest(matrix: &Matrix3<f64>) -> Matrix3<f64> {
    let step = |x: Matrix3<f64>| x.try_inverse().map_or(x, |inverse| 0.5 * (x + inverse.transpose()));
    (0..6).fold(*matrix, |x, _| step(x))
}
