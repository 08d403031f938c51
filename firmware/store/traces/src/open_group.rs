//! A group of which only the parts are decoded that a question needs, and how rows find their values.

use crate::block::Block;
use crate::events_read::Tables;
use crate::group_read::{Column, GroupHeader, Layout, damaged};
use crate::group_write::GroupEntry;
use crate::text_find::may_have;
use crate::texts::Texts;
use bramble_disk::segment::PageRef;
use bramble_disk::{DiskError, Page};
use bramble_signal::TraceId;
use bramble_storage::{QueryContext, QueryStats, ReadError};
use std::collections::HashMap;
use std::sync::Arc;

/// Why a part could not be had: the rest of the group is left out, or the query ends.
#[derive(Debug)]
pub(crate) enum Stop {
    Damage(DiskError),
    Query(ReadError),
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Stop::Damage(error)
    }
}

impl From<bramble_runtime::OverBudget> for Stop {
    fn from(error: bramble_runtime::OverBudget) -> Self {
        Stop::Query(error.into())
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Stop::Query(error)
    }
}

fn read_page(block: &Block, context: &QueryContext, at: PageRef) -> Result<Page, Stop> {
    context.check()?;
    QueryStats::add(&context.stats.pages, 1);
    QueryStats::add(&context.stats.bytes, u64::from(at.raw_bytes));
    Ok(block.pages(&[at])?.pop().ok_or_else(|| damaged("missing page"))?)
}

/// What tells a span from others of its trace: its id, and its kind, since both halves of a Zipkin call have one id.
pub(crate) type Identity = ([u8; 8], u8);

/// A group, decoded as far as it was asked.
pub(crate) struct OpenGroup<'c> {
    pub(crate) block: Arc<Block>,
    pub(crate) entry: GroupEntry,
    pub(crate) header: GroupHeader,
    context: &'c QueryContext,
    held_bytes: usize,
    trace_ids: Option<Vec<TraceId>>,
    layout: Option<Layout>,
    /// The first row of each trace, and the number of rows at the end.
    first_rows: Vec<u32>,
    /// Starts and durations.
    times: Option<(Vec<u64>, Vec<i64>)>,
    span_ids: Option<Page>,
    foreign_parents: Option<Page>,
    columns: Vec<Option<Column>>,
    trace_states: Option<Texts>,
    tables: Option<Tables>,
    /// Pages read together, until each is asked for.
    ahead: HashMap<u64, Page>,
}

impl<'c> OpenGroup<'c> {
    /// Reads the header only.
    pub(crate) fn open(block: &Arc<Block>, entry: &GroupEntry, context: &'c QueryContext) -> Result<Self, Stop> {
        context.check()?;
        QueryStats::add(&context.stats.pages, 1);
        QueryStats::add(&context.stats.bytes, u64::from(entry.header.raw_bytes));
        let header = block.header(entry)?;
        let mut group = OpenGroup {
            block: block.clone(),
            entry: *entry,
            columns: header.columns.iter().map(|_| None).collect(),
            header,
            context,
            held_bytes: 0,
            trace_ids: None,
            layout: None,
            first_rows: Vec::new(),
            times: None,
            span_ids: None,
            foreign_parents: None,
            trace_states: None,
            tables: None,
            ahead: HashMap::new(),
        };
        group.hold(group.header.memory_bytes() + group.columns.capacity() * size_of::<Option<Column>>())?;
        Ok(group)
    }

    /// Which block and where in it.
    pub(crate) fn key(&self) -> (u64, u64) {
        (self.block.meta.id.0, self.entry.header.offset)
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Stop> {
        self.context.reserve(bytes)?;
        self.held_bytes += bytes;
        Ok(())
    }

    fn page(&mut self, at: PageRef) -> Result<Page, Stop> {
        match self.ahead.remove(&at.offset) {
            Some(page) => Ok(page),
            None => read_page(&self.block, self.context, at),
        }
    }

    /// Reads pages that will be asked for next, neighbours together: one wait instead of many.
    pub(crate) fn read_ahead(&mut self, pages: &[PageRef]) -> Result<(), Stop> {
        self.context.check()?;
        let bytes: u64 = pages.iter().map(|page| u64::from(page.raw_bytes)).sum();
        QueryStats::add(&self.context.stats.pages, pages.len() as u64);
        QueryStats::add(&self.context.stats.bytes, bytes);
        self.context.reserve(bytes as usize)?;
        let read = self.block.pages(pages);
        self.context.release(bytes as usize);
        self.ahead.extend(pages.iter().map(|page| page.offset).zip(read?));
        Ok(())
    }

    /// Pages of what every span has that were not decoded yet.
    pub(crate) fn missing_pages(&self) -> Vec<PageRef> {
        let header = &self.header;
        let mut missing = Vec::new();
        if self.trace_ids.is_none() {
            missing.extend([header.fronts, header.trace_ids]);
        }
        if self.span_ids.is_none() {
            missing.extend([header.span_ids, header.foreign_parents]);
        }
        missing.extend(self.times.is_none().then_some(header.times));
        missing
    }

    /// Memory counted against the query.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(crate) fn spans(&self) -> usize {
        self.header.spans
    }

    /// The group's trace ids, ascending.
    pub(crate) fn load_trace_ids(&mut self) -> Result<(), Stop> {
        if self.trace_ids.is_none() {
            let (fronts, rest) = (self.page(self.header.fronts)?, self.page(self.header.trace_ids)?);
            self.hold(self.header.traces * size_of::<TraceId>())?;
            self.trace_ids = Some(self.header.take_trace_ids(&fronts, &rest).ok_or_else(|| damaged("trace ids"))?);
        }
        Ok(())
    }

    /// Which spans are whose, and of which shape.
    pub(crate) fn load_layout(&mut self) -> Result<(), Stop> {
        if self.layout.is_none() {
            let page = self.page(self.header.layout)?;
            self.hold(self.header.spans * 8 + self.header.traces * 8)?;
            let layout = Layout::take(&page, &self.header).ok_or_else(|| damaged("layout"))?;
            self.first_rows = Vec::with_capacity(layout.spans_per_trace.len() + 1);
            let mut row = 0;
            for count in &layout.spans_per_trace {
                self.first_rows.push(row);
                row += count;
            }
            self.first_rows.push(row);
            self.layout = Some(layout);
        }
        Ok(())
    }

    /// Starts and durations.
    pub(crate) fn load_times(&mut self) -> Result<(), Stop> {
        self.load_layout()?;
        if self.times.is_none()
            && let Some(layout) = &self.layout
        {
            let at = self.header.times;
            let page = match self.ahead.remove(&at.offset) {
                Some(page) => page,
                None => read_page(&self.block, self.context, at)?,
            };
            let times = self.header.take_times(&page, layout).ok_or_else(|| damaged("times"))?;
            self.hold(self.header.spans * 16)?;
            self.times = Some(times);
        }
        Ok(())
    }

    /// Ids of spans and of parents elsewhere.
    pub(crate) fn load_span_ids(&mut self) -> Result<(), Stop> {
        if self.span_ids.is_none() {
            let page = self.page(self.header.span_ids)?;
            if page.len() != self.header.spans * 8 {
                return Err(damaged("span ids").into());
            }
            let foreign = self.page(self.header.foreign_parents)?;
            self.hold(page.len() + foreign.len())?;
            (self.span_ids, self.foreign_parents) = (Some(page), Some(foreign));
        }
        Ok(())
    }

    /// An attribute column.
    pub(crate) fn load_column(&mut self, number: usize) -> Result<(), Stop> {
        if let Some(None) = self.columns.get(number)
            && let Some(at) = self.header.columns.get(number)
        {
            let page = self.page(at.page)?;
            let column = Column::take(&page).ok_or_else(|| damaged("attribute column"))?;
            self.hold(column.memory_bytes())?;
            if let Some(slot) = self.columns.get_mut(number) {
                *slot = Some(column);
            }
        }
        Ok(())
    }

    /// Whether a text column surely lacks a text; its page is kept for [`load_column`](Self::load_column).
    pub(crate) fn lacks_text(&mut self, number: usize, text: &str) -> Result<bool, Stop> {
        let Some(at) = self.header.columns.get(number).map(|c| c.page) else { return Ok(true) };
        let page = self.page(at)?;
        let lacks = !may_have(&page, text.as_bytes());
        self.ahead.insert(at.offset, page);
        Ok(lacks)
    }

    /// Trace states of the spans that have some.
    pub(crate) fn load_trace_states(&mut self) -> Result<(), Stop> {
        if self.trace_states.is_none() && self.header.trace_states.raw_bytes > 0 {
            let page = self.page(self.header.trace_states)?;
            let texts = Texts::take(&mut &page[..]).ok_or_else(|| damaged("trace states"))?;
            self.hold(texts.memory_bytes())?;
            self.trace_states = Some(texts);
        }
        Ok(())
    }

    /// Events and links.
    pub(crate) fn load_tables(&mut self) -> Result<(), Stop> {
        if self.tables.is_none() {
            self.context.check()?;
            let refs: Vec<PageRef> = Tables::pages(&self.header).collect();
            let bytes: u64 = refs.iter().map(|page| u64::from(page.raw_bytes)).sum();
            QueryStats::add(&self.context.stats.pages, refs.len() as u64);
            QueryStats::add(&self.context.stats.bytes, bytes);
            self.context.reserve(bytes as usize)?;
            let pages = self.block.pages(&refs);
            self.context.release(bytes as usize);
            let pages = pages?;
            let tables = Tables::decode(&self.header, pages.iter().map(|page| &page[..]));
            let tables = tables.ok_or_else(|| damaged("events or links"))?;
            self.hold(tables.memory_bytes())?;
            self.tables = Some(tables);
        }
        Ok(())
    }

    /// What was loaded; nothing before.
    pub(crate) fn trace_ids(&self) -> &[TraceId] {
        self.trace_ids.as_deref().unwrap_or(&[])
    }
    pub(crate) fn shape_of(&self) -> &[u32] {
        self.layout.as_ref().map_or(&[], |l| &l.shape_of)
    }
    pub(crate) fn parents(&self) -> &[u32] {
        self.layout.as_ref().map_or(&[], |l| &l.parents)
    }
    pub(crate) fn first_rows(&self) -> &[u32] {
        &self.first_rows
    }
    pub(crate) fn starts(&self) -> &[u64] {
        self.times.as_ref().map_or(&[], |(starts, _)| starts)
    }
    pub(crate) fn durations(&self) -> &[i64] {
        self.times.as_ref().map_or(&[], |(_, durations)| durations)
    }
    pub(crate) fn span_ids(&self) -> &[[u8; 8]] {
        self.span_ids.as_ref().map_or(&[], |page| page.as_chunks().0)
    }
    pub(crate) fn foreign_parents(&self) -> &[[u8; 8]] {
        self.foreign_parents.as_ref().map_or(&[], |page| page.as_chunks().0)
    }
    pub(crate) fn column(&self, number: usize) -> Option<&Column> {
        self.columns.get(number)?.as_ref()
    }
    pub(crate) fn trace_states(&self) -> Option<&Texts> {
        self.trace_states.as_ref()
    }
    pub(crate) fn tables(&self) -> Option<&Tables> {
        self.tables.as_ref()
    }

    /// Of a row's span, once layout and span ids are loaded.
    pub(crate) fn identity(&self, row: usize) -> Option<Identity> {
        let shape = self.header.shapes.get(*self.shape_of().get(row)? as usize)?;
        Some((*self.span_ids().get(row)?, shape.kind))
    }

    /// The rows of a trace, by its number in the group.
    pub(crate) fn rows_of(&self, trace: usize) -> std::ops::Range<usize> {
        let at = |n: usize| self.first_rows.get(n).map_or(0, |row| *row as usize);
        at(trace)..at(trace + 1)
    }

    /// Values that a column has for each span of a shape.
    pub(crate) fn values_per_shape(&self, column: usize) -> Vec<u32> {
        let per_template: Vec<u32> =
            self.header.templates.iter().map(|t| t.iter().filter(|c| **c as usize == column).count() as u32).collect();
        let of = |template: u32| per_template.get(template as usize).copied().unwrap_or(0);
        self.header.shapes.iter().map(|s| of(s.template)).collect()
    }
}

impl Drop for OpenGroup<'_> {
    fn drop(&mut self) {
        self.context.release(self.held_bytes);
    }
}

/// Finds a column's values for ascending rows.
pub(crate) struct ValueCursor {
    /// By shape.
    values: Vec<u32>,
    per_trace: bool,
    /// Each row has exactly one.
    plain: bool,
    row: usize,
    trace: usize,
    value: usize,
}

impl ValueCursor {
    /// At the group's first row. `values` are counts by shape.
    pub(crate) fn new(values: Vec<u32>, per_trace: bool) -> Self {
        let plain = !per_trace && values.iter().all(|n| *n == 1);
        ValueCursor { values, per_trace, plain, row: 0, trace: 0, value: 0 }
    }

    /// How many values the spans of a shape have.
    pub(crate) fn values_of(&self, shape: u32) -> u32 {
        self.values.get(shape as usize).copied().unwrap_or(0)
    }

    /// The index of the first value of a row that has some; rows come in ascending order, with their trace.
    pub(crate) fn seek(&mut self, group: &OpenGroup<'_>, row: usize, trace: usize) -> usize {
        if self.plain {
            return row;
        }
        let shapes = group.shape_of();
        if !self.per_trace {
            let passed = shapes.get(self.row..row).unwrap_or(&[]);
            self.value += passed.iter().map(|shape| self.values_of(*shape) as usize).sum::<usize>();
            self.row = row.max(self.row);
            return self.value;
        }
        while self.trace < trace {
            let rows = shapes.get(group.rows_of(self.trace)).unwrap_or(&[]);
            self.value += usize::from(rows.iter().any(|shape| self.values_of(*shape) > 0));
            self.trace += 1;
        }
        self.value
    }

    /// The index of a row's value number `nth`.
    pub(crate) fn nth(&self, first: usize, nth: usize) -> usize {
        if self.per_trace { first } else { first + nth }
    }
}
