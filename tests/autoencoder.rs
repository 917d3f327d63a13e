//! Pose auto-encoders through the public API: what they learn, what they do to positions, and which models have none.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed run")]

#[path = "common/alone.rs"]
mod alone;
#[path = "common/waves.rs"]
mod waves;

use std::fs;
use std::path::{Path, PathBuf};

use alone::alone;
use vloc::dataset::{Dataset, SplitRule, Validation};
use vloc::geometry::Se3;
use vloc::network::{
    AUTOENCODER_FILE, Activation, AutoencoderConfig, Block, Device, EncoderConfig, GalleryConfig, InputSize,
    LocalizerConfig, ModelCard, NetworkConfig, Odometry, PICTURES_FILE, PictureDecoder, PixelFrame, PoseAutoencoder,
    PoseRegressor, ResNetConfig, Temporal,
};
use vloc::progress::Progress;
use vloc::training::{Autoencoded, Autoencoding, Job, Joining, PairRule, TrainingConfig, autoencode, join, train};
use vloc::vision::Preprocessor;
use vloc::{Error, Result};
use waves::Waves;

/// A small network that answers from the frame alone, with an odometry stream.
fn network() -> NetworkConfig {
    let shape =
        ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [4, 8, 8, 16], activation: Activation::Elu };
    NetworkConfig {
        encoder: EncoderConfig::Resnet { shape },
        input: InputSize { height: 36, width: 48 },
        localizer: LocalizerConfig::Grid { rows: 2, cols: 2, channels: 8 },
        hidden: vec![32],
        dropout_samples: 4,
        ..NetworkConfig::preset("vlocnet-small").unwrap()
    }
}

fn job(out: &Path, network: NetworkConfig, seed: u64) -> Job {
    let config = TrainingConfig {
        network: Some(network),
        epochs: 10,
        batch_size: 16,
        learning_rate: 3e-3,
        warmup_steps: 10,
        ..TrainingConfig::default()
    };
    Job {
        config,
        split: SplitRule::Separate { validation: Some(Validation { every: 3, length: 4, margin: 0, fold: 0 }) },
        pretrained: None,
        from: None,
        out: out.to_owned(),
        name: "waves".to_owned(),
        licence: "Apache-2.0".to_owned(),
        command: "test".to_owned(),
        seed,
        resume: false,
        device: Device::Cpu,
    }
}

fn model(out: &Path, network: NetworkConfig, seed: u64) -> ModelCard {
    train(&Waves::new(90), &job(out, network, seed), Progress::Silent, &|| true).unwrap()
}

fn autoencoding(model: &Path) -> Autoencoding {
    Autoencoding { epochs: 30, copies: 2, device: Device::Cpu, ..Autoencoding::of(model.to_owned()).unwrap() }
}

fn encoded(job: &Autoencoding) -> Autoencoded {
    autoencode(job, &Waves::new(90), Progress::Silent, &|| true).unwrap()
}

/// A copy of a model folder.
fn copy(model: &Path, name: &str) -> PathBuf {
    let folder = model.with_file_name(name);
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(model).unwrap() {
        let file = entry.unwrap().path();
        fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    folder
}

/// What a model says of some frames, before calibration.
fn answers(regressor: &mut PoseRegressor) -> Vec<Se3> {
    let dataset = Waves::new(90);
    let preprocessor = Preprocessor::new(dataset.camera(), &regressor.card().camera).unwrap();
    let answer = |index: usize| {
        let pixels = preprocessor.apply(&dataset.image(index).unwrap()).unwrap();
        let frame = PixelFrame { stamp: dataset.frames[index].stamp, pixels };
        regressor.regress_uncalibrated(&frame).unwrap().absolute.map_from_camera
    };
    [40, 41, 42, 60].map(answer).to_vec()
}

fn load(folder: &Path) -> Result<PoseRegressor> {
    PoseRegressor::load(folder, Device::Cpu)
}

#[test]
fn encodings_of_unseen_poses_come_near_and_the_same_run_gives_the_same_bytes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    let card = model(&one, network(), 7);
    let other = copy(&one, "other");

    let start = encoded(&Autoencoding { epochs: 0, ..autoencoding(&one) });
    let trained = [&one, &other].map(|folder| encoded(&Autoencoding { epochs: 150, ..autoencoding(folder) }));
    let error =
        |autoencoded: &Autoencoded| autoencoded.card.autoencoder.as_ref().unwrap().validation.unwrap().embedding_error;
    let (start, end) = (error(&start), error(&trained[0]));
    // Nearer than the mean embedding of the training frames, which is at 1.
    assert!(end < 0.8 && end < 0.5 * start, "the distance to the embeddings went from {start} to {end} only");
    for file in [AUTOENCODER_FILE, "model.yaml", "weights.safetensors"] {
        assert!(fs::read(one.join(file)).unwrap() == fs::read(other.join(file)).unwrap(), "{file}");
    }
    // The head reads the poses from the encodings: nearer than the mean training pose is.
    let decoded = trained[0].card.autoencoder.as_ref().unwrap().validation.unwrap();
    assert_eq!((decoded.frames, trained[0].card.weights.sha256.clone()), (28, card.weights.sha256));
    assert!(decoded.median_translation_error < 0.3, "{decoded:?}");
    assert_eq!(ModelCard::read(&one).unwrap(), trained[0].card);
    assert_eq!(trained[0].plain.median_translation_error, card.validation.median_translation_error);
}

#[test]
fn a_loaded_model_refines_positions_alone_and_only_when_told() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for (name, network) in [
        ("joint", network()),
        ("parted", NetworkConfig { orientation_branch: Some(5), odometry: Odometry::None, ..network() }),
        ("temporal", NetworkConfig { temporal: Temporal::PreviousPose, ..network() }),
    ] {
        let model_folder = folder.path().join(name);
        model(&model_folder, network, 7);
        let plain = answers(&mut load(&model_folder).unwrap());
        let autoencoded = encoded(&Autoencoding { neighbours: Some(5), ..autoencoding(&model_folder) });
        let record = autoencoded.card.autoencoder.clone().unwrap();
        assert_eq!((record.neighbours, record.poses, autoencoded.refined.unwrap().0), (5, 62, 5));
        // Errors and covariances are of the positions as they are now.
        assert_eq!(autoencoded.card.validation, autoencoded.refined.unwrap().1);
        assert_eq!(autoencoded.card.calibration.frames, 28);

        let refined = answers(&mut load(&model_folder).unwrap());
        assert_eq!(refined, answers(&mut load(&model_folder).unwrap()), "{name}: to the bit");
        assert_eq!(plain, answers(&mut load(&model_folder).unwrap().with_neighbours(0).unwrap()), "{name}");
        for (plain, refined) in plain.iter().zip(&refined) {
            assert_eq!(plain.rotation, refined.rotation, "{name}");
            assert!(plain.translation != refined.translation, "{name}");
        }
        // Unless asked for, they are tried, and positions stay as they are.
        let usual = encoded(&Autoencoding { epochs: 1, ..autoencoding(&model_folder) });
        assert_eq!((usual.card.autoencoder.unwrap().neighbours, usual.refined.unwrap().0), (0, 3), "{name}");
        assert_eq!(plain, answers(&mut load(&model_folder).unwrap()), "{name}");
    }
}

#[test]
fn a_pose_becomes_a_picture_of_what_is_seen_there() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    model(&one, network(), 7);
    let size = InputSize { height: 9, width: 12 };
    let card = encoded(&Autoencoding { pictures: Some(size), epochs: 300, ..autoencoding(&one) }).card;
    let record = card.autoencoder.clone().unwrap();
    let pictures = record.pictures.clone().unwrap();
    let error = pictures.validation_error.unwrap();
    assert!(error < 0.7, "off by {error} of the difference to the mean training picture");

    let load = || PictureDecoder::load(&one, &pictures, &card.network, tch::Device::Cpu);
    let (decoder, dataset) = (load().unwrap(), Waves::new(90));
    let units = card.map_from_normalized;
    let autoencoder = PoseAutoencoder::load(&one, &record, &card.network, units, tch::Device::Cpu).unwrap();
    let split = autoencoding(&one).split.split(&dataset).unwrap();
    // A picture is more like what is seen at its pose than like what is seen two thirds of the way off.
    let difference = |index: usize, other: usize| {
        let picture = decoder.picture(&autoencoder, dataset.frames[index].map_from_camera).unwrap();
        assert_eq!(picture.dimensions(), (12, 9));
        let image = vloc::vision::resize(&dataset.image(other).unwrap(), 12, 9).unwrap();
        let levels = picture.as_raw().iter().zip(image.as_raw());
        levels.map(|(one, other)| f64::from(one.abs_diff(*other))).sum::<f64>()
    };
    let of_all =
        |offset: usize| split.validation.iter().map(|&index| difference(index, (index + offset) % 90)).sum::<f64>();
    assert!(of_all(0) < 0.7 * of_all(30), "{} {}", of_all(0), of_all(30));

    fs::write(one.join(PICTURES_FILE), b"half a fi").unwrap();
    assert!(load().unwrap_err().to_string().contains("expected a complete safetensors file"));
    fs::remove_file(one.join(PICTURES_FILE)).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains("expected the decoder to pictures that model.yaml speaks of, found no such file"),
        "{error}"
    );
}

#[test]
fn an_autoencoder_that_is_missing_or_of_another_training_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    model(&one, network(), 7);
    let other = copy(&one, "other");
    encoded(&Autoencoding { epochs: 1, ..autoencoding(&one) });
    encoded(&Autoencoding { epochs: 1, seed: 2, ..autoencoding(&other) });
    let error = || load(&one).unwrap_err().to_string();
    let file = one.join(AUTOENCODER_FILE);
    fs::copy(other.join(AUTOENCODER_FILE), &file).unwrap();
    assert!(error().contains("expected SHA-256 "), "{}", error());
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(error().contains("expected a complete safetensors file"), "{}", error());
    fs::copy(one.join("weights.safetensors"), &file).unwrap();
    assert!(error().contains("missing: "), "{}", error());
    fs::remove_file(&file).unwrap();
    let expected = "expected the pose auto-encoder that model.yaml speaks of, found no such file";
    assert!(error().contains(expected), "{}", error());
    let card = ModelCard::read(&one).unwrap();
    let mut broken = card.clone();
    broken.autoencoder.as_mut().unwrap().neighbours = 63;
    let error = broken.write(&one).unwrap_err().to_string();
    assert!(error.contains("at most as many neighbours, found 62 poses, 63 neighbours"), "{error}");
    // Without the record the model is as it was before.
    ModelCard { autoencoder: None, ..card }.write(&one).unwrap();
    let error = load(&one).unwrap().with_neighbours(3).unwrap_err().to_string();
    assert_eq!(
        error,
        "parameter neighbours: expected a model with a pose auto-encoder (vloc autoencode trains one), found waves, which has none"
    );
}

#[test]
fn settings_that_mean_nothing_are_refused_before_the_model_is_looked_for() {
    let split = SplitRule::Sequences { validation: None };
    let usual = || Autoencoding::with_split("nowhere".into(), split.clone());
    let frequencies = AutoencoderConfig { frequencies: 99, ..AutoencoderConfig::default() };
    let size = InputSize { height: 5, width: 0 };
    for (job, key) in [
        (Autoencoding { network: frequencies, ..usual() }, "frequencies"),
        (Autoencoding { pictures: Some(size), ..usual() }, "pictures"),
    ] {
        let error = autoencode(&job, &Waves::new(10), Progress::Silent, &|| true).unwrap_err();
        assert!(matches!(error, Error::Config { .. }) && error.to_string().contains(key), "{error}");
    }
}

#[test]
fn models_that_cannot_have_one_are_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [one, two, compares] = ["one", "two", "compares"].map(|name| folder.path().join(name));
    let error = |job: &Autoencoding| {
        let error: Error = autoencode(job, &Waves::new(90), Progress::Silent, &|| true).unwrap_err();
        (error.exit_code(), error.to_string())
    };
    for (out, seed) in [(&one, 7), (&two, 8)] {
        model(out, network(), seed);
        encoded(&Autoencoding { epochs: 1, ..autoencoding(out) });
    }
    let out = folder.path().join("both");
    let joining = Joining {
        models: vec![one.clone(), two],
        out: out.clone(),
        name: "both".to_owned(),
        command: String::new(),
        device: Device::Cpu,
    };
    let both = join(&joining, None, Progress::Silent).unwrap();
    assert!(both.autoencoder.is_none() && load(&out).is_ok());
    let split = autoencoding(&one).split;
    let (code, text) = error(&Autoencoding::with_split(out, split.clone()));
    assert!(
        code == 6 && text.contains("found an ensemble, whose members each have another; give the folder of one"),
        "{text}"
    );

    let compared = NetworkConfig {
        shared_stages: Some(5),
        odometry: Odometry::None,
        gallery: Some(GalleryConfig { neighbours: 3, images: 40 }),
        ..network()
    };
    let mut comparing = job(&compares, compared, 7);
    comparing.config.pairs = PairRule::Overlapping { overlap: 0.4, distance: 0.6, near: 0.5, far: 3.0 };
    comparing.config.epochs = 1;
    train(&Waves::new(90), &comparing, Progress::Silent, &|| true).unwrap();
    let (code, text) = error(&autoencoding(&compares));
    assert!(
        code == 6 && text.contains("found one with a gallery, which answers from images; train a model without"),
        "{text}"
    );

    let other = SplitRule::Separate { validation: None };
    let (code, text) = error(&Autoencoding { split: other, ..autoencoding(&one) });
    assert!(code == 5 && text.contains("expected the rule and the dataset that waves was trained with"), "{text}");
    let (code, text) = error(&Autoencoding { neighbours: Some(63), ..autoencoding(&one) });
    assert!(code == 5 && text.contains("expected at most the 62 training poses, found 63"), "{text}");
    let stopped = autoencode(&autoencoding(&one), &Waves::new(90), Progress::Silent, &|| false).unwrap_err();
    assert_eq!(stopped.exit_code(), 130);
}
