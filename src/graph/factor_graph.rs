//! The terms of a cost, and the variables that are held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Factor, Key, Variable};

/// Factors, and the keys of the variables that stay as they are.
///
/// The cost is `Σ ½ ρ(‖r‖²)` over the factors' whitened residuals `r` and robust kernels `ρ`. Cloning is cheap: the
/// factors are shared.
#[derive(Clone, Debug, Default)]
pub struct FactorGraph {
    factors: Vec<Arc<dyn Factor>>,
    fixed: BTreeSet<Key>,
    linearization_points: BTreeMap<Key, Variable>,
}

impl FactorGraph {
    /// No factors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a factor.
    pub fn add(&mut self, factor: impl Factor + 'static) {
        self.factors.push(Arc::new(factor));
    }

    /// Adds a factor that others hold too.
    pub fn add_shared(&mut self, factor: Arc<dyn Factor>) {
        self.factors.push(factor);
    }

    /// The factors, in the order they were added.
    pub fn factors(&self) -> &[Arc<dyn Factor>] {
        &self.factors
    }

    /// Takes out the factors for which `keep` is false and returns them.
    pub fn take_unless(&mut self, mut keep: impl FnMut(&dyn Factor) -> bool) -> Vec<Arc<dyn Factor>> {
        self.factors.extract_if(.., |factor| !keep(factor.as_ref())).collect()
    }

    /// Holds a variable at its value: it leaves the linear system and anchors what is connected to it.
    pub fn fix(&mut self, key: Key) {
        self.fixed.insert(key);
    }

    /// Lets go of a variable that was held.
    pub fn release(&mut self, key: Key) {
        self.fixed.remove(&key);
    }

    /// The variables that are held.
    pub fn fixed(&self) -> &BTreeSet<Key> {
        &self.fixed
    }

    /// Has Jacobians of factors on this variable taken at `point` from now on, whatever its estimate (first-estimate
    /// Jacobians); residuals are still those of the estimate.
    pub fn linearize_at(&mut self, key: Key, point: Variable) {
        self.linearization_points.insert(key, point);
    }

    /// Has Jacobians taken at the estimate of this variable again.
    pub fn linearize_at_estimate(&mut self, key: Key) {
        self.linearization_points.remove(&key);
    }

    /// Variables with a linearization point of their own.
    pub fn linearization_points(&self) -> &BTreeMap<Key, Variable> {
        &self.linearization_points
    }

    /// Takes out the factor at a position; those behind it move up.
    pub(super) fn remove(&mut self, position: usize) -> Arc<dyn Factor> {
        self.factors.remove(position)
    }
}
