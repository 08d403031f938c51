//! One series that several hubs have.

use crate::series::push;
use bramble_signal::{ROLLUP_WIDTH_MS, Rollup, SeriesSamples, histogram_marker};

/// A bucket that is rolled up at one of the hubs, and the hub whose word counts for it.
struct Bucket {
    start_ms: i64,
    owner: usize,
}

/// Merges series of equal labels; of what is there twice, the first hub's stays. Rollups and samples of one bucket do not mix:
/// they would count twice.
pub(super) fn merge(all: &[&SeriesSamples], out: &mut SeriesSamples) {
    out.clear_samples();
    if let Some(first) = all.first() {
        out.labels = first.labels.clone();
    }
    let buckets = buckets(all);
    for bucket in &buckets {
        let owned = all.get(bucket.owner).and_then(|series| rollup_of(series, bucket.start_ms));
        out.rollups.extend(owned);
    }
    let mut places = vec![0; all.len()];
    let mut starts = vec![(0, 0); all.len()];
    while let Some((hub, timestamp_ms)) = next_of(all, &places) {
        let (Some(series), Some(place)) = (all.get(hub), places.get(hub).copied()) else { break };
        // The same time of others goes with it.
        for (series, place) in all.iter().zip(&mut places) {
            *place += usize::from(series.timestamps_ms.get(*place) == Some(&timestamp_ms));
        }
        let start_ms = starts.get_mut(hub).map_or(0, |state| start_of(series, timestamp_ms, state));
        let mut hub_of_value = Some((series, place, start_ms));
        if let Some(bucket) = bucket_of(&buckets, timestamp_ms)
            && bucket.owner != hub
        {
            // Not the hub whose word counts here; its own sample of that time, if it has one, is the one to take.
            hub_of_value = all.get(bucket.owner).and_then(|owner| {
                let place = owner.timestamps_ms.binary_search(&timestamp_ms).ok()?;
                let state = starts.get_mut(bucket.owner)?;
                Some((owner, place, start_of(owner, timestamp_ms, state)))
            });
        }
        let Some((series, place, start_ms)) = hub_of_value else { continue };
        let Some(mut value) = series.values.get(place).copied() else { continue };
        if let Some(histogram) = series.histogram(value) {
            value = histogram_marker(out.histograms.len() as u32);
            out.histograms.push(histogram.clone());
        }
        push(out, (timestamp_ms, value), start_ms);
    }
}

/// The hub with the earliest sample that is left, the first of several, and the time.
fn next_of(all: &[&SeriesSamples], places: &[usize]) -> Option<(usize, i64)> {
    let times = all.iter().zip(places).map(|(series, place)| series.timestamps_ms.get(*place));
    let earliest = times.enumerate().filter_map(|(hub, time)| time.map(|time| (*time, hub))).min()?;
    Some((earliest.1, earliest.0))
}

/// When the count of the sample at this time began. `state`: place in the list of starts, and what was said last; times
/// must ascend.
fn start_of(series: &SeriesSamples, timestamp_ms: i64, state: &mut (usize, i64)) -> i64 {
    while let Some(change) = series.starts.get(state.0).filter(|change| change.timestamp_ms <= timestamp_ms) {
        *state = (state.0 + 1, change.start_ms);
    }
    state.1
}

fn rollup_of(series: &SeriesSamples, start_ms: i64) -> Option<Rollup> {
    let at = series.rollups.binary_search_by_key(&start_ms, |rollup| rollup.start_ms).ok()?;
    series.rollups.get(at).copied()
}

fn buckets(all: &[&SeriesSamples]) -> Vec<Bucket> {
    let mut starts: Vec<i64> = all.iter().flat_map(|s| s.rollups.iter().map(|rollup| rollup.start_ms)).collect();
    starts.sort_unstable();
    starts.dedup();
    let count = |series: &SeriesSamples, start_ms: i64| match rollup_of(series, start_ms) {
        Some(rollup) => u64::from(rollup.count),
        None => {
            let times = &series.timestamps_ms;
            let end_ms = start_ms.saturating_add(ROLLUP_WIDTH_MS);
            (times.partition_point(|t| *t <= end_ms) - times.partition_point(|t| *t <= start_ms)) as u64
        }
    };
    let bucket = |start_ms: i64| {
        // The first of those with the most.
        let most =
            all.iter().enumerate().max_by_key(|(hub, series)| (count(series, start_ms), std::cmp::Reverse(*hub)));
        Bucket { start_ms, owner: most.map_or(0, |(hub, _)| hub) }
    };
    starts.into_iter().map(bucket).collect()
}

fn bucket_of(buckets: &[Bucket], timestamp_ms: i64) -> Option<&Bucket> {
    let after = buckets.partition_point(|bucket| bucket.start_ms < timestamp_ms);
    let bucket = buckets.get(after.checked_sub(1)?)?;
    (timestamp_ms <= bucket.start_ms.saturating_add(ROLLUP_WIDTH_MS)).then_some(bucket)
}
