//! Passes as a folder in the layout of Microsoft's 7-Scenes: what the dataset readers and other programs know.
//!
//! ```text
//! DIR/TrainSplit.txt, TestSplit.txt       "sequence1", ...
//! DIR/camera.yaml                         the CameraModel of the images
//! DIR/seq-01/frame-000000.color.jpg       the image
//! DIR/seq-01/frame-000000.pose.txt        map_from_camera, 4x4, optical frame
//! DIR/seq-01/timestamps.txt               the stamp of each frame, seconds
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path as FilePath;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use rayon::prelude::*;

use super::{Pass, PassKind, Renderer, World};
use crate::geometry::Se3;
use crate::{Error, Result, Stamp};

/// How images are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "bag", derive(clap::ValueEnum))]
pub enum ImageFormat {
    /// Lossy, quality 92.
    #[default]
    Jpg,
    /// Lossless, four times as large.
    Png,
}

impl ImageFormat {
    /// The file name extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
        }
    }

    /// The image as a file's bytes.
    ///
    /// # Errors
    /// [`Error::Compute`] when the encoder refuses.
    pub fn encode(self, image: &RgbImage) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let done = match self {
            Self::Jpg => image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 92)),
            Self::Png => image.write_with_encoder(PngEncoder::new(&mut bytes)),
        };
        done.map_err(|error| Error::compute("encoding a rendered image", error))?;
        Ok(bytes.into_inner())
    }
}

/// When a pass is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    /// The stamp at the start of the pass.
    pub start: Stamp,
    /// Images per second.
    pub rate: f64,
    /// Number of images.
    pub frames: usize,
}

impl Recording {
    /// Refuses what no one can have meant.
    ///
    /// # Errors
    /// [`Error::Config`] when the rate makes no recording.
    pub(super) fn check(&self) -> Result<()> {
        let usable = self.rate.is_finite() && (0.01..=1000.0).contains(&self.rate) && self.frames < 1_000_000;
        let found = || format!("{} images at {} per second", self.frames, self.rate);
        if usable { Ok(()) } else { Err(Error::config("rate", "0.01 to 1000 per second, below 1e6 images", found())) }
    }

    /// The seconds from the start of the pass of each image: whole nanoseconds.
    pub fn times(&self) -> impl Iterator<Item = (Stamp, f64)> {
        let Self { start, rate, frames } = *self;
        (0..frames).map(move |index| {
            let nanos = (index as f64 / rate * 1e9).round() as i64;
            (Stamp::from_nanos(start.as_nanos() + nanos), nanos as f64 * 1e-9)
        })
    }
}

/// Writes passes with their recordings into a new dataset folder, one sequence each; those of [`PassKind::Test`]
/// form the test split. `progress` is called after each image.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written, [`Error::Config`] when `folder` holds a dataset already.
pub fn write_dataset(
    folder: &FilePath,
    world: &World,
    renderer: &Renderer,
    passes: &[(Pass, Recording)],
    format: ImageFormat,
    progress: &(dyn Fn() + Sync),
) -> Result<()> {
    let (train, test) = (folder.join("TrainSplit.txt"), folder.join("TestSplit.txt"));
    if train.exists() {
        let found = format!("{}, which holds a dataset already", folder.display());
        return Err(Error::config("out", "a new or empty folder", found));
    }
    passes.iter().try_for_each(|(_, recording)| recording.check())?;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for (number, (pass, recording)) in (1..).zip(passes) {
        let sequence = folder.join(format!("seq-{number:02}"));
        write_sequence(&sequence, world, renderer, pass, recording, format, progress)?;
    }
    let camera = serde_yaml::to_string(renderer.camera()).map_err(|error| Error::compute("camera.yaml", error))?;
    write(&folder.join("camera.yaml"), camera.as_bytes())?;
    let split = |of_test: bool| -> String {
        let chosen = (1..).zip(passes).filter(|(_, (pass, _))| (pass.kind == PassKind::Test) == of_test);
        chosen.map(|(number, _)| format!("sequence{number}\n")).collect()
    };
    write(&test, split(true).as_bytes())?;
    write(&train, split(false).as_bytes())
}

fn write_sequence(
    folder: &FilePath,
    world: &World,
    renderer: &Renderer,
    pass: &Pass,
    recording: &Recording,
    format: ImageFormat,
    progress: &(dyn Fn() + Sync),
) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let frames: Vec<(Stamp, f64)> = recording.times().collect();
    frames.par_iter().enumerate().try_for_each(|(index, &(_, t))| {
        let image = format.encode(&renderer.render(world, pass, t))?;
        write(&folder.join(format!("frame-{index:06}.color.{}", format.extension())), &image)?;
        let pose = pose_text(pass.map_from_camera(t));
        write(&folder.join(format!("frame-{index:06}.pose.txt")), pose.as_bytes())?;
        progress();
        Ok::<(), Error>(())
    })?;
    let stamps: String = frames.iter().map(|(stamp, _)| format!("{stamp}\n")).collect();
    write(&folder.join("timestamps.txt"), stamps.as_bytes())
}

/// The homogeneous 4x4 matrix, rows of tab-separated numbers.
fn pose_text(map_from_camera: Se3) -> String {
    map_from_camera.matrix().row_iter().fold(String::new(), |mut text, row| {
        row.iter().for_each(|value| _ = write!(text, "{value:.9e}\t"));
        text + "\n"
    })
}

fn write(path: &FilePath, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Error::io("write", path))
}
