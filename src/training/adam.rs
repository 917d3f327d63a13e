//! Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1) with decoupled weight decay (Loshchilov & Hutter 2019,
//! arXiv 1711.05101, algorithm 2), as `torch.optim.AdamW` computes it:
//!
//! θ ← θ - η w θ;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
//! θ ← θ - η / (1 - β₁ᵗ) · m / (√(v / (1 - β₂ᵗ)) + ε)
//!
//! libtorch's own optimizer keeps its moments to itself; these are tensors with names, so that a checkpoint has them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tch::{Kind, Tensor};

use crate::{Error, Result};

/// The constants of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the mean of gradients, β₁.
    pub beta1: f64,
    /// Decay of the mean of squared gradients, β₂.
    pub beta2: f64,
    /// Added to the root, ε.
    pub epsilon: f64,
    /// Weight decay w per step and learning rate, for parameters of two or more dimensions: biases and the scales of
    /// normalizations are left alone.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Gradients of a loss, in the order of an optimizer's parameters.
#[derive(Debug)]
pub struct Gradients {
    /// Undefined where the loss does not depend on the parameter. Two may share their memory.
    tensors: Vec<Tensor>,
    /// What a step multiplies them by.
    factor: f64,
}

impl Gradients {
    /// Adds those of another loss of the same parameters; neither is clipped yet.
    pub fn add(&mut self, other: Self) {
        tch::no_grad(|| {
            for (own, other) in self.tensors.iter_mut().zip(other.tensors) {
                match (own.defined(), other.defined()) {
                    // Not in place: two gradients may share their memory.
                    (true, true) => *own = &*own + other,
                    (false, _) => *own = other,
                    (true, false) => {}
                }
            }
        });
    }

    /// Multiplies the gradients by `factor`, then shortens them to the length `max_norm` if they are longer together.
    /// Returns the length before; it is not finite when a gradient is not, and then no step should follow.
    pub fn clip(&mut self, factor: f64, max_norm: f64) -> f64 {
        tch::no_grad(|| {
            let defined = self.tensors.iter().filter(|gradient| gradient.defined());
            let norms: Vec<Tensor> = defined.map(|gradient| gradient.norm().to_kind(Kind::Float)).collect();
            if norms.is_empty() {
                return 0.0;
            }
            let factor = self.factor * factor;
            let norm = factor * Tensor::stack(&norms, 0).norm().double_value(&[]);
            self.factor = factor * if norm > max_norm { max_norm / norm } else { 1.0 };
            norm
        })
    }
}

#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    first: Tensor,
    second: Tensor,
}

/// The optimizer of some parameters.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    slots: Vec<Slot>,
    steps: i64,
}

impl Adam {
    /// An optimizer of named parameters, its moments zero.
    pub fn new(parameters: impl IntoIterator<Item = (String, Tensor)>, config: AdamConfig) -> Self {
        let slots = parameters.into_iter().map(|(name, parameter)| {
            let zeros = || tch::no_grad(|| parameter.zeros_like());
            Slot { name, first: zeros(), second: zeros(), parameter }
        });
        Self { config, slots: slots.collect(), steps: 0 }
    }

    /// The gradients of a loss with respect to the parameters; those it does not depend on have none.
    ///
    /// They come back from the backward pass and are not added up in the parameters: that would be three more passes
    /// over the memory of all of them.
    ///
    /// # Errors
    /// [`Error::Compute`] when libtorch cannot differentiate the loss.
    pub fn gradients(&self, loss: &Tensor) -> Result<Gradients> {
        let parameters: Vec<&Tensor> = self.slots.iter().map(|slot| &slot.parameter).collect();
        let gradients = Tensor::f_run_backward(&[loss], &parameters, false, false);
        let tensors = gradients.map_err(|error| Error::compute("the backward pass", error))?;
        Ok(Gradients { tensors, factor: 1.0 })
    }

    /// One step at the learning rate `rate`. Parameters without a gradient stay.
    pub fn step(&mut self, gradients: &Gradients, rate: f64) {
        self.step_at(gradients, |_| rate);
    }

    /// The same with a learning rate for each name.
    pub fn step_at(&mut self, gradients: &Gradients, rate_of: impl Fn(&str) -> f64) {
        self.steps += 1;
        let AdamConfig { beta1, beta2, epsilon, weight_decay } = self.config;
        let first_bias = 1.0 - beta1.powi(self.steps as i32);
        let second_bias = 1.0 - beta2.powi(self.steps as i32);
        tch::no_grad(|| {
            for (slot, gradient) in self.slots.iter_mut().zip(&gradients.tensors) {
                if !gradient.defined() {
                    continue;
                }
                let rate = rate_of(&slot.name);
                let gradient = match gradients.factor {
                    1.0 => gradient.shallow_clone(),
                    factor => gradient * factor,
                };
                if weight_decay > 0.0 && slot.parameter.dim() > 1 {
                    let _ = slot.parameter.g_mul_scalar_(1.0 - rate * weight_decay);
                }
                // In place and in few passes: on a CPU they cost what memory costs.
                let _ = slot.first.lerp_(&gradient, 1.0 - beta1);
                let _ = slot.second.lerp_(&gradient.square(), 1.0 - beta2);
                let denominator = slot.second.sqrt().g_mul_scalar_(1.0 / second_bias.sqrt()).g_add_scalar_(epsilon);
                let _ = slot.parameter.addcdiv_(&(&slot.first * (-rate / first_bias)), &denominator);
            }
        });
    }

    /// The moments and the number of steps, by name, for a checkpoint.
    pub fn state(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::from([(format!("{prefix}/steps"), Tensor::from_slice(&[self.steps]))]);
        for slot in &self.slots {
            state.insert(format!("{prefix}/first/{}", slot.name), slot.first.shallow_clone());
            state.insert(format!("{prefix}/second/{}", slot.name), slot.second.shallow_clone());
        }
        state
    }

    /// Takes back what [`Adam::state`] gave; `path` is the file it is from.
    ///
    /// # Errors
    /// [`Error::Model`] when a tensor is missing or has another shape.
    pub fn restore(&mut self, prefix: &str, state: &HashMap<String, Tensor>, path: &Path) -> Result<()> {
        let find = |name: String, shape: Vec<i64>| match state.get(&name) {
            Some(tensor) if tensor.size() == shape => Ok(tensor.shallow_clone()),
            found => {
                let found = found.map_or("nothing".to_owned(), |tensor| format!("{:?}", tensor.size()));
                Err(Error::model(
                    path,
                    format!("{name} of shape {shape:?}"),
                    format!("{found}; start the training anew"),
                ))
            }
        };
        for slot in &mut self.slots {
            let shape = slot.parameter.size();
            let device = slot.parameter.device();
            slot.first = find(format!("{prefix}/first/{}", slot.name), shape.clone())?.to_device(device);
            slot.second = find(format!("{prefix}/second/{}", slot.name), shape)?.to_device(device);
        }
        self.steps = find(format!("{prefix}/steps"), vec![1])?.int64_value(&[0]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn gradients_of_parts_add_up_to_those_of_the_whole() {
        let data_b3 = Tensor::from_slice(&[1.0f32, 2.0, 0.5, -1.0, 0.3, 2.0, 0.1, -0.7, 4.0]).view([3, 3]);
        let values = [[0.2f32, -0.4, 1.5], [0.0, 3.0, 1.0], [1.0, 1.0, 1.0]];
        let parameters =
            values.map(|values| Tensor::from_slice(&values).to_device(Device::Cpu).set_requires_grad(true));
        let named = parameters.iter().enumerate().map(|(index, p)| (index.to_string(), p.shallow_clone()));
        let adam = Adam::new(named, AdamConfig::default());
        // The last row alone knows the second parameter, and none the third.
        let loss = |first: i64, length: i64| {
            let rows = data_b3.narrow(0, first, length);
            let own = (&rows * &parameters[0]).square().sum(Kind::Float);
            if first + length == 3 { own + (&parameters[1] * data_b3.get(2)).sum(Kind::Float) } else { own }
        };
        let whole = adam.gradients(&loss(0, 3)).unwrap();
        let mut parts = adam.gradients(&loss(0, 2)).unwrap();
        parts.add(adam.gradients(&loss(2, 1)).unwrap());
        parts.add(adam.gradients(&(loss(0, 1) * 0.0)).unwrap());
        for (index, (whole, parts)) in whole.tensors.iter().zip(&parts.tensors).enumerate() {
            assert_eq!((whole.defined(), parts.defined()), (index < 2, index < 2));
            if index < 2 {
                assert!(whole.allclose(parts, 1e-6, 1e-6, false), "{index}");
            }
        }
    }
}
