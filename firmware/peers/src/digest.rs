//! How hubs find out without sending them that they have the same entries or spans: a number for those of each stretch of
//! time. What nodes send to both is the same on both, but for the stretches in which one was away.

use crate::spans::fingerprint;
use bramble_signal::hash::xxhash64;
use bramble_signal::{LabelsRef, LogEntry, SpanEntry};
use bramble_storage::LogRows;
use std::collections::BTreeMap;
use std::ops::Range;

/// Stretches into which a range is cut.
const STRETCHES: i128 = 512;
/// Ranges that are read again one by one; where more differ, what lies between them is read too.
const RANGES_MAX: usize = 32;

/// Width of a range's stretches.
pub(crate) fn width_ns(start_ns: i64, end_ns: i64) -> i64 {
    let range = (i128::from(end_ns) - i128::from(start_ns)).max(1);
    i64::try_from((range + STRETCHES - 1) / STRETCHES).unwrap_or(i64::MAX)
}

/// Entries of each stretch: how many, and the sum of their hashes.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Digests(BTreeMap<u64, (u64, u64)>);

impl Digests {
    /// Adds the entries of rows; the range begins at `start_ns`.
    pub(crate) fn add(&mut self, rows: &LogRows, start_ns: i64, width_ns: i64) {
        for stream in rows.batch.streams() {
            let seed = xxhash64(stream.labels().as_bytes(), 0);
            for entry in stream.entries() {
                let into = entry.timestamp_ns.abs_diff(start_ns.min(entry.timestamp_ns));
                self.add_one(into / width_ns.max(1).unsigned_abs(), of_entry(&entry, seed));
            }
        }
    }

    /// Adds a span; the range begins at `start_ns`.
    pub(crate) fn add_span(&mut self, span: &SpanEntry, start_ns: u64, width_ns: u64) {
        self.add_one(span.start_ns.saturating_sub(start_ns) / width_ns.max(1), fingerprint(span));
    }

    fn add_one(&mut self, stretch: u64, hash: u64) {
        let stretch = self.0.entry(stretch).or_default();
        *stretch = (stretch.0 + 1, stretch.1.wrapping_add(hash));
    }

    /// As a list: (stretch, entries, sum).
    pub(crate) fn list(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.0.iter().map(|(stretch, (entries, sum))| (*stretch, *entries, *sum))
    }

    /// From a list.
    pub(crate) fn of_list(list: Vec<(u64, u64, u64)>) -> Self {
        Digests(list.into_iter().map(|(stretch, entries, sum)| (stretch, (entries, sum))).collect())
    }

    /// Stretches in which others have what is not the same here; what only is here need not be asked for.
    pub(crate) fn differing(&self, others: &[Digests]) -> Vec<u64> {
        let unlike = |(stretch, theirs): (&u64, &(u64, u64))| (self.0.get(stretch) != Some(theirs)).then_some(*stretch);
        let mut all: Vec<u64> = others.iter().flat_map(|other| other.0.iter().filter_map(unlike)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn of_entry(entry: &LogEntry<'_>, seed: u64) -> u64 {
    let LogEntry { timestamp_ns, line, metadata } = *entry;
    let metadata: LabelsRef<'_> = metadata;
    let seed = xxhash64(&timestamp_ns.to_le_bytes(), seed);
    xxhash64(line, xxhash64(metadata.as_bytes(), seed))
}

/// The ranges of time of stretches, ascending, neighbours as one.
pub(crate) fn ranges(stretches: &[u64], (start_ns, end_ns): (i64, i64), width_ns: i64) -> Vec<Range<i64>> {
    let edge = |stretch: u64| {
        let at = i128::from(start_ns) + i128::from(stretch) * i128::from(width_ns);
        i64::try_from(at).unwrap_or(i64::MAX).clamp(start_ns, end_ns)
    };
    let mut found: Vec<Range<i64>> = Vec::new();
    for &stretch in stretches {
        let next = edge(stretch)..edge(stretch.saturating_add(1));
        match found.last_mut() {
            Some(last) if last.end >= next.start => last.end = next.end,
            _ => found.push(next),
        }
    }
    if found.len() > RANGES_MAX
        && let (Some(first), Some(last)) = (found.first(), found.last())
    {
        return std::iter::once(first.start..last.end).collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(entries: &[(i64, &str)]) -> LogRows {
        let mut rows = LogRows::default();
        for (at, line) in entries {
            rows.batch.start_stream(&mut [("app", "a")]).unwrap();
            rows.batch.push_entry(*at, line.as_bytes(), &mut []).unwrap();
        }
        rows
    }

    fn digests(entries: &[(i64, &str)]) -> Digests {
        let mut digests = Digests::default();
        digests.add(&rows(entries), 100, 10);
        digests
    }

    #[test]
    fn stretches_differ_where_another_has_something_else() {
        let ours = digests(&[(100, "a"), (115, "b"), (118, "c"), (131, "only here")]);
        let same = digests(&[(118, "c"), (100, "a"), (115, "b")]);
        assert_eq!(ours.differing(&[same]), [0; 0]);
        let other = digests(&[(100, "a"), (115, "b"), (118, "d"), (140, "e")]);
        assert_eq!(ours.differing(&[other.clone(), ours.clone()]), [1, 4]);
        assert_eq!(Digests::of_list(other.list().collect()), other);
        assert_ne!(digests(&[(100, "a")]), digests(&[(101, "a")]), "the time counts");
    }

    #[test]
    fn stretches_are_ranges() {
        assert_eq!(ranges(&[1, 2, 4], (100, 145), 10), [110..130, 140..145]);
        let many: Vec<u64> = (0..80).map(|n| n * 2).collect();
        let edges = |found: Vec<Range<i64>>| found.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>();
        assert_eq!(edges(ranges(&many, (0, 10_000), 10)), [(0, 1590)]);
        assert_eq!(edges(ranges(&[u64::MAX], (i64::MIN, i64::MAX), i64::MAX)), [(i64::MAX, i64::MAX)]);
        assert_eq!((width_ns(0, 512), width_ns(0, 513)), (1, 2));
        assert!(width_ns(i64::MIN, i64::MAX) > 0);
    }
}
