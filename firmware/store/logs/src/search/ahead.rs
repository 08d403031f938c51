//! How far to look ahead, and looking with several threads.

use crate::chunk::Chunk;
use crate::gather::{Source, Stop, Waiting};
use crate::limits::Metrics;
use crate::search::examine::{Asked, Hits};
use crate::search::selection::Selection;
use bramble_signal::LabelsRef;
use bramble_storage::{QueryContext, QueryStats};
use parking_lot::Mutex;
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most chunks and raw bytes that are examined in one go.
const CHUNKS_MAX: usize = 128;
const RAW_BYTES_MAX: usize = 16 << 20;
/// Below this many raw bytes a second thread costs more than it saves.
const PARALLEL_FROM_BYTES: usize = 1 << 20;
const THREADS_MAX: usize = 4;
/// Rows that are wanted at least, unless the asker says less.
const ROWS_WANTED: usize = 1000;

/// How many chunks are examined in one go: one, and twice as many each time that few entries were found. So at most about as much again is looked at as an answer needed.
pub(crate) struct Ahead {
    chunks: usize,
    most: usize,
    rows_wanted: usize,
}

impl Ahead {
    /// Only queries with tests look ahead: elsewhere examining costs nothing.
    pub(crate) fn new(selection: &Selection, is_query: bool) -> Ahead {
        let most = if is_query && selection.is_selective() { CHUNKS_MAX } else { 1 };
        Ahead { chunks: 1, most, rows_wanted: selection.rows_hint.unwrap_or(ROWS_WANTED).clamp(1, 10_000) }
    }

    /// Whether one more chunk is taken after these.
    pub(crate) fn takes(&self, chunks: usize, raw_bytes: usize) -> bool {
        chunks == 0 || (chunks < self.chunks && raw_bytes < RAW_BYTES_MAX)
    }

    /// Takes note of how many of the last chunks' entries passed.
    pub(crate) fn learn(&mut self, hits: usize, entries: usize) {
        let enough = hits >= self.rows_wanted || hits * 4 > entries;
        let chunks = if enough { self.chunks / 2 } else { self.chunks * 2 };
        self.chunks = chunks.clamp(1, self.most);
    }

    /// Memory is short.
    pub(crate) fn hold_back(&mut self) {
        (self.chunks, self.most) = (1, 1);
    }
}

/// Calls `each` for all of `0..count`, which have so many raw bytes: in this thread and, where it pays, in others.
pub(crate) fn in_parallel<T: Send>(count: usize, raw_bytes: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = (raw_bytes / PARALLEL_FROM_BYTES).min(threads_max()).min(count);
    if threads < 2 {
        return (0..count).map(each).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let work = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                break;
            }
            found.push((at, each(at)));
        }
        done.lock().append(&mut found);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without a second thread this one does it all.
            _ = std::thread::Builder::new().name("log-search".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let mut done = done.into_inner();
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, found)| found).collect()
}

fn threads_max() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX))
}

/// What passes of each chunk; `None` where nothing does.
pub(crate) fn examine(
    batch: &[Waiting],
    selection: &Selection,
    context: Option<&QueryContext>,
    metrics: &Metrics,
) -> Vec<Result<Option<(Chunk, Hits)>, Stop>> {
    let raw_bytes = batch.iter().map(|waiting| waiting.source.raw_bytes()).sum();
    in_parallel(batch.len(), raw_bytes, |at| match batch.get(at) {
        Some(waiting) => examine_one(&waiting.source, waiting.labels(), selection, context, metrics),
        None => Ok(None),
    })
}

/// What passes of the chunk of a source; `None` when nothing does.
pub(crate) fn examine_one(
    source: &Source,
    labels: LabelsRef<'_>,
    selection: &Selection,
    context: Option<&QueryContext>,
    metrics: &Metrics,
) -> Result<Option<(Chunk, Hits)>, Stop> {
    let Some(entries) = selection.of_stream(labels) else { return Ok(None) };
    let asked = Asked { selection, entries: &entries, context };
    context.map_or(Ok(()), QueryContext::check)?;
    let rows = match source {
        Source::Group(group, origin, _) => return origin.open(group, &asked, metrics),
        Source::Head(chunk) => chunk.rows(),
        Source::Rows(rows) => Some(rows.clone()),
        Source::Block(_) => None,
    };
    let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { return Ok(None) };
    if let Some(context) = context {
        QueryStats::add(&context.stats.bytes, rows.raw_bytes() as u64);
        QueryStats::add(&context.stats.items, rows.len() as u64);
    }
    let times = rows.timestamps_ns();
    let times = (times.first().copied().unwrap_or(i64::MIN), times.last().copied().unwrap_or(i64::MAX));
    let chunk = Chunk::Rows(rows);
    let hits = asked.of(&chunk, times, None)?;
    Ok((!hits.is_empty()).then_some((chunk, hits)))
}
