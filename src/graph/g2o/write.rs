//! A pose graph to text.

use std::fmt::Write as _;
use std::path::Path;

use nalgebra::SMatrix;

use super::{G2o, Information, transform_of};
use crate::graph::{Variable, planar_coordinates};
use crate::{Error, Result};

impl G2o {
    /// The file's text, with numbers that read back as they are.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (id, pose) in &self.vertices {
            let tag = if self.is_planar() { "VERTEX_SE2" } else { "VERTEX_SE3:QUAT" };
            let _ = write!(text, "{tag} {id}");
            write_numbers(&mut text, &numbers(pose));
            text.push('\n');
        }
        for id in &self.fixed {
            let _ = writeln!(text, "FIX {id}");
        }
        for edge in &self.edges {
            let (tag, pose, information) = match &edge.information {
                Information::Space(matrix) => ("EDGE_SE3:QUAT", Variable::Pose(edge.a_from_b), upper_triangle(matrix)),
                Information::Plane(matrix) => ("EDGE_SE2", Variable::PlanarPose(edge.a_from_b), upper_triangle(matrix)),
            };
            let _ = write!(text, "{tag} {} {}", edge.from, edge.to);
            write_numbers(&mut text, &numbers(&pose));
            write_numbers(&mut text, &information);
            text.push('\n');
        }
        text
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_text()).map_err(Error::io("write", path))
    }
}

/// The numbers of a vertex.
fn numbers(pose: &Variable) -> Vec<f64> {
    match pose {
        Variable::PlanarPose(transform) => planar_coordinates(transform).as_slice().to_vec(),
        other => {
            let transform = transform_of(other);
            [transform.translation.as_slice(), &transform.rotation.to_xyzw()].concat()
        }
    }
}

fn upper_triangle<const N: usize>(matrix: &SMatrix<f64, N, N>) -> Vec<f64> {
    (0..N).flat_map(|row| (row..N).map(move |column| matrix[(row, column)])).collect()
}

fn write_numbers(text: &mut String, numbers: &[f64]) {
    for number in numbers {
        let _ = write!(text, " {number}");
    }
}
