//! Label images of datasets: the class of each pixel.

use std::path::Path;

use image::GrayImage;

use super::check_size;
use crate::config::load_yaml;
use crate::sensor::CameraModel;
use crate::{Error, Result, vision};

/// The class names in a scene's `labels.yaml`; none when there is no such file.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] when it is no list of 1 to 256 names.
pub(super) fn read_classes(scene: &Path) -> Result<Vec<String>> {
    let path = scene.join("labels.yaml");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let classes: Vec<String> = load_yaml(&path)?;
    match classes.len() {
        1..=256 => Ok(classes),
        count => Err(Error::format(path, "a list of 1 to 256 class names", format!("{count} names"))),
    }
}

/// Reads a label file that goes with an image of `camera`.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] when it is missing, cut, not 8-bit grey, of another size, or has unknown classes.
pub(super) fn read_labels(path: &Path, camera: &CameraModel, classes: usize) -> Result<GrayImage> {
    let labels = vision::decode_grey8_file(path)?;
    check_size(path, &labels, camera)?;
    match labels.iter().find(|label| usize::from(**label) >= classes) {
        None => Ok(labels),
        Some(label) => {
            let expected = format!("values below {classes}, the number of classes in labels.yaml");
            Err(Error::format(path, expected, label.to_string()))
        }
    }
}
