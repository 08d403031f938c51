//! Taps: who wants to see log entries as they become durable.
//!
//! The write path *offers* each batch between its commit and its application; what a tap's selector accepts is copied
//! into the tap's queue, which is bounded and counted against a budget. Ingest never waits: what does not fit is
//! dropped, counted, and remembered by stream and time up to a bound, so that the consumer can say what it missed.
//! Where nobody listens, a commit takes one free lock and a batch looks at one length.
//!
//! **The seam**: [`LogTaps::subscribe`] returns between two commits. Every batch applied later was offered to the new
//! tap before it could be read; so whoever subscribes, then reads the store, then drains the tap has everything, and
//! what is in both is equal.

use crate::selector::Selector;
use bramble_runtime::{Budget, OverBudget, Reservation};
use bramble_signal::{Labels, LabelsRef, LogBatch, LogEntry};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Dropped entries that a tap remembers one by one; of others it only knows how many.
const DROPPED_MAX: usize = 1000;

/// What a queued batch or a remembered drop costs beside its bytes.
const OVERHEAD_BYTES: usize = 128;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 32;

/// Wakes a consumer; called from the commit thread, so it must not block.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// All taps on log batches of one write path.
pub struct LogTaps {
    taps: RwLock<Vec<Arc<Tap>>>,
    budget: Budget,
}

/// What a consumer did not get.
#[derive(Clone, Default, Debug)]
pub struct Dropped {
    /// How many entries.
    pub count: u64,
    /// Stream and timestamp (nanoseconds) of the first of them, oldest drop first.
    pub entries: Vec<(Labels, i64)>,
}

/// What came since the tap was drained last.
#[derive(Default)]
pub struct Drained {
    /// Batches of matching entries, in the order of their commits.
    pub batches: Vec<LogBatch>,
    /// What was lost after the last of them at the latest.
    pub dropped: Dropped,
    /// Holds the batches' memory.
    pub held: Option<Reservation>,
}

struct Tap {
    selector: Selector,
    bytes_max: usize,
    queue: Mutex<Queue>,
    closed: AtomicBool,
    wake: Wake,
}

struct Queue {
    batches: VecDeque<LogBatch>,
    space: Reservation,
    /// Accounted for batches, and for drops.
    bytes: (usize, usize),
    dropped: Dropped,
}

/// A consumer's end of a tap; dropping it ends the subscription.
pub struct LogTap(Arc<Tap>);

impl LogTaps {
    /// No taps yet; their queues are counted against `budget`.
    pub fn new(budget: Budget) -> Self {
        LogTaps { taps: RwLock::default(), budget }
    }

    /// Registers a consumer of what `selector` accepts, but not of own streams unless it names their label. At most `bytes_max` wait for it; `wake` is called after something
    /// was queued or dropped. Blocks while a commit is being applied, some milliseconds.
    ///
    /// # Errors
    /// [`OverBudget`]: nothing is left for another queue.
    pub fn subscribe(&self, selector: Selector, bytes_max: usize, wake: Wake) -> Result<LogTap, OverBudget> {
        let queue = Queue {
            batches: VecDeque::new(),
            space: self.budget.reserve(OVERHEAD_BYTES)?,
            bytes: (0, 0),
            dropped: Dropped::default(),
        };
        let selector = selector.hiding_own();
        let tap = Arc::new(Tap { selector, bytes_max, queue: Mutex::new(queue), closed: AtomicBool::new(false), wake });
        let mut taps = self.taps.write();
        taps.retain(|tap| !tap.closed.load(Ordering::Relaxed));
        taps.push(tap.clone());
        Ok(LogTap(tap))
    }

    /// How many consumers there are.
    pub fn listeners(&self) -> usize {
        self.taps.read().iter().filter(|tap| !tap.closed.load(Ordering::Relaxed)).count()
    }

    /// To be held from before the first batch of a commit is offered until the last is applied: no subscription begins
    /// in between.
    pub fn offering(&self) -> Offering<'_> {
        Offering(self.taps.read())
    }
}

/// See [`LogTaps::offering`].
pub struct Offering<'a>(RwLockReadGuard<'a, Vec<Arc<Tap>>>);

impl Offering<'_> {
    /// Offers a durable batch to all taps; how many entries found no room, over all taps.
    pub fn offer(&self, batch: &LogBatch) -> u64 {
        self.0.iter().filter(|tap| !tap.closed.load(Ordering::Relaxed)).map(|tap| tap.offer(batch)).sum()
    }
}

impl Tap {
    /// Copies what matches, as far as it fits; how many entries did not.
    fn offer(&self, batch: &LogBatch) -> u64 {
        let mut queue = self.queue.lock();
        let before = queue.dropped.count;
        let mut copy =
            Copy { room: self.bytes_max.saturating_sub(queue.bytes.0 + OVERHEAD_BYTES), out: LogBatch::new() };
        for stream in batch.streams().filter(|stream| !stream.is_empty()) {
            if let Some(rest) = self.selector.of_stream(stream.labels()) {
                let wanted = stream.entries().filter(|entry| rest.accepts(entry.metadata));
                copy.take(stream.labels(), wanted, &mut queue);
            }
        }
        let wanted = copy.out;
        if wanted.is_empty() && queue.dropped.count == before {
            return 0;
        }
        let bytes = wanted.memory_bytes() + OVERHEAD_BYTES;
        if wanted.is_empty() || queue.space.grow(bytes).is_err() {
            wanted.streams().for_each(|stream| stream.entries().for_each(|e| queue.drop_one(stream.labels(), &e)));
        } else {
            queue.bytes.0 += bytes;
            queue.batches.push_back(wanted);
        }
        let lost = queue.dropped.count - before;
        drop(queue);
        (self.wake)();
        lost
    }
}

/// What is being copied for a tap.
struct Copy {
    /// Bytes that still fit into its queue.
    room: usize,
    out: LogBatch,
}

impl Copy {
    fn take<'a>(&mut self, labels: LabelsRef<'a>, entries: impl Iterator<Item = LogEntry<'a>>, queue: &mut Queue) {
        let mut started = false;
        for entry in entries {
            let head = if started { 0 } else { labels.as_bytes().len() };
            let bytes = head + entry.line.len() + entry.metadata.as_bytes().len() + ENTRY_BYTES;
            if bytes > self.room {
                // Nothing after the first that is lost goes by: what arrives is without holes up to there.
                self.room = 0;
                queue.drop_one(labels, &entry);
                continue;
            }
            if !started {
                self.out.start_stream_encoded(labels);
                started = true;
            }
            self.room -= bytes;
            self.out.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
        }
    }
}

impl Queue {
    fn drop_one(&mut self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) {
        self.dropped.count += 1;
        let bytes = labels.as_bytes().len() + OVERHEAD_BYTES;
        if self.dropped.entries.len() < DROPPED_MAX && self.space.grow(bytes).is_ok() {
            self.bytes.1 += bytes;
            self.dropped.entries.push((labels.to_labels(), entry.timestamp_ns));
        }
    }
}

impl LogTap {
    /// Takes everything that waits; never blocks for longer than a batch is copied.
    pub fn drain(&self) -> Drained {
        let mut queue = self.0.queue.lock();
        let bytes = queue.bytes.0 + queue.bytes.1;
        if bytes == 0 && queue.dropped.count == 0 {
            return Drained::default();
        }
        queue.bytes = (0, 0);
        Drained {
            held: Some(queue.space.split(bytes)),
            batches: queue.batches.drain(..).collect(),
            dropped: std::mem::take(&mut queue.dropped),
        }
    }
}

impl Drop for LogTap {
    fn drop(&mut self) {
        // The list of taps is not touched here: that could wait for a commit, and this may be async code.
        self.0.closed.store(true, Ordering::Relaxed);
        let mut queue = self.0.queue.lock();
        queue.batches = VecDeque::new();
        queue.dropped = Dropped::default();
        queue.space.force_resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OWN_STREAM_LABEL;
    use bramble_runtime::BudgetName;
    use bramble_signal::Matcher;
    use std::sync::atomic::AtomicUsize;

    fn batch(service: &str, lines: usize) -> LogBatch {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", service)]).unwrap();
        for i in 0..lines {
            batch.push_entry(i as i64, b"a line of some length", &mut []).unwrap();
        }
        batch
    }

    fn of(service: &str) -> Selector {
        Selector::new(vec![Matcher::equal("service", service)], &[])
    }

    #[test]
    fn a_tap_gets_what_it_asked_for_and_hears_of_it() {
        let taps = LogTaps::new(Budget::standalone(BudgetName::Query, 1 << 20));
        assert_eq!(taps.offering().offer(&batch("a", 3)), 0, "nobody listens");
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let wake: Wake = Box::new(move || _ = count.fetch_add(1, Ordering::Relaxed));
        let tap = taps.subscribe(of("a"), 1 << 16, wake).unwrap();
        let offering = taps.offering();
        offering.offer(&batch("a", 3));
        offering.offer(&batch("b", 3));
        drop(offering);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let drained = tap.drain();
        assert_eq!((drained.batches.len(), drained.batches[0].entry_count()), (1, 3));
        assert!(tap.drain().batches.is_empty());
        drop(tap);
        assert_eq!(taps.listeners(), 0);
        assert_eq!(taps.offering().offer(&batch("a", 3)), 0);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn own_streams_are_heard_of_by_who_names_them() {
        let taps = LogTaps::new(Budget::standalone(BudgetName::Query, 1 << 20));
        let tap = |matchers| taps.subscribe(Selector::new(matchers, &[]), 1 << 16, Box::new(|| {})).unwrap();
        let (all, own) = (tap(Vec::new()), tap(vec![Matcher::equal(OWN_STREAM_LABEL, "correlations")]));
        let mut mixed = batch("a", 1);
        mixed.start_stream(&mut [(OWN_STREAM_LABEL, "correlations")]).unwrap();
        mixed.push_entry(1, b"x", &mut []).unwrap();
        taps.offering().offer(&mixed);
        let heard =
            |tap: &LogTap| tap.drain().batches.iter().map(|b| b.stream(0).labels().to_string()).collect::<Vec<_>>();
        assert_eq!(heard(&all), [r#"{service="a"}"#]);
        assert_eq!(heard(&own), [r#"{__bramble__="correlations"}"#]);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_remembered() {
        let budget = Budget::standalone(BudgetName::Query, 1 << 20);
        let taps = LogTaps::new(budget.clone());
        let tap = taps.subscribe(of("a"), 4096, Box::new(|| {})).unwrap();
        let lost: u64 = (0..500).map(|_| taps.offering().offer(&batch("a", 10))).sum();
        assert!(lost > 4000 && budget.used_bytes() < 400 << 10, "{lost}, {}", budget.used_bytes());
        let drained = tap.drain();
        let got: usize = drained.batches.iter().map(LogBatch::entry_count).sum();
        assert_eq!(got as u64 + drained.dropped.count, 5000);
        assert_eq!((drained.dropped.count, drained.dropped.entries.len()), (lost, DROPPED_MAX));
        assert_eq!(drained.dropped.entries[0].0.get("service"), Some("a"));
        assert_eq!(taps.offering().offer(&batch("a", 10)), 0, "there is room again");
        let lost = taps.offering().offer(&batch("a", 1000));
        drop(drained);
        let drained = tap.drain();
        let got: usize = drained.batches.iter().map(LogBatch::entry_count).sum();
        assert!(got > 50 && got as u64 + lost == 1010, "of a batch that is too large, as much as fits: {got}");
        drop((drained, tap));
        assert_eq!(budget.used_bytes(), 0);
    }
}
