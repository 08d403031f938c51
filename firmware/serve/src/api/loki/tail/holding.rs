//! Entries between their arrival and their frame: held for a while, so that late ones leave in their place.
//!
//! An entry is *due* when it was held for `delay_for`; with it leaves everything that is older by its own time. What is
//! held is bounded: over [`HELD_BYTES_MAX`], or when the budget has no more, the oldest leave early.

use bramble_query_logql::{Entry, LabelSet};
use bramble_runtime::Reservation;
use std::time::Duration;
use tokio::time::Instant;

/// Most that is held of one tail.
const HELD_BYTES_MAX: usize = 1 << 20;

/// Most entries, and about the most bytes, of a frame.
const FRAME_ENTRIES_MAX: usize = 500;
const FRAME_BYTES_MAX: usize = 256 << 10;

/// An entry as it left the pipeline, with its labels.
pub(super) struct Held {
    pub(super) labels: LabelSet,
    pub(super) entry: Entry,
    due: Instant,
    /// Counts arrivals.
    number: u64,
}

impl Held {
    fn bytes(&self) -> usize {
        let Entry { line, metadata, parsed, .. } = &self.entry;
        let labels = self.labels.memory_bytes() + metadata.memory_bytes() + parsed.memory_bytes();
        labels + line.len() + size_of::<Held>()
    }
}

/// See the module.
pub(super) struct Holding {
    delay: Duration,
    /// Where `sorted`, newest first, so that the oldest leave from the end.
    entries: Vec<Held>,
    arrivals: u64,
    sorted: bool,
    bytes: usize,
    space: Reservation,
    squeezed: bool,
}

impl Holding {
    /// Nothing yet. What is held is counted in `space`.
    pub(super) fn new(delay: Duration, space: Reservation) -> Self {
        Holding { delay, entries: Vec::new(), arrivals: 0, sorted: true, bytes: 0, space, squeezed: false }
    }

    /// Takes an entry that arrived at `now`.
    pub(super) fn push(&mut self, labels: LabelSet, entry: Entry, now: Instant) {
        self.push_due(labels, entry, now + self.delay);
    }

    /// Takes an entry that need not be held: history.
    pub(super) fn push_due(&mut self, labels: LabelSet, entry: Entry, due: Instant) {
        self.arrivals += 1;
        let held = Held { labels, entry, due, number: self.arrivals };
        let bytes = held.bytes();
        self.bytes += bytes;
        // The batch it came from is given back within moments, so it may stand over the budget until it is sent.
        self.squeezed |= self.space.grow(bytes).is_err() || self.bytes > HELD_BYTES_MAX;
        self.entries.push(held);
        self.sorted = false;
    }

    /// When something will be due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.squeezed && !self.entries.is_empty() {
            return Some(Instant::now());
        }
        self.entries.iter().map(|held| held.due).min()
    }

    /// The next frame's entries, oldest first; empty when nothing is due.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Held> {
        if !self.sorted {
            // Entries of one time leave in the order in which they came.
            self.entries.sort_by_key(|held| std::cmp::Reverse((held.entry.timestamp_ns, held.number)));
            self.sorted = true;
        }
        // Everything from the newest that is due downwards.
        let due = |held: &Held| self.squeezed || held.due <= now;
        let Some(from) = self.entries.iter().position(due) else { return Vec::new() };
        let (mut at, mut bytes) = (self.entries.len(), 0);
        while at > from && self.entries.len() - at < FRAME_ENTRIES_MAX && bytes < FRAME_BYTES_MAX {
            at -= 1;
            bytes += self.entries.get(at).map_or(0, Held::bytes);
        }
        let mut taken = self.entries.split_off(at);
        taken.reverse();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.space.force_resize(self.bytes);
        if self.bytes <= HELD_BYTES_MAX / 2 {
            self.squeezed = false;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    fn entry(timestamp_ns: i64, line: &[u8]) -> Entry {
        Entry { timestamp_ns, line: line.to_vec(), metadata: LabelSet::default(), parsed: LabelSet::default() }
    }

    fn times(held: &[Held]) -> Vec<i64> {
        held.iter().map(|h| h.entry.timestamp_ns).collect()
    }

    fn holding(delay_s: u64, budget: &Budget) -> Holding {
        Holding::new(Duration::from_secs(delay_s), budget.reserve(0).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn late_entries_leave_in_their_place() {
        let budget = Budget::standalone(BudgetName::Query, 1 << 20);
        let (mut holding, t0) = (holding(2, &budget), Instant::now());
        for (t, at_ms) in [(10, 0), (30, 500), (20, 1000), (40, 1500)] {
            holding.push(LabelSet::default(), entry(t, b"x"), t0 + Duration::from_millis(at_ms));
        }
        assert!(holding.take(t0 + Duration::from_millis(1999)).is_empty());
        assert_eq!(holding.next_due(), Some(t0 + Duration::from_secs(2)));
        assert_eq!(times(&holding.take(t0 + Duration::from_secs(2))), [10]);
        assert_eq!(times(&holding.take(t0 + Duration::from_millis(2500))), [20, 30], "what is older goes along");
        holding.push(LabelSet::default(), entry(40, b"y"), t0 + Duration::from_millis(2600));
        let last = holding.take(t0 + Duration::from_secs(9));
        assert_eq!(
            last.iter().map(|h| h.entry.line.as_slice()).collect::<Vec<_>>(),
            [b"x", b"y"],
            "equal times: arrival"
        );
        drop(last);
        assert_eq!((holding.next_due(), budget.used_bytes()), (None, 0));
    }

    #[test]
    fn what_is_held_is_bounded_and_nothing_is_lost() {
        let budget = Budget::standalone(BudgetName::Query, 16 << 20);
        let (mut holding, now) = (holding(5, &budget), Instant::now());
        for t in 0..4000 {
            holding.push(LabelSet::default(), entry(t, &[b'x'; 1000]), now);
        }
        let mut left = Vec::new();
        while let taken @ [_, ..] = holding.take(now).as_slice() {
            assert!(taken.len() <= FRAME_ENTRIES_MAX);
            left.extend(times(taken));
        }
        assert!(
            left.len() > 3200 && left.iter().copied().eq(0..left.len() as i64),
            "{}: the oldest, early",
            left.len()
        );
        assert!(holding.bytes <= HELD_BYTES_MAX / 2 && budget.used_bytes() == holding.bytes);
        let small = Budget::standalone(BudgetName::Query, 100);
        let mut holding = Holding::new(Duration::from_secs(5), small.reserve(0).unwrap());
        holding.push(LabelSet::default(), entry(1, &[b'x'; 1000]), now);
        assert_eq!(times(&holding.take(now)), [1], "no memory to hold it");
    }
}
