//! Building a group: some thousands of spans, sorted by (trace id, start, span id), as columns.
//!
//! The pages of a group, in the order they are written (docs/formats.md, "Trace blocks"):
//! trace ids · span ids · layout (spans per trace, shapes, parents) · foreign parents · starts · durations · one page
//! per attribute (type, key) · trace states · events · links · filter · header. The header has the dictionaries and
//! says where the other pages are.

use crate::bytes::{put_bytes, put_varint};
use crate::filter::put_filter;
use crate::interner::Interner;
use crate::numbers::{put_codes, put_f64s, put_i64s, put_u64s};
use crate::shape::{HAS_EVENTS, HAS_LINKS, HAS_TRACE_STATE, Shape, Shapes};
use crate::texts::{TextColumn, put_list};
use crate::view::{SpanView, ValueType, template_items, template_of, value_bytes};
use bramble_disk::DiskError;
use bramble_disk::segment::{PageCodec, PageRef};
use bramble_signal::TraceId;
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use std::collections::HashMap;

/// Spans in a full group. More compress a little better and cost each reader and merge input that much memory
/// (about 100 B per span) and each lookup that much decoding.
pub(crate) const GROUP_SPANS: usize = 16_384;
/// A group is also full when it holds this much, so that megabyte attributes stay bounded.
pub(crate) const GROUP_BYTES: usize = 4 << 20;
/// Divisors by which a double attribute may be the span's duration in another unit: µs, ms, s.
pub(crate) const DURATION_UNITS: [f64; 3] = [1e3, 1e6, 1e9];

/// Parent codes: none, an id outside of this trace's part of the group, or 2 + its index within that part.
pub(crate) const PARENT_NONE: u32 = 0;
pub(crate) const PARENT_FOREIGN: u32 = 1;
pub(crate) const PARENT_LOCAL: u32 = 2;

/// Where a page goes.
pub(crate) type PageSink<'a> = dyn FnMut(&[u8], PageCodec) -> Result<PageRef, DiskError> + 'a;

/// What the block's index keeps of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupEntry {
    pub(crate) header: PageRef,
    pub(crate) filter: PageRef,
    pub(crate) first: TraceId,
    pub(crate) last: TraceId,
    pub(crate) spans: u32,
    pub(crate) traces: u32,
    pub(crate) min_start_ns: u64,
    pub(crate) max_start_ns: u64,
    pub(crate) max_end_ns: u64,
    pub(crate) min_duration_ns: u64,
    pub(crate) max_duration_ns: u64,
    /// About what the group takes in memory when decoded.
    pub(crate) memory_bytes: u32,
    /// Bit n: some span has kind n.
    pub(crate) kinds: u8,
    /// Bit n: some span has status n.
    pub(crate) statuses: u8,
}

enum Values {
    Empty,
    Bools(Vec<u32>),
    Ints(Vec<i64>),
    /// Values, and for each of [`DURATION_UNITS`] whether all so far equal the duration in it.
    Doubles(Vec<f64>, [bool; 3]),
    Texts(Box<TextColumn>),
}

/// Collects spans and writes them as one group.
#[derive(Default)]
pub(crate) struct GroupBuilder {
    traces: Vec<TraceId>,
    spans_per_trace: Vec<u32>,
    span_ids: Vec<u8>,
    parents: Vec<u32>,
    foreign_parents: Vec<u8>,
    /// Raw parents of the open trace, resolved when it ends.
    open_parents: Vec<[u8; 8]>,
    first_starts: Vec<u64>,
    start_steps: Vec<u64>,
    durations: Vec<i64>,
    previous_start: u64,
    shape_of: Vec<u32>,
    shapes: Shapes,
    resources: Interner,
    scopes: Interner,
    names: Interner,
    messages: Interner,
    templates: Interner,
    /// Columns of each template, in order.
    template_columns: Vec<Vec<u32>>,
    /// Distinct `type, key`, each a column.
    column_keys: Interner,
    columns: Vec<Values>,
    trace_states: TextColumn,
    events: TextColumn,
    links: TextColumn,
    entry: Option<GroupEntry>,
    /// Bytes of values and templates so far, each distinct text once.
    value_bytes: usize,
    scratch: Vec<u8>,
}

impl GroupBuilder {
    /// Appends a span; spans come sorted by (trace id, start, span id), each once.
    pub(crate) fn push(&mut self, view: &SpanView<'_>) {
        if self.traces.last() != Some(&view.trace_id) {
            self.close_trace();
            self.traces.push(view.trace_id);
            self.spans_per_trace.push(0);
            self.first_starts.push(view.start_ns);
        } else {
            self.start_steps.push(view.start_ns.wrapping_sub(self.previous_start));
        }
        if let Some(count) = self.spans_per_trace.last_mut() {
            *count += 1;
        }
        let trace = self.traces.len() as u32;
        self.previous_start = view.start_ns;
        self.span_ids.extend_from_slice(&view.span_id.0);
        self.open_parents.push(view.parent_span_id.0);
        self.durations.push(view.end_ns.wrapping_sub(view.start_ns) as i64);

        let attributes = AttributesRef::from_encoded(view.attributes);
        let template = self.template(attributes);
        self.values(template, attributes, trace, view);
        let mut has = 0;
        for (bit, bytes, column) in [
            (HAS_TRACE_STATE, view.trace_state, &mut self.trace_states),
            (HAS_EVENTS, view.events, &mut self.events),
            (HAS_LINKS, view.links, &mut self.links),
        ] {
            if !bytes.is_empty() {
                has |= bit;
                self.value_bytes += column.push(trace, bytes);
            }
        }
        let shape = Shape {
            resource: self.resources.intern(view.resource).0,
            scope: self.scopes.intern(view.scope).0,
            name: self.names.intern(view.name).0,
            message: self.messages.intern(view.message).0,
            template,
            flags: view.flags,
            dropped: view.dropped,
            kind: view.kind as u8,
            status: view.status as u8,
            has,
        };
        self.shape_of.push(self.shapes.intern(shape));
        self.note(view);
    }

    fn note(&mut self, view: &SpanView<'_>) {
        let duration = view.end_ns.saturating_sub(view.start_ns);
        let entry = self.entry.get_or_insert(GroupEntry {
            header: PageRef::default(),
            filter: PageRef::default(),
            first: view.trace_id,
            last: view.trace_id,
            spans: 0,
            traces: 0,
            min_start_ns: u64::MAX,
            max_start_ns: 0,
            max_end_ns: 0,
            min_duration_ns: u64::MAX,
            max_duration_ns: 0,
            memory_bytes: 0,
            kinds: 0,
            statuses: 0,
        });
        entry.last = view.trace_id;
        entry.spans += 1;
        entry.min_start_ns = entry.min_start_ns.min(view.start_ns);
        entry.max_start_ns = entry.max_start_ns.max(view.start_ns);
        entry.max_end_ns = entry.max_end_ns.max(view.end_ns);
        entry.min_duration_ns = entry.min_duration_ns.min(duration);
        entry.max_duration_ns = entry.max_duration_ns.max(duration);
        entry.kinds |= 1 << view.kind as u8;
        entry.statuses |= 1 << view.status as u8;
    }

    fn template(&mut self, attributes: AttributesRef<'_>) -> u32 {
        let mut scratch = std::mem::take(&mut self.scratch);
        template_of(attributes, &mut scratch);
        let (template, new) = self.templates.intern(&scratch);
        if new {
            let mut columns = Vec::new();
            for (value_type, key) in template_items(&scratch) {
                let mut column_key = vec![value_type as u8];
                column_key.extend_from_slice(key.as_bytes());
                let (column, new) = self.column_keys.intern(&column_key);
                if new {
                    self.columns.push(match value_type {
                        ValueType::Empty => Values::Empty,
                        ValueType::Bool => Values::Bools(Vec::new()),
                        ValueType::Int => Values::Ints(Vec::new()),
                        ValueType::Double => Values::Doubles(Vec::new(), [true; 3]),
                        _ => Values::Texts(Box::default()),
                    });
                }
                columns.push(column);
            }
            self.value_bytes += scratch.len() + columns.len() * 4;
            self.template_columns.push(columns);
        }
        self.scratch = scratch;
        template
    }

    fn values(&mut self, template: u32, attributes: AttributesRef<'_>, trace: u32, view: &SpanView<'_>) {
        let Some(columns) = self.template_columns.get(template as usize) else { return };
        for (&column, (_, value)) in columns.iter().zip(attributes.iter()) {
            match (self.columns.get_mut(column as usize), value) {
                (Some(Values::Bools(values)), AttributeValue::Bool(b)) => values.push(u32::from(b)),
                (Some(Values::Ints(values)), AttributeValue::Int(i)) => values.push(i),
                (Some(Values::Doubles(values, derived)), AttributeValue::Double(d)) => {
                    let duration = view.end_ns.wrapping_sub(view.start_ns) as i64;
                    for (derived, unit) in derived.iter_mut().zip(DURATION_UNITS) {
                        *derived &= (duration as f64 / unit).to_bits() == d.to_bits();
                    }
                    values.push(d);
                }
                (Some(Values::Texts(texts)), value) => {
                    self.value_bytes += texts.push(trace, value_bytes(&value));
                    continue;
                }
                _ => {}
            }
            self.value_bytes += 8;
        }
    }

    fn close_trace(&mut self) {
        let ids = self.span_ids.as_chunks::<8>().0;
        let count = self.open_parents.len();
        let ids = ids.get(ids.len() - count..).unwrap_or(&[]);
        // Traces of some dozens of spans are searched, larger ones hashed.
        let index: HashMap<[u8; 8], u32> = match count > 32 {
            true => ids.iter().copied().zip(0..).collect(),
            false => HashMap::new(),
        };
        for parent in self.open_parents.drain(..) {
            let local = match count > 32 {
                true => index.get(&parent).copied(),
                false => ids.iter().position(|id| *id == parent).map(|at| at as u32),
            };
            self.parents.push(match local {
                _ if parent == [0; 8] => PARENT_NONE,
                Some(at) => PARENT_LOCAL + at,
                None => {
                    self.foreign_parents.extend_from_slice(&parent);
                    PARENT_FOREIGN
                }
            });
        }
    }

    /// Spans so far.
    pub(crate) fn len(&self) -> usize {
        self.durations.len()
    }

    /// Whether it should be written before more is added.
    pub(crate) fn is_full(&self) -> bool {
        let dictionaries = [&self.resources, &self.scopes, &self.names, &self.messages];
        self.len() >= GROUP_SPANS
            || self.value_bytes + dictionaries.iter().map(|d| d.text_bytes()).sum::<usize>() >= GROUP_BYTES
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let columns = self.columns.iter().map(|values| match values {
            Values::Empty => 0,
            Values::Bools(v) => v.capacity() * 4,
            Values::Ints(v) => v.capacity() * 8,
            Values::Doubles(v, _) => v.capacity() * 8,
            Values::Texts(t) => t.memory_bytes(),
        });
        let interners = [&self.resources, &self.scopes, &self.names, &self.messages, &self.templates];
        self.len() * (8 + 4 + 8 + 8 + 4)
            + self.traces.capacity() * 28
            + columns.sum::<usize>()
            + interners.iter().map(|i| i.memory_bytes()).sum::<usize>()
            + [&self.trace_states, &self.events, &self.links].iter().map(|t| t.memory_bytes()).sum::<usize>()
    }

    /// The distinct (service resource, operation, kind) of the group, each once: resource, name, kind.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&[u8], &[u8], u8)> {
        self.shapes.all.iter().map(|s| (self.resources.get(s.resource), self.names.get(s.name), s.kind))
    }

    /// Writes the group and empties the builder. `None` when it was empty.
    ///
    /// # Errors
    /// What `sink` returns.
    pub(crate) fn finish(&mut self, sink: &mut PageSink<'_>) -> Result<Option<GroupEntry>, DiskError> {
        self.close_trace();
        let Some(mut entry) = self.entry.take() else { return Ok(None) };
        entry.traces = self.traces.len() as u32;
        entry.memory_bytes = u32::try_from(self.memory_bytes()).unwrap_or(u32::MAX);
        const ZSTD: PageCodec = PageCodec::Zstd(3);
        let mut page = Vec::new();
        let mut header = Vec::new();
        put_varint(&mut header, self.len() as u64);
        put_varint(&mut header, self.traces.len() as u64);

        self.put_trace_ids(&mut page);
        sink(&page, PageCodec::Raw)?.put(&mut header);
        sink(&self.span_ids, PageCodec::Raw)?.put(&mut header);
        page.clear();
        put_codes(&mut page, &self.spans_per_trace);
        put_codes(&mut page, &self.shape_of);
        put_codes(&mut page, &self.parents);
        sink(&page, ZSTD)?.put(&mut header);
        sink(&self.foreign_parents, PageCodec::Raw)?.put(&mut header);
        page.clear();
        put_u64s(&mut page, &self.first_starts);
        put_u64s(&mut page, &self.start_steps);
        sink(&page, PageCodec::Raw)?.put(&mut header);
        page.clear();
        put_i64s(&mut page, &self.durations);
        sink(&page, PageCodec::Raw)?.put(&mut header);

        for list in [&self.resources, &self.scopes, &self.names, &self.messages, &self.templates] {
            put_list(&mut header, list);
        }
        for field in 0..Shape::FIELDS {
            let values: Vec<u32> = self.shapes.all.iter().filter_map(|s| s.fields().get(field).copied()).collect();
            put_codes(&mut header, &values);
        }
        put_varint(&mut header, self.columns.len() as u64);
        for (key, values) in self.column_keys.iter().zip(&self.columns) {
            page.clear();
            put_values(&mut page, values);
            put_bytes(&mut header, key);
            let codec = if matches!(values, Values::Ints(_) | Values::Doubles(..)) { PageCodec::Raw } else { ZSTD };
            sink(&page, codec)?.put(&mut header);
        }
        for column in [&self.trace_states, &self.events, &self.links] {
            page.clear();
            if !column.is_empty() {
                column.put(&mut page);
            }
            sink(&page, ZSTD)?.put(&mut header);
        }
        page.clear();
        put_filter(&mut page, &self.traces);
        entry.filter = sink(&page, PageCodec::Raw)?;
        entry.header = sink(&header, ZSTD)?;
        self.clear();
        Ok(Some(entry))
    }

    /// Sorted ids: their high halves differ by little, their low halves are random.
    fn put_trace_ids(&self, page: &mut Vec<u8>) {
        let high = |id: &TraceId| id.0.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b));
        let mut previous = 0;
        let steps: Vec<u64> =
            self.traces.iter().map(|id| high(id).wrapping_sub(std::mem::replace(&mut previous, high(id)))).collect();
        put_u64s(page, &steps);
        for id in &self.traces {
            page.extend_from_slice(id.0.last_chunk::<8>().unwrap_or(&[0; 8]));
        }
    }

    fn clear(&mut self) {
        // Dictionaries keep their memory for the next group; columns differ from group to group.
        let keep = |mut interner: Interner| {
            interner.clear();
            interner
        };
        let mut shapes = std::mem::take(&mut self.shapes);
        shapes.clear();
        *self = GroupBuilder {
            shapes,
            resources: keep(std::mem::take(&mut self.resources)),
            scopes: keep(std::mem::take(&mut self.scopes)),
            names: keep(std::mem::take(&mut self.names)),
            ..Default::default()
        };
    }
}

/// Column forms, first byte of an attribute's page.
pub(crate) const COLUMN_EMPTY: u8 = 0;
pub(crate) const COLUMN_BOOLS: u8 = 1;
pub(crate) const COLUMN_INTS: u8 = 2;
pub(crate) const COLUMN_DOUBLES: u8 = 3;
/// The span's duration in unit n: `COLUMN_DURATION + n`.
pub(crate) const COLUMN_DURATION: u8 = 4;
pub(crate) const COLUMN_TEXTS: u8 = 7;

fn put_values(page: &mut Vec<u8>, values: &Values) {
    match values {
        Values::Empty => page.push(COLUMN_EMPTY),
        Values::Bools(values) => {
            page.push(COLUMN_BOOLS);
            put_codes(page, values);
        }
        Values::Ints(values) => {
            page.push(COLUMN_INTS);
            put_i64s(page, values);
        }
        Values::Doubles(values, derived) => match derived.iter().position(|d| *d) {
            Some(unit) => page.push(COLUMN_DURATION + unit as u8),
            None => {
                page.push(COLUMN_DOUBLES);
                put_f64s(page, values);
            }
        },
        Values::Texts(texts) => {
            page.push(COLUMN_TEXTS);
            texts.put(page);
        }
    }
}
