//! Events of a Kubernetes cluster as log lines: FailedScheduling, BackOff, Evicted, Unhealthy, Killing…; and what the
//! cluster tells in no event but only in the status of pods: containers that were killed for want of memory
//! (`OOMKilled`) or ended with an error.
//!
//! Both are listed and watched. What was delivered is remembered with the batch that carried it (positions of the feed:
//! an event's uid and its count, a container's id), so that a list read again after a lost connection or a power cut
//! tells nothing twice. The cluster forgets an event after an hour, and so is it forgotten here.
//!
//! A line is logfmt, with the keys of Alloy's `loki.source.kubernetes_events`. Labels of its stream: `job`, `service`,
//! `namespace`, `kind`, `reason` and `type`; metadata: `name`, `level` (`warn` for Warning), `count`, `pod`, `node`.

mod known;
mod line;
mod object;
#[cfg(test)]
mod tests;

use super::{Feed, FeedStopped};
use crate::discovery::kubernetes::{Api, Change, Resource, follow};
use crate::pipeline::logs::{LogBuilder, LogPipeline, RawLine};
use bramble_runtime::Clock;
use known::Known;
use line::{Line, of_event, of_pod};
use object::{Event, PodState};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Lines wait this long at most for others to join their batch.
const GATHER: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(15);
const CHANGES_WAITING_MAX: usize = 64;

/// Which cluster, and what is done with its lines.
pub struct EventsOptions {
    /// The API's address; empty inside a pod.
    pub api_server: String,
    /// How to reach the cluster from outside, as `/etc/rancher/k3s/k3s.yaml` on a k3s server.
    pub kubeconfig_file: Option<PathBuf>,
    /// Stages every line goes through.
    pub pipeline: LogPipeline,
}

/// How it goes.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct EventsStatus {
    /// Lines made since the start.
    pub lines: u64,
    /// Why the cluster cannot be read now.
    pub last_error: Option<String>,
}

/// Follows a cluster's events until it is stopped.
pub struct KubernetesEvents {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    status: Arc<Mutex<EventsStatus>>,
}

#[derive(Clone)]
struct Counters {
    lines: IntCounterVec,
    failures: IntCounter,
    failing: IntGauge,
    known: IntGauge,
}

/// A change of one of the two lists that are followed.
#[expect(clippy::large_enum_variant, reason = "a channel of 64 holds all that there are at a time")]
enum Told {
    Event(Change<Event>),
    Pod(Change<PodState>),
}

impl KubernetesEvents {
    /// Starts following; must be called inside a tokio runtime. `feed`: opened as `kubernetes_events`.
    ///
    /// Metrics: `bramble_kubernetes_events_total{type}`, `bramble_kubernetes_events_failures_total`,
    /// `bramble_kubernetes_events_failing`, `bramble_kubernetes_events_known`.
    ///
    /// # Errors
    /// If the metrics are registered already.
    pub fn start(
        options: EventsOptions,
        feed: Feed,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<KubernetesEvents, prometheus::Error> {
        let counters = Counters::register(registry)?;
        let status = Arc::new(Mutex::new(EventsStatus::default()));
        let (stop, stopped) = oneshot::channel();
        let run = Run {
            builder: LogBuilder::new(),
            known: Known::default(),
            positions: Vec::new(),
            pipeline: options.pipeline.fork(),
            feed,
            clock,
            counters,
            status: Arc::clone(&status),
        };
        let place = (options.api_server, options.kubeconfig_file);
        let task = tokio::spawn(async move {
            // Whoever stops may also be gone: both end it.
            _ = run.run(place, stopped).await;
        });
        Ok(KubernetesEvents { stop, task, status })
    }

    /// How it goes.
    pub fn status(&self) -> EventsStatus {
        self.status.lock().clone()
    }

    /// Reads no more, hands over what was read.
    pub async fn stop(self) {
        _ = self.stop.send(());
        _ = self.task.await;
    }
}

impl Counters {
    fn register(registry: &Registry) -> Result<Counters, prometheus::Error> {
        let prefix = "bramble_kubernetes_events";
        let counters = Counters {
            lines: IntCounterVec::new(
                Opts::new(format!("{prefix}_total"), "Lines made of Kubernetes events."),
                &["type"],
            )?,
            failures: IntCounter::new(
                format!("{prefix}_failures_total"),
                "Attempts to read Kubernetes events that failed.",
            )?,
            failing: IntGauge::new(
                format!("{prefix}_failing"),
                "Whether the last attempt to read Kubernetes events failed.",
            )?,
            known: IntGauge::new(format!("{prefix}_known"), "Kubernetes events remembered as delivered.")?,
        };
        registry.register(Box::new(counters.lines.clone()))?;
        registry.register(Box::new(counters.failures.clone()))?;
        registry.register(Box::new(counters.failing.clone()))?;
        registry.register(Box::new(counters.known.clone()))?;
        Ok(counters)
    }
}

struct Run {
    builder: LogBuilder,
    known: Known,
    /// Positions that go with what is in the builder.
    positions: Vec<(String, String)>,
    pipeline: LogPipeline,
    feed: Feed,
    clock: Arc<dyn Clock>,
    counters: Counters,
    status: Arc<Mutex<EventsStatus>>,
}

impl Run {
    async fn run(
        mut self,
        (api_server, kubeconfig_file): (String, Option<PathBuf>),
        mut stopped: oneshot::Receiver<()>,
    ) -> Result<(), FeedStopped> {
        self.known = Known::new(self.feed.delivered().await.positions);
        let api = loop {
            match Api::find(&api_server, kubeconfig_file.as_deref()) {
                Ok(api) => break api,
                Err(error) => self.failed(error),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = &mut stopped => return Ok(()),
            }
        };
        let (send, mut receive) = mpsc::channel(CHANGES_WAITING_MAX);
        let mut followers = tokio::task::JoinSet::new();
        let events = Resource::new("/api/v1", "", "events");
        followers.spawn(follow(api.clone(), events, send.clone(), Told::Event));
        followers.spawn(follow(api, Resource::new("/api/v1", "", "pods"), send, Told::Pod));
        let mut tick = tokio::time::interval(GATHER);
        loop {
            tokio::select! {
                told = receive.recv() => match told {
                    Some(told) => self.take(told).await?,
                    None => break,
                },
                _ = tick.tick() => {
                    self.pipeline.tick(self.clock.wall_ns(), &mut self.builder);
                    if self.feed.is_idle() {
                        self.push().await?;
                    }
                }
                _ = &mut stopped => break,
            }
        }
        self.pipeline.flush(self.clock.wall_ns(), &mut self.builder);
        self.push().await?;
        self.feed.finish().await;
        Ok(())
    }

    async fn take(&mut self, told: Told) -> Result<(), FeedStopped> {
        match told {
            Told::Event(Change::Reset(events)) => {
                let uids = events.iter().map(Event::key);
                self.known.retain("e/", uids, &mut self.positions);
                let mut lines: Vec<Line> = events.iter().filter_map(of_event).collect();
                lines.sort_by_key(|line| line.timestamp_ns);
                self.add(lines).await?;
            }
            Told::Event(Change::Applied(event)) => self.add(of_event(&event).into_iter().collect()).await?,
            Told::Event(Change::Deleted(event)) => self.known.forget(&event.key(), &mut self.positions),
            Told::Pod(Change::Reset(pods)) => {
                let lines: Vec<Line> = pods.iter().flat_map(of_pod).collect();
                self.known.retain("c/", lines.iter().map(|line| line.key.clone()), &mut self.positions);
                self.add(lines).await?;
            }
            Told::Pod(Change::Applied(pod)) => self.add(of_pod(&pod)).await?,
            Told::Pod(Change::Deleted(pod)) => {
                for line in of_pod(&pod) {
                    self.known.forget(&line.key, &mut self.positions);
                }
            }
            Told::Event(Change::Failed(error)) | Told::Pod(Change::Failed(error)) => self.failed(error),
            Told::Event(Change::Recovered) | Told::Pod(Change::Recovered) => {
                self.status.lock().last_error = None;
                self.counters.failing.set(0);
            }
        }
        self.counters.known.set(self.known.len() as i64);
        Ok(())
    }

    /// Adds what was not delivered yet.
    async fn add(&mut self, lines: Vec<Line>) -> Result<(), FeedStopped> {
        for line in lines {
            if !self.known.is_new(&line.key, &line.version, &mut self.positions) {
                continue;
            }
            let mut raw = RawLine::new(line.timestamp_ns, line.labels.as_ref(), line.text.as_bytes());
            raw.now_ns = self.clock.wall_ns();
            raw.metadata = line.metadata.as_ref();
            // A pipeline that slows down is no reason to lose a cluster's events: they are few, and waiting is enough.
            if let Some(wait) = self.pipeline.push(raw, &mut self.builder) {
                tokio::time::sleep(wait).await;
            }
            self.counters.lines.with_label_values(&[if line.is_warning { "Warning" } else { "Normal" }]).inc();
            self.status.lock().lines += 1;
            if self.builder.bytes() >= self.feed.batch_bytes() {
                self.push().await?;
            }
        }
        Ok(())
    }

    /// Hands over what was gathered. What a stage still holds back is on its way without its position being so: its key is
    /// delivered, the line comes later or is lost with the process.
    async fn push(&mut self) -> Result<(), FeedStopped> {
        let batch = self.builder.finish();
        self.feed.push(batch, std::mem::take(&mut self.positions)).await
    }

    fn failed(&self, error: String) {
        let mut status = self.status.lock();
        if status.last_error.as_ref() != Some(&error) {
            tracing::warn!(error, "Kubernetes events cannot be read");
        }
        status.last_error = Some(error);
        self.counters.failures.inc();
        self.counters.failing.set(1);
    }
}
