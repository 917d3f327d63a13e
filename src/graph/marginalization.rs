//! Marginalization of a stacked linear system, in square-root form.
//!
//! The rows `[J_m J_k | r]` of some factors, whitened, say about the variables `m` that leave and `k` that stay that
//! `½ ‖r + J_m δ_m + J_k δ_k‖²` is small. Orthogonal transformations of the rows change nothing of that. Those that make
//! `J_m` triangular leave below it rows in which `m` has no part: they are the marginal of `k`. It is the Schur complement
//! of the normal equations without forming them: no square of the condition number, positive semidefinite by its form
//! (Demmel, Schubert, Sommer, Cremers and Usenko 2021, "Square Root Marginalization for Sliding-Window Bundle
//! Adjustment").
//!
//! A second pass makes `J_k` triangular and drops the rows that only hold a constant. In both passes columns are taken
//! by the largest share of their length that is left, and a column of which less than [`LEAST_SHARE`] is left says nothing
//! new: what `m` has no information about is not divided by, and what is unobservable stays so.

use crate::{Error, Result};

/// A column of which less than this share of its first length is left depends on the others. Rounding leaves about 1e-15.
/// A variable's standard deviation alone may be 1e10 times that given its neighbours before its information is dropped.
const LEAST_SHARE: f64 = 1e-10;

/// Rows of a whitened linear system, column-major; the last column is the residual.
#[derive(Clone, Debug)]
pub(super) struct StackedSystem {
    rows: usize,
    /// Columns of unknowns.
    unknowns: usize,
    entries: Vec<f64>,
}

/// What is left of a system: `‖r + J δ‖²` with as few rows as its rank.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SquareRootMarginal {
    /// `r`; empty when nothing is known.
    pub residual: Vec<f64>,
    /// `J`, column-major.
    pub jacobian: Vec<f64>,
}

impl StackedSystem {
    /// A system of zeros.
    pub fn zeros(rows: usize, unknowns: usize) -> Self {
        Self { rows, unknowns, entries: vec![0.0; rows * (unknowns + 1)] }
    }

    /// Writes entries of one column of an unknown from row `row` on.
    pub fn write(&mut self, row: usize, unknown: usize, entries: &[f64]) {
        let start = unknown * self.rows + row;
        self.entries[start..start + entries.len()].copy_from_slice(entries);
    }

    /// Writes residuals from row `row` on.
    pub fn write_residual(&mut self, row: usize, residual: &[f64]) {
        self.write(row, self.unknowns, residual);
    }

    /// What the system says about all but its first `leaving` unknowns.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn marginalize(mut self, leaving: usize) -> Result<SquareRootMarginal> {
        if !self.entries.iter().all(|entry| entry.is_finite()) {
            return Err(Error::message("linearized factors", "finite numbers", "one that is not"));
        }
        let lengths: Vec<f64> = (0..self.unknowns).map(|column| self.norm(column, 0)).collect();
        let mut unknown_of: Vec<usize> = (0..self.unknowns).collect();
        let first = self.triangularize(0..leaving, 0, &lengths, &mut unknown_of);
        let end = self.triangularize(leaving..self.unknowns, first, &lengths, &mut unknown_of);
        let mut jacobian = vec![0.0; (end - first) * (self.unknowns - leaving)];
        if end > first {
            for (column, unknown) in unknown_of.iter().enumerate().skip(leaving) {
                let start = (unknown - leaving) * (end - first);
                jacobian[start..start + end - first].copy_from_slice(self.column(column, first, end));
            }
        }
        Ok(SquareRootMarginal { residual: self.column(self.unknowns, first, end).to_vec(), jacobian })
    }

    /// Householder reflections from row `row` on that make these columns triangular, the largest first (Golub and Van
    /// Loan, algorithm 5.4.1, with lengths computed anew); returns the row after the last one used.
    fn triangularize(
        &mut self,
        columns: std::ops::Range<usize>,
        mut row: usize,
        lengths: &[f64],
        unknown_of: &mut [usize],
    ) -> usize {
        for column in columns.clone() {
            let share = |other: &usize| self.norm(*other, row) / lengths[unknown_of[*other]].max(f64::MIN_POSITIVE);
            let shares = (column..columns.end).map(|other| (other, share(&other)));
            let Some((largest, share)) = shares.max_by(|one, other| one.1.total_cmp(&other.1)) else { break };
            if share < LEAST_SHARE || row == self.rows {
                break;
            }
            self.swap(column, largest);
            unknown_of.swap(column, largest);
            self.reflect(column, row);
            row += 1;
        }
        row
    }

    /// Turns the part of a column from row `row` on into one number, and all columns behind it alike.
    fn reflect(&mut self, column: usize, row: usize) {
        let (before, behind) = self.entries.split_at_mut((column + 1) * self.rows);
        let normal = &mut before[column * self.rows + row..];
        let length = normal.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
        let image = if normal[0] > 0.0 { -length } else { length };
        normal[0] -= image;
        // ‖normal‖² = 2 image (image - first)
        let scale = -1.0 / (image * normal[0]);
        for other in behind.chunks_exact_mut(self.rows) {
            let other = &mut other[row..];
            let share = scale * normal.iter().zip(other.iter()).map(|(a, b)| a * b).sum::<f64>();
            other.iter_mut().zip(normal.iter()).for_each(|(entry, normal)| *entry -= share * normal);
        }
        normal.fill(0.0);
        normal[0] = image;
    }

    fn swap(&mut self, one: usize, other: usize) {
        for row in 0..self.rows {
            self.entries.swap(one * self.rows + row, other * self.rows + row);
        }
    }

    fn column(&self, column: usize, from: usize, to: usize) -> &[f64] {
        &self.entries[column * self.rows + from..column * self.rows + to]
    }

    /// Length of a column from a row on.
    fn norm(&self, column: usize, row: usize) -> f64 {
        self.column(column, row, self.rows).iter().map(|entry| entry * entry).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use proptest::prelude::*;

    use super::*;

    fn stacked(jacobian: &DMatrix<f64>, residual: &DVector<f64>) -> StackedSystem {
        let mut system = StackedSystem::zeros(jacobian.nrows(), jacobian.ncols());
        for (unknown, column) in jacobian.column_iter().enumerate() {
            system.write(0, unknown, column.as_slice());
        }
        system.write_residual(0, residual.as_slice());
        system
    }

    /// Information and gradient of what is left.
    fn marginal(jacobian: &DMatrix<f64>, residual: &DVector<f64>, leaving: usize) -> (DMatrix<f64>, DVector<f64>) {
        let left = stacked(jacobian, residual).marginalize(leaving).unwrap();
        let staying = jacobian.ncols() - leaving;
        assert!(left.residual.len() <= staying && left.jacobian.len() == left.residual.len() * staying);
        let rows = DMatrix::from_column_slice(left.residual.len(), staying, &left.jacobian);
        (rows.tr_mul(&rows), rows.tr_mul(&DVector::from_vec(left.residual)))
    }

    /// The same by the Schur complement of the normal equations, `Bᵀ(I - A A⁺)B`, with a basis of what A reaches: that of
    /// `AᵀA` loses half of the digits.
    fn schur(jacobian: &DMatrix<f64>, residual: &DVector<f64>, leaving: usize) -> (DMatrix<f64>, DVector<f64>) {
        let svd = jacobian.columns(0, leaving).into_owned().svd(true, false);
        let reached = svd.singular_values.iter().filter(|value| **value > 1e-9).count();
        let basis = svd.u.unwrap().columns(0, reached).into_owned();
        let beyond = DMatrix::identity(jacobian.nrows(), jacobian.nrows()) - &basis * basis.transpose();
        let staying = jacobian.columns(leaving, jacobian.ncols() - leaving);
        let kept = beyond * staying;
        (kept.tr_mul(&kept), kept.tr_mul(residual))
    }

    fn systems() -> impl Strategy<Value = (DMatrix<f64>, DVector<f64>, usize)> {
        (1usize..30, 1usize..7, 0usize..7).prop_flat_map(|(rows, leaving, staying)| {
            let entries = prop::collection::vec(-3.0..3.0f64, rows * (leaving + staying + 1));
            entries.prop_map(move |entries| {
                let (jacobian, residual) = entries.split_at(rows * (leaving + staying));
                let jacobian = DMatrix::from_column_slice(rows, leaving + staying, jacobian);
                (jacobian, DVector::from_column_slice(residual), leaving)
            })
        })
    }

    proptest! {
        #[test]
        fn it_is_the_schur_complement((jacobian, residual, leaving) in systems()) {
            let (found, expected) = (marginal(&jacobian, &residual, leaving), schur(&jacobian, &residual, leaving));
            prop_assert!((found.0 - &expected.0).amax() < 1e-6 && (found.1 - &expected.1).amax() < 1e-6);
        }

        /// A unit of a column may be anything, and what leaves may be tied to itself only.
        #[test]
        fn units_and_dependent_columns_do_not_matter(
            (mut jacobian, residual, leaving) in systems(),
            exponent in -8.0..8.0f64,
        ) {
            let expected = marginal(&jacobian, &residual, leaving);
            let unit = 10f64.powf(exponent);
            jacobian.column_mut(0).scale_mut(unit);
            let copy = jacobian.insert_column(0, 0.0);
            let mut jacobian = copy;
            let twice = 2.0 * jacobian.column(1);
            jacobian.set_column(0, &twice);
            let found = marginal(&jacobian, &residual, leaving + 1);
            prop_assert!((found.0 - expected.0).amax() < 1e-8 && (found.1 - expected.1).amax() < 1e-8);
        }
    }

    #[test]
    fn what_only_ties_the_leaving_to_the_staying_leaves_nothing() {
        // x1 - x0 = 1 and x2 - x1 = 2, twice with other noise: without x0 nothing is known of x1 alone, but x2 - x1 is.
        let jacobian = DMatrix::from_row_slice(3, 3, &[-1e4, 1e4, 0.0, 0.0, -1.0, 1.0, 0.0, -3.0, 3.0]);
        let residual = DVector::from_row_slice(&[-1e4, -2.0, -6.0]);
        let left = stacked(&jacobian, &residual).marginalize(1).unwrap();
        assert_eq!(left.residual.len(), 1);
        assert!((left.jacobian[0] + left.jacobian[1]).abs() < 1e-14, "{left:?}");
        assert!((left.jacobian[0].abs() - 10f64.sqrt()).abs() < 1e-14, "{left:?}");
        let nothing = stacked(&jacobian, &residual).marginalize(2).unwrap();
        assert_eq!(nothing, SquareRootMarginal { residual: vec![], jacobian: vec![] });
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let jacobian = DMatrix::from_element(2, 2, f64::INFINITY);
        let text = stacked(&jacobian, &DVector::zeros(2)).marginalize(1).unwrap_err().to_string();
        assert_eq!(text, "linearized factors: expected finite numbers, found one that is not");
    }
}
