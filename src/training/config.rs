//! Every choice of a training, with its defaults. `config/training/*.yaml` are the presets as files.

use serde::{Deserialize, Serialize};

use super::scene_coordinates::SceneCoordinates;
use super::synthetic_views::SyntheticViews;
use crate::loss::Norm;
use crate::network::checkpoint::Precision;
use crate::network::{LocalizerConfig, MAX_MEMBERS, NetworkConfig, Odometry};
use crate::vision::Augmentation;
use crate::{Error, Result};

/// The largest virtual rotations of the camera, degrees about its own axes; uniform within.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationAugmentation {
    /// About x, up and down.
    pub pitch: f64,
    /// About y, left and right.
    pub yaw: f64,
    /// About the direction of view.
    pub roll: f64,
}

/// How the errors of translation and rotation are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Weighting {
    /// By learned weights (PoseNet with learned weights, VLocNet, MapNet).
    #[default]
    Learned,
    /// By a fixed one (PoseNet).
    Fixed {
        /// Weight of the rotation, in the numbers of its head, against the normalized translation.
        beta: f64,
    },
}

/// What two absolute poses of a pair must agree in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// The motion in the axes of the camera (VLocNet).
    #[default]
    Motion,
    /// The differences of positions and of logarithms of quaternions (MapNet).
    Differences,
    /// The true motion, and each other's true pose with the motion that the odometry stream predicts; the pose step also
    /// trains that stream then (DGRNets).
    CrossTransformation,
}

/// The reprojection loss in place of the pose loss (Kendall & Cipolla 2017, arXiv 1704.00390, section 3.3). Its points come
/// from the depth images of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reprojection {
    /// The share of the epochs, from the first, that keeps the pose loss: the loss does not converge from a random start.
    /// The paper starts from a network trained to its end, and does not say how long it goes on then.
    pub pretraining: f64,
    /// Points per frame.
    pub points: usize,
    /// Weight of the loss beside that of the variances; the paper has none beside it.
    pub weight: f64,
    /// What the error of a point cannot exceed, in units of the focal length.
    pub limit: f64,
}

impl Default for Reprojection {
    fn default() -> Self {
        Self { pretraining: 0.6, points: 256, weight: 10.0, limit: 1.0 }
    }
}

/// What is learned from video of the place whose poses are an odometry's (MapNet+; Brahmbhatt et al. 2018, arXiv 1712.03342,
/// section 3.3): the network's answers must move as the odometry does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unlabelled {
    /// Weight of its loss beside that of the labelled frames. The paper adds both as they are.
    pub weight: f64,
    /// Frames of a pair are at most this many frames apart in one recording. Far enough that the odometry knows the motion
    /// better than two answers of the network do; near enough that it did not drift. The authors' code takes frames 77
    /// apart on 7-Scenes (30 Hz).
    pub max_skip: usize,
}

impl Default for Unlabelled {
    fn default() -> Self {
        Self { weight: 1.0, max_skip: 77 }
    }
}

/// Which weights a training, or each of its cycles, leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the epoch with the best validation. A few validation frames may like an early one by chance.
    #[default]
    Best,
    /// Those of the last epoch: the schedule ends where the learning rate does.
    Last,
}

/// Which frames meet in a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PairRule {
    /// Those at most `max_skip` frames apart in one recording.
    #[default]
    Consecutive,
    /// Those of any recording that show the same things: for an architecture with a gallery.
    Overlapping {
        /// The least overlap of their frusta, 0 to 1.
        overlap: f64,
        /// The most metres between them.
        distance: f64,
        /// Where the frustum begins, metres in front of the camera.
        near: f64,
        /// Where it ends, metres: about the depth of the place.
        far: f64,
    },
}

/// A training. An unknown key is an error; a missing one has the default of [`TrainingConfig::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// The architecture; absent: that of the preset on the command line.
    pub network: Option<NetworkConfig>,
    /// Passes over the training frames.
    pub epochs: usize,
    /// Pairs of frames per batch.
    pub batch_size: usize,
    /// Batches per step: their gradients are added up, which are those of one batch of all their pairs (but for batch
    /// normalizations and means over labelled pixels, which see each batch alone) in the memory of one of them.
    pub accumulate: usize,
    /// Adam's learning rate at its highest; a linear warm-up before, half a cosine after.
    pub learning_rate: f64,
    /// Steps of the warm-up.
    pub warmup_steps: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Longest gradient; longer ones are shortened.
    pub gradient_clip: f64,
    /// Decay of the moving average of the weights that is validated and kept; 0 keeps the weights themselves.
    pub average_decay: f64,
    /// How errors become a loss.
    pub norm: Norm,
    /// How those of translation and rotation are joined.
    pub weighting: Weighting,
    /// Weight of each auxiliary head, where the architecture has some.
    pub auxiliary_weight: f64,
    /// Weight of the cross entropy of the nearest anchor, where the architecture has anchors.
    pub anchor_weight: f64,
    /// Weight of the cross entropy of the scene, where there are several.
    pub scene_weight: f64,
    /// Weight of the Gaussian likelihood that teaches the log-variances. It does not move the poses directly.
    pub variance_weight: f64,
    /// Weight of the consistency of the two absolute poses of a pair; 0 for none.
    pub consistency_weight: f64,
    /// What they must agree in.
    pub consistency: Consistency,
    /// The reprojection loss in place of that of absolute poses, behind some first epochs; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprojection: Option<Reprojection>,
    /// Learning from video without labels beside the labelled frames; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<Unlabelled>,
    /// Which frames meet in a pair.
    pub pairs: PairRule,
    /// Weight of RelocNet's loss, which teaches vectors to be as alike as their frusta overlap; for overlapping pairs.
    pub metric_weight: f64,
    /// Frames of a consecutive pair are at most this many frames apart.
    pub max_skip: usize,
    /// An odometry step before every this many pose steps; VLocNet: 1.
    pub odometry_every: u64,
    /// Keep the trunk as it starts (it should start from weights): its features are computed once.
    pub freeze_trunk: bool,
    /// With a frozen trunk: augmented copies of each frame in the cache. 0: only the frame itself.
    pub cached_copies: usize,
    /// The most memory for cached features or images, MiB; for those of a video as much again.
    pub cache_limit: usize,
    /// Virtual rotations of the camera.
    pub rotation: RotationAugmentation,
    /// Views of training frames from places nearby, which need depth images; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic_views: Option<SyntheticViews>,
    /// How points are learned, of an architecture that knows points; absent: as by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scene_coordinates: Option<SceneCoordinates>,
    /// Changes of colour, sharpness and noise.
    pub photometric: Augmentation,
    /// Members of an ensemble of snapshots: the schedule is divided into as many cycles, and the best weights of each
    /// are kept. 0 or 1: one cycle, one model.
    pub snapshots: usize,
    /// Which weights it leaves.
    pub keep: Keep,
    /// Stop after this many epochs without a better validation; 0: never.
    pub patience: usize,
    /// Seconds between checkpoints, which are also written at the end and when interrupted; 0: after each epoch.
    pub checkpoint_interval: f64,
    /// Half precision on a GPU, where that is faster; of points, `bfloat16` on a processor that has it.
    pub mixed_precision: bool,
    /// How the weights of the model are stored.
    pub precision: Precision,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            network: None,
            epochs: 100,
            batch_size: 32,
            accumulate: 1,
            learning_rate: 1e-3,
            warmup_steps: 100,
            weight_decay: 1e-4,
            gradient_clip: 5.0,
            average_decay: 0.99,
            norm: Norm::L1,
            weighting: Weighting::Learned,
            auxiliary_weight: 0.3,
            anchor_weight: 1.0,
            scene_weight: 1.0,
            variance_weight: 0.1,
            consistency_weight: 0.2,
            consistency: Consistency::Motion,
            reprojection: None,
            unlabelled: None,
            pairs: PairRule::Consecutive,
            metric_weight: 0.0,
            max_skip: 3,
            odometry_every: 1,
            freeze_trunk: false,
            cached_copies: 12,
            cache_limit: 8192,
            rotation: RotationAugmentation { pitch: 10.0, yaw: 10.0, roll: 10.0 },
            synthetic_views: None,
            scene_coordinates: None,
            photometric: Augmentation::default(),
            snapshots: 0,
            keep: Keep::Best,
            patience: 0,
            checkpoint_interval: 60.0,
            mixed_precision: true,
            precision: Precision::Single,
        }
    }
}

impl TrainingConfig {
    /// Checks whether the training suits the architecture.
    ///
    /// # Errors
    /// [`Error::Config`] when a part of the architecture needs what this training does not keep.
    pub fn check_with(&self, network: &NetworkConfig) -> Result<()> {
        let overlapping = self.pairs != PairRule::Consecutive;
        if overlapping != network.gallery.is_some() {
            let names = ["consecutive", "overlapping"];
            let expected = format!("{} for this architecture", names[usize::from(!overlapping)]);
            return Err(Error::config("pairs", expected, names[usize::from(overlapping)]));
        }
        if self.snapshots > 1 && network.gallery.is_some() {
            let found = format!("{}, of which each would need a gallery of its own", self.snapshots);
            return Err(Error::config("snapshots", "0 for an architecture with a gallery", found));
        }
        if self.unlabelled.is_some() && network.gallery.is_some() {
            let found = "some, with a gallery in the architecture, which answers with relative poses alone";
            return Err(Error::config("unlabelled", "none for this architecture", found));
        }
        if self.metric_weight > 0.0 && !overlapping {
            let found = format!("{} with consecutive pairs, whose overlap is not known", self.metric_weight);
            return Err(Error::config("metric_weight", "0 for this architecture", found));
        }
        let looks_between = match network.localizer {
            _ if !network.auxiliary_heads.is_empty() => Some("auxiliary_heads"),
            LocalizerConfig::Hourglass { .. } => Some("the localizer hourglass"),
            LocalizerConfig::Transformer { .. } => Some("the localizer transformer"),
            _ if network.semantics.is_some() => Some("semantics"),
            _ => None,
        };
        if self.crosses_streams() && network.odometry == Odometry::None {
            let found = "cross_transformation, with odometry: none";
            return Err(Error::config(
                "consistency",
                "motion or differences for an architecture without odometry",
                found,
            ));
        }
        if self.reprojection.is_some() && network.scenes() > 1 {
            let found = "some, with several scenes, whose points are in maps of their own";
            return Err(Error::config("reprojection", "none where several scenes are learned", found));
        }
        if self.synthetic_views.is_some() && network.semantics.is_some() {
            let found = "some, with semantics in the architecture; leave one of them out";
            return Err(Error::config("synthetic_views", "none where labels are learned: they have none", found));
        }
        self.check_scene_coordinates(network)?;
        match looks_between {
            Some(part) if self.freeze_trunk => {
                let found = format!("true, with {part}, which looks at maps in between that are not cached");
                Err(Error::config("freeze_trunk", "false for this architecture", found))
            }
            _ => Ok(()),
        }
    }

    /// Whether points are learned exactly where the architecture knows some, in a way that suits them.
    fn check_scene_coordinates(&self, network: &NetworkConfig) -> Result<()> {
        if network.scene_coordinates().is_none() {
            return match self.scene_coordinates {
                None => Ok(()),
                Some(_) => {
                    let expected = "none for this architecture, whose localizer is not scene_coordinates";
                    Err(Error::config("scene_coordinates", expected, "some"))
                }
            };
        }
        if !self.freeze_trunk {
            let found =
                "false, with the localizer scene_coordinates, which learns from features that are computed once";
            return Err(Error::config("freeze_trunk", "true for this architecture", found));
        }
        let of_poses = [
            (self.reprojection.is_some(), "reprojection"),
            (self.unlabelled.is_some(), "unlabelled"),
            (self.synthetic_views.is_some(), "synthetic_views"),
            (self.snapshots > 1, "snapshots"),
            (self.accumulate > 1, "accumulate"),
        ];
        match of_poses.into_iter().find(|(present, _)| *present) {
            Some((_, key)) => {
                let found = "some, with the localizer scene_coordinates, which learns points and not poses";
                Err(Error::config(key, "none for this architecture", found))
            }
            None => Ok(()),
        }
    }

    /// Whether the loss of the absolute poses also sees what the odometry stream says.
    pub(super) fn crosses_streams(&self) -> bool {
        self.consistency == Consistency::CrossTransformation && self.consistency_weight > 0.0
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the range and the value.
    pub fn check(&self) -> Result<()> {
        let at_least_one = |key: &str, value: u64| match value {
            0 => Err(Error::config(key, "at least 1", "0")),
            _ => Ok(()),
        };
        at_least_one("epochs", self.epochs as u64)?;
        at_least_one("accumulate", self.accumulate as u64)?;
        at_least_one("max_skip", self.max_skip as u64)?;
        at_least_one("odometry_every", self.odometry_every)?;
        self.photometric.check()?;
        self.check_snapshots()?;
        self.scene_coordinates.unwrap_or_default().check()?;
        if self.batch_size < 2 {
            return Err(Error::config("batch_size", "at least 2", self.batch_size.to_string()));
        }
        let beta = match self.weighting {
            Weighting::Learned => 1.0,
            Weighting::Fixed { beta } => beta,
        };
        let Reprojection { pretraining, points, weight, limit } = self.reprojection.unwrap_or_default();
        at_least_one("reprojection.points", points as u64)?;
        let Unlabelled { weight: unlabelled, max_skip } = self.unlabelled.unwrap_or_default();
        at_least_one("unlabelled.max_skip", max_skip as u64)?;
        let none = SyntheticViews { copies: 1, translation: 0.0, rotation: 0.0 };
        let views = self.synthetic_views.unwrap_or(none);
        if !(1..=64).contains(&views.copies) {
            return Err(Error::config("synthetic_views.copies", "1 to 64", views.copies.to_string()));
        }
        let (overlap, distance, near, far) = match self.pairs {
            PairRule::Consecutive => (0.5, 1.0, 1.0, 2.0),
            PairRule::Overlapping { overlap, distance, near, far } => (overlap, distance, near, far),
        };
        let ranges = [
            ("metric_weight", self.metric_weight, 0.0, 1e3),
            ("pairs.overlap", overlap, f64::MIN_POSITIVE, 1.0),
            ("pairs.distance", distance, f64::MIN_POSITIVE, 1e6),
            ("pairs.near", near, f64::MIN_POSITIVE, 1e6),
            ("pairs.far", far, near, 1e6),
            ("synthetic_views.translation", views.translation, 0.0, 10.0),
            ("synthetic_views.rotation", views.rotation, 0.0, 45.0),
            ("reprojection.pretraining", pretraining, 0.0, 1.0),
            ("reprojection.weight", weight, f64::MIN_POSITIVE, 1e6),
            ("unlabelled.weight", unlabelled, f64::MIN_POSITIVE, 1e3),
            ("reprojection.limit", limit, f64::MIN_POSITIVE, 1e3),
            ("learning_rate", self.learning_rate, f64::MIN_POSITIVE, 1.0),
            ("weight_decay", self.weight_decay, 0.0, 1.0),
            ("gradient_clip", self.gradient_clip, f64::MIN_POSITIVE, 1e9),
            ("average_decay", self.average_decay, 0.0, 0.99999),
            ("variance_weight", self.variance_weight, 0.0, 1e3),
            ("consistency_weight", self.consistency_weight, 0.0, 1e3),
            ("auxiliary_weight", self.auxiliary_weight, 0.0, 1e3),
            ("anchor_weight", self.anchor_weight, 0.0, 1e3),
            ("scene_weight", self.scene_weight, 0.0, 1e3),
            ("weighting.beta", beta, f64::MIN_POSITIVE, 1e6),
            ("rotation.pitch", self.rotation.pitch, 0.0, 45.0),
            ("rotation.yaw", self.rotation.yaw, 0.0, 45.0),
            ("rotation.roll", self.rotation.roll, 0.0, 45.0),
            ("checkpoint_interval", self.checkpoint_interval, 0.0, 1e9),
        ];
        match ranges.iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            Some((key, value, low, high)) => {
                let low = if *low == f64::MIN_POSITIVE { "more than 0".to_owned() } else { format!("at least {low}") };
                Err(Error::config(*key, format!("{low}, at most {high}"), value.to_string()))
            }
            None => Ok(()),
        }
    }

    fn check_snapshots(&self) -> Result<()> {
        let Self { snapshots, epochs, patience, .. } = *self;
        let most = epochs.min(MAX_MEMBERS);
        if snapshots > most {
            let expected = format!("at most {most}: an epoch each, and no more than {MAX_MEMBERS}");
            return Err(Error::config("snapshots", expected, snapshots.to_string()));
        }
        if self.keep == Keep::Last && patience > 0 {
            let found = format!("{patience}, with keep: last, which looks at no validation");
            return Err(Error::config("patience", "0 (never) with keep: last", found));
        }
        if snapshots > 1 && patience > 0 {
            let found = format!("{patience}, with {snapshots} snapshots, each of which starts with a worse validation");
            return Err(Error::config("patience", "0 (never) with snapshots", found));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_need_an_epoch_each_and_patience() {
        let text = |config: TrainingConfig| config.check().unwrap_err().to_string();
        let many = text(TrainingConfig { epochs: 3, snapshots: 4, ..Default::default() });
        assert_eq!(many, "parameter snapshots: expected at most 3: an epoch each, and no more than 64, found 4");
        let hasty = text(TrainingConfig { snapshots: 2, patience: 5, ..Default::default() });
        assert!(hasty.starts_with("parameter patience: expected 0 (never) with snapshots, found 5"), "{hasty}");
        let blind = text(TrainingConfig { keep: Keep::Last, patience: 5, ..Default::default() });
        assert!(blind.starts_with("parameter patience: expected 0 (never) with keep: last, found 5"), "{blind}");
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let wrong = TrainingConfig { learning_rate: 0.0, ..Default::default() };
        let text = wrong.check().unwrap_err().to_string();
        assert_eq!(text, "parameter learning_rate: expected more than 0, at most 1, found 0");
        let wrong = TrainingConfig { average_decay: f64::NAN, ..Default::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("average_decay"));
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = serde_yaml::from_str::<TrainingConfig>("learnig_rate: 0.1").unwrap_err().to_string();
        assert!(error.contains("unknown field `learnig_rate`, expected one of"), "{error}");
    }
}
