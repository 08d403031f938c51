//! The structured-metadata column of a page group: one column per key.
//!
//! ```text
//! metadata := 0                                                        nobody has any
//!           | 1 each entry's encoded pairs as words                     too many keys
//!           | 2 varint k, k × (key, varint length, column)              keys ascending
//! column   := presence as integers (0, 1), form: values of those present
//! form     := 0 words | 1 digits, packed hexadecimal bytes | 2 slots as integers, words of those with slot 0
//!           | 3 sources as integers, words, form of those without a source
//! ```
//! Form 2: the value is the same text as a varying token of the line (slot n is token n - 1), as trace ids are
//! that a service both logs and hands on as metadata. Form 3 says so per template, since levels and ids mostly depend on
//! it: of lines of text, then of each template used, 0 no source, 2 n + 1 token n of the line, 2 n + 2 the n-th word.

use crate::columns::{ColumnWriter, Integers, Strings, take_column_bytes, take_integers};
use crate::dictionary::Dictionary;
use crate::lines::{LineEncoder, Lines};
use crate::rows::Rows;
use crate::template::{pack_hex, put_hex};
use crate::varint::{put, put_bytes, take_byte, take_bytes, take_count};
use crate::words::{Words, take_words};
use bramble_signal::LabelsRef;
use bramble_signal::labels::encode_sorted;
use std::collections::BTreeMap;

const NONE: u8 = 0;
const WHOLE: u8 = 1;
const BY_KEY: u8 = 2;
const WORDS: u8 = 0;
const HEX: u8 = 1;
const FROM_LINE: u8 = 2;
const BY_TEMPLATE: u8 = 3;
/// Most words of a column that templates stand for.
const CONSTANTS_MAX: usize = 256;
/// A template must have as many lines before a value of its own is written for it.
const CONSTANT_FROM: u32 = 4;
/// Most keys that get a column of their own.
const KEYS_MAX: usize = 48;
/// Shortest value that is looked for in the line, in bytes.
const FROM_LINE_BYTES_MIN: usize = 8;

/// Appends the metadata of `rows`, whose lines `lines` has just written.
pub(crate) fn write(rows: &Rows, lines: &LineEncoder, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
    if (0..rows.len()).all(|at| rows.metadata(at).is_empty()) {
        out.push(NONE);
        return;
    }
    let Some(keys) = by_key(rows) else {
        out.push(WHOLE);
        let all: Vec<&[u8]> = (0..rows.len()).map(|at| rows.metadata(at)).collect();
        columns.words(&all, None, out);
        return;
    };
    out.push(BY_KEY);
    put(out, keys.len() as u64);
    let mut column = Vec::new();
    for (key, values) in &keys {
        put_bytes(out, key.as_bytes());
        column.clear();
        put_column(rows, lines, values, columns, &mut column);
        put_bytes(out, &column);
    }
}

type Values<'a> = Vec<(u32, &'a [u8])>;

/// Values with their row per key; `None` when there are too many keys, or an encoding that is not the usual one.
fn by_key(rows: &Rows) -> Option<BTreeMap<&str, Values<'_>>> {
    let mut keys: BTreeMap<&str, Values<'_>> = BTreeMap::new();
    for at in 0..rows.len() {
        let encoded = LabelsRef::parse(rows.metadata(at))?;
        for (key, value) in encoded.iter() {
            if !keys.contains_key(key) && keys.len() == KEYS_MAX {
                return None;
            }
            keys.entry(key).or_default().push((at as u32, value.as_bytes()));
        }
        // Lengths may be written longer than needed; what comes back is written short.
        let short = |len: usize| if len < 128 { 1 } else { 3 };
        let longest: usize = encoded.iter().map(|(k, v)| k.len() + v.len() + short(k.len()) + short(v.len())).sum();
        if encoded.as_bytes().len() > longest {
            return None;
        }
    }
    Some(keys)
}

fn put_column(rows: &Rows, lines: &LineEncoder, values: &Values<'_>, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
    let mut present = vec![0u64; rows.len()];
    for (at, _) in values {
        present[*at as usize] = 1;
    }
    columns.integers(&present, out);
    let sources = Sources::new(rows, lines, values);
    let rest: Values<'_> =
        values.iter().filter(|(at, _)| sources.of[lines.which(*at as usize)] == 0).copied().collect();
    if rest.len() * 2 > values.len() {
        put_form(rows, lines, values, columns, out);
        return;
    }
    out.push(BY_TEMPLATE);
    columns.integers(&sources.of, out);
    put(out, sources.constants.len() as u64);
    columns.words(&sources.constants, None, out);
    if !rest.is_empty() {
        put_form(rows, lines, &rest, columns, out);
    }
}

/// Where each template's values come from.
struct Sources<'a> {
    /// Of lines of text, then of each template, as written.
    of: Vec<u64>,
    constants: Vec<&'a [u8]>,
}

#[derive(Clone, Copy, Default)]
struct Candidate<'a> {
    lines: u32,
    slot: Option<usize>,
    constant: Option<&'a [u8]>,
}

impl<'a> Sources<'a> {
    fn new(rows: &Rows, lines: &LineEncoder, values: &Values<'a>) -> Sources<'a> {
        let mut candidates = vec![Candidate::default(); lines.template_count() + 1];
        for &(at, value) in values {
            let at = at as usize;
            let (candidate, line) = (&mut candidates[lines.which(at)], rows.line(at));
            let same = |slot: &usize| {
                lines.tokens(at).get(*slot).is_some_and(|t| line[t.start as usize..t.end as usize] == *value)
            };
            if candidate.lines == 0 {
                candidate.slot = (0..lines.tokens(at).len()).find(same);
                candidate.constant = Some(value);
            } else {
                candidate.slot = candidate.slot.filter(same);
                candidate.constant = candidate.constant.filter(|known| *known == value);
            }
            candidate.lines += 1;
        }
        let mut sources = Sources { of: vec![0; candidates.len()], constants: Vec::new() };
        // Templates of few lines use words that others have brought.
        for few in [false, true] {
            for (of, candidate) in sources.of.iter_mut().zip(&candidates) {
                if (candidate.lines < CONSTANT_FROM) != few {
                    continue;
                }
                let Candidate { slot, constant, .. } = *candidate;
                let known = |value: &[u8]| sources.constants.iter().position(|&known| known == value);
                *of = match (slot, constant) {
                    (Some(slot), _) => slot as u64 * 2 + 1,
                    (None, Some(value)) => match known(value) {
                        Some(at) => at as u64 * 2 + 2,
                        None if few || sources.constants.len() == CONSTANTS_MAX => 0,
                        None => {
                            sources.constants.push(value);
                            sources.constants.len() as u64 * 2
                        }
                    },
                    (None, None) => 0,
                };
            }
        }
        sources
    }
}

fn put_form(rows: &Rows, lines: &LineEncoder, values: &Values<'_>, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
    let slots: Vec<u64> = values.iter().map(|(at, value)| slot_of(rows, lines, *at as usize, value)).collect();
    let found = slots.iter().filter(|&&slot| slot > 0).count();
    if found * 2 > values.len() {
        out.push(FROM_LINE);
        columns.integers(&slots, out);
        let rest: Vec<&[u8]> =
            values.iter().zip(&slots).filter(|(_, slot)| **slot == 0).map(|((_, v), _)| *v).collect();
        columns.words(&rest, None, out);
        return;
    }
    let digits = values.first().map_or(0, |(_, value)| value.len());
    let hex = |value: &[u8]| value.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if (8..=64).contains(&digits) && values.iter().all(|(_, value)| value.len() == digits && hex(value)) {
        out.extend([HEX, digits as u8]);
        let mut packed = Vec::new();
        values.iter().for_each(|(_, value)| pack_hex(value, &mut packed));
        columns.bytes(&packed, out);
        return;
    }
    out.push(WORDS);
    let all: Vec<&[u8]> = values.iter().map(|(_, value)| *value).collect();
    columns.words(&all, None, out);
}

fn slot_of(rows: &Rows, lines: &LineEncoder, at: usize, value: &[u8]) -> u64 {
    if value.len() < FROM_LINE_BYTES_MIN {
        return 0;
    }
    let line = rows.line(at);
    let same = lines.tokens(at).iter().position(|token| line[token.start as usize..token.end as usize] == *value);
    same.map_or(0, |slot| slot as u64 + 1)
}

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

#[derive(Debug)]
struct Column {
    key: String,
    /// Position of each entry's value among the values, plus one; 0: it has none. Empty: all have one.
    places: Vec<u32>,
    form: Form,
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

/// The values of one key.
#[derive(Debug)]
pub(crate) struct KeyColumn(Column);

impl Metadata {
    /// Reads the column of `count` entries; `None` when it is damaged.
    pub(crate) fn read(mut input: &[u8], count: usize, lines: &Lines) -> Option<Metadata> {
        let input = &mut input;
        match take_byte(input)? {
            NONE => Some(Metadata::None),
            WHOLE => Some(Metadata::Whole(take_words(input, count, 0)?)),
            BY_KEY => {
                let keys = take_count(input, KEYS_MAX)?;
                let columns: Option<Vec<KeyColumn>> =
                    (0..keys).map(|_| take_column(input, count, lines).map(KeyColumn)).collect();
                let columns = columns?;
                columns.is_sorted_by(|a, b| a.0.key < b.0.key).then_some(Metadata::ByKey(columns))
            }
            _ => None,
        }
    }

    /// Appends the encoded metadata of entry `at` to `out`.
    pub(crate) fn put(&self, at: usize, timestamp_ns: i64, lines: &Lines, dictionary: &Dictionary, out: &mut Vec<u8>) {
        match self {
            Metadata::None => {}
            Metadata::Whole(words) => {
                let encoded = words.get(at, &NO_VALUES);
                if LabelsRef::parse(encoded).is_some() {
                    out.extend_from_slice(encoded);
                }
            }
            Metadata::ByKey(columns) => {
                let mut scratch = Vec::with_capacity(64);
                for KeyColumn(column) in columns {
                    let place = column.places.get(at).copied().unwrap_or(if column.places.is_empty() {
                        at as u32 + 1
                    } else {
                        0
                    });
                    let Some(place) = place.checked_sub(1) else { continue };
                    scratch.clear();
                    column.form.put(place as usize, at, timestamp_ns, lines, dictionary, &mut scratch);
                    if let Ok(value) = std::str::from_utf8(&scratch) {
                        encode_sorted([(column.key.as_str(), value)], out);
                    }
                }
            }
        }
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Metadata::None => 0,
            Metadata::Whole(words) => words.memory_bytes(),
            Metadata::ByKey(columns) => {
                columns.iter().map(|c| c.0.places.capacity() * 4 + c.0.form.memory_bytes()).sum()
            }
        }
    }
}

fn take_column(input: &mut &[u8], count: usize, lines: &Lines) -> Option<Column> {
    let key = std::str::from_utf8(take_bytes(input)?).ok().filter(|key| !key.is_empty())?.to_owned();
    let input = &mut take_bytes(input)?;
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
        return Some(Column { key, places, form: take_form(form, input, values)? });
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
    Some(Column { key, places, form: Form::ByTemplate { sources, constants, rest_before, rest: Box::new(rest) } })
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
    fn put(
        &self,
        place: usize,
        at: usize,
        timestamp_ns: i64,
        lines: &Lines,
        dictionary: &Dictionary,
        out: &mut Vec<u8>,
    ) {
        match self {
            Form::Words(words) => out.extend_from_slice(words.get(place, &NO_VALUES)),
            Form::Hex { digits, packed } => {
                let width = digits.div_ceil(2);
                put_hex(packed.get(place * width..(place + 1) * width).unwrap_or_default(), *digits, false, out);
            }
            Form::FromLine { slots, rest_before, rest } => match slots.get(place).checked_sub(1) {
                Some(slot) => lines.put_token(at, slot as usize, timestamp_ns, dictionary, out),
                None => {
                    out.extend_from_slice(rest.get(rest_before.get(place).copied().unwrap_or(0) as usize, &NO_VALUES))
                }
            },
            Form::ByTemplate { sources, constants, rest_before, rest } => match sources.get(lines.which(at)) {
                0 => {
                    let nth = rest_before.get(place).copied().unwrap_or(0) as usize;
                    rest.put(nth, at, timestamp_ns, lines, dictionary, out);
                }
                source if source % 2 == 1 => {
                    lines.put_token(at, (source / 2) as usize, timestamp_ns, dictionary, out);
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
