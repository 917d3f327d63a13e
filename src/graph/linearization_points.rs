//! Where Jacobians are taken when that is not the estimate: first-estimate Jacobians.
//!
//! A prior from marginalization keeps the Jacobians of factors that are gone. If the factors that stay are linearized
//! elsewhere, the sum knows directions that no measurement speaks of, and the covariance shrinks too far (Huang,
//! Mourikis and Roumeliotis 2009; Dong-Si and Mourikis 2012). A variable with a linearization point enters all Jacobians
//! there, and all residuals at its estimate.

use super::factor::Arguments;
use super::{FactorGraph, Key, Values, Variable};
use crate::Result;

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
    pub fn at<'a>(&'a self, keys: &'a [Key], slots: &'a [u32]) -> Option<Arguments<'a>> {
        let differs = !self.points.is_empty() && slots.iter().any(|slot| self.is_point[*slot as usize]);
        differs.then(|| Arguments::new(keys, &self.variables, slots))
    }
}
