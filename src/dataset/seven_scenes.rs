//! 7-Scenes (Shotton et al. 2013): `seq-XX/frame-XXXXXX.{color.png,pose.txt}`, TrainSplit.txt and TestSplit.txt.
//!
//! A pose file is a 4x4 matrix from camera to world, metres. Frames carry no stamps: a frame's stamp is its number at
//! 30 Hz, and each sequence starts one hour after the previous one. The published focal length of 585 is the depth
//! camera's; the colour camera's is about 525. A `camera.yaml` beside the sequences (the fields of
//! [`CameraModel`]) replaces the default. Scenes of other makers in this layout are welcome.
//!
//! `frame-XXXXXX.depth.png`, where it is there, has millimetres in 16 bits; 0 and 65535 are no reading. Depth is not
//! registered to colour: its camera stands about 2.5 cm beside the colour camera, and the dataset has one pose for both
//! (that of the depth camera, by KinectFusion), which this reader gives to both. Points of a depth image are right in
//! the map; on the colour image of the same frame they lie off by up to 525 * 0.025 / z pixels. A `depth_camera.yaml`
//! replaces the depth camera's default, as `camera.yaml` does that of colour.
//!
//! `labels.yaml` beside the sequences, a list of names, says what the values in `frame-XXXXXX.label.png` mean, 8-bit
//! images of the colour image's size. 7-Scenes itself has none; the synthetic world can write them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{GrayImage, RgbImage};
use nalgebra::Matrix4;

use super::depth::{DepthUnit, read_depth};
use super::labels::{read_classes, read_labels};
use super::{Dataset, DeclaredSplit, FrameInfo, camera_beside, check_size};
use crate::geometry::Se3;
use crate::sensor::{CameraModel, DepthImage, Distortion};
use crate::{Error, Result, Stamp, vision};

/// The colour camera: nominal values, see the module's documentation.
const COLOUR_CAMERA: CameraModel =
    CameraModel { width: 640, height: 480, fx: 525.0, fy: 525.0, cx: 320.0, cy: 240.0, distortion: Distortion::None };

/// The depth camera: nominal values.
const DEPTH_CAMERA: CameraModel = CameraModel { fx: 585.0, fy: 585.0, ..COLOUR_CAMERA };

/// Millimetres; what lies too near or too far for the sensor is 0 or 65535.
const DEPTH_UNIT: DepthUnit = DepthUnit { per_metre: 1000.0, no_reading: &[0, u16::MAX] };

/// Endings of colour images, in the order in which they are looked for.
const IMAGE_ENDINGS: [&str; 4] = [".color.png", ".color.jpg", ".png", ".jpg"];

/// How far `RᵀR` of a pose file may be from the identity; the files are written with rounding noise of about 1e-4.
const ROTATION_TOLERANCE: f64 = 2e-3;

/// A scene, or one sequence of a scene.
pub struct SevenScenes {
    name: String,
    camera: CameraModel,
    depth_camera: CameraModel,
    frames: Vec<FrameInfo>,
    files: Vec<Files>,
    classes: Vec<String>,
    declared: Option<DeclaredSplit>,
    notes: Vec<String>,
}

/// What is on disk for a frame.
struct Files {
    image: PathBuf,
    depth: Option<PathBuf>,
    labels: Option<PathBuf>,
}

impl SevenScenes {
    /// Whether the folder looks like a scene or a sequence.
    pub fn recognises(folder: &Path) -> bool {
        file_names(folder).is_ok_and(|names| {
            let is_pose = |name: &String| name.starts_with("frame-") && name.ends_with(".pose.txt");
            let is_sequence = |name: &String| sequence_number(name).is_some() && folder.join(name).is_dir();
            names.iter().any(|name| is_pose(name) || is_sequence(name))
        })
    }

    /// Opens a scene folder with `seq-XX` folders, or a single sequence.
    ///
    /// # Errors
    /// [`Error::Io`] when unreadable; [`Error::Format`] with the file's name when a frame lacks its image or its pose,
    /// when a pose is not a rigid transform, when there are no frames and when a split file is not understood.
    pub fn open(folder: &Path) -> Result<Self> {
        let names = file_names(folder)?;
        let mut sequences: Vec<(u32, PathBuf)> =
            names.iter().filter_map(|name| Some((sequence_number(name)?, folder.join(name)))).collect();
        sequences.retain(|(_, path)| path.is_dir());
        sequences.sort();
        let is_scene = !sequences.is_empty();
        if !is_scene {
            sequences.push((1, folder.to_owned()));
        }
        let (mut frames, mut files) = (Vec::new(), Vec::new());
        for (index, (_, path)) in sequences.iter().enumerate() {
            read_sequence(path, index, &mut frames, &mut files)?;
        }
        let numbers: Vec<u32> = sequences.iter().map(|(number, _)| *number).collect();
        let mut notes = Vec::new();
        let declared = if is_scene { read_splits(folder, &numbers, &mut notes)? } else { None };
        let beside = |name: &str| match (camera_beside(folder, name)?, folder.parent()) {
            (None, Some(scene)) if !is_scene => camera_beside(scene, name),
            (camera, _) => Ok(camera),
        };
        let scene = if is_scene { Some(folder) } else { folder.parent() };
        let classes = scene.map_or_else(|| Ok(Vec::new()), read_classes)?;
        let camera = beside("camera.yaml")?.unwrap_or(COLOUR_CAMERA);
        let depth_camera = beside("depth_camera.yaml")?.unwrap_or(DEPTH_CAMERA);
        let name =
            folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into());
        Ok(Self { name, camera, depth_camera, frames, files, classes, declared, notes })
    }
}

impl Dataset for SevenScenes {
    fn name(&self) -> &str {
        &self.name
    }

    fn camera(&self) -> &CameraModel {
        &self.camera
    }

    fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    fn image(&self, index: usize) -> Result<RgbImage> {
        let path = &self.files[index].image;
        let image = vision::decode_file(path)?;
        check_size(path, &image, &self.camera)?;
        Ok(image)
    }

    fn depth(&self, index: usize) -> Result<Option<DepthImage>> {
        let depth = self.files[index].depth.as_ref();
        depth.map(|path| read_depth(path, &self.depth_camera, DEPTH_UNIT)).transpose()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self, index: usize) -> Result<Option<GrayImage>> {
        let labels = self.files[index].labels.as_ref().filter(|_| !self.classes.is_empty());
        labels.map(|path| read_labels(path, &self.camera, self.classes.len())).transpose()
    }

    fn declared_split(&self) -> Option<&DeclaredSplit> {
        self.declared.as_ref()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The sorted names in a folder.
fn file_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        names.push(entry.map_err(Error::io("read", folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The number of a folder named `seq-XX`.
fn sequence_number(name: &str) -> Option<u32> {
    name.strip_prefix("seq-")?.parse().ok()
}

/// Appends the frames of one sequence; each needs its pose and its image.
fn read_sequence(folder: &Path, sequence: usize, frames: &mut Vec<FrameInfo>, files: &mut Vec<Files>) -> Result<()> {
    let names = file_names(folder)?;
    let mut poses = BTreeSet::new();
    let mut pictures: BTreeMap<String, &String> = BTreeMap::new();
    let is_other = |name: &String| name.ends_with(".depth.png") || name.ends_with(".label.png");
    for name in names.iter().filter(|name| name.starts_with("frame-") && !is_other(name)) {
        if let Some(stem) = name.strip_suffix(".pose.txt") {
            poses.insert(stem.to_owned());
        } else if let Some(stem) = IMAGE_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)) {
            pictures.entry(stem.to_owned()).or_insert(name);
        }
    }
    if let Some(stem) = pictures.keys().find(|stem| !poses.contains(*stem)) {
        let path = folder.join(format!("{stem}.pose.txt"));
        return Err(Error::format(path, "a pose for every image", "no such file"));
    }
    if poses.is_empty() {
        return Err(Error::format(folder, "frame-XXXXXX.pose.txt files with their images", "none"));
    }
    let start = frames.last().map_or(Stamp::default(), |last| last.stamp + Duration::from_secs(3600));
    let stamps = read_stamps(&folder.join("timestamps.txt"), poses.len())?;
    for (place_in_time, stem) in poses.into_iter().enumerate() {
        let Some(picture) = pictures.get(&stem) else {
            let endings = IMAGE_ENDINGS.map(|ending| format!("{stem}{ending}")).join(" or ");
            return Err(Error::format(folder, format!("an image for every pose: {endings}"), "no such file"));
        };
        let pose = folder.join(format!("{stem}.pose.txt"));
        let map_from_camera = read_pose(&pose)?;
        let number = stem.strip_prefix("frame-").and_then(|digits| digits.parse::<u32>().ok()).ok_or_else(|| {
            Error::format(&pose, "a file name such as frame-000000.pose.txt", format!("{stem}.pose.txt"))
        })?;
        let nominal = start + Duration::from_nanos((u64::from(number) * 1_000_000_000 + 15) / 30);
        let stamp = stamps.as_ref().map_or(nominal, |stamps| stamps[place_in_time]);
        let place = folder.file_name().map_or_else(String::new, |name| format!("{}/", name.to_string_lossy()));
        frames.push(FrameInfo { name: format!("{place}{stem}"), stamp, sequence, map_from_camera });
        let beside = |ending: &str| {
            let name = format!("{stem}.{ending}.png");
            names.binary_search(&name).is_ok().then(|| folder.join(name))
        };
        files.push(Files { image: folder.join(picture), depth: beside("depth"), labels: beside("label") });
    }
    Ok(())
}

/// The stamps of a sequence's frames, one line each, when there is a file of them (the synthetic world writes one).
fn read_stamps(path: &Path, frames: usize) -> Result<Option<Vec<Stamp>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let parsed: Result<Vec<Stamp>, String> = text.split_whitespace().map(str::parse).collect();
    let stamps = parsed.map_err(|found| Error::format(path, "one stamp per frame", found))?;
    if stamps.len() != frames || stamps.windows(2).any(|pair| pair[0] >= pair[1]) {
        let found = format!("{} stamps, or some that do not increase", stamps.len());
        return Err(Error::format(path, format!("{frames} increasing stamps, one per frame"), found));
    }
    Ok(Some(stamps))
}

/// A 4x4 camera-to-world matrix in text.
fn read_pose(path: &Path) -> Result<Se3> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let expected = "sixteen finite numbers, a 4x4 camera-to-world matrix";
    let mut numbers = Vec::with_capacity(16);
    for word in text.split_whitespace() {
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() && numbers.len() < 16 => numbers.push(number),
            Ok(number) if number.is_finite() => return Err(Error::format(path, expected, "more than sixteen")),
            _ => return Err(Error::format(path, expected, format!("{word:?} at place {}", numbers.len() + 1))),
        }
    }
    if numbers.len() != 16 {
        return Err(Error::format(path, expected, format!("{} numbers", numbers.len())));
    }
    let matrix = Matrix4::from_row_slice(&numbers);
    Se3::from_matrix(&matrix, ROTATION_TOLERANCE).ok_or_else(|| {
        let rotation = matrix.fixed_view::<3, 3>(0, 0);
        let defect = (rotation.transpose() * rotation - nalgebra::Matrix3::identity()).amax();
        let last: Vec<f64> = matrix.row(3).iter().copied().collect();
        let expected =
            format!("a rigid transform: |RtR - I| below {ROTATION_TOLERANCE}, det R = 1 and a last row of 0 0 0 1");
        let found = format!("|RtR - I| = {defect:.3e}, det R = {:.3}, last row {last:?}", rotation.determinant());
        Error::format(path, expected, found)
    })
}

/// TrainSplit.txt and TestSplit.txt; `None` when neither is there.
fn read_splits(folder: &Path, numbers: &[u32], notes: &mut Vec<String>) -> Result<Option<DeclaredSplit>> {
    let (train, test) = (folder.join("TrainSplit.txt"), folder.join("TestSplit.txt"));
    if !train.is_file() && !test.is_file() {
        return Ok(None);
    }
    let (train, test) = (read_split(&train, numbers, notes)?, read_split(&test, numbers, notes)?);
    if let Some(both) = train.iter().find(|sequence| test.contains(sequence)) {
        let found = format!("sequence{} in TrainSplit.txt too", numbers[*both]);
        return Err(Error::format(folder.join("TestSplit.txt"), "sequences that do not train", found));
    }
    Ok(Some(DeclaredSplit { train, test }))
}

/// The sequences that lines such as `sequence3` name, as indices; those that are not on disk become a note.
fn read_split(path: &Path, numbers: &[u32], notes: &mut Vec<String>) -> Result<Vec<usize>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let mut sequences = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let number: u32 = line
            .strip_prefix("sequence")
            .and_then(|digits| digits.trim().parse().ok())
            .ok_or_else(|| Error::format(path, "lines such as sequence1", format!("{line:?}")))?;
        match numbers.iter().position(|present| *present == number) {
            Some(index) => sequences.push(index),
            None => notes.push(format!("{}: {line} is not in the folder and is left out", path.display())),
        }
    }
    Ok(sequences)
}
