//! `vloc synth`: writes the synthetic world as a dataset, as bags, or as both.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::progress::Progress;
use crate::sensor::{CameraModel, Distortion};
use crate::synth::{
    Building, DatasetContents, ImageFormat, Pass, PassKind, PathKind, Recording, Renderer, Sensor, World,
};
use crate::synth::{write_bag, write_dataset};
use crate::{Error, Result, Stamp};

/// Make a synthetic room to train and to be localized in
///
/// The room, or with --rooms a building, is a function of the seed; each pass has its own path, light and moving objects. The training passes and
/// the test pass show the same room. The same arguments write the same bytes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc synth --out out/room                                        a dataset: 8 passes to train on, 1 to test on
  vloc synth --out out/room --passes 0 --format bag --rate 10      a bag of the test pass alone
  vloc synth --out out/house --rooms 10 --passes 2 --depth         a building of ten rooms that are alike
  vloc synth --out out/hand --path handheld --lens plumb-bob --width 640 --height 480")]
pub struct SynthArgs {
    /// Folder to write: the dataset itself; bags in DIR/bags/training-NN and DIR/bags/test (of several rooms
    /// room-NN-training-NN and room-NN-test), with DIR/bags/dataset.yaml
    /// to train on them
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of the room and of all that happens in it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Rooms: more than one for a building of rooms that are alike, each with passes of its own; no door leads from one to the next
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rooms: u32,
    /// Passes to train on, in each room
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=90))]
    pub passes: u32,
    /// Images of each training pass
    #[arg(long, default_value_t = 400)]
    pub frames: usize,
    /// Images of the test pass in each room; 0 leaves it out
    #[arg(long, default_value_t = 300)]
    pub test_frames: usize,
    /// Images per second
    #[arg(long, default_value_t = 5.0)]
    pub rate: f64,
    /// What to write
    #[arg(long, value_enum, default_value_t = Output::Dataset)]
    pub format: Output,
    /// How the camera is carried
    #[arg(long, value_enum, default_value_t = PathKind::Planar)]
    pub path: PathKind,
    /// Columns of the images
    #[arg(long, default_value_t = 160)]
    pub width: u32,
    /// Rows of the images
    #[arg(long, default_value_t = 120)]
    pub height: u32,
    /// Focal length in pixels [default: 95.3 for 160 columns, in proportion: 80 degrees across]
    #[arg(long)]
    pub focal: Option<f64>,
    /// Lens distortion
    #[arg(long, value_enum, default_value_t = Lens::None)]
    pub lens: Lens,
    /// File format of the dataset's images, and of the bags' with --compressed
    #[arg(long, value_enum, default_value_t = ImageFormat::Jpg)]
    pub images: ImageFormat,
    /// Bags carry CompressedImage instead of raw rgb8 images
    #[arg(long)]
    pub compressed: bool,
    /// Depth images in the dataset, as 7-Scenes has them (16-bit png, millimetres along the optical axis)
    #[arg(long)]
    pub depth: bool,
    /// Label images in the dataset (8-bit png, the class of each pixel; labels.yaml names the classes)
    #[arg(long)]
    pub labels: bool,
}

/// What `vloc synth` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A folder in the layout of 7-Scenes
    Dataset,
    /// One rosbag2 (mcap) per pass
    Bag,
    /// Both
    Both,
}

/// Lenses to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lens {
    /// An ideal pinhole
    None,
    /// A usual wide-angle lens
    PlumbBob,
    /// A fisheye
    Equidistant,
}

impl SynthArgs {
    /// The camera that is asked for.
    pub fn camera(&self) -> CameraModel {
        let focal = self.focal.unwrap_or(95.3 * f64::from(self.width) / 160.0);
        let distortion = match self.lens {
            Lens::None => Distortion::None,
            Lens::PlumbBob => Distortion::PlumbBob([-0.12, 0.02, 5e-4, -3e-4, 0.0]),
            Lens::Equidistant => Distortion::Equidistant([-0.01, 0.02, -0.01, 0.002]),
        };
        CameraModel { distortion, ..CameraModel::pinhole(self.width, self.height, focal) }
    }

    /// The rooms that are asked for.
    pub fn rooms(&self) -> Vec<World> {
        match self.rooms {
            1 => vec![World::new(self.seed)],
            rooms => Building::new(self.seed, rooms as usize).rooms,
        }
    }

    /// The passes that are asked for, each with its room and its recording: training passes first, an hour apart.
    pub fn recordings<'a>(&self, rooms: &'a [World]) -> Vec<(&'a World, Pass, Recording)> {
        let training = (0..self.passes).map(|index| (PassKind::Training(index), self.frames));
        let test = (self.test_frames > 0).then_some((PassKind::Test, self.test_frames));
        let kinds = training.chain(test).flat_map(|kind| rooms.iter().map(move |room| (room, kind)));
        let recording = |(hour, (room, (kind, frames))): (i32, (&'a World, (PassKind, usize)))| {
            let start = Stamp::from_parts(1_700_000_000 + 3600 * hour, 0);
            (room, Pass::new(room, kind, self.path), Recording { start, rate: self.rate, frames })
        };
        (0..).zip(kinds).map(recording).collect()
    }

    /// The name of the folder with the bag of the pass of this number.
    fn bag_name(&self, number: usize, pass: &Pass) -> String {
        match self.rooms {
            1 => pass.name(),
            rooms => format!("room-{:02}-{}", 1 + number % rooms as usize, pass.name()),
        }
    }
}

/// Runs `vloc synth`.
///
/// # Errors
/// [`Error::Config`] for values that make no recording; those of [`write_dataset`] and [`write_bag`].
pub fn run(args: &SynthArgs) -> Result<()> {
    let rooms = args.rooms();
    let renderer = Renderer::new(&args.camera(), Sensor::default())?;
    let passes = args.recordings(&rooms);
    if passes.is_empty() {
        return Err(Error::config("passes", "at least one pass", "--passes 0 --test-frames 0"));
    }
    if args.format == Output::Bag && (args.depth || args.labels) {
        let found = "--depth or --labels with --format bag, which holds neither";
        return Err(Error::config("format", "dataset or both", found));
    }
    let copies = if args.format == Output::Both { 2 } else { 1 };
    let images = passes.iter().map(|(_, _, recording)| recording.frames as u64).sum::<u64>();
    let progress = Progress::automatic();
    let steps = progress.steps("rendering", copies * images);
    if args.format != Output::Bag {
        let contents = DatasetContents { images: args.images, depth: args.depth, labels: args.labels };
        write_dataset(&args.out, &renderer, &passes, contents, &|| steps.advance(1))?;
        progress.note(&format!("{}: {images} images in {} sequences", args.out.display(), passes.len()));
    }
    if args.format != Output::Dataset {
        for (number, (world, pass, recording)) in passes.iter().enumerate() {
            let folder = args.out.join("bags").join(args.bag_name(number, pass));
            let compressed = args.compressed.then_some(args.images);
            write_bag(&folder, world, &renderer, pass, recording, compressed, &|| steps.advance(1))?;
            progress.note(&format!("{}: {} images", folder.display(), recording.frames));
        }
        let options = args.out.join("bags/dataset.yaml");
        let text = "# How to read these bags as datasets: /tf does not give the answer away.\npose_topic: /ground_truth/pose\n";
        std::fs::write(&options, text).map_err(Error::io("write", &options))?;
    }
    Ok(())
}
