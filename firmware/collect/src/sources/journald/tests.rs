//! Recorded journals (systemd-journal-remote 252 wrote them from the export format), read as the library reads any.

use super::super::feed::{FeedOptions, Feeds};
use super::super::testing::DeliveryWriter;
use super::*;
use crate::pipeline::logs::StageConfig;
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_storage::Writer;
use std::io::Read;
use std::path::{Path, PathBuf};

const FIRST: &[u8] = include_bytes!("testdata/first.journal.gz");
const SECOND: &[u8] = include_bytes!("testdata/second.journal.gz");

/// Half an hour after the first entry.
const NOW_NS: i64 = 1_795_001_800_000_000_000;

fn unpack(packed: &[u8], path: &Path) -> PathBuf {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    std::fs::write(path, bytes).unwrap();
    path.to_owned()
}

struct Bench {
    writer: Arc<DeliveryWriter>,
    directory: tempfile::TempDir,
    registry: Registry,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench {
            writer: Arc::new(DeliveryWriter::default()),
            directory: tempfile::tempdir().unwrap(),
            registry: Registry::new(),
        };
        unpack(FIRST, &bench.path("first.journal"));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self) -> JournaldOptions {
        let place = JournalPlace::Directory(self.directory.path().to_owned());
        JournaldOptions { place, ..JournaldOptions::default() }
    }

    /// Reads until so many entries were seen, as a process of its own would.
    async fn read(&mut self, options: JournaldOptions, stages: &str, entries: u64) -> JournaldStatus {
        self.registry = Registry::new();
        let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
        let options_of_feeds = FeedOptions { service_name: false, detected_level: false };
        let feeds = Feeds::new(self.writer.clone(), budget, options_of_feeds, &self.registry).unwrap();
        let metrics = JournaldMetrics::register(&self.registry).unwrap();
        let stages: Vec<StageConfig> = serde_json::from_str(stages).unwrap();
        let pipeline = LogPipeline::compile(&stages).unwrap();
        let clock = Arc::new(ManualClock::new(NOW_NS));
        let journald = Journald::start(options, pipeline, feeds.open("journald"), clock, metrics).unwrap();
        let reached = async {
            while journald.status().entries < entries {
                assert_ne!(journald.status().state, "unavailable", "{:?}", journald.status());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("entries are read");
        let status = journald.status();
        journald.stop().await;
        status
    }

    fn counted(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| family.get_metric()[0].get_counter().get_value())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_journal_is_read_once() {
    let mut bench = Bench::new();
    bench.read(bench.options(), "[]", 7).await;
    assert_eq!(
        bench.writer.lines(),
        [
            "Linux version 6.6.31+rpt-rpi-v8",
            "Started ssh.service - OpenBSD Secure Shell server.",
            "Accepted publickey for pi from 192.168.1.7 port 50022 ssh2",
            "Traceback (most recent call last):\n  File \"app.py\", line 1",
            "binary \u{fffd}\0 bytes",
            "fatal",
        ]
    );
    {
        let batches = bench.writer.batches.lock();
        let streams: Vec<String> = batches.iter().flat_map(|b| b.streams().map(|s| s.labels().to_string())).collect();
        assert_eq!(
            streams,
            [
                r#"{host="pi", job="journald", level="info", service="kernel", transport="kernel"}"#,
                r#"{host="pi", job="journald", level="info", service="systemd", transport="journal", unit="ssh.service"}"#,
                r#"{host="pi", job="journald", level="info", service="sshd", transport="syslog", unit="ssh.service"}"#,
                r#"{host="pi", job="journald", level="error", service="app", transport="stdout", unit="app.service"}"#,
                r#"{host="pi", job="journald", level="critical", service="sshd", transport="syslog", unit="sshd@.service"}"#,
            ]
        );
        let third = batches[0].entry(2);
        assert_eq!(third.timestamp_ns, 1_795_000_003_000_000_000);
        assert_eq!((third.metadata.get("pid"), third.metadata.get("exe")), (Some("812"), Some("/usr/sbin/sshd")));
        assert_eq!(batches[0].entry(4).line, b"binary \xff\x00 bytes");
    }
    assert_eq!(bench.counted("bramble_journald_skipped_total"), 1.0);
    // Another process reads on behind it, in the file that came since.
    unpack(SECOND, &bench.path("second.journal"));
    bench.read(bench.options(), "[]", 3).await;
    let lines = bench.writer.lines();
    assert_eq!((lines.len(), lines.last().unwrap().as_str()), (9, "after rotation 10"));
    assert_eq!(bench.counted("bramble_journald_cursor_lost_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_was_rotated_away_is_found_by_its_time() {
    let mut bench = Bench::new();
    bench.read(bench.options(), "[]", 7).await;
    std::fs::remove_file(bench.path("first.journal")).unwrap();
    unpack(SECOND, &bench.path("second.journal"));
    bench.read(bench.options(), "[]", 3).await;
    assert_eq!(bench.counted("bramble_journald_cursor_lost_total"), 1.0);
    assert_eq!(bench.writer.lines()[6..], ["after rotation 8", "after rotation 9", "after rotation 10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_can_be_chosen() {
    let mut bench = Bench::new();
    let units = vec!["app.service".to_owned(), "ssh.service".to_owned()];
    bench.read(JournaldOptions { units, ..bench.options() }, "[]", 3).await;
    assert_eq!(bench.writer.lines().len(), 3);
    let mut bench = Bench::new();
    let matches = vec!["PRIORITY=3".to_owned()];
    bench.read(JournaldOptions { matches, ..bench.options() }, "[]", 2).await;
    assert_eq!(bench.writer.lines().len(), 2);
    let mut bench = Bench::new();
    // The first three entries are older.
    let max_age = Duration::from_nanos((NOW_NS - 1_795_000_004_000_000_000) as u64);
    bench.read(JournaldOptions { max_age, ..bench.options() }, "[]", 4).await;
    assert_eq!(bench.writer.lines().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_cursor_is_where_the_first_start_begins() {
    let mut bench = Bench::new();
    let cursor = bench.read(bench.options(), "[]", 7).await;
    assert_eq!(cursor.last_realtime_us, Some(1_795_000_007_000_000));
    let cursor = bench.writer.delivered("journald").unwrap().positions["cursor"].clone();
    let mut bench = Bench::new();
    unpack(SECOND, &bench.path("second.journal"));
    bench.read(JournaldOptions { cursor: Some(cursor), ..bench.options() }, "[]", 3).await;
    assert_eq!(bench.writer.lines(), ["after rotation 8", "after rotation 9", "after rotation 10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_a_stage_holds_back_is_read_again() {
    let mut bench = Bench::new();
    let stages =
        r#"[{"multiline": {"firstline": "^(Started|after|Linux|Accepted|Trace|fatal)", "max_wait_time": "1h"}}]"#;
    bench.read(bench.options(), stages, 7).await;
    let held = bench.writer.lines().len();
    assert!(held < 6, "each stream's last line waits for what follows");
    let delivered = bench.writer.delivered("journald").unwrap();
    assert_eq!(delivered.positions.get("at").map(String::as_str), Some("1"));
    bench.read(bench.options(), "[]", 7).await;
    let lines = bench.writer.lines();
    for line in ["Linux version 6.6.31+rpt-rpi-v8", "fatal"] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
    }
    assert!(!bench.writer.delivered("journald").unwrap().positions.contains_key("at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_journal_is_a_state() {
    let bench = Bench::new();
    let nowhere = JournalPlace::Directory(bench.path("nothing"));
    assert!(matches!(available(&nowhere), Err(JournalError::Read(_))));
    let empty = bench.path("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(matches!(available(&JournalPlace::Directory(empty)), Err(JournalError::Empty)));
    assert!(available(&JournalPlace::Files(vec![bench.path("first.journal")])).is_ok());
    let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
    let feeds = Feeds::new(bench.writer.clone(), budget, FeedOptions::default(), &bench.registry).unwrap();
    let metrics = JournaldMetrics::register(&bench.registry).unwrap();
    let options = JournaldOptions { place: nowhere, ..JournaldOptions::default() };
    let pipeline = LogPipeline::compile(&[]).unwrap();
    let clock = Arc::new(ManualClock::new(NOW_NS));
    let journald = Journald::start(options, pipeline, feeds.open("journald"), clock, metrics).unwrap();
    let told = async {
        while journald.status().state != "unavailable" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    assert!(journald.status().last_error.unwrap().contains("No such file"));
}
