//! Attributes as columns, being built: of spans, of events, or of links.
//!
//! The *template* of an attribute list is what it is without its values (see [`template_of`](crate::view::template_of));
//! each distinct (type, key) is a column, and a list's values go to the columns of its template.
//!
//! Columns cost memory and a page each, so there are at most [`COLUMNS_MAX`] of them: a list with very many attributes,
//! and one whose keys come when there are enough, is kept whole, as the one value of a column of type
//! [`Rest`](ValueType::Rest). That bounds what a sender of ever new keys can cause.

use crate::bytes::{put_bytes, put_varint, zigzag};
use crate::interner::Interner;
use crate::numbers::{put_codes, put_f64s, put_i64s};
use crate::texts::TextColumn;
use crate::view::{ValueType, template_items, value_bytes};
use bramble_disk::DiskError;
use bramble_disk::segment::{PageCodec, PageRef};
use bramble_signal::attributes::{AttributeValue, Attributes, AttributesRef};

/// Most attributes of one list that get columns.
pub(crate) const ATTRIBUTES_MAX: usize = 256;
/// Most columns of a table in one group.
pub(crate) const COLUMNS_MAX: usize = 512;
/// About what an empty column takes.
const COLUMN_BYTES: usize = 256;
/// The template of a list that is kept whole.
const REST: [u8; 2] = [ValueType::Rest as u8, 0];

/// Divisors by which a double attribute may be the span's duration in another unit: µs, ms, s.
pub(crate) const DURATION_UNITS: [f64; 3] = [1e3, 1e6, 1e9];

/// Column forms, first byte of an attribute's page.
pub(crate) const COLUMN_EMPTY: u8 = 0;
pub(crate) const COLUMN_BOOLS: u8 = 1;
pub(crate) const COLUMN_INTS: u8 = 2;
pub(crate) const COLUMN_DOUBLES: u8 = 3;
/// The span's duration in unit n: `COLUMN_DURATION + n`.
pub(crate) const COLUMN_DURATION: u8 = 4;
pub(crate) const COLUMN_TEXTS: u8 = 7;

/// What is known of a column's values without reading it, as stored: tag, then
/// nothing / least and greatest as signed varints / as 8 bytes each.
pub(crate) const RANGE_NONE: u8 = 0;
pub(crate) const RANGE_INTS: u8 = 1;
pub(crate) const RANGE_DOUBLES: u8 = 2;

/// Where a page goes.
pub(crate) type PageSink<'a> = dyn FnMut(&[u8], PageCodec) -> Result<PageRef, DiskError> + 'a;

/// One value on its way into a column.
pub(crate) enum Value<'a> {
    Empty,
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Text, bytes, array, list.
    Bytes(&'a [u8]),
}

/// The values of one attribute list: either each is asked for, in order, or all at once.
pub(crate) trait AttributeSource {
    /// The next value, which is of this type. `None` at damage.
    fn next(&mut self, value_type: ValueType) -> Option<Value<'_>>;
    /// Appends the whole list in its encoding. `None` at damage.
    fn encoded(&mut self, out: &mut Vec<u8>) -> Option<()>;
}

/// An encoded list as a source.
pub(crate) struct Encoded<'a> {
    list: AttributesRef<'a>,
    rest: Attributes<'a>,
}

impl<'a> Encoded<'a> {
    pub(crate) fn new(list: AttributesRef<'a>) -> Self {
        Encoded { list, rest: list.iter() }
    }
}

impl AttributeSource for Encoded<'_> {
    fn next(&mut self, value_type: ValueType) -> Option<Value<'_>> {
        if value_type == ValueType::Rest {
            return Some(Value::Bytes(self.list.as_bytes()));
        }
        Some(match self.rest.next()?.1 {
            AttributeValue::Empty => Value::Empty,
            AttributeValue::Bool(b) => Value::Bool(b),
            AttributeValue::Int(i) => Value::Int(i),
            AttributeValue::Double(d) => Value::Double(d),
            other => Value::Bytes(value_bytes(&other)),
        })
    }

    fn encoded(&mut self, out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(self.list.as_bytes());
        Some(())
    }
}

enum Column {
    Empty,
    Bools(Vec<u32>),
    Ints(Vec<i64>),
    /// Values, and for each of [`DURATION_UNITS`] whether all so far equal the duration in it.
    Doubles(Vec<f64>, [bool; 3]),
    Texts(Box<TextColumn>),
}

impl Column {
    fn new(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Empty => Column::Empty,
            ValueType::Bool => Column::Bools(Vec::new()),
            ValueType::Int => Column::Ints(Vec::new()),
            ValueType::Double => Column::Doubles(Vec::new(), [true; 3]),
            _ => Column::Texts(Box::default()),
        }
    }

    /// Appends a value. Returns by about how many bytes the column grew.
    fn push(&mut self, value: Value<'_>, trace: u32, duration: Option<i64>) -> usize {
        match (self, value) {
            (Column::Bools(values), Value::Bool(b)) => values.push(u32::from(b)),
            (Column::Ints(values), Value::Int(i)) => values.push(i),
            (Column::Doubles(values, derived), Value::Double(d)) => {
                for (derived, unit) in derived.iter_mut().zip(DURATION_UNITS) {
                    *derived = *derived && duration.is_some_and(|ns| (ns as f64 / unit).to_bits() == d.to_bits());
                }
                values.push(d);
            }
            (Column::Texts(texts), Value::Bytes(bytes)) => return texts.push(trace, bytes),
            _ => {}
        }
        8
    }

    fn put(&self, page: &mut Vec<u8>) {
        match self {
            Column::Empty => page.push(COLUMN_EMPTY),
            Column::Bools(values) => {
                page.push(COLUMN_BOOLS);
                put_codes(page, values);
            }
            Column::Ints(values) => {
                page.push(COLUMN_INTS);
                put_i64s(page, values);
            }
            Column::Doubles(values, derived) => match derived.iter().position(|d| *d) {
                Some(unit) => page.push(COLUMN_DURATION + unit as u8),
                None => {
                    page.push(COLUMN_DOUBLES);
                    put_f64s(page, values);
                }
            },
            Column::Texts(texts) => {
                page.push(COLUMN_TEXTS);
                texts.put(page);
            }
        }
    }

    fn put_range(&self, out: &mut Vec<u8>) {
        match self {
            Column::Ints(values) => {
                let (low, high) = (values.iter().min().copied(), values.iter().max().copied());
                out.push(RANGE_INTS);
                put_varint(out, zigzag(low.unwrap_or(0)));
                put_varint(out, zigzag(high.unwrap_or(0)));
            }
            Column::Doubles(values, _) if !values.iter().any(|v| v.is_nan()) => {
                out.push(RANGE_DOUBLES);
                out.extend_from_slice(&values.iter().copied().fold(f64::INFINITY, f64::min).to_bits().to_le_bytes());
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                out.extend_from_slice(&high.to_bits().to_le_bytes());
            }
            _ => out.push(RANGE_NONE),
        }
    }

    fn codec(&self) -> PageCodec {
        match self {
            Column::Ints(_) | Column::Doubles(..) => PageCodec::Raw,
            _ => PageCodec::Zstd(3),
        }
    }

    /// What the column takes when it is read.
    fn decoded_bytes(&self) -> usize {
        match self {
            Column::Empty => 0,
            Column::Bools(v) => v.len() * 4,
            Column::Ints(v) => v.len() * 8,
            Column::Doubles(v, derived) => v.len() * if derived.contains(&true) { 0 } else { 8 },
            Column::Texts(t) => t.decoded_bytes(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Column::Empty => 0,
            Column::Bools(v) => v.capacity() * 4,
            Column::Ints(v) => v.capacity() * 8,
            Column::Doubles(v, _) => v.capacity() * 8,
            Column::Texts(t) => t.memory_bytes(),
        }
    }
}

/// The attributes of a group's spans, events or links.
#[derive(Default)]
pub(crate) struct AttributeTable {
    pub(crate) templates: Interner,
    /// Columns of each template, in order, with their types.
    template_columns: Vec<Vec<(u32, ValueType)>>,
    /// Distinct `type, key`, each a column.
    keys: Interner,
    columns: Vec<Column>,
    /// What values and templates take, each distinct text once.
    value_bytes: usize,
    scratch: Vec<u8>,
}

impl AttributeTable {
    /// The number here of a template's bytes; of the template that keeps lists whole, when columns are scarce.
    pub(crate) fn template(&mut self, template: &[u8]) -> u32 {
        if let Some(known) = self.templates.find(template) {
            return known;
        }
        let (mut items, mut more) = (0, 0);
        let mut scratch = std::mem::take(&mut self.scratch);
        for (value_type, key) in template_items(template).take(ATTRIBUTES_MAX + 1) {
            items += 1;
            column_key(&mut scratch, value_type, key);
            more += usize::from(self.keys.find(&scratch).is_none());
        }
        self.scratch = scratch;
        if items > ATTRIBUTES_MAX || (more > 0 && self.columns.len() + more > COLUMNS_MAX) {
            return match self.templates.find(&REST) {
                Some(known) => known,
                None => self.add(&REST),
            };
        }
        self.add(template)
    }

    fn add(&mut self, template: &[u8]) -> u32 {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut columns = Vec::new();
        for (value_type, key) in template_items(template) {
            column_key(&mut scratch, value_type, key);
            let (column, new) = self.keys.intern(&scratch);
            if new {
                self.columns.push(Column::new(value_type));
                self.value_bytes += COLUMN_BYTES + scratch.len();
            }
            columns.push((column, value_type));
        }
        self.scratch = scratch;
        self.value_bytes += template.len() + columns.len() * 8;
        self.template_columns.push(columns);
        self.templates.intern(template).0
    }

    /// Appends a list of template number `template`. `trace` is the ordinal of its trace in the group; `duration`
    /// that of the span, for a span's own attributes.
    pub(crate) fn push(
        &mut self,
        template: u32,
        trace: u32,
        duration: Option<i64>,
        source: &mut impl AttributeSource,
    ) -> Option<()> {
        let columns = self.template_columns.get(template as usize)?;
        for &(column, value_type) in columns {
            let column = self.columns.get_mut(column as usize)?;
            if value_type == ValueType::Rest {
                self.scratch.clear();
                source.encoded(&mut self.scratch)?;
                self.value_bytes += column.push(Value::Bytes(&self.scratch), trace, None);
                continue;
            }
            self.value_bytes += column.push(source.next(value_type)?, trace, duration);
        }
        Some(())
    }

    /// Writes a page per column, and to `header` the number of columns and for each its type and key, page and range.
    ///
    /// # Errors
    /// What `sink` returns.
    pub(crate) fn write(&self, header: &mut Vec<u8>, sink: &mut PageSink<'_>) -> Result<(), DiskError> {
        let mut page = Vec::new();
        put_varint(header, self.columns.len() as u64);
        for (key, column) in self.keys.iter().zip(&self.columns) {
            page.clear();
            column.put(&mut page);
            put_bytes(header, key);
            sink(&page, column.codec())?.put(header);
            column.put_range(header);
        }
        Ok(())
    }

    /// What values and templates take so far, each distinct text once.
    pub(crate) fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// What the columns and templates take when they are read.
    pub(crate) fn decoded_bytes(&self) -> usize {
        self.columns.iter().map(|c| COLUMN_BYTES + c.decoded_bytes()).sum::<usize>()
            + self.template_columns.iter().map(|c| c.len() * 4 + 48).sum::<usize>()
            + self.templates.text_bytes()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.templates.memory_bytes()
            + self.keys.memory_bytes()
            + self.template_columns.iter().map(|c| c.capacity() * 8 + 24).sum::<usize>()
            + self.columns.iter().map(|c| COLUMN_BYTES + c.memory_bytes()).sum::<usize>()
    }
}

fn column_key(out: &mut Vec<u8>, value_type: ValueType, key: &str) {
    out.clear();
    out.push(value_type as u8);
    out.extend_from_slice(key.as_bytes());
}
