//! Building a group: some thousands of spans, sorted by (trace id, start, span id), as columns.
//!
//! The pages of a group, in the order they are written (docs/formats.md, "Trace blocks"):
//! trace ids (fronts, rest) · span ids · layout (spans per trace, shapes, parents) · foreign parents · times · one page
//! per attribute (type, key) · trace states · events · one page per attribute of events · links · one page per
//! attribute of links · header. The header has the dictionaries and says where the other pages are.

use crate::bytes::put_varint;
use crate::columns::{AttributeSource, AttributeTable, PageSink};
use crate::ids::put_ids;
use crate::interner::Interner;
use crate::layout::put_layout;
use crate::numbers::put_codes;
use crate::shape::{HAS_EVENTS, HAS_LINKS, HAS_TRACE_STATE, Shape, Shapes};
use crate::tables::{EventRows, LinkRows};
use crate::texts::{TextColumn, put_list};
use crate::times::{Family, put_times};
use bramble_disk::DiskError;
use bramble_disk::segment::{PageCodec, PageRef};
use bramble_signal::TraceId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Spans in a full group. More compress a little better and cost each reader and merge input that much memory
/// (about 100 B per span) and each lookup that much decoding.
pub(crate) const GROUP_SPANS: usize = 16_384;
/// A group is also full when it holds this much, so that megabyte attributes stay bounded.
pub(crate) const GROUP_BYTES: usize = 4 << 20;

/// Parent codes: none, an id outside of this trace's part of the group, or 2 + its index within that part.
pub(crate) const PARENT_NONE: u32 = 0;
pub(crate) const PARENT_FOREIGN: u32 = 1;
pub(crate) const PARENT_LOCAL: u32 = 2;

/// What the block's index keeps of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupEntry {
    pub(crate) header: PageRef,
    /// The fronts of the trace ids: what says that a trace is not here.
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

impl GroupEntry {
    fn of_nothing(first: TraceId) -> Self {
        GroupEntry {
            header: PageRef::default(),
            filter: PageRef::default(),
            first,
            last: first,
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
        }
    }

    fn note(&mut self, row: &Row<'_>, shape: &Shape) {
        let duration = row.end_ns.saturating_sub(row.start_ns);
        self.last = row.trace_id;
        self.spans += 1;
        self.min_start_ns = self.min_start_ns.min(row.start_ns);
        self.max_start_ns = self.max_start_ns.max(row.start_ns);
        self.max_end_ns = self.max_end_ns.max(row.end_ns);
        self.min_duration_ns = self.min_duration_ns.min(duration);
        self.max_duration_ns = self.max_duration_ns.max(duration);
        self.kinds |= 1 << (shape.kind & 7);
        self.statuses |= 1 << (shape.status & 7);
    }
}

/// What belongs to one span alone, but its attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: [u8; 8],
    pub(crate) parent_span_id: [u8; 8],
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// The number of its shape where it comes from.
    pub(crate) shape: u32,
    pub(crate) trace_state: &'a [u8],
    /// Encoded.
    pub(crate) events: &'a [u8],
    /// Encoded.
    pub(crate) links: &'a [u8],
}

/// A shape where a span comes from, with what its numbers stand for.
pub(crate) struct SourceShape<'a> {
    /// Flags, dropped counts, kind and status; its dictionary numbers are not looked at.
    pub(crate) shape: Shape,
    /// Encoded.
    pub(crate) resource: &'a [u8],
    /// Encoded.
    pub(crate) scope: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) message: &'a [u8],
    /// Encoded.
    pub(crate) template: &'a [u8],
}

/// The numbers that the shapes of one source have in a group, so that each is looked up once per group.
#[derive(Default)]
pub(crate) struct ShapeMap {
    group: u64,
    known: Vec<u32>,
}

const UNKNOWN: u32 = u32::MAX;
/// Groups begun; no group has number 0.
static GROUPS: AtomicU64 = AtomicU64::new(1);

impl ShapeMap {
    /// Its source is another one now.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Collects spans and writes them as one group.
#[derive(Default)]
pub(crate) struct GroupBuilder {
    /// Of this process, so that what is known of one group is not taken for another.
    group: u64,
    traces: Vec<TraceId>,
    spans_per_trace: Vec<u32>,
    span_ids: Vec<u8>,
    parents: Vec<u32>,
    foreign_parents: Vec<u8>,
    /// Raw parents of the open trace, resolved when it ends.
    open_parents: Vec<[u8; 8]>,
    starts: Vec<u64>,
    durations: Vec<i64>,
    shape_of: Vec<u32>,
    shapes: Shapes,
    resources: Interner,
    scopes: Interner,
    names: Interner,
    messages: Interner,
    attributes: AttributeTable,
    trace_states: TextColumn,
    events: EventRows,
    links: LinkRows,
    entry: Option<GroupEntry>,
    /// Bytes of trace states so far, each distinct one once.
    state_bytes: usize,
}

impl GroupBuilder {
    /// Appends a span; spans come sorted by (trace id, start, span id), each once. `shapes` belongs to the source of
    /// the span, `shape_of` says what its shapes are.
    pub(crate) fn push<'s>(
        &mut self,
        row: &Row<'_>,
        shapes: &mut ShapeMap,
        shape_of: impl FnOnce() -> SourceShape<'s>,
        attributes: &mut impl AttributeSource,
    ) {
        if self.entry.is_none() {
            self.group = GROUPS.fetch_add(1, Ordering::Relaxed);
        }
        if self.traces.last() != Some(&row.trace_id) {
            self.close_trace();
            self.traces.push(row.trace_id);
            self.spans_per_trace.push(0);
        }
        if let Some(count) = self.spans_per_trace.last_mut() {
            *count += 1;
        }
        let trace = self.traces.len() as u32;
        let number = self.shape(row.shape, shapes, shape_of);
        let shape = self.shapes.get(number);
        let duration = row.end_ns.wrapping_sub(row.start_ns) as i64;
        self.span_ids.extend_from_slice(&row.span_id);
        self.open_parents.push(row.parent_span_id);
        self.starts.push(row.start_ns);
        self.durations.push(duration);
        self.shape_of.push(number);
        self.attributes.push(shape.template, trace, Some(duration), attributes);
        if shape.has(HAS_TRACE_STATE) {
            self.state_bytes += self.trace_states.push(trace, row.trace_state);
        }
        if shape.has(HAS_EVENTS) {
            self.events.push(trace, row.start_ns, bramble_signal::events(row.events));
        }
        if shape.has(HAS_LINKS) {
            self.links.push(trace, bramble_signal::links(row.links));
        }
        self.entry.get_or_insert(GroupEntry::of_nothing(row.trace_id)).note(row, &shape);
    }

    /// The number here of a source's shape.
    fn shape<'s>(&mut self, number: u32, map: &mut ShapeMap, source: impl FnOnce() -> SourceShape<'s>) -> u32 {
        if map.group != self.group {
            map.known.clear();
            map.group = self.group;
        }
        let at = number as usize;
        if let Some(known) = map.known.get(at).copied().filter(|known| *known != UNKNOWN) {
            return known;
        }
        let of = source();
        let shape = Shape {
            resource: self.resources.intern(of.resource).0,
            scope: self.scopes.intern(of.scope).0,
            name: self.names.intern(of.name).0,
            message: self.messages.intern(of.message).0,
            template: self.attributes.template(of.template),
            ..of.shape
        };
        let known = self.shapes.intern(shape);
        if map.known.len() <= at {
            map.known.resize(at + 1, UNKNOWN);
        }
        if let Some(slot) = map.known.get_mut(at) {
            *slot = known;
        }
        known
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
        let place_of = |span: &[u8; 8]| match count > 32 {
            true => index.get(span).copied(),
            false => ids.iter().position(|id| id == span).map(|at| at as u32),
        };
        if let Some(trace) = self.traces.last() {
            self.links.close_trace(*trace, place_of);
        }
        for parent in self.open_parents.drain(..) {
            self.parents.push(match place_of(&parent) {
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
        let texts = dictionaries.iter().map(|d| d.text_bytes()).sum::<usize>() + self.state_bytes;
        let values = self.attributes.value_bytes() + self.events.value_bytes() + self.links.value_bytes();
        self.len() >= GROUP_SPANS || values + texts >= GROUP_BYTES
    }

    /// About what the group takes when all of it is read.
    fn decoded_bytes(&self) -> usize {
        // Ids, parents, shape, start and duration of each span; ids, front and count of each trace.
        const SPAN: usize = 8 + 4 + 4 + 8 + 8;
        let interners = [&self.resources, &self.scopes, &self.names, &self.messages];
        self.len() * SPAN
            + self.foreign_parents.len()
            + self.traces.len() * 32
            + interners.iter().map(|i| i.text_bytes() + i.len() * 4).sum::<usize>()
            + self.shapes.all.len() * size_of::<Shape>()
            + self.attributes.decoded_bytes()
            + self.trace_states.decoded_bytes()
            + self.events.decoded_bytes()
            + self.links.decoded_bytes()
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let interners = [&self.resources, &self.scopes, &self.names, &self.messages];
        self.len() * (8 + 4 + 8 + 8 + 4)
            + self.traces.capacity() * 20
            + interners.iter().map(|i| i.memory_bytes()).sum::<usize>()
            + self.shapes.memory_bytes()
            + self.attributes.memory_bytes()
            + self.trace_states.memory_bytes()
            + self.events.memory_bytes()
            + self.links.memory_bytes()
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
        entry.memory_bytes = u32::try_from(self.decoded_bytes()).unwrap_or(u32::MAX);
        let mut header = Vec::new();
        put_varint(&mut header, self.len() as u64);
        put_varint(&mut header, self.traces.len() as u64);
        entry.filter = self.write_rows(&mut header, sink)?;
        for list in [&self.resources, &self.scopes, &self.names, &self.messages, &self.attributes.templates] {
            put_list(&mut header, list);
        }
        for field in 0..Shape::FIELDS {
            let values: Vec<u32> = self.shapes.all.iter().filter_map(|s| s.fields().get(field).copied()).collect();
            put_codes(&mut header, &values);
        }
        self.attributes.write(&mut header, sink)?;
        let mut page = Vec::new();
        if !self.trace_states.is_empty() {
            self.trace_states.put(&mut page);
        }
        sink(&page, ZSTD)?.put(&mut header);
        page.clear();
        self.events.put(&mut page);
        sink(&page, ZSTD)?.put(&mut header);
        put_list(&mut header, &self.events.names);
        put_list(&mut header, &self.events.attributes.templates);
        self.events.attributes.write(&mut header, sink)?;
        page.clear();
        self.links.put(&mut page);
        sink(&page, ZSTD)?.put(&mut header);
        put_list(&mut header, &self.links.attributes.templates);
        self.links.attributes.write(&mut header, sink)?;
        entry.header = sink(&header, ZSTD)?;
        self.clear();
        Ok(Some(entry))
    }

    /// Writes what every span has. Returns the page of the trace ids' fronts.
    fn write_rows(&self, header: &mut Vec<u8>, sink: &mut PageSink<'_>) -> Result<PageRef, DiskError> {
        let (mut page, mut rests) = (Vec::new(), Vec::new());
        put_ids(&mut page, &mut rests, &self.traces);
        let fronts = sink(&page, PageCodec::Raw)?;
        fronts.put(header);
        sink(&rests, PageCodec::Raw)?.put(header);
        sink(&self.span_ids, PageCodec::Raw)?.put(header);
        page.clear();
        put_layout(&mut page, &self.spans_per_trace, &self.shape_of, &self.parents);
        sink(&page, ZSTD)?.put(header);
        sink(&self.foreign_parents, PageCodec::Raw)?.put(header);
        page.clear();
        let resource_of: Vec<u32> = self.shapes.all.iter().map(|s| s.resource).collect();
        let family = Family {
            spans_per_trace: &self.spans_per_trace,
            parents: &self.parents,
            shape_of: &self.shape_of,
            resource_of: &resource_of,
        };
        put_times(&mut page, &self.starts, &self.durations, &family);
        sink(&page, PageCodec::Raw)?.put(header);
        Ok(fronts)
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

const ZSTD: PageCodec = PageCodec::Zstd(3);
