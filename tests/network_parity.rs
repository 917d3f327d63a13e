//! The layers against PyTorch: golden activations (written by `tests/peers/make_network_goldens.py`), torchvision's
//! names, and ImageNet weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vloc::network::checkpoint::{self, Precision};
use vloc::network::encoder::Encoder;
use vloc::network::transformer::Transformer;
use vloc::network::{Activation, Block, EncoderConfig, NetworkConfig, PoseNetwork, ResNetConfig, TransformerConfig};

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
    let encoder = Encoder::new(&store.root(), &EncoderConfig::Resnet { shape: config }, 0..5, 3);
    let input = golden.remove("golden.input").unwrap();
    let stages: Vec<Tensor> = (0..5).map(|stage| golden.remove(&format!("golden.stage{stage}")).unwrap()).collect();

    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    checkpoint::write_tensors(&golden.into_iter().collect(), &weights, Precision::Single).unwrap();
    checkpoint::load(&store, &weights).unwrap();

    let outputs = tch::no_grad(|| encoder.forward(&input, false));
    assert_eq!(outputs.len(), stages.len());
    for (stage, (output, expected)) in outputs.iter().zip(&stages).enumerate() {
        let error = relative_error(output, expected);
        assert!(error < 1e-4, "stage {stage}: relative error {error:e}");
    }
}

#[test]
fn a_transformer_computes_what_pytorch_does() {
    tch::set_num_threads(1);
    let mut golden = checkpoint::read_tensors(&fixture("transformer.safetensors"), 1 << 20).unwrap();
    let shape = TransformerConfig {
        width: 16,
        heads: 4,
        layers: 2,
        feedforward: 24,
        dropout: 0.1,
        position_stage: 0,
        orientation_stage: 0,
        scenes: 3,
    };
    let store = VarStore::new(Device::Cpu);
    let transformer = Transformer::new(&store.root(), &shape);
    let [tokens, queries, expected] =
        ["tokens", "queries", "output"].map(|name| golden.remove(&format!("golden.{name}")).unwrap());

    // Every name of PyTorch's is one of ours, and the other way round.
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    checkpoint::write_tensors(&golden.into_iter().collect(), &weights, Precision::Single).unwrap();
    checkpoint::load(&store, &weights).unwrap();

    let output = tch::no_grad(|| transformer.forward(&tokens, &queries, false));
    let error = relative_error(&output, &expected);
    assert!(error < 1e-5, "relative error {error:e}");
    // Dropout is for training alone.
    let trained = tch::no_grad(|| transformer.forward(&tokens, &queries, true));
    assert!(relative_error(&trained, &expected) > 1e-3);
}

/// The encoders under torchvision's names.
fn encoders() -> Vec<(&'static str, EncoderConfig)> {
    let resnet = |block, depths| EncoderConfig::Resnet {
        shape: ResNetConfig { block, depths, widths: [64, 128, 256, 512], activation: Activation::Relu },
    };
    vec![
        ("resnet18", resnet(Block::Basic, [2, 2, 2, 2])),
        ("resnet34", resnet(Block::Basic, [3, 4, 6, 3])),
        ("resnet50", resnet(Block::Bottleneck, [3, 4, 6, 3])),
        ("googlenet", EncoderConfig::Googlenet),
        ("vgg16", EncoderConfig::Vgg16),
        ("squeezenet1_0", EncoderConfig::Squeezenet),
        ("mobilenet_v2", EncoderConfig::MobilenetV2),
        ("efficientnet_b0", EncoderConfig::EfficientnetB0),
    ]
}

#[test]
fn encoders_have_torchvisions_names_and_shapes() {
    let listed = std::fs::read_to_string(fixture("encoder_names.txt")).unwrap();
    for (name, config) in encoders() {
        let store = VarStore::new(Device::Cpu);
        Encoder::new(&store.root(), &config, 0..config.stages(), 3);
        let shape = |tensor: &Tensor| tensor.size().iter().map(i64::to_string).collect::<Vec<_>>().join("x");
        let ours: BTreeMap<String, String> =
            store.variables().into_iter().map(|(name, tensor)| (name, shape(&tensor))).collect();
        let theirs: BTreeMap<String, String> = listed
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{name} "))?.split_once(' '))
            .map(|(name, shape)| (name.to_owned(), shape.to_owned()))
            .collect();
        assert!(theirs.len() > 20, "{name}");
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Numbers in [-1, 1) that the script makes too: SplitMix64 of the stream and the position.
fn noise(stream: u64, count: usize) -> Vec<f64> {
    let number = |position: usize| {
        let mut z =
            ((stream << 32) + position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-52) - 1.0
    };
    (0..count).map(number).collect()
}

/// Weights as the script makes them: of the size that keeps activations in scale.
fn fill(name: &str, variable: &mut Tensor, stream: u64) {
    let size = variable.size();
    let scaled = |value: f64| match name {
        _ if size.len() == 4 => value * (6.0 / size[1..].iter().product::<i64>() as f64).sqrt(),
        name if name.ends_with("running_var") => 1.0 + 0.5 * value,
        name if name.ends_with("running_mean") => 0.2 * value,
        name if name.ends_with("weight") => 1.0 + 0.2 * value,
        _ => 0.1 * value,
    };
    let values: Vec<f32> = noise(stream, variable.numel()).into_iter().map(|value| scaled(value) as f32).collect();
    tch::no_grad(|| variable.copy_(&Tensor::from_slice(&values).view(size.as_slice())));
}

#[test]
fn encoders_compute_what_torchvisions_do() {
    tch::set_num_threads(1);
    let goldens = std::fs::read_to_string(fixture("encoders.json")).unwrap();
    let goldens: serde_json::Value = serde_json::from_str(&goldens).unwrap();
    let pixels: Vec<f32> = noise(1 << 31, 3 * 64 * 96).into_iter().map(|value| 2.0 * value as f32).collect();
    let image = Tensor::from_slice(&pixels).view([1, 3, 64, 96]);
    for (name, config) in encoders() {
        let store = VarStore::new(Device::Cpu);
        let encoder = Encoder::new(&store.root(), &config, 0..config.stages(), 3);
        let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        for (stream, (name, mut variable)) in variables.into_iter().enumerate() {
            fill(&name, &mut variable, stream as u64);
        }
        let stages = goldens[name].as_array().unwrap();
        let outputs = tch::no_grad(|| encoder.forward(&image, false));
        assert_eq!(outputs.len(), stages.len(), "{name}");
        for (stage, (output, golden)) in outputs.iter().zip(stages).enumerate() {
            let shape: Vec<i64> = serde_json::from_value(golden["shape"].clone()).unwrap();
            assert_eq!(output.size(), shape, "{name}, stage {stage}");
            assert_eq!(shape[1], config.channels()[stage], "{name}, stage {stage}");
            let expected: Vec<f64> = serde_json::from_value(golden["values"].clone()).unwrap();
            let tolerance = 1e-3 * golden["mean_magnitude"].as_f64().unwrap();
            let found = output.flatten(0, -1).to_kind(Kind::Double);
            for (index, value) in expected.iter().enumerate() {
                let position = index as i64 * (found.numel() as i64 - 1) / (expected.len() as i64 - 1);
                let found = found.double_value(&[position]);
                assert!((found - value).abs() < tolerance, "{name}, stage {stage}: expected {value}, found {found}");
            }
        }
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
    let encoder = Encoder::new(&(store.root() / "trunk"), &EncoderConfig::Squeezenet, 0..4, 3);
    let report = checkpoint::load_pretrained(&store, &weights).unwrap();
    assert_eq!((report.loaded.len(), report.left.len()), (50, 0));

    let activations = data.join("weights/squeezenet1_0_activations.safetensors");
    let golden = checkpoint::read_tensors(&activations, 8 << 20).unwrap();
    let features = tch::no_grad(|| encoder.forward(&golden["input_b3hw"], false)).remove(3);
    let error = relative_error(&features, &golden["features_b512hw"]);
    assert!(error < 1e-4, "relative error {error:e}");
}

#[test]
fn pretrained_weights_start_the_trunk_and_leave_the_heads() {
    // A ResNet of the small preset's shape under torchvision's names, as a file of pretrained weights has them.
    let config = NetworkConfig::preset("vlocnet-small").unwrap();
    let source = VarStore::new(Device::Cpu);
    Encoder::new(&source.root(), &config.encoder, 0..5, 3);
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("resnet.safetensors");
    checkpoint::save(&source, &weights, Precision::Single).unwrap();

    let store = VarStore::new(Device::Cpu);
    PoseNetwork::new(&store.root(), &config).unwrap();
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
    Encoder::new(&source.root(), &EncoderConfig::Squeezenet, 0..4, 3);
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("squeezenet.safetensors");
    checkpoint::save(&source, &weights, Precision::Half).unwrap();
    let store = VarStore::new(Device::Cpu);
    PoseNetwork::new(&store.root(), &NetworkConfig::preset("vlocnet-small").unwrap()).unwrap();
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
        PoseNetwork::new(&store.root(), &NetworkConfig::preset(name).unwrap()).unwrap();
        let parameters: usize = store.variables().values().map(Tensor::numel).sum();
        assert!((fewest..most).contains(&parameters), "{name}: {parameters} parameters");
        assert!(store.variables().values().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1));
        let kinds: Vec<Kind> = store.variables().values().map(Tensor::kind).collect();
        assert!(kinds.iter().all(|kind| *kind == Kind::Float));
    }
}
