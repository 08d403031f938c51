//! Which spans are whose, of which shape, and below which parent.
//!
//! A program emits few kinds of traces: the same operations below one another in one of few orders. So each distinct
//! sequence of (shape, parent) is a *pattern*, stored once, and a trace is one number. Where most traces are
//! different, as when a group holds scattered parts of them, the three columns are stored by themselves.

use crate::bytes::take_array;
use crate::interner::Interner;
use crate::numbers::{put_codes, take_codes};

/// First byte of a layout of patterns; the other form begins with a column of codes, whose tags are below.
const PATTERNS: u8 = 16;

/// Most spans that patterns expand to, as all columns of a group.
const SPANS_MAX: usize = crate::numbers::COUNT_MAX;

/// Each trace's spans, their shapes, and parent codes ([`PARENT_NONE`](crate::group_write::PARENT_NONE) …).
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Layout {
    pub(crate) spans_per_trace: Vec<u32>,
    pub(crate) shape_of: Vec<u32>,
    pub(crate) parents: Vec<u32>,
}

/// Distinct traces: the number of each trace's pattern, and the patterns as `(shape, parent)` pairs of bytes.
/// `None` when there are too many for their size.
fn patterns(spans_per_trace: &[u32], shape_of: &[u32], parents: &[u32]) -> Option<(Vec<u32>, Interner)> {
    let mut distinct = Interner::default();
    let mut numbers = Vec::with_capacity(spans_per_trace.len());
    let mut pattern = Vec::new();
    let mut spans = shape_of.iter().zip(parents);
    for &count in spans_per_trace {
        pattern.clear();
        for (shape, parent) in spans.by_ref().take(count as usize) {
            pattern.extend_from_slice(&shape.to_le_bytes());
            pattern.extend_from_slice(&parent.to_le_bytes());
        }
        numbers.push(distinct.intern(&pattern).0);
        // 8 bytes per span: patterns of more than half of all spans save nothing.
        if distinct.text_bytes() > shape_of.len() * 4 + 64 {
            return None;
        }
    }
    Some((numbers, distinct))
}

/// Appends the layout of a group.
pub(crate) fn put_layout(out: &mut Vec<u8>, spans_per_trace: &[u32], shape_of: &[u32], parents: &[u32]) {
    let Some((numbers, distinct)) = patterns(spans_per_trace, shape_of, parents) else {
        put_codes(out, spans_per_trace);
        put_codes(out, shape_of);
        put_codes(out, parents);
        return;
    };
    out.push(PATTERNS);
    put_codes(out, &numbers);
    put_codes(out, &distinct.iter().map(|p| p.len() as u32 / 8).collect::<Vec<_>>());
    let halves = |from: usize| -> Vec<u32> {
        let spans = distinct.iter().flat_map(|p| p.as_chunks::<8>().0);
        spans.filter_map(|s| s.get(from..from + 4)?.try_into().ok().map(u32::from_le_bytes)).collect()
    };
    put_codes(out, &halves(0));
    put_codes(out, &halves(4));
}

impl Layout {
    /// Reads what [`put_layout`] wrote; `None` when damaged. That counts fit the group is for the caller to check.
    pub(crate) fn parse(bytes: &mut &[u8]) -> Option<Self> {
        if bytes.first() != Some(&PATTERNS) {
            let (spans_per_trace, shape_of, parents) = (take_codes(bytes)?, take_codes(bytes)?, take_codes(bytes)?);
            return Some(Layout { spans_per_trace, shape_of, parents });
        }
        let [_] = take_array(bytes)?;
        let numbers = take_codes(bytes)?;
        let lengths = take_codes(bytes)?;
        let (shapes, parents) = (take_codes(bytes)?, take_codes(bytes)?);
        let mut ends = Vec::with_capacity(lengths.len());
        let mut end = 0usize;
        for length in &lengths {
            end = end.checked_add(*length as usize)?;
            ends.push(end);
        }
        let mut layout = Layout::default();
        for number in numbers {
            let number = number as usize;
            let (to, length) = (*ends.get(number)?, *lengths.get(number)?);
            let from = to - length as usize;
            if layout.shape_of.len() + length as usize > SPANS_MAX {
                return None;
            }
            layout.spans_per_trace.push(length);
            layout.shape_of.extend_from_slice(shapes.get(from..to)?);
            layout.parents.extend_from_slice(parents.get(from..to)?);
        }
        Some(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(traces: &[Vec<(u32, u32)>]) -> Vec<u8> {
        let layout = Layout {
            spans_per_trace: traces.iter().map(|t| t.len() as u32).collect(),
            shape_of: traces.iter().flatten().map(|s| s.0).collect(),
            parents: traces.iter().flatten().map(|s| s.1).collect(),
        };
        let mut out = Vec::new();
        put_layout(&mut out, &layout.spans_per_trace, &layout.shape_of, &layout.parents);
        let mut rest = out.as_slice();
        assert_eq!(Layout::parse(&mut rest), Some(layout));
        assert!(rest.is_empty());
        for cut in 0..out.len() {
            Layout::parse(&mut &out[..cut]);
        }
        out
    }

    #[test]
    fn like_traces_take_a_byte() {
        let of = |i: usize| vec![(i as u32, 0), (7, 2), (8, 3), (8, 2)];
        let traces: Vec<_> = (0..1000).map(|i| of(i * i % 7)).collect();
        let bytes = round_trip(&traces);
        assert!(bytes[0] == PATTERNS && bytes.len() < 1100, "{}", bytes.len());
        let other: Vec<_> = (0..1000u32).map(|i| vec![(i, 0), (i + 1, 2)]).collect();
        assert_ne!(round_trip(&other)[0], PATTERNS);
    }

    proptest! {
        #[test]
        fn layouts_round_trip(
            traces in prop::collection::vec(prop::collection::vec((0u32..3, 0u32..3), 1..4), 0..50)
        ) {
            round_trip(&traces);
        }
    }
}
