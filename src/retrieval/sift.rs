//! SIFT descriptors on a grid, upright, at one scale.
//!
//! D. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004, section 6, without keypoints: each
//! place of the grid has 4x4 bins of `bin_size` pixels with 8 orientations each. Every pixel's gradient is shared
//! linearly between the neighbouring bins and weighted by a Gaussian of two bins around the place. Since the orientation
//! is fixed (Torii et al. 2015), share and Gaussian are products of a function of the row and one of the column, so the
//! histograms are two passes of short filters, and only at the places of the grid. The result is OpenCV's descriptor of
//! a keypoint of size `2/3 bin_size` and angle 0, without its rounding to bytes.

use super::{Grey, normalize};

/// Numbers of a descriptor: 4 rows of 4 bins with 8 orientations, of which the first is along x, the third upwards.
pub const SIFT_LENGTH: usize = BINS * BINS * ORIENTATIONS;
const BINS: usize = 4;
const ORIENTATIONS: usize = 8;
/// No number of a descriptor is larger before it is normalized for the last time: strong edges must not be all.
const LARGEST: f32 = 0.2;

/// The descriptors of a grid, row by row.
#[derive(Clone, Debug, Default)]
pub struct SiftGrid {
    /// The columns of the grid in the image, pixels.
    pub columns: Vec<usize>,
    /// The rows of the grid in the image, pixels.
    pub rows: Vec<usize>,
    /// [`SIFT_LENGTH`] numbers per place, of length 1; all zeros where there is no gradient.
    pub descriptors: Vec<f32>,
    /// Mean length of the gradient under each place's window, luma (0 to 1) per pixel.
    pub gradients: Vec<f32>,
}

/// One filter: the offset of its first weight from the place of the grid, pixels, and its weights.
struct Filter {
    first: isize,
    weights: Vec<f32>,
}

/// The descriptors at every `step`-th pixel whose window lies in the image; an empty grid when it lies in it nowhere.
pub fn dense_sift(image: &Grey, bin_size: usize, step: usize) -> SiftGrid {
    let filters = filters(bin_size.max(1));
    // The outermost pixels have no gradient.
    let margin = 1 - filters[0].first;
    let places = |size: usize| -> Vec<usize> {
        (margin..size as isize - margin).step_by(step.max(1)).map(|place| place as usize).collect()
    };
    let (columns, rows) = (places(image.width()), places(image.height()));
    if columns.is_empty() || rows.is_empty() {
        return SiftGrid::default();
    }
    let stride = image.width() * ORIENTATIONS;
    let gradients = oriented_gradients(image);
    let mut grid = SiftGrid { columns, rows, ..SiftGrid::default() };
    grid.descriptors.reserve_exact(grid.columns.len() * grid.rows.len() * SIFT_LENGTH);
    let window: f32 = filters.iter().flat_map(|filter| &filter.weights).sum();
    let mut lines = vec![0.0; BINS * stride];
    for row in &grid.rows {
        for (line, filter) in lines.chunks_exact_mut(stride).zip(&filters) {
            filter_rows(&gradients, stride, *row as isize + filter.first, &filter.weights, line);
        }
        for column in &grid.columns {
            let mut descriptor = [0.0; SIFT_LENGTH];
            for (line, bins) in lines.chunks_exact(stride).zip(descriptor.chunks_exact_mut(BINS * ORIENTATIONS)) {
                for (bin, filter) in bins.chunks_exact_mut(ORIENTATIONS).zip(&filters) {
                    let start = (*column as isize + filter.first) as usize * ORIENTATIONS;
                    filter_columns(&line[start..], &filter.weights, bin);
                }
            }
            // Gradients are differences over two pixels.
            grid.gradients.push(0.5 * descriptor.iter().sum::<f32>() / (window * window));
            finish(&mut descriptor);
            grid.descriptors.extend_from_slice(&descriptor);
        }
    }
    grid
}

/// RootSIFT: the square roots of a descriptor that sums to 1, whose Euclidean distance is the Hellinger distance of the
/// histograms (R. Arandjelović and A. Zisserman, "Three things everyone should know to improve object retrieval", CVPR
/// 2012, section 2). Its length is 1 again.
pub fn root_sift(descriptor: &mut [f32]) {
    let sum: f32 = descriptor.iter().sum();
    let scale = if sum > f32::MIN_POSITIVE { sum.recip() } else { 0.0 };
    descriptor.iter_mut().for_each(|value| *value = (*value * scale).sqrt());
}

/// For each of the four bins of an axis: a triangle as wide as two bins around its middle, times the Gaussian around the
/// place.
fn filters(bin_size: usize) -> [Filter; BINS] {
    let size = bin_size as f32;
    std::array::from_fn(|bin| {
        let middle = size * (bin as f32 - 1.5);
        let first = (middle - size).floor() as isize + 1;
        let last = (middle + size).ceil() as isize - 1;
        let weight = |offset: isize| {
            let offset = offset as f32;
            (1.0 - (offset - middle).abs() / size) * (-0.5 * (offset / (2.0 * size)).powi(2)).exp()
        };
        Filter { first, weights: (first..=last).map(weight).collect() }
    })
}

/// For every pixel the length of its gradient, shared between the two nearest of [`ORIENTATIONS`]; the border has none.
fn oriented_gradients(image: &Grey) -> Vec<f32> {
    let (width, height, values) = (image.width(), image.height(), image.values());
    let mut gradients = vec![0.0; width * height * ORIENTATIONS];
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let right = values[at + 1] - values[at - 1];
            let up = values[at - width] - values[at + width];
            let length = right.hypot(up);
            let place = up.atan2(right).rem_euclid(std::f32::consts::TAU) * (8.0 / std::f32::consts::TAU);
            let share = place - place.floor();
            let lower = place as usize % ORIENTATIONS;
            let pixel = &mut gradients[ORIENTATIONS * at..][..ORIENTATIONS];
            pixel[lower] += (1.0 - share) * length;
            pixel[(lower + 1) % ORIENTATIONS] += share * length;
        }
    }
    gradients
}

/// The weighted sum of the rows from `first` on.
fn filter_rows(gradients: &[f32], stride: usize, first: isize, weights: &[f32], line: &mut [f32]) {
    line.fill(0.0);
    for (weight, row) in weights.iter().zip(gradients[first as usize * stride..].chunks_exact(stride)) {
        line.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
    }
}

/// The weighted sum of the pixels of a line.
fn filter_columns(line: &[f32], weights: &[f32], bin: &mut [f32]) {
    let mut sums = [0.0; ORIENTATIONS];
    for (weight, pixel) in weights.iter().zip(line.chunks_exact(ORIENTATIONS)) {
        sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * value);
    }
    bin.copy_from_slice(&sums);
}

/// Length 1, no number above [`LARGEST`], length 1 again.
fn finish(descriptor: &mut [f32]) {
    normalize(descriptor);
    descriptor.iter_mut().for_each(|value| *value = value.min(LARGEST));
    normalize(descriptor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    /// Brighter by `slope` grey levels per pixel, to the right and downwards.
    fn ramp(slope: [u32; 2]) -> Grey {
        Grey::new(&RgbImage::from_fn(40, 36, |x, y| Rgb([(slope[0] * x + slope[1] * y) as u8; 3])))
    }

    #[test]
    fn a_ramp_has_one_orientation_and_its_slope() {
        for (slope, orientation) in [([3, 0], 0), ([0, 3], 6), ([2, 2], 7)] {
            let grid = dense_sift(&ramp(slope), 4, 5);
            assert_eq!(
                (grid.columns.as_slice(), grid.rows.as_slice()),
                ([10, 15, 20, 25].as_slice(), [10, 15, 20, 25].as_slice())
            );
            let steepness = f64::from(slope[0]).hypot(f64::from(slope[1])) as f32 / 255.0;
            assert!(grid.gradients.iter().all(|gradient| (gradient / steepness - 1.0).abs() < 1e-3), "{slope:?}");
            for (index, value) in grid.descriptors.iter().enumerate() {
                assert!((*value > 1e-3) == (index % 8 == orientation), "{slope:?}: {value} at {index}");
            }
        }
    }

    #[test]
    fn descriptors_have_length_one_before_and_after_the_root() {
        let speckled = RgbImage::from_fn(64, 48, |x, y| Rgb([(x * x * 7 + y * y * 5 + 3 * x * y) as u8; 3]));
        let mut grid = dense_sift(&Grey::new(&speckled), 6, 4);
        assert_eq!(grid.descriptors.len(), grid.columns.len() * grid.rows.len() * SIFT_LENGTH);
        for descriptor in grid.descriptors.chunks_exact_mut(SIFT_LENGTH) {
            let length = |descriptor: &[f32]| descriptor.iter().map(|value| value * value).sum::<f32>();
            assert!((length(descriptor) - 1.0).abs() < 1e-5);
            let before = descriptor.to_vec();
            root_sift(descriptor);
            assert!((length(descriptor) - 1.0).abs() < 1e-5);
            let ratio = descriptor[5] * descriptor[5] / descriptor[70].powi(2);
            assert!((ratio / (before[5] / before[70]) - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn without_gradient_or_room_there_is_nothing() {
        let flat = dense_sift(&ramp([0, 0]), 4, 8);
        assert!(
            !flat.descriptors.is_empty() && flat.descriptors.iter().chain(&flat.gradients).all(|value| *value == 0.0)
        );
        let mut zeros = [0.0; SIFT_LENGTH];
        root_sift(&mut zeros);
        assert_eq!(zeros, [0.0; SIFT_LENGTH]);
        assert!(dense_sift(&ramp([1, 1]), 8, 4).descriptors.is_empty());
        assert!(dense_sift(&Grey::new(&RgbImage::new(1, 1)), 1, 1).descriptors.is_empty());
    }
}
