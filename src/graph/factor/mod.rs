//! Factors: what a measurement says about the variables it names.
//!
//! A factor answers with its whitened residual and, when asked, the whitened Jacobian of the residual by the tangents
//! of its variables; its cost is half the squared length, or half its robust kernel of that. Whoever adds a kind of
//! factor implements [`Factor`]; nothing else in the solver has to know it.

mod between;
mod imu;
mod planar;
mod prior;
mod vector;

use std::fmt::Debug;

use nalgebra::{SMatrix, SVector};

pub use between::BetweenFactor;
pub use imu::ImuFactor;
pub use planar::{PlanarBetweenFactor, PlanarPriorFactor};
pub use prior::PriorFactor;
pub use vector::{VectorBetweenFactor, VectorPriorFactor};

use super::values::wrong_kind;
use super::{Key, RobustKernel, Values, Variable, VariableKind};
use crate::geometry::Se3;
use crate::{Error, Result};

/// One term of a graph's cost.
pub trait Factor: Debug + Send + Sync {
    /// The variables it speaks of, each once.
    fn keys(&self) -> &[Key];

    /// The length of its residual.
    fn dim(&self) -> usize;

    /// Writes the whitened residual (of length [`Factor::dim`]) at the variables `at` and, if asked, its Jacobian.
    ///
    /// The Jacobian is column-major with [`Factor::dim`] rows: one column per degree of freedom, the variables in the
    /// order of [`Factor::keys`] (so the block of the second begins after `dim · dof(first)` numbers). It arrives
    /// filled with zeros. See [`write_block`].
    ///
    /// # Errors
    /// When a variable is of another kind than the factor needs.
    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()>;

    /// The robust kernel of its squared whitened residual.
    fn robust(&self) -> Option<RobustKernel> {
        None
    }

    /// Whether it ties its variables to the map, and not only to each other. By default, factors on one variable do.
    fn is_absolute(&self) -> bool {
        self.keys().len() == 1
    }

    /// The transform between two poses that it measures, if it does: what chordal initialization works on.
    fn relative_pose(&self) -> Option<RelativePoseMeasurement> {
        None
    }
}

/// What chordal initialization needs to know of a measured transform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelativePoseMeasurement {
    /// The pose of frame `a`.
    pub from: Key,
    /// The pose of frame `b`.
    pub to: Key,
    /// The measured `a_from_b`.
    pub a_from_b: Se3,
    /// Information about the rotation, as one number for all axes (1/rad²).
    pub rotation_information: f64,
    /// Information about the translation, as one number for all axes (1/m²).
    pub translation_information: f64,
}

/// The variables of one factor, in the order of its keys.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    keys: &'a [Key],
    variables: &'a [Variable],
    slots: &'a [u32],
}

impl<'a> Arguments<'a> {
    /// The variables at `slots` of `variables`, known to the factor as `keys`.
    pub fn new(keys: &'a [Key], variables: &'a [Variable], slots: &'a [u32]) -> Self {
        Self { keys, variables, slots }
    }

    /// The variable of the factor's key number `position`.
    pub fn variable(&self, position: usize) -> &'a Variable {
        &self.variables[self.slots[position] as usize]
    }

    /// The pose of the factor's key number `position`.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn pose(&self, position: usize) -> Result<&'a Se3> {
        match self.variable(position) {
            Variable::Pose(pose) => Ok(pose),
            _ => Err(self.unexpected(position, VariableKind::Pose)),
        }
    }

    /// The planar pose of the factor's key number `position`.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn planar_pose(&self, position: usize) -> Result<&'a Se3> {
        match self.variable(position) {
            Variable::PlanarPose(pose) => Ok(pose),
            _ => Err(self.unexpected(position, VariableKind::PlanarPose)),
        }
    }

    /// The vector of 3 or 6 entries of the factor's key number `position`.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn vector<const N: usize>(&self, position: usize) -> Result<SVector<f64, N>> {
        match self.variable(position) {
            Variable::Vector3(vector) if N == 3 => Ok(SVector::from_column_slice(vector.as_slice())),
            Variable::Vector6(vector) if N == 6 => Ok(SVector::from_column_slice(vector.as_slice())),
            _ => Err(self.unexpected(position, if N == 6 { VariableKind::Vector6 } else { VariableKind::Vector3 })),
        }
    }

    #[cold]
    fn unexpected(&self, position: usize, expected: VariableKind) -> Error {
        wrong_kind(self.keys[position], expected, self.variable(position).kind())
    }
}

/// Writes a block of a factor's Jacobian whose first column is number `column`; see [`Factor::evaluate`].
#[inline]
pub fn write_block<const R: usize, const C: usize>(jacobian: &mut [f64], column: usize, block: &SMatrix<f64, R, C>) {
    jacobian[R * column..R * (column + C)].copy_from_slice(block.as_slice());
}

/// Evaluates one factor at `values`: its whitened residual and Jacobian, without any robust kernel.
///
/// # Errors
/// When a variable is missing or of another kind than the factor needs.
pub fn linearize_factor(factor: &dyn Factor, values: &Values) -> Result<(Vec<f64>, Vec<f64>)> {
    let slots: Vec<u32> = factor.keys().iter().map(|key| Ok(values.slot(*key)? as u32)).collect::<Result<_>>()?;
    let arguments = Arguments::new(factor.keys(), values.variables(), &slots);
    let columns: usize = slots.iter().map(|slot| values.variables()[*slot as usize].dim()).sum();
    let (mut residual, mut jacobian) = (vec![0.0; factor.dim()], vec![0.0; factor.dim() * columns]);
    factor.evaluate(&arguments, &mut residual, Some(&mut jacobian))?;
    Ok((residual, jacobian))
}

/// The keys of a factor between two poses.
///
/// # Errors
/// When one of them is no pose or they are the same.
fn two_poses(from: Key, to: Key) -> Result<[Key; 2]> {
    one_pose(from)?;
    one_pose(to)?;
    if from == to {
        return Err(Error::message("factor between two poses", "two different keys", format!("{from} twice")));
    }
    Ok([from, to])
}

/// The key of a factor on one pose.
///
/// # Errors
/// When it is no pose.
fn one_pose(key: Key) -> Result<Key> {
    if key.takes(VariableKind::Pose) {
        Ok(key)
    } else {
        Err(Error::message("factor on a pose", "the key of a pose, such as x0", key.to_string()))
    }
}

/// Refuses a measured transform with numbers that are not finite.
fn finite(measured: Se3) -> Result<Se3> {
    if measured.is_finite() {
        Ok(measured)
    } else {
        Err(Error::message("measured transform", "finite numbers", format!("{measured:?}")))
    }
}
