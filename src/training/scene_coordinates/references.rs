//! Reference frames for a finished model that knows points, to which poses are aligned ([`References`]).
//!
//! Training frames alone, spread over the places and directions that the recording has; points from their depth images, or where
//! there are none from what the model says of a cell, if its own frame agrees. At the end the model answers on the validation
//! frames with and without alignment, and keeps what is better.
//!
//! No factor of the calibration becomes smaller than for measured poses. Validation frames lie beside the references: fitted to aligned
//! poses there alone, the covariances would claim too much elsewhere (on a part of a kitchen that no reference shows, 4 % of
//! the errors lay within their 90 % ellipsoids).

use std::path::PathBuf;

use nalgebra::{Vector2, Vector3};
use tch::Tensor;

use super::sight::Sight;
use crate::dataset::{Dataset, SplitRule};
use crate::geometry::{Se3, So3};
use crate::network::encoder::CellGrid;
use crate::network::references::{Compression, REFERENCES_FILE, References, ReferencesRecord};
use crate::network::{Device, ModelCard, PoseRegressor, ValidationRecord, pose_distance};
use crate::pnp::Correspondence;
use crate::progress::Progress;
use crate::sensor::DepthImage;
use crate::training::calibrate::calibrate;
use crate::training::ensemble::recorded_split;
use crate::training::pairs::spread;
use crate::training::run::frames_sha256;
use crate::vision::Preprocessor;
use crate::{Error, Result};

/// Frames whose features say in which directions features differ.
const COMPARED: usize = 16;
/// How far a point that the model says may be from the ray of its cell, of the width of the image: the distance of an inlier.
const AGREEING: f64 = 10.0 / 640.0;

/// Which model gets reference frames, and how many.
#[derive(Clone, Debug)]
pub struct Referencing {
    /// The model folder.
    pub model: PathBuf,
    /// The rule that divided the dataset when it was trained.
    pub split: SplitRule,
    /// Frames at most.
    pub frames: usize,
    /// Cells of each at most, evenly spread over the image.
    pub cells: usize,
    /// Where to compute.
    pub device: Device,
}

impl Referencing {
    /// The usual choices for a model, with the split that its folder has.
    ///
    /// # Errors
    /// [`Error::Model`] when it has none; [`Error::Format`] when it is something else.
    pub fn of(model: PathBuf) -> Result<Self> {
        let split = recorded_split(&model)?;
        Ok(Self::with_split(model, split))
    }

    /// The usual choices for a model that was trained with this split.
    pub fn with_split(model: PathBuf, split: SplitRule) -> Self {
        Self { model, split, frames: 200, cells: 300, device: Device::Auto }
    }
}

/// What reference frames do for their model.
#[derive(Clone, Debug)]
pub struct Referenced {
    /// The new card; where aligned poses are better, with their errors and covariances no smaller.
    pub card: ModelCard,
    /// Errors on the validation frames without and with alignment, where there are such frames.
    pub measured: Option<[ValidationRecord; 2]>,
}

/// Chooses reference frames and puts them into the model folder. Asks `keep_going` before each image.
///
/// # Errors
/// Those of the model, the dataset and the split; [`Error::Model`] for a model that knows no points, and for an ensemble;
/// [`Error::Config`] when the rule does not give the frames that trained the model, or for no frames or cells;
/// [`Error::Interrupted`] after `keep_going` said no: poses are not aligned to what was chosen; [`Error::Compute`] where no frame shows a point.
pub fn add_references(
    job: &Referencing,
    dataset: &dyn Dataset,
    progress: Progress,
    keep_going: &dyn Fn() -> bool,
) -> Result<Referenced> {
    let card = referable(job)?;
    let (frames, split) = (dataset.frames(), job.split.split(dataset)?);
    if frames_sha256(frames, &split.train) != card.training.dataset_sha256 {
        let expected = format!("the rule and the dataset that {} was trained with", card.name);
        return Err(Error::config("split", expected, "other training frames"));
    }
    let preprocessor = Preprocessor::new(dataset.camera(), &card.camera)?;
    let image = |index: usize, left: &str| match keep_going() {
        true => preprocessor.apply(&dataset.image(index)?),
        false => Err(Error::Interrupted(format!("; {left}"))),
    };
    let as_it_was = |index| image(index, "the model is as it was");
    let references = collect(job, (&card, &split.train), dataset, &as_it_was, progress)?;

    // The model folder: first with poses as they were.
    let record = references.save(&job.model.join(REFERENCES_FILE))?;
    let card = ModelCard { references: Some(record.clone()), ..card };
    card.write(&job.model)?;
    if split.validation.is_empty() {
        return Ok(Referenced { card, measured: None });
    }
    let unused = |index| image(index, "the reference frames are in the model, and poses are not aligned to them");
    let measured = |used: bool| {
        let card = ModelCard { references: Some(ReferencesRecord { used, ..record.clone() }), ..card.clone() };
        let regressor = PoseRegressor::load_with(card, &job.model, job.device.resolve()?)?;
        calibrate(regressor, frames, &split.validation, &unused, progress)
    };
    let (plain, aligned) = (measured(false)?, measured(true)?);
    let both = [plain.validation, aligned.validation];
    // Motions are not aligned; what the training knows of them, it knows from more frames.
    let relative_calibration = card.relative_calibration.or(plain.relative_calibration);
    let (calibration, measured) = match is_better(&both[1], &both[0]) {
        true => (card.calibration.or_larger(aligned.calibration), aligned),
        false => (card.calibration, plain),
    };
    let card = ModelCard { calibration, relative_calibration, ..measured };
    card.write(&job.model)?;
    Ok(Referenced { card, measured: Some(both) })
}

/// Reference frames from those that trained the model of the card: how features are compressed, then what each chosen frame saw.
fn collect(
    job: &Referencing,
    (card, train): (&ModelCard, &[usize]),
    dataset: &dyn Dataset,
    image: &dyn Fn(usize) -> Result<image::RgbImage>,
    progress: Progress,
) -> Result<References> {
    let (frames, units) = (dataset.frames(), card.map_from_normalized);
    let alone = ModelCard { references: None, ..card.clone() };
    let regressor = PoseRegressor::load_with(alone, &job.model, job.device.resolve()?)?;
    let poses: Vec<Se3> = train.iter().map(|&index| frames[index].map_from_camera).collect();
    let chosen: Vec<usize> = farthest(&poses, units.scale, job.frames).into_iter().map(|at| train[at]).collect();
    let mut references = References::new(compressions(&regressor, &chosen, image)?, units);
    let bar = progress.steps("adding references", chosen.len() as u64);
    for &index in &chosen {
        let (pixels, map_from_camera) = (image(index)?, frames[index].map_from_camera);
        let maps = regressor.encoder_maps(&pixels)?;
        let cells = spread_cells(&maps[0], job.cells);
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
        let reason = "no training frame shows a point: neither a depth image nor the model says where";
        return Err(Error::compute("reference frames", reason));
    }
    Ok(references)
}

/// The card of a model that can have reference frames.
fn referable(job: &Referencing) -> Result<ModelCard> {
    if job.frames == 0 || job.cells == 0 {
        let found = format!("{} and {}", job.frames, job.cells);
        return Err(Error::config("references", "at least one frame and one cell of each", found));
    }
    let card = ModelCard::read(&job.model)?;
    let refuse = |expected: &str, found: &str| Err(Error::model(&job.model, expected, found));
    if card.network.scene_coordinates().is_none() {
        return refuse("a model that knows points", "another; train one with --preset scene-coordinates");
    }
    if !card.members.is_empty() {
        return refuse("a model with one set of weights", "an ensemble; give the folder of one of its trainings");
    }
    Ok(card)
}

/// Whether the position errs less, and the orientation no more.
fn is_better(one: &ValidationRecord, other: &ValidationRecord) -> bool {
    one.median_translation_error < other.median_translation_error
        && one.median_rotation_error <= other.median_rotation_error
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
