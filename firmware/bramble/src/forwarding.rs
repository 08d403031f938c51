//! Sending on what is stored: `[[forward]]` of a hub.

use crate::config::Loaded;
use anyhow::Context;
use bramble_forward::{DestinationConfig, Environment, Forwarder, validate_all};
use bramble_ingest::{Observing, WritePath};
use bramble_runtime::{BudgetName, Budgets, Clock};
use prometheus::Registry;
use std::path::PathBuf;
use std::sync::Arc;

/// What is declared, with paths as seen from the configuration's directory.
///
/// # Errors
/// What is wrong with one.
pub(crate) fn destinations(loaded: &Loaded) -> anyhow::Result<Vec<DestinationConfig>> {
    let mut destinations = loaded.lists.forward.clone();
    if let Some(directory) = loaded.file.as_ref().and_then(|file| file.parent()) {
        destinations.iter_mut().for_each(|destination| destination.set_directory(directory));
    }
    validate_all(&destinations).context("forward")?;
    Ok(destinations)
}

/// Opens the queues of all destinations and takes the seat of who sends on; `None` when there is no destination. Inside a
/// tokio runtime, and before the journal is replayed.
///
/// # Errors
/// What is wrong with a destination, or with its queue on disk.
pub(crate) fn open(
    loaded: &Loaded,
    data_dir: PathBuf,
    path: &WritePath,
    budgets: &Budgets,
    clock: Arc<dyn Clock>,
    registry: &Registry,
) -> anyhow::Result<Option<Arc<Forwarder>>> {
    let destinations = destinations(loaded)?;
    if destinations.is_empty() {
        return Ok(None);
    }
    let environment = Environment {
        data_dir,
        seed: clock.wall_ns() as u64,
        clock,
        memory: budgets.get(BudgetName::Forward),
        registry: registry.clone(),
    };
    let forwarder = Forwarder::start(&environment, destinations)?;
    path.set_observer(Observing::Forwarder, forwarder.clone());
    Ok(Some(forwarder))
}
