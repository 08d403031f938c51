//! OTLP attributes as one run of bytes.
//!
//! A sequence is, for each attribute in arrival order: `varint key length, key, kind byte, value`. The value is
//! by kind: nothing (empty, false, true), 8 bytes little-endian (int, double), `varint length, bytes` (string,
//! bytes), `varint length, values` (array: each `kind byte, value`) or `varint length, attributes` (key–value
//! list). Keys may repeat and may be empty: senders do both, and what was sent must come back.

use crate::bytes::{put_bytes, put_varint, take_bytes};

/// Resource attribute of spans that were made up to connect others: true, as a truth value or as text.
pub const SYNTHETIC: &str = "bramble.synthetic";

/// Deepest nesting of arrays and lists that is read or written; below it OTLP decoding refuses the request.
pub const DEPTH_MAX: usize = 16;

/// The byte before each value.
pub mod kind {
    /// No value.
    pub const EMPTY: u8 = 0;
    /// The truth value false.
    pub const FALSE: u8 = 1;
    /// The truth value true.
    pub const TRUE: u8 = 2;
    /// An integer.
    pub const INT: u8 = 3;
    /// A double.
    pub const DOUBLE: u8 = 4;
    /// Text.
    pub const STRING: u8 = 5;
    /// Bytes.
    pub const BYTES: u8 = 6;
    /// Values.
    pub const ARRAY: u8 = 7;
    /// Attributes.
    pub const LIST: u8 = 8;
}
use kind::{ARRAY, BYTES, DOUBLE, EMPTY, FALSE, INT, LIST, STRING, TRUE};

/// An attribute's value, borrowed from an encoded sequence.
#[derive(Clone, Copy, Debug)]
pub enum AttributeValue<'a> {
    /// No value.
    Empty,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// UTF-8 text.
    Str(&'a str),
    /// Any bytes.
    Bytes(&'a [u8]),
    /// Values without keys.
    Array(ArrayRef<'a>),
    /// Attributes.
    List(AttributesRef<'a>),
}

/// Doubles are equal when their bits are.
impl PartialEq for AttributeValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        use AttributeValue::*;
        match (self, other) {
            (Empty, Empty) => true,
            (Bool(a), Bool(b)) => a == b,
            (Int(a), Int(b)) => a == b,
            (Double(a), Double(b)) => a.to_bits() == b.to_bits(),
            (Str(a), Str(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (Array(a), Array(b)) => a.0 == b.0,
            (List(a), List(b)) => a.0 == b.0,
            _ => false,
        }
    }
}

/// An encoded sequence of attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AttributesRef<'a>(&'a [u8]);

/// An encoded sequence of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArrayRef<'a>(&'a [u8]);

impl<'a> AttributesRef<'a> {
    /// Wraps an encoded sequence. A damaged one reads as if it ended where the damage is.
    pub fn from_encoded(bytes: &'a [u8]) -> Self {
        AttributesRef(bytes)
    }

    /// The encoded bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Key and value of each attribute, in arrival order.
    pub fn iter(self) -> Attributes<'a> {
        Attributes(self.0)
    }

    /// Of a resource: the service that it names, `service.name`, or `unknown_service` as OTel's SDKs have it.
    pub fn service(self) -> &'a str {
        match self.get("service.name") {
            Some(AttributeValue::Str(name)) if !name.is_empty() => name,
            _ => "unknown_service",
        }
    }

    /// Of a resource: whether its spans were made up to connect others ([`SYNTHETIC`]); nobody measured them.
    pub fn is_synthetic(self) -> bool {
        match self.get(SYNTHETIC) {
            Some(AttributeValue::Bool(said)) => said,
            Some(AttributeValue::Str(said)) => said == "true",
            _ => false,
        }
    }

    /// Key and value of each attribute, in arrival order, undecoded: for who looks for a few keys among many.
    pub fn encoded(self) -> EncodedAttributes<'a> {
        EncodedAttributes(self.0)
    }

    /// The first value under `key`.
    pub fn get(self, key: &str) -> Option<AttributeValue<'a>> {
        self.encoded().find(|(k, _)| *k == key.as_bytes())?.1.decode()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> ArrayRef<'a> {
    /// Wraps encoded values.
    pub fn from_encoded(bytes: &'a [u8]) -> Self {
        ArrayRef(bytes)
    }

    /// The encoded bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The values in order.
    pub fn iter(self) -> Values<'a> {
        Values(self.0)
    }
}

/// Iterator of [`AttributesRef::iter`].
#[derive(Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, AttributeValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = std::str::from_utf8(take_bytes(&mut self.0)?).ok()?;
        Some((key, take_value(&mut self.0)?))
    }
}

/// Iterator of [`AttributesRef::encoded`].
#[derive(Clone)]
pub struct EncodedAttributes<'a>(&'a [u8]);

/// A value that was skipped over; it may turn out to be damaged.
#[derive(Clone, Copy)]
pub struct EncodedValue<'a>(&'a [u8]);

impl<'a> EncodedValue<'a> {
    /// The value; `None` when it is damaged.
    pub fn decode(self) -> Option<AttributeValue<'a>> {
        take_value(&mut { self.0 })
    }
}

impl<'a> Iterator for EncodedAttributes<'a> {
    type Item = (&'a [u8], EncodedValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = take_bytes(&mut self.0)?;
        let start = self.0;
        let (&kind, rest) = start.split_first()?;
        self.0 = match kind {
            EMPTY | FALSE | TRUE => rest,
            INT | DOUBLE => rest.get(8..)?,
            STRING | BYTES | ARRAY | LIST => {
                let mut rest = rest;
                take_bytes(&mut rest)?;
                rest
            }
            _ => return None,
        };
        Some((key, EncodedValue(start.get(..start.len() - self.0.len())?)))
    }
}

/// Iterator of [`ArrayRef::iter`].
#[derive(Clone)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = AttributeValue<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        take_value(&mut self.0)
    }
}

fn take_value<'a>(bytes: &mut &'a [u8]) -> Option<AttributeValue<'a>> {
    let (&kind, rest) = bytes.split_first()?;
    *bytes = rest;
    let eight = |bytes: &mut &'a [u8]| {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(*head)
    };
    Some(match kind {
        EMPTY => AttributeValue::Empty,
        FALSE => AttributeValue::Bool(false),
        TRUE => AttributeValue::Bool(true),
        INT => AttributeValue::Int(i64::from_le_bytes(eight(bytes)?)),
        DOUBLE => AttributeValue::Double(f64::from_le_bytes(eight(bytes)?)),
        STRING => AttributeValue::Str(std::str::from_utf8(take_bytes(bytes)?).ok()?),
        BYTES => AttributeValue::Bytes(take_bytes(bytes)?),
        ARRAY => AttributeValue::Array(ArrayRef(take_bytes(bytes)?)),
        LIST => AttributeValue::List(AttributesRef(take_bytes(bytes)?)),
        _ => return None,
    })
}

/// Takes the first attribute off an encoded sequence as the bytes that it is: the key behind its length, and the value
/// behind its kind. `None` at the end and at damage; texts are not looked at.
pub fn take_encoded<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (start, mut rest) = (*bytes, *bytes);
    take_bytes(&mut rest)?;
    let (key, value) = start.split_at(start.len() - rest.len());
    let (&kind, mut rest) = value.split_first()?;
    match kind {
        EMPTY | FALSE | TRUE => {}
        INT | DOUBLE => rest = rest.split_at_checked(8)?.1,
        STRING | BYTES | ARRAY | LIST => _ = take_bytes(&mut rest)?,
        _ => return None,
    }
    *bytes = rest;
    Some((key, &value[..value.len() - rest.len()]))
}

/// Appends one attribute.
pub fn put_attribute(out: &mut Vec<u8>, key: &str, value: AttributeValue<'_>) {
    put_key(out, key);
    put_value(out, value);
}

/// Appends a key; exactly one value must follow.
pub fn put_key(out: &mut Vec<u8>, key: &str) {
    put_bytes(out, key.as_bytes());
}

/// Appends one value.
pub fn put_value(out: &mut Vec<u8>, value: AttributeValue<'_>) {
    match value {
        AttributeValue::Empty => out.push(EMPTY),
        AttributeValue::Bool(b) => out.push(if b { TRUE } else { FALSE }),
        AttributeValue::Int(i) => {
            out.push(INT);
            out.extend_from_slice(&i.to_le_bytes());
        }
        AttributeValue::Double(d) => {
            out.push(DOUBLE);
            out.extend_from_slice(&d.to_le_bytes());
        }
        AttributeValue::Str(s) => {
            out.push(STRING);
            put_bytes(out, s.as_bytes());
        }
        AttributeValue::Bytes(b) => {
            out.push(BYTES);
            put_bytes(out, b);
        }
        AttributeValue::Array(a) => {
            out.push(ARRAY);
            put_bytes(out, a.0);
        }
        AttributeValue::List(l) => {
            out.push(LIST);
            put_bytes(out, l.0);
        }
    }
}

/// Appends an array whose values `fill` appends with [`put_value`] and friends.
///
/// # Errors
/// Whatever `fill` returns; `out` is restored then.
pub fn put_array<E>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    put_nested(out, ARRAY, fill)
}

/// Appends a key–value list whose attributes `fill` appends with [`put_attribute`] and friends.
///
/// # Errors
/// Whatever `fill` returns; `out` is restored then.
pub fn put_list<E>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    put_nested(out, LIST, fill)
}

fn put_nested<E>(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let start = out.len();
    out.push(kind);
    let inner = out.len();
    if let Err(e) = fill(out) {
        out.truncate(start);
        return Err(e);
    }
    // The length goes before the values but is known after them; nested values are rare and small.
    let mut length = Vec::with_capacity(4);
    put_varint(&mut length, (out.len() - inner) as u64);
    out.splice(inner..inner, length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        put_attribute(&mut out, "s", AttributeValue::Str("text"));
        put_attribute(&mut out, "i", AttributeValue::Int(-5));
        put_attribute(&mut out, "d", AttributeValue::Double(f64::NAN));
        put_attribute(&mut out, "t", AttributeValue::Bool(true));
        put_attribute(&mut out, "e", AttributeValue::Empty);
        put_attribute(&mut out, "b", AttributeValue::Bytes(&[0, 255]));
        put_key(&mut out, "a");
        put_array::<()>(&mut out, |out| {
            put_value(out, AttributeValue::Int(1));
            put_list::<()>(out, |out| {
                put_attribute(out, "k", AttributeValue::Str("v"));
                Ok(())
            })
        })
        .unwrap();
        out
    }

    #[test]
    fn what_was_put_comes_back() {
        let bytes = sample();
        let attributes = AttributesRef::from_encoded(&bytes);
        assert_eq!(attributes.iter().count(), 7);
        assert_eq!(attributes.get("i"), Some(AttributeValue::Int(-5)));
        assert_eq!(attributes.get("d"), Some(AttributeValue::Double(f64::NAN)));
        assert_eq!(attributes.get("nope"), None);
        let undecoded: Vec<_> = attributes.encoded().map(|(k, v)| (k, v.decode().unwrap())).collect();
        let decoded: Vec<_> = attributes.iter().map(|(k, v)| (k.as_bytes(), v)).collect();
        assert_eq!(undecoded, decoded);
        let Some(AttributeValue::Array(array)) = attributes.get("a") else { panic!("an array") };
        let values: Vec<_> = array.iter().collect();
        assert_eq!(values.len(), 2);
        let AttributeValue::List(list) = values[1] else { panic!("a list") };
        assert_eq!(list.get("k"), Some(AttributeValue::Str("v")));
    }

    #[test]
    fn a_failed_nested_value_leaves_no_trace() {
        let mut out = sample();
        let before = out.clone();
        assert_eq!(
            put_array(&mut out, |out| {
                put_value(out, AttributeValue::Int(1));
                Err("deep")
            }),
            Err("deep")
        );
        assert_eq!(out, before);
    }

    #[test]
    fn encoded_attributes_are_taken_one_by_one() {
        let bytes = sample();
        let (mut rest, mut again) = (bytes.as_slice(), Vec::new());
        while let Some((key, value)) = take_encoded(&mut rest) {
            again.extend([key, value].concat());
        }
        assert!(rest.is_empty() && again == bytes);
        let mut cut = &bytes[..bytes.len() - 1];
        assert_eq!(std::iter::from_fn(|| take_encoded(&mut cut)).count(), 6);
    }

    #[test]
    fn damage_ends_the_sequence() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            assert!(AttributesRef::from_encoded(&bytes[..cut]).iter().count() < 7);
            assert!(AttributesRef::from_encoded(&bytes[..cut]).encoded().count() < 7);
        }
    }
}
