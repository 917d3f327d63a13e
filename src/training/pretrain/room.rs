//! Views of a room in memory, and the point that each cell of a view shows.

use image::RgbImage;
use nalgebra::{Matrix3, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Device, Tensor};

use super::settings::Pretraining;
use crate::geometry::{Se3, So3};
use crate::loss::SAME_POINT;
use crate::network::encoder::CellGrid;
use crate::sensor::CameraModel;
use crate::synth::{Pass, Renderer, Sensor, World};
use crate::training::pairs::mix;
use crate::vision::Augmentation;
use crate::{Error, Result};

/// How far a camera keeps from everything, metres.
const MARGIN: f32 = 0.2;
/// Attempts to find a free place.
const ATTEMPTS: usize = 10_000;
/// The share of cells that two views have in common, at least, to be compared.
const COMMON: f64 = 0.2;
/// Lights of a room.
const LIGHTS: u64 = 6;

/// The cells of views of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellMap {
    pub(super) grid: CellGrid,
    pub(super) rows: i64,
    pub(super) columns: i64,
}

impl CellMap {
    /// The camera that has a pixel where another has the centre of a cell.
    fn camera(&self, camera: &CameraModel) -> CameraModel {
        let CellGrid { stride, first } = self.grid;
        CameraModel {
            width: self.columns as u32,
            height: self.rows as u32,
            fx: camera.fx / stride,
            fy: camera.fy / stride,
            cx: (camera.cx - first) / stride,
            cy: (camera.cy - first) / stride,
            ..*camera
        }
    }

    /// How many.
    pub(super) fn count(&self) -> i64 {
        self.rows * self.columns
    }
}

/// A room as its views show it.
pub(super) struct Room {
    images: Vec<RgbImage>,
    /// What the cells of each view show, row by row, `n3`, in units of `scale` metres around the middle of all.
    points: Vec<Tensor>,
    /// Views that show a part of what each view shows; itself, where there is none.
    partners: Vec<Vec<usize>>,
    /// Metres per unit.
    pub(super) scale: f64,
}

impl Room {
    /// Renders the views of the room of a seed, on all cores.
    ///
    /// # Errors
    /// [`Error::Compute`] for a room that is too full for a camera.
    pub(super) fn render(seed: u64, cells: CellMap, settings: &Pretraining, device: Device) -> Result<Self> {
        let world = World::varied(seed);
        let mut generator = ChaCha8Rng::seed_from_u64(mix(seed, 0, 1));
        // A part of the room, as a recording shows it: most places are seen in several views.
        let ahead = generator.random_range(0.0..std::f64::consts::TAU);
        let view = |index: usize| view(&world, ahead, mix(seed, 1, index as u64), cells, settings);
        let views: Vec<(RgbImage, Vec<Vector3<f64>>)> =
            (0..settings.views).into_par_iter().map(view).collect::<Result<_>>()?;
        let all = || views.iter().flat_map(|(_, points)| points);
        let count = all().count().max(1) as f64;
        let mean = all().sum::<Vector3<f64>>() / count;
        let scale = (all().map(|point| (point - mean).norm_squared()).sum::<f64>() / (3.0 * count)).sqrt().max(0.01);
        let tensor = |points: &Vec<Vector3<f64>>| {
            let numbers: Vec<f32> = points
                .iter()
                .flat_map(|point| <[f64; 3]>::from((point - mean) / scale))
                .map(|value| value as f32)
                .collect();
            Tensor::from_slice(&numbers).view([-1, 3]).to_device(device)
        };
        let points = views.iter().map(|(_, points)| tensor(points)).collect();
        let shown: Vec<&[Vector3<f64>]> = views.iter().map(|(_, points)| points.as_slice()).collect();
        let partners = (0..shown.len()).into_par_iter().map(|view| partners(&shown, view, cells)).collect();
        Ok(Self { images: views.into_iter().map(|(image, _)| image).collect(), points, partners, scale })
    }

    /// A view.
    pub(super) fn image(&self, view: usize) -> &RgbImage {
        &self.images[view]
    }

    /// The views that show a part of what a view shows.
    pub(super) fn partners(&self, view: usize) -> &[usize] {
        &self.partners[view]
    }

    /// What the cells of a view show, `n3`, in the units of the room.
    pub(super) fn points(&self, view: usize) -> &Tensor {
        &self.points[view]
    }

    /// How many views.
    pub(super) fn len(&self) -> usize {
        self.images.len()
    }
}

/// Other views in which at least [`COMMON`] of some cells' points are seen; the view itself where there is none.
fn partners(shown: &[&[Vector3<f64>]], view: usize, cells: CellMap) -> Vec<usize> {
    let sparse = |cell: &i64| cell % cells.columns % 3 == 1 && cell / cells.columns % 3 == 1;
    let asked: Vec<&Vector3<f64>> = (0..cells.count()).filter(sparse).map(|cell| &shown[view][cell as usize]).collect();
    let sees = |other: usize, point: &Vector3<f64>| {
        shown[other].iter().any(|seen| (seen - point).norm_squared() < SAME_POINT * SAME_POINT)
    };
    let common = |other: usize| asked.iter().filter(|point| sees(other, point)).count() as f64;
    let least = COMMON * asked.len() as f64;
    let found: Vec<usize> = (0..shown.len()).filter(|&other| other != view && common(other) >= least).collect();
    if found.is_empty() { vec![view] } else { found }
}

/// Images, each changed in colour as its number says, on all cores.
pub(super) fn augmented(images: &[(&RgbImage, u64)], photometric: &Augmentation) -> Vec<RgbImage> {
    let change = |&(image, draw): &(&RgbImage, u64)| {
        let mut changed = image.clone();
        photometric.apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(draw));
        changed
    };
    images.par_iter().map(change).collect()
}

/// A view from a random place, and the points of its cells, metres.
fn view(
    world: &World,
    ahead: f64,
    draw: u64,
    cells: CellMap,
    settings: &Pretraining,
) -> Result<(RgbImage, Vec<Vector3<f64>>)> {
    let mut random = ChaCha8Rng::seed_from_u64(draw);
    let [shortest, longest] = settings.focal;
    let focal = f64::from(settings.input.width) * shortest * (longest / shortest).powf(random.random());
    let camera = CameraModel::pinhole(settings.input.width, settings.input.height, focal);
    let map_from_camera = pose(world, ahead, &mut random)?;
    let pass = Pass::still(world, (mix(draw, 2, 0) % LIGHTS) as u32, map_from_camera);
    let moment = random.random_range(0.0..1e3);
    let image = Renderer::new(&camera, Sensor::default())?.render(world, &pass, moment);
    let depth = Renderer::new(&cells.camera(&camera), Sensor::default())?.depth(world, &pass, moment)?;
    let point = |cell: i64| {
        let point = depth.point((cell % cells.columns) as u32, (cell / cells.columns) as u32);
        let nothing = || Error::compute("rendering a room", "a ray that meets nothing");
        Ok(map_from_camera * point.ok_or_else(nothing)?)
    };
    Ok((image, (0..cells.count()).map(point).collect::<Result<_>>()?))
}

/// A pose at a free place, as a hand or a robot holds a camera: looking `ahead` more often than back, hardly up or down,
/// rolled by up to 30 degrees.
fn pose(world: &World, ahead: f64, random: &mut ChaCha8Rng) -> Result<Se3> {
    let size: Vector3<f64> = world.size().cast();
    let mut places = (0..ATTEMPTS).map(|_| {
        let along = |random: &mut ChaCha8Rng, extent: f64| 0.35 * extent * random.random_range(-1.0..1.0);
        Vector3::new(along(random, size.x), along(random, size.y), random.random_range(0.4..2.0))
    });
    let place = places.find(|place| world.is_free(place, MARGIN));
    let place = place
        .ok_or_else(|| Error::compute("rendering a room", format!("room {} is too full for a camera", world.seed)))?;
    let yaw = ahead + random.random_range(-1.0..1.0f64) * random.random_range(0.3..1.3);
    let pitch = random.random_range(-0.25..0.55);
    let roll = 30f64.to_radians() * random.random_range(-1.0..1.0f64).powi(3);
    // The camera's z, x and y are the base's x, -y and -z.
    let forward = Matrix3::new(0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0);
    let turn = |axis: Vector3<f64>, angle: f64| So3::exp(&(axis * angle));
    let base_from_camera = So3::from_quaternion(nalgebra::UnitQuaternion::from_matrix(&forward));
    let map_from_base = turn(Vector3::z(), yaw) * turn(Vector3::y(), pitch) * turn(Vector3::x(), roll);
    Ok(Se3::new(map_from_base * base_from_camera, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Pretraining {
        Pretraining { views: 3, ..Pretraining::default() }
    }

    fn cells() -> CellMap {
        CellMap { grid: CellGrid { stride: 8.0, first: 0.0 }, rows: 18, columns: 24 }
    }

    #[test]
    fn a_cell_shows_the_point_that_projects_onto_its_centre() {
        let (world, settings) = (World::varied(3), settings());
        let (_, points) = view(&world, 0.4, 11, cells(), &settings).unwrap();
        // The same draws once more.
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let [shortest, longest] = settings.focal;
        let focal = 192.0 * shortest * (longest / shortest).powf(random.random());
        let camera = CameraModel::pinhole(192, 144, focal);
        let camera_from_map = pose(&world, 0.4, &mut random).unwrap().inverse();
        for (cell, point) in points.iter().enumerate() {
            let expected = cells().grid.centre(cell as i64 % 24, cell as i64 / 24);
            let pixel = camera.project(&(camera_from_map * *point)).unwrap();
            assert!((pixel - expected).norm() < 1e-2, "cell {cell}: {pixel}, expected {expected}");
        }
    }

    #[test]
    fn the_same_seed_renders_the_same_views_in_units_of_the_room() {
        let render = |seed: u64| Room::render(seed, cells(), &settings(), Device::Cpu).unwrap();
        let (one, same, other) = (render(5), render(5), render(6));
        assert!(one.images == same.images && one.images != other.images);
        let changed = augmented(&[(one.image(0), 1), (one.image(0), 2), (one.image(0), 1)], &settings().photometric);
        assert!(changed[0] == changed[2] && changed[0] != changed[1]);
        assert!(one.partners.iter().enumerate().all(|(view, partners)| !partners.is_empty()
            && partners.iter().all(|&partner| partner < 3 && (partner != view || partners.len() == 1))));
        let points = Tensor::cat(&one.points, 0);
        assert!((points.square().mean(tch::Kind::Float).double_value(&[]) - 1.0).abs() < 1e-3);
        assert!((0.3..4.0).contains(&one.scale), "{}", one.scale);
    }
}
