//! Poses from points and pixels through the public API: exact where the points are, right among outliers, honest about
//! their covariance, and silent where there is nothing to say.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use nalgebra::{Vector2, Vector3};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vloc::Error;
use vloc::geometry::{Se3, So3};
use vloc::pnp::{Correspondence, NoPose, PnpConfig, PoseSolver};
use vloc::sensor::CameraModel;

#[path = "common/points.rs"]
mod points;

use points::{normal, scene};

fn solver() -> PoseSolver {
    PoseSolver::new(PnpConfig::default()).unwrap()
}

fn error(one: &Se3, other: &Se3) -> (f64, f64) {
    let between = one.inverse() * *other;
    (between.translation.norm(), between.rotation.angle())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn without_noise_the_pose_is_exact_whatever_share_of_points_is_wrong(
        seed in any::<u64>(), count in 60usize..800, outliers in 0.0..0.7f64,
    ) {
        let scene = scene(count, 0.0, outliers, seed);
        let found = solver().solve(&scene.camera, &scene.correspondences, seed).unwrap();
        let (metres, radians) = error(&found.map_from_camera, &scene.map_from_camera);
        // Outliers that happen to lie within the threshold pull a little.
        prop_assert!(metres < 5e-3 && radians < 2e-3, "{metres} m, {radians} rad");
        prop_assert!(found.inliers.len() as f64 >= (1.0 - outliers) * count as f64 - 1.0);
    }
}

#[test]
fn without_outliers_and_noise_nothing_is_lost() {
    let scene = scene(200, 0.0, 0.0, 4);
    let found = solver().solve(&scene.camera, &scene.correspondences, 1).unwrap();
    let (metres, radians) = error(&found.map_from_camera, &scene.map_from_camera);
    assert!(metres < 1e-9 && radians < 1e-9, "{metres} m, {radians} rad");
    assert_eq!(found.inliers.len(), 200);
    assert!(found.residual < 1e-6);
}

#[test]
fn the_covariance_is_that_of_the_errors() {
    let (mut sum, mut inside) = (0.0, 0);
    for seed in 0..200 {
        let scene = scene(400, 1.5, 0.3, seed);
        let found = solver().solve(&scene.camera, &scene.correspondences, seed).unwrap();
        let squared =
            found.covariance.squared_mahalanobis(&scene.map_from_camera.local(found.map_from_camera)).unwrap();
        sum += squared / 6.0;
        // The 90 % quantile of chi squared with six degrees of freedom.
        inside += usize::from(squared < 10.6446);
    }
    // Outliers within the threshold count as inliers with large residuals, which the kernel holds down.
    assert!((0.8..1.3).contains(&(sum / 200.0)), "NEES {}", sum / 200.0);
    assert!((165..=195).contains(&inside), "{inside} of 200 within the ellipsoid of 90 %");
}

/// Median errors of OpenCV 5.0's solvePnPRansac on the same problems (its iterative method, which was its best), as
/// `tests/peers/pnp_versus_opencv.py` prints them: metres, degrees.
const OPENCV: [(usize, f64, f64); 2] = [(200, 1.60e-3, 0.0351), (1000, 0.70e-3, 0.0162)];

#[test]
fn among_as_many_outliers_the_pose_is_as_good_as_that_of_opencv() {
    for (count, metres, degrees) in OPENCV {
        let errors = (0..200).map(|seed| {
            let scene = scene(count, 1.0, 0.5, seed);
            let found = solver().solve(&scene.camera, &scene.correspondences, seed).unwrap();
            error(&found.map_from_camera, &scene.map_from_camera)
        });
        let (mut lengths, mut angles): (Vec<f64>, Vec<f64>) = errors.unzip();
        lengths.sort_by(f64::total_cmp);
        angles.sort_by(f64::total_cmp);
        let (length, angle) = (lengths[100], angles[100].to_degrees());
        assert!(length <= metres && angle <= 1.02 * degrees, "{count} points: {length} m, {angle} deg");
    }
}

#[test]
fn equal_seeds_have_equal_answers_with_any_number_of_threads() {
    let scene = scene(1000, 1.0, 0.6, 7);
    let solve = || solver().solve(&scene.camera, &scene.correspondences, 3).unwrap();
    let pool = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert_eq!(pool(1).install(solve), pool(4).install(solve));
}

#[test]
fn an_expected_pose_helps_where_it_is_right_and_is_outvoted_where_it_is_wrong() {
    let scene = scene(2000, 1.0, 0.9, 11);
    let few = PoseSolver::new(PnpConfig { max_hypotheses: 1, ..PnpConfig::default() }).unwrap();
    let shift = Vector3::new(0.01, -0.02, 0.01);
    let near = scene.map_from_camera * Se3::new(So3::exp(&(0.2 * shift)), shift);
    let found = few.solve_near(&near, &scene.camera, &scene.correspondences, 5).unwrap();
    assert!(error(&found.map_from_camera, &scene.map_from_camera).0 < 0.03);
    let wrong = scene.map_from_camera * Se3::new(So3::exp(&Vector3::new(0.0, 2.0, 0.0)), Vector3::x());
    let found = solver().solve_near(&wrong, &scene.camera, &scene.correspondences, 5).unwrap();
    assert!(error(&found.map_from_camera, &scene.map_from_camera).0 < 0.03);
}

#[test]
fn an_expected_pose_that_is_right_needs_no_search_and_pulls_at_nothing() {
    for seed in 0..50 {
        let scene = scene(600, 1.0, 0.6, seed);
        let searched = solver().solve(&scene.camera, &scene.correspondences, seed).unwrap();
        assert!(!searched.expected);
        // As far as a hand-held camera goes between two images: 3 cm, 2 deg.
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut towards = |length: f64| Vector3::from_fn(|_, _| normal(&mut random)).normalize() * length;
        let moved = Se3::new(So3::exp(&towards(0.035)), towards(0.03));
        let near = scene.map_from_camera * moved;
        let found = solver().solve_near(&near, &scene.camera, &scene.correspondences, seed).unwrap();
        assert!(found.expected, "seed {seed}");
        let (metres, radians) = error(&found.map_from_camera, &searched.map_from_camera);
        assert!(metres < 1e-4 && radians < 1e-4, "seed {seed}: {metres} m, {radians} rad from the searched one");
    }
}

#[test]
fn an_expected_pose_that_few_points_agree_with_does_not_confirm_itself() {
    // A tenth of the points agrees with another place, as in a room with two equal corners: enough for a pose, not for certainty.
    let (seen, alike) = (scene(900, 1.0, 0.3, 21), scene(100, 1.0, 0.0, 22));
    let mut correspondences = seen.correspondences.clone();
    correspondences.extend(&alike.correspondences);
    let wrong = solver().solve_near(&alike.map_from_camera, &seen.camera, &correspondences, 3).unwrap();
    let right = error(&wrong.map_from_camera, &seen.map_from_camera);
    assert_eq!((wrong.expected, right.0 < 0.02), (false, true), "{right:?}");
    for nothing in [Se3::new(So3::identity(), Vector3::repeat(f64::NAN)), seen.map_from_camera * turned_around()] {
        let found = solver().solve_near(&nothing, &seen.camera, &correspondences, 3).unwrap();
        assert!(!found.expected && error(&found.map_from_camera, &seen.map_from_camera).0 < 0.02);
    }
}

fn turned_around() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(0.0, std::f64::consts::PI, 0.0)), Vector3::zeros())
}

#[test]
fn a_wrong_focal_length_is_noticed_and_a_right_one_is_not() {
    for (claimed, wrong) in [(525.0, false), (480.0, true), (570.0, true)] {
        let scene = scene(1500, 1.0, 0.3, 13);
        let camera = CameraModel { fx: claimed, fy: claimed, ..scene.camera };
        let found = solver().solve(&camera, &scene.correspondences, 2).unwrap();
        assert_eq!(found.focal.contradicts(0.02), wrong, "claimed {claimed}: {:?}", found.focal);
        assert!((found.focal.scale * claimed - 525.0).abs() < 8.0, "claimed {claimed}: {:?}", found.focal);
    }
}

#[test]
fn a_wall_that_the_camera_faces_does_not_tell_the_focal_length() {
    let camera = CameraModel::pinhole(640, 480, 525.0);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let wall: Vec<_> = (0..500)
        .map(|_| {
            let pixel = Vector2::new(random.random_range(0.0..639.0), random.random_range(0.0..479.0));
            let noise = Vector2::from_fn(|_, _| normal(&mut random));
            Correspondence { pixel: pixel + noise, point: camera.ray(&pixel) * 2.0 }
        })
        .collect();
    let found = solver().solve(&camera, &wall, 1).unwrap();
    assert!(!found.focal.contradicts(0.02), "{:?}", found.focal);
}

#[test]
fn there_is_no_pose_where_nothing_agrees() {
    let scene = scene(1000, 0.0, 1.0, 17);
    let none = solver().solve(&scene.camera, &scene.correspondences, 1).unwrap_err();
    assert!(matches!(none, NoPose::NoConsensus { needed: 50, .. }), "{none}");
    assert!(none.to_string().contains("50 are needed"), "{none}");
}

#[test]
fn there_is_no_pose_of_too_few_or_unusable_points() {
    let mut scene = scene(40, 0.0, 0.0, 19);
    let none = solver().solve(&scene.camera, &scene.correspondences[..11], 1).unwrap_err();
    assert_eq!(none, NoPose::TooFew { found: 11, needed: 12 });
    for correspondence in &mut scene.correspondences[..30] {
        correspondence.point.y = f64::NAN;
    }
    let none = solver().solve(&scene.camera, &scene.correspondences, 1).unwrap_err();
    assert_eq!(none, NoPose::TooFew { found: 10, needed: 12 });
    assert_eq!(solver().solve(&scene.camera, &[], 1).unwrap_err(), NoPose::TooFew { found: 0, needed: 12 });
}

#[test]
fn points_on_a_line_or_in_one_place_leave_the_pose_open() {
    let camera = CameraModel::pinhole(640, 480, 525.0);
    let see = |point: Vector3<f64>| Correspondence { pixel: camera.project(&point).unwrap(), point };
    let line: Vec<_> = (0..100).map(|at| see(Vector3::new(0.02 * f64::from(at) - 1.0, 0.3, 3.0))).collect();
    let corner: Vec<_> = (0..100)
        .map(|at| see(Vector3::new(1e-4 * f64::from(at % 10), 1e-4 * f64::from(at / 10), 2.0 + 1e-3 * f64::from(at))))
        .collect();
    for points in [line, corner, vec![see(Vector3::new(0.1, 0.2, 2.0)); 100]] {
        assert!(solver().solve(&camera, &points, 1).is_err());
    }
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let base = PnpConfig::default();
    for (config, key) in [
        (PnpConfig { inlier_threshold: 0.0, ..base }, "inlier_threshold"),
        (PnpConfig { inlier_threshold: f64::NAN, ..base }, "inlier_threshold"),
        (PnpConfig { max_hypotheses: 0, ..base }, "max_hypotheses"),
        (PnpConfig { min_inliers: 3, ..base }, "min_inliers"),
        (PnpConfig { min_inlier_share: 1.0, ..base }, "min_inlier_share"),
        (PnpConfig { min_spread: -0.1, ..base }, "min_spread"),
    ] {
        let error = PoseSolver::new(config).unwrap_err();
        assert!(matches!(error, Error::Config { .. }) && error.to_string().contains(key), "{error}");
    }
}
