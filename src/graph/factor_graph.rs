//! The terms of a cost, and the variables that are held.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Factor, Key};

/// Factors, and the keys of the variables that stay as they are.
///
/// The cost is `Σ ½ ρ(‖r‖²)` over the factors' whitened residuals `r` and robust kernels `ρ`. Cloning is cheap: the
/// factors are shared.
#[derive(Clone, Debug, Default)]
pub struct FactorGraph {
    factors: Vec<Arc<dyn Factor>>,
    fixed: BTreeSet<Key>,
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
}
