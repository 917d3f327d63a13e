//! Arrays of fixed length beyond serde's 32 elements: in CDR their elements follow each other without a length.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};

/// Writes the elements as a tuple.
pub(super) fn serialize<S: Serializer, const N: usize>(array: &[f64; N], serializer: S) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(N)?;
    for value in array {
        tuple.serialize_element(value)?;
    }
    tuple.end()
}

/// Reads the elements as a tuple.
pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[f64; N], D::Error> {
    deserializer.deserialize_tuple(N, Elements::<N>(PhantomData))
}

struct Elements<const N: usize>(PhantomData<[f64; N]>);

impl<'de, const N: usize> Visitor<'de> for Elements<N> {
    type Value = [f64; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{N} numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<[f64; N], A::Error> {
        let mut array = [0.0; N];
        for (index, value) in array.iter_mut().enumerate() {
            *value = elements.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(array)
    }
}
