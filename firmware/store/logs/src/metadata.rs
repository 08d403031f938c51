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

mod read;

pub(crate) use read::{Metadata, OnlyEntriesTell, ValuesOf};

use crate::columns::ColumnWriter;
use crate::lines::LineEncoder;
use crate::rows::Rows;
use crate::template::pack_hex;
use crate::varint::{put, put_bytes};
use bramble_signal::LabelsRef;

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
        write_whole(rows, columns, out);
        return;
    };
    out.push(BY_KEY);
    put(out, keys.len() as u64);
    let mut column = Vec::new();
    for (key, values) in &keys {
        put_bytes(out, key);
        column.clear();
        put_column(rows, lines, values, columns, &mut column);
        put_bytes(out, &column);
    }
}

/// Appends the metadata of `rows` as it is.
pub(crate) fn write_whole(rows: &Rows, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
    out.push(WHOLE);
    let all: Vec<&[u8]> = (0..rows.len()).map(|at| rows.metadata(at)).collect();
    columns.words(&all, None, out);
}

type Values<'a> = Vec<(u32, &'a [u8])>;

/// Values with their row per key, ascending by key; `None` when there are too many keys, or an encoding that is not the
/// usual one.
fn by_key(rows: &Rows) -> Option<Vec<(&[u8], Values<'_>)>> {
    let mut keys: Vec<(&[u8], Values<'_>)> = Vec::new();
    for at in 0..rows.len() {
        let encoded = LabelsRef::parse(rows.metadata(at))?;
        let mut longest = 0;
        // Mostly an entry has the keys of the one before, in their order.
        let mut next = 0;
        for (key, value) in encoded.iter_bytes() {
            let is_next = keys.get(next).is_some_and(|(known, _)| *known == key);
            let place = if is_next { Some(next) } else { keys.iter().position(|(known, _)| *known == key) };
            let place = match place {
                Some(place) => place,
                None if keys.len() == KEYS_MAX => return None,
                None => {
                    keys.push((key, Vec::new()));
                    keys.len() - 1
                }
            };
            keys.get_mut(place)?.1.push((at as u32, value));
            next = place + 1;
            // Lengths may be written longer than needed; what comes back is written short.
            let short = |len: usize| if len < 128 { 1 } else { 3 };
            longest += key.len() + value.len() + short(key.len()) + short(value.len());
        }
        if encoded.as_bytes().len() > longest {
            return None;
        }
    }
    keys.sort_unstable_by_key(|(key, _)| *key);
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
