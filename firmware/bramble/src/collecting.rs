//! Sources: what this process goes and reads itself, alike on a hub and on a node.

use crate::config::{Config, Loaded, When};
use crate::lines::{self, LinePipelines};
use crate::machine;
use crate::problems::Found;
use crate::promtails::PromtailPlan;
use crate::receiving::{loki_options, otlp_options, receive_limits};
use crate::renewing::Renewal;
use crate::scraping::Scraping;
use anyhow::Context;
use bramble_collect::discovery::DiscoveryMetrics;
use bramble_collect::pipeline::Pipelines;
use bramble_collect::pipeline::logs::Redaction;
use bramble_collect::promtail;
use bramble_collect::receivers::{ReceiveCounters, ReceiverState};
use bramble_collect::sources::events::{EventsOptions, KubernetesEvents};
use bramble_collect::sources::files::{self, FileStatus, FileTarget, Files, FilesOptions};
use bramble_collect::sources::journald::{self, JournalPlace, Journald, JournaldMetrics, JournaldOptions};
use bramble_collect::sources::kmsg::{Kmsg, KmsgOptions};
use bramble_collect::sources::{FeedOptions, Feeds, Outlet, host, own};
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_storage::Writer;
use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Where sources hand over what they read, and what they need.
pub(crate) struct Place<'a> {
    pub(crate) loaded: &'a Loaded,
    /// With pipelines in front.
    pub(crate) writer: Arc<dyn Writer>,
    pub(crate) pipelines: Pipelines<Arc<dyn Writer>>,
    /// For what Bramble says of itself and of its machine.
    pub(crate) own: Arc<dyn Writer>,
    pub(crate) receive: Budget,
    pub(crate) receivers: ReceiverState,
    pub(crate) redaction: Arc<Redaction>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) discovery: DiscoveryMetrics,
    pub(crate) cancel: Cancel,
}

impl<'a> Place<'a> {
    /// Puts pipelines in front of `inner`, and receivers in front of them. `receive` is the budget of that name. Inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration, or that a metric of ours is registered already.
    pub(crate) fn open(
        loaded: &'a Loaded,
        (inner, own): (Arc<dyn Writer>, Arc<dyn Writer>),
        receive: Budget,
        clock: Arc<dyn Clock>,
        registry: Registry,
        cancel: Cancel,
    ) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let redaction = Arc::new(Redaction::new(&registry)?);
        redaction.set(lines::redactor(loaded, &redaction)?);
        let options = lines::pipeline_options(loaded, redaction.current());
        let pipelines = Pipelines::new(inner, &options, receive.clone(), clock.clone(), &registry)?;
        tokio::spawn(pipelines.clone().run(cancel.clone()));
        let writer: Arc<dyn Writer> = Arc::new(pipelines.clone());
        let receivers = ReceiverState::new(
            writer.clone(),
            receive.clone(),
            clock.clone(),
            receive_limits(config),
            (loki_options(config), otlp_options(config)?),
            ReceiveCounters::register(&registry)?,
        );
        let discovery = DiscoveryMetrics::new(&registry)?;
        Ok(Place { loaded, writer, pipelines, own, receive, receivers, redaction, clock, registry, discovery, cancel })
    }

    /// Begins to scrape what Prometheus' configuration names. Inside a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with that file, and where.
    pub(crate) fn scraping(&self) -> anyhow::Result<Scraping> {
        let (writer, receive) = (self.writer.clone(), self.receive.clone());
        let (clock, discovery) = (self.clock.clone(), self.discovery.clone());
        Scraping::open(&self.loaded.config, writer, receive, clock, discovery, &self.registry)
    }
}

/// Running sources.
pub(crate) struct Collecting(Shown, Arc<Renewal>);

pub(crate) struct Parts {
    pub(crate) files: Files,
    feeds: Feeds,
    pub(crate) promtail: Option<promtail::Started>,
    journald: Option<Journald>,
    kmsg: Option<Kmsg>,
    events: Option<KubernetesEvents>,
}

impl Collecting {
    /// Starts what the configuration names. Inside a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with this machine.
    pub(crate) async fn start(
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
        };
        let feeds = Feeds::new(place.writer.clone(), place.receive.clone(), labels, &place.registry)?;
        let lines = LinePipelines::new(place.loaded, &place.redaction)?;
        lines.register(&place.registry)?;
        let options = FilesOptions {
            host: machine::hostname(),
            files_max: config.collect.files_max as usize,
            handles_max: config.collect.file_handles_max as usize,
            ..FilesOptions::default()
        };
        let files = Files::start(feeds.open("files"), options, place.clock.clone(), &place.registry)?;
        let journald = JournaldMetrics::register(&place.registry)?;
        let environment = promtail::Environment {
            files: files.clone(),
            feeds: feeds.clone(),
            receivers: place.receivers.clone(),
            discovery: place.discovery.clone(),
            journald: journald.clone(),
            clock: place.clock.clone(),
            host: machine::hostname(),
        };
        let plan = PromtailPlan::load(place.loaded, &place.redaction)?;
        let promtail_text = plan.as_ref().map(|plan| plan.text.clone());
        let promtail = match plan {
            Some(plan) => Some(plan.start(&environment).await),
            None => None,
        };
        files.set_targets("config", file_targets(place.loaded, &lines)?)?;
        let (journald, kmsg) = start_machine(place, &lines, &feeds, journald)?;
        let events = start_events(place, &lines, &feeds)?;
        let parts = Parts { files, feeds, promtail, journald, kmsg, events };
        let parts = Arc::new(Mutex::new(Some(parts)));
        let renewal = Renewal::new(place, lines, (environment, promtail_text), parts.clone());
        Ok(Collecting(Shown(parts), Arc::new(renewal)))
    }

    /// Goes on with another configuration.
    pub(crate) fn renewal(&self) -> Arc<Renewal> {
        self.1.clone()
    }

    /// Reads no more; what was read is delivered.
    pub(crate) async fn stop(self) {
        let Some(parts) = self.0.0.lock().take() else { return };
        if let Some(promtail) = parts.promtail {
            promtail.stop().await;
        }
        parts.files.stop().await;
        if let Some(journald) = parts.journald {
            journald.stop().await;
        }
        if let Some(kmsg) = parts.kmsg {
            kmsg.stop().await;
        }
        if let Some(events) = parts.events {
            events.stop().await;
        }
        drop(parts.feeds);
    }

    /// What can be shown of running sources.
    pub(crate) fn shown(&self) -> Shown {
        self.0.clone()
    }
}

/// A handle on running sources, to be looked at; nothing is seen once they have stopped.
#[derive(Clone)]
pub(crate) struct Shown(Arc<Mutex<Option<Parts>>>);

impl Shown {
    pub(crate) fn json(&self) -> Value {
        let shown = |file: &FileStatus| {
            json!({
                "path": file.path.display().to_string(),
                "offset": file.offset,
                "size": file.size,
                "lag_bytes": file.lag_bytes,
                "state": file.state,
                "format": file.format,
                "last_error": file.last_error,
            })
        };
        let files = self.0.lock().as_ref().map(|parts| parts.files.status()).unwrap_or_default();
        let files: Vec<Value> = files.iter().map(shown).collect();
        json!({"files": files})
    }

    /// Says which sources do not work.
    pub(crate) fn look(&self, found: &mut Found) {
        let parts = self.0.lock();
        let Some(parts) = parts.as_ref() else { return };
        found.add_files(&parts.files.status());
        if let Some(promtail) = &parts.promtail {
            found.add_promtail(&promtail.status());
        }
        let journald = parts.journald.as_ref().map(Journald::status).filter(|status| status.state == "unavailable");
        if let Some(why) = journald.and_then(|status| status.last_error) {
            found.add("journal", "systemd's journal", why, "let the service's user read it: group systemd-journal");
        }
        if let Some(why) = parts.events.as_ref().and_then(|events| events.status().last_error) {
            let hint = "may the service list and watch events there? docs/k3s has the roles";
            found.add("kubernetes", "events", why, hint);
        }
    }
}

/// Own telemetry, and the machine's.
fn start_own(config: &Config, place: &Place<'_>, outlet: &Outlet, own_logs: own::OwnLogs, own_spans: own::OwnSpans) {
    let (hostname, clock, cancel) = (machine::hostname(), &place.clock, &place.cancel);
    if config.host.enabled {
        let options = host::HostOptions {
            interval: config.host.interval.0,
            instance: hostname.clone(),
            textfile_directory: config.host.textfile_directory.0.as_ref().map(PathBuf::from),
            processes_top: config.host.processes_top as usize,
            systemd_units: config.host.systemd_units,
            endurance_bytes: config.host.card_endurance.0.map(|size| size.0),
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

/// What the machine logs by itself: the systemd journal, or where there is none the kernel's messages.
fn start_machine(
    place: &Place<'_>,
    lines: &LinePipelines,
    feeds: &Feeds,
    metrics: JournaldMetrics,
) -> anyhow::Result<(Option<Journald>, Option<Kmsg>)> {
    let settings = &place.loaded.config.journald;
    let directory = settings.directory.0.as_ref();
    let journal = directory.map_or(JournalPlace::Local, |directory| JournalPlace::Directory(directory.into()));
    let available = match settings.enabled {
        When::Off => false,
        when => match journald::available(&journal) {
            Ok(()) => true,
            Err(error) if when == When::On => {
                tracing::warn!(%error, "the systemd journal cannot be read (journald.enabled)");
                false
            }
            Err(error) => {
                tracing::debug!(%error, "no systemd journal is read");
                false
            }
        },
    };
    let mut running = None;
    if available {
        let options = JournaldOptions {
            place: journal,
            units: settings.units.0.clone(),
            matches: settings.matches.0.clone(),
            max_age: settings.first_read.0,
            ..JournaldOptions::default()
        };
        let feed = feeds.open("journald");
        running = Some(Journald::start(options, lines.plain(), feed, place.clock.clone(), metrics)?);
    }
    let kernel = place.loaded.config.kmsg.enabled;
    let wanted = kernel == When::On || kernel == When::Auto && !available;
    let mut kmsg = None;
    if wanted {
        let feed = feeds.open("kmsg");
        match Kmsg::start(KmsgOptions::default(), lines.plain(), feed, place.clock.clone(), &place.registry) {
            Ok(started) => kmsg = Some(started),
            Err(error) if kernel == When::On => tracing::warn!(%error, "/dev/kmsg cannot be read (kmsg.enabled)"),
            Err(error) => tracing::debug!(%error, "/dev/kmsg cannot be read"),
        }
    }
    Ok((running, kmsg))
}

/// Files of presets and of `[[files]]`.
pub(crate) fn file_targets(loaded: &Loaded, lines: &LinePipelines) -> anyhow::Result<Vec<FileTarget>> {
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

/// Events of the Kubernetes cluster.
fn start_events(place: &Place<'_>, lines: &LinePipelines, feeds: &Feeds) -> anyhow::Result<Option<KubernetesEvents>> {
    let settings = &place.loaded.config.kubernetes;
    if !settings.events {
        return Ok(None);
    }
    let options = EventsOptions {
        api_server: settings.api_server.0.clone().unwrap_or_default(),
        kubeconfig_file: settings.kubeconfig.0.as_ref().map(PathBuf::from),
        pipeline: lines.plain(),
    };
    let feed = feeds.open("kubernetes_events");
    Ok(Some(KubernetesEvents::start(options, feed, place.clock.clone(), &place.registry)?))
}
