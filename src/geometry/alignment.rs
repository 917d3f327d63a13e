//! The similarity that brings one set of points onto another with the least squared error.
//!
//! S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE PAMI 13(4),
//! 1991 (eq. 40 to 42); the rotation as in B. K. P. Horn, "Closed-form solution of absolute orientation using unit
//! quaternions", JOSA A 4(4), 1987 (section 4): it is never a reflection. Points that leave it open are an error.

use nalgebra::{DMatrix, Matrix3, Matrix4, Quaternion, UnitQuaternion, Vector3};

use super::{Se3, So3};
use crate::{Error, Result};

/// Ratio of the second to the first singular value below which points count as lying on a line.
const COLLINEAR: f64 = 1e-12;

/// A similarity `target_from_source`: `p_target = scale · rotation · p_source + translation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Length of a source metre in the target.
    pub scale: f64,
    /// Rotation from source to target.
    pub rotation: So3,
    /// Origin of the source in the target, metres.
    pub translation: Vector3<f64>,
}

impl Similarity {
    /// The point in the target.
    pub fn point(&self, source: &Vector3<f64>) -> Vector3<f64> {
        self.scale * (self.rotation * *source) + self.translation
    }

    /// The pose in the target: its position is mapped as a point, its rotation is turned.
    pub fn pose(&self, source_from_body: Se3) -> Se3 {
        Se3::new(self.rotation * source_from_body.rotation, self.point(&source_from_body.translation))
    }
}

/// The similarity that minimizes `Σ |target_i - (s R source_i + t)|²`; `scale` is 1 unless `with_scale`.
///
/// # Errors
/// When the numbers of points differ, there are fewer than three, one is not finite, or they lie on a line (or in
/// one point), which leaves the rotation open.
pub fn umeyama(source: &[Vector3<f64>], target: &[Vector3<f64>], with_scale: bool) -> Result<Similarity> {
    check(source, target)?;
    let count = source.len() as f64;
    let source_mean = source.iter().sum::<Vector3<f64>>() / count;
    let target_mean = target.iter().sum::<Vector3<f64>>() / count;
    let mut covariance = Matrix3::zeros();
    let mut source_variance = 0.0;
    for (from, to) in source.iter().zip(target) {
        covariance += (to - target_mean) * (from - source_mean).transpose() / count;
        source_variance += (from - source_mean).norm_squared() / count;
    }
    // The general algorithm on purpose: nalgebra's special one for 3x3 squares the matrix and half the digits go.
    let values = DMatrix::from_column_slice(3, 3, covariance.as_slice()).singular_values();
    if values[1] <= COLLINEAR * values[0] {
        return Err(refused("points that span at least a plane", "points on one line or in one point"));
    }
    let (rotation, correlation) = best_rotation(&covariance);
    let scale = if with_scale { correlation / source_variance } else { 1.0 };
    Ok(Similarity { scale, rotation, translation: target_mean - scale * (rotation * source_mean) })
}

/// The rotation R with the largest trace of Rᵀ C, C = Σ to fromᵀ, and that trace: the eigenvector of the largest eigenvalue of
/// Horn's matrix as a quaternion. For points nearly in a plane it keeps the digits that a singular value decomposition
/// of C loses with its smallest value.
fn best_rotation(c: &Matrix3<f64>) -> (So3, f64) {
    let off = |i: usize, j: usize| c[(i, j)] + c[(j, i)];
    let [x, y, z] = [0, 1, 2].map(|axis| c[(axis, axis)]);
    let [turn_x, turn_y, turn_z] = [c[(2, 1)] - c[(1, 2)], c[(0, 2)] - c[(2, 0)], c[(1, 0)] - c[(0, 1)]];
    #[rustfmt::skip]
    let horn = Matrix4::new(
        x + y + z, turn_x,    turn_y,     turn_z,
        turn_x,    x - y - z, off(0, 1),  off(0, 2),
        turn_y,    off(0, 1), y - x - z,  off(1, 2),
        turn_z,    off(0, 2), off(1, 2),  z - x - y,
    );
    let eigen = horn.symmetric_eigen();
    let (largest, correlation) = eigen.eigenvalues.argmax();
    let [w, x, y, z] = eigen.eigenvectors.column(largest).into_owned().into();
    (So3::from_quaternion(UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z))), correlation)
}

fn check(source: &[Vector3<f64>], target: &[Vector3<f64>]) -> Result<()> {
    if source.len() != target.len() {
        let found = format!("{} source and {} target points", source.len(), target.len());
        return Err(refused("as many source as target points", &found));
    }
    if source.len() < 3 {
        return Err(refused("at least 3 pairs of points", &source.len().to_string()));
    }
    if let Some(point) = source.iter().chain(target).find(|point| !point.iter().all(|value| value.is_finite())) {
        return Err(refused("finite points", &format!("{:?}", point.as_slice())));
    }
    Ok(())
}

fn refused(expected: &str, found: &str) -> Error {
    Error::message("alignment of two point sets", expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degenerate_points_are_refused() {
        let line: Vec<_> = (0..5).map(|i| Vector3::new(0.3, -0.1, 2.0) * f64::from(i)).collect();
        let text =
            |source: &[Vector3<f64>], target: &[Vector3<f64>]| umeyama(source, target, true).unwrap_err().to_string();
        let what = "alignment of two point sets: expected";
        assert_eq!(
            text(&line, &line),
            format!("{what} points that span at least a plane, found points on one line or in one point")
        );
        assert!(text(&[line[1]; 4], &[line[2]; 4]).contains("in one point"));
        assert_eq!(text(&line[..2], &line[..2]), format!("{what} at least 3 pairs of points, found 2"));
        assert!(text(&line[..3], &line[..4]).contains("found 3 source and 4 target points"));
        let nan = [Vector3::repeat(f64::NAN); 3];
        assert!(text(&nan, &nan).contains("expected finite points, found [NaN, NaN, NaN]"));
    }

    #[test]
    fn a_mirrored_set_gets_a_rotation() {
        let source = [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.5, 0.5, 0.1]].map(Vector3::from);
        let mirrored = source.map(|point| Vector3::new(-point.x, point.y, point.z));
        let found = umeyama(&source, &mirrored, false).unwrap();
        assert!((found.rotation.matrix().determinant() - 1.0).abs() < 1e-12);
    }
}
