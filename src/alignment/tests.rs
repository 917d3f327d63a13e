#![allow(clippy::unwrap_used)]

use nalgebra::Vector2;

use super::*;
use crate::geometry::{So3, Vector6};

/// Features of places on a wall, smooth: longer waves on the coarse level.
fn feature(place: &Vector3<f64>, wave: f64) -> [f32; 4] {
    let (x, y) = (std::f64::consts::TAU * place.x / wave, std::f64::consts::TAU * place.y / wave);
    [x.sin(), x.cos(), (y + 0.3 * x).sin(), (y + 0.3 * x).cos()].map(|value| (0.7 * value) as f32)
}

/// A wall z = 2 + x / 4, points on it, and what an image shows of it.
struct Wall {
    camera: CameraModel,
    points: Vec<Vector3<f64>>,
    /// Features of the image of the level with this wave, and of the points.
    levels: Vec<(FeatureMap, Vec<f32>)>,
}

impl Wall {
    fn new(truth: &Se3) -> Self {
        let camera = CameraModel::pinhole(320, 240, 262.5);
        let on_wall = |x: f64, y: f64| Vector3::new(x, y, 2.0 + 0.25 * x);
        let points: Vec<_> =
            (0..400).map(|at| on_wall(0.1 * f64::from(at % 20) - 0.95, 0.08 * f64::from(at / 20) - 0.76)).collect();
        let hit = |pixel: Vector2<f64>| {
            let (origin, ray) = (truth.translation, truth.rotation * camera.ray(&pixel));
            let distance = (2.0 + 0.25 * origin.x - origin.z) / (ray.z - 0.25 * ray.x);
            origin + ray * distance
        };
        let level = |(stride, wave): (f64, f64)| {
            let size = [240, 320].map(|pixels| (f64::from(pixels) / stride) as usize);
            let pixel = |cell: usize| Vector2::new((cell % size[1]) as f64, (cell / size[1]) as f64) * stride;
            let values = (0..size[0] * size[1]).flat_map(|cell| feature(&hit(pixel(cell)), wave));
            let descriptors = points.iter().flat_map(|point| feature(point, wave)).collect();
            (FeatureMap::new(values.collect(), size, (stride, 0.0)).unwrap(), descriptors)
        };
        let levels = [(16.0, 1.6), (8.0, 0.5)].map(level).into();
        Self { camera, points, levels }
    }

    fn align(&self, start: Se3) -> (Se3, AlignmentReport) {
        let levels: Vec<Level> = self.levels.iter().map(|(map, descriptors)| Level { map, descriptors }).collect();
        align(&self.camera, start, &self.points, &levels)
    }
}

fn truth() -> Se3 {
    Se3::new(So3::exp(&Vector3::new(0.05, -0.08, 0.1)), Vector3::new(0.1, -0.05, 0.2))
}

#[test]
fn a_known_offset_is_found() {
    let wall = Wall::new(&truth());
    for offset in
        [[0.08, -0.05, 0.1, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.05, -0.04, 0.06], [0.05, 0.06, -0.08, 0.03, 0.02, -0.05]]
    {
        let start = truth().retract(&Vector6::from(offset));
        let (pose, report) = wall.align(start);
        assert_eq!(report.outcome, Outcome::Converged, "{report:?}");
        let error = truth().local(pose);
        assert!(error.fixed_rows::<3>(0).norm() < 0.005 && error.fixed_rows::<3>(3).norm() < 0.003, "{error}");
        assert!(report.cost_ratio() < 0.25 && report.moved > 0.2 && report.points > 200, "{report:?}");
        assert_eq!(wall.align(start), (pose, report), "equal inputs, equal answers");
    }
}

#[test]
fn wrong_descriptors_among_them_do_not_bend_the_pose() {
    let mut wall = Wall::new(&truth());
    for (_, descriptors) in &mut wall.levels {
        for (at, descriptor) in descriptors.chunks_exact_mut(4).enumerate().filter(|(at, _)| at % 5 < 2) {
            descriptor.copy_from_slice(&[[0.9, 0.1, -0.9, 0.1], [-0.1, 0.9, 0.1, -0.9]][at % 2]);
        }
    }
    let (pose, report) = wall.align(truth().retract(&Vector6::new(0.05, 0.03, -0.05, 0.02, 0.01, -0.03)));
    assert!(report.is_used() && truth().local(pose).norm() < 0.02, "{report:?} {}", truth().local(pose));
}

#[test]
fn a_pose_that_fits_already_stays() {
    let wall = Wall::new(&truth());
    let (best, _) = wall.align(truth());
    let (pose, report) = wall.align(best);
    assert!(report.is_used() && best.local(pose).norm() < 1e-3, "{report:?}");
}

#[test]
fn without_points_in_view_the_start_stays() {
    let wall = Wall::new(&truth());
    let away = truth() * Se3::new(So3::exp(&Vector3::new(0.0, 3.0, 0.0)), Vector3::zeros());
    let nowhere = Se3::new(So3::identity(), Vector3::repeat(f64::NAN));
    for start in [away, nowhere] {
        let (pose, report) = wall.align(start);
        assert_eq!(format!("{pose:?}"), format!("{start:?}"));
        assert_eq!((report.outcome, report.points, report.iterations), (Outcome::TooFewPoints, 0, 0));
    }
    let unknown = align(&wall.camera, truth(), &[], &[]);
    assert_eq!(unknown, (truth(), AlignmentReport::default()));
    let lost = Wall { points: vec![Vector3::repeat(f64::NAN); 400], ..Wall::new(&truth()) };
    assert_eq!(lost.align(truth()).1.outcome, Outcome::TooFewPoints);
}

#[test]
fn a_pose_that_runs_away_is_not_believed() {
    // The wall looks alike everywhere but in one direction, so that the nearest fit may be far off.
    let wall = Wall::new(&truth());
    let mut refused = 0;
    for step in 1..20 {
        let start = truth().retract(&Vector6::new(0.06 * f64::from(step), 0.0, 0.0, 0.0, 0.03 * f64::from(step), 0.0));
        let (pose, report) = wall.align(start);
        if !report.is_used() {
            assert_eq!(pose, start, "{report:?}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}
