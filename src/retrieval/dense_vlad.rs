//! DenseVLAD: an image as the whitened VLAD of its dense RootSIFT descriptors.
//!
//! A. Torii, R. Arandjelović, J. Sivic, M. Okutomi and T. Pajdla, "24/7 place recognition by view synthesis", CVPR 2015,
//! section 3.1: upright RootSIFT on a grid in regions of 16, 24, 32 and 40 pixels, VLAD over 128 words with
//! intra-normalization, PCA with whitening, length 1. It is the retrieval baseline of Sattler et al. 2019. The way is
//! resize -> [`dense_sift`] -> [`root_sift`] -> [`Vocabulary::vlad`] -> [`Whitening::apply`].
//!
//! Where this differs from the paper: vocabulary and whitening are learned from the training images of the place itself,
//! so that nothing needs to be downloaded; images have 320 and not 640 columns and the grid has a step of 4 and not of
//! 2 pixels, for a sixteenth of the descriptors; and there are 128 components and not 4096, because a thousand images
//! span no more directions than that, and whitening makes the weakest ones, which are noise, as strong as the others.

use image::RgbImage;
use nalgebra::{DMatrix, DMatrixView};
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::{Descriptor, Grey, Images, KMeans, SIFT_LENGTH, Vocabulary, Whitening, dense_sift, root_sift};
use crate::vision::resize;
use crate::{Error, Result};

/// Descriptors of each image of the vocabulary, chosen at random.
const DESCRIPTORS_PER_IMAGE: usize = 400;
/// Training images that the whitening is learned from, evenly chosen.
const WHITENING_IMAGES: usize = 1024;
/// A component needs the evidence of so many images, or whitening blows up noise.
const IMAGES_PER_COMPONENT: usize = 4;
/// Below so many components VLADs are left as they are.
const FEWEST_COMPONENTS: usize = 16;
/// A place with less gradient (luma 0 to 1 per pixel) shows nothing, as in VLFeat's `vl_phow`.
const FLAT: f32 = 0.005;
/// The standard deviation of the blur that an image is taken to have, pixels (Lowe 2004, section 3.3).
const NATIVE_BLUR: f32 = 0.5;

/// The choices of a [`DenseVlad`].
#[derive(Clone, Debug, PartialEq)]
pub struct DenseVladSettings {
    /// Larger images are reduced to this longest side, pixels.
    pub longest_side: u32,
    /// Sides of a SIFT bin, pixels; a descriptor covers four by four.
    pub bin_sizes: Vec<usize>,
    /// Pixels from one descriptor to the next.
    pub step: usize,
    /// Words of the vocabulary.
    pub words: usize,
    /// Components that are kept: at most a quarter of the number of training images. Fewer than 64 training images are
    /// not whitened at all. The number matters little: on the validation blocks of 7-Scenes *redkitchen* the nearest
    /// image is 0.17 to 0.18 m away (median) with any from 32 to 175.
    pub dimension: usize,
    /// Seed of the vocabulary.
    pub seed: u64,
}

impl Default for DenseVladSettings {
    fn default() -> Self {
        Self { longest_side: 320, bin_sizes: vec![4, 6, 8, 10], step: 4, words: 128, dimension: 128, seed: 1 }
    }
}

/// A fitted DenseVLAD.
#[derive(Clone, Debug)]
pub struct DenseVlad {
    settings: DenseVladSettings,
    vocabulary: Vocabulary,
    whitening: Option<Whitening>,
}

impl DenseVlad {
    /// The most training images that the vocabulary is learned from, evenly chosen.
    pub const VOCABULARY_IMAGES: usize = 128;

    /// Learns vocabulary and whitening from `count` training images and describes them. Every image is asked for once,
    /// up to [`DenseVlad::VOCABULARY_IMAGES`] of them twice. The same images and settings give the same numbers, on
    /// any number of threads.
    ///
    /// # Errors
    /// An error of `images`; [`Error::Message`] for a too small image, for no image at all, and for images without any
    /// texture; [`Error::Config`] for settings of which one is zero.
    pub fn fit(images: &Images, count: usize, settings: DenseVladSettings) -> Result<(Self, Vec<Vec<f32>>)> {
        settings.check()?;
        let vocabulary = learn_vocabulary(images, count, &settings)?;
        let mut fitted = Self { settings, vocabulary, whitening: None };
        let components = fitted.settings.dimension.min(count / IMAGES_PER_COMPONENT);
        if components < FEWEST_COMPONENTS.min(fitted.settings.dimension) {
            let vectors = super::describe_all(&fitted, images, count)?;
            return Ok((fitted, vectors));
        }
        let sample = evenly(count, WHITENING_IMAGES);
        let vlads: Vec<Vec<f32>> =
            sample.par_iter().map(|place| fitted.vlad(&images(*place)?)).collect::<Result<_>>()?;
        let length = fitted.vocabulary.vlad_length();
        let columns = DMatrix::from_iterator(length, vlads.len(), vlads.iter().flatten().copied());
        let whitening = Whitening::fit(columns, components)?;
        let describe = |place: usize| match sample.binary_search(&place) {
            Ok(sampled) => Ok(whitening.apply(&vlads[sampled])),
            Err(_) => Ok(whitening.apply(&fitted.vlad(&images(place)?)?)),
        };
        let vectors = (0..count).into_par_iter().map(describe).collect::<Result<_>>()?;
        fitted.whitening = Some(whitening);
        Ok((fitted, vectors))
    }

    /// Numbers of a vector.
    pub fn dimension(&self) -> usize {
        self.whitening.as_ref().map_or_else(|| self.vocabulary.vlad_length(), Whitening::dimension)
    }

    fn vlad(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let descriptors = local_descriptors(image, &self.settings)?;
        Ok(self.vocabulary.vlad(as_columns(&descriptors)))
    }
}

impl Descriptor for DenseVlad {
    fn describe(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let vlad = self.vlad(image)?;
        Ok(self.whitening.as_ref().map_or_else(|| vlad.clone(), |whitening| whitening.apply(&vlad)))
    }
}

impl DenseVladSettings {
    fn check(&self) -> Result<()> {
        let sizes = [self.longest_side as usize, self.step, self.words, self.dimension];
        let usable = !self.bin_sizes.is_empty() && sizes.iter().chain(&self.bin_sizes).all(|size| *size > 0);
        if usable {
            Ok(())
        } else {
            Err(Error::config("DenseVLAD", "sizes and counts above zero", format!("{self:?}")))
        }
    }
}

/// Clusters of descriptors from all over the training images.
fn learn_vocabulary(images: &Images, count: usize, settings: &DenseVladSettings) -> Result<Vocabulary> {
    let chosen = |place: &usize| {
        let descriptors = local_descriptors(&images(*place)?, settings)?;
        let available = descriptors.len() / SIFT_LENGTH;
        let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
        random.set_stream(*place as u64 + 1);
        let indices = index::sample(&mut random, available, available.min(DESCRIPTORS_PER_IMAGE));
        Ok(indices.iter().flat_map(|index| descriptors[index * SIFT_LENGTH..][..SIFT_LENGTH].to_vec()).collect())
    };
    let pieces: Vec<Vec<f32>> =
        evenly(count, DenseVlad::VOCABULARY_IMAGES).par_iter().map(chosen).collect::<Result<_>>()?;
    let descriptors = pieces.concat();
    if descriptors.is_empty() {
        let found = format!("{count} without any gradient");
        return Err(Error::message("DenseVLAD", "training images that show something", found));
    }
    let words = KMeans::fit(&as_columns(&descriptors).clone_owned(), settings.words, settings.seed).centres;
    Ok(Vocabulary::new(words))
}

/// RootSIFT at every scale, one after the other: [`SIFT_LENGTH`] numbers each. Places that show nothing are left out.
fn local_descriptors(image: &RgbImage, settings: &DenseVladSettings) -> Result<Vec<f32>> {
    let grey = Grey::new(&reduced(image, settings.longest_side)?);
    let mut descriptors = Vec::new();
    let mut places = 0;
    for &bin_size in &settings.bin_sizes {
        // A sixth of a bin of blur in all, as in `vl_phow`.
        let blur = ((bin_size as f32 / 6.0).powi(2) - NATIVE_BLUR.powi(2)).max(0.0).sqrt();
        let grid = dense_sift(&grey.blurred(blur), bin_size, settings.step);
        places += grid.gradients.len();
        for (descriptor, gradient) in grid.descriptors.chunks_exact(SIFT_LENGTH).zip(&grid.gradients) {
            if *gradient >= FLAT {
                descriptors.extend_from_slice(descriptor);
            }
        }
    }
    if places == 0 {
        // Five bins, and a pixel on either side for the gradient.
        let smallest = settings.bin_sizes.iter().min().unwrap_or(&0);
        let least = 5 * smallest + 1 + smallest % 2;
        let found = format!("{}x{}, used as {}x{}", image.width(), image.height(), grey.width(), grey.height());
        return Err(Error::message("image for DenseVLAD", format!("at least {least}x{least} pixels"), found));
    }
    descriptors.chunks_exact_mut(SIFT_LENGTH).for_each(root_sift);
    Ok(descriptors)
}

fn reduced(image: &RgbImage, longest_side: u32) -> Result<RgbImage> {
    let (width, height) = image.dimensions();
    let ratio = f64::from(longest_side) / f64::from(width.max(height));
    if ratio >= 1.0 {
        return Ok(image.clone());
    }
    let shrunk = |size: u32| ((f64::from(size) * ratio).round() as u32).max(1);
    resize(image, shrunk(width), shrunk(height))
}

/// One descriptor per column.
fn as_columns(descriptors: &[f32]) -> DMatrixView<'_, f32> {
    DMatrixView::from_slice(descriptors, SIFT_LENGTH, descriptors.len() / SIFT_LENGTH)
}

/// At most `most` of `0..count`, evenly spread, in their order.
fn evenly(count: usize, most: usize) -> Vec<usize> {
    let chosen = count.min(most);
    (0..chosen).map(|place| place * count / chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_evenly() {
        assert_eq!(evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly(3, 9), [0, 1, 2]);
        assert_eq!(evenly(0, 9), [0; 0]);
    }

    #[test]
    fn unusable_input_is_named() {
        let settings = DenseVladSettings::default();
        let fit = |image: RgbImage, settings: &DenseVladSettings| {
            DenseVlad::fit(&move |_| Ok(image.clone()), 3, settings.clone()).unwrap_err().to_string()
        };
        let small = "image for DenseVLAD: expected at least 21x21 pixels, found 40x20, used as 40x20";
        assert_eq!(fit(RgbImage::new(40, 20), &settings), small);
        let wide = fit(RgbImage::new(1280, 80), &settings);
        assert!(wide.ends_with("found 1280x80, used as 320x20"), "{wide}");
        let flat = "DenseVLAD: expected training images that show something, found 3 without any gradient";
        assert_eq!(fit(RgbImage::new(40, 40), &settings), flat);
        let none = DenseVlad::fit(&|_| Ok(RgbImage::new(40, 40)), 0, settings.clone()).unwrap_err().to_string();
        assert!(none.ends_with("found 0 without any gradient"), "{none}");
        let text = fit(RgbImage::new(40, 40), &DenseVladSettings { words: 0, ..settings });
        assert!(text.starts_with("parameter DenseVLAD: expected sizes and counts above zero, found"), "{text}");
    }
}
