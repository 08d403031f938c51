//! Recorded records, one per read as the device gives them: a socket that keeps messages apart stands for it.

use super::super::feed::{FeedOptions, Feeds};
use super::super::testing::DeliveryWriter;
use super::*;
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_storage::Writer;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

/// From a Raspberry Pi 4 (kernel 6.6, Raspberry Pi OS): an under-voltage warning and a card that does not answer.
const RECORDS: [&str; 4] = [
    "6,700,9000000,-;mmc0: new ultra high speed DDR50 SDHC card at address aaaa\n SUBSYSTEM=mmc\n DEVICE=+mmc:mmc0\n",
    "2,701,61000000,-;hwmon hwmon1: Undervoltage detected!\n SUBSYSTEM=hwmon\n DEVICE=+hwmon:hwmon1\n",
    "30,702,61500000,-;systemd[1]: Started app.service.\n",
    "3,705,62000000,-;mmc0: Timeout waiting for hardware interrupt.\n",
];

fn lines(writer: &Arc<DeliveryWriter>, boot: &str) -> Lines {
    let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
    let options = FeedOptions { service_name: false, detected_level: false };
    let feeds = Feeds::new(writer.clone(), budget, options, &Registry::new()).unwrap();
    Lines {
        gathering: Gathering::new(
            feeds.open("kmsg"),
            LogPipeline::compile(&[]).unwrap(),
            tokio::runtime::Handle::current(),
        ),
        clock: Arc::new(ManualClock::new(1_795_000_000_000_000_000)),
        host: "pi".to_owned(),
        boot: boot.to_owned(),
        lost: IntCounter::new("lost", "lost").unwrap(),
        errors: IntCounter::new("errors", "errors").unwrap(),
        next: None,
    }
}

/// A device with so many records and no end.
fn device(records: &[&str]) -> (OwnedFd, OwnedFd) {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::NONBLOCK, None).unwrap();
    for record in records {
        rustix::net::send(&theirs, record.as_bytes(), SendFlags::empty()).unwrap();
    }
    (ours, theirs)
}

async fn read(writer: &Arc<DeliveryWriter>, boot: &str, records: &[&str]) -> (u64, u64) {
    let mut lines = lines(writer, boot);
    let (lost, errors) = (lines.lost.clone(), lines.errors.clone());
    let (device, _other) = device(records);
    tokio::task::spawn_blocking(move || {
        lines.next = next_of(&lines.gathering.positions(), &lines.boot);
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        assert!(lines.read_some(&device, &mut bytes));
        lines.push().unwrap();
        lines.gathering.finish(FINISH_MAX);
    })
    .await
    .unwrap();
    (lost.get(), errors.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_stored_once_per_boot() {
    let writer = Arc::new(DeliveryWriter::default());
    assert_eq!(read(&writer, "one", &RECORDS[..2]).await, (0, 0));
    // The device gives all that the kernel still has to whoever opens it.
    assert_eq!(read(&writer, "one", &RECORDS).await, (2, 0), "703 and 704 are gone");
    assert_eq!(writer.lines().len(), 4);
    let delivered = writer.delivered("kmsg").unwrap();
    assert_eq!((delivered.positions["boot"].as_str(), delivered.positions["sequence"].as_str()), ("one", "706"));
    assert_eq!(read(&writer, "two", &[RECORDS[0], "garbage"]).await, (0, 1));
    assert_eq!(writer.lines().len(), 5);
    let batches = writer.batches.lock();
    let undervoltage = batches[0].stream(1);
    assert_eq!(undervoltage.labels().to_string(), r#"{host="pi", job="kmsg", level="critical", service="kernel"}"#);
    let entry = undervoltage.entries().next().unwrap();
    assert_eq!(entry.line, b"hwmon hwmon1: Undervoltage detected!");
    assert_eq!(entry.metadata.to_string(), r#"{device="+hwmon:hwmon1", sequence="701", subsystem="hwmon"}"#);
    let between = entry.timestamp_ns - batches[0].stream(0).entries().next().unwrap().timestamp_ns;
    assert_eq!(between, 52_000_000_000);
    assert_eq!(batches[1].entry(0).metadata.get("facility"), Some("daemon"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_read_until_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let options = KmsgOptions { path: directory.path().join("none"), ..KmsgOptions::default() };
    let writer = Arc::new(DeliveryWriter::default());
    let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
    let registry = Registry::new();
    let feeds = Feeds::new(writer.clone(), budget, FeedOptions::default(), &registry).unwrap();
    let start = |options| {
        let pipeline = LogPipeline::compile(&[]).unwrap();
        Kmsg::start(options, pipeline, feeds.open("kmsg"), Arc::new(ManualClock::new(1)), &registry)
    };
    assert_eq!(start(options).err().unwrap().kind(), std::io::ErrorKind::NotFound);
    // A file gives its bytes at once, as one record.
    let path = directory.path().join("kmsg");
    std::fs::write(&path, RECORDS[0]).unwrap();
    let kmsg = start(KmsgOptions { path, host: "pi".to_owned(), ..KmsgOptions::default() }).unwrap();
    let stored = async {
        while writer.lines().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stored).await.unwrap();
    kmsg.stop().await;
    assert_eq!(writer.lines(), ["mmc0: new ultra high speed DDR50 SDHC card at address aaaa"]);
}
