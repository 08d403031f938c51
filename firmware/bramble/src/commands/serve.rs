//! `bramble serve`: everything, wired together.

use super::revision;
use crate::ConfigArguments;
use crate::appliance_system::Machine;
use crate::clock_trust::KernelTrust;
use crate::collecting::{Collecting, Place as Sources};
use crate::config::{Config, Loaded, Role};
use crate::correlating::Correlating;
use crate::deletions::Admins;
use crate::derived::Derived;
use crate::doors;
use crate::operations::Process;
use crate::peering::{Own, Peering, own_stores};
use crate::process_metrics::ProcessMetrics;
use crate::receiving::log_limits;
use crate::reload::{LogLevels, Reload, at_each_hangup};
use crate::routes::routed_doors;
use crate::scraping::Scraping;
use crate::serving::{data_dir, disk_choice, ingest_options, loki_limits, tempo_limits};
use crate::{board, forwarding, machine, mdns, node, nodes, owning, sampling, watchdog};
use anyhow::Context;
use bramble_appliance::layout::Layout;
use bramble_catalog::Place;
use bramble_collect::pipeline::sampling::Sampling;
use bramble_collect::receivers::NodeRegistry;
use bramble_collect::sources::own;
use bramble_correlate::{CorrelationSource, stored::StoredCorrelations};
use bramble_disk::{Disk, DiskMetrics, PageCache};
use bramble_forward::Forwarder;
use bramble_ingest::{LogDeletions, Maintenance, Progress, Stores, WritePath};
use bramble_query_promql::{Engine, EngineOptions};
use bramble_runtime::{BudgetName, Budgets, Cancel, Clock, SystemClock};
use bramble_serve::api::correlate::CorrelationFeed;
use bramble_serve::api::loki::tail::Tails;
use bramble_serve::{ApiState, BuildInfo, QueryGate};
use bramble_storage::{Visible, VisibleSpans, Writer};
use bramble_store_logs::{LogBudgets, LogStore};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use bramble_store_traces::{TraceBudgets, TraceLimits, TraceStore};
use prometheus::Registry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Time that running requests get after SIGTERM; with the last commit it stays below 5 s.
const GRACE: Duration = Duration::from_secs(2);

/// Share of own spans that are kept.
const OWN_SPANS_KEPT: f64 = 0.05;

/// Pause of maintenance when nothing is due.
const MAINTENANCE_TICK: Duration = Duration::from_secs(1);

/// Steps of maintenance between two trims of the stores' indexes.
const TRIM_EVERY: u32 = 300;

/// The stores and what surrounds them.
struct Core {
    clock: Arc<dyn Clock>,
    budgets: Budgets,
    registry: Registry,
    disk: Arc<dyn Disk>,
    disk_why: String,
    metrics: Arc<MetricStore>,
    logs: Arc<LogStore>,
    traces: Arc<TraceStore>,
    path: WritePath,
    derived: Option<Derived>,
    correlating: Option<Correlating>,
    sampling: Option<Sampling<WritePath>>,
    forwarder: Option<Arc<Forwarder>>,
    started_ms: i64,
}

impl Core {
    /// The stores, to read.
    fn own(&self) -> Own {
        (self.metrics.clone(), self.logs.clone(), self.traces.clone())
    }
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn serve(arguments: &ConfigArguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let loaded = arguments.load()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (log_layer, own_logs) = own::own_logs(clock.clone());
    let (span_layer, own_spans) = own::own_spans(clock.clone(), OWN_SPANS_KEPT, clock.wall_ns() as u64);
    let mut levels = LogLevels::default();
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_target(false)
                .with_writer(std::io::stderr)
                .with_filter(levels.filter(&loaded.config)),
        )
        .with(log_layer.with_filter(levels.filter(&loaded.config)))
        .with(span_layer.with_filter(levels.filter(&loaded.config)))
        .init();
    let is_node = loaded.config.cluster.role == Role::Node;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(if is_node { 1 } else { 2 })
        // Queries of our own, and twice as many of other hubs.
        .max_blocking_threads(3 * loaded.config.query.concurrency as usize + 6)
        // Address space, not memory: a query may nest a hundred deep.
        .thread_stack_size(4 << 20)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_name("bramble-async")
        .enable_all()
        .build()
        .context("async runtime")?;
    let outcome = if is_node {
        let reload = Reload::new(arguments.clone(), &loaded, levels, clock.wall_ms());
        runtime.block_on(node::run(&loaded, clock, reload, (own_logs, own_spans), began))
    } else {
        let entered = runtime.enter();
        let core = open(&loaded, clock)?;
        drop(entered);
        let reload = Reload::new(arguments.clone(), &loaded, levels, core.started_ms);
        runtime.block_on(run(&loaded, core, reload, own_logs, own_spans, began))
    };
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

/// Opens disk, stores, catalog and blocks; the journal is replayed later, while doors are open already.
fn open(loaded: &Loaded, clock: Arc<dyn Clock>) -> anyhow::Result<Core> {
    let config = &loaded.config;
    let cap_bytes = config.memory.cap.0.map_or_else(machine::default_cap_bytes, |s| s.0);
    anyhow::ensure!(cap_bytes >= 16 << 20, "memory.cap is {cap_bytes} bytes; at least 16MiB are needed");
    let budgets = Budgets::new(cap_bytes as usize);
    let registry = Registry::new();
    let directory = data_dir(config)?;
    let (disk, disk_why) = bramble_disk::open_disk(&directory, disk_choice(config))?;
    disk.metrics().register(&registry)?;
    DiskMetrics::register_kind(&registry, disk.kind(), &disk_why)?;
    tracing::info!(directory = %directory.display(), disk = disk.kind().as_str(), why = %disk_why, cap_bytes, "data directory opened");
    let cache = Arc::new(PageCache::new(budgets.get(BudgetName::PageCache)));
    let (merge, index) = (budgets.get(BudgetName::Merge), budgets.get(BudgetName::BlockIndex));
    let ingest = &config.ingest;
    let (max_age_ms, future_ms) = (ingest.max_age.0.map(|i| i.ms()), ingest.max_ahead.0.map(|i| i.ms()));
    let metric_budgets =
        MetricBudgets { head: budgets.get(BudgetName::MetricHead), merge: merge.clone(), index: index.clone() };
    let metric_limits = MetricLimits {
        series_max: ingest.series_max as usize,
        too_old_ms: max_age_ms,
        future_ms: future_ms.unwrap_or(i64::MAX / 4),
        out_of_order_ms: ingest.out_of_order.0.map(|i| i.ms()),
        ..MetricLimits::default()
    };
    let metrics =
        MetricStore::new(disk.clone(), cache.clone(), clock.clone(), metric_budgets, metric_limits, &registry);
    let log_budgets = LogBudgets { head: budgets.get(BudgetName::LogHead), merge: merge.clone(), index: index.clone() };
    let log_limits = log_limits(config);
    let logs = LogStore::new(disk.clone(), cache.clone(), clock.clone(), log_budgets, log_limits, &registry)?;
    let trace_budgets = TraceBudgets { head: budgets.get(BudgetName::TraceHead), merge, index };
    let trace_limits =
        TraceLimits { max_age_ms, future_ms: future_ms.unwrap_or(i64::MAX / 4), ..TraceLimits::default() };
    let traces = TraceStore::new(disk.clone(), cache.clone(), clock.clone(), trace_budgets, trace_limits, &registry);
    let (metrics, logs, traces) = (Arc::new(metrics), Arc::new(logs), Arc::new(traces));
    let stores = Stores::new(metrics.clone(), logs.clone(), traces.clone());
    let trust = Arc::new(KernelTrust::new(config.storage.time_trust));
    let place = Place::Directory(directory.clone());
    let opened = WritePath::open(
        &place,
        disk.clone(),
        stores,
        clock.clone(),
        trust,
        &budgets,
        ingest_options(config),
        &registry,
    );
    let (path, rebuilt) = opened?;
    tracing::info!(?rebuilt, "blocks opened");
    let derive_budgets = (&budgets.get(BudgetName::Derived), budgets.get(BudgetName::Receive));
    let derived = Derived::open(config, &path, metrics.clone(), clock.clone(), derive_budgets, &registry)?;
    let correlate_budgets = (&budgets.get(BudgetName::Correlate), budgets.get(BudgetName::Receive));
    let correlating = Correlating::open(config, &path, logs.clone(), clock.clone(), correlate_budgets, &registry)?;
    let forwarder = forwarding::open(loaded, directory, &path, &budgets, clock.clone(), &registry)?;
    let receive = budgets.get(BudgetName::Receive);
    let sampling = sampling::open(config, &path, derived.as_ref(), receive, clock.clone(), &registry)?;
    let started_ms = clock.wall_ms();
    let (process, build) = ProcessMetrics::new(budgets.clone(), cache, started_ms, env!("CARGO_PKG_VERSION"));
    registry.register(Box::new(process))?;
    registry.register(Box::new(build))?;
    Ok(Core {
        clock,
        budgets,
        registry,
        disk,
        disk_why,
        metrics,
        logs,
        traces,
        path,
        derived,
        correlating,
        sampling,
        forwarder,
        started_ms,
    })
}

async fn run(
    loaded: &Loaded,
    core: Core,
    reload: Reload,
    own_logs: own::OwnLogs,
    own_spans: own::OwnSpans,
    began: Instant,
) -> anyhow::Result<()> {
    let config = &loaded.config;
    let maintenance = Arc::new(Maintenance::new(core.path.clone()));
    let place = || Ok::<_, anyhow::Error>(Place::Directory(data_dir(config)?));
    let admins = Admins::open(config, place()?, (&core.metrics, &core.logs), &maintenance)?;
    let hub = (machine::hostname(), config.cluster.nodes_max as usize);
    let (auth, kept) = owning::open(config, admins.state.clone(), &core.clock, &core.budgets, &core.registry)?;
    let nodes = nodes::open((&place()?, Some(kept)), core.clock.clone(), hub, &core.registry)?;
    let cancel = Cancel::new();
    let sources = sources(loaded, &core, &cancel)?;
    owning::admit(&auth, &sources.receivers);
    let scraping = sources.scraping()?;
    let process = Arc::new(Process {
        scraping: scraping.clone(),
        path: core.path.clone(),
        maintenance: maintenance.clone(),
        derived: core.derived.clone(),
        registry: core.registry.clone(),
        budgets: core.budgets.clone(),
        disk: core.disk.clone(),
        disk_why: core.disk_why.clone(),
        clock: core.clock.clone(),
        started_ms: core.started_ms,
        reload,
        quit: Default::default(),
        doors: Default::default(),
        watched: Default::default(),
    });
    watch_parts(&process, &core, &nodes);
    let machine = Arc::new(Machine::new(Layout::default(), data_dir(config)?));
    let vitals = board::of_hub(&core.path, &core.disk, &core.budgets, machine.clone());
    let board = board::start(config, &core.registry, vitals)?;
    if let Some(board) = &board {
        board.tell(&process.watched);
        board.follow_setup_code(config, auth.setup_code());
    }
    let reloading = process.clone();
    // Whatever is wrong is in the log.
    tokio::spawn(at_each_hangup(move || drop(bramble_serve::Operations::reload(&*reloading))));
    let log_deletions = admins.log_deletions.clone();
    let query_budget = core.budgets.get(BudgetName::Query);
    let peering = Peering::open(config, nodes.hub_id(), query_budget, &core.registry)?;
    process.watched.add(peering.look());
    let sources_read = peering.sources(core.own(), &core.clock);
    let state = api_state(config, &core, process.clone(), admins, scraping.clone(), sources_read)?;
    let feed = state.correlation_feed.clone();
    let announcement = announce(config, nodes.hub_id());
    let announced = announcement.is_some();
    peering.watch(&cancel);
    let own = own_stores(core.own(), &nodes);
    let doors =
        routed_doors(config, state, sources.receivers.clone(), &core.path, (nodes, announced), own, (&auth, machine));
    let bound = doors::bind_all(doors).await?;
    let shown = |b: &doors::Bound| bramble_serve::Door {
        name: b.name.to_owned(),
        address: b.address.clone(),
        state: b.state.clone(),
    };
    *process.doors.lock() = bound.iter().map(shown).collect();
    for door in &bound {
        tracing::info!(door = door.name, address = %door.address, state = %door.state, "door");
    }
    let (stop, stopping) = watch::channel(false);
    let committer = spawn_committer(core.path.clone(), began)?;
    let maintainer = spawn_maintainer(core.path.clone(), maintenance, log_deletions)?;
    let collecting = Collecting::start(&sources, own_logs, own_spans).await?;
    let shown = collecting.shown();
    process.watched.add(move |found| shown.look(found));
    process.reload.set_parts(collecting.renewal(), scraping.clone());
    if let Some(derived) = core.derived.clone() {
        tokio::spawn(derived.run(cancel.clone()));
    }
    if let Some(correlating) = core.correlating.clone() {
        tokio::spawn(correlating.run(feed.clone(), cancel.clone()));
    }
    if let Some(sampling) = core.sampling.clone() {
        tokio::spawn(sampling::run(sampling, cancel.clone()));
    }
    tokio::spawn(watchdog::notify_systemd(
        core.path.clone(),
        Arc::new(core.path.clone()),
        core.metrics.clone(),
        core.budgets.clone(),
        core.clock.clone(),
    ));
    let serving = tokio::spawn(doors::serve_all(bound, auth, stopping, GRACE));
    tokio::select! {
        signal = wait_for_signal() => tracing::info!(signal, "stopping"),
        () = process.quit.notified() => tracing::info!("stopping: asked over HTTP"),
        failed = committer.failed => anyhow::bail!("{}", failed.unwrap_or_else(|_| "the commit thread ended unexpectedly".to_owned())),
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    cancel.cancel();
    // Who listens to what is new would hold its door open.
    feed.close();
    scraping.stop();
    // Doors first, so that what was being received is still answered; then the last commit.
    drop(announcement);
    let _ = stop.send(true);
    let _ = serving.await;
    collecting.stop().await;
    if let Some(sampling) = &core.sampling {
        sampling.finish();
    }
    if let Some(derived) = &core.derived {
        derived.finish();
    }
    if let Some(correlating) = &core.correlating {
        correlating.finish();
    }
    if let Some(forwarder) = &core.forwarder {
        forwarder.finish(GRACE).await;
    }
    core.path.stop();
    let _ = tokio::task::spawn_blocking(move || committer.thread.join()).await;
    // Maintenance stops between pages; what it was writing is swept away at the next start.
    drop(maintainer);
    // Until here its light said that we run.
    drop(board);
    tracing::info!("stopped");
    Ok(())
}

fn api_state(
    config: &Config,
    core: &Core,
    process: Arc<Process>,
    admins: Admins,
    scraping: Scraping,
    (metrics, logs, traces): Own,
) -> anyhow::Result<Arc<ApiState>> {
    let options = EngineOptions {
        lookback_ms: config.query.lookback.ms(),
        max_samples: config.query.max_samples,
        newer_than_3_5: config.query.promql_newest,
        delayed_name_removal: config.query.delayed_name_removal,
        ..EngineOptions::default()
    };
    Ok(Arc::new(ApiState {
        promql: Engine::new(metrics.clone(), options),
        metric_admin: admins.metrics,
        log_admin: admins.logs,
        metrics,
        logs: Arc::new(Visible::new(logs)),
        loki_limits: loki_limits(config),
        tempo_limits: tempo_limits(config),
        tails: Tails::new(
            core.path.log_taps().clone(),
            config.loki.max_concurrent_tail_requests as usize,
            config.loki.tail_max_duration.0,
        ),
        traces: Arc::new(VisibleSpans::new(traces)),
        correlations: core.correlating.is_some().then(|| stored_correlations(core)),
        correlation_feed: CorrelationFeed::new(
            config.correlation.listeners_max as usize,
            &core.budgets.get(BudgetName::Correlate),
            &core.registry,
        )?,
        clock: core.clock.clone(),
        query_budget: core.budgets.get(BudgetName::Query),
        query_gate: QueryGate::new(config.query.concurrency.clamp(1, 1024) as usize, &core.registry)?,
        query_timeout: config.query.timeout.0,
        scraping: Arc::new(scraping),
        operations: process,
        build: BuildInfo { version: env!("CARGO_PKG_VERSION"), revision: revision() },
        started_ms: core.started_ms,
    }))
}

/// Names who is asked for what does not work.
fn watch_parts(process: &Process, core: &Core, nodes: &Arc<NodeRegistry>) {
    let (scraping, nodes, doors) = (process.scraping.clone(), nodes.clone(), process.doors.clone());
    process.watched.add(move |found| found.add_doors(&doors.lock()));
    process.watched.add(move |found| scraping.look(found));
    process.watched.add(move |found| found.add_nodes(&nodes));
    if let Some(forwarder) = core.forwarder.clone() {
        process.watched.add(move |found| found.add_destinations(&forwarder.status()));
    }
}

/// What receivers and sources need: pipelines in front of sampling in front of the write path.
fn sources<'a>(loaded: &'a Loaded, core: &Core, cancel: &Cancel) -> anyhow::Result<Sources<'a>> {
    let own: Arc<dyn Writer> = Arc::new(core.path.clone());
    let inner: Arc<dyn Writer> = match &core.sampling {
        Some(sampling) => Arc::new(sampling.clone()),
        None => own.clone(),
    };
    let receive = core.budgets.get(BudgetName::Receive);
    Sources::open(loaded, (inner, own), receive, core.clock.clone(), core.registry.clone(), cancel.clone())
}

/// Lets nodes find this hub, if they can reach it.
fn announce(config: &Config, hub_id: &str) -> Option<mdns::Announcement> {
    let port = config.doors.otlp_grpc.number().filter(|_| config.cluster.announce)?;
    let listen = &config.doors.listen;
    let mut announced = mdns::announce(&machine::hostname(), hub_id, port, listen).unwrap_or_else(|why| {
        tracing::warn!(why, "nodes cannot find this hub by themselves; name it in their node.hubs");
        None
    });
    // Elsewhere the machine has a name that others know already.
    if let Some((announced, page)) = announced.as_mut().zip(config.doors.main.number())
        && Layout::default().running_slot().is_some()
        && let Err(why) = announced.add_page(page, listen)
    {
        tracing::warn!(why, "the page is not found as bramble.local; use its address");
    }
    announced
}

/// Correlations as the log store has them.
fn stored_correlations(core: &Core) -> Arc<dyn CorrelationSource> {
    Arc::new(StoredCorrelations::new(core.logs.clone()))
}

/// The commit thread, and how to hear that it could not go on.
struct Committer {
    thread: std::thread::JoinHandle<()>,
    failed: tokio::sync::oneshot::Receiver<String>,
}

fn spawn_committer(path: WritePath, began: Instant) -> anyhow::Result<Committer> {
    let (report, failed) = tokio::sync::oneshot::channel();
    let work = move || {
        match path.recover() {
            Ok(summary) => tracing::info!(?summary, ready_ms = began.elapsed().as_millis() as u64, "recovered; ready"),
            Err(error) => {
                let _ = report.send(format!("recovery failed: {error}"));
                return;
            }
        }
        // Kept until the end, so that its drop means that the thread is gone.
        let _report = report;
        while !path.is_stopping() {
            path.wait_for_work(Duration::from_secs(1));
            path.commit_step();
        }
        path.commit_all();
    };
    let thread = std::thread::Builder::new().name("bramble-commit".into()).spawn(work)?;
    Ok(Committer { thread, failed })
}

fn spawn_maintainer(
    path: WritePath,
    maintenance: Arc<Maintenance>,
    log_deletions: Option<Arc<LogDeletions>>,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let work = move || {
        let mut steps = 0u32;
        while !path.is_stopping() {
            let deleted = || log_deletions.as_ref().map_or(Progress::Idle, |deletions| deletions.step());
            if maintenance.step() == Progress::Worked || deleted() == Progress::Worked {
                machine::return_free_memory();
                continue;
            }
            steps += 1;
            if steps.is_multiple_of(TRIM_EVERY) {
                maintenance.trim();
                machine::return_free_memory();
            }
            for _ in 0..10 {
                if path.is_stopping() || maintenance.is_pressed() {
                    break;
                }
                std::thread::sleep(MAINTENANCE_TICK / 10);
            }
        }
    };
    Ok(std::thread::Builder::new().name("bramble-maintain".into()).spawn(work)?)
}

pub(crate) async fn wait_for_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
