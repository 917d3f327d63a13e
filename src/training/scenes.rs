//! The scenes of a training: the frames of several datasets as one list, and what a network sees of each through the camera
//! of its own scene. A training on one dataset is one on a single scene.
//!
//! A frame has two numbers: in its dataset, and among the frames of all scenes, which follow each other in the order of the
//! datasets. Recordings stay apart, so that no pair of frames is of two scenes.

use tch::Tensor;

use super::batch::Source;
use super::config::TrainingConfig;
use super::material::Material;
use super::pairs::View;
use super::pixels::check_memory;
use crate::dataset::{Dataset, FrameInfo, Split, SplitRule};
use crate::geometry::Se3;
use crate::network::{LocalizerConfig, NetworkConfig, TransformerConfig};
use crate::{Error, Result};

/// A place to train on.
#[derive(Clone)]
pub struct SceneDataset<'a> {
    /// The name that the model knows it by, where it knows several.
    pub name: String,
    /// Its posed images.
    pub dataset: &'a dyn Dataset,
}

/// A place to train on, divided.
pub(super) struct Scene<'a> {
    pub(super) name: String,
    pub(super) dataset: &'a dyn Dataset,
    pub(super) split: Split,
    /// The number of its first frame among those of all scenes.
    first: usize,
}

impl Scene<'_> {
    /// The poses of its training frames.
    pub(super) fn train_poses(&self) -> Vec<Se3> {
        self.split.train.iter().map(|&index| self.dataset.frames()[index].map_from_camera).collect()
    }
}

/// All places of a training, at least one.
pub(super) struct Scenes<'a> {
    scenes: Vec<Scene<'a>>,
    frames: Vec<FrameInfo>,
    train: Vec<usize>,
}

impl<'a> Scenes<'a> {
    /// Divides each of the datasets by the rule.
    ///
    /// # Errors
    /// Those of [`SplitRule::split`]; [`Error::Config`] without a dataset, and for names that are not their own.
    pub(super) fn new(datasets: &[SceneDataset<'a>], rule: &SplitRule) -> Result<Self> {
        let mut all = Self { scenes: Vec::new(), frames: Vec::new(), train: Vec::new() };
        for SceneDataset { name, dataset } in datasets {
            if name.is_empty() || all.scenes.iter().any(|known| known.name == *name) {
                let found = format!("{name:?} twice or without one; name them, as in --dataset NAME=PATH");
                return Err(Error::config("dataset", "scenes with names of their own", found));
            }
            let (split, first) = (rule.split(*dataset)?, all.frames.len());
            let recordings = all.frames.last().map_or(0, |frame| frame.sequence + 1);
            let moved = |frame: &FrameInfo| FrameInfo { sequence: frame.sequence + recordings, ..frame.clone() };
            all.frames.extend(dataset.frames().iter().map(moved));
            all.train.extend(split.train.iter().map(|index| first + index));
            all.scenes.push(Scene { name: name.clone(), dataset: *dataset, split, first });
        }
        if all.scenes.is_empty() {
            return Err(Error::config("dataset", "at least one", "none"));
        }
        Ok(all)
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Scene<'a>> {
        self.scenes.iter()
    }

    /// The first, of a training on one dataset the only one.
    pub(super) fn first(&self) -> &Scene<'a> {
        &self.scenes[0]
    }

    /// Whether there are several.
    pub(super) fn are_several(&self) -> bool {
        self.scenes.len() > 1
    }

    /// The frames of all.
    pub(super) fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    /// The training frames of all, by their numbers among the frames of all.
    pub(super) fn train(&self) -> &[usize] {
        &self.train
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<&str> {
        self.scenes.iter().map(|scene| scene.name.as_str()).collect()
    }

    /// Whether all images that are used, with synthetic views, fit into memory.
    ///
    /// # Errors
    /// [`Error::Config`] when they exceed `cache_limit`.
    pub(super) fn check_memory(&self, network: &NetworkConfig, config: &TrainingConfig) -> Result<()> {
        let copies = config.synthetic_views.map_or(0, |views| views.copies);
        let images = |scene: &Scene| (1 + copies) * scene.split.train.len() + scene.split.validation.len();
        check_memory(self.scenes.iter().map(images).sum(), (network.input.width, network.input.height), config)
    }

    /// The scene of a frame of all.
    fn of(&self, frame: usize) -> usize {
        self.scenes.partition_point(|scene| scene.first <= frame) - 1
    }
}

/// What the networks sees of the scenes, each from its own material.
pub(super) struct SceneSource<'a> {
    pub(super) scenes: &'a Scenes<'a>,
    pub(super) materials: &'a [Material],
}

impl Source for SceneSource<'_> {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        if let [material] = self.materials {
            return material.views(views);
        }
        let (mut parts, mut places, mut poses) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (scene, material)) in self.scenes.iter().zip(self.materials).enumerate() {
            let of_scene = |place: &usize| self.scenes.of(views[*place].frame) == index;
            let own: Vec<usize> = (0..views.len()).filter(of_scene).collect();
            if own.is_empty() {
                continue;
            }
            let local = |&place: &usize| View { frame: views[place].frame - scene.first, ..views[place] };
            let (part, of_part) = material.views(&own.iter().map(local).collect::<Vec<View>>())?;
            parts.push(part);
            places.extend(own);
            poses.extend(of_part);
        }
        // From the order of the scenes back to that of the views.
        let mut order: Vec<usize> = (0..views.len()).collect();
        order.sort_by_key(|&row| places[row]);
        let rows: Vec<i64> = order.iter().map(|&row| row as i64).collect();
        let input = Tensor::cat(&parts, 0).index_select(0, &Tensor::from_slice(&rows));
        Ok((input, order.into_iter().map(|row| poses[row]).collect()))
    }

    fn scenes(&self, views: &[View]) -> Option<Vec<usize>> {
        let several = self.scenes.are_several();
        several.then(|| views.iter().map(|view| self.scenes.of(view.frame)).collect())
    }
}

/// The architecture for so many scenes.
///
/// # Errors
/// [`Error::Config`] for an architecture that knows one place, or names another number of scenes.
pub(super) fn with_scenes(network: NetworkConfig, count: usize) -> Result<NetworkConfig> {
    match network.transformer() {
        Some(shape) if shape.scenes == 1 || shape.scenes == count => {
            let shape = TransformerConfig { scenes: count, ..*shape };
            Ok(NetworkConfig { localizer: LocalizerConfig::Transformer { shape }, ..network })
        }
        Some(shape) => {
            let found = format!("{count}; give one for each scene, or scenes: 1, which a training sets");
            Err(Error::config("dataset", format!("{}, as many as the architecture has scenes", shape.scenes), found))
        }
        None if count == 1 => Ok(network),
        None => {
            let found = format!("{count}; several scenes in one model are for the preset ms-transformer");
            Err(Error::config("dataset", "one for this architecture, which knows one place", found))
        }
    }
}
