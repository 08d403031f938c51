//! Sources: what this process goes and reads itself, alike on a hub and on a node.

use crate::config::{Config, Loaded, When};
use crate::lines::LinePipelines;
use crate::machine;
use crate::scraping::Scraping;
use bramble_collect::discovery::DiscoveryMetrics;
use bramble_collect::pipeline::logs::Redactor;
use bramble_collect::receivers::ReceiverState;
use bramble_collect::sources::events::{EventsOptions, KubernetesEvents};
use bramble_collect::sources::journald::{self, JournalPlace, Journald, JournaldMetrics, JournaldOptions};
use bramble_collect::sources::kmsg::{Kmsg, KmsgOptions};
use bramble_collect::sources::{FeedOptions, Feeds, Outlet, host, own};
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_storage::Writer;
use prometheus::Registry;
use std::path::PathBuf;
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
    pub(crate) discovery: DiscoveryMetrics,
    pub(crate) cancel: Cancel,
}

impl Place<'_> {
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
pub(crate) struct Collecting {
    feeds: Feeds,
    journald: Option<Journald>,
    kmsg: Option<Kmsg>,
    events: Option<KubernetesEvents>,
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
        let (journald, kmsg) = start_machine(place, &lines, &feeds)?;
        let events = start_events(place, &lines, &feeds)?;
        Ok(Collecting { feeds, journald, kmsg, events })
    }

    /// Reads no more; what was read is delivered.
    pub(crate) async fn stop(self) {
        if let Some(journald) = self.journald {
            journald.stop().await;
        }
        if let Some(kmsg) = self.kmsg {
            kmsg.stop().await;
        }
        if let Some(events) = self.events {
            events.stop().await;
        }
        drop(self.feeds);
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
) -> anyhow::Result<(Option<Journald>, Option<Kmsg>)> {
    let settings = &place.loaded.config.journald;
    let directory = settings.directory.0.as_ref();
    let journal = directory.map_or(JournalPlace::Local, |directory| JournalPlace::Directory(directory.into()));
    let metrics = JournaldMetrics::register(&place.registry)?;
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
