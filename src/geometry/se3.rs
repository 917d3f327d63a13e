//! Rigid transforms in three dimensions.

use std::ops::Mul;

use nalgebra::{Matrix3, Matrix4, SMatrix, SVector, Vector3};
use serde::{Deserialize, Serialize};

use super::So3;

/// A tangent of SE(3): `[translation (m), rotation (rad)]`.
pub type Vector6 = SVector<f64, 6>;
/// A linear map of the tangent of SE(3), for example a covariance.
pub type Matrix6 = SMatrix<f64, 6, 6>;

/// A rigid transform `a_from_b`: a point `p_b` has the coordinates `rotation * p_b + translation` in `a`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Se3 {
    /// Rotation from `b` to `a`.
    pub rotation: So3,
    /// Origin of `b` in `a`, metres.
    pub translation: Vector3<f64>,
}

impl Se3 {
    /// No motion.
    pub fn identity() -> Self {
        Self { rotation: So3::identity(), translation: Vector3::zeros() }
    }

    /// A transform from its two parts.
    pub fn new(rotation: So3, translation: Vector3<f64>) -> Self {
        Self { rotation, translation }
    }

    /// The transform of a homogeneous 4x4 matrix; `None` unless finite, the last row is `0 0 0 1` and the upper
    /// left part is a rotation within `tolerance` (see [`So3::from_matrix`]).
    pub fn from_matrix(matrix: &Matrix4<f64>, tolerance: f64) -> Option<Self> {
        let last = matrix.row(3) - nalgebra::RowVector4::new(0.0, 0.0, 0.0, 1.0);
        let translation: Vector3<f64> = matrix.fixed_view::<3, 1>(0, 3).into();
        if last.amax() > 1e-9 || !matrix.iter().all(|value| value.is_finite()) {
            return None;
        }
        let rotation = So3::from_matrix(&matrix.fixed_view::<3, 3>(0, 0).into(), tolerance)?;
        Some(Self { rotation, translation })
    }

    /// The homogeneous 4x4 matrix.
    pub fn matrix(self) -> Matrix4<f64> {
        let mut matrix = Matrix4::identity();
        matrix.fixed_view_mut::<3, 3>(0, 0).copy_from(&self.rotation.matrix());
        matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&self.translation);
        matrix
    }

    /// The motion along the constant twist `xi` for unit time (Solà et al. 2018, eq. 172).
    pub fn exp(xi: &Vector6) -> Self {
        let (rho, phi) = split(xi);
        Self { rotation: So3::exp(&phi), translation: So3::left_jacobian(&phi) * rho }
    }

    /// The twist of the motion: inverse of [`Se3::exp`] for rotations below π (Solà et al. 2018, eq. 173).
    pub fn log(self) -> Vector6 {
        let phi = self.rotation.log();
        join(&(So3::left_jacobian_inverse(&phi) * self.translation), &phi)
    }

    /// The opposite transform, `b_from_a`.
    pub fn inverse(self) -> Self {
        let rotation = self.rotation.inverse();
        Self { rotation, translation: -(rotation * self.translation) }
    }

    /// `self · exp(xi)`.
    pub fn retract(self, xi: &Vector6) -> Self {
        self * Self::exp(xi)
    }

    /// `log(self⁻¹ other)`: the `xi` with `self.retract(xi) = other`.
    pub fn local(self, other: Self) -> Vector6 {
        (self.inverse() * other).log()
    }

    /// Interpolation: translation along a straight line, rotation spherically, both at constant speed.
    ///
    /// The path that TF and trajectory tools use between two stamped poses.
    pub fn interpolate(self, other: Self, ratio: f64) -> Self {
        Self {
            rotation: self.rotation.interpolate(other.rotation, ratio),
            translation: self.translation.lerp(&other.translation, ratio),
        }
    }

    /// The mean: the `x` with `Σ local(x, pose) = 0`, found by moving it along the mean of these tangents until it
    /// stays (Pennec 1999, "Probabilities and statistics on Riemannian manifolds", section 3; 20 times at most).
    /// `None` of no poses.
    pub fn mean(poses: &[Self]) -> Option<Self> {
        let mut mean = *poses.first()?;
        for _ in 0..20 {
            let step = poses.iter().map(|pose| mean.local(*pose)).sum::<Vector6>() / poses.len() as f64;
            mean = mean.retract(&step);
            if step.amax() < 1e-13 {
                break;
            }
        }
        Some(mean)
    }

    /// The adjoint: `self · exp(xi) = exp(Ad xi) · self` (Solà et al. 2018, eq. 175).
    pub fn adjoint(self) -> Matrix6 {
        let rotation = self.rotation.matrix();
        blocks(&rotation, &(So3::hat(&self.translation) * rotation), &rotation)
    }

    /// Right Jacobian: `exp(xi + d) ≈ exp(xi) exp(J_r(xi) d)` (Solà et al. 2018, eq. 179).
    pub fn right_jacobian(xi: &Vector6) -> Matrix6 {
        let (rho, phi) = split(&-xi);
        let diagonal = So3::left_jacobian(&phi);
        blocks(&diagonal, &left_jacobian_coupling(&rho, &phi), &diagonal)
    }

    /// Inverse of [`Se3::right_jacobian`] (Solà et al. 2018, eq. 182).
    pub fn right_jacobian_inverse(xi: &Vector6) -> Matrix6 {
        let (rho, phi) = split(&-xi);
        let diagonal = So3::left_jacobian_inverse(&phi);
        blocks(&diagonal, &(-diagonal * left_jacobian_coupling(&rho, &phi) * diagonal), &diagonal)
    }

    /// Whether a message may carry it: every number is finite, and no coordinate of the translation is above 1e9 m.
    /// Beyond that, products of transforms and of their covariances would leave what a number can hold.
    pub fn is_plausible(self) -> bool {
        self.is_finite() && self.translation.amax() <= 1e9
    }

    /// Whether every number of the transform is finite.
    pub fn is_finite(self) -> bool {
        self.translation.iter().all(|value| value.is_finite())
            && self.rotation.to_xyzw().iter().all(|value| value.is_finite())
    }
}

impl Mul for Se3 {
    type Output = Se3;
    fn mul(self, other: Se3) -> Se3 {
        Se3 {
            rotation: self.rotation * other.rotation,
            translation: self.rotation * other.translation + self.translation,
        }
    }
}

/// Transforms a point.
impl Mul<Vector3<f64>> for Se3 {
    type Output = Vector3<f64>;
    fn mul(self, point: Vector3<f64>) -> Vector3<f64> {
        self.rotation * point + self.translation
    }
}

fn split(xi: &Vector6) -> (Vector3<f64>, Vector3<f64>) {
    (xi.fixed_rows::<3>(0).into(), xi.fixed_rows::<3>(3).into())
}

fn join(rho: &Vector3<f64>, phi: &Vector3<f64>) -> Vector6 {
    Vector6::new(rho.x, rho.y, rho.z, phi.x, phi.y, phi.z)
}

/// `[a b; 0 c]`.
fn blocks(a: &Matrix3<f64>, b: &Matrix3<f64>, c: &Matrix3<f64>) -> Matrix6 {
    let mut matrix = Matrix6::zeros();
    matrix.fixed_view_mut::<3, 3>(0, 0).copy_from(a);
    matrix.fixed_view_mut::<3, 3>(0, 3).copy_from(b);
    matrix.fixed_view_mut::<3, 3>(3, 3).copy_from(c);
    matrix
}

/// The matrix Q(ρ, φ) of the left Jacobian of SE(3) (Barfoot 2017, eq. 7.86; Solà et al. 2018, eq. 180).
fn left_jacobian_coupling(rho: &Vector3<f64>, phi: &Vector3<f64>) -> Matrix3<f64> {
    let t2 = phi.norm_squared();
    let theta = t2.sqrt();
    // b = (θ - sin θ)/θ³,  c = (θ²/2 + cos θ - 1)/θ⁴,  d = (c - 3 (θ - sin θ - θ³/6)/(-θ⁵)) / 2. The closed forms
    // cancel up to five powers of θ, so the series serve up to a larger angle than elsewhere.
    let (b, c, d) = if theta < 0.3 {
        (
            1.0 / 6.0 - t2 / 120.0 * (1.0 - t2 / 42.0 * (1.0 - t2 / 72.0 * (1.0 - t2 / 110.0))),
            1.0 / 24.0 - t2 / 720.0 * (1.0 - t2 / 56.0 * (1.0 - t2 / 90.0 * (1.0 - t2 / 132.0))),
            1.0 / 120.0 - t2 / 2520.0 + t2 * t2 / 120_960.0 - t2.powi(3) / 9_979_200.0 + t2.powi(4) / 1_245_404_160.0,
        )
    } else {
        let (sine, cosine) = theta.sin_cos();
        let b = (theta - sine) / (t2 * theta);
        let c = (0.5 * t2 + cosine - 1.0) / (t2 * t2);
        let e = (theta - sine - t2 * theta / 6.0) / (t2 * t2 * theta);
        (b, c, 0.5 * (c + 3.0 * e))
    };
    let (r, p) = (So3::hat(rho), So3::hat(phi));
    0.5 * r
        + b * (p * r + r * p + p * r * p)
        + c * (p * p * r + r * p * p - 3.0 * p * r * p)
        + d * (p * r * p * p + p * p * r * p)
}
