//! Each receiver against a writer that remembers: answers per condition, and what they leave behind.

use super::testing::{Answer, Bench, NOW_SECONDS, chunked, gzip, send, snappy};
use super::{ReceiveLimits, loki_push, otlp_grpc, otlp_http, remote_write};
use axum::Router;
use bramble_runtime::{BudgetName, OverBudget};
use bramble_storage::WriteError;
use bramble_wire::protobuf::Writer;
use std::time::Duration;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// An `ExportTraceServiceRequest` with one span per id.
pub(super) fn traces(ids: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |resource| {
        resource.message(2, |scope| {
            for id in ids {
                scope.message(2, |span| {
                    span.bytes(1, [*id; 16]);
                    span.bytes(2, [*id; 8]);
                    span.bytes(5, "GET /");
                    span.fixed64(7, NOW_SECONDS as u64 * 1_000_000_000);
                    span.fixed64(8, NOW_SECONDS as u64 * 1_000_000_000 + 5);
                });
            }
        });
    });
    out
}

/// A `WriteRequest` with one series per name, each of one sample.
fn samples(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for name in names {
        writer.message(1, |series| {
            series.message(1, |label| {
                label.bytes(1, "__name__");
                label.bytes(2, name);
            });
            series.message(2, |sample| {
                sample.double(1, 1.5);
                sample.varint(2, NOW_SECONDS as u64 * 1000);
            });
        });
    }
    out
}

fn loki_json(lines: usize) -> String {
    let values: Vec<String> = (0..lines).map(|i| format!("[\"{NOW_SECONDS}00000000{i}\",\"an error {i}\"]")).collect();
    format!("{{\"streams\":[{{\"stream\":{{\"app\":\"web\"}},\"values\":[{}]}}]}}", values.join(","))
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend((message.len() as u32).to_be_bytes());
    out.extend(message);
    out
}

fn over_budget() -> WriteError {
    WriteError::OverBudget(OverBudget { budget: BudgetName::TraceHead, wanted_bytes: 1, limit_bytes: 0 })
}

#[tokio::test]
async fn otlp_http_answers_in_the_type_of_the_request() {
    let bench = Bench::small();
    let router = otlp_http(bench.state.clone());
    let answer = send(&router, "/v1/traces", &[PROTOBUF], traces(&[1, 2])).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "no partial_success on full success");
    assert_eq!(answer.header("content-type"), "application/x-protobuf");
    assert_eq!(bench.writer.spans.lock()[0].spans.len(), 2);
    let answer = send(&router, "/v1/logs", &[JSON], r#"{"resourceLogs":[]}"#).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"), "an empty request is a success");
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(bench.writer.logs.lock().is_empty());
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"WARN: x"}}]}]}]}"#;
    assert_eq!(send(&router, "/v1/logs", &[JSON], logs).await.status.as_u16(), 200);
    let batch = bench.writer.logs.lock().pop().unwrap();
    let entry = batch.stream(0).entries().next().unwrap();
    assert_eq!((entry.line, entry.metadata.get("detected_level")), (&b"WARN: x"[..], Some("warn")));
    assert_eq!(entry.timestamp_ns, NOW_SECONDS * 1_000_000_000, "the clock's time where the record has none");
    let gauge = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"asDouble":1,"timeUnixNano":"5000000"}]}}]}]}]}"#;
    assert_eq!(send(&router, "/v1/metrics", &[JSON], gauge).await.status.as_u16(), 200);
    assert_eq!(bench.writer.metrics.lock()[0].sample_count(), 1);
    assert_eq!(bench.budget.used_bytes(), 0, "everything is given back");
    assert_eq!(bench.counted("bramble_receive_requests_total", &["200", "otlp_http"]), 4);
}

#[tokio::test]
async fn otlp_http_takes_every_compression() {
    let bench = Bench::small();
    let router = otlp_http(bench.state.clone());
    let body = traces(&[1; 50]);
    let zlib = {
        use std::io::Write;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&body).unwrap();
        encoder.finish().unwrap()
    };
    let bodies = [
        ("gzip", gzip(&body)),
        ("zstd", zstd::stream::encode_all(&body[..], 3).unwrap()),
        ("deflate", zlib),
        ("snappy", snappy(&body)),
        ("identity", body),
    ];
    for (count, (encoding, body)) in bodies.into_iter().enumerate() {
        let answer = send(&router, "/v1/traces", &[PROTOBUF, ("content-encoding", encoding)], body).await;
        assert_eq!(answer.status.as_u16(), 200, "{encoding}: {}", answer.text());
        assert_eq!(bench.writer.spans.lock().len(), count + 1);
    }
}

#[tokio::test]
async fn otlp_http_says_what_was_refused() {
    let bench = Bench::small();
    let router = otlp_http(bench.state.clone());
    let answer = send(&router, "/v1/traces", &[PROTOBUF], traces(&[1, 0])).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(&answer.body[..4], [0x0a, answer.body.len() as u8 - 2, 0x08, 1], "one rejected span");
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_http", "invalid_trace_id"]), 1);
    *bench.writer.reject_one.lock() = true;
    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    let answer = send(&router, "/v1/logs", &[JSON], json).await;
    assert!(answer.text().contains(r#""rejectedLogRecords":"1""#), "{}", answer.text());
    assert!(answer.text().contains("sample is too old"));
}

fn delta(name: &str, start_s: u64, end_s: u64) -> String {
    let (start, end) = (start_s * 1_000_000_000, end_s * 1_000_000_000);
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"{name}","sum":{{"aggregationTemporality":1,"isMonotonic":true,
            "dataPoints":[{{"startTimeUnixNano":"{start}","timeUnixNano":"{end}","asInt":3}}]}}}}]}}]}}]}}"#
    )
}

#[tokio::test]
async fn sums_of_deltas_are_paid_for_and_forgotten_when_memory_is_short() {
    let bench = Bench::small();
    let router = otlp_http(bench.state.clone());
    for (start, end, sum) in [(10, 20, 3.0), (20, 30, 6.0), (20, 30, 6.0)] {
        expect(&router, "/v1/metrics", &[JSON], delta("d", start, end), 200).await;
        let batch = bench.writer.metrics.lock().pop().unwrap();
        assert_eq!(batch.series(0).1[0].value, sum);
    }
    let answer = expect(&router, "/v1/metrics", &[JSON], delta("d", 10, 20), 200).await;
    assert!(answer.text().contains(r#""rejectedDataPoints":"1""#), "{}", answer.text());
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_http", "delta_late"]), 1);
    // Refused by the stores and sent again: counted once.
    *bench.writer.fail.lock() = Some(over_budget());
    expect(&router, "/v1/metrics", &[JSON], delta("d", 30, 40), 503).await;
    *bench.writer.fail.lock() = None;
    bench.writer.metrics.lock().clear();
    expect(&router, "/v1/metrics", &[JSON], delta("d", 30, 40), 200).await;
    assert_eq!(bench.writer.metrics.lock()[0].series(0).1[0].value, 9.0);
    let one = bench.budget.used_bytes();
    assert!((50..500).contains(&one), "{one} bytes");
    for i in 0..20_000u64 {
        if i % 4_000 == 0 {
            assert!(bench.budget.used_bytes() <= (4 << 20) / 8);
        }
        expect(&router, "/v1/metrics", &[JSON], delta(&format!("d{i}"), 0, 1), 200).await;
    }
    assert!(bench.state.0.deltas.streams.forgotten() > 0);
}

/// Posts what is wrong and then what is right.
async fn expect(
    router: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<axum::body::Body>,
    status: u16,
) -> Answer {
    let answer = send(router, path, headers, body).await;
    assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
    answer
}

#[tokio::test]
async fn otlp_http_refuses_specifically() {
    let bench = Bench::small();
    let router = otlp_http(bench.state.clone());
    let whole = traces(&[1, 2, 3]);
    let answer = expect(&router, "/v1/traces", &[PROTOBUF], whole[..whole.len() - 3].to_vec(), 400).await;
    assert_eq!(&answer.body[..2], [0x08, 3], "google.rpc.Status with INVALID_ARGUMENT");
    let answer = expect(&router, "/v1/traces", &[JSON], "{\"resourceSpans\":[", 400).await;
    assert!(answer.text().contains("\"code\":3"), "{}", answer.text());
    expect(&router, "/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], whole.clone(), 400).await;
    expect(&router, "/v1/traces", &[("content-type", "text/plain")], whole.clone(), 415).await;
    expect(&router, "/v1/traces", &[], whole.clone(), 415).await;
    expect(&router, "/v1/traces", &[PROTOBUF, ("content-encoding", "br")], whole.clone(), 415).await;
    expect(&router, "/v1/traces", &[PROTOBUF], vec![0; 100_001], 413).await;
    expect(&router, "/v1/traces", &[PROTOBUF], chunked(vec![vec![0; 60_000]; 3]), 413).await;
    for (encoding, bomb) in
        [("gzip", gzip(&vec![0; 30 << 20])), ("zstd", zstd::stream::encode_all(&vec![0u8; 30 << 20][..], 3).unwrap())]
    {
        assert!(bomb.len() < 100_000);
        expect(&router, "/v1/traces", &[PROTOBUF, ("content-encoding", encoding)], bomb, 413).await;
    }
    let response = tower::ServiceExt::oneshot(
        router.clone(),
        http::Request::get("/v1/traces").body(axum::body::Body::empty()).unwrap(),
    );
    assert_eq!(response.await.unwrap().status().as_u16(), 405);
    assert!(bench.writer.spans.lock().is_empty());
    expect(&router, "/v1/traces", &[PROTOBUF], whole, 200).await;
    assert_eq!(bench.budget.used_bytes(), 0);
    for reason in ["truncated", "invalid_json", "corrupt_body", "content_encoding"] {
        assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_http", reason]), 1, "{reason}");
    }
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_http", "too_large"]), 4);
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_http", "content_type"]), 2);
}

#[tokio::test]
async fn every_protocol_has_its_own_word_for_later() {
    let bench = Bench::small();
    let routers = otlp_http(bench.state.clone()).merge(otlp_grpc(bench.state.clone()));
    let routers = routers.merge(remote_write(bench.state.clone())).merge(loki_push(bench.state.clone()));
    // First there is no memory for the request itself, then none behind the door.
    let mut all = Some(bench.budget.reserve(bench.budget.limit_bytes()).unwrap());
    for round in ["the door", "the stores"] {
        let answer = expect(&routers, "/v1/traces", &[PROTOBUF], traces(&[1]), 503).await;
        assert_eq!(answer.header("retry-after"), "2", "{round}");
        assert!(answer.body.starts_with(&[0x08, 14]), "google.rpc.Status with UNAVAILABLE");
        let answer = expect(&routers, TRACES, &[GRPC], frame(0, &traces(&[1])), 200).await;
        assert_eq!(answer.header("grpc-status"), "14", "{round}");
        assert!(answer.header("grpc-status-details-bin").len() > 40, "RetryInfo");
        let answer = expect(&routers, "/api/v1/write", &[PROTOBUF], snappy(&samples(&["up"])), 503).await;
        assert_eq!(answer.header("retry-after"), "2", "{round}");
        let answer = expect(&routers, "/loki/api/v1/push", &[JSON], loki_json(1), 429).await;
        assert_eq!(answer.header("retry-after"), "2", "{round}");
        assert_eq!(bench.writer.spans.lock().is_empty(), all.is_some(), "{round}");
        all = None;
        *bench.writer.fail.lock() = Some(over_budget());
    }
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_grpc", "over_budget"]), 2);
    *bench.writer.fail.lock() = Some(WriteError::ShuttingDown);
    expect(&routers, "/loki/api/v1/push", &[JSON], loki_json(1), 503).await;
    *bench.writer.fail.lock() = None;
    expect(&routers, "/loki/api/v1/push", &[JSON], loki_json(1), 204).await;
    expect(&routers, "/api/v1/write", &[PROTOBUF], snappy(&samples(&["up"])), 204).await;
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test]
async fn grpc_exports_and_refuses() {
    let bench = Bench::small();
    let router = otlp_grpc(bench.state.clone());
    let answer = expect(&router, TRACES, &[GRPC], frame(0, &traces(&[1])), 200).await;
    assert_eq!((answer.body.as_slice(), answer.trailers["grpc-status"].to_str().unwrap()), (&[0, 0, 0, 0, 0][..], "0"));
    assert_eq!(answer.header("content-type"), "application/grpc");
    for (encoding, body) in
        [("gzip", gzip(&traces(&[1]))), ("zstd", zstd::stream::encode_all(&traces(&[1])[..], 3).unwrap())]
    {
        let answer = expect(&router, TRACES, &[GRPC, ("grpc-encoding", encoding)], frame(1, &body), 200).await;
        assert_eq!(answer.trailers["grpc-status"], "0", "{encoding}");
    }
    assert_eq!(bench.writer.spans.lock().len(), 3);
    let answer = expect(&router, TRACES, &[GRPC], frame(0, &traces(&[1, 0])), 200).await;
    assert!(answer.body.len() > 5 && answer.trailers["grpc-status"] == "0", "partial success is OK");
    let status = async |headers: &[(&str, &str)], body: Vec<u8>| {
        let mut all = vec![GRPC];
        all.extend(headers);
        let answer = send(&router, TRACES, &all, body).await;
        (answer.header("grpc-status").to_owned(), answer.header("grpc-status-details-bin").to_owned())
    };
    let whole = traces(&[1, 2]);
    let invalid = ("3".to_owned(), String::new());
    assert_eq!(status(&[], frame(0, &whole[..whole.len() - 1])).await, invalid, "malformed");
    assert_eq!(status(&[], frame(0, &whole)[..20].to_vec()).await, invalid, "cut off");
    assert_eq!(status(&[], vec![]).await, invalid, "no message");
    assert_eq!(status(&[], frame(9, &whole)).await, invalid, "unknown flag");
    assert_eq!(status(&[("grpc-encoding", "gzip")], frame(1, &whole)).await, invalid, "not gzip");
    assert_eq!(status(&[("grpc-encoding", "br")], frame(1, &whole)).await.0, "12");
    let exhausted = ("8".to_owned(), String::new());
    assert_eq!(status(&[], frame(0, &vec![0; 200_000])).await, exhausted, "too large, and not to be retried");
    assert_eq!(status(&[("grpc-encoding", "gzip")], frame(1, &gzip(&vec![0; 30 << 20]))).await, exhausted, "bomb");
    assert_eq!(expect(&router, TRACES, &[JSON], "{}", 415).await.header("grpc-status"), "");
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test]
async fn grpc_health_and_unknown_methods() {
    let bench = Bench::small();
    let router = otlp_grpc(bench.state.clone());
    let path = "/grpc.health.v1.Health/Check";
    assert_eq!(send(&router, path, &[GRPC], frame(0, b"")).await.body, frame(0, &[8, 1]), "SERVING");
    let mut request = Vec::new();
    Writer::new(&mut request).bytes(1, "nobody");
    assert_eq!(send(&router, path, &[GRPC], frame(0, &request)).await.header("grpc-status"), "5");
    let answer = send(&router, "/grpc.health.v1.Health/Watch", &[GRPC], frame(0, b"")).await;
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "12"));
}

#[tokio::test]
async fn remote_write_answers_as_prometheus_expects() {
    let bench = Bench::small();
    let router = remote_write(bench.state.clone());
    let good = samples(&["up", "down"]);
    let version = ("x-prometheus-remote-write-version", "0.1.0");
    let snappy_header = ("content-encoding", "snappy");
    let answer = expect(&router, "/api/v1/write", &[PROTOBUF, snappy_header, version], snappy(&good), 204).await;
    assert!(answer.body.is_empty());
    expect(&router, "/api/v1/push", &[], snappy(&good), 204).await;
    let zstd = zstd::stream::encode_all(&good[..], 3).unwrap();
    expect(&router, "/api/v1/write", &[PROTOBUF, ("content-encoding", "zstd")], zstd, 204).await;
    expect(&router, "/api/v1/write", &[PROTOBUF, ("content-encoding", "identity")], good.clone(), 204).await;
    assert!(bench.writer.metrics.lock().iter().all(|batch| batch.sample_count() == 2));
    let written = bench.writer.metrics.lock().len();

    let partial = expect(&router, "/api/v1/write", &[PROTOBUF], snappy(&samples(&["up", ""])), 400).await;
    assert!(partial.text().contains("1 samples rejected"), "{}", partial.text());
    assert_eq!(bench.writer.metrics.lock().len(), written + 1, "the valid part is stored");
    *bench.writer.reject_one.lock() = true;
    assert!(expect(&router, "/api/v1/write", &[PROTOBUF], snappy(&good), 400).await.text().contains("too old"));
    *bench.writer.reject_one.lock() = false;

    expect(&router, "/api/v1/write", &[PROTOBUF], good.clone(), 400).await;
    expect(&router, "/api/v1/write", &[PROTOBUF], snappy(&good[..good.len() - 2]), 400).await;
    expect(&router, "/api/v1/write", &[PROTOBUF], vec![0xff, 0xff, 0xff, 0xff, 0x0f], 413).await;
    expect(&router, "/api/v1/write", &[PROTOBUF, ("content-encoding", "br")], snappy(&good), 415).await;
    let v3 = ("content-type", "application/x-protobuf;proto=io.prometheus.write.v3.Request");
    let unknown = expect(&router, "/api/v1/write", &[v3, snappy_header], snappy(&good), 415).await;
    assert_eq!(unknown.header("x-prometheus-remote-write-samples-written"), "", "nothing was negotiated");
    expect(&router, "/api/v1/write", &[("content-type", "text/plain")], snappy(&good), 415).await;
    // The content type alone says which message it is.
    let v2_header = ("x-prometheus-remote-write-version", "2.0.0");
    expect(&router, "/api/v1/write", &[PROTOBUF, v2_header], snappy(&good), 204).await;
    let v1 = ("content-type", "application/x-protobuf; proto=prometheus.WriteRequest");
    expect(&router, "/api/v1/write", &[v1, snappy_header], snappy(&good), 204).await;
    assert_eq!(bench.budget.used_bytes(), 0);
    assert_eq!(bench.counted("bramble_receive_requests_total", &["415", "remote_write"]), 3);
}

const REMOTE_WRITE_2: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "2.0.0"),
];

/// A 2.0 request: `up` with two samples and an exemplar, `h` with a histogram and one that ends it; and, if wanted,
/// a series whose label is missing from the table of symbols, with one sample.
fn request_2(with_bad: bool) -> Vec<u8> {
    let now_ms = NOW_SECONDS as u64 * 1000;
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    ["", "__name__", "up", "h", "trace_id", "ab"].iter().for_each(|symbol| writer.bytes(4, symbol));
    let sample = |series: &mut Writer<'_>, timestamp_ms: u64| {
        series.message(2, |sample| {
            sample.double(1, 1.0);
            sample.varint(2, timestamp_ms);
        });
    };
    writer.message(5, |series| {
        series.bytes(1, [1, 2]);
        sample(series, now_ms - 1);
        sample(series, now_ms);
        series.message(4, |exemplar| {
            exemplar.bytes(1, [4, 5]);
            exemplar.varint(3, now_ms);
        });
    });
    writer.message(5, |series| {
        series.bytes(1, [1, 3]);
        series.message(3, |histogram| {
            histogram.varint(1, 1);
            histogram.varint(6, 1);
            histogram.varint(15, now_ms - 1);
        });
        series.message(3, |histogram| {
            histogram.fixed64(3, bramble_signal::STALE_NAN_BITS);
            histogram.varint(15, now_ms);
        });
    });
    if with_bad {
        writer.message(5, |series| {
            series.bytes(1, [1, 77]);
            sample(series, now_ms);
        });
    }
    out
}

fn written(answer: &Answer) -> [&str; 3] {
    ["samples", "histograms", "exemplars"]
        .map(|kind| answer.header(&format!("x-prometheus-remote-write-{kind}-written")).to_owned().leak() as &str)
}

#[tokio::test]
async fn remote_write_2_says_what_was_written() {
    let bench = Bench::small();
    let router = remote_write(bench.state.clone());
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&request_2(false)), 204).await;
    assert_eq!((written(&answer), answer.body.len()), (["2", "2", "1"], 0));
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&request_2(true)), 400).await;
    assert_eq!(written(&answer), ["2", "2", "1"], "the good ones are stored");
    assert!(
        answer.text().starts_with("1 samples rejected, the others are stored: label references"),
        "{}",
        answer.text()
    );
    *bench.writer.reject_one.lock() = true;
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&request_2(false)), 400).await;
    assert_eq!(written(&answer), ["1", "2", "1"]);
    *bench.writer.reject_one.lock() = false;
    *bench.writer.forget_exemplars.lock() = true;
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&request_2(false)), 400).await;
    assert_eq!((written(&answer), answer.text().starts_with("1 exemplars")), (["2", "2", "0"], true));
    *bench.writer.fail.lock() = Some(over_budget());
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&request_2(false)), 503).await;
    assert_eq!((written(&answer), answer.header("retry-after")), (["0"; 3], "2"));
    *bench.writer.fail.lock() = None;
    let cut = request_2(false);
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&cut[..cut.len() - 1]), 400).await;
    assert_eq!(written(&answer), ["0"; 3]);
    // What is meant for the other version has nothing in it: fields 1 to 3 are reserved.
    let answer = expect(&router, "/api/v1/write", &REMOTE_WRITE_2, snappy(&samples(&["up"])), 204).await;
    assert_eq!(written(&answer), ["0"; 3]);
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test]
async fn otlp_metrics_are_taken_on_prometheus_port() {
    let bench = Bench::small();
    let router = remote_write(bench.state.clone());
    for path in ["/api/v1/otlp/v1/metrics", "/opentelemetry/v1/metrics", "/opentelemetry/api/v1/push"] {
        let answer = expect(&router, path, &[JSON], delta(path, 0, 1), 200).await;
        assert_eq!(answer.text(), "{}");
        assert_eq!(bench.writer.metrics.lock().pop().map(|batch| batch.sample_count()), Some(1));
    }
}

/// Ten thousand series of which one is bad.
#[tokio::test]
async fn one_bad_series_of_many_is_refused_alone() {
    let bench = Bench::new(16 << 20, ReceiveLimits::default());
    let router = remote_write(bench.state.clone());
    let mut names: Vec<String> = (0..10_000).map(|i| format!("metric_{i}")).collect();
    names[5_000] = String::new();
    let body = samples(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = expect(&router, "/api/v1/write", &[PROTOBUF], snappy(&body), 400).await;
    assert!(answer.text().starts_with("1 samples rejected"), "{}", answer.text());
    assert_eq!(written(&answer), ["9999", "0", "0"]);
    assert_eq!(bench.writer.metrics.lock()[0].series_count(), 9_999);
}

#[tokio::test]
async fn loki_push_takes_json_and_protobuf() {
    let bench = Bench::small();
    let router = loki_push(bench.state.clone());
    for path in ["/loki/api/v1/push", "/api/prom/push"] {
        assert!(
            expect(&router, path, &[("content-type", "application/json; charset=utf-8")], loki_json(2), 204)
                .await
                .body
                .is_empty()
        );
    }
    let batch = bench.writer.logs.lock().pop().unwrap();
    assert_eq!(batch.stream(0).labels().to_string(), r#"{app="web", service_name="web"}"#);
    assert_eq!(batch.stream(0).entries().next().unwrap().metadata.get("detected_level"), Some("error"));
    expect(&router, "/loki/api/v1/push", &[JSON, ("content-encoding", "gzip")], gzip(loki_json(3).as_bytes()), 204)
        .await;
    let mut push = Vec::new();
    Writer::new(&mut push).message(1, |stream| {
        stream.bytes(1, "{app=\"web\"}");
        stream.message(2, |entry| {
            entry.message(1, |time| time.varint(1, NOW_SECONDS as u64));
            entry.bytes(2, "a line");
        });
    });
    let count = bench.writer.logs.lock().len();
    expect(&router, "/loki/api/v1/push", &[PROTOBUF], snappy(&push), 204).await;
    expect(&router, "/loki/api/v1/push", &[PROTOBUF, ("content-encoding", "snappy")], snappy(&push), 204).await;
    expect(&router, "/loki/api/v1/push", &[PROTOBUF, ("content-encoding", "gzip")], gzip(&snappy(&push)), 204).await;
    expect(&router, "/loki/api/v1/push", &[], snappy(&push), 204).await;
    assert_eq!(bench.writer.logs.lock().len(), count + 4);
    expect(&router, "/loki/api/v1/push", &[JSON], "{\"streams\":[{}]}", 204).await;
    let otlp = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    expect(&router, "/otlp/v1/logs", &[JSON], otlp, 200).await;
    assert_eq!(bench.writer.logs.lock().len(), count + 5);
}

#[tokio::test]
async fn victoria_logs_ways_in() {
    let bench = Bench::small();
    let router = loki_push(bench.state.clone());
    expect(&router, "/insert/loki/api/v1/push", &[JSON], loki_json(1), 204).await;
    let otlp = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    expect(&router, "/insert/opentelemetry/v1/logs", &[JSON], otlp, 200).await;
    let line = "{\"t\":\"2026-11-21T12:00:00Z\",\"m\":\"it broke\",\"app\":\"web\",\"level\":\"ERROR\",\"n\":7}\n";
    let path = "/insert/jsonline?_msg_field=m&_time_field=t&_stream_fields=app,pod";
    let body = zstd::encode_all(line.as_bytes(), 1).unwrap();
    expect(&router, path, &[("content-encoding", "zstd")], body, 200).await;
    let batch = bench.writer.logs.lock().pop().unwrap();
    assert_eq!(batch.stream(0).labels().to_string(), r#"{app="web", service_name="web"}"#);
    let entry = batch.stream(0).entries().next().unwrap();
    assert_eq!((entry.line, entry.timestamp_ns), (&b"it broke"[..], 1_795_262_400_000_000_000));
    assert_eq!(entry.metadata.to_string(), r#"{detected_level="error", level="ERROR", n="7"}"#);
    let headers = [("vl-msg-field", "m"), ("vl-stream-fields", "app")];
    let bulk = format!("{{\"create\":{{}}}}\n{line}{{\"index\":{{}}}}\n{line}");
    let answer = expect(&router, "/insert/elasticsearch/_bulk", &headers, bulk, 200).await;
    assert_eq!(
        answer.text(),
        r#"{"took":0,"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#
    );
    let answer = expect(&router, path, &[], format!("{line}nothing\n"), 400).await;
    assert!(answer.text().starts_with("line 2: column 2: expected"), "{}", answer.text());
    assert_eq!(bench.writer.logs.lock().len(), 4, "the others are stored");
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test]
async fn loki_push_refuses_specifically() {
    let bench = Bench::small();
    let router = loki_push(bench.state.clone());
    let path = "/loki/api/v1/push";
    expect(&router, path, &[JSON], "{\"streams\":[{\"stream\":", 400).await;
    expect(&router, path, &[PROTOBUF], b"no snappy".to_vec(), 400).await;
    expect(&router, path, &[JSON, ("content-encoding", "zstd")], "x", 400).await;
    let answer = expect(&router, path, &[JSON, ("content-encoding", "br")], "x", 400).await;
    assert_eq!(answer.text(), "Content-Encoding \"br\" not supported\n");
    let answer = expect(&router, path, &[JSON], "{\"streams\":[]}", 422).await;
    assert_eq!(answer.text(), "error at least one valid stream is required for ingestion\n");
    let answer =
        expect(&router, path, &[JSON], r#"{"streams":[{"stream":{"a-b":"c"},"values":[["1","x"]]}]}"#, 400).await;
    assert_eq!(answer.text(), "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'\n");
    expect(&router, path, &[JSON, ("content-encoding", "gzip")], gzip(&vec![b' '; 30 << 20]), 413).await;
    expect(&router, path, &[JSON], vec![b' '; 100_001], 413).await;
    assert!(bench.writer.logs.lock().is_empty());
    *bench.writer.reject_one.lock() = true;
    let answer = expect(&router, path, &[JSON], loki_json(2), 400).await;
    assert_eq!(answer.text(), "sample is too old\n");
    assert_eq!(bench.writer.logs.lock().len(), 1, "the others are stored");
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_stops_does_not_hold_memory() {
    let bench = Bench::small();
    let router = otlp_http(bench.state.clone());
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let body = axum::body::Body::new(Stalled { first: Some(vec![0; 1000]), forever: receiver });
    expect(&router, "/v1/traces", &[PROTOBUF], body, 400).await;
    drop(sender);
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["otlp_http", "timeout"]), 1);
    assert_eq!(bench.budget.used_bytes(), 0);
}

struct Stalled {
    first: Option<Vec<u8>>,
    forever: tokio::sync::oneshot::Receiver<()>,
}

impl http_body::Body for Stalled {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
        match self.first.take() {
            Some(data) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(data.into())))),
            None => std::future::Future::poll(std::pin::Pin::new(&mut self.forever), context).map(|_| None),
        }
    }
}

/// A large request goes to a blocking thread and memory follows what it becomes.
#[tokio::test]
async fn large_requests_grow_within_the_budget() {
    let bench = Bench::new(8 << 20, ReceiveLimits::default());
    let router = remote_write(bench.state.clone());
    let names: Vec<String> = (0..20_000).map(|i| format!("metric_with_a_name_{i}")).collect();
    let body = samples(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(body.len() > 800_000);
    expect(&router, "/api/v1/write", &[PROTOBUF], snappy(&body), 204).await;
    assert_eq!(bench.writer.metrics.lock()[0].series_count(), 20_000);
    assert_eq!(bench.budget.used_bytes(), 0);
    let tiny = Bench::new(1 << 20, ReceiveLimits::default());
    let router = remote_write(tiny.state.clone());
    expect(&router, "/api/v1/write", &[PROTOBUF], snappy(&body), 413).await;
    assert_eq!(tiny.budget.used_bytes(), 0);
}

/// One connection: an oversized request, a bomb, and then a good one.
#[tokio::test]
async fn the_connection_stays_usable() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bench = Bench::small();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = otlp_http(bench.state.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let good = traces(&[7]);
    let bodies: [(&str, Vec<u8>, &str); 4] = [
        ("", vec![0; 3_000_000], "413"),
        ("content-encoding: gzip\r\n", gzip(&vec![0; 30 << 20]), "413"),
        ("", good[..good.len() - 1].to_vec(), "400"),
        ("", good, "200"),
    ];
    for (header, body, status) in bodies {
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{header}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = [0u8; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&answer[..read]);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
    }
    assert_eq!(bench.writer.spans.lock().len(), 1);
    server.abort();
}
