//! What the factors on variables that leave a graph say about those that stay, as one prior.

use std::collections::BTreeSet;
use std::ops::Range;

use super::factor::LinearPrior;
use super::linearization_points::LinearizationPoints;
use super::marginalization::StackedSystem;
use super::{FactorGraph, Key, Values, Variable};
use crate::Result;

/// The prior that stands for the factors at the positions `touched`, which are all that name a variable of `leaving`;
/// `None` when they say nothing about others.
///
/// Each is linearized at the values, or with the Jacobian at the graph's linearization points, and with its present
/// robust weight. The prior's points are those of the linearization, its residual at the values is theirs.
///
/// # Errors
/// When a variable is not there, or a residual or Jacobian is not finite.
pub(super) fn prior_of_leaving(
    graph: &FactorGraph,
    values: &Values,
    leaving: &BTreeSet<Key>,
    touched: &[usize],
) -> Result<Option<LinearPrior>> {
    let factors = || touched.iter().map(|position| graph.factors()[*position].as_ref());
    let named: BTreeSet<Key> = factors().flat_map(|factor| factor.keys()).copied().collect();
    let staying: Vec<Key> = named.difference(leaving).copied().collect();
    let mut columns = Columns::default();
    leaving.iter().try_for_each(|key| columns.append(*key, values))?;
    let leaving_columns = columns.count;
    staying.iter().try_for_each(|key| columns.append(*key, values))?;

    let mut system = StackedSystem::zeros(factors().map(|factor| factor.dim()).sum(), columns.count);
    let mut points = LinearizationPoints::default();
    points.resolve(graph, values)?;
    points.follow(values.variables());
    let mut row = 0;
    for factor in factors() {
        let (residual, jacobian) = points.linearize(factor, values)?;
        system.write_residual(row, &residual);
        let unknowns = factor.keys().iter().flat_map(|key| columns.of(*key));
        for (unknown, entries) in unknowns.zip(jacobian.chunks_exact(factor.dim())) {
            system.write(row, unknown, entries);
        }
        row += factor.dim();
    }
    let marginal = system.marginalize(leaving_columns)?;
    if marginal.residual.is_empty() {
        return Ok(None);
    }
    let point = |key: &Key| -> Result<(Key, Variable)> {
        let point = graph.linearization_points().get(key).copied();
        Ok((*key, point.unwrap_or(values.variables()[values.slot(*key)?])))
    };
    let points: Vec<(Key, Variable)> = staying.iter().map(point).collect::<Result<_>>()?;
    LinearPrior::with_residual_at(values, &points, marginal.residual, marginal.jacobian).map(Some)
}

/// The columns of a linear system by variable.
#[derive(Default)]
struct Columns {
    first: Vec<(Key, Range<usize>)>,
    count: usize,
}

impl Columns {
    fn append(&mut self, key: Key, values: &Values) -> Result<()> {
        let first = self.count;
        self.count += values.variables()[values.slot(key)?].dim();
        self.first.push((key, first..self.count));
        Ok(())
    }

    /// The columns of a variable; none if it has none.
    fn of(&self, key: Key) -> Range<usize> {
        self.first.iter().find(|(other, _)| *other == key).map_or(0..0, |(_, columns)| columns.clone())
    }
}
