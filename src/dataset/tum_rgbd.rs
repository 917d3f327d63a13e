//! TUM RGB-D (Sturm et al. 2012): `rgb.txt`, `groundtruth.txt`, images named by their stamps.
//!
//! The motion-capture poses (`stamp tx ty tz qx qy qz qw`, world from colour camera) come at their own rate: the pose
//! of an image is interpolated between its two neighbours, each at most 50 ms away. Images without such neighbours
//! are left out and counted in [`Dataset::notes`]; nothing is extrapolated.
//!
//! Depth images, where there is a `depth.txt`, have 5000 units per metre in 16 bits, 0 for no reading, and are registered
//! to the colour image: its camera is theirs. A frame has the depth image nearest in time, at most 20 ms away, or none.
//!
//! The cameras of `freiburg1`, `freiburg2` and `freiburg3` are known by the folder's name (the values of the dataset's
//! page); any other recording needs a `camera.yaml` beside `rgb.txt`, and there it always wins.

use std::path::{Path, PathBuf};

use image::RgbImage;
use nalgebra::Vector3;

use super::depth::{DepthUnit, read_depth};
use super::{Dataset, FrameInfo, camera_beside, check_size};
use crate::geometry::{Se3, So3};
use crate::sensor::{CameraModel, DepthImage, Distortion};
use crate::{Error, Result, Stamp, vision};

/// How far a neighbouring pose may be from an image.
const MAX_NEIGHBOUR_NANOS: i64 = 50_000_000;

/// How far a depth image may be from its colour image, as in the dataset's own tools.
const MAX_DEPTH_NANOS: i64 = 20_000_000;

const DEPTH_UNIT: DepthUnit = DepthUnit { per_metre: 5000.0, no_reading: &[0] };

/// One TUM RGB-D recording.
pub struct TumRgbd {
    name: String,
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    images: Vec<PathBuf>,
    depths: Vec<Option<PathBuf>>,
    notes: Vec<String>,
}

impl TumRgbd {
    /// Whether the folder looks like a recording.
    pub fn recognises(folder: &Path) -> bool {
        folder.join("rgb.txt").is_file() && folder.join("groundtruth.txt").is_file()
    }

    /// Opens a recording.
    ///
    /// # Errors
    /// [`Error::Io`] when a file is unreadable; [`Error::Format`] with file and line when it is malformed, holds NaN
    /// or a quaternion that is not a rotation; when no image has a pose; when the camera is unknown.
    pub fn open(folder: &Path) -> Result<Self> {
        let name =
            folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into());
        let camera = match camera_beside(folder, "camera.yaml")? {
            Some(camera) => camera,
            None => known_camera(&name).ok_or_else(|| {
                let expected = "a folder name with freiburg1, freiburg2 or freiburg3, or a camera.yaml in it";
                Error::format(folder, expected, format!("{name:?} without camera.yaml"))
            })?,
        };
        let poses = read_poses(&folder.join("groundtruth.txt"))?;
        let listed = read_images(&folder.join("rgb.txt"))?;
        let depth_list = folder.join("depth.txt");
        let listed_depths = if depth_list.is_file() { read_images(&depth_list)? } else { Vec::new() };
        let (mut frames, mut images, mut depths) = (Vec::new(), Vec::new(), Vec::new());
        for (stamp, file) in &listed {
            let Some(map_from_camera) = pose_at(&poses, *stamp) else { continue };
            let path = folder.join(file);
            if !path.is_file() {
                return Err(Error::format(path, "the image that rgb.txt lists", "no such file"));
            }
            frames.push(FrameInfo { name: file.clone(), stamp: *stamp, sequence: 0, map_from_camera });
            images.push(path);
            depths.push(depth_at(&listed_depths, *stamp).map(|file| folder.join(file)));
        }
        let dropped = listed.len() - frames.len();
        if frames.is_empty() {
            let found = format!("none of {dropped}: do both files use the same clock?");
            return Err(Error::format(folder, "images with ground-truth poses within 50 ms on both sides", found));
        }
        let note = format!("{dropped} of {} images without ground-truth poses within 50 ms left out", listed.len());
        let notes = if dropped > 0 { vec![note] } else { Vec::new() };
        Ok(Self { name, camera, frames, images, depths, notes })
    }
}

impl Dataset for TumRgbd {
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
        let image = vision::decode_file(&self.images[index])?;
        check_size(&self.images[index], &image, &self.camera)?;
        Ok(image)
    }

    fn depth(&self, index: usize) -> Result<Option<DepthImage>> {
        self.depths[index].as_ref().map(|path| read_depth(path, &self.camera, DEPTH_UNIT)).transpose()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The colour cameras of the dataset's page, "Intrinsic Camera Calibration of the Kinect".
fn known_camera(name: &str) -> Option<CameraModel> {
    let camera =
        |[fx, fy, cx, cy]: [f64; 4], distortion| CameraModel { width: 640, height: 480, fx, fy, cx, cy, distortion };
    let plumb_bob = Distortion::PlumbBob;
    if name.contains("freiburg1") {
        let lens = plumb_bob([0.2624, -0.9531, -0.0054, 0.0026, 1.1633]);
        Some(camera([517.3, 516.5, 318.6, 255.3], lens))
    } else if name.contains("freiburg2") {
        let lens = plumb_bob([0.2312, -0.7849, -0.0033, -0.0001, 0.9172]);
        Some(camera([520.9, 521.0, 325.1, 249.7], lens))
    } else if name.contains("freiburg3") {
        Some(camera([535.4, 539.2, 320.1, 247.6], Distortion::None))
    } else {
        None
    }
}

/// The lines of a TUM list that are not comments, with their numbers, split into words.
fn records(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let records = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    records.map(|(number, line)| (number, line.split_whitespace().collect()))
}

fn at_line(path: &Path, line: usize, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::format(path, expected, format!("line {line}: {found}"))
}

fn read_images(path: &Path) -> Result<Vec<(Stamp, String)>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let mut images = Vec::new();
    for (line, words) in records(&text) {
        let [stamp, file] = words[..] else {
            return Err(at_line(path, line, "a stamp and a file name", format!("{words:?}")));
        };
        let stamp = stamp.parse().map_err(|error: String| at_line(path, line, "a stamp and a file name", error))?;
        images.push((stamp, file.to_owned()));
    }
    images.sort();
    Ok(images)
}

fn read_poses(path: &Path) -> Result<Vec<(Stamp, Se3)>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let expected = "a stamp and seven finite numbers tx ty tz qx qy qz qw, a unit quaternion";
    let mut poses = Vec::new();
    for (line, words) in records(&text) {
        let refuse = || at_line(path, line, expected, format!("{:?}", words.join(" ")));
        let [stamp, numbers @ ..] = &words[..] else { return Err(refuse()) };
        let stamp: Stamp = stamp.parse().map_err(|_| refuse())?;
        let numbers: Vec<f64> = numbers.iter().map_while(|word| word.parse().ok()).collect();
        let [x, y, z, qx, qy, qz, qw] = numbers[..] else { return Err(refuse()) };
        let rotation = So3::from_xyzw(qx, qy, qz, qw).ok_or_else(refuse)?;
        let pose = Se3::new(rotation, Vector3::new(x, y, z));
        if words.len() != 8 || !pose.is_finite() {
            return Err(refuse());
        }
        poses.push((stamp, pose));
    }
    poses.sort_by_key(|(stamp, _)| *stamp);
    Ok(poses)
}

/// The pose at a stamp, between two neighbours that are near enough.
fn pose_at(poses: &[(Stamp, Se3)], stamp: Stamp) -> Option<Se3> {
    let next = poses.partition_point(|(time, _)| *time < stamp);
    let (after, pose_after) = poses.get(next)?;
    if *after == stamp {
        return Some(*pose_after);
    }
    let (before, pose_before) = poses.get(next.checked_sub(1)?)?;
    let (behind, ahead) = (stamp.nanos_since(*before), after.nanos_since(stamp));
    let near = behind.max(ahead) <= MAX_NEIGHBOUR_NANOS;
    near.then(|| pose_before.interpolate(*pose_after, behind as f64 / (behind + ahead) as f64))
}

/// The file of the depth image nearest to a stamp that is near enough.
fn depth_at(listed: &[(Stamp, String)], stamp: Stamp) -> Option<&String> {
    let distance = |time: &Stamp| time.nanos_since(stamp).abs();
    let nearest = listed.iter().min_by_key(|(time, _)| distance(time))?;
    (distance(&nearest.0) <= MAX_DEPTH_NANOS).then_some(&nearest.1)
}
