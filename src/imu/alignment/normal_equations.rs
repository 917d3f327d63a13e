//! A small dense linear least-squares problem, collected equation by equation.

use nalgebra::{DMatrix, DVector, Dyn, SMatrix, SVector};

/// `minimize Σ (known - Σ by_block · block)ᵀ weight (known - Σ by_block · block)` as normal equations.
pub(super) struct NormalEquations {
    information: DMatrix<f64>,
    vector: DVector<f64>,
}

/// The solution and its covariance.
pub(super) struct Solution {
    unknowns: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl NormalEquations {
    /// No equations yet, for `size` unknowns.
    pub fn new(size: usize) -> Self {
        Self { information: DMatrix::zeros(size, size), vector: DVector::zeros(size) }
    }

    /// Adds `known = Σ derivative · unknowns[at..at + 3]` with a weight; `terms` are `(at, derivative)`.
    pub fn add<const R: usize>(
        &mut self,
        known: &SVector<f64, R>,
        terms: &[(usize, SMatrix<f64, R, 3>)],
        weight: &SMatrix<f64, R, R>,
    ) {
        for (row, left) in terms {
            let weighted = left.transpose() * weight;
            let mut part = self.vector.fixed_rows_mut::<3>(*row);
            part += weighted * known;
            for (column, right) in terms {
                let mut block = self.information.fixed_view_mut::<3, 3>(*row, *column);
                block += weighted * right;
            }
        }
    }

    /// Adds that three unknowns are about zero.
    pub fn add_prior(&mut self, at: usize, sigma: f64) {
        let zero = SVector::<f64, 3>::zeros();
        self.add(&zero, &[(at, SMatrix::identity())], &(SMatrix::identity() / (sigma * sigma)));
    }

    /// The solution; `None` when the equations leave something open.
    pub fn solve(self) -> Option<Solution> {
        let factor = nalgebra::Cholesky::<f64, Dyn>::new(self.information)?;
        Some(Solution { unknowns: factor.solve(&self.vector), covariance: factor.inverse() })
    }
}

impl Solution {
    /// The three unknowns at an index.
    pub fn at(&self, index: usize) -> SVector<f64, 3> {
        self.unknowns.fixed_rows::<3>(index).into_owned()
    }

    /// The largest standard deviation in any direction of the three unknowns at an index.
    pub fn sigma(&self, index: usize) -> f64 {
        let block: SMatrix<f64, 3, 3> = self.covariance.fixed_view::<3, 3>(index, index).into_owned();
        block.symmetric_eigenvalues().max().max(0.0).sqrt()
    }
}
