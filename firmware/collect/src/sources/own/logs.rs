//! Own logs: `tracing` events to log entries.

use super::SERVICE;
use super::fields::Logfmt;
use crate::sources::Outlet;
use bramble_runtime::{Cancel, Clock};
use bramble_signal::LogBatch;
use bramble_storage::Urgency;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Events between two rounds; each at most 4 KiB. More in two seconds is a storm, of which the first part tells most.
const QUEUE_LENGTH: usize = 512;

const INTERVAL: Duration = Duration::from_secs(2);

struct Entry {
    timestamp_ns: i64,
    level: &'static str,
    target: String,
    line: String,
}

/// The layer: put it into the subscriber, with a filter of its own.
pub struct OwnLogsLayer {
    queue: SyncSender<Entry>,
    overflowed: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

/// What the layer collected; [`run_logs`] writes it.
pub struct OwnLogs {
    queue: Receiver<Entry>,
    overflowed: Arc<AtomicU64>,
}

/// A layer and its other end.
pub fn own_logs(clock: Arc<dyn Clock>) -> (OwnLogsLayer, OwnLogs) {
    let (sender, receiver) = sync_channel(QUEUE_LENGTH);
    let overflowed = Arc::new(AtomicU64::new(0));
    let layer = OwnLogsLayer { queue: sender, overflowed: Arc::clone(&overflowed), clock };
    (layer, OwnLogs { queue: receiver, overflowed })
}

impl<S: Subscriber> Layer<S> for OwnLogsLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = word(metadata.level());
        let mut fields = Logfmt::default();
        event.record(&mut fields);
        let mut line = format!("level={level} target={}", metadata.target());
        fields.append_to(&mut line);
        let target = metadata.target().to_owned();
        let entry = Entry { timestamp_ns: self.clock.wall_ns(), level, target, line };
        if self.queue.try_send(entry).is_err() {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn word(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Writes what was collected every two seconds until `cancel` is raised, and then once more.
pub async fn run_logs(logs: OwnLogs, host: String, outlet: Outlet, cancel: Cancel) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let last = cancel.is_cancelled();
        outlet.logs("own_logs", logs.drain(&host), Urgency::OwnTelemetry);
        let overflowed = logs.overflowed.swap(0, Ordering::Relaxed);
        if overflowed > 0 {
            outlet.dropped("own_logs", "queue_full", overflowed);
        }
        if last {
            return;
        }
    }
}

impl OwnLogs {
    fn drain(&self, host: &str) -> LogBatch {
        let mut batch = LogBatch::new();
        for entry in self.queue.try_iter().take(QUEUE_LENGTH) {
            if batch.stream_count() == 0 {
                let mut labels = [("service", SERVICE), ("service_name", SERVICE), ("job", SERVICE), ("host", host)];
                // Constant, distinct names.
                let _ = batch.start_stream(&mut labels);
            }
            let mut metadata = [("detected_level", entry.level), ("target", entry.target.as_str())];
            let _ = batch.push_entry(entry.timestamp_ns, entry.line.as_bytes(), &mut metadata);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::outlet;
    use super::*;
    use bramble_runtime::ManualClock;
    use tracing_subscriber::layer::SubscriberExt;

    #[tokio::test(start_paused = true)]
    async fn events_become_entries() {
        let (layer, logs) = own_logs(Arc::new(ManualClock::new(42)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "bramble_disk", free_bytes = 5, path = "a b", "disk is \"full\"");
            tracing::info!(text = %"x".repeat(10_000));
        });
        let (writer, outlet, _) = outlet(1 << 20);
        let cancel = Cancel::new();
        cancel.cancel();
        run_logs(logs, "pi".into(), outlet, cancel).await;
        let batch = writer.logs.lock().pop().unwrap();
        let stream = batch.stream(0);
        assert_eq!(stream.labels().get("service"), Some("bramble"));
        let entries: Vec<_> = stream.entries().collect();
        assert_eq!(entries[0].timestamp_ns, 42);
        let expected = r#"level=warn target=bramble_disk msg="disk is \"full\"" free_bytes=5 path="a b""#;
        assert_eq!(std::str::from_utf8(entries[0].line).unwrap(), expected);
        assert_eq!(entries[0].metadata.get("detected_level"), Some("warn"));
        assert_eq!(entries[1].line.len(), 4096, "long ones are cut");
        assert_eq!(writer.urgencies.lock()[0], Urgency::OwnTelemetry);
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_cut_off_and_counted() {
        let (layer, logs) = own_logs(Arc::new(ManualClock::new(42)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for _ in 0..QUEUE_LENGTH + 7 {
                tracing::info!("again");
            }
        });
        let (writer, outlet, registry) = outlet(4 << 20);
        let cancel = Cancel::new();
        cancel.cancel();
        run_logs(logs, "pi".into(), outlet, cancel).await;
        assert_eq!(writer.logs.lock()[0].entry_count(), QUEUE_LENGTH);
        let families = registry.gather();
        assert_eq!(families[0].get_metric()[0].get_counter().get_value(), 7.0);
    }
}
