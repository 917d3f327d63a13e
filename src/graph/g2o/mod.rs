//! g2o files: pose graphs as text, one vertex or edge a line.
//!
//! | line | fields |
//! |---|---|
//! | `VERTEX_SE3:QUAT` | id, x y z (m), quaternion x y z w |
//! | `EDGE_SE3:QUAT` | ids of a and b, `a_from_b` as a vertex, upper triangle of its information (21), `[translation, rotation]` |
//! | `VERTEX_SE2` | id, x y (m), θ (rad) |
//! | `EDGE_SE2` | ids of a and b, `a_from_b` as a vertex, upper triangle of its information (6) |
//! | `FIX` | ids of vertices to hold |
//!
//! The information is taken as that of the rotation vector, as GTSAM does; g2o itself means the vector part of the
//! quaternion, half as long. A file without vertices gets them by walking along its edges.

mod read;
mod write;

use nalgebra::{Matrix3, Matrix6, SMatrix, Vector3, Vector6};

use super::{BetweenFactor, FactorGraph, Gaussian, Key, PlanarBetweenFactor, Values, Variable, VariableKind};
use crate::geometry::Se3;
use crate::{Error, Result};

/// A measured transform with its information, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the edges of a file are all of one kind")]
enum Information {
    Space(Matrix6<f64>),
    Plane(Matrix3<f64>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    from: u64,
    to: u64,
    a_from_b: Se3,
    information: Information,
}

/// A pose graph as a g2o file holds it. Vertex `i` becomes the pose `x{i}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct G2o {
    vertices: Vec<(u64, Variable)>,
    edges: Vec<Edge>,
    fixed: Vec<u64>,
}

impl G2o {
    /// The graph and the values of the file. Vertices to hold are held; if the file names none, the first one is.
    ///
    /// # Errors
    /// When an information matrix is not positive definite, an id is used twice, or an edge ends nowhere.
    pub fn to_graph(&self) -> Result<(FactorGraph, Values)> {
        let mut graph = FactorGraph::new();
        for edge in &self.edges {
            let (from, to) = (Key::pose(edge.from), Key::pose(edge.to));
            match &edge.information {
                Information::Space(information) => {
                    graph.add(BetweenFactor::new(from, to, edge.a_from_b, Gaussian::from_information(information)?)?);
                }
                Information::Plane(information) => {
                    let noise = Gaussian::from_information(information)?;
                    graph.add(PlanarBetweenFactor::new(from, to, edge.a_from_b, noise)?);
                }
            }
        }
        let values = Values::from_list(self.vertices.iter().map(|(id, pose)| (Key::pose(*id), *pose)).collect())?;
        self.fixed.iter().for_each(|id| graph.fix(Key::pose(*id)));
        if let (true, Some(first)) = (self.fixed.is_empty(), values.keys().first()) {
            graph.fix(*first);
        }
        Ok((graph, values))
    }

    /// The same graph with one number for the information about each edge's translation and one about its rotation, as
    /// SE-Sync reads g2o files (Rosen et al. 2019, section 5): the inverse of the mean variance of each block. For files
    /// whose information matrices are unusable as a whole.
    ///
    /// # Errors
    /// When a diagonal block of an information matrix is not positive definite.
    pub fn isotropic(&self) -> Result<Self> {
        let mut graph = self.clone();
        for edge in &mut graph.edges {
            edge.information = match &edge.information {
                Information::Space(matrix) => {
                    let translation = mean_information::<3>(&matrix.fixed_view::<3, 3>(0, 0).into())?;
                    let rotation = mean_information::<3>(&matrix.fixed_view::<3, 3>(3, 3).into())?;
                    let diagonal = Vector6::new(translation, translation, translation, rotation, rotation, rotation);
                    Information::Space(Matrix6::from_diagonal(&diagonal))
                }
                Information::Plane(matrix) => {
                    let translation = mean_information::<2>(&matrix.fixed_view::<2, 2>(0, 0).into())?;
                    Information::Plane(Matrix3::from_diagonal(&Vector3::new(translation, translation, matrix[(2, 2)])))
                }
            };
        }
        Ok(graph)
    }

    /// How many poses there are.
    pub fn pose_count(&self) -> usize {
        self.vertices.len()
    }

    /// How many measured transforms there are.
    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// Whether the graph lies in the plane.
    pub fn is_planar(&self) -> bool {
        self.vertices.first().is_some_and(|(_, pose)| pose.kind() == VariableKind::PlanarPose)
    }

    /// Takes the poses of an optimization of [`G2o::to_graph`].
    ///
    /// # Errors
    /// When a pose is missing.
    pub fn update(&mut self, values: &Values) -> Result<()> {
        for (id, pose) in &mut self.vertices {
            let slot = values.slot(Key::pose(*id))?;
            *pose = values.variables()[slot];
        }
        Ok(())
    }
}

/// `N / tr(Λ⁻¹)`.
fn mean_information<const N: usize>(information: &SMatrix<f64, N, N>) -> Result<f64> {
    let whitened = Gaussian::from_information(information)?;
    let inverse = whitened.sqrt_information().solve_upper_triangular(&SMatrix::<f64, N, N>::identity());
    let inverse = inverse.ok_or_else(|| Error::compute("inverse of an information matrix", "it is singular"))?;
    Ok(N as f64 / inverse.norm_squared())
}

/// The transform of a vertex.
fn transform_of(pose: &Variable) -> Se3 {
    match pose {
        Variable::Pose(transform) | Variable::PlanarPose(transform) => *transform,
        Variable::Vector3(_) | Variable::Vector6(_) => Se3::identity(),
    }
}
