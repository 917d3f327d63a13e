//! Reference frames: poses of a model that knows points are aligned to them, those of any other are measured from them, and bad
//! input is refused.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;

use std::path::Path;

use alone::alone;
use image::RgbImage;
use vloc::alignment::Outcome;
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::{Se3, Vector6};
use vloc::network::references::{REFERENCES_FILE, References};
use vloc::network::{
    Device, InputSize, LocalizerConfig, ModelCard, NetworkConfig, PixelFrame, PoseRegressor, SceneCoordinatesConfig,
};
use vloc::progress::Progress;
use vloc::sensor::{CameraModel, DepthImage};
use vloc::synth::{Pass, PassKind, PathKind, Renderer, Sensor, World};
use vloc::training::{Job, Referenced, Referencing, SceneCoordinates, TrainingConfig, add_references, train};
use vloc::{Result, Stamp};

/// The frames of a pass through the synthetic room.
struct Room {
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    images: Vec<RgbImage>,
    depths: Vec<DepthImage>,
    has_depth: bool,
}

impl Room {
    fn new(count: usize) -> Self {
        let (world, camera) = (World::new(1), CameraModel::pinhole(160, 120, 95.3));
        let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
        let pass = Pass::new(&world, PassKind::Training(0), PathKind::Handheld);
        let time = |index: usize| 0.1 * index as f64;
        let frame = |index: usize| FrameInfo {
            name: format!("room/{index:03}"),
            stamp: Stamp::from_nanos(100_000_000 * index as i64),
            sequence: 0,
            map_from_camera: pass.map_from_camera(time(index)),
        };
        Self {
            camera,
            frames: (0..count).map(frame).collect(),
            images: (0..count).map(|index| renderer.render(&world, &pass, time(index))).collect(),
            depths: (0..count).map(|index| renderer.depth(&world, &pass, time(index)).unwrap()).collect(),
            has_depth: true,
        }
    }

    /// Frame `index` as a model takes it.
    fn frame(&self, index: usize) -> PixelFrame {
        PixelFrame { stamp: self.frames[index].stamp, pixels: self.images[index].clone() }
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
        Ok(self.has_depth.then(|| self.depths[index].clone()))
    }
}

/// Every second frame is for validation.
fn split() -> SplitRule {
    SplitRule::Separate { validation: Some(Validation { every: 2, length: 1, margin: 0, fold: 0 }) }
}

fn learn_by(config: TrainingConfig, room: &Room, out: &Path) {
    let job = Job {
        config,
        split: split(),
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "room".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    };
    train(room, &job, Progress::Silent, &|| true).unwrap();
}

/// A small perceptron on random features: seconds.
fn learn(room: &Room, out: &Path) {
    let shape = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 0, parts: 1 };
    let preset = NetworkConfig::preset("scene-coordinates").unwrap();
    let network = NetworkConfig {
        input: InputSize { height: 120, width: 160 },
        localizer: LocalizerConfig::SceneCoordinates { shape },
        ..preset
    };
    let config = TrainingConfig {
        network: Some(network),
        epochs: 40,
        learning_rate: 3e-3,
        cached_copies: 1,
        scene_coordinates: Some(SceneCoordinates { cells: 1024, ..SceneCoordinates::default() }),
        mixed_precision: false,
        ..TrainingConfig::preset("scene-coordinates").unwrap()
    };
    learn_by(config, room, out);
}

fn add(room: &Room, job: &Referencing) -> Result<Referenced> {
    add_references(job, room, Progress::Silent, &|| true)
}

fn referencing(model: &Path) -> Referencing {
    Referencing { device: Device::Cpu, ..Referencing::of(model.to_owned()).unwrap() }
}

/// How far a pose is from another, metres.
fn apart(one: &Se3, other: &Se3) -> f64 {
    (one.translation - other.translation).norm()
}

/// Errors of poses off by 9 cm and 2 degrees, before and after alignment to the references in a folder: medians, metres.
fn aligned_from_beside(room: &Room, folder: &Path) -> [f64; 2] {
    let card = ModelCard::read(folder).unwrap();
    let record = card.references.as_ref().unwrap();
    let references = References::load(&folder.join(REFERENCES_FILE), record, card.map_from_normalized).unwrap();
    let regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
    let mut errors = [Vec::new(), Vec::new()];
    for (index, frame) in room.frames.iter().enumerate().step_by(5) {
        let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
        let offset = Vector6::new(0.06, -0.05, 0.05, 0.02, -0.02, 0.02) * sign;
        let start = frame.map_from_camera.retract(&offset);
        let maps = references.compress(&regressor.encoder_maps(&room.images[index]).unwrap()).unwrap();
        let (pose, _) = references.align(start, &maps, &card.camera);
        errors[0].push(apart(&start, &frame.map_from_camera));
        errors[1].push(apart(&pose, &frame.map_from_camera));
    }
    errors.map(|mut errors| {
        errors.sort_by(f64::total_cmp);
        errors[errors.len() / 2]
    })
}

#[test]
fn poses_beside_the_truth_come_closer_to_it() {
    let _alone = alone();
    let (work, mut room) = (tempfile::tempdir().unwrap(), Room::new(48));
    let model = work.path().join("model");
    learn(&room, &model);
    let before = ModelCard::read(&model).unwrap();
    for has_depth in [true, false] {
        room.has_depth = has_depth;
        let Referenced { card, measured, .. } = add(&room, &Referencing { frames: 16, ..referencing(&model) }).unwrap();
        let record = card.references.clone().unwrap();
        assert!(record.frames == 16 && record.points > 500, "{record:?}");
        let bytes = std::fs::metadata(model.join(REFERENCES_FILE)).unwrap().len();
        assert!(bytes < 1 << 20, "{bytes}");
        let [start, end] = aligned_from_beside(&room, &model);
        println!("depth {has_depth}: {start:.3} m, aligned {end:.3} m; {measured:?}");
        assert!(end < 0.5 * start, "depth {has_depth}: {start} {end}");
        let [plain, aligned] = measured.unwrap();
        let better = aligned.median_translation_error < plain.median_translation_error
            && aligned.median_rotation_error <= plain.median_rotation_error;
        assert_eq!(record.used, better);
        let (own, measured) = (card.calibration, before.calibration);
        assert!(own.translation_scale >= measured.translation_scale && own.rotation_scale >= measured.rotation_scale);
        if !record.used {
            let untouched = ModelCard { references: None, ..card };
            assert_eq!(untouched, before, "what is not used changes nothing");
        }
        before.write(&model).unwrap();
    }
}

#[test]
fn alignment_is_switched_on_and_off_and_reported() {
    let _alone = alone();
    let (work, room) = (tempfile::tempdir().unwrap(), Room::new(48));
    let model = work.path().join("model");
    learn(&room, &model);
    let none = PoseRegressor::load(&model, Device::Cpu).unwrap().with_alignment(true).unwrap_err().to_string();
    assert_eq!(
        none,
        "parameter align: expected a model with reference frames (vloc align adds them), found room, which has none"
    );
    let mut plain = PoseRegressor::load(&model, Device::Cpu).unwrap().with_alignment(false).unwrap();
    let plain = plain.regress_uncalibrated(&room.frame(20)).unwrap();
    assert_eq!(plain.alignment, None);

    let card = add(&room, &referencing(&model)).unwrap().card;
    assert_eq!(card, ModelCard::read(&model).unwrap());
    let load = |align: bool| PoseRegressor::load(&model, Device::Cpu).unwrap().with_alignment(align).unwrap();
    assert_eq!(load(false).regress_uncalibrated(&room.frame(20)).unwrap(), plain, "off is as before");
    let mut regressor = load(true);
    let aligned = regressor.regress_uncalibrated(&room.frame(20)).unwrap();
    assert_eq!(aligned, regressor.regress_uncalibrated(&room.frame(20)).unwrap(), "the same frame has the same answer");
    let report = aligned.alignment.unwrap();
    let (one, other) = (plain.absolute.map_from_camera, aligned.absolute.map_from_camera);
    assert_eq!(report.is_used(), one != other, "{report:?}");
    assert!(report.points > 50 && report.iterations > 0, "{report:?}");
    assert_eq!(aligned.absolute.covariance, plain.absolute.covariance, "the measured one stays");

    #[cfg(all(feature = "rtps", feature = "bag"))]
    for use_alignment in [true, false] {
        let config = vloc::config::Config { model: model.clone(), use_alignment, ..Default::default() };
        let used = vloc::cli::node::load_model(&config).unwrap().card().references.as_ref().unwrap().used;
        assert_eq!(used, use_alignment && card.references.as_ref().unwrap().used, "the node's parameter");
    }

    // The file and its card belong together.
    let file = model.join(REFERENCES_FILE);
    let whole = std::fs::read(&file).unwrap();
    let error = || PoseRegressor::load(&model, Device::Cpu).unwrap_err().to_string();
    std::fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    assert!(error().contains("expected a complete safetensors file"), "{}", error());
    std::fs::copy(model.join("weights.safetensors"), &file).unwrap();
    assert!(error().contains("as in model.yaml, found"), "{}", error());
    std::fs::remove_file(&file).unwrap();
    assert!(error().contains("reference frames that poses are aligned to, found no such file"), "{}", error());
}

#[test]
fn what_cannot_have_references_is_refused() {
    let _alone = alone();
    let (work, room) = (tempfile::tempdir().unwrap(), Room::new(48));
    let model = work.path().join("model");
    learn(&room, &model);
    let error = |job: Referencing| add(&room, &job).unwrap_err().to_string();
    let nothing = error(Referencing { frames: 0, ..referencing(&model) });
    assert_eq!(
        nothing,
        "parameter references: expected at least one frame and one cell of each, found 0 and the usual"
    );
    let other = error(Referencing { split: SplitRule::Separate { validation: None }, ..referencing(&model) });
    assert!(
        other.ends_with("the rule and the dataset that room was trained with, found other training frames"),
        "{other}"
    );
    let stopped = add_references(&referencing(&model), &room, Progress::Silent, &|| false).unwrap_err().to_string();
    assert!(stopped.ends_with("; the model is as it was"), "{stopped}");
    assert!(!model.join(REFERENCES_FILE).exists() && ModelCard::read(&model).unwrap().references.is_none());
    let while_measuring = || !model.join(REFERENCES_FILE).exists();
    let stopped =
        add_references(&referencing(&model), &room, Progress::Silent, &while_measuring).unwrap_err().to_string();
    assert!(
        stopped.ends_with("; the reference frames are in the model, and poses are not aligned to them"),
        "{stopped}"
    );
    assert!(!ModelCard::read(&model).unwrap().references.unwrap().used);
    let nowhere = Referencing::of(work.path().join("nowhere")).unwrap_err().to_string();
    assert!(nowhere.ends_with("split.yaml of its training, or the rule by --split, found no such folder"), "{nowhere}");

    // An image of nothing: alignment says so, and where there is an answer it stays.
    let card = add(&room, &referencing(&model)).unwrap().card;
    let references =
        References::load(&model.join(REFERENCES_FILE), &card.references.unwrap(), card.map_from_normalized).unwrap();
    let regressor = PoseRegressor::load(&model, Device::Cpu).unwrap();
    let maps = references.compress(&regressor.encoder_maps(&RgbImage::new(160, 120)).unwrap()).unwrap();
    let start = room.frames[20].map_from_camera;
    let (pose, report) = references.align(start, &maps, &room.camera);
    assert!(pose.is_finite() && (report.is_used() || pose == start), "{report:?}");
    let away = Se3 { translation: start.translation.map(|at| at + 1e3), ..start };
    assert_eq!(references.align(away, &maps, &room.camera).1.outcome, Outcome::TooFewPoints);
}

/// A small VLocNet that has hardly learned anything: seconds.
fn learn_poses(room: &Room, out: &Path) {
    let network = NetworkConfig {
        input: InputSize { height: 120, width: 160 },
        ..NetworkConfig::preset("vlocnet-small").unwrap()
    };
    let config = TrainingConfig {
        network: Some(network),
        epochs: 2,
        batch_size: 8,
        mixed_precision: false,
        ..TrainingConfig::preset("vlocnet-small").unwrap()
    };
    learn_by(config, room, out);
}

/// Median distance of the answers to the validation frames from the truth, metres, and how many have one.
fn answered(room: &Room, regressor: &mut PoseRegressor) -> (f64, usize) {
    let answers = (0..room.frames.len()).skip(1).step_by(2).filter_map(|index| {
        let answer = regressor.regress(&room.frame(index)).ok()?;
        Some(apart(&answer.absolute.map_from_camera, &room.frames[index].map_from_camera))
    });
    let mut errors: Vec<f64> = answers.collect();
    errors.sort_by(f64::total_cmp);
    (errors.get(errors.len() / 2).copied().unwrap_or(f64::INFINITY), errors.len())
}

#[test]
fn what_a_regressor_proposes_is_measured_from_reference_frames() {
    let _alone = alone();
    let (work, mut room) = (tempfile::tempdir().unwrap(), Room::new(96));
    let model = work.path().join("model");
    learn_poses(&room, &model);
    let before = ModelCard::read(&model).unwrap();

    // Without depth nobody knows a point.
    room.has_depth = false;
    let error = add(&room, &referencing(&model)).unwrap_err().to_string();
    assert!(error.contains("expected depth images beside the colours, or a model that knows points"), "{error}");
    assert_eq!(ModelCard::read(&model).unwrap(), before);
    room.has_depth = true;

    let Referenced { card, measured, alone } = add(&room, &referencing(&model)).unwrap();
    assert_eq!(card, ModelCard::read(&model).unwrap());
    let ([plain, recognized], alone) = (measured.unwrap(), alone.unwrap());
    println!("{plain:?}\n{recognized:?}\n{alone:?}");
    assert!(recognized.median_translation_error < 0.5 * plain.median_translation_error);
    let record = card.references.clone().unwrap();
    assert!(record.used && record.calibration.is_some_and(|calibration| calibration.frames >= 20), "{record:?}");
    assert_eq!((card.calibration, card.relative_calibration), (before.calibration, before.relative_calibration));

    let load = |align: bool| PoseRegressor::load(&model, Device::Cpu).unwrap().with_alignment(align).unwrap();
    let ((own, all), (measured, most)) = (answered(&room, &mut load(false)), answered(&room, &mut load(true)));
    println!("{own:.3} m of {all} frames, {measured:.3} m of {most}");
    assert!(all == 48 && most > 40 && measured < 0.5 * own, "{own} {measured} {most}");

    let (mut plain, mut regressor) = (load(false), load(true));
    let (said, answer) = (plain.regress(&room.frame(21)).unwrap(), regressor.regress(&room.frame(21)).unwrap());
    assert!(said.evidence.is_none() && said.alignment.is_none());
    assert!(answer.evidence.unwrap().inliers >= 25 && answer.alignment.is_some());
    let sigma = |answer: &vloc::network::Regression| answer.absolute.covariance.fixed_view::<3, 3>(0, 0).trace().sqrt();
    assert!(sigma(&answer) < 0.5 * sigma(&said), "{} {}", sigma(&answer), sigma(&said));
    let next = regressor.regress(&room.frame(22)).unwrap();
    assert!(next.relative.is_some(), "its own odometry goes on");

    // A covered camera: no answer, and the camera is not followed either.
    let covered = PixelFrame { stamp: room.frames[23].stamp, pixels: RgbImage::new(160, 120) };
    let error = regressor.regress(&covered).unwrap_err();
    assert!(matches!(error, vloc::Error::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("cells compared with reference frames"), "{error}");
    assert!(regressor.motion().is_none());

    // Fitted anew, the factors of measured poses change and those of the network's stay.
    let image = |index: usize| Ok(room.images[index].clone());
    let validation: Vec<usize> = (1..96).step_by(2).collect();
    let anew = vloc::training::calibrate(load(true), &room.frames, &validation, &image, Progress::Silent).unwrap();
    assert_eq!(anew.calibration, card.calibration);
    assert_ne!(anew.references.unwrap().calibration, record.calibration);
    // A card without them is refused: the network's would be a lie.
    let record = vloc::network::references::ReferencesRecord { calibration: None, ..record };
    let error = ModelCard { references: Some(record), ..card }.write(&model).unwrap_err().to_string();
    assert!(
        error.contains("references.calibration beside a model that regresses, found none; run vloc align"),
        "{error}"
    );
}

#[test]
fn models_that_cannot_be_compared_are_refused() {
    let (work, room) = (tempfile::tempdir().unwrap(), Room::new(8));
    let model = work.path().join("model");
    learn_poses(&room, &model);
    let card = ModelCard::read(&model).unwrap();
    let error = |card: &ModelCard| {
        card.write(&model).unwrap();
        add(&room, &referencing(&model)).unwrap_err().to_string()
    };
    let mut crop = card.clone();
    crop.network.odometry = vloc::network::Odometry::None;
    crop.network.temporal = vloc::network::Temporal::None;
    crop.network.crop = Some(vloc::network::CropConfig { height: 96, width: 128, count: 1 });
    let parts = error(&crop);
    assert!(parts.contains("a single network whose maps show where things are, found one that sees parts"), "{parts}");
    let mut vgg = card.clone();
    vgg.network.encoder = vloc::network::EncoderConfig::Vgg16;
    assert!(error(&vgg).contains("SqueezeNet and ResNets have such maps"));
}
