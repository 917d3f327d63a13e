//! The normal equations of a graph: assembled, damped, factorized and solved in place.
//!
//! Linearized at the present variables, the cost is `½ ‖r + J δ‖²`, and its minimum solves `H δ = -g` with `H = JᵀJ` and
//! `g = Jᵀr`. The blocks of `H` that a factor adds to are looked up once per structure (*targets*); so are the ordering
//! and the symbolic factorization. All buffers live here and are used again, so that an optimization of a structure that
//! was seen before allocates nothing that grows with the graph.

use nalgebra::SMatrix;

use super::block_matrix::BlockMatrix;
use super::cholesky::SparseCholesky;
use super::factor::Arguments;
use super::index::{HELD, Index};
use super::{FactorGraph, Values, Variable};
use crate::{Error, Result};

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
    residual: Vec<f64>,
    jacobian: Vec<f64>,
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
            return Ok(());
        }
        if index.dim_of_block != self.index.dim_of_block || index.pairs() != self.pairs {
            *self = Self::from_index(index, graph, values)?;
            return Ok(());
        }
        index.check_anchors(values.keys())?;
        self.index = index;
        self.lay_out_targets(graph);
        Ok(())
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
            residual: Vec::new(),
            jacobian: Vec::new(),
        };
        system.lay_out_targets(graph);
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
        let mut sum = 0.0;
        for (number, factor) in graph.factors().iter().enumerate() {
            let slots = self.index.slots(number);
            let at = Arguments::new(factor.keys(), variables, slots);
            let dim = factor.dim();
            let columns: usize = slots.iter().map(|slot| usize::from(self.index.dim_of_slot[*slot as usize])).sum();
            let (residual, jacobian) = (&mut self.residual[..dim], &mut self.jacobian[..dim * columns]);
            jacobian.fill(0.0);
            factor.evaluate(&at, residual, Some(jacobian))?;
            let square = square(residual);
            let cost = match factor.robust() {
                None => square,
                Some(kernel) => {
                    let scale = kernel.weight(square).sqrt();
                    residual.iter_mut().chain(jacobian.iter_mut()).for_each(|entry| *entry *= scale);
                    kernel.cost(square)
                }
            };
            if !cost.is_finite() {
                let found = format!("{cost} from {factor:?}");
                return Err(Error::message("cost of a factor", "a finite number", found));
            }
            sum += cost;
            self.add(number, dim, with_matrix);
        }
        Ok(0.5 * sum)
    }

    /// Adds the residual and Jacobian in the buffers to `g` and, if asked, to `H`.
    fn add(&mut self, factor: usize, dim: usize, with_matrix: bool) {
        let slots = self.index.slots(factor);
        let width = |position: usize| usize::from(self.index.dim_of_slot[slots[position] as usize]);
        let first_column = |position: usize| (0..position).map(width).sum::<usize>();
        let block = |position: usize| {
            let start = dim * first_column(position);
            &self.jacobian[start..start + dim * width(position)]
        };
        for (position, slot) in slots.iter().enumerate() {
            let offset = self.offset_of_slot[*slot as usize];
            if offset != u32::MAX {
                let gradient = &mut self.gradient[offset as usize..offset as usize + width(position)];
                for (entry, column) in gradient.iter_mut().zip(block(position).chunks_exact(dim)) {
                    *entry += column.iter().zip(&self.residual).map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
        if !with_matrix {
            return;
        }
        let range = self.target_start[factor] as usize..self.target_start[factor + 1] as usize;
        for target in &self.targets[range] {
            let (row, column) = (usize::from(target.row), usize::from(target.column));
            let values = &mut self.matrix.values_mut()[target.start as usize..];
            add_product(block(row), block(column), dim, (width(row), width(column)), values, target.stride as usize);
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

/// `values += AᵀB` for blocks `A`, `B` of a Jacobian with `dim` rows; common sizes are unrolled.
fn add_product(a: &[f64], b: &[f64], dim: usize, widths: (usize, usize), values: &mut [f64], stride: usize) {
    match (dim, widths) {
        (6, (6, 6)) => add_fixed_product::<6, 6, 6>(a, b, values, stride),
        (3, (3, 3)) => add_fixed_product::<3, 3, 3>(a, b, values, stride),
        _ => {
            for (column, b) in b.chunks_exact(dim).enumerate() {
                for (value, a) in values[column * stride..].iter_mut().zip(a.chunks_exact(dim)) {
                    *value += a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
    }
}

/// The same for sizes known at compile time.
fn add_fixed_product<const D: usize, const P: usize, const Q: usize>(
    a: &[f64],
    b: &[f64],
    values: &mut [f64],
    stride: usize,
) {
    let (a, b) = (SMatrix::<f64, D, P>::from_column_slice(a), SMatrix::<f64, D, Q>::from_column_slice(b));
    let product: SMatrix<f64, P, Q> = a.tr_mul(&b);
    for (column, product) in product.as_slice().chunks_exact(P).enumerate() {
        for (value, term) in values[column * stride..column * stride + P].iter_mut().zip(product) {
            *value += term;
        }
    }
}
