//! Spans and batches of them.

use crate::attributes::AttributesRef;
use crate::bytes::{Span32, put_bytes, put_varint, take_bytes, take_varint};
use std::fmt;

/// 16 bytes shared by all spans of a trace; all zero is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TraceId(pub [u8; 16]);

/// 8 bytes that name a span within its trace; all zero means none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SpanId(pub [u8; 8]);

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.is_empty() || digits.len() > 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (i, &digit) in digits.iter().rev().enumerate() {
        let nibble = (digit as char).to_digit(16)? as u8;
        out[N - 1 - i / 2] |= nibble << (4 * (i % 2));
    }
    Some(out)
}

impl TraceId {
    /// From 1 to 32 hex digits of any case, padded with zeros on the left.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(TraceId)
    }

    /// Whether this is the invalid all-zero id.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 16]
    }
}

impl SpanId {
    /// From 1 to 16 hex digits of any case, padded with zeros on the left.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(SpanId)
    }

    /// Whether this is the all-zero id: no span.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 8]
    }
}

/// All 32 digits, lower case.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// All 16 digits, lower case.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A span's role in its call. Numbers are OTLP's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Inside one process.
    Internal = 1,
    /// Answers a request.
    Server = 2,
    /// Makes a request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Receives a message.
    Consumer = 5,
}

impl SpanKind {
    /// The kind of an OTLP number; unknown numbers are unspecified.
    pub fn from_code(code: u64) -> Self {
        match code {
            1 => SpanKind::Internal,
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        }
    }

    /// OTLP's and TraceQL's lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            SpanKind::Unspecified => "unspecified",
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        }
    }
}

/// A span's outcome. Numbers are OTLP's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum StatusCode {
    /// Not said.
    #[default]
    Unset = 0,
    /// Said to be fine.
    Ok = 1,
    /// Failed.
    Error = 2,
}

impl StatusCode {
    /// The status of an OTLP number; unknown numbers are unset.
    pub fn from_code(code: u64) -> Self {
        match code {
            1 => StatusCode::Ok,
            2 => StatusCode::Error,
            _ => StatusCode::Unset,
        }
    }

    /// TraceQL's word.
    pub fn as_str(self) -> &'static str {
        match self {
            StatusCode::Unset => "unset",
            StatusCode::Ok => "ok",
            StatusCode::Error => "error",
        }
    }
}

/// Who emitted: ranges into the batch's arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResourceEntry {
    /// Encoded attributes.
    pub attributes: Span32,
    /// Text.
    pub schema_url: Span32,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
}

/// Through which library: ranges into the batch's arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScopeEntry {
    /// Text.
    pub name: Span32,
    /// Text.
    pub version: Span32,
    /// Encoded attributes.
    pub attributes: Span32,
    /// Text.
    pub schema_url: Span32,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
}

/// A span: fixed fields, and ranges into the batch's arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanEntry {
    /// Its trace.
    pub trace_id: TraceId,
    /// Itself.
    pub span_id: SpanId,
    /// Its parent; zero for a root.
    pub parent_span_id: SpanId,
    /// Index into [`SpanBatch::resources`].
    pub resource: u32,
    /// Index into [`SpanBatch::scopes`].
    pub scope: u32,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Nanoseconds since the Unix epoch; may be before the start, as some senders have it.
    pub end_ns: u64,
    /// Role.
    pub kind: SpanKind,
    /// Outcome.
    pub status: StatusCode,
    /// OTLP flags (W3C trace flags in the low 8 bits).
    pub flags: u32,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
    /// Events that the sender dropped.
    pub dropped_events: u32,
    /// Links that the sender dropped.
    pub dropped_links: u32,
    /// Operation; text.
    pub name: Span32,
    /// Text.
    pub status_message: Span32,
    /// W3C trace state; text.
    pub trace_state: Span32,
    /// Encoded attributes.
    pub attributes: Span32,
    /// Encoded events.
    pub events: Span32,
    /// Encoded links.
    pub links: Span32,
}

impl SpanEntry {
    /// End minus start, zero when the end is before the start.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Something that happened during a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanEvent<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What.
    pub name: &'a str,
    /// Its attributes.
    pub attributes: AttributesRef<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
}

/// A pointer to another span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanLink<'a> {
    /// The other trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// W3C trace state.
    pub trace_state: &'a str,
    /// OTLP flags.
    pub flags: u32,
    /// Its attributes.
    pub attributes: AttributesRef<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
}

/// Appends an event's encoding: 8 bytes time, name, attributes, dropped count.
pub fn put_event(out: &mut Vec<u8>, event: &SpanEvent<'_>) {
    out.extend_from_slice(&event.time_ns.to_le_bytes());
    put_bytes(out, event.name.as_bytes());
    put_bytes(out, event.attributes.as_bytes());
    put_varint(out, u64::from(event.dropped_attributes));
}

/// Appends a link's encoding: 16 + 8 bytes ids, trace state, flags, attributes, dropped count.
pub fn put_link(out: &mut Vec<u8>, link: &SpanLink<'_>) {
    out.extend_from_slice(&link.trace_id.0);
    out.extend_from_slice(&link.span_id.0);
    put_bytes(out, link.trace_state.as_bytes());
    put_varint(out, u64::from(link.flags));
    put_bytes(out, link.attributes.as_bytes());
    put_varint(out, u64::from(link.dropped_attributes));
}

/// Events of an encoded sequence; a damaged one reads as if it ended where the damage is.
pub fn events(mut bytes: &[u8]) -> impl Iterator<Item = SpanEvent<'_>> {
    std::iter::from_fn(move || {
        let (time, rest) = bytes.split_first_chunk::<8>()?;
        bytes = rest;
        Some(SpanEvent {
            time_ns: u64::from_le_bytes(*time),
            name: std::str::from_utf8(take_bytes(&mut bytes)?).ok()?,
            attributes: AttributesRef::from_encoded(take_bytes(&mut bytes)?),
            dropped_attributes: u32::try_from(take_varint(&mut bytes)?).ok()?,
        })
    })
}

/// Links of an encoded sequence; a damaged one reads as if it ended where the damage is.
pub fn links(mut bytes: &[u8]) -> impl Iterator<Item = SpanLink<'_>> {
    std::iter::from_fn(move || {
        let (trace_id, rest) = bytes.split_first_chunk::<16>()?;
        let (span_id, rest) = rest.split_first_chunk::<8>()?;
        bytes = rest;
        Some(SpanLink {
            trace_id: TraceId(*trace_id),
            span_id: SpanId(*span_id),
            trace_state: std::str::from_utf8(take_bytes(&mut bytes)?).ok()?,
            flags: u32::try_from(take_varint(&mut bytes)?).ok()?,
            attributes: AttributesRef::from_encoded(take_bytes(&mut bytes)?),
            dropped_attributes: u32::try_from(take_varint(&mut bytes)?).ok()?,
        })
    })
}

/// Spans with their resources and scopes, as a receiver hands them over, or as a store answers.
///
/// Fields are public because there is no invariant between them but that ranges lie in the arena and indexes in
/// their vectors; the readers below tolerate neither being broken by our own code.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct SpanBatch {
    /// Texts, attributes, events and links.
    pub arena: Vec<u8>,
    /// Who emitted.
    pub resources: Vec<ResourceEntry>,
    /// Through which library.
    pub scopes: Vec<ScopeEntry>,
    /// Spans in arrival order.
    pub spans: Vec<SpanEntry>,
}

impl SpanBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes to the arena and returns where they are.
    pub fn put(&mut self, bytes: &[u8]) -> Span32 {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span32::new(start, self.arena.len())
    }

    /// Bytes of the arena.
    pub fn bytes(&self, span: Span32) -> &[u8] {
        &self.arena[span.range()]
    }

    /// Text of the arena; receivers checked that it is UTF-8.
    pub fn text(&self, span: Span32) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or("")
    }

    /// Attributes of the arena.
    pub fn attributes(&self, span: Span32) -> AttributesRef<'_> {
        AttributesRef::from_encoded(self.bytes(span))
    }

    /// A span's resource attributes.
    pub fn resource_attributes(&self, span: &SpanEntry) -> AttributesRef<'_> {
        self.attributes(self.resources[span.resource as usize].attributes)
    }

    /// A span's service: the resource attribute `service.name`, or `unknown_service` as OTel's SDKs have it.
    pub fn service(&self, span: &SpanEntry) -> &str {
        self.resource_attributes(span).service()
    }

    /// A span's events.
    pub fn events(&self, span: &SpanEntry) -> impl Iterator<Item = SpanEvent<'_>> {
        events(self.bytes(span.events))
    }

    /// A span's links.
    pub fn links(&self, span: &SpanEntry) -> impl Iterator<Item = SpanLink<'_>> {
        links(self.bytes(span.links))
    }

    /// Whether there are no spans.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Copies one span of `other`, with its resource and scope, to the end of this batch. Resources and scopes
    /// equal to the last ones here are shared.
    pub fn push_from(&mut self, other: &SpanBatch, span: &SpanEntry) {
        let resource = self.resource_from(other, &other.resources[span.resource as usize]);
        let scope = self.scope_from(other, &other.scopes[span.scope as usize]);
        let copied = SpanEntry {
            resource,
            scope,
            name: self.put(other.bytes(span.name)),
            status_message: self.put(other.bytes(span.status_message)),
            trace_state: self.put(other.bytes(span.trace_state)),
            attributes: self.put(other.bytes(span.attributes)),
            events: self.put(other.bytes(span.events)),
            links: self.put(other.bytes(span.links)),
            ..*span
        };
        self.spans.push(copied);
    }

    fn resource_from(&mut self, other: &SpanBatch, theirs: &ResourceEntry) -> u32 {
        let same = |ours: &ResourceEntry| {
            ours.dropped_attributes == theirs.dropped_attributes
                && self.bytes(ours.attributes) == other.bytes(theirs.attributes)
                && self.bytes(ours.schema_url) == other.bytes(theirs.schema_url)
        };
        // Traces have a handful of resources; the newest is the likeliest.
        if let Some(at) = self.resources.iter().rposition(same) {
            return at as u32;
        }
        let copied = ResourceEntry {
            attributes: self.put(other.bytes(theirs.attributes)),
            schema_url: self.put(other.bytes(theirs.schema_url)),
            dropped_attributes: theirs.dropped_attributes,
        };
        self.resources.push(copied);
        (self.resources.len() - 1) as u32
    }

    fn scope_from(&mut self, other: &SpanBatch, theirs: &ScopeEntry) -> u32 {
        let same = |ours: &ScopeEntry| {
            ours.dropped_attributes == theirs.dropped_attributes
                && self.bytes(ours.name) == other.bytes(theirs.name)
                && self.bytes(ours.version) == other.bytes(theirs.version)
                && self.bytes(ours.attributes) == other.bytes(theirs.attributes)
                && self.bytes(ours.schema_url) == other.bytes(theirs.schema_url)
        };
        if let Some(at) = self.scopes.iter().rposition(same) {
            return at as u32;
        }
        let copied = ScopeEntry {
            name: self.put(other.bytes(theirs.name)),
            version: self.put(other.bytes(theirs.version)),
            attributes: self.put(other.bytes(theirs.attributes)),
            schema_url: self.put(other.bytes(theirs.schema_url)),
            dropped_attributes: theirs.dropped_attributes,
        };
        self.scopes.push(copied);
        (self.scopes.len() - 1) as u32
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.arena.capacity()
            + self.resources.capacity() * size_of::<ResourceEntry>()
            + self.scopes.capacity() * size_of::<ScopeEntry>()
            + self.spans.capacity() * size_of::<SpanEntry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{AttributeValue, put_attribute};

    #[test]
    fn ids_parse_and_print() {
        assert_eq!(TraceId::parse("AbC").unwrap().to_string(), format!("{}abc", "0".repeat(29)));
        assert_eq!(SpanId::parse("0123456789abcdef").unwrap().to_string(), "0123456789abcdef");
        assert!(
            TraceId::parse("").is_none() && TraceId::parse("xyz").is_none() && SpanId::parse(&"1".repeat(17)).is_none()
        );
        assert!(TraceId::default().is_zero());
    }

    #[test]
    fn copies_share_resources() {
        let mut source = SpanBatch::new();
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, "service.name", AttributeValue::Str("beorn"));
        let attributes = source.put(&attributes);
        source.resources.push(ResourceEntry { attributes, ..Default::default() });
        source.scopes.push(ScopeEntry::default());
        let name = source.put(b"GET /");
        let mut events = Vec::new();
        put_event(
            &mut events,
            &SpanEvent { time_ns: 9, name: "boom", attributes: AttributesRef::default(), dropped_attributes: 3 },
        );
        let events = source.put(&events);
        let mut links = Vec::new();
        put_link(
            &mut links,
            &SpanLink {
                trace_id: TraceId([1; 16]),
                span_id: SpanId([2; 8]),
                trace_state: "a=b",
                flags: 1,
                attributes: AttributesRef::default(),
                dropped_attributes: 0,
            },
        );
        let links = source.put(&links);
        source.spans.push(SpanEntry { name, events, links, start_ns: 5, end_ns: 3, ..Default::default() });

        let mut target = SpanBatch::new();
        for _ in 0..2 {
            target.push_from(&source, &source.spans[0]);
        }
        assert_eq!((target.resources.len(), target.scopes.len(), target.spans.len()), (1, 1, 2));
        let span = target.spans[1];
        assert_eq!((target.service(&span), target.text(span.name), span.duration_ns()), ("beorn", "GET /", 0));
        assert_eq!(
            target.events(&span).next().map(|e| (e.time_ns, e.name, e.dropped_attributes)),
            Some((9, "boom", 3))
        );
        assert_eq!(target.links(&span).next().map(|l| (l.trace_state, l.flags)), Some(("a=b", 1)));
    }
}
