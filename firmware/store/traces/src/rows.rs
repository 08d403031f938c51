//! Walking all spans of a group, in order, with everything that belongs to them.

use crate::columns::{AttributeSource, Value};
use crate::events_read::{OwnTrace, TableRows, Tables};
use crate::group_read::{Column, GroupHeader, Layout, PageSource, Position, damaged, put_value_at};
use crate::group_write::{PARENT_FOREIGN, PARENT_LOCAL, PARENT_NONE, Row, SourceShape};
use crate::shape::{HAS_EVENTS, HAS_LINKS, HAS_TRACE_STATE};
use crate::texts::Texts;
use crate::view::{SpanView, ValueType, put_bytes_attribute};
use bramble_disk::{DiskError, Page};
use bramble_signal::{SpanId, TraceId};

/// A group with everything decoded but the spans put together.
pub(crate) struct Group {
    pub(crate) header: GroupHeader,
    pub(crate) trace_ids: Vec<TraceId>,
    pub(crate) layout: Layout,
    span_ids: Page,
    foreign_parents: Page,
    starts: Vec<u64>,
    durations: Vec<i64>,
    columns: Vec<Column>,
    trace_states: Option<Texts>,
    tables: Tables,
    /// Templates of the spans, encoded again: what a group that is written from this one wants.
    templates: Vec<Vec<u8>>,
}

impl Group {
    /// Reads all of a group.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn read(header: GroupHeader, pages: &PageSource<'_>) -> Result<Self, DiskError> {
        let mut refs = vec![
            header.fronts,
            header.trace_ids,
            header.span_ids,
            header.layout,
            header.foreign_parents,
            header.times,
            header.trace_states,
        ];
        refs.extend(header.columns.iter().map(|c| c.page));
        refs.extend(Tables::pages(&header));
        let found = pages(&refs)?;
        Self::decode(header, found).ok_or_else(|| damaged("group"))
    }

    fn decode(header: GroupHeader, pages: Vec<Page>) -> Option<Self> {
        let mut pages = pages.into_iter();
        let (fronts, rest) = (pages.next()?, pages.next()?);
        let trace_ids = header.take_trace_ids(&fronts, &rest)?;
        let span_ids = pages.next().filter(|p| p.len() == header.spans * 8)?;
        let layout = Layout::take(&pages.next()?, &header)?;
        let foreign_parents = pages.next()?;
        let (starts, durations) = header.take_times(&pages.next()?, &layout)?;
        let states = pages.next()?;
        let trace_states = if states.is_empty() { None } else { Some(Texts::take(&mut &states[..])?) };
        let columns = header.columns.iter().map(|_| Column::take(&pages.next()?)).collect::<Option<Vec<_>>>()?;
        let rest: Vec<Page> = pages.collect();
        let tables = Tables::decode(&header, rest.iter().map(|page| &page[..]))?;
        let templates = header.templates.iter().map(|t| template_bytes(&header, t)).collect();
        Some(Group {
            header,
            trace_ids,
            layout,
            span_ids,
            foreign_parents,
            starts,
            durations,
            columns,
            trace_states,
            tables,
            templates,
        })
    }

    /// Spans in it.
    pub(crate) fn len(&self) -> usize {
        self.header.spans
    }

    /// What a shape's numbers stand for.
    pub(crate) fn shape(&self, number: u32) -> SourceShape<'_> {
        let shape = self.header.shapes.get(number as usize).copied().unwrap_or_default();
        SourceShape {
            shape,
            resource: self.header.resources.get(shape.resource),
            scope: self.header.scopes.get(shape.scope),
            name: self.header.names.get(shape.name),
            message: self.header.messages.get(shape.message),
            template: self.templates.get(shape.template as usize).map_or(&[], Vec::as_slice),
        }
    }
}

fn template_bytes(header: &GroupHeader, columns: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns.iter().filter_map(|c| header.columns.get(*c as usize)) {
        bytes.push(column.value_type as u8);
        crate::bytes::put_bytes(&mut bytes, column.key.as_bytes());
    }
    bytes
}

/// Where a walk over a group's spans is.
pub(crate) struct Rows {
    row: usize,
    trace: u32,
    /// Spans of the trace not yet passed.
    left: u32,
    trace_first_row: usize,
    columns: Vec<Position>,
    states: Position,
    foreign: usize,
    events: TableRows,
    links: TableRows,
    /// Events, then links, of the newest span.
    encoded: Vec<u8>,
}

impl Rows {
    /// Before the first span.
    pub(crate) fn new(group: &Group) -> Self {
        Rows {
            row: 0,
            trace: 0,
            left: group.layout.spans_per_trace.first().copied().unwrap_or(0),
            trace_first_row: 0,
            columns: vec![Position::START; group.columns.len()],
            states: Position::START,
            foreign: 0,
            events: TableRows::new(group.header.event_table.columns.len()),
            links: TableRows::new(group.header.link_table.columns.len()),
            encoded: Vec::new(),
        }
    }

    /// The trace (its number in the group) of the next span; `None` at the end.
    pub(crate) fn next_trace(&mut self, group: &Group) -> Option<u32> {
        while self.left == 0 {
            self.trace += 1;
            self.trace_first_row = self.row;
            self.left = group.layout.spans_per_trace.get(self.trace as usize).copied()?;
        }
        (self.row < group.len()).then_some(self.trace)
    }

    /// The next span, and its attributes' values. `None` at the end or at damage.
    pub(crate) fn next_row<'a>(&'a mut self, group: &'a Group) -> Option<(Row<'a>, RowValues<'a>)> {
        let trace = self.next_trace(group)?;
        let row = self.row;
        let number = *group.layout.shape_of.get(row)?;
        let shape = group.header.shapes.get(number as usize)?;
        let parent = *group.layout.parents.get(row)?;
        let start_ns = *group.starts.get(row)?;
        let duration = *group.durations.get(row)?;
        let span_ids = group.span_ids.as_chunks::<8>().0;
        let parent_span_id = match parent {
            PARENT_NONE => [0; 8],
            PARENT_FOREIGN => {
                let at = self.foreign;
                self.foreign += 1;
                *group.foreign_parents.as_chunks::<8>().0.get(at)?
            }
            local => *span_ids.get(self.trace_first_row + (local - PARENT_LOCAL) as usize)?,
        };
        let mut trace_state: &[u8] = &[];
        if shape.has(HAS_TRACE_STATE) {
            let texts = group.trace_states.as_ref()?;
            trace_state = texts.list.get(*texts.ids.get(self.states.step(texts.per_trace, trace))?);
        }
        self.encoded.clear();
        if shape.has(HAS_EVENTS) {
            self.events.events(&group.header, &group.tables, (trace, start_ns), &mut self.encoded)?;
        }
        let events = self.encoded.len();
        if shape.has(HAS_LINKS) {
            let count = *group.layout.spans_per_trace.get(trace as usize)? as usize;
            let span_ids = span_ids.get(self.trace_first_row..)?.get(..count)?;
            let own = OwnTrace { id: *group.trace_ids.get(trace as usize)?, span_ids };
            self.links.links(&group.header, &group.tables, (trace, own), &mut self.encoded)?;
        }
        self.row += 1;
        self.left -= 1;
        let (events, links) = self.encoded.split_at_checked(events)?;
        let span = Row {
            trace_id: *group.trace_ids.get(trace as usize)?,
            span_id: *span_ids.get(row)?,
            parent_span_id,
            start_ns,
            end_ns: start_ns.wrapping_add(duration as u64),
            shape: number,
            trace_state,
            events,
            links,
        };
        let template = group.header.templates.get(shape.template as usize)?;
        Some((span, RowValues { group, columns: template, positions: &mut self.columns, trace, duration }))
    }

    /// The next span; its attributes are put together in `scratch`. `None` at the end or at damage.
    pub(crate) fn next<'a>(&'a mut self, group: &'a Group, scratch: &'a mut Vec<u8>) -> Option<SpanView<'a>> {
        let (row, mut values) = self.next_row(group)?;
        scratch.clear();
        values.encoded(scratch)?;
        Some(SpanView::of(&row, group.shape(row.shape), scratch))
    }
}

/// The attribute values of one span of a walk: either each is asked for, in order, or all at once.
pub(crate) struct RowValues<'a> {
    group: &'a Group,
    /// Columns of the values not yet passed.
    columns: &'a [u32],
    positions: &'a mut [Position],
    trace: u32,
    duration: i64,
}

impl<'a> RowValues<'a> {
    /// The next value's column, its number, and where it is in the column.
    fn step(&mut self) -> Option<(&'a Column, usize, usize)> {
        let (&number, rest) = self.columns.split_first()?;
        self.columns = rest;
        let column = self.group.columns.get(number as usize)?;
        let at = self.positions.get_mut(number as usize)?.step(column.per_trace(), self.trace);
        Some((column, number as usize, at))
    }
}

impl AttributeSource for RowValues<'_> {
    fn next(&mut self, _: ValueType) -> Option<Value<'_>> {
        let (column, _, at) = self.step()?;
        Some(match column {
            Column::Empty => Value::Empty,
            Column::Bools(values) => Value::Bool(*values.get(at)? != 0),
            Column::Ints(values) => Value::Int(*values.get(at)?),
            Column::Doubles(values) => Value::Double(*values.get(at)?),
            Column::Duration(unit) => Value::Double(self.duration as f64 / unit),
            Column::Texts(texts) => Value::Bytes(texts.list.get(*texts.ids.get(at)?)),
        })
    }

    fn encoded(&mut self, out: &mut Vec<u8>) -> Option<()> {
        while !self.columns.is_empty() {
            let (column, number, at) = self.step()?;
            let of = self.group.header.columns.get(number)?;
            if let Column::Texts(texts) = column {
                put_bytes_attribute(out, &of.key, of.value_type, texts.list.get(*texts.ids.get(at)?));
            } else {
                put_value_at(of, column, at, self.duration, out)?;
            }
        }
        Some(())
    }
}

impl Drop for RowValues<'_> {
    /// Values nobody asked for are passed all the same, so that the next span's are found.
    fn drop(&mut self) {
        while !self.columns.is_empty() {
            self.step();
        }
    }
}

impl<'a> SpanView<'a> {
    /// A span put together.
    pub(crate) fn of(row: &Row<'a>, of: SourceShape<'a>, attributes: &'a [u8]) -> Self {
        SpanView {
            trace_id: row.trace_id,
            span_id: SpanId(row.span_id),
            parent_span_id: SpanId(row.parent_span_id),
            start_ns: row.start_ns,
            end_ns: row.end_ns,
            kind: of.shape.kind(),
            status: of.shape.status(),
            flags: of.shape.flags,
            dropped: of.shape.dropped,
            name: of.name,
            message: of.message,
            trace_state: row.trace_state,
            attributes,
            events: row.events,
            links: row.links,
            resource: of.resource,
            scope: of.scope,
        }
    }
}
