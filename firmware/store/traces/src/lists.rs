//! Lists of byte strings, in the form that all of their strings share: hex digits as raw bytes, a prefix with a decimal
//! number as numbers (`circ-00042`), UUIDs as 16 bytes, and else lengths and text.

use crate::bytes::{put_bytes, put_varint, take_array, take_bytes, take_count, take_exact};
use crate::interner::Interner;
use crate::numbers::{COUNT_MAX, put_codes, put_u64s, take_codes, take_u64s};

pub(crate) const PLAIN: u8 = 0;
pub(crate) const HEX: u8 = 1;
pub(crate) const UUID: u8 = 2;
pub(crate) const NUMBERED: u8 = 3;

fn is_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn unhex(digits: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let mut high = None;
    for digit in digits {
        let nibble = (digit as char).to_digit(16).unwrap_or(0) as u8;
        match high.take() {
            None => high = Some(nibble),
            Some(h) => out.push(h << 4 | nibble),
        }
    }
}

fn put_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        out.extend([DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    }
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// The length of a prefix after which all strings are decimal numbers that print back the same: of one width
/// (returned), or without leading zeros (width 0).
pub(crate) fn numbered(list: &Interner) -> Option<(usize, usize)> {
    let first = list.iter().next()?;
    let digits = first.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let mut prefix = first.len() - digits;
    // Leading digits that all share belong to the number: the prefix ends where the first string's digits begin.
    if list.iter().any(|s| s.len() <= prefix || s.get(..prefix) != first.get(..prefix)) {
        return None;
    }
    // Numbers longer than 18 digits keep their front in the prefix, if that is common.
    if digits > 18 {
        prefix = first.len() - 18;
    }
    let suffix = |s: &[u8]| s.get(prefix..).map(<[u8]>::to_vec).unwrap_or_default();
    let (mut same_width, mut canonical) = (true, true);
    for s in list.iter() {
        let number = suffix(s);
        if s.get(..prefix) != first.get(..prefix)
            || number.is_empty()
            || number.len() > 18
            || !number.iter().all(u8::is_ascii_digit)
        {
            return None;
        }
        same_width &= number.len() == first.len() - prefix;
        canonical &= number.len() == 1 || number.first() != Some(&b'0');
    }
    match (same_width, canonical) {
        (true, _) => Some((prefix, first.len() - prefix)),
        (false, true) => Some((prefix, 0)),
        _ => None,
    }
}

/// The number that follows a prefix of this length.
pub(crate) fn number_of(text: &[u8], prefix: usize) -> u64 {
    text.get(prefix..).unwrap_or(&[]).iter().fold(0u64, |n, d| n * 10 + u64::from(d.wrapping_sub(b'0')))
}

/// Appends a list of strings.
pub(crate) fn put_list(out: &mut Vec<u8>, list: &Interner) {
    let first_len = list.get(0).len();
    let same_len = list.iter().all(|s| s.len() == first_len);
    let count = list.len() as u64;
    if same_len && first_len >= 8 && first_len.is_multiple_of(2) && list.iter().all(is_hex) {
        out.push(HEX);
        put_varint(out, count);
        put_varint(out, first_len as u64 / 2);
        list.iter().for_each(|s| unhex(s.iter().copied(), out));
    } else if list.len() > 0 && list.iter().all(is_uuid) {
        out.push(UUID);
        put_varint(out, count);
        list.iter().for_each(|s| unhex(s.iter().copied().filter(|b| *b != b'-'), out));
    } else if let Some((prefix, width)) = Some(list).filter(|l| l.len() >= 8).and_then(numbered) {
        out.push(NUMBERED);
        put_bytes(out, list.get(0).get(..prefix).unwrap_or(&[]));
        put_varint(out, width as u64);
        put_u64s(out, &list.iter().map(|s| number_of(s, prefix)).collect::<Vec<_>>());
    } else {
        out.push(PLAIN);
        put_codes(out, &list.iter().map(|s| s.len() as u32).collect::<Vec<_>>());
        list.iter().for_each(|s| out.extend_from_slice(s));
    }
}

/// Strings by number.
#[derive(Default, Debug)]
pub(crate) struct TextList {
    ends: Vec<u32>,
    text: Vec<u8>,
}

/// Most text that one list expands to: pages are bounded when written, so more is damage.
const TEXT_MAX: usize = 256 << 20;

impl TextList {
    /// Reads what [`put_list`] wrote; `None` when damaged.
    pub(crate) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let [tag] = take_array(bytes)?;
        let mut list = TextList::default();
        match tag {
            PLAIN => {
                let lengths = take_codes(bytes)?;
                let mut end = 0u32;
                for length in lengths {
                    end = end.checked_add(length)?;
                    list.ends.push(end);
                }
                list.text = take_exact(bytes, end as usize)?.to_vec();
            }
            HEX => {
                let count = take_count(bytes, COUNT_MAX)?;
                let width = take_count(bytes, TEXT_MAX)?;
                for raw in take_exact(bytes, count.checked_mul(width)?)?.chunks(width.max(1)) {
                    put_hex(raw, &mut list.text);
                    list.ends.push(u32::try_from(list.text.len()).ok()?);
                }
            }
            UUID => {
                let count = take_count(bytes, COUNT_MAX)?;
                for raw in take_exact(bytes, count.checked_mul(16)?)?.as_chunks::<16>().0 {
                    let mut at = 0;
                    for part in [4, 2, 2, 2, 6] {
                        if at > 0 {
                            list.text.push(b'-');
                        }
                        put_hex(raw.get(at..at + part)?, &mut list.text);
                        at += part;
                    }
                    list.ends.push(u32::try_from(list.text.len()).ok()?);
                }
            }
            NUMBERED => list.take_numbered(bytes)?,
            _ => return None,
        }
        Some(list)
    }

    fn take_numbered(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let prefix = take_bytes(bytes)?;
        let width = take_count(bytes, 18)?;
        self.push_numbered(prefix, width, take_u64s(bytes)?)
    }

    pub(crate) fn push_numbered(&mut self, prefix: &[u8], width: usize, numbers: Vec<u64>) -> Option<()> {
        for number in numbers {
            if self.text.len() > TEXT_MAX {
                return None;
            }
            self.text.extend_from_slice(prefix);
            let mut digits = [b'0'; 20];
            let (mut at, mut rest) = (digits.len(), number);
            while rest > 0 || at > digits.len() - width.max(1) {
                at = at.checked_sub(1)?;
                *digits.get_mut(at)? = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            self.text.extend_from_slice(digits.get(at..)?);
            self.ends.push(u32::try_from(self.text.len()).ok()?);
        }
        Some(())
    }

    /// A string; empty when there is no such number.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends.get(id - 1).copied().unwrap_or(0) };
        let end = self.ends.get(id).copied().unwrap_or(start);
        self.text.get(start as usize..end as usize).unwrap_or(&[])
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All strings in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|id| self.get(id as u32))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list_round_trip(strings: &[&[u8]]) -> (u8, usize) {
        let mut interner = Interner::default();
        strings.iter().for_each(|s| _ = interner.intern(s));
        let mut out = Vec::new();
        put_list(&mut out, &interner);
        let mut rest = out.as_slice();
        let back = TextList::take(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert!(back.iter().eq(interner.iter()), "{strings:?}");
        (out[0], out.len())
    }

    #[test]
    fn each_form_is_found() {
        assert_eq!(list_round_trip(&[b"0123456789abcdef", b"00000000000000ff"]).0, HEX);
        assert_eq!(list_round_trip(&[b"01234567-89ab-cdef-0123-456789abcdef"]).0, UUID);
        let circuits: Vec<String> = (0..20).map(|i| format!("circ-{:05}", i * 37)).collect();
        let circuits: Vec<&[u8]> = circuits.iter().map(|s| s.as_bytes()).collect();
        assert_eq!(list_round_trip(&circuits).0, NUMBERED);
        let plain: Vec<String> = (0..20).map(|i| format!("n{}", i * 37)).collect();
        let plain: Vec<&[u8]> = plain.iter().map(|s| s.as_bytes()).collect();
        assert_eq!(list_round_trip(&plain).0, NUMBERED);
        let mixed: Vec<String> = (0..20).map(|i| format!("n{:02}", i * 37)).collect();
        let mixed: Vec<&[u8]> = mixed.iter().map(|s| s.as_bytes()).collect();
        assert_eq!(list_round_trip(&mixed).0, PLAIN, "01 and 100 share no width and have leading zeros");
        assert_eq!(list_round_trip(&[]).0, PLAIN);
        assert_eq!(list_round_trip(&[b"", b"\xff"]).0, PLAIN);
    }

    proptest! {
        #[test]
        fn lists_round_trip(strings in prop_oneof![
            prop::collection::vec("[a-z]{0,3}[0-9]{0,21}", 0..30),
            prop::collection::vec("(a|b)?0{0,3}[0-9]{1,3}", 0..30),
            prop::collection::vec("[0-9a-f]{8}", 0..30),
            prop::collection::vec("99999999999999[0-9]{4,8}", 8..30),
        ]) {
            let strings: Vec<&[u8]> = strings.iter().map(|s| s.as_bytes()).collect();
            list_round_trip(&strings);
        }
    }
}
