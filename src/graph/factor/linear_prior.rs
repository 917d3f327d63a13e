//! What variables that have left a graph still say about those that stay.

use nalgebra::{DMatrix, DVector};

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

    /// The same prior with a share of its information about the poses: their own covariance grows to `1 / share` of what
    /// it was, and what the prior says about velocities and biases beyond them stays. As it is where it does not determine
    /// all of its variables.
    pub fn fading(self, share: f64) -> Self {
        if share >= 1.0 {
            return self;
        }
        let columns = self.jacobian.len() / self.residual.len();
        let jacobian = DMatrix::from_column_slice(self.residual.len(), columns, &self.jacobian);
        let residual = DVector::from_column_slice(&self.residual);
        let Some(information) = (jacobian.transpose() * &jacobian).cholesky() else { return self };
        let optimum = -information.solve(&(jacobian.transpose() * residual));
        let mut covariance = information.inverse();
        let mut start = 0;
        for point in &self.points {
            if matches!(point, Variable::Pose(_) | Variable::PlanarPose(_)) {
                let mut block = covariance.view_mut((start, start), (point.dim(), point.dim()));
                block /= share;
            }
            start += point.dim();
        }
        let faded = covariance.cholesky().and_then(|factor| factor.inverse().cholesky());
        let Some(root) = faded.map(|factor| factor.l().transpose()) else { return self };
        let residual = -(&root * optimum);
        if !root.iter().chain(&residual).all(|entry| entry.is_finite()) {
            return self;
        }
        Self { residual: residual.as_slice().to_vec(), jacobian: root.as_slice().to_vec(), ..self }
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

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector, Vector3};
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Se3, Vector6};

    fn variables() -> impl Strategy<Value = Vec<(Key, Variable)>> {
        prop::collection::vec(-1.5..1.5f64, 18).prop_map(|numbers| {
            vec![
                (Key::pose(1), Variable::Pose(Se3::exp(&Vector6::from_column_slice(&numbers[..6])))),
                (Key::pose(2), Variable::planar(numbers[6], numbers[7], numbers[8])),
                (Key::velocity(1), Variable::Vector3(Vector3::from_column_slice(&numbers[9..12]))),
                (Key::bias(1), Variable::Vector6(Vector6::from_column_slice(&numbers[12..]))),
            ]
        })
    }

    fn prior(points: &[(Key, Variable)]) -> LinearPrior {
        let wave = |number: usize| (1.7 * number as f64 + 0.3).sin();
        LinearPrior::new(points, (0..5).map(wave).collect(), (0..5 * 18).map(wave).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn its_jacobian_is_the_derivative(points in variables(), at in variables()) {
            let prior = prior(&points);
            let values = Values::from_list(at).unwrap();
            let (_, jacobian) = linearize_factor(&prior, &values).unwrap();
            let mut columns = jacobian.chunks_exact(5);
            for key in prior.keys() {
                let variable = *values.get(*key).unwrap();
                for axis in 0..variable.dim() {
                    let residual = |step: f64| {
                        let (mut tangent, mut moved) = ([0.0; 6], values.clone());
                        tangent[axis] = step;
                        moved.update(*key, variable.retract(&tangent)).unwrap();
                        DVector::from_vec(linearize_factor(&prior, &moved).unwrap().0)
                    };
                    let numeric = (residual(1e-5) - residual(-1e-5)) / 2e-5;
                    let exact = DVector::from_column_slice(columns.next().unwrap());
                    prop_assert!((numeric - exact).amax() < 1e-6, "{key}, axis {axis}");
                }
            }
        }

        #[test]
        fn a_residual_elsewhere_is_met(points in variables(), at in variables()) {
            let (reference, values) = (prior(&points), Values::from_list(at).unwrap());
            let wanted = vec![1.0, -2.0, 3.0, 0.0, 0.5];
            let shifted =
                LinearPrior::with_residual_at(&values, &points, wanted.clone(), reference.jacobian.clone()).unwrap();
            let (found, _) = linearize_factor(&shifted, &values).unwrap();
            prop_assert!((DVector::from_vec(found) - DVector::from_vec(wanted)).amax() < 1e-12);
        }
    }

    #[test]
    fn it_is_linear_at_its_points() {
        let points = [(Key::velocity(0), Variable::Vector3(Vector3::new(1.0, 2.0, 3.0)))];
        let jacobian = DMatrix::from_row_slice(2, 3, &[1.0, 0.0, 2.0, 0.0, 1.0, 0.0]);
        let prior = LinearPrior::new(&points, vec![0.5, 0.0], jacobian.as_slice().to_vec()).unwrap();
        let values = Values::from_list(vec![(Key::velocity(0), Variable::Vector3(Vector3::new(2.0, 2.0, 4.0)))]);
        let (residual, found) = linearize_factor(&prior, &values.unwrap()).unwrap();
        assert_eq!((residual, found.as_slice()), (vec![3.5, 0.0], jacobian.as_slice()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let point = (Key::velocity(0), Variable::Vector3(Vector3::zeros()));
        let text = |points: &[(Key, Variable)], residual: &[f64], jacobian: &[f64]| {
            LinearPrior::new(points, residual.to_vec(), jacobian.to_vec()).unwrap_err().to_string()
        };
        let expected = "linear prior: expected a Jacobian of 2 rows and 3 columns, found 3 entries";
        assert_eq!(text(&[point], &[0.0; 2], &[1.0; 3]), expected);
        assert!(text(&[point, point], &[0.0], &[1.0; 6]).starts_with("linear prior: expected each key once"));
        assert!(text(&[(Key::pose(0), point.1)], &[0.0], &[1.0; 3]).contains("with its kind, found x0"));
        assert!(text(&[point], &[f64::NAN], &[1.0; 3]).contains("expected finite numbers"));
        let prior = LinearPrior::new(&[point], vec![0.0], vec![1.0; 3]).unwrap();
        assert!(linearize_factor(&prior, &Values::new()).is_err());
    }
}
