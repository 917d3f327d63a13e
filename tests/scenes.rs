//! Several scenes in one model: training, its folder, and answers in the map of one scene or none at all.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;

use std::cell::Cell;
use std::path::Path;

use alone::alone;
use image::{Rgb, RgbImage};
use nalgebra::{Vector2, Vector3};
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::{Se3, So3};
use vloc::network::{
    Activation, Block, Device, EncoderConfig, InputSize, LocalizerConfig, ModelCard, NetworkConfig, PixelFrame,
    PoseRegressor, ResNetConfig, TransformerConfig, ValidationRecord,
};
use vloc::progress::Progress;
use vloc::sensor::CameraModel;
use vloc::training::{
    Autoencoding, FineTuning, Job, SceneDataset, TrainingConfig, Units, autoencode, train, train_scenes,
};
use vloc::vision::Preprocessor;
use vloc::{Error, Result, Stamp};

/// A camera that moves along a painted wall, in a map of its own.
struct Wall {
    name: &'static str,
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    origin: Vector3<f64>,
    /// Red, green and blue, about which its waves go.
    paint: [f64; 3],
}

impl Wall {
    fn new(name: &'static str, camera: CameraModel, origin: f64, length: f64, paint: [f64; 3]) -> Self {
        let origin = Vector3::repeat(origin);
        let frame = |index: usize| {
            let phase = index as f64 / 60.0;
            let rotation = So3::exp(&Vector3::new(0.0, 0.3 * (6.0 * phase).sin(), 0.0));
            FrameInfo {
                name: format!("{name}/{index:03}"),
                stamp: Stamp::from_nanos(100_000_000 * index as i64),
                sequence: 0,
                map_from_camera: Se3::new(
                    rotation,
                    origin + Vector3::new(length * phase, 0.3 * (4.0 * phase).cos(), 0.1),
                ),
            }
        };
        Self { name, camera, frames: (0..60).map(frame).collect(), origin, paint }
    }

    /// A red wall of 2 m about (100, 100, 100).
    fn red() -> Self {
        Self::new("red", CameraModel::pinhole(48, 36, 40.0), 100.0, 2.0, [190.0, 70.0, 70.0])
    }

    /// A blue wall of 6 m about (-50, -50, -50), seen by a larger camera with a longer lens.
    fn blue() -> Self {
        Self::new("blue", CameraModel::pinhole(64, 48, 60.0), -50.0, 6.0, [70.0, 70.0, 190.0])
    }

    fn truth(&self, index: usize) -> Se3 {
        self.frames[index].map_from_camera
    }

    /// A frame as the model takes it.
    fn pixels(&self, index: usize, camera: &CameraModel) -> PixelFrame {
        let preprocessor = Preprocessor::new(&self.camera, camera).unwrap();
        let pixels = preprocessor.apply(&self.image(index).unwrap()).unwrap();
        PixelFrame { stamp: self.frames[index].stamp, pixels }
    }
}

impl Dataset for Wall {
    fn name(&self) -> &str {
        self.name
    }
    fn camera(&self) -> &CameraModel {
        &self.camera
    }
    fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }
    fn image(&self, index: usize) -> Result<RgbImage> {
        let pose = self.frames[index].map_from_camera;
        Ok(RgbImage::from_fn(self.camera.width, self.camera.height, |u, v| {
            let ray = self.camera.ray(&Vector2::new(f64::from(u), f64::from(v)));
            let point = pose.translation - self.origin + pose.rotation * ray * 2.0;
            let wave = |frequency: f64, paint: f64| {
                (paint + 60.0 * (frequency * point.x + 2.0 * point.y).sin()).clamp(0.0, 255.0) as u8
            };
            Rgb([wave(1.0, self.paint[0]), wave(2.3, self.paint[1]), wave(4.1, self.paint[2])])
        }))
    }
}

/// Seconds of training.
fn job(out: &Path) -> Job {
    let shape =
        ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [4, 8, 8, 8], activation: Activation::Relu };
    let transformer = TransformerConfig {
        width: 16,
        heads: 2,
        layers: 1,
        feedforward: 16,
        dropout: 0.1,
        position_stage: 3,
        orientation_stage: 2,
        scenes: 1,
    };
    let network = NetworkConfig {
        encoder: EncoderConfig::Resnet { shape },
        input: InputSize { height: 36, width: 48 },
        localizer: LocalizerConfig::Transformer { shape: transformer },
        hidden: vec![16],
        ..NetworkConfig::preset("ms-transformer").unwrap()
    };
    let preset = TrainingConfig::preset("ms-transformer").unwrap();
    let config = TrainingConfig {
        network: Some(network),
        epochs: 3,
        learning_rate: 3e-3,
        warmup_steps: 5,
        checkpoint_interval: 0.0,
        ..preset
    };
    Job {
        config,
        split: SplitRule::Separate { validation: Some(Validation { every: 2, length: 10, margin: 0, fold: 0 }) },
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "walls".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 5,
        resume: false,
        device: Device::Cpu,
    }
}

fn scene<'a>(name: &str, dataset: &'a Wall) -> SceneDataset<'a> {
    SceneDataset { name: name.to_owned(), dataset }
}

#[test]
fn one_model_learns_two_scenes_and_answers_in_the_map_of_one() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (red, blue) = (Wall::red(), Wall::blue());
    let mut job = job(&folder.path().join("walls"));
    (job.config.epochs, job.seed) = (60, 7);
    let card = train_scenes(&[scene("rot", &red), scene("blau", &blue)], &job, Progress::Silent, &|| true).unwrap();
    assert_eq!(ModelCard::read(&job.out).unwrap(), card);
    assert_eq!((card.network.scenes(), card.training.dataset.as_str(), card.training.frames), (2, "red + blue", 60));
    let log = std::fs::read_to_string(job.out.join("log.csv")).unwrap();
    assert!(
        log.starts_with("epoch,pose_loss,odometry_loss,validation_median_m,validation_median_deg,scenes_recognized\n")
    );
    assert_eq!(log.lines().count(), 61);

    // What is of a scene is not of the other: the camera, the units, the errors, the covariances.
    let [of_red, of_blue] = [&card.scenes[0], &card.scenes[1]];
    assert_eq!((of_red.name.as_str(), of_red.dataset.as_str(), of_red.frames), ("rot", "red", 30));
    assert_eq!((of_blue.name.as_str(), of_blue.dataset.as_str(), of_blue.frames), ("blau", "blue", 30));
    assert_eq!((of_red.camera.fx, of_blue.camera.fx), (40.0, 45.0));
    assert!((of_red.map_from_normalized.mean[0] - 101.0).abs() < 0.3 && of_red.map_from_normalized.scale < 0.6);
    assert!((of_blue.map_from_normalized.mean[0] + 47.0).abs() < 0.8 && of_blue.map_from_normalized.scale > 0.8);
    assert_ne!(of_red.calibration, of_blue.calibration);
    for ValidationRecord { frames, recognized, .. } in [of_red.validation, of_blue.validation] {
        assert!(frames == 30 && recognized.unwrap() >= 0.9, "{recognized:?}");
    }

    // Each scene in its own map, better than the mean training pose; the other one never.
    for (name, own, other) in [("rot", &red, &blue), ("blau", &blue, &red)] {
        let mut regressor = PoseRegressor::load_in(&job.out, name, Device::Cpu).unwrap();
        let (camera, units) = (regressor.card().camera, regressor.card().map_from_normalized);
        let (mut errors, mut of_mean, mut misled) = (Vec::new(), Vec::new(), 0);
        for index in (0..60).step_by(3) {
            match regressor.regress(&own.pixels(index, &camera)) {
                Ok(answer) => {
                    let truth = own.truth(index).translation;
                    errors.push((answer.absolute.map_from_camera.translation - truth).norm());
                    of_mean.push((Vector3::from(units.mean) - truth).norm());
                }
                Err(error) => assert!(matches!(error, Error::OtherScene { .. }), "{error}"),
            }
            match regressor.regress(&other.pixels(index, &camera)) {
                Err(Error::OtherScene { expected, probability, .. }) => assert!(expected == name && probability > 0.5),
                Err(error) => panic!("{name}: {error}"),
                Ok(_) => misled += 1,
            }
        }
        assert!(errors.len() >= 17 && misled <= 4, "{name}: {} of 20 answered, {misled} of the other", errors.len());
        errors.sort_by(f64::total_cmp);
        of_mean.sort_by(f64::total_cmp);
        let [found, of_mean] = [errors, of_mean].map(|sorted| sorted[sorted.len() / 2]);
        assert!(found < 0.9 * of_mean, "{name}: {found} against {of_mean}");
    }
}

#[test]
fn a_training_on_scenes_goes_on_to_the_same_bytes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, stopped] = ["straight", "stopped"].map(|name| folder.path().join(name));
    let (red, blue) = (Wall::red(), Wall::blue());
    let scenes = [scene("red", &red), scene("blue", &blue)];
    train_scenes(&scenes, &job(&straight), Progress::Silent, &|| true).unwrap();
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() <= 6
    };
    let error = train_scenes(&scenes, &job(&stopped), Progress::Silent, &stop).unwrap_err();
    assert_eq!(error.exit_code(), 130);
    let resumed = Job { resume: true, ..job(&stopped) };
    let other = train_scenes(&[scene("blue", &blue), scene("red", &red)], &resumed, Progress::Silent, &|| true);
    let text = other.unwrap_err().to_string();
    assert_eq!(text, "parameter resume: expected the scenes the run began with: [red, blue], found [blue, red]");
    let fewer = train(&red, &resumed, Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(fewer.starts_with("parameter resume: expected the scenes the run began with: [red, blue]"), "{fewer}");
    train_scenes(&scenes, &resumed, Progress::Silent, &|| true).unwrap();
    for file in ["weights.safetensors", "model.yaml", "log.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&straight) == read(&stopped), "{file}");
    }
}

#[test]
fn a_scene_is_named_where_there_are_several_and_only_there() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (red, blue) = (Wall::red(), Wall::blue());
    let both = folder.path().join("both");
    let mut job = job(&both);
    job.config.epochs = 1;
    train_scenes(&[scene("red", &red), scene("blue", &blue)], &job, Progress::Silent, &|| true).unwrap();
    let load = |folder: &Path, name: &str| PoseRegressor::load_in(folder, name, Device::Cpu);
    let text = |folder: &Path, name: &str| load(folder, name).unwrap_err().to_string();
    assert_eq!(text(&both, ""), "parameter scene: expected one of red, blue, found none");
    assert_eq!(text(&both, "green"), "parameter scene: expected one of red, blue, found \"green\"");
    let unnamed = PoseRegressor::load(&both, Device::Cpu).unwrap_err().to_string();
    assert_eq!(unnamed, "parameter scene: expected one of red, blue, found none");
    assert_eq!(load(&both, "blue").unwrap().scene(), Some(1));
    let encoding = Autoencoding::of(both.clone()).unwrap();
    let text_of = autoencode(&encoding, &red, Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(text_of.contains("expected a model whose pose head reads one embedding, found a transformer"), "{text_of}");

    // A card that contradicts itself.
    let card = std::fs::read_to_string(both.join("model.yaml")).unwrap();
    let broken = |from: &str, to: &str| {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("model.yaml"), card.replacen(from, to, 1)).unwrap();
        ModelCard::read(copy.path()).unwrap_err().to_string()
    };
    assert!(
        broken("- name: blue", "- name: red").contains("expected scenes with names of their own, found \"red\" twice")
    );
    assert!(broken("map_frame: map", "map_frame: other").contains("expected the camera, units, map frame"));
    assert!(broken("scenes: 2", "scenes: 3").contains("as many scenes as the network has queries, found 2 scenes, 3"));

    // One scene is a model like any other: nothing of scenes in its card, and its only name is that of its data.
    let one = Job { out: folder.path().join("one"), ..job };
    let card = train(&red, &one, Progress::Silent, &|| true).unwrap();
    let written = std::fs::read_to_string(one.out.join("model.yaml")).unwrap();
    assert!(!written.contains("\nscenes:") && !written.contains("recognized"), "{written}");
    assert!(!one.out.join("scenes.yaml").exists());
    assert_eq!(load(&one.out, "").unwrap().card(), &card);
    assert_eq!(load(&one.out, "red").unwrap().scene(), None);
    let unknown = text(&one.out, "blue");
    assert_eq!(unknown, "parameter scene: expected none, or red, the only place that the model knows, found \"blue\"");
}

#[test]
fn what_cannot_be_learned_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (red, blue) = (Wall::red(), Wall::blue());
    let base = job(&folder.path().join("never"));
    let refused = |scenes: &[SceneDataset], job: &Job| {
        let text = train_scenes(scenes, job, Progress::Silent, &|| true).unwrap_err().to_string();
        assert!(!job.out.exists(), "a refused training leaves no folder: {text}");
        text
    };
    let both = [scene("red", &red), scene("blue", &blue)];
    let text = refused(&[scene("wall", &red), scene("wall", &blue)], &base);
    assert!(
        text.starts_with("parameter dataset: expected scenes with names of their own, found \"wall\" twice"),
        "{text}"
    );
    assert!(text.ends_with("name them, as in --dataset NAME=PATH"), "{text}");
    assert!(refused(&[], &base).starts_with("parameter dataset: expected at least one"));

    let mut posenet = base.clone();
    posenet.config = TrainingConfig::preset("posenet").unwrap();
    let text = refused(&both, &posenet);
    let expected = "parameter dataset: expected one for this architecture, which knows one place, found 2; several scenes in \
                    one model are for the preset ms-transformer";
    assert_eq!(text, expected);

    let mut three = base.clone();
    if let Some(LocalizerConfig::Transformer { shape }) =
        three.config.network.as_mut().map(|network| &mut network.localizer)
    {
        shape.scenes = 3;
    }
    let text = refused(&both, &three);
    assert!(
        text.starts_with("parameter dataset: expected 3, as many as the architecture has scenes, found 2"),
        "{text}"
    );

    let mut frozen = base.clone();
    frozen.config.freeze_trunk = true;
    assert!(refused(&both, &frozen).contains("the localizer transformer"));
    let mut tuned = base.clone();
    tuned.from = Some(FineTuning { model: folder.path().join("model"), units: Units::Kept });
    assert!(refused(&both, &tuned).starts_with("parameter from: expected none with several datasets"));
    let mut tight = base;
    tight.config.reprojection = Some(Default::default());
    assert!(refused(&both, &tight).starts_with("parameter reprojection: expected none where several scenes"));
}
