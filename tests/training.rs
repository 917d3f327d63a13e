//! Training through the public API: the optimizer against PyTorch, a run that is killed and resumed, bad input.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{GrayImage, Luma, Rgb, RgbImage};
use nalgebra::Vector3;
use tch::{Device as TorchDevice, Tensor, nn};
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::{Se3, So3};
use vloc::network::{
    Activation, Block, Device, EncoderConfig, InputSize, LocalizerConfig, MapFromNormalized, NetworkConfig, Odometry,
    PixelFrame, PoseNetwork, PoseRegressor, ResNetConfig, SemanticsConfig, Temporal,
};
use vloc::progress::Progress;
use vloc::sensor::{CameraModel, DepthImage};
use vloc::training::{
    Adam, AdamConfig, Consistency, Data, Job, PairPlan, Reprojection, RunState, Source, Trainer, TrainingConfig, View,
    train,
};
use vloc::{Result, Stamp};

/// A smooth picture per place: a camera that moves along x in front of coloured waves.
struct Waves {
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    /// From this frame on there is no depth.
    depths: usize,
    classes: Vec<String>,
}

impl Waves {
    fn new(count: usize) -> Self {
        let frame = |index: usize| {
            let phase = index as f64 / count as f64;
            let rotation = So3::exp(&Vector3::new(0.0, 0.3 * (6.0 * phase).sin(), 0.0));
            FrameInfo {
                name: format!("waves/{index:03}"),
                stamp: Stamp::from_nanos(100_000_000 * index as i64),
                sequence: 0,
                map_from_camera: Se3::new(rotation, Vector3::new(2.0 * phase, 0.5 * (4.0 * phase).cos(), 0.1)),
            }
        };
        let camera = CameraModel::pinhole(48, 36, 40.0);
        Self { camera, frames: (0..count).map(frame).collect(), depths: count, classes: Vec::new() }
    }
}

impl Dataset for Waves {
    fn name(&self) -> &str {
        "waves"
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
            let ray = self.camera.ray(&nalgebra::Vector2::new(f64::from(u), f64::from(v)));
            let point = pose.translation + pose.rotation * ray * 2.0;
            let wave = |frequency: f64| (127.0 + 120.0 * (frequency * point.x + 2.0 * point.y).sin()) as u8;
            Rgb([wave(1.0), wave(2.3), wave(4.1)])
        }))
    }
    fn depth(&self, index: usize) -> Result<Option<DepthImage>> {
        let two_metres = || DepthImage::new(self.camera, vec![2.0; 48 * 36]);
        (index < self.depths).then(two_metres).transpose()
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    /// Dark and light.
    fn labels(&self, index: usize) -> Result<Option<GrayImage>> {
        let image = self.image(index)?;
        let class = |u: u32, v: u32| Luma([u8::from(image.get_pixel(u, v)[0] > 127)]);
        Ok((!self.classes.is_empty()).then(|| GrayImage::from_fn(image.width(), image.height(), class)))
    }
}

/// Seconds in an unoptimized build.
fn job(out: &Path) -> Job {
    let shape = ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [4, 4, 8, 8], activation: Activation::Elu };
    let network = NetworkConfig {
        encoder: EncoderConfig::Resnet { shape },
        input: InputSize { height: 36, width: 48 },
        localizer: LocalizerConfig::Grid { rows: 2, cols: 2, channels: 8 },
        hidden: vec![16],
        dropout: 0.2,
        dropout_samples: 4,
        temporal: Temporal::PreviousPose,
        ..NetworkConfig::preset("vlocnet-small").unwrap_or_else(|error| panic!("{error}"))
    };
    let config = TrainingConfig {
        network: Some(network),
        epochs: 4,
        batch_size: 16,
        odometry_every: 2,
        checkpoint_interval: 0.0,
        ..TrainingConfig::default()
    };
    Job {
        config,
        split: SplitRule::Separate { validation: Some(Validation { every: 3, length: 10, margin: 0 }) },
        pretrained: None,
        out: out.to_owned(),
        name: "waves".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    }
}

/// One thread of libtorch, and one test at a time: its generator of random numbers is one for the whole program.
fn alone() -> MutexGuard<'static, ()> {
    static LIBTORCH: Mutex<()> = Mutex::new(());
    let guard = LIBTORCH.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    guard
}

#[test]
fn adam_computes_what_pytorch_computes() {
    // torch.optim.AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01) in torch 2.11, double precision, on
    // f = (a² b) summed, a = [[1, -2]], b = [3, 0.5]; a decays, b would too in PyTorch and is excluded here by shape.
    let store = nn::VarStore::new(TorchDevice::Cpu);
    let root = store.root();
    let a = root.var_copy("a", &Tensor::from_slice(&[1.0f32, -2.0]).view([1, 2]));
    let b = root.var_copy("b", &Tensor::from_slice(&[3.0f32, 0.5]));
    let named = [("a".to_owned(), a.shallow_clone()), ("b".to_owned(), b.shallow_clone())];
    let mut adam = Adam::new(named, AdamConfig { weight_decay: 0.01, ..AdamConfig::default() });
    for _ in 0..5 {
        adam.zero_grad();
        (a.square() * &b).sum(tch::Kind::Float).backward();
        adam.step(0.1);
    }
    let expected = PYTORCH;
    for (found, expected) in [(&a, &expected[..2]), (&b, &expected[2..])] {
        let found: Vec<f32> = Vec::try_from(found.flatten(0, -1)).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 2e-6, "{found} instead of {expected}");
        }
    }
}

/// a, then b, after five steps.
const PYTORCH: [f64; 4] = [0.507272467, -1.526097030, 2.520480774, 0.006988905];

#[test]
fn a_killed_run_ends_with_the_same_weights() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, killed, revived] = ["straight", "killed", "revived"].map(|name| folder.path().join(name));
    let dataset = Waves::new(90);
    train(&dataset, &job(&straight), Progress::Silent, &|| true).unwrap();

    // What a SIGKILL in the third epoch leaves behind: the files of this moment.
    let steps = Cell::new(0);
    let watch = || {
        steps.set(steps.get() + 1);
        if steps.get() == 10 {
            copy_folder(&killed, &revived).unwrap();
        }
        true
    };
    train(&dataset, &job(&killed), Progress::Silent, &watch).unwrap();
    let state = std::fs::read_to_string(revived.join("checkpoint/state.json")).unwrap();
    assert!(state.contains("\"epoch\": 2"), "{state}");
    let resumed = Job { resume: true, name: "waves".to_owned(), ..job(&revived) };
    train(&dataset, &resumed, Progress::Silent, &|| true).unwrap();

    for file in ["weights.safetensors", "model.yaml", "log.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&straight) == read(&killed), "{file} of two equal runs");
        assert!(read(&straight) == read(&revived), "{file} of a run that was killed and resumed");
    }
}

#[test]
fn an_interrupted_run_goes_on_in_the_middle_of_an_epoch() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, stopped] = ["straight", "stopped"].map(|name| folder.path().join(name));
    let dataset = Waves::new(60);
    train(&dataset, &job(&straight), Progress::Silent, &|| true).unwrap();
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() <= 5
    };
    let error = train(&dataset, &job(&stopped), Progress::Silent, &stop).unwrap_err();
    assert_eq!(error.exit_code(), 130);
    assert!(error.to_string().ends_with("; epoch 2 is resumed with --resume"), "{error}");

    let again = train(&dataset, &job(&stopped), Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(again.starts_with("parameter out: expected a new folder, found an unfinished run in "), "{again}");
    let mut other = Job { resume: true, ..job(&stopped) };
    other.config.learning_rate = 0.5;
    let error = train(&dataset, &other, Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter resume: expected the settings the run began with, found other"), "{error}");

    train(&dataset, &Job { resume: true, ..job(&stopped) }, Progress::Silent, &|| true).unwrap();
    let weights = |folder: &Path| std::fs::read(folder.join("weights.safetensors")).unwrap();
    assert!(weights(&straight) == weights(&stopped));
}

#[test]
fn training_learns_and_the_folder_works() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let dataset = Waves::new(90);
    let mut job = job(&folder.path().join("waves"));
    job.config.epochs = 30;
    let card = train(&dataset, &job, Progress::Silent, &|| true).unwrap();
    let log = std::fs::read_to_string(job.out.join("log.csv")).unwrap();
    let losses: Vec<f64> = log.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < losses[0] - 1.0, "{losses:?}");
    assert!(card.calibration.frames >= 20 && card.validation.frames == card.calibration.frames);
    assert!(!job.out.join("checkpoint").exists());
    let regressor = PoseRegressor::load(&job.out, Device::Cpu).unwrap();
    assert_eq!(regressor.card(), &card);
}

#[test]
fn reprojection_follows_the_pose_loss_and_needs_depth() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [with, without, cut] = ["with", "without", "cut"].map(|name| folder.path().join(name));
    let reprojecting = |out: &Path, pretraining: f64| {
        let mut job = job(out);
        job.config.reprojection = Some(Reprojection { pretraining, ..Reprojection::default() });
        job.config.consistency_weight = 0.0;
        job
    };
    let losses = |out: &Path| -> Vec<f64> {
        let log = std::fs::read_to_string(out.join("log.csv")).unwrap();
        log.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
    };
    train(&Waves::new(60), &reprojecting(&with, 0.5), Progress::Silent, &|| true).unwrap();
    train(&Waves::new(60), &reprojecting(&without, 1.0), Progress::Silent, &|| true).unwrap();
    let (with, without) = (losses(&with), losses(&without));
    assert!(with[..2] == without[..2], "the first half is the pose loss: {with:?} {without:?}");
    assert!(with[2] != without[2] && with[3] != without[3], "{with:?} {without:?}");

    let mut dataset = Waves::new(60);
    dataset.depths = 40;
    let error = train(&dataset, &reprojecting(&cut, 0.5), Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter reprojection: expected a depth image for each training frame, found none"));
    assert!(error.contains("waves/04") && error.contains("posenet-learned"), "{error}");
    let wrong = TrainingConfig {
        reprojection: Some(Reprojection { pretraining: 1.5, ..Reprojection::default() }),
        ..TrainingConfig::default()
    };
    assert!(wrong.check().unwrap_err().to_string().starts_with("parameter reprojection.pretraining: expected at"));
}

#[test]
fn a_recurrent_member_trains_both_streams_on_what_must_close_and_resumes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let recurrent = |name: &str| {
        let mut job = job(&folder.path().join(name));
        job.config.consistency = Consistency::CrossTransformation;
        job.config.epochs = 2;
        job.config.network.as_mut().unwrap().temporal = Temporal::Lstm;
        job
    };
    let dataset = Waves::new(60);
    let straight = recurrent("straight");
    train(&dataset, &straight, Progress::Silent, &|| true).unwrap();
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() <= 4
    };
    let stopped = recurrent("stopped");
    train(&dataset, &stopped, Progress::Silent, &stop).unwrap_err();
    train(&dataset, &Job { resume: true, ..stopped.clone() }, Progress::Silent, &|| true).unwrap();
    let weights = |job: &Job| std::fs::read(job.out.join("weights.safetensors")).unwrap();
    assert!(weights(&straight) == weights(&stopped));
    // A frame is seen in the light of the one before it.
    let mut regressor = PoseRegressor::load(&straight.out, Device::Cpu).unwrap();
    let frame = |index: usize| PixelFrame { stamp: dataset.frames[index].stamp, pixels: dataset.image(index).unwrap() };
    let alone = regressor.regress(&frame(6)).unwrap().absolute;
    regressor.reset();
    let carried = [4, 5, 6].map(|index| regressor.regress(&frame(index)).unwrap().absolute);
    assert!((alone.map_from_camera.translation - carried[2].map_from_camera.translation).norm() > 1e-6);

    let mut lone = recurrent("lone");
    lone.config.network.as_mut().unwrap().odometry = Odometry::None;
    let error = train(&dataset, &lone, Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter consistency: expected motion or differences for an architecture without"));
}

#[test]
fn a_semantic_stream_learns_the_classes_of_the_dataset_and_keeps_them() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let semantic = |name: &str, classes: &[&str]| {
        let mut job = job(&folder.path().join(name));
        (job.config.epochs, job.config.learning_rate, job.config.average_decay) = (50, 5e-3, 0.9);
        job.config.network.as_mut().unwrap().semantics = Some(SemanticsConfig { channels: 8, classes: named(classes) });
        job
    };
    let mut dataset = Waves::new(60);
    let error = train(&dataset, &semantic("none", &[]), Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "parameter network.semantics: expected label images and the names of their classes, found none"
        )
    );
    assert!(error.contains("vlocnet-plus-plus does"), "{error}");
    dataset.classes = named(&["dark", "light"]);
    let error = train(&dataset, &semantic("other", &["dark", "bright"]), Progress::Silent, &|| true).unwrap_err();
    let expected =
        "parameter network.semantics.classes: expected [dark, bright], found [dark, light] in waves; name those";
    assert!(error.to_string().starts_with(expected), "{error}");
    let mut frozen = semantic("frozen", &[]);
    frozen.config.freeze_trunk = true;
    let error = train(&dataset, &frozen, Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.contains("true, with semantics, which looks at maps in between"), "{error}");

    let job = semantic("learned", &[]);
    let card = train(&dataset, &job, Progress::Silent, &|| true).unwrap();
    assert_eq!(card.network.semantics.as_ref().unwrap().classes, dataset.classes);
    let scores = card.validation.segmentation.unwrap();
    assert!(scores.pixel_accuracy > 0.8 && scores.mean_iou > 0.6, "{scores:?}");
    assert_eq!(PoseRegressor::load(&job.out, Device::Cpu).unwrap().card(), &card);
}

/// Batches of noise that turn into NaN after some.
struct Poisoned {
    healthy: AtomicUsize,
}

impl Source for Poisoned {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        let healthy = self.healthy.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        let input = Tensor::rand([views.len() as i64, 3, 36, 48], (tch::Kind::Float, TorchDevice::Cpu));
        Ok((if healthy { input } else { input * f64::NAN }, vec![Se3::identity(); views.len()]))
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_training_and_the_checkpoint_stays() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let config = job(folder.path()).config;
    let network = config.network.clone().unwrap();
    let store = nn::VarStore::new(TorchDevice::Cpu);
    let vlocnet = PoseNetwork::new(&store.root(), &network).unwrap();
    let dataset = Waves::new(40);
    let plan = PairPlan::new(dataset.frames(), &(0..40).collect::<Vec<_>>(), 2, 1).unwrap();
    let units = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };
    let mut trainer = Trainer::new((vlocnet, store), &network, &config, units, 1, folder.path()).unwrap();
    // Three batches per epoch: the second epoch fails in its second batch.
    let source = Poisoned { healthy: AtomicUsize::new(4) };
    let data = Data { plan: &plan, source: &source, shared: false, validate: &|_| Ok(None) };
    let error = trainer.run(&data, Progress::Silent, &|| true).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let expected = "training: the odometry loss is NaN in epoch 2, batch 2; the last good checkpoint stays in ";
    assert!(error.to_string().starts_with(expected), "{error}");
    let (state, tensors, _) = RunState::read(folder.path()).unwrap();
    assert_eq!((state.epoch, state.step), (1, 3));
    assert!(tensors.contains_key("weights/trunk.conv1.weight"));
}

#[test]
fn poses_that_are_not_finite_are_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = Waves::new(60);
    dataset.frames[5].map_from_camera.translation.x = f64::INFINITY;
    let error = train(&dataset, &job(folder.path()), Progress::Silent, &|| true).unwrap_err().to_string();
    assert_eq!(error, "normalization of the training poses: one is not finite");
}

#[test]
fn a_frozen_trunk_trains_on_cached_features_with_and_without_validation() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for (name, validation) in [("with", Some(Validation { every: 3, length: 10, margin: 0 })), ("without", None)] {
        let mut job = job(&folder.path().join(name));
        (job.config.freeze_trunk, job.config.cached_copies, job.config.epochs) = (true, 1, 1);
        let with = validation.is_some();
        job.split = SplitRule::Separate { validation };
        let card = train(&Waves::new(60), &job, Progress::Silent, &|| true).unwrap();
        assert_eq!(card.calibration.frames, if with { 20 } else { 0 });
    }
}

#[test]
fn a_run_to_resume_must_be_there() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let job = Job { resume: true, ..job(&folder.path().join("nothing")) };
    let error = train(&Waves::new(60), &job, Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter resume: expected an unfinished run, found none in "), "{error}");
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn a_frozen_trunk_does_not_suit_what_looks_in_between() {
    let folder = tempfile::tempdir().unwrap();
    for (preset, part) in [("posenet", "auxiliary_heads"), ("hourglass-pose", "the localizer hourglass")] {
        let mut job = job(&folder.path().join(preset));
        job.config.network = Some(NetworkConfig::preset(preset).unwrap());
        job.config.freeze_trunk = true;
        let error = train(&Waves::new(60), &job, Progress::Silent, &|| true).unwrap_err().to_string();
        let expected = format!("parameter freeze_trunk: expected false for this architecture, found true, with {part}");
        assert!(error.starts_with(&expected), "{error}");
    }
}
