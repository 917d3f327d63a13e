//! What is true of each pixel, whatever the light: how far away it is, and what it shows.

use image::GrayImage;
use nalgebra::{Vector2, Vector3};
use rayon::prelude::*;

use super::render::{Moment, Scene};
use super::solid::{Hit, View};
use super::{Pass, Renderer, World, lens};
use crate::sensor::DepthImage;
use crate::{Error, Result};

/// What a surface of the synthetic world belongs to. Its number is the value of a label image's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// One of the four walls, with what hangs on it.
    Wall,
    /// The floor with its rugs.
    Floor,
    /// The ceiling.
    Ceiling,
    /// Furniture of about 0.4 m.
    Bench,
    /// Furniture of about 0.6 m.
    Chest,
    /// Furniture of about 0.9 m.
    Cabinet,
    /// Furniture of about 1.3 m.
    Shelf,
    /// A box that moves, and is elsewhere in each pass.
    Mover,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Class; 8] =
        [Self::Wall, Self::Floor, Self::Ceiling, Self::Bench, Self::Chest, Self::Cabinet, Self::Shelf, Self::Mover];

    /// The name in a dataset's `labels.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::Bench => "bench",
            Self::Chest => "chest",
            Self::Cabinet => "cabinet",
            Self::Shelf => "shelf",
            Self::Mover => "mover",
        }
    }
}

impl Renderer {
    /// The depths at the middles of the pixels, without any noise, `t` seconds after the start of the pass. The camera is
    /// the renderer's, with its lens.
    ///
    /// # Errors
    /// None that [`Renderer::new`] would not have found.
    pub fn depth(&self, world: &World, pass: &Pass, t: f64) -> Result<DepthImage> {
        let metres = self.look(world, pass, t, |_, hit, ray| hit.distance * ray.z)?;
        DepthImage::new(*self.camera(), metres)
    }

    /// The number of the [`Class`] at the middle of each pixel, `t` seconds after the start of the pass.
    ///
    /// # Errors
    /// None that [`Renderer::new`] would not have found.
    pub fn labels(&self, world: &World, pass: &Pass, t: f64) -> Result<GrayImage> {
        let classes = self.look(world, pass, t, |view, hit, _| view.solid.classes[hit.face] as u8)?;
        let (width, height) = (self.camera().width, self.camera().height);
        GrayImage::from_raw(width, height, classes)
            .ok_or_else(|| Error::compute("labels of a rendered image", "the classes do not fill the image"))
    }

    /// For every pixel what its middle ray (optical frame, length 1) meets first.
    fn look<T: Send>(
        &self,
        world: &World,
        pass: &Pass,
        t: f64,
        answer: impl Fn(&View, Hit, &Vector3<f32>) -> T + Sync,
    ) -> Result<Vec<T>> {
        let moment = Moment::new(pass, t, 0.0);
        let scene = Scene::new(world, pass, &moment);
        let (width, height) = (self.camera().width, self.camera().height);
        let pixels = (0..width * height).into_par_iter().map(|index| {
            let pixel = Vector2::new(f64::from(index % width), f64::from(index / width));
            let [ray] = lens::rays_through_lens(self.camera(), &pixel, [Vector2::zeros()])?.map(|ray| ray.cast());
            let (view, hit) = scene.nearest(&(moment.rotation * ray));
            Ok(answer(view, hit, &ray))
        });
        pixels.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{CameraModel, Distortion};
    use crate::synth::{PassKind, PathKind, Sensor};

    #[test]
    fn points_of_each_class_lie_on_its_surfaces() {
        let world = World::new(2);
        let pass = Pass::new(&world, PassKind::Test, PathKind::Handheld);
        let plumb_bob = Distortion::PlumbBob([-0.12, 0.02, 5e-4, -3e-4, 0.0]);
        let [length, width, height] = World::SIZE.map(f64::from);
        let mut seen = [0; Class::ALL.len()];
        for distortion in [Distortion::None, plumb_bob] {
            let camera = CameraModel { distortion, ..CameraModel::pinhole(64, 48, 38.0) };
            let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
            for t in (0..25).map(|step| 3.0 * f64::from(step)) {
                let labels = renderer.labels(&world, &pass, t).unwrap();
                let depth = renderer.depth(&world, &pass, t).unwrap();
                for (x, y, label) in labels.enumerate_pixels() {
                    let point = pass.map_from_camera(t) * depth.point(x, y).unwrap();
                    let to_wall = (0.5 * length - point.x.abs()).min(0.5 * width - point.y.abs());
                    let is_true = match Class::ALL[usize::from(label[0])] {
                        Class::Wall => to_wall.abs() < 1e-4,
                        Class::Floor => point.z.abs() < 1e-4,
                        Class::Ceiling => (point.z - height).abs() < 1e-4,
                        Class::Bench => point.z < 0.49,
                        Class::Chest => point.z < 0.73,
                        Class::Cabinet => point.z < 1.09,
                        Class::Shelf | Class::Mover => point.z < 1.57 && to_wall > 1e-3,
                    };
                    assert!(is_true, "{distortion:?}, {t} s, pixel ({x}, {y}): {label:?} at {point}");
                    seen[usize::from(label[0])] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }
}
