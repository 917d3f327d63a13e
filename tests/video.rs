//! Learning from video without labels, through the public API: what its odometry is worth, that a run is repeated and
//! resumed bit for bit, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;

use std::cell::Cell;
use std::path::Path;

use alone::alone;
use image::RgbImage;
use nalgebra::Vector3;
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::{Se3, So3};
use vloc::network::{
    Activation, AnchorsConfig, Block, Device, EncoderConfig, GalleryConfig, InputSize, LocalizerConfig, ModelCard,
    NetworkConfig, Odometry, PixelFrame, PoseRegressor, ResNetConfig, Temporal,
};
use vloc::progress::Progress;
use vloc::sensor::CameraModel;
use vloc::synth::{Pass, PassKind, PathKind, Renderer, Sensor, World};
use vloc::training::{
    FineTuning, Job, PairRule, TrainingConfig, Units, Unlabelled, Video, fine_tuning_preset, train, train_with_video,
};
use vloc::vision::Preprocessor;
use vloc::{Result, Stamp};

/// Seconds from frame to frame.
const STEP: f64 = 0.2;

/// Some frames of a walk through the synthetic room.
#[derive(Clone)]
struct Walk {
    name: &'static str,
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    images: Vec<RgbImage>,
}

impl Walk {
    fn new(frames: std::ops::Range<usize>, camera: CameraModel) -> Self {
        let world = World::new(1);
        let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
        let pass = Pass::new(&world, PassKind::Training(0), PathKind::Planar);
        let frame = |index: usize| FrameInfo {
            name: format!("walk/{index:03}"),
            stamp: Stamp::from_nanos((1e9 * STEP * index as f64) as i64),
            sequence: 0,
            map_from_camera: pass.map_from_camera(STEP * index as f64),
        };
        let images = frames.clone().map(|index| renderer.render(&world, &pass, STEP * index as f64)).collect();
        Self { name: "walk", camera, frames: frames.map(frame).collect(), images }
    }

    /// The same with the poses of an odometry: in a frame of its own, and drifting.
    fn by_odometry(&self) -> Self {
        let drift = Se3::new(So3::exp(&Vector3::new(1e-4, 2e-4, -1e-4)), Vector3::new(3e-4, 0.0, 5e-4));
        let mut odometry_from_camera =
            Se3::new(So3::exp(&Vector3::new(0.3, 1.2, -0.8)), Vector3::new(500.0, -80.0, 7.0));
        let mut frames = self.frames.clone();
        for (frame, pair) in frames.iter_mut().skip(1).zip(self.frames.windows(2)) {
            let motion = pair[0].map_from_camera.inverse() * pair[1].map_from_camera;
            odometry_from_camera = odometry_from_camera * motion * drift;
            frame.map_from_camera = odometry_from_camera;
        }
        frames[0].map_from_camera = Se3::new(So3::exp(&Vector3::new(0.3, 1.2, -0.8)), Vector3::new(500.0, -80.0, 7.0));
        Self { frames, ..self.clone() }
    }
}

impl Dataset for Walk {
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
        Ok(self.images[index].clone())
    }
}

fn camera() -> CameraModel {
    CameraModel::pinhole(48, 36, 30.0)
}

/// Absolute poses alone, seconds in an unoptimized build.
fn job(out: &Path) -> Job {
    let shape = ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [4, 4, 8, 8], activation: Activation::Elu };
    let network = NetworkConfig {
        encoder: EncoderConfig::Resnet { shape },
        input: InputSize { height: 36, width: 48 },
        localizer: LocalizerConfig::Grid { rows: 2, cols: 2, channels: 8 },
        hidden: vec![32],
        dropout: 0.1,
        dropout_samples: 4,
        ..NetworkConfig::preset("mapnet-plus").unwrap()
    };
    let config = TrainingConfig {
        network: Some(network),
        epochs: 4,
        batch_size: 16,
        learning_rate: 3e-3,
        warmup_steps: 10,
        average_decay: 0.9,
        checkpoint_interval: 0.0,
        unlabelled: None,
        ..TrainingConfig::preset("mapnet-plus").unwrap()
    };
    Job {
        config,
        split: SplitRule::Separate { validation: None },
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "walk".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    }
}

/// The same that learns from a video.
fn with_video(out: &Path) -> Job {
    let mut job = job(out);
    job.config.unlabelled = Some(Unlabelled { max_skip: 20, ..Unlabelled::default() });
    job
}

/// Medians over frames: errors of positions, and of the motions from ten frames before.
fn errors(model: &Path, truth: &Walk) -> (f64, f64) {
    let mut regressor = PoseRegressor::load(model, Device::Cpu).unwrap();
    let preprocessor = Preprocessor::new(&truth.camera, &regressor.card().camera).unwrap();
    let answer = |index: usize| {
        let pixels = preprocessor.apply(&truth.images[index]).unwrap();
        let frame = PixelFrame { stamp: truth.frames[index].stamp, pixels };
        regressor.regress(&frame).unwrap().absolute.map_from_camera
    };
    let answers: Vec<Se3> = (0..truth.frames.len()).map(answer).collect();
    let poses: Vec<Se3> = truth.frames.iter().map(|frame| frame.map_from_camera).collect();
    let median = |mut errors: Vec<f64>| {
        errors.sort_by(f64::total_cmp);
        errors[errors.len() / 2]
    };
    let motions = |poses: &[Se3]| -> Vec<Se3> {
        poses.iter().zip(&poses[10..]).map(|(&previous, &current)| previous.inverse() * current).collect()
    };
    let moved = motions(&answers).into_iter().zip(motions(&poses)).map(|(a, b)| (a.translation - b.translation).norm());
    let placed = answers.iter().zip(&poses).map(|(a, b)| (a.translation - b.translation).norm());
    (median(placed.collect()), median(moved.collect()))
}

#[test]
fn the_motions_of_frames_without_labels_get_better() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [model, without, with] = ["model", "without", "with"].map(|name| folder.path().join(name));
    let (labelled, rest) = (Walk::new(0..110, camera()), Walk::new(110..190, camera()));
    let mut first = job(&model);
    first.config.epochs = 30;
    train(&labelled, &first, Progress::Silent, &|| true).unwrap();

    let tuning = |out: &Path, unlabelled: Option<Unlabelled>| {
        let mut job = job(out);
        (job.config.epochs, job.config.learning_rate, job.config.unlabelled) = (30, 1e-3, unlabelled);
        Job { from: Some(FineTuning { model: model.clone(), units: Units::Kept }), ..job }
    };
    let of_model = train(&labelled, &tuning(&without, None), Progress::Silent, &|| true).unwrap();
    let odometry = rest.by_odometry();
    let learning = tuning(&with, Some(Unlabelled { max_skip: 20, ..Unlabelled::default() }));
    let card = train_with_video(&labelled, Some(&Video::of(&odometry)), &learning, Progress::Silent, &|| true).unwrap();

    let (before, after) = (errors(&without, &rest), errors(&with, &rest));
    assert!(after.1 < 0.95 * before.1, "{after:?} with the video, {before:?} without");
    // The odometry's frame, half a kilometre away, does not draw the labelled frames out of the map.
    assert_eq!(card.map_from_normalized, of_model.map_from_normalized);
    let labelled = errors(&with, &labelled);
    assert!(labelled.0 < 0.5 * after.0, "{labelled:?} where there are labels, {after:?} where there are none");

    let record = card.training.unlabelled.unwrap();
    assert_eq!((record.dataset.as_str(), record.frames, record.test_frames), ("walk", 80, 0));
    assert_eq!(record.dataset_sha256.len(), 64);
    assert_ne!(record.dataset_sha256, card.training.dataset_sha256);
    assert_eq!(of_model.training.unlabelled, None);
}

#[test]
fn a_killed_run_with_a_video_ends_with_the_same_weights() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, killed, revived] = ["straight", "killed", "revived"].map(|name| folder.path().join(name));
    let (labelled, rest) = (Walk::new(0..50, camera()), Walk::new(50..85, camera()).by_odometry());
    let video = Video::of(&rest);
    let run = |job: &Job, keep_going: &dyn Fn() -> bool| {
        train_with_video(&labelled, Some(&video), job, Progress::Silent, keep_going)
    };
    let card = run(&with_video(&straight), &|| true).unwrap();
    // Four steps per epoch: in the middle of the third.
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() <= 10
    };
    assert_eq!(run(&with_video(&killed), &stop).unwrap_err().exit_code(), 130);
    copy_folder(&killed, &revived).unwrap();

    let resumed = |out: &Path| Job { resume: true, ..with_video(out) };
    let other = Video { frames: (0..30).collect(), ..video.clone() };
    let error = train_with_video(&labelled, Some(&other), &resumed(&revived), Progress::Silent, &|| true).unwrap_err();
    let expected = "parameter unlabelled: expected the video the run began with, found other frames or poses than ";
    assert!(error.to_string().starts_with(expected), "{error}");
    run(&resumed(&killed), &|| true).unwrap();
    run(&with_video(&folder.path().join("again")), &|| true).unwrap();
    for file in ["weights.safetensors", "model.yaml", "log.csv", "unlabelled.yaml"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&straight) == read(&folder.path().join("again")), "{file} of two equal runs");
        assert!(read(&straight) == read(&killed), "{file} of a run that was stopped and resumed");
    }
    assert_eq!(ModelCard::read(&straight).unwrap(), card);
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}

#[test]
fn every_absolute_architecture_takes_a_video_with_its_own_settings() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (labelled, rest) = (Walk::new(0..30, camera()), Walk::new(30..50, camera()).by_odometry());
    let mut frozen = with_video(&folder.path().join("frozen"));
    (frozen.config.freeze_trunk, frozen.config.cached_copies) = (true, 1);
    let mut anchored = with_video(&folder.path().join("anchored"));
    let network = anchored.config.network.as_mut().unwrap();
    (network.anchors, network.temporal) = (Some(AnchorsConfig { count: 4 }), Temporal::None);
    let mut streams = with_video(&folder.path().join("streams"));
    let network = streams.config.network.as_mut().unwrap();
    network.odometry = NetworkConfig::preset("vlocnet-small").unwrap().odometry;
    network.temporal = Temporal::PreviousPose;
    assert_ne!(network.odometry, Odometry::None);
    (streams.config.accumulate, streams.config.batch_size) = (2, 4);
    for job in [frozen, anchored, streams] {
        let job = Job { config: TrainingConfig { epochs: 1, ..job.config }, ..job };
        let card = train_with_video(&labelled, Some(&Video::of(&rest)), &job, Progress::Silent, &|| true).unwrap();
        assert_eq!(card.training.unlabelled.unwrap().frames, 20);
    }
}

#[test]
fn a_video_that_cannot_be_learned_from_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (labelled, rest) = (Walk::new(0..30, camera()), Walk::new(30..50, camera()).by_odometry());
    let refused = |video: Option<&Video>, job: &Job| {
        let error = train_with_video(&labelled, video, job, Progress::Silent, &|| true).unwrap_err().to_string();
        assert!(!out.exists(), "a refused training leaves no folder: {error}");
        error
    };
    let learning = with_video(&out);
    let error = refused(None, &learning);
    let expected =
        "parameter unlabelled: expected a video of the place with an odometry's poses, found none; give --unla";
    assert!(error.starts_with(expected), "{error}");
    let error = refused(Some(&Video::of(&rest)), &job(&out));
    assert_eq!(error, "parameter unlabelled: expected its settings in those of the training, found none");
    let error = refused(Some(&Video { dataset: &rest, frames: vec![3] }), &learning);
    let expected = "frames at most 20 apart in one recording, found none among the 1 of walk";
    assert_eq!(error, format!("parameter unlabelled: expected {expected}"));

    let mut lost = rest.clone();
    lost.frames[4].map_from_camera.translation.y = f64::NAN;
    let error = refused(Some(&Video::of(&lost)), &learning);
    assert_eq!(error, "parameter unlabelled: expected poses that are finite, found one of walk/034 that is not");
    // Twice the focal length: it sees a quarter of the network's picture.
    let narrow = Walk { camera: CameraModel::pinhole(48, 36, 60.0), ..rest.clone() };
    let error = refused(Some(&Video::of(&narrow)), &learning);
    assert!(
        error.starts_with("parameter camera: expected one that sees at least 80 % of the model's picture, found 2")
    );
    assert!(error.ends_with("leave this video out"), "{error}");

    // Validation frames may not be in it, whoever gave their poses; training frames may.
    let validation = Some(Validation { every: 3, length: 5, margin: 0, fold: 0 });
    let judged = Job { split: SplitRule::Separate { validation }, ..learning.clone() };
    let all = labelled.by_odometry();
    let error = refused(Some(&Video::of(&all)), &judged);
    let expected =
        "parameter unlabelled: expected a video without the validation frames, found 10 of them; name other ";
    assert!(error.starts_with(expected), "{error}");

    let mut comparing = learning.clone();
    comparing.config.network.as_mut().unwrap().gallery = Some(GalleryConfig { neighbours: 2, images: 4 });
    comparing.config.pairs = PairRule::Overlapping { overlap: 0.5, distance: 1.0, near: 1.0, far: 2.0 };
    let error = refused(Some(&Video::of(&rest)), &comparing);
    assert!(error.starts_with("parameter unlabelled: expected none for this architecture, found some, with a gallery"));
}

#[test]
fn test_frames_in_a_video_are_counted_and_another_camera_is_turned_into_the_networks() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let labelled = Walk::new(0..50, camera());
    // The last twenty are for the test; the video has the last thirty, by a camera that sees more, with more pixels.
    let split = SplitRule::Range { test: [30, 50], gap: 0, validation: None };
    let mut wide = Walk::new(0..50, CameraModel::pinhole(96, 72, 45.0)).by_odometry();
    let job = Job { split, ..with_video(&folder.path().join("tested")) };
    let job = Job { config: TrainingConfig { epochs: 1, ..job.config }, ..job };
    let video = Video { dataset: &wide, frames: (20..50).collect() };
    let card = train_with_video(&labelled, Some(&video), &job, Progress::Silent, &|| true).unwrap();
    let record = card.training.unlabelled.unwrap();
    assert_eq!((record.frames, record.test_frames, card.training.frames), (30, 20, 30));
    // Frames of another dataset are others.
    wide.name = "another walk";
    let video = Video { dataset: &wide, frames: (20..50).collect() };
    let job = Job { out: folder.path().join("other"), ..job };
    let card = train_with_video(&labelled, Some(&video), &job, Progress::Silent, &|| true).unwrap();
    assert_eq!(card.training.unlabelled.unwrap().test_frames, 0);
}

#[test]
fn the_preset_goes_on_from_a_model_with_its_architecture() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut first = job(&folder.path().join("model"));
    first.config.epochs = 1;
    train(&Walk::new(0..20, camera()), &first, Progress::Silent, &|| true).unwrap();
    let config = fine_tuning_preset("mapnet-plus", &first.out).unwrap();
    let preset = TrainingConfig::preset("mapnet-plus").unwrap();
    assert_eq!(config.network, first.config.network);
    assert!((config.learning_rate - 0.1 * preset.learning_rate).abs() < 1e-12);
    assert_eq!((config.unlabelled, config.epochs), (preset.unlabelled, preset.epochs));
    assert!(preset.unlabelled.is_some());
}
