//! Putting chosen spans of a group into a batch, with no more of them than was asked for.

use crate::bytes::put_bytes;
use crate::events_read::{OwnTrace, TableRows};
use crate::group_read::{Column, damaged};
use crate::group_write::{PARENT_FOREIGN, PARENT_LOCAL, PARENT_NONE};
use crate::open_group::{OpenGroup, Stop, ValueCursor};
use crate::shape::{HAS_EVENTS, HAS_LINKS, HAS_TRACE_STATE, Shape};
use crate::view::{Collector, Shared, ValueType, put_bytes_attribute};
use bramble_disk::DiskError;
use bramble_signal::attributes::{AttributeValue, AttributesRef, put_attribute, put_key, put_value};
use bramble_signal::{Span32, SpanEntry, SpanId};
use bramble_storage::SpanFields;

/// Which attributes are wanted.
pub(crate) fn wants(fields: &SpanFields, key: &str) -> bool {
    fields.attributes.as_ref().is_none_or(|keys| keys.iter().any(|k| k == key))
}

/// Appends those attributes of an encoded list that are wanted.
pub(crate) fn put_wanted(fields: &SpanFields, list: &[u8], out: &mut Vec<u8>) {
    if fields.attributes.is_none() {
        out.extend_from_slice(list);
        return;
    }
    for (key, value) in AttributesRef::from_encoded(list).iter().filter(|(key, _)| wants(fields, key)) {
        put_attribute(out, key, value);
    }
}

/// A wanted column while rows are passed.
struct Wanted {
    number: usize,
    cursor: ValueCursor,
    /// The attribute up to its value: the encoded key, and for texts the value's first byte.
    prefix: Vec<u8>,
    /// Its values are whole lists of attributes.
    is_rest: bool,
}

/// A template's wanted attributes, in their order: index into the wanted columns, and which of the values that a span
/// has in that column.
type Items = Vec<(usize, usize)>;

/// Rows of one group on their way into batches.
pub(crate) struct Picker {
    rows: Vec<u32>,
    next: usize,
    wanted: Vec<Wanted>,
    /// By template.
    items: Vec<Items>,
    trace_states: Option<ValueCursor>,
    /// Events and links of rows before `table_row` are passed.
    tables: Option<(TableRows, TableRows)>,
    table_row: usize,
    table_trace: usize,
    fields: SpanFields,
    /// Foreign parents before `foreign_row`.
    foreign: usize,
    foreign_row: usize,
    trace: usize,
    firsts: Vec<usize>,
}

impl Picker {
    /// Loads what the rows (ascending) need of their group.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) fn new(group: &mut OpenGroup<'_>, rows: Vec<u32>, fields: &SpanFields) -> Result<Self, Stop> {
        group.load_layout()?;
        let mut used = vec![false; group.header.shapes.len()];
        for row in &rows {
            let shape = group.shape_of().get(*row as usize).copied().unwrap_or(0);
            if let Some(used) = used.get_mut(shape as usize) {
                *used = true;
            }
        }
        let shapes: Vec<Shape> = group.header.shapes.iter().zip(&used).filter(|(_, u)| **u).map(|(s, _)| *s).collect();
        let (wanted, items) = plan(group, &shapes, fields);
        let some = |bit: u8| shapes.iter().any(|s| s.has(bit));
        let states = fields.trace_state && some(HAS_TRACE_STATE);
        let tables = (fields.events && some(HAS_EVENTS)) || (fields.links && some(HAS_LINKS));
        let columns: Vec<usize> = wanted.iter().map(|(number, _)| *number).collect();
        load(group, &columns)?;
        if states {
            group.load_trace_states()?;
        }
        if tables {
            group.load_tables()?;
        }
        let wanted: Vec<Wanted> = wanted
            .into_iter()
            .filter_map(|(number, value_type)| {
                let (column, at) = group.column(number).zip(group.header.columns.get(number))?;
                let cursor = ValueCursor::new(group.values_per_shape(number), column.per_trace());
                let prefix = prefix_of(&at.key, value_type, column);
                Some(Wanted { number, cursor, prefix, is_rest: value_type == ValueType::Rest })
            })
            .collect();
        let trace_states = group.trace_states().filter(|_| states).map(|texts| {
            let values = group.header.shapes.iter().map(|s| u32::from(s.has(HAS_TRACE_STATE))).collect();
            ValueCursor::new(values, texts.per_trace)
        });
        let of = |columns: usize| TableRows::new(columns);
        let header = &group.header;
        let tables = tables.then(|| (of(header.event_table.columns.len()), of(header.link_table.columns.len())));
        Ok(Picker {
            firsts: vec![0; wanted.len()],
            rows,
            next: 0,
            wanted,
            items,
            trace_states,
            tables,
            table_row: 0,
            table_trace: 0,
            fields: fields.clone(),
            foreign: 0,
            foreign_row: 0,
            trace: 0,
        })
    }

    /// Whether all rows are out.
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.rows.len()
    }

    /// Appends the next rows, at most `spans` of them and until the batch holds about `bytes`.
    ///
    /// # Errors
    /// Damage; what was appended before stays.
    pub(crate) fn put(
        &mut self,
        group: &OpenGroup<'_>,
        (spans, bytes): (usize, usize),
        out: &mut Collector,
    ) -> Result<(), DiskError> {
        let mut shared: Vec<Option<Shared>> = vec![None; group.header.shapes.len()];
        let end = self.rows.len().min(self.next + spans);
        out.batch.spans.reserve(end - self.next);
        while self.next < end && out.batch.arena.len() < bytes {
            let Some(&row) = self.rows.get(self.next) else { return Ok(()) };
            self.next += 1;
            self.put_row(group, row as usize, &mut shared, out).ok_or_else(|| damaged("span"))?;
        }
        Ok(())
    }

    fn put_row(
        &mut self,
        group: &OpenGroup<'_>,
        row: usize,
        shared: &mut [Option<Shared>],
        out: &mut Collector,
    ) -> Option<()> {
        while group.rows_of(self.trace).end <= row {
            self.trace += 1;
            group.first_rows().get(self.trace + 1)?;
        }
        let number = *group.shape_of().get(row)?;
        let shape = group.header.shapes.get(number as usize)?;
        let slot = shared.get_mut(number as usize)?;
        let shared = match *slot {
            Some(shared) => shared,
            None => {
                let header = &group.header;
                *slot.insert(out.share(
                    header.resources.get(shape.resource),
                    header.scopes.get(shape.scope),
                    header.names.get(shape.name),
                    header.messages.get(shape.message),
                ))
            }
        };
        let start_ns = *group.starts().get(row)?;
        let duration = *group.durations().get(row)?;
        let [dropped_attributes, dropped_events, dropped_links] = shape.dropped;
        let (events, links) = self.put_tables(group, row, shape, &mut out.batch.arena)?;
        let entry = SpanEntry {
            trace_id: *group.trace_ids().get(self.trace)?,
            span_id: SpanId(*group.span_ids().get(row)?),
            parent_span_id: SpanId(self.parent(group, row)?),
            resource: shared.resource,
            scope: shared.scope,
            start_ns,
            end_ns: start_ns.wrapping_add(duration as u64),
            kind: shape.kind(),
            status: shape.status(),
            flags: shape.flags,
            dropped_attributes,
            dropped_events,
            dropped_links,
            name: shared.name,
            status_message: shared.message,
            attributes: self.put_attributes(group, row, shape, duration, &mut out.batch.arena)?,
            trace_state: self.put_trace_state(group, row, shape, &mut out.batch.arena)?,
            events,
            links,
        };
        out.batch.spans.push(entry);
        Some(())
    }

    fn parent(&mut self, group: &OpenGroup<'_>, row: usize) -> Option<[u8; 8]> {
        let parents = group.parents();
        Some(match *parents.get(row)? {
            PARENT_NONE => [0; 8],
            PARENT_FOREIGN => {
                let passed = parents.get(self.foreign_row..row)?;
                self.foreign += passed.iter().filter(|p| **p == PARENT_FOREIGN).count();
                self.foreign_row = row;
                *group.foreign_parents().get(self.foreign)?
            }
            local => *group.span_ids().get(group.rows_of(self.trace).start + (local - PARENT_LOCAL) as usize)?,
        })
    }

    fn put_attributes(
        &mut self,
        group: &OpenGroup<'_>,
        row: usize,
        shape: &Shape,
        duration: i64,
        arena: &mut Vec<u8>,
    ) -> Option<Span32> {
        let items = self.items.get(shape.template as usize)?;
        if items.is_empty() {
            return Some(Span32::default());
        }
        let from = arena.len();
        for &(index, nth) in items {
            let wanted = self.wanted.get_mut(index)?;
            let first = self.firsts.get_mut(index)?;
            if nth == 0 {
                *first = wanted.cursor.seek(group, row, self.trace);
            }
            let at = wanted.cursor.nth(*first, nth);
            put_value_at(wanted, group.column(wanted.number)?, at, duration, &self.fields, arena)?;
        }
        Some(Span32::new(from, arena.len()))
    }

    fn put_trace_state(
        &mut self,
        group: &OpenGroup<'_>,
        row: usize,
        shape: &Shape,
        arena: &mut Vec<u8>,
    ) -> Option<Span32> {
        let Some(cursor) = self.trace_states.as_mut().filter(|_| shape.has(HAS_TRACE_STATE)) else {
            return Some(Span32::default());
        };
        let at = cursor.seek(group, row, self.trace);
        let texts = group.trace_states()?;
        let from = arena.len();
        arena.extend_from_slice(texts.list.get(*texts.ids.get(at)?));
        Some(Span32::new(from, arena.len()))
    }

    /// Appends a row's events and links, after passing those of the rows before it.
    fn put_tables(
        &mut self,
        group: &OpenGroup<'_>,
        row: usize,
        shape: &Shape,
        arena: &mut Vec<u8>,
    ) -> Option<(Span32, Span32)> {
        let Some((events, links)) = &mut self.tables else { return Some(Default::default()) };
        if !shape.has(HAS_EVENTS | HAS_LINKS) {
            return Some(Default::default());
        }
        let (header, tables) = (&group.header, group.tables()?);
        while self.table_row < row {
            while group.rows_of(self.table_trace).end <= self.table_row {
                self.table_trace += 1;
            }
            let passed = header.shapes.get(*group.shape_of().get(self.table_row)? as usize)?;
            if passed.has(HAS_EVENTS) {
                events.pass_events(header, tables, self.table_trace as u32)?;
            }
            if passed.has(HAS_LINKS) {
                links.pass_links(header, tables, self.table_trace as u32)?;
            }
            self.table_row += 1;
        }
        let from = arena.len();
        if shape.has(HAS_EVENTS) {
            let start_ns = *group.starts().get(row)?;
            events.events(header, tables, (self.trace as u32, start_ns), arena)?;
        }
        let between = if self.fields.events { arena.len() } else { from };
        arena.truncate(between);
        if shape.has(HAS_LINKS) {
            let id = *group.trace_ids().get(self.trace)?;
            let own = OwnTrace { id, span_ids: group.span_ids().get(group.rows_of(self.trace))? };
            links.links(header, tables, (self.trace as u32, own), arena)?;
        }
        if !self.fields.links {
            arena.truncate(between);
        }
        self.table_row = row + 1;
        self.table_trace = self.trace;
        Some((Span32::new(from, between), Span32::new(between, arena.len())))
    }
}

/// The columns that shapes need, with their types, and each template's attributes in terms of them.
fn plan(group: &OpenGroup<'_>, shapes: &[Shape], fields: &SpanFields) -> (Vec<(usize, ValueType)>, Vec<Items>) {
    let header = &group.header;
    let mut index_of: Vec<Option<usize>> = vec![None; header.columns.len()];
    let mut wanted = Vec::new();
    let mut items: Vec<Items> = vec![Vec::new(); header.templates.len()];
    let mut planned = vec![false; header.templates.len()];
    for shape in shapes {
        let template = shape.template as usize;
        let (Some(columns), Some(items), Some(planned)) =
            (header.templates.get(template), items.get_mut(template), planned.get_mut(template))
        else {
            continue;
        };
        if std::mem::replace(planned, true) {
            continue;
        }
        for &column in columns {
            let number = column as usize;
            let (Some(at), Some(index)) = (header.columns.get(number), index_of.get_mut(number)) else { continue };
            let may_be_inside =
                at.value_type == ValueType::Rest && fields.attributes.as_ref().is_none_or(|k| !k.is_empty());
            if !wants(fields, &at.key) && !may_be_inside {
                continue;
            }
            let index = *index.get_or_insert_with(|| {
                wanted.push((number, at.value_type));
                wanted.len() - 1
            });
            let nth = items.iter().filter(|(i, _)| *i == index).count();
            items.push((index, nth));
        }
    }
    (wanted, items)
}

/// Reads and decodes what is missing, pages together.
fn load(group: &mut OpenGroup<'_>, columns: &[usize]) -> Result<(), Stop> {
    let mut pages = group.missing_pages();
    let missing = columns.iter().filter(|number| group.column(**number).is_none());
    pages.extend(missing.filter_map(|number| group.header.columns.get(*number)).map(|c| c.page));
    group.read_ahead(&pages)?;
    group.load_trace_ids()?;
    group.load_span_ids()?;
    group.load_times()?;
    for number in columns {
        group.load_column(*number)?;
    }
    Ok(())
}

fn prefix_of(key: &str, value_type: ValueType, column: &Column) -> Vec<u8> {
    let mut prefix = Vec::new();
    if value_type == ValueType::Rest {
        return prefix;
    }
    if let Column::Texts(_) = column {
        put_bytes_attribute(&mut prefix, key, value_type, b"");
        // The length of nothing.
        prefix.pop();
    } else {
        put_key(&mut prefix, key);
    }
    prefix
}

fn put_value_at(
    wanted: &Wanted,
    column: &Column,
    at: usize,
    duration: i64,
    fields: &SpanFields,
    arena: &mut Vec<u8>,
) -> Option<()> {
    arena.extend_from_slice(&wanted.prefix);
    let value = match column {
        Column::Empty => AttributeValue::Empty,
        Column::Bools(values) => AttributeValue::Bool(*values.get(at)? != 0),
        Column::Ints(values) => AttributeValue::Int(*values.get(at)?),
        Column::Doubles(values) => AttributeValue::Double(*values.get(at)?),
        Column::Duration(unit) => AttributeValue::Double(duration as f64 / unit),
        Column::Texts(texts) => {
            let bytes = texts.list.get(*texts.ids.get(at)?);
            match wanted.is_rest {
                true => put_wanted(fields, bytes, arena),
                false => put_bytes(arena, bytes),
            }
            return Some(());
        }
    };
    put_value(arena, value);
    Some(())
}
