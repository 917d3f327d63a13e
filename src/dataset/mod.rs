//! Files on disk to frames with poses: what the network is trained on and measured against.
//!
//! A [`Dataset`] lists its frames with their stamps and poses at once and decodes images when asked. An unreadable
//! frame is an error with its name, never the next frame. [`open`] recognises the format of a folder:
//!
//! | format | recognised by |
//! |---|---|
//! | 7-Scenes ([`SevenScenes`]) | `seq-XX` folders, or `frame-XXXXXX.pose.txt` files |
//! | TUM RGB-D ([`TumRgbd`]) | `rgb.txt` and `groundtruth.txt` |
//!
//! A [`SplitRule`] divides the frames into blocks for training, validation and test; never frame by frame at random,
//! since neighbours in a video are nearly the same picture.

use image::RgbImage;

use crate::geometry::Se3;
use crate::sensor::CameraModel;
use crate::{Result, Stamp};

/// The division of a dataset's sequences that its authors declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredSplit {
    /// Sequences for training, as in [`FrameInfo::sequence`].
    pub train: Vec<usize>,
    /// Sequences for the test.
    pub test: Vec<usize>,
}

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
    /// [`crate::Error::Io`] or [`crate::Error::Format`] with the file's name when it is missing, cut or of another size than the
    /// camera says.
    fn image(&self, index: usize) -> Result<RgbImage>;

    /// The division into training and test sequences that comes with the dataset, when it has one.
    fn declared_split(&self) -> Option<&DeclaredSplit> {
        None
    }

    /// What was left out while opening, one line per reason with its count; empty when every image has a pose.
    fn notes(&self) -> &[String] {
        &[]
    }
}
