//! Reading the metadata column: each key's values at their first use.

use super::{BY_KEY, BY_TEMPLATE, CONSTANTS_MAX, FROM_LINE, HEX, KEYS_MAX, NONE, WHOLE, WORDS};
use crate::columns::{Integers, Strings, take_column_bytes, take_integers};
use crate::lines::{Lines, LinesFrom};
use crate::template::put_hex;
use crate::varint::{take_byte, take_bytes, take_count};
use crate::words::{Words, take_words};
use bramble_signal::LabelsRef;
use bramble_signal::labels::{encode_sorted, encode_written};
use std::cell::OnceCell;

/// Metadata shares no values with other groups.
static NO_VALUES: Strings = Strings::new();

#[derive(Debug)]
enum Form {
    Words(Words),
    Hex {
        digits: usize,
        packed: Vec<u8>,
    },
    FromLine {
        slots: Integers,
        rest_before: Vec<u32>,
        rest: Words,
    },
    /// `rest_before`: per value how many before it have no source.
    ByTemplate {
        sources: Integers,
        constants: Words,
        rest_before: Vec<u32>,
        rest: Box<Form>,
    },
}

/// The values of one key.
#[derive(Debug)]
struct Column {
    /// Position of each entry's value among the values, plus one; 0: it has none. Empty: all have one.
    places: Vec<u32>,
    form: Form,
}

/// The values of one key, decoded when they are first used.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    key: String,
    stored: Box<[u8]>,
    /// `None`: damaged.
    column: OnceCell<Option<Column>>,
}

impl KeyColumn {
    fn get(&self, lines: &Lines) -> Option<&Column> {
        self.column.get_or_init(|| take_column(&mut &*self.stored, lines.count(), lines)).as_ref()
    }
}

/// The metadata column of a group, decompressed but not rebuilt.
#[derive(Debug)]
pub(crate) enum Metadata {
    /// Nobody has any.
    None,
    /// Encoded pairs.
    Whole(Words),
    /// By key.
    ByKey(Vec<KeyColumn>),
}

impl Metadata {
    /// Reads the column of `count` entries; `None` when it is damaged.
    pub(crate) fn read(input: &mut &[u8], count: usize) -> Option<Metadata> {
        match take_byte(input)? {
            NONE => Some(Metadata::None),
            WHOLE => Some(Metadata::Whole(take_words(input, count, 0)?)),
            BY_KEY => {
                let keys = take_count(input, KEYS_MAX)?;
                let columns: Option<Vec<KeyColumn>> = (0..keys).map(|_| take_key(input)).collect();
                columns.filter(|columns| columns.is_sorted_by(|a, b| a.key < b.key)).map(Metadata::ByKey)
            }
            _ => None,
        }
    }

    /// Appends the encoded metadata of an entry (position, timestamp) under names that `wanted` accepts.
    pub(crate) fn put(
        &self,
        (at, timestamp_ns): (usize, i64),
        lines: &Lines,
        from: LinesFrom<'_>,
        wanted: &dyn Fn(&str) -> bool,
        out: &mut Vec<u8>,
    ) {
        match self {
            Metadata::None => {}
            Metadata::Whole(words) => {
                if let Some(encoded) = LabelsRef::parse(words.get(at, &NO_VALUES)) {
                    if encoded.iter().all(|(name, _)| wanted(name)) {
                        out.extend_from_slice(encoded.as_bytes());
                    } else {
                        encode_sorted(encoded.iter().filter(|(name, _)| wanted(name)), out);
                    }
                }
            }
            Metadata::ByKey(columns) => {
                for column in columns.iter().filter(|column| wanted(&column.key)) {
                    let Some(values) = column.get(lines) else {
                        from.stored.note_damage();
                        continue;
                    };
                    let Some(place) = values.place(at) else { continue };
                    let write = |out: &mut Vec<u8>| values.form.put(place, at, timestamp_ns, lines, from, out);
                    encode_written(&column.key, out, write);
                }
            }
        }
    }

    /// Whether any entry has a name that `wanted` accepts; `true` when only the entries can tell.
    pub(crate) fn has_any(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Metadata::None => false,
            Metadata::Whole(_) => true,
            Metadata::ByKey(columns) => columns.iter().any(|column| wanted(&column.key)),
        }
    }

    /// Memory held so far, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Metadata::None => 0,
            Metadata::Whole(words) => words.memory_bytes(),
            Metadata::ByKey(columns) => columns
                .iter()
                .map(|column| {
                    let values = column.column.get().and_then(Option::as_ref);
                    column.stored.len()
                        + values.map_or(0, |values| values.places.capacity() * 4 + values.form.memory_bytes())
                })
                .sum(),
        }
    }
}

/// The values of one key of a group.
pub(crate) struct ValuesOf<'g> {
    column: &'g Column,
    lines: &'g Lines,
    from: LinesFrom<'g>,
    timestamps_ns: &'g [i64],
}

impl ValuesOf<'_> {
    /// The value of entry `at`, if it has one; in `scratch` when it is not stored as it is.
    pub(crate) fn get<'a>(&'a self, at: usize, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let place = self.column.place(at)?;
        if let Form::Words(words) = &self.column.form {
            return Some(words.get(place, &NO_VALUES));
        }
        scratch.clear();
        let timestamp_ns = self.timestamps_ns.get(at).copied().unwrap_or(0);
        self.column.form.put(place, at, timestamp_ns, self.lines, self.from, scratch);
        Some(scratch)
    }
}

impl Metadata {
    /// The values under `name`; `None` where nobody has any, an error where only the entries can tell. `timestamps_ns` is asked
    /// when values may be tokens of lines.
    pub(crate) fn values_of<'g>(
        &'g self,
        name: &str,
        lines: &'g Lines,
        from: LinesFrom<'g>,
        timestamps_ns: impl FnOnce() -> &'g [i64],
    ) -> Result<Option<ValuesOf<'g>>, OnlyEntriesTell> {
        let columns = match self {
            Metadata::None => return Ok(None),
            Metadata::Whole(_) => return Err(OnlyEntriesTell),
            Metadata::ByKey(columns) => columns,
        };
        let Some(column) = columns.iter().find(|column| column.key == name) else { return Ok(None) };
        let Some(column) = column.get(lines) else {
            from.stored.note_damage();
            return Err(OnlyEntriesTell);
        };
        let is_apart = matches!(column.form, Form::Words(_) | Form::Hex { .. });
        Ok(Some(ValuesOf { column, lines, from, timestamps_ns: if is_apart { &[] } else { timestamps_ns() } }))
    }
}

/// Metadata is not stored by key, or damaged.
pub(crate) struct OnlyEntriesTell;

impl Column {
    fn place(&self, at: usize) -> Option<usize> {
        if self.places.is_empty() {
            return Some(at);
        }
        (self.places.get(at).copied().unwrap_or(0) as usize).checked_sub(1)
    }
}

fn take_key(input: &mut &[u8]) -> Option<KeyColumn> {
    let key = std::str::from_utf8(take_bytes(input)?).ok().filter(|key| !key.is_empty())?.to_owned();
    Some(KeyColumn { key, stored: take_bytes(input)?.into(), column: OnceCell::new() })
}

fn take_column(input: &mut &[u8], count: usize, lines: &Lines) -> Option<Column> {
    let present = take_integers(input, count)?;
    let (mut places, mut values) = (Vec::new(), count);
    if !matches!(present, Integers::Constant(1)) {
        values = 0;
        for at in 0..count {
            let has = present.get(at) == 1;
            values += usize::from(has);
            places.push(if has { values as u32 } else { 0 });
        }
    }
    let form = take_byte(input)?;
    if form != BY_TEMPLATE {
        return Some(Column { places, form: take_form(form, input, values)? });
    }
    let sources = take_integers(input, lines.template_count() + 1)?;
    let constant_count = take_count(input, CONSTANTS_MAX)?;
    let constants = take_words(input, constant_count, 0)?;
    let (mut rest_before, mut rest_count) = (Vec::with_capacity(values), 0u32);
    for at in (0..count).filter(|&at| places.get(at) != Some(&0)) {
        rest_before.push(rest_count);
        rest_count += u32::from(sources.get(lines.which(at)) == 0);
    }
    let rest = match rest_count {
        0 => Form::Words(Words::Plain(Strings::default())),
        count => take_form(take_byte(input)?, input, count as usize)?,
    };
    Some(Column { places, form: Form::ByTemplate { sources, constants, rest_before, rest: Box::new(rest) } })
}

fn take_form(form: u8, input: &mut &[u8], values: usize) -> Option<Form> {
    Some(match form {
        WORDS => Form::Words(take_words(input, values, 0)?),
        HEX => {
            let digits = usize::from(take_byte(input)?);
            let packed = take_column_bytes(input)?;
            (packed.len() == values * digits.div_ceil(2)).then_some(Form::Hex { digits, packed })?
        }
        FROM_LINE => {
            let slots = take_integers(input, values)?;
            let mut rest_count = 0u32;
            let rest_before = (0..values)
                .map(|at| {
                    let before = rest_count;
                    rest_count += u32::from(slots.get(at) == 0);
                    before
                })
                .collect();
            Form::FromLine { slots, rest_before, rest: take_words(input, rest_count as usize, 0)? }
        }
        _ => return None,
    })
}

impl Form {
    fn put(&self, place: usize, at: usize, timestamp_ns: i64, lines: &Lines, from: LinesFrom<'_>, out: &mut Vec<u8>) {
        match self {
            Form::Words(words) => out.extend_from_slice(words.get(place, &NO_VALUES)),
            Form::Hex { digits, packed } => {
                let width = digits.div_ceil(2);
                put_hex(packed.get(place * width..(place + 1) * width).unwrap_or_default(), *digits, false, out);
            }
            Form::FromLine { slots, rest_before, rest } => match slots.get(place).checked_sub(1) {
                Some(slot) => lines.put_token(at, slot as usize, timestamp_ns, from, out),
                None => {
                    out.extend_from_slice(rest.get(rest_before.get(place).copied().unwrap_or(0) as usize, &NO_VALUES))
                }
            },
            Form::ByTemplate { sources, constants, rest_before, rest } => match sources.get(lines.which(at)) {
                0 => {
                    let nth = rest_before.get(place).copied().unwrap_or(0) as usize;
                    rest.put(nth, at, timestamp_ns, lines, from, out);
                }
                source if source % 2 == 1 => {
                    lines.put_token(at, (source / 2) as usize, timestamp_ns, from, out);
                }
                source => out.extend_from_slice(constants.get((source / 2 - 1) as usize, &NO_VALUES)),
            },
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Form::Words(words) => words.memory_bytes(),
            Form::Hex { packed, .. } => packed.capacity(),
            Form::FromLine { slots, rest_before, rest } => {
                slots.memory_bytes() + rest_before.capacity() * 4 + rest.memory_bytes()
            }
            Form::ByTemplate { sources, constants, rest_before, rest } => {
                let rest = rest_before.capacity() * 4 + rest.memory_bytes() + size_of::<Form>();
                sources.memory_bytes() + constants.memory_bytes() + rest
            }
        }
    }
}
