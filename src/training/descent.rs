//! Adam over shuffled rows, for small networks beside a finished model.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::adam::{Adam, AdamConfig};
use super::pairs::mix;
use super::schedule::learning_rate;
use crate::progress::Progress;
use crate::{Error, Result};

/// Rows per step.
const BATCH: usize = 32;
/// Steps until the full learning rate.
const WARMUP: u64 = 100;
/// Longest gradient.
const GRADIENT_CLIP: f64 = 5.0;

/// How long to go down a loss, and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descent {
    /// Passes over the rows.
    pub(super) epochs: usize,
    /// Adam's learning rate at its highest; half a cosine after.
    pub(super) learning_rate: f64,
    /// Of the order of the rows.
    pub(super) seed: u64,
}

impl Descent {
    /// Minimizes the `loss` of batches out of `rows` rows over these variables, those that learn. Asks `keep_going` before
    /// each batch; `what` names it to the user.
    ///
    /// # Errors
    /// Those of the loss; [`Error::Interrupted`] after `keep_going` said no; [`Error::Compute`] when a gradient is not
    /// finite.
    pub(super) fn run(
        self,
        what: &str,
        variables: impl IntoIterator<Item = (String, Tensor)>,
        rows: usize,
        loss: &dyn Fn(&Tensor) -> Result<Tensor>,
        (progress, keep_going): (Progress, &dyn Fn() -> bool),
    ) -> Result<()> {
        let learned = variables.into_iter().filter(|(_, variable)| variable.requires_grad());
        let mut adam = Adam::new(learned.collect::<BTreeMap<_, _>>(), AdamConfig::default());
        let steps = (self.epochs * rows.div_ceil(BATCH)) as u64;
        let (bar, mut step) = (progress.steps(what, steps), 0);
        for epoch in 0..self.epochs {
            let mut order: Vec<i64> = (0..rows as i64).collect();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(mix(self.seed, epoch as u64, 0)));
            for batch in order.chunks(BATCH) {
                if !keep_going() {
                    return Err(Error::Interrupted("; the model is as it was".to_owned()));
                }
                let mut gradients = adam.gradients(&loss(&Tensor::from_slice(batch))?)?;
                if !gradients.clip(1.0, GRADIENT_CLIP).is_finite() {
                    return Err(Error::compute(what, "expected a finite gradient, found NaN or infinity"));
                }
                adam.step(&gradients, self.learning_rate * learning_rate(step, steps, WARMUP));
                step += 1;
                bar.advance(1);
            }
        }
        Ok(())
    }
}
