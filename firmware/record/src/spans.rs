//! Span records.
//!
//! Body: number of spans; then columns, the length of each but the last before it: definitions (of shapes, resources,
//! scopes and templates that are new, as they are needed), what goes in as it is, ids, the three columns of texts
//! ([`TextColumns`]); and last what one range coder wrote.
//!
//! The coder has the unit of the record's times and, for each span, its trace ([`recent`]), its shape ([`shapes`]), its
//! ids as far as they are known, its times ([`times`]), the values of its attributes ([`values`]) by their keys'
//! [`templates`], and its events and links ([`events`]).
//!
//! Version 1, which has the span ids of all links, and version 0 are only read: [`version_0`].

mod events;
mod kept;
mod recent;
mod shapes;
mod sources;
mod templates;
#[cfg(test)]
mod tests;
mod times;
mod values;
pub(super) mod version_0;

use super::bytes::{Reader, put_bytes, put_varint};
use super::coder::{Coder, bit_length};
use super::logs::TextReaders;
use super::range_coder::RangeDecoder;
use super::{RECORD_HEAD_BYTES_MAX, RecordError, SPANS, SPANS_1};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId};
use events::EventModel;
use recent::{SpanNumber, Spans, Traces};
use shapes::{Fields, Shape, Shapes};
use sources::Sources;
use templates::{Templates, WHOLE, take_key};
use times::{Base, Times, unit_of};
use values::{Columns, Readers, Values};

/// Spans after which a record ends: a reader must know how many to expect at most.
const RECORD_SPANS_MAX: usize = 64 << 10;
/// More than any record's texts and attributes are.
const RECORD_TEXT_BYTES_MAX: usize = 8 << 20;
/// Spans of a trace among which a parent or a child is looked for.
const REACH: usize = 12;
const CHILD_REACH: usize = 6;

/// In the place of a parent's: there is none; the one that the trace's newest span has; its bytes follow.
const NO_PARENT: usize = 0;
const SAME_PARENT: usize = 1;
const STEPS: usize = 2;
const OTHER_PARENT: usize = 15;
const UNIT_BITS: u32 = 2;

/// What both sides remember of an epoch.
#[derive(Default)]
struct Model {
    resources: Sources,
    scopes: Sources,
    shapes: Shapes,
    templates: Templates,
    traces: Traces,
    spans: Spans,
    times: Times,
    values: Values,
    events: EventModel,
    /// Start of the last new trace.
    last_start_ns: u64,
}

impl Model {
    fn memory_bytes(&self) -> usize {
        self.resources.memory_bytes()
            + self.scopes.memory_bytes()
            + self.shapes.memory_bytes()
            + self.templates.memory_bytes()
            + self.traces.memory_bytes()
            + self.spans.memory_bytes()
            + Times::MEMORY_BYTES
            + self.values.memory_bytes()
            + size_of::<Model>()
    }

    fn start_record(&mut self) {
        self.resources.start();
        self.scopes.start();
        self.shapes.start();
    }

    /// Writes or reads times of a span whose ids are known.
    #[inline]
    fn code_times<C: Coder>(
        &mut self,
        shape: usize,
        newest: SpanNumber,
        unit: usize,
        span: &SpanEntry,
        coder: &mut C,
    ) -> Result<(u64, u64), RecordError> {
        let shape = self.shapes.at(shape).ok_or(RecordError("undefined shape"))?;
        let mut base = None;
        for (step, known) in self.spans.of(newest).take(REACH).enumerate() {
            if known.span_id == span.parent_span_id {
                base = Some(Base::Parent(known));
                break;
            }
            if step == 0 {
                base = Some(Base::Sibling(known));
            }
            if step < CHILD_REACH && known.parent_span_id == span.span_id {
                base = Some(Base::Child(known));
            }
        }
        let base = base.unwrap_or(Base::Trace(self.last_start_ns));
        let is_first = matches!(base, Base::Trace(_));
        let (start_ns, end_ns) = self.times.code(base, shape.usual, unit, (span.start_ns, span.end_ns), coder);
        shape.usual.learn(bit_length(end_ns.saturating_sub(start_ns) / times::UNITS[unit % 4]), !shape.seen);
        shape.seen = true;
        if is_first {
            self.last_start_ns = start_ns;
        }
        Ok((start_ns, end_ns))
    }
}

/// What the writing side remembers of an epoch. Nothing is held before the first span.
#[derive(Default)]
pub(super) struct Dictionary {
    model: Option<Box<Model>>,
    columns: Columns,
    scratch: Scratch,
    /// Bytes that a KiB of a batch took in the last record.
    taken_of_kib: usize,
}

impl Columns {
    fn clear(&mut self) {
        [&mut self.definitions, &mut self.raw, &mut self.ids].into_iter().for_each(Vec::clear);
        self.texts.clear();
        self.coded.clear();
    }

    fn all(&self) -> [&Vec<u8>; 6] {
        let [skeletons, texts, ids] = self.texts.all();
        [&self.definitions, &self.raw, &self.ids, skeletons, texts, ids]
    }

    fn len(&self) -> usize {
        self.all().into_iter().map(Vec::len).sum::<usize>() + self.coded.len()
    }

    fn memory_bytes(&self) -> usize {
        self.all().into_iter().map(Vec::capacity).sum::<usize>() + self.coded.memory_bytes()
    }
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.model = None;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.model.as_ref().map_or(0, |model| model.memory_bytes()) + self.columns.memory_bytes()
    }

    /// What the records of a batch are likely to take: as the last one did, and a quarter more. `memory_bytes`: what the
    /// batch takes in memory.
    pub(super) fn bytes_likely(&self, memory_bytes: usize) -> usize {
        let kib = if self.taken_of_kib == 0 { 1 << 10 } else { self.taken_of_kib + self.taken_of_kib / 4 };
        RECORD_HEAD_BYTES_MAX + (memory_bytes >> 10).saturating_mul(kib)
    }

    pub(super) fn encode(
        &mut self,
        batch: &SpanBatch,
        from: usize,
        soft_max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        self.columns.clear();
        let spans = batch.spans.get(from..).unwrap_or_default();
        let unit = unit_of(spans);
        let model = self.model.get_or_insert_default();
        model.start_record();
        self.columns.coded.plain(unit as u64, UNIT_BITS);
        let (mut count, mut text_bytes) = (0, 0);
        for span in spans {
            if count >= RECORD_SPANS_MAX || text_bytes >= soft_max_bytes || self.columns.len() >= soft_max_bytes {
                break;
            }
            encode_span(model, batch, span, unit, &mut self.columns, &mut self.scratch);
            let texts = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
            text_bytes += texts.iter().map(|text| text.len()).sum::<usize>();
            count += 1;
        }
        out.push(SPANS);
        put_varint(out, count as u64);
        let taken = self.columns.len();
        for column in self.columns.all() {
            put_bytes(out, column);
        }
        out.extend_from_slice(self.columns.coded.finish());
        self.taken_of_kib = (taken << 10) / (text_bytes + count * size_of::<SpanEntry>()).max(1);
        (from + count < batch.spans.len()).then_some(from + count)
    }
}

/// What a span needs while it is written.
#[derive(Default)]
struct Scratch {
    definition: Vec<u8>,
    /// Definitions that follow the shape's.
    following: Vec<u8>,
    /// Where attributes have their values.
    places: Vec<(u32, u32)>,
    bytes: Vec<u8>,
}

fn encode_span(
    model: &mut Model,
    batch: &SpanBatch,
    span: &SpanEntry,
    unit: usize,
    columns: &mut Columns,
    scratch: &mut Scratch,
) {
    let place = match model.traces.enter(span.trace_id, &mut columns.coded) {
        Some(place) => place,
        None => {
            columns.ids.extend_from_slice(&span.trace_id.0);
            model.traces.add(span.trace_id, true)
        }
    };
    let Scratch { definition, following, places, .. } = scratch;
    definition.clear();
    following.clear();
    let (resources, scopes) = (&batch.resources, &batch.scopes);
    let resource = model.resources.number_of(span.resource as usize, following, |out| {
        resources.get(span.resource as usize).into_iter().for_each(|resource| put_resource(batch, resource, out));
    });
    let scope = model.scopes.number_of(span.scope as usize, following, |out| {
        scopes.get(span.scope as usize).into_iter().for_each(|scope| put_scope(batch, scope, out));
    });
    let attributes = batch.bytes(span.attributes);
    let template = model.templates.number_of(&[], attributes, places, following);
    let (has_events, has_links) = (!span.events.is_empty(), !span.links.is_empty());
    let fields = Fields { resource, scope, span: *span, template, has_events, has_links, texts_at: 0 };
    fields.put(batch, definition);
    let (number, is_new) = model.shapes.number_of(definition, resource.is_multiple_of(2) && scope.is_multiple_of(2));
    // The coder gives back what it was given.
    _ = model.shapes.code(number, &mut columns.coded);
    if is_new {
        put_bytes(&mut columns.definitions, definition);
        columns.definitions.extend_from_slice(following);
        _ = model.shapes.define(number, definition);
    }
    let newest = model.traces.at(place).map_or(0, |trace| trace.newest);
    if let Some(shape) = model.shapes.at(number) {
        encode_ids(shape, &model.spans, newest, span, columns);
    }
    _ = model.code_times(number, newest, unit, span, &mut columns.coded);
    let duration_ns = span.end_ns.wrapping_sub(span.start_ns) as i64;
    let Model { traces, templates, values, .. } = model;
    if let Some(trace) = traces.at(place) {
        match templates.get(template) {
            None => put_bytes(&mut columns.raw, attributes),
            Some(template) => {
                let slots = template.range();
                let slots = templates.slots.get_mut(slots).unwrap_or_default();
                for (slot, &(start, end)) in slots.iter_mut().zip(places.iter()) {
                    let value = attributes.get(start as usize..end as usize).unwrap_or_default();
                    values.encode(slot, value, duration_ns, trace, columns);
                }
            }
        }
    }
    if has_events {
        events::encode_events(model, batch.bytes(span.events), span, place, columns, scratch);
    }
    if has_links {
        events::encode_links(model, batch.bytes(span.links), span, place, columns, scratch);
    }
    let number = model.spans.add(span, newest);
    if let Some(trace) = model.traces.at(place) {
        trace.newest = number;
    }
}

fn encode_ids(shape: &mut Shape, spans: &Spans, newest: SpanNumber, span: &SpanEntry, columns: &mut Columns) {
    let (id, parent) = (span.span_id, span.parent_span_id);
    // Children that ended before their parent told its id.
    let told = spans.of(newest).take(CHILD_REACH).position(|known| known.parent_span_id == id);
    columns.coded.symbol(&mut shape.ids, told.map_or(0, |step| step + 1));
    if told.is_none() {
        columns.ids.extend_from_slice(&id.0);
    }
    let how = if parent.is_zero() {
        NO_PARENT
    } else if spans.of(newest).next().is_some_and(|known| known.parent_span_id == parent) {
        SAME_PARENT
    } else {
        let step = spans.of(newest).take(REACH).position(|known| known.span_id == parent);
        step.map_or(OTHER_PARENT, |step| STEPS + step)
    };
    columns.coded.symbol(&mut shape.parents, how);
    if how == OTHER_PARENT {
        columns.ids.extend_from_slice(&parent.0);
    }
}

fn decode_ids(
    shape: &mut Shape,
    spans: &Spans,
    newest: SpanNumber,
    read: &mut Readers<'_>,
) -> Result<(SpanId, SpanId), RecordError> {
    let unknown = RecordError("unknown span");
    let id = match read.coded.symbol(&mut shape.ids).checked_sub(1) {
        None => SpanId(read.ids.array()?),
        Some(step) => spans.of(newest).nth(step).ok_or(unknown.clone())?.parent_span_id,
    };
    let parent = match read.coded.symbol(&mut shape.parents) {
        NO_PARENT => SpanId::default(),
        SAME_PARENT => spans.of(newest).next().ok_or(unknown)?.parent_span_id,
        OTHER_PARENT => SpanId(read.ids.array()?),
        step => spans.of(newest).nth(step - STEPS).ok_or(unknown)?.span_id,
    };
    Ok((id, parent))
}

fn put_resource(batch: &SpanBatch, resource: &ResourceEntry, out: &mut Vec<u8>) {
    put_bytes(out, batch.bytes(resource.attributes));
    put_bytes(out, batch.bytes(resource.schema_url));
    put_varint(out, u64::from(resource.dropped_attributes));
}

fn put_scope(batch: &SpanBatch, scope: &ScopeEntry, out: &mut Vec<u8>) {
    for text in [scope.name, scope.version, scope.attributes, scope.schema_url] {
        put_bytes(out, batch.bytes(text));
    }
    put_varint(out, u64::from(scope.dropped_attributes));
}

fn narrow(value: u64) -> Result<u32, RecordError> {
    u32::try_from(value).map_err(|_| RecordError("number too large"))
}

fn take_resource(batch: &mut SpanBatch, encoded: &[u8]) -> Result<(), RecordError> {
    let mut body = Reader(encoded);
    let (attributes, schema_url) = (batch.put(body.bytes()?), batch.put(body.bytes()?));
    batch.resources.push(ResourceEntry { attributes, schema_url, dropped_attributes: narrow(body.varint()?)? });
    Ok(())
}

fn take_scope(batch: &mut SpanBatch, encoded: &[u8]) -> Result<(), RecordError> {
    let mut body = Reader(encoded);
    let (name, version) = (batch.put(body.bytes()?), batch.put(body.bytes()?));
    let (attributes, schema_url) = (batch.put(body.bytes()?), batch.put(body.bytes()?));
    let dropped_attributes = narrow(body.varint()?)?;
    batch.scopes.push(ScopeEntry { name, version, attributes, schema_url, dropped_attributes });
    Ok(())
}

/// What the reading side remembers of an epoch.
#[derive(Default)]
pub(super) struct Replay {
    model: Option<Box<Model>>,
    /// Where a record's resources and scopes are in its batch, by their numbers.
    resources: Vec<u32>,
    scopes: Vec<u32>,
    bytes: Vec<u8>,
}

/// In the place of an index: not in the batch yet.
const NOT: u32 = u32::MAX;

/// The index of what has a number; `None` when it has to be put into the batch, where it will be at `next`.
fn index_of(places: &mut Vec<u32>, number: usize, next: usize) -> Option<u32> {
    if places.len() <= number {
        places.resize(number + 1, NOT);
    }
    let place = places.get_mut(number)?;
    if *place != NOT {
        return Some(*place);
    }
    *place = next as u32;
    None
}

impl Replay {
    pub(super) fn clear(&mut self) {
        self.model = None;
    }

    /// Reads a record of kind [`SPANS`] or [`SPANS_1`].
    pub(super) fn read(&mut self, kind: u8, body: &[u8]) -> Result<SpanBatch, RecordError> {
        let mut body = Reader(body);
        let count = usize::try_from(body.varint()?).ok().filter(|&count| count <= RECORD_SPANS_MAX);
        let count = count.ok_or(RecordError("too many spans"))?;
        let (definitions, raw, ids) = (Reader(body.bytes()?), Reader(body.bytes()?), Reader(body.bytes()?));
        let texts = TextReaders::take(&mut body)?;
        let mut read =
            Readers { definitions, raw, ids, texts, coded: RangeDecoder::new(body.0), has_targets: kind != SPANS_1 };
        let unit = read.coded.plain(UNIT_BITS) as usize;
        self.resources.clear();
        self.scopes.clear();
        self.model.get_or_insert_default().start_record();
        let mut batch = SpanBatch::new();
        for _ in 0..count {
            let span = self.take_span(&mut batch, unit, &mut read)?;
            batch.spans.push(span);
            if batch.arena.len() > RECORD_TEXT_BYTES_MAX {
                return Err(RecordError("too much text"));
            }
        }
        Ok(batch)
    }

    fn take_span(
        &mut self,
        batch: &mut SpanBatch,
        unit: usize,
        read: &mut Readers<'_>,
    ) -> Result<SpanEntry, RecordError> {
        let Replay { model, resources, scopes, bytes } = self;
        let model = model.get_or_insert_default();
        let place = match model.traces.enter(Default::default(), &mut read.coded) {
            Some(place) => place,
            None => model.traces.add(bramble_signal::TraceId(read.ids.array()?), false),
        };
        let number = model.shapes.code(0, &mut read.coded)?;
        if model.shapes.is_new(number) {
            model.shapes.define(number, read.definitions.bytes()?)?;
        }
        let trace = *model.traces.at(place).ok_or(RecordError("undefined trace"))?;
        let shape = model.shapes.at(number).ok_or(RecordError("undefined shape"))?;
        let mut span = SpanEntry { trace_id: trace.id, ..shape.fields.span };
        let (resource, scope, template) = (shape.fields.resource, shape.fields.scope, shape.fields.template);
        let (has_events, has_links) = (shape.fields.has_events, shape.fields.has_links);
        shape.put_texts(batch, &mut span)?;
        let encoded = model.resources.take(resource, &mut read.definitions)?;
        span.resource = match index_of(resources, resource, batch.resources.len()) {
            Some(index) => index,
            None => take_resource(batch, encoded).map(|()| batch.resources.len() as u32 - 1)?,
        };
        let encoded = model.scopes.take(scope, &mut read.definitions)?;
        span.scope = match index_of(scopes, scope, batch.scopes.len()) {
            Some(index) => index,
            None => take_scope(batch, encoded).map(|()| batch.scopes.len() as u32 - 1)?,
        };
        if template == model.templates.next() {
            model.templates.define(read.definitions.bytes()?)?;
        }
        let shape = model.shapes.at(number).ok_or(RecordError("undefined shape"))?;
        (span.span_id, span.parent_span_id) = decode_ids(shape, &model.spans, trace.newest, read)?;
        (span.start_ns, span.end_ns) = model.code_times(number, trace.newest, unit, &span, &mut read.coded)?;
        bytes.clear();
        take_attributes(model, template, &span, place, read, bytes)?;
        span.attributes = batch.put(bytes);
        if has_events {
            bytes.clear();
            events::take_events(model, &span, place, read, bytes)?;
            span.events = batch.put(bytes);
        }
        if has_links {
            bytes.clear();
            events::take_links(model, &span, place, read, bytes)?;
            span.links = batch.put(bytes);
        }
        let number = model.spans.add(&span, trace.newest);
        if let Some(trace) = model.traces.at(place) {
            trace.newest = number;
        }
        Ok(span)
    }
}

/// Reads attributes that have a template, and appends them.
fn take_attributes(
    model: &mut Model,
    template: usize,
    span: &SpanEntry,
    place: usize,
    read: &mut Readers<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let Model { traces, templates, values, .. } = model;
    if template == WHOLE {
        out.extend_from_slice(read.raw.bytes()?);
        return Ok(());
    }
    let duration_ns = span.end_ns.wrapping_sub(span.start_ns) as i64;
    let Templates { templates, slots, .. } = templates;
    let template = template.checked_sub(1).and_then(|index| templates.get(index));
    let template = template.ok_or(RecordError("undefined template"))?;
    let trace = traces.at(place).ok_or(RecordError("undefined trace"))?;
    let mut keys = template.keys();
    for slot in slots.get_mut(template.range()).unwrap_or_default() {
        out.extend_from_slice(take_key(&mut keys).ok_or(RecordError("keys"))?);
        values.decode(slot, duration_ns, trace, read, out)?;
        if out.len() > RECORD_TEXT_BYTES_MAX {
            return Err(RecordError("too much text"));
        }
    }
    Ok(())
}
