//! One frame through each preset, as the node pays for it: pixels to poses with covariance, all samples of the dropout
//! and the relative pose included. Random weights; `VLOC_DEVICE` (auto, cpu, cuda:N) and `VLOC_THREADS` (1) choose.
#![allow(clippy::expect_used, reason = "a failure here is a failed run")]

use criterion::{Criterion, criterion_group, criterion_main};
use image::RgbImage;
use tch::Tensor;
use tch::nn::VarStore;
use vloc::geometry::Se3;
use vloc::network::checkpoint::Precision;
use vloc::network::{
    Calibration, Device, Gallery, MapFromNormalized, ModelCard, NetworkConfig, PRESETS, PixelFrame, PoseNetwork,
    PoseRegressor, SCHEMA_VERSION, TrainingRecord, ValidationRecord, WeightsRecord, device,
};
use vloc::sensor::CameraModel;
use vloc::{Error, Stamp};

fn regressor(preset: &str, processor: tch::Device) -> PoseRegressor {
    let network = NetworkConfig::preset(preset).expect("a preset");
    let store = VarStore::new(processor);
    let vlocnet = PoseNetwork::new(&store.root(), &network).expect("a network");
    // A member that compares has images to compare with: noise.
    let gallery = vlocnet.relative().zip(network.gallery).map(|(stream, config)| {
        let (height, width) = (i64::from(network.input.height), i64::from(network.input.width));
        let images = Tensor::randn([32, 3, height, width], (tch::Kind::Float, processor));
        let features = tch::no_grad(|| stream.features(&vlocnet.shared(&images, false), false));
        let units = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };
        let embeddings = stream.embedding(&features);
        Gallery::new((&embeddings, &features), &[Se3::identity(); 32], units, config.neighbours).expect("a gallery")
    });
    let card = ModelCard {
        schema_version: SCHEMA_VERSION,
        name: preset.to_owned(),
        created_by: "bench".to_owned(),
        licence: String::new(),
        camera: CameraModel::pinhole(network.input.width, network.input.height, 100.0),
        network,
        map_frame: "map".to_owned(),
        map_from_normalized: MapFromNormalized { mean: [0.0; 3], scale: 1.0 },
        max_pair_interval: 1.0,
        training: TrainingRecord::default(),
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        references: None,
        weights: WeightsRecord { precision: Precision::Single, sha256: String::new(), parameters: 0 },
        members: Vec::new(),
        gallery: None,
        cross_fitted: false,
        scenes: Vec::new(),
        large_place: None,
    };
    let regressor = PoseRegressor::from_parts(card, vlocnet, store);
    match gallery {
        Some(gallery) => regressor.with_gallery(gallery),
        None => regressor,
    }
}

fn presets(criterion: &mut Criterion) {
    let processor = std::env::var("VLOC_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let processor = processor.parse::<Device>().and_then(Device::resolve).expect("a device");
    let threads = std::env::var("VLOC_THREADS").map_or(1, |threads| threads.parse().expect("a number of threads"));
    device::set_threads(threads);
    for preset in PRESETS {
        let mut regressor = regressor(preset, processor);
        let camera = regressor.card().camera;
        let pixels = RgbImage::from_fn(camera.width, camera.height, |x, y| image::Rgb([x as u8, y as u8, 128]));
        let mut nanos = 0;
        let name = format!("{preset} {}x{} on {processor:?}, {threads} threads", camera.width, camera.height);
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                nanos += 33_000_000;
                let frame = PixelFrame { stamp: Stamp::from_nanos(nanos), pixels: pixels.clone() };
                match regressor.regress(&frame) {
                    // Points of random weights agree in nothing.
                    Err(Error::NoAnswer { .. }) => None,
                    answer => Some(answer.expect("poses")),
                }
            });
        });
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = presets }
criterion_main!(benches);
