//! How a head learns the points of a part of the place, or of all of it.

use tch::nn::VarStore;

use super::buffer::{CellBuffer, Material, Points};
use super::descent::{Descent, EpochRecord};
use super::division::Part;
use super::eye::Eye;
use super::settings::SceneCoordinates;
use super::sweep::Sweep;
use super::units::{units_of_points, units_of_poses};
use crate::dataset::Dataset;
use crate::geometry::Se3;
use crate::network::scene_coordinates::{SceneCoordinateHead, Supervision};
use crate::network::{MapFromNormalized, PoseNetwork};
use crate::progress::Progress;
use crate::training::config::TrainingConfig;
use crate::training::pairs::mix;
use crate::training::run::{Job, initial_network};
use crate::{Error, Result};

/// Cells whose features say what the mean and the deviation of all are.
const SAMPLED: usize = 65_536;

/// What all parts are learned with.
pub(super) struct Lesson<'a> {
    pub(super) dataset: &'a dyn Dataset,
    pub(super) job: &'a Job,
    /// How frames are seen, by an architecture with one head.
    pub(super) eye: Eye<'a>,
    pub(super) settings: SceneCoordinates,
    pub(super) progress: Progress,
}

/// A head that has learned a part, and what it has learned from.
pub(super) struct Learned {
    /// The network with this head.
    pub(super) store: VarStore,
    pub(super) units: MapFromNormalized,
    pub(super) material: Material,
    pub(super) history: Vec<EpochRecord>,
    /// Of its points to the true ones on the validation frames, metres.
    pub(super) distances: Vec<f64>,
}

impl Lesson<'_> {
    /// Learns a part; `name` is what it is called while that runs.
    ///
    /// # Errors
    /// Those of the dataset and of [`CellBuffer::fill`] and [`Descent::run`].
    pub(super) fn learn(&self, part: &Part, name: &str, keep_going: &dyn Fn() -> bool) -> Result<Learned> {
        let (network, store) = self.start()?;
        let head = head_of(&network)?;
        // What it learns from: cells of the training frames, and some of the validation frames to judge by.
        let (buffer, units) = self.cells(&part.learned, keep_going)?;
        let validation = self.judged(&part.validation, &units, keep_going)?;
        let material = buffer.into_material(&units);
        standardize(head, &material, self.eye.device);
        // The training itself.
        let (config, settings, seed) = (&self.job.config, self.settings, self.job.seed);
        let (camera, scale, title) = (self.eye.camera, units.scale, format!("learning {name}"));
        let descent = Descent { head, store: &store, camera, scale, config, settings, seed, title };
        let cells = (&material, material.numbers(&[]));
        let history = descent.run(cells, validation.as_ref(), self.progress, keep_going)?;
        let distances = validation.map_or(Ok(Vec::new()), |validation| descent.distances(&validation))?;
        Ok(Learned { store, units, material, history, distances })
    }

    /// The network as it starts: the same encoder as sees the frames, also where it is a random one.
    pub(super) fn start(&self) -> Result<(PoseNetwork, VarStore)> {
        initial_network(self.eye.architecture, None, self.job, self.eye.device, &Progress::Silent)
    }

    /// The cells that are learned from, with the units that suit their points.
    fn cells(&self, frames: &[usize], keep_going: &dyn Fn() -> bool) -> Result<(CellBuffer, MapFromNormalized)> {
        let (config, depth) = (&self.job.config, self.settings.assumed_depth);
        let (of_frames, how) = ((self.dataset, frames), (config, self.job.seed));
        if self.settings.supervision == Supervision::Depth {
            let buffer = CellBuffer::fill(of_frames, (self.eye, Points::Depth), how, self.progress, keep_going)?;
            let units = units_of_points(&buffer);
            return Ok((buffer, units));
        }
        let poses: Vec<Se3> = frames.iter().map(|&index| self.dataset.frames()[index].map_from_camera).collect();
        let units = units_of_poses(&poses, depth)?;
        let components = self.eye.components(self.dataset, frames, config)?;
        let mut sweep = Sweep::new(poses, (self.eye.camera, *self.eye.head.grid()), components, depth);
        let points = Points::Sweep(&mut sweep);
        let buffer = CellBuffer::fill(of_frames, (self.eye, points), how, self.progress, keep_going)?;
        Ok((buffer, units))
    }

    /// Cells of the validation frames, where there are any.
    fn judged(
        &self,
        frames: &[usize],
        units: &MapFromNormalized,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<Material>> {
        if frames.is_empty() {
            return Ok(None);
        }
        let config = &self.job.config;
        let judged =
            TrainingConfig { cached_copies: 0, cache_limit: config.cache_limit.div_ceil(16), ..config.clone() };
        let points = if self.settings.supervision == Supervision::Depth { Points::Depth } else { Points::None };
        let how = (&judged, mix(self.job.seed, 1, 0));
        let buffer = CellBuffer::fill((self.dataset, frames), (self.eye, points), how, self.progress, keep_going)?;
        Ok(Some(buffer.into_material(units)))
    }
}

/// Lets a head take the features of some of the cells as those of all.
pub(super) fn standardize(head: &SceneCoordinateHead, material: &Material, device: tch::Device) {
    head.standardize(&material.spread(SAMPLED, device).features_nc);
}

pub(super) fn head_of(network: &PoseNetwork) -> Result<&SceneCoordinateHead> {
    let none = || Error::compute("training of points", "expected an architecture with the localizer scene_coordinates");
    network.coordinates().ok_or_else(none)
}
