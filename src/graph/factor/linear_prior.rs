//! What variables that have left a graph still say about those that stay.

use super::{Arguments, Factor, linearize_factor};
use crate::graph::{Key, Values, Variable};
use crate::{Error, Result};

/// `r = r₀ + A ξ` with `ξ = local(x₀, x)`, stacked over several variables `x` with the fixed linearization points `x₀`.
///
/// The cost is quadratic in `ξ`, the tangent at `x₀`. At another `x` the solver asks for the derivative by the tangent
/// there: `∂r/∂x = A ∂local(x₀, x)/∂x`, for poses `A J_r⁻¹(ξ)` (see [`Variable::local_jacobian`]). At `x = x₀` it is
/// `A`.
#[derive(Clone, Debug)]
pub struct LinearPrior {
    keys: Vec<Key>,
    points: Vec<Variable>,
    residual: Vec<f64>,
    jacobian: Vec<f64>,
}

impl LinearPrior {
    /// The prior with the whitened residual `r₀` and the whitened Jacobian `A` at the linearization points.
    ///
    /// `jacobian` is column-major with as many rows as `residual`: one column per degree of freedom, the variables in
    /// the order of `points`.
    ///
    /// # Errors
    /// When the sizes do not fit each other, a key stands twice or for another kind of variable, or a number is not
    /// finite.
    pub fn new(points: &[(Key, Variable)], residual: Vec<f64>, jacobian: Vec<f64>) -> Result<Self> {
        let columns: usize = points.iter().map(|(_, point)| point.dim()).sum();
        if points.is_empty() || residual.is_empty() || jacobian.len() != residual.len() * columns {
            let expected = format!("a Jacobian of {} rows and {columns} columns", residual.len());
            return Err(Error::message("linear prior", expected, format!("{} entries", jacobian.len())));
        }
        for (position, (key, point)) in points.iter().enumerate() {
            if !key.takes(point.kind()) || points[..position].iter().any(|(other, _)| other == key) {
                return Err(Error::message(
                    "linear prior",
                    "each key once, with its kind",
                    format!("{key}: {point:?}"),
                ));
            }
        }
        let numbers = residual.iter().chain(&jacobian);
        if !numbers.copied().all(f64::is_finite) || !points.iter().all(|(_, point)| point.is_finite()) {
            return Err(Error::message("linear prior", "finite numbers", "one that is not"));
        }
        let (keys, points) = points.iter().copied().unzip();
        Ok(Self { keys, points, residual, jacobian })
    }

    /// The prior whose residual is `residual` at the variables `at`, which have moved away from its linearization points.
    ///
    /// # Errors
    /// As [`LinearPrior::new`], and when a variable is missing or of another kind than its point.
    pub fn with_residual_at(
        at: &Values,
        points: &[(Key, Variable)],
        residual: Vec<f64>,
        jacobian: Vec<f64>,
    ) -> Result<Self> {
        let mut prior = Self::new(points, residual, jacobian)?;
        let (moved, _) = linearize_factor(&prior, at)?;
        prior.residual.iter_mut().zip(moved).for_each(|(wanted, found)| *wanted += *wanted - found);
        Ok(prior)
    }

    /// The same prior with a share of its information.
    pub fn fading(mut self, share: f64) -> Self {
        let root = share.sqrt();
        self.residual.iter_mut().chain(&mut self.jacobian).for_each(|entry| *entry *= root);
        self
    }

    /// The linearization points, in the order of the keys.
    pub fn points(&self) -> &[Variable] {
        &self.points
    }
}

impl Factor for LinearPrior {
    fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn dim(&self) -> usize {
        self.residual.len()
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], mut jacobian: Option<&mut [f64]>) -> Result<()> {
        let rows = self.dim();
        residual.copy_from_slice(&self.residual);
        let mut start = 0;
        for (position, point) in self.points.iter().enumerate() {
            let variable = at.variable(position);
            let mut moved = [0.0; 6];
            point.local(variable, &mut moved).ok_or_else(|| at.unexpected(position, point.kind()))?;
            let moved = &moved[..point.dim()];
            let block = &self.jacobian[start..start + rows * point.dim()];
            for (column, step) in block.chunks_exact(rows).zip(moved).filter(|(_, step)| **step != 0.0) {
                residual.iter_mut().zip(column).for_each(|(entry, slope)| *entry += slope * step);
            }
            if let Some(jacobian) = jacobian.as_deref_mut() {
                let written = &mut jacobian[start..start + block.len()];
                match point.local_jacobian(moved) {
                    None => written.copy_from_slice(block),
                    Some(chain) => add_product(block, chain.as_slice(), rows, written),
                }
            }
            start += block.len();
        }
        Ok(())
    }

    fn is_absolute(&self) -> bool {
        true
    }
}

/// `written += block · chain`, all column-major; `chain` has six rows, of which those count that `block` has columns for.
fn add_product(block: &[f64], chain: &[f64], rows: usize, written: &mut [f64]) {
    for (written, chain) in written.chunks_exact_mut(rows).zip(chain.chunks_exact(6)) {
        for (column, factor) in block.chunks_exact(rows).zip(chain).filter(|(_, factor)| **factor != 0.0) {
            written.iter_mut().zip(column).for_each(|(entry, slope)| *entry += slope * factor);
        }
    }
}
