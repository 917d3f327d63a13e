//! The training images as retrieval knows them: a vector and a pose each.

use nalgebra::DVector;

use super::interpolation::{RIDGE, affine_weights, combine};
use crate::geometry::Se3;
use crate::{Error, Result};

/// Vectors of training images with their poses (`map_from_camera`), searched one by one.
#[derive(Clone, Debug)]
pub struct Index {
    vectors: Vec<Vec<f32>>,
    poses: Vec<Se3>,
}

/// A training image and how far its vector is from a query's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The image's place among the training images.
    pub index: usize,
    /// Euclidean distance of the vectors.
    pub distance: f64,
}

impl Index {
    /// The training images by their vectors, whoever made them, and their poses.
    ///
    /// # Errors
    /// [`Error::Message`] when there is none, a vector has no pose, a length of its own or a number that is not finite.
    pub fn new(vectors: Vec<Vec<f32>>, poses: Vec<Se3>) -> Result<Self> {
        let refuse = |expected: &str, found: String| Err(Error::message("retrieval baseline", expected, found));
        let Some(first) = vectors.first() else {
            return refuse("at least one training image", "none".into());
        };
        if vectors.len() != poses.len() {
            return refuse("one pose per vector", format!("{} vectors and {} poses", vectors.len(), poses.len()));
        }
        for (place, vector) in vectors.iter().enumerate() {
            if vector.len() != first.len() || vector.is_empty() {
                let found = format!("{} numbers at place {place}, {} at place 0", vector.len(), first.len());
                return refuse("vectors of one length, above zero", found);
            }
            if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
                return refuse("vectors of finite numbers", format!("{value} at place {place}"));
            }
        }
        Ok(Self { vectors, poses })
    }

    /// The poses of the training images, in the order in which they were given.
    pub fn poses(&self) -> &[Se3] {
        &self.poses
    }

    /// The `k` most similar training images (all, when there are fewer), the nearest first; of equal ones, the earlier.
    ///
    /// # Errors
    /// [`Error::Message`] when the query has another length than the training vectors or is not finite.
    pub fn neighbours(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>> {
        let length = self.vectors[0].len();
        if query.len() != length || query.iter().any(|value| !value.is_finite()) {
            let expected = format!("{length} finite numbers, as the training images have");
            return Err(Error::message("vector for retrieval", expected, format!("{} numbers", query.len())));
        }
        let squared_distance = |vector: &Vec<f32>| {
            vector.iter().zip(query).map(|(known, asked)| f64::from(known - asked).powi(2)).sum::<f64>()
        };
        let mut neighbours: Vec<Neighbour> = (0..)
            .zip(&self.vectors)
            .map(|(index, vector)| Neighbour { index, distance: squared_distance(vector).sqrt() })
            .collect();
        neighbours.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        neighbours.truncate(k);
        Ok(neighbours)
    }

    /// The pose (`map_from_camera`) of the most similar training image.
    ///
    /// # Errors
    /// As [`Index::neighbours`].
    pub fn nearest(&self, query: &[f32]) -> Result<Se3> {
        let nearest = self.neighbours(query, 1)?;
        Ok(self.poses[nearest[0].index])
    }

    /// The affine combination of the poses of the `k` most similar training images (all, when there are fewer) whose
    /// vectors, combined so, come nearest to the query (Sattler et al. 2019, section 5).
    ///
    /// # Errors
    /// As [`Index::neighbours`]; [`Error::Compute`] when `k` is 0, or the combined rotation vanishes.
    pub fn interpolated(&self, query: &[f32], k: usize) -> Result<Se3> {
        let neighbours = self.neighbours(query, k)?;
        let offset = |neighbour: &Neighbour| {
            let pairs = self.vectors[neighbour.index].iter().zip(query);
            DVector::from_iterator(query.len(), pairs.map(|(known, asked)| f64::from(known - asked)))
        };
        let weights = affine_weights(&neighbours.iter().map(offset).collect::<Vec<_>>(), RIDGE)?;
        combine(neighbours.iter().map(|neighbour| self.poses[neighbour.index]).zip(weights))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;
    use crate::retrieval::{Descriptor, Thumbnail};
    use image::{Rgb, RgbImage};
    use nalgebra::Vector3;

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

    fn vector(image: &RgbImage) -> Vec<f32> {
        Thumbnail.describe(image).unwrap()
    }

    fn index(images: &[(RgbImage, f64)]) -> Index {
        let poses = images.iter().map(|(_, angle)| turned(*angle)).collect();
        Index::new(images.iter().map(|(image, _)| vector(image)).collect(), poses).unwrap()
    }

    #[test]
    fn the_nearest_image_is_found_in_any_light() {
        let index = index(&[(lit(0.9), 0.1), (lit(0.1), 0.2)]);
        assert_eq!(index.nearest(&vector(&lit(0.8))).unwrap(), turned(0.1));
        assert_eq!(index.nearest(&vector(&lit(0.3))).unwrap(), turned(0.2));
        let both = index.neighbours(&vector(&lit(0.1)), 5).unwrap();
        assert_eq!(both.iter().map(|neighbour| neighbour.index).collect::<Vec<_>>(), [1, 0]);
        assert!(both[0].distance == 0.0 && (both[1].distance - 2.0).abs() < 0.01, "{both:?}");
    }

    #[test]
    fn weights_reproduce_a_query_between_two_images() {
        let index = index(&[(mixed([1.0, 0.0]), 0.0), (mixed([0.0, 1.0]), 1.0)]);
        let middle = index.interpolated(&vector(&mixed([0.5, 0.5])), 2).unwrap();
        assert!(middle.translation.x > 0.3 && middle.translation.x < 0.7, "{middle:?}");
        assert!((middle.rotation.angle() - middle.translation.x).abs() < 0.02);
        let known = index.interpolated(&vector(&mixed([1.0, 0.0])), 25).unwrap();
        assert!(known.local(turned(0.0)).norm() < 1e-6);
        assert_eq!(index.interpolated(&vector(&mixed([0.2, 0.8])), 1).unwrap(), turned(1.0));
    }

    #[test]
    fn equal_training_images_share_the_weight() {
        let index = index(&[(lit(0.9), 0.0), (lit(0.9), 0.1), (lit(0.9), 0.2)]);
        let found = index.interpolated(&vector(&lit(0.5)), 3).unwrap();
        assert!((found.translation.x - 0.1).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn unusable_input_is_named() {
        let text = |vectors: &[&[f32]], poses| {
            let vectors = vectors.iter().map(|vector| vector.to_vec()).collect();
            Index::new(vectors, vec![Se3::identity(); poses]).unwrap_err().to_string()
        };
        assert_eq!(text(&[], 0), "retrieval baseline: expected at least one training image, found none");
        let lost = "retrieval baseline: expected one pose per vector, found 1 vectors and 2 poses";
        assert_eq!(text(&[&[1.0]], 2), lost);
        assert!(text(&[&[1.0], &[1.0, 0.0]], 2).ends_with("found 2 numbers at place 1, 1 at place 0"));
        assert!(text(&[&[1.0], &[f32::NAN]], 2).ends_with("found NaN at place 1"));
        let one = index(&[(lit(0.5), 0.0)]);
        let none = one.interpolated(&vector(&lit(0.5)), 0).unwrap_err().to_string();
        assert_eq!(none, "interpolation of retrieved poses: no weights for 0 images");
        let short = one.nearest(&[1.0]).unwrap_err().to_string();
        assert!(
            short.ends_with("expected 300 finite numbers, as the training images have, found 1 numbers"),
            "{short}"
        );
        assert_eq!(nearest_pose(&[], Se3::identity()), None);
    }
}
