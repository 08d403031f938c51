//! What may be an id, and how it is written in one way.

use super::IdKind;
use super::name::Form;

/// Longest business id.
pub(super) const ID_BYTES_MAX: usize = 128;

/// Hands out the ids of a field: `value` is cut already, without quotes and what follows.
pub(super) fn read(form: Form, value: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    let mut digits = [0u8; 32];
    match form {
        Form::Id(IdKind::Trace) => trace(value, &mut digits, found),
        Form::Id(IdKind::Span) => span(value, found),
        Form::Id(kind) => {
            if is_business(value) {
                found(kind, value);
            }
        }
        Form::Datadog(kind) => datadog(kind, value, &mut digits, found),
        Form::Trace => trace(value.rsplit(|b| *b == b'/').next().unwrap_or(value), &mut digits, found),
        Form::TraceParent => traceparent(value, found),
        Form::B3 => b3(value, &mut digits, found),
        Form::Uber => uber(value, &mut digits, found),
        Form::CloudTrace => {
            let mut parts = value.split(|b| matches!(b, b'/' | b';'));
            trace(parts.next().unwrap_or_default(), &mut digits, found);
            datadog(IdKind::Span, parts.next().unwrap_or_default(), &mut digits, found);
        }
        Form::Amazon => amazon(value, &mut digits, found),
    }
}

/// Whether these are hex digits, and not all zero.
#[inline]
pub(super) fn is_hex(digits: &[u8]) -> bool {
    // Without leaving early, so that it is done for many digits at once.
    let (mut hex, mut some) = (true, false);
    for &digit in digits {
        let letter = (digit | 0x20).wrapping_sub(b'a');
        hex &= digit.wrapping_sub(b'0') < 10 || letter < 6;
        some |= digit != b'0';
    }
    hex && some
}

fn is_trace(value: &[u8]) -> bool {
    // Known lengths are checked much faster.
    match value.len() {
        32 => value.first_chunk::<32>().is_some_and(|all| is_hex(all)),
        16 => value.first_chunk::<16>().is_some_and(|all| is_hex(all)),
        _ => false,
    }
}

fn trace(value: &[u8], digits: &mut [u8; 32], found: &mut impl FnMut(IdKind, &[u8])) {
    if is_trace(value) {
        return found(IdKind::Trace, value);
    }
    let parts: &[usize] = match value.len() {
        36 => &[8, 4, 4, 4, 12],
        35 if value.starts_with(b"1-") => &[8, 24],
        _ => return,
    };
    let rest = if value.len() == 35 { value.get(2..).unwrap_or_default() } else { value };
    if without_hyphens(rest, parts, digits).is_some() && is_hex(digits) {
        found(IdKind::Trace, digits);
    }
}

/// Parts of such lengths with hyphens between them, put together.
fn without_hyphens(mut value: &[u8], parts: &[usize], digits: &mut [u8; 32]) -> Option<()> {
    let mut at = 0;
    for &bytes in parts {
        if at > 0 {
            value = value.strip_prefix(b"-")?;
        }
        let (part, rest) = value.split_at_checked(bytes)?;
        digits.get_mut(at..at + bytes)?.copy_from_slice(part);
        (value, at) = (rest, at + bytes);
    }
    Some(())
}

fn span(value: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    if value.first_chunk::<16>().is_some_and(|all| value.len() == 16 && is_hex(all)) {
        found(IdKind::Span, value);
    }
}

/// A decimal number of 64 bits, as hex digits; 32 hex digits as they are.
fn datadog(kind: IdKind, value: &[u8], digits: &mut [u8; 32], found: &mut impl FnMut(IdKind, &[u8])) {
    if kind == IdKind::Trace && value.len() == 32 {
        return trace(value, digits, found);
    }
    if !(1..=20).contains(&value.len()) {
        return;
    }
    let number = value.iter().try_fold(0u64, |number, b| {
        number.checked_mul(10)?.checked_add(u64::from(b.is_ascii_digit().then(|| b - b'0')?))
    });
    match number {
        Some(0) => {}
        Some(number) => {
            for (i, digit) in digits.iter_mut().take(16).enumerate() {
                let nibble = (number >> (60 - 4 * i)) as u8 & 15;
                *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            }
            found(kind, digits.get(..16).unwrap_or_default());
        }
        None if kind == IdKind::Span => span(value, found),
        None => trace(value, digits, found),
    }
}

/// `00-<32>-<16>-<2>`: what is longer is of a later version, and starts alike.
pub(super) fn traceparent(value: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    let (Some(version), Some(&[b'-']), Some(&[b'-']), Some(&[b'-'])) =
        (value.get(..2), value.get(2..3), value.get(35..36), value.get(52..53))
    else {
        return;
    };
    let (Some(trace), Some(span), Some(flags)) = (value.get(3..35), value.get(36..52), value.get(53..55)) else {
        return;
    };
    let hex = |two: &[u8]| two.iter().all(u8::is_ascii_hexdigit);
    if !is_trace(trace) || !is_hex(span) || !hex(version) || !hex(flags) || version.eq_ignore_ascii_case(b"ff") {
        return;
    }
    found(IdKind::Trace, trace);
    found(IdKind::Span, span);
}

fn b3(value: &[u8], digits: &mut [u8; 32], found: &mut impl FnMut(IdKind, &[u8])) {
    let mut parts = value.split(|b| *b == b'-');
    let (Some(of_trace), Some(of_span)) = (parts.next(), parts.next()) else { return };
    if is_trace(of_trace) && of_span.len() == 16 {
        trace(of_trace, digits, found);
        span(of_span, found);
    }
}

fn uber(value: &[u8], digits: &mut [u8; 32], found: &mut impl FnMut(IdKind, &[u8])) {
    let mut parts = value.split(|b| *b == b':');
    let (Some(of_trace), Some(of_span)) = (parts.next(), parts.next()) else {
        return;
    };
    if let Some(padded) = padded(of_trace, if of_trace.len() > 16 { 32 } else { 16 }, digits) {
        found(IdKind::Trace, padded);
    }
    if let Some(padded) = padded(of_span, 16, digits) {
        found(IdKind::Span, padded);
    }
}

fn padded<'a>(value: &[u8], bytes: usize, digits: &'a mut [u8; 32]) -> Option<&'a [u8]> {
    let zeros = bytes.checked_sub(value.len())?;
    let all = digits.get_mut(..bytes)?;
    all.fill(b'0');
    all.get_mut(zeros..)?.copy_from_slice(value);
    (!value.is_empty() && is_hex(all)).then_some(all)
}

fn amazon(value: &[u8], digits: &mut [u8; 32], found: &mut impl FnMut(IdKind, &[u8])) {
    for part in value.split(|b| *b == b';') {
        let part = part.trim_ascii();
        if let Some(root) = part.strip_prefix(b"Root=") {
            trace(root, digits, found);
        } else if let Some(parent) = part.strip_prefix(b"Parent=") {
            span(parent, found);
        }
    }
}

/// Whether it may be an id: 1 to 128 bytes of graphic ASCII, one of them a letter or digit, not all zeros, and no way
/// to say that there is none.
pub(super) fn is_business(value: &[u8]) -> bool {
    if value.is_empty() || value.len() > ID_BYTES_MAX || !value.iter().fold(true, |ok, b| ok & b.is_ascii_graphic()) {
        return false;
    }
    // Ids of letters alone are rare, and words for nothing are short.
    if value.len() <= 9 && NOTHING.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return false;
    }
    let says = |b: &u8| b.is_ascii_alphanumeric() && *b != b'0';
    value.iter().any(says) || value == b"0"
}

const NOTHING: [&[u8]; 13] = [
    b"null",
    b"none",
    b"nil",
    b"undefined",
    b"nan",
    b"n/a",
    b"na",
    b"unknown",
    b"true",
    b"false",
    b"empty",
    b"unset",
    b"missing",
];
