//! The retrieval room through its public API: SIFT against OpenCV, DenseVLAD in the synthetic room and on the real kitchen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use image::{Rgb, RgbImage};
use serde::Deserialize;
use vloc::config::load_yaml;
use vloc::dataset::{self, Dataset, Split, SplitRule};
use vloc::evaluation::{PoseError, PoseErrorSummary};
use vloc::geometry::Se3;
use vloc::retrieval::{
    DenseVlad, DenseVladSettings, Descriptor, Grey, Index, SIFT_LENGTH, Thumbnail, dense_sift, describe_all,
    nearest_pose,
};
use vloc::sensor::CameraModel;
use vloc::synth::{Pass, PassKind, PathKind, Renderer, Sensor, World};

#[derive(Deserialize)]
struct Golden {
    width: u32,
    height: u32,
    places: Vec<(usize, usize)>,
    scales: Vec<GoldenScale>,
}

#[derive(Deserialize)]
struct GoldenScale {
    bin_size: usize,
    descriptors: Vec<Vec<f32>>,
}

#[test]
fn descriptors_are_those_of_opencv() {
    let golden: Golden = serde_json::from_str(include_str!("fixtures/retrieval/sift.json")).unwrap();
    let pattern = |x: u32, y: u32| ((x * x + 2 * y * y + x * y) / 20 + 60 * ((x / 11 + y / 7) % 3)) % 256;
    let image = RgbImage::from_fn(golden.width, golden.height, |x, y| Rgb([pattern(x, y) as u8; 3]));
    let (mut compared, mut largest) = (0, 0.0_f32);
    for scale in &golden.scales {
        // The blur that OpenCV adds to what it takes the image to have, 0.5 pixels, for a `sigma` of a sixth of a bin.
        let blur = ((scale.bin_size as f32 / 6.0).powi(2) - 0.25).sqrt();
        let grid = dense_sift(&Grey::new(&image).blurred(blur), scale.bin_size, 1);
        for ((x, y), expected) in golden.places.iter().zip(&scale.descriptors) {
            let column = grid.columns.iter().position(|column| column == x).unwrap();
            let row = grid.rows.iter().position(|row| row == y).unwrap();
            let start = (row * grid.columns.len() + column) * SIFT_LENGTH;
            for (value, expected) in grid.descriptors[start..start + SIFT_LENGTH].iter().zip(expected) {
                largest = largest.max((512.0 * value - expected).abs());
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 4 * 5 * SIFT_LENGTH);
    // Orientation, bins and windows are the same; OpenCV multiplies by 512 and rounds, which is half a unit.
    assert!(largest < 0.6, "{largest} of 512");
}

/// Views along a walk through the synthetic room, with their poses.
fn walk(views: usize) -> (Vec<RgbImage>, Vec<Se3>) {
    let world = World::new(3);
    let pass = Pass::new(&world, PassKind::Training(0), PathKind::Planar);
    let renderer = Renderer::new(&CameraModel::pinhole(160, 120, 95.3), Sensor::default()).unwrap();
    let times = (0..views).map(|view| 0.9 * view as f64);
    let images = times.clone().map(|t| renderer.render(&world, &pass, t)).collect();
    (images, times.map(|t| pass.map_from_camera(t)).collect())
}

fn small_settings() -> DenseVladSettings {
    DenseVladSettings { words: 32, bin_sizes: vec![4, 6], ..DenseVladSettings::default() }
}

fn fitted(images: &[RgbImage]) -> (DenseVlad, Vec<Vec<f32>>) {
    DenseVlad::fit(&|place| Ok(images[place].clone()), images.len(), small_settings()).unwrap()
}

fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[test]
fn an_image_finds_itself_also_moved_and_in_another_light() {
    let (images, poses) = walk(72);
    let (descriptor, vectors) = fitted(&images);
    assert_eq!(descriptor.dimension(), 18, "a quarter of the images");
    assert!(vectors.iter().all(|vector| vector.len() == 18 && (norm(vector) - 1.0).abs() < 1e-5));
    let index = Index::new(vectors.clone(), poses).unwrap();
    let nearest = |image: &RgbImage| index.neighbours(&descriptor.describe(image).unwrap(), 1).unwrap()[0];
    let (mut shifted, mut darkened) = (0, 0);
    for (place, image) in images.iter().enumerate() {
        let itself = nearest(image);
        assert!(itself.index == place && itself.distance < 1e-6, "{itself:?}");
        let moved = RgbImage::from_fn(160, 120, |x, y| *image.get_pixel((x + 2).min(159), (y + 1).min(119)));
        shifted += usize::from(nearest(&moved).index == place);
        let darker = RgbImage::from_fn(160, 120, |x, y| Rgb(image.get_pixel(x, y).0.map(|value| value / 2 + 10)));
        darkened += usize::from(nearest(&darker).index == place);
    }
    assert!(shifted >= 70 && darkened >= 70, "shifted {shifted}, darkened {darkened} of 72");
}

#[test]
fn few_images_are_not_whitened() {
    let (images, poses) = walk(12);
    let (descriptor, vectors) = fitted(&images);
    assert_eq!((descriptor.dimension(), vectors[0].len()), (32 * SIFT_LENGTH, 32 * SIFT_LENGTH));
    assert!(vectors.iter().all(|vector| (norm(vector) - 1.0).abs() < 1e-5));
    let index = Index::new(vectors, poses.clone()).unwrap();
    assert_eq!(index.nearest(&descriptor.describe(&images[5]).unwrap()).unwrap(), poses[5]);
}

#[test]
fn threads_do_not_matter_and_the_seed_does() {
    let (images, _) = walk(66);
    let on = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let settings = DenseVladSettings { seed, ..small_settings() };
        pool.install(|| DenseVlad::fit(&|place| Ok(images[place].clone()), images.len(), settings).unwrap().1)
    };
    let one = on(1, 1);
    assert_eq!(one, on(3, 1));
    assert_ne!(one, on(3, 2));
}

/// Median errors on the test frames of the nearest and of the interpolated pose: metres, degrees.
fn medians(
    kitchen: &dyn Dataset,
    split: &Split,
    descriptor: &dyn Descriptor,
    vectors: Vec<Vec<f32>>,
) -> [(f64, f64); 2] {
    let pose = |index: &usize| kitchen.frames()[*index].map_from_camera;
    let index = Index::new(vectors, split.train.iter().map(pose).collect()).unwrap();
    let queries = describe_all(descriptor, &|place| kitchen.image(split.test[place]), split.test.len()).unwrap();
    let median = |answers: Vec<Se3>| summary(answers, split.test.iter().map(pose).collect());
    let nearest = median(queries.iter().map(|query| index.nearest(query).unwrap()).collect());
    [nearest, median(queries.iter().map(|query| index.interpolated(query, 25).unwrap()).collect())]
}

fn summary(answers: Vec<Se3>, truths: Vec<Se3>) -> (f64, f64) {
    let errors = answers.iter().zip(truths).map(|(answer, truth)| PoseError::of(truth, Some(*answer)));
    let summary = PoseErrorSummary::new(&errors.collect::<Vec<_>>()).unwrap();
    (summary.median_translation_error.unwrap(), summary.median_rotation_error.unwrap())
}

#[test]
fn retrieval_on_redkitchen_is_as_good_as_known_and_dense_vlad_is_better() {
    let test = "retrieval_on_redkitchen_is_as_good_as_known_and_dense_vlad_is_better";
    let Some(data) = common::real_data_for(test) else { return };
    let kitchen = dataset::open(&data.join("redkitchen"), None).unwrap();
    let rule = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/splits/interpolation.yaml");
    let split = load_yaml::<SplitRule>(&rule).unwrap().split(kitchen.as_ref()).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (800, 160));
    let pose = |index: &usize| kitchen.frames()[*index].map_from_camera;
    let training: Vec<Se3> = split.train.iter().map(pose).collect();
    let truths: Vec<Se3> = split.test.iter().map(pose).collect();
    let oracle = summary(truths.iter().map(|truth| nearest_pose(&training, *truth).unwrap()).collect(), truths);

    let image = |place: usize| kitchen.image(split.train[place]);
    let vectors = describe_all(&Thumbnail, &image, split.train.len()).unwrap();
    let [thumbnail, interpolated] = medians(kitchen.as_ref(), &split, &Thumbnail, vectors);
    // How the thumbnail is averaged moves the rotation of its neighbours by a few percent.
    let close = |(metres, degrees): (f64, f64), expected: (f64, f64)| {
        (metres / expected.0 - 1.0).abs() < 0.03 && (degrees / expected.1 - 1.0).abs() < 0.08
    };
    assert!(close(oracle, (0.155, 7.1)), "oracle {oracle:?}");
    assert!(close(thumbnail, (0.235, 11.3)), "thumbnail {thumbnail:?}");
    assert!(close(interpolated, (0.26, 8.4)), "thumbnail, interpolated {interpolated:?}");

    let (descriptor, vectors) = DenseVlad::fit(&image, split.train.len(), DenseVladSettings::default()).unwrap();
    let [nearest, between] = medians(kitchen.as_ref(), &split, &descriptor, vectors);
    println!("oracle {oracle:?}, thumbnail {thumbnail:?}, {interpolated:?}, DenseVLAD {nearest:?}, {between:?}");
    assert!(nearest.0 < thumbnail.0 && nearest.1 < thumbnail.1, "DenseVLAD {nearest:?}, thumbnail {thumbnail:?}");
    assert!(
        between.0 < interpolated.0 && between.1 < interpolated.1,
        "DenseVLAD {between:?}, thumbnail {interpolated:?}"
    );
}
