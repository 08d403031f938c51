//! Numbers of payment cards.

use super::Found;
use super::kind::Kind;

/// Digits of the shortest number that is looked for. Every so many bytes one is looked at: what is as long cannot lie between.
const DIGITS_MIN: usize = 14;
const DIGITS_MAX: usize = 16;

fn of_number(b: u8) -> bool {
    b.is_ascii_digit() || b == b' ' || b == b'-'
}

/// Calls `found` for the numbers of cards in a text.
pub(super) fn cards(text: &[u8], mut found: impl FnMut(Found)) {
    let mut at = DIGITS_MIN - 1;
    while let Some(byte) = text.get(at) {
        // What is as long and has this byte has one half of it on one of its sides.
        let is_number = |at: usize| text.get(at).is_some_and(|b| of_number(*b));
        if !of_number(*byte) || !(is_number(at + DIGITS_MIN / 2) || is_number(at.wrapping_sub(DIGITS_MIN / 2))) {
            at += DIGITS_MIN;
            continue;
        }
        let start = at - text.get(..at).map_or(0, |t| t.iter().rev().take_while(|b| of_number(**b)).count());
        let end = at + text.get(at..).map_or(0, |t| t.iter().take_while(|b| of_number(**b)).count());
        if end - start >= DIGITS_MIN {
            in_run(text, start, end, &mut found);
        }
        at = end + DIGITS_MIN;
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
