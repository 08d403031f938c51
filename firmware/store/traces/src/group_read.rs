//! Reading a group: its header, and columns as they are needed.

use crate::bytes::{take_array, take_bytes, take_count, take_varint, unzigzag};
use crate::columns::{
    COLUMN_BOOLS, COLUMN_DOUBLES, COLUMN_DURATION, COLUMN_EMPTY, COLUMN_INTS, COLUMN_TEXTS, DURATION_UNITS,
    RANGE_DOUBLES, RANGE_INTS, RANGE_NONE,
};
use crate::ids::Fronts;
pub(crate) use crate::layout::Layout;
use crate::numbers::{COUNT_MAX, take_codes, take_f64s, take_i64s};
use crate::shape::Shape;
use crate::texts::{TextList, Texts};
use crate::times::{Family, take_times};
use crate::view::{ValueType, put_bytes_attribute};
use bramble_disk::segment::PageRef;
use bramble_disk::{DiskError, Page};
use bramble_signal::TraceId;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use std::borrow::Cow;

/// Gives the pages of a block.
pub(crate) type PageSource<'a> = dyn Fn(&[PageRef]) -> Result<Vec<Page>, DiskError> + 'a;

/// The error for bytes whose checksum is right and whose meaning is not.
pub(crate) fn damaged(what: &'static str) -> DiskError {
    DiskError::Corrupt { name: "trace block".into(), offset: 0, what: Cow::Borrowed(what) }
}

/// What is known of a column's values without reading it: least and greatest, both inclusive.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Range {
    /// They are no numbers, are spread by a unit of the span's duration, or one is not a number.
    Unknown,
    Ints(i64, i64),
    Doubles(f64, f64),
}

/// One attribute column as the header lists it.
#[derive(Debug)]
pub(crate) struct ColumnRef {
    pub(crate) value_type: ValueType,
    pub(crate) key: String,
    pub(crate) page: PageRef,
    pub(crate) range: Range,
}

/// Attributes of events or links, as the header lists them.
#[derive(Debug, Default)]
pub(crate) struct TableRef {
    /// Columns of each template, in order.
    pub(crate) templates: Vec<Vec<u32>>,
    pub(crate) columns: Vec<ColumnRef>,
}

/// A group's dictionaries and the places of its pages.
#[derive(Debug)]
pub(crate) struct GroupHeader {
    pub(crate) spans: usize,
    pub(crate) traces: usize,
    pub(crate) fronts: PageRef,
    pub(crate) trace_ids: PageRef,
    pub(crate) span_ids: PageRef,
    pub(crate) layout: PageRef,
    pub(crate) foreign_parents: PageRef,
    pub(crate) times: PageRef,
    pub(crate) resources: TextList,
    pub(crate) scopes: TextList,
    pub(crate) names: TextList,
    pub(crate) messages: TextList,
    pub(crate) shapes: Vec<Shape>,
    /// Columns of each template of spans, in order.
    pub(crate) templates: Vec<Vec<u32>>,
    pub(crate) columns: Vec<ColumnRef>,
    pub(crate) trace_states: PageRef,
    pub(crate) events: PageRef,
    pub(crate) event_names: TextList,
    pub(crate) event_table: TableRef,
    pub(crate) links: PageRef,
    pub(crate) link_table: TableRef,
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
        let [fronts, trace_ids, span_ids, layout, foreign_parents, times] = pages;
        let (resources, scopes) = (TextList::take(bytes)?, TextList::take(bytes)?);
        let (names, messages) = (TextList::take(bytes)?, TextList::take(bytes)?);
        let templates = TextList::take(bytes)?;
        let shapes = take_shapes(bytes)?;
        let columns = take_columns(bytes)?;
        let templates = resolve_templates(&templates, &columns)?;
        let (trace_states, events) = (PageRef::take(bytes)?, PageRef::take(bytes)?);
        let event_names = TextList::take(bytes)?;
        let event_table = TableRef::take(bytes)?;
        let links = PageRef::take(bytes)?;
        let link_table = TableRef::take(bytes)?;
        Some(GroupHeader {
            spans,
            traces,
            fronts,
            trace_ids,
            span_ids,
            layout,
            foreign_parents,
            times,
            resources,
            scopes,
            names,
            messages,
            shapes,
            templates,
            columns,
            trace_states,
            events,
            event_names,
            event_table,
            links,
            link_table,
        })
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let lists = [&self.resources, &self.scopes, &self.names, &self.messages, &self.event_names];
        let templates = self.templates.iter().chain(&self.event_table.templates).chain(&self.link_table.templates);
        let columns = self.columns.iter().chain(&self.event_table.columns).chain(&self.link_table.columns);
        lists.iter().map(|l| l.memory_bytes()).sum::<usize>()
            + self.shapes.capacity() * size_of::<Shape>()
            + templates.map(|t| t.capacity() * 4 + 24).sum::<usize>()
            + columns.map(|c| size_of::<ColumnRef>() + c.key.len()).sum::<usize>()
    }
}

impl TableRef {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let templates = TextList::take(bytes)?;
        let columns = take_columns(bytes)?;
        Some(TableRef { templates: resolve_templates(&templates, &columns)?, columns })
    }
}

fn take_columns(bytes: &mut &[u8]) -> Option<Vec<ColumnRef>> {
    let count = take_count(bytes, COUNT_MAX)?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let (&code, key) = take_bytes(bytes)?.split_first()?;
        let key = std::str::from_utf8(key).ok()?.to_owned();
        let value_type = ValueType::from_code(code)?;
        columns.push(ColumnRef { value_type, key, page: PageRef::take(bytes)?, range: take_range(bytes)? });
    }
    Some(columns)
}

fn take_range(bytes: &mut &[u8]) -> Option<Range> {
    let [tag] = take_array(bytes)?;
    Some(match tag {
        RANGE_NONE => Range::Unknown,
        RANGE_INTS => Range::Ints(unzigzag(take_varint(bytes)?), unzigzag(take_varint(bytes)?)),
        RANGE_DOUBLES => {
            let mut double = || take_array(bytes).map(f64::from_le_bytes);
            Range::Doubles(double()?, double()?)
        }
        _ => return None,
    })
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

impl Layout {
    /// Reads a group's layout and checks that it fits the header; `None` when damaged.
    pub(crate) fn take(mut bytes: &[u8], header: &GroupHeader) -> Option<Self> {
        let layout = Layout::parse(&mut bytes)?;
        let sum: u64 = layout.spans_per_trace.iter().map(|n| u64::from(*n)).sum();
        let sound = sum == header.spans as u64
            && layout.spans_per_trace.len() == header.traces
            && layout.shape_of.len() == header.spans
            && layout.parents.len() == header.spans
            && layout.shape_of.iter().all(|s| (*s as usize) < header.shapes.len());
        sound.then_some(layout)
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
    /// Trace ids of their two pages; `None` when damaged.
    pub(crate) fn take_trace_ids(&self, mut fronts: &[u8], rest: &[u8]) -> Option<Vec<TraceId>> {
        Fronts::take(&mut fronts)?.ids(rest).filter(|ids| ids.len() == self.traces)
    }

    /// Of each span the start and end minus start, nanoseconds; the latter negative where senders have it so. `None`
    /// when damaged.
    pub(crate) fn take_times(&self, mut bytes: &[u8], layout: &Layout) -> Option<(Vec<u64>, Vec<i64>)> {
        let resource_of: Vec<u32> = self.shapes.iter().map(|s| s.resource).collect();
        let family = Family {
            spans_per_trace: &layout.spans_per_trace,
            parents: &layout.parents,
            shape_of: &layout.shape_of,
            resource_of: &resource_of,
        };
        take_times(&mut bytes, &family)
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

/// Appends an attribute of a column's value at `index`; `duration` is the span's, for columns that are derived from it.
pub(crate) fn put_value_at(
    at: &ColumnRef,
    column: &Column,
    index: usize,
    duration: i64,
    out: &mut Vec<u8>,
) -> Option<()> {
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
            ("times", self.times),
            ("trace states", self.trace_states),
            ("events", self.events),
            ("links", self.links),
        ];
        let fixed = fixed.into_iter().map(|(name, page)| (name.to_owned(), u64::from(page.stored_bytes)));
        let tables = [
            ("attribute", &self.columns),
            ("event attribute", &self.event_table.columns),
            ("link attribute", &self.link_table.columns),
        ];
        let columns = tables.into_iter().flat_map(|(of, columns)| {
            columns.iter().map(move |c| (format!("{of} {}", c.key), u64::from(c.page.stored_bytes)))
        });
        fixed.chain(columns).collect()
    }
}
