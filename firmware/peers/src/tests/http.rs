//! The way over HTTP: real sockets, a server of a few lines.

use crate::merge::MergedMetrics;
use crate::peer::{PeerOptions, Peers, State};
use bramble_runtime::{Budget, BudgetName, Cancel};
use bramble_signal::SeriesSamples;
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{MetricSelect, MetricSource, QueryContext, ReadError};
use prometheus::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TIMEOUT: Duration = Duration::from_millis(300);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads a request's head.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0);
        text.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn peers(address: SocketAddr, hub_id: &str) -> Arc<Peers> {
    let options = PeerOptions {
        token: String::new(),
        addresses: vec![address.to_string()],
        timeout: TIMEOUT,
        hub_id: hub_id.to_owned(),
        budget: Budget::standalone(BudgetName::Query, 1 << 20),
    };
    Peers::new(options, &Registry::new()).unwrap()
}

/// Reads everything, as a query would on a thread of its own, and gives the warnings.
async fn read(peers: &Arc<Peers>, cancel: Cancel) -> (Result<usize, ReadError>, Vec<String>) {
    let merged = MergedMetrics::new(Arc::new(MemoryMetrics::new()), peers.clone());
    let work = move || {
        let budget = Budget::standalone(BudgetName::Query, 1 << 20);
        let context = QueryContext::new(&budget, None, cancel).unwrap();
        let select = MetricSelect { matchers: &[], start_ms: 0, end_ms: 9 };
        let count = || {
            let (mut cursor, mut series, mut count) = (merged.select(&select, &context)?, SeriesSamples::default(), 0);
            while cursor.next(&mut series)? {
                count += 1;
            }
            Ok(count)
        };
        (count(), context.warnings())
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn nobody_there() {
    let (listener, address) = listen().await;
    drop(listener);
    let others = peers(address, "");
    let (read, warnings) = read(&others, Cancel::new()).await;
    assert_eq!(read, Ok(0));
    assert!(warnings[0].contains("connection refused"), "{warnings:?}");
    assert!(matches!(others.first().state(), State::Down(_)));
    assert_eq!(others.troubles().len(), 1);
}

#[tokio::test]
async fn silence_ends_and_signs_of_life_do_not() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(request(&mut stream).await.starts_with("POST /api/peer/v1/read HTTP/1.1\r\n"));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        for _ in 0..4 {
            tokio::time::sleep(TIMEOUT / 2).await;
            stream.write_all(&crate::ALIVE).await.unwrap();
        }
        // Until the asker has had enough, which closes the connection.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let began = std::time::Instant::now();
    let (read, warnings) = read(&peers(address, ""), Cancel::new()).await;
    assert_eq!(read, Ok(0));
    assert!(warnings[0].contains("no sign of life for 0.3 s"), "{warnings:?}");
    assert!(began.elapsed() >= TIMEOUT * 3, "it lived for {:?}", began.elapsed());
    server.await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let body = br#"{"error":"unknown variant"}"#;
        let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
    });
    let others = peers(address, "");
    let (_, warnings) = read(&others, Cancel::new()).await;
    assert!(warnings[0].contains("it answered 400 Bad Request: unknown variant"), "{warnings:?}");
    assert_eq!(others.first().state(), State::Up);
}

#[tokio::test]
async fn who_is_stopped_hangs_up() {
    let (listener, address) = listen().await;
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        stop.cancel();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.is_ok()
    });
    let (read, _) = read(&peers(address, ""), cancel).await;
    assert_eq!(read, Err(ReadError::Cancelled));
    assert!(server.await.unwrap(), "the connection was closed");
}

/// Greets whoever comes, as the hub of that id.
async fn greeting(listener: TcpListener, hub_id: &'static str) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(request(&mut stream).await.starts_with("GET /api/peer/v1/hello "));
        let body =
            format!(r#"{{"hub_id":"{hub_id}","name":"n","rolled_up_before_ms":5,"floating_names":["trace_id"]}}"#);
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

async fn until(peers: &Arc<Peers>, wanted: impl Fn(&State) -> bool) {
    let reached = async {
        while !wanted(&peers.first().state()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
}

#[tokio::test]
async fn greetings_tell_who_is_there() {
    let (listener, address) = listen().await;
    let others = peers(address, "this");
    others.first().set_state(State::Down("before".to_owned()));
    let (server, watching) =
        (tokio::spawn(greeting(listener, "other")), tokio::spawn(others.clone().watch(Cancel::new())));
    until(&others, |state| *state == State::Up).await;
    let metrics = MergedMetrics::new(Arc::new(MemoryMetrics::new()), others.clone());
    assert_eq!(metrics.rolled_up_before_ms(), 5);
    server.abort();
    // A query finds it gone, and it is looked for at once.
    let _ = read(&others, Cancel::new()).await;
    until(&others, |state| matches!(state, State::Down(_))).await;
    watching.abort();

    let (listener, address) = listen().await;
    let own = peers(address, "this");
    tokio::spawn(greeting(listener, "this"));
    tokio::spawn(own.clone().watch(Cancel::new()));
    until(&own, |state| *state == State::Own).await;
    assert_eq!(read(&own, Cancel::new()).await, (Ok(0), Vec::new()));
}

#[tokio::test]
async fn addresses_are_checked() {
    for (address, good) in [
        ("attic.lan:3000", true),
        ("http://attic.lan:3000/", true),
        ("https://attic.lan/bramble", true),
        ("[::1]:3000", true),
        ("", false),
        ("ftp://attic.lan", false),
        ("http://", false),
        ("http://attic.lan/?a=b", false),
        ("two words", false),
    ] {
        let options = PeerOptions {
            token: String::new(),
            addresses: vec![address.to_owned()],
            timeout: TIMEOUT,
            hub_id: String::new(),
            budget: Budget::standalone(BudgetName::Query, 1),
        };
        let made = Peers::new(options, &Registry::new());
        assert_eq!(made.is_ok(), good, "{address}");
        if let Err(error) = made {
            assert!(error.to_string().starts_with("cluster.peers: "), "{error}");
        }
    }
}
