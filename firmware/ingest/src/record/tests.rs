//! What is encoded comes back, for any batch, cut into records anywhere.

use super::{Body, Decoder, Encoder, Targets};
use bramble_signal::{LogBatch, MetricBatch, SeriesSamples, StatusCode};
use bramble_storage::contract::spans_of;
use bramble_storage::memory::{MemoryLogs, MemoryMetrics, MemoryTraces, span_ids};
use bramble_storage::{
    Direction, LogRows, LogSelect, LogSink, LogSource, MetricSelect, MetricSink, MetricSource, QueryContext, SpanSink,
    TraceSource,
};
use proptest::prelude::*;

/// Encodes a body as records and replays them with a fresh decoder.
fn round_trip(bodies: &[Body], targets: &Targets<'_>) {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    encoder.enter(7);
    for body in bodies {
        let mut from = 0;
        loop {
            let mut record = Vec::new();
            let left = encoder.encode(body, from, &mut record);
            decoder.replay(7, 1, &record, targets).unwrap();
            match left {
                Some(next) => from = next,
                None => break,
            }
        }
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
        round_trip(&bodies, &Targets { metrics: Some(&replayed), logs: None, spans: None });
        prop_assert_eq!(bits(&all_metrics(&sent)), bits(&all_metrics(&replayed)));
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
    fn any_bytes_are_refused_not_feared(record in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..5) {
        let mut bytes = vec![kind];
        bytes.extend(record);
        let (metrics, logs, spans) = (MemoryMetrics::new(), MemoryLogs::new(), MemoryTraces::new());
        let _ = Decoder::default().replay(1, 1, &bytes, &Targets { metrics: Some(&metrics), logs: Some(&logs), spans: Some(&spans) });
    }
}

fn all_logs(source: &dyn LogSource) -> Vec<(String, i64, Vec<u8>, String)> {
    let context = QueryContext::unlimited();
    let select =
        LogSelect { matchers: &[], start_ns: i64::MIN, end_ns: i64::MAX, lines: &[], direction: Direction::Forward };
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
        let target: Option<&dyn MetricSink> = if sequence == 2 { Some(&replayed) } else { None };
        decoder.replay(0, sequence, &record, &Targets { metrics: target, logs: None, spans: None }).unwrap();
    }
    let all = all_metrics(&replayed);
    assert_eq!((all.len(), all[0].timestamps_ms.as_slice(), all[0].values.as_slice()), (1, &[2][..], &[6.5][..]));
}
