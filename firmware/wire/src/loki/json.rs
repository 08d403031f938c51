//! Push requests in JSON.
//!
//! `{"streams":[{"stream":{"app":"web"},"values":[["<ns>","line",{"trace_id":"ab"}]]}]}`, and the older
//! `{"streams":[{"labels":"{app=\"web\"}","entries":[{"ts":"2026-01-02T03:04:05.6Z","line":"…"}]}]}`. Keys come
//! in any order, so entries are staged until their stream's labels are known. Unknown keys are ignored.

use super::{Oversize, Push, label_text, push_metadata};
use crate::{DecodeError, RejectReason};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

pub(super) fn decode(body: &[u8], push: &mut Push<'_>) -> Result<(), DecodeError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut request = Request { push, error: None };
    let result = Node { request: &mut request, shape: Shape::Request }.deserialize(&mut json).and_then(|_| json.end());
    match (request.error, result) {
        // The JSON reader was stopped by an error of ours.
        (Some(error), _) => Err(error.without_position()),
        (None, result) => result.map_err(|e| DecodeError::json(&e, body)),
    }
}

struct Request<'a, 'b> {
    push: &'a mut Push<'b>,
    error: Option<DecodeError>,
}

impl Request<'_, '_> {
    fn check<E: Error>(&mut self, result: Result<(), DecodeError>) -> Result<(), E> {
        result.map_err(|error| {
            let text = E::custom(&error);
            self.error = Some(error);
            text
        })
    }
}

/// What is expected at a place of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Request,
    Streams,
    Stream,
    /// The object of labels.
    Labels,
    /// The list of `[time, line, metadata]`.
    Values,
    Value,
    /// The object of metadata.
    Metadata,
    /// The old list of objects.
    Entries,
    Entry,
}

struct Node<'a, 'b, 'c> {
    request: &'a mut Request<'b, 'c>,
    shape: Shape,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b, 'c> Node<'_, 'b, 'c> {
    fn inner(&mut self, shape: Shape) -> Node<'_, 'b, 'c> {
        Node { request: &mut *self.request, shape }
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shape {
            Shape::Request => "an object with streams",
            Shape::Streams => "a list of streams",
            Shape::Stream => "a stream object",
            Shape::Labels => "an object of labels",
            Shape::Values => "a list of values",
            Shape::Value => "a list of time, line and metadata",
            Shape::Metadata => "an object of metadata",
            Shape::Entries => "a list of entries",
            Shape::Entry => "an entry object",
        })
    }

    /// `null` is as good as absent, but for a stream and its labels.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.shape {
            Shape::Request | Shape::Streams | Shape::Values | Shape::Entries | Shape::Metadata => Ok(()),
            Shape::Value | Shape::Entry => Ok(()),
            _ => Err(E::invalid_type(serde::de::Unexpected::Unit, &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let element = match self.shape {
            Shape::Streams => Shape::Stream,
            Shape::Values => Shape::Value,
            Shape::Entries => Shape::Entry,
            Shape::Value => return self.value(seq),
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        };
        while seq.next_element_seed(self.inner(element))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.shape {
            Shape::Request => self.request(map),
            Shape::Stream => self.stream(map),
            Shape::Labels | Shape::Metadata => self.pairs(map),
            Shape::Entry => self.entry(map),
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}

impl Node<'_, '_, '_> {
    fn request<'de, A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(TextSeed)? {
            match &*key {
                "streams" => map.next_value_seed(self.inner(Shape::Streams))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn stream<'de, A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let scratch = &mut *self.request.push.scratch;
        scratch.labels.clear();
        scratch.staged.arena.clear();
        scratch.staged.entries.clear();
        scratch.staged.refused.clear();
        self.request.push.streams += 1;
        let mut labels_error = None;
        while let Some(key) = map.next_key_seed(TextSeed)? {
            match &*key {
                "stream" => {
                    self.request.push.scratch.labels.clear();
                    map.next_value_seed(self.inner(Shape::Labels))?;
                    labels_error = self.label_names().err();
                }
                "values" => map.next_value_seed(self.inner(Shape::Values))?,
                "labels" => {
                    let text = map.next_value_seed(TextSeed)?;
                    labels_error = label_text::parse_into(&text, &mut self.request.push.scratch.labels).err();
                }
                "entries" => map.next_value_seed(self.inner(Shape::Entries))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let result = self.request.push.finish_staged(labels_error);
        self.request.check(result)
    }

    /// Labels or metadata: flat text; numbers and truth values are as good for labels. Of a label's name that comes
    /// twice the last one counts, as in any JSON object.
    fn pairs<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let scratch = &mut *self.request.push.scratch;
        while let Some(name) = map.next_key_seed(TextSeed)? {
            match self.shape {
                Shape::Labels => {
                    let value = map.next_value_seed(ScalarSeed)?;
                    scratch.labels.set(&name, &value);
                }
                _ => push_metadata(&mut scratch.metadata, &name, &map.next_value_seed(TextSeed)?),
            }
        }
        Ok(())
    }

    /// Labels of an object obey the same rules as those of a text.
    fn label_names(&self) -> Result<(), DecodeError> {
        let labels = &self.request.push.scratch.labels;
        labels.iter().try_for_each(|(name, _)| label_text::check_name(name))
    }

    fn value<'de, A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.request.push.scratch.metadata.clear();
        let Some(time) = seq.next_element_seed(TextSeed)? else {
            self.request.push.stage_refusal(RejectReason::InvalidTimestamp, Oversize::default());
            return Ok(());
        };
        let timestamp_ns = time
            .parse()
            .map_err(|_| A::Error::custom(format_args!("time must be nanoseconds in decimal text, not {time:.40?}")))?;
        // A time alone is an empty line.
        let line = seq.next_element_seed(TextSeed)?.unwrap_or_default();
        seq.next_element_seed(self.inner(Shape::Metadata))?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.stage(timestamp_ns, &line)
    }

    fn entry<'de, A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.request.push.scratch.metadata.clear();
        let (mut timestamp_ns, mut line) = (0, Cow::Borrowed(""));
        while let Some(key) = map.next_key_seed(TextSeed)? {
            match &*key {
                "ts" | "timestamp" => {
                    let time = map.next_value_seed(TextSeed)?;
                    timestamp_ns = parse_rfc3339(&time).ok_or_else(|| {
                        A::Error::custom(format_args!("time must be RFC 3339 text from 1678 to 2262, not {time:.40?}"))
                    })?;
                }
                "line" => line = map.next_value_seed(TextSeed)?,
                "structuredMetadata" => map.next_value_seed(self.inner(Shape::Metadata))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.stage(timestamp_ns, &line)
    }

    fn stage<E: Error>(&mut self, timestamp_ns: i64, line: &str) -> Result<(), E> {
        let result = self.request.push.stage_entry(timestamp_ns, line.as_bytes());
        self.request.check(result)
    }
}

/// Text, borrowed from the body unless it has escapes.
pub(crate) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Text, or a number or truth value as text.
struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(if value { "true" } else { "false" }))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }
}

/// Nanoseconds since the Unix epoch of an RFC 3339 time; digits beyond nanoseconds are cut off.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let is = |at: usize, allowed: &[u8]| text.as_bytes().get(at).is_some_and(|b| allowed.contains(b));
    let separated = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !separated || !valid {
        return None;
    }
    let mut zone_at = 19;
    let mut nanos = 0i64;
    if is(19, b".,") {
        let len = text.bytes().skip(20).take_while(u8::is_ascii_digit).count();
        let digits = text.get(20..20 + len.min(9))?;
        nanos = digits.parse::<i64>().ok()? * 10i64.pow(9 - digits.len() as u32);
        zone_at = 20 + len;
    }
    let offset_seconds = match text.get(zone_at..)? {
        "Z" | "z" => 0,
        zone if zone.len() == 6 && is(zone_at + 3, b":") && is(zone_at, b"+-") => {
            let sign = if is(zone_at, b"-") { -1 } else { 1 };
            sign * (number(zone_at + 1..zone_at + 3)? * 3600 + number(zone_at + 4..zone_at + 6)? * 60)
        }
        _ => return None,
    };
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that a leap day is the
/// last of its year.
pub(crate) fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse_rfc3339;

    #[test]
    fn times() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56.5Z", 951_827_696_500_000_000),
            ("2026-11-21T07:00:00.123456789123+01:00", 1_795_240_800_123_456_789),
            ("1969-12-31T23:59:59-00:30", 1_799_000_000_000),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ns), "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "9999-01-01T00:00:00Z",
            "é026-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
