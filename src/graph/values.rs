//! The estimates of all unknowns, in one array sorted by key.
//!
//! Factors name their variables by [`Key`]; before an optimization the keys are looked up once and become slots, the
//! places in this array, so that no inner loop searches.

use nalgebra::Vector3;

use super::{Key, Variable, VariableKind};
use crate::geometry::{Se3, Vector6};
use crate::{Error, Result};

/// Variables under their keys, sorted by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    keys: Vec<Key>,
    variables: Vec<Variable>,
}

impl Values {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The variables of a list in any order.
    ///
    /// # Errors
    /// As [`Values::insert`].
    pub fn from_list(mut list: Vec<(Key, Variable)>) -> Result<Self> {
        list.sort_by_key(|(key, _)| *key);
        let mut values = Self { keys: Vec::with_capacity(list.len()), variables: Vec::with_capacity(list.len()) };
        list.into_iter().try_for_each(|(key, variable)| values.insert(key, variable))?;
        Ok(values)
    }

    /// Adds a variable; cheapest in the order of the keys.
    ///
    /// # Errors
    /// When the key is taken, does not stand for this kind of variable, or a number is not finite.
    pub fn insert(&mut self, key: Key, variable: Variable) -> Result<()> {
        check(key, &variable)?;
        let slot = match self.keys.last() {
            Some(last) if *last >= key => match self.keys.binary_search(&key) {
                Ok(_) => return Err(Error::message(format!("variable {key}"), "a new key", "one that is taken")),
                Err(slot) => slot,
            },
            _ => self.keys.len(),
        };
        self.keys.insert(slot, key);
        self.variables.insert(slot, variable);
        Ok(())
    }

    /// Adds a pose: [`Values::insert`] of a [`Variable::Pose`].
    ///
    /// # Errors
    /// As [`Values::insert`].
    pub fn insert_pose(&mut self, key: Key, map_from_body: Se3) -> Result<()> {
        self.insert(key, Variable::Pose(map_from_body))
    }

    /// Gives the variable under `key` another value of its own kind.
    ///
    /// # Errors
    /// When there is none, it is of another kind, or a number is not finite.
    pub fn update(&mut self, key: Key, variable: Variable) -> Result<()> {
        let slot = self.slot(key)?;
        let kind = self.variables[slot].kind();
        if variable.kind() != kind {
            return Err(wrong_kind(key, kind, variable.kind()));
        }
        check(key, &variable)?;
        self.variables[slot] = variable;
        Ok(())
    }

    /// Takes a variable out; `None` when there is none under this key.
    pub fn remove(&mut self, key: Key) -> Option<Variable> {
        let slot = self.keys.binary_search(&key).ok()?;
        self.keys.remove(slot);
        Some(self.variables.remove(slot))
    }

    /// The variable under `key`.
    pub fn get(&self, key: Key) -> Option<&Variable> {
        self.keys.binary_search(&key).ok().map(|slot| &self.variables[slot])
    }

    /// The pose under `key`, in space or in the plane.
    ///
    /// # Errors
    /// When there is no variable under this key, or it is no pose.
    pub fn pose(&self, key: Key) -> Result<Se3> {
        match self.variables[self.slot(key)?] {
            Variable::Pose(pose) | Variable::PlanarPose(pose) => Ok(pose),
            ref other => Err(wrong_kind(key, VariableKind::Pose, other.kind())),
        }
    }

    /// The vector of three entries under `key`, such as a velocity.
    ///
    /// # Errors
    /// When there is no variable under this key, or it is of another kind.
    pub fn vector3(&self, key: Key) -> Result<Vector3<f64>> {
        match self.variables[self.slot(key)?] {
            Variable::Vector3(vector) => Ok(vector),
            ref other => Err(wrong_kind(key, VariableKind::Vector3, other.kind())),
        }
    }

    /// The vector of six entries under `key`, such as IMU biases.
    ///
    /// # Errors
    /// When there is no variable under this key, or it is of another kind.
    pub fn vector6(&self, key: Key) -> Result<Vector6> {
        match self.variables[self.slot(key)?] {
            Variable::Vector6(vector) => Ok(vector),
            ref other => Err(wrong_kind(key, VariableKind::Vector6, other.kind())),
        }
    }

    /// The place of a key among the sorted keys.
    ///
    /// # Errors
    /// When there is no variable under this key.
    pub fn slot(&self, key: Key) -> Result<usize> {
        self.keys.binary_search(&key).map_err(|_| {
            let found = match (self.keys.first(), self.keys.last()) {
                (Some(first), Some(last)) => format!("{} others from {first} to {last}", self.keys.len()),
                _ => "no variables at all".into(),
            };
            Error::message(format!("variable {key}"), "a value for it", found)
        })
    }

    /// How many variables there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, ascending.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The variables, in the order of [`Values::keys`].
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The variables for change, in the order of [`Values::keys`]; each has to stay of its kind.
    pub(super) fn variables_mut(&mut self) -> &mut [Variable] {
        &mut self.variables
    }

    /// Keys and variables, by ascending key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Key, &Variable)> {
        self.keys.iter().copied().zip(&self.variables)
    }
}

fn check(key: Key, variable: &Variable) -> Result<()> {
    if !key.takes(variable.kind()) {
        let expected = "a pose under x, a vector of 3 under v, a vector of 6 under b";
        return Err(Error::message(format!("variable {key}"), expected, variable.kind().to_string()));
    }
    if !variable.is_finite() {
        return Err(Error::message(format!("variable {key}"), "finite numbers", format!("{variable:?}")));
    }
    Ok(())
}

/// The error of a variable of another kind than somebody needs.
pub(super) fn wrong_kind(key: Key, expected: VariableKind, found: VariableKind) -> Error {
    Error::message(format!("variable {key}"), expected.to_string(), found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_come_in_any_order_and_lie_sorted() {
        let mut values = Values::new();
        for index in [4, 0, 2, 9] {
            values.insert(Key::velocity(index), Variable::Vector3(Vector3::repeat(index as f64))).unwrap();
        }
        values.insert_pose(Key::pose(1), Se3::identity()).unwrap();
        assert!(values.keys().is_sorted());
        assert_eq!(values.vector3(Key::velocity(2)).unwrap(), Vector3::repeat(2.0));
        assert_eq!(values.slot(Key::pose(1)).unwrap(), 4);
        assert_eq!(values.remove(Key::velocity(2)), Some(Variable::Vector3(Vector3::repeat(2.0))));
        assert_eq!(values.get(Key::velocity(2)), None);
        let list: Vec<_> = values.iter().map(|(key, variable)| (key, *variable)).rev().collect();
        assert_eq!(Values::from_list(list).unwrap(), values);
    }

    #[test]
    fn errors_name_the_key_the_expected_and_the_found() {
        let mut values = Values::new();
        values.insert_pose(Key::pose(3), Se3::identity()).unwrap();
        let text = |result: Result<()>| result.unwrap_err().to_string();
        let twice = values.insert_pose(Key::pose(3), Se3::identity());
        assert_eq!(text(twice), "variable x3: expected a new key, found one that is taken");
        let vector = Variable::Vector3(Vector3::zeros());
        assert!(text(values.insert(Key::pose(4), vector)).ends_with("found a vector of 3"));
        assert_eq!(text(values.update(Key::pose(3), vector)), "variable x3: expected a pose, found a vector of 3");
        let nan = Variable::Vector3(Vector3::repeat(f64::NAN));
        assert!(text(values.insert(Key::velocity(0), nan)).starts_with("variable v0: expected finite numbers, found"));
        let missing = values.pose(Key::pose(8)).unwrap_err().to_string();
        assert_eq!(missing, "variable x8: expected a value for it, found 1 others from x3 to x3");
        let kind = values.vector6(Key::pose(3)).unwrap_err().to_string();
        assert_eq!(kind, "variable x3: expected a vector of 6, found a pose");
    }
}
