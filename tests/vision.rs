//! Decoding, rectification and preprocessing through the public API.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use nalgebra::{Vector2, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vloc::Stamp;
use vloc::sensor::{CameraModel, CompressedImage, Distortion};
use vloc::vision::{Augmentation, Preprocessor, Rectifier, decode_compressed, network_camera};

fn compressed(data: Vec<u8>) -> CompressedImage {
    CompressedImage { stamp: Stamp::default(), frame_id: "cam".into(), format: "jpeg".into(), data }
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x + y) as u8]))
}

fn barrel() -> CameraModel {
    let lens = Distortion::PlumbBob([-0.28, 0.07, 2e-4, 2e-5, 0.0]);
    CameraModel { distortion: lens, ..CameraModel::pinhole(640, 480, 420.0) }
}

fn fisheye() -> CameraModel {
    let lens = Distortion::Equidistant([-0.01, 0.02, -0.01, 0.002]);
    CameraModel { distortion: lens, ..CameraModel::pinhole(640, 480, 300.0) }
}

/// The centre of a bright spot by its weight.
fn spot_centre(image: &RgbImage) -> Vector2<f64> {
    let (mut sum, mut weight) = (Vector2::zeros(), 0.0);
    for (x, y, pixel) in image.enumerate_pixels() {
        let brightness = f64::from(pixel[0]);
        sum += brightness * Vector2::new(f64::from(x), f64::from(y));
        weight += brightness;
    }
    sum / weight
}

/// A smooth spot around a pixel.
fn spot(camera: &CameraModel, centre: &Vector2<f64>) -> RgbImage {
    RgbImage::from_fn(camera.width, camera.height, |x, y| {
        let square = (Vector2::new(f64::from(x), f64::from(y)) - centre).norm_squared();
        Rgb([(255.0 * (-square / 18.0).exp()) as u8; 3])
    })
}

/// Points seen through the lens must lie at their pinhole pixels in the preprocessed image.
fn points_land_at_pinhole_pixels(source: &CameraModel, target: &CameraModel, tolerance: f64) {
    let preprocessor = Preprocessor::new(source, target).unwrap();
    for (x, y) in [(0.0, 0.0), (0.3, 0.2), (-0.35, 0.25), (0.4, -0.25), (-0.2, -0.3)] {
        let point = Vector3::new(2.0 * x, 2.0 * y, 2.0);
        let image = spot(source, &source.project(&point).unwrap());
        let found = spot_centre(&preprocessor.apply(&image).unwrap());
        let expected = target.project(&point).unwrap();
        assert!((found - expected).norm() < tolerance, "point {point:?}: at {found}, expected {expected}");
    }
}

#[test]
fn rectified_points_lie_where_the_pinhole_camera_sees_them() {
    for source in [barrel(), fisheye()] {
        points_land_at_pinhole_pixels(&source, &source.rectified(), 0.25);
        points_land_at_pinhole_pixels(&source, &network_camera(&source, 224, 168), 0.25);
    }
    let plain = CameraModel::pinhole(640, 480, 500.0);
    points_land_at_pinhole_pixels(&plain, &network_camera(&plain, 224, 224), 0.25);
    points_land_at_pinhole_pixels(&plain, &CameraModel { cx: 100.3, ..CameraModel::pinhole(200, 200, 150.0) }, 0.25);
}

#[test]
fn the_euroc_camera_is_rectified() {
    let Some(data) = common::real_data_for("the_euroc_camera_is_rectified") else { return };
    let text = std::fs::read_to_string(data.join("euroc_v101/cam0_sensor.yaml")).unwrap();
    let numbers = |key: &str| -> Vec<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let list = line.split_once('[').unwrap().1.split_once(']').unwrap().0;
        list.split(',').map(|number| number.trim().parse().unwrap()).collect()
    };
    let ([k1, k2, p1, p2], [fx, fy, cx, cy]): ([f64; 4], [f64; 4]) =
        (numbers("distortion_coefficients").try_into().unwrap(), numbers("intrinsics").try_into().unwrap());
    let distortion = Distortion::PlumbBob([k1, k2, p1, p2, 0.0]);
    let camera = CameraModel { width: 752, height: 480, fx, fy, cx, cy, distortion };
    points_land_at_pinhole_pixels(&camera, &camera.rectified(), 0.25);
    let outside = Rectifier::new(&camera, &camera.rectified()).unwrap().outside_fraction();
    assert_eq!(outside, 0.0, "barrel distortion with the same focal length leaves nothing black");
}

#[test]
fn pixels_that_the_lens_never_saw_are_black_and_counted() {
    let source = CameraModel::pinhole(100, 100, 100.0);
    let wide = CameraModel::pinhole(100, 100, 50.0);
    let white = RgbImage::from_pixel(100, 100, Rgb([255; 3]));
    let rectifier = Rectifier::new(&source, &wide).unwrap();
    let black = rectifier.apply(&white).unwrap().pixels().filter(|pixel| pixel[0] == 0).count();
    assert_eq!(rectifier.outside_fraction(), black as f64 / 1e4);
    assert!((rectifier.outside_fraction() - 0.75).abs() < 0.02, "{}", rectifier.outside_fraction());

    // Strong barrel distortion folds back beyond radius 0.58: a wide target must not see the image twice.
    let lens = Distortion::PlumbBob([-1.0, 0.0, 0.0, 0.0, 0.0]);
    let folding = CameraModel { distortion: lens, ..CameraModel::pinhole(100, 100, 100.0) };
    let rectifier = Rectifier::new(&folding, &CameraModel::pinhole(300, 300, 100.0)).unwrap();
    let view = rectifier.apply(&white).unwrap();
    assert_eq!(view.get_pixel(250, 149)[0], 0, "radius 1.0 is beyond the fold");
    assert_eq!(view.get_pixel(190, 149)[0], 255, "radius 0.4 is seen");
}

#[test]
fn a_rectified_source_is_only_resized_and_cropped() {
    let source = CameraModel { cx: 320.0, cy: 240.0, ..CameraModel::pinhole(640, 480, 525.0) };
    let target = network_camera(&source, 224, 168);
    assert_eq!((target.width, target.height), (224, 168));
    assert!((target.fx - 525.0 * 0.35).abs() < 1e-9 && (target.cx - (320.5 * 0.35 - 0.5)).abs() < 1e-9);
    let image = gradient(640, 480);
    let preprocessed = Preprocessor::new(&source, &target).unwrap().apply(&image).unwrap();
    assert_eq!(preprocessed, vloc::vision::resize(&image, 224, 168).unwrap());
    let square = network_camera(&source, 224, 224);
    let cropped = Preprocessor::new(&source, &square).unwrap().apply(&image).unwrap();
    let resized = vloc::vision::resize(&image, 299, 224).unwrap();
    assert_eq!(cropped, image::imageops::crop_imm(&resized, 37, 0, 224, 224).to_image());
}

#[test]
fn an_image_of_another_camera_is_refused_with_both_sizes() {
    let camera = CameraModel::pinhole(640, 480, 500.0);
    let preprocessor = Preprocessor::new(&camera, &network_camera(&camera, 64, 48)).unwrap();
    let text = preprocessor.apply(&RgbImage::new(320, 240)).unwrap_err().to_string();
    assert_eq!(text, "image size: expected 640x480 as the camera calibration says, found 320x240");
    let uncalibrated = CameraModel { fx: 0.0, ..camera };
    let text = Preprocessor::new(&uncalibrated, &camera).err().unwrap().to_string();
    assert!(text.starts_with("source camera: expected positive focal lengths"), "{text}");
    let text = Preprocessor::new(&camera, &barrel()).err().unwrap().to_string();
    assert!(!text.is_empty() && text.contains("a pinhole without distortion"), "{text}");
}

#[test]
fn compressed_images_decode_and_cut_ones_are_refused() {
    let image = gradient(64, 48);
    let png = encoded(image.clone(), ImageFormat::Png);
    assert_eq!(decode_compressed(&compressed(png.clone())).unwrap(), image);
    let jpeg = encoded(image.clone(), ImageFormat::Jpeg);
    let decoded = decode_compressed(&compressed(jpeg.clone())).unwrap();
    let far = image.iter().zip(decoded.iter()).filter(|(a, b)| a.abs_diff(**b) > 24).count();
    assert!(far < 100, "{far} samples differ by more than 24");
    for (bytes, name) in [(&jpeg, "jpeg"), (&png, "png")] {
        for part in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 3 / 4] {
            let text = decode_compressed(&compressed(bytes[..part].to_vec())).unwrap_err().to_string();
            let start = format!("compressed image (format \"jpeg\"): expected a complete {name} image, found ");
            assert!(text.starts_with(&start), "{text}");
        }
    }
    let text = decode_compressed(&compressed(vec![])).unwrap_err().to_string();
    assert!(text.ends_with("expected jpeg or png data, found no bytes at all"), "{text}");
    let text = decode_compressed(&compressed(vec![7; 20])).unwrap_err().to_string();
    assert!(text.ends_with("found 20 bytes of another format"), "{text}");
}

#[test]
fn sixteen_bit_png_becomes_eight_bit() {
    let deep = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(4, 4, image::Luma([0x8080]));
    let decoded = decode_compressed(&compressed(encoded(deep, ImageFormat::Png))).unwrap();
    assert!(decoded.iter().all(|value| *value == 0x80));
}

#[test]
fn a_png_that_claims_an_absurd_size_is_refused() {
    let mut png = encoded(gradient(4, 4), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let text = decode_compressed(&compressed(png)).unwrap_err().to_string();
    assert!(text.contains("expected"), "{text}");
}

#[test]
fn augmentation_is_seeded_and_none_changes_nothing() {
    let augmented = |augmentation: &Augmentation, seed| {
        let mut image = gradient(64, 48);
        augmentation.apply(&mut image, &mut ChaCha8Rng::seed_from_u64(seed));
        image
    };
    let strong = Augmentation { blur_probability: 1.0, erasing_probability: 1.0, ..Augmentation::default() };
    assert_eq!(augmented(&Augmentation::none(), 1), gradient(64, 48));
    assert_eq!(augmented(&strong, 1), augmented(&strong, 1));
    assert_ne!(augmented(&strong, 1), augmented(&strong, 2));
    let text = Augmentation { noise: f32::NAN, ..Augmentation::none() }.check().unwrap_err().to_string();
    assert_eq!(text, "parameter augmentation.noise: expected a number in 0..=1, found NaN");
}

#[test]
fn colour_changes_keep_grey_grey() {
    let colours = Augmentation { saturation: 0.9, hue_degrees: 90.0, ..Augmentation::none() };
    let mut image = RgbImage::from_fn(16, 16, |x, y| Rgb([(16 * x + y) as u8; 3]));
    let before = image.clone();
    colours.apply(&mut image, &mut ChaCha8Rng::seed_from_u64(3));
    assert!(image.iter().zip(before.iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
}
