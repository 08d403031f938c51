//! Rows come back as they were put.

use super::*;
use crate::correlation::{Marks, Participant};
use crate::item::Level;
use proptest::collection::vec;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[ -~é%/,\\\\\"]{0,12}", "[a-z]{2,5}-[0-9]{1,3}"]
}

fn span_id() -> impl Strategy<Value = SpanId> {
    any::<[u8; 8]>().prop_map(SpanId)
}

prop_compose! {
    fn participant()(
        service in text(), node in text(), env in text(), counts in any::<[u16; 3]>(),
        skew_ns in prop_oneof![3 => Just(0), 1 => -1_000_000i64..1_000_000]
    ) -> Participant {
        let [logs, spans, errors] = counts.map(u64::from);
        Participant { service, node, env, logs, spans, errors, skew_ns }
    }
}

prop_compose! {
    fn ids()(ids in vec((0usize..5, "[a-zA-Z0-9_-]{1,40}"), 0..9)) -> Vec<(IdKind, String)> {
        let mut ids: Vec<_> = ids.into_iter().map(|(kind, value)| (IdKind::BUSINESS[kind], value)).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

prop_compose! {
    fn failures()(
        first in prop::option::of((any::<i32>(), text(), span_id(), any::<bool>(), text())),
        worst in prop::option::of((span_id(), text(), text(), any::<u64>(), any::<u64>(), any::<bool>()))
    ) -> (Option<FirstError>, Option<WorstSpan>) {
        let first = first.map(|(after, service, span_id, is_log, text)| {
            FirstError { time_ns: i64::from(after), service, span_id, is_log, text }
        });
        let worst = worst.map(|(span_id, service, name, duration_ns, self_ns, failed)| {
            WorstSpan { span_id, service, name, duration_ns, self_ns, failed }
        });
        (first, worst)
    }
}

prop_compose! {
    /// Any correlation.
    pub(crate) fn correlation()(
        trace in any::<[u8; 16]>(), opened_ms in 0i64..2_000_000_000_000, revision in 1u32..9,
        apart in prop_oneof![3 => 0i64..1_000_000, 1 => -90_000_000_000i64..90_000_000_000],
        lasts in 0i64..100_000_000_000, window_ns in any::<u32>(), ids in ids(),
        participants in vec(participant(), 0..6), counts in any::<[u32; 5]>(), levels in any::<[u16; Level::ALL.len()]>(),
        (first_error, worst_span) in failures(), exemplar_series in vec("[a-z_]{1,9}(\\{a=\"[a-z,]{1,4}\"\\})?", 0..3),
        marks in any::<[bool; 4]>(), spans in vec(span_id(), 1..3)
    ) -> Correlation {
        let start_ns = opened_ms * NS_PER_MS + apart;
        Correlation {
            id: CorrelationId { trace_id: TraceId(trace), opened_ms }, revision, start_ns, end_ns: start_ns + lasts,
            window_ns: u64::from(window_ns), ids, participants, logs: counts[0].into(), levels: levels.map(u64::from),
            spans: counts[1].into(), failed_spans: u64::from(counts[2] % 3), exemplars: counts[3].into(),
            inferred_logs: counts[4].into(), spans_ns: Some((start_ns + 5, start_ns + 9)), root_span_id: spans[0], entry_spans: spans,
            first_error: first_error.map(|error| FirstError { time_ns: start_ns + error.time_ns, ..error }),
            worst_span, exemplar_series,
            marks: Marks { closed_early: marks[0], truncated: marks[1], ambiguous_request: marks[2], skewed: marks[3] },
        }
    }
}

proptest! {
    #[test]
    fn what_was_put_comes_back(all in vec(correlation(), 1..5)) {
        let mut batch = LogBatch::new();
        all.iter().for_each(|correlation| put_row(correlation, &mut batch));
        prop_assert_eq!(batch.entry_count(), all.len());
        let (mut read, wanted): (Vec<_>, Vec<_>) = (Vec::new(), all.iter().map(as_stored).collect());
        published_in(&batch, &mut |correlation| read.push(correlation));
        prop_assert_eq!(read, wanted);
        for (entry, correlation) in batch.streams().flat_map(|stream| stream.entries()).zip(&all) {
            prop_assert_eq!(entry.timestamp_ns.div_euclid(NS_PER_MS), correlation.id.opened_ms);
            for (kind, value) in search::more_ids(&correlation.ids) {
                let (line, key) = (String::from_utf8_lossy(entry.line), search::key(kind, value));
                prop_assert!(line.contains(&format!("\"{key}\"")), "{line}");
            }
        }
    }

    #[test]
    fn no_line_is_a_panic(line in "(\\{\"revision\":)?[ -~]{0,60}", metadata in "[0-9a-f]{0,40}", timestamp_ns in any::<i64>()) {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [(OWN_STREAM_LABEL, ROWS)]).unwrap();
        batch.push_entry(timestamp_ns, line.as_bytes(), &mut [("trace_id", &metadata)]).unwrap();
        published_in(&batch, &mut |_| ());
    }
}

fn read_line(line: &str) -> Option<Correlation> {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [(OWN_STREAM_LABEL, ROWS)]).unwrap();
    batch.push_entry(1_000_000_500, line.as_bytes(), &mut [("trace_id", "77"), ("places", "n/e")]).unwrap();
    read_row(&batch.entry(0))
}

#[test]
fn rows_of_other_versions_are_read_as_far_as_they_go() {
    let newer = r#"{"revision":3,"shape":{"a":[1]},"counts":[4,1,0,0,9],"services":["a","b"],"parts":[1],"marks":["odd","truncated"],
        "more":{"circuit_id":["c"],"planet_id":["x"]}}"#;
    let read = read_line(newer).unwrap();
    assert_eq!((read.revision, read.start_ns, read.spans, read.failed_spans), (3, 1_000_000_500, 4, 1));
    assert_eq!((read.id.opened_ms, read.ids), (1000, vec![(IdKind::Circuit, "c".to_owned())]));
    assert_eq!((read.participants[0].logs, read.participants[1].logs, read.participants[1].node.as_str()), (1, 0, "n"));
    assert!(read.marks.truncated && !read.marks.skewed);
    assert!(read_line("{}").is_some() && read_line("").is_none() && read_line(r#"{"revision":-1}"#).is_none());
}

#[test]
fn keys_stay_as_they_are() {
    // They are on disk.
    assert_eq!(search::key(IdKind::Circuit, "C-17"), "038d59910af19f0c");
}

#[test]
fn markers_come_back_and_own_streams_are_told() {
    let mut batch = LogBatch::new();
    assert_eq!(marker_in(&batch), None);
    batch.start_stream(&mut [("service", "a")]).unwrap();
    batch.push_entry(1, b"{\"low\":99}", &mut []).unwrap();
    let marker = Marker { low: 12, written_ns: 7 };
    put_marker(&marker, &mut batch);
    put_marker(&Marker { low: 11, written_ns: 8 }, &mut batch);
    assert_eq!((marker_in(&batch), batch.stream_count()), (Some(marker), 2));
    assert!(!is_own_stream(batch.stream(0).labels()) && is_own_stream(batch.stream(1).labels()));
    published_in(&batch, &mut |_| panic!("a marker is no row"));
}
