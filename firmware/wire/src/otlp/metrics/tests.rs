use super::{DeltaStreams, MetricOptions, Promotion, Translation};
use crate::{Decoded, Format, Limits, RejectReason, otlp::Decoder};
use bramble_signal::histogram::{BucketSpan, NativeHistogram};
use bramble_signal::{MetricBatch, MetricKind, STALE_NAN_BITS, is_stale_marker};
use std::sync::Arc;

fn decode(json: &str) -> Decoded<MetricBatch> {
    Decoder::new(Limits::default()).metrics(Format::Json, json.as_bytes()).unwrap()
}

/// One resource with one scope and these metrics.
fn metrics(metrics: &str) -> Decoded<MetricBatch> {
    decode(&request(metrics))
}

fn with_options(options: MetricOptions, metrics: &str) -> Decoded<MetricBatch> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_metrics(Arc::new(options), DeltaStreams::default());
    decoder.metrics(Format::Json, request(metrics).as_bytes()).unwrap()
}

fn request(metrics: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"shop"}}}},
            {{"key":"service.namespace","value":{{"stringValue":"eu"}}}},
            {{"key":"service.instance.id","value":{{"stringValue":"i-1"}}}},
            {{"key":"host.name","value":{{"stringValue":"pi"}}}}]}},
        "scopeMetrics":[{{"scope":{{"name":"lib","version":"1","attributes":[{{"key":"a.b","value":{{"stringValue":"c"}}}}]}},
            "schemaUrl":"s","metrics":[{metrics}]}}]}}]}}"#
    )
}

fn lines(batch: &MetricBatch) -> Vec<String> {
    let strip = |labels: String| labels.replace(r#", instance="i-1", job="eu/shop""#, "");
    let line = |(labels, samples): (bramble_signal::LabelsRef<'_>, &[bramble_signal::Sample])| {
        let samples: Vec<_> = samples.iter().map(|s| format!("{}@{}", s.value, s.timestamp_ms)).collect();
        format!("{} {}", strip(labels.to_string()), samples.join(" "))
    };
    batch.iter().map(line).collect()
}

#[test]
fn a_sum_is_a_counter_with_identity_and_target() {
    let decoded = metrics(
        r#"{"name":"http.requests","description":"Requests.","unit":"{request}","sum":{"aggregationTemporality":2,"isMonotonic":true,
            "dataPoints":[{"timeUnixNano":"5000000","asInt":"7","exemplars":[{},{"asInt":7,"timeUnixNano":"4000000","traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","filteredAttributes":[{"key":"user.id","value":{"intValue":3}}]}],"attributes":[
                {"key":"b.c","value":{"stringValue":"2"}},{"key":"b_c","value":{"stringValue":"3"}},{"key":"b-c","value":{"intValue":1}},{"key":"job","value":{"stringValue":"x"}}]}]}}"#,
    );
    let series: Vec<_> = decoded.batch.iter().map(|(labels, _)| labels.to_string()).collect();
    assert_eq!(
        series,
        [
            r#"{__name__="http_requests_total", b_c="1;2;3", instance="i-1", job="eu/shop"}"#,
            r#"{__name__="target_info", host_name="pi", instance="i-1", job="eu/shop"}"#
        ]
    );
    assert_eq!((decoded.batch.series(0).1[0].value, decoded.exemplars_skipped), (7.0, 1));
    let exemplars: Vec<_> =
        decoded.batch.exemplars(0).map(|e| (e.labels.to_string(), e.value, e.timestamp_ms)).collect();
    let labels = r#"{span_id="0102030405060708", trace_id="0102030405060708090a0b0c0d0e0f10", "user.id"="3"}"#;
    assert_eq!(exemplars, [(labels.to_owned(), 7.0, 4)]);
    let metadata = &decoded.batch.metadata[0];
    assert_eq!(
        (metadata.name.as_str(), metadata.kind, metadata.help.as_str(), metadata.unit.as_str()),
        ("http_requests_total", MetricKind::Counter, "Requests.", "")
    );
}

#[test]
fn histograms_and_summaries_become_series() {
    let decoded = metrics(
        r#"{"name":"lat","unit":"s","histogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","dataPoints":[
                {"timeUnixNano":"9000000","count":"6","sum":2.5,"bucketCounts":["1","2","3"],"explicitBounds":[0.5,1]}]}},
           {"name":"q","summary":{"dataPoints":[{"timeUnixNano":"8000000","count":"2","sum":3,"quantileValues":[{"quantile":0.99,"value":4}]}]}}"#,
    );
    assert_eq!(
        lines(&decoded.batch),
        [
            r#"{__name__="lat_seconds_sum"} 2.5@9"#,
            r#"{__name__="lat_seconds_count"} 6@9"#,
            r#"{__name__="lat_seconds_bucket", instance="i-1", job="eu/shop", le="0.5"} 1@9"#,
            r#"{__name__="lat_seconds_bucket", instance="i-1", job="eu/shop", le="1"} 3@9"#,
            r#"{__name__="lat_seconds_bucket", instance="i-1", job="eu/shop", le="+Inf"} 6@9"#,
            r#"{__name__="q_sum"} 3@8"#,
            r#"{__name__="q_count"} 2@8"#,
            r#"{__name__="q", quantile="0.99"} 4@8"#,
            r#"{__name__="target_info", host_name="pi"} 1@8 1@9"#,
        ]
        .map(|line| line.replace(r#", instance="i-1", job="eu/shop""#, ""))
    );
}

#[test]
fn no_recorded_value_is_the_staleness_marker() {
    let decoded = metrics(
        r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1000000","flags":1}]}},
           {"name":"e","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1000000","flags":1}]}},
           {"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1000000","flags":1,"explicitBounds":[1],"bucketCounts":[0,0]}]}}"#,
    );
    assert_eq!(decoded.batch.series(0).1[0].value.to_bits(), STALE_NAN_BITS);
    let all = decoded.batch.series_count() - 1;
    assert!((0..all).all(|i| is_stale_marker(decoded.batch.series(i).1[0].value)), "{:?}", lines(&decoded.batch));
    assert_eq!((all, decoded.rejected.count()), (5, 0));
}

#[test]
fn what_is_wrong_is_rejected_and_counted() {
    let decoded = metrics(
        r#"{"name":"exp","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"scale":3},
                {"timeUnixNano":1,"scale":-5},{"timeUnixNano":1,"count":1},{"timeUnixNano":1,"count":1,"zeroCount":1,"zeroThreshold":-1}]}},
           {"name":"unsaid","sum":{"dataPoints":[{"timeUnixNano":1,"asInt":1},{"timeUnixNano":1,"asInt":1}]}},
           {"name":"none"},
           {"name":"","gauge":{"dataPoints":[{"timeUnixNano":1,"asInt":1}]}},
           {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[
                {"timeUnixNano":1,"bucketCounts":[1],"explicitBounds":[1]},{"timeUnixNano":1,"bucketCounts":[1,1,1],"explicitBounds":[2,1]},{"timeUnixNano":1,"count":1,"bucketCounts":[1,1],"explicitBounds":[2]},{"timeUnixNano":"1000000","count":1}]}},
           {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":1},{"asInt":1},{"timeUnixNano":"2000000","asDouble":1}]}}"#,
    );
    let reasons: Vec<_> = decoded.rejected.by_reason().collect();
    assert_eq!(
        reasons,
        [
            (RejectReason::MissingName, 1),
            (RejectReason::InvalidTimestamp, 2),
            (RejectReason::BucketMismatch, 5),
            (RejectReason::UnspecifiedTemporality, 2),
            (RejectReason::HistogramScale, 1),
            (RejectReason::NoValue, 2),
        ]
    );
    assert_eq!(
        decoded.rejected.first_reason().unwrap().1.split(" at byte").next(),
        Some("timestamp is out of range: data point of exp")
    );
    // The sound points of the same metrics are kept: `h` has a count and the bucket of all, `g` one sample.
    assert_eq!(lines(&decoded.batch).len(), 4);
}

#[test]
fn nothing_but_an_identity_is_no_target_info() {
    let json = r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeMetrics":[{"metrics":[
        {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1000000","asDouble":0.5}]}}]}]}]}"#;
    let batch = decode(json).batch;
    assert_eq!(lines(&batch), [r#"{__name__="g", job="s"} 0.5@1"#]);
}

const EXPONENTIAL: &str = r#"{"name":"e","unit":"s","exponentialHistogram":{"aggregationTemporality":TEMPORALITY,"dataPoints":[
    {"startTimeUnixNano":"START","timeUnixNano":"END","count":"9","sum":3.5,"scale":1,"zeroCount":"2","min":0,"max":9,
     "positive":{"offset":-1,"bucketCounts":["1","0","3"]},"negative":{"offset":4,"bucketCounts":[3]},
     "exemplars":[{"asDouble":0.5}]}]}}"#;

fn interval(text: &str, temporality: u32, (start_s, end_s): (u64, u64)) -> String {
    text.replace("TEMPORALITY", &temporality.to_string())
        .replace("START", &(start_s * 1_000_000_000).to_string())
        .replace("END", &(end_s * 1_000_000_000).to_string())
}

#[test]
fn exponential_histograms_are_native() {
    let decoded = metrics(&interval(EXPONENTIAL, 2, (1, 2)));
    assert_eq!(decoded.batch.series(0).0.get("__name__"), Some("e_seconds"));
    let sample = decoded.batch.series(0).1[0];
    let wanted = NativeHistogram {
        schema: 1,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 9.0,
        sum: 3.5,
        positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
        positive_counts: vec![1.0, 0.0, 3.0],
        negative_spans: vec![BucketSpan { offset: 5, length: 1 }],
        negative_counts: vec![3.0],
        ..NativeHistogram::default()
    };
    assert_eq!((sample.timestamp_ms, decoded.batch.histogram(sample.value)), (2000, Some(&wanted)));
    assert_eq!(decoded.batch.exemplars(0).map(|e| (e.value, e.timestamp_ms)).collect::<Vec<_>>(), [(0.5, 2000)]);
    assert_eq!(decoded.batch.metadata[0].kind, MetricKind::Histogram);
    let twice = DeltaStreams::default();
    let mut sums = Vec::new();
    for (start, end) in [(1, 2), (2, 3)] {
        // Any of a door's decoders may get the next point.
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_metrics(Arc::default(), twice.clone());
        let json = request(&interval(EXPONENTIAL, 1, (start, end)));
        let decoded = decoder.metrics(Format::Json, json.as_bytes()).unwrap();
        let histogram = decoded.batch.histogram(decoded.batch.series(0).1[0].value).unwrap();
        sums.push((histogram.count, histogram.sum, histogram.zero_count, histogram.positive_counts.clone()));
    }
    assert_eq!(sums, [(9.0, 3.5, 2.0, vec![1.0, 0.0, 3.0]), (18.0, 7.0, 4.0, vec![2.0, 0.0, 6.0])]);
}

const DELTAS: &str = r#"{"name":"n","sum":{"aggregationTemporality":TEMPORALITY,"isMonotonic":true,"dataPoints":[
        {"startTimeUnixNano":"START","timeUnixNano":"END","asInt":2},
        {"startTimeUnixNano":"START","timeUnixNano":"END","asInt":5,"attributes":[{"key":"k","value":{"stringValue":"v"}}]}]}},
    {"name":"u","unit":"1","sum":{"aggregationTemporality":TEMPORALITY,"dataPoints":[{"startTimeUnixNano":"START","timeUnixNano":"END","asDouble":-1.5}]}},
    {"name":"h","histogram":{"aggregationTemporality":TEMPORALITY,"dataPoints":[
        {"startTimeUnixNano":"START","timeUnixNano":"END","count":3,"sum":4,"bucketCounts":[1,2],"explicitBounds":[1],
         "exemplars":[{"asDouble":7},{"asDouble":0.5},{"asDouble":1}]}]}}"#;

#[test]
fn deltas_are_added_up() {
    let mut decoder = Decoder::new(Limits::default());
    let mut take =
        |from, to| decoder.metrics(Format::Json, request(&interval(DELTAS, 1, (from, to))).as_bytes()).unwrap();
    let values = |decoded: &Decoded<MetricBatch>| {
        let all = decoded.batch.iter().filter(|(labels, _)| labels.get("__name__") != Some("target_info"));
        all.map(|(_, samples)| samples[0].value).collect::<Vec<_>>()
    };
    let first = take(0, 10);
    assert_eq!(
        lines(&first.batch)[..6].iter().map(|line| line.split("\"}").next().unwrap_or("")).collect::<Vec<_>>(),
        [
            r#"{__name__="n_total"#,
            r#"{__name__="n_total", k="v"#,
            // A sum that may fall is a gauge, but no ratio.
            r#"{__name__="u"#,
            r#"{__name__="h_sum"#,
            r#"{__name__="h_count"#,
            r#"{__name__="h_bucket", le="1"#,
        ]
    );
    assert_eq!(values(&first), [2.0, 5.0, -1.5, 4.0, 3.0, 1.0, 3.0]);
    let exemplars = |entry: usize| first.batch.exemplars(entry).map(|e| e.value).collect::<Vec<_>>();
    assert_eq!((exemplars(5), exemplars(6)), (vec![0.5, 1.0], vec![7.0]), "each in its bucket");
    assert_eq!(values(&take(10, 20)), [4.0, 10.0, -3.0, 8.0, 6.0, 2.0, 6.0]);
    let again = take(10, 20);
    assert_eq!((values(&again), again.rejected.count()), (vec![4.0, 10.0, -3.0, 8.0, 6.0, 2.0, 6.0], 0), "a retry");
    let late = take(0, 10);
    assert_eq!(
        (lines(&late.batch).len(), late.rejected.by_reason().collect::<Vec<_>>()),
        (0, vec![(RejectReason::DeltaLate, 4)])
    );
    assert_eq!(take(15, 25).rejected.by_reason().collect::<Vec<_>>(), [(RejectReason::DeltaOverlap, 4)]);
    assert_eq!(values(&take(20, 30)), [6.0, 15.0, -4.5, 12.0, 9.0, 3.0, 9.0]);
}

/// A door tries again with more memory: what the first try counted must not count twice.
#[test]
fn a_request_that_did_not_fit_is_not_counted() {
    let mut decoder = Decoder::new(Limits::default());
    let json = request(&interval(DELTAS, 1, (0, 10)));
    let mut allowance = 64;
    let decoded = loop {
        decoder.set_batch_bytes_max(allowance);
        match decoder.metrics(Format::Json, json.as_bytes()) {
            Ok(decoded) => break decoded,
            Err(_) => allowance += 64,
        }
    };
    assert!(allowance > 1000);
    assert_eq!((decoded.batch.series(0).1[0].value, decoded.rejected.count()), (2.0, 0));
}

#[test]
fn explicit_histograms_can_be_native() {
    let options = MetricOptions { convert_histograms_to_nhcb: true, ..MetricOptions::default() };
    let decoded = with_options(options, &interval(DELTAS, 2, (0, 10)));
    let entry =
        (0..decoded.batch.series_count()).find(|&i| decoded.batch.series(i).0.get("__name__") == Some("h")).unwrap();
    let histogram = decoded.batch.histogram(decoded.batch.series(entry).1[0].value).unwrap();
    assert_eq!((histogram.schema, histogram.count, histogram.sum), (-53, 3.0, 4.0));
    assert_eq!(
        (histogram.custom_bounds.as_slice(), histogram.positive_counts.as_slice()),
        (&[1.0][..], &[1.0, 2.0][..])
    );
    assert_eq!(decoded.batch.exemplars(entry).count(), 3);
}

#[test]
fn resources_and_scopes_give_what_is_asked_for() {
    let gauge = r#"{"name":"a.b","unit":"s","gauge":{"dataPoints":[{"timeUnixNano":"1000000","asInt":1,"attributes":[{"key":"x.y","value":{"boolValue":true}}]}]}}"#;
    let first = |options| lines(&with_options(options, gauge).batch).join("\n");
    let promotion = Promotion::Only(vec!["host.name".to_owned(), "service.name".to_owned()]);
    assert_eq!(
        first(MetricOptions { promotion, keep_identifying_resource_attributes: true, ..MetricOptions::default() }),
        "{__name__=\"a_b_seconds\", host_name=\"pi\", instance=\"i-1\", job=\"eu/shop\", service_name=\"shop\", x_y=\"true\"} 1@1\n\
         {__name__=\"target_info\", host_name=\"pi\", instance=\"i-1\", job=\"eu/shop\", service_instance_id=\"i-1\", \
         service_name=\"shop\", service_namespace=\"eu\"} 1@1".replace(", instance=\"i-1\", job=\"eu/shop\"", "")
    );
    let promotion = Promotion::AllBut(vec!["service.name".to_owned(), "service.namespace".to_owned()]);
    let options = MetricOptions {
        promotion,
        promote_scope_metadata: true,
        translation: Translation::NoTranslation,
        ..MetricOptions::default()
    };
    assert_eq!(
        first(options),
        r#"{__name__="a.b", "host.name"="pi", instance="i-1", job="eu/shop", "otel_scope_a.b"="c", otel_scope_name="lib", otel_scope_schema_url="s", otel_scope_version="1", "service.instance.id"="i-1", "x.y"="true"} 1@1
{__name__="target_info", "host.name"="pi"} 1@1"#.replace(r#", instance="i-1", job="eu/shop""#, "")
    );
    let names = Translation::ALL.map(|translation| {
        let decoded = with_options(MetricOptions { translation, ..MetricOptions::default() }, gauge);
        decoded.batch.series(0).0.get("__name__").unwrap().to_owned()
    });
    assert_eq!(names, ["a_b_seconds", "a_b", "a.b_seconds", "a.b"]);
}

#[test]
fn target_info_covers_the_points() {
    let decoded = metrics(
        r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"10000000000","asInt":1},{"timeUnixNano":"410000000000","asInt":1},
            {"timeUnixNano":"100000000000000","asInt":1}]}}"#,
    );
    let target = decoded.batch.series(3).1;
    assert_eq!((target.len(), target[0].timestamp_ms, target[24].timestamp_ms), (25, 96_400_000, 100_000_000));
}

/// Spans and offsets of any size, and buckets that a few bytes claim.
#[test]
fn small_bodies_stay_small() {
    use crate::protobuf::Writer;
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, "e");
                w.message(10, |w| {
                    for offset in [0, u64::from(u32::MAX), u64::from(u32::MAX) - 1] {
                        w.message(1, |w| {
                            w.fixed64(3, 1);
                            w.fixed64(4, 1);
                            w.varint(6, 16);
                            w.message(8, |w| {
                                w.varint(1, offset);
                                w.bytes(2, [1]);
                            });
                        });
                    }
                    w.message(1, |w| {
                        w.fixed64(3, 1);
                        w.message(8, |w| w.bytes(2, vec![0; 100_000]));
                    });
                    w.varint(2, 2);
                });
            });
        });
    });
    let decoded = Decoder::new(Limits::default()).metrics(Format::Protobuf, &body).unwrap();
    assert!(decoded.batch.memory_bytes() < 4096);
    assert!(
        decoded.rejected.by_reason().all(|(reason, _)| reason == RejectReason::BucketMismatch),
        "{:?}",
        decoded.rejected
    );
}
