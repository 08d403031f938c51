//! Walking through text of JSON that was read before: what is found is text again, so that nothing is built.

use crate::loki::json::TextSeed;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Calls `each` with the name and the text of each field of an object, which was read before, until it fails.
///
/// # Errors
/// A name with an escape that is no character.
pub(super) fn each_field<'de, E>(
    raw: &'de str,
    mut each: impl FnMut(Cow<'de, str>, &'de str) -> Result<(), E>,
) -> Result<Result<(), E>, serde_json::Error> {
    let mut failed = None;
    let fields = Fields(|key, raw| each(key, raw).map_err(|error| failed = Some(error)).is_ok());
    let outcome = serde_json::Deserializer::from_str(raw).deserialize_map(fields);
    match failed {
        Some(error) => Ok(Err(error)),
        None => outcome.map(Ok),
    }
}

/// Calls `each` with the text of each element of a list, which was read before, until it fails.
pub(super) fn each_element<'de, E>(raw: &'de str, mut each: impl FnMut(&'de str) -> Result<(), E>) -> Result<(), E> {
    let mut failed = None;
    let elements = Elements(|raw| each(raw).map_err(|error| failed = Some(error)).is_ok());
    // Nothing but what `each` says can stop it.
    let _ = serde_json::Deserializer::from_str(raw).deserialize_seq(elements);
    failed.map_or(Ok(()), Err)
}

struct Fields<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str) -> bool> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(TextSeed)? {
            if !self.0(key, map.next_value::<&'de RawValue>()?.get()) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de str) -> bool> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&'de RawValue>()? {
            if !self.0(raw.get()) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
