//! Points without depth images: plane sweeping (Collins 1996, "A space-sweep approach to true multi-image matching"), for cells
//! of frozen features.
//!
//! A cell of a frame is moved along its ray; at the true depth, frames that look from another side see there what the cell
//! shows. The score of a depth is the mean cosine between features, over the better half of these frames: what stands in between
//! hides the point from some. Depths are equally spaced in 1/z, so that steps are about equal in pixels.
//!
//! What comes out is rough (cells are eight pixels apart) and often wrong; a head that learns it for all cells under a clip
//! makes it smooth, and reprojection errors make it exact.

use nalgebra::{Matrix3, Vector2, Vector3};
use tch::{Device, Kind, Tensor};

use super::components::{COMPONENTS, Components};
use super::partners::partners;
use super::peak::peak;
use crate::geometry::Se3;
use crate::network::encoder::CellGrid;
use crate::sensor::CameraModel;

/// Depths that are tried, from `1 / RANGE` to `RANGE` times the assumed one.
const DEPTHS: i64 = 64;
const RANGE: f64 = 5.0;
/// The score where a partner does not see the point.
const UNSEEN: f64 = -1.0;
/// Bilinear, the border beyond, corners at the centres of the outer cells.
const SAMPLING: (i64, i64, bool) = (0, 1, true);

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
            let ray = self.camera.ray(&Vector2::from(*pixel).map(f64::from));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geometry::So3;

    const GRID: CellGrid = CellGrid { stride: 8.0, first: 9.0 };

    /// What the cells of a camera see of a patterned wall at z = 2 + x / 4: eight waves of different directions and lengths.
    fn wall(camera: &CameraModel, map_from_camera: &Se3) -> Tensor {
        let across = Vector3::new(-0.25, 0.0, 1.0);
        let seen = |column: i64, row: i64| {
            let ray = map_from_camera.rotation * camera.ray(&GRID.centre(column, row));
            let along = (2.0 - across.dot(&map_from_camera.translation)) / across.dot(&ray);
            let point = map_from_camera.translation + ray * along;
            let wave = |number: u32| {
                let (direction, pitch) = (0.8 * f64::from(number), 9.0 + 2.0 * f64::from(number));
                (pitch * (direction.cos() * point.x + direction.sin() * point.y)).sin() as f32
            };
            (0..8).map(wave).collect::<Vec<_>>()
        };
        let cells: Vec<f32> = (0..29).flat_map(|row| (0..39).flat_map(move |column| seen(column, row))).collect();
        Tensor::from_slice(&cells).view([1, 29, 39, 8]).permute([0, 3, 1, 2])
    }

    #[test]
    fn a_wall_seen_from_several_sides_is_found() {
        let camera = CameraModel::pinhole(320, 240, 262.5);
        let pose = |step: usize| {
            let x = 0.1 * step as f64 - 0.3;
            Se3::new(So3::exp(&Vector3::new(0.01, -0.4 * x, 0.02 * x)), Vector3::new(x, 0.05 * x, 0.1 * x))
        };
        let poses: Vec<Se3> = (0..7).map(pose).collect();
        let maps: Vec<Tensor> = poses.iter().map(|pose| wall(&camera, pose)).collect();
        let rows = |map: &Tensor| map.get(0).flatten(1, 2).tr();
        let components = Components::new(&Tensor::cat(&maps.iter().map(rows).collect::<Vec<_>>(), 0));
        let mut sweep = Sweep::new(poses.clone(), (&camera, GRID), components, 1.5);
        maps.iter().for_each(|map| sweep.take(map));
        let pixels: Vec<[f32; 2]> = (0..60).map(|at| [60.0 + 3.3 * at as f32, 50.0 + 2.4 * at as f32]).collect();
        let points = sweep.points(3, &pixels);
        assert_eq!(points, sweep.points(3, &pixels), "the same again");
        let found: Vec<&Vector3<f64>> = points.iter().flatten().collect();
        let near = found.iter().filter(|point| (point.z - 2.0 - point.x / 4.0).abs() < 0.06).count();
        assert!(found.len() > 40 && 10 * near > 9 * found.len(), "{near} of {}", found.len());
        for (pixel, point) in pixels.iter().zip(&points).filter_map(|(pixel, point)| Some((pixel, point.as_ref()?))) {
            let back = camera.project(&(poses[3].inverse() * *point)).unwrap();
            assert!((back - Vector2::from(*pixel).map(f64::from)).norm() < 1e-3, "on the ray of its cell: {back}");
        }
    }
}
