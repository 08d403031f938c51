//! One span as it passes between head, blocks and answers; and the template of its attributes.
//!
//! A *template* is what spans of one kind share: the ordered list of (type, key) of their attributes. It is written
//! as `type byte, varint key length, key` per attribute; equal templates have equal bytes.

use crate::bytes::{put_bytes, take_bytes};
use bramble_signal::attributes::{ArrayRef, AttributeValue, AttributesRef, put_key, put_value};
use bramble_signal::{ResourceEntry, ScopeEntry, Span32, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};

/// What an attribute's value is; also the code on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ValueType {
    Empty = 0,
    Bool = 1,
    Int = 2,
    Double = 3,
    Text = 4,
    Bytes = 5,
    Array = 6,
    List = 7,
    /// A whole attribute list in its encoding, without a key: see `columns`.
    Rest = 8,
}

impl ValueType {
    pub(crate) fn of(value: &AttributeValue<'_>) -> Self {
        match value {
            AttributeValue::Empty => ValueType::Empty,
            AttributeValue::Bool(_) => ValueType::Bool,
            AttributeValue::Int(_) => ValueType::Int,
            AttributeValue::Double(_) => ValueType::Double,
            AttributeValue::Str(_) => ValueType::Text,
            AttributeValue::Bytes(_) => ValueType::Bytes,
            AttributeValue::Array(_) => ValueType::Array,
            AttributeValue::List(_) => ValueType::List,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        use ValueType::*;
        [Empty, Bool, Int, Double, Text, Bytes, Array, List, Rest].get(usize::from(code)).copied()
    }
}

/// Appends the template of `attributes` to `out` (cleared first).
pub(crate) fn template_of(attributes: AttributesRef<'_>, out: &mut Vec<u8>) {
    out.clear();
    for (key, value) in attributes.iter() {
        put_template_item(out, ValueType::of(&value), key);
    }
}

/// Appends an attribute without its value.
pub(crate) fn put_template_item(out: &mut Vec<u8>, value_type: ValueType, key: &str) {
    out.push(value_type as u8);
    put_bytes(out, key.as_bytes());
}

/// The (type, key) pairs of a template; a damaged one ends early.
pub(crate) fn template_items(mut template: &[u8]) -> impl Iterator<Item = (ValueType, &str)> {
    std::iter::from_fn(move || {
        let (&code, rest) = template.split_first()?;
        template = rest;
        let value_type = ValueType::from_code(code)?;
        Some((value_type, std::str::from_utf8(take_bytes(&mut template)?).ok()?))
    })
}

/// The bytes of a value that is kept as bytes (text, bytes, array, list); empty for others.
pub(crate) fn value_bytes<'a>(value: &AttributeValue<'a>) -> &'a [u8] {
    match value {
        AttributeValue::Str(s) => s.as_bytes(),
        AttributeValue::Bytes(b) => b,
        AttributeValue::Array(a) => a.as_bytes(),
        AttributeValue::List(l) => l.as_bytes(),
        _ => &[],
    }
}

/// Appends an attribute whose value is kept as bytes; all attributes of a list that is kept whole.
pub(crate) fn put_bytes_attribute(out: &mut Vec<u8>, key: &str, value_type: ValueType, bytes: &[u8]) {
    if value_type == ValueType::Rest {
        out.extend_from_slice(bytes);
        return;
    }
    put_key(out, key);
    match value_type {
        ValueType::Text => put_value(out, AttributeValue::Str(std::str::from_utf8(bytes).unwrap_or(""))),
        ValueType::Array => put_value(out, AttributeValue::Array(ArrayRef::from_encoded(bytes))),
        ValueType::List => put_value(out, AttributeValue::List(AttributesRef::from_encoded(bytes))),
        _ => put_value(out, AttributeValue::Bytes(bytes)),
    }
}

/// One span with everything that belongs to it, borrowed from wherever it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanView<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: SpanId,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) kind: SpanKind,
    pub(crate) status: StatusCode,
    pub(crate) flags: u32,
    /// Attributes, events, links that the sender dropped.
    pub(crate) dropped: [u32; 3],
    pub(crate) name: &'a [u8],
    pub(crate) message: &'a [u8],
    pub(crate) trace_state: &'a [u8],
    /// Encoded attributes.
    pub(crate) attributes: &'a [u8],
    /// Encoded events.
    pub(crate) events: &'a [u8],
    /// Encoded links.
    pub(crate) links: &'a [u8],
    /// Encoded by [`put_resource`].
    pub(crate) resource: &'a [u8],
    /// Encoded by [`put_scope`].
    pub(crate) scope: &'a [u8],
}

/// Appends a resource: dropped count, schema URL, attributes to the end.
pub(crate) fn put_resource(out: &mut Vec<u8>, batch: &SpanBatch, resource: &ResourceEntry) {
    out.extend_from_slice(&resource.dropped_attributes.to_le_bytes());
    put_bytes(out, batch.bytes(resource.schema_url));
    out.extend_from_slice(batch.bytes(resource.attributes));
}

/// Appends a scope: dropped count, name, version, schema URL, attributes to the end.
pub(crate) fn put_scope(out: &mut Vec<u8>, batch: &SpanBatch, scope: &ScopeEntry) {
    out.extend_from_slice(&scope.dropped_attributes.to_le_bytes());
    put_bytes(out, batch.bytes(scope.name));
    put_bytes(out, batch.bytes(scope.version));
    put_bytes(out, batch.bytes(scope.schema_url));
    out.extend_from_slice(batch.bytes(scope.attributes));
}

/// A resource's parts: dropped count, schema URL, attributes. Damaged ones read as empty.
pub(crate) fn resource_parts(mut bytes: &[u8]) -> (u32, &[u8], &[u8]) {
    let dropped = crate::bytes::take_array(&mut bytes).map_or(0, u32::from_le_bytes);
    let schema = take_bytes(&mut bytes).unwrap_or(&[]);
    (dropped, schema, bytes)
}

/// A scope's parts: dropped count, name, version, schema URL, attributes. Damaged ones read as empty.
pub(crate) fn scope_parts(mut bytes: &[u8]) -> (u32, [&[u8]; 3], &[u8]) {
    let dropped = crate::bytes::take_array(&mut bytes).map_or(0, u32::from_le_bytes);
    let mut text = || take_bytes(&mut bytes).unwrap_or(&[]);
    let texts = [text(), text(), text()];
    (dropped, texts, bytes)
}

/// The service that a resource names, as [`SpanBatch::service`] has it.
pub(crate) fn service_of(resource: &[u8]) -> &str {
    AttributesRef::from_encoded(resource_parts(resource).2).service()
}

/// What spans of one shape share in a batch: numbers of resource and scope, places of name and status message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    pub(crate) name: Span32,
    pub(crate) message: Span32,
}

/// Collects spans into a batch, sharing resources and scopes, and names as far as the source knows that they are the
/// same.
#[derive(Default)]
pub(crate) struct Collector {
    pub(crate) batch: SpanBatch,
    resources: crate::interner::Interner,
    scopes: crate::interner::Interner,
}

impl Collector {
    /// A collector that uses the memory of `batch`, whose content goes.
    pub(crate) fn reusing(mut batch: SpanBatch) -> Self {
        batch.arena.clear();
        batch.resources.clear();
        batch.scopes.clear();
        batch.spans.clear();
        Collector { batch, ..Default::default() }
    }

    /// The number of a resource in the batch; `bytes` as [`put_resource`] has it.
    fn resource(&mut self, bytes: &[u8]) -> u32 {
        let (resource, new) = self.resources.intern(bytes);
        if new {
            let (dropped_attributes, schema, attributes) = resource_parts(bytes);
            let schema_url = self.batch.put(schema);
            let attributes = self.batch.put(attributes);
            self.batch.resources.push(ResourceEntry { attributes, schema_url, dropped_attributes });
        }
        resource
    }

    /// The number of a scope in the batch; `bytes` as [`put_scope`] has it.
    fn scope(&mut self, bytes: &[u8]) -> u32 {
        let (scope, new) = self.scopes.intern(bytes);
        if new {
            let (dropped_attributes, [name, version, schema], attributes) = scope_parts(bytes);
            let entry = ScopeEntry {
                name: self.batch.put(name),
                version: self.batch.put(version),
                schema_url: self.batch.put(schema),
                attributes: self.batch.put(attributes),
                dropped_attributes,
            };
            self.batch.scopes.push(entry);
        }
        scope
    }

    /// Puts what spans of a shape share.
    pub(crate) fn share(&mut self, resource: &[u8], scope: &[u8], name: &[u8], message: &[u8]) -> Shared {
        Shared {
            resource: self.resource(resource),
            scope: self.scope(scope),
            name: self.batch.put(name),
            message: self.batch.put(message),
        }
    }

    /// Appends a span.
    pub(crate) fn push(&mut self, view: &SpanView<'_>) {
        let shared = self.share(view.resource, view.scope, view.name, view.message);
        self.push_sharing(view, shared);
    }

    /// Appends a span of which some is there already.
    pub(crate) fn push_sharing(&mut self, view: &SpanView<'_>, shared: Shared) {
        let [dropped_attributes, dropped_events, dropped_links] = view.dropped;
        let entry = SpanEntry {
            trace_id: view.trace_id,
            span_id: view.span_id,
            parent_span_id: view.parent_span_id,
            resource: shared.resource,
            scope: shared.scope,
            start_ns: view.start_ns,
            end_ns: view.end_ns,
            kind: view.kind,
            status: view.status,
            flags: view.flags,
            dropped_attributes,
            dropped_events,
            dropped_links,
            name: shared.name,
            status_message: shared.message,
            trace_state: self.batch.put(view.trace_state),
            attributes: self.batch.put(view.attributes),
            events: self.batch.put(view.events),
            links: self.batch.put(view.links),
        };
        self.batch.spans.push(entry);
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.batch.memory_bytes() + self.resources.memory_bytes() + self.scopes.memory_bytes()
    }

    /// The batch.
    pub(crate) fn finish(self) -> SpanBatch {
        self.batch
    }
}
