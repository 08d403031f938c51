//! Reading the line column.

use crate::columns::{Integers, Strings, take_column_bytes, take_integers, take_strings};
use crate::dictionary::{Dictionary, slots};
use crate::template::{Kind, Part, digits_of, parts, put_digits, put_hex, put_time, put_uuid};
use crate::varint::{take_byte, take_bytes, take_count};
use crate::words::{Words, take_words};

use super::{OWN_FROM, TEXT};
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
        let text = take_strings(&mut take_bytes(input)?, *counts.first()? as usize)?;
        let values = dictionary.values().len();
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
                    let own = take_own(&mut take_bytes(input)?, kind, lines as usize, values)?;
                    columns.push((kind, Slot::Own(own)));
                } else {
                    columns.push((kind, Slot::Shared(u32::try_from(visits.len()).ok()?)));
                    visits.extend(std::iter::repeat_n(kind, lines as usize));
                }
            }
            used.push(Used { id, parts, slots: columns });
        }
        let shared = Some(take_shared(input, &visits, values)?);
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

    /// Number of templates in use.
    pub(crate) fn template_count(&self) -> usize {
        self.used.len()
    }

    /// Which of them line `at` has, plus one; 0 for text.
    pub(crate) fn which(&self, at: usize) -> usize {
        self.which.get(at).copied().unwrap_or(0) as usize
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
            (Slot::Own(own), _) => own.put(kind, nth, timestamp_ns, dictionary, out),
            (Slot::Shared(first), Some(shared)) => {
                let place = shared.places.get(*first as usize + nth).copied().unwrap_or(AS_FIRST);
                match place {
                    AS_FIRST => out.extend_from_slice(dictionary.first_token(used.id, slot)),
                    place => shared.put(kind, place as usize, timestamp_ns, dictionary, out),
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

fn take_own(input: &mut &[u8], kind: Kind, count: usize, values: usize) -> Option<Own> {
    Some(match kind {
        Kind::Number => Own::Numbers(Numbers::take(input, count)?),
        Kind::HexLower(_) | Kind::HexUpper(_) | Kind::Uuid => {
            let packed = take_column_bytes(input)?;
            (packed.len() == count * packed_bytes(kind)).then_some(Own::Packed(packed))?
        }
        Kind::Text | Kind::Value => Own::Words(take_words(input, count, values)?),
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
    fn put(&self, kind: Kind, nth: usize, timestamp_ns: i64, dictionary: &Dictionary, out: &mut Vec<u8>) {
        match self {
            Own::Numbers(numbers) => numbers.put(nth, out),
            Own::Packed(packed) => put_packed(kind, packed, nth * packed_bytes(kind), out),
            Own::Words(words) => out.extend_from_slice(words.get(nth, dictionary.values())),
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

fn take_shared(input: &mut &[u8], visits: &[Kind], values: usize) -> Option<SharedRead> {
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
    let words = take_words(input, count, values)?;
    let uuid_bytes = take_column_bytes(input)?;
    let count = exactly(input, times)?;
    let times = take_integers(input, count)?;
    let whole = hex_bytes.len() == hex as usize && uuid_bytes.len() == uuids as usize;
    whole.then_some(SharedRead { places, numbers, hex: hex_bytes, words, uuids: uuid_bytes, times })
}

impl SharedRead {
    fn put(&self, kind: Kind, place: usize, timestamp_ns: i64, dictionary: &Dictionary, out: &mut Vec<u8>) {
        match kind {
            Kind::Number => self.numbers.put(place, out),
            Kind::HexLower(_) | Kind::HexUpper(_) => put_packed(kind, &self.hex, place, out),
            Kind::Uuid => put_packed(kind, &self.uuids, place, out),
            Kind::Text | Kind::Value => out.extend_from_slice(self.words.get(place, dictionary.values())),
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
