//! The sparse Cholesky factorization of a [`BlockMatrix`], by faer: the only file that names it.
//!
//! The fill-reducing ordering is approximate minimum degree (Amestoy, Davis and Duff 1996) on the blocks, which are few,
//! not on their scalars. Rows that follow each other in it and share their pattern become supernodes, dense columns that
//! are worked on by dense kernels. Ordering and symbolic factorization belong to the structure and are kept for every
//! factorization of it. One thread.

use std::fmt;

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{LltError, LltRegularization};
use faer::sparse::linalg::amd;
use faer::sparse::linalg::cholesky::{simplicial, supernodal};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Spec};

use super::block_matrix::BlockMatrix;
use crate::{Error, Result};

/// The factor `L` of a positive definite block matrix `L Lᵀ`, with what is computed once per structure.
pub(super) struct SparseCholesky {
    /// Column starts and row numbers of the matrix's values.
    column_start: Vec<u32>,
    rows: Vec<u32>,
    symbolic: supernodal::SymbolicSupernodalCholesky<u32>,
    factor: Vec<f64>,
    scratch: MemBuffer,
}

impl fmt::Debug for SparseCholesky {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SparseCholesky").field("symbolic", &self.symbolic).finish_non_exhaustive()
    }
}

impl SparseCholesky {
    /// Analyses the structure of a matrix.
    ///
    /// # Errors
    /// When memory or the index range is exhausted.
    pub fn new(matrix: &BlockMatrix) -> Result<Self> {
        let (column_start, rows) = matrix.scalar_pattern();
        let symbolic = analyse(matrix)?;
        let request = supernodal::factorize_supernodal_numeric_llt_scratch::<u32, f64>(&symbolic, Par::Seq, params());
        let request = request.or(symbolic.solve_in_place_scratch::<f64>(1, Par::Seq));
        let factor = vec![0.0; symbolic.len_val()];
        Ok(Self { column_start, rows, symbolic, factor, scratch: buffer(request)? })
    }

    /// Factorizes the matrix's present values; its structure has to be the analysed one.
    ///
    /// # Errors
    /// The number of the first scalar row whose pivot is not positive: the matrix is not positive definite.
    pub fn factorize(&mut self, matrix: &BlockMatrix) -> std::result::Result<(), usize> {
        let rows = matrix.scalar_count();
        let pattern = SymbolicSparseColMatRef::new_unsorted_checked(rows, rows, &self.column_start, None, &self.rows);
        let lower = SparseColMatRef::new(pattern, matrix.values());
        let no_regularization =
            LltRegularization { dynamic_regularization_delta: 0.0, dynamic_regularization_epsilon: 0.0 };
        supernodal::factorize_supernodal_numeric_llt(
            &mut self.factor,
            lower,
            no_regularization,
            &self.symbolic,
            Par::Seq,
            MemStack::new(&mut self.scratch),
            params(),
        )
        .map(|_| ())
        .map_err(|LltError::NonPositivePivot { index }| index)
    }

    /// Solves `L Lᵀ x = b`, in place, in the order of the matrix's scalars.
    pub fn solve_in_place(&mut self, vector: &mut [f64]) {
        let rows = vector.len();
        let factor = supernodal::SupernodalLltRef::new(&self.symbolic, &self.factor);
        let vector = MatMut::from_column_major_slice_mut(vector, rows, 1);
        factor.solve_in_place_with_conj(Conj::No, vector, Par::Seq, MemStack::new(&mut self.scratch));
    }

    /// The first scalar row whose pivot is less than `share` of its diagonal entry before elimination: there the matrix is
    /// singular up to rounding, although the factorization went through.
    pub fn smallest_pivot_below(&self, share: f64, diagonal: &[f64]) -> Option<usize> {
        (0..self.symbolic.n_supernodes())
            .flat_map(|number| {
                let node = self.supernode(number);
                (0..node.width).map(move |column| (node.start + column, node.column(column)[column]))
            })
            .find(|(row, pivot)| pivot * pivot < share * diagonal[*row])
            .map(|(row, _)| row)
    }

    /// The block of `(L Lᵀ)⁻¹` of the given scalar rows, column-major: `YᵀY` with `Y = L⁻¹ E` for the unit vectors `E` of
    /// these rows. Only the supernodes from the rows up to the roots of the elimination tree are visited. `Y` is kept row
    /// by row, so that the innermost loops run along contiguous numbers.
    pub fn inverse_block(&self, rows: &[usize]) -> Vec<f64> {
        let (path, count) = (self.ancestors(rows), rows.len().max(1));
        let mut y = vec![0.0; self.symbolic.nrows() * count];
        rows.iter().enumerate().for_each(|(column, row)| y[row * count + column] = 1.0);
        let mut block = vec![0.0; rows.len() * rows.len()];
        for number in path {
            let node = self.supernode(number);
            node.eliminate(&mut y, count);
            for row in y[node.start * count..(node.start + node.width) * count].chunks_exact(count) {
                for (column, factor) in block.chunks_exact_mut(count).zip(row).filter(|(_, factor)| **factor != 0.0) {
                    column.iter_mut().zip(row).for_each(|(sum, entry)| *sum += factor * entry);
                }
            }
        }
        block
    }

    /// The supernodes of the rows and all of their ancestors in the elimination tree, ascending.
    fn ancestors(&self, rows: &[usize]) -> Vec<usize> {
        let mut path: Vec<usize> = Vec::new();
        for row in rows {
            let mut next = Some(self.owner(*row));
            while let Some(number) = next.filter(|number| !path.contains(number)) {
                path.push(number);
                next = self.supernode(number).below.first().map(|row| self.owner(*row as usize));
            }
        }
        path.sort_unstable();
        path
    }

    /// How many scalar rows there are.
    pub fn rows(&self) -> usize {
        self.symbolic.nrows()
    }

    /// How many supernodes there are.
    pub fn supernodes(&self) -> usize {
        self.symbolic.n_supernodes()
    }

    /// The supernode that a scalar row is a column of.
    pub fn owner(&self, row: usize) -> usize {
        self.symbolic.supernode_end().partition_point(|end| *end as usize <= row)
    }

    /// A supernode by its number; a parent has a larger number than its children.
    pub fn supernode(&self, number: usize) -> Supernode<'_> {
        let symbolic = &self.symbolic;
        let (start, end) = (symbolic.supernode_begin()[number] as usize, symbolic.supernode_end()[number] as usize);
        let first_row = symbolic.col_ptr_for_row_idx()[number] as usize;
        let below = &symbolic.row_idx()[first_row..first_row + symbolic.nnz_per_super()[number] as usize];
        let first = symbolic.col_ptr_for_val()[number] as usize;
        let height = end - start + below.len();
        Supernode { start, width: end - start, below, values: &self.factor[first..first + height * (end - start)] }
    }
}

/// Some columns of `L` with a common pattern: a dense lower triangle from row `start` on, then the rows `below`.
#[derive(Clone, Copy)]
pub(super) struct Supernode<'a> {
    pub start: usize,
    pub width: usize,
    pub below: &'a [u32],
    /// Column-major, `width` columns of `width + below.len()` entries; above the diagonal they mean nothing.
    pub values: &'a [f64],
}

impl<'a> Supernode<'a> {
    /// The scalar rows of its columns, then those below.
    pub fn rows(self) -> impl Iterator<Item = usize> + 'a {
        (self.start..self.start + self.width).chain(self.below.iter().map(|row| *row as usize))
    }

    fn column(&self, column: usize) -> &'a [f64] {
        let height = self.width + self.below.len();
        &self.values[column * height..(column + 1) * height]
    }

    /// This node's part of `X <- L⁻¹ X` for `count` columns, row by row.
    fn eliminate(&self, x: &mut [f64], count: usize) {
        for number in 0..self.width {
            let column = self.column(number);
            let (above, behind) = x.split_at_mut((self.start + number + 1) * count);
            let solved = &mut above[(self.start + number) * count..];
            solved.iter_mut().for_each(|entry| *entry /= column[number]);
            if solved.iter().all(|entry| *entry == 0.0) {
                continue;
            }
            let inside = number + 1..self.width;
            let below = self.below.iter().map(|row| *row as usize - self.start);
            for (row, factor) in inside.chain(below).zip(&column[number + 1..]) {
                let first = (row - number - 1) * count;
                let entries = &mut behind[first..first + count];
                entries.iter_mut().zip(solved.iter()).for_each(|(entry, solved)| *entry -= factor * solved);
            }
        }
    }
}

fn params() -> Spec<faer::linalg::cholesky::llt::factor::LltParams, f64> {
    Spec::default()
}

fn buffer(request: StackReq) -> Result<MemBuffer> {
    MemBuffer::try_new(request).map_err(|_| Error::compute("sparse Cholesky", "memory is exhausted"))
}

/// Elimination tree, column counts and supernodes.
fn analyse(matrix: &BlockMatrix) -> Result<supernodal::SymbolicSupernodalCholesky<u32>> {
    let failed = |reason| Error::compute("symbolic Cholesky", reason);
    let rows = matrix.scalar_count();
    let (column_start, row_numbers) = matrix.scalar_upper_pattern();
    let upper = SymbolicSparseColMatRef::new_unsorted_checked(rows, rows, &column_start, None, &row_numbers);
    let request = simplicial::prefactorize_symbolic_cholesky_scratch::<u32>(rows, row_numbers.len());
    let request = request.or(supernodal::factorize_supernodal_symbolic_cholesky_scratch::<u32>(rows));
    let mut scratch = buffer(request)?;
    let (mut tree, mut counts) = (vec![0i32; rows], vec![0u32; rows]);
    let tree = simplicial::prefactorize_symbolic_cholesky(&mut tree, &mut counts, upper, MemStack::new(&mut scratch));
    let stack = MemStack::new(&mut scratch);
    supernodal::factorize_supernodal_symbolic_cholesky(upper, tree, &counts, stack, Default::default()).map_err(failed)
}

/// The order in which to eliminate the nodes of a graph: node numbers by rank. `neighbours` holds, for every node, those
/// with a smaller number, from `start[node]` to `start[node + 1]`.
///
/// # Errors
/// When memory or the index range is exhausted.
pub(super) fn elimination_order(start: &[u32], neighbours: &[u32]) -> Result<Vec<u32>> {
    let nodes = start.len() - 1;
    let (mut forward, mut inverse) = (vec![0u32; nodes], vec![0u32; nodes]);
    let mut scratch = buffer(amd::order_maybe_unsorted_scratch::<u32>(nodes, neighbours.len()))?;
    let pattern = SymbolicSparseColMatRef::new_unsorted_checked(nodes, nodes, start, None, neighbours);
    let stack = MemStack::new(&mut scratch);
    amd::order_maybe_unsorted(&mut forward, &mut inverse, pattern, amd::Control::default(), stack)
        .map_err(|reason| Error::compute("elimination order", reason))?;
    Ok(forward)
}
