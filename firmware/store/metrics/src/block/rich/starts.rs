//! Start pages: for series of a block, from which sample on they count since when.
//!
//! ```text
//! page := (series - the one before, n runs, (first sample - that of the run before, z start - the one before)*)*
//! ```
//! The first series is relative to the page's first one, as the footer has it.

use crate::bytes::{Take, put_varint, put_zigzag};
use crate::samples::StartRuns;
use std::ops::Range;

const PAGE_BYTES: usize = 32 << 10;
/// No page holds more runs: each takes two bytes at least.
const RUNS_MAX: usize = 1 << 22;

/// Gathers a page.
#[derive(Default)]
pub(super) struct StartPages {
    bytes: Vec<u8>,
    range: Option<(u32, u32)>,
    last_start_ms: i64,
}

impl StartPages {
    /// Adds the runs of samples `within`.
    pub(super) fn push(&mut self, series: u32, runs: &[(u32, i64)], within: Range<usize>) {
        let (from, to) = (within.start as u32, within.end as u32);
        let first = StartRuns::new(runs).at(from);
        let inside = runs.iter().filter(|(at, _)| (from + 1..to).contains(at)).map(|&(at, start)| (at - from, start));
        let own: Vec<(u32, i64)> = (first != 0).then_some((0, first)).into_iter().chain(inside).collect();
        if own.is_empty() {
            return;
        }
        let (first, last) = self.range.unwrap_or((series, series));
        self.range = Some((first, series));
        put_varint(&mut self.bytes, u64::from(series - last));
        put_varint(&mut self.bytes, own.len() as u64);
        let mut before = 0;
        for (at, start_ms) in own {
            put_varint(&mut self.bytes, u64::from(at - before));
            put_zigzag(&mut self.bytes, start_ms.wrapping_sub(self.last_start_ms));
            (before, self.last_start_ms) = (at, start_ms);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PAGE_BYTES
    }

    /// Writes the page to `out` (cleared first); its first and last series, if there are any.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Option<(u32, u32)> {
        out.clear();
        out.append(&mut self.bytes);
        self.last_start_ms = 0;
        self.range.take()
    }
}

/// A page, read.
pub(super) struct StartsPage {
    /// Series with the end of its runs, ascending.
    series: Vec<(u32, u32)>,
    runs: Vec<(u32, i64)>,
}

impl StartsPage {
    pub(super) fn open(page: &[u8], first: u32) -> Option<Self> {
        let (mut bytes, mut own) = (Take(page), StartsPage { series: Vec::new(), runs: Vec::new() });
        let (mut series, mut start_ms) = (first, 0i64);
        while !bytes.is_empty() {
            series = series.checked_add(u32::try_from(bytes.varint()?).ok()?)?;
            let mut at = 0u32;
            for _ in 0..bytes.count(RUNS_MAX)? {
                at = at.checked_add(u32::try_from(bytes.varint()?).ok()?)?;
                start_ms = start_ms.wrapping_add(bytes.zigzag()?);
                own.runs.push((at, start_ms));
            }
            own.series.push((series, own.runs.len() as u32));
        }
        Some(own)
    }

    pub(super) fn runs(&self, series: u32) -> &[(u32, i64)] {
        let at = self.series.partition_point(|(s, _)| *s < series);
        let Some(&(_, end)) = self.series.get(at).filter(|(s, _)| *s == series) else { return &[] };
        let from = at.checked_sub(1).and_then(|before| self.series.get(before)).map_or(0, |(_, end)| *end);
        self.runs.get(from as usize..end as usize).unwrap_or_default()
    }
}
