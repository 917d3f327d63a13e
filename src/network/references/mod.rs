//! Reference frames of a model: training frames with what was seen of points in them, to which the pose of a new frame is aligned
//! ([`crate::alignment`]).
//!
//! ```text
//! new frame ─ maps of the encoder ─ compressed ─┐
//! its pose from points ─ nearest references ────┴─ alignment, coarse to fine ─ pose
//! ```
//!
//! A model that knows no points proposes a pose, and it is measured from what is recognized of the references ([`recognition`]).
//!
//! `references.safetensors` in the model folder has of each frame `pose.translation` (normalized) and `pose.quaternion`
//! (w, x, y, z) of `map_from_camera` and the number of its `points`; of each point `position` in the axes of its camera (metres)
//! and in half precision its descriptors `fine.descriptor` and `coarse.descriptor`; and of each level the [`Compression`]. The card has its
//! checksum. Descriptors are those of the encoder that the model was trained with.

mod compression;
mod inference;
mod matching;
pub mod recognition;
mod record;

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{DVector, Vector2, Vector3};
use tch::{Device, Kind, Tensor};

use super::checkpoint::{self, Precision, write_tensors};
use super::pose_tensor::{MapFromNormalized, PoseTensor, numbers};
use super::refinement::nearest_poses;
use crate::alignment::{AlignmentReport, FeatureMap, Level, align};
use crate::geometry::Se3;
use crate::sensor::CameraModel;
use crate::{Error, Result};

pub use compression::Compression;
pub(in crate::network) use compression::compress;
pub use inference::EncoderMaps;
pub(in crate::network) use inference::encoder_maps;
pub use record::{REFERENCES_FILE, ReferencesRecord};

/// The most that the file may take.
const MAX_BYTES: u64 = 1 << 28;
/// Frames that a pose is aligned to.
const NEAREST: usize = 2;
/// The levels by name, in the order of the encoder's maps.
const LEVELS: [&str; 2] = ["fine", "coarse"];

/// A training frame as a reference.
#[derive(Clone, Debug)]
struct Reference {
    map_from_camera: Se3,
    /// What its cells show, in its camera, metres.
    points: Vec<Vector3<f64>>,
    /// Of each point, one after the other, at each level.
    descriptors: [Vec<f32>; 2],
    /// How it looks altogether; `None` without points.
    look: Option<DVector<f32>>,
}

impl Reference {
    fn new(map_from_camera: Se3, points: Vec<Vector3<f64>>, descriptors: [Vec<f32>; 2]) -> Self {
        let own = Self { map_from_camera, points, descriptors, look: None };
        Self { look: own.seen_altogether(), ..own }
    }
}

/// The points that pixels of a frame show, and their descriptors at both levels, one after the other; pixels beyond one of its maps
/// are left out.
pub(in crate::network) fn described<'a>(
    maps: &[FeatureMap; 2],
    seen: impl IntoIterator<Item = &'a (Vector2<f64>, Vector3<f64>)>,
) -> (Vec<Vector3<f64>>, [Vec<f32>; 2]) {
    let (mut points, mut descriptors) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (pixel, point) in seen {
        if let (Some(fine), Some(coarse)) = (maps[0].read(pixel), maps[1].read(pixel)) {
            points.push(*point);
            descriptors[0].extend(fine);
            descriptors[1].extend(coarse);
        }
    }
    (points, descriptors)
}

/// The reference frames of a model.
#[derive(Debug)]
pub struct References {
    compressions: [Compression; 2],
    frames: Vec<Reference>,
    poses: Vec<Se3>,
    units: MapFromNormalized,
}

impl References {
    /// None yet, for maps that are compressed like this, the finer first.
    pub fn new(compressions: [Compression; 2], units: MapFromNormalized) -> Self {
        Self { compressions, frames: Vec::new(), poses: Vec::new(), units }
    }

    /// The maps of an image as the alignment reads them, from those of the encoder, each with stride and first centre.
    ///
    /// # Errors
    /// Those of [`Compression::of`].
    pub fn compress(&self, maps_chw: &EncoderMaps) -> Result<[FeatureMap; 2]> {
        compress(&self.compressions, maps_chw)
    }

    /// Adds a frame with what some of its pixels show, points in its camera; pixels beyond one of its maps are left out.
    pub fn add(&mut self, map_from_camera: Se3, maps: &[FeatureMap; 2], seen: &[(Vector2<f64>, Vector3<f64>)]) {
        let (points, descriptors) = described(maps, seen);
        self.poses.push(map_from_camera);
        self.frames.push(Reference::new(map_from_camera, points, descriptors));
    }

    /// How many points they have together.
    pub fn points(&self) -> usize {
        self.frames.iter().map(|frame| frame.points.len()).sum()
    }

    /// Aligns the pose of an image with these maps to the references nearest to it.
    pub fn align(&self, start: Se3, maps: &[FeatureMap; 2], camera: &CameraModel) -> (Se3, AlignmentReport) {
        let nearest = nearest_poses(&start, &self.poses, self.units.scale, NEAREST);
        let nearest: Vec<&Reference> = nearest.into_iter().map(|index| &self.frames[index]).collect();
        let in_map = |frame: &&Reference| {
            let map_from_camera = frame.map_from_camera;
            frame.points.iter().map(move |point| map_from_camera * *point).collect::<Vec<_>>()
        };
        let points: Vec<Vector3<f64>> = nearest.iter().flat_map(in_map).collect();
        let descriptors = [0, 1]
            .map(|level| nearest.iter().flat_map(|frame| &frame.descriptors[level]).copied().collect::<Vec<f32>>());
        let level = |level: usize| Level { map: &maps[level], descriptors: &descriptors[level] };
        align(camera, start, &points, &[level(1), level(0)])
    }

    /// Writes a file and returns what the card says of it, of references that are not used.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<ReferencesRecord> {
        let poses = PoseTensor::from_poses(&self.poses, &self.units, Device::Cpu);
        let counts: Vec<i64> = self.frames.iter().map(|frame| frame.points.len() as i64).collect();
        let positions =
            self.frames.iter().flat_map(|frame| &frame.points).flat_map(|point| point.map(|at| at as f32).data.0[0]);
        let positions: Vec<f32> = positions.collect();
        let mut tensors = BTreeMap::from([
            ("pose.translation".to_owned(), poses.translation_b3),
            ("pose.quaternion".to_owned(), poses.quaternion_b4),
            ("points".to_owned(), Tensor::from_slice(&counts)),
            ("position".to_owned(), Tensor::from_slice(&positions).view([-1, 3])),
        ]);
        for (level, (name, compression)) in LEVELS.iter().zip(&self.compressions).enumerate() {
            let values: Vec<f32> = self.frames.iter().flat_map(|frame| &frame.descriptors[level]).copied().collect();
            let descriptors_nk = Tensor::from_slice(&values).view([-1, compression.kept()]).to_kind(Kind::Half);
            tensors.insert(format!("{name}.descriptor"), descriptors_nk);
            tensors.extend(compression.tensors().map(|(part, tensor)| (format!("{name}.{part}"), tensor)));
        }
        let sha256 = write_tensors(&tensors, path, Precision::Single)?;
        let (calibration, motion_calibration) = (None, None);
        let (frames, points) = (self.frames.len(), self.points());
        Ok(ReferencesRecord { frames, points, used: false, sha256, calibration, motion_calibration })
    }

    /// Reads the file that a card speaks of.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing, too large, not the file of the card, or something else; [`Error::Compute`] for a pose
    /// that is none.
    pub fn load(path: &Path, record: &ReferencesRecord, units: MapFromNormalized) -> Result<Self> {
        let what = format!("the {} reference frames that poses are aligned to", record.frames);
        let mut tensors = checkpoint::read_of_card(path, &what, &record.sha256, MAX_BYTES)?;
        let mut take = |name: &str, size: &[i64]| {
            let fits = |found: &[i64]| {
                found.len() == size.len() && found.iter().zip(size).all(|(found, size)| [*found, -1].contains(size))
            };
            match tensors.remove(name) {
                Some(tensor) if fits(&tensor.size()) => Ok(tensor),
                found => {
                    let found = found.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.size()));
                    Err(Error::model(path, format!("{name} of shape {size:?}"), found))
                }
            }
        };
        let (count, points) = (record.frames as i64, record.points as i64);
        let poses = PoseTensor {
            translation_b3: take("pose.translation", &[count, 3])?,
            quaternion_b4: take("pose.quaternion", &[count, 4])?,
        };
        let poses = poses.to_poses(&units)?;
        let counts: Vec<usize> = numbers(&take("points", &[count])?).into_iter().map(|count| count as usize).collect();
        let fits = counts.iter().all(|count| *count <= record.points);
        if !fits || counts.iter().sum::<usize>() != record.points {
            let expected = format!("{} points over all frames, as in model.yaml", record.points);
            return Err(Error::model(path, expected, format!("{counts:?}")));
        }
        let positions = numbers(&take("position", &[points, 3])?);
        let mut level = |name: &str| {
            let compression = Compression::from_tensors(|part, size| take(&format!("{name}.{part}"), size))?;
            let descriptors_nk = take(&format!("{name}.descriptor"), &[points, compression.kept()])?;
            Ok::<_, Error>((compression, numbers(&descriptors_nk)))
        };
        let [(fine, fine_values), (coarse, coarse_values)] = [level(LEVELS[0])?, level(LEVELS[1])?];
        let mut own = Self::new([fine, coarse], units);
        let mut start = 0;
        for (map_from_camera, count) in poses.into_iter().zip(counts) {
            let of = |values: &[f64], width: usize| {
                values[start * width..(start + count) * width].iter().map(|value| *value as f32).collect::<Vec<f32>>()
            };
            let [fine, coarse] = [0, 1].map(|level: usize| own.compressions[level].kept() as usize);
            let points = positions[3 * start..3 * (start + count)].chunks_exact(3).map(Vector3::from_column_slice);
            let descriptors = [of(&fine_values, fine), of(&coarse_values, coarse)];
            own.poses.push(map_from_camera);
            own.frames.push(Reference::new(map_from_camera, points.collect(), descriptors));
            start += count;
        }
        Ok(own)
    }
}

#[cfg(test)]
mod tests;
