//! Points without depth images: plane sweeping (Collins 1996, "A space-sweep approach to true multi-image matching"), for cells
//! of frozen features.
//!
//! A cell of a frame is moved along its ray; at the true depth, frames that look from another side see there what the cell
//! shows. The score of a depth is the mean cosine between features, over the better half of these frames: what stands in between
//! hides the point from some. Depths are equally spaced in 1/z, so that steps are about equal in pixels.
//!
//! What comes out is rough (cells are eight pixels apart) and often wrong; a head that learns it for all cells under a clip
//! makes it smooth, and reprojection errors make it exact.

use nalgebra::{Matrix3, Vector3};
use tch::{Device, Kind, Tensor};

use super::partners::partners;
use super::peak::peak;
use crate::geometry::Se3;
use crate::network::encoder::CellGrid;
use crate::sensor::CameraModel;

/// Depths that are tried, from `1 / RANGE` to `RANGE` times the assumed one.
const DEPTHS: i64 = 64;
const RANGE: f64 = 5.0;
/// Numbers that are kept of the features of a cell: their principal components.
const COMPONENTS: i64 = 32;
/// The score where a partner does not see the point.
const UNSEEN: f64 = -1.0;
/// Bilinear, the border beyond, corners at the centres of the outer cells.
const SAMPLING: (i64, i64, bool) = (0, 1, true);

/// The main directions in which features of cells differ.
pub(super) struct Components {
    mean_c: Tensor,
    /// To standardized components, `ck`.
    basis_ck: Tensor,
}

impl Components {
    /// Of features `nc`.
    pub(super) fn new(features_nc: &Tensor) -> Self {
        let features = features_nc.to_kind(Kind::Double);
        let mean_c = features.mean_dim([0i64].as_slice(), false, Kind::Double);
        let deviation_c = features.std_dim([0i64].as_slice(), true, false) + 1e-3;
        let standard = (features - &mean_c) / &deviation_c;
        let (_, directions) = standard.tr().matmul(&standard).linalg_eigh("L");
        let (channels, kept) = (directions.size()[1], COMPONENTS.min(directions.size()[1]));
        let basis = directions.narrow(1, channels - kept, kept) / deviation_c.unsqueeze(1);
        Self { mean_c: mean_c.to_kind(Kind::Float), basis_ck: basis.to_kind(Kind::Float) }
    }

    /// The components of maps `bchw`, half precision on the CPU.
    fn of(&self, maps_bchw: &Tensor) -> Tensor {
        let rows = maps_bchw.permute([0, 2, 3, 1]).to_kind(Kind::Float) - &self.mean_c;
        rows.matmul(&self.basis_ck).permute([0, 3, 1, 2]).to_kind(Kind::Half).to_device(Device::Cpu).contiguous()
    }
}

/// Frames that are swept through, with what is known of them.
pub(super) struct Sweep<'a> {
    camera: &'a CameraModel,
    grid: CellGrid,
    components: Components,
    maps: Vec<Tensor>,
    map_from_camera: Vec<Se3>,
    partners: Vec<Vec<usize>>,
    /// The depths that are tried are `1 / (first + step * number)`.
    first: f64,
    step: f64,
}

impl<'a> Sweep<'a> {
    /// Through frames of these poses, for a scene about `depth` metres away. Their maps are to follow in the same order.
    pub(super) fn new(
        map_from_camera: Vec<Se3>,
        (camera, grid): (&'a CameraModel, CellGrid),
        components: Components,
        depth: f64,
    ) -> Self {
        let partners = partners(&map_from_camera, camera, depth);
        let first = 1.0 / (RANGE * depth);
        let step = (RANGE / depth - first) / (DEPTHS - 1) as f64;
        Self { camera, grid, components, maps: Vec::new(), map_from_camera, partners, first, step }
    }

    /// What the map of a frame takes, bytes: cells are eight pixels apart.
    pub(super) fn bytes(camera: &CameraModel) -> usize {
        2 * COMPONENTS as usize * (camera.width as usize * camera.height as usize).div_ceil(64)
    }

    /// Takes the maps `bchw` of the next frames.
    pub(super) fn take(&mut self, maps_bchw: &Tensor) {
        let maps = self.components.of(maps_bchw);
        self.maps.extend((0..maps.size()[0]).map(|row| maps.get(row)));
    }

    /// The points in the map, metres, that pixels of a frame show; `None` where that is not clear.
    pub(super) fn points(&self, frame: usize, pixels: &[[f32; 2]]) -> Vec<Option<Vector3<f64>>> {
        if self.partners[frame].is_empty() || pixels.is_empty() {
            return vec![None; pixels.len()];
        }
        let scores_kd = self.scores(frame, pixels);
        let values = Vec::<f32>::try_from(scores_kd.flatten(0, -1)).unwrap_or_default();
        let rows = pixels.iter().zip(values.chunks_exact(DEPTHS as usize));
        let point = |(pixel, scores): (&[f32; 2], &[f32])| {
            let depth = 1.0 / (self.first + self.step * peak(scores)?);
            let ray = self.camera.ray(&nalgebra::Vector2::from(*pixel).map(f64::from));
            Some(self.map_from_camera[frame] * (ray * depth))
        };
        rows.map(point).collect()
    }

    /// How much what is seen at each depth `d` looks as pixels `k` of a frame: the better half of the partners, `kd`.
    fn scores(&self, frame: usize, pixels: &[[f32; 2]]) -> Tensor {
        let pixels_k2 = Tensor::from_slice(pixels.as_flattened()).view([-1, 2]);
        let own_ck = unit(&self.sampled(frame, &pixels_k2));
        let partners = &self.partners[frame];
        let seen = partners.iter().map(|&partner| self.scores_of((frame, partner), &pixels_k2, &own_ck));
        let scores_pkd = Tensor::stack(&seen.collect::<Vec<_>>(), 0);
        let half = (partners.len() as i64 / 2).max(2);
        scores_pkd.topk(half, 0, true, true).0.mean_dim([0i64].as_slice(), false, Kind::Float)
    }

    /// The cosines with what one partner sees at each depth, `kd`.
    fn scores_of(&self, (frame, partner): (usize, usize), pixels_k2: &Tensor, own_ck: &Tensor) -> Tensor {
        let CameraModel { fx, fy, cx, cy, width, height, .. } = *self.camera;
        let row = |values: [f64; 2]| Tensor::from_slice(&values.map(|value| value as f32)).view([1, 2]);
        let partner_from_frame = self.map_from_camera[partner].inverse() * self.map_from_camera[frame];
        let rays_k2 = (pixels_k2 - row([cx, cy])) / row([fx, fy]);
        let rays_k3 = Tensor::cat(&[&rays_k2, &rays_k2.narrow(1, 0, 1).ones_like()], 1);
        let turned_k13 = rays_k3.matmul(&matrix(&partner_from_frame.rotation.matrix()).tr()).unsqueeze(1);
        let shift = partner_from_frame.translation.map(|value| value as f32);
        let inverse_d1 = (Tensor::arange(DEPTHS, (Kind::Float, Device::Cpu)) * self.step + self.first).view([1, -1, 1]);
        // Points divided by their depth in the frame: their projections are the same.
        let points_kd3 = turned_k13 + inverse_d1 * Tensor::from_slice(shift.as_slice()).view([1, 1, 3]);
        let depths_kd = points_kd3.select(2, 2);
        let projected_kd2 = points_kd3.narrow(2, 0, 2) / depths_kd.clamp_min(1e-3).unsqueeze(2);
        let pixels_kd2 = projected_kd2 * row([fx, fy]) + row([cx, cy]);
        let within = |axis: i64, size: u32| {
            let at = pixels_kd2.select(2, axis);
            at.ge(self.grid.first).logical_and(&at.le(f64::from(size) - 1.0 - self.grid.first))
        };
        let visible = depths_kd.gt(1e-3).logical_and(&within(0, width)).logical_and(&within(1, height));
        let size = pixels_kd2.size();
        let seen_cn = unit(&self.sampled(partner, &pixels_kd2.view([-1, 2])));
        let cosines = (seen_cn.view([-1, size[0], size[1]]) * own_ck.unsqueeze(2)).sum_dim_intlist(
            [0i64].as_slice(),
            false,
            Kind::Float,
        );
        cosines.where_scalarother(&visible, UNSEEN)
    }

    /// The components of a frame at pixels `n2`, between cells, `cn`.
    fn sampled(&self, frame: usize, pixels_n2: &Tensor) -> Tensor {
        let map_chw = self.maps[frame].to_kind(Kind::Float);
        let size = map_chw.size();
        let last = |cells: i64| (cells - 1).max(1) as f32;
        let extent = Tensor::from_slice(&[last(size[2]), last(size[1])]).view([1, 2]);
        let at_n2 = (pixels_n2 - self.grid.first) / self.grid.stride / extent * 2.0 - 1.0;
        let (interpolation, padding, corners) = SAMPLING;
        let sampled = map_chw.unsqueeze(0).grid_sampler(&at_n2.view([1, 1, -1, 2]), interpolation, padding, corners);
        sampled.view([size[0], -1])
    }
}

/// Columns of `cn`, of length one.
fn unit(columns_cn: &Tensor) -> Tensor {
    let length = columns_cn.square().sum_dim_intlist([0i64].as_slice(), true, Kind::Float).sqrt();
    columns_cn / length.clamp_min(1e-6)
}

/// A matrix as a tensor, row by row.
fn matrix(matrix: &Matrix3<f64>) -> Tensor {
    let rows: Vec<f32> = matrix.transpose().iter().map(|value| *value as f32).collect();
    Tensor::from_slice(&rows).view([3, 3])
}
