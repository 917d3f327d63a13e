//! Which training frames become reference frames, and what they saw.

use nalgebra::{Vector2, Vector3};
use tch::Tensor;

use super::{ALIGNED_CELLS, RECOGNIZED_CELLS, Referencing};
use crate::dataset::Dataset;
use crate::geometry::{Se3, So3};
use crate::network::encoder::CellGrid;
use crate::network::references::{Compression, References};
use crate::network::{ModelCard, PoseRegressor, pose_distance};
use crate::pnp::Correspondence;
use crate::progress::Progress;
use crate::sensor::DepthImage;
use crate::training::pairs::spread;
use crate::training::scene_coordinates::Sight;
use crate::{Error, Result};

/// Frames whose features say in which directions features differ.
const COMPARED: usize = 16;
/// How far a point that the model says may be from the ray of its cell, of the width of the image: the distance of an inlier.
const AGREEING: f64 = 10.0 / 640.0;

/// Reference frames from those that trained the model of the card, and which they are, in their order: how features are compressed,
/// then what each chosen frame saw.
pub(super) fn collect(
    job: &Referencing,
    (card, train): (&ModelCard, &[usize]),
    dataset: &dyn Dataset,
    image: &dyn Fn(usize) -> Result<image::RgbImage>,
    progress: Progress,
) -> Result<(References, Vec<usize>)> {
    let (frames, units) = (dataset.frames(), card.map_from_normalized);
    let alone = ModelCard { references: None, ..card.clone() };
    let regressor = PoseRegressor::load_with(alone, &job.model, job.device.resolve()?)?;
    let poses: Vec<Se3> = train.iter().map(|&index| frames[index].map_from_camera).collect();
    let chosen: Vec<usize> = farthest(&poses, units.scale, job.frames).into_iter().map(|at| train[at]).collect();
    let mut references = References::new(compressions(&regressor, &chosen, image)?, units);
    let usual = if card.network.scene_coordinates().is_some() { ALIGNED_CELLS } else { RECOGNIZED_CELLS };
    let most = job.cells.unwrap_or(usual);
    let bar = progress.steps("adding references", chosen.len() as u64);
    for &index in &chosen {
        let (pixels, map_from_camera) = (image(index)?, frames[index].map_from_camera);
        let maps = regressor.encoder_maps(&pixels)?;
        let cells = spread_cells(&maps[0], most);
        let seen = match dataset.depth(index)? {
            Some(depth) => measured_points(card, &depth, cells),
            None => {
                let believed = regressor.points(&pixels)?.unwrap_or_default();
                believed_points(card, &map_from_camera, &believed, cells)
            }
        };
        references.add(map_from_camera, &references.compress(&maps)?, &seen);
        bar.advance(1);
    }
    if references.points() == 0 {
        let reason = "no training frame shows a point: expected depth images beside the colours, or a model that knows points \
                      (--preset scene-coordinates learns them without depth); found neither";
        return Err(Error::compute("reference frames", reason));
    }
    Ok((references, chosen))
}

/// The poses that are farthest from each other, one after the other (Gonzalez 1985), at most `count`, in their order.
fn farthest(poses: &[Se3], scale: f64, count: usize) -> Vec<usize> {
    let mut distances = vec![f64::INFINITY; poses.len()];
    let mut chosen: Vec<usize> = Vec::new();
    let mut next = 0;
    while chosen.len() < count.min(poses.len()) {
        chosen.push(next);
        for (distance, pose) in distances.iter_mut().zip(poses) {
            *distance = distance.min(pose_distance(&poses[next], pose, scale));
        }
        let best = (0..poses.len()).max_by(|&one, &other| distances[one].total_cmp(&distances[other]));
        next = best.unwrap_or(0);
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// How features are compressed at both levels, by those of some of the frames.
fn compressions(
    regressor: &PoseRegressor,
    frames: &[usize],
    image: &dyn Fn(usize) -> Result<image::RgbImage>,
) -> Result<[Compression; 2]> {
    let (mut fine, mut coarse) = (Vec::new(), Vec::new());
    for index in spread(frames, COMPARED) {
        let [(fine_chw, _), (coarse_chw, _)] = regressor.encoder_maps(&image(index)?)?;
        fine.push(fine_chw.flatten(1, 2).tr());
        coarse.push(coarse_chw.flatten(1, 2).tr());
    }
    Ok([fine, coarse].map(|features| Compression::new(&Tensor::cat(&features, 0))))
}

/// Pixels of a frame, and what they show, in its camera, metres.
type Seen = Vec<(Vector2<f64>, Vector3<f64>)>;

/// What the cells show whose depth was measured.
fn measured_points(card: &ModelCard, depth: &DepthImage, cells: SpreadCells) -> Seen {
    let (map_from_old, old_from_new) = (Se3::identity(), So3::identity());
    let sight = Sight { camera: &card.camera, map_from_old, old_from_new, depth: Some(depth) };
    let SpreadCells { grid, cells, .. } = cells;
    let seen = |[row, column]: [i64; 2]| Some((grid.centre(column, row), sight.point(&grid, column, row)?));
    cells.into_iter().filter_map(seen).collect()
}

/// What the cells show by the model, of which `believed` has all, row by row: on the ray of its cell and as deep as the model says
/// that a point is, where the pose of its frame agrees that it is there.
fn believed_points(card: &ModelCard, map_from_camera: &Se3, believed: &[Correspondence], cells: SpreadCells) -> Seen {
    let camera_from_map = map_from_camera.inverse();
    let seen = |[row, column]: [i64; 2]| {
        let Correspondence { pixel, point } = believed.get((row * cells.columns + column) as usize)?;
        let in_camera = camera_from_map * *point;
        let off = (card.camera.project(&in_camera)? - pixel).norm();
        let ray = card.camera.ray(pixel);
        (off < AGREEING * f64::from(card.camera.width)).then(|| (*pixel, ray * (in_camera.z / ray.z)))
    };
    cells.cells.iter().copied().filter_map(seen).collect()
}

/// Some cells of a map, as `[row, column]`.
struct SpreadCells {
    grid: CellGrid,
    columns: i64,
    cells: Vec<[i64; 2]>,
}

/// About `most` of the cells of a map `chw` with its stride and first centre: those of a coarser grid over it.
fn spread_cells((map_chw, (stride, first)): &(Tensor, (f64, f64)), most: usize) -> SpreadCells {
    let (rows, columns) = (map_chw.size()[1], map_chw.size()[2]);
    let step = ((rows * columns) as f64 / most as f64).sqrt().ceil().max(1.0) as usize;
    let along = |cells: i64| (step as i64 / 2..cells).step_by(step);
    let cells = along(rows).flat_map(|row| along(columns).map(move |column| [row, column])).collect();
    SpreadCells { grid: CellGrid { stride: *stride, first: *first }, columns, cells }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn frames_are_chosen_far_from_each_other() {
        let pose = |x: f64, angle: f64| Se3::new(So3::exp(&Vector3::new(0.0, angle, 0.0)), Vector3::new(x, 0.0, 0.0));
        let poses = [pose(0.0, 0.0), pose(0.1, 0.0), pose(4.0, 0.0), pose(0.0, 1.0), pose(4.1, 0.0)];
        assert_eq!(farthest(&poses, 1.0, 3), [0, 3, 4]);
        assert_eq!(farthest(&poses, 100.0, 2), [0, 3], "a long unit makes places alike");
        assert_eq!(farthest(&poses, 1.0, 9), [0, 1, 2, 3, 4]);
        assert_eq!(farthest(&[poses[0]; 4], 1.0, 3), [0, 3], "of equal poses a few are enough");
        assert!(farthest(&[], 1.0, 3).is_empty());
    }

    #[test]
    fn cells_are_spread_and_no_more_than_asked_for() {
        let cells = |rows: i64, columns: i64, most: usize| {
            let map = Tensor::zeros([1, rows, columns], (Kind::Float, tch::Device::Cpu));
            spread_cells(&(map, (8.0, 0.0)), most).cells
        };
        let many = cells(59, 79, 300);
        assert!((250..=300).contains(&many.len()) && many[0] == [2, 2], "{}", many.len());
        assert_eq!((cells(2, 3, 100).len(), cells(15, 20, 1).len()), (6, 1));
    }
}
