//! Reading a group: its header, columns as they are needed, and spans row by row.

use crate::bytes::{take_array, take_bytes, take_count};
use crate::group_write::{
    COLUMN_BOOLS, COLUMN_DOUBLES, COLUMN_DURATION, COLUMN_EMPTY, COLUMN_INTS, COLUMN_TEXTS, DURATION_UNITS,
    PARENT_FOREIGN, PARENT_LOCAL, PARENT_NONE,
};
use crate::numbers::{COUNT_MAX, take_codes, take_f64s, take_i64s, take_u64s};
use crate::shape::{HAS_EVENTS, HAS_LINKS, HAS_TRACE_STATE, Shape};
use crate::texts::{TextList, Texts};
use crate::view::{SpanView, ValueType, put_bytes_attribute};
use bramble_disk::segment::PageRef;
use bramble_disk::{DiskError, Page};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{SpanId, TraceId};
use std::borrow::Cow;

/// Gives the pages of a block.
pub(crate) type PageSource<'a> = dyn Fn(&[PageRef]) -> Result<Vec<Page>, DiskError> + 'a;

/// The error for bytes whose checksum is right and whose meaning is not.
pub(crate) fn damaged(what: &'static str) -> DiskError {
    DiskError::Corrupt { name: "trace block".into(), offset: 0, what: Cow::Borrowed(what) }
}

/// One attribute column as the header lists it.
#[derive(Debug)]
pub(crate) struct ColumnRef {
    pub(crate) value_type: ValueType,
    pub(crate) key: String,
    pub(crate) page: PageRef,
}

/// A group's dictionaries and the places of its pages.
#[derive(Debug)]
pub(crate) struct GroupHeader {
    pub(crate) spans: usize,
    pub(crate) traces: usize,
    pub(crate) trace_ids: PageRef,
    pub(crate) span_ids: PageRef,
    pub(crate) layout: PageRef,
    pub(crate) foreign_parents: PageRef,
    pub(crate) starts: PageRef,
    pub(crate) durations: PageRef,
    pub(crate) resources: TextList,
    pub(crate) scopes: TextList,
    pub(crate) names: TextList,
    pub(crate) messages: TextList,
    pub(crate) shapes: Vec<Shape>,
    /// Columns of each template, in order.
    pub(crate) templates: Vec<Vec<u32>>,
    pub(crate) columns: Vec<ColumnRef>,
    pub(crate) extras: [PageRef; 3],
}

impl GroupHeader {
    /// Reads a header page; `None` when damaged.
    pub(crate) fn take(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let spans = take_count(bytes, COUNT_MAX)?;
        let traces = take_count(bytes, spans)?;
        let mut pages = [PageRef::default(); 6];
        for page in &mut pages {
            *page = PageRef::take(bytes)?;
        }
        let [trace_ids, span_ids, layout, foreign_parents, starts, durations] = pages;
        let mut lists = [const { None }; 5];
        for list in &mut lists {
            *list = Some(TextList::take(bytes)?);
        }
        let [resources, scopes, names, messages, template_bytes] = lists;
        let shapes = take_shapes(bytes)?;
        let count = take_count(bytes, COUNT_MAX)?;
        let mut columns = Vec::new();
        for _ in 0..count {
            let (&code, key) = take_bytes(bytes)?.split_first()?;
            let key = std::str::from_utf8(key).ok()?.to_owned();
            columns.push(ColumnRef { value_type: ValueType::from_code(code)?, key, page: PageRef::take(bytes)? });
        }
        let mut extras = [PageRef::default(); 3];
        for page in &mut extras {
            *page = PageRef::take(bytes)?;
        }
        let templates = resolve_templates(&template_bytes?, &columns)?;
        Some(GroupHeader {
            spans,
            traces,
            trace_ids,
            span_ids,
            layout,
            foreign_parents,
            starts,
            durations,
            resources: resources?,
            scopes: scopes?,
            names: names?,
            messages: messages?,
            shapes,
            templates,
            columns,
            extras,
        })
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let lists = [&self.resources, &self.scopes, &self.names, &self.messages];
        lists.iter().map(|l| l.memory_bytes()).sum::<usize>()
            + self.shapes.capacity() * size_of::<Shape>()
            + self.templates.iter().map(|t| t.capacity() * 4 + 24).sum::<usize>()
            + self.columns.iter().map(|c| size_of::<ColumnRef>() + c.key.len()).sum::<usize>()
    }
}

fn take_shapes(bytes: &mut &[u8]) -> Option<Vec<Shape>> {
    let mut fields = Vec::with_capacity(Shape::FIELDS);
    for _ in 0..Shape::FIELDS {
        fields.push(take_codes(bytes)?);
    }
    let count = fields.first()?.len();
    let mut shapes = Vec::with_capacity(count);
    for i in 0..count {
        let mut shape = [0; Shape::FIELDS];
        for (value, column) in shape.iter_mut().zip(&fields) {
            *value = *column.get(i)?;
        }
        shapes.push(Shape::from_fields(shape));
    }
    Some(shapes)
}

fn resolve_templates(templates: &TextList, columns: &[ColumnRef]) -> Option<Vec<Vec<u32>>> {
    let numbers: std::collections::HashMap<(ValueType, &str), u32> =
        columns.iter().zip(0..).map(|(c, i)| ((c.value_type, c.key.as_str()), i)).collect();
    let resolve = |template| {
        crate::view::template_items(template).map(|item| numbers.get(&item).copied()).collect::<Option<Vec<u32>>>()
    };
    templates.iter().map(resolve).collect()
}

/// Which spans are whose, and of which shape.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) spans_per_trace: Vec<u32>,
    pub(crate) shape_of: Vec<u32>,
    pub(crate) parents: Vec<u32>,
}

impl Layout {
    pub(crate) fn take(mut bytes: &[u8], header: &GroupHeader) -> Option<Self> {
        let bytes = &mut bytes;
        let layout =
            Layout { spans_per_trace: take_codes(bytes)?, shape_of: take_codes(bytes)?, parents: take_codes(bytes)? };
        let sum: u64 = layout.spans_per_trace.iter().map(|n| u64::from(*n)).sum();
        let sound = sum == header.spans as u64
            && layout.spans_per_trace.len() == header.traces
            && layout.shape_of.len() == header.spans
            && layout.parents.len() == header.spans
            && layout.shape_of.iter().all(|s| (*s as usize) < header.shapes.len());
        sound.then_some(layout)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.spans_per_trace.capacity() + self.shape_of.capacity() + self.parents.capacity()) * 4
    }
}

/// An attribute column's values.
#[derive(Debug)]
pub(crate) enum Column {
    Empty,
    Bools(Vec<u32>),
    Ints(Vec<i64>),
    Doubles(Vec<f64>),
    /// The span's duration divided by this.
    Duration(f64),
    Texts(Texts),
}

impl Column {
    pub(crate) fn take(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let [form] = take_array(bytes)?;
        Some(match form {
            COLUMN_EMPTY => Column::Empty,
            COLUMN_BOOLS => Column::Bools(take_codes(bytes)?),
            COLUMN_INTS => Column::Ints(take_i64s(bytes)?),
            COLUMN_DOUBLES => Column::Doubles(take_f64s(bytes)?),
            COLUMN_TEXTS => Column::Texts(Texts::take(bytes)?),
            _ => Column::Duration(*DURATION_UNITS.get(usize::from(form.wrapping_sub(COLUMN_DURATION)))?),
        })
    }

    /// Whether traces rather than spans have values.
    pub(crate) fn per_trace(&self) -> bool {
        matches!(self, Column::Texts(texts) if texts.per_trace)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Column::Empty | Column::Duration(_) => 0,
            Column::Bools(v) => v.capacity() * 4,
            Column::Ints(v) => v.capacity() * 8,
            Column::Doubles(v) => v.capacity() * 8,
            Column::Texts(t) => t.memory_bytes(),
        }
    }
}

impl GroupHeader {
    /// The group's trace ids, ascending.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn trace_ids(&self, pages: &PageSource<'_>) -> Result<Vec<TraceId>, DiskError> {
        let page = one(pages, self.trace_ids)?;
        self.take_trace_ids(&page).ok_or_else(|| damaged("trace ids"))
    }

    pub(crate) fn take_trace_ids(&self, mut bytes: &[u8]) -> Option<Vec<TraceId>> {
        let steps = take_u64s(&mut bytes)?;
        let lows = bytes.as_chunks::<8>().0;
        let mut high = 0u64;
        let ids = steps.iter().zip(lows).map(|(step, low)| {
            high = high.wrapping_add(*step);
            let mut id = [0; 16];
            let (front, back) = id.split_at_mut(8);
            front.copy_from_slice(&high.to_be_bytes());
            back.copy_from_slice(low);
            TraceId(id)
        });
        let ids: Vec<TraceId> = ids.collect();
        (ids.len() == self.traces && steps.len() == self.traces).then_some(ids)
    }

    /// Spans per trace, shapes and parents.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn layout(&self, pages: &PageSource<'_>) -> Result<Layout, DiskError> {
        let page = one(pages, self.layout)?;
        Layout::take(&page, self).ok_or_else(|| damaged("layout"))
    }

    /// The first start of each trace, and the step to each further span.
    pub(crate) fn take_starts(&self, mut bytes: &[u8], layout: &Layout) -> Option<Vec<u64>> {
        let firsts = take_u64s(&mut bytes)?;
        let mut steps = take_u64s(&mut bytes)?.into_iter();
        let mut starts = Vec::with_capacity(self.spans);
        let mut firsts = firsts.into_iter();
        for &count in &layout.spans_per_trace {
            let mut start = firsts.next()?;
            for i in 0..count {
                if i > 0 {
                    start = start.wrapping_add(steps.next()?);
                }
                starts.push(start);
            }
        }
        Some(starts)
    }

    /// Start of each span, nanoseconds.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn starts(&self, layout: &Layout, pages: &PageSource<'_>) -> Result<Vec<u64>, DiskError> {
        let page = one(pages, self.starts)?;
        self.take_starts(&page, layout).ok_or_else(|| damaged("starts"))
    }

    /// End minus start of each span, nanoseconds; negative as senders have it.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn durations(&self, pages: &PageSource<'_>) -> Result<Vec<i64>, DiskError> {
        let page = one(pages, self.durations)?;
        take_i64s(&mut &page[..]).filter(|d| d.len() == self.spans).ok_or_else(|| damaged("durations"))
    }

    /// One attribute column.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn column(&self, number: usize, pages: &PageSource<'_>) -> Result<Column, DiskError> {
        let at = self.columns.get(number).ok_or_else(|| damaged("column number"))?;
        let page = one(pages, at.page)?;
        Column::take(&page).ok_or_else(|| damaged("attribute column"))
    }
}

fn one(pages: &PageSource<'_>, at: PageRef) -> Result<Page, DiskError> {
    pages(&[at])?.pop().ok_or_else(|| damaged("missing page"))
}

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
    /// Trace states, events, links.
    extras: [Option<Texts>; 3],
}

impl Group {
    /// Reads all of a group.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn read(header: GroupHeader, pages: &PageSource<'_>) -> Result<Self, DiskError> {
        let mut refs = vec![
            header.trace_ids,
            header.span_ids,
            header.layout,
            header.foreign_parents,
            header.starts,
            header.durations,
        ];
        refs.extend(header.extras);
        refs.extend(header.columns.iter().map(|c| c.page));
        let found = pages(&refs)?;
        Self::decode(header, found).ok_or_else(|| damaged("group"))
    }

    fn decode(header: GroupHeader, pages: Vec<Page>) -> Option<Self> {
        let mut pages = pages.into_iter();
        let trace_ids = header.take_trace_ids(&pages.next()?)?;
        let span_ids = pages.next().filter(|p| p.len() == header.spans * 8)?;
        let layout = Layout::take(&pages.next()?, &header)?;
        let foreign_parents = pages.next()?;
        let starts = header.take_starts(&pages.next()?, &layout)?;
        let durations = take_i64s(&mut &pages.next()?[..]).filter(|d| d.len() == header.spans)?;
        let mut extra = || {
            let page = pages.next()?;
            if page.is_empty() { Some(None) } else { Texts::take(&mut &page[..]).map(Some) }
        };
        let extras = [extra()?, extra()?, extra()?];
        let columns = pages.map(|page| Column::take(&page)).collect::<Option<Vec<_>>>()?;
        let complete = columns.len() == header.columns.len();
        let group = Group { header, trace_ids, layout, span_ids, foreign_parents, starts, durations, columns, extras };
        complete.then_some(group)
    }

    /// Spans in it.
    pub(crate) fn len(&self) -> usize {
        self.header.spans
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.header.memory_bytes()
            + self.trace_ids.capacity() * 16
            + self.layout.memory_bytes()
            + self.span_ids.len()
            + self.foreign_parents.len()
            + (self.starts.capacity() + self.durations.capacity()) * 8
            + self.columns.iter().map(Column::memory_bytes).sum::<usize>()
            + self.extras.iter().flatten().map(Texts::memory_bytes).sum::<usize>()
    }
}

/// Positions in columns of which some have a value per span and others per trace.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    /// Index after the last value used.
    next: usize,
    last_trace: u32,
}

impl Position {
    pub(crate) const START: Position = Position { next: 0, last_trace: u32::MAX };

    /// Moves to the value of the next span, which is of trace number `trace`; returns the value's index.
    pub(crate) fn step(&mut self, per_trace: bool, trace: u32) -> usize {
        if !per_trace || self.last_trace != trace {
            self.last_trace = trace;
            self.next += 1;
        }
        self.next - 1
    }
}

/// Where a walk over a group's spans is.
pub(crate) struct Rows {
    row: usize,
    trace: u32,
    /// Spans of the trace not yet passed.
    left: u32,
    trace_first_row: usize,
    columns: Vec<Position>,
    extras: [Position; 3],
    foreign: usize,
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
            extras: [Position::START; 3],
            foreign: 0,
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

    /// Passes the next span without putting it together. `None` at the end or at damage.
    pub(crate) fn skip(&mut self, group: &Group) -> Option<()> {
        self.step(group, None).map(drop)
    }

    /// The next span; its attributes are put together in `scratch`. `None` at the end or at damage.
    pub(crate) fn next<'a>(&mut self, group: &'a Group, scratch: &'a mut Vec<u8>) -> Option<SpanView<'a>> {
        self.step(group, Some(scratch)).flatten()
    }

    fn step<'a>(&mut self, group: &'a Group, scratch: Option<&'a mut Vec<u8>>) -> Option<Option<SpanView<'a>>> {
        let trace = self.next_trace(group)?;
        let row = self.row;
        let shape = *group.header.shapes.get(*group.layout.shape_of.get(row)? as usize)?;
        let parent = *group.layout.parents.get(row)?;
        let foreign = self.foreign;
        self.foreign += usize::from(parent == PARENT_FOREIGN);
        let mut extras = [&[][..]; 3];
        let wanted = [HAS_TRACE_STATE, HAS_EVENTS, HAS_LINKS];
        for (((bit, column), position), out) in
            wanted.into_iter().zip(&group.extras).zip(&mut self.extras).zip(&mut extras)
        {
            if shape.has(bit) {
                let texts = column.as_ref()?;
                *out = texts.list.get(*texts.ids.get(position.step(texts.per_trace, trace))?);
            }
        }
        let template = group.header.templates.get(shape.template as usize)?;
        self.row += 1;
        self.left -= 1;
        let Some(scratch) = scratch else {
            for &number in template {
                let column = group.columns.get(number as usize)?;
                self.columns.get_mut(number as usize)?.step(column.per_trace(), trace);
            }
            return Some(None);
        };
        scratch.clear();
        let duration = *group.durations.get(row)?;
        for &number in template {
            let column = group.columns.get(number as usize)?;
            let at = self.columns.get_mut(number as usize)?.step(column.per_trace(), trace);
            put_value_at(group.header.columns.get(number as usize)?, column, at, duration, scratch)?;
        }
        let span_ids = group.span_ids.as_chunks::<8>().0;
        let parent = match parent {
            PARENT_NONE => [0; 8],
            PARENT_FOREIGN => *group.foreign_parents.as_chunks::<8>().0.get(foreign)?,
            local => *span_ids.get(self.trace_first_row + (local - PARENT_LOCAL) as usize)?,
        };
        let start_ns = *group.starts.get(row)?;
        let [trace_state, events, links] = extras;
        Some(Some(SpanView {
            trace_id: *group.trace_ids.get(trace as usize)?,
            span_id: SpanId(*span_ids.get(row)?),
            parent_span_id: SpanId(parent),
            start_ns,
            end_ns: start_ns.wrapping_add(duration as u64),
            kind: shape.kind(),
            status: shape.status(),
            flags: shape.flags,
            dropped: shape.dropped,
            name: group.header.names.get(shape.name),
            message: group.header.messages.get(shape.message),
            trace_state,
            attributes: scratch,
            events,
            links,
            resource: group.header.resources.get(shape.resource),
            scope: group.header.scopes.get(shape.scope),
        }))
    }
}

fn put_value_at(at: &ColumnRef, column: &Column, index: usize, duration: i64, out: &mut Vec<u8>) -> Option<()> {
    let value = match column {
        Column::Empty => AttributeValue::Empty,
        Column::Bools(values) => AttributeValue::Bool(*values.get(index)? != 0),
        Column::Ints(values) => AttributeValue::Int(*values.get(index)?),
        Column::Doubles(values) => AttributeValue::Double(*values.get(index)?),
        Column::Duration(unit) => AttributeValue::Double(duration as f64 / unit),
        Column::Texts(texts) => {
            put_bytes_attribute(out, &at.key, at.value_type, texts.list.get(*texts.ids.get(index)?));
            return Some(());
        }
    };
    put_attribute(out, &at.key, value);
    Some(())
}

impl GroupHeader {
    /// Stored size of each page, by what it holds.
    pub(crate) fn page_bytes(&self) -> Vec<(String, u64)> {
        let fixed = [
            ("trace ids", self.trace_ids),
            ("span ids", self.span_ids),
            ("layout", self.layout),
            ("foreign parents", self.foreign_parents),
            ("starts", self.starts),
            ("durations", self.durations),
            ("trace states", self.extras[0]),
            ("events", self.extras[1]),
            ("links", self.extras[2]),
        ];
        let fixed = fixed.into_iter().map(|(name, page)| (name.to_owned(), u64::from(page.stored_bytes)));
        let columns = self.columns.iter().map(|c| (format!("attribute {}", c.key), u64::from(c.page.stored_bytes)));
        fixed.chain(columns).collect()
    }
}
