//! Rotations, rigid transforms, their covariances, trajectories and the tree of frames: pure mathematics. The only
//! files known here are TUM trajectories, the text form of [`Trajectory`].
//!
//! Conventions, here and everywhere:
//! - Frames stand in names: `map_from_base` takes coordinates in `base` to coordinates in `map`; products cancel,
//!   `map_from_base * base_from_camera = map_from_camera`.
//! - Perturbations act on the right: `retract(x, ξ) = x · exp(ξ)`, `local(x, y) = log(x⁻¹ y)`.
//! - The tangent of SE(3) is ordered `[translation, rotation]` (metres, radians).
//! - `q` and `-q` are one rotation; [`So3::log`] returns the short one, of length at most π.

mod alignment;
mod covariance;
mod se3;
mod so3;
mod trajectory;
mod transform_error;
mod transform_tree;
mod tum;

pub use alignment::{Similarity, umeyama};
pub use covariance::PoseCovariance;
pub use se3::{Matrix6, Se3, Vector6};
pub use so3::So3;
pub use trajectory::Trajectory;
pub use transform_error::TransformError;
pub use transform_tree::{Insertion, TransformTree};
pub use tum::tum_text;
