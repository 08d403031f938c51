use crate::{Decoded, Format, Limits, RejectReason, otlp::Decoder};
use bramble_signal::{MetricBatch, MetricKind, STALE_NAN_BITS};

fn decode(json: &str) -> Decoded<MetricBatch> {
    Decoder::new(Limits::default()).metrics(Format::Json, json.as_bytes()).unwrap()
}

/// One resource with one scope and these metrics.
fn metrics(metrics: &str) -> Decoded<MetricBatch> {
    decode(&format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"shop"}}}},
            {{"key":"service.namespace","value":{{"stringValue":"eu"}}}},
            {{"key":"service.instance.id","value":{{"stringValue":"i-1"}}}},
            {{"key":"host.name","value":{{"stringValue":"pi"}}}}]}},
        "scopeMetrics":[{{"scope":{{"name":"lib","version":"1"}},"metrics":[{metrics}]}}]}}]}}"#
    ))
}

fn lines(batch: &MetricBatch) -> Vec<String> {
    let strip = |labels: String| {
        labels
            .replace(r#", instance="i-1", job="eu/shop""#, "")
            .replace(r#", otel_scope_name="lib", otel_scope_version="1""#, "")
    };
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
            "dataPoints":[{"timeUnixNano":"5000000","asInt":"7","exemplars":[{}],"attributes":[
                {"key":"b.c","value":{"stringValue":"2"}},{"key":"b_c","value":{"stringValue":"3"}},{"key":"b-c","value":{"intValue":1}},{"key":"job","value":{"stringValue":"x"}}]}]}}"#,
    );
    let series: Vec<_> = decoded.batch.iter().map(|(labels, _)| labels.to_string()).collect();
    assert_eq!(
        series,
        [
            r#"{__name__="http_requests_total", b_c="1;2;3", instance="i-1", job="eu/shop", otel_scope_name="lib", otel_scope_version="1"}"#,
            r#"{__name__="target_info", host_name="pi", instance="i-1", job="eu/shop"}"#
        ]
    );
    assert_eq!((decoded.batch.series(0).1[0].value, decoded.exemplars_skipped), (7.0, 1));
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
            r#"{__name__="target_info", host_name="pi"} 1@9"#,
        ]
        .map(|line| line.replace(r#", instance="i-1", job="eu/shop""#, ""))
    );
}

#[test]
fn no_recorded_value_is_the_staleness_marker() {
    let decoded = metrics(r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1000000","flags":1}]}}"#);
    assert_eq!(decoded.batch.series(0).1[0].value.to_bits(), STALE_NAN_BITS);
}

#[test]
fn what_is_not_supported_is_rejected_and_counted() {
    let decoded = metrics(
        r#"{"name":"delta","sum":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":1,"asInt":1},{"timeUnixNano":1,"asInt":1}]}},
           {"name":"exp","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"scale":3}]}},
           {"name":"none"},
           {"name":"","gauge":{"dataPoints":[{"timeUnixNano":1,"asInt":1}]}},
           {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[
                {"timeUnixNano":1,"bucketCounts":[1],"explicitBounds":[1]},{"timeUnixNano":1,"bucketCounts":[1,1,1],"explicitBounds":[2,1]},{"timeUnixNano":"1000000","count":1}]}},
           {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":1},{"asInt":1},{"timeUnixNano":"2000000","asDouble":1}]}}"#,
    );
    let reasons: Vec<_> = decoded.rejected.by_reason().collect();
    assert_eq!(
        reasons,
        [
            (RejectReason::MissingName, 1),
            (RejectReason::InvalidTimestamp, 1),
            (RejectReason::BucketMismatch, 2),
            (RejectReason::DeltaLate, 2),
            (RejectReason::HistogramScale, 1),
            (RejectReason::NoValue, 2),
        ]
    );
    assert_eq!(
        decoded.rejected.first_reason().unwrap().1.split(" at byte").next(),
        Some("delta temporality is not supported, send cumulative: metric \"delta\"")
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
