//! Cells of all training views in memory: their features, and what they should say.

use std::ops::Range;

use nalgebra::Vector3;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use super::sight::Sight;
use crate::dataset::Dataset;
use crate::geometry::{Se3, So3};
use crate::network::input::input_tensor;
use crate::network::scene_coordinates::SceneCoordinateHead;
use crate::network::{MapFromNormalized, NetworkConfig, PoseNetwork};
use crate::progress::Progress;
use crate::sensor::{CameraModel, DepthImage};
use crate::training::config::TrainingConfig;
use crate::training::pairs::{View, mix};
use crate::training::pixels::Pixels;
use crate::{Error, Result};

/// Frames in memory at once, and in one forward pass of the encoder.
const CHUNK: usize = 8;
/// What a cell needs beside its features, bytes.
const BESIDE: usize = 64;

/// The network whose encoder sees the frames.
#[derive(Clone, Copy)]
pub(super) struct Eye<'a> {
    pub(super) network: &'a PoseNetwork,
    pub(super) head: &'a SceneCoordinateHead,
    pub(super) architecture: &'a NetworkConfig,
    pub(super) camera: &'a CameraModel,
    pub(super) device: Device,
}

/// A cell without its features.
struct Cell {
    pixel: [f32; 2],
    view: usize,
    /// What it shows, in the map, metres; `None` without depth.
    point: Option<Vector3<f64>>,
}

/// Cells of some frames, features in half precision on the CPU.
pub(super) struct CellBuffer {
    features: Vec<Tensor>,
    cells: Vec<Cell>,
    map_from_camera: Vec<Se3>,
    /// Of each view.
    frames: Vec<usize>,
}

/// A depth image of some of the frames.
type Depths = Vec<Option<DepthImage>>;

impl CellBuffer {
    /// Draws as many cells of each frame and its `cached_copies` augmented copies as `cache_limit` allows, of those that were
    /// recorded. The same seed draws the same.
    ///
    /// # Errors
    /// Those of the dataset; [`Error::Config`] when not even one cell per view fits; [`Error::Interrupted`] when `keep_going`
    /// says no.
    pub(super) fn fill(
        (dataset, frames): (&dyn Dataset, &[usize]),
        eye: Eye,
        (config, seed): (&TrainingConfig, u64),
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self> {
        let copies = 1 + config.cached_copies;
        let per_view = cells_per_view(frames.len() * copies, eye.head.channels() as usize, config)?;
        let bar = progress.steps("computing features", (copies * frames.len()) as u64);
        let mut buffer =
            Self { features: Vec::new(), cells: Vec::new(), map_from_camera: Vec::new(), frames: Vec::new() };
        for chunk in frames.chunks(CHUNK) {
            let pixels = Pixels::load(dataset, chunk, *eye.camera, config, &Progress::Silent)?;
            let depths: Depths = chunk.par_iter().map(|&frame| dataset.depth(frame)).collect::<Result<_>>()?;
            for copy in 0..copies {
                if !keep_going() {
                    return Err(Error::Interrupted("; nothing was trained yet".to_owned()));
                }
                let views = chunk.iter().map(|&frame| View { frame, draw: mix(seed, copy as u64, frame as u64) });
                let views: Vec<View> = views.collect();
                buffer.take((&pixels, &depths), &views, copy > 0, eye, per_view)?;
                bar.advance(chunk.len() as u64);
            }
        }
        Ok(buffer)
    }

    /// Takes cells of the views of a chunk.
    fn take(
        &mut self,
        (pixels, depths): (&Pixels, &Depths),
        views: &[View],
        augmented: bool,
        eye: Eye,
        per_view: usize,
    ) -> Result<()> {
        let plain = |view: &View| (pixels.plain(view.frame).0.clone(), pixels.plain(view.frame).1);
        let images = if augmented { pixels.augmented(views) } else { views.iter().map(plain).collect() };
        let references: Vec<_> = images.iter().map(|(image, _)| image).collect();
        let NetworkConfig { input, normalization, .. } = eye.architecture;
        let input = input_tensor(&references, *input, normalization, eye.device)?;
        let shared = tch::no_grad(|| eye.network.shared(&input, false));
        let [rows, columns] = eye.head.map_size(&shared);
        for (row, view) in views.iter().enumerate() {
            let old_from_new = if augmented { pixels.turn(*view) } else { So3::identity() };
            let map_from_old = pixels.plain(view.frame).1;
            let sight = Sight { camera: eye.camera, map_from_old, old_from_new, depth: depths[row].as_ref() };
            let mut drawn = sight.recorded(eye.head.grid(), [rows, columns]);
            let mut generator = ChaCha8Rng::seed_from_u64(mix(view.draw, 1, 0));
            let (chosen, _) = drawn.partial_shuffle(&mut generator, per_view);
            let number = self.map_from_camera.len();
            self.map_from_camera.push(images[row].1);
            self.frames.push(view.frame);
            self.cells.extend(chosen.iter().map(|&cell| {
                let (column, row) = (cell % columns, cell / columns);
                let pixel = eye.head.grid().centre(column, row);
                let point = sight.point(eye.head.grid(), column, row);
                Cell { pixel: [pixel.x as f32, pixel.y as f32], view: number, point }
            }));
            let of_view = shared.narrow(row as i64, 1);
            let features_nc = tch::no_grad(|| eye.head.cell_features(&of_view, chosen).get(0).to_kind(Kind::Half));
            self.features.push(features_nc.to_device(Device::Cpu));
        }
        Ok(())
    }

    /// What the cells show that have depth, in the map, metres.
    pub(super) fn points(&self) -> impl Iterator<Item = &Vector3<f64>> {
        self.cells.iter().filter_map(|cell| cell.point.as_ref())
    }

    /// Tensors in the units of the model, for training.
    pub(super) fn into_material(mut self, units: &MapFromNormalized) -> Material {
        let (mean, scale) = (Vector3::from(units.mean), units.scale);
        let (mut points, mut pixels, mut views) = (Vec::new(), Vec::new(), Vec::new());
        for cell in &self.cells {
            let point = cell.point.map(|point| (point - mean) / scale);
            // What is not a number is not compared.
            points.extend(point.map_or([f32::NAN; 3], |point| point.map(|value| value as f32).into()));
            pixels.extend(cell.pixel);
            views.push(cell.view as i64);
        }
        let in_camera = |pose: &Se3| {
            let camera_from_map = pose.inverse();
            let rotation = camera_from_map.rotation.matrix();
            let offset = (camera_from_map * mean) / scale;
            let row = move |row: usize| [rotation[(row, 0)], rotation[(row, 1)], rotation[(row, 2)], offset[row]];
            (0..3).flat_map(row).map(|value| value as f32)
        };
        let cameras: Vec<f32> = self.map_from_camera.iter().flat_map(in_camera).collect();
        let rows = self.cells.len() as i64;
        // Piece by piece: both forms of all features at once would be twice the memory that is allowed.
        let channels = self.features.first().map_or(0, |features| features.size()[1]);
        let features_nc = Tensor::empty([rows, channels], (Kind::Half, Device::Cpu));
        let mut start = 0;
        for features in self.features.drain(..) {
            let count = features.size()[0];
            features_nc.narrow(0, start, count).copy_(&features);
            start += count;
        }
        Material {
            features_nc,
            points_n3: Tensor::from_slice(&points).view([rows, 3]),
            pixels_n2: Tensor::from_slice(&pixels).view([rows, 2]),
            views_n: Tensor::from_slice(&views),
            camera_from_map_v34: Tensor::from_slice(&cameras).view([-1, 3, 4]),
            frames: self.cells.iter().map(|cell| self.frames[cell.view]).collect(),
        }
    }
}

/// How many cells of each view fit.
fn cells_per_view(views: usize, channels: usize, config: &TrainingConfig) -> Result<usize> {
    let bytes = 2 * channels + BESIDE;
    match (config.cache_limit << 20) / bytes / views.max(1) {
        0 => {
            let expected = format!("at least {} MiB, for a cell of each of {views} views", 1 + ((views * bytes) >> 20));
            Err(Error::config(
                "cache_limit",
                expected,
                format!("{}; raise it, or give fewer frames", config.cache_limit),
            ))
        }
        cells => Ok(cells),
    }
}

/// All cells of a buffer, on the CPU.
pub(super) struct Material {
    features_nc: Tensor,
    /// NaN without depth.
    points_n3: Tensor,
    pixels_n2: Tensor,
    views_n: Tensor,
    camera_from_map_v34: Tensor,
    /// The frame of each cell.
    frames: Vec<usize>,
}

/// Some cells where they are learned from.
pub(super) struct Cells {
    pub(super) features_nc: Tensor,
    /// In the units of the model; NaN without depth.
    pub(super) points_n3: Tensor,
    pub(super) pixels_n2: Tensor,
    pub(super) camera_from_map_n34: Tensor,
}

impl Material {
    /// How many cells.
    pub(super) fn len(&self) -> usize {
        self.features_nc.size()[0] as usize
    }

    /// The numbers of the cells of frames that are not `without`.
    pub(super) fn numbers(&self, without: &[usize]) -> Vec<i64> {
        let kept = |&number: &i64| !without.contains(&self.frames[number as usize]);
        (0..self.len() as i64).filter(kept).collect()
    }

    /// The cells of these numbers.
    pub(super) fn cells(&self, numbers: &[i64], device: Device) -> Cells {
        let numbers = Tensor::from_slice(numbers);
        let of = |tensor: &Tensor| tensor.index_select(0, &numbers).to_device(device);
        let views = self.views_n.index_select(0, &numbers);
        Cells {
            features_nc: of(&self.features_nc).to_kind(Kind::Float),
            points_n3: of(&self.points_n3),
            pixels_n2: of(&self.pixels_n2),
            camera_from_map_n34: self.camera_from_map_v34.index_select(0, &views).to_device(device),
        }
    }

    /// Up to `most` cells, evenly spread over the frames.
    pub(super) fn spread(&self, most: usize, device: Device) -> Cells {
        let count = self.len().min(most);
        let numbers: Vec<i64> = (0..count).map(|index| (index * self.len() / count) as i64).collect();
        self.cells(&numbers, device)
    }

    /// The cells in a stretch of the buffer.
    pub(super) fn stretch(&self, range: Range<usize>, device: Device) -> Cells {
        let numbers: Vec<i64> = range.map(|number| number as i64).collect();
        self.cells(&numbers, device)
    }
}
