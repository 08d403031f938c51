//! Telling systemd that we live: only after a commit and a query have gone round.

use bramble_ingest::WritePath;
use bramble_runtime::{Budget, BudgetName, Budgets, Clock};
use bramble_signal::{Matcher, MetricBatch, SeriesSamples};
use bramble_storage::{MetricSelect, MetricSource, QueryContext, Urgency, Writer};
use std::sync::Arc;
use std::time::Duration;

/// Writes one sample, waits until it is durable, and reads it back.
///
/// # Errors
/// Which half of the way failed.
pub(crate) async fn round_trip(
    writer: &Arc<dyn Writer>,
    source: &Arc<dyn MetricSource>,
    receive: &Budget,
    now_ms: i64,
) -> Result<(), String> {
    let mut batch = MetricBatch::new();
    let named = batch.start_series(&mut [("__name__", "bramble_watchdog_beat"), ("job", "bramble")]);
    named.map_err(|e| e.to_string())?;
    batch.push_sample(now_ms, 1.0);
    let held = receive.reserve(batch.memory_bytes()).map_err(|e| e.to_string())?;
    let (done, heard) = tokio::sync::oneshot::channel();
    writer.write_metrics(batch, held, Urgency::SenderWaits, Box::new(|outcome| drop(done.send(outcome))));
    let outcome = tokio::time::timeout(Duration::from_secs(20), heard).await;
    outcome.map_err(|_| "commit took too long")?.map_err(|_| "commit was dropped")?.map_err(|e| e.to_string())?;
    let source = source.clone();
    let read = tokio::task::spawn_blocking(move || {
        let context = QueryContext::unlimited();
        let matchers = [Matcher::equal("__name__", "bramble_watchdog_beat")];
        let mut cursor =
            source.select(&MetricSelect { matchers: &matchers, start_ms: now_ms, end_ms: now_ms }, &context)?;
        cursor.next(&mut SeriesSamples::default())
    });
    match read.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("the sample just committed is not visible".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells systemd that we are ready, and feeds its watchdog after each round trip.
pub(crate) async fn notify_systemd(
    path: WritePath,
    writer: Arc<dyn Writer>,
    source: Arc<dyn MetricSource>,
    budgets: Budgets,
    clock: Arc<dyn Clock>,
) {
    while !path.is_ready() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let receive = budgets.get(BudgetName::Receive);
    loop {
        match round_trip(&writer, &source, &receive, clock.wall_ms()).await {
            Ok(()) => drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog])),
            Err(why) => tracing::error!(why, "watchdog round trip failed; systemd is not told that we live"),
        }
        tokio::time::sleep(interval / 3).await;
    }
}
