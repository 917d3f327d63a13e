//! Training through the public API: the optimizer against PyTorch, a run that is killed and resumed, bad input.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{Rgb, RgbImage};
use nalgebra::Vector3;
use tch::{Device as TorchDevice, Tensor, nn};
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::{Se3, So3};
use vloc::network::{
    Activation, AnchorsConfig, Block, Device, EncoderConfig, GALLERY_FILE, GalleryConfig, InputSize, LocalizerConfig,
    MapFromNormalized, NetworkConfig, Odometry, PixelFrame, PoseNetwork, PoseRegressor, ResNetConfig, Temporal,
    checkpoint,
};
use vloc::progress::Progress;
use vloc::sensor::CameraModel;
use vloc::training::{
    Adam, AdamConfig, Data, Frustum, Job, Pair, PairPlan, PairRule, RotationAugmentation, RunState, Source, Trainer,
    TrainingConfig, View, train,
};
use vloc::{Result, Stamp};

/// A smooth picture per place: a camera that moves along x in front of coloured waves.
struct Waves {
    camera: CameraModel,
    frames: Vec<FrameInfo>,
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
        Self { camera, frames: (0..count).map(frame).collect() }
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
        let mut compared =
            Job { split: job.split.clone(), ..comparing(&folder.path().join(format!("compared-{name}"))) };
        (compared.config.freeze_trunk, compared.config.cached_copies, compared.config.epochs) = (true, 1, 1);
        let card = train(&Waves::new(60), &compared, Progress::Silent, &|| true).unwrap();
        assert_eq!((card.calibration.frames, card.gallery.unwrap().images), if with { (20, 40) } else { (0, 40) });
    }
}

#[test]
fn anchors_are_training_positions_that_the_model_folder_keeps() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let dataset = Waves::new(60);
    let mut job = job(&folder.path().join("anchors"));
    job.split = SplitRule::Separate { validation: None };
    job.config.epochs = 2;
    let network = job.config.network.as_mut().unwrap();
    (network.anchors, network.odometry) = (Some(AnchorsConfig { count: 6 }), Odometry::None);
    let card = train(&dataset, &job, Progress::Silent, &|| true).unwrap();
    let weights = checkpoint::read_tensors(&job.out.join("weights.safetensors"), 1 << 20).unwrap();
    let anchors: Vec<f32> = Vec::try_from(weights["global.anchors"].flatten(0, -1)).unwrap();
    for (row, frame) in (5..60).step_by(10).enumerate() {
        let truth = dataset.frames[frame].map_from_camera.translation;
        let MapFromNormalized { mean, scale } = card.map_from_normalized;
        let found = Vector3::from_fn(|axis, _| mean[axis] + scale * f64::from(anchors[3 * row + axis]));
        assert!((truth - found).norm() < 1e-4, "anchor {row}: {found} instead of {truth}");
    }
    let mut regressor = PoseRegressor::load(&job.out, Device::Cpu).unwrap();
    let frame = PixelFrame { stamp: Stamp::from_nanos(0), pixels: dataset.image(0).unwrap() };
    let pixels = vloc::vision::Preprocessor::new(dataset.camera(), &card.camera).unwrap().apply(&frame.pixels).unwrap();
    let answer = regressor.regress(&PixelFrame { pixels, ..frame }).unwrap();
    assert!(answer.relative.is_none() && answer.absolute.covariance.cholesky().is_some());

    let mut many = Job { out: folder.path().join("many"), ..job };
    many.config.network.as_mut().unwrap().anchors = Some(AnchorsConfig { count: 61 });
    let error = train(&dataset, &many, Progress::Silent, &|| true).unwrap_err().to_string();
    assert_eq!(error, "parameter network.anchors.count: expected at most 60, one per training frame, found 61");
}

/// A job of a small RelocNet.
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn comparing(out: &Path) -> Job {
    let mut job = job(out);
    let network = job.config.network.as_mut().unwrap();
    network.shared_stages = Some(5);
    (network.odometry, network.temporal) = (Odometry::None, Temporal::None);
    network.gallery = Some(GalleryConfig { neighbours: 3, images: 40 });
    job.config.pairs = PairRule::Overlapping { overlap: 0.4, distance: 0.6, near: 0.5, far: 3.0 };
    job.config.metric_weight = 1.0;
    job
}

#[test]
fn a_member_that_compares_trains_resumes_and_answers_from_its_gallery() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, stopped] = ["straight", "stopped"].map(|name| folder.path().join(name));
    let dataset = Waves::new(90);
    let long = |out: &Path| {
        let mut job = comparing(out);
        let shape =
            ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [8, 16, 16, 32], activation: Activation::Relu };
        job.config.network.as_mut().unwrap().encoder = EncoderConfig::Resnet { shape };
        job.config.rotation = RotationAugmentation { pitch: 2.0, yaw: 2.0, roll: 2.0 };
        (job.config.epochs, job.config.learning_rate, job.config.warmup_steps) = (10, 3e-3, 10);
        // Training images on both sides of each block.
        job.split = SplitRule::Separate { validation: Some(Validation { every: 3, length: 3, margin: 0 }) };
        job
    };
    let card = train(&dataset, &long(&straight), Progress::Silent, &|| true).unwrap();
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() <= 9
    };
    train(&dataset, &long(&stopped), Progress::Silent, &stop).unwrap_err();
    train(&dataset, &Job { resume: true, ..long(&stopped) }, Progress::Silent, &|| true).unwrap();
    for file in ["weights.safetensors", "gallery.safetensors", "model.yaml"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&straight) == read(&stopped), "{file} of a run that was stopped and resumed");
    }

    // Beside the mean training pose, over the frames that neither trained nor are in the gallery.
    let split = long(&straight).split.split(&dataset).unwrap();
    let mean = card.map_from_normalized.mean;
    let mut errors: Vec<f64> = split
        .validation
        .iter()
        .map(|&index| (dataset.frames[index].map_from_camera.translation - Vector3::from(mean)).norm())
        .collect();
    errors.sort_by(f64::total_cmp);
    assert!(
        card.validation.median_translation_error < 0.5 * errors[errors.len() / 2],
        "{:?} {errors:?}",
        card.validation
    );
    assert_eq!((card.gallery.as_ref().unwrap().images, card.max_pair_interval), (40, 0.0));

    // Loaded again it says what the calibration saw; there is no odometry, and the order of frames does not matter.
    let mut regressor = PoseRegressor::load(&straight, Device::Cpu).unwrap();
    let preprocessor = vloc::vision::Preprocessor::new(dataset.camera(), &card.camera).unwrap();
    let mut found: Vec<f64> = Vec::new();
    for &index in split.validation.iter().rev() {
        let pixels = preprocessor.apply(&dataset.image(index).unwrap()).unwrap();
        let answer =
            regressor.regress(&PixelFrame { stamp: dataset.frames[index].stamp, pixels: pixels.clone() }).unwrap();
        assert!(answer.relative.is_none() && answer.absolute.covariance.cholesky().is_some());
        let truth = dataset.frames[index].map_from_camera.translation;
        found.push((answer.absolute.map_from_camera.translation - truth).norm());
        assert_eq!(regressor.embedding(&pixels).unwrap().len(), 32);
    }
    found.sort_by(f64::total_cmp);
    let again = found[found.len() / 2];
    assert!((again - card.validation.median_translation_error).abs() < 1e-6, "{again} {:?}", card.validation);
    let pixels = preprocessor.apply(&dataset.image(3).unwrap()).unwrap();
    assert!(regressor.saliency(&pixels).unwrap().translation.iter().any(|value| *value > 0.0));
}

#[test]
fn a_gallery_that_is_missing_or_of_another_training_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let dataset = Waves::new(60);
    for (out, seed) in [(&one, 7), (&other, 8)] {
        let mut job = Job { seed, ..comparing(out) };
        job.config.epochs = 1;
        train(&dataset, &job, Progress::Silent, &|| true).unwrap();
    }
    let error = || PoseRegressor::load(&one, Device::Cpu).unwrap_err().to_string();
    let file = one.join(GALLERY_FILE);
    std::fs::copy(other.join(GALLERY_FILE), &file).unwrap();
    assert!(
        error().contains("expected SHA-256 ") && error().contains("keep the files of one training together"),
        "{}",
        error()
    );
    std::fs::write(&file, b"half a fi").unwrap();
    assert!(error().contains("expected a complete safetensors file"), "{}", error());
    std::fs::remove_file(&file).unwrap();
    assert!(
        error().contains("expected the 40 training images that this model compares with, found no such file"),
        "{}",
        error()
    );
    let card = std::fs::read_to_string(one.join("model.yaml")).unwrap();
    let without = &card[..card.rfind("gallery:").unwrap()];
    std::fs::write(one.join("model.yaml"), without).unwrap();
    assert!(error().contains("a gallery beside the weights exactly where the architecture has one"), "{}", error());
}

#[test]
fn overlapping_pairs_are_for_members_that_compare() {
    let folder = tempfile::tempdir().unwrap();
    let error = |job: Job| train(&Waves::new(60), &job, Progress::Silent, &|| true).unwrap_err().to_string();
    let mut without = comparing(folder.path());
    without.config.pairs = PairRule::Consecutive;
    assert_eq!(error(without), "parameter pairs: expected overlapping for this architecture, found consecutive");
    let mut with = job(folder.path());
    with.config.pairs = PairRule::Overlapping { overlap: 0.5, distance: 1.0, near: 1.0, far: 0.5 };
    assert_eq!(error(with.clone()), "parameter pairs.far: expected at least 1, at most 1000000, found 0.5");
    with.config.pairs = PairRule::Overlapping { overlap: 0.5, distance: 1.0, near: 1.0, far: 2.0 };
    assert_eq!(error(with), "parameter pairs: expected consecutive for this architecture, found overlapping");
    let mut metric = job(folder.path());
    metric.config.metric_weight = 1.0;
    assert!(error(metric).starts_with("parameter metric_weight: expected 0 for this architecture, found 1 with"));
    let mut apart = comparing(&folder.path().join("apart"));
    apart.config.pairs = PairRule::Overlapping { overlap: 0.5, distance: 1e-6, near: 1.0, far: 2.0 };
    assert!(
        error(apart).contains("pairs of training frames: expected frames at most 0.000001 m apart that overlap by 0.5")
    );
}

#[test]
fn overlapping_pairs_overlap_are_near_and_know_no_order() {
    let dataset = Waves::new(80);
    let train: Vec<usize> = (0..80).filter(|index| index % 7 != 3).collect();
    let frustum = Frustum::new(dataset.camera(), 0.5, 3.0);
    let plan = PairPlan::overlapping(dataset.frames(), &train, frustum.clone(), (0.6, 0.4), 3).unwrap();
    let pose = |view: View| dataset.frames[view.frame].map_from_camera;
    let (mut backwards, mut far) = (0, 0);
    for epoch in 0..3 {
        let pairs = plan.epoch(epoch);
        assert_eq!(pairs.len(), plan.len());
        for Pair { previous, current } in pairs {
            assert!(
                train.contains(&previous.frame) && train.contains(&current.frame) && previous.frame != current.frame
            );
            assert!(frustum.overlap(pose(previous), pose(current)) >= 0.6);
            assert!((pose(previous).translation - pose(current).translation).norm() <= 0.4);
            backwards += usize::from(previous.frame > current.frame);
            far += usize::from(previous.frame.abs_diff(current.frame) > 5);
        }
    }
    assert!(backwards > 60 && far > 60, "{backwards} {far}");
    assert_eq!(plan.max_interval(dataset.frames()), 0.0);
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
