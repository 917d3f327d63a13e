//! The laws of the geometry room, through its public API: group laws and Jacobians as properties, the closed forms
//! against their definitions, covariances against drawn samples.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use nalgebra::{Matrix3, Matrix6, SMatrix, SVector, Vector3, Vector6};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use vloc::Stamp;
use vloc::geometry::{Insertion, PoseCovariance, Se3, So3, Trajectory, TransformError, TransformTree, umeyama};

/// Rotation vectors of every size: from 1e-12, across the limits of the series, to just below π.
fn rotation_vectors() -> impl Strategy<Value = Vector3<f64>> {
    let angles = prop_oneof![
        3 => 0.0..3.1f64,
        2 => (-12.0..0.0f64).prop_map(|exponent| 10f64.powf(exponent)),
        1 => prop_oneof![Just(0.0), Just(0.00999), Just(0.01), Just(0.0201), Just(0.2999), Just(0.3), Just(0.3001)],
        1 => (-9.0..-2.0f64).prop_map(|exponent| std::f64::consts::PI - 10f64.powf(exponent)),
    ];
    let axis = prop::array::uniform3(-1.0..1.0f64).prop_map(Vector3::from);
    (axis.prop_filter("an axis", |axis| axis.norm() > 0.1), angles).prop_map(|(axis, angle)| axis.normalize() * angle)
}

fn vectors() -> impl Strategy<Value = Vector3<f64>> {
    prop::array::uniform3(-5.0..5.0f64).prop_map(Vector3::from)
}

fn twists() -> impl Strategy<Value = Vector6<f64>> {
    (vectors(), rotation_vectors()).prop_map(|(rho, phi)| Vector6::new(rho.x, rho.y, rho.z, phi.x, phi.y, phi.z))
}

fn transforms() -> impl Strategy<Value = Se3> {
    (rotation_vectors(), vectors()).prop_map(|(phi, translation)| Se3::new(So3::exp(&phi), translation))
}

fn close(a: Se3, b: Se3, tolerance: f64) -> bool {
    (a.matrix() - b.matrix()).amax() < tolerance
}

/// The Jacobian of `f` at `x` by central differences.
fn numeric<const N: usize>(f: impl Fn(&SVector<f64, N>) -> SVector<f64, N>, x: &SVector<f64, N>) -> SMatrix<f64, N, N> {
    let step = 1e-6;
    let mut jacobian = SMatrix::<f64, N, N>::zeros();
    for column in 0..N {
        let mut offset = SVector::<f64, N>::zeros();
        offset[column] = step;
        jacobian.set_column(column, &((f(&(x + offset)) - f(&(x - offset))) / (2.0 * step)));
    }
    jacobian
}

/// `Σ mᵏ / (k + start)!` times `start!`: the matrix exponential for `start = 0`, a left Jacobian for `start = 1`.
fn power_series<const N: usize>(matrix: &SMatrix<f64, N, N>, start: u32) -> SMatrix<f64, N, N> {
    let mut term = SMatrix::<f64, N, N>::identity();
    let mut sum = term;
    for k in 1..60 {
        term = term * matrix / f64::from(k + start);
        sum += term;
    }
    sum
}

/// The small adjoint of a twist: `[φ^ ρ^; 0 φ^]`.
fn small_adjoint(xi: &Vector6<f64>) -> Matrix6<f64> {
    let (rho, phi) = (Vector3::new(xi[0], xi[1], xi[2]), Vector3::new(xi[3], xi[4], xi[5]));
    let mut matrix = Matrix6::zeros();
    matrix.fixed_view_mut::<3, 3>(0, 0).copy_from(&So3::hat(&phi));
    matrix.fixed_view_mut::<3, 3>(0, 3).copy_from(&So3::hat(&rho));
    matrix.fixed_view_mut::<3, 3>(3, 3).copy_from(&So3::hat(&phi));
    matrix
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn transforms_form_a_group(a in transforms(), b in transforms(), c in transforms(), point in vectors()) {
        prop_assert!(close(a * Se3::identity(), a, 1e-15) && close(Se3::identity() * a, a, 1e-15));
        prop_assert!(close(a * a.inverse(), Se3::identity(), 1e-13));
        prop_assert!(close((a * b) * c, a * (b * c), 1e-12));
        prop_assert!(((a * b) * point - a * (b * point)).amax() < 1e-12);
        let rotation = (a * b * c).rotation.matrix();
        prop_assert!((rotation.transpose() * rotation - Matrix3::identity()).amax() < 1e-14);
    }

    #[test]
    fn exp_is_the_matrix_exponential_and_log_its_inverse(xi in twists()) {
        let phi = Vector3::new(xi[3], xi[4], xi[5]);
        prop_assert!((So3::exp(&phi).matrix() - power_series(&So3::hat(&phi), 0)).amax() < 1e-13);
        prop_assert!((So3::exp(&phi).log() - phi).amax() < 1e-14 + 1e-15 / (std::f64::consts::PI - phi.norm()).abs());
        prop_assert_eq!(So3::vee(&So3::hat(&phi)), phi);
        let mut twist = nalgebra::Matrix4::zeros();
        twist.fixed_view_mut::<3, 3>(0, 0).copy_from(&So3::hat(&phi));
        twist.fixed_view_mut::<3, 1>(0, 3).copy_from(&xi.fixed_rows::<3>(0));
        prop_assert!((Se3::exp(&xi).matrix() - power_series(&twist, 0)).amax() < 1e-12);
        prop_assert!((Se3::exp(&xi).log() - xi).amax() < 1e-11);
    }

    #[test]
    fn jacobians_equal_their_series(xi in twists()) {
        let phi = Vector3::new(xi[3], xi[4], xi[5]);
        let hat = So3::hat(&phi);
        prop_assert!((So3::left_jacobian(&phi) - power_series(&hat, 1)).amax() < 1e-13);
        prop_assert!((So3::right_jacobian(&phi) - power_series(&-hat, 1)).amax() < 1e-13);
        prop_assert!((So3::left_jacobian_inverse(&phi) * So3::left_jacobian(&phi) - Matrix3::identity()).amax() < 1e-12);
        prop_assert!((So3::right_jacobian_inverse(&phi) * So3::right_jacobian(&phi) - Matrix3::identity()).amax() < 1e-12);
        prop_assert!((Se3::right_jacobian(&xi) - power_series(&-small_adjoint(&xi), 1)).amax() < 1e-11);
        prop_assert!((Se3::right_jacobian_inverse(&xi) * Se3::right_jacobian(&xi) - Matrix6::identity()).amax() < 1e-11);
    }

    #[test]
    fn jacobians_equal_numeric_differences(xi in twists()) {
        let phi = Vector3::new(xi[3], xi[4], xi[5]);
        let zero = Vector3::zeros();
        let so3 = So3::exp(&phi);
        let right = numeric(|d| so3.local(So3::exp(&(phi + d))), &zero);
        prop_assert!((So3::right_jacobian(&phi) - right).amax() < 1e-8);
        let left = numeric(|d| (So3::exp(&(phi + d)) * so3.inverse()).log(), &zero);
        prop_assert!((So3::left_jacobian(&phi) - left).amax() < 1e-8);
        let se3 = Se3::exp(&xi);
        let right = numeric(|d| se3.local(Se3::exp(&(xi + d))), &Vector6::zeros());
        prop_assert!((Se3::right_jacobian(&xi) - right).amax() < 1e-7);
        // The inverses are the derivatives of log, which has a cut at π.
        prop_assume!(phi.norm() < 3.0);
        let right_inverse = numeric(|d| so3.retract(d).log(), &zero);
        prop_assert!((So3::right_jacobian_inverse(&phi) - right_inverse).amax() < 1e-7);
        let left_inverse = numeric(|d| (So3::exp(d) * so3).log(), &zero);
        prop_assert!((So3::left_jacobian_inverse(&phi) - left_inverse).amax() < 1e-7);
        let right_inverse = numeric(|d| se3.retract(d).log(), &Vector6::zeros());
        prop_assert!((Se3::right_jacobian_inverse(&xi) - right_inverse).amax() < 1e-5);
    }

    #[test]
    fn retract_and_local_are_inverse(x in transforms(), y in transforms(), xi in twists()) {
        prop_assert!(close(x.retract(&x.local(y)), y, 1e-11));
        prop_assert!((x.local(x.retract(&xi)) - xi).amax() < 1e-7);
    }

    #[test]
    fn the_adjoint_moves_a_twist_to_the_other_side(x in transforms(), y in transforms(), xi in twists()) {
        prop_assert!(close(x * Se3::exp(&xi), Se3::exp(&(x.adjoint() * xi)) * x, 1e-10));
        prop_assert!(((x * y).adjoint() - x.adjoint() * y.adjoint()).amax() < 1e-11);
        prop_assert!((x.inverse().adjoint() * x.adjoint() - Matrix6::identity()).amax() < 1e-11);
    }

    #[test]
    fn matrices_round_trip_and_only_rotations_are_accepted(x in transforms(), noise in prop::array::uniform9(-1e-4..1e-4f64)) {
        prop_assert!(close(Se3::from_matrix(&x.matrix(), 1e-9).unwrap(), x, 1e-13));
        let noisy = x.rotation.matrix() + Matrix3::from_row_slice(&noise);
        prop_assert!(So3::from_matrix(&noisy, 1e-3).unwrap().local(x.rotation).norm() < 5e-4);
        prop_assert!(So3::from_matrix(&-x.rotation.matrix(), 1e-3).is_none());
        prop_assert!(So3::from_matrix(&(2.0 * x.rotation.matrix()), 1e-3).is_none());
        let [qx, qy, qz, qw] = x.rotation.to_xyzw();
        prop_assert!(qw >= 0.0);
        prop_assert!(So3::from_xyzw(-qx, -qy, -qz, -qw).unwrap().local(x.rotation).norm() < 1e-14);
    }

    #[test]
    fn the_mean_is_where_the_tangents_cancel(x in transforms(), xi in prop::collection::vec(twists(), 1..8)) {
        // Within half a radian of each other, as answers about one place are.
        let near = |xi: &Vector6<f64>| x.retract(&(xi * (0.25 / xi.norm().max(0.25))));
        let poses: Vec<Se3> = xi.iter().map(near).collect();
        let mean = Se3::mean(&poses).unwrap();
        let rest: Vector6<f64> = poses.iter().map(|pose| mean.local(*pose)).sum();
        prop_assert!(rest.norm() < 1e-10, "{rest}");
        prop_assert!(close(Se3::mean(&[poses[0]]).unwrap(), poses[0], 1e-12));
        prop_assert!(Se3::mean(&[]).is_none());
    }

    #[test]
    fn interpolation_moves_at_constant_speed(x in transforms(), y in transforms(), ratio in 0.0..1.0f64) {
        prop_assume!(x.rotation.local(y.rotation).norm() < 3.1);
        prop_assert!(close(x.interpolate(y, 0.0), x, 1e-14) && close(x.interpolate(y, 1.0), y, 1e-13));
        let between = x.interpolate(y, ratio);
        let (part, whole) = (x.rotation.local(between.rotation), x.rotation.local(y.rotation));
        prop_assert!((part - ratio * whole).amax() < 1e-12);
        prop_assert!((between.translation - x.translation - ratio * (y.translation - x.translation)).amax() < 1e-13);
        let stamp = |nanos| Stamp::from_nanos(1_700_000_000_000_000_000 + nanos);
        let trajectory = Trajectory::new(vec![(stamp(0), x), (stamp(1_000_000), y)]).unwrap();
        let at = (ratio * 1e6).round();
        let found = trajectory.interpolate(stamp(at as i64)).unwrap();
        prop_assert!(close(found, x.interpolate(y, at * 1e-6), 1e-12));
    }

    #[test]
    fn umeyama_recovers_a_similarity(
        points in prop::collection::vec(vectors(), 4..30),
        truth in transforms(),
        scale in 0.1..10.0f64,
    ) {
        let spread = points.iter().map(|p| p - points[0]).fold(0.0, |area: f64, p| area.max(p.cross(&(points[1] - points[0])).norm()));
        prop_assume!(spread > 0.5);
        let scaled: Vec<_> = points.iter().map(|point| scale * (truth.rotation * *point) + truth.translation).collect();
        let found = umeyama(&points, &scaled, true).unwrap();
        prop_assert!((found.scale - scale).abs() < 1e-9 * scale);
        prop_assert!(found.rotation.local(truth.rotation).norm() < 1e-9);
        prop_assert!((found.translation - truth.translation).norm() < 1e-8);
        prop_assert!((found.pose(Se3::identity()).translation - truth.translation).norm() < 1e-8);
        let moved: Vec<_> = points.iter().map(|point| truth * *point).collect();
        let found = umeyama(&points, &moved, false).unwrap();
        prop_assert!(close(found.pose(Se3::identity()), truth, 1e-8) && found.scale == 1.0);
    }
}

#[test]
fn umeyama_recovers_the_rotation_of_points_that_are_nearly_in_a_plane() {
    let points = [
        [-0.9613028216655681, 0.19301719007612897, -1.944049576490073],
        [0.5217161039890671, -0.7640242069353615, -1.8175163801412924],
        [3.974199471813312, -3.5819693147831333, -0.5716747596244894],
        [-1.9174088209928952, -2.6550887208744185, 3.5456847681106725],
    ];
    let points = points.map(Vector3::from);
    for scale in [0.1, 1.0, 7.0] {
        let found = umeyama(&points, &points.map(|point| scale * point), true).unwrap();
        assert!(found.rotation.log().norm() < 1e-12, "{}", found.rotation.log());
        assert!((found.scale - scale).abs() < 1e-12 * scale, "{}", found.scale);
    }
}

#[test]
fn umeyama_finds_the_least_squares_under_noise() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut normal = || Vector3::from_fn(|_, _| Distribution::<f64>::sample(&StandardNormal, &mut rng));
    let source: Vec<_> = (0..50).map(|_| normal()).collect();
    let target: Vec<_> = source.iter().map(|point| 1.7 * point + 0.3 * normal()).collect();
    let best = umeyama(&source, &target, true).unwrap();
    let error = |similarity: &vloc::geometry::Similarity| -> f64 {
        source.iter().zip(&target).map(|(from, to)| (similarity.point(from) - to).norm_squared()).sum()
    };
    for _ in 0..100 {
        let mut other = best;
        other.rotation = other.rotation.retract(&(0.01 * normal()));
        other.translation += 0.01 * normal();
        other.scale += 0.01 * normal().x;
        assert!(error(&other) > error(&best));
    }
}

/// A full covariance with small standard deviations, so that first order is enough, and strong correlations.
fn correlated() -> PoseCovariance {
    let root = Matrix6::from_fn(
        |row, column| if row == column { 1.5 } else { ((row * 7 + column * 3) % 5) as f64 * 0.25 - 0.5 },
    );
    let sigmas = Matrix6::from_diagonal(&Vector6::new(0.01, 0.02, 0.03, 0.004, 0.008, 0.006));
    let root = sigmas * root;
    PoseCovariance::new(&(root * root.transpose())).unwrap()
}

/// The sample covariance of `of(ξ)` over draws of `ξ`, and the largest difference of correlation to `claimed`.
fn worst_difference(
    claimed: &Matrix6<f64>,
    drawn_from: &PoseCovariance,
    mut of: impl FnMut(&Vector6<f64>) -> Vector6<f64>,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let root = drawn_from.matrix().cholesky().unwrap().l();
    let count = 200_000;
    let mut sample = Matrix6::zeros();
    for _ in 0..count {
        let error = of(&(root * Vector6::from_fn(|_, _| Distribution::<f64>::sample(&StandardNormal, &mut rng))));
        sample += error * error.transpose() / f64::from(count);
    }
    let scale = |row: usize, column: usize| (claimed[(row, row)] * claimed[(column, column)]).sqrt();
    Matrix6::from_fn(|row, column| (sample - claimed)[(row, column)] / scale(row, column)).amax()
}

#[test]
fn fixed_axis_covariance_is_that_of_drawn_poses() {
    let covariance = correlated();
    let map_from_camera = Se3::new(So3::exp(&Vector3::new(1.2, -0.7, 2.0)), Vector3::new(40.0, -20.0, 3.0));
    let message = covariance.to_fixed_axes(map_from_camera);
    let claimed = Matrix6::from_row_slice(&message);
    let worst = worst_difference(&claimed, &covariance, |xi| {
        let true_pose = map_from_camera.retract(xi);
        let position = true_pose.translation - map_from_camera.translation;
        let rotation = (true_pose.rotation * map_from_camera.rotation.inverse()).log();
        Vector6::new(position.x, position.y, position.z, rotation.x, rotation.y, rotation.z)
    });
    assert!(worst < 0.012, "sampled and claimed correlations differ by {worst}");
    let back = PoseCovariance::from_fixed_axes(&message, map_from_camera).unwrap();
    assert!((back.matrix() - covariance.matrix()).amax() < 1e-15);
    // The unturned matrix is far from the samples: the test can tell.
    assert!((claimed - covariance.matrix()).amax() > 0.3 * covariance.matrix().amax());
}

#[test]
fn transported_covariances_are_those_of_drawn_poses() {
    let covariance = correlated();
    let map_from_camera = Se3::new(So3::exp(&Vector3::new(1.2, -0.7, 2.0)), Vector3::new(4.0, -2.0, 3.0));
    let camera_from_base = Se3::new(So3::exp(&Vector3::new(-0.4, 1.9, 0.3)), Vector3::new(0.3, -0.1, 0.5));

    let moved = covariance.composed_with(camera_from_base);
    let map_from_base = map_from_camera * camera_from_base;
    let worst = worst_difference(&moved.matrix(), &covariance, |xi| {
        map_from_base.local(map_from_camera.retract(xi) * camera_from_base)
    });
    assert!(worst < 0.012, "composed: {worst}");

    let opposite = covariance.inverted(map_from_camera);
    let camera_from_map = map_from_camera.inverse();
    let worst = worst_difference(&opposite.matrix(), &covariance, |xi| {
        camera_from_map.local(map_from_camera.retract(xi).inverse())
    });
    assert!(worst < 0.012, "inverted: {worst}");

    let back = moved.composed_with(camera_from_base.inverse());
    assert!((back.matrix() - covariance.matrix()).amax() < 1e-12);
    let certain = PoseCovariance::from_sigmas(1e-6, 1e-6).unwrap();
    let chained = covariance.chained_with(camera_from_base, &certain);
    assert!((chained.matrix() - moved.matrix()).amax() < 1e-11);
}

fn along_x(metres: f64) -> Se3 {
    Se3::new(So3::identity(), Vector3::new(metres, 0.0, 0.0))
}

fn at(milliseconds: i64) -> Stamp {
    Stamp::from_nanos(milliseconds * 1_000_000)
}

/// map -> odom -> base_link -> camera, odom moving 1 m/s along x, camera fixed.
fn robot() -> TransformTree {
    let mut tree = TransformTree::default();
    let camera = Se3::new(So3::exp(&Vector3::new(0.0, 0.0, 1.0)), Vector3::new(0.1, 0.0, 0.5));
    tree.insert("base_link", "/camera", at(0), camera, true).unwrap();
    tree.insert("map", "odom", at(0), along_x(10.0), false).unwrap();
    tree.insert("map", "odom", at(2000), along_x(10.0), false).unwrap();
    for step in 0..=20 {
        tree.insert("odom", "base_link", at(100 * step), along_x(0.1 * step as f64), false).unwrap();
    }
    tree
}

#[test]
fn transforms_are_chained_and_interpolated_at_the_stamp() {
    let tree = robot();
    let map_from_base = tree.lookup("map", "base_link", at(1234)).unwrap();
    assert!(close(map_from_base, along_x(11.234), 1e-12));
    let base_from_camera = tree.lookup("base_link", "camera", at(-99_999)).unwrap();
    let map_from_camera = tree.lookup("/map", "camera", at(1234)).unwrap();
    assert!(close(map_from_camera, map_from_base * base_from_camera, 1e-12));
    assert!(close(tree.lookup("camera", "map", at(1234)).unwrap(), map_from_camera.inverse(), 1e-12));
    assert!(close(tree.lookup("odom", "odom", at(7)).unwrap(), Se3::identity(), 0.5e-15));
    assert_eq!(tree.newest_common("map", "camera"), Ok(Some(at(2000))));
    assert_eq!(tree.newest_common("base_link", "camera"), Ok(None));
    assert_eq!(tree.parent("base_link"), Some("odom"));
}

#[test]
fn what_cannot_be_looked_up_says_why() {
    let mut tree = robot();
    let text =
        |tree: &TransformTree, target, source, stamp| tree.lookup(target, source, stamp).unwrap_err().to_string();
    assert_eq!(
        text(&tree, "map", "lidar", at(0)),
        "frame \"lidar\" is unknown; known are: base_link, camera, map, odom"
    );
    assert_eq!(
        text(&tree, "map", "camera", at(2001)),
        "transform from \"base_link\" to \"odom\" at 2.001000000: the newest known is of 2.000000000"
    );
    assert_eq!(
        text(&tree, "map", "camera", at(-1)),
        "transform from \"base_link\" to \"odom\" at -0.001000000: the oldest known is of 0.000000000"
    );
    tree.insert("world", "tower", at(0), along_x(1.0), true).unwrap();
    assert_eq!(
        text(&tree, "tower", "camera", at(0)),
        "no path from frame \"camera\" to \"tower\": their trees end at \"map\" and \"world\""
    );
    let error: vloc::Error = tree.lookup("map", "lidar", at(0)).unwrap_err().into();
    assert!(error.to_string().starts_with("transform tree: frame \"lidar\" is unknown"));
}

#[test]
fn edges_that_make_no_tree_are_refused() {
    let mut tree = robot();
    let mut text =
        |parent, child, transform| tree.insert(parent, child, at(0), transform, false).unwrap_err().to_string();
    let circle = "transform from \"map\" to \"camera\": expected a tree, found the circle map <- camera <- base_link <- \
                  odom <- map";
    assert_eq!(text("camera", "map", along_x(0.0)), circle);
    assert!(text("map", "map", along_x(0.0)).contains("expected a tree"));
    assert!(text("", "map", along_x(0.0)).contains("expected two frame names, found an empty one"));
    assert!(text("map", "x", along_x(f64::NAN)).contains("expected finite numbers"));
    assert!(matches!(tree.insert("/", "a", at(0), along_x(0.0), true), Err(TransformError::Refused { .. })));
}

#[test]
fn history_is_bounded_and_a_jump_back_clears_it() {
    let mut tree = TransformTree::new(Duration::from_secs(1));
    tree.insert("base_link", "camera", at(0), along_x(0.5), true).unwrap();
    for step in 0..=50 {
        assert_eq!(tree.insert("odom", "base_link", at(100 * step), along_x(step as f64), false), Ok(Insertion::Added));
    }
    assert!(tree.lookup("odom", "camera", at(4000)).is_ok());
    assert!(matches!(tree.lookup("odom", "camera", at(3999)), Err(TransformError::ExtrapolationIntoPast { .. })));
    // Late, but within the history: sorted in, and a known stamp is replaced.
    assert_eq!(tree.insert("odom", "base_link", at(4050), along_x(-7.0), false), Ok(Insertion::Added));
    assert!(close(tree.lookup("odom", "base_link", at(4050)).unwrap(), along_x(-7.0), 1e-12));
    assert_eq!(tree.insert("odom", "base_link", at(4050), along_x(40.5), false), Ok(Insertion::Added));
    assert!(close(tree.lookup("odom", "base_link", at(4025)).unwrap(), along_x(40.25), 1e-12));
    tree.insert("map", "odom", at(5000), along_x(1.0), false).unwrap();
    // The bag starts again.
    assert_eq!(tree.insert("odom", "base_link", at(0), along_x(3.0), false), Ok(Insertion::ClearedAndAdded));
    assert!(close(tree.lookup("odom", "camera", at(0)).unwrap(), along_x(3.5), 1e-12));
    assert!(matches!(tree.lookup("map", "camera", at(0)), Err(TransformError::UnknownFrame { .. })));
    tree.clear();
    assert!(tree.lookup("base_link", "camera", at(0)).is_ok());
    assert!(tree.lookup("odom", "camera", at(0)).is_err());
}

#[test]
fn a_new_parent_replaces_the_old_one() {
    let mut tree = robot();
    tree.insert("map", "base_link", at(100), along_x(5.0), false).unwrap();
    assert!(close(tree.lookup("map", "base_link", at(100)).unwrap(), along_x(5.0), 1e-12));
    assert!(matches!(tree.lookup("odom", "base_link", at(50)), Err(TransformError::ExtrapolationIntoPast { .. })));
}
