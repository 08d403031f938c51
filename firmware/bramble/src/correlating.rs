//! The correlator: from settings to who joins, and the task that writes what was joined.

use crate::config::Config;
use bramble_correlate::{Correlator, CorrelatorOptions, Publication};
use bramble_ingest::{Observing, WritePath};
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_serve::api::correlate::CorrelationFeed;
use bramble_signal::{LogBatch, SpanBatch};
use bramble_storage::{LogSource, Urgency, WriteError, Writer, Written};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often what is due is published. Each time something is, a commit follows.
const STEP: Duration = Duration::from_millis(500);

/// What became of a batch.
type Outcome = oneshot::Receiver<Result<Written, WriteError>>;

/// The correlator and where its correlations go.
#[derive(Clone)]
pub(crate) struct Correlating {
    correlator: Arc<Correlator>,
    path: WritePath,
    receive: Budget,
    writes_spans: bool,
    step: Duration,
}

/// What is joined, by the settings.
fn options(config: &Config) -> CorrelatorOptions {
    let correlation = &config.correlation;
    CorrelatorOptions {
        window_ns: correlation.window.ns(),
        grace_ns: correlation.grace.ns(),
        windows_max: correlation.windows_max as usize,
        items_max: correlation.items_max as usize,
        request_traces_max: correlation.request_traces_max as usize,
        ..CorrelatorOptions::default()
    }
}

impl Correlating {
    /// Makes `path` show its items to a correlator, if the settings want one. To be called before the journal is replayed.
    /// `budgets` are those named `correlate` and `receive`; `logs` is the store with all its streams, Bramble's own too.
    ///
    /// # Errors
    /// When a metric of ours is registered already.
    pub(crate) fn open(
        config: &Config,
        path: &WritePath,
        logs: Arc<dyn LogSource>,
        clock: Arc<dyn Clock>,
        (budget, receive): (&Budget, Budget),
        registry: &Registry,
    ) -> anyhow::Result<Option<Self>> {
        if !config.correlation.enabled {
            return Ok(None);
        }
        let options = options(config);
        // Short windows are for who watches.
        let step = STEP.min(Duration::from_nanos(options.window_ns / 10)).max(Duration::from_millis(50));
        let correlator = Arc::new(Correlator::new(options, clock, budget, registry, logs)?);
        path.set_observer(Observing::Correlator, correlator.clone());
        let writes_spans = config.correlation.spans;
        Ok(Some(Correlating { correlator, path: path.clone(), receive, writes_spans, step }))
    }

    /// Writes and tells what is due, until `cancel` is raised.
    pub(crate) async fn run(self, feed: CorrelationFeed, cancel: Cancel) {
        // Before the replay has ended nobody knows what was published before.
        while !self.path.is_ready() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut ticks = tokio::time::interval(self.step);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !cancel.is_cancelled() {
            ticks.tick().await;
            while self.publish(&feed).await && !cancel.is_cancelled() {}
        }
    }

    /// Writes what is due; whether there is more of it.
    async fn publish(&self, feed: &CorrelationFeed) -> bool {
        let publication = self.correlator.publish();
        let (rows, spans) = self.hand_over(&publication);
        // A row without its span stands; a span without its row is written again with it, and kept once.
        let stored = match rows {
            Some(outcome) => matches!(outcome.await, Ok(Ok(_))),
            None => true,
        };
        if let Some(outcome) = spans
            && !matches!(outcome.await, Ok(Ok(_)))
        {
            tracing::warn!("spans of correlations could not be written; the correlations themselves are");
        }
        self.correlator.settle(publication.round, stored);
        if stored {
            feed.publish(publication.fresh());
        }
        // What could not be stored is tried again with the next tick.
        stored && publication.more
    }

    /// Queues rows and spans for the next commit; `None` for what is empty. What finds no memory has no outcome.
    fn hand_over(&self, publication: &Publication) -> (Option<Outcome>, Option<Outcome>) {
        let rows = Some(publication.log_batch()).filter(|batch| !batch.is_empty());
        let spans = self.writes_spans.then(|| publication.span_batch()).filter(|batch| !batch.is_empty());
        (rows.map(|batch| self.write_logs(batch)), spans.map(|batch| self.write_spans(batch)))
    }

    fn write_logs(&self, batch: LogBatch) -> Outcome {
        let (done, outcome) = oneshot::channel();
        if let Ok(held) = self.receive.reserve(batch.memory_bytes()) {
            let done = Box::new(|result| drop(done.send(result)));
            self.path.write_logs(batch, held, Urgency::SenderWaits, done);
        }
        outcome
    }

    fn write_spans(&self, batch: SpanBatch) -> Outcome {
        let (done, outcome) = oneshot::channel();
        if let Ok(held) = self.receive.reserve(batch.memory_bytes()) {
            let done = Box::new(|result| drop(done.send(result)));
            self.path.write_spans(batch, held, Urgency::SenderWaits, done);
        }
        outcome
    }

    /// Hands over what is due; the last commit makes it durable. What is open is found in the journal at the next start.
    pub(crate) fn finish(&self) {
        if self.path.is_ready() {
            drop(self.hand_over(&self.correlator.finish()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Interval;

    #[test]
    fn settings_reach_the_correlator() {
        let mut config = Config::default();
        let (ours, usual) = (options(&config), CorrelatorOptions::default());
        assert_eq!((ours.window_ns, ours.grace_ns), (usual.window_ns, usual.grace_ns), "defaults are one");
        assert_eq!((ours.windows_max, ours.items_max), (usual.windows_max, usual.items_max));
        assert_eq!(ours.request_traces_max, usual.request_traces_max);
        config.correlation.window = Interval::seconds(5);
        assert_eq!(options(&config).window_ns, 5_000_000_000);
    }
}
