//! Whether a column of texts has a text at all, before anything of it is expanded: most groups have no span with the
//! id that is searched for, and this is what each of them costs.

use crate::bytes::{take_array, take_bytes, take_count, take_exact};
use crate::columns::COLUMN_TEXTS;
use crate::lists::{HEX, NUMBERED, PLAIN, UUID};
use crate::numbers::{COUNT_MAX, take_codes, take_u64s};
use crate::texts::{CODES, DIRECT};

/// Whether the column of this page may have the text; damage is for those to find who decode it.
pub(crate) fn may_have(page: &[u8], text: &[u8]) -> bool {
    has(page, text).unwrap_or(true)
}

fn has(mut page: &[u8], text: &[u8]) -> Option<bool> {
    let bytes = &mut page;
    let [COLUMN_TEXTS, _, form] = take_array(bytes)? else { return None };
    match form {
        DIRECT => return numbered(bytes, text),
        CODES => _ = take_codes(bytes)?,
        _ => {
            take_codes(bytes)?;
            take_codes(bytes)?;
        }
    }
    let [tag] = take_array(bytes)?;
    match tag {
        PLAIN => {
            let lengths = take_codes(bytes)?;
            let mut found = false;
            for length in lengths {
                let one = take_exact(bytes, length as usize)?;
                found |= one == text;
            }
            Some(found)
        }
        HEX => {
            let (count, width) = (take_count(bytes, COUNT_MAX)?, take_count(bytes, COUNT_MAX)?);
            let Some(raw) = unhex(text).filter(|raw| raw.len() == width && width > 0) else { return Some(false) };
            Some(take_exact(bytes, count.checked_mul(width)?)?.chunks(width).any(|one| one == raw))
        }
        UUID => {
            let count = take_count(bytes, COUNT_MAX)?;
            let dashes = [8, 13, 18, 23].iter().all(|at| text.get(*at) == Some(&b'-'));
            let digits: Vec<u8> = text.iter().copied().filter(|b| *b != b'-').collect();
            let Some(raw) = unhex(&digits).filter(|raw| raw.len() == 16 && text.len() == 36 && dashes) else {
                return Some(false);
            };
            Some(take_exact(bytes, count.checked_mul(16)?)?.chunks(16).any(|one| one == raw))
        }
        NUMBERED => numbered(bytes, text),
        _ => None,
    }
}

fn numbered(bytes: &mut &[u8], text: &[u8]) -> Option<bool> {
    let prefix = take_bytes(bytes)?;
    let width = take_count(bytes, 18)?;
    let Some(digits) = text.strip_prefix(prefix) else { return Some(false) };
    let plain = !digits.is_empty() && digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit);
    let Some(number) = std::str::from_utf8(digits).ok().filter(|_| plain).and_then(|d| d.parse::<u64>().ok()) else {
        return Some(false);
    };
    // Digits beyond the width are no zeros.
    let printed = number.checked_ilog10().map_or(1, |log| log as usize + 1).max(width);
    Some(digits.len() == printed && take_u64s(bytes)?.contains(&number))
}

/// Lower-case hex digits as bytes; `None` when they are none.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::{TextColumn, Texts};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_decoding_finds(
            values in prop_oneof![
                prop::collection::vec("[a-c]{0,2}", 1..30),
                prop::collection::vec("circ-[0-9]{3}", 1..60),
                prop::collection::vec("n[1-9][0-9]{0,2}", 1..60),
                prop::collection::vec("[0-9a-f]{8}", 1..30),
                prop::collection::vec("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", 1..5),
            ],
            other in "(circ-)?[a-f0-9-]{0,8}",
        ) {
            let mut column = TextColumn::default();
            for (trace, value) in values.iter().enumerate() {
                column.push(trace as u32 / 2, value.as_bytes());
            }
            let mut page = vec![COLUMN_TEXTS];
            column.put(&mut page);
            for value in &values {
                prop_assert!(may_have(&page, value.as_bytes()));
            }
            let list = Texts::take(&mut &page[1..]).unwrap().list;
            prop_assert_eq!(may_have(&page, other.as_bytes()), list.iter().any(|text| text == other.as_bytes()));
        }
    }
}
