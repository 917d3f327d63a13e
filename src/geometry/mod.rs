//! Rotations, rigid transforms, their covariances and trajectories: pure mathematics, no input and output.
//!
//! Conventions, here and everywhere:
//! - Frames stand in names: `map_from_base` takes coordinates in `base` to coordinates in `map`; products cancel,
//!   `map_from_base * base_from_camera = map_from_camera`.
//! - Perturbations act on the right: `retract(x, ξ) = x · exp(ξ)`, `local(x, y) = log(x⁻¹ y)`.
//! - The tangent of SE(3) is ordered `[translation, rotation]` (metres, radians).
//! - `q` and `-q` are one rotation; [`So3::log`] returns the short one, of length at most π.

mod se3;
mod so3;

pub use se3::{Matrix6, Se3, Vector6};
pub use so3::So3;
