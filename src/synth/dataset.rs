//! Passes as a folder in the layout of Microsoft's 7-Scenes: what the dataset readers and other programs know.
//!
//! ```text
//! DIR/TrainSplit.txt, TestSplit.txt       "sequence1", ...
//! DIR/camera.yaml                         the CameraModel of the images
//! DIR/seq-01/frame-000000.color.jpg       the image
//! DIR/seq-01/frame-000000.pose.txt        map_from_camera, 4x4, optical frame
//! DIR/seq-01/frame-000000.depth.png       where asked for: depth along the optical axis, 16 bit, millimetres
//! DIR/depth_camera.yaml                   and the CameraModel of the depths: that of the images
//! DIR/seq-01/frame-000000.label.png       where asked for: the class of each pixel, 8 bit
//! DIR/labels.yaml                         and the names of the classes, from 0
//! DIR/seq-01/timestamps.txt               the stamp of each frame, seconds
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path as FilePath;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{EncodableLayout, ImageBuffer, Luma, PixelWithColorType, RgbImage};
use rayon::prelude::*;

use super::{Class, Pass, PassKind, Renderer, World};
use crate::geometry::Se3;
use crate::sensor::DepthImage;
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

/// What a dataset holds beside poses and stamps.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatasetContents {
    /// How the images are stored.
    pub images: ImageFormat,
    /// Depth images as well.
    pub depth: bool,
    /// Label images as well: the [`Class`] of each pixel.
    pub labels: bool,
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

/// Writes passes through worlds with their recordings into a new dataset folder, one sequence each; those of
/// [`PassKind::Test`] form the test split. `progress` is called after each image.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written, [`Error::Config`] when `folder` holds a dataset already.
pub fn write_dataset(
    folder: &FilePath,
    renderer: &Renderer,
    passes: &[(&World, Pass, Recording)],
    contents: DatasetContents,
    progress: &(dyn Fn() + Sync),
) -> Result<()> {
    let (train, test) = (folder.join("TrainSplit.txt"), folder.join("TestSplit.txt"));
    if train.exists() {
        let found = format!("{}, which holds a dataset already", folder.display());
        return Err(Error::config("out", "a new or empty folder", found));
    }
    passes.iter().try_for_each(|(_, _, recording)| recording.check())?;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for (number, (world, pass, recording)) in (1..).zip(passes) {
        let sequence = folder.join(format!("seq-{number:02}"));
        write_sequence(&sequence, world, renderer, pass, recording, contents, progress)?;
    }
    let camera = serde_yaml::to_string(renderer.camera()).map_err(|error| Error::compute("camera.yaml", error))?;
    write(&folder.join("camera.yaml"), camera.as_bytes())?;
    if contents.depth {
        write(&folder.join("depth_camera.yaml"), camera.as_bytes())?;
    }
    if contents.labels {
        let names: String = Class::ALL.iter().map(|class| format!("- {}\n", class.name())).collect();
        write(&folder.join("labels.yaml"), names.as_bytes())?;
    }
    let split = |of_test: bool| -> String {
        let chosen = (1..).zip(passes).filter(|(_, (_, pass, _))| (pass.kind == PassKind::Test) == of_test);
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
    contents: DatasetContents,
    progress: &(dyn Fn() + Sync),
) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let frames: Vec<(Stamp, f64)> = recording.times().collect();
    frames.par_iter().enumerate().try_for_each(|(index, &(_, t))| {
        let file = |ending: &str| folder.join(format!("frame-{index:06}.{ending}"));
        let image = contents.images.encode(&renderer.render(world, pass, t))?;
        write(&file(&format!("color.{}", contents.images.extension())), &image)?;
        write(&file("pose.txt"), pose_text(pass.map_from_camera(t)).as_bytes())?;
        if contents.depth {
            write(&file("depth.png"), &depth_png(&renderer.depth(world, pass, t)?)?)?;
        }
        if contents.labels {
            write(&file("label.png"), &png(&renderer.labels(world, pass, t)?)?)?;
        }
        progress();
        Ok::<(), Error>(())
    })?;
    let stamps: String = frames.iter().map(|(stamp, _)| format!("{stamp}\n")).collect();
    write(&folder.join("timestamps.txt"), stamps.as_bytes())
}

/// Millimetres, as 7-Scenes has them: 0 where there is no reading, at most 65534.
fn depth_png(depth: &DepthImage) -> Result<Vec<u8>> {
    let millimetres = |x: u32, y: u32| {
        let reading = depth.at(x, y).map(|metres| (1000.0 * metres).round().clamp(1.0, 65534.0));
        Luma([reading.unwrap_or(0.0) as u16])
    };
    png(&ImageBuffer::from_fn(depth.camera().width, depth.camera().height, millimetres))
}

fn png<P>(image: &ImageBuffer<P, Vec<P::Subpixel>>) -> Result<Vec<u8>>
where
    P: PixelWithColorType,
    [P::Subpixel]: EncodableLayout,
{
    let mut bytes = Cursor::new(Vec::new());
    let done = image.write_with_encoder(PngEncoder::new(&mut bytes));
    done.map_err(|error| Error::compute("encoding a rendered image", error))?;
    Ok(bytes.into_inner())
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
