//! Sources: what Bramble goes and reads itself.
//!
//! * [`files`]: logs that grow, rotate and are compressed;
//! * [`host`]: the machine it runs on, under node_exporter's names;
//! * [`journald`], [`kmsg`]: what this machine's services and its kernel say;
//! * [`own`]: its own metrics, logs and spans;
//! * [`scrape`]: what Prometheus' configuration file says is to be scraped.
//!
//! Nobody waits for these, so they never cause a journal commit of their own
//! ([`Urgency::Background`](bramble_storage::Urgency::Background),
//! [`OwnTelemetry`](bramble_storage::Urgency::OwnTelemetry)), and when memory is short they give way: a round is
//! dropped and counted.

pub mod events;
mod feed;
pub mod files;
pub(crate) mod gathering;
pub mod host;
pub mod journald;
pub mod kmsg;
pub mod own;
mod pi;
pub mod scrape;
mod submit;
#[cfg(test)]
mod testing;

pub use feed::{Feed, FeedOptions, FeedStopped, Feeds};
pub use submit::Outlet;
