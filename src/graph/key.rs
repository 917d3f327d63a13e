//! Names of unknowns: what kind of quantity, and which one of them.

use std::fmt;

use super::VariableKind;

/// The index takes the lower 56 bits, as in GTSAM's symbols; the kind's letter takes the upper eight.
const INDEX_BITS: u32 = 56;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// The name of an unknown: a kind and an index below 2^56. Cheap to copy; ordered by kind, then by index.
///
/// Displayed as in GTSAM: `x12` is the pose 12, `v12` its velocity, `b12` its IMU biases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// The pose `index`, in space or in the plane.
    pub const fn pose(index: u64) -> Self {
        Self::new(b'x', index)
    }

    /// The velocity `index`, a vector of three entries.
    pub const fn velocity(index: u64) -> Self {
        Self::new(b'v', index)
    }

    /// The IMU biases `index`, a vector of six entries: `[gyroscope, accelerometer]`.
    pub const fn bias(index: u64) -> Self {
        Self::new(b'b', index)
    }

    const fn new(letter: u8, index: u64) -> Self {
        Self(((letter as u64) << INDEX_BITS) | (index & INDEX_MASK))
    }

    /// Which pose, velocity or bias.
    pub const fn index(self) -> u64 {
        self.0 & INDEX_MASK
    }

    /// Whether a variable of this kind can stand under this name.
    pub const fn takes(self, kind: VariableKind) -> bool {
        matches!(
            (self.letter(), kind),
            ('x', VariableKind::Pose | VariableKind::PlanarPose)
                | ('v', VariableKind::Vector3)
                | ('b', VariableKind::Vector6)
        )
    }

    const fn letter(self) -> char {
        (self.0 >> INDEX_BITS) as u8 as char
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.letter(), self.index())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_ordered_and_printed() {
        let keys = [Key::bias(3), Key::velocity(0), Key::velocity(7), Key::pose(0), Key::pose(10)];
        assert!(keys.is_sorted());
        let text: Vec<String> = keys.iter().map(Key::to_string).collect();
        assert_eq!(text, ["b3", "v0", "v7", "x0", "x10"]);
        assert_eq!(Key::pose((1 << 56) - 1).index(), (1 << 56) - 1);
    }

    #[test]
    fn a_key_takes_its_own_kinds_only() {
        assert!(Key::pose(1).takes(VariableKind::PlanarPose) && Key::pose(1).takes(VariableKind::Pose));
        assert!(Key::bias(1).takes(VariableKind::Vector6) && !Key::bias(1).takes(VariableKind::Vector3));
        assert!(!Key::velocity(1).takes(VariableKind::Pose));
    }
}
