//! The reprojection loss (Kendall & Cipolla 2017, arXiv 1704.00390, section 3.3): how far the points that a frame sees
//! move in its image when the predicted pose takes the place of the true one,
//!
//! L = mean over frames and points gᵢ of ‖ π(x, q, gᵢ) - π(x*, q*, gᵢ) ‖₁
//!
//! π projects a point of the map into the image: p = Rᵀ(g - t), then (p_x / p_z, p_y / p_z). The paper counts pixels;
//! here the unit is the focal length, so that neither camera nor input size matter, nor do the units of the map.
//! Translation and rotation need no weight against each other.
//!
//! The paper found that the loss does not converge from a random start: predictions put points behind the camera, where
//! the projection flips. Here a point's depth counts for at least a tenth of the true one, and an error e as
//! e l / (e + l), which is e where it is small, never reaches the limit l, and never loses its gradient. A start
//! from the pose loss is still wanted.

use tch::{Kind, Tensor};

use super::tangent::{conjugate, rotate};
use crate::network::PoseTensor;

/// What of the true depth counts at least.
const LEAST_DEPTH: f64 = 0.1;
/// A point that the true pose has nearer than this (normalized units), or behind the camera, is not seen.
const NEAREST: f64 = 1e-3;

/// The loss over points `bn3` of the map in normalized units, a row of them per pose; `limit` in units of the focal
/// length. Points that the true pose does not have in front of the camera are left out; without any it is 0.
pub fn reprojection_loss(estimate: &PoseTensor, truth: &PoseTensor, points_bn3: &Tensor, limit: f64) -> Tensor {
    let (seen, guessed) = (in_camera(truth, points_bn3), in_camera(estimate, points_bn3));
    let true_depth = depth(&seen);
    let visible = true_depth.gt(NEAREST).to_kind(Kind::Float);
    let true_depth = true_depth.clamp_min(NEAREST);
    let guessed_depth = depth(&guessed).maximum(&(&true_depth * LEAST_DEPTH));
    let moved = guessed.narrow(1, 0, 2) / guessed_depth - seen.narrow(1, 0, 2) / true_depth;
    let error = moved.abs().sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    let bounded = &error * limit / (&error + limit);
    (bounded * &visible).sum(Kind::Float) / visible.sum(Kind::Float).clamp_min(1.0)
}

/// The points in the axes of each pose's camera, `(bn)3`.
fn in_camera(map_from_camera: &PoseTensor, points_bn3: &Tensor) -> Tensor {
    let count = points_bn3.size()[1];
    let camera_from_map = conjugate(&map_from_camera.quaternion_b4).repeat_interleave_self_int(count, 0, None::<i64>);
    let from_camera = points_bn3 - map_from_camera.translation_b3.unsqueeze(1);
    rotate(&camera_from_map, &from_camera.view([-1, 3]))
}

fn depth(points: &Tensor) -> Tensor {
    points.narrow(1, 2, 1)
}
