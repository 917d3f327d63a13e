//! The classes of the pixels that a training sees: label images looked at as the images are, through the network's camera
//! and its virtual rotations. Classes are not mixed: each pixel takes that of the nearest one, and where the labelled
//! image does not reach, there is none.

use std::collections::BTreeMap;

use image::{GrayImage, Luma};
use nalgebra::{Vector2, Vector3};
use rayon::prelude::*;
use tch::Tensor;

use super::pairs::View;
use super::pixels::Pixels;
use crate::dataset::Dataset;
use crate::geometry::So3;
use crate::loss::UNLABELLED;
use crate::network::{NetworkConfig, SemanticsConfig};
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::{Error, Result};

/// The architecture with the classes of the dataset, where it has a semantic stream.
///
/// # Errors
/// [`Error::Config`] for a dataset without labels, or with other classes than the architecture names.
pub(super) fn with_classes(network: NetworkConfig, dataset: &dyn Dataset) -> Result<NetworkConfig> {
    let Some(semantics) = &network.semantics else { return Ok(network) };
    let (named, found) = (&semantics.classes, dataset.classes());
    if found.is_empty() {
        return Err(without_labels(dataset.name()));
    }
    if !named.is_empty() && named != found {
        let found = format!(
            "[{}] in {}; name those, or leave classes out of the architecture: it takes the dataset's then",
            found.join(", "),
            dataset.name()
        );
        return Err(Error::config("network.semantics.classes", format!("[{}]", named.join(", ")), found));
    }
    let semantics = SemanticsConfig { classes: found.to_vec(), ..semantics.clone() };
    Ok(NetworkConfig { semantics: Some(semantics), ..network })
}

fn without_labels(where_from: &str) -> Error {
    let found = format!(
        "none for {where_from}; take a dataset with them (labels.yaml and *.label.png, as vloc synth --labels writes), or \
         leave semantics out of the architecture, as the preset vlocnet-plus-plus does"
    );
    Error::config("network.semantics", "label images and the names of their classes", found)
}

/// Label images of some frames, as the network's camera sees them.
pub(super) struct SceneLabels<'a> {
    pixels: &'a Pixels,
    labels: BTreeMap<usize, GrayImage>,
}

impl<'a> SceneLabels<'a> {
    /// The labels of `frames` for views of `pixels`, on all cores.
    ///
    /// # Errors
    /// Those of the dataset; [`Error::Config`] for a frame without a label image.
    pub(super) fn load(
        dataset: &dyn Dataset,
        frames: &[usize],
        pixels: &'a Pixels,
        progress: &Progress,
    ) -> Result<Self> {
        let bar = progress.steps("reading label images", frames.len() as u64);
        let load = |&frame: &usize| {
            let name = || format!("{} of {}", dataset.frames()[frame].name, dataset.name());
            let labels = dataset.labels(frame)?.ok_or_else(|| without_labels(&name()))?;
            bar.advance(1);
            Ok((frame, seen_by(&labels, dataset.camera(), pixels.camera(), So3::identity())))
        };
        let labels = frames.par_iter().map(load).collect::<Result<_>>()?;
        Ok(Self { pixels, labels })
    }

    /// The labels of frames as they are, `vhw`, bytes.
    pub(super) fn plain(&self, frames: &[usize]) -> Tensor {
        let images: Vec<&GrayImage> = frames.iter().map(|frame| &self.labels[frame]).collect();
        stack(&images)
    }

    /// The labels of views, turned as their images are, `vhw`, bytes.
    pub(super) fn of(&self, views: &[View]) -> Tensor {
        let camera = self.pixels.camera();
        let turned = |view: &View| seen_by(&self.labels[&view.frame], camera, camera, self.pixels.turn(*view));
        let images: Vec<GrayImage> = views.par_iter().map(turned).collect();
        stack(&images.iter().collect::<Vec<_>>())
    }
}

/// What `to`, which has no distortion, sees of the labels in an image of `from` at the same place.
fn seen_by(labels: &GrayImage, from: &CameraModel, to: &CameraModel, from_from_to: So3) -> GrayImage {
    GrayImage::from_fn(to.width, to.height, |u, v| {
        let ray: Vector3<f64> = from_from_to * to.ray(&Vector2::new(f64::from(u), f64::from(v)));
        let pixel = from.project(&ray).map(|pixel| pixel.map(f64::round));
        let inside = |pixel: &Vector2<f64>| {
            pixel.min() >= 0.0 && pixel.x < f64::from(from.width) && pixel.y < f64::from(from.height)
        };
        let label = pixel.filter(inside).map(|pixel| labels.get_pixel(pixel.x as u32, pixel.y as u32));
        label.copied().unwrap_or(Luma([UNLABELLED]))
    })
}

fn stack(images: &[&GrayImage]) -> Tensor {
    let (width, height) = images.first().map_or((0, 0), |image| image.dimensions());
    let bytes: Vec<u8> = images.iter().flat_map(|image| image.as_raw()).copied().collect();
    Tensor::from_slice(&bytes).view([images.len() as i64, height.into(), width.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_a_smaller_and_a_turned_camera() {
        // Left half 1, right half 2, seen at a quarter of the resolution.
        let labels = GrayImage::from_fn(64, 48, |u, _| Luma([if u < 32 { 1 } else { 2 }]));
        let camera = CameraModel::pinhole(64, 48, 60.0);
        let small = camera.resized(16, 12);
        let seen = seen_by(&labels, &camera, &small, So3::identity());
        assert_eq!((seen.get_pixel(7, 5).0, seen.get_pixel(8, 5).0), ([1], [2]));
        assert!(seen.pixels().all(|label| label.0 != [UNLABELLED]));
        // A camera that turns to the right sees more of the right half, and at its edge what nobody labelled.
        let right = So3::exp(&Vector3::new(0.0, 0.2, 0.0));
        let turned = seen_by(&labels, &camera, &small, right);
        assert_eq!((turned.get_pixel(3, 5).0, turned.get_pixel(7, 5).0), ([1], [2]));
        assert_eq!(turned.get_pixel(15, 5).0, [UNLABELLED]);
        assert_eq!(stack(&[&turned, &seen]).size(), [2, 12, 16]);
    }
}
