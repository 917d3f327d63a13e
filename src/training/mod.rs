//! Posed images to a model folder.
//!
//! - [`TrainingConfig`] is every choice, with presets; [`train`] is the way from a dataset to a model folder.
//! - [`Trainer`] is the loop: an odometry step, then a pose step, each with its own [`Adam`]; both own the shared
//!   layers (VLocNet, section III-D).
//! - [`Pixels`] and [`FeatureCache`] are what it learns from: augmented images, or what a frozen trunk makes of them.
//!   Both see each frame through virtual rotations of the camera ([`rotate_view`]), with the pose corrected exactly.
//! - [`PairPlan`] says which frames meet: consecutive ones, or those whose [`Frustum`] overlaps.
//! - [`RunState`] survives a kill: a resumed run ends with the same weights, bit for bit on one CPU thread.
//!
//! Every random choice follows from the seed, the epoch and the batch, so there is no generator to save.

mod adam;
mod average;
mod batch;
mod config;
mod features;
mod frustum;
mod gallery;
mod objective;
mod pairs;
mod pixels;
mod preset;
mod rotation;
mod run;
mod schedule;
mod state;
mod trainer;
mod validation;

pub use adam::{Adam, AdamConfig};
pub use average::WeightAverage;
pub use batch::{Batch, Source};
pub use config::{Consistency, PairRule, RotationAugmentation, TrainingConfig, Weighting};
pub use features::FeatureCache;
pub use frustum::Frustum;
pub use pairs::{Pair, PairPlan, View};
pub use pixels::Pixels;
pub use rotation::rotate_view;
pub use run::{Job, train};
pub use schedule::learning_rate;
pub use state::{EpochRecord, RunState};
pub use trainer::{Data, Trainer};
pub use validation::{ValidationErrors, validate};
