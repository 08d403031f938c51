//! The ids of one item as they are found, one after the other: the first of a kind counts.

use bramble_line::ids::{IdKind, find_in_field};
use bramble_signal::{SpanId, TraceId};

/// Of each kind at most one.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Ids<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    /// In the order of [`IdKind::BUSINESS`].
    pub(super) business: [&'a str; IdKind::BUSINESS.len()],
}

impl<'a> Ids<'a> {
    /// Takes note of the ids of a field.
    #[inline]
    pub(super) fn add_field(&mut self, name: &[u8], value: &'a [u8]) {
        find_in_field(name, value, &mut |kind, id| self.add(kind, id, value));
    }

    /// Takes note of an id that was found in `whole`.
    pub(super) fn add(&mut self, kind: IdKind, id: &[u8], whole: &'a [u8]) {
        match kind {
            IdKind::Trace if self.trace_id.is_zero() => self.trace_id = trace_id(id),
            IdKind::Span if self.span_id.is_zero() => self.span_id = span_id(id),
            IdKind::Trace | IdKind::Span => {}
            _ => {
                let place = (kind as usize).checked_sub(IdKind::Request as usize);
                if let Some(known) = place.and_then(|at| self.business.get_mut(at))
                    && known.is_empty()
                {
                    *known = part_of(whole, id);
                }
            }
        }
    }

    /// Fills in what is not known from others, which were said with less authority. A span goes with its trace.
    pub(super) fn fill(&mut self, others: &Ids<'a>) {
        let same_trace = others.trace_id.is_zero() || self.trace_id.is_zero() || others.trace_id == self.trace_id;
        if self.span_id.is_zero() && same_trace {
            self.span_id = others.span_id;
        }
        if self.trace_id.is_zero() {
            self.trace_id = others.trace_id;
        }
        for (known, other) in self.business.iter_mut().zip(others.business) {
            if known.is_empty() {
                *known = other;
            }
        }
    }

    /// Whether they tell what an item may be joined by.
    pub(super) fn is_empty(&self) -> bool {
        self.trace_id.is_zero() && self.business.iter().all(|id| id.is_empty())
    }
}

/// The bytes of `whole` that `part` is, as text: ids that are not digits are parts of where they were found.
fn part_of<'a>(whole: &'a [u8], part: &[u8]) -> &'a str {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    let bytes = start.checked_add(part.len()).and_then(|end| whole.get(start..end));
    debug_assert_eq!(bytes, Some(part), "an id that is no part of its field");
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
}

/// 16 or 32 hex digits, as the finder gives them.
pub(super) fn trace_id(digits: &[u8]) -> TraceId {
    let mut id = [0; 16];
    let start = if digits.len() == 16 { 8 } else { 0 };
    if let Some(bytes) = id.get_mut(start..) {
        decode(digits, bytes);
    }
    TraceId(id)
}

/// 16 hex digits.
pub(super) fn span_id(digits: &[u8]) -> SpanId {
    let mut id = [0; 8];
    decode(digits, &mut id);
    SpanId(id)
}

fn decode(digits: &[u8], bytes: &mut [u8]) {
    // Digits were checked: the low four bits of `0`–`9` are their value, of letters nine less.
    let value = |digit: u8| (digit & 15) + 9 * (digit >> 6);
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
}
