//! Ids that no name precedes, known by the shape of what they stand in.

use super::IdKind;
use super::value::{is_hex, traceparent};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// `00-<trace>-<span>-<flags>`.
const TRACEPARENT_BYTES: usize = 55;
/// Longest name of a service in Sleuth's brackets.
const SERVICE_BYTES_MAX: usize = 64;

static VERSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"00-"));

/// W3C's `traceparent` anywhere in a line, whatever it is called.
pub(super) fn traceparents(line: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    if line.len() < TRACEPARENT_BYTES {
        return;
    }
    // It must begin so far before the end.
    let starts = line.get(..line.len() - TRACEPARENT_BYTES + 3).unwrap_or_default();
    for at in VERSION.find_iter(starts) {
        let Some(value) = line.get(at..at + TRACEPARENT_BYTES) else { continue };
        let apart = |b: Option<&u8>| b.is_none_or(|b| !b.is_ascii_alphanumeric());
        if value.get(35) == Some(&b'-') && apart(at.checked_sub(1).and_then(|i| line.get(i))) {
            let after = line.get(at + TRACEPARENT_BYTES);
            if apart(after) {
                traceparent(value, found);
            }
        }
    }
}

/// What stands in brackets at the head of lines; `rest` is what follows a `[`:
///
/// ```text
/// service,<trace>,<span>]          Spring Cloud Sleuth; the service may be empty, a flag may follow
/// <trace>-<span>]                  Spring Boot's correlation, service and thread in brackets of their own
/// req-<uuid> …]                    OpenStack's oslo.context: a request
/// ```
pub(super) fn bracket(rest: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    match rest.first() {
        Some(b'r') if rest.starts_with(b"req-") => {
            let request = rest.get(..40).unwrap_or_default();
            let ends = matches!(rest.get(40), Some(b' ' | b']'));
            let hyphens = [8, 13, 18, 23].iter().all(|at| request.get(4 + at) == Some(&b'-'));
            let plain = |b: &u8| b.is_ascii_hexdigit() || *b == b'-';
            if ends && hyphens && request.iter().skip(4).all(plain) {
                found(IdKind::Request, request);
            }
        }
        Some(b) if b.is_ascii_alphanumeric() || *b == b',' => {
            let end = rest.iter().take(SERVICE_BYTES_MAX).position(|b| !is_service(*b));
            match end.and_then(|end| Some((end, rest.get(end)?))) {
                Some((end, b',')) => pair(rest.get(end + 1..).unwrap_or_default(), b',', found),
                Some((49 | 33, b']')) => pair(rest, b'-', found),
                _ => {}
            }
        }
        _ => {}
    }
}

fn is_service(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// A trace and a span with `between` in between, up to a bracket or a comma.
fn pair(text: &[u8], between: u8, found: &mut impl FnMut(IdKind, &[u8])) {
    for digits in [32, 16] {
        let (trace, span) = (text.get(..digits), text.get(digits + 1..digits + 17));
        let (Some(trace), Some(span), Some(end)) = (trace, span, text.get(digits + 17)) else { continue };
        if text.get(digits) == Some(&between) && matches!(end, b']' | b',') && is_hex(trace) && is_hex(span) {
            found(IdKind::Trace, trace);
            found(IdKind::Span, span);
            return;
        }
    }
}
