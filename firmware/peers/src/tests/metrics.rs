//! Series of which parts are here and there.

use super::contract::split_metrics;
use super::{Hub, peers};
use crate::merge::MergedMetrics;
use bramble_signal::histogram::{BucketSpan, NativeHistogram};
use bramble_signal::{Exemplar, Labels, Matcher, MetricBatch, MetricKind, MetricMetadata, SeriesSamples};
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{MetricSelect, MetricSource, QueryContext};
use proptest::prelude::*;
use std::sync::Arc;

fn all(source: &dyn MetricSource, select: &MetricSelect<'_>) -> Vec<SeriesSamples> {
    let context = QueryContext::unlimited();
    let mut cursor = source.select(select, &context).unwrap();
    let (mut found, mut one) = (Vec::new(), SeriesSamples::default());
    while cursor.next(&mut one).unwrap() {
        // By their bits: a NaN equals itself.
        found.push(one.clone());
    }
    assert_eq!(context.warnings(), [""; 0]);
    found
}

fn histogram(n: u32) -> NativeHistogram {
    NativeHistogram {
        schema: 3,
        count: f64::from(n),
        sum: f64::from(n) / 3.0,
        positive_spans: vec![BucketSpan { offset: 1, length: 1 }],
        positive_counts: vec![f64::from(n)],
        ..NativeHistogram::default()
    }
}

#[derive(Clone, Debug)]
struct Written {
    series: u8,
    at: i64,
    value: Option<f64>,
    start: i64,
}

fn written() -> impl Strategy<Value = Written> {
    let value = prop_oneof![
        3 => any::<f64>().prop_map(Some),
        1 => Just(Some(bramble_signal::stale_marker())),
        1 => Just(None),
    ];
    (0..6u8, 0..200i64, value, prop_oneof![Just(0i64), 1..3i64]).prop_map(|(series, at, value, start)| Written {
        series,
        at,
        value,
        start,
    })
}

fn batch(all: &[Written]) -> MetricBatch {
    let mut batch = MetricBatch::new();
    for one in all {
        let name = format!("series-{}", one.series);
        batch.start_series(&mut [("__name__", &name), ("job", "j")]).unwrap();
        batch.set_start(one.start);
        match one.value {
            Some(value) => batch.push_sample(one.at, value),
            None => batch.push_histogram(one.at, histogram(one.at as u32)),
        }
        if one.at % 5 == 0 {
            let labels = Labels::from_pairs([("trace_id", "ab")]);
            batch.push_exemplar(Exemplar { labels, value: 1.0, timestamp_ms: one.at });
        }
    }
    batch
}

/// Labels, samples, histograms and starts.
type Bits = (Labels, Vec<(i64, u64)>, Vec<NativeHistogram>, Vec<(i64, i64)>);

fn bits(found: &[SeriesSamples]) -> Vec<Bits> {
    let of = |series: &SeriesSamples| {
        let values = series.timestamps_ms.iter().zip(&series.values).map(|(t, v)| (*t, v.to_bits())).collect();
        let starts = series.starts.iter().map(|s| (s.timestamp_ms, s.start_ms)).collect();
        (series.labels.clone(), values, series.histograms.clone(), starts)
    };
    found.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_split_answers_as_the_whole(all_written in prop::collection::vec(written(), 0..60), seed in any::<u64>(), three in any::<bool>()) {
        let whole = MemoryMetrics::new();
        // One at a time in the order written: of two at one time the last stays, wherever it is.
        let (ours, theirs, thirds) = (Arc::new(Hub::default()), Arc::new(Hub::default()), Arc::new(Hub::default()));
        for one in &all_written {
            let batch = batch(std::slice::from_ref(one));
            let [here, there] = split_metrics(seed, &batch);
            ours.metrics.load(here);
            theirs.metrics.load(there.clone());
            thirds.metrics.load(there);
            whole.load(batch);
        }
        let hubs = if three { vec![theirs, thirds] } else { vec![theirs] };
        let merged = MergedMetrics::new(ours.metrics.clone(), peers(&hubs));
        let context = QueryContext::unlimited();
        let one = [Matcher::new("__name__", bramble_signal::MatchOp::Regex, "series-[0-3]").unwrap()];
        for (matchers, start_ms, end_ms) in [(&[][..], 0, 300), (&one[..], 20, 90)] {
            let select = MetricSelect { matchers, start_ms, end_ms };
            prop_assert_eq!(bits(&all(&merged, &select)), bits(&all(&whole, &select)));
            prop_assert_eq!(merged.series(&select, &context).unwrap(), whole.series(&select, &context).unwrap());
            prop_assert_eq!(merged.label_names(&select, &context).unwrap(), whole.label_names(&select, &context).unwrap());
            let names = |source: &dyn MetricSource| source.label_values("__name__", &select, &context).unwrap();
            prop_assert_eq!(names(&merged), names(&whole));
            let (some, more) = merged.some_label_values("__name__", &select, 2, &context).unwrap();
            prop_assert_eq!((some.len(), more), (names(&whole).len().min(2), names(&whole).len() > 2));
            prop_assert_eq!(merged.exemplars(&select, &context).unwrap(), whole.exemplars(&select, &context).unwrap());
        }
        prop_assert_eq!(context.warnings(), Vec::<String>::new());
    }
}

#[test]
fn long_series_come_in_parts_and_are_one() {
    let (ours, theirs) = (Arc::new(Hub::default()), Arc::new(Hub::default()));
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "long")]).unwrap();
    (0..50_000).for_each(|t| batch.push_sample(t, (t * 7919 % 1000) as f64));
    theirs.metrics.load(batch);
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "long")]).unwrap();
    batch.push_sample(60_000, 1.0);
    ours.metrics.load(batch);
    let merged = MergedMetrics::new(ours.metrics.clone(), peers(&[theirs]));
    let found = all(&merged, &MetricSelect { matchers: &[], start_ms: 0, end_ms: 100_000 });
    assert_eq!((found.len(), found[0].values.len()), (1, 50_001));
}

#[test]
fn metadata_of_both_is_one_list_and_ours_stays() {
    let (ours, theirs) = (Arc::new(Hub::default()), Arc::new(Hub::default()));
    let family = |name: &str, help: &str| {
        let mut batch = MetricBatch::new();
        let (name, help) = (name.to_owned(), help.to_owned());
        batch.metadata.push(MetricMetadata { name, kind: MetricKind::Counter, help, unit: String::new() });
        batch
    };
    ours.metrics.load(family("a", "ours"));
    theirs.metrics.load(family("a", "theirs"));
    theirs.metrics.load(family("b", "theirs"));
    let merged = MergedMetrics::new(ours.metrics.clone(), peers(&[theirs]));
    let found: Vec<_> = merged.metadata().into_iter().map(|m| (m.name, m.help)).collect();
    assert_eq!(found, [("a".to_owned(), "ours".to_owned()), ("b".to_owned(), "theirs".to_owned())]);
}
