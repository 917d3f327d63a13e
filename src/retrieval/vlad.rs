//! VLAD: many local descriptors as one vector.
//!
//! H. Jégou, M. Douze, C. Schmid and P. Pérez, "Aggregating local descriptors into a compact image representation",
//! CVPR 2010, section 3: the sum, for each word of a vocabulary, of the differences between the descriptors nearest to
//! it and the word. Each word's sum is brought to length 1, then the whole vector (intra-normalization: R. Arandjelović
//! and A. Zisserman, "All about VLAD", CVPR 2013, section 3.1), so that a repeated texture does not outshout the rest.

use nalgebra::{DMatrix, DMatrixView};

use super::kmeans::nearest_centres;
use super::normalize;

/// Visual words: the centres of a k-means of local descriptors.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: DMatrix<f32>,
}

impl Vocabulary {
    /// The vocabulary of these words, one column each.
    pub fn new(words: DMatrix<f32>) -> Self {
        Self { words }
    }

    /// Numbers of a VLAD: words times the length of a word.
    pub fn vlad_length(&self) -> usize {
        self.words.len()
    }

    /// The VLAD of local descriptors (one column each, as long as a word), word by word; all zeros when there are none.
    pub fn vlad(&self, descriptors: DMatrixView<f32>) -> Vec<f32> {
        let mut sums = DMatrix::<f32>::zeros(self.words.nrows(), self.words.ncols());
        if self.words.is_empty() {
            return Vec::new();
        }
        for (descriptor, (word, _)) in descriptors.column_iter().zip(nearest_centres(descriptors, &self.words)) {
            let mut sum = sums.column_mut(word);
            sum += descriptor - self.words.column(word);
        }
        let mut vlad = sums.as_slice().to_vec();
        vlad.chunks_exact_mut(self.words.nrows()).for_each(|word| {
            normalize(word);
        });
        normalize(&mut vlad);
        vlad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_vlad_is_what_the_hand_computes() {
        // Words (0, 0) and (10, 0), and (0, 10), to which nothing is near.
        let vocabulary = Vocabulary::new(DMatrix::from_column_slice(2, 3, &[0.0, 0.0, 10.0, 0.0, 0.0, 10.0]));
        // Near the first: (1, 2) and (2, 2), sum (3, 4), length 5. Near the second: (10, -2), difference (0, -2).
        let descriptors = DMatrix::from_column_slice(2, 3, &[1.0, 2.0, 10.0, -2.0, 2.0, 2.0]);
        let vlad = vocabulary.vlad(descriptors.as_view());
        let half = 0.5_f32.sqrt();
        let expected = [0.6 * half, 0.8 * half, 0.0, -half, 0.0, 0.0];
        assert!(vlad.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{vlad:?}");
        assert_eq!(vocabulary.vlad_length(), 6);
    }

    #[test]
    fn nothing_becomes_zeros() {
        let vocabulary = Vocabulary::new(DMatrix::from_column_slice(2, 2, &[0.0, 0.0, 10.0, 0.0]));
        assert_eq!(vocabulary.vlad(DMatrix::zeros(2, 0).as_view()), [0.0; 4]);
        assert_eq!(vocabulary.vlad(DMatrix::from_column_slice(2, 1, &[10.0, 0.0]).as_view()), [0.0; 4]);
    }
}
