//! Logs as the correlation API takes them: `POST /api/logs`.
//!
//! ```text
//! {"resource":{"service":"beorn","host":"pi","env":"dev"},
//!  "records":[{"timestamp":"2026-11-21T06:00:00Z","severity":"ERROR","message":"it broke",
//!              "trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","labels":{"circuit_id":"C-17"}}]}
//! ```
//!
//! Taken as well: `logs` for `records`, a record alone, lists of either, lines of JSON, and plain text, a record a line.
//! What becomes of a record:
//!
//! * **stream labels**: what says where it runs (`service`, also as `service_name`; `host`, `env`, `pod`, … under any of
//!   their names), from the record or else from `resource`; texts in `labels`; and ids, under one spelling (`trace_id`,
//!   `circuit_id`, …), wherever they stand. The log store keeps those with very many values out of its streams;
//! * **the line**: `message` (or `msg`, `body`, `log`, …). A line of syslog is taken apart: its text is the line, its header
//!   gives what the record itself does not say, and the rest is metadata;
//! * **metadata**: the level as one word (`level`) and all else, objects in objects by their path.
//!
//! Records are judged one by one: a bad one is reported by its number and the rest is kept. Documents are read in passes
//! over their text (objects and lists are found first, then what is in them), so that a resource may come behind its records
//! and nothing is held of a document but the record at hand.

mod names;
mod posted;
mod record;
mod severity;
mod sorter;
mod walk;

use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::{DecodeError, DecodeErrorKind, Limits, RejectReason};
pub use names::is_place;
pub use posted::{BodyKind, IdFinder, Posted, REFUSED_MAX, Refused};
use serde_json::value::RawValue;
use std::borrow::Cow;
use walk::{each_element, each_field};

/// Decodes bodies; keeps its scratch memory between them.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    ids: IdFinder,
    scratch: Scratch,
}

/// Memory reused from record to record.
#[derive(Clone, Default, Debug)]
struct Scratch {
    /// What the resource gives to each of its records.
    base: Shared,
    /// Labels of the record alone.
    own: LabelSet,
    /// Both.
    labels: LabelSet,
    metadata: LabelSet,
    path: String,
    /// The record has an id of this kind that can join nothing.
    malformed: Option<&'static str>,
    /// The last stream's labels, encoded.
    stream: Vec<u8>,
}

#[derive(Clone, Default, Debug)]
struct Shared {
    labels: LabelSet,
    metadata: LabelSet,
}

impl Decoder {
    /// A decoder that holds streams and entries to `limits`.
    pub fn new(limits: Limits, ids: IdFinder) -> Self {
        Decoder { limits, ids, scratch: Scratch::default() }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Decodes a body. `defaults` are fields of a resource for records that have none (`service`, …); `now_ns` is the time of
    /// the first record without one, and the others follow by a nanosecond each.
    ///
    /// # Errors
    /// [`DecodeError`] when the body is no JSON and should be, and when the batch would become too large.
    pub fn decode(
        &mut self,
        body: &[u8],
        kind: BodyKind,
        defaults: &[(String, String)],
        now_ns: i64,
    ) -> Result<Posted, DecodeError> {
        let mut request = Request {
            limits: self.limits,
            ids: self.ids,
            scratch: &mut self.scratch,
            meter: Meter::new(self.limits.batch_bytes_max),
            posted: Posted::default(),
            defaults,
            now_ns,
        };
        request.scratch.stream.clear();
        request.reset_base();
        request.body(body, kind)?;
        Ok(request.posted)
    }
}

/// A body being read.
struct Request<'a> {
    limits: Limits,
    ids: IdFinder,
    scratch: &'a mut Scratch,
    meter: Meter,
    posted: Posted,
    defaults: &'a [(String, String)],
    /// The time of the next record that has none: each is a nanosecond later, since a store keeps entries once that are the
    /// same in all.
    now_ns: i64,
}

/// Why a record is left out.
struct Refusal {
    reason: RejectReason,
    field: &'static str,
    text: String,
}

impl Refusal {
    fn new(reason: RejectReason, field: &'static str, text: impl Into<String>) -> Refusal {
        Refusal { reason, field, text: text.into() }
    }
}

/// Keys of an envelope's records.
fn is_records(key: &str) -> bool {
    matches!(key, "records" | "logs")
}

impl Request<'_> {
    fn body(&mut self, body: &[u8], kind: BodyKind) -> Result<(), DecodeError> {
        let start = body.trim_ascii_start();
        let is_json = match kind {
            BodyKind::JsonLines => return self.lines(body),
            BodyKind::Json => true,
            BodyKind::Unknown => match start {
                [b'{', ..] => true,
                // Lines of text begin with brackets too.
                [b'[', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'{' | b']')),
                _ => false,
            },
        };
        if !is_json {
            return self.text(body);
        }
        let text = std::str::from_utf8(body).map_err(|error| {
            DecodeError::new(DecodeErrorKind::Utf8, "the body is not UTF-8", error.valid_up_to()).placed(body)
        })?;
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let first = match values.next() {
            None => return Err(DecodeError::new(DecodeErrorKind::Json, "the body is empty", 0)),
            Some(first) => first.map_err(|error| DecodeError::json(&error, body))?,
        };
        let end = values.byte_offset();
        let rest = text.get(end..).unwrap_or_default();
        if rest.trim().is_empty() {
            return self.document(first.get(), body);
        }
        let a_line = !first.get().contains('\n') && rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n');
        match a_line {
            true => self.lines(body),
            false => {
                let at = end + rest.len() - rest.trim_start().len();
                Err(DecodeError::new(DecodeErrorKind::Json, "there is more behind the document", at).placed(body))
            }
        }
    }

    /// A document a line.
    fn lines(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        for (number, line) in body.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned());
            let raw = text.and_then(|text| {
                serde_json::from_str::<&RawValue>(text).map_err(|error| {
                    let told = error.to_string();
                    let told = told.split(" at line ").next().unwrap_or_default();
                    format!("column {}: {told}", error.column())
                })
            });
            match raw {
                Ok(raw) if raw.get().starts_with(['{', '[']) => self.document(raw.get(), line)?,
                Ok(raw) => self.take(Err(no_record(raw.get())))?,
                Err(text) => {
                    let refusal =
                        Refusal::new(RejectReason::InvalidRecord, "record", format!("line {}: {text}", number + 1));
                    self.take(Err(refusal))?;
                }
            }
        }
        Ok(())
    }

    /// A record a line, as it stands.
    fn text(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        for line in body.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii_end();
            if !line.is_empty() {
                let entry = self.plain(Cow::Borrowed(line));
                self.take(Ok(entry))?;
            }
        }
        Ok(())
    }

    /// A whole document; `body` is what places are counted in.
    fn document(&mut self, raw: &str, body: &[u8]) -> Result<(), DecodeError> {
        match raw.as_bytes().first() {
            Some(b'{') => self.object(raw),
            Some(b'[') => self.each_element(raw, |request, raw| match raw.starts_with('{') {
                true => request.object(raw),
                false => request.take(Err(no_record(raw))),
            }),
            _ => {
                let message = "expected an object with records, a record, or a list of them";
                Err(DecodeError::new(DecodeErrorKind::Json, message, 0).placed(body))
            }
        }
    }

    /// An envelope or a record.
    fn object(&mut self, raw: &str) -> Result<(), DecodeError> {
        let mut is_envelope = false;
        let look = |key: Cow<'_, str>, value: &str| {
            is_envelope |= is_records(&key) && value.starts_with(['[', '{']);
            Ok::<(), ()>(())
        };
        if each_field(raw, look).is_err() || !is_envelope {
            let entry = self.read_record(raw);
            return self.take(entry);
        }
        self.reset_base();
        let resource = each_field(raw, |key, value| match is_records(&key) {
            true => Ok(()),
            false => self.read_resource(&key, value),
        });
        let resource = resource.unwrap_or_else(|error| Err(not_text(&error)));
        let outcome = each_field(raw, |key, value| match is_records(&key) {
            true => self.records(value, &resource),
            false => Ok(()),
        });
        self.reset_base();
        outcome.unwrap_or(Ok(()))
    }

    /// A list of records, or one; all of them are refused if their resource is.
    fn records(&mut self, raw: &str, resource: &Result<(), Refusal>) -> Result<(), DecodeError> {
        let one = |request: &mut Self, raw: &str| {
            let entry = match resource {
                Err(refusal) => Err(Refusal::new(refusal.reason, refusal.field, refusal.text.clone())),
                Ok(()) if raw.starts_with('{') => request.read_record(raw),
                // A record that is only its text.
                Ok(()) if raw.starts_with('"') => {
                    names::text_of(raw).map(|text| request.plain(record::bytes(text))).ok_or_else(|| bad_text("record"))
                }
                Ok(()) => Err(no_record(raw)),
            };
            request.take(entry)
        };
        match raw.starts_with('[') {
            true => self.each_element(raw, one),
            false => one(self, raw),
        }
    }

    fn each_element(
        &mut self,
        raw: &str,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        each_element(raw, |raw| each(self, raw))
    }

    /// Counts a record; keeps it, or reports why not.
    fn take(&mut self, entry: Result<record::Entry<'_>, Refusal>) -> Result<(), DecodeError> {
        let index = self.posted.records;
        self.posted.records += 1;
        let refusal = match entry.and_then(|entry| self.judge(entry)) {
            Ok(entry) => {
                self.keep(&entry)?;
                return self.warn(index);
            }
            Err(refusal) => refusal,
        };
        let Refusal { reason, field, text } = refusal;
        if self.posted.refused.len() < REFUSED_MAX {
            self.meter.add(2 * size_of::<Refused>() + text.len(), 0)?;
            self.posted.refused.push(Refused { index, field, reason: text.clone() });
        }
        self.posted.rejected.add_told(reason, 1, || format!("record {index}: {field}: {text}"));
        Ok(())
    }

    /// Says what is wrong with a record that was kept.
    fn warn(&mut self, index: u64) -> Result<(), DecodeError> {
        let Some(field) = self.scratch.malformed.take() else { return Ok(()) };
        if self.posted.warnings.len() < REFUSED_MAX {
            let digits = if field == "span_id" { "16" } else { "16 or 32" };
            let reason = format!("not {digits} hex digits: kept as text, joins nothing");
            self.meter.add(2 * size_of::<Refused>() + reason.len(), 0)?;
            self.posted.warnings.push(Refused { index, field, reason });
        }
        Ok(())
    }

    /// Holds an entry, whose labels and metadata are in scratch, to the limits.
    fn judge<'e>(&self, entry: record::Entry<'e>) -> Result<record::Entry<'e>, Refusal> {
        let Scratch { labels, metadata, .. } = &*self.scratch;
        let line = self.limits.fit_line(entry.line());
        if line.len() > self.limits.line_bytes_max {
            let text = format!("{} bytes are more than {}", line.len(), self.limits.line_bytes_max);
            return Err(Refusal::new(RejectReason::LineTooLong, "message", text));
        }
        let told = |reason: RejectReason| Refusal::new(reason, "labels", reason.describe());
        labels.check(&self.limits, self.limits.stream_labels_max).map_err(told)?;
        metadata.check_metadata(&self.limits).map_err(told)?;
        Ok(entry)
    }

    fn keep(&mut self, entry: &record::Entry<'_>) -> Result<(), DecodeError> {
        let line = self.limits.fit_line(entry.line());
        let Scratch { labels, metadata, stream, .. } = &mut *self.scratch;
        let batch = &mut self.posted.batch;
        let labels = labels.encode_last_wins();
        if batch.stream_count() == 0 || labels.as_bytes() != stream.as_slice() {
            self.meter.add(labels.as_bytes().len() + 16, 0)?;
            stream.clear();
            stream.extend_from_slice(labels.as_bytes());
            batch.start_stream_encoded(labels);
        }
        let metadata = metadata.encode_last_wins();
        // 24: timestamp and two ranges.
        self.meter.add(line.len() + metadata.as_bytes().len() + 24, 0)?;
        batch.push_entry_encoded(entry.timestamp_ns, line, metadata);
        Ok(())
    }
}

fn no_record(raw: &str) -> Refusal {
    let found = match raw.as_bytes().first() {
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a truth value",
        _ => "a number",
    };
    Refusal::new(RejectReason::InvalidRecord, "record", format!("expected an object, found {found}"))
}

fn bad_text(field: &'static str) -> Refusal {
    Refusal::new(RejectReason::InvalidUtf8, field, "an escape that is no character")
}

fn not_text(_: &serde_json::Error) -> Refusal {
    bad_text("record")
}

#[cfg(test)]
mod tests;
