//! Golden documents of our own, and the shared conformance corpus where it is there.

use super::*;
use crate::Limits;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where the conformance documents may be.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("BRAMBLE_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let found = [named, Some(beside)].into_iter().flatten().map(|p| p.join("openmetrics")).find(|p| p.is_dir());
    if found.is_none() {
        println!("SKIPPED openmetrics conformance: no ../shared/conformance");
    }
    found
}

fn format_of(case: &Value) -> ExpositionFormat {
    match case["format"].as_str() {
        Some("openmetrics") => ExpositionFormat::OpenMetrics,
        _ => ExpositionFormat::Text,
    }
}

fn input_of(case: &Value) -> Vec<u8> {
    match case["input"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(case["input_b64"].as_str().unwrap()),
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0u32, |bits, b| bits << 6 | u32::from(digit(*b))) << (6 * (4 - group.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}

fn read_all(format: ExpositionFormat, document: &[u8]) -> Result<Vec<Value>, ExpositionError> {
    let mut parser = Parser::new(format, document);
    let mut entries = Vec::new();
    while let Some(entry) = parser.next()? {
        entries.push(as_json(&entry));
    }
    Ok(entries)
}

fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => json!("NaN"),
        v if v.is_infinite() => json!(if v > 0.0 { "+Inf" } else { "-Inf" }),
        v => json!(v),
    }
}

fn labels_json(pairs: &[Pair<'_>]) -> Value {
    Value::Object(pairs.iter().map(|p| (p.name.to_cow().into_owned(), json!(p.value.to_cow()))).collect())
}

fn as_json(entry: &Entry<'_, '_>) -> Value {
    match entry {
        Entry::Type { metric, kind } => json!({"kind": "type", "metric": metric.to_cow(), "type": kind.as_str()}),
        Entry::Help { metric, help } => json!({"kind": "help", "metric": metric.to_cow(), "help": help.to_cow()}),
        Entry::Unit { metric, unit } => json!({"kind": "unit", "metric": metric.to_cow(), "unit": unit}),
        Entry::Comment(text) => json!({"kind": "comment", "text": String::from_utf8_lossy(text)}),
        Entry::Series { series, value } => {
            let mut out = json!({"kind": "series", "raw": series.raw, "labels": labels_json(series.labels)});
            out["value"] = number(*value);
            common(&mut out, series);
            out
        }
        Entry::Histogram { series, histogram } => {
            let mut out = json!({"kind": "histogram", "labels": labels_json(series.labels)});
            out["count"] = json!(histogram.count);
            common(&mut out, series);
            out
        }
    }
}

fn common(out: &mut Value, series: &SeriesEntry<'_, '_>) {
    if let Some(ms) = series.timestamp_ms {
        out["timestamp_ms"] = json!(ms);
    }
    if let Some(ms) = series.start_timestamp_ms {
        out["start_timestamp_ms"] = json!(ms);
    }
    let exemplar = |e: ExemplarEntry<'_, '_>| {
        let mut out = json!({"labels": labels_json(e.labels), "value": e.value});
        if let Some(ms) = e.timestamp_ms {
            out["timestamp_ms"] = json!(ms);
        }
        out
    };
    if !series.exemplars.is_empty() {
        out["exemplars"] = series.exemplars.iter().map(exemplar).collect();
    }
}

/// Numbers compare as numbers: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn cases(name: &str) -> Vec<Value> {
    let Some(directory) = shared() else { return Vec::new() };
    let text = std::fs::read_to_string(directory.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_official_suite_is_judged_as_listed() {
    let mut wrong = Vec::new();
    for case in cases("openmetrics_suite.jsonl") {
        let (id, document) = (case["id"].as_str().unwrap().to_owned(), input_of(&case));
        let judged = check_open_metrics(&document);
        if judged.is_ok() != case["valid"].as_bool().unwrap() {
            wrong.push(format!("{id}: {judged:?}"));
        }
        if case["valid"] == true
            && let Err(error) = read_all(ExpositionFormat::OpenMetrics, &document)
        {
            wrong.push(format!("{id}: when scraped: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_prometheus_accepts_and_rejects() {
    let mut wrong = Vec::new();
    for case in cases("accept_reject.jsonl") {
        let read = read_all(format_of(&case), &input_of(&case));
        if read.is_ok() != case["valid"].as_bool().unwrap() {
            wrong.push(format!("{}: {read:?}, wanted {}", case["id"], case["prometheus_error"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn documents_are_parsed_as_listed() {
    let Some(directory) = shared() else { return };
    let text = std::fs::read_to_string(directory.join("parsed_entries.json")).unwrap();
    let mut wrong = Vec::new();
    for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
        let entries = read_all(format_of(&case), &input_of(&case)).unwrap();
        let wanted = case["entries"].as_array().unwrap();
        for (at, (got, wanted)) in entries.iter().zip(wanted).enumerate() {
            if !same(got, wanted) {
                wrong.push(format!("{} entry {at}:\n  got    {got}\n  wanted {wanted}", case["id"]));
            }
        }
        if entries.len() != wanted.len() {
            wrong.push(format!("{}: {} entries, wanted {}", case["id"], entries.len(), wanted.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sample_files_are_read() {
    let Some(directory) = shared() else { return };
    let files = [
        ("alltypes.5mfs.om.txt", ExpositionFormat::OpenMetrics, 5),
        ("1histogram.om.txt", ExpositionFormat::OpenMetrics, 1),
        ("alltypes.237mfs.prom.txt", ExpositionFormat::Text, 237),
    ];
    for (name, format, families) in files {
        let document = std::fs::read(directory.join(name)).unwrap();
        let entries = read_all(format, &document).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(entries.iter().filter(|e| e["kind"] == "type").count(), families, "{name}");
        let options = CollectOptions::at(1000);
        let decoded = collect(&mut Collector::new(Limits::default()), format, &document, &options).unwrap();
        assert!(decoded.rejected.is_empty());
        assert_eq!(decoded.batch.sample_count(), entries.iter().filter(|e| e["kind"] == "series").count());
    }
}

fn labels(pairs: &[(&str, &str)]) -> bramble_signal::Labels {
    bramble_signal::Labels::from_pairs(pairs.iter().copied())
}

/// Two families, one with a name that needs quotes, as a printer of `format` writes them.
fn printed(format: ExpositionFormat) -> Vec<u8> {
    let mut out = Vec::new();
    let mut printer = Printer::new(format, true);
    let help = "Help with \\ and\na line, \"quoted\".";
    printer.family(FamilyHeader { name: "up", help, kind: bramble_signal::MetricKind::Gauge }, &mut out);
    printer.sample(labels(&[("job", "a\"b\\c\nd")]).as_ref(), &[("instance", "")], 1.0, 1500, &mut out);
    printer.sample(labels(&[]).as_ref(), &[], f64::NEG_INFINITY, -2000, &mut out);
    printer.family(FamilyHeader { name: "my.name", help: "", kind: bramble_signal::MetricKind::Unknown }, &mut out);
    printer.sample(labels(&[("a.b", "c")]).as_ref(), &[], 2e9, 3000, &mut out);
    printer.finish(&mut out);
    out
}

#[test]
fn what_is_printed_is_golden() {
    let text = r#"# HELP up Help with \\ and\na line, "quoted".
# TYPE up gauge
up{job="a\"b\\c\nd",instance=""} 1 1500
up -Inf -2000
# TYPE "my.name" untyped
{"my.name","a.b"="c"} 2e+09 3000
"#;
    assert_eq!(String::from_utf8(printed(ExpositionFormat::Text)).unwrap(), text);
    let open_metrics = r#"# HELP up Help with \\ and\na line, \"quoted\".
# TYPE up gauge
up{job="a\"b\\c\nd",instance=""} 1 1.500
up -Inf -2
# TYPE "my.name" unknown
{"my.name","a.b"="c"} 2e+09 3
# EOF
"#;
    assert_eq!(String::from_utf8(printed(ExpositionFormat::OpenMetrics)).unwrap(), open_metrics);
}

#[test]
fn names_are_escaped_for_old_readers() {
    let mut out = Vec::new();
    let mut printer = Printer::new(ExpositionFormat::Text, false);
    printer.family(FamilyHeader { name: "9a.b:c", help: "", kind: bramble_signal::MetricKind::Unknown }, &mut out);
    printer.sample(labels(&[("a.b:c", "d.e")]).as_ref(), &[], 1.0, 2, &mut out);
    printer.finish(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "# TYPE _9a_b:c untyped\n_9a_b:c{a_b_c=\"d.e\"} 1 2\n");
}

#[test]
fn what_is_printed_reads_back() {
    let wanted = json!([
        {"kind": "help", "metric": "up", "help": "Help with \\ and\na line, \"quoted\"."},
        {"kind": "type", "metric": "up", "type": "gauge"},
        {"kind": "series", "labels": {"__name__": "up", "job": "a\"b\\c\nd", "instance": ""}, "value": 1,
            "timestamp_ms": 1500},
        {"kind": "series", "labels": {"__name__": "up"}, "value": "-Inf", "timestamp_ms": -2000},
        {"kind": "type", "metric": "my.name", "type": "unknown"},
        {"kind": "series", "labels": {"__name__": "my.name", "a.b": "c"}, "value": 2e9, "timestamp_ms": 3000},
    ]);
    for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics, ExpositionFormat::Protobuf] {
        let mut entries = read_all(format, &printed(format)).unwrap();
        for entry in &mut entries {
            entry.as_object_mut().unwrap().remove("raw");
        }
        assert!(same(&json!(entries), &wanted), "{format:?}: {entries:#?}");
    }
}

#[test]
fn native_histograms_survive_protobuf() {
    use bramble_signal::{BucketSpan, NativeHistogram, ResetHint};
    let full = NativeHistogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 2.5,
        count: 10.0,
        sum: -3.25,
        positive_spans: vec![BucketSpan { offset: -5, length: 2 }, BucketSpan { offset: 3, length: 1 }],
        positive_counts: vec![1.0, 2.0, 3.0],
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_counts: vec![1.5],
        ..Default::default()
    };
    let empty = NativeHistogram::default();
    for (histogram, kind) in [
        (full.clone(), bramble_signal::MetricKind::Histogram),
        (empty, bramble_signal::MetricKind::Histogram),
        (NativeHistogram { reset_hint: ResetHint::Gauge, ..full }, bramble_signal::MetricKind::GaugeHistogram),
    ] {
        let mut out = Vec::new();
        let mut printer = Printer::new(ExpositionFormat::Protobuf, true);
        printer.family(FamilyHeader { name: "h", help: "", kind }, &mut out);
        printer.histogram(labels(&[("a", "1")]).as_ref(), &[], &histogram, 7);
        printer.finish(&mut out);
        let mut parser = Parser::new(ExpositionFormat::Protobuf, &out);
        assert!(matches!(parser.next(), Ok(Some(Entry::Type { .. }))));
        let Some(Entry::Histogram { series, histogram: read }) = parser.next().unwrap() else { panic!("native") };
        assert_eq!(series.timestamp_ms, Some(7));
        let mut read = read.clone();
        read.positive_spans.retain(|span| span.length > 0);
        assert_eq!(read, histogram);
        assert!(parser.next().unwrap().is_none());
    }
}

/// A family as client_golang writes it: integer histogram, classic and native, with exemplars and a creation time.
fn client_histogram() -> Vec<u8> {
    use crate::protobuf::Writer;
    let mut family = Vec::new();
    let mut w = Writer::new(&mut family);
    w.bytes(1, "latency_seconds");
    w.bytes(2, "Latency.");
    w.varint(3, 4);
    w.message(4, |metric| {
        metric.message(1, |label| {
            label.bytes(1, "path");
            label.bytes(2, "/");
        });
        metric.message(7, |h| {
            h.varint(1, 6);
            h.double(2, 1.5);
            h.message(3, |bucket| {
                bucket.varint(1, 4);
                bucket.double(2, 0.5);
                bucket.message(3, |exemplar| {
                    exemplar.message(1, |label| {
                        label.bytes(1, "trace_id");
                        label.bytes(2, "abc");
                    });
                    exemplar.double(2, 0.25);
                    exemplar.message(3, |time| time.varint(1, 9));
                });
            });
            h.varint(5, 4); // zigzag of 2
            h.double(6, 1e-6);
            h.varint(7, 1);
            h.message(12, |span| {
                span.varint(1, 3); // zigzag of -2
                span.varint(2, 3);
            });
            h.varint(13, 4); // +2
            h.varint(13, 1); // -1
            h.varint(13, 2); // +1
            h.message(15, |time| {
                time.varint(1, 5);
                time.varint(2, 250_000_000);
            });
        });
    });
    w.bytes(5, "seconds");
    let mut out = vec![family.len() as u8 | 0x80, (family.len() >> 7) as u8];
    out.extend_from_slice(&family);
    out
}

#[test]
fn protobuf_histograms_are_native_classic_or_both() {
    let document = client_histogram();
    let entries = read_all(ExpositionFormat::Protobuf, &document).unwrap();
    let exemplars = json!([{"labels": {"trace_id": "abc"}, "value": 0.25, "timestamp_ms": 9000}]);
    let native = json!({"kind": "histogram", "labels": {"__name__": "latency_seconds", "path": "/"}, "count": 6,
        "start_timestamp_ms": 5250, "exemplars": exemplars});
    assert_eq!(entries.len(), 4, "{entries:#?}");
    assert_eq!(entries[2], json!({"kind": "unit", "metric": "latency_seconds", "unit": "seconds"}));
    assert!(same(&entries[3], &native), "{:#}", entries[3]);
    let mut parser = ProtobufParser::new(&document).with_classic(true);
    let mut names = Vec::new();
    while let Some(entry) = parser.next().unwrap() {
        if let Entry::Series { series, value } = entry {
            let le = series.labels.iter().find(|p| p.name.to_cow() == "le").map(|p| p.value.to_cow().into_owned());
            names.push((series.labels[0].value.to_cow().into_owned(), le, value, series.exemplars.iter().count()));
        } else if let Entry::Histogram { histogram, .. } = entry {
            assert_eq!(histogram.positive_counts, [2.0, 1.0, 2.0]);
            assert_eq!((histogram.schema, histogram.positive_spans[0].offset), (2, -2));
            histogram.validate().unwrap();
        }
    }
    let name = |suffix: &str| format!("latency_seconds{suffix}");
    assert_eq!(
        names,
        [
            (name("_count"), None, 6.0, 0),
            (name("_sum"), None, 1.5, 0),
            (name("_bucket"), Some("0.5".to_owned()), 4.0, 1),
            (name("_bucket"), Some("+Inf".to_owned()), 6.0, 0),
        ]
    );
}

#[test]
fn errors_say_where_and_the_rest_is_read() {
    let mut parser = Parser::new(ExpositionFormat::Text, b"a 1\n\nb{x=\"1} 2\nc three\nd 4 5 6\ne 7\n");
    let mut seen = Vec::new();
    loop {
        match parser.next() {
            Ok(None) => break,
            Ok(Some(Entry::Series { series, .. })) => seen.push(series.raw.to_owned()),
            Ok(Some(_)) => {}
            Err(error) => seen.push(error.to_string()),
        }
    }
    assert_eq!(
        seen,
        [
            "a",
            "line 3, column 5: a label value has no closing quote",
            "line 4, column 3: value: not a number",
            "line 5, column 7: expected the end of the line, found '6'",
            "e"
        ]
    );
}

#[test]
fn a_batch_is_collected_within_its_limit() {
    let document = b"# HELP a Help.\n# TYPE a counter\na_total{b=\"1\",b=\"2\"} 1\na_total 5 # {trace_id=\"x\"} 1 2\n\
        a_created 1\n# EOF\n";
    let options = CollectOptions { labels: vec![("job".into(), "j".into())], ..CollectOptions::at(1000) };
    let mut collector = Collector::new(Limits::default());
    let decoded = collect(&mut collector, ExpositionFormat::OpenMetrics, document, &options).unwrap();
    assert_eq!((decoded.rejected.count(), decoded.batch.series_count()), (1, 1));
    let (labels, samples) = decoded.batch.series(0);
    assert_eq!(labels.to_string(), r#"{__name__="a_total", job="j"}"#);
    assert_eq!((samples[0].timestamp_ms, decoded.batch.start_ms(0)), (1000, 1000));
    let exemplar = decoded.batch.exemplars(0).next().unwrap();
    assert_eq!((exemplar.labels.get("trace_id"), exemplar.timestamp_ms), (Some("x"), 2000));
    assert_eq!((decoded.batch.metadata.len(), decoded.batch.metadata[0].help.as_str()), (1, "Help."));
    let mut small = Collector::new(Limits { batch_bytes_max: 50, ..Limits::default() });
    let error = collect(&mut small, ExpositionFormat::OpenMetrics, document, &options).unwrap_err();
    assert!(error.message.contains("limit of 50 bytes"), "{error}");
}

proptest::proptest! {
    /// Any bytes give entries or an error, in bounded steps.
    #[test]
    fn any_bytes_end(document in proptest::collection::vec(proptest::sample::select(
        b"a_total{le=\"\\\"1\",}# TYPE HELP EOF counter\n\0\xff 1.5e+Nan".to_vec()), 0..200))
    {
        for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics, ExpositionFormat::Protobuf] {
            let mut parser = Parser::new(format, &document);
            let mut steps = 0;
            while !matches!(parser.next(), Ok(None)) {
                steps += 1;
                proptest::prop_assert!(steps <= document.len() + 2);
            }
        }
        let _ = check_open_metrics(&document);
    }
}

#[test]
fn created_lines_are_samples_for_who_wants_them() {
    let text = b"# TYPE a counter\na_total 1\na_created 1700000000.5\n# EOF\n";
    let names = |mut parser: OpenMetricsParser<'_>| {
        let mut names = Vec::new();
        while let Some(entry) = parser.next().unwrap() {
            if let Entry::Series { series, value } = entry {
                names.push((series.labels[0].value.to_cow().into_owned(), value, series.start_timestamp_ms));
            }
        }
        names
    };
    let total = ("a_total".to_owned(), 1.0, Some(1_700_000_000_500));
    assert_eq!(names(OpenMetricsParser::new(text)), std::slice::from_ref(&total));
    assert_eq!(
        names(OpenMetricsParser::new(text).with_created()),
        [total, ("a_created".to_owned(), 1_700_000_000.5, None)]
    );
}
