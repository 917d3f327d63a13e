//! Text to a pose graph.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::str::{FromStr, SplitAsciiWhitespace};

use nalgebra::{SMatrix, Vector3};

use super::{Edge, G2o, Information, transform_of};
use crate::geometry::{Se3, So3};
use crate::graph::{Variable, VariableKind, planar_transform};
use crate::{Error, Result};

/// What was expected and what was found in a line.
type Refusal = (String, String);

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
            let refuse =
                |(expected, found): Refusal| Error::format(path, format!("line {}: {expected}", number + 1), found);
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

    fn parse_line(&mut self, line: &str) -> std::result::Result<(), Refusal> {
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
        let mut known: BTreeMap<u64, Se3> = self.vertices.iter().map(|(id, pose)| (*id, transform_of(pose))).collect();
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
        self.reach_the_rest(&mut known);
        let variable = if planar { Variable::PlanarPose } else { Variable::Pose };
        if known.len() > self.vertices.len() {
            self.vertices = known.into_iter().map(|(id, pose)| (id, variable(pose))).collect();
        }
    }

    /// Follows the edges from the known poses to those that an edge named before its other end was known.
    fn reach_the_rest(&self, known: &mut BTreeMap<u64, Se3>) {
        let mut onward: BTreeMap<u64, Vec<(u64, Se3)>> = BTreeMap::new();
        for edge in &self.edges {
            for (from, to, step) in [(edge.from, edge.to, edge.a_from_b), (edge.to, edge.from, edge.a_from_b.inverse())]
            {
                if !known.contains_key(&to) {
                    onward.entry(from).or_default().push((to, step));
                }
            }
        }
        let mut reached: VecDeque<u64> = onward.keys().filter(|id| known.contains_key(id)).copied().collect();
        while let Some(from) = reached.pop_front() {
            let (Some(map_from_a), Some(steps)) = (known.get(&from).copied(), onward.remove(&from)) else { continue };
            for (to, step) in steps {
                if let Entry::Vacant(unknown) = known.entry(to) {
                    unknown.insert(map_from_a * step);
                    reached.push_back(to);
                }
            }
        }
    }
}

/// The fields of a line, taken one after the other.
struct Fields<'a> {
    tag: &'a str,
    fields: SplitAsciiWhitespace<'a>,
    line: &'a str,
}

impl Fields<'_> {
    fn parse<T: FromStr>(&self, what: &str, field: &str) -> std::result::Result<T, Refusal> {
        field.parse().map_err(|_| (format!("{what} in {}", self.tag), format!("{field:?}")))
    }

    fn next(&mut self, what: &str) -> std::result::Result<&str, Refusal> {
        let missing = || (format!("{what} in {}", self.tag), format!("the end of the line {:?}", self.line));
        self.fields.next().ok_or_else(missing)
    }

    fn id(&mut self) -> std::result::Result<u64, Refusal> {
        let field = self.next("an id")?.to_owned();
        self.parse("an id", &field)
    }

    fn number(&mut self) -> std::result::Result<f64, Refusal> {
        let field = self.next("a number")?.to_owned();
        let number: f64 = self.parse("a number", &field)?;
        if number.is_finite() { Ok(number) } else { Err((format!("finite numbers in {}", self.tag), field)) }
    }

    fn transform(&mut self) -> std::result::Result<Se3, Refusal> {
        let translation = Vector3::new(self.number()?, self.number()?, self.number()?);
        let [x, y, z, w] = [self.number()?, self.number()?, self.number()?, self.number()?];
        let refuse = || (format!("a quaternion of length 1 in {}", self.tag), format!("x {x} y {y} z {z} w {w}"));
        Ok(Se3::new(So3::from_xyzw(x, y, z, w).ok_or_else(refuse)?, translation))
    }

    fn planar(&mut self) -> std::result::Result<Se3, Refusal> {
        Ok(planar_transform(self.number()?, self.number()?, self.number()?))
    }

    fn upper_triangle<const N: usize>(&mut self) -> std::result::Result<SMatrix<f64, N, N>, Refusal> {
        let mut matrix = SMatrix::<f64, N, N>::zeros();
        for row in 0..N {
            for column in row..N {
                matrix[(row, column)] = self.number()?;
                matrix[(column, row)] = matrix[(row, column)];
            }
        }
        Ok(matrix)
    }

    fn end(mut self) -> std::result::Result<(), Refusal> {
        match self.fields.next() {
            None => Ok(()),
            Some(more) => Err((format!("the end of {}", self.tag), format!("{more:?} after its last field"))),
        }
    }
}
