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

    /// The first row whose pivot is less than `share` of the matrix's entry on the diagonal there.
    pub fn first_pivot_below(&self, share: f64, diagonal: &[f64]) -> Option<usize> {
        let factor = supernodal::SupernodalLltRef::new(&self.symbolic, &self.factor);
        let rows = (0..self.symbolic.n_supernodes()).flat_map(|number| {
            let supernode = factor.supernode(number);
            let columns = 0..supernode.val().ncols();
            columns.map(move |column| (supernode.start() + column, supernode.val()[(column, column)].powi(2)))
        });
        rows.filter(|(row, pivot)| *pivot < share * diagonal[*row]).map(|(row, _)| row).next()
    }

    /// Solves `L X = B` for `count` columns, in place, in the order of the matrix's scalars.
    ///
    /// # Errors
    /// When memory is exhausted.
    pub fn solve_lower_in_place(&mut self, columns: &mut [f64], count: usize) -> Result<()> {
        let request = self.symbolic.solve_in_place_scratch::<f64>(count, Par::Seq);
        let mut scratch = buffer(request)?;
        let factor = supernodal::SupernodalLltRef::new(&self.symbolic, &self.factor);
        let columns = MatMut::from_column_major_slice_mut(columns, self.symbolic.nrows(), count);
        factor.l_solve_with_conj(Conj::No, columns, Par::Seq, MemStack::new(&mut scratch));
        Ok(())
    }

    /// Solves `L Lᵀ x = b`, in place, in the order of the matrix's scalars.
    pub fn solve_in_place(&mut self, vector: &mut [f64]) {
        let rows = vector.len();
        let factor = supernodal::SupernodalLltRef::new(&self.symbolic, &self.factor);
        let vector = MatMut::from_column_major_slice_mut(vector, rows, 1);
        factor.solve_in_place_with_conj(Conj::No, vector, Par::Seq, MemStack::new(&mut self.scratch));
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
