//! OTLP/JSON rewritten as protobuf.
//!
//! The rules are those of protobuf's JSON mapping with OTLP's exceptions: keys in lowerCamelCase (snake_case is
//! accepted), unknown keys ignored, `null` means absent, 64-bit integers as numbers or text, enums as numbers
//! (names are accepted), ids in hexadecimal of any case.

use super::schema::{Field, Kind, Message};
use crate::DecodeError;
use crate::hex::{parse_base64, parse_hex};
use crate::protobuf::{Writer, zigzag};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Replaces `out` by the protobuf form of the JSON `body`, a message of type `message`.
pub(super) fn transcode(message: &'static Message, body: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    out.clear();
    let mut json = serde_json::Deserializer::from_slice(body);
    MessageSeed { message, out }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|e| DecodeError::json(&e, body))
}

struct MessageSeed<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(KeySeed(self.message))? {
            match field {
                Some(field) => map.next_value_seed(ValueSeed { field, element: false, out: self.out })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds the field that a key names.
struct KeySeed(&'static Message);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.key == key || is_snake_case_of(key, field.key)))
    }
}

/// Whether `snake` is `camel` with each capital written as `_` and the small letter.
fn is_snake_case_of(snake: &str, camel: &str) -> bool {
    let mut snake = snake.bytes();
    camel.bytes().all(|byte| match byte.is_ascii_uppercase() {
        true => snake.next() == Some(b'_') && snake.next() == Some(byte.to_ascii_lowercase()),
        false => snake.next() == Some(byte),
    }) && snake.next().is_none()
}

/// Writes a field's value, or, when `element`, one of a repeated field's.
struct ValueSeed<'a> {
    field: &'static Field,
    element: bool,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ValueSeed<'_> {
    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let range = |what| E::custom(format_args!("{}: {value} is out of range of {what}", self.field.key));
        let unsigned = || u64::try_from(value).map_err(|_| range("uint64"));
        let signed = || i64::try_from(value).map(i64::cast_unsigned).map_err(|_| range("int64"));
        let number = self.field.number;
        match self.field.kind {
            Kind::Int | Kind::Enum(_) => {
                let bits = signed()?;
                Writer::new(self.out).varint(number, bits);
            }
            Kind::Unsigned => {
                let bits = unsigned()?;
                Writer::new(self.out).varint(number, bits);
            }
            Kind::SignedInt => {
                let value = i32::try_from(value).map_err(|_| range("int32"))?;
                Writer::new(self.out).varint(number, zigzag(value.into()));
            }
            Kind::Fixed64 => {
                let bits = unsigned()?;
                Writer::new(self.out).fixed64(number, bits);
            }
            Kind::SignedFixed64 => {
                let bits = signed()?;
                Writer::new(self.out).fixed64(number, bits);
            }
            Kind::Fixed32 => {
                let bits = u32::try_from(value).map_err(|_| range("uint32"))?;
                Writer::new(self.out).fixed32(number, bits);
            }
            Kind::Double => Writer::new(self.out).double(number, value as f64),
            _ => return Err(self.wrong("a number")),
        }
        Ok(())
    }

    fn wrong<E: Error>(&self, got: &str) -> E {
        let wanted = match self.field.kind {
            _ if self.field.repeated && !self.element => "an array",
            Kind::Bool => "true or false",
            Kind::Int | Kind::Unsigned | Kind::SignedInt | Kind::Fixed64 | Kind::SignedFixed64 | Kind::Fixed32 => {
                "an integer"
            }
            Kind::Double => "a number",
            Kind::Text => "text",
            Kind::Bytes => "base64 text",
            Kind::Id => "hexadecimal text",
            Kind::Enum(_) => "an enum's number",
            Kind::Message(_) => "an object",
        };
        E::custom(format_args!("{} must be {wanted}, not {got}", self.field.key))
    }

    /// Refuses a single value where a list belongs.
    fn single<E: Error>(&self, got: &str) -> Result<(), E> {
        match self.field.repeated && !self.element {
            true => Err(self.wrong(got)),
            false => Ok(()),
        }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of {}", self.field.key)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.single("true or false")?;
        match self.field.kind {
            Kind::Bool => Writer::new(self.out).varint(self.field.number, value.into()),
            _ => return Err(self.wrong("true or false")),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.single("a number")?;
        self.integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.single("a number")?;
        self.integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.single("a number")?;
        match self.field.kind {
            Kind::Double => Writer::new(self.out).double(self.field.number, value),
            // 1e3 is an integer to protobuf's JSON mapping; beyond 2^64 the range check refuses it.
            _ if value.fract() == 0.0 && value.abs() < 1e20 => return self.integer(value as i128),
            _ => return Err(self.wrong("a fraction")),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.single("text")?;
        let number = self.field.number;
        match self.field.kind {
            Kind::Text => Writer::new(self.out).bytes(number, text),
            Kind::Id => {
                let mut writer = Writer::new(self.out);
                let start = writer.begin(number);
                let whole = parse_hex(text, writer.out());
                if !whole {
                    // One byte is no id: the decoder rejects the item that has it and keeps the others.
                    writer.out().truncate(start);
                    writer.out().push(0);
                }
                writer.end(start);
            }
            Kind::Bytes => {
                let mut writer = Writer::new(self.out);
                let start = writer.begin(number);
                if !parse_base64(text, writer.out()) {
                    return Err(self.wrong("other text"));
                }
                writer.end(start);
            }
            Kind::Enum(names) => match names.iter().find(|(name, _)| *name == text) {
                Some(&(_, value)) => Writer::new(self.out).varint(number, value),
                None => {
                    let value = text.parse::<i64>().map_err(|_| self.wrong("an unknown name"))?;
                    return self.integer(value.into());
                }
            },
            Kind::Double => {
                let value = match text {
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    _ => text.parse::<f64>().map_err(|_| self.wrong("other text"))?,
                };
                Writer::new(self.out).double(number, value);
            }
            Kind::Int | Kind::Unsigned | Kind::SignedInt | Kind::Fixed64 | Kind::SignedFixed64 | Kind::Fixed32 => {
                let value = text.parse::<i128>().map_err(|_| self.wrong("other text"))?;
                return self.integer(value);
            }
            Kind::Bool | Kind::Message(_) => return Err(self.wrong("text")),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.field.repeated || self.element {
            return Err(self.wrong("an array"));
        }
        while seq.next_element_seed(ValueSeed { field: self.field, element: true, out: self.out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.single("an object")?;
        let Kind::Message(message) = self.field.kind else { return Err(self.wrong("an object")) };
        let start = Writer::new(self.out).begin(self.field.number);
        MessageSeed { message, out: self.out }.visit_map(map)?;
        Writer::new(self.out).end(start);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{LOGS_REQUEST, METRICS_REQUEST, TRACES_REQUEST};
    use super::*;

    fn of(message: &'static Message, json: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        transcode(message, json.as_bytes(), &mut out).map(|()| out).map_err(|e| e.to_string())
    }

    #[test]
    fn spellings_of_one_span_give_the_same_bytes() {
        let span = |fields: &str| {
            of(&TRACES_REQUEST, &format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#))
                .unwrap()
        };
        let plain = span(r#""traceId":"00ff","startTimeUnixNano":"17","kind":2"#);
        assert_eq!(plain, b"\x0a\x13\x12\x11\x12\x0f\x0a\x02\x00\xff\x39\x11\0\0\0\0\0\0\0\x30\x02");
        for other in [
            r#""traceId":"00FF","startTimeUnixNano":17,"kind":"SPAN_KIND_SERVER""#,
            r#""trace_id":"00ff","start_time_unix_nano":"17","kind":"2","unheard":{"of":[1,null]},"events":null"#,
            r#""traceId":"00ff","startTimeUnixNano":1.7e1,"kind":2.0"#,
        ] {
            assert_eq!(span(other), plain, "{other}");
        }
        let bad_id = span(r#""traceId":"zz""#);
        assert!(bad_id.ends_with(b"\x0a\x01\x00"), "an id of one byte, to be rejected: {bad_id:?}");
    }

    #[test]
    fn doubles_keep_their_bits() {
        let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[
            {"asDouble":0.1},{"asDouble":1},{"asDouble":"NaN"},{"asDouble":"-Infinity"},{"asInt":"-1"},{"asDouble":1.2345678901234567e-300}]}}]}]}]}"#;
        let bytes = of(&METRICS_REQUEST, json).unwrap();
        for value in [0.1, 1.0, f64::NEG_INFINITY, 1.2345678901234567e-300] {
            assert!(bytes.windows(8).any(|w| w == value.to_le_bytes()), "{value}");
        }
        assert!(bytes.windows(9).any(|w| w == [0x31, 255, 255, 255, 255, 255, 255, 255, 255]));
    }

    #[test]
    fn errors_say_what_and_where() {
        let logs = |json: &str| of(&LOGS_REQUEST, json).unwrap_err();
        assert_eq!(
            logs(r#"{"resourceLogs":3}"#),
            "byte 16: resourceLogs must be an array, not a number at line 1 column 17"
        );
        assert!(logs("{\n\"resourceLogs\": [").starts_with("byte 18: EOF"), "{}", logs("{\n\"resourceLogs\": ["));
        assert!(logs("[]").contains("expected an object"));
        assert!(logs(r#"{} {}"#).contains("trailing"));
        let record =
            |fields: &str| logs(&format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#));
        assert!(record(r#""timeUnixNano":-1"#).contains("timeUnixNano: -1 is out of range of uint64"));
        assert!(record(r#""severityNumber":"LOUD""#).contains("must be an enum's number"));
        assert!(record(r#""body":{"bytesValue":"*"}"#).contains("base64"));
        assert!(record(r#""severityText":{}"#).contains("must be text, not an object"));
    }
}
