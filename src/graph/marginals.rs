//! How sure the graph is: exact covariances of chosen variables, without the inverse of the whole information matrix.
//!
//! With `H = L Lᵀ` the covariance of some rows is `(L⁻¹ E)ᵀ (L⁻¹ E)` for the unit vectors `E` of these rows: a triangular
//! solve per row that visits only their ancestors in the elimination tree. The covariances of a whole trajectory come from
//! one pass over `L` instead. A covariance is of the right perturbation of
//! its variable, `[translation (m), rotation (rad)]` in the axes of the body for a pose; robust kernels count with the
//! weight they have at the values.

use std::ops::Range;

use nalgebra::DMatrix;

use super::linear_system::LinearSystem;
use super::optimizer::prepare;
use super::{FactorGraph, Key, Optimizer, Values};
use crate::geometry::PoseCovariance;
use crate::{Error, Result};

/// Covariances at the values that it was made for.
#[derive(Debug)]
pub struct Marginals<'a> {
    system: &'a LinearSystem,
    values: &'a Values,
}

impl Optimizer {
    /// The marginal covariances of a graph at `values`, usually a minimum; uses the structure of the last optimization if
    /// it is the same.
    ///
    /// # Errors
    /// As [`Optimizer::optimize`], and when the factors leave a variable undetermined.
    pub fn marginals<'a>(&'a mut self, graph: &FactorGraph, values: &'a Values) -> Result<Marginals<'a>> {
        let system = prepare(&mut self.system, graph, values)?;
        system.linearize(graph, values.variables())?;
        system.factorize_exactly().map_err(|slot| {
            let reason = format!("indeterminate: the factors do not determine variable {}", values.keys()[slot]);
            Error::compute("marginal covariance", reason)
        })?;
        Ok(Marginals { system, values })
    }

    /// The marginal covariances that [`Optimizer::marginals`] found last, if nothing was optimized since and `values` are
    /// the same.
    pub(super) fn last_marginals<'a>(&'a self, values: &'a Values) -> Option<Marginals<'a>> {
        Some(Marginals { system: self.system.as_ref()?, values })
    }
}

impl Marginals<'_> {
    /// The covariance of one variable, in its tangent.
    ///
    /// # Errors
    /// When there is no such variable, or it is held.
    pub fn covariance(&self, key: Key) -> Result<DMatrix<f64>> {
        self.joint(&[key])
    }

    /// The covariance of a pose in space.
    ///
    /// # Errors
    /// As [`Marginals::covariance`], and when the variable is no pose in space or its covariance is degenerate.
    pub fn pose_covariance(&self, key: Key) -> Result<PoseCovariance> {
        of_pose(key, &self.covariance(key)?)
    }

    /// The covariances of many poses in space, in the order of `keys`: as [`Marginals::pose_covariance`] of each to
    /// rounding, in a time like that of one factorization.
    ///
    /// # Errors
    /// As [`Marginals::pose_covariance`].
    pub fn pose_covariances(&self, keys: &[Key]) -> Result<Vec<PoseCovariance>> {
        let rows: Vec<Range<usize>> = keys.iter().map(|key| self.rows(*key)).collect::<Result<_>>()?;
        let blocks = self.system.inverse_blocks(&rows)?;
        keys.iter().zip(&blocks).map(|(key, block)| of_pose(*key, block)).collect()
    }

    /// The joint covariance of several variables, their tangents one after the other in the order of `keys`.
    ///
    /// # Errors
    /// When there is no such variable, or it is held.
    pub fn joint(&self, keys: &[Key]) -> Result<DMatrix<f64>> {
        let mut rows = Vec::new();
        for key in keys {
            rows.extend(self.rows(*key)?);
        }
        Ok(DMatrix::from_vec(rows.len(), rows.len(), self.system.inverse_block(&rows)))
    }

    fn rows(&self, key: Key) -> Result<Range<usize>> {
        let rows = self.system.rows_of_slot(self.values.slot(key)?);
        if rows.is_empty() {
            return Err(Error::message(format!("variable {key}"), "one that is estimated", "one that is held fixed"));
        }
        Ok(rows)
    }
}

fn of_pose(key: Key, matrix: &DMatrix<f64>) -> Result<PoseCovariance> {
    if matrix.nrows() != 6 || !key.takes(super::VariableKind::Pose) {
        return Err(Error::message(format!("variable {key}"), "a pose in space", "another kind"));
    }
    PoseCovariance::new(&matrix.fixed_view::<6, 6>(0, 0).into())
}
