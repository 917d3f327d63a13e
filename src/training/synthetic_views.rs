//! SVS-Pose's synthetic views (Naseer & Burgard 2017, "Deep Regression for Monocular Camera-based 6-DoF Global Localization in
//! Outdoor Environments"): what a camera that stands near a training frame would have seen, from the frame's colours and
//! depths. Unlike a virtual rotation it has new positions, and it is not exact: what the frame did not see is guessed.
//!
//! In two passes, at the size of the network's input. The depths of the old view are moved into the new one, where the nearest
//! wins (a z-buffer); a pixel covers its neighbours up to 3/4 of a pixel away, so that a view up to 1.5 times as near has
//! no cracks. Then each new pixel looks up its colour where its point was in the old image. Where there is no depth, a row
//! takes the farther of the depths on both sides: what comes into view from behind an edge is background.
//!
//! The paper renders views of its own choice of spacing; here positions and angles are drawn uniformly within bounds.

use image::RgbImage;
use nalgebra::{Vector2, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::rotation::bilinear;
use crate::geometry::{Se3, So3};
use crate::sensor::{CameraModel, DepthImage};

/// How far from its projection a point still covers a pixel, pixels.
const REACH: f64 = 0.75;

/// Views that were never recorded, from the depths of training frames (SVS-Pose, Naseer & Burgard 2017).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticViews {
    /// Views per training frame. In each epoch a frame is shown as it is or as one of them, all alike likely.
    pub copies: usize,
    /// The largest distance from the frame along each of its axes, metres; uniform within.
    pub translation: f64,
    /// The largest angle about each of its axes, degrees; uniform within.
    pub rotation: f64,
}

impl SyntheticViews {
    /// Where a camera stands near another, `old_from_new`.
    pub(super) fn draw(&self, seed: u64) -> Se3 {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = |most: f64| Vector3::from_fn(|_, _| most * generator.random_range(-1.0..1.0));
        let translation = uniform(self.translation);
        Se3::new(So3::exp(&uniform(self.rotation.to_radians())), translation)
    }
}

/// What `camera` (without distortion, of the size of `image`) would have seen from another place, with the depths that were
/// measured at the old one by a camera of its own; `None` where there is no depth at all.
pub fn synthesize_view(
    image: &RgbImage,
    camera: &CameraModel,
    depth: &DepthImage,
    old_from_new: Se3,
) -> Option<RgbImage> {
    let (width, height) = image.dimensions();
    let old = filled(depths_of(camera, depth), width)?;
    let new = filled(moved(&old, camera, old_from_new.inverse()), width)?;
    let mut view = RgbImage::new(width, height);
    for (pixel, &depth) in pixels(camera).zip(&new) {
        let seen = old_from_new * (camera.ray(&pixel) * depth);
        // A guessed depth may lie behind the old camera: the nearest edge is as good as any then.
        let at = camera.project(&seen).unwrap_or(pixel);
        view.put_pixel(pixel.x as u32, pixel.y as u32, bilinear(image, at.x as f32, at.y as f32));
    }
    Some(view)
}

/// The pixels of a camera, row by row.
fn pixels(camera: &CameraModel) -> impl Iterator<Item = Vector2<f64>> + use<> {
    let width = camera.width;
    (0..camera.height).flat_map(move |v| (0..width).map(move |u| Vector2::new(f64::from(u), f64::from(v))))
}

/// The depth that each pixel of `camera` shows, metres; 0 where none was measured. Both cameras stand at one place.
fn depths_of(camera: &CameraModel, depth: &DepthImage) -> Vec<f64> {
    let measured = |pixel: Vector2<f64>| {
        let at = depth.camera().project(&camera.ray(&pixel))?.map(f64::round);
        let inside = at.min() >= 0.0;
        inside.then(|| depth.at(at.x as u32, at.y as u32)).flatten().map(f64::from)
    };
    pixels(camera).map(|pixel| measured(pixel).unwrap_or(0.0)).collect()
}

/// The depths in the view of a moved camera, the nearest where there are several; 0 where there is none.
fn moved(old: &[f64], camera: &CameraModel, new_from_old: Se3) -> Vec<f64> {
    let mut new = vec![0.0; old.len()];
    for (pixel, &depth) in pixels(camera).zip(old) {
        let point = new_from_old * (camera.ray(&pixel) * depth);
        let Some(at) = camera.project(&point) else { continue };
        let covered = |centre: f64, size: u32| {
            let (first, last) = ((centre - REACH).ceil().max(0.0), (centre + REACH).floor());
            (first as u32)..((last + 1.0).clamp(0.0, f64::from(size)) as u32)
        };
        for v in covered(at.y, camera.height) {
            for u in covered(at.x, camera.width) {
                let cell = &mut new[v as usize * camera.width as usize + u as usize];
                if *cell == 0.0 || point.z < *cell {
                    *cell = point.z;
                }
            }
        }
    }
    new
}

/// Depths without holes (0): along a row the farther of both sides; a row without any takes the one above it, or the first
/// below that has some. `None` where there is none at all.
fn filled(mut depths: Vec<f64>, width: u32) -> Option<Vec<f64>> {
    let width = width as usize;
    depths.chunks_mut(width).for_each(fill_row);
    let mut above = depths.chunks(width).find(|row| row[0] > 0.0)?.to_vec();
    for row in depths.chunks_mut(width) {
        match row[0] > 0.0 {
            true => above.copy_from_slice(row),
            false => row.copy_from_slice(&above),
        }
    }
    Some(depths)
}

fn fill_row(row: &mut [f64]) {
    let mut start = 0;
    while start < row.len() {
        if row[start] > 0.0 {
            start += 1;
            continue;
        }
        let end = row[start..].iter().position(|depth| *depth > 0.0).map_or(row.len(), |length| start + length);
        let left = if start > 0 { row[start - 1] } else { 0.0 };
        let right = row.get(end).copied().unwrap_or(0.0);
        row[start..end].fill(left.max(right));
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_the_background() {
        let mut row = [0.0, 2.0, 0.0, 0.0, 5.0, 0.0];
        fill_row(&mut row);
        assert_eq!(row, [2.0, 2.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!(filled(vec![0.0, 0.0, 0.0, 3.0, 0.0, 0.0], 2), Some(vec![3.0; 6]));
        assert_eq!(filled(vec![0.0; 4], 2), None);
    }

    #[test]
    fn the_nearest_wins_and_nothing_cracks() {
        let camera = CameraModel::pinhole(20, 10, 20.0);
        // A near post in front of a wall.
        let old: Vec<f64> =
            pixels(&camera).map(|pixel| if (8.0..12.0).contains(&pixel.x) { 1.0 } else { 4.0 }).collect();
        let nearer = Se3::new(So3::identity(), Vector3::new(0.0, 0.0, -0.3));
        let new = moved(&old, &camera, nearer);
        let row = &new[5 * 20..6 * 20];
        assert!(row.iter().all(|depth| *depth > 0.0), "{row:?}");
        assert!((row[9] - 0.7).abs() < 1e-12 && (row[2] - 3.7).abs() < 1e-12, "{row:?}");
        // To the right by 0.2: the post moves 4 pixels to the left, the wall 1, and the post hides the wall.
        let right = Se3::new(So3::identity(), Vector3::new(-0.2, 0.0, 0.0));
        let row = &moved(&old, &camera, right)[5 * 20..6 * 20];
        assert_eq!((row[3], row[4], row[7]), (4.0, 1.0, 1.0), "{row:?}");
        assert_eq!((row[8], row[10], row[11]), (0.0, 0.0, 4.0), "what the post hid is not known: {row:?}");
    }
}
