//! Chordal initialization: a good start for a pose graph whose own start is bad or missing.
//!
//! First the rotations alone, with the constraint that they are rotations dropped (Martinec and Pajdla 2007; Carlone et
//! al. 2015, section III-B): `min Σ κ ‖R_i R_ij - R_j‖²` over plain matrices, which is linear least squares, anchored at
//! the held poses; each answer is then replaced by the nearest rotation. Then the translations with these rotations:
//! `min Σ τ ‖t_j - t_i - R_i t_ij‖²`. The rows of the matrices do not mix, nor do the axes of the translations: the
//! first system has 3 unknowns a pose and as many right sides, the second has 1.

use nalgebra::{Matrix3, Vector3};

use super::block_matrix::BlockMatrix;
use super::cholesky::SparseCholesky;
use super::components::Components;
use super::{FactorGraph, Key, Values, Variable, VariableKind, planar_transform};
use crate::geometry::{Se3, So3};
use crate::{Error, Result};

/// The values with every pose computed from the relative poses alone.
///
/// Held poses keep their values; if none is held, the first pose does. Other variables and other factors (priors) play
/// no part.
///
/// # Errors
/// When a factor names a pose that is missing, or a pose is connected to none that is held.
pub fn chordal_initialization(graph: &FactorGraph, values: &Values) -> Result<Values> {
    let problem = Problem::new(graph, values)?;
    let mut poses = problem.start.clone();
    problem.solve_rotations(&mut poses)?;
    problem.solve_translations(&mut poses)?;
    let mut initialized = values.clone();
    for (key, pose) in problem.keys.iter().zip(poses) {
        initialized.update(*key, if problem.planar { Variable::PlanarPose(pose) } else { Variable::Pose(pose) })?;
    }
    Ok(initialized)
}

/// Marks a pose that is held.
const HELD: usize = usize::MAX;

/// A measured transform between the poses number `from` and `to`.
struct Edge {
    from: usize,
    to: usize,
    a_from_b: Se3,
    rotation_information: f64,
    translation_information: f64,
}

/// The poses, by number, and the transforms between them.
struct Problem {
    keys: Vec<Key>,
    start: Vec<Se3>,
    planar: bool,
    /// The number of each pose among the unknown ones, or [`HELD`].
    unknown: Vec<usize>,
    edges: Vec<Edge>,
    /// Pairs of unknown poses with an edge, the greater first, sorted, each once.
    pairs: Vec<(u32, u32)>,
}

impl Problem {
    fn new(graph: &FactorGraph, values: &Values) -> Result<Self> {
        let keys: Vec<Key> = values.keys().iter().copied().filter(|key| key.takes(VariableKind::Pose)).collect();
        let start = keys.iter().map(|key| values.pose(*key)).collect::<Result<Vec<_>>>()?;
        let planar =
            keys.first().and_then(|key| values.get(*key)).map(Variable::kind) == Some(VariableKind::PlanarPose);
        let number = |key: Key| {
            let missing = |_| Error::message(format!("variable {key}"), "a value for it", "none");
            keys.binary_search(&key).map_err(missing)
        };
        let mut held: Vec<bool> = keys.iter().map(|key| graph.fixed().contains(key)).collect();
        if let (false, Some(first)) = (held.contains(&true), held.first_mut()) {
            *first = true;
        }
        let mut components = Components::new(keys.len());
        (0..keys.len()).filter(|pose| held[*pose]).for_each(|pose| components.anchor(pose as u32));
        let mut unknown_count = 0;
        let unknown = held.iter().map(|held| {
            unknown_count += usize::from(!held);
            if *held { HELD } else { unknown_count - 1 }
        });
        let unknown: Vec<usize> = unknown.collect();
        let (mut edges, mut pairs) = (Vec::new(), Vec::new());
        for measured in graph.factors().iter().filter_map(|factor| factor.relative_pose()) {
            let (from, to) = (number(measured.from)?, number(measured.to)?);
            components.join(from as u32, to as u32);
            let (one, other) = (unknown[from], unknown[to]);
            if one != HELD && other != HELD {
                pairs.push((one.max(other) as u32, one.min(other) as u32));
            }
            let (rotation_information, translation_information) =
                (measured.rotation_information, measured.translation_information);
            edges.push(Edge { from, to, a_from_b: measured.a_from_b, rotation_information, translation_information });
        }
        components.check_anchors(&keys)?;
        pairs.sort_unstable();
        pairs.dedup();
        Ok(Self { keys, start, planar, unknown, edges, pairs })
    }

    /// Rows of the relaxed rotations: the row `x_i` of `R_i` goes with `x_j = R_ijᵀ x_i`.
    fn solve_rotations(&self, poses: &mut [Se3]) -> Result<()> {
        let dim = if self.planar { 2 } else { 3 };
        let mut system = System::new(dim, self)?;
        for edge in &self.edges {
            let turn = edge.a_from_b.rotation.matrix();
            system.add(self.unknown[edge.from], self.unknown[edge.to], edge.rotation_information, |row, column| {
                turn[(row, column)]
            });
        }
        system.factorize(&self.keys, &self.unknown)?;
        // In the plane the first row is the whole rotation.
        let row_count = if self.planar { 1 } else { 3 };
        let mut relaxed = vec![Matrix3::<f64>::zeros(); poses.len()];
        for row in 0..row_count {
            system.right_side.fill(0.0);
            for edge in &self.edges {
                let (i, j) = (self.unknown[edge.from], self.unknown[edge.to]);
                let turn = edge.rotation_information * edge.a_from_b.rotation.matrix();
                let row_of = |pose: usize| -> Vector3<f64> { self.start[pose].rotation.matrix().row(row).transpose() };
                if i == HELD && j != HELD {
                    system.add_right_side(j, (turn.transpose() * row_of(edge.from)).as_slice());
                } else if j == HELD && i != HELD {
                    system.add_right_side(i, (turn * row_of(edge.to)).as_slice());
                }
            }
            system.solve();
            for (pose, unknown) in self.unknown.iter().enumerate().filter(|(_, unknown)| **unknown != HELD) {
                let solution = system.solution(*unknown);
                solution.iter().enumerate().for_each(|(column, entry)| relaxed[pose][(row, column)] = *entry);
            }
        }
        for (pose, relaxed) in relaxed.iter().enumerate().filter(|(pose, _)| self.unknown[*pose] != HELD) {
            poses[pose].rotation = if self.planar {
                planar_transform(0.0, 0.0, (-relaxed[(0, 1)]).atan2(relaxed[(0, 0)])).rotation
            } else {
                nearest_rotation(relaxed, self.keys[pose])?
            };
        }
        Ok(())
    }

    /// Translations, with the rotations of `poses`.
    fn solve_translations(&self, poses: &mut [Se3]) -> Result<()> {
        let mut system = System::new(1, self)?;
        for edge in &self.edges {
            system.add(self.unknown[edge.from], self.unknown[edge.to], edge.translation_information, |_, _| 1.0);
        }
        system.factorize(&self.keys, &self.unknown)?;
        for axis in 0..if self.planar { 2 } else { 3 } {
            system.right_side.fill(0.0);
            for edge in &self.edges {
                let (i, j) = (self.unknown[edge.from], self.unknown[edge.to]);
                let step = (poses[edge.from].rotation * edge.a_from_b.translation)[axis];
                let start = |pose: usize| self.start[pose].translation[axis];
                if j != HELD {
                    let known = if i == HELD { start(edge.from) } else { 0.0 };
                    system.add_right_side(j, &[edge.translation_information * (step + known)]);
                }
                if i != HELD {
                    let known = if j == HELD { start(edge.to) } else { 0.0 };
                    system.add_right_side(i, &[edge.translation_information * (known - step)]);
                }
            }
            system.solve();
            for (pose, unknown) in self.unknown.iter().enumerate().filter(|(_, unknown)| **unknown != HELD) {
                poses[pose].translation[axis] = system.solution(*unknown)[0];
            }
        }
        Ok(())
    }
}

/// A linear system with one block of unknowns a pose, and several right sides one after the other.
struct System {
    dim: usize,
    matrix: BlockMatrix,
    cholesky: SparseCholesky,
    right_side: Vec<f64>,
}

impl System {
    fn new(dim: usize, problem: &Problem) -> Result<Self> {
        let unknowns = problem.unknown.iter().filter(|unknown| **unknown != HELD).count();
        let matrix = BlockMatrix::new(&vec![dim as u8; unknowns], &problem.pairs)?;
        let cholesky = SparseCholesky::new(&matrix)?;
        let right_side = vec![0.0; matrix.scalar_count()];
        Ok(Self { dim, matrix, cholesky, right_side })
    }

    /// Adds the term `weight ‖x_j - Bᵀ x_i‖²` with an orthogonal `B`.
    fn add(&mut self, i: usize, j: usize, weight: f64, block: impl Fn(usize, usize) -> f64) {
        for unknown in [i, j].into_iter().filter(|unknown| *unknown != HELD) {
            self.matrix.add(
                unknown,
                unknown,
                (self.dim, self.dim),
                |row, column| if row == column { weight } else { 0.0 },
            );
        }
        if i != HELD && j != HELD {
            self.matrix.add(i, j, (self.dim, self.dim), |row, column| -weight * block(row, column));
        }
    }

    fn add_right_side(&mut self, unknown: usize, terms: &[f64]) {
        let offset = self.matrix.offset_of(unknown);
        self.right_side[offset..offset + self.dim].iter_mut().zip(terms).for_each(|(entry, term)| *entry += term);
    }

    fn factorize(&mut self, keys: &[Key], unknown: &[usize]) -> Result<()> {
        self.cholesky.factorize(&self.matrix).map_err(|row| {
            let block = self.matrix.block_of_scalar(row);
            let key = unknown.iter().position(|unknown| *unknown == block).map(|pose| keys[pose].to_string());
            Error::compute("chordal initialization", format!("the edges do not determine {}", key.unwrap_or_default()))
        })
    }

    fn solve(&mut self) {
        self.cholesky.solve_in_place(&mut self.right_side);
    }

    fn solution(&self, unknown: usize) -> &[f64] {
        let offset = self.matrix.offset_of(unknown);
        &self.right_side[offset..offset + self.dim]
    }
}

/// The rotation nearest to a matrix: `U diag(1, 1, det(U Vᵀ)) Vᵀ` of its singular value decomposition.
fn nearest_rotation(matrix: &Matrix3<f64>, key: Key) -> Result<So3> {
    let refuse = || Error::compute("chordal initialization", format!("the relaxed rotation of {key} has no direction"));
    let svd = matrix.svd(true, true);
    let (mut u, v_t) = svd.u.zip(svd.v_t).ok_or_else(refuse)?;
    if (u * v_t).determinant() < 0.0 {
        u.column_mut(2).neg_mut();
    }
    So3::from_matrix(&(u * v_t), 1e-6).ok_or_else(refuse)
}
