//! Image retrieval: what the most similar training images already know about the pose of a new one.
//!
//! These are the baselines that a pose regressor must beat (T. Sattler, Q. Zhou, M. Pollefeys and L. Leal-Taixé,
//! "Understanding the limitations of CNN-based absolute camera pose regression", CVPR 2019, section 5). A [`Descriptor`]
//! makes a unit vector of an image; the [`Index`] holds the vectors and poses of the training images and answers with
//! the nearest of them, or with an interpolated pose. Descriptors:
//!
//! - [`Thumbnail`]: the image itself, 20x15 grey pixels; needs no training and takes no time.
//! - [`DenseVlad`]: dense RootSIFT, VLAD, whitening (Torii et al. 2015), fitted on the training images.
//! - any other vectors, such as the embedding of a network: [`Index::new`] takes them as they are.
//!
//! [`nearest_pose`] is an oracle, not a method: it is told the true pose, and bounds what retrieval without
//! interpolation could reach. Nothing here knows tensors, datasets or ROS.

mod dense_vlad;
mod grey;
mod index;
mod interpolation;
mod kmeans;
mod sift;
mod thumbnail;
mod vlad;
mod whitening;

use image::RgbImage;
use rayon::prelude::*;

use crate::Result;

pub use dense_vlad::{DenseVlad, DenseVladSettings};
pub use grey::Grey;
pub use index::{Index, Neighbour, nearest, nearest_pose};
#[cfg(feature = "torch")]
pub(crate) use interpolation::affine_weights;
pub use kmeans::KMeans;
pub use sift::{SIFT_LENGTH, SiftGrid, dense_sift, root_sift};
pub use thumbnail::Thumbnail;
pub use vlad::Vocabulary;
pub use whitening::Whitening;

/// A way to make a vector of an image, such that similar places have near vectors.
pub trait Descriptor: Send + Sync {
    /// A vector of length 1, or all zeros for an image that shows nothing. All vectors of a descriptor have as many
    /// numbers.
    ///
    /// # Errors
    /// When the image is too small.
    fn describe(&self, image: &RgbImage) -> Result<Vec<f32>>;
}

/// Images by their place in `0..count`: asked for by several threads, in any order, perhaps more than once.
pub type Images<'a> = dyn Fn(usize) -> Result<RgbImage> + Sync + 'a;

/// The vectors of `count` images, in their order; each image is dropped once its vector is made.
///
/// # Errors
/// An error of `images`, or a too small image.
pub fn describe_all(descriptor: &dyn Descriptor, images: &Images, count: usize) -> Result<Vec<Vec<f32>>> {
    (0..count).into_par_iter().map(|place| descriptor.describe(&images(place)?)).collect()
}

/// `vector / |vector|`; all zeros for a vector without a length.
fn normalized(mut vector: Vec<f32>) -> Vec<f32> {
    normalize(&mut vector);
    vector
}

/// Brings a vector to length 1 and returns its former length; a vector without a length becomes all zeros.
fn normalize(vector: &mut [f32]) -> f32 {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    let scale = if norm > f32::MIN_POSITIVE { norm.recip() } else { 0.0 };
    vector.iter_mut().for_each(|value| *value *= scale);
    norm
}
