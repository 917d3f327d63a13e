//! Derivatives against differences.

use nalgebra::{Vector2, Vector3};

use super::hypotheses::camera_from_map;
use super::refinement::{point_jacobian, projection_jacobian};
use crate::geometry::{Se3, So3, Vector6};

#[test]
fn the_jacobians_are_those_of_the_projection_and_of_the_right_perturbation() {
    let focal = Vector2::new(500.0, 450.0);
    let pose = Se3::new(So3::exp(&Vector3::new(0.4, -1.2, 0.3)), Vector3::new(1.0, -2.0, 0.5));
    let point = pose * Vector3::new(0.7, -0.4, 2.5);
    let seen = |pose: &Se3| camera_from_map(pose).transform(&point);
    let project = |p: &Vector3<f64>| p.xy().component_mul(&focal) / p.z;
    let at = seen(&pose);
    let jacobian = projection_jacobian(&focal, &at) * point_jacobian(&at);
    let small = 1e-6;
    for axis in 0..6 {
        let step = Vector6::ith(axis, small);
        let numeric = (project(&seen(&pose.retract(&step))) - project(&seen(&pose.retract(&-step)))) / (2.0 * small);
        let error = (jacobian.column(axis) - numeric).norm() / numeric.norm().max(1.0);
        assert!(error < 1e-7, "axis {axis}: {} and {numeric}", jacobian.column(axis));
    }
}
