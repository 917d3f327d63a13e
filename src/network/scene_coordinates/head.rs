//! From the features of a cell to the point that it shows.

use nalgebra::Vector2;
use tch::nn::{self, Init, Path};
use tch::{Kind, Tensor};

use super::interpolation::read_at;
use super::products::fast_products;
use crate::network::config::{NetworkConfig, SceneCoordinatesConfig};
use crate::network::encoder::CellGrid;
use crate::network::pose_network::Features;

/// The largest and the smallest of the divisor, units of the model: a cell may say up to so many times what its numbers say
/// (ACE, section 3.2, has 4 and 100; points of a scene lie within a few of its standard deviations).
const FARTHEST: f64 = 4.0;
const NEAREST: f64 = 0.01;
/// Added to the standard deviation of a feature: one that never changed says nothing, and is not blown up.
const STILL: f64 = 1e-3;

/// Residual blocks of fully connected layers over cells, behind a standardization of the features.
///
/// The last layer has four numbers, homogeneous coordinates: x, y, z and a divisor, which a softplus keeps positive and
/// which is 1 where its number is 0 (ACE, section 3.2). Points far away are then as easy to say as near ones.
#[derive(Debug)]
pub struct SceneCoordinateHead {
    stages: [usize; 2],
    grids: [CellGrid; 2],
    cells: usize,
    mean_c: Tensor,
    deviation_c: Tensor,
    input: nn::Linear,
    blocks: Vec<[nn::Linear; 3]>,
    hidden: nn::Linear,
    output: nn::Linear,
}

impl SceneCoordinateHead {
    /// The heads of all parts of the place, with random weights: under `path / "coordinates"` the only one, or each under its
    /// number there. `None` for an architecture that has none, or whose encoder's cells are not known.
    pub(in crate::network) fn all(path: &Path, config: &NetworkConfig) -> Option<Vec<Self>> {
        let path = path / "coordinates";
        match config.scene_coordinates()?.parts {
            1 => Some(vec![Self::new(path, config)?]),
            parts => (0..parts as i64).map(|part| Self::new(&path / part, config)).collect(),
        }
    }

    fn new(path: Path, config: &NetworkConfig) -> Option<Self> {
        let SceneCoordinatesConfig { width, blocks, cells, .. } = *config.scene_coordinates()?;
        let (fine, coarse) = config.encoder.cell_stages()?;
        let grids = [config.encoder.cells(fine)?, config.encoder.cells(coarse)?];
        let channels = config.encoder.channels();
        let seen = channels[fine] + channels[coarse];
        let layer = |path: Path, into: i64, out: i64| {
            let config = nn::LinearConfig { ws_init: nn::init::DEFAULT_KAIMING_NORMAL, ..Default::default() };
            nn::linear(path, into, out, config)
        };
        let block = |index: usize| {
            let path = &path / "blocks" / index as i64;
            [0, 1, 2].map(|place| layer(&path / place, width, width))
        };
        // Small at the start: all points in the middle of the scene.
        let last = nn::LinearConfig { ws_init: Init::Randn { mean: 0.0, stdev: 0.01 }, ..Default::default() };
        Some(Self {
            stages: [fine, coarse],
            grids,
            cells,
            mean_c: path.zeros_no_train("mean", &[seen]),
            deviation_c: path.ones_no_train("deviation", &[seen]),
            input: layer(&path / "input", seen, width),
            blocks: (0..blocks).map(block).collect(),
            hidden: layer(&path / "hidden", width, width),
            output: nn::linear(&path / "output", width, 4, last),
        })
    }

    /// Rows and columns of the cells that these features have.
    pub fn map_size(&self, shared: &Features) -> [i64; 2] {
        let size = shared.maps()[self.stages[0]].size();
        [size[2], size[3]]
    }

    /// The features of the cells of these numbers (row by row) in each of the frames, `bnc`: those of both maps.
    pub fn cell_features(&self, shared: &Features, cells: &[i64]) -> Tensor {
        let [fine, coarse] = self.maps(shared);
        let size = fine.size();
        let numbers = Tensor::from_slice(cells).to_device(fine.device());
        let own = fine.permute([0, 2, 3, 1]).flatten(1, 2).index_select(1, &numbers).to_kind(Kind::Float);
        Tensor::cat(&[own, read_at((coarse, &self.grids[1]), &self.grids[0], cells, size[3])], 2)
    }

    /// The finer of both maps, `bchw`: what is seen in it is seen more exactly.
    pub fn fine_map<'a>(&self, shared: &'a Features) -> &'a Tensor {
        &shared.maps()[self.stages[0]]
    }

    /// The maps that features of cells are of, the finer first, `bchw`.
    pub(super) fn maps<'a>(&self, shared: &'a Features) -> [&'a Tensor; 2] {
        self.stages.map(|stage| &shared.maps()[stage])
    }

    /// Where the cells lie in the network's image.
    pub fn grid(&self) -> &CellGrid {
        &self.grids[0]
    }

    /// Channels of the features.
    pub fn channels(&self) -> i64 {
        self.mean_c.size()[0]
    }

    /// Takes the mean and the standard deviation of features `nc`, of many cells, as those of all: what the layers see is of
    /// the order of one then.
    pub fn standardize(&self, features_nc: &Tensor) {
        tch::no_grad(|| {
            let features = features_nc.to_kind(Kind::Float);
            let deviation = features.std_dim([0i64].as_slice(), true, false) + STILL;
            let (mut mean_c, mut deviation_c) = (self.mean_c.shallow_clone(), self.deviation_c.shallow_clone());
            mean_c.copy_(&features.mean_dim([0i64].as_slice(), false, Kind::Float));
            deviation_c.copy_(&deviation);
        });
    }

    /// The points that cells show, `n3` in the units of the model, from their features `nc`.
    pub fn points(&self, features_nc: &Tensor) -> Tensor {
        self.points_in(features_nc, Kind::Float)
    }

    /// The same with the products of the wide layers in another precision; the points themselves are single.
    pub fn points_in(&self, features_nc: &Tensor, products: Kind) -> Tensor {
        let layer = |rows: &Tensor, layer: &nn::Linear| {
            let of = |tensor: &Tensor| tensor.to_kind(products);
            rows.linear(&of(&layer.ws), layer.bs.as_ref().map(of)).relu()
        };
        let standard = ((features_nc - &self.mean_c) / &self.deviation_c).to_kind(products);
        let mut rows = layer(&standard, &self.input);
        for block in &self.blocks {
            rows = &rows + block.iter().fold(rows.shallow_clone(), |rows, linear| layer(&rows, linear));
        }
        let homogeneous_n4 = layer(&rows, &self.hidden).to_kind(Kind::Float).apply(&self.output);
        dehomogenize(&homogeneous_n4)
    }

    /// The cells of one frame that are asked, evenly spread: their pixels (column, row), and their points `n3`.
    pub fn locate(&self, shared: &Features) -> (Vec<Vector2<f64>>, Tensor) {
        let (pixels, features_nc) = self.asked(shared);
        let points_n3 = self.points_asked(&features_nc);
        (pixels, points_n3)
    }

    /// The cells of one frame that are asked: their pixels (column, row), and their features `nc`, the same for all heads.
    pub(super) fn asked(&self, shared: &Features) -> (Vec<Vector2<f64>>, Tensor) {
        let [rows, columns] = self.map_size(shared);
        self.read_cells(shared, &spread_cells(rows, columns, self.cells))
    }

    /// The same of all cells, row by row.
    pub(super) fn all_cells(&self, shared: &Features) -> (Vec<Vector2<f64>>, Tensor) {
        let [rows, columns] = self.map_size(shared);
        self.read_cells(shared, &spread_cells(rows, columns, 0))
    }

    fn read_cells(&self, shared: &Features, cells: &[i64]) -> (Vec<Vector2<f64>>, Tensor) {
        let [_, columns] = self.map_size(shared);
        let pixel = |cell: &i64| self.grids[0].centre(cell % columns, cell / columns);
        (cells.iter().map(pixel).collect(), self.cell_features(shared, cells).get(0))
    }

    /// The points `n3` of cells that are asked.
    pub(super) fn points_asked(&self, features_nc: &Tensor) -> Tensor {
        self.points_in(features_nc, fast_products(features_nc.device()))
    }
}

/// x, y and z divided by what the softplus makes of the fourth number. Its β makes the divisor of 0 to 1.
fn dehomogenize(homogeneous_n4: &Tensor) -> Tensor {
    let beta = std::f64::consts::LN_2 / (1.0 - 1.0 / FARTHEST);
    let raw = homogeneous_n4.narrow(1, 3, 1) * beta;
    let divisor = (raw.softplus() / beta + 1.0 / FARTHEST).clamp_max(1.0 / NEAREST);
    homogeneous_n4.narrow(1, 0, 3) / divisor
}

/// About `most` of the cells of a map, row by row: those of a coarser grid over it. 0: all.
fn spread_cells(rows: i64, columns: i64, most: usize) -> Vec<i64> {
    let all = rows * columns;
    if most == 0 || all <= most as i64 {
        return (0..all).collect();
    }
    let step = (all as f64 / most as f64).sqrt();
    let along = |cells: i64| {
        let count = ((cells as f64 / step).floor() as i64).max(1);
        (0..count).map(move |index| (((index as f64 + 0.5) * cells as f64 / count as f64) as i64).min(cells - 1))
    };
    along(rows).flat_map(|row| along(columns).map(move |column| row * columns + column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divisor_is_one_at_zero_and_stays_positive() {
        let rows = [[1.0f32, -2.0, 3.0, 0.0], [1.0, 1.0, 1.0, -1e4], [1.0, 1.0, 1.0, 1e6]];
        let points = dehomogenize(&Tensor::from_slice(&rows.concat()).view([3, 4]));
        let row = |index: i64| [0, 1, 2].map(|axis| points.double_value(&[index, axis]));
        for (value, expected) in row(0).iter().zip([1.0, -2.0, 3.0]) {
            assert!((value - expected).abs() < 1e-5, "{value}");
        }
        assert!(row(1).iter().all(|value| (value - FARTHEST).abs() < 1e-5), "{:?}", row(1));
        assert!(row(2).iter().all(|value| (value - NEAREST).abs() < 1e-6), "{:?}", row(2));
    }

    #[test]
    fn asked_cells_are_spread_over_all_of_the_map() {
        assert_eq!(spread_cells(2, 3, 0), [0, 1, 2, 3, 4, 5]);
        let cells = spread_cells(59, 79, 1024);
        assert!((900..=1024).contains(&cells.len()), "{}", cells.len());
        let (rows, columns): (Vec<i64>, Vec<i64>) = cells.iter().map(|cell| (cell / 79, cell % 79)).unzip();
        assert!(rows[0] <= 1 && rows[rows.len() - 1] >= 57 && columns.iter().max() >= Some(&77));
        let mut unique = cells.clone();
        unique.dedup();
        assert_eq!(unique, cells);
    }
}
