//! What has left a window, as it was measured: for the trajectory that can be computed once everything is known.
//!
//! A window replaces the factors of what leaves it by one linear prior and forgets them. An archive keeps them, and the
//! variables with the estimates they left with. Together with the factors that are still in the window, and without its
//! marginalization priors, which say the same once more, they are the whole graph: any optimizer can solve it at once,
//! each variable linearized where it ends up. The archive grows with everything that is marginalized.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Factor, FactorGraph, Key, Values, Variable};
use crate::Result;

/// Factors and variables that have left a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    factors: Vec<Arc<dyn Factor>>,
    variables: BTreeMap<Key, Variable>,
}

impl Archive {
    /// Keeps a factor that goes into a prior.
    pub fn keep_factor(&mut self, factor: Arc<dyn Factor>) {
        self.factors.push(factor);
    }

    /// Keeps a variable with its last estimate.
    pub fn keep_variable(&mut self, key: Key, variable: Variable) {
        self.variables.insert(key, variable);
    }

    /// Whether a variable of this name is in it.
    pub fn contains(&self, key: Key) -> bool {
        self.variables.contains_key(&key)
    }

    /// The archive and what is still in a window, as one graph that is linearized at its estimates.
    ///
    /// # Errors
    /// When a variable is in both.
    pub fn with<'a>(
        &self,
        factors: impl Iterator<Item = &'a Arc<dyn Factor>>,
        values: &Values,
    ) -> Result<(FactorGraph, Values)> {
        let mut graph = FactorGraph::new();
        self.factors.iter().for_each(|factor| graph.add_shared(factor.clone()));
        factors.for_each(|factor| graph.add_shared(factor.clone()));
        let left = self.variables.iter().map(|(key, variable)| (*key, *variable));
        let present = values.iter().map(|(key, variable)| (key, *variable));
        Ok((graph, Values::from_list(left.chain(present).collect())?))
    }
}
