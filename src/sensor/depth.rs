//! Depth images: how far what each pixel shows is.

use nalgebra::{Vector2, Vector3};
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::CameraModel;
use crate::geometry::Se3;
use crate::{Error, Result};

/// Depths along the optical axis (z, not the length of the ray), metres, with the camera that measured them. It need not
/// be the camera of the colour image, nor of its size.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthImage {
    camera: CameraModel,
    /// Row by row; 0 where there is no reading.
    metres: Vec<f32>,
}

impl DepthImage {
    /// The depths of every pixel of `camera`, row by row, metres. What is not above zero and finite is no reading.
    ///
    /// # Errors
    /// [`Error::Message`] when there is not one depth per pixel or the camera is not calibrated.
    pub fn new(camera: CameraModel, mut metres: Vec<f32>) -> Result<Self> {
        if !camera.is_calibrated() {
            let expected = "a camera with positive sizes and focal lengths";
            return Err(Error::message("depth image", expected, format!("{camera:?}")));
        }
        let pixels = camera.width as usize * camera.height as usize;
        if metres.len() != pixels {
            let expected = format!("{}x{} = {pixels} depths", camera.width, camera.height);
            return Err(Error::message("depth image", expected, metres.len().to_string()));
        }
        metres.iter_mut().filter(|depth| !(depth.is_finite() && **depth > 0.0)).for_each(|depth| *depth = 0.0);
        Ok(Self { camera, metres })
    }

    /// The camera that measured.
    pub fn camera(&self) -> &CameraModel {
        &self.camera
    }

    /// The depth at a pixel, metres; `None` without a reading and outside of the image.
    pub fn at(&self, column: u32, row: u32) -> Option<f32> {
        let is_inside = column < self.camera.width && row < self.camera.height;
        let index = row as usize * self.camera.width as usize + column as usize;
        is_inside.then(|| self.metres[index]).filter(|depth| *depth > 0.0)
    }

    /// The point that a pixel shows, in the optical frame of the depth camera, metres; `None` where there is no reading,
    /// and where no ray comes through the lens.
    pub fn point(&self, column: u32, row: u32) -> Option<Vector3<f64>> {
        let depth = f64::from(self.at(column, row)?);
        Some(self.camera.unproject(&Vector2::new(f64::from(column), f64::from(row)))? * depth)
    }

    /// All points, row by row, in the optical frame of the depth camera, metres.
    pub fn points(&self) -> impl Iterator<Item = Vector3<f64>> + '_ {
        let columns = 0..self.camera.width;
        (0..self.camera.height).flat_map(move |row| columns.clone().filter_map(move |column| self.point(column, row)))
    }

    /// Up to `most` points in the map, chosen at random among the readings (all, when there are fewer), row by row. The
    /// same seed chooses the same pixels.
    pub fn points_in_map(&self, map_from_camera: &Se3, most: usize, seed: u64) -> Vec<Vector3<f64>> {
        let readings: Vec<u32> = (0..).zip(&self.metres).filter(|(_, depth)| **depth > 0.0).map(|(at, _)| at).collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut chosen = index::sample(&mut random, readings.len(), most.min(readings.len())).into_vec();
        chosen.sort_unstable();
        let point = |place: usize| {
            let pixel = readings[place];
            self.point(pixel % self.camera.width, pixel / self.camera.width)
        };
        chosen.into_iter().filter_map(point).map(|point| *map_from_camera * point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;
    use crate::sensor::Distortion;

    fn camera() -> CameraModel {
        CameraModel { fx: 4.0, fy: 5.0, ..CameraModel::pinhole(5, 3, 1.0) }
    }

    #[test]
    fn a_pixel_becomes_the_point_that_projects_onto_it() {
        for distortion in [Distortion::None, Distortion::PlumbBob([-0.05, 0.01, 1e-3, -5e-4, 0.0])] {
            let camera = CameraModel { distortion, ..camera() };
            let image = DepthImage::new(camera, (1..=15).map(|depth| 0.3 * depth as f32).collect()).unwrap();
            for (column, row) in [(0, 0), (2, 1), (4, 2), (3, 0)] {
                let point = image.point(column, row).unwrap();
                assert!((point.z - 0.3 * f64::from(5 * row + column + 1)).abs() < 1e-6);
                let pixel = camera.project(&point).unwrap();
                assert!(
                    (pixel - Vector2::new(f64::from(column), f64::from(row))).norm() < 1e-9,
                    "{distortion:?}: {pixel}"
                );
            }
            assert_eq!((image.points().count(), image.at(5, 0), image.at(0, 3)), (15, None, None));
        }
    }

    #[test]
    fn what_is_no_depth_is_no_reading() {
        let mut metres = vec![2.0; 15];
        metres[..4].copy_from_slice(&[0.0, -1.0, f32::NAN, f32::INFINITY]);
        let image = DepthImage::new(camera(), metres).unwrap();
        assert_eq!((0..5).map(|column| image.at(column, 0)).collect::<Vec<_>>(), [None, None, None, None, Some(2.0)]);
        assert_eq!((image.point(2, 0), image.points().count()), (None, 11));
    }

    #[test]
    fn the_seed_chooses_the_points() {
        let mut metres = vec![2.0; 15];
        metres[7] = 0.0;
        let image = DepthImage::new(camera(), metres).unwrap();
        let pose = Se3::new(So3::exp(&Vector3::new(0.1, 0.2, 0.3)), Vector3::new(1.0, 2.0, 3.0));
        let all = image.points_in_map(&pose, 100, 1);
        assert_eq!(all, image.points().map(|point| pose * point).collect::<Vec<_>>());
        let some = |seed| image.points_in_map(&pose, 6, seed);
        assert_eq!((some(1).len(), some(1)), (6, some(1)));
        assert!(some(1) != some(2) && some(1).iter().all(|point| all.contains(point)));
    }

    #[test]
    fn sizes_and_calibrations_that_do_not_fit_are_refused() {
        let text = DepthImage::new(camera(), vec![1.0; 14]).unwrap_err().to_string();
        assert_eq!(text, "depth image: expected 5x3 = 15 depths, found 14");
        let blind = CameraModel { fx: 0.0, ..camera() };
        let text = DepthImage::new(blind, vec![1.0; 15]).unwrap_err().to_string();
        assert!(text.starts_with("depth image: expected a camera with positive sizes"), "{text}");
    }
}
