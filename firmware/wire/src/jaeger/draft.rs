//! What Thrift and protobuf have in common: a span's parts, and how they become an entry of the batch.

use super::tags::Known;
use crate::error::ItemError;
use crate::limits::Meter;
use crate::spans::{resource_index, scope_index};
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::attributes::{AttributeValue, AttributesRef, put_attribute};
use bramble_signal::{SpanBatch, SpanEntry, SpanEvent, SpanId, SpanLink, TraceId};

/// Memory reused from span to span.
#[derive(Clone, Default, Debug)]
pub(super) struct Scratch {
    /// Encoded attributes of the span or process at hand.
    pub(super) attributes: Vec<u8>,
    /// Encoded fields of the log at hand.
    pub(super) inner: Vec<u8>,
    pub(super) events: Vec<u8>,
    links: Vec<u8>,
    /// References of the span at hand.
    pub(super) references: Vec<Reference>,
}

/// A pointer to another span.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Reference {
    pub(super) follows: bool,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
}

impl Reference {
    /// Its link takes about this much more.
    const LINK_BYTES: usize = 64;
}

/// Jaeger's flags.
const SAMPLED: u32 = 1;
const DEBUG: u32 = 2;

/// The attribute of links that says what kind of reference they were.
const REFERENCE_TYPE: &str = "opentracing.ref_type";

/// A span whose tags, logs and references are in scratch.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) name: &'a str,
    pub(super) flags: u32,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) known: Known<'a>,
}

/// A batch being appended to.
pub(super) struct Spans<'s> {
    pub(super) scratch: &'s mut Scratch,
    pub(super) decoded: &'s mut Decoded<SpanBatch>,
    meter: Meter,
}

impl<'s> Spans<'s> {
    /// What the batch has already counts too.
    pub(super) fn new(
        scratch: &'s mut Scratch,
        limits: &Limits,
        decoded: &'s mut Decoded<SpanBatch>,
    ) -> Result<Self, DecodeError> {
        let mut meter = Meter::new(limits.batch_bytes_max);
        meter.add(decoded.batch.arena.len() + decoded.batch.spans.len() * size_of::<SpanEntry>(), 0)?;
        Ok(Spans { scratch, decoded, meter })
    }

    /// Fails when scratch has more than the batch may still take.
    pub(super) fn check(&self, position: usize) -> Result<(), DecodeError> {
        let Scratch { attributes, inner, events, references, .. } = &*self.scratch;
        let references = references.len() * (size_of::<Reference>() + Reference::LINK_BYTES);
        self.meter.clone().add(attributes.len() + inner.len() + events.len() + references, position)
    }

    /// Forgets the span before.
    pub(super) fn begin(&mut self) {
        self.scratch.attributes.clear();
        self.scratch.events.clear();
        self.scratch.references.clear();
    }

    /// The resource of a process, whose tags are in scratch, after its service.
    pub(super) fn resource(&mut self, position: usize) -> Result<u32, DecodeError> {
        let attributes = &mut self.scratch.attributes;
        let encoded = AttributesRef::from_encoded(attributes);
        // Other senders say host.name, and so will those who ask.
        let host = match (encoded.get("hostname"), encoded.get("host.name")) {
            (Some(AttributeValue::Str(host)), None) => Some(host.to_owned()),
            _ => None,
        };
        if let Some(host) = host {
            put_attribute(attributes, "host.name", AttributeValue::Str(&host));
        }
        self.meter.add(attributes.len(), position)?;
        Ok(resource_index(&mut self.decoded.batch, attributes))
    }

    /// Appends the log whose fields are in `inner`; the field that is its name is not among them.
    pub(super) fn event(&mut self, time_ns: u64, name: &str) {
        let attributes = AttributesRef::from_encoded(&self.scratch.inner);
        let event = SpanEvent { time_ns, name, attributes, dropped_attributes: 0 };
        bramble_signal::put_event(&mut self.scratch.events, &event);
    }

    /// Counts a span that is left out.
    pub(super) fn reject(&mut self, reason: RejectReason, position: usize) {
        self.decoded.rejected.add(reason, 1, || format!("span at byte {position}"));
    }

    /// Appends the span.
    pub(super) fn finish(&mut self, draft: &Draft<'_>, resource: u32, position: usize) -> Result<(), ItemError> {
        if draft.trace_id.is_zero() {
            return Err(RejectReason::InvalidTraceId.into());
        }
        if draft.span_id.is_zero() {
            return Err(RejectReason::InvalidSpanId.into());
        }
        let parent = self.parent(draft);
        self.put_links(parent);
        let Scratch { attributes, events, links, .. } = &mut *self.scratch;
        let (status, message, leftover) = draft.known.status();
        if let Some(description) = leftover {
            put_attribute(attributes, "otel.status_description", AttributeValue::Str(description));
        }
        if draft.flags & DEBUG != 0 {
            put_attribute(attributes, "jaeger.debug", AttributeValue::Bool(true));
        }
        let (trace_state, (scope_name, scope_version)) = (draft.known.trace_state(), draft.known.scope());
        let texts = draft.name.len() + message.len() + trace_state.len() + scope_name.len() + scope_version.len();
        self.meter.add(size_of::<SpanEntry>() + texts + attributes.len() + events.len() + links.len(), position)?;
        let dropped = draft.known.dropped();
        let batch = &mut self.decoded.batch;
        let scope = scope_index(batch, scope_name, scope_version);
        let entry = SpanEntry {
            trace_id: draft.trace_id,
            span_id: draft.span_id,
            parent_span_id: parent,
            resource,
            scope,
            start_ns: draft.start_ns,
            end_ns: draft.end_ns,
            kind: draft.known.kind(),
            status,
            flags: u32::from(draft.flags & (SAMPLED | DEBUG) != 0),
            dropped_attributes: dropped.attributes,
            dropped_events: dropped.events,
            dropped_links: dropped.links,
            name: batch.put(draft.name.as_bytes()),
            status_message: batch.put(message.as_bytes()),
            trace_state: batch.put(trace_state.as_bytes()),
            attributes: batch.put(attributes),
            events: batch.put(events),
            links: batch.put(links),
        };
        batch.spans.push(entry);
        Ok(())
    }

    /// The parent that is told, else the first reference to a span of this trace that the span is a child of, else the
    /// first one that it follows.
    fn parent(&self, draft: &Draft<'_>) -> SpanId {
        if !draft.parent_id.is_zero() {
            return draft.parent_id;
        }
        let mut here = self.scratch.references.iter().filter(|reference| reference.trace_id == draft.trace_id);
        let first = here.clone().find(|reference| !reference.follows).or_else(|| here.next());
        first.map_or(SpanId::default(), |reference| reference.span_id)
    }

    fn put_links(&mut self, parent: SpanId) {
        let Scratch { links, references, inner, .. } = &mut *self.scratch;
        links.clear();
        for reference in references.iter().filter(|reference| reference.follows || reference.span_id != parent) {
            inner.clear();
            let kind = if reference.follows { "follows_from" } else { "child_of" };
            put_attribute(inner, REFERENCE_TYPE, AttributeValue::Str(kind));
            let link = SpanLink {
                trace_id: reference.trace_id,
                span_id: reference.span_id,
                trace_state: "",
                flags: 0,
                attributes: AttributesRef::from_encoded(inner),
                dropped_attributes: 0,
            };
            bramble_signal::put_link(links, &link);
        }
    }
}
