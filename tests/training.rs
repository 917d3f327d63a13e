//! Training through the public API: the optimizer against PyTorch, a run that is killed and resumed, bad input.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;
#[path = "common/waves.rs"]
mod waves;

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alone::alone;
use image::RgbImage;
use nalgebra::Vector3;
use tch::{Device as TorchDevice, Tensor, nn};
use vloc::dataset::{Dataset, FrameInfo, SplitRule, Validation};
use vloc::geometry::{Matrix6, Se3};
use vloc::network::{
    Activation, AnchorsConfig, Block, Device, EncoderConfig, GALLERY_FILE, GalleryConfig, InputSize, LocalizerConfig,
    MapFromNormalized, ModelCard, NetworkConfig, Odometry, OriginRecord, PixelFrame, PoseNetwork, PoseRegressor,
    ResNetConfig, SemanticsConfig, Temporal, checkpoint,
};
use vloc::progress::Progress;
use vloc::sensor::CameraModel;
use vloc::synth::{Pass, PassKind, PathKind, Renderer, Sensor, World};
use vloc::training::{
    Adam, AdamConfig, Candidate, Consistency, Data, FineTuning, Frustum, Job, Joining, Keep, Pair, PairPlan, PairRule,
    Reprojection, RotationAugmentation, RunState, Source, Trainer, TrainingConfig, Trials, Units, View,
    fine_tuning_config, join, recorded_config, recorded_split, train, train_folds,
};
use vloc::{Result, Stamp};
use waves::Waves;

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
        split: SplitRule::Separate { validation: Some(Validation { every: 3, length: 10, margin: 0, fold: 0 }) },
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "waves".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed: 7,
        resume: false,
        device: Device::Cpu,
    }
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
        let gradients = adam.gradients(&(a.square() * &b).sum(tch::Kind::Float)).unwrap();
        adam.step(&gradients, 0.1);
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
fn the_last_weights_are_kept_where_no_validation_is_to_decide() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let epochs = |keep: Keep| {
        let mut job = job(&folder.path().join(format!("{keep:?}")));
        (job.config.keep, job.config.epochs) = (keep, 6);
        job.config.network.as_mut().unwrap().temporal = Temporal::None;
        let card = train(&Waves::new(90), &job, Progress::Silent, &|| true).unwrap();
        let log = std::fs::read_to_string(job.out.join("log.csv")).unwrap();
        let medians: Vec<f64> =
            log.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().parse().unwrap()).collect();
        (card.training.epochs, medians, card.validation.median_translation_error)
    };
    let (last, medians, found) = epochs(Keep::Last);
    assert_eq!((last, medians.len()), (6, 6));
    assert!((found - medians[5]).abs() < 1e-3, "{found} {medians:?}");
    let (best, again, _) = epochs(Keep::Best);
    assert_eq!(again, medians, "the same training");
    assert!((1..=6).contains(&best));
}

#[test]
fn batches_that_are_added_up_are_one_larger_batch() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let dataset = Waves::new(90);
    // No batch normalization, no dropout: nothing that depends on the company.
    let losses = |name: &str, batch_size: usize, accumulate: usize| {
        let mut job = job(&folder.path().join(name));
        job.config.network = Some(NetworkConfig {
            encoder: EncoderConfig::Squeezenet,
            input: InputSize { height: 36, width: 48 },
            dropout: 0.0,
            hidden: vec![16],
            ..NetworkConfig::preset("vlocnet-squeezenet").unwrap()
        });
        job.config = TrainingConfig { batch_size, accumulate, epochs: 2, warmup_steps: 8, ..job.config };
        train(&dataset, &job, Progress::Silent, &|| true).unwrap();
        let log = std::fs::read_to_string(job.out.join("log.csv")).unwrap();
        let numbers =
            log.lines().skip(1).flat_map(|line| line.split(',').skip(1).map(|text| text.parse().unwrap_or(0.0)));
        numbers.collect::<Vec<f64>>()
    };
    // 57 pairs: three steps of 15 and one of 12, whose last batch has two.
    let (large, added, small) = (losses("large", 15, 1), losses("added", 5, 3), losses("small", 5, 1));
    let furthest = |others: &[f64]| large.iter().zip(others).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(furthest(&added) < 2e-3, "{large:?} {added:?}");
    assert!(furthest(&small) > 2e-2, "{large:?} {small:?}");
}

#[test]
fn a_run_stopped_while_it_adds_up_batches_ends_with_the_same_weights() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, stopped, revived] = ["straight", "stopped", "revived"].map(|name| folder.path().join(name));
    let added = |out: &Path| {
        let mut job = Job { name: "waves".to_owned(), ..job(out) };
        (job.config.batch_size, job.config.accumulate) = (5, 3);
        job
    };
    let dataset = Waves::new(90);
    train(&dataset, &added(&straight), Progress::Silent, &|| true).unwrap();
    // Stopped after six steps of three or four batches, in the second epoch.
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() <= 6
    };
    let error = train(&dataset, &added(&stopped), Progress::Silent, &stop).unwrap_err();
    assert_eq!(error.exit_code(), 130);
    let (state, ..) = RunState::read(&stopped.join("checkpoint")).unwrap();
    assert_eq!((state.epoch, state.batch, state.step), (1, 6, 6));
    train(&dataset, &Job { resume: true, ..added(&stopped) }, Progress::Silent, &|| true).unwrap();
    // What a SIGKILL in the third epoch leaves behind: the end of the second.
    let steps = Cell::new(0);
    let killed = folder.path().join("killed");
    let watch = || {
        steps.set(steps.get() + 1);
        if steps.get() == 11 {
            copy_folder(&killed, &revived).unwrap();
        }
        true
    };
    train(&dataset, &added(&killed), Progress::Silent, &watch).unwrap();
    train(&dataset, &Job { resume: true, ..added(&revived) }, Progress::Silent, &|| true).unwrap();
    for file in ["weights.safetensors", "model.yaml", "log.csv"] {
        let read = read(file);
        assert!(read(&straight) == read(&stopped), "{file} of a run that was stopped and resumed");
        assert!(read(&straight) == read(&revived), "{file} of a run that was killed and resumed");
    }
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

fn read(file: &str) -> impl Fn(&Path) -> Vec<u8> {
    move |folder| std::fs::read(folder.join(file)).unwrap()
}

#[test]
fn snapshots_become_an_ensemble_and_survive_a_kill() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [straight, killed, revived] = ["straight", "killed", "revived"].map(|name| folder.path().join(name));
    let snapshots = |out: &Path| {
        let mut job = Job { name: "waves".to_owned(), ..job(out) };
        (job.config.epochs, job.config.snapshots) = (7, 3);
        job
    };
    let dataset = Waves::new(90);
    let card = train(&dataset, &snapshots(&straight), Progress::Silent, &|| true).unwrap();

    // Epochs 1 to 3, 4 to 5, 6 to 7: the best of each, the best of all first.
    let mut cycles: Vec<usize> = card.members.iter().map(|member| member.epochs).collect();
    cycles.push(card.training.epochs);
    cycles.sort_unstable();
    assert!(cycles[0] <= 3 && (4..=5).contains(&cycles[1]) && cycles[2] >= 6, "{cycles:?}");
    let regressor = PoseRegressor::load(&straight, Device::Cpu).unwrap();
    assert_eq!(regressor.card(), &card);

    // What a SIGKILL in the second cycle leaves behind.
    let copied = Cell::new(false);
    let watch = || {
        let in_second_cycle = || RunState::read(&killed.join("checkpoint")).is_ok_and(|(state, ..)| state.epoch == 5);
        if !copied.get() && in_second_cycle() {
            copy_folder(&killed, &revived).unwrap();
            copied.set(true);
        }
        true
    };
    train(&dataset, &snapshots(&killed), Progress::Silent, &watch).unwrap();
    let resumed = Job { resume: true, ..snapshots(&revived) };
    train(&dataset, &resumed, Progress::Silent, &|| true).unwrap();
    for file in ["weights.safetensors", "members/01.safetensors", "members/02.safetensors", "model.yaml", "log.csv"] {
        let read = read(file);
        assert!(read(&straight) == read(&killed), "{file} of two equal runs");
        assert!(read(&straight) == read(&revived), "{file} of a run that was killed and resumed");
    }
    assert!(read("weights.safetensors")(&straight) != read("members/01.safetensors")(&straight));
}

#[test]
fn trainings_of_two_seeds_become_one_model() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let dataset = Waves::new(90);
    let trained = |name: &str, change: &dyn Fn(&mut Job)| {
        let mut job = job(&path(name));
        job.config.epochs = 2;
        change(&mut job);
        train(&dataset, &job, Progress::Silent, &|| true).unwrap()
    };
    let one = trained("one", &|_| {});
    let two = trained("two", &|job| (job.seed, job.config.snapshots) = (8, 2));
    let joining = |names: &[&str], out: &str| Joining {
        models: names.iter().map(|name| path(name)).collect(),
        out: path(out),
        name: out.to_owned(),
        command: "test".to_owned(),
        device: Device::Cpu,
    };
    let split = recorded_split(&path("one")).unwrap();
    let splits = [split.clone(), split];
    let on = Some((&dataset as &dyn Dataset, &splits[..]));
    let card = join(&joining(&["one", "two"], "both"), on, Progress::Silent).unwrap();
    assert_eq!(card.members.iter().map(|member| member.seed).collect::<Vec<_>>(), [8, 8]);
    assert_eq!((card.weights.sha256, card.validation.frames), (one.weights.sha256.clone(), one.validation.frames));
    assert_eq!(card.calibration.frames, one.calibration.frames);
    assert!(card.calibration != one.calibration && card.calibration != two.calibration);
    let regressor = PoseRegressor::load(&path("both"), Device::Cpu).unwrap();
    assert_eq!(regressor.card().members.len(), 2);

    // Without the dataset nothing is measured, and the larger factors stay.
    let card = join(&joining(&["two", "one"], "blind"), None, Progress::Silent).unwrap();
    assert_eq!((card.calibration.frames, card.validation.frames), (0, 0));
    let larger = one.calibration.translation_scale.max(two.calibration.translation_scale);
    assert_eq!(card.calibration.translation_scale, larger);

    let refused = |names: &[&str], on| join(&joining(names, "no"), on, Progress::Silent).unwrap_err().to_string();
    trained("wide", &|job| job.config.network.as_mut().unwrap().hidden = vec![24]);
    trained("less", &|job| job.split = SplitRule::Separate { validation: None });
    assert!(refused(&["one", "wide"], on).contains("wide: expected the architecture of waves, found another; join"));
    let error = refused(&["one", "less"], on);
    assert!(error.starts_with("parameter split: expected the rule and the dataset that waves was trained"), "{error}");
    let error = refused(&["one", "less"], None);
    assert!(error.starts_with("parameter dataset: expected the training frames of the first model, or"), "{error}");
    let less = [splits[0].clone(), SplitRule::Separate { validation: None }];
    let error = refused(&["one", "less"], Some((&dataset, &less[..])));
    assert!(error.contains("less: expected the rule of the first model but for its fold, found another"), "{error}");
    let error = refused(&["one", "both"], on);
    assert!(error.contains("expected weights of its own, found those of another member"), "{error}");
    assert!(refused(&["one"], on).starts_with("parameter models: expected at least two models to join, found 1"));
    let other = SplitRule::Separate { validation: Some(Validation { every: 4, length: 10, margin: 0, fold: 0 }) };
    let others = [other.clone(), other];
    let error = refused(&["one", "two"], Some((&dataset, &others[..])));
    assert!(error.starts_with("parameter split: expected the rule and the dataset that waves was trained"), "{error}");
    assert!(!path("no").join("model.yaml").exists());
    let error = join(&joining(&["one", "two"], "both"), None, Progress::Silent).unwrap_err().to_string();
    assert!(error.starts_with("parameter out: expected a new folder, found "), "{error}");
    let weights = path("two/weights.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let error = refused(&["one", "two"], None);
    assert!(error.contains("members/01.safetensors: expected a complete safetensors file"), "{error}");
    assert!(!path("no").join("model.yaml").exists());
}

#[test]
fn folds_are_resumed_and_joined_and_each_answers_for_what_it_did_not_see() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let dataset = Waves::new(120);
    let folds = |out: &str| {
        let mut job = job(&path(out));
        job.split = SplitRule::Separate { validation: Some(Validation { every: 6, length: 10, margin: 1, fold: 0 }) };
        job.config.epochs = 2;
        job
    };
    let all = |job: &Job, keep_going: &dyn Fn() -> bool| train_folds(&dataset, (job, 3), Progress::Silent, keep_going);
    let card = all(&folds("straight"), &|| true).unwrap();

    // Every block is set apart once, less its margins, and the calibration is over all of them.
    assert!(card.cross_fitted);
    assert_eq!((card.validation.frames, card.calibration.frames), (96, 96));
    assert_eq!((card.training.seed, card.members[0].seed, card.members[1].seed), (7, 8, 9));
    let rules: Vec<SplitRule> =
        (0..3).map(|fold| recorded_split(&path(&format!("straight/folds/{fold}"))).unwrap()).collect();
    let mut apart: Vec<usize> = rules.iter().flat_map(|rule| rule.split(&dataset).unwrap().validation).collect();
    apart.sort_unstable();
    apart.dedup();
    assert_eq!(apart.len(), 96);

    // The mean of the members, each in units of its own, and the mean of their covariances without their spread.
    let units = card.parts().iter().map(|parts| parts.map_from_normalized).collect::<Vec<_>>();
    assert!(units[0] != units[1] && units[1] != units[2]);
    let answer = |folder: &Path| {
        let mut regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
        let preprocessor = vloc::vision::Preprocessor::new(dataset.camera(), &regressor.card().camera).unwrap();
        let pixels = preprocessor.apply(&dataset.image(31).unwrap()).unwrap();
        regressor.regress_uncalibrated(&PixelFrame { stamp: dataset.frames[31].stamp, pixels }).unwrap().absolute
    };
    let members: Vec<_> = (0..3).map(|fold| answer(&path(&format!("straight/folds/{fold}")))).collect();
    let joined = answer(&path("straight"));
    let poses: Vec<Se3> = members.iter().map(|member| member.map_from_camera).collect();
    let mean = Se3::mean(&poses).unwrap();
    assert!(mean.local(joined.map_from_camera).norm() < 1e-12);
    let moved = members.iter().map(|member| {
        let jacobian = Se3::right_jacobian_inverse(&mean.local(member.map_from_camera));
        jacobian * member.covariance * jacobian.transpose()
    });
    let within: Matrix6 = moved.sum::<Matrix6>() / 3.0;
    assert!((joined.covariance - within).norm() < 1e-9 * within.norm(), "{} {within}", joined.covariance);

    // Stopped in its second fold it goes on, to the same bytes.
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + usize::from(path("stopped/folds/1").exists()));
        steps.get() < 3
    };
    all(&folds("stopped"), &stop).unwrap_err();
    assert!(path("stopped/folds/0/model.yaml").exists() && !path("stopped/model.yaml").exists());
    let error = all(&folds("stopped"), &|| true).unwrap_err().to_string();
    assert!(error.contains(" with folds; give --resume to go on with them, or remove it"), "{error}");
    let mut other = Job { resume: true, ..folds("stopped") };
    other.config.epochs = 3;
    let error = all(&other, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter resume: expected the settings, the rule and the seed that"), "{error}");
    all(&Job { resume: true, ..folds("stopped") }, &|| true).unwrap();
    for file in ["weights.safetensors", "members/01.safetensors", "members/02.safetensors", "model.yaml"] {
        let read = |name: &str| std::fs::read(path(name).join(file)).unwrap();
        assert!(read("straight") == read("stopped"), "{file} of a run that was stopped and resumed");
    }
    let error = all(&Job { resume: true, ..folds("stopped") }, &|| true).unwrap_err().to_string();
    assert!(error.contains("stopped with a model; name another, or remove it"), "{error}");
    let error = all(&Job { resume: true, ..folds("none") }, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter resume: expected folds that were begun, found none in "), "{error}");
    let without = Job { split: SplitRule::Separate { validation: None }, ..folds("none") };
    let error = all(&without, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter split.validation: expected a rule with validation blocks"), "{error}");
    let error = train_folds(&dataset, (&folds("none"), 1), Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("parameter folds: expected 2 to 64, found 1") && !path("none").exists(), "{error}");
}

/// The frames of a pass through the synthetic room.
struct Room {
    camera: CameraModel,
    frames: Vec<FrameInfo>,
    images: Vec<RgbImage>,
}

impl Room {
    fn new(world: &World, pass: u32, count: usize) -> Self {
        let camera = CameraModel::pinhole(48, 36, 30.0);
        let renderer = Renderer::new(&camera, Sensor::default()).unwrap();
        let pass = Pass::new(world, PassKind::Training(pass), PathKind::Planar);
        let frame = |index: usize| FrameInfo {
            name: format!("room/{index:03}"),
            stamp: Stamp::from_nanos(200_000_000 * index as i64),
            sequence: 0,
            map_from_camera: pass.map_from_camera(0.2 * index as f64),
        };
        let images = (0..count).map(|index| renderer.render(world, &pass, 0.2 * index as f64)).collect();
        Self { camera, frames: (0..count).map(frame).collect(), images }
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
}

#[test]
fn a_model_of_a_room_goes_on_with_another_pass_through_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(1);
    let [model, tuned, fresh, fitted] = ["model", "tuned", "fresh", "fitted"].map(|name| folder.path().join(name));
    let mut first = job(&model);
    first.config.epochs = 30;
    let of_model = train(&Room::new(&world, 0, 180), &first, Progress::Silent, &|| true).unwrap();

    // Another way, another light.
    let again = Room::new(&world, 1, 120);
    let config = fine_tuning_config(&model).unwrap();
    assert_eq!(config.network, first.config.network);
    assert!((config.learning_rate - 0.1 * first.config.learning_rate).abs() < 1e-12);
    let tuning = |out: &Path, units| Job {
        config: TrainingConfig { epochs: 2, ..config.clone() },
        from: Some(FineTuning { model: model.clone(), units }),
        ..job(out)
    };
    let of_tuned = train(&again, &tuning(&tuned, Units::Kept), Progress::Silent, &|| true).unwrap();
    assert_eq!(of_tuned.map_from_normalized, of_model.map_from_normalized);
    let sha256 = of_model.weights.sha256.clone();
    let origin = OriginRecord { name: of_model.name.clone(), sha256, dataset: "room".to_owned() };
    assert_eq!(of_tuned.training.origin, Some(origin));

    // The same two epochs at the full rate do less from random weights.
    let mut scratch = job(&fresh);
    scratch.config.epochs = 2;
    let of_fresh = train(&again, &scratch, Progress::Silent, &|| true).unwrap();
    let errors = |card: &ModelCard| (card.validation.median_translation_error, card.validation.median_rotation_error);
    let (tuned_errors, fresh_errors) = (errors(&of_tuned), errors(&of_fresh));
    assert!(tuned_errors.1 < 0.8 * fresh_errors.1, "{tuned_errors:?}, from random weights {fresh_errors:?}");

    // A map of its own has units of its own.
    let mut moved = again;
    for frame in &mut moved.frames {
        frame.map_from_camera.translation.x += 1000.0;
    }
    let error = train(&moved, &tuning(&fitted, Units::Kept), Progress::Silent, &|| true).unwrap_err().to_string();
    assert!(error.contains("m from it; give --new-map if the dataset has a map of its own"), "{error}");
    assert!(!fitted.exists(), "a training that is refused leaves no folder");
    let card = train(&moved, &tuning(&fitted, Units::Fitted), Progress::Silent, &|| true).unwrap();
    assert!((card.map_from_normalized.mean[0] - 1000.0).abs() < 20.0, "{:?}", card.map_from_normalized);
}

#[test]
fn a_budget_decides_what_is_trained() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let dataset = Waves::new(90);
    let small = job(&folder.path().join("auto"));
    let split = small.split.split(&dataset).unwrap();
    let trials =
        Trials { dataset: &dataset, split: &split, pretrained: None, device: TorchDevice::Cpu, seed: small.seed };
    let wide = TrainingConfig {
        network: small.config.network.clone().map(|network| NetworkConfig { hidden: vec![24], ..network }),
        epochs: 3,
        freeze_trunk: true,
        cached_copies: 1,
        ..small.config.clone()
    };
    let candidates = [("small", small.config.clone()), ("wide", wide.clone())];
    let candidates = candidates.map(|(name, config)| Candidate { name: name.to_owned(), config });
    let choose = |seconds: f64| {
        trials.choose(&candidates, std::time::Duration::from_secs_f64(seconds), Progress::Silent, &|| true)
    };
    // Time for everything: the dearest, as its settings are.
    let choice = choose(1e7).unwrap();
    assert_eq!((choice.chosen.as_str(), &choice.config), ("wide", &wide));
    assert_eq!(choice.trials.iter().map(|trial| trial.name.as_str()).collect::<Vec<_>>(), ["small", "wide"]);
    assert!(choice.trials.iter().all(|trial| trial.fits && trial.cost.epoch > 0.0 && trial.cost.preparation > 0.0));
    assert_eq!(choice.reason, "3 of its 3 passes fit, and it is the largest candidate");
    // For nothing: what the cheapest would need.
    let error = choose(1e-3).unwrap_err().to_string();
    assert!(error.starts_with("parameter budget: expected at least ") && error.contains("pass of small"), "{error}");

    // It trains like settings that were written by hand, and they are kept.
    choice.write(&small.out).unwrap();
    let told = std::fs::read_to_string(small.out.join("auto.yaml")).unwrap();
    assert!(told.contains("chosen: wide") && told.contains("fits: true"), "{told}");
    let chosen = Job { config: choice.config.clone(), ..small };
    train(&dataset, &chosen, Progress::Silent, &|| true).unwrap();
    assert_eq!(recorded_config(&chosen.out).unwrap(), choice.config);
    let error =
        trials.choose(&candidates, std::time::Duration::from_secs(60), Progress::Silent, &|| false).unwrap_err();
    assert_eq!(error.exit_code(), 130);
}

#[test]
fn what_a_model_cannot_go_on_with_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [model, out] = ["model", "out"].map(|name| folder.path().join(name));
    let dataset = Waves::new(60);
    let mut first = job(&model);
    first.config.epochs = 1;
    train(&dataset, &first, Progress::Silent, &|| true).unwrap();
    let from = Some(FineTuning { model: model.clone(), units: Units::Kept });
    let refused = |dataset: &Waves, job: Job| train(dataset, &job, Progress::Silent, &|| true).unwrap_err().to_string();

    let error = refused(&dataset, Job { from: from.clone(), ..job(&model) });
    assert!(error.starts_with("parameter out: expected another folder than the model's, found "), "{error}");
    let mut wide = Job { from: from.clone(), ..job(&out) };
    wide.config.network.as_mut().unwrap().hidden = vec![24];
    let error = refused(&dataset, wide);
    assert!(error.starts_with("parameter network: expected the architecture of ") && error.contains("/model, whose"));
    // Twice the focal length: it sees a quarter of the model's picture.
    let narrow = Waves { camera: CameraModel::pinhole(48, 36, 80.0), ..Waves::new(60) };
    let error = refused(&narrow, Job { from: from.clone(), ..job(&out) });
    let expected = "parameter camera: expected one that sees at least 80 % of the model's picture, found 2";
    assert!(error.starts_with(expected), "{error}");
    std::fs::write(model.join("weights.safetensors"), "broken").unwrap();
    let error = refused(&dataset, Job { from, ..job(&out) });
    assert!(error.contains("expected a complete safetensors file"), "{error}");
    std::fs::remove_file(model.join("training.yaml")).unwrap();
    let error = fine_tuning_config(&model).unwrap_err().to_string();
    assert!(error.contains("expected a model with the settings of its training, training.yaml"), "{error}");
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
    let data = Data { plan: &plan, source: &source, shared: false, validate: &|_| Ok(None), video: None };
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
    for (name, validation) in
        [("with", Some(Validation { every: 3, length: 10, margin: 0, fold: 0 })), ("without", None)]
    {
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
        job.split = SplitRule::Separate { validation: Some(Validation { every: 3, length: 3, margin: 0, fold: 0 }) };
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
    let both = folder.path().join("both");
    let joined = Joining {
        models: vec![one.clone(), other.clone()],
        out: both.clone(),
        name: "both".to_owned(),
        command: String::new(),
        device: Device::Cpu,
    };
    join(&joined, None, Progress::Silent).unwrap();

    // Each member answers from its own images, and what counts is the mean of both.
    let answer = |folder: &Path| {
        let mut regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
        let preprocessor = vloc::vision::Preprocessor::new(dataset.camera(), &regressor.card().camera).unwrap();
        let pixels = preprocessor.apply(&dataset.image(31).unwrap()).unwrap();
        let frame = PixelFrame { stamp: dataset.frames[31].stamp, pixels };
        regressor.regress(&frame).unwrap().absolute.map_from_camera
    };
    let [first, second, mean] = [&one, &other, &both].map(|folder| answer(folder));
    assert!(first.local(second).norm() > 1e-4, "{first:?}: two seeds differ");
    assert!(Se3::mean(&[first, second]).unwrap().local(mean).norm() < 1e-12);
    std::fs::copy(both.join(GALLERY_FILE), both.join(ModelCard::member_gallery(0))).unwrap();
    let error = PoseRegressor::load(&both, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("members/01.gallery.safetensors: expected SHA-256 "), "{error}");

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
    let _alone = alone();
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
    let mut several = comparing(folder.path());
    several.config.snapshots = 2;
    assert!(error(several).starts_with("parameter snapshots: expected 0 for an architecture with a gallery, found 2"));
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
    let _alone = alone();
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
