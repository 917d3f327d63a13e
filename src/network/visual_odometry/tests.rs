#![allow(clippy::unwrap_used)]

use super::*;
use crate::geometry::{So3, Vector6};

/// Features of a wall at z = 3 of length 1: waves of several directions, longer on the coarse level, others with another seed.
fn feature(place: &Vector3<f64>, wave: f64, seed: f64) -> [f32; 16] {
    std::array::from_fn(|channel| {
        let number = (channel / 2) as f64;
        let (along, across) = ((1.7 * number + seed).sin(), (1.7 * number + seed).cos());
        let length = wave * (1.0 + 0.13 * number);
        let phase = std::f64::consts::TAU * (along * place.x + across * place.y) / length + 2.1 * seed * number;
        0.35 * if channel % 2 == 0 { phase.sin() } else { phase.cos() } as f32
    })
}

fn camera() -> CameraModel {
    CameraModel::pinhole(320, 240, 262.5)
}

/// A camera in front of a wall: where its pixels look.
struct View {
    map_from_camera: Se3,
    seed: f64,
}

impl View {
    fn hit(&self, pixel: &Vector2<f64>) -> Vector3<f64> {
        let (origin, ray) = (self.map_from_camera.translation, self.map_from_camera.rotation * camera().ray(pixel));
        origin + ray * ((3.0 - origin.z) / ray.z)
    }

    fn maps(&self) -> [FeatureMap; 2] {
        [(8.0, 0.5), (16.0, 1.5)].map(|(stride, wave)| {
            let [rows, columns] = [240, 320].map(|pixels| (f64::from(pixels) / stride) as usize);
            let pixel = |cell: usize| Vector2::new((cell % columns) as f64, (cell / columns) as f64) * stride;
            let values = (0..rows * columns).flat_map(|cell| feature(&self.hit(&pixel(cell)), wave, self.seed));
            FeatureMap::new(values.collect(), [rows, columns], (stride, 0.0)).unwrap()
        })
    }

    fn seen(&self) -> Vec<Seen> {
        let camera_from_map = self.map_from_camera.inverse();
        let pixels = (0..300).map(|at| Vector2::new(8.0 + 15.0 * f64::from(at % 20), 8.0 + 15.0 * f64::from(at / 20)));
        pixels.map(|pixel| (pixel, camera_from_map * self.hit(&pixel))).collect()
    }
}

/// A way along the wall, 30 frames a second.
fn view(index: usize) -> View {
    let start = Se3::new(So3::exp(&Vector3::new(0.05, -0.1, 0.1)), Vector3::new(0.2, -0.1, 0.3));
    let step = Vector6::new(0.012, -0.004, 0.006, 0.002, 0.004, -0.003);
    View { map_from_camera: start * Se3::exp(&(step * index as f64)), seed: 0.0 }
}

fn at(index: usize) -> Stamp {
    Stamp::from_nanos(1_000_000_000 + 33_333_333 * index as i64)
}

fn answer(odometry: &mut VisualOdometry, index: usize) {
    let view = view(index);
    odometry.answered(at(index), &view.maps(), &camera(), (view.map_from_camera, &view.seen()));
}

/// How far off the motion to a frame is, metres and radians.
fn error(motion: &RelativePose) -> [f64; 2] {
    let pose = |stamp: Stamp| view((0..100).find(|index| at(*index) == stamp).unwrap()).map_from_camera;
    let truth = pose(motion.previous_stamp).inverse() * pose(motion.stamp);
    let error = motion.previous_from_current.local(truth);
    [error.fixed_rows::<3>(0).norm(), error.fixed_rows::<3>(3).norm()]
}

#[test]
fn frames_without_a_pose_are_crossed_by_motions_from_keyframes_that_are_renewed() {
    let mut odometry = VisualOdometry::default();
    (0..3).for_each(|index| answer(&mut odometry, index));
    assert!(odometry.motion().is_none(), "a frame with a pose tells no motion");
    let mut keyframes = Vec::new();
    for index in 3..40 {
        odometry.unanswered(at(index), &view(index).maps(), &camera());
        let motion = odometry.motion().unwrap();
        assert!(motion.stamp == at(index) && motion.covariance.cholesky().is_some(), "{motion:?}");
        let [metres, radians] = error(motion);
        assert!(metres < 0.01 && radians < 0.004, "{index}: {metres} m {radians} rad");
        keyframes.push(motion.previous_stamp);
    }
    keyframes.dedup();
    assert!(keyframes[0] == at(2) && keyframes.len() > 2, "{keyframes:?}");
    let oldest = keyframes.windows(2).map(|pair| pair[1].seconds_since(pair[0])).fold(0.0, f64::max);
    assert!(oldest < OLD + 0.04, "{oldest} s");
    answer(&mut odometry, 40);
    odometry.unanswered(at(41), &view(41).maps(), &camera());
    assert_eq!(odometry.motion().unwrap().previous_stamp, at(40), "the next pose is the next keyframe");
}

#[test]
fn what_shows_nothing_of_the_keyframe_tells_no_motion_until_the_next_pose() {
    let foreign = View { seed: 1.3, ..view(3) };
    let far = View {
        map_from_camera: view(3).map_from_camera * Se3::exp(&Vector6::new(4.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        seed: 0.0,
    };
    for strange in [foreign, far] {
        let mut odometry = VisualOdometry::default();
        odometry.unanswered(at(1), &view(1).maps(), &camera());
        assert!(odometry.motion().is_none(), "there is no keyframe yet");
        answer(&mut odometry, 2);
        odometry.unanswered(at(3), &strange.maps(), &camera());
        assert!(odometry.motion().is_none(), "{:?}", odometry.motion());
        odometry.unanswered(at(4), &view(4).maps(), &camera());
        assert!(odometry.motion().is_none(), "nobody knows what happened in between");
        answer(&mut odometry, 5);
        odometry.unanswered(at(6), &view(6).maps(), &camera());
        assert!(odometry.motion().is_some());
    }
}

#[test]
fn frames_far_apart_in_time_or_out_of_order_tell_no_motion() {
    for (before, index) in [(3, 3), (3, 2), (3, 34)] {
        let mut odometry = VisualOdometry::default();
        answer(&mut odometry, before);
        odometry.unanswered(at(index), &view(before).maps(), &camera());
        assert!(odometry.motion().is_none(), "{before} {index}");
    }
    let mut odometry = VisualOdometry::default();
    answer(&mut odometry, 3);
    odometry.reset();
    odometry.unanswered(at(4), &view(4).maps(), &camera());
    assert!(odometry.motion().is_none(), "a reset forgets");
}

#[test]
fn a_rehearsal_tells_motions_of_frames_with_a_pose_until_the_keyframe_is_old() {
    let mut odometry = VisualOdometry::default();
    odometry.rehearse();
    let mut told = |index: usize| {
        answer(&mut odometry, index);
        odometry.motion().map(|motion| (motion.previous_stamp, error(motion)))
    };
    assert_eq!(told(0), None);
    for index in 1..=15 {
        let (keyframe, [metres, radians]) = told(index).unwrap();
        assert!(keyframe == at(0) && metres < 0.01 && radians < 0.004, "{index}: {keyframe} {metres} m {radians} rad");
    }
    assert_eq!(told(16), None, "a new keyframe");
    assert_eq!(told(17).unwrap().0, at(16));
}
