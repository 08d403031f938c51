//! Messages, and the names in them.

use super::*;
use bramble_signal::Signal;

#[test]
fn messages_come_back() {
    let status = NodeStatus {
        queue_bytes: 1,
        queue_bytes_max: 1 << 30,
        queue_items: 2,
        queue_oldest_ms: 3,
        dropped_items: 4,
        queue_rate_bytes_per_second: 5,
        rss_bytes: 6,
        started_ms: 7,
        temperature_celsius: 48.5,
        problem: "card is worn".to_owned(),
    };
    let hello = Hello {
        node_id: "n1".to_owned(),
        name: "kitchen".to_owned(),
        version: "0.7".to_owned(),
        token: "t".to_owned(),
        credential: "c".to_owned(),
        now_ms: -5,
        round_trip_ms: 12,
        status,
        sources: vec!["files".to_owned(), "live".to_owned()],
    };
    let mut out = Vec::new();
    hello.encode(&mut out);
    assert_eq!(Hello::decode(&out).unwrap(), hello);
    let positions = vec![("inode".to_owned(), "17".to_owned()), ("gone".to_owned(), String::new())];
    let delivered = vec![SourceDelivered { source: "files".to_owned(), sequence: 9, positions }];
    let (hub_id, hub_name, hub_version) = ("h".to_owned(), "hub".to_owned(), "0.7".to_owned());
    let credential = "secret".to_owned();
    let answer = HelloAnswer { hub_id, hub_name, hub_version, credential, now_ms: 1, heartbeat_ms: 15_000, delivered };
    out.clear();
    answer.encode(&mut out);
    assert_eq!(HelloAnswer::decode(&out).unwrap(), answer);
    let deliver = Deliver {
        node_id: "n1",
        credential: "c",
        source: "live",
        sequence: u64::MAX,
        late: true,
        signal: Signal::Metrics,
        payload: b"\0\xff",
        positions: vec![("k", ""), ("l", "v")],
    };
    out.clear();
    deliver.encode(&mut out);
    assert_eq!(Deliver::decode(&out).unwrap(), deliver);
    let done = DeliverAnswer { accepted: 3, rejected: 1, message: "too old".to_owned() };
    out.clear();
    done.encode(&mut out);
    assert_eq!(DeliverAnswer::decode(&out).unwrap(), done);
}

#[test]
fn a_status_without_temperature_has_none() {
    let hello = Hello::default();
    let mut out = Vec::new();
    hello.encode(&mut out);
    assert!(Hello::decode(&out).unwrap().status.temperature_celsius.is_nan());
    assert!(Deliver::decode(b"").is_err(), "no signal");
}

#[test]
fn names_of_nodes_and_sources_are_plain() {
    assert!(is_node_id("a-B.9_") && !is_node_id("a/b") && !is_node_id("") && !is_node_id(&"x".repeat(65)));
    assert!(is_source("files/a") && !is_source("a b") && !is_source("ü"));
}
