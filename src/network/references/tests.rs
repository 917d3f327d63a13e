#![allow(clippy::unwrap_used)]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::geometry::{PoseCovariance, So3};
use crate::network::scene_coordinates::MeasuredPose;

const UNITS: MapFromNormalized = MapFromNormalized { mean: [100.0, -20.0, 3.0], scale: 2.0 };

/// Random maps of 40 and 20 channels, cells 8 and 16 pixels apart.
fn maps() -> [(Tensor, (f64, f64)); 2] {
    tch::manual_seed(3);
    let map = |size: [i64; 3]| Tensor::randn(size, (Kind::Float, Device::Cpu));
    [(map([40, 15, 20]), (8.0, 0.0)), (map([20, 8, 10]), (16.0, 0.0))]
}

/// Two frames, of which the second shows nothing.
fn references() -> References {
    let maps = maps();
    let compressions = [0, 1].map(|level: usize| Compression::new(&maps[level].0.flatten(1, 2).tr()));
    let mut references = References::new(compressions, UNITS);
    let compressed = references.compress(&maps).unwrap();
    let seen = [[16.0, 24.0], [60.0, 50.0], [151.0, 20.0]];
    let seen = seen.map(|[x, y]| (Vector2::new(x, y), Vector3::new(0.1 * x, 0.2, 2.5)));
    let pose = |turn: f64| Se3::new(So3::exp(&Vector3::new(0.0, turn, 0.1)), Vector3::new(101.0, -19.0, 3.5));
    references.add(pose(0.3), &compressed, &seen);
    references.add(pose(1.3), &compressed, &[]);
    references
}

#[test]
fn pixels_beyond_the_coarse_map_are_left_out_and_descriptors_have_a_length_of_one() {
    let references = references();
    assert_eq!((references.points(), references.frames.len()), (2, 2), "151 lies beyond the last coarse centre, 144");
    let fine = &references.frames[0].descriptors[0];
    assert_eq!(fine.len(), 2 * 16);
    // The first pixel is the centre of a cell.
    let length = fine[..16].iter().map(|value| value * value).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[test]
fn a_file_says_what_was_in_memory_and_belongs_to_its_card() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(REFERENCES_FILE);
    let record = references().save(&path).unwrap();
    assert_eq!((record.frames, record.points, record.used), (2, 2, false));
    let loaded = References::load(&path, &record, UNITS).unwrap();
    for (one, other) in loaded.frames.iter().zip(references().frames) {
        assert!(one.map_from_camera.local(other.map_from_camera).norm() < 1e-6);
        assert!(one.points.iter().zip(&other.points).all(|(one, other)| (one - other).norm() < 1e-6));
        for level in [0, 1] {
            let apart =
                one.descriptors[level].iter().zip(&other.descriptors[level]).map(|(one, other)| (one - other).abs());
            assert!(one.descriptors[level].len() == other.descriptors[level].len() && apart.fold(0.0, f32::max) < 1e-3);
        }
    }
    let error = |record: ReferencesRecord| References::load(&path, &record, UNITS).unwrap_err().to_string();
    let other = error(ReferencesRecord { sha256: "0".into(), ..record.clone() });
    assert!(other.contains("expected SHA-256 0 as in model.yaml"), "{other}");
    let few = error(ReferencesRecord { frames: 3, ..record.clone() });
    assert!(few.contains("expected pose.translation of shape [3, 3], found [2, 3]"), "{few}");
    let less = error(ReferencesRecord { points: 1, ..record.clone() });
    assert!(less.contains("expected 1 points over all frames, as in model.yaml, found [2, 0]"), "{less}");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cut = error(record.clone());
    assert!(cut.contains("expected a complete safetensors file"), "{cut}");
    std::fs::remove_file(&path).unwrap();
    let none = error(record);
    assert!(none.contains("expected the 2 reference frames that poses are aligned to, found no such file"), "{none}");
}

#[test]
fn a_file_of_other_tensors_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(REFERENCES_FILE);
    let one = BTreeMap::from([("mean".to_owned(), Tensor::zeros([4], (Kind::Float, Device::Cpu)))]);
    let sha256 = write_tensors(&one, &path, Precision::Single).unwrap();
    let (calibration, motion_calibration) = (None, None);
    let record = ReferencesRecord { frames: 2, points: 5, used: true, sha256, calibration, motion_calibration };
    let foreign = References::load(&path, &record, UNITS).unwrap_err().to_string();
    assert!(foreign.contains("expected pose.translation of shape [2, 3], found none"), "{foreign}");
}

/// A wall z = 3 whose every spot looks like no other: what frames of it show.
struct Wall {
    camera: CameraModel,
    /// By spot, a tenth of a metre apart: random numbers, of both levels.
    looks: [Tensor; 2],
}

/// Spots of the wall along both axes, from -4 m.
const SPOTS: i64 = 80;

impl Wall {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut look = || {
            let values: Vec<f32> = (0..SPOTS * SPOTS * 16).map(|_| random.random_range(-1.0..1.0)).collect();
            Tensor::from_slice(&values).view([SPOTS, SPOTS, 16])
        };
        Self { camera: CameraModel::pinhole(192, 144, 157.5), looks: [look(), look()] }
    }

    fn hit(&self, map_from_camera: &Se3, pixel: &Vector2<f64>) -> Vector3<f64> {
        let ray = map_from_camera.rotation * self.camera.ray(pixel);
        map_from_camera.translation + ray * ((3.0 - map_from_camera.translation.z) / ray.z)
    }

    /// What cells of a frame show, the finer level first, cells 8 and 16 pixels apart.
    fn maps(&self, map_from_camera: &Se3) -> EncoderMaps {
        [(0, 8.0, [18, 24]), (1, 16.0, [9, 12])].map(|(level, stride, [rows, columns])| {
            let cell = |at: i64| {
                let pixel = Vector2::new((at % columns) as f64, (at / columns) as f64) * stride;
                let at = self.hit(map_from_camera, &pixel);
                let spot = |along: f64| (((along + 4.0) * 10.0).floor() as i64).clamp(0, SPOTS - 1);
                self.looks[level as usize].get(spot(at.x)).get(spot(at.y))
            };
            let cells: Vec<Tensor> = (0..rows * columns).map(cell).collect();
            (Tensor::stack(&cells, 1).view([16, rows, columns]), (stride, 0.0))
        })
    }

    /// References along the wall, and one that shows nothing.
    fn references(&self) -> References {
        let features = |level: usize| self.looks[level].view([-1, 16]);
        let mut references = References::new([0, 1].map(|level| Compression::new(&features(level))), UNITS);
        for at in 0..12 {
            let pose = beside(0.15 * f64::from(at) - 0.9, 0.02 * f64::from(at % 3));
            let maps = references.compress(&self.maps(&pose)).unwrap();
            let pixels: Vec<Vector2<f64>> = maps[0].cells().map(|(pixel, _)| pixel).collect();
            let camera_from_map = pose.inverse();
            let seen: Vec<_> = pixels.iter().map(|pixel| (*pixel, camera_from_map * self.hit(&pose, pixel))).collect();
            references.add(pose, &maps, &seen);
        }
        references.add(beside(0.0, 0.0), &references.compress(&self.maps(&beside(0.0, 0.0))).unwrap(), &[]);
        references
    }

    fn recognize(
        &self,
        references: &References,
        truth: &Se3,
        proposed: &Se3,
    ) -> Result<(MeasuredPose, AlignmentReport)> {
        let maps = references.compress(&self.maps(truth)).unwrap();
        references.recognize(proposed, &maps, &self.camera, None)
    }
}

fn beside(x: f64, turn: f64) -> Se3 {
    Se3::new(So3::exp(&Vector3::new(0.1 - turn, turn, 0.0)), Vector3::new(x, 0.1, 0.2 * x))
}

#[test]
fn a_frame_is_recognized_however_bad_the_proposal() {
    let wall = Wall::new(5);
    let references = wall.references();
    let truth = beside(0.21, 0.05);
    for proposed in [truth, beside(-0.9, 0.4), beside(40.0, 2.0)] {
        let (MeasuredPose { pose, evidence, seen }, report) = wall.recognize(&references, &truth, &proposed).unwrap();
        // A wall hardly tells a step aside from a turn; what is seen of it is known to half a cell.
        let off = |(pixel, _): &(Vector2<f64>, Vector3<f64>)| {
            let point = wall.hit(&truth, pixel);
            (wall.camera.project(&(pose.pose.inverse() * point)).unwrap() - pixel).norm()
        };
        let worst = seen.iter().map(off).fold(0.0, f64::max);
        assert!(worst < 4.0, "{worst} pixels, cells have 8: {}", truth.local(pose.pose));
        assert!(evidence.inliers > 100 && evidence.inliers <= evidence.asked, "{evidence:?}");
        assert!(evidence.focal.sigma.is_infinite() && report.agreeing >= 25, "{evidence:?} {report:?}");
        assert_eq!(seen.len(), evidence.inliers, "each cell once");
        let off = |(pixel, point): &(Vector2<f64>, Vector3<f64>)| (wall.camera.project(point).unwrap() - pixel).norm();
        assert!(seen.iter().all(|seen| off(seen) < 1e-9 && seen.1.z > 0.0), "points on the rays of their cells");
        let sigmas = PoseCovariance::new(&pose.raw_covariance).unwrap().sigmas();
        assert!(sigmas.0 > 0.0 && sigmas.0 < 0.2, "{sigmas:?}");
    }
}

#[test]
fn another_wall_is_not_recognized() {
    let (wall, other) = (Wall::new(5), Wall::new(6));
    let references = wall.references();
    let error = other.recognize(&references, &beside(0.2, 0.0), &beside(0.2, 0.0)).err().unwrap();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("cells compared with reference frames, "), "{error}");
    let everything: Vec<usize> = (0..references.frames.len()).collect();
    let none = references.without(&everything);
    assert_eq!((none.frames.len(), none.points()), (0, 0));
    let error = wall.recognize(&none, &beside(0.2, 0.0), &beside(0.2, 0.0)).err().unwrap();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
}

#[test]
fn what_is_left_out_is_not_compared() {
    let wall = Wall::new(5);
    let references = wall.references();
    let without = references.without(&[3, 5]);
    assert_eq!(without.frames.len(), references.frames.len() - 2);
    assert!(without.poses.iter().zip(&without.frames).all(|(pose, frame)| *pose == frame.map_from_camera));
    assert!(without.frames.iter().all(|frame| frame.map_from_camera != references.frames[5].map_from_camera));
}
