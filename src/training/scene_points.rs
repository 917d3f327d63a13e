//! Points of the scene that each training frame sees, from its depth image: what the reprojection loss moves.
//!
//! A fixed number per frame, chosen once at random among the readings of the whole depth image. They are in the map, so a
//! virtual rotation of the camera leaves them where they are; one that leaves the image then still lies in front of
//! the camera and still counts.

use std::collections::BTreeMap;

use nalgebra::Vector3;
use rayon::prelude::*;
use tch::Tensor;

use super::pairs::{View, mix};
use crate::dataset::Dataset;
use crate::network::MapFromNormalized;
use crate::progress::Progress;
use crate::{Error, Result};

/// Points of some frames, in the network's units.
pub struct ScenePoints {
    count: usize,
    /// Per frame, `count` times x, y, z.
    normalized: BTreeMap<usize, Vec<f32>>,
}

impl ScenePoints {
    /// `count` points of each frame, on all cores; a frame with fewer readings repeats them, one with none has its camera's
    /// centre, which the loss leaves out. The same seed chooses the same points.
    ///
    /// # Errors
    /// Those of the dataset; [`Error::Config`] for a frame without a depth image.
    pub fn load(
        dataset: &dyn Dataset,
        frames: &[usize],
        count: usize,
        units: &MapFromNormalized,
        seed: u64,
        progress: &Progress,
    ) -> Result<Self> {
        let bar = progress.steps("reading depth images", frames.len() as u64);
        let load = |&frame: &usize| {
            let depth = dataset.depth(frame)?.ok_or_else(|| without_depth("reprojection", dataset, frame))?;
            let pose = &dataset.frames()[frame].map_from_camera;
            let mut points = depth.points_in_map(pose, count, mix(seed, frame as u64, count as u64));
            if points.is_empty() {
                points.push(pose.translation);
            }
            bar.advance(1);
            Ok((frame, points.iter().cycle().take(count).flat_map(|point| normalize(point, units)).collect()))
        };
        let normalized = frames.par_iter().map(load).collect::<Result<_>>()?;
        Ok(Self { count, normalized })
    }

    /// The points of the views' frames, `vn3`. The frames must be among those loaded.
    pub fn of(&self, views: &[View]) -> Tensor {
        let numbers: Vec<f32> = views.iter().flat_map(|view| &self.normalized[&view.frame]).copied().collect();
        Tensor::from_slice(&numbers).view([views.len() as i64, self.count as i64, 3])
    }
}

fn normalize(point: &Vector3<f64>, units: &MapFromNormalized) -> [f32; 3] {
    std::array::from_fn(|axis| ((point[axis] - units.mean[axis]) / units.scale) as f32)
}

/// What says that a setting wants depth images.
pub(super) fn without_depth(setting: &str, dataset: &dyn Dataset, frame: usize) -> Error {
    let found = format!(
        "none for {} of {}; take a dataset with depth (7-Scenes, TUM RGB-D, vloc synth --depth), or leave {setting} out, \
         as the preset posenet-learned does",
        dataset.frames()[frame].name,
        dataset.name()
    );
    Error::config(setting, "a depth image for each training frame", found)
}
