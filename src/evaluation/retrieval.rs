//! The baselines that a pose regressor must beat: what the most similar training image already knows.
//!
//! T. Sattler, Q. Zhou, M. Pollefeys and L. Leal-Taixé, "Understanding the limitations of CNN-based absolute camera
//! pose regression", CVPR 2019, section 5: take the pose of the training image whose descriptor is nearest, or the
//! affine combination `Σ a_i (c_i, r_i)` of the poses of the nearest `k`, with the weights that bring the combined
//! descriptors nearest to the query: minimize `|d(I) - Σ a_i d(J_i)|²` with `Σ a_i = 1`. The descriptor here is not
//! the paper's DenseVLAD but a grey thumbnail of 20x15 pixels with zero mean and unit norm. [`nearest_pose`] is an
//! oracle, not a method: it is told the true pose, and bounds what retrieval without interpolation could reach.

use image::RgbImage;
use nalgebra::{DMatrix, DVector, Quaternion, SVector, UnitQuaternion, Vector3};

use crate::geometry::{Se3, So3};
use crate::{Error, Result};

const WIDTH: usize = 20;
const HEIGHT: usize = 15;
/// Added to the diagonal of the Gram matrix, relative to its trace: only decides between equal training images.
const RIDGE: f64 = 1e-9;

/// A grey thumbnail, rows of 20x15 pixels, with zero mean and unit norm; all zeros for an image of one colour.
pub type Thumbnail = SVector<f64, { WIDTH * HEIGHT }>;

/// The thumbnail of an image: means of luma (ITU-R BT.601) over equal cells.
///
/// # Errors
/// When the image is smaller than 20x15 pixels.
pub fn thumbnail(image: &RgbImage) -> Result<Thumbnail> {
    let (columns, rows) = (image.width() as usize, image.height() as usize);
    if columns < WIDTH || rows < HEIGHT {
        let expected = format!("at least {WIDTH}x{HEIGHT} pixels");
        return Err(Error::message("image for retrieval", expected, format!("{columns}x{rows}")));
    }
    let (mut sums, mut counts) = (Thumbnail::zeros(), Thumbnail::zeros());
    for (x, y, pixel) in image.enumerate_pixels() {
        let cell = (y as usize * HEIGHT / rows) * WIDTH + x as usize * WIDTH / columns;
        let [red, green, blue] = pixel.0.map(f64::from);
        sums[cell] += 0.299 * red + 0.587 * green + 0.114 * blue;
        counts[cell] += 1.0;
    }
    let means = sums.component_div(&counts);
    let centred = means.add_scalar(-means.mean());
    let norm = centred.norm();
    Ok(if norm > 1e-9 { centred / norm } else { Thumbnail::zeros() })
}

/// The training images as retrieval knows them: a thumbnail and a pose each.
#[derive(Clone, Debug, Default)]
pub struct Retrieval {
    training: Vec<(Thumbnail, Se3)>,
}

impl Retrieval {
    /// Collects the training images; each is dropped once its thumbnail is made.
    ///
    /// # Errors
    /// The first error of the iterator, a too small image, or no image at all.
    pub fn new(images: impl IntoIterator<Item = Result<(RgbImage, Se3)>>) -> Result<Self> {
        let training: Vec<_> = images
            .into_iter()
            .map(|item| item.and_then(|(image, pose)| Ok((thumbnail(&image)?, pose))))
            .collect::<Result<_>>()?;
        if training.is_empty() {
            return Err(Error::message("retrieval baseline", "at least one training image", "none"));
        }
        Ok(Self { training })
    }

    /// The pose (`map_from_camera`) of the most similar training image.
    ///
    /// # Errors
    /// When the image is smaller than a thumbnail.
    pub fn nearest(&self, query: &RgbImage) -> Result<Se3> {
        let query = thumbnail(query)?;
        let mut nearest = (f64::INFINITY, self.training[0].1);
        for (known, pose) in &self.training {
            let distance = (known - query).norm_squared();
            if distance < nearest.0 {
                nearest = (distance, *pose);
            }
        }
        Ok(nearest.1)
    }

    /// The affine combination of the poses of the `k` most similar training images (all, when there are fewer).
    ///
    /// # Errors
    /// When the image is smaller than a thumbnail, `k` is 0, or the combined rotation vanishes.
    pub fn interpolated(&self, query: &RgbImage, k: usize) -> Result<Se3> {
        let query = thumbnail(query)?;
        let mut offsets: Vec<(Thumbnail, Se3)> =
            self.training.iter().map(|(known, pose)| (known - query, *pose)).collect();
        offsets.sort_by(|(a, _), (b, _)| a.norm_squared().total_cmp(&b.norm_squared()));
        offsets.truncate(k);
        let weights = affine_weights(&offsets.iter().map(|(offset, _)| *offset).collect::<Vec<_>>())?;
        combine(offsets.iter().map(|(_, pose)| *pose).zip(weights))
    }
}

/// The training pose nearest to the true one, in metres plus radians: an oracle.
pub fn nearest_pose(training: &[Se3], truth: Se3) -> Option<Se3> {
    nearest(training, truth).map(|index| training[index])
}

/// Which training pose is nearest to the true one, in metres plus radians.
pub fn nearest(training: &[Se3], truth: Se3) -> Option<usize> {
    let distance = |index: &usize| {
        let pose = training[*index];
        (pose.translation - truth.translation).norm() + pose.rotation.local(truth.rotation).norm()
    };
    (0..training.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// The weights with sum 1 that minimize `|Σ a_i offset_i|²`: proportional to `G⁻¹ 1` with `G_ij = offset_i · offset_j`.
fn affine_weights(offsets: &[Thumbnail]) -> Result<Vec<f64>> {
    let mut gram = DMatrix::from_fn(offsets.len(), offsets.len(), |i, j| offsets[i].dot(&offsets[j]));
    let ridge = (RIDGE * gram.trace()).max(f64::MIN_POSITIVE);
    for i in 0..offsets.len() {
        gram[(i, i)] += ridge;
    }
    let solution = gram.cholesky().map(|factor| factor.solve(&DVector::repeat(offsets.len(), 1.0)));
    let weights = solution
        .map(|solution| &solution / solution.sum())
        .filter(|weights| !weights.is_empty() && weights.iter().all(|weight| weight.is_finite()));
    let refuse =
        || Error::compute("interpolation of retrieved poses", format!("no weights for {} images", offsets.len()));
    Ok(weights.ok_or_else(refuse)?.iter().copied().collect())
}

/// `Σ a_i (c_i, q_i)`, the quaternions on the side of the first, then normalized.
fn combine(poses: impl Iterator<Item = (Se3, f64)>) -> Result<Se3> {
    let mut translation = Vector3::zeros();
    let mut sum = Quaternion::new(0.0, 0.0, 0.0, 0.0);
    let mut first = None;
    for (pose, weight) in poses {
        let quaternion = pose.rotation.quaternion().into_inner();
        let reference = *first.get_or_insert(quaternion);
        let side = if quaternion.dot(&reference) < 0.0 { -1.0 } else { 1.0 };
        translation += weight * pose.translation;
        sum += quaternion * (side * weight);
    }
    let rotation = UnitQuaternion::try_new(sum, 1e-6)
        .ok_or_else(|| Error::compute("interpolation of retrieved poses", "the weighted rotations cancel out"))?;
    Ok(Se3::new(So3::from_quaternion(rotation), translation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Light from the left or from the right, mixed.
    fn lit(from_left: f64) -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| {
            let (left, right) = (f64::from(39 - x), f64::from(x));
            let grey = 2.0 * (from_left * left + (1.0 - from_left) * right) + f64::from(y % 2);
            Rgb([grey as u8, grey as u8, grey as u8])
        })
    }

    /// Textures of their own, mixed by weight.
    fn mixed(weights: [f64; 2]) -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| {
            let textures = [f64::from(x / 2 % 3) * 60.0, f64::from(y / 2 % 4) * 50.0];
            let grey = (weights[0] * textures[0] + weights[1] * textures[1]).round() as u8;
            Rgb([grey, grey, grey])
        })
    }

    fn turned(angle: f64) -> Se3 {
        Se3::new(So3::exp(&Vector3::new(0.0, 0.0, angle)), Vector3::new(angle, 0.0, 1.0))
    }

    #[test]
    fn the_nearest_image_is_found_in_any_light() {
        let retrieval = Retrieval::new([Ok((lit(0.9), turned(0.1))), Ok((lit(0.1), turned(0.2)))]).unwrap();
        assert_eq!(retrieval.nearest(&lit(0.8)).unwrap(), turned(0.1));
        assert_eq!(retrieval.nearest(&lit(0.3)).unwrap(), turned(0.2));
        let darker = RgbImage::from_fn(40, 30, |x, y| Rgb(lit(0.8).get_pixel(x, y).0.map(|value| value / 2)));
        assert!((thumbnail(&darker).unwrap() - thumbnail(&lit(0.8)).unwrap()).norm() < 0.02);
    }

    #[test]
    fn weights_reproduce_a_query_between_two_images() {
        let retrieval =
            Retrieval::new([Ok((mixed([1.0, 0.0]), turned(0.0))), Ok((mixed([0.0, 1.0]), turned(1.0)))]).unwrap();
        let middle = retrieval.interpolated(&mixed([0.5, 0.5]), 2).unwrap();
        assert!(middle.translation.x > 0.3 && middle.translation.x < 0.7, "{middle:?}");
        assert!((middle.rotation.angle() - middle.translation.x).abs() < 0.02);
        let known = retrieval.interpolated(&mixed([1.0, 0.0]), 25).unwrap();
        assert!(known.local(turned(0.0)).norm() < 1e-6);
        assert_eq!(retrieval.interpolated(&mixed([0.2, 0.8]), 1).unwrap(), turned(1.0));
    }

    #[test]
    fn equal_training_images_share_the_weight() {
        let retrieval = Retrieval::new((0..3).map(|i| Ok((lit(0.9), turned(0.1 * f64::from(i)))))).unwrap();
        let found = retrieval.interpolated(&lit(0.5), 3).unwrap();
        assert!((found.translation.x - 0.1).abs() < 1e-6, "{found:?}");
        let flat = RgbImage::new(20, 15);
        assert_eq!(thumbnail(&flat).unwrap(), Thumbnail::zeros());
    }

    #[test]
    fn unusable_input_is_named() {
        let text = |result: Result<Retrieval>| result.unwrap_err().to_string();
        assert_eq!(text(Retrieval::new([])), "retrieval baseline: expected at least one training image, found none");
        let small = Retrieval::new([Ok((RgbImage::new(19, 15), Se3::identity()))]);
        assert_eq!(text(small), "image for retrieval: expected at least 20x15 pixels, found 19x15");
        let one = Retrieval::new([Ok((lit(0.5), Se3::identity()))]).unwrap();
        let none = one.interpolated(&lit(0.5), 0).unwrap_err().to_string();
        assert_eq!(none, "interpolation of retrieved poses: no weights for 0 images");
        assert_eq!(nearest_pose(&[], Se3::identity()), None);
    }
}
