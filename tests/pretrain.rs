//! Pretraining an encoder on synthetic rooms through the public API: features of use in rooms that it never saw, equal bytes, what is
//! written, and bad input.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/alone.rs"]
mod alone;

use std::path::Path;

use alone::alone;
use tch::nn::VarStore;
use tch::{Device as Processor, Kind};
use vloc::Error;
use vloc::network::{
    Activation, Block, Device, EncoderConfig, InputSize, LocalizerConfig, NetworkConfig, PoseNetwork, ResNetConfig,
    SceneCoordinatesConfig, checkpoint,
};
use vloc::progress::Progress;
use vloc::training::{ENCODER_FILE, EncoderCard, Pretraining, Probe, pretrain, probe};

/// Seconds in an unoptimized build: a narrow encoder on small views.
fn small(out: &Path) -> Pretraining {
    let shape =
        ResNetConfig { block: Block::Basic, depths: [1; 4], widths: [8, 16, 32, 32], activation: Activation::Relu };
    let head = SceneCoordinatesConfig { width: 64, blocks: 1, cells: 0, parts: 1 };
    let network = NetworkConfig {
        encoder: EncoderConfig::Resnet { shape },
        localizer: LocalizerConfig::SceneCoordinates { shape: head },
        ..NetworkConfig::preset("scene-coordinates-rooms").unwrap()
    };
    Pretraining {
        network: Some(network),
        rooms: 3,
        rooms_at_once: 2,
        views: 4,
        steps: 4,
        rooms_per_step: 2,
        input: InputSize { height: 64, width: 96 },
        head_width: 32,
        device: Device::Cpu,
        out: out.to_owned(),
        ..Pretraining::default()
    }
}

fn learn(settings: &Pretraining) -> EncoderCard {
    pretrain(settings, Progress::Silent, &|| true).unwrap()
}

#[test]
fn features_are_of_more_use_than_random_ones_in_rooms_that_were_not_learned_in() {
    let _alone = alone();
    let work = tempfile::tempdir().unwrap();
    let settings = Pretraining {
        rooms: 6,
        rooms_at_once: 6,
        views: 64,
        steps: 800,
        rooms_per_step: 4,
        head_width: 192,
        ..small(work.path())
    };
    learn(&settings);
    let how = Probe { rooms: 2, steps: 800 };
    let learned = probe(&settings, Some(&work.path().join(ENCODER_FILE)), how).unwrap();
    let random = probe(&settings, None, how).unwrap();
    assert!(learned < 0.97 * random, "{learned} m, on random features {random} m");
    assert!(learned < 3.0, "{learned} m");
}

#[test]
fn equal_runs_write_equal_bytes_and_another_seed_others() {
    let _alone = alone();
    let work = tempfile::tempdir().unwrap();
    let run = |name: &str, seed: u64| {
        let settings = Pretraining { seed, ..small(&work.path().join(name)) };
        let card = learn(&settings);
        let bytes = std::fs::read(settings.out.join(ENCODER_FILE)).unwrap();
        assert_eq!((card.steps_done, card.judged), (4, None));
        assert_eq!(card.sha256, checkpoint::sha256(&settings.out.join(ENCODER_FILE)).unwrap());
        bytes
    };
    let (one, two, other) = (run("one", 1), run("two", 1), run("other", 2));
    assert!(one == two && one != other);
    let text = std::fs::read_to_string(work.path().join("one/encoder.yaml")).unwrap();
    let card: EncoderCard = serde_yaml::from_str(&text).unwrap();
    assert!(card.licence == "Apache-2.0" && card.pretraining.rooms == 3, "{text}");
    assert!(!text.contains(work.path().to_str().unwrap()), "a card is no place for a user's folders: {text}");
}

#[test]
fn the_weights_fit_the_preset_and_no_other() {
    let _alone = alone();
    let work = tempfile::tempdir().unwrap();
    let network = NetworkConfig::preset("scene-coordinates-rooms").unwrap();
    let settings = Pretraining {
        network: Some(network.clone()),
        steps: 1,
        rooms: 1,
        rooms_at_once: 1,
        rooms_per_step: 1,
        ..small(work.path())
    };
    learn(&settings);
    let file = work.path().join(ENCODER_FILE);
    assert!(std::fs::metadata(&file).unwrap().len() < 5_000_000);

    let build = |config: &NetworkConfig| {
        let store = VarStore::new(Processor::Cpu);
        PoseNetwork::new(&store.root(), config).unwrap();
        store
    };
    let store = build(&network);
    let report = checkpoint::load_pretrained(&store, &file).unwrap();
    assert!(report.loaded.iter().all(|name| name.starts_with("trunk.")) && report.loaded.len() > 30, "{report:?}");
    assert!(report.left.iter().all(|name| name.starts_with("coordinates.")), "{report:?}");
    let weights = &store.variables()["trunk.layer2.0.conv1.weight"];
    let stored = &checkpoint::read_tensors(&file, 1 << 30).unwrap()["layer2.0.conv1.weight"];
    assert_eq!((weights - stored).abs().max().double_value(&[]), 0.0);
    assert!(weights.std(false).to_kind(Kind::Double).double_value(&[]) > 0.0);

    for name in ["scene-coordinates", "hourglass-pose"] {
        let error = checkpoint::load_pretrained(&build(&NetworkConfig::preset(name).unwrap()), &file).unwrap_err();
        assert!(error.to_string().contains("for this trunk"), "{name}: {error}");
    }
}

#[test]
fn the_bundled_encoder_is_that_of_its_card_and_fits_the_preset() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/room-encoder");
    let card = std::fs::read_to_string(folder.join("encoder.yaml")).unwrap();
    let card: EncoderCard = serde_yaml::from_str(&card).unwrap();
    let file = folder.join(ENCODER_FILE);
    assert_eq!(card.sha256, checkpoint::sha256(&file).unwrap());
    assert_eq!((card.licence.as_str(), card.steps_done), ("Apache-2.0", card.pretraining.steps));
    let store = VarStore::new(Processor::Cpu);
    PoseNetwork::new(&store.root(), &NetworkConfig::preset("scene-coordinates-rooms").unwrap()).unwrap();
    let report = checkpoint::load_pretrained(&store, &file).unwrap();
    assert!(report.left.iter().all(|name| name.starts_with("coordinates.")), "{report:?}");
    let judged = card.judged.unwrap();
    assert!(judged.encoder < 0.7 * judged.random, "{judged:?}");
}

#[test]
fn what_cannot_be_pretrained_is_refused() {
    let _alone = alone();
    let work = tempfile::tempdir().unwrap();
    let usual = small(&work.path().join("never"));
    let refused = |settings: Pretraining| pretrain(&settings, Progress::Silent, &|| true).unwrap_err().to_string();
    for (settings, start) in [
        (Pretraining { rooms: 0, ..usual.clone() }, "parameter rooms: expected 1 to 100000, found 0"),
        (Pretraining { rooms_at_once: 4, ..usual.clone() }, "parameter rooms_at_once: expected 1 to 3, found 4"),
        (Pretraining { rooms_per_step: 3, ..usual.clone() }, "parameter rooms_per_step: expected 1 to 2, found 3"),
        (Pretraining { pairs_per_step: 0, ..usual.clone() }, "parameter pairs_per_step: expected 1 to 1000, found 0"),
        (Pretraining { steps: 0, ..usual.clone() }, "parameter steps: expected 1 to"),
        (Pretraining { fine: 3.0, ..usual.clone() }, "parameter coarse: expected 3 to 100, found 2"),
        (Pretraining { learning_rate: f64::NAN, ..usual.clone() }, "parameter learning_rate"),
        (Pretraining { focal: [2.0, 1.0], ..usual.clone() }, "parameter focal: expected 0.3 to 1, found 2"),
        (
            Pretraining { network: None, ..usual.clone() },
            "parameter network: expected an architecture with the localizer scene_coordinates",
        ),
        (
            Pretraining { network: Some(NetworkConfig::preset("vlocnet-squeezenet").unwrap()), ..usual.clone() },
            "parameter network: expected an architecture with the localizer scene_coordinates",
        ),
    ] {
        let error = refused(settings);
        assert!(error.starts_with(start), "{error}");
    }
    let file = work.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        pretrain(&Pretraining { out: file, ..usual.clone() }, Progress::Silent, &|| true),
        Err(Error::Io { .. })
    ));
    assert!(matches!(pretrain(&usual, Progress::Silent, &|| false), Err(Error::Interrupted(_))));
    assert!(!usual.out.join(ENCODER_FILE).exists());
}
