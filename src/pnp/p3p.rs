//! The pose of a camera from three points: up to four answers.
//!
//! M. Persson and K. Nordberg, "Lambda Twist: An Accurate Fast Robust Perspective Three Point (P3P) Solver", ECCV 2018.
//! The depths λ of the points along their rays fulfil three quadrics, `λᵀ M_ij λ = |x_i - x_j|²` (eq. 5). Two combinations
//! of them vanish (eq. 9 and 10), and so does one of these that is a pair of planes (section 3.2). Where a plane meets a
//! cone there are at most two rays of λ, which the lengths scale. Unlike the paper no plane is solved for λ₁: a basis of it
//! takes its place, so that no direction of it is special.

use nalgebra::{Matrix3, Vector3};

/// Newton steps to the root of the cubic at most; a handful is usual.
const CUBIC_STEPS: usize = 50;
/// Gauss-Newton steps that polish the depths.
const DEPTH_STEPS: usize = 3;
/// Misfit of the squared lengths, of the largest of them, above which depths are no answer.
const MISFIT: f64 = 1e-7;

/// A rigid transform as the search for a pose needs it: `p_camera = rotation · p_map + translation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CameraFromMap {
    pub rotation: Matrix3<f64>,
    pub translation: Vector3<f64>,
}

impl CameraFromMap {
    /// A point of the map in the camera.
    pub fn transform(&self, point: &Vector3<f64>) -> Vector3<f64> {
        self.rotation * point + self.translation
    }
}

/// The poses from which three points (map, metres) are seen along three rays (camera, of length one), all in front of it.
///
/// None for points on a line, for rays that are one, and where no camera sees them so.
pub(super) fn p3p(rays: &[Vector3<f64>; 3], points: &[Vector3<f64>; 3]) -> Vec<CameraFromMap> {
    let [y1, y2, y3] = rays;
    let [x1, x2, x3] = points;
    let cosines = [y1.dot(y2), y1.dot(y3), y2.dot(y3)];
    let lengths = [(x1 - x2).norm_squared(), (x1 - x3).norm_squared(), (x2 - x3).norm_squared()];
    let plane = (x1 - x2).cross(&(x2 - x3)).norm_squared();
    if !plane.is_finite() || plane <= 1e-20 * lengths[0] * lengths[2] {
        return Vec::new();
    }
    let mut poses = Vec::with_capacity(4);
    for mut depths in depths(&cosines, &lengths) {
        if polish(&mut depths, &cosines, &lengths) && depths.min() > 0.0 {
            poses.extend(pose(&depths, rays, points));
        }
    }
    poses
}

/// The matrix of `λ_i² + λ_j² - 2 b_ij λ_i λ_j`.
fn quadric(i: usize, j: usize, cosine: f64) -> Matrix3<f64> {
    let mut matrix = Matrix3::zeros();
    (matrix[(i, i)], matrix[(j, j)]) = (1.0, 1.0);
    (matrix[(i, j)], matrix[(j, i)]) = (-cosine, -cosine);
    matrix
}

/// Depths up to the polish, at most four times.
fn depths([b12, b13, b23]: &[f64; 3], [a12, a13, a23]: &[f64; 3]) -> Vec<Vector3<f64>> {
    let (m12, m13, m23) = (quadric(0, 1, *b12), quadric(0, 2, *b13), quadric(1, 2, *b23));
    let scale = a12.max(*a13).max(*a23);
    let (a12, a13, a23) = (a12 / scale, a13 / scale, a23 / scale);
    let (d1, d2) = (m12 * a23 - m23 * a12, m13 * a23 - m23 * a13);
    let Some((pair, cone)) = degenerate(&d1, &d2) else { return Vec::new() };
    let mut found = Vec::with_capacity(4);
    for normal in planes(&pair).into_iter().flatten() {
        for ray in cut(&normal, &cone) {
            // Of the three lengths the longest leaves the scale best determined.
            let (matrix, length) = [(m12, a12), (m13, a13), (m23, a23)]
                .into_iter()
                .max_by(|one, other| one.1.total_cmp(&other.1))
                .unwrap_or((m12, a12));
            let squared = length / ray.dot(&(matrix * ray));
            if squared.is_finite() && squared > 0.0 {
                found.push(ray * (squared * scale).sqrt() * ray.sum().signum());
            }
        }
    }
    found
}

/// The combination of two quadrics that is a pair of planes, and one of the two that it is not.
fn degenerate(d1: &Matrix3<f64>, d2: &Matrix3<f64>) -> Option<(Matrix3<f64>, Matrix3<f64>)> {
    // det(D1 + γ D2), powers of γ rising.
    let (c0, c3) = (d1.determinant(), d2.determinant());
    let (c1, c2) = ((adjugate(d1) * d2).trace(), (adjugate(d2) * d1).trace());
    let largest = c0.abs().max(c1.abs()).max(c2.abs());
    if c3.abs() <= 1e-14 * largest {
        return Some((*d2, *d1));
    }
    let root = real_root(c2 / c3, c1 / c3, c0 / c3);
    root.is_finite().then(|| (d1 + d2 * root, *d2))
}

fn adjugate(m: &Matrix3<f64>) -> Matrix3<f64> {
    // Of a symmetric matrix the cofactors are symmetric too.
    let (r0, r1, r2) = (m.column(0).into_owned(), m.column(1).into_owned(), m.column(2).into_owned());
    Matrix3::from_columns(&[r1.cross(&r2), r2.cross(&r0), r0.cross(&r1)])
}

/// A real root of `x³ + b x² + c x + d`, the one that lies alone where there are three.
fn real_root(b: f64, c: f64, d: f64) -> f64 {
    let value = |x: f64| ((x + b) * x + c) * x + d;
    let slope = |x: f64| (3.0 * x + 2.0 * b) * x + c;
    let (middle, discriminant) = (-b / 3.0, b * b - 3.0 * c);
    // Newton's steps from beyond the outer turning point fall onto the root behind it without passing it.
    let mut x = if discriminant <= 0.0 {
        if slope(middle) > 0.0 { middle - value(middle) / slope(middle) } else { middle - value(middle).cbrt() }
    } else {
        let reach = 2.0 * discriminant.sqrt() / 3.0;
        if value(middle) > 0.0 { middle - reach } else { middle + reach }
    };
    for _ in 0..CUBIC_STEPS {
        let step = value(x) / slope(x);
        if !step.is_finite() || step.abs() <= f64::EPSILON * x.abs() {
            break;
        }
        x -= step;
    }
    x
}

/// The normals of the planes that a symmetric matrix of rank two is the product of.
fn planes(pair: &Matrix3<f64>) -> [Option<Vector3<f64>>; 2] {
    let minor = |i: usize, j: usize| pair[(i, i)] * pair[(j, j)] - pair[(i, j)] * pair[(i, j)];
    let (half, minors) = (0.5 * pair.trace(), minor(0, 1) + minor(0, 2) + minor(1, 2));
    // One eigenvalue is zero, the others are the roots of σ² - tr σ + minors; of one sign, and there is no plane.
    if minors >= 0.0 {
        return [None, None];
    }
    let root = (half * half - minors).sqrt();
    let (above, below) = (half + root, half - root);
    let (Some(v1), Some(v2)) = (eigenvector(pair, above), eigenvector(pair, below)) else { return [None, None] };
    let share = (-below / above).sqrt();
    [Some(v1 - v2 * share), Some(v1 + v2 * share)]
}

fn eigenvector(matrix: &Matrix3<f64>, value: f64) -> Option<Vector3<f64>> {
    let shifted = matrix - Matrix3::identity() * value;
    let columns = [shifted.column(0).into_owned(), shifted.column(1).into_owned(), shifted.column(2).into_owned()];
    let crosses = [columns[0].cross(&columns[1]), columns[1].cross(&columns[2]), columns[2].cross(&columns[0])];
    let longest = crosses.into_iter().max_by(|one, other| one.norm_squared().total_cmp(&other.norm_squared()))?;
    longest.try_normalize(f64::MIN_POSITIVE)
}

/// The directions in a plane through the origin along which a quadratic form vanishes.
fn cut(normal: &Vector3<f64>, cone: &Matrix3<f64>) -> Vec<Vector3<f64>> {
    let away = Vector3::ith(normal.iamin(), 1.0);
    let (p, q) = (normal.cross(&away), normal.cross(&normal.cross(&away)));
    let (Some(p), Some(q)) = (p.try_normalize(f64::MIN_POSITIVE), q.try_normalize(f64::MIN_POSITIVE)) else {
        return Vec::new();
    };
    let (a, half_b, c) = (p.dot(&(cone * p)), p.dot(&(cone * q)), q.dot(&(cone * q)));
    // Along α p + β q: a α² + 2 half_b α β + c β² = 0. A double root that rounding pushed below zero counts.
    let discriminant = half_b * half_b - a * c;
    if discriminant < -1e-12 * (half_b * half_b + (a * c).abs()) {
        return Vec::new();
    }
    let root = discriminant.max(0.0).sqrt();
    let large = -(half_b + root.copysign(half_b));
    // Both roots without the difference of two near numbers: (large : a) and (c : large).
    [(large, a), (c, large)]
        .into_iter()
        .map(|(alpha, beta)| p * alpha + q * beta)
        .filter(|ray| ray.norm() > 0.0)
        .collect()
}

/// Gauss-Newton on the three squared lengths (section 3.5); whether they fit.
fn polish(depths: &mut Vector3<f64>, [b12, b13, b23]: &[f64; 3], lengths: &[f64; 3]) -> bool {
    let misfit = |l: &Vector3<f64>| {
        Vector3::new(
            l.x * l.x + l.y * l.y - 2.0 * b12 * l.x * l.y - lengths[0],
            l.x * l.x + l.z * l.z - 2.0 * b13 * l.x * l.z - lengths[1],
            l.y * l.y + l.z * l.z - 2.0 * b23 * l.y * l.z - lengths[2],
        )
    };
    for _ in 0..DEPTH_STEPS {
        let (l, wrong) = (*depths, misfit(depths));
        let jacobian = 2.0
            * Matrix3::new(
                l.x - b12 * l.y,
                l.y - b12 * l.x,
                0.0,
                l.x - b13 * l.z,
                0.0,
                l.z - b13 * l.x,
                0.0,
                l.y - b23 * l.z,
                l.z - b23 * l.y,
            );
        // At a double root the Jacobian is singular: what is there already has to do.
        let Some(inverse) = jacobian.try_inverse() else { break };
        let better = l - inverse * wrong;
        if misfit(&better).amax() >= wrong.amax() {
            break;
        }
        *depths = better;
    }
    let largest = lengths[0].max(lengths[1]).max(lengths[2]);
    misfit(depths).amax() <= MISFIT * largest
}

fn pose(depths: &Vector3<f64>, rays: &[Vector3<f64>; 3], points: &[Vector3<f64>; 3]) -> Option<CameraFromMap> {
    let seen = [rays[0] * depths.x, rays[1] * depths.y, rays[2] * depths.z];
    let frame = |p: &[Vector3<f64>; 3]| {
        let (one, other) = (p[0] - p[1], p[1] - p[2]);
        Matrix3::from_columns(&[one, other, one.cross(&other)])
    };
    let rotation = frame(&seen) * frame(points).try_inverse()?;
    let translation = seen[0] - rotation * points[0];
    let pose = CameraFromMap { rotation, translation };
    (rotation.iter().all(|value| value.is_finite())).then_some(pose)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::So3;

    fn vector(limit: f64) -> impl Strategy<Value = Vector3<f64>> {
        [-limit..limit, -limit..limit, -limit..limit].prop_map(Vector3::from)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn the_true_pose_is_among_the_answers_and_every_answer_sees_the_points(
            turn in vector(3.0),
            translation in vector(5.0),
            seen in [vector(1.0), vector(1.0), vector(1.0)],
            depths in [0.3..8.0f64, 0.3..8.0f64, 0.3..8.0f64],
        ) {
            let rotation = So3::exp(&turn).matrix();
            let rays = [0, 1, 2].map(|at: usize| Vector3::new(seen[at].x, seen[at].y, 1.0).normalize());
            let points = [0, 1, 2].map(|at: usize| rotation.transpose() * (rays[at] * depths[at] - translation));
            let (one, other) = (points[0] - points[1], points[1] - points[2]);
            // Points nearly on a line, and rays nearly one, leave the pose open.
            prop_assume!(one.cross(&other).norm() > 0.05 * one.norm() * other.norm());
            prop_assume!(rays[0].cross(&rays[1]).norm().min(rays[1].cross(&rays[2]).norm()) > 0.02);
            prop_assume!(rays[0].cross(&rays[2]).norm() > 0.02);
            let poses = p3p(&rays, &points);
            prop_assert!((1..=4).contains(&poses.len()), "{} answers", poses.len());
            for pose in &poses {
                let identity = pose.rotation * pose.rotation.transpose() - Matrix3::identity();
                prop_assert!(identity.amax() < 1e-5 && pose.rotation.determinant() > 0.0, "{identity}");
                for (ray, point) in rays.iter().zip(&points) {
                    prop_assert!((pose.transform(point).normalize() - ray).norm() < 1e-5);
                }
            }
            let nearest = poses.iter().map(|p| (p.translation - translation).norm()).fold(f64::MAX, f64::min);
            prop_assert!(nearest < 1e-3, "{nearest} from the true one");
        }
    }

    #[test]
    fn points_that_determine_nothing_have_no_answer() {
        let rays = [Vector3::z(), Vector3::new(0.1, 0.0, 1.0).normalize(), Vector3::new(0.2, 0.0, 1.0).normalize()];
        let line = [Vector3::zeros(), Vector3::x(), Vector3::x() * 2.0];
        assert!(p3p(&rays, &line).is_empty());
        assert!(p3p(&rays, &[Vector3::zeros(); 3]).is_empty());
        assert!(p3p(&rays, &[Vector3::zeros(), Vector3::x(), Vector3::repeat(f64::NAN)]).is_empty());
        let triangle = [Vector3::zeros(), Vector3::x(), Vector3::y()];
        assert!(p3p(&[Vector3::z(); 3], &triangle).is_empty());
    }
}
