//! The ways out: query APIs in other people's shapes, Bramble's own, and the embedded web UI.
//!
//! One folder per API under [`api`]; each gives an axum router that the binary puts on its port and, under a prefix,
//! on the main port. A handler reads parameters, runs the query on a blocking thread under [`run::run`] (which bounds
//! concurrency, time and memory, and stops the query when the client goes away) and prints the answer. Nothing here
//! knows how data is stored.

pub mod api;
pub mod auth;
mod client;
mod gate;
mod params;
mod problem;
mod run;
mod scraping;
mod state;
#[cfg(test)]
mod testing;
pub mod ui;

pub use client::{Peer, as_client, remember_client};
pub use gate::{Client, QueryGate};
pub use params::{Params, TimeError, parse_duration_ms, parse_time_ms, rfc3339_of_ns};
pub use problem::{Problem, Problems};
pub use run::{RunError, run};
pub use scraping::{ActiveTarget, DroppedTarget, LabelMap, NothingScraped, RelabelStep, Scraping, TargetLists};
pub use state::{ApiState, BuildInfo, ConfigState, DiskStatus, Door, MemoryStatus, Operations, Status};
