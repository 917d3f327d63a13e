//! A moving average of the weights (Polyak & Juditsky 1992), which is better than where the last steps happened to end:
//! average ← d average + (1 - d) weights, with d = min(decay, t / (t + 10)) so that the start is forgotten soon.

use std::collections::BTreeMap;

use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// The averages of all variables of a store, running statistics of normalizations included.
#[derive(Debug)]
pub struct WeightAverage {
    decay: f64,
    averages: BTreeMap<String, Tensor>,
    steps: u64,
}

impl WeightAverage {
    /// Starts from the present weights. With `decay` 0 the average is the weights.
    pub fn new(store: &VarStore, decay: f64) -> Self {
        Self { decay, averages: snapshot(store), steps: 0 }
    }

    /// Takes a step's weights in.
    pub fn update(&mut self, store: &VarStore) {
        self.steps += 1;
        let decay = self.decay.min(self.steps as f64 / (self.steps as f64 + 10.0));
        tch::no_grad(|| {
            for (name, variable) in store.variables() {
                let Some(average) = self.averages.get_mut(&name) else { continue };
                if average.kind() == Kind::Int64 {
                    average.copy_(&variable);
                } else {
                    let _ = average.g_mul_scalar_(decay).g_add_(&(variable * (1.0 - decay)));
                }
            }
        });
    }

    /// The averages by the names of the variables.
    pub fn averages(&self) -> &BTreeMap<String, Tensor> {
        &self.averages
    }

    /// How many steps are in it, to go on after [`WeightAverage::resume`].
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on from averages of a checkpoint.
    pub fn resume(&mut self, averages: BTreeMap<String, Tensor>, steps: u64) {
        (self.averages, self.steps) = (averages, steps);
    }

    /// Does something with the averages in place of the weights, then puts the weights back.
    pub fn with<T>(&self, store: &VarStore, work: impl FnOnce() -> T) -> T {
        let weights = snapshot(store);
        put(store, &self.averages);
        let result = work();
        put(store, &weights);
        result
    }
}

/// Copies of all variables of a store.
pub(super) fn snapshot(store: &VarStore) -> BTreeMap<String, Tensor> {
    tch::no_grad(|| store.variables().into_iter().map(|(name, variable)| (name, variable.detach().copy())).collect())
}

/// Sets the variables of a store that are in `values`.
pub(super) fn put(store: &VarStore, values: &BTreeMap<String, Tensor>) {
    tch::no_grad(|| {
        for (name, mut variable) in store.variables() {
            if let Some(value) = values.get(&name) {
                variable.copy_(value);
            }
        }
    });
}
