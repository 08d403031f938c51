//! Statistics of logs of all hubs. What is on several hubs cannot be told from statistics. Where they differ and little is there,
//! entries are counted one by one. Else a stream's entries in a step are those of the hub that has the most: that is exact for
//! streams that one hub alone was told of, and for times when another hub was away; it is too little where, within a step, each
//! has some of a stream that the other has not.

use bramble_signal::Labels;
use bramble_storage::{
    LogSelect, LogSource, MetadataWanted, QueryContext, ReadError, StreamSteps, StreamTotals, TemplateCounts,
};
use std::collections::BTreeMap;

/// Steps into which a range is cut to compare hubs.
const STEPS: i128 = 60;

/// So many entries, over all hubs, are rather read than guessed at: that takes some milliseconds.
const COUNTED_MAX: u64 = 10_000;

/// A step for a range.
pub(super) fn step_ns(start_ns: i64, end_ns: i64) -> i64 {
    let range = (i128::from(end_ns) - i128::from(start_ns)).max(1);
    i64::try_from((range + STEPS - 1) / STEPS).unwrap_or(i64::MAX)
}

/// Whether hubs differ, and have so little that entries can be counted one by one.
pub(super) fn can_be_counted(all: &[Vec<StreamSteps>]) -> bool {
    let differ = all.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    let entries = all.iter().flatten().flat_map(|stream| &stream.steps).map(|(_, entries, _)| entries).sum::<u64>();
    // Of hubs all but one of which have nothing, the sums are right.
    differ && entries <= COUNTED_MAX && all.iter().filter(|hub| !hub.is_empty()).count() > 1
}

/// Counts entries one by one.
///
/// # Errors
/// [`ReadError`].
pub(super) fn count(
    source: &dyn LogSource,
    select: &LogSelect<'_>,
    step_ns: i64,
    context: &QueryContext,
) -> Result<Vec<StreamSteps>, ReadError> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, (u64, u64)>> = BTreeMap::new();
    source.tally(select, MetadataWanted::All, true, context, &mut |run| {
        let metadata: usize = run.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        let of_stream = found.entry(run.labels.to_labels()).or_default();
        for (timestamp_ns, bytes) in run.timestamps_ns.iter().zip(run.line_bytes) {
            let into = timestamp_ns.saturating_sub(select.start_ns);
            let step = of_stream.entry(select.start_ns.saturating_add(into - into % step_ns.max(1))).or_default();
            *step = (step.0 + 1, step.1 + u64::from(*bytes) + metadata as u64);
        }
        Ok(())
    })?;
    Ok(listed(found))
}

/// The larger per stream and step.
pub(super) fn steps(all: Vec<Vec<StreamSteps>>) -> Vec<StreamSteps> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, (u64, u64)>> = BTreeMap::new();
    for stream in all.into_iter().flatten() {
        let of_stream = found.entry(stream.labels).or_default();
        for (start_ns, entries, bytes) in stream.steps {
            let step = of_stream.entry(start_ns).or_default();
            *step = (*step).max((entries, bytes));
        }
    }
    listed(found)
}

fn listed(found: BTreeMap<Labels, BTreeMap<i64, (u64, u64)>>) -> Vec<StreamSteps> {
    let stream = |(labels, steps): (Labels, BTreeMap<i64, (u64, u64)>)| {
        let steps = steps.into_iter().map(|(start_ns, (entries, bytes))| (start_ns, entries, bytes)).collect();
        StreamSteps { labels, steps }
    };
    found.into_iter().map(stream).collect()
}

/// Sums over steps; chunks are this hub's.
pub(super) fn totals(steps: Vec<StreamSteps>, local: &[StreamTotals]) -> Vec<StreamTotals> {
    let total = |stream: StreamSteps| {
        let own = local.binary_search_by(|totals| totals.labels.cmp(&stream.labels)).ok();
        let chunks = own.and_then(|at| local.get(at)).map_or(1, |totals| totals.chunks);
        let entries = stream.steps.iter().map(|(_, entries, _)| entries).sum();
        let bytes = stream.steps.iter().map(|(_, _, bytes)| bytes).sum();
        StreamTotals { labels: stream.labels, chunks, entries, bytes }
    };
    steps.into_iter().map(total).collect()
}

/// Templates of one text in one stream are one.
pub(super) fn templates(all: Vec<Vec<TemplateCounts>>, most: usize) -> Vec<TemplateCounts> {
    let mut found: BTreeMap<(Labels, String), TemplateCounts> = BTreeMap::new();
    for template in all.into_iter().flatten() {
        let key = (template.labels.clone(), template.pattern.clone());
        match found.get_mut(&key) {
            Some(before) => join(before, template),
            None => _ = found.insert(key, template),
        }
    }
    let mut joined: Vec<TemplateCounts> = found.into_values().collect();
    joined.sort_by_key(|template| std::cmp::Reverse(template.count));
    joined.truncate(most);
    joined
}

fn join(before: &mut TemplateCounts, other: TemplateCounts) {
    before.first_ns = before.first_ns.min(other.first_ns);
    before.last_ns = before.last_ns.max(other.last_ns);
    let mut samples: BTreeMap<i64, u64> = before.samples.iter().copied().collect();
    for (start_ns, lines) in other.samples {
        let step = samples.entry(start_ns).or_default();
        *step = (*step).max(lines);
    }
    before.samples = samples.into_iter().collect();
    before.count = before.samples.iter().map(|(_, lines)| lines).sum::<u64>().max(before.count).max(other.count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str, steps: &[(i64, u64, u64)]) -> StreamSteps {
        StreamSteps { labels: Labels::from_pairs([("app", name)]), steps: steps.to_vec() }
    }

    #[test]
    fn of_each_step_the_hub_with_more_counts() {
        let ours = vec![stream("a", &[(0, 5, 50), (10, 1, 10)]), stream("b", &[(0, 1, 1)])];
        let theirs = vec![stream("a", &[(0, 4, 40), (10, 3, 30), (20, 2, 20)]), stream("c", &[(0, 7, 7)])];
        let merged = steps(vec![ours, theirs]);
        assert_eq!(merged[0], stream("a", &[(0, 5, 50), (10, 3, 30), (20, 2, 20)]));
        assert_eq!(merged.len(), 3);
        let own = StreamTotals { labels: Labels::from_pairs([("app", "a")]), chunks: 4, entries: 6, bytes: 60 };
        let totals = totals(merged, &[own]);
        assert_eq!((totals[0].entries, totals[0].bytes, totals[0].chunks, totals[2].chunks), (10, 100, 4, 1));
    }

    #[test]
    fn what_is_little_and_differs_is_counted() {
        let (few, many) = (stream("a", &[(0, 5, 50)]), stream("a", &[(0, COUNTED_MAX, 50)]));
        assert!(can_be_counted(&[vec![few.clone()], vec![stream("a", &[(0, 6, 60)])]]));
        assert!(!can_be_counted(&[vec![few.clone()], vec![few.clone()]]), "the same");
        assert!(!can_be_counted(&[vec![few.clone()], Vec::new()]), "one hub alone");
        assert!(!can_be_counted(&[vec![few], vec![many]]));
    }

    #[test]
    fn steps_cover_any_range() {
        assert_eq!((step_ns(0, 0), step_ns(0, 59), step_ns(0, 61)), (1, 1, 2));
        assert!(step_ns(i64::MIN, i64::MAX) > i64::MAX / 31);
    }

    #[test]
    fn a_template_of_both_is_one() {
        let template = |count, samples: &[(i64, u64)], last_ns| TemplateCounts {
            labels: Labels::from_pairs([("app", "a")]),
            pattern: "x <_>".to_owned(),
            example: b"x 1".to_vec(),
            first_ns: last_ns - 1,
            last_ns,
            count,
            samples: samples.to_vec(),
        };
        let merged = templates(vec![vec![template(5, &[(0, 5)], 9)], vec![template(4, &[(0, 3), (10, 1)], 12)]], 10);
        assert_eq!(merged, [TemplateCounts { first_ns: 8, last_ns: 12, ..template(6, &[(0, 5), (10, 1)], 9) }]);
    }
}
