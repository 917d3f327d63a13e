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

use std::fmt::Write as _;
use std::path::Path;

use nalgebra::{Matrix3, Matrix6, SMatrix, Vector3, Vector6};

use super::planar::{planar_coordinates, planar_transform};
use super::{BetweenFactor, FactorGraph, Gaussian, Key, PlanarBetweenFactor, Values, Variable, VariableKind};
use crate::geometry::{Se3, So3};
use crate::{Error, Result};

/// A measured transform with its information, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`G2o::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        Self::parse(&text, path)
    }

    /// Parses a file's text; `path` is for messages.
    ///
    /// # Errors
    /// When a line is of an unknown kind, lacks numbers or has too many, a number or quaternion is none, or the graph
    /// is partly planar. The message names the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut graph = Self::default();
        for (number, line) in text.lines().enumerate() {
            let refuse = |(expected, found): (String, String)| {
                Error::format(path, format!("line {}: {expected}", number + 1), found)
            };
            graph.parse_line(line).map_err(refuse)?;
        }
        let planar = graph.edges.iter().filter(|edge| matches!(edge.information, Information::Plane(_))).count();
        let planar_vertices = graph.vertices.iter().filter(|(_, pose)| pose.kind() == VariableKind::PlanarPose).count();
        let all = planar == graph.edges.len() && planar_vertices == graph.vertices.len();
        if !all && planar + planar_vertices > 0 {
            let found = format!(
                "{planar} planar edges of {}, {planar_vertices} planar vertices of {}",
                graph.edges.len(),
                graph.vertices.len()
            );
            return Err(Error::format(path, "a graph in the plane or one in space", found));
        }
        graph.add_missing_vertices();
        Ok(graph)
    }

    fn parse_line(&mut self, line: &str) -> std::result::Result<(), (String, String)> {
        let mut fields = line.split_ascii_whitespace();
        let Some(tag) = fields.next() else { return Ok(()) };
        let mut fields = Fields { tag, fields, line };
        match tag {
            "VERTEX_SE3:QUAT" => self.vertices.push((fields.id()?, Variable::Pose(fields.transform()?))),
            "VERTEX_SE2" => self.vertices.push((fields.id()?, Variable::PlanarPose(fields.planar()?))),
            "EDGE_SE3:QUAT" => {
                let (from, to, a_from_b) = (fields.id()?, fields.id()?, fields.transform()?);
                let information = Information::Space(fields.upper_triangle()?);
                self.edges.push(Edge { from, to, a_from_b, information });
            }
            "EDGE_SE2" => {
                let (from, to, a_from_b) = (fields.id()?, fields.id()?, fields.planar()?);
                let information = Information::Plane(fields.upper_triangle()?);
                self.edges.push(Edge { from, to, a_from_b, information });
            }
            "FIX" => {
                while let Some(field) = fields.fields.next() {
                    self.fixed.push(fields.parse("an id", field)?);
                }
            }
            comment if comment.starts_with('#') => return Ok(()),
            other => {
                let expected = "VERTEX_SE3:QUAT, EDGE_SE3:QUAT, VERTEX_SE2, EDGE_SE2 or FIX";
                return Err((expected.into(), other.into()));
            }
        }
        fields.end()
    }

    /// Gives ids that only edges name a pose: the other end's, moved by the edge; the first one, if need be, the origin.
    fn add_missing_vertices(&mut self) {
        self.vertices.sort_by_key(|(id, _)| *id);
        let mut known: std::collections::BTreeMap<u64, Se3> =
            self.vertices.iter().map(|(id, pose)| (*id, transform_of(pose))).collect();
        let planar = self.edges.first().is_some_and(|edge| matches!(edge.information, Information::Plane(_)));
        for edge in &self.edges {
            for (from, to, step) in [(edge.from, edge.to, edge.a_from_b), (edge.to, edge.from, edge.a_from_b.inverse())]
            {
                if known.is_empty() || (known.contains_key(&from) && !known.contains_key(&to)) {
                    let map_from_a = *known.entry(from).or_insert_with(Se3::identity);
                    known.insert(to, map_from_a * step);
                }
            }
        }
        let variable = if planar { Variable::PlanarPose } else { Variable::Pose };
        if known.len() > self.vertices.len() {
            self.vertices = known.into_iter().map(|(id, pose)| (id, variable(pose))).collect();
        }
    }

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

/// The fields of a line, taken one after the other; errors are (expected, found).
struct Fields<'a> {
    tag: &'a str,
    fields: std::str::SplitAsciiWhitespace<'a>,
    line: &'a str,
}

impl Fields<'_> {
    fn parse<T: std::str::FromStr>(&self, what: &str, field: &str) -> std::result::Result<T, (String, String)> {
        field.parse().map_err(|_| (format!("{what} in {}", self.tag), format!("{field:?}")))
    }

    fn next(&mut self, what: &str) -> std::result::Result<&str, (String, String)> {
        let missing = || (format!("{what} in {}", self.tag), format!("the end of the line {:?}", self.line));
        self.fields.next().ok_or_else(missing)
    }

    fn id(&mut self) -> std::result::Result<u64, (String, String)> {
        let field = self.next("an id")?.to_owned();
        self.parse("an id", &field)
    }

    fn number(&mut self) -> std::result::Result<f64, (String, String)> {
        let field = self.next("a number")?.to_owned();
        let number: f64 = self.parse("a number", &field)?;
        if number.is_finite() { Ok(number) } else { Err((format!("finite numbers in {}", self.tag), field)) }
    }

    fn transform(&mut self) -> std::result::Result<Se3, (String, String)> {
        let translation = Vector3::new(self.number()?, self.number()?, self.number()?);
        let [x, y, z, w] = [self.number()?, self.number()?, self.number()?, self.number()?];
        let refuse = || (format!("a quaternion of length 1 in {}", self.tag), format!("x {x} y {y} z {z} w {w}"));
        Ok(Se3::new(So3::from_xyzw(x, y, z, w).ok_or_else(refuse)?, translation))
    }

    fn planar(&mut self) -> std::result::Result<Se3, (String, String)> {
        Ok(planar_transform(self.number()?, self.number()?, self.number()?))
    }

    fn upper_triangle<const N: usize>(&mut self) -> std::result::Result<SMatrix<f64, N, N>, (String, String)> {
        let mut matrix = SMatrix::<f64, N, N>::zeros();
        for row in 0..N {
            for column in row..N {
                matrix[(row, column)] = self.number()?;
                matrix[(column, row)] = matrix[(row, column)];
            }
        }
        Ok(matrix)
    }

    fn end(mut self) -> std::result::Result<(), (String, String)> {
        match self.fields.next() {
            None => Ok(()),
            Some(more) => Err((format!("the end of {}", self.tag), format!("{more:?} after its last field"))),
        }
    }
}

/// `N / tr(Λ⁻¹)`.
fn mean_information<const N: usize>(information: &SMatrix<f64, N, N>) -> Result<f64> {
    let whitened = Gaussian::from_information(information)?;
    let inverse = whitened.sqrt_information().solve_upper_triangular(&SMatrix::<f64, N, N>::identity());
    let inverse = inverse.ok_or_else(|| Error::compute("inverse of an information matrix", "it is singular"))?;
    Ok(N as f64 / inverse.norm_squared())
}

fn transform_of(pose: &Variable) -> Se3 {
    match pose {
        Variable::Pose(transform) | Variable::PlanarPose(transform) => *transform,
        Variable::Vector3(_) | Variable::Vector6(_) => Se3::identity(),
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
