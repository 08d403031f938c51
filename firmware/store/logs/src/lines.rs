//! The line column of a page group.
//!
//! ```text
//! lines    := 0 lines as strings                                        text
//!           | 1 varint t, t template ids as integers, per line: which of the t plus one, 0 = text, as integers,
//!               text lines as strings, own columns, shared columns       templates
//! own      := for each template with OWN_FROM lines or more, for each slot, one column by its kind
//! shared   := bits "as first seen" of all other slots as bytes, then one column per kind of what is left:
//!             numbers, hexadecimal, words, UUIDs, times
//! numbers  := values as integers, 0 (shortest form) | 1 width | 2 leading zeros as integers
//! ```
//! Slots are visited template by template, slot by slot, line by line, so that what is alike stands together.

use crate::columns::{
    ColumnWriter, Integers, Strings, Words, take_column_bytes, take_integers, take_strings, take_words,
};
use crate::dictionary::{Dictionary, DictionaryWriter, slots};
use crate::rows::Rows;
use crate::template::{
    Kind, Part, Token, digits_of, number, pack_hex, parts, put_digits, put_hex, put_time, put_uuid, split,
    time_distance,
};
use crate::varint::{put, take_byte, take_count};

const TEXT: u8 = 0;
const TEMPLATES: u8 = 1;
/// Templates with at least this many lines in a group have columns of their own. Part of the format.
const OWN_FROM: usize = 24;

/// Splits and encodes lines; keeps its working memory.
#[derive(Default)]
pub(crate) struct LineEncoder {
    tokens: Vec<Token>,
    /// End of each line's tokens in `tokens`.
    token_ends: Vec<u32>,
    template: Vec<u8>,
    line_tokens: Vec<Token>,
    /// Template of each line in the dictionary, `None` for text.
    ids: Vec<Option<u32>>,
}

/// Bytes of values that share columns.
#[derive(Default)]
struct Shared<'a> {
    same: Vec<u8>,
    count: usize,
    numbers: Vec<&'a [u8]>,
    hex: Vec<u8>,
    words: Vec<&'a [u8]>,
    uuids: Vec<u8>,
    times: Vec<u64>,
}

impl<'a> Shared<'a> {
    fn push(&mut self, kind: Kind, text: &'a [u8], first: &[u8], timestamp_ns: i64) {
        if let Kind::Time(_) | Kind::Clock = kind {
            self.times.push(time_distance(kind, text, timestamp_ns));
            return;
        }
        let same = text == first;
        if self.count.is_multiple_of(8) {
            self.same.push(0);
        }
        if let Some(last) = self.same.last_mut() {
            *last |= u8::from(same) << (self.count % 8);
        }
        self.count += 1;
        if same {
            return;
        }
        match kind {
            Kind::Number => self.numbers.push(text),
            Kind::HexLower(_) | Kind::HexUpper(_) => pack_hex(text, &mut self.hex),
            Kind::Uuid => pack_hex(text, &mut self.uuids),
            _ => self.words.push(text),
        }
    }

    fn write(&self, columns: &mut ColumnWriter, out: &mut Vec<u8>) {
        columns.bytes(&self.same, out);
        put(out, self.numbers.len() as u64);
        put_numbers(columns, &self.numbers, out);
        columns.bytes(&self.hex, out);
        put(out, self.words.len() as u64);
        columns.words(&self.words, out);
        columns.bytes(&self.uuids, out);
        put(out, self.times.len() as u64);
        columns.integers(&self.times, out);
    }
}

fn put_numbers(columns: &mut ColumnWriter, texts: &[&[u8]], out: &mut Vec<u8>) {
    if texts.is_empty() {
        return;
    }
    let values: Vec<u64> = texts.iter().map(|t| number(t)).collect();
    columns.integers(&values, out);
    let zeros: Vec<u64> = texts.iter().zip(&values).map(|(t, &v)| (t.len() - digits_of(v)) as u64).collect();
    let width = texts[0].len();
    if zeros.iter().all(|&z| z == 0) {
        out.push(0);
    } else if texts.iter().all(|t| t.len() == width) {
        out.extend([1, width as u8]);
    } else {
        out.push(2);
        columns.integers(&zeros, out);
    }
}

impl LineEncoder {
    /// Appends the lines of `rows`, whose templates go to `dictionary`.
    pub(crate) fn write(
        &mut self,
        rows: &Rows,
        dictionary: &mut DictionaryWriter,
        columns: &mut ColumnWriter,
        out: &mut Vec<u8>,
    ) {
        self.split(rows, dictionary);
        if self.ids.iter().all(Option::is_none) {
            out.push(TEXT);
            columns.strings((0..rows.len()).map(|at| rows.line(at)), out);
            return;
        }
        out.push(TEMPLATES);
        let groups = self.put_templates(rows, columns, out);
        let mut shared = Shared::default();
        for (id, lines) in &groups {
            let template = dictionary.template(*id);
            for (slot, &kind) in template.slots.iter().enumerate() {
                let texts = lines
                    .iter()
                    .map(|&at| (self.token_text(rows, at as usize, slot), rows.timestamps_ns()[at as usize]));
                if lines.len() >= OWN_FROM {
                    put_own(columns, kind, texts, out);
                } else {
                    let first = dictionary.first_token(*id, slot);
                    texts.for_each(|(text, timestamp_ns)| shared.push(kind, text, first, timestamp_ns));
                }
            }
        }
        shared.write(columns, out);
    }

    fn split(&mut self, rows: &Rows, dictionary: &mut DictionaryWriter) {
        self.tokens.clear();
        self.token_ends.clear();
        self.ids.clear();
        for at in 0..rows.len() {
            let line = rows.line(at);
            let id = match split(line, &mut self.template, &mut self.line_tokens) {
                true => dictionary.intern(&self.template, line, &self.line_tokens),
                false => None,
            };
            if id.is_some() {
                self.tokens.extend_from_slice(&self.line_tokens);
            }
            self.token_ends.push(self.tokens.len() as u32);
            self.ids.push(id);
        }
    }

    /// The varying tokens of line `at` of the rows written last; none for text.
    pub(crate) fn tokens(&self, at: usize) -> &[Token] {
        let start = if at == 0 { 0 } else { self.token_ends[at - 1] as usize };
        &self.tokens[start..self.token_ends[at] as usize]
    }

    fn token_text<'a>(&self, rows: &'a Rows, at: usize, slot: usize) -> &'a [u8] {
        let token = self.tokens(at)[slot];
        &rows.line(at)[token.start as usize..token.end as usize]
    }

    /// Writes which line has which template, and text lines; returns the lines of each template, in the order of
    /// the list that was written.
    fn put_templates(&self, rows: &Rows, columns: &mut ColumnWriter, out: &mut Vec<u8>) -> Vec<(u32, Vec<u32>)> {
        let mut used: Vec<u32> = self.ids.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let mut groups: Vec<(u32, Vec<u32>)> = used.iter().map(|&id| (id, Vec::new())).collect();
        let mut which = Vec::with_capacity(self.ids.len());
        for (at, id) in self.ids.iter().enumerate() {
            let local = id.and_then(|id| used.binary_search(&id).ok());
            if let Some(local) = local {
                groups[local].1.push(at as u32);
            }
            which.push(local.map_or(0, |local| local as u64 + 1));
        }
        put(out, used.len() as u64);
        // Ascending, so differences are small.
        let steps: Vec<u64> =
            used.iter().scan(0, |last, &id| Some(u64::from(id - std::mem::replace(last, id)))).collect();
        columns.integers(&steps, out);
        columns.integers(&which, out);
        let text = (0..rows.len()).filter(|&at| self.ids[at].is_none()).map(|at| rows.line(at));
        columns.strings(text, out);
        groups
    }
}

fn put_own<'a>(
    columns: &mut ColumnWriter,
    kind: Kind,
    texts: impl Iterator<Item = (&'a [u8], i64)>,
    out: &mut Vec<u8>,
) {
    match kind {
        Kind::Number => {
            let texts: Vec<&[u8]> = texts.map(|(text, _)| text).collect();
            put_numbers(columns, &texts, out);
        }
        Kind::HexLower(_) | Kind::HexUpper(_) | Kind::Uuid => {
            let mut packed = Vec::new();
            texts.for_each(|(text, _)| pack_hex(text, &mut packed));
            columns.bytes(&packed, out);
        }
        Kind::Text | Kind::Value => {
            let texts: Vec<&[u8]> = texts.map(|(text, _)| text).collect();
            columns.words(&texts, out);
        }
        Kind::Time(_) | Kind::Clock => {
            let distances: Vec<u64> =
                texts.map(|(text, timestamp_ns)| time_distance(kind, text, timestamp_ns)).collect();
            columns.integers(&distances, out);
        }
    }
}

#[derive(Debug)]
enum Zeros {
    None,
    Width(usize),
    Each(Integers),
}

#[derive(Debug)]
struct Numbers {
    values: Integers,
    zeros: Zeros,
}

impl Numbers {
    fn take(input: &mut &[u8], count: usize) -> Option<Numbers> {
        if count == 0 {
            return Some(Numbers { values: Integers::Constant(0), zeros: Zeros::None });
        }
        let values = take_integers(input, count)?;
        let zeros = match take_byte(input)? {
            0 => Zeros::None,
            1 => Zeros::Width(usize::from(take_byte(input)?)),
            2 => Zeros::Each(take_integers(input, count)?),
            _ => return None,
        };
        Some(Numbers { values, zeros })
    }

    fn put(&self, at: usize, out: &mut Vec<u8>) {
        let value = self.values.get(at);
        let width = match &self.zeros {
            Zeros::None => 1,
            Zeros::Width(width) => *width,
            Zeros::Each(zeros) => digits_of(value) + zeros.get(at).min(19) as usize,
        };
        put_digits(value, width, out);
    }

    fn memory_bytes(&self) -> usize {
        let zeros = if let Zeros::Each(zeros) = &self.zeros { zeros.memory_bytes() } else { 0 };
        self.values.memory_bytes() + zeros
    }
}

/// A slot's own column.
#[derive(Debug)]
enum Own {
    Numbers(Numbers),
    Packed(Vec<u8>),
    Words(Words),
    Times(Integers),
}

/// Where the values of a slot are.
#[derive(Debug)]
enum Slot {
    Own(Own),
    /// First of the template's visits of this slot in [`SharedRead::places`].
    Shared(u32),
}

#[derive(Debug)]
struct SharedRead {
    /// For each visit: position in its kind's column, or [`AS_FIRST`].
    places: Vec<u32>,
    numbers: Numbers,
    hex: Vec<u8>,
    words: Words,
    uuids: Vec<u8>,
    times: Integers,
}

const AS_FIRST: u32 = u32::MAX;

/// One template in use in a group.
#[derive(Debug)]
struct Used {
    id: usize,
    parts: Vec<Part>,
    slots: Vec<(Kind, Slot)>,
}

/// The line column of a group, decompressed but not rebuilt.
#[derive(Debug)]
pub(crate) struct Lines {
    text: Strings,
    /// Template of each line plus one, 0 for text; empty when all lines are text.
    which: Vec<u32>,
    /// Which of its template's lines (or of the text lines) each line is.
    nth: Vec<u32>,
    used: Vec<Used>,
    shared: Option<SharedRead>,
}

impl Lines {
    /// Reads the column of `count` lines; `None` when it is damaged.
    pub(crate) fn read(mut input: &[u8], count: usize, dictionary: &Dictionary) -> Option<Lines> {
        let input = &mut input;
        if take_byte(input)? == TEXT {
            let text = take_strings(input, count)?;
            return Some(Lines { text, which: Vec::new(), nth: Vec::new(), used: Vec::new(), shared: None });
        }
        let used_count = take_count(input, count)?;
        let steps = take_integers(input, used_count)?;
        let which_column = take_integers(input, count)?;
        let (mut which, mut nth, mut counts) =
            (Vec::with_capacity(count), Vec::with_capacity(count), vec![0u32; used_count + 1]);
        for at in 0..count {
            let template = which_column.get(at);
            let lines = counts.get_mut(usize::try_from(template).ok()?)?;
            which.push(template as u32);
            nth.push(*lines);
            *lines += 1;
        }
        let text = take_strings(input, *counts.first()? as usize)?;
        let (mut used, mut visits, mut id) = (Vec::with_capacity(used_count), Vec::new(), 0usize);
        for (at, &lines) in counts.iter().skip(1).enumerate() {
            id = id.checked_add(usize::try_from(steps.get(at)).ok()?)?;
            if id >= dictionary.len() {
                return None;
            }
            let parts = parts(dictionary.text(id))?;
            let mut columns = Vec::new();
            for kind in slots(&parts) {
                if lines as usize >= OWN_FROM {
                    columns.push((kind, Slot::Own(take_own(input, kind, lines as usize)?)));
                } else {
                    columns.push((kind, Slot::Shared(u32::try_from(visits.len()).ok()?)));
                    visits.extend(std::iter::repeat_n(kind, lines as usize));
                }
            }
            used.push(Used { id, parts, slots: columns });
        }
        let shared = Some(take_shared(input, &visits)?);
        Some(Lines { text, which, nth, used, shared })
    }

    /// Appends line `at` to `out`.
    pub(crate) fn put(&self, at: usize, timestamp_ns: i64, dictionary: &Dictionary, out: &mut Vec<u8>) {
        match self.template_of(at) {
            None => out.extend_from_slice(self.text.get(self.nth.get(at).map_or(at, |&n| n as usize))),
            Some(used) => {
                let text = dictionary.text(used.id);
                let mut slot = 0;
                for part in &used.parts {
                    match *part {
                        Part::Literal(from, to) => {
                            out.extend_from_slice(text.get(from as usize..to as usize).unwrap_or_default());
                        }
                        Part::Slot(_) => {
                            self.put_slot(used, at, slot, timestamp_ns, dictionary, out);
                            slot += 1;
                        }
                    }
                }
            }
        }
    }

    /// Appends the varying token `slot` of line `at` to `out`.
    pub(crate) fn put_token(
        &self,
        at: usize,
        slot: usize,
        timestamp_ns: i64,
        dictionary: &Dictionary,
        out: &mut Vec<u8>,
    ) {
        if let Some(used) = self.template_of(at) {
            self.put_slot(used, at, slot, timestamp_ns, dictionary, out);
        }
    }

    /// The dictionary id of line `at`'s template.
    pub(crate) fn template_id(&self, at: usize) -> Option<usize> {
        self.template_of(at).map(|used| used.id)
    }

    fn template_of(&self, at: usize) -> Option<&Used> {
        let which = self.which.get(at).copied().unwrap_or(0) as usize;
        self.used.get(which.checked_sub(1)?)
    }

    fn put_slot(
        &self,
        used: &Used,
        at: usize,
        slot: usize,
        timestamp_ns: i64,
        dictionary: &Dictionary,
        out: &mut Vec<u8>,
    ) {
        let (Some((kind, column)), Some(&nth)) = (used.slots.get(slot), self.nth.get(at)) else { return };
        let (kind, nth) = (*kind, nth as usize);
        match (column, &self.shared) {
            (Slot::Own(own), _) => own.put(kind, nth, timestamp_ns, out),
            (Slot::Shared(first), Some(shared)) => {
                let place = shared.places.get(*first as usize + nth).copied().unwrap_or(AS_FIRST);
                match place {
                    AS_FIRST => out.extend_from_slice(dictionary.first_token(used.id, slot)),
                    place => shared.put(kind, place as usize, timestamp_ns, out),
                }
            }
            _ => {}
        }
    }

    /// Memory held, about, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let own = self.used.iter().flat_map(|u| &u.slots).map(|slot| match slot {
            (_, Slot::Own(own)) => own.memory_bytes() + 2 * size_of::<Slot>(),
            (_, Slot::Shared(_)) => 2 * size_of::<Slot>(),
        });
        self.text.memory_bytes()
            + self.which.capacity() * 8
            + own.sum::<usize>()
            + self.shared.as_ref().map_or(0, SharedRead::memory_bytes)
    }
}

fn take_own(input: &mut &[u8], kind: Kind, count: usize) -> Option<Own> {
    Some(match kind {
        Kind::Number => Own::Numbers(Numbers::take(input, count)?),
        Kind::HexLower(_) | Kind::HexUpper(_) | Kind::Uuid => {
            let packed = take_column_bytes(input)?;
            (packed.len() == count * packed_bytes(kind)).then_some(Own::Packed(packed))?
        }
        Kind::Text | Kind::Value => Own::Words(take_words(input, count)?),
        Kind::Time(_) | Kind::Clock => Own::Times(take_integers(input, count)?),
    })
}

fn packed_bytes(kind: Kind) -> usize {
    match kind {
        Kind::HexLower(width) | Kind::HexUpper(width) => usize::from(width).div_ceil(2),
        _ => 16,
    }
}

fn put_packed(kind: Kind, packed: &[u8], start: usize, out: &mut Vec<u8>) {
    let packed = packed.get(start..start + packed_bytes(kind)).unwrap_or_default();
    match kind {
        Kind::HexLower(width) => put_hex(packed, usize::from(width), false, out),
        Kind::HexUpper(width) => put_hex(packed, usize::from(width), true, out),
        _ => put_uuid(packed, out),
    }
}

impl Own {
    fn put(&self, kind: Kind, nth: usize, timestamp_ns: i64, out: &mut Vec<u8>) {
        match self {
            Own::Numbers(numbers) => numbers.put(nth, out),
            Own::Packed(packed) => put_packed(kind, packed, nth * packed_bytes(kind), out),
            Own::Words(words) => out.extend_from_slice(words.get(nth)),
            Own::Times(times) => put_time(kind, times.get(nth), timestamp_ns, out),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Own::Numbers(numbers) => numbers.memory_bytes(),
            Own::Packed(packed) => packed.capacity(),
            Own::Words(words) => words.memory_bytes(),
            Own::Times(times) => times.memory_bytes(),
        }
    }
}

fn take_shared(input: &mut &[u8], visits: &[Kind]) -> Option<SharedRead> {
    let same = take_column_bytes(input)?;
    let (mut seen, mut numbers, mut hex, mut words, mut uuids, mut times) = (0usize, 0u32, 0u32, 0u32, 0u32, 0u32);
    let mut places = Vec::with_capacity(visits.len());
    for &kind in visits {
        let next = match kind {
            Kind::Time(_) | Kind::Clock => Some((&mut times, 1)),
            _ => {
                let as_first = same.get(seen / 8)? >> (seen % 8) & 1 == 1;
                seen += 1;
                match kind {
                    _ if as_first => None,
                    Kind::Number => Some((&mut numbers, 1)),
                    Kind::HexLower(_) | Kind::HexUpper(_) => Some((&mut hex, packed_bytes(kind) as u32)),
                    Kind::Uuid => Some((&mut uuids, 16)),
                    _ => Some((&mut words, 1)),
                }
            }
        };
        places.push(next.map_or(AS_FIRST, |(counter, step)| {
            let place = *counter;
            *counter += step;
            place
        }));
    }
    let exactly = |input: &mut &[u8], count: u32| {
        (take_count(input, count as usize)? == count as usize).then_some(count as usize)
    };
    let count = exactly(input, numbers)?;
    let numbers = Numbers::take(input, count)?;
    let hex_bytes = take_column_bytes(input)?;
    let count = exactly(input, words)?;
    let words = take_words(input, count)?;
    let uuid_bytes = take_column_bytes(input)?;
    let count = exactly(input, times)?;
    let times = take_integers(input, count)?;
    let whole = hex_bytes.len() == hex as usize && uuid_bytes.len() == uuids as usize;
    whole.then_some(SharedRead { places, numbers, hex: hex_bytes, words, uuids: uuid_bytes, times })
}

impl SharedRead {
    fn put(&self, kind: Kind, place: usize, timestamp_ns: i64, out: &mut Vec<u8>) {
        match kind {
            Kind::Number => self.numbers.put(place, out),
            Kind::HexLower(_) | Kind::HexUpper(_) => put_packed(kind, &self.hex, place, out),
            Kind::Uuid => put_packed(kind, &self.uuids, place, out),
            Kind::Text | Kind::Value => out.extend_from_slice(self.words.get(place)),
            Kind::Time(_) | Kind::Clock => put_time(kind, self.times.get(place), timestamp_ns, out),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.places.capacity() * 4
            + self.numbers.memory_bytes()
            + self.hex.capacity()
            + self.words.memory_bytes()
            + self.uuids.capacity()
            + self.times.memory_bytes()
    }
}
