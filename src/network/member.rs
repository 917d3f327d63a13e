//! A network with its weights and what it remembers of the frame before: all of a model, or a member of an ensemble.
//!
//! Each member of an ensemble goes its own way: it sees its own features and its own pose of the frame before, as it
//! did in training; only what the members say is joined. Where all have the same trunk (it was kept as it started), a
//! frame passes it once.

use std::path::{Path, PathBuf};

use tch::Tensor;
use tch::nn::VarStore;

use super::card::{MemberParts, ModelCard};
use super::checkpoint;
use super::device::guarded;
use super::gallery::Gallery;
use super::place_record::{PLACE_FILE, PlaceRecord};
use super::pose_head::{Dropout, PoseOutput};
use super::pose_network::{Features, PoseNetwork};
use super::pose_tensor::{MapFromNormalized, numbers};
use super::prediction::Prediction;
use super::scene_coordinates::{self, MeasuredPose, PlaceIndex, SceneCoordinateHead, describe};
use super::temporal::History;
use super::visual_odometry::Seen;
use crate::pnp::{Correspondence, Evidence};
use crate::sensor::{CameraModel, PosePrior};
use crate::{Error, Result, Stamp};

/// What stays of a frame until the next comes.
#[derive(Debug)]
struct Previous {
    stamp: Stamp,
    odometry_features: Option<Tensor>,
    output: PoseOutput,
}

/// What a member says of a frame.
#[derive(Debug)]
pub(super) enum Answer {
    /// As its network gives it, from the frame and what it remembers of the one before.
    Regressed {
        /// The absolute pose.
        absolute: PoseOutput,
        /// The relative one: the frame in the axes of the one before, and that one in the axes of the frame.
        relative: Option<[PoseOutput; 2]>,
        /// What the next frame needs.
        odometry_features: Option<Tensor>,
    },
    /// From its training images.
    Compared(Prediction),
    /// The points that the frame shows, which geometry has to answer from: in each part of the place that it may show.
    Seen(Vec<Vec<Correspondence>>),
}

impl Answer {
    /// The probability of each scene, of a network that knows some.
    pub(super) fn scenes(&self) -> Option<Vec<f64>> {
        match self {
            Self::Regressed { absolute, .. } => {
                absolute.scenes_bs().map(|log_probability| numbers(&log_probability.get(0).exp()))
            }
            Self::Compared(_) | Self::Seen(_) => None,
        }
    }
}

/// What a member says of a frame in metres: where it was, and how it moved since the frame of the stamp.
#[derive(Clone, Debug)]
pub(super) struct Opinion {
    pub(super) absolute: Prediction,
    pub(super) relative: Option<(Stamp, Prediction)>,
    /// Where geometry gave the absolute one.
    pub(super) evidence: Option<Evidence>,
    /// What it agreed with there.
    pub(super) seen: Vec<Seen>,
}

/// A large place: which part of it a frame may show, and the units of each.
#[derive(Debug)]
struct Place {
    index: PlaceIndex,
    units: Vec<MapFromNormalized>,
}

impl Place {
    fn load(folder: &Path, record: &PlaceRecord) -> Result<Self> {
        let index = PlaceIndex::load(&folder.join(PLACE_FILE), record)?;
        Ok(Self { index, units: record.parts.iter().map(|part| part.map_from_normalized).collect() })
    }
}

/// A network at work.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) network: PoseNetwork,
    pub(super) store: VarStore,
    pub(super) gallery: Option<Gallery>,
    place: Option<Place>,
    pub(super) units: MapFromNormalized,
    previous: Option<Previous>,
}

impl Member {
    /// A member that has seen no frame and has no images to compare with.
    pub(super) fn new(network: PoseNetwork, store: VarStore, units: MapFromNormalized) -> Self {
        Self { network, store, gallery: None, place: None, units, previous: None }
    }

    /// Reads the parts of a member of the model in `folder`.
    ///
    /// # Errors
    /// Those of [`checkpoint::load_verified`], [`Gallery::load`] and [`PlaceIndex::load`].
    pub(super) fn load(card: &ModelCard, parts: &MemberParts, folder: &Path, device: tch::Device) -> Result<Self> {
        let mut store = VarStore::new(device);
        let mut network = guarded("building the network", || PoseNetwork::new(&store.root(), &card.network))??;
        checkpoint::load_verified(&store, &folder.join(&parts.weights), parts.sha256)?;
        store.freeze();
        network.quicken(&store);
        let units = parts.map_from_normalized;
        let load = |(file, record): &(PathBuf, &_)| Gallery::load(&folder.join(file), record, &units, device);
        let gallery = parts.gallery.as_ref().map(load).transpose()?;
        let place = card.large_place.as_ref().map(|record| Place::load(folder, record)).transpose()?;
        Ok(Self { gallery, place, ..Self::new(network, store, units) })
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

    /// The heads that a frame is asked of, each with its units, the likeliest first: of a model with parts those of the parts that
    /// the frame may show, else its one `head`.
    ///
    /// # Errors
    /// Those of [`PlaceIndex::likeliest`].
    pub(super) fn heads<'a>(
        &'a self,
        head: &'a SceneCoordinateHead,
        shared: &Features,
    ) -> Result<Vec<(&'a SceneCoordinateHead, MapFromNormalized)>> {
        Ok(match &self.place {
            None => vec![(head, self.units)],
            Some(Place { index, units }) => {
                let likeliest = index.likeliest(&describe(head, shared))?.into_iter();
                likeliest.map(|part| (&self.network.parts()[part], units[part])).collect()
            }
        })
    }

    /// Absolute output, relative output, and the features for the next frame, of shared features of one frame (one row,
    /// or one per part of it). Outputs of one row in have the deterministic prediction in their first row and the
    /// samples behind it, by the masks of the absolute and of the relative pose. `scenes_b`: in which scene, of a network that
    /// knows some.
    ///
    /// # Errors
    /// Those of [`Gallery::locate`]; [`Error::Compute`](crate::Error::Compute) of a network that compares frames without
    /// a gallery.
    pub(super) fn answer(
        &self,
        (shared, scenes_b): (&Features, Option<&Tensor>),
        masks: &[Tensor],
        odometry_masks: &[Tensor],
    ) -> Result<Answer> {
        let (network, previous) = (&self.network, self.previous.as_ref());
        if let Some(gallery) = &self.gallery {
            return Ok(Answer::Compared(gallery.locate(network, shared, Dropout::Masks(masks))?));
        }
        if let Some(head) = network.coordinates() {
            return Ok(Answer::Seen(scene_coordinates::correspondences(&self.heads(head, shared)?, shared)));
        }
        let history = previous.map_or_else(History::none, |previous| History::of_first(&previous.output));
        let absolute = match shared.last().size()[0] {
            1 => network.absolute_samples((shared, scenes_b), &history, masks),
            _ => network.absolute_in(shared, scenes_b, &history, false),
        };
        let absolute = absolute.ok_or_else(no_gallery)?;
        let Some(odometry) = network.odometry() else {
            return Ok(Answer::Regressed { absolute, relative: None, odometry_features: None });
        };
        let current = odometry.features(shared, false);
        let before = previous.and_then(|previous| previous.odometry_features.as_ref());
        let relative = before.map(|before| odometry.both_ways(before, &current, odometry_masks));
        Ok(Answer::Regressed { absolute, relative, odometry_features: Some(current) })
    }

    /// The answer to a frame of `camera` in metres; what the next frame needs of it is kept. `parts`: its rows are parts of
    /// one image. Geometry begins at `prior`.
    ///
    /// # Errors
    /// [`Error::Compute`](crate::Error::Compute) when a number is not finite; the frame before is forgotten then. Those of
    /// [`scene_coordinates::best_pose`].
    pub(super) fn remember(
        &mut self,
        answer: Answer,
        (stamp, camera): (Stamp, &CameraModel),
        prior: Option<&PosePrior>,
        parts: bool,
    ) -> Result<Opinion> {
        let (output, relative, odometry_features) = match answer {
            Answer::Compared(absolute) => {
                return Ok(Opinion { absolute, relative: None, evidence: None, seen: Vec::new() });
            }
            Answer::Seen(by_part) => {
                let MeasuredPose { pose, evidence, seen } = scene_coordinates::best_pose(camera, &by_part, prior)?;
                return Ok(Opinion { absolute: pose, relative: None, evidence: Some(evidence), seen });
            }
            Answer::Regressed { absolute, relative, odometry_features } => (absolute, relative, odometry_features),
        };
        let units = &self.units;
        let before = self.previous.take().map(|previous| previous.stamp);
        let absolute = match parts {
            true => Prediction::of_parts(&output, units)?,
            false => Prediction::of_samples(&output, units)?,
        };
        let relative = match (before, relative) {
            (Some(before), Some([there, back])) => {
                let of_motion = |output| Prediction::of_samples(output, &units.relative());
                Some((before, Prediction::of_both_ways(of_motion(&there)?, of_motion(&back)?)?))
            }
            _ => None,
        };
        self.previous = Some(Previous { stamp, odometry_features, output });
        Ok(Opinion { absolute, relative, evidence: None, seen: Vec::new() })
    }
}

/// Why a network that compares says nothing of a frame alone.
pub(super) fn no_gallery() -> Error {
    let reason = "expected training images to compare the frame with, found none; load the model from its folder";
    Error::compute("pose regression", reason)
}
