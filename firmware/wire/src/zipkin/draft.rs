//! A span of any version while it is read, and how it becomes an entry of the batch.

use super::tags::Tags;
use super::{event, tags};
use crate::error::ItemError;
use crate::limits::Meter;
use crate::spans::{resource_index, scope_index};
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{SpanBatch, SpanEntry, SpanId, SpanKind, TraceId};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The sampled bit of OTLP's flags.
const SAMPLED: u32 = 1;

/// Says that the start is not the sender's, as the Collector does.
const START_ABSENT: &str = "otel.zipkin.absentField.startTime";

/// Where something ran.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Endpoint {
    pub(super) service: String,
    /// IPv4, or IPv6 where that is all there is, as text.
    pub(super) ip: String,
    pub(super) port: u16,
}

impl Endpoint {
    pub(super) fn clear(&mut self) {
        self.service.clear();
        self.ip.clear();
        self.port = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.service.is_empty() && self.ip.is_empty() && self.port == 0
    }

    /// An address in 4 or 16 bytes; other lengths and all zeros are none. IPv4 is preferred.
    pub(super) fn set_ip(&mut self, bytes: &[u8]) {
        if let Ok(bytes) = <[u8; 4]>::try_from(bytes)
            && bytes != [0; 4]
        {
            self.ip.clear();
            let _ = write!(self.ip, "{}", Ipv4Addr::from(bytes));
        } else if let Ok(bytes) = <[u8; 16]>::try_from(bytes)
            && bytes != [0; 16]
            && self.ip.is_empty()
        {
            let _ = write!(self.ip, "{}", Ipv6Addr::from(bytes));
        }
    }

    pub(super) fn copy_from(&mut self, other: &Endpoint) {
        self.service.clone_from(&other.service);
        self.ip.clone_from(&other.ip);
        self.port = other.port;
    }
}

/// The span at hand; its memory is reused.
#[derive(Clone, Default, Debug)]
pub(super) struct Draft {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) kind: SpanKind,
    pub(super) name: String,
    /// Microseconds since the epoch; zero when not said.
    pub(super) start_us: u64,
    pub(super) duration_us: u64,
    pub(super) debug: bool,
    pub(super) shared: bool,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) tags: Tags,
    /// Encoded events.
    pub(super) events: Vec<u8>,
    /// Attributes of the event or link at hand.
    pub(super) inner: Vec<u8>,
    /// Of all annotations, in microseconds; zero before the first.
    first_us: u64,
    last_us: u64,
    /// Where annotations and tags of version 1 were noted, should none of them say what kind of span it is.
    pub(super) noted: Endpoint,
    /// Encoded attributes of the resource.
    resource: Vec<u8>,
}

impl Draft {
    pub(super) fn clear(&mut self) {
        (self.trace_id, self.span_id, self.parent_id) = Default::default();
        self.kind = SpanKind::Unspecified;
        self.name.clear();
        (self.start_us, self.duration_us, self.first_us, self.last_us) = (0, 0, 0, 0);
        (self.debug, self.shared) = (false, false);
        self.local.clear();
        self.remote.clear();
        self.noted.clear();
        self.tags.clear();
        self.events.clear();
    }

    /// An annotation. Those of version 1 that say what kind of span it is are not events; their endpoint is the span's.
    pub(super) fn annotation(&mut self, time_us: u64, value: &str, endpoint: Option<&Endpoint>) {
        if time_us > 0 {
            self.first_us = if self.first_us == 0 { time_us } else { self.first_us.min(time_us) };
            self.last_us = self.last_us.max(time_us);
        }
        let kind = match value {
            "cs" | "cr" => SpanKind::Client,
            "sr" | "ss" => SpanKind::Server,
            "ms" => SpanKind::Producer,
            "mr" => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        };
        if kind == SpanKind::Unspecified {
            self.note(endpoint);
            event::put(&mut self.events, &mut self.inner, time_us.saturating_mul(1000), value);
            return;
        }
        if self.kind == SpanKind::Unspecified {
            self.kind = kind;
        }
        if let Some(endpoint) = endpoint
            && self.local.service.is_empty()
        {
            self.local.copy_from(endpoint);
        }
    }

    /// An endpoint of version 1 that is the span's unless a better one comes.
    pub(super) fn note(&mut self, endpoint: Option<&Endpoint>) {
        if let Some(endpoint) = endpoint
            && self.noted.service.is_empty()
            && !endpoint.is_empty()
        {
            self.noted.copy_from(endpoint);
        }
    }

    /// Memory of what is read so far.
    fn bytes(&self) -> usize {
        self.name.len() + self.tags.bytes() + self.events.len() + self.inner.len()
    }

    /// Start and end in nanoseconds, and whether nobody said when.
    fn times(&self, now_us: u64) -> (u64, u64, bool) {
        let start_us = match (self.start_us, self.first_us) {
            (0, 0) => now_us,
            (0, first) => first,
            (start, _) => start,
        };
        let end_us = match (self.start_us, self.duration_us) {
            // Version 1's servers that share a span leave both out.
            (0, 0) => start_us.max(self.last_us),
            (_, duration) => start_us.saturating_add(duration),
        };
        (start_us.saturating_mul(1000), end_us.saturating_mul(1000), self.start_us == 0 && self.first_us == 0)
    }

    /// Attributes that are made of endpoints and flags.
    fn put_endpoints(&mut self) {
        let out = &mut self.tags.attributes;
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                put_attribute(out, key, AttributeValue::Str(value));
            }
        };
        put("net.host.ip", &self.local.ip);
        put("peer.service", &self.remote.service);
        put("net.peer.ip", &self.remote.ip);
        for (key, port) in [("net.host.port", self.local.port), ("net.peer.port", self.remote.port)] {
            if port != 0 {
                put_attribute(out, key, AttributeValue::Int(port.into()));
            }
        }
        if self.shared {
            put_attribute(out, "zipkin.shared", AttributeValue::Bool(true));
        }
    }

    fn put_resource(&mut self) {
        if self.local.service.is_empty() && !self.noted.is_empty() {
            std::mem::swap(&mut self.local, &mut self.noted);
        }
        let named = [&self.local.service, &self.tags.service, &self.tags.component];
        let service = named.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str);
        self.resource.clear();
        if !service.is_empty() {
            let key = if self.tags.service_key.is_empty() { tags::SERVICE } else { &self.tags.service_key };
            put_attribute(&mut self.resource, key, AttributeValue::Str(service));
        }
        self.resource.extend_from_slice(&self.tags.resource);
    }
}

/// A batch being appended to.
pub(super) struct Spans<'s> {
    pub(super) draft: &'s mut Draft,
    pub(super) decoded: &'s mut Decoded<SpanBatch>,
    now_us: u64,
    meter: Meter,
}

impl<'s> Spans<'s> {
    pub(super) fn new(
        draft: &'s mut Draft,
        limits: &Limits,
        now_us: u64,
        decoded: &'s mut Decoded<SpanBatch>,
    ) -> Result<Self, DecodeError> {
        let mut meter = Meter::new(limits.batch_bytes_max);
        meter.add(decoded.batch.arena.len() + decoded.batch.spans.len() * size_of::<SpanEntry>(), 0)?;
        Ok(Spans { draft, decoded, now_us, meter })
    }

    /// Fails when the span at hand has more than the batch may still take.
    pub(super) fn check(&self, position: usize) -> Result<(), DecodeError> {
        self.meter.clone().add(self.draft.bytes(), position)
    }

    /// Appends the span at hand.
    pub(super) fn finish(&mut self, position: usize) -> Result<(), ItemError> {
        let draft = &mut *self.draft;
        if draft.trace_id.is_zero() {
            return Err(RejectReason::InvalidTraceId.into());
        }
        if draft.span_id.is_zero() {
            return Err(RejectReason::InvalidSpanId.into());
        }
        draft.put_resource();
        draft.put_endpoints();
        let (start_ns, end_ns, absent) = draft.times(self.now_us);
        if absent {
            put_attribute(&mut draft.tags.attributes, START_ABSENT, AttributeValue::Bool(true));
        }
        let kind = if draft.kind == SpanKind::Unspecified { draft.tags.kind } else { draft.kind };
        let (status, message) = draft.tags.status();
        self.meter.add(size_of::<SpanEntry>() + draft.bytes() + draft.resource.len(), position)?;
        let batch = &mut self.decoded.batch;
        let entry = SpanEntry {
            trace_id: draft.trace_id,
            span_id: draft.span_id,
            // Some call a root its own parent.
            parent_span_id: if draft.parent_id == draft.span_id { SpanId::default() } else { draft.parent_id },
            resource: resource_index(batch, &draft.resource),
            scope: scope_index(batch, &draft.tags.scope.0, &draft.tags.scope.1),
            start_ns,
            end_ns,
            kind,
            status,
            flags: if draft.debug { SAMPLED } else { 0 },
            dropped_attributes: draft.tags.dropped.attributes,
            dropped_events: draft.tags.dropped.events,
            dropped_links: draft.tags.dropped.links,
            name: batch.put(draft.name.as_bytes()),
            status_message: batch.put(message.as_bytes()),
            trace_state: batch.put(draft.tags.trace_state.as_bytes()),
            attributes: batch.put(&draft.tags.attributes),
            events: batch.put(&draft.events),
            links: batch.put(&draft.tags.links),
        };
        batch.spans.push(entry);
        Ok(())
    }
}
