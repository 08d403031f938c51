//! What is encoded comes back, for any batch, cut into records anywhere.

use super::{Body, Decoder, Encoder, Head, MetricReplay, Shown, Targets};
use bramble_signal::{
    BucketSpan, Exemplar, Labels, LogBatch, MetricBatch, NativeHistogram, ResetHint, SeriesExemplars, SeriesSamples,
    StatusCode, stale_marker,
};
use bramble_storage::contract::spans_of;
use bramble_storage::memory::{MemoryLogs, MemoryMetrics, MemoryTraces, span_ids};
use bramble_storage::{
    Direction, LogRows, LogSelect, LogSink, LogSource, MetricSelect, MetricSink, MetricSource, QueryContext, SeriesRef,
    SpanSink, TraceSource,
};
use proptest::prelude::*;

/// Encodes a body as records and replays them with a fresh decoder.
fn round_trip(bodies: &[Body], targets: &Targets<'_>) {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    encoder.enter(7);
    for body in bodies {
        let mut from = 0;
        // Of logs and spans it is a guess.
        let is_guess = matches!(body, Body::Logs(_) | Body::Spans(_));
        let (mut taken, bytes_max) = (0, encoder.bytes_wanted(body, memory_bytes(body)));
        loop {
            let mut record = Vec::new();
            let left = encoder.encode(body, from, &mut record);
            taken += record.len();
            assert!(is_guess || taken <= bytes_max, "{taken} bytes of {bytes_max}");
            decoder.replay(7, 1, &record, targets).unwrap();
            match left {
                Some(next) => from = next,
                None => break,
            }
        }
    }
}

fn memory_bytes(body: &Body) -> usize {
    match body {
        Body::Metrics(prepared) => prepared.batch.memory_bytes(),
        Body::Logs(prepared) => prepared.batch.memory_bytes(),
        Body::Spans(prepared) => prepared.batch.memory_bytes(),
        Body::Nothing(_) => 0,
    }
}

fn all_metrics(source: &dyn MetricSource) -> Vec<SeriesSamples> {
    let context = QueryContext::unlimited();
    let mut cursor =
        source.select(&MetricSelect { matchers: &[], start_ms: i64::MIN, end_ms: i64::MAX }, &context).unwrap();
    let (mut all, mut one) = (Vec::new(), SeriesSamples::default());
    while cursor.next(&mut one).unwrap() {
        all.push(one.clone());
    }
    all
}

fn bits(series: &[SeriesSamples]) -> Vec<(String, Vec<i64>, Vec<u64>)> {
    series
        .iter()
        .map(|s| (s.labels.to_string(), s.timestamps_ms.clone(), s.values.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

proptest! {
    #[test]
    fn metrics_come_back(batches in prop::collection::vec(prop::collection::vec((0u8..6, prop::collection::vec((any::<i64>(), any::<u64>()), 0..5)), 0..8), 1..4)) {
        let (sent, replayed) = (MemoryMetrics::new(), MemoryMetrics::new());
        let mut bodies = Vec::new();
        for series in &batches {
            let mut batch = MetricBatch::new();
            for (name, samples) in series {
                batch.start_series(&mut [("__name__", "m"), ("n", &name.to_string())]).unwrap();
                samples.iter().for_each(|(t, v)| batch.push_sample(*t, f64::from_bits(*v)));
            }
            sent.load(batch.clone());
            bodies.push(Body::Metrics(sent.prepare(batch, 0).unwrap()));
        }
        round_trip(&bodies, &Targets { metrics: Some(&Head(&replayed)), logs: None, spans: None });
        prop_assert_eq!(bits(&all_metrics(&sent)), bits(&all_metrics(&replayed)));
    }

    #[test]
    fn histograms_starts_and_exemplars_come_back(batches in prop::collection::vec(prop::collection::vec(rich_entry(), 0..8), 1..5)) {
        let (sent, replayed) = (MemoryMetrics::new(), MemoryMetrics::new());
        let mut bodies = Vec::new();
        for entries in &batches {
            let mut batch = MetricBatch::new();
            for (name, start_ms, samples, exemplars) in entries {
                batch.start_series(&mut [("__name__", "m"), ("n", &name.to_string())]).unwrap();
                batch.set_start(*start_ms);
                for (t, sample) in samples {
                    match sample {
                        Ok(histogram) => batch.push_histogram(*t, histogram.clone()),
                        Err(bits) => batch.push_sample(*t, f64::from_bits(*bits)),
                    }
                }
                exemplars.iter().for_each(|e| batch.push_exemplar(e.clone()));
            }
            sent.load(batch.clone());
            bodies.push(Body::Metrics(sent.prepare(batch, 0).unwrap()));
        }
        round_trip(&bodies, &Targets { metrics: Some(&Head(&replayed)), logs: None, spans: None });
        // Debug text tells -0 from 0 and takes NaN as equal to NaN.
        prop_assert_eq!(format!("{:?}", all_metrics(&sent)), format!("{:?}", all_metrics(&replayed)));
        prop_assert_eq!(format!("{:?}", all_exemplars(&sent)), format!("{:?}", all_exemplars(&replayed)));
    }

    #[test]
    fn logs_come_back(streams in prop::collection::vec((0u8..5, prop::collection::vec((any::<i64>(), prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..6)), 0..8)) {
        let (sent, replayed) = (MemoryLogs::new(), MemoryLogs::new());
        let mut batch = LogBatch::new();
        for (name, entries) in &streams {
            batch.start_stream(&mut [("service", &name.to_string())]).unwrap();
            for (time, line, with) in entries {
                let mut metadata = [("trace_id", if *with { "ab" } else { "" })];
                batch.push_entry(*time / 2, line, &mut metadata).unwrap();
            }
        }
        let prepared = sent.prepare(batch.clone(), 0).unwrap();
        sent.replay(&batch, 1);
        round_trip(&[Body::Logs(prepared)], &Targets { metrics: None, logs: Some(&replayed), spans: None });
        prop_assert_eq!(all_logs(&sent), all_logs(&replayed));
    }

    #[test]
    fn any_bytes_are_refused_not_feared(record in prop::collection::vec(any::<u8>(), 0..200), kind in prop_oneof![0u8..5, Just(super::METRICS)]) {
        let mut bytes = vec![kind];
        bytes.extend(record);
        let (metrics, logs, spans) = (MemoryMetrics::new(), MemoryLogs::new(), MemoryTraces::new());
        let _ = Decoder::default().replay(1, 1, &bytes, &Targets { metrics: Some(&Head(&metrics)), logs: Some(&logs), spans: Some(&spans) });
    }
}

fn all_exemplars(source: &dyn MetricSource) -> Vec<SeriesExemplars> {
    let select = MetricSelect { matchers: &[], start_ms: i64::MIN, end_ms: i64::MAX };
    source.exemplars(&select, &QueryContext::unlimited()).unwrap()
}

type RichEntry = (u8, i64, Vec<(i64, Result<NativeHistogram, u64>)>, Vec<Exemplar>);

fn rich_entry() -> impl Strategy<Value = RichEntry> {
    let number = || prop_oneof![(0u32..100_000).prop_map(f64::from), any::<u64>().prop_map(f64::from_bits)];
    let histogram = (-4i8..9, number(), number(), prop::collection::vec(number(), 0..5)).prop_map(
        |(schema, sum, count, positive_counts)| NativeHistogram {
            schema,
            reset_hint: if schema > 3 { ResetHint::NotReset } else { ResetHint::Unknown },
            sum,
            count,
            positive_spans: vec![BucketSpan { offset: 3, length: positive_counts.len() as u32 }],
            positive_counts,
            ..NativeHistogram::default()
        },
    );
    let exemplar = (any::<i64>(), number(), "[a-z]{0,9}").prop_map(|(timestamp_ms, value, id)| Exemplar {
        labels: Labels::from_pairs([("trace_id", id.as_str())]),
        value,
        timestamp_ms,
    });
    let sample = prop_oneof![histogram.prop_map(Ok), any::<u64>().prop_map(Err)];
    let start = prop_oneof![Just(0), Just(1_000_000), any::<i64>()];
    let samples = prop::collection::vec((any::<i64>(), sample), 0..4);
    (0u8..4, start, samples, prop::collection::vec(exemplar, 0..3))
}

#[test]
fn a_record_of_version_0_is_replayed() {
    // One entry: reference 0, labels {__name__="m"}, two samples at 5 and 7 ms: 3, and the same again.
    let labels = Labels::from_pairs([("__name__", "m")]);
    let mut record = vec![super::METRICS_0, 1, 1, 0];
    let definition = [&[0, 0, labels.as_bytes().len() as u8][..], labels.as_bytes()].concat();
    super::bytes::put_bytes(&mut record, &definition);
    record.extend([1, 2, 2, 10, 4, 2, 1, 0, 6]);
    let replayed = MemoryMetrics::new();
    Decoder::default()
        .replay(1, 1, &record, &Targets { metrics: Some(&Head(&replayed)), logs: None, spans: None })
        .unwrap();
    let all = all_metrics(&replayed);
    assert_eq!((all[0].timestamps_ms.as_slice(), all[0].values.as_slice()), (&[5, 7][..], &[3.0, 3.0][..]));
}

#[test]
fn more_histograms_than_are_remembered_come_back() {
    let (sent, replayed) = (MemoryMetrics::new(), MemoryMetrics::new());
    let wide = |n: f64| NativeHistogram {
        count: n * 4000.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 4000 }],
        positive_counts: vec![n; 4000],
        ..NativeHistogram::default()
    };
    let mut bodies = Vec::new();
    for round in 1..3 {
        let mut batch = MetricBatch::new();
        for series in 0..200 {
            batch.start_series(&mut [("__name__", "m"), ("n", &series.to_string())]).unwrap();
            batch.push_histogram(round, wide(round as f64));
        }
        sent.load(batch.clone());
        bodies.push(Body::Metrics(sent.prepare(batch, 0).unwrap()));
    }
    round_trip(&bodies, &Targets { metrics: Some(&Head(&replayed)), logs: None, spans: None });
    assert!(all_metrics(&replayed).iter().all(|s| s.histograms.len() == 2 && s.histograms[1] == wide(2.0)));
}

fn all_logs(source: &dyn LogSource) -> Vec<(String, i64, Vec<u8>, String)> {
    let context = QueryContext::unlimited();
    let select = LogSelect {
        matchers: &[],
        start_ns: i64::MIN,
        end_ns: i64::MAX,
        lines: &[],
        direction: Direction::Forward,
        ..LogSelect::default()
    };
    let mut cursor = source.select(&select, &context).unwrap();
    let (mut all, mut rows) = (Vec::new(), LogRows::default());
    while cursor.next(&mut rows).unwrap() {
        for stream in rows.batch.streams() {
            all.extend(
                stream
                    .entries()
                    .map(|e| (stream.labels().to_string(), e.timestamp_ns, e.line.to_vec(), e.metadata.to_string())),
            );
        }
    }
    all
}

#[test]
fn spans_come_back() {
    let (sent, replayed) = (MemoryTraces::new(), MemoryTraces::new());
    let batch = spans_of(3, "beorn", 9, StatusCode::Error);
    let prepared = sent.prepare(batch.clone(), 0).unwrap();
    sent.replay(&batch, 1);
    round_trip(&[Body::Spans(prepared)], &Targets { metrics: None, logs: None, spans: Some(&replayed) });
    let context = QueryContext::unlimited();
    let id = batch.spans[0].trace_id;
    let (a, b) = (sent.trace(id, &context).unwrap(), replayed.trace(id, &context).unwrap());
    assert_eq!(span_ids(&a), span_ids(&b));
    assert_eq!(a.spans.len(), 9);
    for (x, y) in a.spans.iter().zip(&b.spans) {
        assert_eq!(
            (a.text(x.name), a.bytes(x.attributes), x.end_ns, x.status),
            (b.text(y.name), b.bytes(y.attributes), y.end_ns, y.status)
        );
    }
}

#[test]
fn a_large_batch_is_cut_into_records() {
    let (sent, replayed) = (MemoryLogs::new(), MemoryLogs::new());
    let mut batch = LogBatch::new();
    for stream in 0..3 {
        batch.start_stream(&mut [("n", &stream.to_string())]).unwrap();
        for i in 0..4 {
            batch.push_entry(i, &vec![b'a' + i as u8; 200_000], &mut []).unwrap();
        }
    }
    let prepared = sent.prepare(batch.clone(), 0).unwrap();
    sent.replay(&batch, 1);
    round_trip(&[Body::Logs(prepared)], &Targets { metrics: None, logs: Some(&replayed), spans: None });
    assert!(all_logs(&sent) == all_logs(&replayed));
}

#[test]
fn a_series_defined_before_the_flush_is_known_after_it() {
    let (sent, replayed) = (MemoryMetrics::new(), MemoryMetrics::new());
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    for (sequence, value) in [(1, 5.0), (2, 6.5)] {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "m")]).unwrap();
        batch.push_sample(sequence as i64, value);
        let mut record = Vec::new();
        encoder.encode(&Body::Metrics(sent.prepare(batch, 0).unwrap()), 0, &mut record);
        let head = Head(&replayed);
        let target: Option<&dyn MetricReplay> = if sequence == 2 { Some(&head) } else { None };
        decoder.replay(0, sequence, &record, &Targets { metrics: target, logs: None, spans: None }).unwrap();
    }
    let all = all_metrics(&replayed);
    assert_eq!((all.len(), all[0].timestamps_ms.as_slice(), all[0].values.as_slice()), (1, &[2][..], &[6.5][..]));
}

#[test]
fn references_may_grow_for_ever() {
    let replayed = MemoryMetrics::new();
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    encoder.enter(3);
    for round in 0..3u32 {
        let mut batch = MetricBatch::new();
        for name in ["a", "b"] {
            batch.start_series(&mut [("__name__", name)]).unwrap();
            batch.push_sample(i64::from(round), f64::from(round));
        }
        let mut prepared = MemoryMetrics::new().prepare(batch, 0).unwrap();
        // Of a process that has seen hundreds of millions of series come and go.
        for (series, reference) in prepared.series.iter_mut().zip([400_000_000, 7]) {
            series.series = SeriesRef(reference);
        }
        let mut record = Vec::new();
        encoder.encode(&Body::Metrics(prepared), 0, &mut record);
        let targets = Targets { metrics: Some(&Head(&replayed)), logs: None, spans: None };
        decoder.replay(3, 1, &record, &targets).unwrap();
    }
    let all = all_metrics(&replayed);
    assert!(all.len() == 2 && all.iter().all(|series| series.values == [0.0, 1.0, 2.0]));
    assert!(encoder.memory_bytes() < 16 << 20, "{} bytes", encoder.memory_bytes());
}

#[test]
fn who_observes_is_shown_the_samples_that_were_written() {
    let sent = MemoryMetrics::new();
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    for epoch in 1..3 {
        encoder.enter(epoch);
        for round in 0..3 {
            let mut batch = MetricBatch::new();
            for series in ["a", "b"] {
                batch.start_series(&mut [("__name__", "m"), ("of", series)]).unwrap();
                batch.set_start(7);
                batch.push_sample(epoch as i64 * 100 + round, round as f64);
                batch.push_sample(epoch as i64 * 100 + round + 50, stale_marker());
            }
            let body = Body::Metrics(sent.prepare(batch.clone(), 0).unwrap());
            let mut record = Vec::new();
            assert_eq!(encoder.encode(&body, 0, &mut record), None);
            let Ok(Some(Shown::Metrics(shown))) = decoder.shown(epoch, &record) else { panic!("no samples") };
            let of = |batch: &MetricBatch| {
                let series = batch.iter().map(|(labels, samples)| (labels.to_string(), samples.to_vec()));
                (series.collect::<Vec<_>>(), batch.start_ms(0))
            };
            assert_eq!(of(&shown), of(&batch));
        }
    }
}
