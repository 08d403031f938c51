//! Pairs of a name and an id in a line: JSON, logfmt, `key: value`, query strings, headers, maps as languages print them.
//!
//! No grammar is followed, since lines mix them all (JSON in a string of JSON, a dictionary in a sentence). What separates
//! a name from a value is `=` or `:` everywhere; what stands before one of these is the name when it ends as names of ids
//! do, which two bytes tell, and then what stands behind it is the value.

use super::IdKind;
use super::bare;
use super::name::{Form, NAME_BYTES_MAX, form_of, may_end};
use super::value::{ID_BYTES_MAX, read};
use memchr::memchr2;

/// Blanks on either side of a separator.
const BLANKS_MAX: usize = 4;
/// Quotes, brackets and backslashes before a value: JSON in JSON in JSON has `\\\"`.
const OPENERS_MAX: usize = 12;
/// Longest value of a header that holds several ids.
const HEADER_BYTES_MAX: usize = 256;

/// Calls `found` for each id in a line, in the order of their names in the line; bare ones last. One of a kind may be
/// found more than once, and it may be the same.
///
/// Traces are given as 16 or 32 hex digits of any case and not all zero, spans as 16; UUIDs without their hyphens,
/// decimal ones (Datadog's) as 16 digits. Other ids are 1 to 128 bytes of graphic ASCII.
///
/// One pass, and another for bare ids; nothing is allocated.
pub fn find_ids(line: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    let mut done = 0;
    for_separators(line, |at| {
        if at >= done {
            if line.get(at) == Some(&b'[') {
                bare::bracket(line.get(at + 1..).unwrap_or_default(), found);
            } else if let Some(form) = name_before(line, at) {
                done = value_after(line, at + 1, form, found);
            }
        }
    });
    bare::traceparents(line, found);
}

/// Bytes that are looked at together.
const CHUNK_BYTES: usize = 32;

/// Calls `at` with the place of each `=`, `:` and `[`, ascending. They are so close to each other in lines that calling
/// memchr for each costs more than it saves; written like this, compilers compare 16 bytes at a time.
#[inline]
fn for_separators(line: &[u8], mut at: impl FnMut(usize)) {
    let (chunks, rest) = line.as_chunks::<CHUNK_BYTES>();
    for (place, chunk) in chunks.iter().enumerate() {
        in_chunk(chunk, place * CHUNK_BYTES, &mut at);
    }
    if !rest.is_empty() {
        let mut last = [0; CHUNK_BYTES];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        in_chunk(&last, chunks.len() * CHUNK_BYTES, &mut at);
    }
}

#[inline]
fn in_chunk(chunk: &[u8; CHUNK_BYTES], start: usize, at: &mut impl FnMut(usize)) {
    let mut is_one = [0u8; CHUNK_BYTES];
    for (is_one, byte) in is_one.iter_mut().zip(chunk) {
        *is_one = u8::from((*byte == b'=') | (*byte == b':') | (*byte == b'['));
    }
    // A bit for each byte: the product moves the lowest bits of eight bytes into its highest byte.
    let mut places = 0u32;
    for eight in is_one.as_chunks::<8>().0.iter().rev() {
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        places = places << 8 | bits as u32;
    }
    while places != 0 {
        at(start + places.trailing_zeros() as usize);
        places &= places - 1;
    }
}

/// Calls `found` for each id in a field: a label, an attribute, structured metadata. As [`find_ids`], but that all of the
/// value is meant; what is around it of quotes and brackets (an array of one text as JSON) does not count.
pub fn find_in_field(name: &[u8], value: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    if let Some(form) = form_of(name) {
        let around = |b: &u8| matches!(b, b'"' | b'\'' | b'[' | b']' | b' ');
        let start = value.iter().position(|b| !around(b)).unwrap_or(value.len());
        let end = value.iter().rposition(|b| !around(b)).map_or(start, |last| last + 1);
        read(form, value.get(start..end).unwrap_or_default(), found);
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'@')
}

/// What the name that ends before `separator` says of what follows it.
#[inline]
fn name_before(line: &[u8], separator: usize) -> Option<Form> {
    let before = line.get(..separator)?;
    // The usual cases without a loop: `id=`, `id":`, `id: `.
    let (end, quoted) = match before {
        [.., a, b] if b.is_ascii_alphanumeric() => {
            if !may_end(*a, *b) {
                return None;
            }
            (separator, false)
        }
        [.., a, b, b'"'] if b.is_ascii_alphanumeric() => {
            if !may_end(*a, *b) {
                return None;
            }
            (separator - 1, true)
        }
        [.., b'"' | b'\'' | b'\\' | b' ' | b']'] => end_of_name(before)?,
        _ => return None,
    };
    named(line, end, quoted)
}

/// Where a name ends, behind which are blanks, quotes or backslashes, and whether it is quoted.
#[cold]
fn end_of_name(before: &[u8]) -> Option<(usize, bool)> {
    let around = |b: &u8| matches!(b, b'"' | b'\'' | b'\\' | b' ' | b']');
    let last = before.iter().rposition(|b| !around(b))?;
    let behind = before.get(last + 1..)?;
    let blanks = behind.iter().filter(|b| **b == b' ').count();
    let end = before.get(..=last)?;
    let &[.., a, b] = end else { return None };
    (blanks <= BLANKS_MAX && behind.len() <= OPENERS_MAX && may_end(a, b)).then_some((last + 1, blanks < behind.len()))
}

fn named(line: &[u8], end: usize, quoted: bool) -> Option<Form> {
    let head = line.get(end.saturating_sub(NAME_BYTES_MAX + 1)..end)?;
    let start = head.iter().rposition(|b| !is_name(*b)).map_or(0, |at| at + 1);
    let name = head.get(start..)?;
    if name.eq_ignore_ascii_case(b"id") {
        return nested(line.get(..end - 2)?, quoted);
    }
    form_of(name)
}

/// `id` alone says nothing, but what it stands in may: `"trace":{"id":` as ECS has it, or `request id:` in a sentence.
#[cold]
fn nested(before: &[u8], quoted: bool) -> Option<Form> {
    let head = before.get(before.len().saturating_sub(NAME_BYTES_MAX)..)?;
    let around = |b: &u8| matches!(b, b'"' | b'\'' | b'\\' | b' ' | b':' | b'=' | b'{');
    let last = head.iter().rposition(|b| !around(b))?;
    let between = head.get(last + 1..)?;
    let belongs = if quoted { between.contains(&b'{') && between.contains(&b':') } else { between == b" " };
    let owner = head.get(..=last)?;
    let start = owner.iter().rposition(|b| !is_name(*b)).map_or(0, |at| at + 1);
    let owner = owner.get(start..).filter(|_| belongs)?;
    let mut name = [0u8; NAME_BYTES_MAX + 3];
    name.get_mut(..owner.len())?.copy_from_slice(owner);
    name.get_mut(owner.len()..owner.len() + 3)?.copy_from_slice(b".id");
    form_of(name.get(..owner.len() + 3)?)
}

/// Reads the value that begins at or after `at`; where to go on.
fn value_after(line: &[u8], at: usize, form: Form, found: &mut impl FnMut(IdKind, &[u8])) -> usize {
    let Some((start, quote)) = opened(line, at) else { return at };
    let rest = line.get(start..).unwrap_or_default();
    // One byte more than may be, so that what is too long is seen to be.
    let (bytes_max, single) = match form {
        Form::Id(_) | Form::Datadog(_) | Form::Trace => (ID_BYTES_MAX + 1, true),
        _ => (HEADER_BYTES_MAX, false),
    };
    let rest = rest.get(..bytes_max).unwrap_or(rest);
    let end = match quote {
        Some(quote) => memchr2(quote, b'\\', rest),
        None => rest.iter().position(|b| ENDS[usize::from(*b)] || (single && *b == b';')),
    };
    let mut value = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let ends_at = start + value.len();
    if quote.is_some() {
        // An escape inside a text: it is not what it looks like.
        let broken = line.get(ends_at) == Some(&b'\\') && !matches!(line.get(ends_at + 1), Some(b'"' | b'\'' | b'\\'));
        if broken || (end.is_none() && rest.len() == bytes_max) {
            return ends_at;
        }
    } else {
        // A part of a word of another alphabet is no id.
        if rest.get(value.len()).is_some_and(|b| *b >= 0x7f) {
            return ends_at;
        }
        // What looks like a value may be the next name.
        if value.strip_suffix(b":").is_some_and(|name| form_of(name).is_some()) {
            return at;
        }
        while let [shorter @ .., b'.' | b':' | b'!' | b'?'] = value {
            value = shorter;
        }
    }
    read(form, value, found);
    ends_at
}

/// Where a value begins behind what separates it from its name, and the quote that it is in; `None` where there is none.
#[inline]
fn opened(line: &[u8], at: usize) -> Option<(usize, Option<u8>)> {
    match line.get(at)? {
        b'"' if line.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) => Some((at + 1, Some(b'"'))),
        first if first.is_ascii_alphanumeric() && *first != b'S' => Some((at, None)),
        _ => opened_by_more(line, at),
    }
}

fn opened_by_more(line: &[u8], at: usize) -> Option<(usize, Option<u8>)> {
    // `a= b=1` has an empty `a`, but `a = 1` has not.
    let separator = at.checked_sub(1)?;
    let apart = line.get(separator) == Some(&b':') || separator.checked_sub(1).and_then(|i| line.get(i)) == Some(&b' ');
    let (mut start, mut quote) = (at, None);
    for _ in 0..OPENERS_MAX {
        match line.get(start)? {
            b' ' if quote.is_some() || !(apart || line.get(start - 1) == Some(&b'>')) => return None,
            b' ' | b'>' | b'\\' | b'[' | b'(' | b'<' => start += 1,
            q @ (b'"' | b'\'') => {
                // Nothing in quotes is no id, and what is behind them is another thing.
                if quote.is_some() {
                    return None;
                }
                quote = Some(*q);
                start += 1;
            }
            // Rust's `Some("…")`.
            b'S' if line.get(start..).is_some_and(|rest| rest.starts_with(b"Some(")) => start += 5,
            // A GUID as Windows writes it, but not an object.
            b'{' if line.get(start + 1).is_some_and(u8::is_ascii_hexdigit) => start += 1,
            _ => break,
        }
    }
    Some((start, quote))
}

/// Bytes that end a value without quotes.
static ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        ends[byte] = byte <= b' ' as usize
            || byte >= 0x7f
            || matches!(
                byte as u8,
                b'"' | b'\''
                    | b'`'
                    | b','
                    | b'&'
                    | b'|'
                    | b')'
                    | b']'
                    | b'}'
                    | b'>'
                    | b'('
                    | b'['
                    | b'{'
                    | b'<'
                    | b'\\'
            );
        byte += 1;
    }
    ends
};
