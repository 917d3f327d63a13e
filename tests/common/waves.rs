//! The dataset of small trainings.
#![allow(dead_code, reason = "each test binary uses its part")]

use image::{GrayImage, Luma, Rgb, RgbImage};
use nalgebra::{Vector2, Vector3};
use vloc::dataset::{Dataset, FrameInfo};
use vloc::geometry::{Se3, So3};
use vloc::sensor::{CameraModel, DepthImage};
use vloc::{Result, Stamp};

/// A smooth picture per place: a camera that moves along x in front of coloured waves.
pub struct Waves {
    pub camera: CameraModel,
    pub frames: Vec<FrameInfo>,
    /// From this frame on there is no depth.
    pub depths: usize,
    pub classes: Vec<String>,
}

impl Waves {
    pub fn new(count: usize) -> Self {
        let frame = |index: usize| {
            let phase = index as f64 / count as f64;
            let rotation = So3::exp(&Vector3::new(0.0, 0.3 * (6.0 * phase).sin(), 0.0));
            FrameInfo {
                name: format!("waves/{index:03}"),
                stamp: Stamp::from_nanos(100_000_000 * index as i64),
                sequence: 0,
                map_from_camera: Se3::new(rotation, Vector3::new(2.0 * phase, 0.5 * (4.0 * phase).cos(), 0.1)),
            }
        };
        let camera = CameraModel::pinhole(48, 36, 40.0);
        Self { camera, frames: (0..count).map(frame).collect(), depths: count, classes: Vec::new() }
    }
}

impl Dataset for Waves {
    fn name(&self) -> &str {
        "waves"
    }
    fn camera(&self) -> &CameraModel {
        &self.camera
    }
    fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }
    fn image(&self, index: usize) -> Result<RgbImage> {
        let pose = self.frames[index].map_from_camera;
        Ok(RgbImage::from_fn(self.camera.width, self.camera.height, |u, v| {
            let ray = self.camera.ray(&Vector2::new(f64::from(u), f64::from(v)));
            let point = pose.translation + pose.rotation * ray * 2.0;
            let wave = |frequency: f64| (127.0 + 120.0 * (frequency * point.x + 2.0 * point.y).sin()) as u8;
            Rgb([wave(1.0), wave(2.3), wave(4.1)])
        }))
    }
    fn depth(&self, index: usize) -> Result<Option<DepthImage>> {
        let two_metres = || DepthImage::new(self.camera, vec![2.0; 48 * 36]);
        (index < self.depths).then(two_metres).transpose()
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    /// Dark and light.
    fn labels(&self, index: usize) -> Result<Option<GrayImage>> {
        let image = self.image(index)?;
        let class = |u: u32, v: u32| Luma([u8::from(image.get_pixel(u, v)[0] > 127)]);
        Ok((!self.classes.is_empty()).then(|| GrayImage::from_fn(image.width(), image.height(), class)))
    }
}
