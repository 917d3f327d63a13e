//! Where Jacobians are taken when that is not the estimate: first-estimate Jacobians.
//!
//! A prior from marginalization keeps the Jacobians of factors that are gone. If the factors that stay are linearized
//! elsewhere, the sum knows directions that no measurement speaks of, and the covariance shrinks too far (Huang,
//! Mourikis and Roumeliotis 2009; Dong-Si and Mourikis 2012). A variable with a linearization point enters all Jacobians
//! there, and all residuals at its estimate.

use super::factor::Arguments;
use super::{Factor, FactorGraph, Key, Values, Variable};
use crate::{Error, Result};

/// The linearization points of a graph by slot.
#[derive(Debug, Default)]
pub(super) struct LinearizationPoints {
    points: Vec<(u32, Variable)>,
    is_point: Vec<bool>,
    /// All variables, those with a point of their own there.
    variables: Vec<Variable>,
}

impl LinearizationPoints {
    /// Looks up the slots of a graph's points.
    ///
    /// # Errors
    /// When there is no variable under the key of one.
    pub fn resolve(&mut self, graph: &FactorGraph, values: &Values) -> Result<()> {
        self.points.clear();
        self.is_point.clear();
        self.is_point.resize(values.len(), false);
        for (key, point) in graph.linearization_points() {
            let slot = values.slot(*key)?;
            self.points.push((slot as u32, *point));
            self.is_point[slot] = true;
        }
        Ok(())
    }

    /// Takes the estimates of all other variables.
    pub fn follow(&mut self, variables: &[Variable]) {
        if !self.points.is_empty() {
            self.variables.clear();
            self.variables.extend_from_slice(variables);
            self.points.iter().for_each(|(slot, point)| self.variables[*slot as usize] = *point);
        }
    }

    /// Where to take the Jacobian of a factor, if not at its estimates.
    fn at<'a>(&'a self, keys: &'a [Key], slots: &'a [u32]) -> Option<Arguments<'a>> {
        let differs = !self.points.is_empty() && slots.iter().any(|slot| self.is_point[*slot as usize]);
        differs.then(|| Arguments::new(keys, &self.variables, slots))
    }

    /// Linearizes one factor, with the weight of its robust kernel: residual and Jacobian as in [`Factor::evaluate`].
    ///
    /// # Errors
    /// When a variable is missing or of another kind than the factor needs, or its cost is not finite.
    pub fn linearize(&self, factor: &dyn Factor, values: &Values) -> Result<(Vec<f64>, Vec<f64>)> {
        let slots: Vec<u32> = factor.keys().iter().map(|key| Ok(values.slot(*key)? as u32)).collect::<Result<_>>()?;
        let columns: usize = slots.iter().map(|slot| values.variables()[*slot as usize].dim()).sum();
        let (mut residual, mut jacobian) = (vec![0.0; factor.dim()], vec![0.0; factor.dim() * columns]);
        self.evaluate(factor, values.variables(), &slots, &mut residual, &mut jacobian)?;
        Ok((residual, jacobian))
    }

    /// The cost of one factor, its residual and its Jacobian into the buffers, both with the weight of its robust
    /// kernel.
    ///
    /// # Errors
    /// When a variable is of another kind than the factor needs, or the cost is not finite.
    pub fn evaluate(
        &self,
        factor: &dyn Factor,
        variables: &[Variable],
        slots: &[u32],
        residual: &mut [f64],
        jacobian: &mut [f64],
    ) -> Result<f64> {
        let at = Arguments::new(factor.keys(), variables, slots);
        jacobian.fill(0.0);
        match self.at(factor.keys(), slots) {
            None => factor.evaluate(&at, residual, Some(jacobian))?,
            Some(points) => {
                factor.evaluate(&points, residual, Some(jacobian))?;
                factor.evaluate(&at, residual, None)?;
            }
        }
        let square = residual.iter().map(|entry| entry * entry).sum();
        let cost = match factor.robust() {
            None => square,
            Some(kernel) => {
                let scale = kernel.weight(square).sqrt();
                residual.iter_mut().chain(jacobian.iter_mut()).for_each(|entry| *entry *= scale);
                kernel.cost(square)
            }
        };
        if cost.is_finite() {
            Ok(0.5 * cost)
        } else {
            Err(Error::message("cost of a factor", "a finite number", format!("{cost} from {factor:?}")))
        }
    }
}
