//! Scene coordinates: which point of the map each cell of an image shows (Shotton et al. 2013; Brachmann & Rother 2018,
//! DSAC++; Brachmann, Cavallari & Prisacariu 2023, arXiv 2305.14059, "ACE", sections 3.1 and 3.2). The pose is left to geometry.
//!
//! ```text
//! frame ── encoder (frozen, knows no scene) ─┬─ map with 1/8 of the resolution ───────────┐
//!                                            └─ map with 1/16 ── between its cells ───────┴─ per cell: standardized ─ layers ─ point
//! ```
//!
//! The layers are 1x1 convolutions, that is, the same perceptron for each cell: [`SceneCoordinateHead`]. So cells can be learned
//! one by one, in any order, and a part of them can be asked.
//!
//! A large place has several heads on one encoder, each of a part of it, with units of its own. A frame is described by the mean
//! of its features; the parts of the training images that are described most alike are tried ([`PlaceIndex`]), and the
//! pose that most points agree with is the answer.
//!
//! Data in: normalized colours of the network's camera. Data out: points `n3` in the units of the model
//! ([`MapFromNormalized`](super::MapFromNormalized)), and for each the pixel of the rectified image that shows it.

mod head;
mod interpolation;
mod place;
mod pose;
mod products;
mod supervision;

pub use head::SceneCoordinateHead;
pub use place::{PlaceIndex, describe};
pub(super) use pose::{
    MIN_INLIERS, MIN_SPREAD, MeasuredPose, SEED, all_correspondences, best_pose, correspondences, on_ray,
};
pub use products::fast_products;
pub use supervision::Supervision;
