//! The model card, `model.yaml`: all that is needed to use a model and to judge it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::autoencoder::MAX_POSES;
use super::checkpoint::Precision;
use super::config::NetworkConfig;
use super::pictures::PicturesConfig;
use super::place_record::PlaceRecord;
use super::pose_encoder::AutoencoderConfig;
use super::pose_tensor::MapFromNormalized;
use super::references::ReferencesRecord;
use super::scene_coordinates::Supervision;
use super::scene_record::SceneRecord;
use super::uncertainty::Calibration;
use crate::config::load_yaml;
use crate::sensor::{CameraModel, Distortion};
use crate::{Error, Result};

/// Name of the card in a model folder.
pub const CARD_FILE: &str = "model.yaml";
/// Name of the weights in a model folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// Name of the file with the training images that a model compares with, in a model folder.
pub const GALLERY_FILE: &str = "gallery.safetensors";
/// Name of the folder with the further members of an ensemble, in a model folder.
pub const MEMBERS_FOLDER: &str = "members";
/// The most members of an ensemble: each costs a forward pass per frame.
pub const MAX_MEMBERS: usize = 64;
/// Version of the card's fields that this build writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// The data, by name.
    pub dataset: String,
    /// SHA-256 over names, stamps and poses of the training frames, hexadecimal.
    pub dataset_sha256: String,
    /// Frames trained on.
    pub frames: usize,
    /// The command line.
    pub command: String,
    /// Seed of every generator.
    pub seed: u64,
    /// Passes over the training frames, up to the weights that were kept.
    pub epochs: usize,
    /// The weights the trunk started from; empty for random ones.
    #[serde(default)]
    pub pretrained: String,
    /// The model that it goes on from, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginRecord>,
    /// The video without labels that it also learned from, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<VideoRecord>,
    /// What points were learned from; absent of a model that knows no points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervision: Option<Supervision>,
}

/// The video without labels that a training learned from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoRecord {
    /// The data, by name.
    pub dataset: String,
    /// SHA-256 over names, stamps and the odometry's poses of its frames, hexadecimal.
    pub dataset_sha256: String,
    /// Its frames.
    pub frames: usize,
    /// How many of them are test frames of the labelled data: more than none says that errors on these are not those of
    /// frames that the model never saw.
    pub test_frames: usize,
}

/// The model that a training went on from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginRecord {
    /// Its name.
    pub name: String,
    /// SHA-256 of its weights, hexadecimal.
    pub sha256: String,
    /// The data it was trained on, by name.
    pub dataset: String,
}

/// How well the semantic stream tells what pixels show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationRecord {
    /// Share of the pixels that are told right.
    pub pixel_accuracy: f64,
    /// Mean over the classes of intersection over union.
    pub mean_iou: f64,
}

/// Errors on the validation frames, which were neither trained on nor tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationRecord {
    /// Frames.
    pub frames: usize,
    /// Median error of the position, metres.
    pub median_translation_error: f64,
    /// Median error of the orientation, radians.
    pub median_rotation_error: f64,
    /// Median distance of the points that cells are said to show to the true ones, metres; absent of a model that knows no
    /// points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_point_error: Option<f64>,
    /// Of the semantic stream; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<SegmentationRecord>,
    /// Share of the frames whose scene was told right; the others have no answer and count as infinitely wrong. Absent of a
    /// model that knows one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recognized: Option<f64>,
}

/// The weights beside the card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsRecord {
    /// How they are stored.
    pub precision: Precision,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Numbers in it.
    pub parameters: u64,
}

/// A further member of an ensemble: weights of the same architecture in [`ModelCard::member_file`], beside its gallery in
/// [`ModelCard::member_gallery`] where the architecture has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRecord {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Seed of its training.
    pub seed: u64,
    /// Passes over the training frames, up to these weights.
    pub epochs: usize,
    /// Units of its translations, where they are not those of the card: it was trained on other frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_from_normalized: Option<MapFromNormalized>,
    /// The training images that it compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gallery: Option<GalleryRecord>,
}

/// What a member of an ensemble consists of, or a model alone.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberParts<'a> {
    /// Its weights, in the model folder.
    pub weights: PathBuf,
    /// Their SHA-256.
    pub sha256: &'a str,
    /// Units of its translations.
    pub map_from_normalized: MapFromNormalized,
    /// Its training images, in the model folder.
    pub gallery: Option<(PathBuf, &'a GalleryRecord)>,
}

/// The training images beside the card, of a model that compares with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GalleryRecord {
    /// Images in it.
    pub images: usize,
    /// How many of them a frame is compared with.
    pub neighbours: usize,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// How well a pose auto-encoder knows what the network makes of images, on frames that it was not trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderErrors {
    /// Frames.
    pub frames: usize,
    /// Root mean square distance of the encoding of their true pose to their embedding, against that of the mean embedding of
    /// the training frames: 1 is to know nothing, 0 all.
    pub embedding_error: f64,
    /// Median error of the position that the network's head reads from the encoding of the true pose, metres.
    pub median_translation_error: f64,
    /// The same of the orientation, radians.
    pub median_rotation_error: f64,
}

/// The decoder from encodings of poses to pictures, beside the card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PicturesRecord {
    /// Its layers and the size of a picture.
    pub network: PicturesConfig,
    /// Mean absolute difference of colours on frames that it was not trained on, against that of the mean training picture: 1
    /// is to know nothing, 0 all. Absent without validation frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_error: Option<f64>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// The pose auto-encoder beside the card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderRecord {
    /// Its layers.
    pub network: AutoencoderConfig,
    /// Training poses in it.
    pub poses: usize,
    /// How many of them refine the position of a frame; 0: it stays what the network says.
    pub neighbours: usize,
    /// How well it does; absent without validation frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<AutoencoderErrors>,
    /// What shows a pose as a picture, where it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PicturesRecord>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// A model in words and numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the model.
    pub name: String,
    /// The program and version that wrote it.
    pub created_by: String,
    /// Licence of the weights.
    pub licence: String,
    /// The architecture.
    pub network: NetworkConfig,
    /// The pinhole camera of the network's input pixels: images are rectified and resized to it.
    pub camera: CameraModel,
    /// The frame that poses are in: `map_from_camera` has its axes and origin.
    pub map_frame: String,
    /// Units of the network's translations.
    pub map_from_normalized: MapFromNormalized,
    /// The longest time between the frames of a training pair, seconds; no relative pose is given beyond it.
    pub max_pair_interval: f64,
    /// Where it comes from.
    pub training: TrainingRecord,
    /// How well it does.
    pub validation: ValidationRecord,
    /// What makes its covariances true.
    pub calibration: Calibration,
    /// The same of its relative poses; absent where they were not measured: then that of the absolute ones serves both, and a model
    /// that knows points tells no motion ([`PoseRegressor::motion`](super::PoseRegressor::motion)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_calibration: Option<Calibration>,
    /// The weights; of an ensemble, those of its first member.
    pub weights: WeightsRecord,
    /// Its further members; none of a model that is no ensemble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberRecord>,
    /// The training images, where the architecture has a gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gallery: Option<GalleryRecord>,
    /// The scenes, of a model of several; none of a model that knows one place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenes: Vec<SceneRecord>,
    /// Whether the members were trained on folds, so that the calibration is that of each on the frames it did not see: the
    /// covariance is then the mean of the members' alone, without their spread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cross_fitted: bool,
    /// The pose auto-encoder, where one was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoencoder: Option<AutoencoderRecord>,
    /// The parts of a place that has a head for each; absent of a model with one head. The units of the card are then those of
    /// the training poses, and each part has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_place: Option<PlaceRecord>,
    /// The training frames that poses can be aligned to, where some were added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<ReferencesRecord>,
}

impl ModelCard {
    /// Where the further member `index` (from 0) of an ensemble is, in its folder.
    pub fn member_file(index: usize) -> PathBuf {
        Path::new(MEMBERS_FOLDER).join(format!("{:02}.safetensors", index + 1))
    }

    /// Where the training images of the further member `index` (from 0) of an ensemble are, in its folder.
    pub fn member_gallery(index: usize) -> PathBuf {
        Path::new(MEMBERS_FOLDER).join(format!("{:02}.gallery.safetensors", index + 1))
    }

    /// The parts of all members, the first member's first.
    pub fn parts(&self) -> Vec<MemberParts<'_>> {
        let first = MemberParts {
            weights: PathBuf::from(WEIGHTS_FILE),
            sha256: &self.weights.sha256,
            map_from_normalized: self.map_from_normalized,
            gallery: self.gallery.as_ref().map(|record| (PathBuf::from(GALLERY_FILE), record)),
        };
        let further = self.members.iter().enumerate().map(|(index, member)| MemberParts {
            weights: Self::member_file(index),
            sha256: &member.sha256,
            map_from_normalized: member.map_from_normalized.unwrap_or(self.map_from_normalized),
            gallery: member.gallery.as_ref().map(|record| (Self::member_gallery(index), record)),
        });
        std::iter::once(first).chain(further).collect()
    }

    /// The SHA-256 of the weights; of an ensemble those of all its files, joined by `+`.
    pub fn weights_sha256(&self) -> String {
        let hashes: Vec<&str> = self.parts().into_iter().map(|member| member.sha256).collect();
        hashes.join("+")
    }

    /// Reads and checks the card of a model folder.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] as [`load_yaml`]; [`Error::Model`] for another schema version or fields
    /// that contradict each other; [`Error::Config`] for an architecture out of range.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CARD_FILE);
        let card: Self = load_yaml(&path)?;
        card.check(&path)?;
        Ok(card)
    }

    /// Writes the card into a model folder, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] and [`Error::Config`] when it could not be read back.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(CARD_FILE);
        self.check(&path)?;
        let text = serde_yaml::to_string(self).map_err(|error| Error::compute("writing the model card", error))?;
        let partial = path.with_extension("partial");
        fs::write(&partial, text).map_err(Error::io("write", &partial))?;
        fs::rename(&partial, &path).map_err(Error::io("create", &path))
    }

    fn check(&self, path: &Path) -> Result<()> {
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        if self.schema_version != SCHEMA_VERSION {
            return fail(
                &format!("schema_version {SCHEMA_VERSION}"),
                format!("{} (written by {}); use that version or train again", self.schema_version, self.created_by),
            );
        }
        self.network.check()?;
        let wanted = self.network.gallery.map(|gallery| gallery.neighbours);
        for member in self.parts() {
            let found = member.gallery.map(|(_, record)| record);
            if wanted != found.map(|record| record.neighbours) {
                let expected =
                    "a gallery beside the weights exactly where the architecture has one, for as many neighbours";
                let weights = member.weights.display();
                return fail(expected, format!("{wanted:?} in the architecture, {found:?} beside {weights}"));
            }
        }
        self.check_autoencoder(path)?;
        self.check_large_place(path)?;
        self.check_references(path)?;
        self.check_scenes(path)?;
        (0..self.scenes.len()).try_for_each(|scene| self.of_scene(scene).check_place(path))?;
        self.check_place(path)?;
        if !(self.max_pair_interval.is_finite() && self.max_pair_interval >= 0.0) {
            return fail("max_pair_interval of 0 s or more", self.max_pair_interval.to_string());
        }
        if self.members.len() >= MAX_MEMBERS {
            return fail(&format!("an ensemble of at most {MAX_MEMBERS}"), (1 + self.members.len()).to_string());
        }
        Ok(())
    }

    fn check_scenes(&self, path: &Path) -> Result<()> {
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        let (known, listed) = (self.network.scenes(), self.scenes.len().max(1));
        if known != listed {
            return fail("as many scenes as the network has queries", format!("{listed} scenes, {known} queries"));
        }
        let name = |index: usize| self.scenes[index].name.as_str();
        if let Some(twice) = (0..self.scenes.len()).find(|&index| (0..index).any(|before| name(before) == name(index)))
        {
            return fail("scenes with names of their own", format!("{:?} twice", name(twice)));
        }
        if !self.scenes.is_empty() && *self != self.of_scene(0) {
            let found = "others; what is said of the first scene must be said above it too".to_owned();
            return fail("the camera, units, map frame, errors and calibration of the first scene", found);
        }
        Ok(())
    }

    /// What a model says in numbers of one place.
    fn check_place(&self, path: &Path) -> Result<()> {
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        let (camera, input) = (&self.camera, &self.network.input);
        if !camera.is_calibrated() || camera.distortion != Distortion::None {
            return fail("a calibrated camera without distortion", format!("{camera:?}"));
        }
        if (camera.width, camera.height) != (input.width, input.height) {
            let expected = format!("a camera of the network's input, {}x{} pixels", input.width, input.height);
            return fail(&expected, format!("{}x{}", camera.width, camera.height));
        }
        for MemberParts { map_from_normalized: units, .. } in self.parts() {
            if !units.is_usable() {
                let MapFromNormalized { mean, scale } = units;
                return fail(
                    "map_from_normalized with a finite mean and a positive scale",
                    format!("{mean:?}, {scale}"),
                );
            }
        }
        let calibrations = [Some(self.calibration), self.relative_calibration];
        if let Some(wrong) = calibrations.iter().flatten().find(|calibration| !calibration.is_valid()) {
            return fail("positive, finite calibration factors", format!("{wrong:?}"));
        }
        Ok(())
    }

    fn check_autoencoder(&self, path: &Path) -> Result<()> {
        let Some(record) = &self.autoencoder else { return Ok(()) };
        let AutoencoderRecord { network, poses, neighbours, pictures, .. } = record;
        network.check()?;
        pictures.as_ref().map_or(Ok(()), |pictures| pictures.network.check())?;
        let fail = |expected: &str, found: String| Err(Error::model(path, expected, found));
        if self.network.gallery.is_some() || !self.members.is_empty() {
            let found = "an ensemble or one with a gallery; leave out autoencoder".to_owned();
            return fail("an autoencoder only beside a single network that answers from the frame alone", found);
        }
        if !(1..=MAX_POSES).contains(poses) || neighbours > poses {
            let expected = format!("an autoencoder with 1 to {MAX_POSES} poses, and at most as many neighbours");
            return fail(&expected, format!("{poses} poses, {neighbours} neighbours"));
        }
        Ok(())
    }
}
