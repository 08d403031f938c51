//! A generation of the head: spans in memory, compact, append-only.
//!
//! A span is 48 bytes of fixed fields, a shape number, and a *body* in one arena: the number of its trace state, its
//! attribute values in template order (numbers of interned strings, or the value itself), events and links. Traces
//! chain their spans in order of arrival. Nothing is ever changed or removed, so that a reader who remembers how many
//! spans there were has a snapshot.

use crate::bytes::{grow, put_bytes, put_varint, take_bytes, take_u32, zigzag};
use crate::group_write::{Row, SourceShape};
use crate::head_body::{HeadValues, put_double};
use crate::interner::Interner;
use crate::shape::{HAS_EVENTS, HAS_LINKS, HAS_TRACE_STATE, Shape, Shapes};
use crate::view::{ValueType, put_resource, put_scope, put_template_item, value_bytes};
use bramble_signal::attributes::AttributeValue;
use bramble_signal::{SpanBatch, SpanEntry, SpanId, StatusCode, TraceId};
use bramble_storage::Sequence;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// No further span.
const NONE: u32 = u32::MAX;

/// A span's fixed fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSpan {
    pub(crate) span_id: [u8; 8],
    pub(crate) parent_span_id: [u8; 8],
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// Index into the traces.
    pub(crate) trace: u32,
    pub(crate) shape: u32,
    /// Where the body starts in the arena.
    pub(crate) body: u32,
    /// The trace's next span in order of arrival.
    next: u32,
}
const _: () = assert!(size_of::<HeadSpan>() == 48);

/// What a generation knows of a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadTrace {
    pub(crate) id: TraceId,
    first: u32,
    last: u32,
    /// It has an error or a slow root: kept longer.
    pub(crate) keep: bool,
}

/// Spans applied between two freezes.
#[derive(Default)]
pub(crate) struct Generation {
    pub(crate) spans: Vec<HeadSpan>,
    pub(crate) bodies: Vec<u8>,
    pub(crate) traces: Vec<HeadTrace>,
    by_trace: HashTable<u32>,
    by_span: HashTable<u32>,
    pub(crate) shapes: Shapes,
    pub(crate) resources: Interner,
    pub(crate) scopes: Interner,
    pub(crate) templates: Interner,
    /// Names, messages, trace states, text and other byte values.
    pub(crate) strings: Interner,
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    pub(crate) min_start_ns: u64,
    pub(crate) max_start_ns: u64,
    /// Roots that last at least this long make their trace worth keeping.
    slow_root_ns: u64,
    /// Of the newest span.
    last_trace: u32,
    last_template: u32,
    /// By place (name, message, trace state, then attributes): the string that the newest span has there.
    last: Vec<u32>,
    template: Vec<u8>,
    scratch: Vec<u8>,
}

/// Places of strings in a span.
const NAME: usize = 0;
const MESSAGE: usize = 1;
const TRACE_STATE: usize = 2;
/// Most places that are remembered.
const PLACES: usize = 64;

fn hash_trace(id: &TraceId) -> u64 {
    FixedState::with_seed(1).hash_one(id.0)
}

fn hash_span(trace: u32, span: &[u8; 8]) -> u64 {
    FixedState::with_seed(u64::from(trace)).hash_one(u64::from_le_bytes(*span))
}

/// Upper bound of what [`Generation::insert`] adds for a batch, without the vectors' slack.
pub(crate) fn estimate_bytes(batch: &SpanBatch) -> usize {
    // Per span: fixed fields, trace and hash tables at their worst load, a shape, body numbers.
    const PER_SPAN: usize = size_of::<HeadSpan>() + size_of::<HeadTrace>() + 24 + 40;
    batch.spans.len() * PER_SPAN + batch.arena.len()
}

impl Generation {
    pub(crate) fn new(slow_root_ns: u64) -> Self {
        Generation { slow_root_ns, min_start_ns: u64::MAX, ..Default::default() }
    }

    /// Enters a batch that is durable at `sequence`. Spans that are there already are skipped.
    pub(crate) fn insert(&mut self, batch: &SpanBatch, sequence: Sequence) {
        if self.spans.is_empty() {
            self.first_sequence = sequence;
        }
        self.last_sequence = self.last_sequence.max(sequence);
        let mut resources = vec![NONE; batch.resources.len()];
        let mut scopes = vec![NONE; batch.scopes.len()];
        let mut scratch = std::mem::take(&mut self.scratch);
        for span in &batch.spans {
            let Some(trace) = self.admit(span) else { continue };
            let resource = match resources.get_mut(span.resource as usize) {
                Some(known) if *known != NONE => *known,
                known => {
                    scratch.clear();
                    if let Some(entry) = batch.resources.get(span.resource as usize) {
                        put_resource(&mut scratch, batch, entry);
                    }
                    let id = self.resources.intern(&scratch).0;
                    if let Some(known) = known {
                        *known = id;
                    }
                    id
                }
            };
            let scope = match scopes.get_mut(span.scope as usize) {
                Some(known) if *known != NONE => *known,
                known => {
                    scratch.clear();
                    if let Some(entry) = batch.scopes.get(span.scope as usize) {
                        put_scope(&mut scratch, batch, entry);
                    }
                    let id = self.scopes.intern(&scratch).0;
                    if let Some(known) = known {
                        *known = id;
                    }
                    id
                }
            };
            self.append(batch, span, trace, (resource, scope), &mut scratch);
        }
        scratch.shrink_to(4096);
        self.scratch = scratch;
    }

    /// The trace of a span that is not here yet; `None` for one that is.
    fn admit(&mut self, span: &SpanEntry) -> Option<u32> {
        let keep = span.status == StatusCode::Error
            || (span.parent_span_id.is_zero() && span.duration_ns() >= self.slow_root_ns);
        let trace = self.trace_number(span.trace_id);
        let (spans, id) = (&self.spans, span.span_id.0);
        let hashed = hash_span(trace, &id);
        // The two sides of a Zipkin span have one id, and differ in kind.
        let kind = |of: &HeadSpan| self.shapes.get(of.shape).kind;
        let is = |s: &HeadSpan| s.trace == trace && s.span_id == id && kind(s) == span.kind as u8;
        let same = |&at: &u32| spans.get(at as usize).is_some_and(is);
        if self.by_span.find(hashed, same).is_some() {
            return None;
        }
        let rehash = |&at: &u32| spans.get(at as usize).map_or(0, |s| hash_span(s.trace, &s.span_id));
        self.by_span.insert_unique(hashed, spans.len() as u32, rehash);
        if let Some(known) = self.traces.get_mut(trace as usize) {
            known.keep |= keep;
        }
        Some(trace)
    }

    fn trace_number(&mut self, id: TraceId) -> u32 {
        if self.traces.get(self.last_trace as usize).is_none_or(|trace| trace.id != id) {
            self.last_trace = self.find_trace(id);
        }
        self.last_trace
    }

    fn find_trace(&mut self, id: TraceId) -> u32 {
        let hashed = hash_trace(&id);
        let traces = &mut self.traces;
        let found = self.by_trace.find(hashed, |&at| traces.get(at as usize).is_some_and(|t| t.id == id));
        if let Some(&at) = found {
            return at;
        }
        let at = traces.len() as u32;
        grow(traces, 1);
        traces.push(HeadTrace { id, first: NONE, last: NONE, keep: false });
        self.by_trace.insert_unique(hashed, at, |&at| traces.get(at as usize).map_or(0, |t| hash_trace(&t.id)));
        at
    }

    fn append(
        &mut self,
        batch: &SpanBatch,
        span: &SpanEntry,
        trace: u32,
        (resource, scope): (u32, u32),
        scratch: &mut Vec<u8>,
    ) {
        let shape = Shape {
            resource,
            scope,
            name: self.string(NAME, batch.bytes(span.name)),
            message: self.string(MESSAGE, batch.bytes(span.status_message)),
            template: self.body_of(batch, span, scratch),
            ..Shape::of(span)
        };
        let at = self.spans.len() as u32;
        grow(&mut self.bodies, scratch.len());
        let body = self.bodies.len() as u32;
        self.bodies.extend_from_slice(scratch);
        grow(&mut self.spans, 1);
        self.spans.push(HeadSpan {
            span_id: span.span_id.0,
            parent_span_id: span.parent_span_id.0,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            trace,
            shape: self.shapes.intern(shape),
            body,
            next: NONE,
        });
        self.min_start_ns = self.min_start_ns.min(span.start_ns);
        self.max_start_ns = self.max_start_ns.max(span.start_ns);
        if let Some(known) = self.traces.get_mut(trace as usize) {
            let last = std::mem::replace(&mut known.last, at);
            match self.spans.get_mut(last as usize) {
                Some(last) => last.next = at,
                None => known.first = at,
            }
        }
    }

    /// The number of a string that is likely the one that the span before had at this place.
    fn string(&mut self, place: usize, bytes: &[u8]) -> u32 {
        if let Some(&last) = self.last.get(place)
            && self.strings.get(last) == bytes
        {
            return last;
        }
        let id = self.strings.intern(bytes).0;
        // Places are bounded: a span of a thousand attributes must not cost the next ones anything.
        if place < PLACES {
            self.last.resize(self.last.len().max(place + 1), 0);
            if let Some(slot) = self.last.get_mut(place) {
                *slot = id;
            }
        }
        id
    }

    /// Puts a span's body together, and returns the number of its attributes' template.
    fn body_of(&mut self, batch: &SpanBatch, span: &SpanEntry, body: &mut Vec<u8>) -> u32 {
        body.clear();
        if !span.trace_state.is_empty() {
            put_varint(body, u64::from(self.string(TRACE_STATE, batch.bytes(span.trace_state))));
        }
        if !span.events.is_empty() {
            put_bytes(body, batch.bytes(span.events));
        }
        if !span.links.is_empty() {
            put_bytes(body, batch.bytes(span.links));
        }
        let mut template = std::mem::take(&mut self.template);
        template.clear();
        for ((key, value), place) in batch.attributes(span.attributes).iter().zip(TRACE_STATE + 1..) {
            put_template_item(&mut template, ValueType::of(&value), key);
            match value {
                AttributeValue::Empty => {}
                AttributeValue::Bool(b) => body.push(u8::from(b)),
                AttributeValue::Int(i) => put_varint(body, zigzag(i)),
                AttributeValue::Double(d) => put_double(body, d, span),
                _ => put_varint(body, u64::from(self.string(place, value_bytes(&value)))),
            }
        }
        // Spans of one service come together and mostly have the same attributes.
        if self.templates.len() == 0 || self.templates.get(self.last_template) != template {
            self.last_template = self.templates.intern(&template).0;
        }
        let number = self.last_template;
        template.shrink_to(4096);
        self.template = template;
        number
    }

    /// A span and its attributes' values. `None` when there is no such span.
    pub(crate) fn row(&self, at: u32) -> Option<(Row<'_>, HeadValues<'_>)> {
        let span = self.spans.get(at as usize)?;
        let shape = self.shapes.get(span.shape);
        let mut body = self.bodies.get(span.body as usize..)?;
        let mut trace_state: &[u8] = &[];
        if shape.has(HAS_TRACE_STATE) {
            trace_state = self.strings.get(take_u32(&mut body)?);
        }
        let events = if shape.has(HAS_EVENTS) { take_bytes(&mut body)? } else { &[] };
        let links = if shape.has(HAS_LINKS) { take_bytes(&mut body)? } else { &[] };
        let row = Row {
            trace_id: self.traces.get(span.trace as usize)?.id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            shape: span.shape,
            trace_state,
            events,
            links,
        };
        let times = (span.start_ns, span.end_ns);
        Some((row, HeadValues::new(self, shape.template, body, times)))
    }

    /// What a shape's numbers stand for.
    pub(crate) fn shape(&self, number: u32) -> SourceShape<'_> {
        let shape = self.shapes.get(number);
        SourceShape {
            shape,
            resource: self.resources.get(shape.resource),
            scope: self.scopes.get(shape.scope),
            name: self.strings.get(shape.name),
            message: self.strings.get(shape.message),
            template: self.templates.get(shape.template),
        }
    }

    /// A span as a view; its attributes are rebuilt in `scratch`. `None` when there is no such span.
    #[cfg(test)]
    pub(crate) fn view<'a>(&'a self, at: u32, scratch: &'a mut Vec<u8>) -> Option<crate::view::SpanView<'a>> {
        let (row, mut values) = self.row(at)?;
        scratch.clear();
        crate::columns::AttributeSource::encoded(&mut values, scratch)?;
        Some(crate::view::SpanView::of(&row, self.shape(row.shape), scratch))
    }

    /// Spans of a trace in order of arrival, of the first `watermark` spans.
    pub(crate) fn spans_of(&self, id: TraceId, watermark: usize) -> impl Iterator<Item = u32> {
        let found = self.by_trace.find(hash_trace(&id), |&at| self.traces.get(at as usize).is_some_and(|t| t.id == id));
        self.chain(found.copied().unwrap_or(NONE), watermark)
    }

    /// Spans of the trace of a number in order of arrival, of the first `watermark` spans.
    pub(crate) fn chain(&self, trace: u32, watermark: usize) -> impl Iterator<Item = u32> {
        let first = self.traces.get(trace as usize).map_or(NONE, |t| t.first);
        let end = watermark.min(self.spans.len());
        let inside = move |&at: &u32| (at as usize) < end;
        std::iter::successors(Some(first).filter(inside), move |&at| {
            self.spans.get(at as usize).map(|s| s.next).filter(inside)
        })
    }

    /// The number of a span, if it is here.
    pub(crate) fn span_at(&self, trace: TraceId, span: SpanId, kind: u8) -> Option<u32> {
        let same = |&at: &u32| self.traces.get(at as usize).is_some_and(|t| t.id == trace);
        let trace = *self.by_trace.find(hash_trace(&trace), same)?;
        let same = |&at: &u32| {
            let found = self.spans.get(at as usize);
            found.is_some_and(|s| s.trace == trace && s.span_id == span.0 && self.shapes.get(s.shape).kind == kind)
        };
        self.by_span.find(hash_span(trace, &span.0), same).copied()
    }

    /// Bytes held, as the allocator sees them.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<HeadSpan>()
            + self.traces.capacity() * size_of::<HeadTrace>()
            + self.bodies.capacity()
            + self.scratch.capacity()
            + self.template.capacity()
            + self.last.capacity() * 4
            + self.by_trace.allocation_size()
            + self.by_span.allocation_size()
            + self.shapes.memory_bytes()
            + [&self.resources, &self.scopes, &self.templates, &self.strings]
                .iter()
                .map(|interner| interner.memory_bytes())
                .sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Collector;
    use bramble_storage::contract::spans_of;

    fn collect(generation: &Generation, id: TraceId) -> SpanBatch {
        let (mut out, mut scratch) = (Collector::default(), Vec::new());
        for at in generation.spans_of(id, usize::MAX) {
            out.push(&generation.view(at, &mut scratch).unwrap());
        }
        out.finish()
    }

    #[test]
    fn spans_come_back_and_duplicates_do_not_enter() {
        let mut generation = Generation::new(1_000_000_000);
        let sent = spans_of(3, "beorn", 5, StatusCode::Error);
        generation.insert(&sent, 7);
        let bytes = generation.memory_bytes();
        generation.insert(&sent, 8);
        assert_eq!((generation.spans.len(), generation.first_sequence, generation.last_sequence), (5, 7, 8));
        assert_eq!(generation.memory_bytes(), bytes);
        let back = collect(&generation, TraceId([3; 16]));
        assert_eq!(back.spans.len(), 5);
        for (ours, theirs) in back.spans.iter().zip(&sent.spans) {
            assert_eq!(back.bytes(ours.attributes), sent.bytes(theirs.attributes));
            assert_eq!(back.text(ours.name), sent.text(theirs.name));
            assert_eq!((ours.start_ns, ours.end_ns, ours.kind), (theirs.start_ns, theirs.end_ns, theirs.kind));
            assert_eq!(back.service(ours), "beorn");
        }
        assert!(generation.traces[0].keep);
        assert_eq!(generation.spans_of(TraceId([3; 16]), 2).count(), 2, "a snapshot sees what was there");
        assert_eq!(generation.spans_of(TraceId([4; 16]), 2).count(), 0);
    }
}
