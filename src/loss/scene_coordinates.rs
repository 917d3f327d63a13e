//! The loss of scene coordinates (Brachmann, Cavallari & Prisacariu 2023, arXiv 2305.14059, "ACE", section 3.2): how far the
//! point that a cell is said to show lies from the true one, or its projection from the cell, softly clipped,
//!
//! L = τ tanh(e / τ),  τ(t) = fine + (coarse - fine) √(1 - t²)
//!
//! with e the L1 distance and t the share of the training that is done. What is farther off than τ has hardly a gradient: at
//! first all cells learn roughly, at the end those that can learn exactly, and the rest no longer disturbs them. The paper
//! clips pixels; where depth is known, the same clips metres here. It adds τ_min to √(1 - t²) τ_max; here τ goes from
//! `coarse` to `fine`.

use tch::{Kind, Tensor};

/// Nearest and farthest depth, metres, and largest error, pixels, at which a projection says how to move a point (ACE).
const VALID_DEPTH: [f64; 2] = [0.1, 1000.0];
const VALID_PIXELS: f64 = 1000.0;
/// Where on the ray of its cell a point is sent that has no valid projection, metres from the camera (ACE).
const ASSUMED_DEPTH: f64 = 10.0;

/// What errors cannot exceed when the share `done` of a training is done, from `coarse` at 0 to `fine` at 1.
pub fn soft_clip(done: f64, coarse: f64, fine: f64) -> f64 {
    fine + (coarse - fine) * (1.0 - done.clamp(0.0, 1.0).powi(2)).sqrt()
}

/// τ tanh(e / τ).
fn clipped(error: &Tensor, clip: f64) -> Tensor {
    (error / clip).tanh() * clip
}

fn l1_n(difference: &Tensor) -> Tensor {
    difference.abs().sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
}

/// The clipped L1 distance of points to the true ones, `n3` in units of `scale` metres; `clip` and result `n` in metres.
pub fn point_loss(estimate_n3: &Tensor, truth_n3: &Tensor, scale: f64, clip: f64) -> Tensor {
    clipped(&(l1_n(&(estimate_n3 - truth_n3)) * scale), clip)
}

/// What cells know that have no depth: the view that shows them, in pixels of a pinhole camera.
#[derive(Debug)]
pub struct Sight<'a> {
    /// From the units of the model to the axes of the camera in the same units, `n34`.
    pub camera_from_map_n34: &'a Tensor,
    /// Columns and rows of the cells, pixels, `n2`.
    pub pixels_n2: &'a Tensor,
    /// Focal lengths along columns and rows, pixels.
    pub focal: [f64; 2],
    /// Principal point, pixels.
    pub centre: [f64; 2],
}

/// The clipped L1 reprojection error of points `n3` in units of `scale` metres, `clip` in pixels. A point without a valid
/// projection has its distance to the point 10 m ahead on the ray of its cell instead. The result `n` is in metres, of which a
/// pixel counts `metres_per_pixel`.
pub fn sight_loss(estimate_n3: &Tensor, sight: &Sight, scale: f64, clip: f64, metres_per_pixel: f64) -> Tensor {
    let device = estimate_n3.device();
    let row = |values: [f64; 2]| Tensor::from_slice(&values.map(|value| value as f32)).view([1, 2]).to_device(device);
    let rotation = sight.camera_from_map_n34.narrow(2, 0, 3);
    let seen_n3 = rotation.matmul(&estimate_n3.unsqueeze(2)).squeeze_dim(2) + sight.camera_from_map_n34.select(2, 3);
    let depth_n1 = seen_n3.narrow(1, 2, 1);
    let rays_n2 = (sight.pixels_n2 - row(sight.centre)) / row(sight.focal);
    let [nearest, farthest] = VALID_DEPTH.map(|metres| metres / scale);
    let projected = seen_n3.narrow(1, 0, 2) / depth_n1.clamp_min(nearest);
    let pixels_n = l1_n(&((projected - &rays_n2) * row(sight.focal)));
    let in_front = depth_n1.gt(nearest).logical_and(&depth_n1.lt(farthest)).squeeze_dim(1);
    let valid = in_front.logical_and(&pixels_n.lt(VALID_PIXELS));
    let assumed = ASSUMED_DEPTH / scale;
    let target_n3 = Tensor::cat(&[&rays_n2 * assumed, depth_n1.ones_like() * assumed], 1);
    let far_n = l1_n(&(seen_n3 - target_n3)) * scale;
    (clipped(&pixels_n, clip) * metres_per_pixel).where_self(&valid, &far_n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[f32; N]]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([rows.len() as i64, N as i64])
    }

    #[test]
    fn the_clip_goes_from_coarse_to_fine() {
        assert_eq!((soft_clip(0.0, 1.0, 0.1), soft_clip(1.0, 1.0, 0.1)), (1.0, 0.1));
        // √(1 - 0.6²) = 0.8
        assert!((soft_clip(0.6, 1.0, 0.1) - 0.82).abs() < 1e-12);
        let falling: Vec<f64> = (0..=10).map(|tenth| soft_clip(f64::from(tenth) / 10.0, 2.0, 0.5)).collect();
        assert!(falling.windows(2).all(|pair| pair[1] < pair[0]), "{falling:?}");
    }

    #[test]
    fn a_distance_is_in_metres_and_bounded() {
        // In units of 2 m: 0.1 + 0.2 + 0.05 units are 0.7 m; 30 units are as far as the clip says.
        let truth = rows(&[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]);
        let loss = point_loss(&rows(&[[0.1, -0.2, 0.05], [11.0, 11.0, 11.0]]), &truth, 2.0, 0.5);
        assert!((loss.double_value(&[0]) - 0.5 * 1.4f64.tanh()).abs() < 1e-6);
        assert!((loss.double_value(&[1]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn reprojection_moves_a_point_across_its_ray_and_only_an_invalid_one_along_it() {
        let camera = rows(&[[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]]).view([1, 3, 4]);
        let pixels = rows(&[[350.0, 220.0]]);
        let sight =
            Sight { camera_from_map_n34: &camera, pixels_n2: &pixels, focal: [500.0, 500.0], centre: [320.0, 240.0] };
        let loss = |point: [f64; 3]| {
            sight_loss(&rows(&[point.map(|value| value as f32)]), &sight, 2.0, 50.0, 0.01).double_value(&[0])
        };
        let slope = |point: [f64; 3], direction: [f64; 3]| {
            let moved = |by: f64| loss([0, 1, 2].map(|axis| point[axis] + by * direction[axis]));
            (moved(1e-2) - moved(-1e-2)) / 2e-2
        };
        // The camera stands at (0, 0, -1). A point that is seen, 20 pixels left of its cell: nothing pulls it to or fro.
        let seen = [0.02, -0.04, 0.0];
        assert!(slope(seen, [0.02, -0.04, 1.0]).abs() < 1e-3);
        assert!(slope(seen, [1.0, 0.0, 0.0]) < -0.1, "towards its cell");
        // Behind the camera, and too near: forward along the ray of its cell.
        for lost in [[0.0, 0.0, -2.0], [0.0, 0.0, -0.98]] {
            assert!(slope(lost, [0.06, -0.04, 1.0]) < -1.0, "{lost:?}");
        }
    }

    #[test]
    fn a_point_on_the_ray_of_its_cell_has_no_error_at_any_depth() {
        // A camera at (0, 0, -1) units of 2 m that looks along z: the map's origin lies 2 m in front of it.
        let camera = rows(&[[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]]).view([1, 3, 4]);
        let loss = |point: [f32; 3], pixel: [f32; 2], clip: f64| {
            let pixels = rows(&[pixel]);
            let sight = Sight {
                camera_from_map_n34: &camera,
                pixels_n2: &pixels,
                focal: [500.0, 400.0],
                centre: [320.0, 240.0],
            };
            sight_loss(&rows(&[point]), &sight, 2.0, clip, 0.01).double_value(&[0])
        };
        assert!(loss([0.0, 0.0, 0.0], [320.0, 240.0], 50.0).abs() < 1e-6);
        assert!(loss([0.4, -0.2, 1.0], [420.0, 200.0], 50.0).abs() < 1e-5);
        // 10 pixels beside it and 4 below, softly clipped at 50.
        let expected = 0.01 * 50.0 * (14.0f64 / 50.0).tanh();
        assert!((loss([0.0, 0.0, 0.0], [310.0, 236.0], 50.0) - expected).abs() < 1e-5);
        // Behind the camera, 2 m: 12 m from the point 10 m in front of it.
        assert!((loss([0.0, 0.0, -2.0], [320.0, 240.0], 50.0) - 12.0).abs() < 1e-4);
    }
}
