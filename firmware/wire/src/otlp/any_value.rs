//! Attributes: from protobuf to the encoding of `bramble_signal::attributes`, and from there to text.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::hex::put_base64;
use crate::protobuf::{Field, Reader};
use bramble_signal::attributes::{AttributeValue, AttributesRef, DEPTH_MAX, put_array, put_key, put_list, put_value};
use std::fmt::Write;

/// Appends a `KeyValue` field.
pub(super) fn put_key_value(out: &mut Vec<u8>, field: &Field<'_>) -> Result<(), DecodeError> {
    key_value(out, field, 0)
}

fn key_value(out: &mut Vec<u8>, field: &Field<'_>, depth: usize) -> Result<(), DecodeError> {
    let (mut key, mut value) = ("", None);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => key = field.text()?,
            2 => value = Some(field),
            _ => {}
        }
    }
    // A value of text, by far the most frequent, in one piece; a failed value must not leave its key behind.
    let start = out.len();
    put_key(out, key);
    let put = match value {
        Some(value) => any_value(out, value.message()?, depth),
        None => {
            put_value(out, AttributeValue::Empty);
            Ok(())
        }
    };
    put.inspect_err(|_| out.truncate(start))
}

/// Appends the value of an `AnyValue` message.
pub(super) fn put_any_value(out: &mut Vec<u8>, reader: Reader<'_>) -> Result<(), DecodeError> {
    any_value(out, reader, 0)
}

fn any_value(out: &mut Vec<u8>, mut reader: Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let start = out.len();
    while let Some(field) = reader.next()? {
        // The value is a oneof: of several, the last is meant.
        out.truncate(start);
        match field.number {
            1 => put_value(out, AttributeValue::Str(field.text()?)),
            2 => put_value(out, AttributeValue::Bool(field.bool()?)),
            3 => put_value(out, AttributeValue::Int(field.int64()?)),
            4 => put_value(out, AttributeValue::Double(field.double()?)),
            5 => put_array(out, |out| values(out, &field, depth, |out, f, depth| any_value(out, f.message()?, depth)))?,
            6 => put_list(out, |out| values(out, &field, depth, key_value))?,
            7 => put_value(out, AttributeValue::Bytes(field.bytes()?)),
            _ => {}
        }
    }
    if out.len() == start {
        put_value(out, AttributeValue::Empty);
    }
    Ok(())
}

/// The values of an `ArrayValue` or `KeyValueList`, one level further down.
fn values(
    out: &mut Vec<u8>,
    field: &Field<'_>,
    depth: usize,
    put: impl Fn(&mut Vec<u8>, &Field<'_>, usize) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if depth == DEPTH_MAX {
        let message = format!("attribute is nested more than {DEPTH_MAX} levels deep");
        return Err(DecodeError::new(DecodeErrorKind::TooDeep, message, field.position));
    }
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            put(out, &field, depth + 1)?;
        }
    }
    Ok(())
}

/// Appends a value as the text of a label: text as it is, numbers and truth values as JSON has them, bytes in
/// base64, arrays and lists as JSON.
pub(super) fn push_text(out: &mut String, value: AttributeValue<'_>) {
    match value {
        AttributeValue::Empty => {}
        AttributeValue::Str(text) => out.push_str(text),
        AttributeValue::Bytes(bytes) => put_base64(out, bytes),
        AttributeValue::Double(number) => push_double(out, number),
        other => push_json(out, other),
    }
}

/// Appends a value as JSON, keys in the order in which they were sent.
pub(super) fn push_json(out: &mut String, value: AttributeValue<'_>) {
    match value {
        AttributeValue::Empty => out.push_str("null"),
        AttributeValue::Bool(b) => out.push_str(if b { "true" } else { "false" }),
        AttributeValue::Int(i) => push_display(out, i),
        AttributeValue::Double(d) if d.is_finite() => push_double(out, d),
        AttributeValue::Double(d) => {
            out.push('"');
            push_double(out, d);
            out.push('"');
        }
        AttributeValue::Str(s) => push_json_text(out, s),
        AttributeValue::Bytes(b) => {
            out.push('"');
            put_base64(out, b);
            out.push('"');
        }
        AttributeValue::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json(out, value);
            }
            out.push(']');
        }
        AttributeValue::List(attributes) => {
            out.push('{');
            for (i, (key, value)) in attributes.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json_text(out, key);
                out.push(':');
                push_json(out, value);
            }
            out.push('}');
        }
    }
}

/// Appends anything that displays; writing to a string can not fail.
pub(super) fn push_display(out: &mut String, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

/// Appends text as a JSON string.
pub(super) fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(plain..i).unwrap_or_default());
        plain = i + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

/// Appends a double as Go's JSON writes it, which is what the other receivers' labels look like: plain digits
/// from 1e-6 to below 1e21, an exponent beyond.
pub(super) fn push_double(out: &mut String, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        push_display(out, value);
    } else {
        let start = out.len();
        let _ = write!(out, "{value:e}");
        // Rust has 1e21 where Go has 1e+21.
        if size >= 1e21
            && let Some(at) = out.get(start..).and_then(|text| text.find('e'))
        {
            out.insert(start + at + 1, '+');
        }
    }
}

/// Calls `push(name, value)` for each attribute; lists are flattened, their keys joined with `_` (as Loki does
/// for structured metadata). `name` is scratch.
pub(super) fn flatten(
    attributes: AttributesRef<'_>,
    name: &mut String,
    push: &mut impl FnMut(&str, AttributeValue<'_>),
) {
    let prefix = name.len();
    for (key, value) in attributes.iter() {
        if prefix > 0 {
            name.push('_');
        }
        name.push_str(key);
        match value {
            AttributeValue::List(inner) => flatten(inner, name, push),
            value => push(name, value),
        }
        name.truncate(prefix);
    }
}

/// The first value under `key`, unless its text as a label would be empty: such a label does not exist.
pub(super) fn present<'a>(attributes: AttributesRef<'a>, key: &str) -> Option<AttributeValue<'a>> {
    attributes.get(key).filter(|value| match value {
        AttributeValue::Empty => false,
        AttributeValue::Str(text) => !text.is_empty(),
        AttributeValue::Bytes(bytes) => !bytes.is_empty(),
        _ => true,
    })
}

/// The text under `key`, when there is one and it is not empty.
pub(super) fn text_of<'a>(attributes: AttributesRef<'a>, key: &str) -> Option<&'a str> {
    match attributes.get(key) {
        Some(AttributeValue::Str(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Encodes one attribute for tests and fixtures.
#[cfg(test)]
pub(super) fn encoded(pairs: &[(&str, AttributeValue<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    pairs.iter().for_each(|(key, value)| bramble_signal::attributes::put_attribute(&mut out, key, *value));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::Writer;

    fn nested(levels: usize) -> Vec<u8> {
        let mut inner = Vec::new();
        Writer::new(&mut inner).varint(3, 7);
        for _ in 0..levels {
            let mut outer = Vec::new();
            Writer::new(&mut outer).message(5, |w| w.bytes(1, &inner));
            inner = outer;
        }
        inner
    }

    #[test]
    fn nesting_is_limited() {
        let mut out = Vec::new();
        put_any_value(&mut out, Reader::new(&nested(DEPTH_MAX))).unwrap();
        let mut out = Vec::new();
        let error = put_any_value(&mut out, Reader::new(&nested(DEPTH_MAX + 1))).unwrap_err();
        assert_eq!((error.kind(), out.len()), (DecodeErrorKind::TooDeep, 0));
    }

    #[test]
    fn text_of_each_type() {
        let list = encoded(&[("a\"", AttributeValue::Str("\u{1}\n")), ("n", AttributeValue::Empty)]);
        let cases = [
            (AttributeValue::Str("x y"), "x y"),
            (AttributeValue::Bool(true), "true"),
            (AttributeValue::Int(-3), "-3"),
            (AttributeValue::Double(1.0), "1"),
            (AttributeValue::Double(1e21), "1e+21"),
            (AttributeValue::Double(2.5e-7), "2.5e-7"),
            (AttributeValue::Double(f64::NAN), "NaN"),
            (AttributeValue::Bytes(b"a"), "YQ=="),
            (AttributeValue::List(AttributesRef::from_encoded(&list)), r#"{"a\"":"\u0001\n","n":null}"#),
        ];
        for (value, text) in cases {
            let mut out = String::new();
            push_text(&mut out, value);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn the_last_of_a_oneof_wins() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.bytes(1, "first");
        writer.varint(3, 2);
        let mut out = Vec::new();
        put_key(&mut out, "k");
        put_any_value(&mut out, Reader::new(&bytes)).unwrap();
        assert_eq!(AttributesRef::from_encoded(&out).get("k"), Some(AttributeValue::Int(2)));
    }
}
