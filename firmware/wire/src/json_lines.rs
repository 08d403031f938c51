//! Logs as lines of JSON objects, as VictoriaLogs takes them: `/insert/jsonline`, and Elasticsearch's bulk form, where a
//! line that says what to do precedes each object.
//!
//! ```text
//! {"_time":"2026-11-21T12:00:00Z","_msg":"it works","app":"web","http":{"status":200},"tags":["a","b"]}
//! ```
//!
//! One field is the line, one the time, some are stream labels, all others structured metadata: objects in objects by
//! their path (`http_status`), lists as JSON text, null not at all.
//!
//! Source: <https://docs.victoriametrics.com/victorialogs/data-ingestion/>.

use crate::label_set::{LabelSet, push_sanitized};
use crate::limits::Meter;
use crate::loki::json::parse_rfc3339;
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::LogBatch;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Which fields of an object are what; names are full paths with dots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldNames {
    /// The line: the first of these that is there and not empty. Default `_msg`.
    pub message: Vec<String>,
    /// The time. Default `_time`.
    pub time: String,
    /// Stream labels. Default none.
    pub stream: Vec<String>,
    /// Left out.
    pub ignored: Vec<String>,
}

impl Default for FieldNames {
    fn default() -> Self {
        FieldNames { message: vec!["_msg".into()], time: "_time".into(), stream: Vec::new(), ignored: Vec::new() }
    }
}

/// Decodes bodies of lines; keeps its scratch memory between them.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    scratch: Scratch,
}

#[derive(Clone, Default, Debug)]
struct Scratch {
    /// All fields of the object at hand, by path.
    fields: LabelSet,
    labels: LabelSet,
    metadata: LabelSet,
    path: String,
    /// The last stream's labels, encoded.
    stream: Vec<u8>,
}

impl Decoder {
    /// A decoder that holds streams and entries to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, ..Default::default() }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Decodes the objects of `body`, one a line; with `bulk` after each line with `create` or `index`. Lines that are
    /// none are rejected and the rest is kept. `now_ns` is the time of objects that have none, or zero. An object whose
    /// stream would have no label gets `service_name="unknown_service"`, without which nothing could ask for it.
    ///
    /// # Errors
    /// [`DecodeError`] when the batch would become too large.
    pub fn decode(
        &mut self,
        body: &[u8],
        names: &FieldNames,
        bulk: bool,
        now_ns: i64,
    ) -> Result<Decoded<LogBatch>, DecodeError> {
        let mut decoded = Decoded::<LogBatch>::default();
        let (mut meter, mut position, mut expects_action) = (Meter::new(self.limits.batch_bytes_max), 0, bulk);
        self.scratch.stream.clear();
        for (number, line) in body.split(|&byte| byte == b'\n').enumerate() {
            let start = position;
            position += line.len() + 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let is_action = expects_action;
            expects_action = bulk && !is_action;
            if is_action {
                continue;
            }
            match self.object(line, names, now_ns) {
                Ok((timestamp_ns, message)) => {
                    self.keep(timestamp_ns, &message, start, &mut meter, &mut decoded.batch)?
                }
                Err((reason, text)) => {
                    decoded.rejected.add_told(reason, 1, || format!("line {}: {text}", number + 1));
                }
            }
        }
        Ok(decoded)
    }

    /// Reads an object; its labels and metadata are in scratch then.
    fn object(
        &mut self,
        line: &[u8],
        names: &FieldNames,
        now_ns: i64,
    ) -> Result<(i64, String), (RejectReason, String)> {
        let Scratch { fields, labels, metadata, path, .. } = &mut self.scratch;
        fields.clear();
        path.clear();
        let mut reader = serde_json::Deserializer::from_slice(line);
        let read = Fields { path, out: fields, top: true }.deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|error| {
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            (RejectReason::InvalidLabels, format!("column {}: {text}", error.column()))
        })?;
        labels.clear();
        metadata.clear();
        let value = |name: &str| fields.iter().find(|(n, value)| *n == name && !value.is_empty()).map(|(_, v)| v);
        let timestamp_ns = match value(&names.time) {
            None | Some("0") => now_ns,
            Some(text) => time_ns(text).ok_or_else(|| {
                (RejectReason::InvalidTimestamp, format!("{:?} is no time", text.chars().take(64).collect::<String>()))
            })?,
        };
        let of_message = names.message.iter().map(String::as_str).find(|name| value(name).is_some());
        let message = self.limits.fit_line(of_message.and_then(value).unwrap_or_default().as_bytes());
        if message.len() > self.limits.line_bytes_max {
            return Err((RejectReason::LineTooLong, format!("{} bytes of text", message.len())));
        }
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            if Some(name) == of_message || name == names.time || names.ignored.iter().any(|other| other == name) {
                continue;
            }
            let out = if names.stream.iter().any(|other| other == name) { &mut *labels } else { &mut *metadata };
            out.push_with(|text| push_sanitized(text, name), |text| text.push_str(value));
        }
        if labels.len() == 0 {
            labels.push("service_name", "unknown_service");
        }
        labels.check(&self.limits, self.limits.stream_labels_max).map_err(|r| (r, r.describe().to_owned()))?;
        metadata.check_metadata(&self.limits).map_err(|r| (r, r.describe().to_owned()))?;
        Ok((timestamp_ns, String::from_utf8_lossy(message).into_owned()))
    }

    fn keep(
        &mut self,
        timestamp_ns: i64,
        message: &str,
        position: usize,
        meter: &mut Meter,
        batch: &mut LogBatch,
    ) -> Result<(), DecodeError> {
        let Scratch { labels, metadata, stream, .. } = &mut self.scratch;
        let labels = labels.encode_last_wins();
        if batch.stream_count() == 0 || labels.as_bytes() != stream.as_slice() {
            meter.add(labels.as_bytes().len() + 16, position)?;
            stream.clear();
            stream.extend_from_slice(labels.as_bytes());
            batch.start_stream_encoded(labels);
        }
        let metadata = metadata.encode_last_wins();
        // 24: timestamp and two ranges.
        meter.add(message.len() + metadata.as_bytes().len() + 24, position)?;
        batch.push_entry_encoded(timestamp_ns, message.as_bytes(), metadata);
        Ok(())
    }
}

/// A time as VictoriaLogs reads it: RFC 3339, perhaps without a zone (UTC) or `T`, or seconds, milli-, micro- or
/// nanoseconds since the Unix epoch, told by their number of digits.
fn time_ns(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        let unit = match number.unsigned_abs() {
            0..100_000_000_000 => 1_000_000_000,
            100_000_000_000..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1000,
            _ => 1,
        };
        return number.checked_mul(unit);
    }
    parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}Z"))).or_else(|| {
        let seconds: f64 = text.parse().ok()?;
        // Far from what 64 bits of nanoseconds can hold there is nothing to log.
        (seconds.abs() < 9e9).then_some((seconds * 1e9) as i64)
    })
}

/// The fields of a value: a leaf is one under its path, an object its own ones.
struct Fields<'a> {
    path: &'a mut String,
    out: &'a mut LabelSet,
    top: bool,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.top {
            true => deserializer.deserialize_map(self),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl Fields<'_> {
    fn leaf<E>(self, write: impl FnOnce(&mut String)) -> Result<(), E> {
        let path = &*self.path;
        self.out.push_with(|text| text.push_str(path), write);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.path.len();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if start > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            map.next_value_seed(Fields { path: &mut *self.path, out: &mut *self.out, top: false })?;
            self.path.truncate(start);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let mut text = String::new();
        JsonText(&mut text).visit_seq(seq)?;
        self.leaf(|out| out.push_str(&text))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.leaf(|out| out.push_str(value))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.leaf(|out| out.push_str(if value { "true" } else { "false" }))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.leaf(|out| out.push_str(&value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.leaf(|out| out.push_str(&value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.leaf(|out| out.push_str(&value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A value as JSON text again, without spaces.
struct JsonText<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let mut first = true;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if !std::mem::replace(&mut first, false) {
                self.0.push(',');
            }
            JsonText(&mut *self.0).visit_str(&key)?;
            self.0.push(':');
            map.next_value_seed(JsonText(&mut *self.0))?;
        }
        self.0.push('}');
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.push('[');
        loop {
            let before = self.0.len();
            if !self.0.ends_with('[') {
                self.0.push(',');
            }
            if seq.next_element_seed(JsonText(&mut *self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(']');
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.push_str(&serde_json::to_string(value).map_err(E::custom)?);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push_str("null");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(body: &str, names: &FieldNames, bulk: bool) -> (Vec<String>, Vec<String>) {
        let decoded = Decoder::new(Limits::default()).decode(body.as_bytes(), names, bulk, 99).unwrap();
        let of = |stream: bramble_signal::LogStream<'_>| {
            let labels = stream.labels().to_string();
            let line = |e: bramble_signal::LogEntry<'_>| {
                format!("{labels} {} {} {}", e.timestamp_ns, String::from_utf8_lossy(e.line), e.metadata)
            };
            stream.entries().map(line).collect::<Vec<_>>()
        };
        let told = decoded.rejected.stories().map(|(_, count, text)| format!("{count} {text}")).collect();
        (decoded.batch.streams().flat_map(of).collect(), told)
    }

    #[test]
    fn objects_become_entries() {
        let names = FieldNames {
            message: vec!["log".into(), "msg".into()],
            time: "date".into(),
            stream: vec!["app".into(), "k8s.pod".into()],
            ignored: vec!["secret".into()],
        };
        let body = concat!(
            r#"{"date":"1970-01-01T00:00:01Z","msg":"a","app":"web","k8s":{"pod":"p1","n":1.5},"l":[1,"x",{"a":[]},null],"secret":1,"no":null}"#,
            "\r\n\n",
            r#"{"date":0,"log":"","msg":"b","app":"web","k8s":{"pod":"p1"},"ok":true}"#,
            "\n{\"log\":\"c\"}\nnot json\n[]\n{\"date\":\"soon\"}\n{\"date\":1500}"
        );
        let (lines, told) = decode(body, &names, false);
        assert_eq!(
            lines,
            [
                r#"{app="web", k8s_pod="p1"} 1000000000 a {k8s_n="1.5", l="[1,\"x\",{\"a\":[]},null]"}"#,
                r#"{app="web", k8s_pod="p1"} 99 b {ok="true"}"#,
                r#"{service_name="unknown_service"} 99 c {}"#,
                r#"{service_name="unknown_service"} 1500000000000  {}"#,
            ]
        );
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("2 line 5: column 2: expected ident"), "{told:?}");
        assert_eq!(told[1], "1 line 7: \"soon\" is no time");
    }

    #[test]
    fn bulk_has_a_line_before_each_object() {
        let body =
            "{\"create\":{\"_index\":\"x\"}}\n{\"_msg\":\"a\"}\n\n{\"index\":{}}\n{\"_msg\":\"b\"}\n{\"create\":{}}\n";
        let (lines, told) = decode(body, &FieldNames::default(), true);
        assert_eq!((lines.len(), told.len()), (2, 0));
        assert!(lines[1].contains(" 99 b "), "{lines:?}");
    }

    #[test]
    fn times_are_told_by_their_digits() {
        for (text, ns) in [
            ("1795240800", 1_795_240_800_000_000_000),
            ("1795240800123", 1_795_240_800_123_000_000),
            ("1795240800123456", 1_795_240_800_123_456_000),
            ("1795240800123456789", 1_795_240_800_123_456_789),
            ("1795240800.5", 1_795_240_800_500_000_000),
            ("2026-11-21T06:00:00", 1_795_240_800_000_000_000),
            ("2026-11-21 07:00:00.5+01:00", 1_795_240_800_500_000_000),
        ] {
            assert_eq!(time_ns(text), Some(ns), "{text}");
        }
        assert_eq!([time_ns("x"), time_ns("1e300"), time_ns("NaN")], [None; 3]);
    }

    #[test]
    fn names_never_have_the_mark_and_memory_is_bounded() {
        let names = FieldNames { stream: vec!["\u{1}s".into()], ..FieldNames::default() };
        let (lines, _) = decode("{\"\\u0001m\":\"x\",\"\\u0001s\":\"y\"}", &names, false);
        assert_eq!(lines, [r#"{_s="y"} 99  {_m="x"}"#]);
        let mut decoder = Decoder::new(Limits { batch_bytes_max: 100, ..Limits::default() });
        let body = "{\"_msg\":\"x\"}\n".repeat(10);
        assert!(decoder.decode(body.as_bytes(), &names, false, 0).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,\"a1\\\\\n]{0,60}") {
            for body in [body.as_slice(), text.as_bytes()] {
                let _ = Decoder::new(Limits::default()).decode(body, &FieldNames::default(), false, 0);
            }
        }
    }
}
