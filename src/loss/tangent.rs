//! Differentiable operations on batches of quaternions (w, x, y, z) and poses; the conventions of
//! [`geometry`](crate::geometry), on tensors.

use tch::{Kind, Tensor};

use crate::network::PoseTensor;

/// Product of unit quaternions, row by row.
pub fn multiply(a_b4: &Tensor, b_b4: &Tensor) -> Tensor {
    let ((aw, av), (bw, bv)) = (parts(a_b4), parts(b_b4));
    let w = &aw * &bw - dot(&av, &bv);
    let v = &aw * &bv + &bw * &av + cross(&av, &bv);
    Tensor::cat(&[w, v], 1)
}

/// The opposite rotation.
pub fn conjugate(q_b4: &Tensor) -> Tensor {
    let (w, v) = parts(q_b4);
    Tensor::cat(&[w, -v], 1)
}

/// Rotates vectors `b3` by unit quaternions.
pub fn rotate(q_b4: &Tensor, vector_b3: &Tensor) -> Tensor {
    let (w, v) = parts(q_b4);
    let t = cross(&v, vector_b3) * 2.0;
    vector_b3 + w * &t + cross(&v, &t)
}

/// Axis times angle of the short rotation, `b3`, radians; smooth at the identity.
pub fn log(q_b4: &Tensor) -> Tensor {
    let (w, v) = parts(q_b4);
    let sign = w.ge(0.0).to_kind(w.kind()) * 2.0 - 1.0;
    let sine = (dot(&v, &v) + 1e-12).sqrt();
    let scale = sine.atan2(&(w * &sign)) * 2.0 / sine;
    v * sign * scale
}

/// `estimate.local(truth)` of SE(3), `b6`: `[translation, rotation]` in the axes of the estimate.
///
/// With ρ = Rᵀ(t' - t) and φ = log(Rᵀ R'), the translation is ρ - ½ φ×ρ + c φ×(φ×ρ) (Solà et al. 2018, eq. 173 and
/// 146). c(|φ|) is taken from its series up to |φ|⁸: within 0.01 % at π, and with a gradient everywhere.
pub fn local(estimate: &PoseTensor, truth: &PoseTensor) -> Tensor {
    let inverse = conjugate(&estimate.quaternion_b4);
    let rho = rotate(&inverse, &(&truth.translation_b3 - &estimate.translation_b3));
    let phi = log(&multiply(&inverse, &truth.quaternion_b4));
    let t2 = dot(&phi, &phi);
    let c = (((&t2 / 47_900_160.0 + 1.0 / 1_209_600.0) * &t2 + 1.0 / 30_240.0) * &t2 + 1.0 / 720.0) * &t2 + 1.0 / 12.0;
    let once = cross(&phi, &rho);
    let translation = rho - &once * 0.5 + c * cross(&phi, &once);
    Tensor::cat(&[translation, phi], 1)
}

/// Length of the rows, `b`; its gradient is zero rather than NaN at zero.
pub fn row_norm(rows: &Tensor) -> Tensor {
    (dot(rows, rows) + 1e-12).sqrt().squeeze_dim(1)
}

fn parts(q_b4: &Tensor) -> (Tensor, Tensor) {
    (q_b4.narrow(1, 0, 1), q_b4.narrow(1, 1, 3))
}

fn dot(a: &Tensor, b: &Tensor) -> Tensor {
    (a * b).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)
}

fn cross(a_b3: &Tensor, b_b3: &Tensor) -> Tensor {
    a_b3.linalg_cross(b_b3, 1)
}
