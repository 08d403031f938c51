//! Both doors with a writer that remembers.

use super::*;
use crate::receivers::testing::{Bench, NOW_SECONDS};
use bramble_storage::WriteError;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Door {
    bench: Arc<Bench>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn options() -> SyslogOptions {
    SyslogOptions { zone: SyslogZone::Offset(3600), message_bytes_max: 200, ..SyslogOptions::default() }
}

async fn tcp(options: SyslogOptions) -> Door {
    let bench = Arc::new(Bench::small());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(syslog_tcp(bench.state.clone(), options, listener, async move { drop(stopped.await) }));
    Door { bench, address, stop, task }
}

impl Door {
    async fn end(self) -> Vec<String> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        shown(&self.bench)
    }

    async fn wait_for_lines(&self, count: usize) {
        let reached = async {
            while shown(&self.bench).len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("lines arrive");
    }
}

/// `{labels} seconds line {metadata}` per entry.
fn shown(bench: &Bench) -> Vec<String> {
    let mut out = Vec::new();
    for batch in bench.writer.logs.lock().iter() {
        for stream in batch.streams() {
            for entry in stream.entries() {
                let (seconds, line) = (entry.timestamp_ns / 1_000_000_000, String::from_utf8_lossy(entry.line));
                out.push(format!("{} {seconds} {line} {}", stream.labels(), entry.metadata));
            }
        }
    }
    out
}

#[tokio::test]
async fn both_standards_and_both_framings_by_tcp() {
    let door = tcp(options()).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let new = "<165>1 2026-11-18T10:00:00.5Z router1 dnsmasq 77 ID47 [origin@32473 ip=\"10.0.0.1\" ip=\"x\"][a severity=\"s\"] query\nfor a name";
    stream.write_all(format!("{} {new}", new.len()).as_bytes()).await.unwrap();
    stream
        .write_all(b"<34>Nov 18 11:00:01 mymachine su[7]: 'su root' failed\n\n<13>hello\nno syslog at all: error\n")
        .await
        .unwrap();
    stream.write_all(b"<13>Nov 18 11:00:02 h a: ").await.unwrap();
    stream.write_all(&[b'x'; 300]).await.unwrap();
    stream.write_all(b"\n<13>1 2010-01-01T00:00:00Z h a - - - old clock\n99 <14>half").await.unwrap();
    drop(stream);
    door.wait_for_lines(1).await;
    let bench = Arc::clone(&door.bench);
    let lines = door.end().await;
    assert_eq!(lines.len(), 7, "{lines:#?}");
    assert_eq!(
        lines[0],
        "{facility=\"local4\", host=\"router1\", job=\"syslog\", level=\"info\", service=\"dnsmasq\", service_name=\"dnsmasq\"} 1794996000 query\nfor a name {a_severity=\"s\", detected_level=\"info\", msgid=\"ID47\", origin_32473_ip=\"10.0.0.1\", procid=\"77\", severity=\"notice\"}"
    );
    // One hour east of Greenwich.
    assert!(lines[1].starts_with("{facility=\"auth\", host=\"mymachine\", job=\"syslog\", level=\"critical\", service=\"su\", service_name=\"su\"} 1794996001 'su root' failed {"), "{}", lines[1]);
    assert!(lines[2].starts_with(&format!("{{facility=\"user\", host=\"127.0.0.1\", job=\"syslog\", level=\"info\", service_name=\"syslog\"}} {NOW_SECONDS} hello")), "{}", lines[2]);
    assert!(
        lines[3].contains("{facility=\"user\", host=\"127.0.0.1\", job=\"syslog\", service_name=\"syslog\"}"),
        "{}",
        lines[3]
    );
    assert!(lines[3].contains("no syslog at all: error {detected_level=\"error\"}"), "{}", lines[3]);
    assert!(lines[4].contains(&"x".repeat(200 - 25)) && !lines[4].contains(&"x".repeat(201 - 25)), "{}", lines[4]);
    assert!(lines[5].contains(&format!(" {NOW_SECONDS} old clock ")) && lines[5].contains("sent_at=\"1262304000\""));
    assert!(lines[6].contains(" half "));
    let irregular = |reason| bench.counted("bramble_receive_irregular_total", &["syslog_tcp", reason]);
    let counted = ["no_header", "not_syslog", "truncated", "clock", "incomplete"].map(irregular);
    assert_eq!(counted, [2, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_datagram_is_a_message() {
    let bench = Bench::small();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for message in [&b"<13>1 - - - - - - nothing but a line\n"[..], b"<13>\n", b"\xff\xfe", &[b'y'; 250]] {
        sender.send_to(message, address).await.unwrap();
    }
    // What came before the stop is taken.
    stop.send(()).unwrap();
    syslog_udp(bench.state.clone(), options(), socket, async move { drop(stopped.await) }).await;
    let lines = shown(&bench);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("{facility=\"user\", host=\"127.0.0.1\", job=\"syslog\", level=\"info\", "));
    assert!(lines[0].contains(" nothing but a line {"));
    assert_eq!(bench.counted("bramble_receive_packets_total", &["syslog_udp"]), 4);
    let irregular = |reason| bench.counted("bramble_receive_irregular_total", &["syslog_udp", reason]);
    assert_eq!(["empty", "not_syslog", "truncated"].map(irregular), [1, 2, 1]);
}

#[tokio::test]
async fn a_writer_that_refuses_stops_the_reading_and_nothing_is_lost() {
    let door = tcp(options()).await;
    *door.bench.writer.fail.lock() = Some(WriteError::OverBudget(door.bench.budget.reserve(usize::MAX).unwrap_err()));
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let line = format!("<13>1 - h a - - - {}\n", "z".repeat(150));
    let mut sent = 0u64;
    // Until the sender has to wait: both sockets' buffers and our batches are full.
    while tokio::time::timeout(Duration::from_secs(2), stream.write_all(line.as_bytes())).await.is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "a sender is slowed down");
    }
    door.bench.writer.logs.lock().clear();
    *door.bench.writer.fail.lock() = None;
    drop(stream);
    let connections = || {
        let families = door.bench.registry.gather();
        let family = families.iter().find(|family| family.name() == "bramble_receive_connections").unwrap();
        family.get_metric()[0].get_gauge().get_value()
    };
    let ended = async {
        while connections() > 0.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the connection is read to its end");
    let stored = door.end().await.len() as u64;
    assert!(stored >= sent && stored <= sent + 1, "{stored} of {sent}");
}

#[tokio::test]
async fn connections_and_pauses_are_bounded() {
    let door = tcp(SyslogOptions { connections_max: 1, frame_idle_max: Duration::from_millis(50), ..options() }).await;
    let mut first = TcpStream::connect(door.address).await.unwrap();
    first.write_all(b"<13>1 - h a - - - one\n").await.unwrap();
    door.wait_for_lines(1).await;
    let mut second = TcpStream::connect(door.address).await.unwrap();
    let mut end = [0];
    use tokio::io::AsyncReadExt;
    assert!(matches!(second.read(&mut end).await, Ok(0) | Err(_)), "closed at once");
    first.write_all(b"<13>1 - h a - - - two").await.unwrap();
    assert!(matches!(first.read(&mut end).await, Ok(0) | Err(_)), "a message that does not end");
    let bench = Arc::clone(&door.bench);
    let lines = door.end().await;
    assert!(lines.len() == 2 && lines[1].contains(" two "));
    let rejected = |reason| bench.counted("bramble_receive_rejected_total", &["syslog_tcp", reason]);
    assert_eq!((rejected("too_many_connections"), rejected("idle_connection")), (1, 1));
}

#[tokio::test]
async fn rules_and_stages_as_promtail_has_them() {
    let rules = serde_json::json!([
        {"source_labels": ["__syslog_message_hostname"], "target_label": "host"},
        {"source_labels": ["__syslog_message_severity"], "target_label": "level"},
        {"source_labels": ["__syslog_message_sd_origin_32473_ip"], "target_label": "ip"},
        {"source_labels": ["__syslog_message_app_name"], "regex": "noise", "action": "drop"},
    ]);
    let stages = serde_json::json!([{"multiline": {"firstline": "^start", "max_wait_time": "1h"}}]);
    let stages: Vec<crate::pipeline::logs::StageConfig> = serde_json::from_value(stages).unwrap();
    let options = SyslogOptions {
        labels: vec![("job".to_owned(), "mine".to_owned())],
        relabel: Some(serde_json::from_value(rules).unwrap()),
        label_structured_data: true,
        use_incoming_timestamp: false,
        pipeline: Some(Arc::new(Mutex::new(LogPipeline::compile(&stages).unwrap()))),
        ..options()
    };
    let door = tcp(options).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    for (app, text) in [("a", "start of it"), ("a", "its end"), ("noise", "start"), ("a", "start again")] {
        let line = format!("<14>1 2026-11-18T10:00:00Z h {app} - - [origin@32473 ip=\"10.0.0.1\"] {text}\n");
        stream.write_all(line.as_bytes()).await.unwrap();
    }
    drop(stream);
    let bench = Arc::clone(&door.bench);
    let rejected = || bench.counted("bramble_receive_rejected_total", &["syslog_tcp", "relabelled"]);
    let read = async {
        while rejected() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    let lines = door.end().await;
    // The last line is held until the end.
    let labels = "{host=\"h\", ip=\"10.0.0.1\", job=\"mine\", level=\"informational\", service_name=\"mine\"}";
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with(&format!("{labels} {NOW_SECONDS} start of it\nits end {{")), "{}", lines[0]);
    assert!(lines[1].starts_with(&format!("{labels} {NOW_SECONDS} start again {{")), "{}", lines[1]);
}
