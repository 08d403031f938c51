//! Deriving series from spans: from settings to who counts, and the task that writes what was counted.

use crate::config::Config;
use bramble_derive::{Derive, DeriveOptions, Emission};
use bramble_ingest::{Observing, WritePath};
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_signal::MetricBatch;
use bramble_storage::{MetricSource, Urgency, WriteError, Writer, Written};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Shorter intervals are for who watches: what is written then is committed at once.
const WATCHED: Duration = Duration::from_secs(5);

/// Durable spans that may wait to be written as series: the journal keeps them as long, some 2 MB of this many.
const UNWRITTEN_MAX: u64 = 100_000;

/// How often it is looked at how many wait.
const LOOK: Duration = Duration::from_millis(500);

/// How long a flush waits for what is derived.
const EMIT_TIME_MAX: Duration = Duration::from_secs(5);

/// What became of a batch.
type Outcome = Result<Written, WriteError>;

/// Derived series and where they go.
#[derive(Clone)]
pub(crate) struct Derived {
    derive: Arc<Derive>,
    path: WritePath,
    receive: Budget,
    interval: Duration,
}

/// What is derived, by the settings.
fn options(config: &Config) -> DeriveOptions {
    let (traces, usual) = (&config.traces, DeriveOptions::default());
    let names = traces.span_metrics.0.unwrap_or_default();
    let usual_bounds_ns = || DeriveOptions::usual_bounds_ns(names);
    DeriveOptions {
        span_metrics: traces.span_metrics.0.is_some(),
        service_graph: traces.service_graph,
        names,
        histograms: traces.histograms.0,
        bounds_ns: traces.span_buckets.0.as_ref().map_or_else(usual_bounds_ns, |bounds| bounds.ns()),
        graph_bounds_ns: traces.graph_buckets.0.as_ref().map_or(usual.graph_bounds_ns, |bounds| bounds.ns()),
        dimensions: traces.dimensions.0.clone(),
        status_message: traces.status_message,
        target_info: traces.target_info,
        services_left_out: traces.services_left_out.0.clone(),
        sets_max: traces.label_sets_max as usize,
        edges_max: traces.edges_max as usize,
        waiting_max: traces.edges_waiting_max as usize,
        wait_ns: traces.edge_wait.ns(),
        idle_ns: traces.idle.ns(),
        peer_attributes: traces.peer_attributes.0.clone(),
        database_attributes: traces.database_attributes.0.clone(),
        exemplars_max: traces.exemplars_max as usize,
    }
}

impl Derived {
    /// Makes `path` show its spans to whoever derives, if the settings want any of it. To be called before the journal
    /// is replayed. `budgets` are those named `derived` and `receive`.
    ///
    /// # Errors
    /// When a metric of ours is registered already.
    pub(crate) fn open(
        config: &Config,
        path: &WritePath,
        source: Arc<dyn MetricSource>,
        clock: Arc<dyn Clock>,
        (budget, receive): (&Budget, Budget),
        registry: &Registry,
    ) -> anyhow::Result<Option<Self>> {
        if !config.traces.derived_metrics {
            return Ok(None);
        }
        let derive = Arc::new(Derive::new(options(config), source, clock, budget, registry)?);
        path.set_observer(Observing::Derived, derive.clone());
        // An interval of zero would be a loop without rest.
        let interval = config.traces.derived_interval.0.max(Duration::from_millis(100));
        Ok(Some(Derived { derive, path: path.clone(), receive, interval }))
    }

    /// Writes what was counted every interval, until `cancel` is raised.
    pub(crate) async fn run(self, cancel: Cancel) {
        // Before the replay has ended nobody knows what was counted before.
        while !self.path.is_ready() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let urgency = if self.interval < WATCHED { Urgency::SenderWaits } else { Urgency::Background };
        let mut ticks = tokio::time::interval(self.interval.min(LOOK));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = tokio::time::Instant::now();
        loop {
            ticks.tick().await;
            if cancel.is_cancelled() {
                return;
            }
            let many = self.derive.unwritten_spans() >= UNWRITTEN_MAX;
            if many || last.elapsed() >= self.interval {
                last = tokio::time::Instant::now();
                let urgency = if many { Urgency::SenderWaits } else { urgency };
                let emission = self.derive.emit();
                self.write(emission, urgency).await;
            }
        }
    }

    /// Writes what was counted and waits until it is durable, some seconds at most: for who wants all heads flushed,
    /// which the journal is kept for. Blocks; for a thread that the runtime keeps for that.
    pub(crate) fn write_now(&self) {
        if !self.path.is_ready() || self.derive.unwritten_spans() == 0 {
            return;
        }
        let emission = self.derive.emit();
        let round = emission.round;
        let written = tokio::time::timeout(EMIT_TIME_MAX, self.write(emission, Urgency::SenderWaits));
        if tokio::runtime::Handle::current().block_on(written).is_err() {
            self.derive.settle(round, None);
        }
    }

    /// Who counts, for what no journal will have.
    pub(crate) fn derive(&self) -> Arc<Derive> {
        self.derive.clone()
    }

    /// Hands over what was counted since the last time; the last commit makes it durable.
    pub(crate) fn finish(&self) {
        if self.path.is_ready() {
            drop(self.hand_over(self.derive.emit().writes, Urgency::SenderWaits));
        }
    }

    /// Queues batches for the next commit; what becomes of each. One for which there is no memory is given up.
    fn hand_over(&self, writes: Vec<MetricBatch>, urgency: Urgency) -> Vec<oneshot::Receiver<Outcome>> {
        let hand_over = |write: MetricBatch| {
            let (done, outcome) = oneshot::channel();
            if let Ok(held) = self.receive.reserve(write.memory_bytes()) {
                self.path.write_metrics(write, held, urgency, Box::new(|result| drop(done.send(result))));
            }
            outcome
        };
        writes.into_iter().map(hand_over).collect()
    }

    async fn write(&self, emission: Emission, urgency: Urgency) {
        let mut rejected = Some(0);
        for outcome in self.hand_over(emission.writes, urgency) {
            rejected = match (rejected, outcome.await) {
                (Some(sum), Ok(Ok(written))) => Some(sum + written.rejections.total()),
                _ => None,
            };
        }
        if rejected.is_none() {
            tracing::debug!("derived series were not written; what they count goes with the next ones");
        }
        self.derive.settle(emission.round, rejected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Interval, Optional};

    #[test]
    fn settings_reach_who_counts() {
        let mut config = Config::default();
        assert_eq!(options(&config), DeriveOptions::default(), "defaults are one");
        config.traces.span_metrics.0 = Some(bramble_derive::SpanNames::Connector);
        assert_eq!(options(&config).bounds_ns.len(), 16);
        config.traces.span_buckets = Optional(Some(crate::config::Bounds(vec![Interval::seconds(1)])));
        config.traces.span_metrics.0 = None;
        config.traces.label_sets_max = 7;
        let told = options(&config);
        assert_eq!((told.span_metrics, told.bounds_ns, told.sets_max), (false, vec![1_000_000_000], 7));
    }
}
