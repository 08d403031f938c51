//! Entries and bytes per stream, from the index of blocks and the heads' chunks. No page is read, unless a matcher is
//! about something that only entries have.
//!
//! A chunk (page group, chunk of a head) that lies across the edge of a range or of a step counts by its share of
//! time, in such a way that the shares of all steps add up to the whole. What of a head is not compressed yet is counted entry by
//! entry. Entries that were sent twice count twice until the day's merge.

use super::{last_of, report};
use crate::gather::accepts;
use crate::head::{Generation, StreamHead};
use crate::store::LogStore;
use crate::volume::VolumeCounter;
use bramble_signal::{Labels, Matcher};
use bramble_storage::{
    BlockMeta, LogSelect, LogSource, MetadataWanted, QueryContext, QueryStats, ReadError, StreamSteps, StreamTotals,
    may_be_of_class,
};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What an answer holds per stream beside its labels.
const STREAM_BYTES: usize = 128;

/// Some entries of one stream, spread evenly over `min_ns..=max_ns`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) min_ns: i64,
    pub(super) max_ns: i64,
    pub(super) chunks: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Facts {
    fn meets(&self, (start_ns, last_ns): (i64, i64)) -> bool {
        self.min_ns <= last_ns && self.max_ns >= start_ns
    }

    /// How many of `n` lie in `start_ns..=last_ns`.
    fn share(&self, n: u64, (start_ns, last_ns): (i64, i64)) -> u64 {
        let length = i128::from(self.max_ns) - i128::from(self.min_ns) + 1;
        // How many lie before a time: what ends one step begins the next, so nothing is lost to rounding.
        let before = |time: i128| {
            let passed = (time - i128::from(self.min_ns)).clamp(0, length);
            u128::from(n) * passed.unsigned_abs() / length.unsigned_abs()
        };
        (before(i128::from(last_ns) + 1) - before(i128::from(start_ns))) as u64
    }
}

/// Calls `each` for what every matching stream has in `range` (inclusive), in no certain order.
fn walk(
    store: &LogStore,
    matchers: &[Matcher],
    range: (i64, i64),
    whole: &dyn Fn((i64, i64)) -> bool,
    context: &QueryContext,
    each: &mut dyn FnMut(&Labels, &Facts) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut of_heads = Vec::new();
    let state = store.state.read();
    head_facts(&state.active, matchers, range, whole, &mut of_heads);
    let (frozen, blocks) = (state.frozen.clone(), state.blocks.clone());
    drop(state);
    if let Some(frozen) = frozen {
        head_facts(&frozen, matchers, range, whole, &mut of_heads);
    }
    for (labels, facts) in &of_heads {
        each(labels, facts)?;
    }
    let meets = |block: &BlockMeta| block.min_time_ns <= range.1 && block.max_time_ns >= range.0;
    for block in blocks.iter().filter(|b| meets(&b.meta) && may_be_of_class(matchers, b.meta.class)) {
        context.check()?;
        QueryStats::add(&context.stats.blocks, 1);
        let index = match block.index(range, |labels| accepts(labels, matchers)) {
            Ok(index) => index,
            Err(error) => {
                report(block, "its index", &error, &store.metrics, context);
                continue;
            }
        };
        for stream in &index.streams {
            for group in &stream.groups {
                let facts = Facts {
                    min_ns: group.min_time_ns,
                    max_ns: group.max_time_ns.max(group.min_time_ns),
                    chunks: 1,
                    entries: group.entries,
                    bytes: group.volume_bytes,
                };
                each(&stream.labels, &facts)?;
            }
        }
    }
    Ok(())
}

/// What a generation has in `range`; `whole` says of which spans the share need not be known.
fn head_facts(
    generation: &Generation,
    matchers: &[Matcher],
    range: (i64, i64),
    whole: &dyn Fn((i64, i64)) -> bool,
    out: &mut Vec<(Labels, Facts)>,
) {
    for stream in generation.streams.iter().filter(|s| accepts(s.labels.as_ref(), matchers)) {
        for chunk in &stream.chunks {
            let facts = Facts {
                min_ns: chunk.min_time_ns,
                max_ns: chunk.max_time_ns,
                chunks: 1,
                entries: chunk.entries.into(),
                bytes: chunk.volume_bytes,
            };
            if facts.meets(range) {
                out.push((stream.labels.clone(), facts));
            }
        }
        open_facts(stream, range, whole, out);
    }
}

fn open_facts(
    stream: &StreamHead,
    range: (i64, i64),
    whole: &dyn Fn((i64, i64)) -> bool,
    out: &mut Vec<(Labels, Facts)>,
) {
    let (rows, times) = (&stream.open, stream.open.timestamps_ns());
    let (Some(&min_ns), Some(&max_ns)) = (times.iter().min(), times.iter().max()) else { return };
    let all = Facts { min_ns, max_ns, chunks: 1, entries: rows.len() as u64, bytes: rows.volume_bytes() };
    if whole((min_ns, max_ns)) {
        out.push((stream.labels.clone(), all));
        return;
    }
    let (mut chunks, mut counter) = (1, VolumeCounter::default());
    for (at, &time_ns) in times.iter().enumerate().filter(|(_, t)| (range.0..=range.1).contains(*t)) {
        let bytes = rows.count_volume(at, &mut counter);
        out.push((stream.labels.clone(), Facts { min_ns: time_ns, max_ns: time_ns, chunks, entries: 1, bytes }));
        chunks = 0;
    }
}

/// Whether a matcher may be about what entries have beside their stream: then they are looked at one by one.
pub(super) fn needs_entries(store: &LogStore, matchers: &[Matcher]) -> bool {
    !matchers.is_empty() && {
        let floating = store.floating_names();
        matchers.iter().any(|m| floating.binary_search(&m.name).is_ok())
    }
}

/// Calls `each` with the stream, time and size of every entry that matches.
fn by_entry(
    store: &LogStore,
    matchers: &[Matcher],
    (start_ns, end_ns): (i64, i64),
    context: &QueryContext,
    each: &mut dyn FnMut(&Labels, i64, u64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let select = LogSelect { matchers, start_ns, end_ns, ..LogSelect::default() };
    let (mut labels, mut counter) = (Labels::empty(), VolumeCounter::default());
    store.tally(&select, MetadataWanted::All, true, context, &mut |run| {
        if labels.as_bytes() != run.labels.as_bytes() {
            labels = run.labels.to_labels();
        }
        for (&time_ns, &line) in run.timestamps_ns.iter().zip(run.line_bytes) {
            each(&labels, time_ns, counter.add(line as usize, run.metadata))?;
        }
        Ok(())
    })
}

/// [`LogSource::totals`].
pub(crate) fn totals(
    store: &LogStore,
    matchers: &[Matcher],
    (start_ns, end_ns): (i64, i64),
    context: &QueryContext,
) -> Result<Vec<StreamTotals>, ReadError> {
    let Some(last_ns) = last_of(start_ns, end_ns) else { return Ok(Vec::new()) };
    let mut found: BTreeMap<Labels, StreamTotals> = BTreeMap::new();
    let mut add = |labels: &Labels, chunks: u64, entries: u64, bytes: u64| -> Result<(), ReadError> {
        if entries == 0 {
            return Ok(());
        }
        if !found.contains_key(labels) {
            context.reserve(labels.as_bytes().len() + STREAM_BYTES)?;
            let none = StreamTotals { labels: labels.clone(), chunks: 0, entries: 0, bytes: 0 };
            found.insert(labels.clone(), none);
        }
        if let Some(sums) = found.get_mut(labels) {
            sums.chunks += chunks;
            sums.entries += entries;
            sums.bytes += bytes;
        }
        Ok(())
    };
    let range = (start_ns, last_ns);
    if needs_entries(store, matchers) {
        by_entry(store, matchers, (start_ns, end_ns), context, &mut |labels, _, bytes| add(labels, 0, 1, bytes))?;
        found.values_mut().for_each(|sums| sums.chunks = 1);
    } else {
        let inside = |(min, max): (i64, i64)| start_ns <= min && max <= last_ns;
        walk(store, matchers, range, &inside, context, &mut |labels, facts| {
            add(labels, facts.chunks, facts.share(facts.entries, range), facts.share(facts.bytes, range))
        })?;
    }
    context.stats.series.fetch_add(found.len() as u64, Ordering::Relaxed);
    Ok(found.into_values().collect())
}

/// Sums of one stream by number of step.
type Steps = BTreeMap<i64, (u64, u64)>;

/// [`LogSource::totals_by_step`].
pub(crate) fn totals_by_step(
    store: &LogStore,
    matchers: &[Matcher],
    (start_ns, end_ns): (i64, i64),
    step_ns: i64,
    context: &QueryContext,
) -> Result<Vec<StreamSteps>, ReadError> {
    let (Some(last_ns), step_ns) = (last_of(start_ns, end_ns), step_ns.max(1)) else { return Ok(Vec::new()) };
    let step_of = |time_ns: i64| ((i128::from(time_ns) - i128::from(start_ns)) / i128::from(step_ns)) as i64;
    let start_of = |step: i64| start_ns.saturating_add(step.saturating_mul(step_ns));
    let mut found: BTreeMap<Labels, Steps> = BTreeMap::new();
    let mut add = |labels: &Labels, step: i64, entries: u64, bytes: u64| -> Result<(), ReadError> {
        if entries == 0 {
            return Ok(());
        }
        if !found.contains_key(labels) {
            context.reserve(labels.as_bytes().len() + STREAM_BYTES)?;
            found.insert(labels.clone(), Steps::new());
        }
        let Some(steps) = found.get_mut(labels) else { return Ok(()) };
        if !steps.contains_key(&step) {
            context.reserve(3 * size_of::<(i64, u64, u64)>())?;
        }
        let sums = steps.entry(step).or_default();
        *sums = (sums.0 + entries, sums.1 + bytes);
        Ok(())
    };
    if needs_entries(store, matchers) {
        by_entry(store, matchers, (start_ns, end_ns), context, &mut |labels, time_ns, bytes| {
            add(labels, step_of(time_ns), 1, bytes)
        })?;
    } else {
        let inside = |(min, max): (i64, i64)| start_ns <= min && max <= last_ns && step_of(min) == step_of(max);
        walk(store, matchers, (start_ns, last_ns), &inside, context, &mut |labels, facts| {
            let steps = step_of(facts.min_ns.max(start_ns))..=step_of(facts.max_ns.min(last_ns));
            for step in steps {
                let of_step = (start_of(step), start_of(step + 1).saturating_sub(1).min(last_ns));
                add(labels, step, facts.share(facts.entries, of_step), facts.share(facts.bytes, of_step))?;
            }
            Ok(())
        })?;
    }
    let steps = |steps: Steps| steps.into_iter().map(|(step, sums)| (start_of(step), sums.0, sums.1)).collect();
    Ok(found.into_iter().map(|(labels, of)| StreamSteps { labels, steps: steps(of) }).collect())
}

#[cfg(test)]
mod unit {
    use super::Facts;

    #[test]
    fn shares_add_up() {
        let facts = Facts { min_ns: -7, max_ns: 995, chunks: 1, entries: 1000, bytes: 0 };
        for step in [1, 3, 10, 334, 5000] {
            let sum: u64 =
                (0..=1100 / step).map(|n| facts.share(1000, (-50 + n * step, -50 + (n + 1) * step - 1))).sum();
            assert_eq!(sum, 1000, "{step}");
        }
        assert_eq!(facts.share(1000, (i64::MIN, i64::MAX)), 1000);
        let point = Facts { min_ns: 5, max_ns: 5, chunks: 1, entries: 3, bytes: 0 };
        assert_eq!((point.share(3, (5, 5)), point.share(3, (6, 9)), point.share(3, (0, 4))), (3, 0, 0));
        let all = Facts { min_ns: i64::MIN, max_ns: i64::MAX, chunks: 1, entries: u64::MAX, bytes: 0 };
        assert!(all.share(u64::MAX, (i64::MIN, -1)) > u64::MAX / 2 - 2);
    }
}
