//! Enrolment, deliveries, and who may not.

use super::*;
use crate::receivers::testing::{Answer, NOW_SECONDS, send};
use crate::receivers::{LokiOptions, OtlpOptions, ReceiveCounters, ReceiveLimits};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::{Delivered, Writer};
use bramble_wire::delivery::{NodeStatus, put_logs, put_metrics};
use parking_lot::Mutex;
use prometheus::Registry;
use std::collections::BTreeMap;

/// Values in memory.
#[derive(Default)]
struct MemoryStore(Mutex<BTreeMap<String, Vec<u8>>>);

impl NodeStore for MemoryStore {
    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let entries = self.0.lock();
        Ok(entries.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn put(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.0.lock().insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<(), String> {
        self.0.lock().remove(key);
        Ok(())
    }

    fn note(&self, key: &str, number: u64) -> Result<(), String> {
        self.put(key, &number.to_le_bytes())
    }

    fn noted(&self, key: &str) -> Result<Option<u64>, String> {
        Ok(self.0.lock().get(key).and_then(|v| <[u8; 8]>::try_from(v.as_slice()).ok()).map(u64::from_le_bytes))
    }
}

/// Remembers what was delivered; holds the outcome back while told to.
#[derive(Default)]
struct Deliveries {
    taken: Mutex<Vec<(Delivery, Batch)>>,
    known: Mutex<BTreeMap<String, Delivered>>,
    replaying: Mutex<bool>,
    hold: Mutex<bool>,
    held: Mutex<Vec<Done>>,
}

impl Writer for Deliveries {
    fn write_metrics(&self, _: MetricBatch, _: Reservation, _: Urgency, _: Done) {
        panic!("a node's batch comes with its source");
    }

    fn write_logs(&self, _: LogBatch, _: Reservation, _: Urgency, _: Done) {
        panic!("a node's batch comes with its source");
    }

    fn write_spans(&self, _: SpanBatch, _: Reservation, _: Urgency, _: Done) {
        panic!("a node's batch comes with its source");
    }

    fn deliver(&self, delivery: Delivery, batch: Batch, _: Reservation, _: Urgency, done: Done) {
        let mut known = self.known.lock();
        let of_source = known.entry(delivery.source.to_string()).or_default();
        of_source.sequence = of_source.sequence.max(delivery.sequence);
        of_source.positions.extend(delivery.positions.iter().cloned());
        let accepted = batch.item_count() as u64;
        self.taken.lock().push((delivery, batch));
        match *self.hold.lock() {
            true => self.held.lock().push(done),
            false => done(Ok(Written { accepted, ..Written::default() })),
        }
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        (!*self.replaying.lock()).then(|| self.known.lock().get(source).cloned().unwrap_or_default())
    }
}

struct Hub {
    writer: Arc<Deliveries>,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    nodes: Arc<NodeRegistry>,
    metrics: Registry,
    router: Router,
}

fn hub_with(store: Arc<MemoryStore>, options: NodeOptions) -> Hub {
    let (writer, clock) = (Arc::new(Deliveries::default()), Arc::new(ManualClock::new(NOW_SECONDS * 1_000_000_000)));
    let metrics = Registry::new();
    let state = ReceiverState::new(
        writer.clone(),
        Budget::standalone(BudgetName::Receive, 4 << 20),
        clock.clone(),
        ReceiveLimits::default(),
        (LokiOptions::default(), OtlpOptions::default()),
        ReceiveCounters::register(&metrics).unwrap(),
    );
    let nodes = Arc::new(NodeRegistry::open(store.clone(), clock.clone(), options).unwrap());
    register_nodes(nodes.clone(), &metrics).unwrap();
    let router = node(state, nodes.clone());
    Hub { writer, store, clock, nodes, metrics, router }
}

fn hub() -> Hub {
    hub_with(Arc::default(), NodeOptions { hub_name: "attic".to_owned(), ..NodeOptions::default() })
}

const DAY: Duration = Duration::from_secs(86_400);
const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const FAILED_PRECONDITION: &str = "9";
const UNAVAILABLE: &str = "14";
const UNAUTHENTICATED: &str = "16";

async fn call(router: &Router, path: &str, message: Vec<u8>) -> (String, Vec<u8>) {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    let Answer { headers, trailers, body, .. } =
        send(router, path, &[("content-type", "application/grpc")], frame).await;
    let code = trailers.get("grpc-status").or(headers.get("grpc-status")).unwrap();
    (code.to_str().unwrap().to_owned(), body.get(5..).unwrap_or_default().to_vec())
}

async fn say(hub: &Hub, hello: &Hello) -> Result<HelloAnswer, String> {
    let mut message = Vec::new();
    hello.encode(&mut message);
    match call(&hub.router, HELLO_PATH, message).await {
        (code, body) if code == OK => Ok(HelloAnswer::decode(&body).unwrap()),
        (code, _) => Err(code),
    }
}

fn hello(id: &str, token: &str, credential: &str) -> Hello {
    let status = NodeStatus { queue_bytes: 7, queue_bytes_max: 100, started_ms: 1, ..NodeStatus::default() };
    Hello {
        node_id: id.to_owned(),
        name: format!("pi-{id}"),
        version: "1".to_owned(),
        token: token.to_owned(),
        credential: credential.to_owned(),
        now_ms: NOW_SECONDS * 1000,
        status,
        ..Hello::default()
    }
}

/// A node that is enrolled: its credential.
async fn enrolled(hub: &Hub, id: &str) -> String {
    let token = hub.nodes.create_token(DAY).unwrap().token;
    let credential = say(hub, &hello(id, &token, "")).await.unwrap().credential;
    assert_eq!(say(hub, &hello(id, "", &credential)).await.unwrap().credential, "");
    credential
}

fn logs(line: &str) -> Vec<u8> {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("app", "web")]).unwrap();
    batch.push_entry(1, line.as_bytes(), &mut []).unwrap();
    let mut payload = Vec::new();
    put_logs(&batch, &mut payload);
    payload
}

fn delivery<'a>(credential: &'a str, sequence: u64, payload: &'a [u8]) -> Deliver<'a> {
    Deliver {
        node_id: "a",
        credential,
        source: "files",
        sequence,
        late: false,
        signal: Signal::Logs,
        payload,
        positions: vec![("inode", "17")],
    }
}

async fn hand_over(hub: &Hub, deliver: &Deliver<'_>) -> Result<DeliverAnswer, String> {
    let mut message = Vec::new();
    deliver.encode(&mut message);
    match call(&hub.router, DELIVER_PATH, message).await {
        (code, body) if code == OK => Ok(DeliverAnswer::decode(&body).unwrap()),
        (code, _) => Err(code),
    }
}

#[tokio::test]
async fn a_token_enrols_one_node_once() {
    let hub = hub();
    assert_eq!(say(&hub, &hello("a", "", "")).await.unwrap_err(), UNAUTHENTICATED);
    assert_eq!(say(&hub, &hello("a", "x.y", "")).await.unwrap_err(), UNAUTHENTICATED);
    let token = hub.nodes.create_token(DAY).unwrap();
    assert_eq!(say(&hub, &hello("a/b", &token.token, "")).await.unwrap_err(), INVALID_ARGUMENT);
    let first = say(&hub, &hello("a", &token.token, "")).await.unwrap();
    assert_eq!((first.hub_name.as_str(), first.hub_id.as_str()), ("attic", hub.nodes.hub_id()));
    // The answer was lost: the same node asks again, another may not.
    assert_eq!(say(&hub, &hello("b", &token.token, "")).await.unwrap_err(), UNAUTHENTICATED);
    let second = say(&hub, &hello("a", &token.token, "")).await.unwrap();
    assert_eq!(say(&hub, &hello("a", "", &first.credential)).await.unwrap_err(), UNAUTHENTICATED, "replaced");
    assert_eq!(say(&hub, &hello("a", &token.token, &second.credential)).await.unwrap().credential, "", "no need");
    assert_eq!(say(&hub, &hello("a", &token.token, "")).await.unwrap_err(), UNAUTHENTICATED, "used up");
    assert!(hub.nodes.tokens().is_empty());
    let kept = hub.store.0.lock();
    let secrets = [&second.credential, token.token.split_once('.').unwrap().1];
    let told = kept.values().any(|value| secrets.iter().any(|s| String::from_utf8_lossy(value).contains(*s)));
    assert!(!told, "secrets are kept as hashes only");
}

#[tokio::test]
async fn tokens_expire_and_are_taken_back() {
    let hub = hub();
    let (old, back) = (hub.nodes.create_token(DAY).unwrap(), hub.nodes.create_token(2 * DAY).unwrap());
    assert!(hub.nodes.revoke_token(&back.id).unwrap() && !hub.nodes.revoke_token(&back.id).unwrap());
    assert_eq!(hub.nodes.tokens().len(), 1);
    hub.clock.advance_ns(DAY.as_nanos() as u64);
    for token in [old, back] {
        assert_eq!(say(&hub, &hello("a", &token.token, "")).await.unwrap_err(), UNAUTHENTICATED);
    }
    assert!(hub.nodes.tokens().is_empty());
}

#[tokio::test]
async fn a_delivery_is_durable_with_its_positions_when_it_is_answered() {
    let hub = hub();
    let credential = enrolled(&hub, "a").await;
    let payload = logs("one");
    assert_eq!(hand_over(&hub, &delivery("nope", 1, &payload)).await.unwrap_err(), UNAUTHENTICATED);
    assert_eq!(hand_over(&hub, &delivery(&credential, 0, &payload)).await.unwrap_err(), INVALID_ARGUMENT);
    assert_eq!(hand_over(&hub, &delivery(&credential, 1, b"\xff")).await.unwrap_err(), INVALID_ARGUMENT);
    assert!(hub.writer.taken.lock().is_empty());
    assert_eq!(hand_over(&hub, &delivery(&credential, 1, &payload)).await.unwrap().accepted, 1);
    let (taken, batch) = hub.writer.taken.lock().pop().unwrap();
    assert_eq!((&*taken.source, taken.sequence, taken.positions), ("a/files", 1, vec![("inode".into(), "17".into())]));
    let Batch::Logs(batch) = batch else { panic!("logs") };
    assert_eq!(batch.entry(0).line, b"one");
    // It hears of all its sources, and of those it asks for.
    let all = say(&hub, &hello("a", "", &credential)).await.unwrap().delivered;
    assert_eq!((all.len(), all[0].sequence, all[0].positions.len()), (1, 1, 1));
    let asked = Hello { sources: vec!["files".into(), "new".into()], ..hello("a", "", &credential) };
    let asked = say(&hub, &asked).await.unwrap().delivered;
    assert_eq!(asked.iter().map(|d| (d.source.as_str(), d.sequence)).collect::<Vec<_>>(), [("files", 1), ("new", 0)]);
    *hub.writer.replaying.lock() = true;
    assert_eq!(say(&hub, &hello("a", "", &credential)).await.unwrap_err(), UNAVAILABLE);
    // Names of sources outlive the hub.
    let again = hub_with(hub.store.clone(), NodeOptions::default());
    assert_eq!(say(&again, &hello("a", "", &credential)).await.unwrap().delivered.len(), 1);
    assert_eq!(again.nodes.hub_id(), hub.nodes.hub_id());
}

#[tokio::test]
async fn late_samples_fill_in_the_past() {
    let hub = hub();
    let credential = enrolled(&hub, "a").await;
    let (mut batch, mut payload) = (MetricBatch::new(), Vec::new());
    batch.start_series(&mut [("__name__", "up")]).unwrap();
    batch.push_sample(5, 1.0);
    put_metrics(&batch, &mut payload);
    for late in [false, true] {
        let sent = Deliver { signal: Signal::Metrics, late, ..delivery(&credential, 1 + u64::from(late), &payload) };
        hand_over(&hub, &sent).await.unwrap();
        let Some((_, Batch::Metrics(taken))) = hub.writer.taken.lock().pop() else { panic!("metrics") };
        assert_eq!((taken.backfill, taken.series(0).1[0].timestamp_ms), (late, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_has_one_batch_under_way_even_when_its_node_gives_up() {
    let hub = hub();
    let credential = enrolled(&hub, "a").await;
    *hub.writer.hold.lock() = true;
    let payload = logs("one");
    let first = delivery(&credential, 1, &payload);
    let given_up = tokio::time::timeout(Duration::from_secs(5), hand_over(&hub, &first)).await;
    assert!(given_up.is_err());
    assert_eq!(hand_over(&hub, &first).await.unwrap_err(), UNAVAILABLE, "the first attempt still runs");
    assert_eq!(hub.writer.taken.lock().len(), 1);
    // Another source does not wait.
    *hub.writer.hold.lock() = false;
    assert!(hand_over(&hub, &Deliver { source: "live/1", ..first.clone() }).await.is_ok());
    let done = hub.writer.held.lock().pop().unwrap();
    done(Ok(Written::default()));
    assert!(hand_over(&hub, &first).await.is_ok());
}

#[tokio::test]
async fn nodes_and_sources_are_bounded_and_can_be_removed() {
    let hub = hub_with(Arc::default(), NodeOptions { nodes_max: 1, sources_max: 1, ..NodeOptions::default() });
    let credential = enrolled(&hub, "a").await;
    let token = hub.nodes.create_token(DAY).unwrap().token;
    assert_eq!(say(&hub, &hello("b", &token, "")).await.unwrap_err(), FAILED_PRECONDITION);
    let payload = logs("one");
    let first = delivery(&credential, 1, &payload);
    hand_over(&hub, &first).await.unwrap();
    assert_eq!(hand_over(&hub, &Deliver { source: "more", ..first.clone() }).await.unwrap_err(), FAILED_PRECONDITION);
    assert_eq!(hand_over(&hub, &Deliver { source: "a b", ..first.clone() }).await.unwrap_err(), INVALID_ARGUMENT);
    assert!(hub.nodes.remove("a").unwrap() && !hub.nodes.remove("a").unwrap());
    assert_eq!(hand_over(&hub, &first).await.unwrap_err(), UNAUTHENTICATED);
    assert_eq!(say(&hub, &hello("a", "", &credential)).await.unwrap_err(), UNAUTHENTICATED);
    assert!(say(&hub, &hello("b", &token, "")).await.is_ok(), "the token is still good");
    assert!(hub.nodes.nodes().iter().all(|node| node.id == "b"));
    hub.nodes.remove("b").unwrap();
    // Enrolled again, it hears how far its sources were.
    let token = hub.nodes.create_token(DAY).unwrap().token;
    let known = say(&hub, &hello("a", &token, "")).await.unwrap().delivered;
    assert_eq!(known.iter().map(|d| (d.source.as_str(), d.sequence)).collect::<Vec<_>>(), [("files", 1)]);
}

#[tokio::test]
async fn a_source_that_only_the_journal_knows_is_not_started_anew() {
    let hub = hub();
    let credential = enrolled(&hub, "a").await;
    hub.writer.known.lock().insert("a/files".to_owned(), Delivered { sequence: 9, ..Delivered::default() });
    let payload = logs("one");
    assert_eq!(hand_over(&hub, &delivery(&credential, 1, &payload)).await.unwrap_err(), FAILED_PRECONDITION);
    assert_eq!(say(&hub, &hello("a", "", &credential)).await.unwrap().delivered[0].sequence, 9);
    assert!(hand_over(&hub, &delivery(&credential, 10, &payload)).await.is_ok());
}

#[tokio::test]
async fn a_silent_node_is_seen() {
    let hub = hub();
    let credential = enrolled(&hub, "a").await;
    let gauge = |name: &str| {
        let families = hub.metrics.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        Some(family.get_metric()[0].get_gauge().get_value())
    };
    assert_eq!((gauge("bramble_node_up"), gauge("bramble_node_queue_bytes")), (Some(1.0), Some(7.0)));
    assert_eq!(gauge("bramble_node_clock_skew_seconds"), Some(0.0));
    hub.clock.advance_ns(60_000_000_000);
    assert_eq!((gauge("bramble_node_up"), gauge("bramble_node_last_seen_seconds")), (Some(0.0), Some(60.0)));
    say(&hub, &hello("a", "", &credential)).await.unwrap();
    let view = hub.nodes.nodes().remove(0);
    assert!(view.is_up);
    // Four measurements: three were right, then the hub was a minute ahead.
    assert_eq!(view.clock_skew_ms, Some(-60_000.0));
    hub.nodes.remove("a").unwrap();
    assert_eq!(gauge("bramble_node_up"), None);
}
