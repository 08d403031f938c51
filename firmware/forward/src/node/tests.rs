//! A node against a hub that is made up: it keeps what is delivered as the real one does, drops what it has, can be away, and
//! can take a batch and lose the answer.

mod two_hubs;

use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bramble_runtime::{Budget, BudgetName, Clock, Rng, SystemClock};
use bramble_wire::delivery::{
    DELIVER_PATH, Deliver, DeliverAnswer, HELLO_PATH, Hello, HelloAnswer, SourceDelivered, read_logs,
};
use prometheus::Registry;
use std::net::SocketAddr;
use tokio::task::AbortHandle;

#[derive(Default)]
struct HubWorld {
    lanes: BTreeMap<String, (u64, BTreeMap<String, String>)>,
    lines: Vec<String>,
    repeated: u64,
    hellos: u64,
    /// Chance that the answer to a delivery is lost, and whether that is after it was taken.
    loses: f64,
    rng: Option<Rng>,
}

type World = Arc<Mutex<HubWorld>>;

fn framed(message: &[u8]) -> Response {
    let mut body = vec![0];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(message);
    ([("content-type", "application/grpc"), ("grpc-status", "0")], body).into_response()
}

fn unframed(headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    let message = &body[5..];
    match (body[0], headers.get("grpc-encoding").and_then(|value| value.to_str().ok())) {
        (0, _) => message.to_vec(),
        (1, Some("zstd")) => zstd::stream::decode_all(message).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn unavailable() -> Response {
    ([("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-message", "lost")], "").into_response()
}

async fn hello(world: World, headers: HeaderMap, body: Bytes) -> Response {
    let message = unframed(&headers, &body);
    let hello = Hello::decode(&message).unwrap();
    let mut world = world.lock();
    world.hellos += 1;
    let all = hello.sources.is_empty();
    let delivered = world.lanes.iter().filter(|(source, _)| all || hello.sources.contains(source));
    let delivered = delivered.map(|(source, (sequence, positions))| SourceDelivered {
        source: source.clone(),
        sequence: *sequence,
        positions: positions.clone().into_iter().collect(),
    });
    let credential = if hello.token == "once" { "secret".into() } else { String::new() };
    let mut out = Vec::new();
    HelloAnswer {
        hub_id: "h".into(),
        hub_name: "hub".into(),
        hub_version: "0".into(),
        credential,
        now_ms: SystemClock::new().wall_ms() + 5000,
        heartbeat_ms: 1000,
        delivered: delivered.collect(),
    }
    .encode(&mut out);
    framed(&out)
}

async fn deliver(world: World, headers: HeaderMap, body: Bytes) -> Response {
    let message = unframed(&headers, &body);
    let sent = Deliver::decode(&message).unwrap();
    if sent.credential != "secret" {
        return (StatusCode::OK, [("content-type", "application/grpc"), ("grpc-status", "16")], "").into_response();
    }
    let mut world = world.lock();
    let loses = world.loses;
    let roll = world.rng.get_or_insert_with(|| Rng::new(5)).unit();
    if roll < loses / 2.0 {
        return unavailable();
    }
    let (last, positions) = world.lanes.entry(sent.source.to_owned()).or_default();
    let known = sent.sequence <= *last;
    if !known {
        *last = sent.sequence;
        for (key, value) in &sent.positions {
            positions.insert((*key).to_owned(), (*value).to_owned());
        }
        let batch = read_logs(sent.payload, 1 << 24).unwrap().batch;
        for stream in batch.streams() {
            let lines = stream.entries().map(|entry| String::from_utf8(entry.line.to_vec()).unwrap());
            world.lines.extend(lines);
        }
    } else {
        world.repeated += 1;
    }
    if roll < loses {
        return unavailable();
    }
    let mut out = Vec::new();
    DeliverAnswer { accepted: 1, rejected: 0, message: String::new() }.encode(&mut out);
    framed(&out)
}

/// Serves the hub until it is aborted.
async fn serve(world: &World, address: SocketAddr) -> (SocketAddr, AbortHandle) {
    let (for_hello, for_deliver) = (world.clone(), world.clone());
    let router = Router::new()
        .route(HELLO_PATH, post(move |headers, body| hello(for_hello.clone(), headers, body)))
        .route(DELIVER_PATH, post(move |headers, body| deliver(for_deliver.clone(), headers, body)));
    let listener = loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, router).await });
    (address, task.abort_handle())
}

fn environment(directory: &std::path::Path) -> Environment {
    Environment {
        data_dir: directory.to_path_buf(),
        clock: Arc::new(SystemClock::new()),
        seed: 7,
        memory: Budget::standalone(BudgetName::Receive, 4 << 20),
        registry: Registry::new(),
    }
}

fn node(directory: &std::path::Path, hubs: &watch::Sender<Vec<String>>) -> Arc<NodeWriter> {
    let options = NodeOptions {
        name: "pi".into(),
        version: "1".into(),
        token: Some("once".into()),
        hubs: hubs.subscribe(),
        queue_max_bytes: 8 << 20,
        queue_max_age: Duration::from_secs(3600),
        memory_max: 1 << 20,
        wait_max: Duration::from_millis(500),
        timeout: Duration::from_secs(2),
        destinations: Vec::new(),
        problem: watch::channel("card is worn".to_owned()).1,
    };
    NodeWriter::start(&environment(directory), options).unwrap()
}

fn lines(from: u64, count: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "test")]).unwrap();
    (from..from + count).for_each(|at| batch.push_entry(at as i64, at.to_string().as_bytes(), &mut []).unwrap());
    batch
}

fn held() -> Reservation {
    Budget::standalone(BudgetName::Receive, 1 << 20).reserve(100).unwrap()
}

/// A source that reads numbers from one on and delivers them as a file is.
async fn read_on(writer: &NodeWriter, through: u64) {
    let delivered = loop {
        match writer.delivered("files") {
            Some(delivered) => break delivered,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let mut at: u64 = delivered.positions.get("file").map_or(0, |text| text.parse().unwrap());
    let mut sequence = delivered.sequence;
    while at < through {
        let count = (1 + at % 7).min(through - at);
        sequence += 1;
        loop {
            let positions = vec![("file".to_owned(), (at + count).to_string())];
            let delivery = Delivery { source: "files".into(), sequence, positions };
            let (sender, answer) = oneshot::channel();
            let done: Done = Box::new(move |result| _ = sender.send(result));
            writer.deliver(delivery, Batch::Logs(lines(at + 1, count)), held(), Urgency::Background, done);
            match answer.await.unwrap() {
                Ok(_) => break,
                Err(WriteError::ShuttingDown) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        at += count;
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_arrives_exactly_once_whatever_happens_to_hub_and_node() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::default();
    let (address, mut serving) = serve(&world, "127.0.0.1:0".parse().unwrap()).await;
    let hubs = watch::Sender::new(vec![format!("http://{address}")]);
    let mut through = 0;
    for round in 0..6u64 {
        let writer = node(directory.path(), &hubs);
        world.lock().loses = if round % 2 == 0 { 0.3 } else { 0.0 };
        through += 150;
        read_on(&writer, through).await;
        if round % 3 == 1 {
            // The hub goes away, the node reads on, is started again without it, and the hub comes back.
            serving.abort();
            through += 150;
            read_on(&writer, through).await;
            writer.finish(Duration::from_millis(100)).await;
            let writer = node(directory.path(), &hubs);
            through += 50;
            read_on(&writer, through).await;
            (_, serving) = serve(&world, address).await;
            through += 50;
            read_on(&writer, through).await;
            until("the queue empties", || writer.status().iter().all(|queue| queue.items == 0)).await;
            writer.finish(Duration::from_secs(2)).await;
        } else {
            writer.finish(Duration::from_secs(2)).await;
        }
    }
    world.lock().loses = 0.0;
    let writer = node(directory.path(), &hubs);
    let waiting = async {
        while (world.lock().lines.len() as u64) < through {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
        let world = world.lock();
        let missing: Vec<u64> = (1..=through).filter(|n| !world.lines.contains(&n.to_string())).collect();
        panic!("missing {missing:?} {:?} {:?}", world.lanes, writer.status());
    }
    let mut seen: Vec<u64> = world.lock().lines.iter().map(|line| line.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=through).collect::<Vec<_>>(), "each once");
    assert!(world.lock().repeated > 0, "answers were lost");
    writer.finish(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_gathered_and_done_when_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::default();
    let (address, serving) = serve(&world, "127.0.0.1:0".parse().unwrap()).await;
    let hubs = watch::Sender::new(Vec::new());
    let writer = node(directory.path(), &hubs);
    let write = |from: u64| {
        let (sender, answer) = oneshot::channel();
        let done: Done = Box::new(move |result| _ = sender.send(result));
        writer.write_logs(lines(from, 2), held(), Urgency::SenderWaits, done);
        answer
    };
    // No hub is known: on disk is as good.
    assert_eq!(write(1).await.unwrap().unwrap().accepted, 2);
    assert!(directory.path().join("spool/hub/journal").is_dir());
    hubs.send_replace(vec![format!("http://{address}")]);
    until("the queue empties", || world.lock().lines.len() == 2).await;
    until("connected", || writer.hubs().borrow().first().is_some_and(|hub| hub.connected)).await;
    let state = writer.hubs().borrow()[0].clone();
    assert_eq!(state.hub_name, "hub");
    assert!((state.clock_skew_ms - 5000).abs() < 1000, "{}", state.clock_skew_ms);
    let answers: Vec<_> = (0..20).map(|at| write(100 + 2 * at)).collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().accepted, 2);
    }
    assert_eq!(world.lock().lines.len(), 42);
    let deliveries: u64 = world.lock().lanes.values().map(|(sequence, _)| sequence & 0xff).max().unwrap();
    assert!(deliveries < 10, "{deliveries}");
    let credential = std::fs::read_to_string(directory.path().join("node.credential")).unwrap();
    assert_eq!(credential, "secret");
    writer.finish(Duration::from_secs(1)).await;
    let (sender, answer) = oneshot::channel();
    writer.write_logs(lines(1, 1), held(), Urgency::SenderWaits, Box::new(move |result| _ = sender.send(result)));
    assert_eq!(answer.await.unwrap(), Err(WriteError::ShuttingDown));
    serving.abort();
}
