//! A network with its weights and what it remembers of the frame before: all of a model, or a member of an ensemble.
//!
//! Each member of an ensemble goes its own way: it sees its own features and its own pose of the frame before, as it
//! did in training; only what the members say is joined. Where all have the same trunk (it was kept as it started), a
//! frame passes it once.

use std::path::Path;

use tch::Tensor;
use tch::nn::VarStore;

use super::card::ModelCard;
use super::checkpoint;
use super::device::guarded;
use super::pose_head::PoseOutput;
use super::pose_network::{Features, PoseNetwork};
use super::pose_tensor::{MapFromNormalized, numbers};
use super::prediction::Prediction;
use super::temporal::History;
use crate::{Result, Stamp};

/// What stays of a frame until the next comes.
#[derive(Debug)]
struct Previous {
    stamp: Stamp,
    odometry_features: Option<Tensor>,
    output: PoseOutput,
}

/// What a member says of a frame, as its network gives it.
#[derive(Debug)]
pub(super) struct Answer {
    absolute: PoseOutput,
    relative: Option<PoseOutput>,
    odometry_features: Option<Tensor>,
}

impl Answer {
    /// The probability of each scene, of a network that knows some.
    pub(super) fn scenes(&self) -> Option<Vec<f64>> {
        self.absolute.scenes_bs().map(|log_probability| numbers(&log_probability.get(0).exp()))
    }
}

/// What a member says of a frame in metres: where it was, and how it moved since the frame of the stamp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opinion {
    pub(super) absolute: Prediction,
    pub(super) relative: Option<(Stamp, Prediction)>,
}

/// A network at work.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) network: PoseNetwork,
    pub(super) store: VarStore,
    previous: Option<Previous>,
}

impl Member {
    /// A member that has seen no frame.
    pub(super) fn new(network: PoseNetwork, store: VarStore) -> Self {
        Self { network, store, previous: None }
    }

    /// Reads the weights in `file`, which must have this SHA-256.
    ///
    /// # Errors
    /// Those of [`checkpoint::load_verified`].
    pub(super) fn load(card: &ModelCard, file: &Path, sha256: &str, device: tch::Device) -> Result<Self> {
        let mut store = VarStore::new(device);
        let network = guarded("building the network", || PoseNetwork::new(&store.root(), &card.network))??;
        checkpoint::load_verified(&store, file, sha256)?;
        store.freeze();
        Ok(Self::new(network, store))
    }

    /// Whether the shared stages of another member have the same weights.
    pub(super) fn has_trunk_of(&self, other: &Self) -> bool {
        let of_other = other.store.variables();
        let own = self.store.variables();
        let mut trunk = own.iter().filter(|(name, _)| name.starts_with("trunk."));
        trunk.all(|(name, weights)| of_other.get(name).is_some_and(|others| weights.equal(others)))
    }

    /// Forgets the frame before.
    pub(super) fn reset(&mut self) {
        self.previous = None;
    }

    /// Forgets it unless `stamp` is later, by at most `max_interval` seconds.
    pub(super) fn forget_unless_before(&mut self, stamp: Stamp, max_interval: f64) {
        self.previous = self.previous.take().filter(|previous| {
            let interval = stamp.seconds_since(previous.stamp);
            interval > 0.0 && interval <= max_interval
        });
    }

    /// Absolute output, relative output, and the features for the next frame, of shared features of one frame (one row,
    /// or one per part of it). Outputs of one row in have the deterministic prediction in their first row and the
    /// samples behind it, by the masks of the absolute and of the relative pose. `scenes_b`: in which scene, of a network that
    /// knows some. `None` of a network that compares frames.
    pub(super) fn answer(
        &self,
        (shared, scenes_b): (&Features, Option<&Tensor>),
        masks: &[Tensor],
        odometry_masks: &[Tensor],
    ) -> Option<Answer> {
        let (network, previous) = (&self.network, self.previous.as_ref());
        let history = previous.map_or_else(History::none, |previous| History::of_first(&previous.output));
        let absolute = match shared.last().size()[0] {
            1 => network.absolute_samples((shared, scenes_b), &history, masks),
            _ => network.absolute_in(shared, scenes_b, &history, false),
        }?;
        let Some(odometry) = network.odometry() else {
            return Some(Answer { absolute, relative: None, odometry_features: None });
        };
        let current = odometry.features(shared, false);
        let before = previous.and_then(|previous| previous.odometry_features.as_ref());
        let relative = before.map(|before| odometry.relative_samples(before, &current, odometry_masks));
        Some(Answer { absolute, relative, odometry_features: Some(current) })
    }

    /// The answer to a frame in metres; what the next frame needs of it is kept. `parts`: its rows are parts of one
    /// image.
    ///
    /// # Errors
    /// [`Error::Compute`](crate::Error::Compute) when a number is not finite; the frame before is forgotten then.
    pub(super) fn remember(
        &mut self,
        answer: Answer,
        stamp: Stamp,
        units: &MapFromNormalized,
        parts: bool,
    ) -> Result<Opinion> {
        let Answer { absolute: output, relative, odometry_features } = answer;
        let before = self.previous.take().map(|previous| previous.stamp);
        let absolute = match parts {
            true => Prediction::of_parts(&output, units)?,
            false => Prediction::of_samples(&output, units)?,
        };
        let relative = match (before, relative) {
            (Some(before), Some(output)) => Some((before, Prediction::of_samples(&output, &units.relative())?)),
            _ => None,
        };
        self.previous = Some(Previous { stamp, odometry_features, output });
        Ok(Opinion { absolute, relative })
    }
}
