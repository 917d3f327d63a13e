//! Places that are too large for one head: a building of rooms that are alike, known by parts.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;
mod common;

use std::path::{Path, PathBuf};

use alone::alone;
use common::real_data_for;
use image::RgbImage;
use nalgebra::Vector3;
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::Se3;
use vloc::network::{
    Device, EncoderConfig, InputSize, LocalizerConfig, ModelCard, NetworkConfig, PLACE_FILE, PixelFrame, PoseRegressor,
    SceneCoordinatesConfig,
};
use vloc::progress::Progress;
use vloc::sensor::{CameraModel, DepthImage};
use vloc::synth::{Building, Pass, PassKind, PathKind, Renderer, Sensor};
use vloc::training::{Job, Joining, SceneCoordinates, TrainingConfig, join, train};
use vloc::{Error, Result, Stamp};

/// Seconds between the frames of a room.
const INTERVAL: f64 = 0.25;

/// The frames of a walk in each room of a building, with depth.
struct House {
    building: Building,
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    images: Vec<RgbImage>,
    depths: Vec<DepthImage>,
}

impl House {
    /// So many frames of each room, one after the other.
    fn new(rooms: usize, of_each: usize, delay: f64) -> Self {
        Self::at_times(rooms, &(0..of_each).map(|step| INTERVAL * step as f64 + delay).collect::<Vec<_>>())
    }

    /// Frames of each room at these seconds of its walk.
    fn at_times(rooms: usize, times: &[f64]) -> Self {
        let building = Building::new(1, rooms);
        let camera = CameraModel::pinhole(160, 120, 95.3);
        let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
        let (mut frames, mut images, mut depths) = (Vec::new(), Vec::new(), Vec::new());
        for (number, room) in building.rooms.iter().enumerate() {
            let pass = Pass::new(room, PassKind::Training(0), PathKind::Handheld);
            for (step, &t) in times.iter().enumerate() {
                frames.push(FrameInfo {
                    name: format!("room-{number:02}/{step:03}"),
                    stamp: Stamp::from_nanos(100_000_000 * step as i64),
                    sequence: number,
                    map_from_camera: pass.map_from_camera(t),
                });
                images.push(renderer.render(room, &pass, t));
                depths.push(renderer.depth(room, &pass, t).unwrap());
            }
        }
        Self { building, camera, frames, images, depths }
    }
}

impl Dataset for House {
    fn name(&self) -> &str {
        "house"
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
        Ok(Some(self.depths[index].clone()))
    }
}

/// Seconds of training: a small perceptron per part.
fn job(out: &Path, pretrained: Option<PathBuf>, parts: usize, epochs: usize) -> Job {
    let shape = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 0, parts: 1 };
    let network = NetworkConfig {
        input: InputSize { height: 120, width: 160 },
        localizer: LocalizerConfig::SceneCoordinates { shape },
        ..NetworkConfig::preset("scene-coordinates").unwrap()
    };
    let config = TrainingConfig {
        network: Some(network),
        epochs,
        learning_rate: 3e-3,
        cached_copies: 1,
        scene_coordinates: Some(SceneCoordinates { parts, cells: 512, ..SceneCoordinates::default() }),
        mixed_precision: false,
        ..TrainingConfig::preset("scene-coordinates").unwrap()
    };
    Job {
        config,
        split: SplitRule::Separate { validation: None },
        pretrained,
        from: None,
        out: out.to_owned(),
        name: "house".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    }
}

fn ask(regressor: &mut PoseRegressor, pixels: &RgbImage) -> Result<Se3> {
    let frame = PixelFrame { stamp: Stamp::from_nanos(0), pixels: pixels.clone() };
    Ok(regressor.regress(&frame)?.absolute.map_from_camera)
}

/// What a model says of frames.
#[derive(Debug, Default)]
struct Score {
    frames: usize,
    answered: usize,
    /// Within 0.25 m and 5 degrees.
    near: usize,
    other_room: usize,
}

impl Score {
    fn of(folder: &Path, house: &House) -> Self {
        let mut regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
        let mut score = Self::default();
        for (frame, image) in house.frames.iter().zip(&house.images) {
            score.frames += 1;
            let pose = match ask(&mut regressor, image) {
                Err(Error::NoAnswer { .. }) => continue,
                answer => answer.unwrap(),
            };
            score.answered += 1;
            let truth = frame.map_from_camera;
            let apart = (pose.translation - truth.translation).norm();
            score.near += usize::from(apart < 0.25 && pose.rotation.local(truth.rotation).norm() < 5f64.to_radians());
            let room = |place: &Vector3<f64>| house.building.room_of(place);
            score.other_room += usize::from(room(&pose.translation) != room(&truth.translation));
        }
        score
    }
}

#[test]
fn a_building_of_rooms_that_are_alike_is_known_by_its_parts() {
    let Some(data) = real_data_for("a building by its parts") else { return };
    let weights = data.join("weights/squeezenet1_0_imagenet.safetensors");
    let _alone = alone();
    let work = tempfile::tempdir().unwrap();
    let (learned, asked) = (House::new(10, 32, 0.0), House::new(10, 10, 1.0 + 0.5 * INTERVAL));
    // The heads of the parts together take as many steps as the one head does.
    let score = |parts: usize| {
        let folder = work.path().join(format!("{parts}"));
        train(&learned, &job(&folder, Some(weights.clone()), parts, 20), Progress::Silent, &|| true).unwrap();
        Score::of(&folder, &asked)
    };
    let (one, ten) = (score(1), score(10));
    println!("one head: {one:?}\nten parts: {ten:?}");
    assert!(ten.near >= 55 && ten.near >= one.near + 40, "of {} frames: {} and {}", ten.frames, ten.near, one.near);
    assert!(ten.other_room <= 2, "{ten:?}");
}

#[test]
fn equal_trainings_of_parts_are_equal_and_their_files_belong_together() {
    let _alone = alone();
    // Three times along one path, each time from other places on it.
    let times: Vec<f64> = (0..48).map(|step| 0.2 * f64::from(step % 16) + 0.06 * f64::from(step / 16)).collect();
    let (work, house) = (tempfile::tempdir().unwrap(), House::at_times(2, &times));
    let folders = ["one", "two", "model"].map(|name| work.path().join(name));
    let split = SplitRule::Separate { validation: Some(Validation { every: 4, length: 1, margin: 0, fold: 0 }) };
    for (folder, epochs) in folders.iter().zip([2, 2, 40]) {
        let mut job = Job { split: split.clone(), ..job(folder, None, 2, epochs) };
        let settings = job.config.scene_coordinates.get_or_insert_default();
        *settings = SceneCoordinates { folds: 2, fold_epochs: epochs, ..*settings };
        train(&house, &job, Progress::Silent, &|| true).unwrap();
    }
    for file in ["model.yaml", "weights.safetensors", PLACE_FILE] {
        let bytes = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(bytes(&folders[0]) == bytes(&folders[1]), "{file} of two equal trainings");
    }
    let card = ModelCard::read(&folders[2]).unwrap();
    let place = card.large_place.as_ref().unwrap();
    assert_eq!((place.parts.len(), place.images, card.network.scene_coordinates().unwrap().parts), (2, 72, 2));
    let middles: Vec<f64> = place.parts.iter().map(|part| part.map_from_normalized.mean[0]).collect();
    let pitch = f64::from(Building::PITCH);
    assert!(middles[0] < 0.5 * pitch && (0.5 * pitch..1.5 * pitch).contains(&middles[1]), "{middles:?}");
    assert!(card.calibration.frames >= 20 && card.validation.frames == 24, "{:?}", card.calibration);
    assert!(card.validation.median_point_error.unwrap() < 0.5, "{:?}", card.validation);
    assert_eq!(std::fs::read_to_string(folders[2].join("log.csv")).unwrap().lines().count(), 81);

    let mut regressor = PoseRegressor::load(&folders[2], Device::Cpu).unwrap();
    let near = |(frame, image): (&FrameInfo, &RgbImage)| {
        let pose = ask(&mut regressor, image);
        pose.is_ok_and(|pose| (pose.translation - frame.map_from_camera.translation).norm() < 0.5)
    };
    let near = house.frames.iter().zip(&house.images).map(near).filter(|near| *near).count();
    assert!(near >= 72, "{near} of 96 frames, most of which it has learned");
    assert!(matches!(ask(&mut regressor, &RgbImage::new(160, 120)), Err(Error::NoAnswer { .. })), "a black image");
    let times = regressor.step_times();
    assert!(times.features > std::time::Duration::ZERO && times.head > std::time::Duration::ZERO);

    let joining = Joining {
        models: folders[..2].to_vec(),
        out: work.path().join("both"),
        name: "both".to_owned(),
        command: "test".to_owned(),
        device: Device::Cpu,
    };
    let joined = join(&joining, None, Progress::Silent).unwrap_err().to_string();
    assert!(joined.contains("expected models that know their place by one head"), "{joined}");
    std::fs::remove_file(folders[1].join(PLACE_FILE)).unwrap();
    let lost = PoseRegressor::load(&folders[1], Device::Cpu).unwrap_err().to_string();
    assert!(lost.contains("place.safetensors: expected the 72 training images"), "{lost}");
    let text = std::fs::read_to_string(folders[0].join("model.yaml")).unwrap();
    let start = text.find("large_place:").unwrap();
    std::fs::write(folders[0].join("model.yaml"), &text[..start]).unwrap();
    let half = ModelCard::read(&folders[0]).unwrap_err().to_string();
    assert!(half.contains("expected large_place for an architecture of several parts, found none, for 2"), "{half}");
}

#[test]
fn each_head_is_a_few_megabytes() {
    let _alone = alone();
    let preset = NetworkConfig::preset("scene-coordinates").unwrap();
    let shape = SceneCoordinatesConfig { parts: 3, ..*preset.scene_coordinates().unwrap() };
    let network = NetworkConfig { localizer: LocalizerConfig::SceneCoordinates { shape }, ..preset };
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    assert_eq!(vloc::network::PoseNetwork::new(&store.root(), &network).unwrap().parts().len(), 3);
    for part in 0..3 {
        let name = format!("coordinates.{part}.");
        let own = store.variables().into_iter().filter(|(variable, _)| variable.starts_with(&name));
        let bytes: usize = own.map(|(_, variable)| 2 * variable.numel()).sum();
        assert!((1_000_000..10_000_000).contains(&bytes), "{bytes}");
    }
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let _alone = alone();
    let (work, house) = (tempfile::tempdir().unwrap(), House::new(1, 20, 0.0));
    let attempt = |parts: usize, change: &dyn Fn(&mut Job)| {
        let mut job = job(&work.path().join("model"), None, parts, 1);
        change(&mut job);
        train(&house, &job, Progress::Silent, &|| true).unwrap_err().to_string()
    };
    let keep = |_: &mut Job| ();
    let none = attempt(0, &keep);
    assert_eq!(none, "parameter scene_coordinates.parts: expected 1 for one head, or up to 64, found 0");
    let many = attempt(21, &keep);
    assert!(many.starts_with("parameter scene_coordinates.parts: expected at most 2 for 20 training frames"), "{many}");
    let other = attempt(2, &|job| {
        let shape = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 0, parts: 3 };
        job.config.network.as_mut().unwrap().localizer = LocalizerConfig::SceneCoordinates { shape };
    });
    assert!(other.contains("expected 3, as network.localizer.shape.parts says, or 1 there, found 2"), "{other}");
    let pose = attempt(2, &|job| {
        let regressor = NetworkConfig::preset("vlocnet-squeezenet").unwrap();
        job.config.network = Some(NetworkConfig { encoder: EncoderConfig::Squeezenet, ..regressor });
    });
    assert!(pose.starts_with("parameter scene_coordinates: expected none for this architecture"), "{pose}");
    assert!(!work.path().join("model").exists(), "nothing was written");
}
