//! Files on disk to frames with poses: what the network is trained on and measured against.
//!
//! A [`Dataset`] lists its frames with their stamps and poses at once and decodes images when asked. An unreadable
//! frame is an error with its name, never the next frame. [`open`] recognises the format of a folder:
//!
//! | format | recognised by |
//! |---|---|
//! | 7-Scenes ([`SevenScenes`]) | `seq-XX` folders, or `frame-XXXXXX.pose.txt` files |
//! | TUM RGB-D ([`TumRgbd`]) | `rgb.txt` and `groundtruth.txt` |
//! | rosbag2 (`RosbagDataset`) | `metadata.yaml`, or a file that ends in `.mcap` or `.db3` |
//!
//! A [`SplitRule`] divides the frames into blocks for training, validation and test; never frame by frame at random,
//! since neighbours in a video are nearly the same picture.

mod depth;
mod labels;
#[cfg(feature = "bag")]
mod rosbag2;
#[cfg(feature = "bag")]
mod rosbag2_poses;
mod seven_scenes;
mod split;
mod tum_rgbd;

use std::path::Path;

use image::{GenericImageView, GrayImage, RgbImage};

use crate::geometry::Se3;
use crate::sensor::{CameraModel, DepthImage};
use crate::{Error, Result, Stamp};

#[cfg(feature = "bag")]
pub use rosbag2::{CameraExtrinsics, RosbagDataset, RosbagDatasetOptions};
pub use seven_scenes::SevenScenes;
pub use split::{DeclaredSplit, Split, SplitRule, Validation};
pub use tum_rgbd::TumRgbd;

/// One image of a dataset, with the pose that the dataset claims for it.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameInfo {
    /// A name that is unique in the dataset and leads a person to the file, such as `seq-01/frame-000000`.
    pub name: String,
    /// When the image was exposed.
    pub stamp: Stamp,
    /// Which recording the frame belongs to, from 0; motion between frames has a meaning only inside one sequence.
    pub sequence: usize,
    /// Pose of the camera's optical frame in the map.
    pub map_from_camera: Se3,
}

/// Posed images of one camera, ordered by sequence and stamp.
pub trait Dataset: Send + Sync {
    /// A short name, usually the folder's.
    fn name(&self) -> &str;

    /// The calibration of the images as they come.
    fn camera(&self) -> &CameraModel;

    /// All frames, ordered by sequence and stamp.
    fn frames(&self) -> &[FrameInfo];

    /// Decodes the image of frame `index` (into [`Dataset::frames`]).
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] with the file's name when it is missing, cut or of another size than the
    /// camera says.
    fn image(&self, index: usize) -> Result<RgbImage>;

    /// Decodes the depth image of frame `index`: taken together with the image, at the frame's pose. `None` when there is
    /// none for this frame. Its camera is its own: see the format's documentation for how it lies to the colour camera.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] with the file's name when it is missing, cut, not 16-bit grey or of a size that
    /// does not fit its camera.
    fn depth(&self, _index: usize) -> Result<Option<DepthImage>> {
        Ok(None)
    }

    /// The names of the classes of [`Dataset::labels`], by the value of a pixel; empty when there are no labels.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// Decodes the label image of frame `index`: for each pixel of the image the index of its class in
    /// [`Dataset::classes`]. `None` when there is none for this frame.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] with the file's name when it is missing, cut, not 8-bit grey, of another size
    /// than the image, or holds a value without a class.
    fn labels(&self, _index: usize) -> Result<Option<GrayImage>> {
        Ok(None)
    }

    /// The division into training and test sequences that comes with the dataset, when it has one.
    fn declared_split(&self) -> Option<&DeclaredSplit> {
        None
    }

    /// What was left out while opening, one line per reason with its count; empty when every image has a pose.
    fn notes(&self) -> &[String] {
        &[]
    }
}

/// Opens a dataset of any known format. `bag_options` is a YAML file of `RosbagDatasetOptions` for a rosbag2 whose
/// topics and frames are not the usual ones.
///
/// # Errors
/// [`Error::Io`] when nothing is there; [`Error::Format`] when the format is not recognised or the content is broken;
/// [`Error::Config`] for `bag_options` with a dataset that is no bag.
pub fn open(path: &Path, bag_options: Option<&Path>) -> Result<Box<dyn Dataset>> {
    let found = std::fs::metadata(path).map_err(Error::io("read", path))?;
    #[cfg(feature = "bag")]
    if RosbagDataset::recognises(path) {
        let options = bag_options.map_or_else(|| Ok(RosbagDatasetOptions::default()), crate::config::load_yaml)?;
        return Ok(Box::new(RosbagDataset::open(path, &options)?));
    }
    if let Some(file) = bag_options {
        let found = format!("{} for {}", file.display(), path.display());
        return Err(Error::config("bag options", "a rosbag2 as the dataset", found));
    }
    if found.is_dir() && TumRgbd::recognises(path) {
        return Ok(Box::new(TumRgbd::open(path)?));
    }
    if found.is_dir() && SevenScenes::recognises(path) {
        return Ok(Box::new(SevenScenes::open(path)?));
    }
    Err(unrecognised(path, found.is_dir()))
}

fn unrecognised(path: &Path, is_folder: bool) -> Error {
    let expected = "a dataset: a 7-Scenes scene (seq-XX folders or frame-XXXXXX.pose.txt files), a TUM RGB-D sequence \
                    (rgb.txt and groundtruth.txt) or a rosbag2 (metadata.yaml, .mcap or .db3)";
    let is_empty = is_folder && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let found = match (is_folder, is_empty) {
        (true, true) => "an empty folder",
        (true, false) => "a folder with none of them",
        (false, _) => "a file",
    };
    Error::format(path, expected, found)
}

/// Refuses an image whose size is not the calibration's.
fn check_size(path: &Path, image: &impl GenericImageView, camera: &CameraModel) -> Result<()> {
    if image.dimensions() == (camera.width, camera.height) {
        return Ok(());
    }
    let expected = format!("a {}x{} image, as the camera calibration says", camera.width, camera.height);
    let found = format!("{}x{}; a camera.yaml in the dataset folder overrides it", image.width(), image.height());
    Err(Error::format(path, expected, found))
}

/// The calibration in a file of `folder`, such as `camera.yaml`, when there is one.
fn camera_beside(folder: &Path, name: &str) -> Result<Option<CameraModel>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let camera: CameraModel = crate::config::load_yaml(&path)?;
    if !camera.is_calibrated() {
        return Err(Error::format(&path, "positive sizes and focal lengths", format!("{camera:?}")));
    }
    Ok(Some(camera))
}
