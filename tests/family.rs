//! What makes each member of the family itself, and compositions that cannot be.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vloc::network::{
    AnchorsConfig, CropConfig, EncoderConfig, Features, GalleryConfig, History, InputSize, LocalizerConfig,
    NetworkConfig, Odometry, PRESETS, PoseNetwork, PoseOutput, SemanticsConfig, Temporal, TransformerConfig,
};

/// A preset at an input that every encoder takes.
fn tiny(name: &str) -> NetworkConfig {
    NetworkConfig::preset(name).unwrap().with_input(InputSize { height: 96, width: 128 })
}

fn build(config: &NetworkConfig) -> (PoseNetwork, VarStore) {
    tch::set_num_threads(1);
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    (PoseNetwork::new(&store.root(), config).unwrap(), store)
}

fn images(config: &NetworkConfig, rows: i64) -> Tensor {
    let seen = config.seen();
    Tensor::randn([rows, 3, seen.height.into(), seen.width.into()], (Kind::Float, Device::Cpu))
}

fn gradient_reaches(store: &VarStore, prefix: &str) -> bool {
    let variables = store.variables();
    let mut of_part = variables.iter().filter(|(name, variable)| name.starts_with(prefix) && variable.requires_grad());
    of_part.any(|(_, variable)| variable.grad().defined() && variable.grad().abs().max().double_value(&[]) > 0.0)
}

/// What a network answers with: of the frames alone, or of each beside the other of two.
fn answer(network: &PoseNetwork, shared: &Features, train: bool) -> PoseOutput {
    let Some(relative) = network.relative() else { return network.absolute(shared, &History::none(), train).unwrap() };
    assert!(
        network.absolute(shared, &History::none(), train).is_none(),
        "one that compares knows nothing of a frame alone"
    );
    let features = relative.features(shared, train);
    relative.relative(&features.flip([0]), &features, train)
}

#[test]
fn every_member_gives_poses_of_unit_quaternions_and_its_gradient_reaches_its_encoder() {
    // One that knows points has no pose of its own: `tests/scene_coordinates.rs`.
    for (name, config) in PRESETS.iter().map(|name| (name, tiny(name))) {
        if config.scene_coordinates().is_some() {
            continue;
        }
        let (network, store) = build(&config);
        let shared = network.shared(&images(&config, 2), true);
        let output = answer(&network, &shared, true);
        let pose = output.pose();
        assert_eq!((pose.translation_b3.size(), pose.quaternion_b4.size()), (vec![2, 3], vec![2, 4]), "{name}");
        let norms = pose.quaternion_b4.square().sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
        assert!((norms - 1.0).abs().max().double_value(&[]) < 1e-5, "{name}");
        (pose.translation_b3.square().sum(None::<Kind>) + output.rotation_bn().square().sum(None::<Kind>)).backward();
        assert!(gradient_reaches(&store, "trunk."), "{name}");
        assert_eq!(network.odometry().is_some(), config.odometry == Odometry::Siamese, "{name}");
        assert_eq!(network.auxiliary(&shared).len(), config.auxiliary_heads.len(), "{name}");
        let validated = answer(&network, &network.shared(&images(&config, 2), false), false);
        assert_eq!(validated.log_variance_b6().is_some(), name != &"bayesian-posenet", "{name}");
    }
}

#[test]
fn branches_part_where_the_paper_has_it() {
    for name in ["branchnet", "svs-pose"] {
        let config = tiny(name);
        let (network, store) = build(&config);
        let shared = network.shared(&images(&config, 2), true);
        let output = network.absolute(&shared, &History::none(), true).unwrap();
        output.pose().translation_b3.sum(None::<Kind>).backward();
        assert!(gradient_reaches(&store, "global.") && gradient_reaches(&store, "trunk."), "{name}");
        assert!(!gradient_reaches(&store, "orientation."), "{name}: the position is not the orientation's business");
        let output = network.absolute(&network.shared(&images(&config, 2), true), &History::none(), true).unwrap();
        output.rotation_bn().square().sum(None::<Kind>).backward();
        assert!(gradient_reaches(&store, "orientation."), "{name}");
        let own = store.variables().keys().any(|name| name.starts_with("orientation.inception5b"));
        assert_eq!(own, name == "branchnet", "{name}: a way of its own behind inception 4c");
    }
}

#[test]
fn posenets_auxiliary_heads_stand_behind_4a_and_4d_and_feed_the_stages_before_them() {
    let config = tiny("posenet");
    let (network, store) = build(&config);
    let outputs = network.auxiliary(&network.shared(&images(&config, 2), true));
    outputs[0].pose().translation_b3.sum(None::<Kind>).backward();
    assert!(gradient_reaches(&store, "trunk.inception4a."));
    assert!(!gradient_reaches(&store, "trunk.inception4b."));
    let outputs = network.auxiliary(&network.shared(&images(&config, 2), true));
    outputs[1].pose().translation_b3.sum(None::<Kind>).backward();
    assert!(gradient_reaches(&store, "trunk.inception4d.") && !gradient_reaches(&store, "trunk.inception4e."));
}

#[test]
fn an_lstm_reads_from_four_sides() {
    let config = tiny("lstm-pose");
    let (network, store) = build(&config);
    let output = network.absolute(&network.shared(&images(&config, 2), true), &History::none(), true).unwrap();
    output.pose().translation_b3.sum(None::<Kind>).backward();
    for reader in ["down", "up", "right", "left"] {
        assert!(gradient_reaches(&store, &format!("global.lstm.{reader}.")), "{reader}");
    }
}

#[test]
fn an_hourglass_sees_the_early_maps() {
    let config = tiny("hourglass-pose");
    let (network, store) = build(&config);
    for (name, variable) in store.variables() {
        if name.starts_with("global.hourglass.up3.") {
            let _ = tch::no_grad(|| variable.shallow_clone().zero_());
        }
    }
    // With nothing from below, what the last step up adds is all there is: the map of layer1.
    let output = network.absolute(&network.shared(&images(&config, 2), true), &History::none(), true).unwrap();
    output.pose().translation_b3.sum(None::<Kind>).backward();
    assert!(gradient_reaches(&store, "trunk.layer1.") && !gradient_reaches(&store, "trunk.layer2."));
    // An odd size does not divide evenly on the way down.
    let odd = NetworkConfig::preset("hourglass-pose").unwrap().with_input(InputSize { height: 117, width: 151 });
    let (network, _store) = build(&odd);
    network.absolute(&network.shared(&images(&odd, 1), false), &History::none(), false).unwrap();
}

#[test]
fn vlocnet_plus_plus_weighs_the_features_of_the_frame_before() {
    let config = tiny("vlocnet-plus-plus");
    let (network, store) = build(&config);
    let frames = images(&config, 2);
    let [first, second] = [0, 1].map(|row| network.shared(&frames.narrow(0, row, 1), false));
    let pose = |shared: &Features, history: &History| {
        network.absolute(shared, history, false).unwrap().pose().translation_b3.shallow_clone()
    };
    let distance = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let alone = pose(&second, &History::none());
    let of = |shared: &Features| History::of(&network.absolute(shared, &History::none(), false).unwrap());
    assert!(distance(&alone, &pose(&second, &of(&first))) > 1e-6, "another frame before is seen");
    assert!(distance(&alone, &pose(&second, &of(&second))) < 1e-6, "a first frame stands in for the one before it");
    let none = Tensor::zeros([1, 1], (Kind::Float, Device::Cpu));
    assert!(distance(&alone, &pose(&second, &of(&first).keep(&none))) < 1e-6, "a forgotten one too");
    // One weight per element of the map, as the paper has it.
    let weights = &store.variables()["global.previous_features.previous"];
    assert_eq!(weights.size(), [1, 1024, 6, 8]);
    let _ = tch::no_grad(|| weights.shallow_clone().zero_());
    assert!(distance(&pose(&second, &of(&first)), &pose(&second, &of(&second))) < 1e-6, "without weight it is nothing");
}

#[test]
fn anchornet_answers_with_the_likeliest_anchor_and_its_offset() {
    let config = NetworkConfig { anchors: Some(AnchorsConfig { count: 3 }), ..tiny("anchornet") };
    let (network, store) = build(&config);
    let anchors = Tensor::from_slice(&[5.0f32, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0]).view([3, 3]);
    network.place_anchors(&anchors);
    assert!(store.variables()["global.anchors"].equal(&anchors), "kept with the weights");
    let set = |name: &str, values: &[f32]| {
        let variable = &store.variables()[name];
        tch::no_grad(|| variable.shallow_clone().copy_(&Tensor::from_slice(values).view_as(variable)));
    };
    // Without weights the biases speak: class 1, whose offset is (0.1, 0.2, 0.3).
    for layer in ["global.fc_anchor.weight", "global.fc_offset.weight"] {
        let _ = tch::no_grad(|| store.variables()[layer].shallow_clone().zero_());
    }
    set("global.fc_anchor.bias", &[0.0, 2.0, 1.0]);
    set("global.fc_offset.bias", &[9.0, 9.0, 9.0, 0.1, 0.2, 0.3, 9.0, 9.0, 9.0]);
    let shared = network.shared(&images(&config, 2), false);
    let output = network.absolute(&shared, &History::none(), false).unwrap();
    let expected = Tensor::from_slice(&[0.1f32, 5.2, 0.3]).expand([2, 3], false);
    assert!((&output.pose().translation_b3 - expected).abs().max().double_value(&[]) < 1e-6);
    let anchored = output.anchored().unwrap();
    assert_eq!((anchored.logits_bn.size(), anchored.positions_bn3.size()), (vec![2, 3], vec![2, 3, 3]));
    // The position teaches the offset that it was made of, and no anchor learns.
    output.pose().translation_b3.sum(None::<Kind>).backward();
    let gradient = store.variables()["global.fc_offset.bias"].grad();
    assert_eq!(Vec::<f32>::try_from(gradient).unwrap(), [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0]);
    assert!(!store.variables()["global.anchors"].requires_grad());
}

/// MS-Transformer for so many scenes, with small transformers.
fn of_scenes(scenes: usize) -> NetworkConfig {
    let config = tiny("ms-transformer");
    let shape = TransformerConfig { width: 32, layers: 2, feedforward: 32, scenes, ..*config.transformer().unwrap() };
    NetworkConfig { localizer: LocalizerConfig::Transformer { shape }, ..config }
}

#[test]
fn ms_transformer_reads_position_and_orientation_from_two_resolutions() {
    let config = of_scenes(2);
    let (network, store) = build(&config);
    // Half of the width says the row, half the column, at a sixteenth and at an eighth of 128x96.
    for (name, size) in [
        ("global.rows", [6, 16]),
        ("global.columns", [8, 16]),
        ("orientation.rows", [12, 16]),
        ("orientation.columns", [16, 16]),
    ] {
        assert_eq!(store.variables()[name].size(), size, "{name}");
    }
    assert!(
        !store.variables().keys().any(|name| name.starts_with("trunk.features.6.")),
        "what no map needs is not there"
    );
    let answer = |network: &PoseNetwork| {
        let shared = network.shared(&images(&config, 2), true);
        network.absolute_in(&shared, Some(&Tensor::from_slice(&[0i64, 1])), &History::none(), true).unwrap()
    };
    answer(&network).rotation_bn().square().sum(None::<Kind>).backward();
    assert!(
        gradient_reaches(&store, "trunk.features.3.") && gradient_reaches(&store, "orientation.transformer.encoder.")
    );
    assert!(
        !gradient_reaches(&store, "trunk.features.4.") && !gradient_reaches(&store, "global.transformer."),
        "its map is the finer one"
    );
    answer(&network).pose().translation_b3.square().sum(None::<Kind>).backward();
    assert!(gradient_reaches(&store, "trunk.features.5.") && gradient_reaches(&store, "global.queries"));
}

#[test]
fn ms_transformer_answers_in_the_likeliest_scene_whose_query_alone_makes_it_that_scene() {
    let config = of_scenes(3);
    let (network, store) = build(&config);
    let shared = network.shared(&images(&config, 2), false);
    let answer = |scene: Option<i64>| {
        let scenes = scene.map(|scene| Tensor::from_slice(&[scene, scene]));
        tch::no_grad(|| network.absolute_in(&shared, scenes.as_ref(), &History::none(), false).unwrap())
    };
    let pose = |output: &PoseOutput| Tensor::cat(&[&output.pose().translation_b3, &output.pose().quaternion_b4], 1);
    let probabilities = |output: &PoseOutput| output.scenes_bs().unwrap().exp();
    let differ = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let (unasked, before) = (answer(None), [0, 1, 2].map(|scene| answer(Some(scene))));
    let sums = probabilities(&unasked).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
    assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5);
    for row in 0..2 {
        let likeliest = probabilities(&unasked).get(row).argmax(0, false).int64_value(&[]);
        assert!(differ(&pose(&unasked).get(row), &pose(&before[likeliest as usize]).get(row)) < 1e-6, "row {row}");
    }
    assert!(differ(&pose(&before[0]), &pose(&before[1])) > 1e-4, "scenes have poses of their own");
    // Queries in another order are the same scenes under other numbers.
    let order = [2i64, 0, 1];
    for name in ["global.queries", "orientation.queries"] {
        let queries = &store.variables()[name];
        tch::no_grad(|| queries.shallow_clone().copy_(&queries.index_select(0, &Tensor::from_slice(&order))));
    }
    let after = [0, 1, 2].map(|scene| answer(Some(scene)));
    let permuted = probabilities(&before[0]).index_select(1, &Tensor::from_slice(&order));
    assert!(differ(&probabilities(&after[0]), &permuted) < 1e-5);
    for (scene, old) in order.into_iter().enumerate() {
        assert!(differ(&pose(&after[scene]), &pose(&before[old as usize])) < 1e-5, "scene {scene}");
    }
    // fc_scene alone decides which it is.
    let bias = &store.variables()["global.fc_scene.weight"];
    let _ = tch::no_grad(|| bias.shallow_clone().zero_());
    assert!((probabilities(&answer(None)) - 1.0 / 3.0).abs().max().double_value(&[]) < 1e-6);
}

#[test]
fn a_transformer_stands_alone_and_reads_maps_that_are_there() {
    let refused = |config: NetworkConfig| config.check().unwrap_err().to_string();
    let base = tiny("ms-transformer");
    let shape = *base.transformer().unwrap();
    let with =
        |shape: TransformerConfig| NetworkConfig { localizer: LocalizerConfig::Transformer { shape }, ..base.clone() };
    let text = refused(NetworkConfig { odometry: Odometry::Siamese, ..base.clone() });
    assert!(
        text.starts_with("parameter network.localizer: expected a transformer alone, found odometry beside it"),
        "{text}"
    );
    let text = refused(NetworkConfig { shared_stages: None, ..base.clone() });
    assert!(text.starts_with("parameter network.shared_stages: expected 4: up to the last map"), "{text}");
    let text = refused(with(TransformerConfig { width: 36, ..shape }));
    assert_eq!(text, "parameter network.localizer.shape.width: expected a multiple of 8, twice the heads, found 36");
    let text = refused(with(TransformerConfig { scenes: 0, ..shape }));
    assert_eq!(text, "parameter network.localizer.shape.scenes: expected 1 to 1024, found 0");
    let text = refused(with(TransformerConfig { dropout: 1.0, ..shape }));
    assert!(text.starts_with("parameter network.localizer.shape.dropout"), "{text}");
}

#[test]
fn dgrnets_reads_the_frame_before_with_its_lstm_and_learns_through_it() {
    let config = tiny("dgrnets");
    let (network, store) = build(&config);
    let frames = images(&config, 2);
    let [first, second] = [0, 1].map(|row| network.shared(&frames.narrow(0, row, 1), false));
    let answer = |shared: &Features, history: &History| network.absolute(shared, history, false).unwrap();
    let position = |shared: &Features, history: &History| answer(shared, history).pose().translation_b3.shallow_clone();
    let distance = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let of = |shared: &Features, history: &History| History::of(&answer(shared, history));
    let alone = position(&second, &History::none());
    assert!(distance(&alone, &position(&second, &of(&first, &History::none()))) > 1e-6, "the frame before is known");
    // A window of two, as training has it: what was before the frame before is forgotten.
    let longer = of(&first, &of(&second, &History::none()));
    assert!(distance(&position(&second, &of(&first, &History::none())), &position(&second, &longer)) < 1e-6);
    let none = Tensor::zeros([1, 1], (Kind::Float, Device::Cpu));
    assert!(distance(&alone, &position(&second, &of(&first, &History::none()).keep(&none))) < 1e-6, "forgotten");
    // The later pose teaches what to keep of the earlier frame.
    let pixels = images(&config, 1).set_requires_grad(true);
    let earlier = network.absolute(&network.shared(&pixels, true), &History::none(), true).unwrap();
    network.absolute(&second, &History::of(&earlier), true).unwrap().pose().translation_b3.sum(None::<Kind>).backward();
    assert!(pixels.grad().abs().max().double_value(&[]) > 0.0);
    assert!(gradient_reaches(&store, "global.recurrent.weight_hh_l0"));
}

#[test]
fn vlocnet_plus_plus_hands_what_pixels_show_to_where_the_camera_is() {
    let classes = ["wall", "floor", "door"].map(str::to_owned).to_vec();
    let semantics = Some(SemanticsConfig { channels: 16, classes });
    let config = NetworkConfig { semantics, ..tiny("vlocnet-plus-plus-semantic") };
    let (network, store) = build(&config);
    let logits = network.segmentation(&network.shared(&images(&config, 2), true), [96, 128]).unwrap();
    assert_eq!(logits.size(), [2, 3, 96, 128]);
    logits.square().sum(None::<Kind>).backward();
    assert!(gradient_reaches(&store, "trunk.") && gradient_reaches(&store, "semantic.classify."));
    assert!(!gradient_reaches(&store, "global.") && !gradient_reaches(&store, "semantic.fusion."));
    let (network, store) = build(&config);
    let shared = network.shared(&images(&config, 2), true);
    network.absolute(&shared, &History::none(), true).unwrap().pose().translation_b3.sum(None::<Kind>).backward();
    assert!(gradient_reaches(&store, "semantic.fusion.semantic") && gradient_reaches(&store, "semantic.context."));
    assert!(!gradient_reaches(&store, "semantic.classify."), "features are fused, not classes");
    // Without its weights the stream is nothing to the pose.
    let shared = network.shared(&images(&config, 1), false);
    let position = || network.absolute(&shared, &History::none(), false).unwrap().pose().translation_b3.shallow_clone();
    let distance = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let change = |name: &str| tch::no_grad(|| store.variables()[name].shallow_clone().g_mul_scalar_(0.0));
    let with = position();
    let _ = change("semantic.fusion.semantic");
    let without = position();
    assert!(distance(&with, &without) > 1e-7);
    let _ = change("semantic.context.weight");
    assert!(distance(&without, &position()) < 1e-9);
    // Before a training has named the classes there is nothing to tell.
    let (network, _store) = build(&tiny("vlocnet-plus-plus-semantic"));
    assert!(network.segmentation(&network.shared(&images(&config, 1), false), [96, 128]).is_none());
}

#[test]
fn nnnet_squeezenet_compares_cell_by_cell_what_it_finds_by_averages() {
    let config = tiny("nnnet-squeezenet");
    let (network, _store) = build(&config);
    let stream = network.relative().unwrap();
    let features = stream.features(&network.shared(&images(&config, 2), false), false);
    assert!(features.size()[2] > 1 && features.size()[3] > 1, "{:?}: whole maps", features.size());
    let mirrored = features.flip([3]);
    assert!((stream.embedding(&features) - stream.embedding(&mirrored)).abs().max().double_value(&[]) < 1e-5);
    let [one, other, turned] = [features.get(0), features.get(1), mirrored.get(1)].map(|map| map.unsqueeze(0));
    let pose = |seen: &Tensor| stream.relative(&one, seen, false).pose().translation_b3.shallow_clone();
    assert!((pose(&other) - pose(&turned)).abs().max().double_value(&[]) > 1e-6);
}

#[test]
fn nnnet_and_relocnet_keep_a_vector_of_an_image_and_compare_two() {
    for (name, encoder) in [("nnnet", "trunk.layer3.5."), ("relocnet", "trunk.layer3.1.")] {
        let config = tiny(name);
        let (network, store) = build(&config);
        let deepest = store.variables().into_keys().filter(|key| key.starts_with("trunk.layer3.")).max().unwrap();
        assert!(deepest.starts_with(encoder), "{name}: ResNet-34 and ResNet-18, {deepest}");
        assert!(
            !store.variables().keys().any(|key| key.starts_with("global.") || key.starts_with("odometry.")),
            "{name}"
        );
        let frames = images(&config, 3);
        let shared = network.shared(&frames, false);
        let stream = network.relative().unwrap();
        let features = stream.features(&shared, false);
        assert_eq!(features.size(), [3, 512, 1, 1], "{name}: the average of the last map");
        let mean = shared.last().mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        assert!((features.view([3, 512]) - &mean).abs().max().double_value(&[]) < 1e-5, "{name}");
        // The vector that finds alike images is that average, of length 1.
        let embedding = stream.embedding(&features);
        assert!(embedding.equal(&network.embedding(&shared, &History::none())), "{name}");
        let cosine = Tensor::cosine_similarity(&embedding, &mean, 1, 1e-8);
        assert!((cosine - 1.0).abs().max().double_value(&[]) < 1e-5, "{name}");
        let lengths = embedding.square().sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
        assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-5, "{name}");
        // It says how the second is seen from the first: which is first matters, and so does each of the two.
        let row = |index: i64| features.narrow(0, index, 1);
        let pose = |a: &Tensor, b: &Tensor| stream.relative(a, b, false).pose().translation_b3.shallow_clone();
        let one = pose(&row(0), &row(1));
        for other in [pose(&row(1), &row(0)), pose(&row(2), &row(1)), pose(&row(0), &row(2))] {
            assert!((&one - other).abs().max().double_value(&[]) > 1e-7, "{name}");
        }
    }
}

#[test]
fn what_cannot_be_composed_says_what_to_change() {
    let error = |config: NetworkConfig| config.check().unwrap_err().to_string();
    for (config, text) in [
        (
            NetworkConfig {
                localizer: LocalizerConfig::Hourglass { channels: 8, rows: 2, cols: 2 },
                ..tiny("posenet")
            },
            "network.localizer: expected a resnet encoder for hourglass",
        ),
        (
            NetworkConfig { encoder: EncoderConfig::Squeezenet, ..tiny("posenet") },
            "network.auxiliary_heads: expected shared stages, 0 to 3, found 4",
        ),
        (
            NetworkConfig { orientation_branch: Some(3), ..tiny("branchnet") },
            "network.orientation_branch: expected 4 to 6: behind what position and orientation share, found 3",
        ),
        (NetworkConfig { shared_stages: Some(9), ..tiny("mapnet") }, "network.shared_stages: expected 1 to 5"),
        (
            NetworkConfig { odometry: Odometry::Siamese, ..tiny("posenet") },
            "network.crop: expected single frames: parts of two frames show different places",
        ),
        (
            NetworkConfig { temporal: Temporal::PreviousFeatures, ..tiny("lstm-pose") },
            "network.crop: expected single frames",
        ),
        (
            NetworkConfig { crop: Some(CropConfig { height: 200, width: 64, count: 1 }), ..tiny("posenet") },
            "network.crop: expected at most the input, 96x128, found 200x64",
        ),
        (
            NetworkConfig { temporal: Temporal::Lstm, crop: None, ..tiny("branchnet") },
            "network.temporal: expected one vector per frame for an LSTM, found lstm with orientation_branch",
        ),
        (
            NetworkConfig { semantics: Some(SemanticsConfig { channels: 8, classes: vec![] }), ..tiny("posenet") },
            "network.crop: expected whole images, as labels have them, found a crop with semantics",
        ),
        (
            NetworkConfig {
                semantics: Some(SemanticsConfig { channels: 8, classes: vec!["door".to_owned(); 2] }),
                ..tiny("mapnet")
            },
            "network.semantics.classes: expected at most 255 names, each once, found 2 names, one of them twice",
        ),
        (
            NetworkConfig { odometry: Odometry::Siamese, ..tiny("nnnet") },
            "network.gallery: expected a pair regressor alone, which has no absolute pose, found odometry beside it",
        ),
        (
            NetworkConfig { anchors: Some(AnchorsConfig { count: 4 }), ..tiny("relocnet") },
            "network.gallery: expected a pair regressor alone, which has no absolute pose, found anchors beside it",
        ),
        (
            NetworkConfig { gallery: Some(GalleryConfig { neighbours: 9, images: 8 }), ..tiny("nnnet") },
            "network.gallery.neighbours: expected 1 to 8, found 9",
        ),
        (
            NetworkConfig { anchors: Some(AnchorsConfig { count: 0 }), ..tiny("anchornet") },
            "network.anchors.count: expected 1",
        ),
        (NetworkConfig { dropout_samples: 0, ..tiny("bayesian-posenet") }, "network.variance: expected predicted, or"),
    ] {
        let found = error(config);
        assert!(found.contains(text), "{found}");
    }
}
