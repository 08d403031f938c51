//! Each kind of destination against a server that misbehaves in every way that its protocol has.

use super::fake::{Answer, Seen, Server, status};
use super::*;
use bramble_signal::{LogBatch, SpanBatch};
use bramble_wire::protobuf::Writer;
use bramble_wire::{Format, loki, otlp};
use serde_json::Value;

/// The hint of the busy answers.
const HINT: Duration = Duration::from_millis(400);

struct Bench {
    directory: tempfile::TempDir,
    server: Server,
}

impl Bench {
    async fn new() -> Bench {
        Bench { directory: tempfile::tempdir().unwrap(), server: Server::start().await }
    }

    /// Starts a forwarder to one destination; impatient, so that tests are short.
    fn start(&self, mut table: Value) -> Running {
        let defaults = json!({ "name": "it", "timeout": "1500ms", "retry_min": "10ms", "retry_max": "50ms" });
        for (key, value) in defaults.as_object().unwrap() {
            table.as_object_mut().unwrap().entry(key).or_insert_with(|| value.clone());
        }
        let registry = prometheus::Registry::new();
        let environment = Environment {
            data_dir: self.directory.path().to_path_buf(),
            clock: Arc::new(SystemClock::new()),
            seed: 3,
            memory: Budget::standalone(BudgetName::Receive, 8 << 20),
            registry: registry.clone(),
        };
        Running { forwarder: Forwarder::start(&environment, vec![destination(table)]).unwrap(), registry }
    }
}

struct Running {
    forwarder: Arc<Forwarder>,
    registry: prometheus::Registry,
}

impl Running {
    /// Hands over one item, whose time is its number in seconds.
    fn observe(&self, signal: Signal, number: u64) {
        match signal {
            Signal::Metrics => self.forwarder.observe(Durable::Metrics(&gauge(number)), number),
            Signal::Logs => self.forwarder.observe(Durable::Logs(&line(number)), number),
            Signal::Traces => self.forwarder.observe(Durable::Spans(&span(number)), number),
        }
    }

    fn status(&self) -> DestinationStatus {
        self.forwarder.status().remove(0)
    }

    /// The sum of a counter over its labels, those that are wanted.
    fn counter(&self, name: &str, wanted: &str) -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let of = |line: &str| -> Option<f64> {
            (line.starts_with(&format!("bramble_forward_{name}{{")) && line.contains(wanted))
                .then(|| line.rsplit(' ').next()?.parse().ok())?
        };
        text.lines().filter_map(of).sum::<f64>() as u64
    }

    async fn until(&self, what: &str, is: impl Fn() -> bool) {
        let waiting = async {
            while !is() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        done.unwrap_or_else(|_| panic!("{what}: {:?}", self.status()));
    }
}

fn gauge(number: u64) -> MetricBatch {
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "temperature"), ("job", "pi"), ("host", "attic")]).unwrap();
    batch.push_sample(number as i64 * 1000, number as f64 + 0.5);
    batch
}

fn line(number: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "web"), ("host", "attic")]).unwrap();
    let text = format!("line {number}");
    batch.push_entry(number as i64 * 1_000_000_000, text.as_bytes(), &mut [("trace_id", "ab")]).unwrap();
    batch
}

fn span(number: u64) -> SpanBatch {
    let mut batch = bramble_storage::contract::spans_of(1, "web", 1, Default::default());
    (batch.spans[0].start_ns, batch.spans[0].end_ns) = (number * 1_000_000_000, number * 1_000_000_000 + 5);
    batch
}

/// What a request says: the seconds of its items, with a check of all else that an item has.
type Read = fn(&Seen) -> Vec<u64>;

fn read_remote_write(seen: &Seen) -> Vec<u64> {
    let (message, content_type) = match seen.header("x-prometheus-remote-write-version") {
        "0.1.0" => (Message::V1, "application/x-protobuf"),
        "2.0.0" => (Message::V2, "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        other => panic!("{other}"),
    };
    assert_eq!((seen.header("content-type"), seen.path.as_str()), (content_type, "/api/v1/write"));
    let batch = Decoder::new(Limits::default()).decode(message, &seen.plain()).unwrap().batch;
    let of = |(labels, samples): (bramble_signal::LabelsRef<'_>, &[bramble_signal::Sample])| {
        assert_eq!((labels.get("job"), labels.get("site")), (Some("pi"), Some("hill")));
        assert_eq!(samples[0].value, samples[0].timestamp_ms as f64 / 1000.0 + 0.5);
        samples[0].timestamp_ms as u64 / 1000
    };
    batch.iter().map(of).collect()
}

fn lines_of(batch: &LogBatch) -> Vec<u64> {
    let of = |stream: bramble_signal::LogStream<'_>| {
        assert_eq!(stream.labels().get("site"), Some("hill"));
        let entries = stream.entries().map(|entry| {
            let number = entry.timestamp_ns as u64 / 1_000_000_000;
            assert_eq!(entry.line, format!("line {number}").as_bytes());
            number
        });
        entries.collect::<Vec<u64>>()
    };
    batch.streams().flat_map(of).collect()
}

fn read_loki(seen: &Seen) -> Vec<u64> {
    assert_eq!((seen.header("x-scope-orgid"), seen.path.as_str()), ("family", "/loki/api/v1/push"));
    lines_of(&loki::Decoder::new(Limits::default()).decode(Format::Protobuf, &seen.plain()).unwrap().batch)
}

fn read_otlp(seen: &Seen) -> Vec<u64> {
    let (plain, mut decoder) = (seen.plain(), otlp::Decoder::new(Limits::default()));
    match seen.path.as_str() {
        "/v1/logs" | "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
            let batch = decoder.logs(Format::Protobuf, &plain, 0).unwrap().batch;
            let entries = batch.streams().flat_map(|stream| stream.entries());
            entries.map(|entry| entry.timestamp_ns as u64 / 1_000_000_000).collect()
        }
        "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            let batch = decoder.traces(Format::Protobuf, &plain).unwrap().batch;
            batch.spans.iter().map(|span| span.start_ns / 1_000_000_000).collect()
        }
        "/v1/metrics" | "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            let batch = decoder.metrics(Format::Protobuf, &plain).unwrap().batch;
            batch.iter().map(|(_, samples)| samples[0].timestamp_ms as u64 / 1000).collect()
        }
        other => panic!("{other}"),
    }
}

fn read_datadog(seen: &Seen) -> Vec<u64> {
    assert_eq!(seen.header("dd-api-key"), "secret");
    let body: Value = serde_json::from_slice(&seen.plain()).unwrap();
    if seen.path == "/api/v2/series" {
        let of = |series: &Value| {
            assert_eq!((&series["metric"], &series["type"]), (&json!("temperature"), &json!(3)));
            assert!(series["tags"].as_array().unwrap().contains(&json!("job:pi")), "{series}");
            series["points"][0]["timestamp"].as_u64().unwrap()
        };
        return body["series"].as_array().unwrap().iter().map(of).collect();
    }
    assert_eq!(seen.path, "/api/v2/logs");
    let of = |entry: &Value| {
        assert_eq!((&entry["service"], &entry["hostname"]), (&json!("web"), &json!("attic")));
        entry["timestamp"].as_u64().unwrap() / 1000
    };
    body.as_array().unwrap().iter().map(of).collect()
}

/// Every protocol over HTTP: its table, what it is sent, and how that is read.
fn kinds(server: &Server) -> Vec<(Value, Signal, Read)> {
    let site = json!({ "site": "hill" });
    let write = |version: &str| json!({ "kind": "remote_write", "endpoint": server.url("/api/v1/write"), "version": version, "external_labels": site });
    let otlp = |compression: &str| json!({ "kind": "otlp", "protocol": "http", "endpoint": server.url(""), "compression": compression });
    let datadog = || json!({ "kind": "datadog", "endpoint": server.url(""), "api_key": "secret" });
    vec![
        (write("1.0"), Signal::Metrics, read_remote_write),
        (write("2.0"), Signal::Metrics, read_remote_write),
        (
            json!({ "kind": "loki", "endpoint": server.url(""), "tenant": "family", "external_labels": site }),
            Signal::Logs,
            read_loki,
        ),
        (otlp("gzip"), Signal::Logs, read_otlp),
        (otlp("zstd"), Signal::Traces, read_otlp),
        (otlp("none"), Signal::Metrics, read_otlp),
        (datadog(), Signal::Logs, read_datadog),
        (datadog(), Signal::Metrics, read_datadog),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_what_fails_is_tried_again_and_what_is_refused_is_not() {
    let kinds: Vec<_> = (0..8).map(|at| tokio::spawn(fails_and_is_refused(at))).collect();
    for kind in kinds {
        kind.await.unwrap();
    }
}

async fn fails_and_is_refused(kind: usize) {
    let bench = Bench::new().await;
    let (mut table, signal, read) = kinds(&bench.server).remove(kind);
    let told = table.to_string();
    table["headers"] = json!({ "x-house": "bramble" });
    table["bearer_token"] = json!("token");
    let running = bench.start(table);
    let busy = vec![("retry-after", HINT.as_secs_f64().to_string())];
    let slow = Answer::Http(429, busy, b"slow down".to_vec());
    bench.server.answers([status(503, "starting"), slow, Answer::Hang, Answer::Cut, status(500, "oops")]);
    running.observe(signal, 1);
    running.until("the first is taken", || running.counter("sent_items_total", "") == 1).await;
    let seen = bench.server.seen();
    let numbers: Vec<Vec<u64>> = seen.iter().map(read).collect();
    assert_eq!(numbers, vec![vec![1]; 6], "{told}");
    assert!(seen[2].at - seen[1].at >= HINT, "{told}: the hint was not waited for");
    for one in &seen {
        assert_eq!((one.header("authorization"), one.header("x-house")), ("Bearer token", "bramble"), "{told}");
        assert!(one.header("user-agent").starts_with("bramble/"));
    }
    // A poisoned batch holds up nothing, is counted, and is told with what the server said of it.
    bench.server.answers([status(400, "label 415 is poison")]);
    running.until("it is there again", || running.status().connected).await;
    running.observe(signal, 2);
    running.until("the poison is dropped", || running.status().dropped_items == 1).await;
    let (_, why) = running.status().last_error.unwrap();
    assert!(why.contains("400") && why.contains("label 415 is poison"), "{told}: {why}");
    assert_eq!(running.counter("dropped_items_total", "refused"), 1, "{told}");
    running.observe(signal, 3);
    running.until("the third is taken", || running.counter("sent_items_total", "") == 2).await;
    let numbers: Vec<u64> = bench.server.seen()[6..].iter().flat_map(read).collect();
    assert_eq!(numbers, [2, 3], "{told}");
    running.forwarder.finish(Duration::from_millis(200)).await;
}

/// Details with a `google.rpc.RetryInfo`.
fn retry_info(delay: Duration) -> Vec<u8> {
    let mut details = Vec::new();
    Writer::new(&mut details).message(3, |any| {
        any.bytes(1, "type.googleapis.com/google.rpc.RetryInfo");
        any.message(2, |info| info.message(1, |of| of.varint(2, delay.as_nanos() as u64)));
    });
    details
}

fn partial(rejected: u64, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |partial| {
        partial.varint(1, rejected);
        partial.bytes(2, why);
    });
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_grpc_what_fails_is_tried_again_and_what_is_refused_is_not() {
    for (compression, signal) in [("zstd", Signal::Logs), ("gzip", Signal::Traces), ("none", Signal::Metrics)] {
        let bench = Bench::new().await;
        let running = bench.start(json!({
            "kind": "otlp", "endpoint": bench.server.url(""), "compression": compression, "bearer_token": "token",
            "headers": { "x-house": "bramble" },
        }));
        bench.server.answers([
            Answer::Grpc(14, "away", Vec::new()),
            Answer::Grpc(14, "busy", retry_info(HINT)),
            Answer::Grpc(8, "full", retry_info(HINT)),
            Answer::Hang,
            Answer::Cut,
            status(502, "a proxy"),
        ]);
        running.observe(signal, 1);
        running.until("the first is taken", || running.counter("sent_items_total", "") == 1).await;
        let seen = bench.server.seen();
        assert_eq!(seen.iter().map(read_otlp).collect::<Vec<_>>(), vec![vec![1]; 7], "{compression}");
        assert!(seen[2].at - seen[1].at >= HINT && seen[3].at - seen[2].at >= HINT, "hints were not waited for");
        assert_eq!((seen[0].header("authorization"), seen[0].header("x-house")), ("Bearer token", "bramble"));
        // Taken but for some; refused for good; and on.
        running.until("it is there again", || running.status().connected).await;
        bench.server.answers([Answer::Message(partial(1, "too old")), Answer::Grpc(3, "poison", Vec::new())]);
        running.observe(signal, 2);
        running.until("a part is rejected", || running.counter("rejected_items_total", "") == 1).await;
        running.observe(signal, 3);
        running.until("the poison is dropped", || running.status().dropped_items == 1).await;
        assert!(running.status().last_error.unwrap().1.contains("poison"));
        running.observe(signal, 4);
        running.until("the fourth is taken", || running.counter("sent_items_total", "") == 2).await;
        assert_eq!(bench.server.seen()[7..].iter().flat_map(read_otlp).collect::<Vec<_>>(), [2, 3, 4]);
        running.forwarder.finish(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_did_not_take_of_a_batch_is_counted() {
    let bench = Bench::new().await;
    let running = bench.start(json!({ "kind": "otlp", "protocol": "http", "endpoint": bench.server.url("") }));
    bench.server.answers([Answer::Http(200, Vec::new(), partial(1, "too old"))]);
    running.observe(Signal::Logs, 1);
    running.until("rejected", || running.counter("rejected_items_total", "logs") == 1).await;
    running.forwarder.finish(Duration::from_millis(200)).await;
    let bench = Bench::new().await;
    let running = bench.start(json!({ "kind": "remote_write", "endpoint": bench.server.url("/api/v1/write") }));
    let written = vec![("x-prometheus-remote-write-samples-written", "0".to_owned())];
    bench.server.answers([Answer::Http(204, written, Vec::new())]);
    running.observe(Signal::Metrics, 1);
    running.until("rejected", || running.counter("rejected_items_total", "metrics") == 1).await;
    running.forwarder.finish(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_understand_2_0_is_spoken_to_in_1_0() {
    let bench = Bench::new().await;
    let site = json!({ "site": "hill" });
    let table =
        json!({ "kind": "remote_write", "endpoint": bench.server.url("/api/v1/write"), "external_labels": site });
    let running = bench.start(table);
    bench.server.answers([status(415, "what is that?")]);
    for number in 1..=2 {
        running.observe(Signal::Metrics, number);
        running.until("taken", || running.counter("sent_items_total", "") == number).await;
    }
    let seen = bench.server.seen();
    let versions: Vec<&str> = seen.iter().map(|one| one.header("x-prometheus-remote-write-version")).collect();
    assert_eq!(versions, ["2.0.0", "0.1.0", "0.1.0"]);
    assert_eq!(seen.iter().flat_map(read_remote_write).collect::<Vec<_>>(), [1, 1, 2]);
    running.forwarder.finish(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_cut_in_two() {
    let bench = Bench::new().await;
    let running = bench.start(json!({ "kind": "loki", "endpoint": bench.server.url(""), "tenant": "family",
        "external_labels": { "site": "hill" } }));
    bench.server.answers([status(413, "too large"), status(413, "too large"), status(200, "")]);
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "web")]).unwrap();
    for number in 1..=4i64 {
        batch.push_entry(number * 1_000_000_000, format!("line {number}").as_bytes(), &mut []).unwrap();
    }
    running.forwarder.observe(Durable::Logs(&batch), 1);
    running.until("all is taken", || running.counter("sent_items_total", "") == 4).await;
    let requests: Vec<Vec<u64>> = bench.server.seen().iter().map(read_loki).collect();
    assert_eq!(requests, [vec![1, 2, 3, 4], vec![1, 2], vec![1], vec![2], vec![3, 4]]);
    // One line that is too large cannot be cut.
    bench.server.answers([status(413, "too large")]);
    running.observe(Signal::Logs, 5);
    running.until("it is dropped", || running.counter("dropped_items_total", "too_large") == 1).await;
    running.forwarder.finish(Duration::from_millis(200)).await;
}

/// A server that is away for long, over starts of ours: everything arrives in order and once, and nothing again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_in_the_queue_is_kept_over_starts() {
    let bench = Bench::new().await;
    let table = || json!({ "kind": "remote_write", "endpoint": bench.server.url("/api/v1/write"), "external_labels": { "site": "hill" } });
    bench.server.answers(std::iter::repeat_n(status(503, "away"), 10_000));
    let first = bench.start(table());
    (1..=20).for_each(|number| first.observe(Signal::Metrics, number));
    first.until("all is seen", || first.status().items == 20).await;
    first.forwarder.finish(Duration::ZERO).await;
    assert_eq!((first.status().items, first.status().memory_bytes), (20, 0));
    let second = bench.start(table());
    (21..=40).for_each(|number| second.observe(Signal::Metrics, number));
    second.until("all is seen", || second.status().items == 40).await;
    let failed = bench.server.count();
    bench.server.relents();
    second.until("all is taken", || second.status().items == 0).await;
    second.forwarder.finish(Duration::from_secs(1)).await;
    let third = bench.start(table());
    third.observe(Signal::Metrics, 41);
    third.until("the last is taken", || third.counter("sent_items_total", "") == 1).await;
    third.forwarder.finish(Duration::from_secs(1)).await;
    let taken: Vec<u64> = bench.server.seen()[failed..].iter().flat_map(read_remote_write).collect();
    let from = taken.iter().rposition(|number| *number == 1).unwrap();
    assert_eq!(taken[from..], (1..=41).collect::<Vec<_>>());
}

/// One that never answers holds up neither who hands over nor another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_delays_nobody() {
    let (good, hanging) = (Server::start().await, Server::start().await);
    hanging.answers(std::iter::repeat_n(Answer::Hang, 1000));
    let directory = tempfile::tempdir().unwrap();
    let environment = Environment {
        data_dir: directory.path().to_path_buf(),
        clock: Arc::new(SystemClock::new()),
        seed: 3,
        memory: Budget::standalone(BudgetName::Receive, 8 << 20),
        registry: prometheus::Registry::new(),
    };
    let loki = |name: &str, server: &Server| {
        destination(json!({ "name": name, "kind": "loki", "endpoint": server.url(""), "tenant": "family",
            "external_labels": { "site": "hill" }, "timeout": "60s" }))
    };
    let forwarder = Forwarder::start(&environment, vec![loki("hanging", &hanging), loki("good", &good)]).unwrap();
    let (mut slowest, mut observed) = (Duration::ZERO, Duration::ZERO);
    for number in 1..=100 {
        let begun = std::time::Instant::now();
        forwarder.observe(Durable::Logs(&line(number)), number);
        observed = observed.max(begun.elapsed());
        while good.count() < number as usize {
            assert!(begun.elapsed() < Duration::from_secs(10), "{number}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(begun.elapsed());
    }
    // The other would have had a minute.
    assert!(observed < Duration::from_secs(2) && slowest < Duration::from_secs(8), "{observed:?} {slowest:?}");
    assert_eq!(good.seen().iter().flat_map(read_loki).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(hanging.count(), 1);
    forwarder.finish(Duration::from_millis(50)).await;
    assert_eq!(forwarder.status()[0].items, 100, "nothing is lost of what the other did not take");
}
