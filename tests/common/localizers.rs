//! The recorded answers of real localizers: how their files are read, how large their errors are on other sequences, and
//! the motion between frames, simulated from ground truth with 2 % noise.

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{Vector3, Vector6};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use vloc::geometry::{Matrix6, Se3, So3};

/// Poses of the camera in the map, by sequence and frame.
pub type Poses = BTreeMap<(String, u32), Se3>;

/// A file of poses: how its lines mean a pose.
pub fn read(path: &Path, meaning: impl Fn(&[f64]) -> Option<Se3>) -> Poses {
    let mut poses = Poses::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut words = line.split_whitespace();
        let Some((sequence, frame)) = words.next().and_then(|name| name.split_once('/')) else { continue };
        let frame: String = frame.chars().filter(char::is_ascii_digit).collect();
        let numbers: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
        if let Some(pose) = meaning(&numbers) {
            poses.insert((sequence.to_owned(), frame.parse().unwrap()), pose);
        }
    }
    poses
}

/// `qw qx qy qz tx ty tz`, world to camera.
pub fn world_to_camera(numbers: &[f64]) -> Option<Se3> {
    let [qw, qx, qy, qz, x, y, z] = *numbers.first_chunk()?;
    Some(Se3::new(So3::from_xyzw(qx, qy, qz, qw)?, Vector3::new(x, y, z)).inverse())
}

/// `x y z qw qx qy qz`: centre of the camera, rotation from world to camera.
pub fn centre_and_rotation(numbers: &[f64]) -> Option<Se3> {
    let [x, y, z, qw, qx, qy, qz] = *numbers.first_chunk()?;
    // PoseNet regresses quaternions of any length.
    let norm = (qw * qw + qx * qx + qy * qy + qz * qz).sqrt();
    let [qw, qx, qy, qz] = [qw / norm, qx / norm, qy / norm, qz / norm];
    Some(Se3::new(So3::from_xyzw(qx, qy, qz, qw)?.inverse(), Vector3::new(x, y, z)))
}

pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The variances of a localizer's errors in the camera's axes, from all sequences but one: the scatter of a t
/// distribution with four degrees of freedom, scaled so that nine of ten errors lie within the 90 % ellipsoid.
pub fn fitted_covariance(fixes: &Poses, truth: &Poses, without: &str) -> Matrix6 {
    let others = fixes.iter().filter(|((sequence, _), _)| sequence != without);
    let errors: Vec<Vector6<f64>> =
        others.filter_map(|(frame, fix)| truth.get(frame).map(|pose| fix.local(*pose))).collect();
    let squares =
        |inverse: &Matrix6| -> Vec<f64> { errors.iter().map(|error| error.dot(&(inverse * error))).collect() };
    let mut scatter = Matrix6::identity();
    for _ in 0..50 {
        let inverse = scatter.try_inverse().unwrap();
        let weighted =
            |error: &Vector6<f64>| error * error.transpose() * (10.0 / (4.0 + error.dot(&(inverse * error))));
        scatter = errors.iter().map(weighted).sum::<Matrix6>() / errors.len() as f64;
    }
    let variances = Matrix6::from_diagonal(&scatter.diagonal());
    variances * (quantile(&squares(&variances.try_inverse().unwrap()), 0.9) / 10.645)
}

pub fn diagonal(sigmas: &[f64; 6]) -> Matrix6 {
    Matrix6::from_diagonal(&Vector6::from_fn(|axis, _| sigmas[axis] * sigmas[axis]))
}

/// The motion with an error of 2 % of each of its parts, and its covariance.
pub fn measured(motion: Se3, random: &mut ChaCha8Rng) -> (Se3, Matrix6) {
    let (t, r) = (0.02 * motion.translation.norm() + 1e-4, 0.02 * motion.rotation.log().norm() + 1e-5);
    let sigmas = [t, t, t, r, r, r];
    let error = Vector6::from_fn(|axis, _| sigmas[axis] * random.sample::<f64, _>(StandardNormal));
    (motion.retract(&error), diagonal(&sigmas))
}
