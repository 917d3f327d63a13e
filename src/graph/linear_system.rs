//! The normal equations of a graph: assembled, damped, factorized and solved in place.
//!
//! Linearized at the present variables, the cost is `½ ‖r + J δ‖²`, and its minimum solves `H δ = -g` with `H = JᵀJ` and
//! `g = Jᵀr`. Where factors go, the ordering and the symbolic factorization are computed once per structure. All buffers
//! live here and are used again: an optimization of a structure that was seen before allocates little more than the
//! index by which it is recognized.

use nalgebra::DMatrix;

use super::assembly::Assembly;
use super::block_matrix::BlockMatrix;
use super::cholesky::SparseCholesky;
use super::index::Index;
use super::{FactorGraph, Values, Variable};
use crate::Result;

/// A pivot below this share of its diagonal entry is rounding: what is left of an entry from which all was taken.
const LEAST_PIVOT: f64 = 1e-12;

/// The linear system of a graph, with its structure.
#[derive(Debug)]
pub(super) struct LinearSystem {
    index: Index,
    pairs: Vec<(u32, u32)>,
    matrix: BlockMatrix,
    cholesky: SparseCholesky,
    assembly: Assembly,
    diagonal_positions: Vec<usize>,
    /// The undamped diagonal of `H`, `g`, and the solution `δ`, in the order of elimination.
    pub diagonal: Vec<f64>,
    pub gradient: Vec<f64>,
    pub step: Vec<f64>,
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
            return self.assembly.points.resolve(graph, values);
        }
        if index.dim_of_block != self.index.dim_of_block || index.pairs() != self.pairs {
            *self = Self::from_index(index, graph, values)?;
            return Ok(());
        }
        index.check_anchors(values.keys())?;
        self.index = index;
        self.assembly.lay_out(graph, &self.index, &self.matrix);
        self.assembly.points.resolve(graph, values)
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
            assembly: Assembly::default(),
        };
        system.assembly.lay_out(graph, &system.index, &system.matrix);
        system.assembly.points.resolve(graph, values)?;
        Ok(system)
    }

    /// The cost at the variables, in the order of the values that the system was made for.
    ///
    /// # Errors
    /// When a variable is of another kind than a factor needs.
    pub fn cost(&mut self, graph: &FactorGraph, variables: &[Variable]) -> Result<f64> {
        self.assembly.cost(graph, &self.index, variables)
    }

    /// Assembles `H` and `g` at the variables; returns the cost there.
    ///
    /// # Errors
    /// When a variable is of another kind than a factor needs, or the cost is not finite.
    pub fn linearize(&mut self, graph: &FactorGraph, variables: &[Variable]) -> Result<f64> {
        self.matrix.values_mut().fill(0.0);
        self.gradient.fill(0.0);
        let (gradient, matrix) = (&mut self.gradient, Some(&mut self.matrix));
        let cost = self.assembly.assemble(graph, &self.index, variables, gradient, matrix)?;
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
        self.gradient.fill(0.0);
        self.assembly.assemble(graph, &self.index, variables, &mut self.gradient, None)
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
        match self.assembly.offset_of_slot[slot] {
            u32::MAX => 0..0,
            offset => offset as usize..offset as usize + usize::from(self.index.dim_of_slot[slot]),
        }
    }

    /// The block of the factorized matrix's inverse of these scalar rows, column-major.
    pub fn inverse_block(&self, rows: &[usize]) -> Vec<f64> {
        self.cholesky.inverse_block(rows)
    }

    /// The blocks of the factorized matrix's inverse of several variables, each given by its rows
    /// ([`LinearSystem::rows_of_slot`]).
    ///
    /// # Errors
    /// When a pivot is zero.
    pub fn inverse_blocks(&self, rows: &[std::ops::Range<usize>]) -> Result<Vec<DMatrix<f64>>> {
        self.cholesky.inverse_blocks(rows)
    }

    /// `xᵀ H x`, with the damping of the last factorization.
    pub fn curvature(&self, x: &[f64]) -> f64 {
        self.matrix.quadratic_form(x)
    }

    /// The variables moved by the step; held ones stay.
    pub fn retract(&self, variables: &[Variable], moved: &mut Vec<Variable>) {
        moved.clear();
        moved.extend(variables.iter().zip(&self.assembly.offset_of_slot).map(|(variable, offset)| match *offset {
            u32::MAX => *variable,
            offset => variable.retract(&self.step[offset as usize..]),
        }));
    }
}
