//! Tests that every implementation of the contracts must pass. A store's own tests call these with a fresh
//! instance; each panics with what is wrong.
#![allow(clippy::unwrap_used, reason = "test code that is shared between crates")]

use crate::memory::span_ids;
use crate::{
    AttributeScope, Direction, FoundValue, LinePredicate, LogRows, LogSelect, LogSink, LogSource, Mention,
    MetadataWanted, MetricSelect, MetricSink, MetricSource, QueryContext, SpanFields, SpanPredicate, SpanScan,
    SpanSink, TallyRun, TraceSource, ValueTest,
};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::histogram::CUSTOM_BUCKETS_SCHEMA;
use bramble_signal::{
    BucketSpan, Exemplar, Labels, LogBatch, MatchOp, Matcher, MetricBatch, NativeHistogram, ResourceEntry,
    SeriesSamples, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId, is_stale_marker, stale_marker,
};

/// The time around which the contract's data lies: 2026-11-18T00:00:00Z.
pub const BASE_MS: i64 = 1_794_960_000_000;
const BASE_NS: i64 = BASE_MS * 1_000_000;

fn all_series(source: &dyn MetricSource, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<SeriesSamples> {
    let context = QueryContext::unlimited();
    let mut cursor = source.select(&MetricSelect { matchers, start_ms, end_ms }, &context).unwrap();
    let (mut all, mut one) = (Vec::new(), SeriesSamples::default());
    while cursor.next(&mut one).unwrap() {
        all.push(one.clone());
    }
    all
}

/// Writing and reading samples. `between` is called between writes, for stores to flush or restart.
pub fn metrics<S: MetricSink + MetricSource>(store: &S, between: &mut dyn FnMut(&S)) {
    let write = |batch: MetricBatch, sequence| {
        let prepared = store.prepare(batch, BASE_MS + 60_000).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        store.apply(prepared, sequence);
    };
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "up"), ("job", "b")]).unwrap();
    batch.push_sample(BASE_MS, 1.0);
    batch.push_sample(BASE_MS + 2000, stale_marker());
    batch.start_series(&mut [("__name__", "up"), ("job", "a")]).unwrap();
    batch.push_sample(BASE_MS, f64::NAN);
    batch.push_sample(BASE_MS + 1000, f64::INFINITY);
    write(batch, 1);
    between(store);
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "up"), ("job", "b")]).unwrap();
    batch.push_sample(BASE_MS + 1000, -0.0);
    batch.push_sample(BASE_MS, 1.0);
    batch.start_series(&mut [("__name__", "down")]).unwrap();
    batch.push_sample(BASE_MS - 86_400_000, 0.1 + 0.2);
    write(batch, 2);
    between(store);

    let up = all_series(store, &[Matcher::equal("__name__", "up")], BASE_MS, BASE_MS + 2000);
    assert_eq!(up.len(), 2, "two series, ascending by labels");
    assert_eq!(up[0].labels.get("job"), Some("a"));
    assert!(up[0].values[0].is_nan() && !is_stale_marker(up[0].values[0]), "an ordinary NaN stays one");
    assert_eq!(up[0].values[1], f64::INFINITY);
    assert_eq!(
        up[1].timestamps_ms,
        [BASE_MS, BASE_MS + 1000, BASE_MS + 2000],
        "out of order and duplicate samples are merged"
    );
    assert_eq!(up[1].values[1].to_bits(), (-0.0f64).to_bits(), "negative zero keeps its sign");
    assert!(is_stale_marker(up[1].values[2]), "staleness markers come back");
    let bounded =
        all_series(store, &[Matcher::new("job", MatchOp::Regex, "a|b").unwrap()], BASE_MS + 1000, BASE_MS + 1000);
    assert!(bounded.len() == 2 && bounded.iter().all(|s| s.values.len() == 1), "both bounds are inclusive");
    assert!(all_series(store, &[Matcher::equal("__name__", "up")], BASE_MS + 3000, BASE_MS + 9000).is_empty());
    let absent = all_series(
        store,
        &[Matcher::equal("job", ""), Matcher::new("__name__", MatchOp::NotEqual, "").unwrap()],
        0,
        i64::MAX / 2,
    );
    assert_eq!(absent.len(), 1, "a matcher on an absent label");
    assert_eq!(absent[0].values, [0.1 + 0.2]);

    let context = QueryContext::unlimited();
    let everything = MetricSelect { matchers: &[], start_ms: BASE_MS - 90_000_000, end_ms: BASE_MS + 90_000_000 };
    assert_eq!(store.label_names(&everything, &context).unwrap(), ["__name__", "job"]);
    assert_eq!(store.label_values("__name__", &everything, &context).unwrap(), ["down", "up"]);
    let jobs = [Matcher::equal("__name__", "up")];
    let select = MetricSelect { matchers: &jobs, ..everything };
    assert_eq!(store.label_values("job", &select, &context).unwrap(), ["a", "b"]);
    assert_eq!(store.series(&select, &context).unwrap().len(), 2);
}

/// Histograms among numbers, starts and exemplars. `between` as for [`metrics`].
pub fn rich_metrics<S: MetricSink + MetricSource>(store: &S, between: &mut dyn FnMut(&S)) {
    let write = |batch: MetricBatch, sequence| {
        let prepared = store.prepare(batch, BASE_MS + 600_000).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        store.apply(prepared, sequence);
    };
    let grown = |n: f64, bounds: &[f64]| NativeHistogram {
        schema: if bounds.is_empty() { 3 } else { CUSTOM_BUCKETS_SCHEMA },
        count: 3.0 * n,
        sum: 0.1 * n,
        positive_spans: vec![BucketSpan { offset: i32::from(bounds.is_empty()) * -2, length: 2 }],
        positive_counts: vec![n, 2.0 * n],
        custom_bounds: bounds.to_vec(),
        ..NativeHistogram::default()
    };
    let exemplar = |at: i64| Exemplar {
        labels: Labels::from_pairs([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]),
        value: 0.5,
        timestamp_ms: BASE_MS + at,
    };
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "latency")]).unwrap();
    batch.set_start(BASE_MS - 5000);
    batch.push_histogram(BASE_MS, grown(1.0, &[]));
    batch.push_histogram(BASE_MS + 2000, grown(3.0, &[]));
    batch.push_exemplar(exemplar(2000));
    batch.start_series(&mut [("__name__", "requests")]).unwrap();
    batch.set_start(BASE_MS - 7000);
    batch.push_sample(BASE_MS, 1.0);
    write(batch, 1);
    between(store);
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "latency")]).unwrap();
    batch.set_start(BASE_MS - 5000);
    batch.push_histogram(BASE_MS + 1000, grown(2.0, &[]));
    batch.start_series(&mut [("__name__", "latency")]).unwrap();
    batch.push_histogram(BASE_MS + 3000, grown(1.0, &[0.5, 2.0]));
    batch.push_sample(BASE_MS + 4000, 7.0);
    batch.push_histogram(BASE_MS + 5000, NativeHistogram { sum: stale_marker(), ..NativeHistogram::default() });
    batch.push_exemplar(exemplar(1000));
    batch.push_exemplar(exemplar(2000));
    batch.start_series(&mut [("__name__", "requests")]).unwrap();
    batch.set_start(BASE_MS + 500);
    batch.push_sample(BASE_MS + 1000, 1.0);
    write(batch, 2);
    between(store);

    let found = all_series(store, &[Matcher::equal("__name__", "latency")], BASE_MS, BASE_MS + 9000);
    let latency = found.first().unwrap();
    assert_eq!(latency.timestamps_ms, [0, 1, 2, 3, 4, 5].map(|s| BASE_MS + s * 1000));
    let histograms: Vec<_> = latency.values.iter().map(|v| latency.histogram(*v)).collect();
    assert_eq!(
        histograms[..3],
        [1.0, 2.0, 3.0].map(|n| grown(n, &[])).each_ref().map(Some),
        "sorted, each with its own"
    );
    assert_eq!(histograms[3], Some(&grown(1.0, &[0.5, 2.0])), "another layout");
    assert!(histograms[4].is_none() && latency.values[4] == 7.0, "a number among histograms");
    assert!(is_stale_marker(latency.values[5]), "a stale histogram is the staleness marker");
    let starts =
        |s: &SeriesSamples| s.starts.iter().map(|c| (c.timestamp_ms - BASE_MS, c.start_ms)).collect::<Vec<_>>();
    assert_eq!(starts(latency), [(0, BASE_MS - 5000), (3000, 0)]);
    let found = all_series(store, &[Matcher::equal("__name__", "requests")], BASE_MS, BASE_MS + 9000);
    assert_eq!(starts(&found[0]), [(0, BASE_MS - 7000), (1000, BASE_MS + 500)]);

    let context = QueryContext::unlimited();
    let matchers = [Matcher::equal("__name__", "latency")];
    let select = MetricSelect { matchers: &matchers, start_ms: BASE_MS, end_ms: BASE_MS + 9000 };
    let exemplars = store.exemplars(&select, &context).unwrap();
    assert_eq!(exemplars.len(), 1);
    assert_eq!(exemplars[0].exemplars, [exemplar(1000), exemplar(2000)], "by time, each once");
    let later = MetricSelect { start_ms: BASE_MS + 2001, ..select };
    assert!(store.exemplars(&later, &context).unwrap().is_empty());
}

fn all_lines(
    source: &dyn LogSource,
    matchers: &[Matcher],
    lines: &[LinePredicate],
    direction: Direction,
    range: (i64, i64),
) -> Vec<(i64, String)> {
    let context = QueryContext::unlimited();
    let select = LogSelect { matchers, start_ns: range.0, end_ns: range.1, lines, direction, ..LogSelect::default() };
    let mut cursor = source.select(&select, &context).unwrap();
    let (mut all, mut rows) = (Vec::new(), LogRows::default());
    while cursor.next(&mut rows).unwrap() {
        for &(stream, entry) in &rows.order {
            let entry = rows.batch.stream(stream as usize).entries().nth(entry as usize).unwrap();
            all.push((entry.timestamp_ns - BASE_NS, String::from_utf8_lossy(entry.line).into_owned()));
        }
    }
    all
}

/// Writing and reading log entries. `between` is called between writes, for stores to flush or restart.
pub fn logs<S: LogSink + LogSource>(store: &S, between: &mut dyn FnMut(&S)) {
    let write = |batch: LogBatch, sequence| {
        let prepared = store.prepare(batch, BASE_NS + 60_000_000_000).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        store.apply(prepared, sequence);
    };
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "beorn"), ("env", "dev")]).unwrap();
    batch.push_entry(BASE_NS + 3, b"third error", &mut [("trace_id", "abc")]).unwrap();
    batch.push_entry(BASE_NS + 1, b"first", &mut []).unwrap();
    batch.start_stream(&mut [("service", "arda"), ("env", "dev")]).unwrap();
    batch.push_entry(BASE_NS + 2, b"second \xff\x00 error", &mut []).unwrap();
    write(batch.clone(), 1);
    between(store);
    write(batch, 2);
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "beorn"), ("env", "dev")]).unwrap();
    batch.push_entry(BASE_NS + 3, b"third again", &mut []).unwrap();
    batch.push_entry(BASE_NS + 4, b"", &mut []).unwrap();
    write(batch, 3);
    between(store);

    let env = [Matcher::equal("env", "dev")];
    let whole = (BASE_NS, BASE_NS + 100);
    let forward = all_lines(store, &env, &[], Direction::Forward, whole);
    let times: Vec<i64> = forward.iter().map(|(t, _)| *t).collect();
    assert_eq!(times, [1, 2, 3, 3, 4], "ordered over streams, duplicates kept once, equal timestamps both kept");
    assert_eq!(forward[4].1, "", "an empty line is a line");
    let backward: Vec<i64> = all_lines(store, &env, &[], Direction::Backward, whole).iter().map(|(t, _)| *t).collect();
    assert_eq!(backward, [4, 3, 3, 2, 1]);
    let bounded: Vec<i64> =
        all_lines(store, &env, &[], Direction::Forward, (BASE_NS + 2, BASE_NS + 4)).iter().map(|(t, _)| *t).collect();
    assert_eq!(bounded, [2, 3, 3], "start inclusive, end exclusive");
    let errors = all_lines(store, &env, &[LinePredicate::Contains(b"error".to_vec())], Direction::Forward, whole);
    assert_eq!(errors.len(), 2);
    let not = [
        LinePredicate::NotContains(b"error".to_vec()),
        LinePredicate::Matches(regex::bytes::Regex::new("^third|^$").unwrap()),
    ];
    assert_eq!(all_lines(store, &env, &not, Direction::Forward, whole).len(), 2);
    let one =
        all_lines(store, &[Matcher::new("service", MatchOp::Regex, "ar.*").unwrap()], &[], Direction::Forward, whole);
    assert_eq!(one.len(), 1);

    let context = QueryContext::unlimited();
    let streams = store.streams(&env, BASE_NS, BASE_NS + 100, &context).unwrap();
    assert_eq!(streams.iter().map(|l| l.get("service").unwrap_or("")).collect::<Vec<_>>(), ["arda", "beorn"]);
    let select = LogSelect {
        matchers: &env,
        start_ns: BASE_NS + 3,
        end_ns: BASE_NS + 4,
        lines: &[],
        direction: Direction::Forward,
        ..LogSelect::default()
    };
    let mut cursor = store.select(&select, &context).unwrap();
    let mut rows = LogRows::default();
    let mut with_metadata = 0;
    while cursor.next(&mut rows).unwrap() {
        with_metadata += rows
            .batch
            .streams()
            .flat_map(|s| s.entries())
            .filter(|e| e.metadata.get("trace_id") == Some("abc"))
            .count();
    }
    assert_eq!(with_metadata, 1, "structured metadata comes back with its entry");
    mentions(store, &env);
    log_counts(store, &env);
    floating_labels(store, &env, between);
}

/// Hints may leave out what fails, and nothing else.
fn mentions(store: &dyn LogSource, env: &[Matcher]) {
    let context = QueryContext::unlimited();
    for (name, text, wanted) in [
        ("trace_id", "abc", &["third error"][..]),
        ("user", "again", &["third again"]),
        ("service", "arda", &["second \u{fffd}\0 error"]),
        ("trace_id", "error", &["second \u{fffd}\0 error", "third error"]),
    ] {
        let mentions = [Mention { name, text }];
        let mut cursor =
            store.select(&LogSelect { matchers: env, mentions: &mentions, ..LogSelect::default() }, &context).unwrap();
        let (mut found, mut rows) = (Vec::new(), LogRows::default());
        while cursor.next(&mut rows).unwrap() {
            let entries = rows.batch.streams().flat_map(|s| s.entries());
            found.extend(entries.map(|e| String::from_utf8_lossy(e.line).into_owned()));
        }
        assert!(wanted.iter().all(|line| found.iter().any(|f| f == line)), "{name}={text}: {found:?}");
    }
}

/// Timestamps after [`BASE_NS`] that a tally gives, with the metadata asked for.
fn tallied(store: &dyn LogSource, select: &LogSelect<'_>, metadata: MetadataWanted<'_>) -> Vec<(i64, String)> {
    let (mut found, context) = (Vec::new(), QueryContext::unlimited());
    let mut each = |run: &TallyRun<'_>| {
        assert_eq!(run.timestamps_ns.len(), run.line_bytes.len());
        found.extend(run.timestamps_ns.iter().map(|t| (t - BASE_NS, run.metadata.to_string())));
        Ok(())
    };
    store.tally(select, metadata, true, &context, &mut each).unwrap();
    found.sort();
    found
}

fn log_counts(store: &dyn LogSource, env: &[Matcher]) {
    let (start_ns, end_ns) = (BASE_NS, BASE_NS + 100);
    let select = LogSelect { matchers: env, start_ns, end_ns, ..LogSelect::default() };
    let times = |found: Vec<(i64, String)>| found.into_iter().map(|(t, _)| t).collect::<Vec<_>>();
    assert_eq!(times(tallied(store, &select, MetadataWanted::None)), [1, 2, 3, 3, 4], "each entry counts once");
    let error = [LinePredicate::Contains(b"error".to_vec())];
    let errors = tallied(store, &LogSelect { lines: &error, ..select.clone() }, MetadataWanted::Only(&["trace_id"]));
    assert_eq!(errors.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [2, 3]);
    assert!(errors[1].1.contains("abc") && !errors[0].1.contains("abc"), "{errors:?}");
    let totals = store.totals(env, start_ns, end_ns, &QueryContext::unlimited()).unwrap();
    assert!(totals.is_sorted_by(|a, b| a.labels < b.labels));
    let of = |service: &str| totals.iter().find(|t| t.labels.get("service") == Some(service)).unwrap();
    // Duplicates that wait in different places may be counted by statistics.
    assert!(of("arda").entries >= 1 && of("beorn").entries >= 4 && of("arda").bytes >= 15, "{totals:?}");
}

fn floating_labels<S: LogSink + LogSource>(store: &S, env: &[Matcher], between: &mut dyn FnMut(&S)) {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "gondor"), ("env", "dev")]).unwrap();
    batch.push_entry(BASE_NS + 200, b"floats", &mut [("\u{1}trace_id", "f00d")]).unwrap();
    batch.push_entry(BASE_NS + 201, b"has it as metadata", &mut [("trace_id", "f00d")]).unwrap();
    batch.push_entry(BASE_NS + 202, b"has none", &mut []).unwrap();
    let prepared = store.prepare(batch, BASE_NS + 60_000_000_000).unwrap();
    store.apply(prepared, 4);
    between(store);
    let (context, whole) = (QueryContext::unlimited(), (BASE_NS + 200, BASE_NS + 300));
    let lines = |op, value: &str| {
        let matchers = [env[0].clone(), Matcher::new("trace_id", op, value).unwrap()];
        let streams = store.streams(&matchers, whole.0, whole.1, &context).unwrap();
        let lines = all_lines(store, &matchers, &[], Direction::Forward, whole);
        assert_eq!(streams.is_empty(), lines.is_empty());
        lines.into_iter().map(|(t, _)| t).collect::<Vec<_>>()
    };
    assert_eq!(lines(MatchOp::Equal, "f00d"), [200, 201], "a label, or metadata, that is kept out of streams");
    assert_eq!(lines(MatchOp::Equal, "beef"), [0; 0]);
    assert_eq!(lines(MatchOp::Equal, ""), [202]);
    assert_eq!(lines(MatchOp::NotEqual, "beef"), [200, 201, 202]);
    assert_eq!(lines(MatchOp::Regex, "f.*d"), [200, 201]);
    let other = [Matcher::equal("level", "f00d")];
    assert!(all_lines(store, &other, &[], Direction::Forward, whole).is_empty(), "other metadata is no label");
}

/// A small batch: `count` spans of trace `trace`, span ids from 1, each 1 ms after the other, service by name.
pub fn spans_of(trace: u8, service: &str, count: u8, status: StatusCode) -> SpanBatch {
    let mut batch = SpanBatch::new();
    let mut resource = Vec::new();
    put_attribute(&mut resource, "service.name", AttributeValue::Str(service));
    let attributes = batch.put(&resource);
    batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    batch.scopes.push(Default::default());
    for i in 1..=count {
        let name = batch.put(format!("op-{i}").as_bytes());
        let mut own = Vec::new();
        put_attribute(&mut own, "circuit_id", AttributeValue::Str(&format!("circ-{trace}")));
        put_attribute(&mut own, "n", AttributeValue::Int(i64::from(i)));
        let attributes = batch.put(&own);
        let start_ns = BASE_NS as u64 + u64::from(trace) * 1_000_000_000 + u64::from(i) * 1_000_000;
        batch.spans.push(SpanEntry {
            trace_id: TraceId([trace; 16]),
            span_id: SpanId([i; 8]),
            parent_span_id: SpanId([i - 1; 8]),
            start_ns,
            end_ns: start_ns + u64::from(i) * 1_000_000,
            kind: SpanKind::Server,
            status,
            name,
            attributes,
            ..Default::default()
        });
    }
    batch
}

/// Writing and reading spans. `between` is called between writes, for stores to flush or restart.
pub fn traces<S: SpanSink + TraceSource>(store: &S, between: &mut dyn FnMut(&S)) {
    let write = |batch: SpanBatch, sequence| {
        let prepared = store.prepare(batch, BASE_NS + 60_000_000_000).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        store.apply(prepared, sequence);
    };
    write(spans_of(1, "beorn", 2, StatusCode::Unset), 1);
    write(spans_of(2, "arda", 3, StatusCode::Error), 2);
    between(store);
    write(spans_of(1, "beorn", 4, StatusCode::Unset), 3);
    between(store);

    let context = QueryContext::unlimited();
    let trace = store.trace(TraceId([1; 16]), &context).unwrap();
    assert_eq!(span_ids(&trace).len(), 4);
    assert_eq!(trace.spans.len(), 4, "a span that came twice is kept once, also across a flush");
    assert!(trace.spans.is_sorted_by_key(|s| s.start_ns));
    let first = trace.spans[0];
    assert_eq!((trace.service(&first), trace.text(first.name)), ("beorn", "op-1"));
    assert_eq!(trace.attributes(first.attributes).get("n"), Some(AttributeValue::Int(1)));
    assert!(store.trace(TraceId([9; 16]), &context).unwrap().is_empty());
    assert_eq!(store.services(0, u64::MAX, &context).unwrap(), ["arda", "beorn"]);
    let operations = store.operations("arda", 0, u64::MAX, &context).unwrap();
    assert_eq!(operations, (1..=3).map(|i| (format!("op-{i}"), SpanKind::Server)).collect::<Vec<_>>());

    let scan = |predicates: &[SpanPredicate]| {
        let mut cursor = store.scan(&SpanScan::whole(0, u64::MAX, predicates), &context).unwrap();
        let (mut found, mut batch) = (Vec::new(), SpanBatch::new());
        while cursor.next(&mut batch).unwrap() {
            for span in batch.spans.iter().filter(|s| predicates.iter().all(|p| p.accepts(&batch, s))) {
                found.push((span.trace_id.0[0], span.span_id.0[0]));
            }
        }
        found.sort_unstable();
        found
    };
    assert_eq!(scan(&[]).len(), 7);
    assert_eq!(scan(&[SpanPredicate::Service(ValueTest::is("arda"))]).len(), 3);
    assert_eq!(scan(&[SpanPredicate::DurationAtLeast(4_000_000)]), [(1, 4)]);
    assert_eq!(scan(&[SpanPredicate::Status(StatusCode::Error), SpanPredicate::DurationAtMost(1_000_000)]), [(2, 1)]);
    let attribute = |key: &str, text: &str| SpanPredicate::Attribute {
        scope: AttributeScope::Any,
        key: key.into(),
        test: ValueTest::is(text),
    };
    assert_eq!(scan(&[attribute("circuit_id", "circ-2"), attribute("n", "2")]), [(2, 2)]);
    assert!(scan(&[SpanPredicate::Name(ValueTest::is("nope"))]).is_empty());
    let circuits = SpanPredicate::Attribute {
        scope: AttributeScope::Span,
        key: "circuit_id".into(),
        test: ValueTest::Matches(regex::Regex::new("^circ-[13]$").unwrap()),
    };
    let ns = SpanPredicate::Attribute {
        scope: AttributeScope::Span,
        key: "n".into(),
        test: ValueTest::Within { at_least: 2.0, at_most: 3.5 },
    };
    assert_eq!(scan(std::slice::from_ref(&circuits)), [(1, 1), (1, 2), (1, 3), (1, 4)]);
    assert_eq!(scan(&[SpanPredicate::Any(vec![SpanPredicate::Name(ValueTest::is("op-4")), ns.clone()])]).len(), 5);
    assert_eq!(scan(&[ns, circuits, SpanPredicate::Service(ValueTest::is("beorn"))]), [(1, 2), (1, 3)]);
    single_spans(store);
    attributes_of(store);
}

/// Spans without their traces, and without what nobody asked for.
fn single_spans(store: &dyn TraceSource) {
    let context = QueryContext::unlimited();
    let predicates = [SpanPredicate::DurationAtLeast(3_000_000)];
    let scan = SpanScan {
        whole_traces: false,
        fields: SpanFields { attributes: Some(vec!["n".into()]), ..SpanFields::LEAST },
        ..SpanScan::whole(0, u64::MAX, &predicates)
    };
    let mut cursor = store.scan(&scan, &context).unwrap();
    let (mut found, mut batch) = (Vec::new(), SpanBatch::new());
    while cursor.next(&mut batch).unwrap() {
        for span in batch.spans.iter().filter(|s| predicates[0].accepts(&batch, s)) {
            let n = batch.attributes(span.attributes).get("n");
            found.push((span.trace_id.0[0], n == Some(AttributeValue::Int(i64::from(span.span_id.0[0])))));
        }
    }
    found.sort_unstable();
    assert_eq!(found, [(1, true), (1, true), (2, true)]);
}

/// What completion asks for.
fn attributes_of(store: &dyn TraceSource) {
    let context = QueryContext::unlimited();
    let (names, more) = store.attribute_names(AttributeScope::Span, (0, u64::MAX), 10, &context).unwrap();
    assert_eq!(names, ["circuit_id", "n"].map(|key| (AttributeScope::Span, key.to_owned())));
    assert!(!more);
    let (values, more) = store.attribute_values(AttributeScope::Any, "n", (0, u64::MAX), 10, &context).unwrap();
    assert_eq!(values, [1, 2, 3, 4].map(FoundValue::Int));
    assert!(!more);
    let (values, more) =
        store.attribute_values(AttributeScope::Resource, "service.name", (0, u64::MAX), 1, &context).unwrap();
    assert_eq!((values.len(), more), (1, true));
}

#[cfg(test)]
mod tests {
    use crate::memory::{MemoryLogs, MemoryMetrics, MemoryTraces};

    #[test]
    fn the_naive_implementation_passes() {
        super::metrics(&MemoryMetrics::new(), &mut |_| {});
        super::logs(&MemoryLogs::new(), &mut |_| {});
        super::traces(&MemoryTraces::new(), &mut |_| {});
    }
}
