//! Reading a selector's series: inline, or on a thread of its own, ahead of the evaluation.
//!
//! Decoding a day of samples takes about as long as what functions make of them. So long ranges are read by a second
//! thread, which is at most a few batches ahead; its batches are held against the query's memory like all else. Short
//! ranges, where starting a thread would cost more than it saves, are read inline.

use super::evaluator::Outcome;
use super::rows::histogram_bytes;
use bramble_signal::{Rollup, SeriesSamples};
use bramble_storage::{MetricSelect, MetricSource, QueryContext, ReadError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// What is done with each series.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&mut SeriesSamples) -> Outcome<()>;

/// Ranges of at least an hour are read ahead: 240 samples per series at the usual 15 s.
const AHEAD_MIN_MS: i64 = 3_600_000;
/// A batch goes over when it has this many series, or bytes: few at first, twice as many with each batch, and never more
/// than an eighth of the memory that is free. What waits is at most a quarter: evaluation needs the rest.
const BATCH_SERIES: usize = 32;
const BATCH_BYTES_MIN: usize = 8 << 10;
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Between two looks whether memory has come back.
const PAUSE: Duration = Duration::from_micros(200);
/// Batches that wait to be evaluated. One more is being filled and one being evaluated.
const BATCHES_WAITING: usize = 2;

/// Memory of a series' columns, bytes.
pub(crate) fn series_bytes(series: &SeriesSamples) -> usize {
    series.values.len() * 16 + histogram_bytes(&series.histograms) + series.rollups.len() * size_of::<Rollup>()
}

/// Gives each series that is selected to `visit`.
pub(crate) fn read(
    source: &dyn MetricSource,
    select: &MetricSelect<'_>,
    context: &QueryContext,
    visit: Visit<'_>,
) -> Outcome<()> {
    let long = select.end_ms.saturating_sub(select.start_ms) >= AHEAD_MIN_MS;
    if long && std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) {
        return read_ahead(source, select, context, visit);
    }
    read_inline(source, select, context, visit)
}

fn read_inline(
    source: &dyn MetricSource,
    select: &MetricSelect<'_>,
    context: &QueryContext,
    visit: Visit<'_>,
) -> Outcome<()> {
    let mut cursor = source.select(select, context)?;
    let mut series = SeriesSamples::default();
    while cursor.next(&mut series)? {
        visit(&mut series)?;
    }
    Ok(())
}

/// Series on their way from the reading thread, and what they hold of the query's memory.
#[derive(Default)]
struct Batch {
    series: Vec<SeriesSamples>,
    /// Of `series` these are filled; the others lend their memory to later ones.
    filled: usize,
    bytes: usize,
}

fn read_ahead(
    source: &dyn MetricSource,
    select: &MetricSelect<'_>,
    context: &QueryContext,
    visit: Visit<'_>,
) -> Outcome<()> {
    let shared = Shared::default();
    std::thread::scope(|scope| {
        let (full, filled) = sync_channel::<Batch>(BATCHES_WAITING);
        let (used, free) = sync_channel::<Batch>(BATCHES_WAITING + 2);
        let reader = std::thread::Builder::new()
            .name("promql-read".to_owned())
            .spawn_scoped(scope, || fill_batches(source, select, context, &shared, full, free));
        // Without a thread to spare it is slower, not wrong.
        let Ok(reader) = reader else { return read_inline(source, select, context, visit) };
        let evaluated = evaluate_batches(&filled, &used, &shared, context, visit);
        let read = reader.join().unwrap_or_else(|_| Err(ReadError::Storage("reading stopped".to_owned())));
        evaluated?;
        Ok(read?)
    })
}

/// What both threads look at.
#[derive(Default)]
struct Shared {
    /// The evaluation is over.
    stop: AtomicBool,
    /// Bytes of batches that are not evaluated yet.
    waiting: AtomicUsize,
}

impl Shared {
    /// Holds a batch's bytes against the query's memory, once there is room.
    fn hold(&self, bytes: usize, context: &QueryContext) -> Result<(), ReadError> {
        while context.try_reserve(bytes).is_err() {
            if self.waiting.load(Ordering::Relaxed) == 0 || self.stop.load(Ordering::Relaxed) {
                context.reserve(bytes)?;
                break;
            }
            context.check()?;
            std::thread::sleep(PAUSE);
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, bytes: usize, context: &QueryContext) {
        context.release(bytes);
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn fill_batches(
    source: &dyn MetricSource,
    select: &MetricSelect<'_>,
    context: &QueryContext,
    shared: &Shared,
    full: SyncSender<Batch>,
    free: Receiver<Batch>,
) -> Result<(), ReadError> {
    let mut cursor = source.select(select, context)?;
    let mut more = true;
    let mut bytes_max = BATCH_BYTES_MIN / 2;
    while more && !shared.stop.load(Ordering::Relaxed) {
        let room = context.free_bytes();
        bytes_max = (bytes_max * 2).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX).min(room / 8);
        if shared.waiting.load(Ordering::Relaxed) > room / 4 {
            context.check()?;
            std::thread::sleep(PAUSE);
            continue;
        }
        let mut batch = free.try_recv().unwrap_or_default();
        (batch.filled, batch.bytes) = (0, 0);
        while batch.filled == 0 || batch.filled < BATCH_SERIES && batch.bytes < bytes_max {
            if batch.filled == batch.series.len() {
                batch.series.push(SeriesSamples::default());
            }
            let Some(series) = batch.series.get_mut(batch.filled) else { break };
            more = cursor.next(series)?;
            if !more {
                break;
            }
            batch.filled += 1;
            batch.bytes += series_bytes(series);
        }
        shared.hold(batch.bytes, context)?;
        let bytes = batch.bytes;
        if full.send(batch).is_err() {
            // Nobody evaluates any more.
            shared.release(bytes, context);
            return Ok(());
        }
    }
    Ok(())
}

fn evaluate_batches(
    filled: &Receiver<Batch>,
    used: &SyncSender<Batch>,
    shared: &Shared,
    context: &QueryContext,
    visit: Visit<'_>,
) -> Outcome<()> {
    let mut outcome = Ok(());
    for mut batch in filled {
        outcome = batch.series.iter_mut().take(batch.filled).try_for_each(&mut *visit);
        shared.release(batch.bytes, context);
        if outcome.is_err() {
            shared.stop.store(true, Ordering::Relaxed);
            break;
        }
        // A reader that is done has no use for it.
        let _ = used.try_send(batch);
    }
    // What was read meanwhile is given back, until the reader has stopped.
    filled.iter().for_each(|batch| shared.release(batch.bytes, context));
    outcome
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
mod tests {
    use super::*;
    use crate::QueryError;
    use bramble_runtime::{Budget, BudgetName, Cancel};
    use bramble_signal::MetricBatch;
    use bramble_storage::memory::MemoryMetrics;

    fn store(series: usize) -> MemoryMetrics {
        let store = MemoryMetrics::new();
        for i in 0..series {
            let mut batch = MetricBatch::new();
            batch.start_series(&mut [("__name__", "x"), ("i", &format!("{i:04}"))]).unwrap();
            (0..300).for_each(|t| batch.push_sample(t * 15_000, i as f64));
            store.load(batch);
        }
        store
    }

    fn select() -> MetricSelect<'static> {
        MetricSelect { matchers: &[], start_ms: 0, end_ms: 2 * AHEAD_MIN_MS }
    }

    #[test]
    fn both_ways_give_the_same() {
        let (store, context) = (store(100), QueryContext::unlimited());
        let mut ahead = Vec::new();
        let mut inline = Vec::new();
        let gather = |all: &mut Vec<SeriesSamples>, series: &mut SeriesSamples| {
            all.push(series.clone());
            Ok(())
        };
        read_ahead(&store, &select(), &context, &mut |s| gather(&mut ahead, s)).unwrap();
        read_inline(&store, &select(), &context, &mut |s| gather(&mut inline, s)).unwrap();
        assert_eq!(ahead.len(), 100);
        assert_eq!(ahead, inline);
    }

    #[test]
    fn an_error_stops_the_reader_and_gives_memory_back() {
        let store = store(200);
        let budget = Budget::standalone(BudgetName::Query, 4 << 20);
        let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
        let mut left = 10;
        let outcome = read_ahead(&store, &select(), &context, &mut |_| {
            left -= 1;
            if left == 0 { Err(QueryError::TooManySamples) } else { Ok(()) }
        });
        assert_eq!(outcome, Err(QueryError::TooManySamples));
        assert_eq!(budget.used_bytes(), 0);
    }
}
