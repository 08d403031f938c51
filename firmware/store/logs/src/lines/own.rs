//! Columns of varying tokens, as read: one slot's own, and those that rare templates share.

use crate::columns::{Integers, Strings, take_column_bytes, take_integers};
use crate::template::{Kind, digits_of, put_digits, put_hex, put_time, put_uuid};
use crate::varint::{take_byte, take_count};
use crate::words::{Words, take_words};

#[derive(Debug)]
enum Zeros {
    None,
    Width(usize),
    Each(Integers),
}

/// Tokens of digits.
#[derive(Debug)]
pub(crate) struct Numbers {
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

    #[inline]
    fn width(&self, at: usize, value: u64) -> usize {
        match &self.zeros {
            Zeros::None => 1,
            Zeros::Width(width) => *width,
            Zeros::Each(zeros) => digits_of(value) + zeros.get(at).min(19) as usize,
        }
    }

    fn put(&self, at: usize, out: &mut Vec<u8>) {
        let value = self.values.get(at);
        put_digits(value, self.width(at, value), out);
    }

    fn len(&self, at: usize) -> usize {
        let value = self.values.get(at);
        digits_of(value).max(self.width(at, value).min(32))
    }

    /// Length of the longest token.
    pub(crate) fn longest(&self) -> usize {
        match &self.zeros {
            Zeros::Width(width) => digits_of(self.values.max()).max(*width),
            Zeros::None => digits_of(self.values.max()),
            Zeros::Each(zeros) => digits_of(self.values.max()) + zeros.max().min(19) as usize,
        }
    }

    fn memory_bytes(&self) -> usize {
        let zeros = if let Zeros::Each(zeros) = &self.zeros { zeros.memory_bytes() } else { 0 };
        self.values.memory_bytes() + zeros
    }
}

/// A slot's own column.
#[derive(Debug)]
pub(crate) enum Own {
    /// Digits.
    Numbers(Numbers),
    /// Hexadecimal digits, two a byte, all of one length.
    Packed(Vec<u8>),
    /// Words and values.
    Words(Words),
    /// Distances from the entries' timestamps.
    Times(Integers),
}

impl Own {
    /// Reads the column of `count` tokens of a kind, in a stream with so many shared values.
    pub(super) fn take(input: &mut &[u8], kind: Kind, count: usize, values: usize) -> Option<Own> {
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

    /// Appends token `nth`; `values` are the stream's shared ones.
    #[inline]
    pub(super) fn put(&self, kind: Kind, nth: usize, timestamp_ns: i64, values: &Strings, out: &mut Vec<u8>) {
        match self {
            Own::Numbers(numbers) => numbers.put(nth, out),
            Own::Packed(packed) => put_packed(kind, packed, nth * packed_bytes(kind), out),
            Own::Words(words) => out.extend_from_slice(words.get(nth, values)),
            Own::Times(times) => put_time(kind, times.get(nth), timestamp_ns, out),
        }
    }

    /// Length of token `nth` in bytes.
    #[inline]
    pub(super) fn len(&self, kind: Kind, nth: usize, values: &Strings) -> usize {
        match self {
            Own::Numbers(numbers) => numbers.len(nth),
            Own::Words(words) => words.get(nth, values).len(),
            Own::Packed(_) | Own::Times(_) => fixed_len(kind),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Own::Numbers(numbers) => numbers.memory_bytes(),
            Own::Packed(packed) => packed.capacity(),
            Own::Words(words) => words.memory_bytes(),
            Own::Times(times) => times.memory_bytes(),
        }
    }
}

/// Length of the tokens of kinds that have but one.
fn fixed_len(kind: Kind) -> usize {
    match kind {
        Kind::HexLower(width) | Kind::HexUpper(width) => usize::from(width),
        Kind::Uuid => 36,
        Kind::Clock => 8,
        Kind::Time(0) => 20,
        Kind::Time(digits) => 21 + usize::from(digits),
        Kind::Number | Kind::Text | Kind::Value => 0,
    }
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

/// Where a token is that has no column of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It is the one that its slot had first.
    AsFirst,
    /// There, in its kind's column.
    At(u32),
}

/// The columns that templates with few lines share.
#[derive(Debug)]
pub(super) struct SharedColumns {
    /// For each visit: position in its kind's column, or [`AS_FIRST`].
    places: Vec<u32>,
    numbers: Numbers,
    hex: Vec<u8>,
    words: Words,
    uuids: Vec<u8>,
    times: Integers,
}

const AS_FIRST: u32 = u32::MAX;

impl SharedColumns {
    /// Reads the columns, given the kind of each token in order.
    pub(super) fn take(input: &mut &[u8], visits: impl Iterator<Item = Kind>, values: usize) -> Option<SharedColumns> {
        let same = take_column_bytes(input)?;
        let (mut seen, mut numbers, mut hex, mut words, mut uuids, mut times) = (0usize, 0u32, 0u32, 0u32, 0u32, 0u32);
        let mut places = Vec::new();
        for kind in visits {
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
        whole.then_some(SharedColumns { places, numbers, hex: hex_bytes, words, uuids: uuid_bytes, times })
    }

    pub(super) fn place(&self, visit: usize) -> Place {
        match self.places.get(visit) {
            Some(&place) if place != AS_FIRST => Place::At(place),
            _ => Place::AsFirst,
        }
    }

    /// Appends the token at `place`.
    pub(super) fn put(&self, kind: Kind, place: u32, timestamp_ns: i64, values: &Strings, out: &mut Vec<u8>) {
        let place = place as usize;
        match kind {
            Kind::Number => self.numbers.put(place, out),
            Kind::HexLower(_) | Kind::HexUpper(_) => put_packed(kind, &self.hex, place, out),
            Kind::Uuid => put_packed(kind, &self.uuids, place, out),
            Kind::Text | Kind::Value => out.extend_from_slice(self.words.get(place, values)),
            Kind::Time(_) | Kind::Clock => put_time(kind, self.times.get(place), timestamp_ns, out),
        }
    }

    /// Length of the token at `place` in bytes.
    pub(super) fn len(&self, kind: Kind, place: u32, values: &Strings) -> usize {
        match kind {
            Kind::Number => self.numbers.len(place as usize),
            Kind::Text | Kind::Value => self.words.get(place as usize, values).len(),
            _ => fixed_len(kind),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.places.capacity() * 4
            + self.numbers.memory_bytes()
            + self.hex.capacity()
            + self.words.memory_bytes()
            + self.uuids.capacity()
            + self.times.memory_bytes()
    }
}
