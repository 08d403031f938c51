//! Histograms, starts and exemplars against the naive model, wherever they are.

use crate::MetricLimits;
use crate::tests::{Bench, flush, merge};
use bramble_signal::{
    BucketSpan, Exemplar, Labels, MetricBatch, NativeHistogram, SeriesExemplars, SeriesSamples, StartChange,
};
use bramble_storage::contract::BASE_MS;
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{BlockStore, MetricSelect, MetricSink, MetricSource, QueryContext, RejectReason};
use proptest::prelude::*;

/// Layouts that a histogram of a series may have.
fn histogram(layout: u8, n: u32) -> NativeHistogram {
    let counts: Vec<f64> = (0..=u32::from(layout)).map(|bucket| f64::from(n * bucket)).collect();
    NativeHistogram {
        schema: if layout == 3 { -53 } else { 2 },
        count: counts.iter().sum(),
        sum: f64::from(n) / 8.0,
        positive_spans: vec![BucketSpan { offset: i32::from(layout), length: counts.len() as u32 }],
        custom_bounds: if layout == 3 { vec![0.1, 1.0, 7.0, 9.0, 10.0, 11.0, 12.0] } else { vec![] },
        positive_counts: counts,
        ..NativeHistogram::default()
    }
}

type Entry = (u8, u8, Vec<(u16, u8, u8)>, Vec<u8>);

fn batch_of(entries: &[Entry]) -> MetricBatch {
    let mut batch = MetricBatch::new();
    for (series, start, samples, exemplars) in entries {
        batch.start_series(&mut [("__name__", "m"), ("n", &series.to_string())]).unwrap();
        batch.set_start(if *start < 3 { 0 } else { BASE_MS - i64::from(*start) });
        for &(at, form, n) in samples {
            // A sample's start is part of it: one time has one.
            let at = BASE_MS + (i64::from(at) * 8 + i64::from(*start)) * 50_000;
            match form {
                0..4 => batch.push_histogram(at, histogram(form, u32::from(n))),
                _ => batch.push_sample(at, f64::from(n)),
            }
        }
        for &at in exemplars {
            let labels = Labels::from_pairs([("trace_id", at.to_string().as_str())]);
            let timestamp_ms = BASE_MS + i64::from(at) * 400_000;
            batch.push_exemplar(Exemplar { labels, value: f64::from(at), timestamp_ms });
        }
    }
    batch
}

type Told = (Labels, Vec<(i64, Result<NativeHistogram, u64>)>, Vec<StartChange>);

fn told(source: &dyn MetricSource, range: (i64, i64)) -> Vec<Told> {
    let context = QueryContext::unlimited();
    let select = MetricSelect { matchers: &[], start_ms: range.0, end_ms: range.1 };
    let mut cursor = source.select(&select, &context).unwrap();
    let (mut all, mut one) = (Vec::new(), SeriesSamples::default());
    while cursor.next(&mut one).unwrap() {
        let of = |(t, v): (&i64, &f64)| (*t, one.histogram(*v).cloned().ok_or(v.to_bits()));
        let samples = one.timestamps_ms.iter().zip(&one.values).map(of).collect();
        all.push((one.labels.clone(), samples, one.starts.clone()));
    }
    all
}

fn exemplars(source: &dyn MetricSource, range: (i64, i64)) -> Vec<SeriesExemplars> {
    let select = MetricSelect { matchers: &[], start_ms: range.0, end_ms: range.1 };
    let mut all = source.exemplars(&select, &QueryContext::unlimited()).unwrap();
    all.iter_mut().for_each(|s| s.exemplars.sort_by_key(|e| e.timestamp_ms));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn as_the_model_has_it(
        batches in proptest::collection::vec(
            (proptest::collection::vec((0u8..3, 0u8..8, proptest::collection::vec((0u16..200, 0u8..6, 0u8..20), 0..12), proptest::collection::vec(0u8..200, 0..3)), 1..5), 0u8..6),
            1..8,
        ),
        from in 0i64..150,
    ) {
        let (mut bench, model) = (Bench::new(), MemoryMetrics::new());
        for (entries, then) in &batches {
            let batch = batch_of(entries);
            model.load(batch.clone());
            bench.write(batch);
            match then {
                0 => bench.flush(),
                1 => { bench.flush(); bench.merge(); }
                2 => { bench.store.freeze(9); }
                3 => bench.reopen(),
                _ => {}
            }
            if *then == 2 {
                // What is frozen is written before the next freeze.
                let range = (BASE_MS, BASE_MS + 200_000_000);
                prop_assert_eq!(told(&bench.store, range), told(&model, range));
                let mut next = || bench.next_id();
                let written = BlockStore::write_frozen(&bench.store, &mut next).unwrap();
                BlockStore::swap(&bench.store, &written, &[], true).unwrap();
                bench.blocks.borrow_mut().extend(written);
            }
            for range in [(i64::MIN / 4, i64::MAX / 4), (BASE_MS + from * 500_000, BASE_MS + (from + 40) * 500_000)] {
                prop_assert_eq!(told(&bench.store, range), told(&model, range));
            }
        }
        let range = (BASE_MS, BASE_MS + 100_000_000);
        // What came without a sample in the head goes with the head; the model keeps it.
        let kept = exemplars(&bench.store, range);
        let all = exemplars(&model, range);
        for series in &kept {
            let model = all.iter().find(|s| s.labels == series.labels);
            prop_assert!(model.is_some_and(|m| series.exemplars.iter().all(|e| m.exemplars.contains(e))));
        }
    }
}

#[test]
fn an_exemplar_outlives_flush_merge_and_restart() {
    let mut bench = Bench::new();
    bench.write(batch_of(&[(0, 0, vec![(0, 9, 1)], vec![1, 2])]));
    bench.write(batch_of(&[(1, 0, vec![], vec![3])]));
    let wanted = exemplars(&bench.store, (BASE_MS, i64::MAX));
    assert_eq!(wanted.iter().map(|s| s.exemplars.len()).collect::<Vec<_>>(), [2, 1]);
    bench.flush();
    assert_eq!(exemplars(&bench.store, (BASE_MS, i64::MAX)), wanted);
    // Sent again, they are there once.
    bench.write(batch_of(&[(0, 0, vec![(1, 9, 1)], vec![1, 2])]));
    assert_eq!(exemplars(&bench.store, (BASE_MS, i64::MAX)), wanted);
    bench.flush();
    bench.merge();
    bench.reopen();
    assert_eq!(exemplars(&bench.store, (BASE_MS, i64::MAX)), wanted);
    assert!(exemplars(&bench.store, (BASE_MS, BASE_MS + 10)).is_empty());
}

#[test]
fn a_long_series_of_histograms_is_read_in_part() {
    let bench = Bench::new();
    for round in 0..3u32 {
        let mut batch = MetricBatch::new();
        for series in 0..20 {
            batch.start_series(&mut [("__name__", "m"), ("n", &series.to_string())]).unwrap();
            for i in 0..400 {
                let n = round * 400 + i;
                batch.push_histogram(BASE_MS + i64::from(n) * 15_000, histogram((n / 500) as u8, n));
            }
        }
        bench.write(batch);
        flush(&bench.store, &bench.blocks, &bench.next);
    }
    merge(&bench.store, &bench.blocks, &bench.next, u64::MAX);
    let range = (BASE_MS + 499 * 15_000, BASE_MS + 1000 * 15_000);
    for (_, samples, _) in told(&bench.store, range) {
        assert_eq!(samples.len(), 502);
        for (place, (_, found)) in samples.iter().enumerate() {
            let n = 499 + place as u32;
            assert_eq!(found.as_ref().unwrap(), &histogram((n / 500) as u8, n));
        }
    }
}

#[test]
fn a_histogram_that_comes_twice_is_kept_once_and_counted_in_memory() {
    let bench = Bench::new();
    let before = BlockStore::head(&bench.store).total_bytes;
    let batch = batch_of(&[(0, 4, vec![(0, 3, 9), (1, 3, 10)], vec![])]);
    bench.write(batch.clone());
    assert!(BlockStore::head(&bench.store).total_bytes > before + 200);
    bench.write(batch_of(&[(0, 4, vec![(1, 3, 10)], vec![])]));
    assert_eq!(BlockStore::head(&bench.store).items, 2, "as the last one: dropped");
    bench.write(batch_of(&[(0, 4, vec![(1, 3, 11)], vec![])]));
    assert_eq!(told(&bench.store, (BASE_MS, i64::MAX))[0].1[1].1, Ok(histogram(3, 11)), "written last");
}

#[test]
fn a_histogram_whose_spans_lie_is_refused() {
    let bench = Bench::new();
    let mut batch = batch_of(&[(0, 0, vec![(0, 3, 9)], vec![])]);
    batch.push_histogram(BASE_MS + 1, NativeHistogram { positive_counts: vec![1.0], ..NativeHistogram::default() });
    let spans = vec![BucketSpan { offset: 0, length: 1 }, BucketSpan { offset: -1, length: 1 }];
    let overlapping = NativeHistogram { positive_spans: spans, positive_counts: vec![1.0; 2], ..histogram(1, 1) };
    batch.push_histogram(BASE_MS + 2, overlapping);
    let prepared = MetricSink::prepare(&bench.store, batch, BASE_MS).unwrap();
    assert_eq!(prepared.rejections.by_reason(), [(RejectReason::Malformed, 2)]);
    assert_eq!(prepared.batch.sample_count(), 1);
}

#[test]
fn cardinality_is_as_the_model_counts_it() {
    let (bench, model) = (Bench::new(), MemoryMetrics::new());
    for job in 0..7u8 {
        let mut batch = MetricBatch::new();
        for (metric, series) in [("up", 1u8), ("requests", 4), ("latency", 4)] {
            for n in 0..series {
                let labels = [("__name__", metric), ("job", &"j".repeat(usize::from(job) + 1)), ("n", &n.to_string())];
                batch.start_series(&mut labels.clone()).unwrap();
                batch.push_sample(BASE_MS + i64::from(n), 1.0);
            }
        }
        model.load(batch.clone());
        bench.write(batch);
        bench.store.freeze(u64::from(job));
    }
    for limit in [0, 1, 3, 100] {
        assert_eq!(bench.store.cardinality(limit), model.cardinality(limit));
    }
    assert_eq!(Bench::new().store.cardinality(3), MemoryMetrics::new().cardinality(3));
}

#[test]
fn series_that_stopped_leave_the_index_while_their_samples_stay() {
    let bench = Bench::new();
    let generation = |number: usize| {
        let mut batch = MetricBatch::new();
        for series in 0..20_000 {
            let pod = format!("pod-{number}-{series}");
            batch.start_series(&mut [("__name__", "m"), ("pod", &pod), ("job", "churn")]).unwrap();
            batch.push_sample(BASE_MS + number as i64 * 60_000, series as f64);
        }
        batch
    };
    let mut sizes = Vec::new();
    for number in 0..10 {
        bench.write(generation(number));
        bench.flush();
        bench.store.trim(0);
        sizes.push(bench.store.index.read().heap_bytes());
    }
    let (early, late) = (sizes[3], sizes[9]);
    assert!(late <= early + early / 10, "the index grows with churn: {sizes:?}");
    assert!(bench.store.index.read().len() <= 60_000);
    let select = MetricSelect { matchers: &[], start_ms: BASE_MS, end_ms: i64::MAX };
    assert_eq!(bench.store.series(&select, &QueryContext::unlimited()).unwrap().len(), 200_000);
}

#[test]
fn what_is_further_back_than_the_window_is_refused_unless_it_fills_in_the_past() {
    let limits = MetricLimits { too_old_ms: None, out_of_order_ms: Some(1000), ..MetricLimits::default() };
    let bench = Bench::with(64 << 20, limits);
    let of = |series: &str, times: &[i64]| {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "m"), ("n", series)]).unwrap();
        times.iter().for_each(|t| batch.push_sample(BASE_MS + t, *t as f64));
        batch
    };
    bench.write(of("a", &[10_000]));
    bench.write(of("a", &[9_000]));
    bench.write(of("b", &[-500_000, -499_000]));
    for frozen in [false, true] {
        let prepared = MetricSink::prepare(&bench.store, of("a", &[8_999, 9_500, 11_000]), BASE_MS).unwrap();
        assert_eq!(prepared.rejections.by_reason(), [(RejectReason::TooOld, 1)], "also behind an older last one");
        assert!(
            prepared.rejections.first().contains("1 s before the series' newest"),
            "{}",
            prepared.rejections.first()
        );
        assert_eq!((prepared.batch.sample_count(), prepared.accepted), (2, 2));
        if !frozen {
            bench.store.freeze(9);
        }
    }
    let mut past = of("a", &[-900_000]);
    past.backfill = true;
    bench.write(past);
    assert_eq!(told(&bench.store, (i64::MIN, i64::MAX)).iter().map(|s| s.1.len()).collect::<Vec<_>>(), [3, 2]);
}
