//! Scraping of real servers on loopback, up to what the writer gets.

use super::*;
use crate::sources::testing::FakeWriter;
use bramble_runtime::{BudgetName, SystemClock};
use bramble_signal::is_stale_marker;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a target answers: head lines and body.
type Answer = Arc<Mutex<(String, String)>>;

const TEXT: &str = "200 OK\r\nContent-Type: text/plain; version=0.0.4";

/// A server that answers each request with what `answer` holds, and closes.
async fn serve(head: &str, body: &str) -> (String, Answer, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer: Answer = Arc::new(Mutex::new((head.to_owned(), body.to_owned())));
    let (shown, asked) = (answer.clone(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let _ = connection.read(&mut request).await;
            let (head, body) = shown.lock().clone();
            let is_endless = body.starts_with("endless");
            let length = if is_endless { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            let text = format!("HTTP/1.1 {head}\r\n{length}Connection: close\r\n\r\n{body}");
            let _ = connection.write_all(text.as_bytes()).await;
            count.fetch_add(1, Ordering::SeqCst);
            if is_endless {
                // Goes on until nobody reads.
                while connection.write_all(&[b'#'; 8192]).await.is_ok() {}
            }
        }
    });
    (address, answer, asked)
}

struct Rig {
    writer: Arc<FakeWriter>,
    scraper: Scraper,
    receive: Budget,
    registry: Registry,
}

fn rig() -> Rig {
    let (writer, registry) = (Arc::new(FakeWriter::default()), Registry::new());
    let receive = Budget::standalone(BudgetName::Receive, 4 << 20);
    let discovery = DiscoveryMetrics::new(&registry).unwrap();
    let clock = Arc::new(SystemClock::new());
    let scraper = Scraper::new(writer.clone(), receive.clone(), clock, discovery, "pi", &registry).unwrap();
    Rig { writer, scraper, receive, registry }
}

fn config(address: &str, more: &str) -> PrometheusConfig {
    let text = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n- job_name: j\n  static_configs: [{{targets: ['{address}']}}]\n{more}"
    );
    PrometheusConfig::parse(&text, Path::new("p.yml")).unwrap()
}

/// Series of a batch as `name value`, by name; ends of series as `name end`.
fn shown(batch: &MetricBatch) -> Vec<String> {
    let mut lines: Vec<String> = batch
        .iter()
        .filter(|(labels, _)| !labels.get("__name__").unwrap_or("").starts_with("scrape_"))
        .map(|(labels, samples)| {
            let name = labels.get("__name__").unwrap_or("");
            match samples.first().map(|sample| sample.value) {
                Some(value) if is_stale_marker(value) => format!("{name} end"),
                Some(value) => format!("{name} {value}"),
                None => format!("{name} nothing"),
            }
        })
        .collect();
    lines.sort();
    lines
}

impl Rig {
    /// Waits for a batch that shows exactly this.
    async fn wait_for(&self, expected: &[&str]) {
        let look = async {
            loop {
                if self.writer.metrics.lock().iter().any(|batch| shown(batch) == expected) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            let batches: Vec<_> = self.writer.metrics.lock().iter().map(shown).collect();
            panic!("no batch is {expected:?}; the last ones: {:?}", batches.iter().rev().take(5).collect::<Vec<_>>());
        }
    }

    /// Waits until the one target's last error contains `part`.
    async fn wait_for_error(&self, part: &str) {
        let look = async {
            loop {
                let pools = self.scraper.targets(None);
                let error = pools.first().and_then(|pool| pool.active.first()).map(|t| t.status.last_error.clone());
                if error.is_some_and(|error| error.contains(part)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            panic!("no error with {part:?}; targets: {:?}", self.scraper.targets(None));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_come_go_and_end() {
    let rig = rig();
    let (address, answer, _) = serve(TEXT, "# HELP a of a\n# TYPE a counter\na 1\nb{x=\"y\"} 2\n").await;
    rig.scraper.apply(config(&address, "")).unwrap();
    rig.wait_for(&["a 1", "b 2", "up 1"]).await;
    answer.lock().1 = "a 3\n".to_owned();
    rig.wait_for(&["a 3", "b end", "up 1"]).await;
    rig.wait_for(&["a 3", "up 1"]).await;
    answer.lock().0 = "500 Internal Server Error".to_owned();
    rig.wait_for(&["a end", "up 0"]).await;
    rig.wait_for_error("server returned HTTP status 500 Internal Server Error").await;
    *answer.lock() = (TEXT.to_owned(), "a 4\n".to_owned());
    rig.wait_for(&["a 4", "up 1"]).await;
    assert_eq!(rig.scraper.pool_names(), ["j"]);
    let families = rig.scraper.families(&|labels| labels.get("job") == Some("j"), Some("a"), 10);
    assert_eq!(families[0].family.help, "of a");
    rig.scraper.apply(PrometheusConfig::default()).unwrap();
    rig.wait_for(&["a end", "up end"]).await;
    assert!(rig.scraper.targets(None).is_empty());
    let quiet = async {
        while rig.receive.used_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, quiet).await.expect("all memory is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloading_keeps_what_stays() {
    let rig = rig();
    let (address, _, _) = serve(TEXT, "a 1\ngo_b 2\n").await;
    rig.scraper.apply(config(&address, "")).unwrap();
    rig.wait_for(&["a 1", "go_b 2", "up 1"]).await;
    let rules = "  metric_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]\n";
    rig.scraper.apply(config(&address, rules)).unwrap();
    // What the new rules drop ends; what stays goes on without an end.
    rig.wait_for(&["a 1", "go_b end", "up 1"]).await;
    let batches = rig.writer.metrics.lock();
    assert!(!batches.iter().any(|batch| shown(batch).iter().any(|line| line == "a end" || line == "up end")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_misbehave_are_bounded() {
    let page: String = (0..5000).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect();
    for (head, body, more, error) in [
        (TEXT, "endless", "  body_size_limit: 100KB\n", "body size limit exceeded"),
        // Ends where memory does, or the time.
        (TEXT, "endless", "", "e"),
        ("200 OK\r\nContent-Type: text/html", "<html>", "", "received unsupported Content-Type \"text/html\""),
        ("200 OK", "a 1\n", "", "non-compliant scrape target sending blank Content-Type"),
        (TEXT, page.as_str(), "  sample_limit: 10\n", "sample limit exceeded"),
        (TEXT, "this is { no metric\n", "", "line 1, column "),
        (TEXT, "a 1\na{b=\"x\",b=\"y\"} 1\n", "", "label name \"b\" is not unique"),
    ] {
        let rig = rig();
        let (address, ..) = serve(head, body).await;
        rig.scraper.apply(config(&address, more)).unwrap();
        rig.wait_for_error(error).await;
        rig.wait_for(&["up 0"]).await;
        assert!(rig.receive.used_bytes() <= 4 << 20);
        rig.scraper.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_and_too_many_targets() {
    let rig = rig();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    rig.scraper.apply(config(&free, "")).unwrap();
    rig.wait_for_error(&format!("Get \"http://{free}/metrics\": dial tcp {free}: connect: connection refused")).await;
    let two = config(&format!("{free}', 'localhost:1"), "  target_limit: 1\n");
    rig.scraper.apply(two).unwrap();
    rig.wait_for_error("target_limit exceeded (number of targets: 2, limit: 1)").await;
    rig.scraper.count_targets();
    let text = prometheus::TextEncoder::new().encode_to_string(&rig.registry.gather()).unwrap();
    assert!(text.contains("bramble_scrape_targets{state=\"down\"}"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_cannot_start_changes_nothing() {
    let rig = rig();
    let (address, ..) = serve(TEXT, "a 1\n").await;
    rig.scraper.apply(config(&address, "")).unwrap();
    rig.wait_for(&["a 1", "up 1"]).await;
    let before = rig.scraper.config().unwrap();
    let wrong = PrometheusConfig::parse("scrape_configs: [{job_name: 'x', sample_limit: y}]", Path::new("p.yml"));
    assert!(wrong.is_err());
    rig.scraper.reload_failed();
    assert_eq!(rig.scraper.config().unwrap().jobs, before.jobs);
}
