//! Annotations as events. OpenTelemetry's exporters put an event's attributes into the annotation's text, each in its way.

use bramble_signal::SpanEvent;
use bramble_signal::attributes::{AttributeValue, AttributesRef, put_key};
use serde_json::{Map, Value};

/// Texts up to this long are looked into.
const PARSED_BYTES_MAX: usize = 64 << 10;

/// Appends the event of an annotation: its text is the name, unless it has a form that holds name and attributes:
/// `name|{"a":1}|0` (the Collector, with the number of dropped ones), `{"name":{"a":1}}`, `"name":{"a":1}` (SDKs).
pub(super) fn put(out: &mut Vec<u8>, inner: &mut Vec<u8>, time_ns: u64, text: &str) {
    inner.clear();
    let looked = if text.len() <= PARSED_BYTES_MAX { text } else { "" };
    let parsed = barred(looked, inner).or_else(|| quoted(looked, inner));
    let (name, dropped_attributes) = match &parsed {
        Some((name, dropped)) => (name.as_str(), *dropped),
        None => (text, 0),
    };
    let attributes = AttributesRef::from_encoded(inner);
    bramble_signal::put_event(out, &SpanEvent { time_ns, name, attributes, dropped_attributes });
}

fn barred(text: &str, attributes: &mut Vec<u8>) -> Option<(String, u32)> {
    let (name, rest) = text.split_once('|')?;
    let (json, dropped) = rest.rsplit_once('|')?;
    let dropped = dropped.parse().ok()?;
    put_json(attributes, json)?;
    Some((name.to_owned(), dropped))
}

fn quoted(text: &str, attributes: &mut Vec<u8>) -> Option<(String, u32)> {
    let parsed: Map<String, Value> = match text.as_bytes().first()? {
        b'{' => serde_json::from_str(text).ok()?,
        b'"' => serde_json::from_str(&format!("{{{text}}}")).ok()?,
        _ => return None,
    };
    let mut entries = parsed.iter();
    let (Some((name, Value::Object(values))), None) = (entries.next(), entries.next()) else { return None };
    values.iter().for_each(|(key, value)| put_value(attributes, key, value));
    Some((name.clone(), 0))
}

/// Appends the attributes of a JSON object; `None` when it is none.
pub(super) fn put_json(attributes: &mut Vec<u8>, json: &str) -> Option<()> {
    let values: Map<String, Value> = serde_json::from_str(json).ok()?;
    values.iter().for_each(|(key, value)| put_value(attributes, key, value));
    Some(())
}

fn put_value(out: &mut Vec<u8>, key: &str, value: &Value) {
    put_key(out, key);
    put_any(out, value);
}

fn put_any(out: &mut Vec<u8>, value: &Value) {
    use bramble_signal::attributes::{put_array, put_value};
    match value {
        Value::Null => put_value(out, AttributeValue::Empty),
        Value::Bool(truth) => put_value(out, AttributeValue::Bool(*truth)),
        Value::String(text) => put_value(out, AttributeValue::Str(text)),
        Value::Number(number) => match number.as_i64() {
            Some(int) => put_value(out, AttributeValue::Int(int)),
            None => put_value(out, AttributeValue::Double(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::Array(values) if values.iter().all(|value| !value.is_array() && !value.is_object()) => {
            let result: Result<(), ()> = put_array(out, |out| {
                values.iter().for_each(|value| put_any(out, value));
                Ok(())
            });
            debug_assert_eq!(result, Ok(()));
        }
        // Attributes of events are flat; what is not stays legible.
        Value::Array(_) | Value::Object(_) => put_value(out, AttributeValue::Str(&value.to_string())),
    }
}

/// One encoded attribute.
#[cfg(test)]
pub(super) fn one(key: &str, value: AttributeValue<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    bramble_signal::attributes::put_attribute(&mut out, key, value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<u8>, u32) {
        let (mut out, mut inner) = (Vec::new(), Vec::new());
        put(&mut out, &mut inner, 5, text);
        let event = bramble_signal::events(&out).next().unwrap();
        assert_eq!(event.time_ns, 5);
        (event.name.to_owned(), event.attributes.as_bytes().to_vec(), event.dropped_attributes)
    }

    #[test]
    fn every_exporters_form_is_read() {
        let attribute = one("a", AttributeValue::Int(1));
        assert_eq!(read("retry"), ("retry".into(), vec![], 0));
        assert_eq!(read(r#"retry|{"a":1}|2"#), ("retry".into(), attribute.clone(), 2));
        assert_eq!(read(r#"{"retry":{"a":1}}"#), ("retry".into(), attribute.clone(), 0));
        assert_eq!(read(r#""retry": {"a":1}"#), ("retry".into(), attribute, 0));
        for text in ["a|b", "a|b|c", r#"a|{"x"|0"#, r#"{"a":1}"#, r#"{"a":{},"b":{}}"#, "{", r#""a""#] {
            assert_eq!(read(text), (text.to_owned(), vec![], 0), "no such form");
        }
    }
}
