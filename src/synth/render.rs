//! Ray casting: a moment of a pass as the image of a camera.

use image::RgbImage;
use nalgebra::{Matrix3, Vector2, Vector3};
use rand::Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::solid::{Hit, View};
use super::texture::Rgb;
use super::{Pass, Solid, World, lens, random_stream};
use crate::sensor::CameraModel;
use crate::{Error, Result};

/// What the image sensor does to the light.
#[derive(Clone, Copy, Debug)]
pub struct Sensor {
    /// How long the shutter is open, seconds; the image's stamp is the middle.
    pub exposure: f64,
    /// Brightness lost in the corners, as a share.
    pub vignetting: f32,
    /// Standard deviation of the noise in black, grey levels of 255.
    pub read_noise: f32,
    /// Variance of the noise per grey level of signal, grey levels.
    pub shot_noise: f32,
}

impl Default for Sensor {
    fn default() -> Self {
        Self { exposure: 0.015, vignetting: 0.25, read_noise: 1.0, shot_noise: 0.02 }
    }
}

/// Where in a pixel and in the exposure each sub-image is taken: this is both motion blur and anti-aliasing.
const SUB_EXPOSURES: [[f64; 3]; 4] =
    [[-0.25, -0.125, -0.375], [0.125, -0.25, -0.125], [0.25, 0.125, 0.125], [-0.125, 0.25, 0.375]];

type PixelRays = [Vector3<f32>; SUB_EXPOSURES.len()];

/// A camera that takes pictures of the synthetic world.
#[derive(Clone, Debug)]
pub struct Renderer {
    camera: CameraModel,
    sensor: Sensor,
    /// For every pixel, row by row: a ray of length 1 for each of [`SUB_EXPOSURES`], optical frame.
    rays: Vec<PixelRays>,
    /// Gamma encoding (sRGB) of linear light 0..1.
    gamma: Vec<f32>,
}

impl Renderer {
    /// A renderer for a camera; its lens is inverted here, once.
    ///
    /// # Errors
    /// [`Error::Config`] for a camera without calibration or whose distortion cannot be inverted.
    pub fn new(camera: &CameraModel, sensor: Sensor) -> Result<Self> {
        if !camera.is_calibrated() || u64::from(camera.width) * u64::from(camera.height) > 1 << 24 {
            let expected = "positive sizes and focal lengths, finite numbers, at most 16 megapixels";
            return Err(Error::config("camera", expected, format!("{camera:?}")));
        }
        lens::check(camera)?;
        let offsets = SUB_EXPOSURES.map(|[dx, dy, _]| Vector2::new(dx, dy));
        let rays = (0..camera.width as usize * camera.height as usize).into_par_iter().map(|index| {
            let pixel = Vector2::new((index % camera.width as usize) as f64, (index / camera.width as usize) as f64);
            Ok(lens::rays_through_lens(camera, &pixel, offsets)?.map(|ray| ray.cast()))
        });
        let rays = rays.collect::<Result<Vec<_>>>()?;
        let gamma = (0..=4096).map(|level| srgb(level as f32 / 4096.0)).collect();
        Ok(Self { camera: *camera, sensor, rays, gamma })
    }

    /// The camera of the images.
    pub fn camera(&self) -> &CameraModel {
        &self.camera
    }

    /// The image whose exposure has its middle `t` seconds after the start of the pass. The same arguments give the
    /// same bytes.
    pub fn render(&self, world: &World, pass: &Pass, t: f64) -> RgbImage {
        let moments: Vec<Moment> = SUB_EXPOSURES
            .iter()
            .enumerate()
            .map(|(sub, place)| Moment::new(pass, t + place[2] * self.sensor.exposure, self.pixel_angle(sub)))
            .collect();
        let scenes: Vec<Scene> = moments.iter().map(|moment| Scene::new(world, pass, moment)).collect();
        let width = self.camera.width as usize;
        let mut image = RgbImage::new(self.camera.width, self.camera.height);
        image.par_chunks_mut(3 * width).enumerate().for_each(|(row, line)| self.expose(pass, t, &scenes, row, line));
        image
    }

    /// Angle between neighbouring pixels in the middle of the image, radians.
    fn pixel_angle(&self, sub: usize) -> f32 {
        let middle = self.rays.len() / 2;
        self.rays.get(middle + 1).map_or(0.0, |next| (next[sub] - self.rays[middle][sub]).norm())
    }

    /// Fills one row of the image.
    fn expose(&self, pass: &Pass, t: f64, scenes: &[Scene], row: usize, line: &mut [u8]) {
        let width = self.camera.width as usize;
        let mut random = random_stream(pass.seed ^ (t * 1e6).round() as u64, "noise", row as u64);
        for (column, pixel) in line.chunks_exact_mut(3).enumerate() {
            let index = row * width + column;
            let share = self.fall_off(column, row) / scenes.len() as f32;
            let light = scenes.iter().zip(&self.rays[index]).fold([0.0; 3], |sum: Rgb, (scene, ray)| {
                let colour = scene.trace(ray);
                [sum[0] + colour[0], sum[1] + colour[1], sum[2] + colour[2]]
            });
            for (byte, channel) in pixel.iter_mut().zip(light) {
                let level = 255.0 * self.gamma[((channel * share).clamp(0.0, 1.0) * 4096.0) as usize];
                let sigma = (self.sensor.read_noise.powi(2) + self.sensor.shot_noise * level).sqrt();
                let noise: f32 = random.sample(StandardNormal);
                *byte = (level + sigma * noise).round().clamp(0.0, 255.0) as u8;
            }
        }
    }

    /// Vignetting: 1 in the middle, less towards the corners.
    fn fall_off(&self, column: usize, row: usize) -> f32 {
        let (half_width, half_height) = (0.5 * self.camera.width as f32, 0.5 * self.camera.height as f32);
        let (dx, dy) = (column as f32 + 0.5 - half_width, row as f32 + 0.5 - half_height);
        let square = (dx * dx + dy * dy) / (half_width * half_width + half_height * half_height);
        1.0 - self.sensor.vignetting * square
    }
}

/// The camera and the moving objects at one moment of the exposure.
pub(super) struct Moment {
    origin: Vector3<f32>,
    /// From the optical frame to the map.
    pub rotation: Matrix3<f32>,
    movers: Vec<Solid>,
    /// Angle between neighbouring pixels, radians.
    pixel_angle: f32,
}

impl Moment {
    pub fn new(pass: &Pass, t: f64, pixel_angle: f32) -> Self {
        let map_from_camera = pass.map_from_camera(t);
        Self {
            origin: map_from_camera.translation.cast(),
            rotation: map_from_camera.rotation.matrix().cast(),
            movers: pass.movers(t),
            pixel_angle,
        }
    }
}

/// All boxes as seen at one moment.
pub(super) struct Scene<'a> {
    pass: &'a Pass,
    moment: &'a Moment,
    room: View<'a>,
    boxes: Vec<View<'a>>,
}

impl<'a> Scene<'a> {
    pub fn new(world: &'a World, pass: &'a Pass, moment: &'a Moment) -> Self {
        let boxes = world.furniture.iter().chain(&moment.movers);
        Self {
            pass,
            moment,
            room: View::new(&world.room, &moment.origin),
            boxes: boxes.map(|solid| View::new(solid, &moment.origin)).collect(),
        }
    }

    /// What a ray (map frame) meets first.
    pub fn nearest(&self, direction: &Vector3<f32>) -> (&View<'a>, Hit) {
        let (mut nearest, mut hit) = (&self.room, self.room.leave(direction));
        for view in &self.boxes {
            if let Some(entry) = view.enter(direction).filter(|entry| entry.distance < hit.distance) {
                (nearest, hit) = (view, entry);
            }
        }
        (nearest, hit)
    }

    /// The light that comes along a ray of the camera.
    fn trace(&self, ray: &Vector3<f32>) -> Rgb {
        let direction = self.moment.rotation * ray;
        let (nearest, hit) = self.nearest(&direction);
        let outward = nearest.normal(hit.face);
        let cosine = outward.dot(&direction);
        let towards_viewer = if cosine > 0.0 { -outward } else { outward };
        let (u, v) = nearest.face_coordinates(&direction, hit);
        // Between the footprint across the view and the one stretched along the surface.
        let footprint = hit.distance * self.moment.pixel_angle / cosine.abs().max(0.05).sqrt();
        let albedo = nearest.solid.faces[hit.face].sample(u, v, footprint);
        let light = self.pass.lighting.irradiance(&(self.moment.origin + direction * hit.distance), &towards_viewer);
        [albedo[0] * light[0], albedo[1] * light[1], albedo[2] * light[2]]
    }
}

/// The transfer function of IEC 61966-2-1.
fn srgb(linear: f32) -> f32 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sensor::Distortion;
    use crate::synth::{PassKind, PathKind, Texture};

    /// An empty room whose walls are black below half their height and white above.
    fn two_tone_room() -> World {
        let mut world = World::new(5);
        let texels = (0..64 * 64).map(|index| if index / 64 < 32 { [0.0; 3] } else { [0.9; 3] }).collect();
        let texture = Arc::new(Texture::new(64, 64, texels, 64.0 / 2.6));
        world.room.faces = std::array::from_fn(|_| texture.clone());
        world.furniture.clear();
        world
    }

    #[test]
    fn an_edge_on_a_wall_appears_where_the_camera_model_projects_it() {
        let world = two_tone_room();
        let mut pass = Pass::new(&world, PassKind::Test, PathKind::Planar);
        pass.clear_movers();
        let plumb_bob = Distortion::PlumbBob([-0.12, 0.02, 5e-4, -3e-4, 0.0]);
        let sensor = Sensor { exposure: 0.0, vignetting: 0.0, read_noise: 0.0, shot_noise: 0.0 };
        for distortion in [Distortion::None, plumb_bob] {
            let camera = CameraModel { distortion, ..CameraModel::pinhole(320, 240, 190.0) };
            let renderer = Renderer::new(&camera, sensor).unwrap();
            let mut checked = 0;
            for second in 0..10 {
                let t = f64::from(second);
                let image = renderer.render(&world, &pass, t);
                let camera_from_map = pass.map_from_camera(t).inverse();
                for step in -9..=9 {
                    // On the wall x = 2.5, 15 cm above and below its middle.
                    let seen = [1.45, 1.15].map(|z| {
                        let point = camera_from_map * Vector3::new(2.5, 0.2 * f64::from(step), z);
                        let near_axis = point.z > 0.2 && point.x.hypot(point.y) < point.z;
                        let pixel = camera.project(&point).filter(|_| near_axis)?;
                        image.get_pixel_checked(pixel.x.round().max(0.0) as u32, pixel.y.round().max(0.0) as u32)
                    });
                    if let [Some(above), Some(below)] = seen {
                        assert!(above[0] > 60 && below[0] < 20, "{distortion:?} at {t} s: {above:?} over {below:?}");
                        checked += 1;
                    }
                }
            }
            assert!(checked > 20, "only {checked} places in view");
        }
    }
}
