//! Events and links of a group, read.
//!
//! Both have a count for each span that has some, in the order of spans, and a row for each event or link; attributes
//! are columns as those of spans, with a value for each row whose template has it.

use crate::bytes::take_array;
use crate::group_read::{Column, GroupHeader, Position, TableRef, put_value_at};
use crate::numbers::{take_codes, take_i64s};
use crate::tables::{TABLE, TARGET_AWAY, TARGET_LOCAL, TARGET_TRACE};
use crate::texts::TextList;
use bramble_disk::segment::PageRef;
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{SpanEvent, SpanId, SpanLink, TraceId, put_event, put_link};

/// The page of events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Events of each span that has some.
    pub(crate) counts: Vec<u32>,
    /// Number of each event's name in the header's list.
    pub(crate) name_of: Vec<u32>,
    /// Number of each event's template in the header's table.
    pub(crate) template_of: Vec<u32>,
    pub(crate) dropped: Vec<u32>,
    /// Nanoseconds since the start of the span, wrapping.
    pub(crate) times: Vec<i64>,
}

fn total(counts: &[u32]) -> u64 {
    counts.iter().map(|n| u64::from(*n)).sum()
}

impl Events {
    /// Reads the page; an empty one means that no span has events. `None` when damaged.
    pub(crate) fn take(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        if bytes.is_empty() {
            return Some(Events::default());
        }
        let [TABLE] = take_array(bytes)? else { return None };
        let events = Events {
            counts: take_codes(bytes)?,
            name_of: take_codes(bytes)?,
            template_of: take_codes(bytes)?,
            dropped: take_codes(bytes)?,
            times: take_i64s(bytes)?,
        };
        let rows = events.times.len();
        let sound = [&events.name_of, &events.template_of, &events.dropped].iter().all(|column| column.len() == rows)
            && total(&events.counts) == rows as u64;
        sound.then_some(events)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.counts.capacity() + self.name_of.capacity() + self.template_of.capacity() + self.dropped.capacity()) * 4
            + self.times.capacity() * 8
    }
}

/// The page of links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Links of each span that has some.
    pub(crate) counts: Vec<u32>,
    pub(crate) states: TextList,
    /// Number of each link's trace state.
    pub(crate) state_of: Vec<u32>,
    pub(crate) flags: Vec<u32>,
    /// Number of each link's template in the header's table.
    pub(crate) template_of: Vec<u32>,
    pub(crate) dropped: Vec<u32>,
    /// `TARGET_…` of each link.
    targets: Vec<u32>,
    /// Of links whose target does not say it: trace ids and span ids.
    ids: Vec<u8>,
}

/// Bytes of ids that a link with such a target has.
fn id_bytes(target: u32) -> usize {
    match target {
        TARGET_AWAY => 24,
        TARGET_TRACE => 8,
        _ => 0,
    }
}

/// The trace that a walk is in: its id, and the ids of its spans in the group.
#[derive(Clone, Copy)]
pub(crate) struct OwnTrace<'a> {
    pub(crate) id: TraceId,
    pub(crate) span_ids: &'a [[u8; 8]],
}

impl Links {
    /// Reads the page; an empty one means that no span has links. `None` when damaged.
    pub(crate) fn take(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        if bytes.is_empty() {
            return Some(Links::default());
        }
        let [TABLE] = take_array(bytes)? else { return None };
        let links = Links {
            counts: take_codes(bytes)?,
            state_of: take_codes(bytes)?,
            flags: take_codes(bytes)?,
            template_of: take_codes(bytes)?,
            dropped: take_codes(bytes)?,
            states: TextList::take(bytes)?,
            targets: take_codes(bytes)?,
            ids: bytes.to_vec(),
        };
        let rows = links.flags.len();
        let columns = [&links.state_of, &links.template_of, &links.dropped, &links.targets];
        let sound = columns.iter().all(|column| column.len() == rows)
            && total(&links.counts) == rows as u64
            && links.ids.len() == links.targets.iter().map(|target| id_bytes(*target)).sum::<usize>();
        sound.then_some(links)
    }

    /// The trace and the span that a link leads to; its ids, if it has some, begin at `at`.
    fn target(&self, row: usize, at: usize, own: OwnTrace<'_>) -> Option<(TraceId, SpanId)> {
        let mut ids = self.ids.get(at..)?;
        Some(match *self.targets.get(row)? {
            TARGET_AWAY => (TraceId(take_array(&mut ids)?), SpanId(take_array(&mut ids)?)),
            TARGET_TRACE => (own.id, SpanId(take_array(&mut ids)?)),
            local => (own.id, SpanId(*own.span_ids.get((local - TARGET_LOCAL) as usize)?)),
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.counts.capacity() + self.state_of.capacity() + self.flags.capacity()) * 4
            + (self.template_of.capacity() + self.dropped.capacity() + self.targets.capacity()) * 4
            + self.states.memory_bytes()
            + self.ids.capacity()
    }
}

/// Events and links of a group with all of their attributes, for walking.
pub(crate) struct Tables {
    pub(crate) events: Events,
    pub(crate) event_columns: Vec<Column>,
    pub(crate) links: Links,
    pub(crate) link_columns: Vec<Column>,
}

impl Tables {
    /// The pages that [`decode`](Self::decode) wants, in its order.
    pub(crate) fn pages(header: &GroupHeader) -> impl Iterator<Item = PageRef> {
        let columns = |table: &TableRef| table.columns.iter().map(|c| c.page).collect::<Vec<_>>();
        let (events, links) = (columns(&header.event_table), columns(&header.link_table));
        [header.events, header.links].into_iter().chain(events).chain(links)
    }

    /// Reads all; `None` when damaged.
    pub(crate) fn decode<'p>(header: &GroupHeader, mut pages: impl Iterator<Item = &'p [u8]>) -> Option<Self> {
        let (events, links) = (Events::take(pages.next()?)?, Links::take(pages.next()?)?);
        let mut columns = |table: &TableRef| -> Option<Vec<Column>> {
            table.columns.iter().map(|_| Column::take(pages.next()?)).collect()
        };
        Some(Tables {
            events,
            event_columns: columns(&header.event_table)?,
            links,
            link_columns: columns(&header.link_table)?,
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let columns = self.event_columns.iter().chain(&self.link_columns);
        self.events.memory_bytes() + self.links.memory_bytes() + columns.map(Column::memory_bytes).sum::<usize>()
    }
}

/// Where a walk over a table is: spans come in order, each with its trace's number.
#[derive(Default)]
pub(crate) struct TableRows {
    /// Spans with rows, passed.
    span: usize,
    row: usize,
    /// Bytes of links' ids passed.
    ids: usize,
    positions: Vec<Position>,
    attributes: Vec<u8>,
}

impl TableRows {
    /// Before the first span.
    pub(crate) fn new(columns: usize) -> Self {
        TableRows { positions: vec![Position::START; columns], ..Default::default() }
    }

    /// The rows of the next span that has some.
    fn next_span(&mut self, counts: &[u32]) -> Option<std::ops::Range<usize>> {
        let count = *counts.get(self.span)? as usize;
        self.span += 1;
        let from = self.row;
        self.row += count;
        Some(from..self.row)
    }

    /// Puts the attributes of the next row together.
    fn attributes(&mut self, table: &TableRef, columns: &[Column], template: u32, trace: u32) -> Option<&[u8]> {
        self.attributes.clear();
        for &number in table.templates.get(template as usize)? {
            let column = columns.get(number as usize)?;
            let at = self.positions.get_mut(number as usize)?.step(column.per_trace(), trace);
            put_value_at(table.columns.get(number as usize)?, column, at, 0, &mut self.attributes)?;
        }
        Some(&self.attributes)
    }

    /// Passes the events of the next span that has some.
    pub(crate) fn pass_events(&mut self, header: &GroupHeader, tables: &Tables, trace: u32) -> Option<()> {
        let rows = self.next_span(&tables.events.counts)?;
        self.pass(&header.event_table, &tables.event_columns, tables.events.template_of.get(rows)?, trace)
    }

    /// Passes the links of the next span that has some.
    pub(crate) fn pass_links(&mut self, header: &GroupHeader, tables: &Tables, trace: u32) -> Option<()> {
        let rows = self.next_span(&tables.links.counts)?;
        self.ids += tables.links.targets.get(rows.clone())?.iter().map(|target| id_bytes(*target)).sum::<usize>();
        self.pass(&header.link_table, &tables.link_columns, tables.links.template_of.get(rows)?, trace)
    }

    fn pass(&mut self, table: &TableRef, columns: &[Column], templates: &[u32], trace: u32) -> Option<()> {
        for template in templates {
            for &number in table.templates.get(*template as usize)? {
                let per_trace = columns.get(number as usize)?.per_trace();
                self.positions.get_mut(number as usize)?.step(per_trace, trace);
            }
        }
        Some(())
    }

    /// Appends the events of the next span that has some, encoded.
    pub(crate) fn events(
        &mut self,
        header: &GroupHeader,
        tables: &Tables,
        (trace, start_ns): (u32, u64),
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let events = &tables.events;
        for row in self.next_span(&events.counts)? {
            let attributes =
                self.attributes(&header.event_table, &tables.event_columns, *events.template_of.get(row)?, trace)?;
            let event = SpanEvent {
                time_ns: start_ns.wrapping_add(*events.times.get(row)? as u64),
                name: std::str::from_utf8(header.event_names.get(*events.name_of.get(row)?)).ok()?,
                attributes: AttributesRef::from_encoded(attributes),
                dropped_attributes: *events.dropped.get(row)?,
            };
            put_event(out, &event);
        }
        Some(())
    }

    /// Appends the links of the next span that has some, encoded.
    pub(crate) fn links(
        &mut self,
        header: &GroupHeader,
        tables: &Tables,
        (trace, own): (u32, OwnTrace<'_>),
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let links = &tables.links;
        for row in self.next_span(&links.counts)? {
            let (trace_id, span_id) = links.target(row, self.ids, own)?;
            self.ids += id_bytes(*links.targets.get(row)?);
            let attributes =
                self.attributes(&header.link_table, &tables.link_columns, *links.template_of.get(row)?, trace)?;
            let link = SpanLink {
                trace_id,
                span_id,
                trace_state: std::str::from_utf8(links.states.get(*links.state_of.get(row)?)).ok()?,
                flags: *links.flags.get(row)?,
                attributes: AttributesRef::from_encoded(attributes),
                dropped_attributes: *links.dropped.get(row)?,
            };
            put_link(out, &link);
        }
        Some(())
    }
}
