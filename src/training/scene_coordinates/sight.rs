//! What the cells of a view show: the ray of a cell in the frame that was recorded, and the depth on it.

use nalgebra::Vector3;

use crate::geometry::{Se3, So3};
use crate::network::encoder::CellGrid;
use crate::sensor::{CameraModel, DepthImage};

/// A frame, seen through a turned camera.
pub(in crate::training) struct Sight<'a> {
    /// The camera of the network's image.
    pub(in crate::training) camera: &'a CameraModel,
    /// Of the frame as it was recorded.
    pub(in crate::training) map_from_old: Se3,
    /// How the camera is turned.
    pub(in crate::training) old_from_new: So3,
    /// The depth image of the frame.
    pub(in crate::training) depth: Option<&'a DepthImage>,
}

impl Sight<'_> {
    /// The cells of a map of `rows` x `columns` whose centres show a part of the recorded image: what lies beyond its edges is
    /// made up. By number, row by row.
    pub(in crate::training) fn recorded(&self, grid: &CellGrid, [rows, columns]: [i64; 2]) -> Vec<i64> {
        let CameraModel { width, height, .. } = *self.camera;
        let inside = |ray: &Vector3<f64>| {
            let Some(pixel) = self.camera.project(ray) else { return false };
            let within = |at: f64, size: u32| (-0.5..f64::from(size) - 0.5).contains(&at);
            within(pixel.x, width) && within(pixel.y, height)
        };
        (0..rows * columns).filter(|cell| inside(&self.ray(grid, cell % columns, cell / columns))).collect()
    }

    /// The point in the map that the centre of a cell shows, metres; `None` where no depth was measured.
    pub(in crate::training) fn point(&self, grid: &CellGrid, column: i64, row: i64) -> Option<Vector3<f64>> {
        let ray = self.ray(grid, column, row);
        let depth = self.depth?;
        // Both cameras stand at one place, as far as the dataset says: the ray of one is a ray of the other.
        let pixel = depth.camera().project(&ray)?.map(f64::round);
        let metres = (pixel.min() >= 0.0).then(|| depth.at(pixel.x as u32, pixel.y as u32)).flatten()?;
        Some(self.map_from_old * (ray * (f64::from(metres) / ray.z)))
    }

    /// The direction in which a cell looks, in the axes of the recorded camera.
    fn ray(&self, grid: &CellGrid, column: i64, row: i64) -> Vector3<f64> {
        self.old_from_new * self.camera.ray(&grid.centre(column, row))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A plane z = 2 + x / 4 in the axes of the camera, as a depth camera with another focal length and half the resolution
    /// measures it from the same place.
    fn plane() -> DepthImage {
        let camera = CameraModel::pinhole(160, 120, 146.25);
        let depth = |pixel: u32| {
            let ray = camera.ray(&nalgebra::Vector2::new(f64::from(pixel % 160), f64::from(pixel / 160)));
            (2.0 / (1.0 - ray.x / 4.0)) as f32
        };
        DepthImage::new(camera, (0..160 * 120).map(depth).collect()).unwrap()
    }

    #[test]
    fn a_turned_view_keeps_its_points_and_they_lie_on_the_rays_of_its_cells() {
        let (camera, depth) = (CameraModel::pinhole(320, 240, 262.5), plane());
        let grid = CellGrid { stride: 8.0, first: 9.0 };
        let map_from_old = Se3::new(So3::exp(&Vector3::new(0.3, -0.2, 0.5)), Vector3::new(100.0, -20.0, 3.0));
        for turn in [Vector3::zeros(), Vector3::new(0.03, -0.05, 0.2)] {
            let old_from_new = So3::exp(&turn);
            let sight = Sight { camera: &camera, map_from_old, old_from_new, depth: Some(&depth) };
            let recorded = sight.recorded(&grid, [29, 39]);
            assert!(recorded.len() > 800 && (turn == Vector3::zeros()) == (recorded.len() == 29 * 39), "{turn}");
            let map_from_new = map_from_old * Se3::new(old_from_new, Vector3::zeros());
            for cell in recorded {
                let (column, row) = (cell % 39, cell / 39);
                let Some(point) = sight.point(&grid, column, row) else { continue };
                let pixel = camera.project(&(map_from_new.inverse() * point)).unwrap();
                assert!((pixel - grid.centre(column, row)).norm() < 1e-6, "{pixel}");
                let old = map_from_old.inverse() * point;
                // The nearest reading is at most 0.7 pixels of the depth camera away.
                assert!((old.z - 2.0 - old.x / 4.0).abs() < 0.01, "{old}");
            }
        }
    }

    #[test]
    fn cells_without_a_reading_have_no_point() {
        let camera = CameraModel::pinhole(320, 240, 262.5);
        let grid = CellGrid { stride: 8.0, first: 9.0 };
        let empty = DepthImage::new(CameraModel::pinhole(160, 120, 131.0), vec![0.0; 160 * 120]).unwrap();
        let narrow = DepthImage::new(CameraModel::pinhole(160, 120, 500.0), vec![1.0; 160 * 120]).unwrap();
        let sight =
            |depth| Sight { camera: &camera, map_from_old: Se3::identity(), old_from_new: So3::identity(), depth };
        assert_eq!(sight(None).point(&grid, 19, 14), None);
        assert_eq!(sight(Some(&empty)).point(&grid, 19, 14), None);
        assert_eq!(sight(Some(&narrow)).point(&grid, 0, 0), None, "outside of the depth image");
        assert!(sight(Some(&narrow)).point(&grid, 19, 14).is_some());
    }
}
