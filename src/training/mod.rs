//! Posed images to a model folder.
//!
//! - [`TrainingConfig`] is every choice, with presets; [`train`] is the way from a dataset to a model folder, and
//!   [`train_scenes`] that from several to a model of several scenes, from random
//!   weights, those of an encoder or ([`FineTuning`]) a finished model. [`join`] makes an ensemble of several;
//!   [`autoencode`] trains a pose auto-encoder for a finished model, [`add_references`] gives one frames that poses are aligned to; [`Trials`] finds the settings that a time budget allows.
//! - [`Trainer`] is the loop: an odometry step, then a pose step, each with its own [`Adam`]; both own the shared
//!   layers (VLocNet, section III-D).
//! - [`Pixels`] and [`FeatureCache`] are what it learns from: augmented images, or what a frozen trunk makes of them.
//!   Both see each frame through virtual rotations of the camera ([`rotate_view`]), with the pose corrected exactly, and
//!   where asked for through synthetic views from places nearby ([`synthesize_view`]).
//! - [`PairPlan`] says which frames meet: consecutive ones, or those whose [`Frustum`] overlaps.
//! - [`Video`] is what some trainings learn from beside the labelled frames: only how its camera moved is known.
//! - [`SceneCoordinates`] is how points are learned, by a way of its own: cells of all images, from a shuffled buffer.
//! - [`pretrain`] makes an encoder for these on synthetic rooms.
//! - [`ScenePoints`] and label images are what some losses want to know of a frame beside its pose.
//! - [`RunState`] survives a kill: a resumed run ends with the same weights, bit for bit on one CPU thread.
//!
//! Every random choice follows from the seed, the epoch and the batch, so there is no generator to save.

mod adam;
mod auto;
mod autoencode;
mod average;
mod batch;
mod budget;
mod calibrate;
mod config;
mod descent;
mod ensemble;
mod features;
mod fine_tune;
mod folds;
mod frustum;
mod gallery;
mod judge;
mod material;
mod objective;
mod pairs;
mod pictures;
mod pixels;
mod preset;
mod pretrain;
mod references;
mod rotation;
mod run;
mod scene_coordinates;
mod scene_labels;
mod scene_points;
mod scenes;
mod schedule;
mod segmentation;
mod state;
mod supervised;
mod synthetic_views;
mod teacher;
mod trainer;
mod validation;
mod video;

pub use adam::{Adam, AdamConfig, Gradients};
pub use auto::{Candidate, Choice, Cost, Trial, Trials, candidates};
pub use autoencode::{Autoencoded, Autoencoding, autoencode};
pub use average::WeightAverage;
pub use batch::{Batch, Source, VideoBatch};
pub use budget::parse_budget;
pub use calibrate::calibrate;
pub use config::{
    Consistency, Keep, PairRule, Reprojection, RotationAugmentation, TrainingConfig, Unlabelled, Weighting,
};
pub use ensemble::{Joining, TrainedOn, join, recorded_split};
pub use features::FeatureCache;
pub use fine_tune::{FineTuning, Units, fine_tuning_config, fine_tuning_preset};
pub use folds::{FOLDS_FOLDER, train_folds};
pub use frustum::Frustum;
pub use pairs::{Pair, PairPlan, View};
pub use pixels::Pixels;
pub use pretrain::{
    CARD_FILE as ENCODER_CARD_FILE, ENCODER_FILE, EncoderCard, Judged, Pretraining, Probe, pretrain, probe,
};
pub use references::{Referenced, Referencing, add_references};
pub use rotation::rotate_view;
pub use run::{Job, check_folder, recorded_config, train, train_scenes, train_with_video};
pub use scene_coordinates::SceneCoordinates;
pub use scene_points::ScenePoints;
pub use scenes::SceneDataset;
pub use schedule::{cycle, learning_rate};
pub use state::{EpochRecord, RunState};
pub use synthetic_views::{SyntheticViews, synthesize_view};
pub use trainer::{Data, Snapshot, Trainer};
pub use validation::{SceneErrors, ValidationErrors, validate};
pub use video::Video;
