//! Two hubs that answer as one.
//!
//! Nodes send to both, but each has also what only it was told: pushes, its own host, times when the other was away. A query at
//! either is answered from both: [`MergedMetrics`], [`MergedLogs`] and [`MergedTraces`] are sources like any store, and engines
//! and APIs know nothing of it.
//!
//! * The one that asks sends a [`Request`] and reads frames ([`frame`]); what goes wrong with another hub is a warning of the query, never
//!   its end. It knows no HTTP door: [`Peers`] goes through `bramble-client`.
//! * The one that is asked reads the request and runs [`answer`] over its *own* stores ([`Stores`]) and nothing else, so that
//!   hubs which name each other never go round in circles. Its door is `bramble-serve`'s.
//!
//! Memory: either side holds a frame or two per hub (some 128 KiB, more where one line is longer), charged to the query. Who is behind makes
//! the other wait; who hangs up ends the other's work.

mod answer;
mod asked;
mod digest;
mod forms;
mod frame;
mod link;
mod lists;
mod merge;
mod peer;
mod request;
mod rows;
mod series;
mod spans;
#[cfg(test)]
mod tests;

pub use answer::{Stores, answer, refuse};
pub use frame::{ALIVE, Gone, Sink};
pub use merge::{MergedLogs, MergedMetrics, MergedTraces};
pub use peer::{HELLO_PATH, Hello, PeerOptions, Peers, PeersError, READ_PATH, who_is};
pub use request::{REQUEST_BYTES_MAX, Request};
