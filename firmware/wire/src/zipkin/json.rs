//! Spans in JSON, of versions 2 and 1: keys in any order, straight into the draft.

use super::draft::{Draft, Endpoint, Spans};
use super::keep_going;
use crate::error::ItemError;
use crate::{DecodeError, RejectReason};
use bramble_signal::{SpanId, SpanKind, TraceId};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

pub(super) fn decode(body: &[u8], spans: &mut Spans<'_>) -> Result<(), DecodeError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut error = None;
    let result = List { spans, error: &mut error }.deserialize(&mut json).and_then(|()| json.end());
    match (error, result) {
        // The JSON reader was stopped by an error of ours.
        (Some(error), _) => Err(error),
        (None, result) => result.map_err(|e| DecodeError::json(&e, body)),
    }
}

/// What a value's reader does with it.
trait Take<'de>: Sized {
    const WANTED: &'static str;

    fn text(self, text: Cow<'de, str>);

    fn number(self, _: f64) {}

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn truth(self, truth: bool) {
        self.text(if truth { "true" } else { "false" }.into());
    }
}

/// Makes a reader of whatever takes.
struct Any<T>(T);

impl<'de, T: Take<'de>> DeserializeSeed<'de> for Any<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for Any<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.0.text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.0.truth(truth);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.0.number(number as f64);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.0.number(number as f64);
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.0.number(number);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.list(list)
    }
}

/// Text; numbers and truth values are written as text.
struct Text<'a>(&'a mut String);

impl<'de> Take<'de> for Text<'_> {
    const WANTED: &'static str = "text";

    fn text(self, text: Cow<'de, str>) {
        self.0.clear();
        self.0.push_str(&text);
    }

    fn number(self, number: f64) {
        self.text(number.to_string().into());
    }
}

/// Microseconds or a port, as a number or, as some senders have it, as text. What is negative is not said.
struct Number<'a>(&'a mut u64);

impl<'de> Take<'de> for Number<'_> {
    const WANTED: &'static str = "a number";

    fn text(self, text: Cow<'de, str>) {
        *self.0 = text.parse().unwrap_or(0);
    }

    fn number(self, number: f64) {
        // A conversion that stops at the ends; times of this century are exact, they have 51 bits.
        *self.0 = number as u64;
    }
}

struct Truth<'a>(&'a mut bool);

impl<'de> Take<'de> for Truth<'_> {
    const WANTED: &'static str = "true or false";

    fn text(self, text: Cow<'de, str>) {
        *self.0 = text == "true" || text == "1";
    }
}

/// A key, borrowed unless it has escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The whole document.
struct List<'a, 's> {
    spans: &'a mut Spans<'s>,
    error: &'a mut Option<DecodeError>,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of spans")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let List { spans, error } = self;
        let mut index = 0;
        while let Some(ids) = list.next_element_seed(Span(spans))? {
            let outcome = ids.and_then(|()| spans.finish(0)).map_err(ItemError::without_position);
            keep_going(spans, outcome, || format!("span {index} of the list")).map_err(|fatal| {
                let text = A::Error::custom(&fatal);
                *error = Some(fatal);
                text
            })?;
            index += 1;
        }
        Ok(())
    }
}

/// One span. Gives whether its ids can be read: they are judged when the span is over, so that the rest can be read.
struct Span<'a, 's>(&'a mut Spans<'s>);

impl<'de> DeserializeSeed<'de> for Span<'_, '_> {
    type Value = Result<(), ItemError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Span<'_, '_> {
    type Value = Result<(), ItemError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let spans = self.0;
        spans.draft.clear();
        let mut ids = Ok(());
        while let Some(key) = map.next_key_seed(Key)? {
            let draft = &mut *spans.draft;
            match key.as_ref() {
                "traceId" => map.next_value_seed(Any(Id { out: &mut draft.trace_id.0, ids: &mut ids }))?,
                "id" => map.next_value_seed(Any(Id { out: &mut draft.span_id.0, ids: &mut ids }))?,
                "parentId" => map.next_value_seed(Any(Id { out: &mut draft.parent_id.0, ids: &mut ids }))?,
                "name" => map.next_value_seed(Any(Text(&mut draft.name)))?,
                "kind" => map.next_value_seed(Any(KindOf(&mut draft.kind)))?,
                "timestamp" => map.next_value_seed(Any(Number(&mut draft.start_us)))?,
                "duration" => map.next_value_seed(Any(Number(&mut draft.duration_us)))?,
                "debug" => map.next_value_seed(Any(Truth(&mut draft.debug)))?,
                "shared" => map.next_value_seed(Any(Truth(&mut draft.shared)))?,
                "localEndpoint" => map.next_value_seed(Any(EndpointOf(&mut draft.local)))?,
                "remoteEndpoint" => map.next_value_seed(Any(EndpointOf(&mut draft.remote)))?,
                "tags" => map.next_value_seed(Any(TagsOf(draft)))?,
                "annotations" => map.next_value_seed(Any(Annotations { draft, binary: false }))?,
                "binaryAnnotations" => map.next_value_seed(Any(Annotations { draft, binary: true }))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(ids)
    }
}

/// An id in hexadecimal; a 64-bit trace id has zeros on its left.
struct Id<'a, const N: usize> {
    out: &'a mut [u8; N],
    ids: &'a mut Result<(), ItemError>,
}

impl<'de, const N: usize> Take<'de> for Id<'_, N> {
    const WANTED: &'static str = "an id in hexadecimal";

    fn text(self, text: Cow<'de, str>) {
        let parsed = match N {
            16 => TraceId::parse(&text).map(|id| id.0.to_vec()),
            _ => SpanId::parse(&text).map(|id| id.0.to_vec()),
        };
        match parsed {
            Some(id) => self.out.copy_from_slice(&id),
            None if text.is_empty() => {}
            None if N == 16 => *self.ids = Err(RejectReason::InvalidTraceId.into()),
            None => *self.ids = Err(RejectReason::InvalidSpanId.into()),
        }
    }
}

struct KindOf<'a>(&'a mut SpanKind);

impl<'de> Take<'de> for KindOf<'_> {
    const WANTED: &'static str = "a kind of span";

    fn text(self, text: Cow<'de, str>) {
        *self.0 = match text.as_ref() {
            "CLIENT" => SpanKind::Client,
            "SERVER" => SpanKind::Server,
            "PRODUCER" => SpanKind::Producer,
            "CONSUMER" => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        };
    }
}

struct EndpointOf<'a>(&'a mut Endpoint);

impl<'de> Take<'de> for EndpointOf<'_> {
    const WANTED: &'static str = "an endpoint";

    fn text(self, _: Cow<'de, str>) {}

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (out, mut port, mut ipv6) = (self.0, 0, String::new());
        out.clear();
        while let Some(key) = map.next_key_seed(Key)? {
            match key.as_ref() {
                "serviceName" => map.next_value_seed(Any(Text(&mut out.service)))?,
                "ipv4" => map.next_value_seed(Any(Text(&mut out.ip)))?,
                "ipv6" => map.next_value_seed(Any(Text(&mut ipv6)))?,
                "port" => map.next_value_seed(Any(Number(&mut port)))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if out.ip.is_empty() {
            out.ip = ipv6;
        }
        out.port = u16::try_from(port).unwrap_or(0);
        Ok(())
    }
}

struct TagsOf<'a>(&'a mut Draft);

impl<'de> Take<'de> for TagsOf<'_> {
    const WANTED: &'static str = "tags";

    fn text(self, _: Cow<'de, str>) {}

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            map.next_value_seed(Any(Tag { key, draft: self.0 }))?;
        }
        Ok(())
    }
}

struct Tag<'a, 'de> {
    key: Cow<'de, str>,
    draft: &'a mut Draft,
}

impl<'de> Take<'de> for Tag<'_, 'de> {
    const WANTED: &'static str = "text";

    fn text(self, text: Cow<'de, str>) {
        self.draft.tags.put(&self.key, &text);
    }

    fn number(self, number: f64) {
        self.draft.tags.put(&self.key, &number.to_string());
    }
}

/// Annotations; those of version 1 that are binary are tags.
struct Annotations<'a> {
    draft: &'a mut Draft,
    binary: bool,
}

impl<'de> Take<'de> for Annotations<'_> {
    const WANTED: &'static str = "annotations";

    fn text(self, _: Cow<'de, str>) {}

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Any(Annotation { draft: self.draft, binary: self.binary }))?.is_some() {}
        Ok(())
    }
}

struct Annotation<'a> {
    draft: &'a mut Draft,
    binary: bool,
}

impl<'de> Take<'de> for Annotation<'_> {
    const WANTED: &'static str = "an annotation";

    fn text(self, _: Cow<'de, str>) {}

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut time_us, mut name, mut value, mut endpoint) = (0, String::new(), String::new(), Endpoint::default());
        while let Some(key) = map.next_key_seed(Key)? {
            match key.as_ref() {
                "timestamp" => map.next_value_seed(Any(Number(&mut time_us)))?,
                "key" => map.next_value_seed(Any(Text(&mut name)))?,
                "value" => map.next_value_seed(Any(Text(&mut value)))?,
                "endpoint" => map.next_value_seed(Any(EndpointOf(&mut endpoint)))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let host = (!endpoint.is_empty()).then_some(&endpoint);
        match (self.binary, name.as_str(), host) {
            (false, _, _) => self.draft.annotation(time_us, &value, host),
            (true, "sa" | "ca" | "ma", Some(host)) => self.draft.remote.copy_from(host),
            (true, name, host) => {
                self.draft.note(host);
                self.draft.tags.put(name, &value);
            }
        }
        Ok(())
    }
}
