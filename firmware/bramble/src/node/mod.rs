//! The role "node": collects and takes in what a hub does, stores nothing, and sends everything on to its hubs.

mod routes;
mod status;

use crate::board;
use crate::collecting::{Collecting, Place};
use crate::config::{Config, Loaded};
use crate::doors;
use crate::forwarding;
use crate::machine;
use crate::mdns;
use crate::owning;
use crate::problems::Watched;
use crate::process_metrics::ProcessMetrics;
use crate::reload::{Reload, at_each_hangup};
use crate::serving::data_dir;
use anyhow::Context;
use bramble_collect::sources::own;
use bramble_disk::{DiskChoice, PageCache};
use bramble_forward::{Environment, NodeOptions, NodeWriter};
use bramble_runtime::{Budget, BudgetName, Budgets, Cancel, Clock};
use bramble_storage::Writer;
use prometheus::Registry;
use status::NodeStatus;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The default of `memory.cap` on a node.
const CAP_BYTES: usize = 64 << 20;

/// Time that running requests, and then what is left to send, get after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// The port of a hub where only its host is named.
const HUB_PORT: u16 = 4317;

/// How long a start waits for a hub to say how far sources were read, before it goes by what this machine knows.
const HUB_WAIT: Duration = Duration::from_secs(10);

/// How often problems are looked for, so that hubs hear of them.
const PROBLEMS_EVERY: Duration = Duration::from_secs(10);

/// Runs a node until it is told to stop.
///
/// # Errors
/// When it cannot start; the text says what to do.
pub(crate) async fn run(
    loaded: &Loaded,
    clock: Arc<dyn Clock>,
    reload: Reload,
    (own_logs, own_spans): (own::OwnLogs, own::OwnSpans),
    began: Instant,
) -> anyhow::Result<()> {
    let config = &loaded.config;
    let cap_bytes = config.memory.cap.0.map_or(CAP_BYTES, |size| size.0 as usize);
    let registry = Registry::new();
    let directory = data_dir(config)?;
    // Holds the lock of the data directory as long as the node runs.
    let (disk, _) = bramble_disk::open_disk(&directory, DiskChoice::Threads)?;
    let budgets = Budgets::new(cap_bytes);
    let cache = Arc::new(PageCache::new(budgets.get(BudgetName::PageCache)));
    let started_ms = clock.wall_ms();
    let (process, build) = ProcessMetrics::new(budgets, cache, started_ms, env!("CARGO_PKG_VERSION"));
    registry.register(Box::new(process))?;
    registry.register(Box::new(build))?;
    let (hubs, _finder) = hubs(config, &directory)?;
    let environment = Environment {
        data_dir: directory.clone(),
        clock: clock.clone(),
        seed: clock.wall_ns() as u64,
        memory: Budget::standalone(BudgetName::Forward, config.node.memory_max.0 as usize),
        registry: registry.clone(),
    };
    let (problem, problem_told) = watch::channel(String::new());
    let writer = NodeWriter::start(&environment, node_options(loaded, hubs, problem_told)?)?;
    // Bodies and batches; what waits to be sent has a budget of its own, and the rest is the program's.
    let receive = Budget::standalone(BudgetName::Receive, cap_bytes / 8);
    let cancel = Cancel::new();
    let writers: (Arc<dyn Writer>, Arc<dyn Writer>) = (writer.clone(), writer.clone());
    let place = Place::open(loaded, writers, receive.clone(), clock.clone(), registry.clone(), cancel.clone())?;
    let auth = owning::open_node(config, clock.clone(), &registry)?;
    owning::admit(&auth, &place.receivers);
    let status = Arc::new(NodeStatus::new(writer.clone(), registry.clone(), clock, started_ms, reload));
    let reloading = status.clone();
    // Whatever is wrong is in the log.
    tokio::spawn(at_each_hangup(move || drop(reloading.reload())));
    let bound = doors::bind_all(routes::doors(config, &place.receivers, &status)).await?;
    for door in &bound {
        tracing::info!(door = door.name, address = %door.address, state = %door.state, "door");
    }
    let (stop, stopping) = watch::channel(false);
    let scraping = place.scraping()?;
    let collecting = Collecting::start(&place, own_logs, own_spans).await?;
    status.set_collecting(&collecting);
    status.reload.set_parts(collecting.renewal(), scraping.clone());
    let (looked, here) = (writer.clone(), scraping.clone());
    status.watched.add(move |found| {
        found.add_hubs(&looked.hubs().borrow());
        found.add_destinations(&looked.forwards());
    });
    status.watched.add(move |found| here.look(found));
    let seen = status.clone();
    let board = board::start(config, &registry, board::of_node(disk, receive, move || seen.has_hub()))?;
    if let Some(board) = &board {
        board.tell(&status.watched);
        board.follow_setup_code(config, auth.setup_code());
    }
    tokio::spawn(tell_problems(status.watched.clone(), problem));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::spawn(feed_watchdog());
    tracing::info!(node = writer.node_id(), ready_ms = began.elapsed().as_millis() as u64, "node; ready");
    let serving = tokio::spawn(doors::serve_all(bound, auth, stopping, GRACE));
    tracing::info!(signal = crate::commands::wait_for_signal().await, "stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    cancel.cancel();
    scraping.stop();
    let _ = stop.send(true);
    let _ = serving.await;
    collecting.stop().await;
    writer.finish(GRACE).await;
    // Until here its light said that we run.
    drop(board);
    tracing::info!("stopped");
    Ok(())
}

/// Addresses of the hubs: those that are named, or those that announce themselves.
fn hubs(config: &Config, data_dir: &Path) -> anyhow::Result<(watch::Receiver<Vec<String>>, Option<mdns::Finder>)> {
    let named = &config.node.hubs.0;
    anyhow::ensure!(named.len() <= 2, "node.hubs has {} hubs; a node sends to two at most", named.len());
    if named.is_empty() {
        let (found, finder) = mdns::find(data_dir).map_err(|why| {
            anyhow::anyhow!("hubs cannot be looked for in the local network: {why}\nhint: name them in node.hubs")
        })?;
        return Ok((found, Some(finder)));
    }
    Ok((watch::channel(named.iter().map(|hub| hub_address(hub)).collect()).1, None))
}

/// The address of a hub as it may be written: `pi`, `pi:4317`, `http://pi:4317`.
fn hub_address(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let has_port = match text.rsplit_once(':') {
        Some((host, port)) => port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')),
        None => false,
    };
    let host = if !has_port && text.matches(':').count() > 1 && !text.starts_with('[') {
        format!("[{text}]")
    } else {
        text.to_owned()
    };
    if has_port { format!("http://{host}") } else { format!("http://{host}:{HUB_PORT}") }
}

/// Lets hubs know what is wrong here.
async fn tell_problems(watched: Watched, problem: watch::Sender<String>) {
    while !problem.is_closed() {
        problem.send_replace(watched.line());
        tokio::time::sleep(PROBLEMS_EVERY).await;
    }
}

fn node_options(
    loaded: &Loaded,
    hubs: watch::Receiver<Vec<String>>,
    problem: watch::Receiver<String>,
) -> anyhow::Result<NodeOptions> {
    let node = &loaded.config.node;
    let token = match &node.token_file.0 {
        _ if !node.token.0.is_empty() => Some(node.token.0.clone()),
        // Once enrolled, the token is used up, and its file may be gone.
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("node.token_file {file}")),
        },
        None => None,
    };
    Ok(NodeOptions {
        name: node.name.0.clone().unwrap_or_else(machine::hostname),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token,
        hubs,
        queue_max_bytes: node.queue_max.0,
        queue_max_age: node.queue_max_age.0,
        memory_max: node.memory_max.0,
        wait_max: HUB_WAIT,
        timeout: node.request_timeout.0,
        destinations: forwarding::destinations(loaded)?,
        problem,
    })
}

/// A node has nothing to ask itself: that its executor runs is what it can say.
async fn feed_watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    loop {
        drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog]));
        tokio::time::sleep(interval / 3).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_may_be_written_in_several_ways() {
        for (text, address) in [
            ("pi", "http://pi:4317"),
            ("pi:14317", "http://pi:14317"),
            ("10.0.0.1", "http://10.0.0.1:4317"),
            ("fd00::1", "http://[fd00::1]:4317"),
            ("[fd00::1]:14317", "http://[fd00::1]:14317"),
            ("https://hub.example", "https://hub.example"),
        ] {
            assert_eq!(hub_address(text), address);
        }
    }
}
