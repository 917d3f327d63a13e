//! The losses: cases computed by hand, and what they must not depend on.

use nalgebra::Vector3;
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Tensor};
use vloc::geometry::{Se3, So3, Vector6};
use vloc::loss::{
    ConsistencyGradient, Norm, PoseWeights, UNLABELLED, cross_transformation_loss, expected_squared_offset,
    geometric_consistency_loss, log_consistency_loss, motion_loss, nearest_anchor_cross_entropy, nll_loss,
    overlap_loss, pose_errors, relative_pose, reprojection_loss, segmentation_loss, tangent,
};
use vloc::network::{Anchored, MapFromNormalized, PoseTensor};

const METRES: MapFromNormalized = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };

fn tensor(poses: &[Se3]) -> PoseTensor {
    tch::set_num_threads(1);
    PoseTensor::from_poses(poses, &METRES, Device::Cpu)
}

fn pose(turn: [f64; 3], position: [f64; 3]) -> Se3 {
    Se3::new(So3::exp(&Vector3::from(turn)), Vector3::from(position))
}

fn value(scalar: &Tensor) -> f64 {
    scalar.double_value(&[])
}

fn row(tensor: &Tensor, index: i64) -> Vec<f64> {
    (0..tensor.size()[1]).map(|column| tensor.double_value(&[index, column])).collect()
}

/// A handful of poses all over the place.
fn path() -> Vec<Se3> {
    (0..8)
        .map(|index| {
            let t = f64::from(index);
            pose([0.4 * t, -0.3 * t + 1.0, 0.2 * t * t], [t.sin(), 0.5 * t, 2.0 - 0.1 * t])
        })
        .collect()
}

#[test]
fn tangent_operations_equal_those_of_geometry() {
    let from = path();
    let to: Vec<Se3> = from.iter().rev().copied().collect();
    let local = tangent::local(&tensor(&from), &tensor(&to));
    for (index, (a, b)) in from.iter().zip(&to).enumerate() {
        let expected = a.local(*b);
        let found = Vector6::from_row_slice(&row(&local, index as i64));
        // the series of the translation's coefficient is 1e-4 accurate close to half a turn
        assert!((found - expected).norm() < 1e-3 * (1.0 + expected.norm()), "{index}: {found} {expected}");
    }
    let small = tangent::local(&tensor(&[from[3]]), &tensor(&[from[3].retract(&Vector6::repeat(0.01))]));
    assert!((Vector6::from_row_slice(&row(&small, 0)) - Vector6::repeat(0.01)).norm() < 1e-5);
}

#[test]
fn mapnets_differences_of_a_case_by_hand() {
    // Half of the angle is the logarithm of a quaternion: 0.2 predicted, 0.3 true about z; one metre too little in x.
    let previous = tensor(&[pose([0.0; 3], [1.0, 0.0, 0.0])]);
    let (current, truth) =
        (tensor(&[pose([0.0, 0.0, 0.4], [2.0, 1.0, 0.0])]), tensor(&[pose([0.0, 0.0, 0.6], [3.0, 1.0, 0.0])]));
    let errors = log_consistency_loss([&previous, &current], [&previous, &truth], Norm::L2);
    assert!((value(&errors.translation) - 1.0).abs() < 1e-6 && (value(&errors.rotation) - 0.1).abs() < 1e-6);
    // Both predictions moved alike: their difference stays.
    let moved = tensor(&[pose([0.0; 3], [4.0, 0.0, 2.0])]);
    let moved_current = tensor(&[pose([0.0, 0.0, 0.6], [6.0, 1.0, 2.0])]);
    let errors = log_consistency_loss([&moved, &moved_current], [&previous, &truth], Norm::L1);
    assert!(value(&errors.translation) < 1e-6 && value(&errors.rotation) < 1e-6);
    let fixed = PoseWeights::Fixed { beta: 20.0 };
    let errors = log_consistency_loss([&previous, &current], [&previous, &truth], Norm::L2);
    assert!((value(&fixed.apply(&errors)) - 3.0).abs() < 1e-5, "1 + 20 * 0.1");
}

#[test]
fn the_pose_loss_of_a_case_by_hand() {
    // 3-4-5 triangle; a half turn about x is the quaternion (0, 1, 0, 0), at distance sqrt 2 from (1, 0, 0, 0)
    let estimate = tensor(&[pose([0.0; 3], [0.0; 3]), pose([0.0; 3], [1.0; 3])]);
    let truth = tensor(&[pose([std::f64::consts::PI, 0.0, 0.0], [3.0, 4.0, 0.0]), pose([0.0; 3], [1.0; 3])]);
    let errors = pose_errors(&estimate, &truth, Norm::L2);
    assert!((value(&errors.translation) - 2.5).abs() < 1e-5);
    assert!((value(&errors.rotation) - 2f64.sqrt() / 2.0).abs() < 1e-5);
    let errors = pose_errors(&estimate, &truth, Norm::L1);
    assert!((value(&errors.translation) - 7.0 / 6.0).abs() < 1e-5);
    assert!((value(&errors.rotation) - 0.25).abs() < 1e-5);

    let store = nn::VarStore::new(Device::Cpu);
    let weights = PoseWeights::learned(&store.root(), 0.5, -3.0);
    let expected = 7.0 / 6.0 * (-0.5f64).exp() + 0.5 + 0.25 * 3f64.exp() - 3.0;
    assert!((value(&weights.apply(&errors)) - expected).abs() < 1e-5);
}

#[test]
fn the_sign_of_a_quaternion_does_not_matter() {
    let (estimate, truth) = (tensor(&path()[..4]), tensor(&path()[1..5]));
    let opposite =
        PoseTensor { translation_b3: estimate.translation_b3.shallow_clone(), quaternion_b4: -&estimate.quaternion_b4 };
    for norm in [Norm::L1, Norm::L2] {
        let (one, other) = (pose_errors(&estimate, &truth, norm), pose_errors(&opposite, &truth, norm));
        assert!((value(&one.rotation) - value(&other.rotation)).abs() < 1e-6);
    }
    let log_variance = Tensor::zeros([4, 6], (Kind::Float, Device::Cpu));
    let (one, other) =
        (nll_loss(&estimate, &log_variance, &truth, false), nll_loss(&opposite, &log_variance, &truth, false));
    assert!((value(&one) - value(&other)).abs() < 1e-5);
}

#[test]
fn learned_weights_settle_at_the_logarithms_of_the_errors() {
    let store = nn::VarStore::new(Device::Cpu);
    let weights = PoseWeights::learned(&store.root(), 0.0, -3.0);
    let errors = pose_errors(&tensor(&[pose([0.2, 0.0, 0.0], [0.5, 0.0, 0.0])]), &tensor(&[Se3::identity()]), Norm::L2);
    let mut optimizer = nn::Adam::default().build(&store, 0.05).unwrap();
    for _ in 0..600 {
        optimizer.backward_step(&weights.apply(&errors));
    }
    let learned = store.variables();
    for (name, error) in [("s_translation", &errors.translation), ("s_rotation", &errors.rotation)] {
        let (found, expected) = (value(&learned[name]), value(error).ln());
        assert!((found - expected).abs() < 1e-2, "{name}: {found} is not {expected}");
    }
}

#[test]
fn the_likelihood_of_a_case_by_hand() {
    // one metre off along x with variance 4, exact otherwise with variance 1: 1/2 (1/4 + ln 4)
    let log_variance = Tensor::from_slice(&[4f32.ln(), 0.0, 0.0, 0.0, 0.0, 0.0]).view([1, 6]);
    let loss = nll_loss(&tensor(&[Se3::identity()]), &log_variance, &tensor(&[pose([0.0; 3], [1.0, 0.0, 0.0])]), false);
    assert!((value(&loss) - 0.5 * (0.25 + 4f64.ln())).abs() < 1e-5);
}

#[test]
fn a_detached_likelihood_trains_the_variance_alone() {
    let estimate = tensor(&path()[..2]);
    let translation_b3 = estimate.translation_b3.set_requires_grad(true);
    let estimate = PoseTensor { translation_b3: translation_b3.shallow_clone(), quaternion_b4: estimate.quaternion_b4 };
    let log_variance = Tensor::zeros([2, 6], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    nll_loss(&estimate, &log_variance, &tensor(&path()[1..3]), true).backward();
    assert!(!translation_b3.grad().defined());
    assert!(log_variance.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
}

/// Points `bn3`, the same for each of `rows` poses.
fn points(rows: i64, points: &[[f32; 3]]) -> Tensor {
    Tensor::from_slice(points.as_flattened()).view([1, -1, 3]).repeat([rows, 1, 1])
}

const FAR: f64 = 1e9;

#[test]
fn the_reprojection_of_a_case_by_hand() {
    // A camera at the origin that looks along z; the guess stands 1 to the right and 1 behind.
    let (truth, guess) = (tensor(&[Se3::identity()]), tensor(&[pose([0.0; 3], [1.0, 0.0, -1.0])]));
    let error = |points: &Tensor, limit: f64| value(&reprojection_loss(&guess, &truth, points, limit));
    // (2, 1, 2) is at (1, 1/2), and seen by the guess as (1, 1, 3) at (1/3, 1/3): 2/3 + 1/6.
    let first = points(1, &[[2.0, 1.0, 2.0]]);
    assert!((error(&first, FAR) - 5.0 / 6.0).abs() < 1e-6);
    assert!((error(&first, 0.5) - 5.0 / 12.0 / (5.0 / 6.0 + 0.5)).abs() < 1e-6, "bounded by one half");
    // (0, 0, 1) is at (0, 0), and seen as (-1, 0, 2) at (-1/2, 0).
    assert!((error(&points(1, &[[2.0, 1.0, 2.0], [0.0, 0.0, 1.0]]), FAR) - (5.0 / 6.0 + 0.5) / 2.0).abs() < 1e-6);
    // What is behind the true camera, or at its centre, was not seen.
    let unseen = points(1, &[[2.0, 1.0, 2.0], [0.0, 0.0, -1.0], [0.0; 3]]);
    assert!((error(&unseen, FAR) - 5.0 / 6.0).abs() < 1e-6);
    assert_eq!(error(&points(1, &[[0.0; 3]]), FAR), 0.0);
}

#[test]
fn reprojections_agree_with_the_camera_model() {
    let camera = vloc::sensor::CameraModel { cx: 0.0, cy: 0.0, ..vloc::sensor::CameraModel::pinhole(640, 480, 1.0) };
    let truth: Vec<Se3> = path();
    let guess: Vec<Se3> =
        truth.iter().map(|pose| pose.retract(&Vector6::new(0.05, -0.03, 0.1, 0.04, 0.02, -0.1))).collect();
    let in_camera = [[0.3, -0.4, 2.0], [-1.0, 0.5, 3.0], [0.0, 0.2, 1.5]].map(Vector3::from);
    let (mut in_map, mut expected) = (Vec::new(), 0.0);
    for (truth, guess) in truth.iter().zip(&guess) {
        for point in in_camera {
            let point_in_map = *truth * point;
            in_map.extend([0, 1, 2].map(|axis| point_in_map[axis] as f32));
            let moved = camera.project(&(guess.inverse() * point_in_map)).unwrap() - camera.project(&point).unwrap();
            expected += moved.abs().sum() / 24.0;
        }
    }
    let in_map = Tensor::from_slice(&in_map).view([8, 3, 3]);
    let found = value(&reprojection_loss(&tensor(&guess), &tensor(&truth), &in_map, FAR));
    assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    // Neither the units nor the frame of the map matter.
    let units = MapFromNormalized { mean: [3.0, -1.0, 0.5], scale: 2.5 };
    let other = |poses: &[Se3]| PoseTensor::from_poses(poses, &units, Device::Cpu);
    let mean = Tensor::from_slice(&units.mean.map(|value| value as f32));
    let again = value(&reprojection_loss(&other(&guess), &other(&truth), &((in_map - mean) / units.scale), FAR));
    assert!((found - again).abs() < 1e-4, "{found} {again}");
}

#[test]
fn the_gradient_of_the_reprojection_is_its_slope_and_finite_behind_the_camera() {
    let truth = tensor(&path()[..2]);
    let points = points(2, &[[0.3, -0.4, 6.0], [-1.0, 0.5, 7.0]]);
    let of = |guess: &[Se3], limit: f64| {
        let guess = tensor(guess);
        let (t, q) = (guess.translation_b3.set_requires_grad(true), guess.quaternion_b4.set_requires_grad(true));
        let leaf = PoseTensor { translation_b3: t.shallow_clone(), quaternion_b4: q.shallow_clone() };
        let loss = reprojection_loss(&leaf, &truth, &points, limit);
        loss.backward();
        (value(&loss), t.grad(), q.grad())
    };
    let guess: Vec<Se3> = path()[..2].iter().map(|pose| pose.retract(&Vector6::repeat(0.05))).collect();
    let (_, slope, _) = of(&guess, 1.0);
    for axis in 0..3 {
        let moved = |by: f64| {
            let mut moved = guess.clone();
            moved[0].translation[axis] += by;
            of(&moved, 1.0).0
        };
        let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((slope.double_value(&[0, axis as i64]) - numeric).abs() < 1e-3, "{axis}: {slope} {numeric}");
    }
    // Turned about: every point is behind the guess.
    let behind: Vec<Se3> = path()[..2]
        .iter()
        .map(|pose| *pose * Se3::new(So3::exp(&Vector3::new(0.0, 3.1, 0.0)), Vector3::zeros()))
        .collect();
    let (loss, translation, rotation) = of(&behind, 1.0);
    assert!(loss > 0.3 && loss < 1.0, "{loss}");
    for gradient in [translation, rotation] {
        assert_eq!(gradient.isfinite().all().int64_value(&[]), 1);
        assert!(gradient.abs().max().double_value(&[]) > 0.0);
    }
}

#[test]
fn cross_transformations_close_for_the_truth_and_catch_a_wrong_motion() {
    let path = path();
    let (previous, current) = (tensor(&path[..7]), tensor(&path[1..]));
    let truths = [&previous, &current];
    let motions: Vec<Se3> = path.windows(2).map(|pair| pair[0].inverse() * pair[1]).collect();
    let exact = cross_transformation_loss(truths, &tensor(&motions), truths, Norm::L2);
    assert!(value(&exact.translation) < 1e-5 && value(&exact.rotation) < 1e-5);
    // A motion that is 0.3 too long misses both ends by 0.3, and the poses still agree: two ways of three.
    let longer: Vec<Se3> = motions
        .iter()
        .map(|motion| Se3::new(motion.rotation, motion.translation + Vector3::new(0.0, 0.3, 0.0)))
        .collect();
    let errors = cross_transformation_loss(truths, &tensor(&longer), truths, Norm::L2);
    assert!((value(&errors.translation) - 0.2).abs() < 1e-5, "{}", value(&errors.translation));
    assert!(value(&errors.rotation) < 1e-5);
    // Both poses 0.3 off alike: their motion is right, both ends are missed.
    let moved: Vec<Se3> =
        path.iter().map(|pose| Se3::new(pose.rotation, pose.translation + Vector3::new(0.3, 0.0, 0.0))).collect();
    let guesses = (tensor(&moved[..7]), tensor(&moved[1..]));
    let errors = cross_transformation_loss([&guesses.0, &guesses.1], &tensor(&motions), truths, Norm::L2);
    assert!((value(&errors.translation) - 0.2).abs() < 1e-5, "{}", value(&errors.translation));
    // Every prediction is corrected.
    let leaves = [tensor(&moved[..7]), tensor(&moved[1..]), tensor(&longer)]
        .map(|pose| PoseTensor { translation_b3: pose.translation_b3.set_requires_grad(true), ..pose });
    cross_transformation_loss([&leaves[0], &leaves[1]], &leaves[2], truths, Norm::L1).translation.backward();
    assert!(leaves.iter().all(|pose| pose.translation_b3.grad().abs().max().double_value(&[]) > 0.0));
}

#[test]
fn the_segmentation_of_a_case_by_hand() {
    // Two classes in two pixels: odds of 3 to 1 for the first class, then equal ones.
    let logits = Tensor::from_slice(&[3f32.ln(), 0.0, 0.0, 0.0]).view([1, 2, 1, 2]);
    let loss = |labels: [u8; 2]| value(&segmentation_loss(&logits, &Tensor::from_slice(&labels).view([1, 1, 2])));
    assert!((loss([0, 0]) - ((4f64 / 3.0).ln() + 2f64.ln()) / 2.0).abs() < 1e-6);
    assert!((loss([1, UNLABELLED]) - 4f64.ln()).abs() < 1e-6, "a pixel without a label does not count");
    assert_eq!(loss([UNLABELLED; 2]), 0.0);
}

#[test]
fn relative_poses_equal_those_of_geometry() {
    let path = path();
    let relative = relative_pose(&tensor(&path[..7]), &tensor(&path[1..])).to_poses(&METRES).unwrap();
    for (pair, found) in path.windows(2).zip(relative) {
        let expected = pair[0].inverse() * pair[1];
        assert!(expected.local(found).norm() < 1e-5);
    }
}

#[test]
fn consistency_does_not_depend_on_the_map() {
    let truth = path();
    let guess: Vec<Se3> =
        truth.iter().zip(1..).map(|(pose, index)| pose.retract(&(Vector6::repeat(0.03) * f64::from(index)))).collect();
    let other_from_map = pose([0.9, -2.0, 0.4], [5.0, -3.0, 8.0]);
    let moved = |poses: &[Se3]| poses.iter().map(|pose| other_from_map * *pose).collect::<Vec<_>>();
    let errors = |guess: &[Se3], truth: &[Se3]| {
        let (previous, current) = (tensor(&guess[..7]), tensor(&guess[1..]));
        let truth = (tensor(&truth[..7]), tensor(&truth[1..]));
        let gradient = ConsistencyGradient::Both;
        let errors = geometric_consistency_loss(&previous, &current, &truth.0, &truth.1, gradient, Norm::L1);
        // the difference in the axes of the map, for comparison
        let world =
            (&current.translation_b3 - &previous.translation_b3) - (&truth.1.translation_b3 - &truth.0.translation_b3);
        (value(&errors.translation), value(&errors.rotation), value(&world.abs().mean(Kind::Float)))
    };
    let (here, there) = (errors(&guess, &truth), errors(&moved(&guess), &moved(&truth)));
    assert!(here.0 > 0.01 && here.1 > 0.01, "the guess must be wrong for this to show anything");
    assert!((here.0 - there.0).abs() < 1e-5 && (here.1 - there.1).abs() < 1e-5, "{here:?} {there:?}");
    assert!(
        (here.2 - there.2).abs() > 1e-3,
        "a difference in the axes of the map does depend on it: {here:?} {there:?}"
    );
    let exact = errors(&truth, &truth);
    assert!(exact.0 < 1e-5 && exact.1 < 1e-5, "{exact:?}");
}

/// `previous_from_current` of consecutive poses.
fn motions(path: &[Se3]) -> PoseTensor {
    tensor(&path.windows(2).map(|pair| pair[0].inverse() * pair[1]).collect::<Vec<_>>())
}

#[test]
fn motions_are_those_of_an_odometry_in_any_frame() {
    let map_from_odometry = pose([0.9, -2.0, 0.4], [50.0, -30.0, 8.0]);
    let answers = path();
    let odometry: Vec<Se3> = answers.iter().map(|pose| map_from_odometry.inverse() * *pose).collect();
    let errors = |answers: &[Se3], odometry: &[Se3]| {
        let frames = [&tensor(&answers[..answers.len() - 1]), &tensor(&answers[1..])];
        let errors = motion_loss(frames, &motions(odometry), Norm::L1);
        [value(&errors.translation), value(&errors.rotation)]
    };
    assert!(errors(&answers, &odometry).iter().all(|error| *error < 1e-5));

    // Wherever the answers' own frame lies; and what is wrong is as wrong in every frame.
    let guess: Vec<Se3> = answers
        .iter()
        .zip(1..)
        .map(|(pose, index)| pose.retract(&(Vector6::repeat(0.03) * f64::from(index))))
        .collect();
    let moved: Vec<Se3> = guess.iter().map(|pose| map_from_odometry * *pose).collect();
    let (here, there) = (errors(&guess, &odometry), errors(&moved, &odometry));
    assert!(here.iter().all(|error| *error > 0.01), "the guess must be wrong for this to show anything");
    assert!(here.iter().zip(there).all(|(here, there)| (here - there).abs() < 1e-4), "{here:?} {there:?}");

    // By hand: a camera that looks along the map's x steps a metre towards it, and is said to have stepped 1.5 m and turned
    // by 0.2 about its own x (half of it is the logarithm).
    let quarter = std::f64::consts::FRAC_PI_2;
    let answers = [pose([0.0, quarter, 0.0], [0.0; 3]), pose([0.0, quarter, 0.0], [1.0, 0.0, 0.0])];
    let told = tensor(&[pose([0.2, 0.0, 0.0], [0.0, 0.0, 1.5])]);
    let errors = motion_loss([&tensor(&answers[..1]), &tensor(&answers[1..])], &told, Norm::L2);
    assert!((value(&errors.translation) - 0.5).abs() < 1e-6 && (value(&errors.rotation) - 0.1).abs() < 1e-6);
}

#[test]
fn the_gradient_of_the_motion_is_its_slope_for_both_answers() {
    let (answers, told) = (path(), motions(&[path()[5], path()[2]]));
    let numbers = |pose: Se3| {
        let PoseTensor { translation_b3, quaternion_b4 } = tensor(&[pose]);
        Tensor::cat(&[translation_b3, quaternion_b4], 1).to_kind(Kind::Double)
    };
    let (previous, current) = (numbers(answers[1]), numbers(answers[2]));
    let loss = |previous: &Tensor, current: &Tensor| {
        let parts =
            |all: &Tensor| PoseTensor { translation_b3: all.narrow(1, 0, 3), quaternion_b4: all.narrow(1, 3, 4) };
        let errors = motion_loss([&parts(previous), &parts(current)], &told, Norm::L2);
        PoseWeights::Fixed { beta: 3.0 }.apply(&errors)
    };
    let leaves = [&previous, &current].map(|pose| pose.copy().set_requires_grad(true));
    loss(&leaves[0], &leaves[1]).backward();
    for (which, number) in [0, 1].into_iter().flat_map(|which| (0..7).map(move |number| (which, number))) {
        let moved = |by: f64| {
            let poses = [previous.copy(), current.copy()];
            let _ = poses[which].narrow(1, number, 1).g_add_scalar_(by);
            value(&loss(&poses[0], &poses[1]))
        };
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        let analytic = leaves[which].grad().double_value(&[0, number]);
        assert!((analytic - numeric).abs() < 1e-6 * (1.0 + numeric.abs()), "{which} {number}: {analytic} {numeric}");
        assert!(number == 3 || analytic.abs() > 1e-6, "{which} {number}: each number of both answers learns");
    }
}

#[test]
fn consistency_corrects_the_predictions_it_says() {
    for (gradient, reaches_previous) in [(ConsistencyGradient::Current, false), (ConsistencyGradient::Both, true)] {
        let leaf = |poses: &[Se3]| {
            let pose = tensor(poses);
            PoseTensor {
                translation_b3: pose.translation_b3.set_requires_grad(true),
                quaternion_b4: pose.quaternion_b4,
            }
        };
        let (previous, current, truth) = (leaf(&path()[..3]), leaf(&path()[1..4]), tensor(&path()[2..5]));
        let errors = geometric_consistency_loss(&previous, &current, &truth, &truth, gradient, Norm::L2);
        errors.translation.backward();
        assert!(current.translation_b3.grad().defined());
        assert_eq!(previous.translation_b3.grad().defined(), reaches_previous);
    }
}

#[test]
fn anchors_expect_their_squared_error_and_name_the_nearest() {
    // Two anchors, one frame at the origin: e1 = (1, 0, 0), e2 = (0, 2, 0), p = (3/4, 1/4).
    let logits_bn = Tensor::from_slice(&[3.0f64.ln(), 0.0]).view([1, 2]).to_kind(Kind::Float).set_requires_grad(true);
    let positions_bn3 = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 0.0, 2.0, 0.0]).view([1, 2, 3]).set_requires_grad(true);
    let anchors_n3 = Tensor::from_slice(&[7.0f32, 0.0, 0.0, 0.0, 0.0, -3.0]).view([2, 3]);
    let anchored = Anchored { anchors_n3, logits_bn, positions_bn3 };
    let truth = Tensor::zeros([1, 3], (Kind::Float, Device::Cpu));
    let expected = expected_squared_offset(&anchored, &truth);
    assert!((expected.double_value(&[]) - 1.75).abs() < 1e-6, "3/4 of 1 and 1/4 of 4");
    // The second anchor itself is nearer, whatever its offset says: -ln(1/4).
    let class = nearest_anchor_cross_entropy(&anchored, &truth);
    assert!((class.double_value(&[]) - 4.0f64.ln()).abs() < 1e-6);
    expected.backward();
    let gradient: Vec<f32> = Vec::try_from(anchored.positions_bn3.grad().flatten(0, -1)).unwrap();
    // 2 p e: an anchor learns as far as it is likely.
    assert!((gradient[0] - 1.5).abs() + (gradient[4] - 1.0).abs() < 1e-5, "{gradient:?}");
    let gradient: Vec<f32> = Vec::try_from(anchored.logits_bn.grad().flatten(0, -1)).unwrap();
    // p1 (1 - 1.75) and p2 (4 - 1.75): the better offset becomes likelier.
    assert!((gradient[0] + 0.5625).abs() < 1e-6 && (gradient[1] - 0.5625).abs() < 1e-6, "{gradient:?}");
}

#[test]
fn vectors_are_to_be_as_alike_as_their_frusta_overlap() {
    // Cosines: 0 of the first two, 0.6 and 0.8 with the third.
    let vectors = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 0.6, 0.8]).view([3, 2]).set_requires_grad(true);
    let overlaps =
        |ab: f32, ac: f32, bc: f32| Tensor::from_slice(&[1.0, ab, ac, ab, 1.0, bc, ac, bc, 1.0]).view([3, 3]);
    assert!(value(&overlap_loss(&vectors, &overlaps(0.0, 0.6, 0.8))) < 1e-12, "as alike as they overlap");
    // Two too unlike by 0.2 and 0.1: (2 (0.04 + 0.01)) / 6.
    let loss = overlap_loss(&vectors, &overlaps(0.0, 0.8, 0.9));
    assert!((value(&loss) - 0.1 / 6.0).abs() < 1e-7, "{loss}");
    // More overlap than likeness turns them towards each other.
    loss.backward();
    let towards_third = vectors.grad().double_value(&[0, 1]);
    assert!(towards_third < 0.0, "{towards_third}");
    // One that overlaps with nothing is pushed off.
    let _ = vectors.grad().zero_();
    overlap_loss(&vectors, &overlaps(0.0, 0.0, 0.0)).backward();
    assert!(vectors.grad().double_value(&[0, 1]) > 0.0);
}
