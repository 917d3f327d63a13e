#![allow(clippy::unwrap_used)]

use super::*;
use crate::geometry::So3;

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
    let record = ReferencesRecord { frames: 2, points: 5, used: true, sha256 };
    let foreign = References::load(&path, &record, UNITS).unwrap_err().to_string();
    assert!(foreign.contains("expected pose.translation of shape [2, 3], found none"), "{foreign}");
}
