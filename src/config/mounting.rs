//! A mounting as a parameter: seven numbers, or an empty list where it is looked up in TF. (A parameter of ROS 2 cannot
//! be null.)

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(mounting: &Option<[f64; 7]>, serializer: S) -> Result<S::Ok, S::Error> {
    mounting.as_ref().map_or(&[][..], |numbers| &numbers[..]).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[f64; 7]>, D::Error> {
    let numbers = Option::<Vec<f64>>::deserialize(deserializer)?.unwrap_or_default();
    if numbers.is_empty() {
        return Ok(None);
    }
    let count = numbers.len();
    let expected = "[x, y, z, qx, qy, qz, qw] or an empty list";
    numbers.try_into().map(Some).map_err(|_| D::Error::custom(format!("expected {expected}, found {count} numbers")))
}
