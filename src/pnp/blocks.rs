//! How sure a pose is whose points err alike where they are near each other.
//!
//! A network is wrong about a whole cupboard, not about single cells of it: residuals of neighbours are correlated, and normal
//! equations that take them for independent are too sure, most of all in the directions in which cupboards matter. Here each block
//! of the image is one witness (the cluster-robust covariance of Liang & Zeger 1986, "Longitudinal data analysis using
//! generalized linear models", Biometrika 73(1)): with r the residuals of the inliers, J their Jacobians in the tangent of
//! `map_from_camera`, H = Σ JᵀJ and g_b = Σ Jᵀr over the block b,
//!
//! Σ = H⁻¹ M H⁻¹,  M = ½ Σ_b g_b g_bᵀ + ½ κ H,  κ = tr(H⁻¹ Σ_b g_b g_bᵀ) / 6.
//!
//! The second half is the covariance of independent residuals, as large as the first: few blocks say little of single directions.
//! An error that all points of an image share (a camera beside the one that measured depth, a wrong pose of the dataset) is in no
//! residual; the calibration of the model has it.

use std::collections::BTreeMap;

use nalgebra::Vector2;

use super::Correspondence;
use super::refinement::{point_jacobian, projection_jacobian};
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::sensor::CameraModel;

/// Blocks of the image along its width; as high as they are wide.
const BLOCKS: f64 = 4.0;

/// The covariance of a pose in the tangent `[translation (m), rotation (rad)]` of `map_from_camera`, from inliers on the image
/// of a rectified camera; `None` where they leave it open. See the module's text.
pub fn block_covariance<'a>(
    camera: &CameraModel,
    map_from_camera: &Se3,
    inliers: impl Iterator<Item = &'a Correspondence>,
) -> Option<Matrix6> {
    let (side, focal) = (f64::from(camera.width) / BLOCKS, Vector2::new(camera.fx, camera.fy));
    let camera_from_map = map_from_camera.inverse();
    let (mut normal, mut blocks) = (Matrix6::zeros(), BTreeMap::<[i64; 2], Vector6>::new());
    for Correspondence { pixel, point } in inliers {
        let seen = camera_from_map * *point;
        let residual = camera.project(&seen)? - pixel;
        let jacobian = projection_jacobian(&focal, &seen) * point_jacobian(&seen);
        normal += jacobian.transpose() * jacobian;
        let block = [pixel.x, pixel.y].map(|at| (at / side).floor() as i64);
        *blocks.entry(block).or_insert_with(Vector6::zeros) += jacobian.transpose() * residual;
    }
    let inverse = normal.cholesky()?.inverse();
    let witnessed: Matrix6 = blocks.values().map(|gradient| gradient * gradient.transpose()).sum();
    let alike = (inverse * witnessed).trace() / 6.0;
    let covariance = 0.5 * inverse * (witnessed + normal * alike) * inverse;
    Some(0.5 * (covariance + covariance.transpose()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use nalgebra::Vector3;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Pixels of a grid that show points at various depths, each off by what `noise` says of its block.
    fn seen(camera: &CameraModel, pose: &Se3, noise: &mut dyn FnMut(i64) -> Vector2<f64>) -> Vec<Correspondence> {
        let mut depths = ChaCha8Rng::seed_from_u64(5);
        let mut correspondences = Vec::new();
        for row in 0..24 {
            for column in 0..32 {
                let ideal = Vector2::new(20.0 * f64::from(column) + 9.5, 20.0 * f64::from(row) + 9.5);
                let point = *pose * (camera.ray(&ideal) * depths.random_range(1.0..4.0));
                let block = i64::from(row / 8) * 4 + i64::from(column / 8);
                correspondences.push(Correspondence { pixel: ideal + noise(block), point });
            }
        }
        correspondences
    }

    /// The mean of `Σ` over many draws, as `tr(Σ₀⁻¹ Σ) / 6` against that of independent residuals of one pixel.
    fn size(blocks: bool) -> f64 {
        let camera = CameraModel::pinhole(640, 480, 525.0);
        let pose = Se3::exp(&Vector6::new(1.0, -2.0, 0.5, 0.3, -1.0, 2.0));
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let mut draw = || Vector2::from_fn(|_, _| StandardNormal.sample(&mut generator));
        let mut sum = Matrix6::zeros();
        let draws = 200;
        for _ in 0..draws {
            let shared: Vec<Vector2<f64>> = (0..12).map(|_| draw()).collect();
            let mut noise = |block: i64| if blocks { shared[block as usize] } else { draw() };
            let correspondences = seen(&camera, &pose, &mut noise);
            sum += block_covariance(&camera, &pose, correspondences.iter()).unwrap() / f64::from(draws);
        }
        let mut information = Matrix6::zeros();
        for Correspondence { point, .. } in seen(&camera, &pose, &mut |_| Vector2::zeros()) {
            let moved = |axis: usize, step: f64| {
                let turned = pose.retract(&Vector6::from_fn(|at, _| if at == axis { step } else { 0.0 }));
                camera.project(&(turned.inverse() * point)).unwrap()
            };
            let jacobian = nalgebra::Matrix2x6::from_columns(
                &[0, 1, 2, 3, 4, 5].map(|axis| (moved(axis, 1e-6) - moved(axis, -1e-6)) / 2e-6),
            );
            information += jacobian.transpose() * jacobian;
        }
        (information * sum).trace() / 6.0
    }

    #[test]
    fn independent_residuals_give_the_covariance_of_the_normal_equations() {
        let size = size(false);
        assert!((size - 1.0).abs() < 0.1, "{size}");
    }

    #[test]
    fn residuals_that_blocks_share_count_once_per_block() {
        // 64 cells that err alike are one witness, if all of them ask for the same; these nearly do.
        let size = size(true);
        assert!((35.0..=64.0).contains(&size), "{size}");
    }

    #[test]
    fn a_line_of_points_leaves_the_pose_open() {
        let camera = CameraModel::pinhole(640, 480, 525.0);
        let line = (0..50).map(|at| Correspondence {
            pixel: Vector2::new(100.0 + f64::from(at), 240.0),
            point: Vector3::new(0.0, 0.0, 2.0),
        });
        let line: Vec<Correspondence> = line.collect();
        let covariance = block_covariance(&camera, &Se3::identity(), line.iter());
        assert!(covariance.is_none_or(|covariance| covariance.trace() > 1.0));
    }
}
