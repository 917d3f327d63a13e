//! The normal equations of a graph: assembled, damped, factorized and solved in place.
//!
//! Linearized at the present variables, the cost is `½ ‖r + J δ‖²`, and its minimum solves `H δ = -g` with `H = JᵀJ` and
//! `g = Jᵀr`. The blocks of `H` that a factor adds to are looked up once per structure (*targets*); so are the ordering
//! and the symbolic factorization. All buffers live here and are used again, so that an optimization of a structure that
//! was seen before allocates nothing that grows with the graph.

use super::block_matrix::BlockMatrix;
use super::cholesky::SparseCholesky;
use super::factor::Arguments;
use super::index::{HELD, Index};
use super::linearization_points::LinearizationPoints;
use super::{FactorGraph, Values, Variable};
use crate::Result;

/// A pivot below this share of its diagonal entry is rounding: what is left of an entry from which all was taken.
const LEAST_PIVOT: f64 = 1e-12;

/// A block of `H` that a factor adds `J_rowᵀ J_column` to.
#[derive(Clone, Copy, Debug)]
struct Target {
    start: u32,
    stride: u32,
    /// Positions of the two variables among the factor's keys.
    row: u8,
    column: u8,
}

/// The linear system of a graph, with its structure.
#[derive(Debug)]
pub(super) struct LinearSystem {
    index: Index,
    pairs: Vec<(u32, u32)>,
    matrix: BlockMatrix,
    cholesky: SparseCholesky,
    targets: Vec<Target>,
    /// Where each factor's targets begin, and their number at the end.
    target_start: Vec<u32>,
    diagonal_positions: Vec<usize>,
    /// First scalar of each slot's variable in gradient and step; unused for held ones.
    offset_of_slot: Vec<u32>,
    /// The undamped diagonal of `H`, `g`, and the solution `δ`, in the order of elimination.
    pub diagonal: Vec<f64>,
    pub gradient: Vec<f64>,
    pub step: Vec<f64>,
    points: LinearizationPoints,
    residual: Vec<f64>,
    jacobian: Vec<f64>,
    /// The Jacobian in row-major order.
    transposed: Vec<f64>,
    /// First column and number of columns of each variable in the Jacobian.
    spans: Vec<(usize, usize)>,
}

impl LinearSystem {
    /// The system of a graph, not yet linearized.
    ///
    /// # Errors
    /// When the graph and the values do not fit together, or variables are tied to nothing.
    pub fn new(graph: &FactorGraph, values: &Values) -> Result<Self> {
        Self::from_index(Index::new(graph, values)?, graph, values)
    }

    /// Makes this the system of another graph, keeping what is the same: everything, or ordering and symbolic
    /// factorization, or nothing.
    ///
    /// # Errors
    /// As [`LinearSystem::new`].
    pub fn prepare(&mut self, graph: &FactorGraph, values: &Values) -> Result<()> {
        let index = Index::new(graph, values)?;
        if index == self.index {
            return self.points.resolve(graph, values);
        }
        if index.dim_of_block != self.index.dim_of_block || index.pairs() != self.pairs {
            *self = Self::from_index(index, graph, values)?;
            return Ok(());
        }
        index.check_anchors(values.keys())?;
        self.index = index;
        self.lay_out_targets(graph);
        self.points.resolve(graph, values)
    }

    fn from_index(index: Index, graph: &FactorGraph, values: &Values) -> Result<Self> {
        index.check_anchors(values.keys())?;
        let pairs = index.pairs();
        let matrix = BlockMatrix::new(&index.dim_of_block, &pairs)?;
        let rows = matrix.scalar_count();
        let mut system = Self {
            cholesky: SparseCholesky::new(&matrix)?,
            diagonal_positions: matrix.diagonal_positions(),
            diagonal: vec![0.0; rows],
            gradient: vec![0.0; rows],
            step: vec![0.0; rows],
            index,
            pairs,
            matrix,
            targets: Vec::new(),
            target_start: Vec::new(),
            offset_of_slot: Vec::new(),
            points: LinearizationPoints::default(),
            residual: Vec::new(),
            jacobian: Vec::new(),
            transposed: Vec::new(),
            spans: Vec::new(),
        };
        system.lay_out_targets(graph);
        system.points.resolve(graph, values)?;
        Ok(system)
    }

    fn lay_out_targets(&mut self, graph: &FactorGraph) {
        let (index, matrix) = (&self.index, &self.matrix);
        self.targets.clear();
        self.target_start.clear();
        self.target_start.push(0);
        let (mut longest, mut largest) = (0, 0);
        for (number, factor) in graph.factors().iter().enumerate() {
            let slots = index.slots(number);
            let blocks = || slots.iter().map(|slot| index.block_of_slot[*slot as usize]).enumerate();
            for (row, row_block) in blocks().filter(|(_, block)| *block != HELD) {
                for (column, column_block) in blocks().take(row + 1).filter(|(_, block)| *block != HELD) {
                    let Some(place) = matrix.place(row_block as usize, column_block as usize) else { continue };
                    let (row, column) = if place.transposed { (column, row) } else { (row, column) };
                    let (start, stride) = (place.start as u32, place.stride as u32);
                    self.targets.push(Target { start, stride, row: row as u8, column: column as u8 });
                }
            }
            self.target_start.push(self.targets.len() as u32);
            let columns: usize = slots.iter().map(|slot| usize::from(index.dim_of_slot[*slot as usize])).sum();
            longest = longest.max(factor.dim());
            largest = largest.max(factor.dim() * columns);
        }
        self.residual.resize(longest, 0.0);
        self.jacobian.resize(largest, 0.0);
        self.transposed.resize(largest, 0.0);
        let offset = |block: &u32| if *block == HELD { u32::MAX } else { matrix.offset_of(*block as usize) as u32 };
        self.offset_of_slot.clear();
        self.offset_of_slot.extend(index.block_of_slot.iter().map(offset));
    }

    /// The cost at the variables, in the order of the values that the system was made for.
    ///
    /// # Errors
    /// When a variable is of another kind than a factor needs.
    pub fn cost(&mut self, graph: &FactorGraph, variables: &[Variable]) -> Result<f64> {
        let mut sum = 0.0;
        for (number, factor) in graph.factors().iter().enumerate() {
            let at = Arguments::new(factor.keys(), variables, self.index.slots(number));
            let residual = &mut self.residual[..factor.dim()];
            factor.evaluate(&at, residual, None)?;
            let square = square(residual);
            sum += factor.robust().map_or(square, |kernel| kernel.cost(square));
        }
        Ok(0.5 * sum)
    }

    /// Assembles `H` and `g` at the variables; returns the cost there.
    ///
    /// # Errors
    /// When a variable is of another kind than a factor needs, or the cost is not finite.
    pub fn linearize(&mut self, graph: &FactorGraph, variables: &[Variable]) -> Result<f64> {
        self.matrix.values_mut().fill(0.0);
        let cost = self.assemble(graph, variables, true)?;
        for (diagonal, position) in self.diagonal.iter_mut().zip(&self.diagonal_positions) {
            *diagonal = self.matrix.values()[*position];
        }
        Ok(cost)
    }

    /// Assembles `g` alone; `H`, its diagonal and its factorization stay those of earlier variables.
    ///
    /// # Errors
    /// As [`LinearSystem::linearize`].
    pub fn linearize_gradient(&mut self, graph: &FactorGraph, variables: &[Variable]) -> Result<f64> {
        self.assemble(graph, variables, false)
    }

    fn assemble(&mut self, graph: &FactorGraph, variables: &[Variable], with_matrix: bool) -> Result<f64> {
        self.gradient.fill(0.0);
        self.points.follow(variables);
        let mut sum = 0.0;
        for (number, factor) in graph.factors().iter().enumerate() {
            let slots = self.index.slots(number);
            let dim = factor.dim();
            let columns: usize = slots.iter().map(|slot| usize::from(self.index.dim_of_slot[*slot as usize])).sum();
            let (residual, jacobian) = (&mut self.residual[..dim], &mut self.jacobian[..dim * columns]);
            sum += self.points.evaluate(factor.as_ref(), variables, slots, residual, jacobian)?;
            self.add(number, dim, columns, with_matrix);
        }
        Ok(sum)
    }

    /// Adds the residual and Jacobian in the buffers to `g` and, if asked, to `H`.
    fn add(&mut self, factor: usize, dim: usize, columns: usize, with_matrix: bool) {
        let slots = self.index.slots(factor);
        let mut first = 0;
        self.spans.clear();
        for slot in slots {
            let width = usize::from(self.index.dim_of_slot[*slot as usize]);
            self.spans.push((first, width));
            let offset = self.offset_of_slot[*slot as usize];
            if offset != u32::MAX {
                let block = &self.jacobian[dim * first..dim * (first + width)];
                let gradient = &mut self.gradient[offset as usize..offset as usize + width];
                for (entry, column) in gradient.iter_mut().zip(block.chunks_exact(dim)) {
                    *entry += column.iter().zip(&self.residual).map(|(a, b)| a * b).sum::<f64>();
                }
            }
            first += width;
        }
        if !with_matrix {
            return;
        }
        for (column, entries) in self.jacobian[..dim * columns].chunks_exact(dim).enumerate() {
            for (row, entry) in entries.iter().enumerate() {
                self.transposed[row * columns + column] = *entry;
            }
        }
        let range = self.target_start[factor] as usize..self.target_start[factor + 1] as usize;
        for target in &self.targets[range] {
            let ((row, height), (column, width)) =
                (self.spans[usize::from(target.row)], self.spans[usize::from(target.column)]);
            let a = &self.transposed[row..dim * columns];
            let b = &self.jacobian[dim * column..dim * (column + width)];
            let (values, stride) = (&mut self.matrix.values_mut()[target.start as usize..], target.stride as usize);
            // The two sizes that variables have.
            match height {
                6 => add_product::<6>(a, columns, b, dim, values, stride),
                _ => add_product::<3>(a, columns, b, dim, values, stride),
            }
        }
    }

    /// Factorizes `H + diag(damping)`.
    ///
    /// # Errors
    /// The slot of the variable at which it turns out not to be positive definite.
    pub fn factorize(&mut self, damping: impl Fn(f64) -> f64) -> std::result::Result<(), usize> {
        for (position, diagonal) in self.diagonal_positions.iter().zip(&self.diagonal) {
            self.matrix.values_mut()[*position] = diagonal + damping(*diagonal);
        }
        let slot = |row| self.index.slot_of_block[self.matrix.block_of_scalar(row)] as usize;
        self.cholesky.factorize(&self.matrix).map_err(slot)
    }

    /// Solves for the step: `δ = -(factorized matrix)⁻¹ g`.
    pub fn solve(&mut self) {
        for (step, gradient) in self.step.iter_mut().zip(&self.gradient) {
            *step = -gradient;
        }
        self.cholesky.solve_in_place(&mut self.step);
    }

    /// As [`LinearSystem::factorize`] without damping, and it also refuses a matrix that is singular up to rounding.
    ///
    /// # Errors
    /// The slot of the variable that the factors do not determine.
    pub fn factorize_exactly(&mut self) -> std::result::Result<(), usize> {
        self.factorize(|_| 0.0)?;
        let row = self.cholesky.smallest_pivot_below(LEAST_PIVOT, &self.diagonal);
        row.map_or(Ok(()), |row| Err(self.index.slot_of_block[self.matrix.block_of_scalar(row)] as usize))
    }

    /// The scalar rows of a slot's variable; none if it is held.
    pub fn rows_of_slot(&self, slot: usize) -> std::ops::Range<usize> {
        match self.offset_of_slot[slot] {
            u32::MAX => 0..0,
            offset => offset as usize..offset as usize + usize::from(self.index.dim_of_slot[slot]),
        }
    }

    /// The block of the factorized matrix's inverse of these scalar rows, column-major.
    pub fn inverse_block(&self, rows: &[usize]) -> Vec<f64> {
        self.cholesky.inverse_block(rows)
    }

    /// `xᵀ H x`, with the damping of the last factorization.
    pub fn curvature(&self, x: &[f64]) -> f64 {
        self.matrix.quadratic_form(x)
    }

    /// The variables moved by the step; held ones stay.
    pub fn retract(&self, variables: &[Variable], moved: &mut Vec<Variable>) {
        moved.clear();
        moved.extend(variables.iter().zip(&self.offset_of_slot).map(|(variable, offset)| match *offset {
            u32::MAX => *variable,
            offset => variable.retract(&self.step[offset as usize..]),
        }));
    }
}

fn square(residual: &[f64]) -> f64 {
    residual.iter().map(|entry| entry * entry).sum()
}

/// `values += AᵀB` for two blocks of a Jacobian with `dim` rows: `A`, `P` columns wide, in the transposed Jacobian's
/// rows, which are `columns` long; `B` as it is, column by column. The innermost loop runs along a column of the product
/// with a width that the compiler knows.
fn add_product<const P: usize>(a: &[f64], columns: usize, b: &[f64], dim: usize, values: &mut [f64], stride: usize) {
    for (column, b) in b.chunks_exact(dim).enumerate() {
        let mut sum = [0.0; P];
        for (row, factor) in a.chunks(columns).zip(b) {
            sum.iter_mut().zip(&row[..P]).for_each(|(sum, entry)| *sum += entry * factor);
        }
        let values = &mut values[column * stride..column * stride + P];
        values.iter_mut().zip(sum).for_each(|(value, sum)| *value += sum);
    }
}
