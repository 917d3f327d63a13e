//! Scene coordinates through the public API: where cells lie, what is learned of a room with depth, and bad input.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;
mod common;

use std::path::Path;

use alone::alone;
use common::real_data_for;
use image::RgbImage;
use image::imageops::FilterType;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Device as Processor, Kind, Tensor};
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::network::scene_coordinates::Supervision;
use vloc::network::{
    Activation, Block, Calibration, Device, EncoderConfig, InputSize, LocalizerConfig, ModelCard, NetworkConfig,
    PixelFrame, PoseNetwork, PoseRegressor, ResNetConfig, SceneCoordinatesConfig,
};
use vloc::pnp::Correspondence;
use vloc::progress::Progress;
use vloc::sensor::{CameraModel, DepthImage};
use vloc::synth::{Pass, PassKind, PathKind, Renderer, Sensor, World};
use vloc::training::{Job, SceneCoordinates, TrainingConfig, train};
use vloc::{Error, Result, Stamp};

fn preset() -> NetworkConfig {
    NetworkConfig::preset("scene-coordinates").unwrap()
}

fn small_resnet() -> EncoderConfig {
    let shape = ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [4; 4], activation: Activation::Elu };
    EncoderConfig::Resnet { shape }
}

/// First and last index along a dimension of what is not zero in a matrix.
fn extent(matrix_hw: &Tensor, dimension: i64) -> [i64; 2] {
    let other = 1 - dimension;
    let seen = matrix_hw.abs().sum_dim_intlist([other].as_slice(), false, Kind::Float).nonzero().flatten(0, -1);
    [seen.min().int64_value(&[]), seen.max().int64_value(&[])]
}

#[test]
fn a_cell_lies_in_the_middle_of_what_it_sees() {
    let _alone = alone();
    for encoder in [EncoderConfig::Squeezenet, small_resnet()] {
        let input = InputSize { height: 160, width: 192 };
        let config = NetworkConfig { encoder, shared_stages: Some(4), input, ..preset() };
        let store = VarStore::new(Processor::Cpu);
        let network = PoseNetwork::new(&store.root(), &config).unwrap();
        let (fine, _) = config.encoder.cell_stages().unwrap();
        // A maximum hides a part of what it looks at: many pictures show all of it.
        let images = Tensor::randn([12, 3, 160, 192], (Kind::Float, Processor::Cpu)).set_requires_grad(true);
        let (row, column) = (9, 11);
        let cell =
            network.shared(&images, false).maps()[fine].narrow(2, row, 1).narrow(3, column, 1).abs().sum(Kind::Float);
        let gradient = Tensor::run_backward(&[cell], &[&images], false, false).remove(0);
        let seen_hw = gradient.abs().sum_dim_intlist([0i64, 1].as_slice(), false, Kind::Float);
        let centre = network.coordinates().unwrap().grid().centre(column, row);
        for (dimension, expected) in [(0, centre.y), (1, centre.x)] {
            let [first, last] = extent(&seen_hw, dimension);
            let middle = 0.5 * (first + last) as f64;
            assert!((middle - expected).abs() <= 1.0, "{:?}: {middle}, expected {expected}", config.encoder);
        }
    }
}

#[test]
fn the_head_is_a_few_megabytes_and_asks_cells_all_over_the_image() {
    let _alone = alone();
    let store = VarStore::new(Processor::Cpu);
    let network = PoseNetwork::new(&store.root(), &preset()).unwrap();
    let bytes: usize = store.variables().values().map(|variable| 2 * variable.numel()).sum();
    assert!((4_000_000..10_000_000).contains(&bytes), "{bytes}");
    let frame = Tensor::randn([1, 3, 480, 640], (Kind::Float, Processor::Cpu));
    let (pixels, points_n3) = tch::no_grad(|| network.coordinates().unwrap().locate(&network.shared(&frame, false)));
    assert!((1000..=1200).contains(&pixels.len()), "{}", pixels.len());
    assert_eq!(points_n3.size(), [pixels.len() as i64, 3]);
    let along = |axis: usize| {
        let values = pixels.iter().map(|pixel| pixel[axis]);
        (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max))
    };
    let ((left, right), (top, bottom)) = (along(0), along(1));
    assert!(left < 24.0 && right > 616.0 && right < 640.0 && top < 24.0 && bottom > 456.0 && bottom < 480.0);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let text = |config: NetworkConfig| config.check().unwrap_err().to_string();
    let other = text(NetworkConfig { encoder: EncoderConfig::Googlenet, ..preset() });
    assert!(
        other.starts_with("parameter network.encoder: expected squeezenet or resnet for scene_coordinates"),
        "{other}"
    );
    let regressor = text(NetworkConfig { hidden: vec![64], ..preset() });
    assert!(regressor.contains("scene_coordinates alone, found hidden beside it"), "{regressor}");
    let shape = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 10, parts: 1 };
    let few = text(NetworkConfig { localizer: LocalizerConfig::SceneCoordinates { shape }, ..preset() });
    assert!(few.starts_with("parameter network.localizer.shape.cells: expected 0 for all, or at least 64"), "{few}");
    let training = TrainingConfig::preset("scene-coordinates").unwrap();
    let thawed = TrainingConfig { freeze_trunk: false, ..training.clone() };
    assert!(thawed.check_with(&preset()).unwrap_err().to_string().starts_with("parameter freeze_trunk"));
    for (config, key) in [
        (TrainingConfig { accumulate: 2, ..training.clone() }, "accumulate"),
        (TrainingConfig { snapshots: 2, ..training.clone() }, "snapshots"),
    ] {
        let error = config.check_with(&preset()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("parameter {key}: expected none for this architecture")), "{error}");
    }
    let pose = NetworkConfig::preset("vlocnet-squeezenet").unwrap();
    assert!(training.check_with(&pose).unwrap_err().to_string().starts_with("parameter scene_coordinates"));
    let upside_down = SceneCoordinates { coarse: 0.001, ..SceneCoordinates::default() };
    let wrong = TrainingConfig { scene_coordinates: Some(upside_down), ..training.clone() };
    let error = wrong.check().unwrap_err().to_string();
    assert!(error.starts_with("parameter scene_coordinates.coarse: expected at least 0.02"), "{error}");
    let nowhere = SceneCoordinates { assumed_depth: 0.0, ..SceneCoordinates::default() };
    let wrong = TrainingConfig { scene_coordinates: Some(nowhere), ..training };
    let error = wrong.check().unwrap_err().to_string();
    assert!(error.starts_with("parameter scene_coordinates.assumed_depth: expected more than 0"), "{error}");
}

/// The frames of a pass through the synthetic room, with depth.
#[derive(Clone)]
struct Room {
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    images: Vec<RgbImage>,
    depths: Vec<Option<DepthImage>>,
}

impl Room {
    fn new(count: usize) -> Self {
        Self::in_world(1, count)
    }

    fn in_world(seed: u64, count: usize) -> Self {
        Self::at_times(seed, (0..count).map(|index| 0.1 * index as f64).collect())
    }

    /// Images of the path at these seconds, one after the other.
    fn at_times(seed: u64, times: Vec<f64>) -> Self {
        let count = times.len();
        let (world, camera) = (World::new(seed), CameraModel::pinhole(160, 120, 95.3));
        let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
        let pass = Pass::new(&world, PassKind::Training(0), PathKind::Handheld);
        let frame = |index: usize| FrameInfo {
            name: format!("room/{index:03}"),
            stamp: Stamp::from_nanos(100_000_000 * index as i64),
            sequence: 0,
            map_from_camera: pass.map_from_camera(times[index]),
        };
        let images = (0..count).map(|index| renderer.render(&world, &pass, times[index])).collect();
        let depths = (0..count).map(|index| renderer.depth(&world, &pass, times[index]).ok()).collect();
        Self { camera, frames: (0..count).map(frame).collect(), images, depths }
    }
}

impl Dataset for Room {
    fn name(&self) -> &str {
        "room"
    }
    fn camera(&self) -> &CameraModel {
        &self.camera
    }
    fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }
    fn image(&self, index: usize) -> Result<RgbImage> {
        Ok(self.images[index].clone())
    }
    fn depth(&self, index: usize) -> Result<Option<DepthImage>> {
        Ok(self.depths[index].clone())
    }
}

/// Seconds in an unoptimized build: a small perceptron on random features.
fn job(out: &Path) -> Job {
    let shape = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 0, parts: 1 };
    let network = NetworkConfig {
        input: InputSize { height: 120, width: 160 },
        localizer: LocalizerConfig::SceneCoordinates { shape },
        ..preset()
    };
    let settings = SceneCoordinates { cells: 1024, ..SceneCoordinates::default() };
    let config = TrainingConfig {
        network: Some(network),
        epochs: 40,
        learning_rate: 3e-3,
        cached_copies: 1,
        scene_coordinates: Some(settings),
        mixed_precision: false,
        ..TrainingConfig::preset("scene-coordinates").unwrap()
    };
    Job {
        config,
        split: SplitRule::Separate { validation: Some(Validation { every: 2, length: 1, margin: 0, fold: 0 }) },
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "room".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    }
}

#[test]
fn a_room_is_learned_and_poses_are_measured_in_it() {
    let _alone = alone();
    let (work, room) = (tempfile::tempdir().unwrap(), Room::new(48));
    let folders = ["one", "two"].map(|name| work.path().join(name));
    for folder in &folders {
        train(&room, &job(folder), Progress::Silent, &|| true).unwrap();
    }
    for file in ["model.yaml", "weights.safetensors"] {
        let bytes = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(bytes(&folders[0]) == bytes(&folders[1]), "{file} of two equal trainings");
    }
    let log = std::fs::read_to_string(folders[0].join("log.csv")).unwrap();
    assert_eq!(log.lines().count(), 41, "{log}");
    let card = ModelCard::read(&folders[0]).unwrap();
    assert_eq!(card.training.supervision, Some(Supervision::Depth));
    let known = card.validation.median_point_error.unwrap();
    println!("points {known:.3} m, of {:.3} m; {:?}", card.map_from_normalized.scale, card.validation);
    assert!(known < 0.2 * card.map_from_normalized.scale, "{known}");
    assert!(card.validation.frames == 24 && card.calibration.frames >= 20, "{:?}", card.validation);
    assert!(card.validation.median_translation_error < 0.3, "{:?}", card.validation);

    let mut regressor = PoseRegressor::load(&folders[0], Device::Cpu).unwrap();
    let frame = |index: usize| PixelFrame { stamp: room.frames[index].stamp, pixels: room.images[index].clone() };
    let answer = regressor.regress(&frame(20)).unwrap();
    assert_eq!(answer, regressor.regress(&frame(20)).unwrap(), "the same frame has the same answer");
    assert!(answer.relative.is_none() && answer.absolute.covariance.cholesky().is_some());
    let error = answer.absolute.map_from_camera.local(room.frames[20].map_from_camera).norm();
    assert!(error < 0.5, "{error}");
    let evidence = answer.evidence.unwrap();
    assert!(evidence.inliers <= evidence.asked && evidence.share() > 0.05 && evidence.residual < 2.5, "{evidence:?}");
    assert_points_are_where_the_camera_sees_them(&regressor, &room);
    assert_a_covered_view_tells_no_motion(&folders[0], &room);
    assert_knows_no_other_place(&mut regressor);
}

/// The points of all cells of a frame, each of which its true pose sees at the cell's pixel.
fn assert_points_are_where_the_camera_sees_them(regressor: &PoseRegressor, room: &Room) {
    let points = regressor.points(&room.images[20]).unwrap().unwrap();
    let grid = [points[0].pixel, points[points.len() - 1].pixel];
    assert!(points.len() > 200 && grid[0].max() < 16.0 && grid[1].x > 144.0 && grid[1].y > 104.0, "{grid:?}");
    let camera_from_map = room.frames[20].map_from_camera.inverse();
    let distance = |point: &Correspondence| {
        let seen = room.camera.project(&(camera_from_map * point.point));
        seen.map_or(f64::INFINITY, |seen| (seen - point.pixel).norm())
    };
    let mut distances: Vec<f64> = points.iter().map(distance).collect();
    distances.sort_by(f64::total_cmp);
    println!("all cells: median {:.2} pixels", distances[distances.len() / 2]);
    assert!(distances[distances.len() / 2] < 5.0, "twice the distance of an inlier: {distances:?}");
    let wrong = regressor.points(&RgbImage::new(7, 5)).unwrap_err().to_string();
    assert!(wrong.starts_with("network input: expected an image of"), "{wrong}");
    let elsewhere = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/synthetic-room");
    let no_points = PoseRegressor::load(&elsewhere, Device::Cpu).unwrap();
    let image = RgbImage::new(no_points.card().network.input.width, no_points.card().network.input.height);
    assert!(no_points.points(&image).unwrap().is_none());
}

/// A strip of an image spreads too little for a pose, and is too little to follow: no motion is made up.
fn assert_a_covered_view_tells_no_motion(folder: &Path, room: &Room) {
    let card = ModelCard { relative_calibration: Some(Calibration::unfitted()), ..ModelCard::read(folder).unwrap() };
    card.write(folder).unwrap();
    let mut regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
    regressor.regress(&PixelFrame { stamp: Stamp::from_nanos(0), pixels: room.images[20].clone() }).unwrap();
    assert!(regressor.motion().is_none(), "a frame with a pose tells no motion");
    let mut pixels = room.images[21].clone();
    pixels.enumerate_pixels_mut().filter(|(x, ..)| *x >= 56).for_each(|(_, _, pixel)| pixel.0 = [90; 3]);
    let answer = regressor.regress(&PixelFrame { stamp: Stamp::from_nanos(100_000_000), pixels });
    assert!(matches!(answer, Err(Error::NoAnswer { .. })), "{answer:?}");
    assert!(regressor.motion().is_none(), "{:?}", regressor.motion());
}

/// What shows nothing of the room has no answer, in 99 of 100 images at least: black, white, noise, another room, and where
/// the recording is at hand a real kitchen.
fn assert_knows_no_other_place(regressor: &mut PoseRegressor) {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let flat = [0, 255].map(|level| RgbImage::from_pixel(160, 120, image::Rgb([level; 3]))).to_vec();
    let noise = (0..30).map(|_| RgbImage::from_fn(160, 120, |_, _| image::Rgb(random.random()))).collect();
    let mut kinds = vec![("flat", flat), ("noise", noise), ("another room", Room::in_world(2, 70).images)];
    if let Some(data) = real_data_for("kitchen images in a room's map") {
        let path = |frame: usize| data.join(format!("redkitchen/seq-01/frame-{frame:06}.color.jpg"));
        let small = |image: image::DynamicImage| image.resize_exact(160, 120, FilterType::Triangle).to_rgb8();
        kinds.push(("a kitchen", (0..100).map(|frame| small(image::open(path(10 * frame)).unwrap())).collect()));
    }
    let (mut answered, mut count) = (Vec::new(), 0);
    for (kind, images) in kinds {
        for pixels in images {
            count += 1;
            match regressor.regress(&PixelFrame { stamp: Stamp::from_nanos(0), pixels }) {
                Err(Error::NoAnswer { .. }) => {}
                answer => answered.push((kind, answer.unwrap().evidence)),
            }
        }
    }
    assert!(100 * answered.len() <= count, "{} of {count} foreign images have a pose: {answered:?}", answered.len());
}

#[test]
fn frames_that_are_set_apart_in_turn_say_how_far_poses_err() {
    let _alone = alone();
    // Three times along one path, each time from other places on it.
    let times = (0..60).map(|index| 0.1 * f64::from(index % 20) + 0.03 * f64::from(index / 20)).collect();
    let (work, room) = (tempfile::tempdir().unwrap(), Room::at_times(1, times));
    let mut job = Job { split: SplitRule::Separate { validation: None }, ..job(&work.path().join("model")) };
    let settings = SceneCoordinates { cells: 1024, folds: 3, fold_epochs: 30, ..SceneCoordinates::default() };
    job.config.scene_coordinates = Some(settings);
    let card = train(&room, &job, Progress::Silent, &|| true).unwrap();
    let Calibration { frames, coverage_90, translation_scale, rotation_scale, .. } = card.calibration;
    assert!((40..=60).contains(&frames), "of 60 frames that were set apart: {:?}", card.calibration);
    assert!((0.88..=1.0).contains(&coverage_90) && translation_scale == rotation_scale, "{:?}", card.calibration);
    assert_eq!(card.validation.frames, 0, "there was no validation");
    // Frames are followed from keyframes among them: by how much more than the residuals say these motions err.
    let motions = card.relative_calibration.unwrap();
    println!("{motions:?}");
    assert!(motions.frames >= 20 && (1.0..20.0).contains(&motions.translation_scale), "{motions:?}");
    for (folds, epochs, key) in [(1, 4, "folds"), (21, 4, "folds"), (4, 0, "fold_epochs")] {
        job.config.scene_coordinates = Some(SceneCoordinates { folds, fold_epochs: epochs, ..settings });
        let error = job.config.check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("parameter scene_coordinates.{key}: expected")), "{error}");
    }
}

fn supervise(job: &mut Job, supervision: Supervision) {
    let settings = job.config.scene_coordinates.get_or_insert_default();
    *settings = SceneCoordinates { supervision, assumed_depth: 3.0, ..*settings };
}

#[test]
fn a_room_without_depth_is_learned_from_its_views() {
    let _alone = alone();
    let (work, room) = (tempfile::tempdir().unwrap(), Room::new(96));
    let blind = Room { depths: vec![None; 96], ..room.clone() };
    let folders = ["blind", "ignored", "model"].map(|name| work.path().join(name));
    // No depth, or depth that is not looked at: byte by byte the same model.
    for (room, folder, supervision, epochs) in [
        (&blind, &folders[0], Supervision::Depth, 2),
        (&room, &folders[1], Supervision::Reprojection, 2),
        (&blind, &folders[2], Supervision::Depth, 80),
    ] {
        let mut job = job(folder);
        job.config.epochs = epochs;
        supervise(&mut job, supervision);
        train(room, &job, Progress::Silent, &|| true).unwrap();
    }
    for file in ["model.yaml", "weights.safetensors"] {
        let bytes = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(bytes(&folders[0]) == bytes(&folders[1]), "{file} of two equal trainings");
    }
    let card = ModelCard::read(&folders[2]).unwrap();
    assert_eq!(card.training.supervision, Some(Supervision::Reprojection));
    assert_eq!(card.validation.median_point_error, None, "no truth to compare with");
    let mut regressor = PoseRegressor::load(&folders[2], Device::Cpu).unwrap();
    let mut answer = |pixels: &RgbImage| {
        let frame = PixelFrame { stamp: Stamp::from_nanos(0), pixels: pixels.clone() };
        regressor.regress(&frame).map(|answer| answer.absolute.map_from_camera)
    };
    // Frames that were not learned from, against the middle of the training poses.
    let position = |index: usize| room.frames[index].map_from_camera.translation;
    let middle = (0..48).map(|index| position(2 * index)).sum::<nalgebra::Vector3<f64>>() / 48.0;
    let of_middle = median((0..48).map(|index| (position(2 * index + 1) - middle).norm()).collect());
    let error =
        |index: usize| answer(&room.images[index]).map_or(f64::MAX, |pose| (pose.translation - position(index)).norm());
    let measured = median((0..48).map(|index| 2 * index + 1).map(error).collect());
    println!("{measured:.3} m, of {of_middle:.3} m; {:?}", card.validation);
    assert!(measured < 0.6 * of_middle, "{measured} of {of_middle}");
    assert!(matches!(answer(&RgbImage::new(160, 120)), Err(Error::NoAnswer { .. })), "a black image");
    let stripes =
        RgbImage::from_fn(160, 120, |x, y| image::Rgb([(31 * x) as u8, (17 * y) as u8, (13 * (x ^ y)) as u8]));
    assert!(matches!(answer(&stripes), Err(Error::NoAnswer { .. })), "a foreign image");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let _alone = alone();
    let work = tempfile::tempdir().unwrap();
    let room = || Room::new(4);
    let attempt = |room: Room, change: &dyn Fn(&mut Job)| {
        let mut job = Job { split: SplitRule::Separate { validation: None }, ..job(&work.path().join("model")) };
        change(&mut job);
        train(&room, &job, Progress::Silent, &|| true).unwrap_err().to_string()
    };
    // Without depth the camera has to move.
    let still = |depths: Vec<Option<DepthImage>>| {
        let mut still = Room { depths, ..room() };
        let place = still.frames[0].map_from_camera;
        still.frames.iter_mut().for_each(|frame| frame.map_from_camera = place);
        still
    };
    let no_depth = attempt(still(vec![None; 4]), &|_| ());
    let expected = "parameter dataset: expected frames that at least 3 others see from another side, for points without depth \
                    images, found none among the 4 training frames of room, whose positions differ by 0.01 m, at a depth of 2 m; \
                    move the camera sideways when you record, say in scene_coordinates.assumed_depth";
    assert!(no_depth.starts_with(expected) && !work.path().join("model").exists(), "{no_depth}");
    let empty = DepthImage::new(room().camera, vec![0.0; 160 * 120]).unwrap();
    let empty = attempt(still(vec![Some(empty); 4]), &|_| ());
    assert!(empty.starts_with(expected), "{empty}");
    let ignored = attempt(still(room().depths), &|job| supervise(job, Supervision::Reprojection));
    assert!(ignored.starts_with("parameter dataset: expected frames that at least 3 others see"), "{ignored}");
    let mut alone = room();
    alone.frames.truncate(1);
    let alone = attempt(alone, &|_| ());
    assert!(alone.starts_with("parameter split: expected at least 2 training frames, found 1 in room"), "{alone}");
    let mut nowhere = room();
    nowhere.frames.iter_mut().for_each(|frame| frame.map_from_camera.translation.fill(f64::NAN));
    let nowhere = attempt(nowhere, &|_| ());
    assert_eq!(nowhere, "normalization of the training poses: one is not finite");
    let blind = attempt(Room { camera: CameraModel { fx: 0.0, ..room().camera }, ..room() }, &|_| ());
    assert!(blind.starts_with("source camera: expected"), "{blind}");
    let small = attempt(room(), &|job| job.config.cache_limit = 0);
    assert!(
        small.starts_with("parameter cache_limit: expected at least 1 MiB, for a cell of each of 8 views"),
        "{small}"
    );
    let resumed = attempt(room(), &|job| job.resume = true);
    assert!(resumed.starts_with("parameter resume: expected an unfinished run, found none in"), "{resumed}");
}
