//! A tailer against real files and a writer that remembers what is durable.

use super::*;
use crate::pipeline::logs::LogPipeline;
use crate::sources::testing::DeliveryWriter;
use crate::sources::{FeedOptions, Feeds};
use bramble_runtime::{Budget, BudgetName, SystemClock};
use bramble_storage::Writer;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

mod bad;
mod property;
mod rotation;

/// A process that tails, over a store that outlives it.
struct World {
    writer: Arc<DeliveryWriter>,
    root: tempfile::TempDir,
    life: Option<(tokio::runtime::Runtime, Files, Registry)>,
    config: FilesConfig,
    handles_max: usize,
    stop_wait: Duration,
}

impl World {
    fn new(include: &str) -> World {
        let root = tempfile::tempdir().unwrap();
        let include = vec![format!("{}/{include}", root.path().display())];
        let config = FilesConfig { include, filename: false, ..FilesConfig::default() };
        World {
            writer: Arc::new(DeliveryWriter::default()),
            root,
            life: None,
            config,
            handles_max: 128,
            stop_wait: Duration::from_secs(3),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let registry = Registry::new();
        let entered = runtime.enter();
        let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
        let options = FeedOptions { service_name: false, detected_level: false };
        let feeds = Feeds::new(self.writer.clone(), budget, options, &Registry::new()).unwrap();
        let options = FilesOptions {
            poll_interval: Duration::from_millis(5),
            scan_interval: Duration::from_millis(50),
            handles_max: self.handles_max,
            stop_wait: self.stop_wait,
            ..FilesOptions::default()
        };
        let files = Files::start(feeds.open("files"), options, Arc::new(SystemClock::new()), &registry).unwrap();
        let pipeline = LogPipeline::compile(&[]).unwrap();
        files.set_targets("test", vec![FileTarget { config: self.config.clone(), pipeline }]).unwrap();
        drop(entered);
        self.life = Some((runtime, files, registry));
        // The first scan decides where reading starts.
        self.until("the first scan", |world| !world.positions().is_empty());
    }

    fn stop(&mut self) {
        if let Some((runtime, files, _)) = self.life.take() {
            runtime.block_on(files.stop());
        }
    }

    fn positions(&self) -> BTreeMap<String, String> {
        self.writer.delivered("files").unwrap().positions
    }

    fn counted(&self, name: &str) -> u64 {
        let families = self.life.as_ref().unwrap().2.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric().iter().map(|m| (m.get_counter().get_value() + m.get_gauge().get_value()) as u64).sum()
    }

    fn until(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < Duration::from_secs(6), "waited for {what}; {:?}", self.writer.lines());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn until_lines(&self, expected: &[&str]) {
        let sorted = |lines: Vec<String>| {
            let mut lines = lines;
            lines.sort();
            lines
        };
        let expected = sorted(expected.iter().map(|line| (*line).to_owned()).collect());
        self.until(&format!("{expected:?}"), |world| world.writer.lines().len() >= expected.len());
        assert_eq!(sorted(self.writer.lines()), expected);
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        append(&self.path(name), text.as_ref());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text).unwrap();
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}
