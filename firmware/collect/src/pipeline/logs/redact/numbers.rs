//! Numbers of payment cards.

use super::Found;
use super::kind::Kind;

/// Digits of the shortest number that is looked for.
const DIGITS_MIN: usize = 14;
const DIGITS_MAX: usize = 16;
/// A text is looked at in pieces of so many bytes: a run as long as a number has one of them whole.
const PIECE: usize = DIGITS_MIN / 2;

fn of_number(b: u8) -> bool {
    b.is_ascii_digit() || b == b' ' || b == b'-'
}

/// The high bits of the lowest seven bytes of a word.
const HIGH_BITS: u64 = 0x0080_8080_8080_8080;

/// A byte in all places of a word.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Whether the lowest seven bytes of a word are all digits, blanks and dashes.
fn is_piece(word: u64) -> bool {
    let low = word & all(0x7f);
    // A byte's high bit: it is none of them. What is added never reaches into the next byte.
    let no_digit = (low ^ all(b'0')) + all(0x80 - 10);
    let no_blank = (low ^ all(b' ')) + all(0x7f);
    let no_dash = (low ^ all(b'-')) + all(0x7f);
    ((no_digit & no_blank & no_dash) | word) & HIGH_BITS == 0
}

/// Calls `found` for the numbers of cards in a text.
pub(super) fn cards(text: &[u8], mut found: impl FnMut(Found)) {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| rest.len() >= PIECE) {
        let word = rest.first_chunk::<8>().map_or_else(
            || rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
            |eight| u64::from_le_bytes(*eight),
        );
        if !is_piece(word) {
            at += PIECE;
            continue;
        }
        let start = at - text.get(..at).map_or(0, |t| t.iter().rev().take_while(|b| of_number(**b)).count());
        let end = at + rest.iter().take_while(|b| of_number(**b)).count();
        if end - start >= DIGITS_MIN {
            in_run(text, start, end, &mut found);
        }
        at = end;
    }
}

/// Numbers in a run of digits, blanks and dashes.
fn in_run(text: &[u8], start: usize, end: usize, found: &mut impl FnMut(Found)) {
    let mut at = start;
    while at < end {
        let Some(byte) = text.get(at) else { return };
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        let begins = byte.is_ascii_digit() && before.is_none_or(|b| !joins(*b) && !b.is_ascii_digit());
        if begins
            && let Some(length) = card(text.get(at..end).unwrap_or(&[]))
            && ends(text, at + length)
        {
            found(Found { start: at, end: at + length, kind: Kind::CreditCard });
            at += length;
            continue;
        }
        at += 1;
    }
}

/// Whether a number that ends at `at` is whole: nothing that joins follows, but for the point at a sentence's end.
fn ends(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'.') => text.get(at + 1).is_none_or(|b| !b.is_ascii_alphanumeric()),
        other => other.is_none_or(|b| !joins(*b)),
    }
}

/// What makes a number a part of a name or of a longer number.
fn joins(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'#' | b'@')
}

/// Length of the number at the start, if one is there: its digits in one, or in the groups that are printed on cards.
fn card(text: &[u8]) -> Option<usize> {
    let mut digits = [0u8; DIGITS_MAX];
    let (mut count, mut length, mut groups, mut group) = (0, 0, [0usize; 4], 0);
    let mut separator = None;
    for (at, byte) in text.iter().enumerate() {
        if byte.is_ascii_digit() {
            *digits.get_mut(count)? = byte - b'0';
            *groups.get_mut(group)? += 1;
            count += 1;
            length = at + 1;
            continue;
        }
        // A separator stands between digits, and is always the same; anything else ends the number.
        let next = text.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !next
            || count >= 14 && complete(&groups, group, count)
            || separator.is_some_and(|s| s != *byte)
            || group >= 3
        {
            break;
        }
        separator = Some(*byte);
        group += 1;
    }
    let digits = digits.get(..count)?;
    let shaped = matches!(groups, [_, 0, 0, 0] | [4, 4, 4, 4] | [4, 6, 5, 0] | [4, 6, 4, 0]);
    (shaped && is_issued(digits) && luhn(digits)).then_some(length)
}

fn complete(groups: &[usize; 4], group: usize, count: usize) -> bool {
    group > 0 && (*groups == [4, 4, 4, 4] || (*groups == [4, 6, 5, 0] && count == 15))
        || group == 0 && matches!(count, 14..=16)
}

/// Whether a network issues numbers of this length that begin like this.
fn is_issued(digits: &[u8]) -> bool {
    let prefix = digits.iter().take(4).fold(0u32, |n, d| n * 10 + u32::from(*d));
    match digits.len() {
        16 => {
            matches!(prefix, 4000..=4999 | 5100..=5599 | 2221..=2720 | 6011 | 6440..=6599 | 3528..=3589 | 6200..=6299)
        }
        15 => matches!(prefix / 100, 34 | 37),
        14 => matches!(prefix / 10, 300..=305 | 360..=369 | 380..=389),
        _ => false,
    }
}

/// Luhn's check: every second digit from the right doubled, the sum of all digits a multiple of ten. A number of one digit
/// repeated is none.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(*digit) << (at % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().skip(1).any(|d| digits.first() != Some(d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_run_is_passed_over(text in "([a-c0-9 é.-]{0,9}|4111 ?1111 ?1111 ?1111|-?[0-9]{12,17}|378282246310005){0,8}") {
            let text = text.as_bytes();
            let (mut quick, mut slow) = (Vec::new(), Vec::new());
            cards(text, |one| quick.push(one));
            let mut at = 0;
            while at < text.len() {
                let end = at + text[at..].iter().take_while(|b| of_number(**b)).count();
                if end - at >= DIGITS_MIN {
                    in_run(text, at, end, &mut |one| slow.push(one));
                }
                at = end + 1;
            }
            prop_assert_eq!(quick, slow);
        }

        #[test]
        fn pieces_are_told_byte_by_byte(bytes in prop::collection::vec(prop_oneof![20 => Just(b'7'), 1 => any::<u8>(), 1 => b' '..b'@'], 8)) {
            let word = u64::from_le_bytes(bytes.clone().try_into().unwrap());
            prop_assert_eq!(is_piece(word), bytes[..PIECE].iter().all(|b| of_number(*b)));
        }
    }

    #[test]
    fn every_byte_is_told_in_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..PIECE {
                let mut word = [b'0'; 8];
                word[at] = byte;
                assert_eq!(is_piece(u64::from_le_bytes(word)), of_number(byte), "{byte} at {at}");
            }
        }
    }
}
