//! The layers against PyTorch: golden activations (written by `tests/peers/make_network_goldens.py`), torchvision's
//! names, and ImageNet weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use vloc::network::checkpoint::{self, Precision};
use vloc::network::resnet::ResNet;
use vloc::network::squeezenet::SqueezeNet;
use vloc::network::{Activation, Block, NetworkConfig, ResNetConfig, VLocNet};

mod common;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/network").join(name)
}

/// Largest difference, relative to the largest value.
fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let difference: f64 = (found - expected).abs().max().double_value(&[]);
    difference / expected.abs().max().double_value(&[])
}

#[test]
fn an_elu_bottleneck_trunk_computes_what_pytorch_does() {
    tch::set_num_threads(1);
    let mut golden = checkpoint::read_tensors(&fixture("elu_bottleneck.safetensors"), 1 << 20).unwrap();
    let config = ResNetConfig {
        block: Block::Bottleneck,
        depths: [1, 2, 1, 1],
        widths: [2, 4, 8, 16],
        activation: Activation::Elu,
    };
    let store = VarStore::new(Device::Cpu);
    let trunk = ResNet::new(&store.root(), &config, 4);
    let input = golden.remove("golden.input").unwrap();
    let stages: Vec<Tensor> = (0..5).map(|stage| golden.remove(&format!("golden.stage{stage}")).unwrap()).collect();

    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    checkpoint::write_tensors(&golden.into_iter().collect(), &weights, Precision::Single).unwrap();
    checkpoint::load(&store, &weights).unwrap();

    let outputs = tch::no_grad(|| trunk.stages(&input, false));
    assert_eq!(outputs.len(), stages.len());
    for (stage, (output, expected)) in outputs.iter().zip(&stages).enumerate() {
        let error = relative_error(output, expected);
        assert!(error < 1e-4, "stage {stage}: relative error {error:e}");
    }
}

#[test]
fn resnets_have_torchvisions_names_and_shapes() {
    let listed = std::fs::read_to_string(fixture("resnet_names.txt")).unwrap();
    let shapes =
        |block, depths| ResNetConfig { block, depths, widths: [64, 128, 256, 512], activation: Activation::Relu };
    for (name, config) in [
        ("resnet18", shapes(Block::Basic, [2, 2, 2, 2])),
        ("resnet34", shapes(Block::Basic, [3, 4, 6, 3])),
        ("resnet50", ResNetConfig::resnet50(Activation::Relu)),
    ] {
        let store = VarStore::new(Device::Cpu);
        ResNet::new(&store.root(), &config, 4);
        let ours: BTreeMap<String, String> = store
            .variables()
            .into_iter()
            .map(|(name, tensor)| {
                let sizes: Vec<String> = tensor.size().iter().map(i64::to_string).collect();
                (name, sizes.join("x"))
            })
            .collect();
        let theirs: BTreeMap<String, String> = listed
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.trim().split_once(' '))
            .map(|(name, shape)| (name.to_owned(), shape.to_owned()))
            .collect();
        assert!(theirs.len() > 50);
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn squeezenet_computes_what_pytorch_does_from_imagenet_weights() {
    let Some(data) = common::real_data_for("squeezenet_computes_what_pytorch_does_from_imagenet_weights") else {
        return;
    };
    tch::set_num_threads(1);
    let weights = data.join("weights/squeezenet1_0_imagenet.safetensors");
    let store = VarStore::new(Device::Cpu);
    let trunk = SqueezeNet::new(&(store.root() / "trunk"));
    let report = checkpoint::load_pretrained(&store, &weights).unwrap();
    assert_eq!((report.loaded.len(), report.left.len()), (50, 0));

    let activations = data.join("weights/squeezenet1_0_activations.safetensors");
    let golden = checkpoint::read_tensors(&activations, 8 << 20).unwrap();
    let features = tch::no_grad(|| trunk.forward_t(&golden["input_b3hw"], false));
    let error = relative_error(&features, &golden["features_b512hw"]);
    assert!(error < 1e-4, "relative error {error:e}");
}

#[test]
fn pretrained_weights_start_the_trunk_and_leave_the_heads() {
    // A ResNet of the small preset's shape under torchvision's names, as a file of pretrained weights has them.
    let config = NetworkConfig::preset("vlocnet-small").unwrap();
    let vloc::network::TrunkConfig::Resnet { shape } = &config.trunk else { panic!("a ResNet") };
    let source = VarStore::new(Device::Cpu);
    ResNet::new(&source.root(), shape, 4);
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("resnet.safetensors");
    checkpoint::save(&source, &weights, Precision::Single).unwrap();

    let store = VarStore::new(Device::Cpu);
    VLocNet::new(&store.root(), &config).unwrap();
    let report = checkpoint::load_pretrained(&store, &weights).unwrap();
    let (source, variables) = (source.variables(), store.variables());
    for (ours, theirs) in [
        ("trunk.layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        ("global.layer3.1.conv2.weight", "layer3.1.conv2.weight"),
        ("odometry.layer3.1.conv2.weight", "layer3.1.conv2.weight"),
    ] {
        assert!(report.loaded.iter().any(|name| name == ours), "{ours}");
        assert!(variables[ours].equal(&source[theirs]), "{ours}");
    }
    for left in ["global.fc_xyz.weight", "odometry.fc_wpqr.bias", "odometry.layer4.0.conv1.weight"] {
        assert!(report.left.iter().any(|name| name == left), "{left} should keep its start");
    }
    assert_eq!(report.loaded.len() + report.left.len(), variables.len());
}

#[test]
fn the_wrong_pretrained_weights_are_refused() {
    let source = VarStore::new(Device::Cpu);
    SqueezeNet::new(&source.root());
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("squeezenet.safetensors");
    checkpoint::save(&source, &weights, Precision::Half).unwrap();
    let store = VarStore::new(Device::Cpu);
    VLocNet::new(&store.root(), &NetworkConfig::preset("vlocnet-small").unwrap()).unwrap();
    let error = checkpoint::load_pretrained(&store, &weights).unwrap_err().to_string();
    assert!(error.contains("for this trunk, found no such name; use the weights of this architecture"), "{error}");
}

#[test]
fn presets_have_the_sizes_they_promise() {
    tch::set_num_threads(1);
    for (name, fewest, most) in [
        ("vlocnet", 50_000_000, 60_000_000),
        ("vlocnet-small", 500_000, 2_000_000),
        ("vlocnet-squeezenet", 2_000_000, 8_000_000),
    ] {
        let store = VarStore::new(Device::Cpu);
        VLocNet::new(&store.root(), &NetworkConfig::preset(name).unwrap()).unwrap();
        let parameters: usize = store.variables().values().map(Tensor::numel).sum();
        assert!((fewest..most).contains(&parameters), "{name}: {parameters} parameters");
        assert!(store.variables().values().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1));
        let kinds: Vec<Kind> = store.variables().values().map(Tensor::kind).collect();
        assert!(kinds.iter().all(|kind| *kind == Kind::Float));
    }
}
