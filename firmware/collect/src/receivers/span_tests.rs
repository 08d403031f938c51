//! Jaeger's and Zipkin's receivers against a writer that remembers.

use super::testing::{Bench, NOW_SECONDS, gzip, send};
use super::{SamplingStrategy, jaeger_grpc, jaeger_http, jaeger_sampling, jaeger_udp, zipkin};
use bramble_runtime::{BudgetName, OverBudget};
use bramble_storage::WriteError;
use bramble_wire::protobuf::Writer;
use std::time::Duration;
use tokio::net::UdpSocket;

const THRIFT: (&str, &str) = ("content-type", "application/x-thrift");
const JSON: (&str, &str) = ("content-type", "application/json");
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";

/// A list field of so many structs, in Thrift's binary protocol.
fn list(id: u8, count: u8) -> Vec<u8> {
    vec![15, 0, id, 12, 0, 0, 0, count]
}

fn number(id: u8, value: i64) -> Vec<u8> {
    [&[10, 0, id][..], &value.to_be_bytes()].concat()
}

/// A `Batch` of service "shop" with one span per id, in Thrift's binary protocol.
fn batch(ids: &[u8]) -> Vec<u8> {
    let mut out = b"\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x04shop\x00".to_vec();
    out.extend(list(2, ids.len() as u8));
    for id in ids {
        out.extend(number(1, (*id).into()));
        out.extend(number(3, (*id).into()));
        out.extend(b"\x0b\x00\x05\x00\x00\x00\x05GET /");
        out.extend(number(8, NOW_SECONDS * 1_000_000));
        out.extend(number(9, 5));
        out.push(0);
    }
    out.push(0);
    out
}

fn packet(ids: &[u8]) -> Vec<u8> {
    let head = b"\x80\x01\x00\x04\x00\x00\x00\x09emitBatch\x00\x00\x00\x01\x0c\x00\x01";
    [&head[..], &batch(ids), b"\x00"].concat()
}

fn post_spans(ids: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 5];
    Writer::new(&mut out).message(1, |w| {
        for id in ids {
            w.message(1, |w| {
                w.bytes(1, [*id; 16]);
                w.bytes(2, [*id; 8]);
            });
        }
        w.message(2, |w| w.bytes(1, "shop"));
    });
    let length = (out.len() - 5) as u32;
    out[1..5].copy_from_slice(&length.to_be_bytes());
    out
}

fn zipkin_json(ids: &[u8]) -> String {
    let span = |id: &u8| format!(r#"{{"traceId":"{id:016x}","id":"{id:016x}","timestamp":{NOW_SECONDS}000000}}"#);
    format!("[{}]", ids.iter().map(span).collect::<Vec<_>>().join(","))
}

fn over_budget() -> WriteError {
    WriteError::OverBudget(OverBudget { budget: BudgetName::TraceHead, wanted_bytes: 1, limit_bytes: 0 })
}

#[tokio::test]
async fn jaegers_collector_answers_over_http() {
    let bench = Bench::small();
    let router = jaeger_http(bench.state.clone(), SamplingStrategy::default());
    let answer = send(&router, "/api/traces", &[THRIFT], batch(&[1, 2])).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{}", answer.text());
    let zipped = gzip(&batch(&[3]));
    assert_eq!(
        send(&router, "/api/traces", &[THRIFT, ("content-encoding", "gzip")], zipped).await.status.as_u16(),
        202
    );
    {
        let written = bench.writer.spans.lock();
        assert_eq!((written.len(), written[0].spans.len()), (2, 2));
        assert_eq!(written[0].service(&written[0].spans[0]), "shop");
    }
    let answer = send(&router, "/api/traces", &[THRIFT], batch(&[4, 0])).await;
    assert_eq!(answer.status.as_u16(), 400, "one span is refused");
    assert!(answer.text().contains("trace id must be"), "{}", answer.text());
    assert_eq!(bench.writer.spans.lock().len(), 3, "the other is stored");
    let answer = send(&router, "/api/traces", &[JSON], "{}").await;
    assert_eq!((answer.status.as_u16(), answer.text().contains("application/json")), (400, true));
    assert_eq!(send(&router, "/api/traces", &[THRIFT], b"garbage".to_vec()).await.status.as_u16(), 400);
    assert_eq!(send(&router, "/api/traces", &[THRIFT], vec![0; 200_000]).await.status.as_u16(), 413);
    *bench.writer.fail.lock() = Some(over_budget());
    let answer = send(&router, "/api/traces", &[THRIFT], batch(&[1])).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_empty()), (503, false));
    assert_eq!(bench.budget.used_bytes(), 0);
    assert_eq!(bench.counted("bramble_receive_requests_total", &["202", "jaeger_http"]), 2);
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["jaeger_http", "content_type"]), 1);
}

#[tokio::test]
async fn clients_are_told_what_to_record() {
    let get = async |strategy, path: &str| {
        let bench = Bench::small();
        let router = jaeger_http(bench.state.clone(), strategy).merge(jaeger_sampling(strategy));
        let answer = super::testing::get(&router, path).await;
        (answer.status.as_u16(), answer.text())
    };
    let share = SamplingStrategy::Probabilistic(0.5);
    let words = r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}"#;
    for path in ["/sampling?service=a", "/api/sampling?service=a"] {
        assert_eq!(get(share, path).await, (200, words.to_owned()));
    }
    assert_eq!(get(share, "/?service=a").await, (200, words.replace("\"PROBABILISTIC\"", "0")));
    let rate = r#"{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":7}}"#;
    assert_eq!(get(SamplingStrategy::RateLimiting(7), "/sampling?service=a").await, (200, rate.to_owned()));
    assert_eq!(get(share, "/baggageRestrictions?service=a").await, (200, "[]".to_owned()));
    assert_eq!(get(share, "/sampling").await.0, 400);
    assert_eq!(get(share, "/sampling?service=a&service=b").await.0, 400);
}

#[tokio::test]
async fn jaegers_collector_answers_over_grpc() {
    let bench = Bench::small();
    let router = jaeger_grpc(bench.state.clone(), SamplingStrategy::Probabilistic(0.5));
    let answer = send(&router, POST_SPANS, &[GRPC], post_spans(&[1, 2])).await;
    assert_eq!((answer.trailers["grpc-status"].as_bytes(), answer.body), (&b"0"[..], vec![0; 5]));
    assert_eq!(bench.writer.spans.lock()[0].spans.len(), 2);
    let answer = send(&router, POST_SPANS, &[GRPC], post_spans(&[1, 0])).await;
    assert_eq!(answer.header("grpc-status"), "3", "the other span is stored");
    assert_eq!(bench.writer.spans.lock().len(), 2);
    *bench.writer.fail.lock() = Some(over_budget());
    assert_eq!(send(&router, POST_SPANS, &[GRPC], post_spans(&[1])).await.header("grpc-status"), "14");
    let asked = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";
    let answer = send(&router, asked, &[GRPC], vec![0; 5]).await;
    let half = [&[0, 0, 0, 0, 11, 0x12, 9, 9][..], &0.5f64.to_le_bytes()].concat();
    assert_eq!(answer.body, half);
    let answer = send(&router, "/jaeger.api_v2.QueryService/GetTrace", &[GRPC], vec![0; 5]).await;
    assert_eq!(answer.header("grpc-status"), "12");
}

#[tokio::test]
async fn zipkins_collector_answers() {
    let bench = Bench::small();
    let router = zipkin(bench.state.clone());
    for path in ["/api/v2/spans", "/api/v1/spans", "/zipkin/api/v2/spans"] {
        assert_eq!(send(&router, path, &[JSON], zipkin_json(&[1, 2])).await.status.as_u16(), 202);
    }
    let plain = send(&router, "/api/v2/spans", &[], zipkin_json(&[1])).await;
    assert_eq!(plain.status.as_u16(), 202, "JSON unless something else is said");
    let zipped = gzip(zipkin_json(&[1]).as_bytes());
    let encoding = ("content-encoding", "gzip");
    assert_eq!(send(&router, "/api/v2/spans", &[JSON, encoding], zipped).await.status.as_u16(), 202);
    assert_eq!(bench.writer.spans.lock().len(), 5);
    let answer = send(&router, "/api/v2/spans", &[JSON], zipkin_json(&[0, 1])).await;
    assert_eq!((answer.status.as_u16(), bench.writer.spans.lock().len()), (400, 6), "{}", answer.text());
    for (body, text) in [("", "Empty POST body"), ("{}", "a list of spans"), ("[", "EOF")] {
        let answer = send(&router, "/api/v2/spans", &[JSON], body).await;
        assert_eq!((answer.status.as_u16(), answer.text().contains(text)), (400, true), "{}", answer.text());
    }
    assert_eq!(send(&router, "/api/v2/spans", &[JSON], "[]").await.status.as_u16(), 202);
    let protobuf = ("content-type", "application/x-protobuf");
    assert_eq!(send(&router, "/api/v2/spans", &[protobuf], vec![0x0a, 9]).await.status.as_u16(), 400);
    *bench.writer.fail.lock() = Some(over_budget());
    let answer = send(&router, "/api/v2/spans", &[JSON], zipkin_json(&[1])).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_empty()), (503, false));
    assert_eq!(super::testing::get(&router, "/health").await.status.as_u16(), 200);
}

/// Sends packets to an agent and waits until it has handed over what it took.
async fn agent(bench: &Bench, packets: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(jaeger_udp(bench.state.clone(), socket, async move { drop(stopped.await) }));
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for (count, packet) in packets.iter().enumerate() {
        sender.send_to(packet, address).await.unwrap();
        while bench.counted("bramble_receive_packets_total", &["jaeger_udp"]) <= count as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(bench.budget.used_bytes(), 0, "everything is given back");
}

#[tokio::test]
async fn packets_become_one_write_and_bad_ones_are_counted() {
    let bench = Bench::small();
    let cut = packet(&[5])[..40].to_vec();
    let packets = [packet(&[1, 2]), b"garbage".to_vec(), packet(&[3, 0]), cut, Vec::new(), packet(&[4])];
    agent(&bench, &packets).await;
    let written: usize = bench.writer.spans.lock().iter().map(|batch| batch.spans.len()).sum();
    assert_eq!(written, 4);
    let rejected = |reason| bench.counted("bramble_receive_rejected_total", &["jaeger_udp", reason]);
    assert_eq!((rejected("malformed"), rejected("truncated"), rejected("invalid_trace_id")), (1, 2, 1));
    let failing = Bench::small();
    *failing.writer.fail.lock() = Some(over_budget());
    agent(&failing, &[packet(&[1, 2])]).await;
    assert_eq!(failing.counted("bramble_receive_rejected_total", &["jaeger_udp", "over_budget"]), 2, "lost spans");
}
