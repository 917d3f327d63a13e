//! Model folders and inference through the public API: what is saved comes back, what is broken is named, and a frame
//! gives the same answer every time.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed run")]

use std::fs;
use std::path::Path;

use image::RgbImage;
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::nn::{self, OptimizerConfig, VarStore};
use tch::{Device as Processor, Kind, Tensor};
use vloc::Stamp;
use vloc::geometry::{Matrix6, Se3, So3, Vector6};
use vloc::loss::{Norm, PoseWeights, nll_loss, pose_errors, relative_pose};
use vloc::network::checkpoint::{self, Precision};
use vloc::network::input::input_tensor;
use vloc::network::*;
use vloc::sensor::{AbsolutePose, CameraModel};

fn image(seed: u64, config: &NetworkConfig) -> RgbImage {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let (width, height) = (config.input.width, config.input.height);
    // blocks of random colours: more like an image than noise of pixels
    let colours: Vec<[u8; 3]> = (0..64).map(|_| generator.random()).collect();
    RgbImage::from_fn(width, height, |x, y| image::Rgb(colours[(x * 8 / width + y * 8 / height * 8) as usize]))
}

fn frame(seconds: f64, seed: u64, config: &NetworkConfig) -> PixelFrame {
    PixelFrame { stamp: Stamp::from_seconds(seconds).unwrap(), pixels: image(seed, config) }
}

fn card(network: NetworkConfig) -> ModelCard {
    let camera = CameraModel::pinhole(network.input.width, network.input.height, 100.0);
    ModelCard {
        schema_version: SCHEMA_VERSION,
        name: "test".into(),
        created_by: "vloc test".into(),
        licence: "Apache-2.0".into(),
        gallery: network.gallery.map(|gallery| GalleryRecord {
            images: gallery.images,
            neighbours: gallery.neighbours,
            sha256: String::new(),
        }),
        network,
        camera,
        map_frame: "map".into(),
        map_from_normalized: MapFromNormalized { mean: [1.0, 2.0, 3.0], scale: 2.0 },
        max_pair_interval: 0.5,
        training: TrainingRecord::default(),
        validation: ValidationRecord::default(),
        calibration: Calibration::unfitted(),
        relative_calibration: None,
        autoencoder: None,
        references: None,
        weights: WeightsRecord { precision: Precision::Single, sha256: String::new(), parameters: 0 },
        members: Vec::new(),
        scenes: Vec::new(),
        large_place: None,
        cross_fitted: false,
    }
}

/// A model folder with random weights.
fn write_model(folder: &Path, network: NetworkConfig, precision: Precision) -> ModelCard {
    tch::set_num_threads(1);
    tch::manual_seed(3);
    let store = VarStore::new(Processor::Cpu);
    PoseNetwork::new(&store.root(), &network).unwrap();
    write_store(folder, network, &store, precision)
}

/// A model folder with these weights.
fn write_store(folder: &Path, network: NetworkConfig, store: &VarStore, precision: Precision) -> ModelCard {
    let sha256 = checkpoint::save(store, &folder.join(WEIGHTS_FILE), precision).unwrap();
    let parameters = store.variables().values().map(|tensor| tensor.numel() as u64).sum();
    let card = ModelCard { weights: WeightsRecord { precision, sha256, parameters }, ..card(network) };
    card.write(folder).unwrap();
    card
}

fn small() -> NetworkConfig {
    NetworkConfig::preset("vlocnet-small").unwrap()
}

fn load_error(folder: &Path) -> String {
    PoseRegressor::load(folder, Device::Cpu).unwrap_err().to_string()
}

#[test]
fn a_card_comes_back_as_it_was_written() {
    for preset in PRESETS {
        let folder = tempfile::tempdir().unwrap();
        let card = card(NetworkConfig::preset(preset).unwrap());
        card.write(folder.path()).unwrap();
        assert_eq!(ModelCard::read(folder.path()).unwrap(), card);
    }
}

#[test]
fn half_precision_halves_the_file_and_hardly_changes_the_answer() {
    let (single, half) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // One set of weights: tests beside this one draw from the same generator. A seed, as one draw in a hundred is too far off.
    tch::manual_seed(3);
    let store = VarStore::new(Processor::Cpu);
    PoseNetwork::new(&store.root(), &small()).unwrap();
    write_store(single.path(), small(), &store, Precision::Single);
    write_store(half.path(), small(), &store, Precision::Half);
    let size = |folder: &Path| fs::metadata(folder.join(WEIGHTS_FILE)).unwrap().len() as f64;
    assert!(size(half.path()) < 0.52 * size(single.path()));
    assert!(size(half.path()) < 4e6, "{} bytes", size(half.path()));
    let answer = |folder: &Path| {
        let mut regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
        regressor.regress(&frame(1.0, 5, &small())).unwrap().absolute.map_from_camera
    };
    let difference = answer(single.path()).local(answer(half.path()));
    assert!(difference.norm() < 0.02, "{difference}");
}

#[test]
fn an_ensemble_says_the_mean_of_its_members_and_their_spread() {
    tch::set_num_threads(1);
    for one_trunk in [false, true] {
        let network = small();
        let stores: Vec<VarStore> = (0..3).map(|_| VarStore::new(Processor::Cpu)).collect();
        for store in &stores {
            PoseNetwork::new(&store.root(), &network).unwrap();
        }
        // As trainings of one place end: not the same, but alike.
        let first = stores[0].variables();
        for (name, mut own) in stores[1..].iter().flat_map(VarStore::variables) {
            let share = if one_trunk && name.starts_with("trunk.") { 1.0 } else { 0.9 };
            tch::no_grad(|| own.copy_(&(&first[&name] * share + &own * (1.0 - share))));
        }
        let folders: Vec<_> = stores.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        let write = |(folder, store): (&tempfile::TempDir, &VarStore)| {
            write_store(folder.path(), network.clone(), store, Precision::Single)
        };
        let cards: Vec<ModelCard> = folders.iter().zip(&stores).map(write).collect();
        let joined = tempfile::tempdir().unwrap();
        fs::create_dir(joined.path().join(MEMBERS_FOLDER)).unwrap();
        let mut card = cards[0].clone();
        let member = |card: &ModelCard| MemberRecord {
            sha256: card.weights.sha256.clone(),
            seed: 0,
            epochs: 1,
            map_from_normalized: None,
            gallery: None,
        };
        card.members = cards[1..].iter().map(member).collect();
        card.write(joined.path()).unwrap();
        for (parts, folder) in card.parts().into_iter().zip(&folders) {
            fs::copy(folder.path().join(WEIGHTS_FILE), joined.path().join(parts.weights)).unwrap();
        }

        let answer = |folder: &Path| {
            let mut regressor = PoseRegressor::load(folder, Device::Cpu).unwrap();
            regressor.regress(&frame(1.0, 5, &network)).unwrap();
            regressor.regress(&frame(1.1, 6, &network)).unwrap()
        };
        let alone: Vec<Regression> = folders.iter().map(|folder| answer(folder.path())).collect();
        let together = answer(joined.path());
        let absolute: Vec<Estimate> = alone.iter().map(|answer| of_absolute(&answer.absolute)).collect();
        assert_is_mixture(of_absolute(&together.absolute), &absolute);
        let of_relative = |answer: &Regression| {
            let relative = answer.relative.as_ref().unwrap();
            (relative.previous_from_current, relative.covariance)
        };
        let relative: Vec<Estimate> = alone.iter().map(of_relative).collect();
        assert_is_mixture(of_relative(&together), &relative);
        assert_eq!(together.relative.unwrap().previous_stamp, Stamp::from_seconds(1.0).unwrap());

        fs::copy(folders[0].path().join(WEIGHTS_FILE), joined.path().join(ModelCard::member_file(1))).unwrap();
        let error = load_error(joined.path());
        assert!(error.contains("members/02.safetensors: expected SHA-256 "), "{error}");
    }
}

type Estimate = (Se3, Matrix6);

fn of_absolute(pose: &AbsolutePose) -> Estimate {
    (pose.map_from_camera, pose.covariance)
}

/// The law of total variance about the mean; the calibration adds its floor to every covariance alike.
fn assert_is_mixture((mean, covariance): Estimate, members: &[Estimate]) {
    let floor = Calibration::unfitted().apply(&Matrix6::zeros()).unwrap();
    let count = members.len() as f64;
    let offsets: Vec<Vector6> = members.iter().map(|(pose, _)| mean.local(*pose)).collect();
    assert!((offsets.iter().sum::<Vector6>() / count).norm() < 1e-9);
    let moments = offsets.iter().zip(members).map(|(offset, (_, own))| {
        let jacobian = Se3::right_jacobian_inverse(offset);
        jacobian * (own - floor) * jacobian.transpose() + offset * offset.transpose()
    });
    let expected = moments.sum::<Matrix6>() / count + floor;
    assert!((covariance - expected).amax() < 1e-9 * expected.amax(), "{covariance} {expected}");
    let spread = offsets.iter().map(|offset| offset.norm_squared()).sum::<f64>() / count;
    assert!(spread > 1e-6, "members that agree prove nothing");
}

#[test]
fn the_same_frames_give_the_same_bytes() {
    for previous_pose in [Temporal::None, Temporal::PreviousPose] {
        let network = NetworkConfig { temporal: previous_pose, ..small() };
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), network.clone(), Precision::Single);
        let run = || {
            let mut regressor = PoseRegressor::load(folder.path(), Device::Cpu).unwrap();
            (0..3)
                .map(|index| regressor.regress(&frame(0.1 * index as f64, index, &network)).unwrap())
                .collect::<Vec<_>>()
        };
        let (first, second) = (run(), run());
        assert_eq!(first, second);
        assert!(first[0].relative.is_none() && first[2].relative.is_some());
        for regression in &first {
            let covariance = regression.absolute.covariance;
            assert!(covariance.symmetric_eigenvalues().min() > 0.0);
            assert!((covariance - covariance.transpose()).amax() < 1e-12);
        }
        let relative = first[2].relative.as_ref().unwrap();
        assert_eq!((relative.previous_stamp, relative.stamp), (first[1].absolute.stamp, first[2].absolute.stamp));
    }
}

#[test]
fn what_was_before_counts_only_where_it_should() {
    let answers = |previous_pose| {
        let network = NetworkConfig { temporal: previous_pose, ..small() };
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), network.clone(), Precision::Single);
        let mut regressor = PoseRegressor::load(folder.path(), Device::Cpu).unwrap();
        let alone = regressor.regress(&frame(1.0, 1, &network)).unwrap();
        regressor.reset();
        regressor.regress(&frame(0.9, 2, &network)).unwrap();
        let after_another = regressor.regress(&frame(1.0, 1, &network)).unwrap();
        // a second is more than max_pair_interval, and a stamp that goes back is no motion
        let late = regressor.regress(&frame(2.0, 1, &network)).unwrap();
        let back = regressor.regress(&frame(1.9, 1, &network)).unwrap();
        assert!(after_another.relative.is_some() && late.relative.is_none() && back.relative.is_none());
        assert_eq!(late.absolute.map_from_camera, alone.absolute.map_from_camera);
        (alone.absolute.map_from_camera, after_another.absolute.map_from_camera)
    };
    let (alone, after_another) = answers(Temporal::None);
    assert_eq!(alone, after_another);
    let (alone, after_another) = answers(Temporal::PreviousPose);
    assert!(alone.local(after_another).norm() > 1e-6, "the history must reach the prediction");
}

#[test]
fn as_far_as_the_camera_went_it_comes_back_and_at_rest_it_went_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = VarStore::new(Processor::Cpu);
    PoseNetwork::new(&store.root(), &small()).unwrap();
    // Between two frames a camera turns by less than a right angle; random weights may say more.
    let (_, mut rotation) = store.variables().into_iter().find(|(name, _)| name == "odometry.fc_wpqr.weight").unwrap();
    tch::no_grad(|| rotation.copy_(&(&rotation * 0.1)));
    write_store(folder.path(), small(), &store, Precision::Single);
    let mut regressor = PoseRegressor::load(folder.path(), Device::Cpu).unwrap();
    let mut motion = |seeds: [u64; 2]| {
        regressor.reset();
        let answers = [1.0, 1.1].into_iter().zip(seeds);
        let answers = answers.map(|(seconds, seed)| regressor.regress(&frame(seconds, seed, &small())).unwrap());
        answers.last().unwrap().relative.unwrap().previous_from_current
    };
    let (there, back, at_rest) = (motion([1, 2]), motion([2, 1]), motion([1, 1]));
    assert!(there.log().norm() > 1e-3, "even random weights tell frames apart: {there:?}");
    assert!((there * back).log().norm() < 1e-6 && at_rest.log().norm() < 1e-6, "{there:?}, {back:?}, {at_rest:?}");
}

#[test]
fn an_image_of_another_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), small(), Precision::Single);
    let mut regressor = PoseRegressor::load(folder.path(), Device::Cpu).unwrap();
    let wrong = PixelFrame { stamp: Stamp::from_nanos(0), pixels: RgbImage::new(640, 480) };
    let error = regressor.regress(&wrong).unwrap_err().to_string();
    assert_eq!(error, "network input: expected an image of 128x96 pixels, found 640x480");
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let card = write_model(folder.path(), small(), Precision::Single);
    let store = VarStore::new(Processor::Cpu);
    PoseNetwork::new(&store.root(), &card.network).unwrap();
    let _ = tch::no_grad(|| store.variables()["global.fc_xyz.bias"].get(0).fill_(f64::NAN));
    checkpoint::save(&store, &folder.path().join(WEIGHTS_FILE), Precision::Single).unwrap();
    let error = load_error(folder.path());
    assert!(error.contains("expected finite numbers in global.fc_xyz.bias, found NaN or infinity"), "{error}");
}

#[test]
fn weights_of_another_architecture_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), small(), Precision::Single);
    let other = NetworkConfig { hidden: vec![64, 32], localizer: LocalizerConfig::Average, ..small() };
    card(other).write(folder.path()).unwrap();
    let error = load_error(folder.path());
    for part in [
        "expected the weights of the architecture in model.yaml",
        "missing: global.fc2.bias, global.fc2.weight, odometry.fc2.bias, odometry.fc2.weight",
        "unexpected: global.reduce.bias, global.reduce.weight, odometry.reduce.bias, odometry.reduce.weight",
        "other shapes: global.fc1.bias expected [64] found [256]",
        "and 5 more",
    ] {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn broken_weight_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), small(), Precision::Half);
    let path = folder.path().join(WEIGHTS_FILE);
    let whole = fs::read(&path).unwrap();
    let lying_header = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    for broken in [&whole[..whole.len() / 2], &whole[..4], b"not a safetensors file at all", &lying_header, b""] {
        fs::write(&path, broken).unwrap();
        let error = load_error(folder.path());
        assert!(
            error.contains("expected a complete safetensors file, found") && error.contains("copy or download"),
            "{error}"
        );
    }
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = load_error(folder.path());
    assert!(error.contains("MiB of weights, found a file of 1048576 MiB"), "{error}");

    let mut changed = whole.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    fs::write(&path, changed).unwrap();
    let error = load_error(folder.path());
    assert!(error.contains("as in model.yaml, found") && error.contains("keep the two files"), "{error}");

    fs::remove_file(&path).unwrap();
    assert!(load_error(folder.path()).starts_with("cannot read "));
}

#[test]
fn broken_cards_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), small(), Precision::Single);
    let path = folder.path().join(CARD_FILE);
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, expected) in [
        ("schema_version: 1", "schema_version: 9", "expected schema_version 1, found 9 (written by vloc test)"),
        ("map_frame: map", "map_frame: map\ncolour: red", "unknown field `colour`"),
        ("scale: 2.0", "scale: 0.0", "expected map_from_normalized with a finite mean and a positive scale"),
        ("translation_scale: 1.0", "translation_scale: .nan", "expected positive, finite calibration factors"),
        ("dropout: 0.2", "dropout: 1.5", "parameter network.dropout: expected 0 <= dropout < 1, found 1.5"),
        ("hidden:\n  - 256", "hidden: []", "parameter network.hidden: expected at least one width, found none"),
        ("fx: 100.0", "fx: 0.0", "expected a calibrated camera without distortion"),
        ("max_pair_interval: 0.5", "max_pair_interval: -1.0", "expected max_pair_interval of 0 s or more, found -1"),
    ] {
        assert!(text.contains(from), "{from:?} is not in the card:\n{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = load_error(folder.path());
        assert!(error.contains(expected), "{expected:?} is not in: {error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(load_error(folder.path()).starts_with("cannot read "));
}

#[test]
fn an_unknown_preset_is_refused() {
    let error = NetworkConfig::preset("resnet").unwrap_err().to_string();
    let expected = "parameter preset: expected one of vlocnet, vlocnet-small, vlocnet-squeezenet, ";
    let end = format!("{}, found \"resnet\"", PRESETS[PRESETS.len() - 1]);
    assert!(error.starts_with(expected) && error.ends_with(&end), "{error}");
}

/// Eight images with random poses are learned by heart by both streams: gradients reach every layer.
#[test]
fn a_small_network_learns_eight_frames_by_heart() {
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let config = NetworkConfig {
        encoder: EncoderConfig::Resnet {
            shape: ResNetConfig {
                block: Block::Basic,
                depths: [1, 1, 1, 1],
                widths: [8, 16, 16, 32],
                activation: Activation::Elu,
            },
        },
        input: InputSize { height: 48, width: 64 },
        localizer: LocalizerConfig::Grid { rows: 2, cols: 2, channels: 16 },
        hidden: vec![64],
        dropout: 0.0,
        temporal: Temporal::PreviousPose,
        ..small()
    };
    let mut generator = ChaCha8Rng::seed_from_u64(2);
    let mut vector = |size: f64| Vector3::from_fn(|_, _| generator.random_range(-size..size));
    let poses: Vec<Se3> = (0..8).map(|_| Se3::new(So3::exp(&vector(0.6)), vector(3.0))).collect();
    let truth = PoseTensor::from_poses(&poses, &MapFromNormalized::fit(&poses).unwrap(), Processor::Cpu);
    let images: Vec<RgbImage> = (0..8).map(|seed| image(seed, &config)).collect();
    let images: Vec<&RgbImage> = images.iter().collect();
    let input = input_tensor(&images, config.input, &config.normalization, Processor::Cpu).unwrap();
    let motion = relative_pose(&truth.narrow(0, 7), &truth.narrow(1, 7));

    let store = VarStore::new(Processor::Cpu);
    let network = PoseNetwork::new(&store.root(), &config).unwrap();
    let weights = PoseWeights::learned(&(store.root() / "loss"), 0.0, 0.0);
    let mut optimizer = nn::Adam::default().build(&store, 2e-3).unwrap();
    let mut history = History::none();
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..150 {
        let shared = network.shared(&input, true);
        let absolute = network.absolute(&shared, &history, true).unwrap();
        let odometry = network.odometry().unwrap();
        let features = odometry.features(&shared, true);
        let relative = odometry.relative(&features.narrow(0, 0, 7), &features.narrow(0, 1, 7), true);
        let errors = [pose_errors(absolute.pose(), &truth, Norm::L2), pose_errors(relative.pose(), &motion, Norm::L2)];
        last = errors.iter().map(|error| (&error.translation + &error.rotation).double_value(&[])).sum();
        if step == 0 {
            first = last;
        }
        let nll = nll_loss(absolute.pose(), absolute.log_variance_b6().unwrap(), &truth, true)
            + nll_loss(relative.pose(), relative.log_variance_b6().unwrap(), &motion, true);
        optimizer.backward_step(&(weights.apply(&errors[0]) + weights.apply(&errors[1]) + nll * 0.01));
        // half of the rows know the network's own answer of the step before
        let keep = Tensor::from_slice(&[1f32, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).view([8, 1]);
        history = History::of(&absolute).keep(&keep);
    }
    assert!(last < 0.1 * first, "the error went from {first} to {last} only");
    for (name, variable) in store.variables() {
        if variable.requires_grad() {
            let gradient = variable.grad();
            let moved = gradient.defined() && gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0;
            assert!(moved, "no gradient reaches {name}");
        }
    }
}

#[test]
fn a_dense_evaluation_averages_parts_and_a_model_that_sees_all_has_none() {
    let posenet = NetworkConfig::preset("posenet").unwrap().with_input(InputSize { height: 72, width: 96 });
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), posenet.clone(), Precision::Single);
    let answer = |count: usize, frame: &PixelFrame| {
        let regressor = PoseRegressor::load(folder.path(), Device::Cpu).unwrap();
        regressor.with_crops(count).unwrap().regress(frame).unwrap().absolute
    };
    // Every part of a picture of one colour is the same.
    let stamp = Stamp::from_seconds(1.0).unwrap();
    let plain = PixelFrame { stamp, pixels: RgbImage::from_pixel(96, 72, image::Rgb([90, 120, 30])) };
    let (middle, dense) = (answer(1, &plain), answer(12, &plain));
    assert!(middle.map_from_camera.local(dense.map_from_camera).norm() < 1e-4);
    // Parts of another picture differ, and their spread is in the covariance.
    let varied = frame(1.0, 5, &posenet);
    let (middle, dense) = (answer(1, &varied), answer(12, &varied));
    let difference = middle.map_from_camera.local(dense.map_from_camera).norm();
    assert!(difference > 1e-6, "{difference:e}");
    assert!(dense.covariance.symmetric_eigenvalues().min() > 0.0);
    assert_eq!(dense, answer(12, &varied));

    let whole = tempfile::tempdir().unwrap();
    write_model(whole.path(), small(), Precision::Single);
    let error = PoseRegressor::load(whole.path(), Device::Cpu).unwrap().with_crops(4).unwrap_err().to_string();
    assert!(error.starts_with("parameter crops: expected a model that sees parts of its input"), "{error}");
    let error = PoseRegressor::load(folder.path(), Device::Cpu).unwrap().with_crops(0).unwrap_err().to_string();
    assert!(error.starts_with("parameter network.crop.count: expected 1 to 1024, found 0"), "{error}");
}
