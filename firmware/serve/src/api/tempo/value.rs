//! Values of TraceQL as OTLP has them, in JSON and protobuf.

use bramble_query_traceql::{Value as TraceValue, duration_text};
use bramble_wire::protobuf::Writer;
use serde_json::{Value, json};

/// A value as OTLP's JSON has it; 64-bit integers as text.
fn json_of(value: &TraceValue<'_>) -> Value {
    match value {
        TraceValue::Nil => json!({"stringValue": "nil"}),
        TraceValue::Bool(b) => json!({"boolValue": b}),
        TraceValue::Int(i) => json!({"intValue": i.to_string()}),
        // Whole ones without a point, as protobuf's JSON has them: clients group by the printed label.
        TraceValue::Float(d) if d.fract() == 0.0 && d.abs() < 9e15 => json!({"doubleValue": *d as i64}),
        TraceValue::Float(d) => json!({"doubleValue": number(*d)}),
        TraceValue::Duration(ns) => json!({"stringValue": duration_text(*ns)}),
        TraceValue::Text(text) => json!({"stringValue": text}),
        TraceValue::Status(status) => json!({"stringValue": status.as_str()}),
        TraceValue::Kind(kind) => json!({"stringValue": kind.as_str()}),
        TraceValue::Many(values) => json!({"arrayValue": {"values": values.iter().map(json_of).collect::<Vec<_>>()}}),
    }
}

/// A key and its value.
pub(super) fn attribute(key: &str, of: &TraceValue<'_>) -> Value {
    json!({"key": key, "value": json_of(of)})
}

/// JSON has no numbers that are not finite; protobuf's JSON writes them as text.
pub(super) fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => "NaN".into(),
        v if v.is_infinite() => (if v > 0.0 { "Infinity" } else { "-Infinity" }).into(),
        v => v.into(),
    }
}

/// Fields of `AnyValue{string=1, bool=2, int=3, double=4, array=5{values=1}}`.
fn write(value: &TraceValue<'_>, out: &mut Writer<'_>) {
    match value {
        TraceValue::Nil => out.bytes(1, "nil"),
        TraceValue::Bool(b) => out.varint(2, u64::from(*b)),
        TraceValue::Int(i) => out.varint(3, i.cast_unsigned()),
        TraceValue::Float(d) => out.double(4, *d),
        TraceValue::Duration(ns) => out.bytes(1, duration_text(*ns)),
        TraceValue::Text(text) => out.bytes(1, text.as_bytes()),
        TraceValue::Status(status) => out.bytes(1, status.as_str()),
        TraceValue::Kind(kind) => out.bytes(1, kind.as_str()),
        TraceValue::Many(values) => {
            out.message(5, |array| values.iter().for_each(|v| array.message(1, |element| write(v, element))))
        }
    }
}

/// Keys and values as fields `number` of a message: `KeyValue{key=1, value=2}`.
pub(super) fn write_attributes(number: u32, attributes: &[(String, TraceValue<'static>)], out: &mut Writer<'_>) {
    for (key, value) in attributes {
        out.message(number, |pair| {
            pair.bytes(1, key);
            pair.message(2, |w| write(value, w));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::StatusCode;

    #[test]
    fn both_forms_say_the_same() {
        let many = TraceValue::Many(vec![TraceValue::Int(-1), TraceValue::Bool(true)]);
        assert_eq!(
            attribute("k", &many),
            json!({"key": "k", "value": {"arrayValue": {"values": [{"intValue": "-1"}, {"boolValue": true}]}}})
        );
        let mut bytes = Vec::new();
        let list = [("k".to_owned(), many), ("s".to_owned(), TraceValue::Status(StatusCode::Error))];
        write_attributes(5, &list, &mut Writer::new(&mut bytes));
        let minus_one = [0x0a, 11, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let mut wanted = vec![0x2a, 24, 0x0a, 1, b'k', 0x12, 19, 0x2a, 17];
        wanted.extend(minus_one);
        wanted.extend([0x0a, 2, 0x10, 1, 0x2a, 12, 0x0a, 1, b's', 0x12, 7, 0x0a, 5]);
        wanted.extend(b"error");
        assert_eq!(bytes, wanted);
        assert_eq!(
            (number(f64::NAN), number(f64::NEG_INFINITY), number(1.5)),
            ("NaN".into(), "-Infinity".into(), 1.5.into())
        );
    }
}
