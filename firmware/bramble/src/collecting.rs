//! Sources: what this process goes and reads itself, alike on a hub and on a node.

use crate::config::{Config, Loaded};
use crate::lines::LinePipelines;
use crate::machine;
use anyhow::Context;
use bramble_collect::discovery::DiscoveryMetrics;
use bramble_collect::pipeline::logs::Redactor;
use bramble_collect::promtail;
use bramble_collect::receivers::ReceiverState;
use bramble_collect::sources::files::{self, FileTarget, Files, FilesOptions};
use bramble_collect::sources::{FeedOptions, Feeds, Outlet, host, own};
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_storage::Writer;
use prometheus::Registry;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where sources hand over what they read, and what they need.
pub(crate) struct Place<'a> {
    pub(crate) loaded: &'a Loaded,
    /// With pipelines in front.
    pub(crate) writer: Arc<dyn Writer>,
    /// For what Bramble says of itself and of its machine.
    pub(crate) own: Arc<dyn Writer>,
    pub(crate) receive: Budget,
    pub(crate) receivers: ReceiverState,
    pub(crate) redactor: Option<Arc<Redactor>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) cancel: Cancel,
}

/// Running sources.
pub(crate) struct Collecting {
    files: Files,
    feeds: Feeds,
    promtail: Option<promtail::Started>,
}

impl Collecting {
    /// Starts what the configuration names. Inside a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with this machine.
    pub(crate) fn start(
        place: &Place<'_>,
        own_logs: own::OwnLogs,
        own_spans: own::OwnSpans,
    ) -> anyhow::Result<Collecting> {
        let config = &place.loaded.config;
        let outlet = Outlet::new(place.own.clone(), place.receive.clone(), &place.registry)?;
        start_own(config, place, &outlet, own_logs, own_spans);
        let labels = FeedOptions {
            service_name: config.ingest.loki_service_name,
            detected_level: config.ingest.loki_detect_level,
            ..FeedOptions::default()
        };
        let feeds = Feeds::new(place.writer.clone(), place.receive.clone(), labels, &place.registry)?;
        let lines = LinePipelines::new(place.loaded, place.redactor.clone(), &place.registry)?;
        let options = FilesOptions {
            files_max: config.collect.files_max as usize,
            handles_max: config.collect.file_handles_max as usize,
            ..FilesOptions::default()
        };
        let files = Files::start(feeds.open("files"), options, place.clock.clone(), &place.registry)?;
        let discovery = DiscoveryMetrics::new(&place.registry)?;
        let promtail = start_promtail(place, &lines, &files, &feeds, &discovery)?;
        files.set_targets("config", file_targets(place.loaded, &lines)?);
        Ok(Collecting { files, feeds, promtail })
    }

    /// Reads no more; what was read is delivered.
    pub(crate) async fn stop(self) {
        drop(self.promtail);
        self.files.stop().await;
        drop(self.feeds);
    }

    /// What can be shown of running sources.
    pub(crate) fn shown(&self) -> Shown {
        Shown { files: self.files.clone() }
    }
}

/// Handles on running sources, to be looked at.
#[derive(Clone)]
pub(crate) struct Shown {
    files: Files,
}

impl Shown {
    pub(crate) fn json(&self) -> Value {
        let files: Vec<Value> = self.files.status().iter().map(|file| json!(file)).collect();
        json!({"files": files})
    }
}

/// Own telemetry, and the machine's.
fn start_own(
    config: &Config,
    place: &Place<'_>,
    outlet: &Outlet,
    own_logs: own::OwnLogs,
    own_spans: own::OwnSpans,
) {
    let (hostname, clock, cancel) = (machine::hostname(), &place.clock, &place.cancel);
    if config.host.enabled {
        let options = host::HostOptions {
            interval: config.host.interval.0,
            instance: hostname.clone(),
            ..host::HostOptions::default()
        };
        tokio::spawn(host::run(options, outlet.clone(), clock.clone(), cancel.clone()));
    }
    if config.own.enabled {
        let metrics = own::run_metrics(
            place.registry.clone(),
            hostname.clone(),
            config.own.interval.0,
            outlet.clone(),
            clock.clone(),
            cancel.clone(),
        );
        tokio::spawn(metrics);
        tokio::spawn(own::run_logs(own_logs, hostname.clone(), outlet.clone(), cancel.clone()));
        tokio::spawn(own::run_spans(own_spans, hostname, outlet.clone(), cancel.clone()));
    }
}

/// Files of presets and of `[[files]]`.
fn file_targets(loaded: &Loaded, lines: &LinePipelines) -> anyhow::Result<Vec<FileTarget>> {
    let mut targets = Vec::new();
    for name in &loaded.config.collect.presets.0 {
        let configs = files::preset(name)
            .with_context(|| format!("collect.presets: {name:?} is none of mdso, k3s, docker, host"))?;
        let target = |config| FileTarget { config, pipeline: lines.plain() };
        targets.extend(configs.into_iter().map(target));
    }
    for (index, config) in loaded.lists.files.iter().enumerate() {
        let pipeline = match &config.pipeline {
            None => lines.plain(),
            Some(name) => lines.named(name).with_context(|| format!("files[{index}]"))?,
        };
        targets.push(FileTarget { config: config.clone(), pipeline });
    }
    Ok(targets)
}

fn start_promtail(
    place: &Place<'_>,
    lines: &LinePipelines,
    files: &Files,
    feeds: &Feeds,
    discovery: &DiscoveryMetrics,
) -> anyhow::Result<Option<promtail::Started>> {
    let settings = &place.loaded.config.promtail;
    let Some(path) = &settings.config.0 else { return Ok(None) };
    let plan = promtail::Plan::load(path.as_ref(), settings.expand_env, lines.redactor())?;
    for warning in &plan.warnings {
        tracing::warn!(file = %path, line = warning.line, what = %warning.what, "promtail's configuration");
    }
    for remote in &plan.remotes {
        tracing::warn!(
            file = %path,
            line = remote.line,
            url = %remote.url,
            "lines are stored here and not sent to this Loki; a [[forward]] of kind \"loki\" sends them there too"
        );
    }
    let environment = promtail::Environment {
        files: files.clone(),
        feeds: feeds.clone(),
        receivers: place.receivers.clone(),
        discovery: discovery.clone(),
        clock: place.clock.clone(),
        cancel: place.cancel.clone(),
    };
    Ok(Some(promtail::start(plan, &environment)))
}
