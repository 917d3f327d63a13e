//! Decode, rectify and resize a 640x480 image to a network's 224x168 pixels, on one core.
#![allow(missing_docs, clippy::expect_used, reason = "criterion's macros are undocumented; a benchmark may panic")]

use std::io::Cursor;

use criterion::{Criterion, criterion_group, criterion_main};
use image::{ImageFormat, Rgb, RgbImage};
use vloc::Stamp;
use vloc::sensor::{CameraModel, CompressedImage, Distortion, Image};
use vloc::vision::{Preprocessor, decode, decode_compressed, network_camera};

fn vision(criterion: &mut Criterion) {
    let lens = Distortion::PlumbBob([-0.28, 0.07, 2e-4, 2e-5, 0.0]);
    let camera = CameraModel { distortion: lens, ..CameraModel::pinhole(640, 480, 525.0) };
    let picture = RgbImage::from_fn(640, 480, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    let raw = Image {
        stamp: Stamp::default(),
        frame_id: "camera".into(),
        height: 480,
        width: 640,
        encoding: "bgr8".into(),
        step: 3 * 640,
        is_bigendian: false,
        data: picture.as_raw().clone(),
    };
    let mut data = Cursor::new(Vec::new());
    picture.write_to(&mut data, ImageFormat::Jpeg).expect("a jpeg in memory");
    let (stamp, frame_id, format) = (raw.stamp, raw.frame_id.clone(), "jpeg".into());
    let jpeg = CompressedImage { stamp, frame_id, format, data: data.into_inner() };
    let preprocessor = Preprocessor::new(&camera, &network_camera(&camera, 224, 168)).expect("two sound cameras");
    let rectified = camera.rectified();
    let plain = Preprocessor::new(&rectified, &network_camera(&rectified, 224, 168)).expect("two sound cameras");

    let mut group = criterion.benchmark_group("640x480 to 224x168");
    group.bench_function("bgr8, plumb_bob", |bencher| bencher.iter(|| preprocessor.apply(&decode(&raw)?)));
    group.bench_function("bgr8, rectified", |bencher| bencher.iter(|| plain.apply(&decode(&raw)?)));
    group.bench_function("jpeg, plumb_bob", |bencher| {
        bencher.iter(|| preprocessor.apply(&decode_compressed(&jpeg)?));
    });
    group.finish();
}

criterion_group!(benches, vision);
criterion_main!(benches);
