//! One series that several hubs have.

use crate::series::push;
use bramble_signal::{METRIC_NAME, ROLLUP_WIDTH_MS, Rollup, SeriesSamples, histogram_marker};

/// A bucket that is rolled up at one of the hubs, and the hub whose word counts for it.
struct Bucket {
    start_ms: i64,
    owner: usize,
}

/// Names of series that each hub makes from the spans that it was sent (`bramble-derive`).
const COUNTED_BY_EACH: [&str; 4] =
    ["traces_spanmetrics_", "traces_span_metrics_", "traces_service_graph_", "traces_target_info"];

/// Whether hubs count by themselves: two counters that are nearly the same, at other times. One of them must be chosen, since
/// mixed they would seem to be reset all the time.
fn is_counted_by_each(name: &str) -> bool {
    COUNTED_BY_EACH.iter().any(|counted| name.starts_with(counted))
}

/// The series of the hub that has the most of it. That of this hub stays as long as nobody has a tenth more: hubs differ by a
/// sample at the edges of a range, and answers should not change sides for that.
fn fullest<'s>(first: &'s SeriesSamples, all: &[&'s SeriesSamples]) -> &'s SeriesSamples {
    let samples = |series: &SeriesSamples| {
        series.values.len() as u64 + series.rollups.iter().map(|rollup| u64::from(rollup.count)).sum::<u64>()
    };
    let more = |best: &'s SeriesSamples, other: &&'s SeriesSamples| {
        if samples(other) > samples(best) + samples(best) / 10 + 1 { *other } else { best }
    };
    all.iter().fold(first, more)
}

/// Merges series of equal labels; of what is there twice, the first hub's stays. Rollups and samples of one bucket do not mix:
/// they would count twice.
pub(super) fn merge(all: &[&SeriesSamples], out: &mut SeriesSamples) {
    out.clear_samples();
    let Some(first) = all.first() else { return };
    out.labels = first.labels.clone();
    if is_counted_by_each(first.labels.get(METRIC_NAME).unwrap_or_default()) {
        out.clone_from(fullest(first, all));
        return;
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

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::{Labels, Sample, StartChange};

    fn rollup(start_ms: i64, count: u32) -> Rollup {
        let sample = |offset: i64| Sample { timestamp_ms: start_ms + offset, value: 1.0 };
        Rollup {
            start_ms,
            count,
            resets: 0,
            stale: false,
            sum: f64::from(count),
            min: 1.0,
            max: 1.0,
            first: sample(1),
            last: sample(9),
            increase: 0.0,
        }
    }

    fn series(times: impl IntoIterator<Item = i64>, value: f64, rollups: &[Rollup]) -> SeriesSamples {
        let timestamps_ms: Vec<i64> = times.into_iter().collect();
        SeriesSamples {
            labels: Labels::from_pairs([("a", "b")]),
            values: vec![value; timestamps_ms.len()],
            timestamps_ms,
            rollups: rollups.to_vec(),
            ..SeriesSamples::default()
        }
    }

    fn merged(all: &[&SeriesSamples]) -> (Vec<i64>, Vec<f64>, Vec<u32>) {
        let mut out = SeriesSamples::default();
        merge(all, &mut out);
        (out.timestamps_ms, out.values, out.rollups.iter().map(|rollup| rollup.count).collect())
    }

    #[test]
    fn of_a_bucket_the_hub_with_the_most_samples_is_heard() {
        let after = ROLLUP_WIDTH_MS + 1;
        let ours = series([1, 9, after], 1.0, &[rollup(0, 20)]);
        let few = series([2, 3, 9, after + 1], 2.0, &[]);
        assert_eq!(merged(&[&ours, &few]), (vec![1, 9, after, after + 1], vec![1.0, 1.0, 1.0, 2.0], vec![20]));
        assert_eq!(merged(&[&few, &ours]), (vec![1, 9, after, after + 1], vec![1.0, 1.0, 1.0, 2.0], vec![20]));
        // Full resolution is still there, and more of it.
        let many = series((1..=30).chain([after]), 2.0, &[]);
        let all: Vec<i64> = (1..=30).chain([after]).collect();
        let values: Vec<f64> = [2.0; 30].into_iter().chain([1.0]).collect();
        assert_eq!(merged(&[&ours, &many]), (all, values, vec![]));
        let more = series([1, 9], 2.0, &[rollup(0, 21)]);
        assert_eq!(merged(&[&ours, &more]), (vec![1, 9, after], vec![2.0, 2.0, 1.0], vec![21]));
        let same = series([1, 9], 2.0, &[rollup(0, 20)]);
        assert_eq!(merged(&[&ours, &same]), (vec![1, 9, after], vec![1.0; 3], vec![20]));
    }

    #[test]
    fn what_each_hub_counts_is_not_mixed() {
        let named = |name: &str, times: std::ops::Range<i64>| SeriesSamples {
            labels: Labels::from_pairs([(METRIC_NAME, name)]),
            ..series(times, 1.0, &[])
        };
        let name = "traces_spanmetrics_calls_total";
        let (ours, theirs, away) = (named(name, 0..40), named(name, 50..92), named(name, 100..110));
        assert_eq!(merged(&[&ours, &theirs]).0, ours.timestamps_ms);
        assert_eq!(merged(&[&away, &ours]).0, ours.timestamps_ms);
        let other = "traces_of_something";
        assert_eq!(merged(&[&named(other, 0..40), &named(other, 50..92)]).0.len(), 82);
    }

    #[test]
    fn starts_go_with_their_samples() {
        let start = |timestamp_ms, start_ms| StartChange { timestamp_ms, start_ms };
        let mut ours = series([10, 20], 1.0, &[]);
        ours.starts = vec![start(10, 5)];
        let mut theirs = series([10, 15, 30], 2.0, &[]);
        theirs.starts = vec![start(10, 5), start(15, 14), start(30, 5)];
        let mut out = SeriesSamples::default();
        merge(&[&ours, &theirs], &mut out);
        assert_eq!((out.timestamps_ms, out.values), (vec![10, 15, 20, 30], vec![1.0, 2.0, 1.0, 2.0]));
        assert_eq!(out.starts, [start(10, 5), start(15, 14), start(20, 5)]);
    }
}
