//! k-means: Lloyd's iterations from a k-means++ start.
//!
//! D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007. The work is cut into pieces
//! of a fixed size whose results are summed in their order: the answer does not depend on the number of threads.

use nalgebra::{DMatrix, DMatrixView};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

/// Points of one piece of work.
const PIECE: usize = 2048;
/// Iterations end when the inertia falls by less than this share.
const CONVERGED: f64 = 1e-4;
const MOST_ITERATIONS: usize = 50;

/// Clusters of points.
#[derive(Clone, Debug)]
pub struct KMeans {
    /// One column per centre.
    pub centres: DMatrix<f32>,
    /// Sum of squared distances of the points to their nearest centres, before each iteration's move of the centres.
    pub inertia: Vec<f64>,
}

impl KMeans {
    /// Clusters points (one column each) around `count` centres; fewer when there are fewer different points. The same
    /// seed gives the same centres.
    pub fn fit(points: &DMatrix<f32>, count: usize, seed: u64) -> Self {
        let mut centres = spread_centres(points, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let mut inertia: Vec<f64> = Vec::new();
        while inertia.len() < MOST_ITERATIONS && centres.ncols() > 0 {
            let (means, sum) = means(points, &centres);
            let has_converged = inertia.last().is_some_and(|last| sum > (1.0 - CONVERGED) * last);
            inertia.push(sum);
            if has_converged {
                break;
            }
            centres = means;
        }
        Self { centres, inertia }
    }
}

/// For every point (a column) the nearest centre (a column) and the squared distance to it; of equal ones, the first.
pub(super) fn nearest_centres(points: DMatrixView<f32>, centres: &DMatrix<f32>) -> Vec<(usize, f32)> {
    // |x - c|² = |x|² - 2 (x·c - |c|²/2)
    let half_squares: Vec<f32> = centres.column_iter().map(|centre| 0.5 * centre.norm_squared()).collect();
    let products = centres.transpose() * points;
    let nearest = |(products, point): (nalgebra::DVectorView<f32>, nalgebra::DVectorView<f32>)| {
        let mut best = (0, f32::NEG_INFINITY);
        for (index, (product, half_square)) in products.iter().zip(&half_squares).enumerate() {
            if product - half_square > best.1 {
                best = (index, product - half_square);
            }
        }
        (best.0, (point.norm_squared() - 2.0 * best.1).max(0.0))
    };
    products.column_iter().zip(points.column_iter()).map(nearest).collect()
}

/// The means of the points that are nearest to each centre (where there are none, the centre), and the inertia.
fn means(points: &DMatrix<f32>, centres: &DMatrix<f32>) -> (DMatrix<f32>, f64) {
    let pieces: Vec<_> = starts(points)
        .map(|(start, length)| {
            let piece = points.columns(start, length);
            let nearest = nearest_centres(piece.as_view(), centres);
            let mut sums = DMatrix::<f32>::zeros(centres.nrows(), centres.ncols());
            let mut counts = vec![0_u32; centres.ncols()];
            for (point, (centre, _)) in piece.column_iter().zip(&nearest) {
                counts[*centre] += 1;
                let mut sum = sums.column_mut(*centre);
                sum += point;
            }
            let inertia: f64 = nearest.iter().map(|(_, squared)| f64::from(*squared)).sum();
            (sums, counts, inertia)
        })
        .collect();
    let mut sums = DMatrix::<f64>::zeros(centres.nrows(), centres.ncols());
    let (mut counts, mut inertia) = (vec![0_u32; centres.ncols()], 0.0);
    for (piece, piece_counts, piece_inertia) in &pieces {
        sums.zip_apply(piece, |sum, value| *sum += f64::from(value));
        counts.iter_mut().zip(piece_counts).for_each(|(count, more)| *count += more);
        inertia += piece_inertia;
    }
    let mean = |row: usize, column: usize| match counts[column] {
        0 => centres[(row, column)],
        count => (sums[(row, column)] / f64::from(count)) as f32,
    };
    (DMatrix::from_fn(centres.nrows(), centres.ncols(), mean), inertia)
}

/// The pieces of work: first point and number of points.
fn starts(points: &DMatrix<f32>) -> impl IndexedParallelIterator<Item = (usize, usize)> + use<> {
    let count = points.ncols();
    (0..count.div_ceil(PIECE)).into_par_iter().map(move |piece| (piece * PIECE, PIECE.min(count - piece * PIECE)))
}

/// k-means++: each centre is a point, chosen with a probability that grows with the squared distance to those before.
fn spread_centres(points: &DMatrix<f32>, count: usize, random: &mut ChaCha8Rng) -> DMatrix<f32> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut squared = vec![f32::INFINITY; points.ncols()];
    while chosen.len() < count.min(points.ncols()) {
        let next = match chosen.is_empty() {
            true => random.random_range(0..points.ncols()),
            false => {
                let total: f64 = squared.iter().map(|value| f64::from(*value)).sum();
                if total <= 0.0 {
                    break;
                }
                let mut rest = random.random_range(0.0..total);
                let passes = |value: &f32| {
                    rest -= f64::from(*value);
                    rest < 0.0 && *value > 0.0
                };
                let last = squared.iter().rposition(|value| *value > 0.0).unwrap_or(0);
                squared.iter().position(passes).unwrap_or(last)
            }
        };
        chosen.push(next);
        let centre = points.column(next);
        let nearer = |(index, squared): (usize, &mut f32)| {
            let distance = points.column(index).iter().zip(&centre).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            *squared = squared.min(distance);
        };
        squared.par_iter_mut().with_min_len(PIECE).enumerate().for_each(nearer);
    }
    points.select_columns(&chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    /// Points around `clusters` places far from each other.
    fn clustered(count: usize, clusters: usize, spread: f32) -> DMatrix<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        DMatrix::from_fn(6, count, |row, column| {
            let noise: f32 = StandardNormal.sample(&mut random);
            10.0 * f32::from(column % clusters == row) + spread * noise
        })
    }

    #[test]
    fn every_point_goes_to_its_nearest_centre_and_inertia_never_grows() {
        let points = clustered(5000, 6, 4.0);
        let found = KMeans::fit(&points, 20, 1);
        assert_eq!(found.centres.shape(), (6, 20));
        assert!(found.inertia.len() > 3 && found.inertia.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-7)));
        for (point, (centre, squared)) in points.column_iter().zip(nearest_centres(points.as_view(), &found.centres)) {
            let distances: Vec<f32> =
                found.centres.column_iter().map(|centre| (point - centre).norm_squared()).collect();
            let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
            assert!(distances[centre] <= least * 1.0001 + 1e-4 && (squared - least).abs() < 1e-2, "{distances:?}");
        }
    }

    #[test]
    fn clusters_far_apart_are_found() {
        let found = KMeans::fit(&clustered(600, 6, 0.1), 6, 5);
        let mut peaks: Vec<usize> = found.centres.column_iter().map(|centre| centre.imax()).collect();
        peaks.sort();
        assert_eq!(peaks, [0, 1, 2, 3, 4, 5]);
        assert!(found.inertia.last().unwrap() / 600.0 < 6.0 * 0.1 * 0.1 * 1.2, "{:?}", found.inertia);
    }

    #[test]
    fn there_are_at_most_as_many_centres_as_different_points() {
        let two = DMatrix::from_fn(2, 10, |row, column| (row + column % 2) as f32);
        assert_eq!(KMeans::fit(&two, 5, 1).centres.ncols(), 2);
        assert_eq!(KMeans::fit(&DMatrix::zeros(2, 0), 5, 1).centres.ncols(), 0);
    }

    #[test]
    fn threads_do_not_matter_and_the_seed_does() {
        let points = clustered(10_000, 5, 6.0);
        let on = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| KMeans::fit(&points, 16, seed))
        };
        let (one, three) = (on(1, 7), on(3, 7));
        assert_eq!((&one.centres, &one.inertia), (&three.centres, &three.inertia));
        assert_ne!(one.centres, on(3, 8).centres);
    }
}
