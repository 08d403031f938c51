//! Sources: what Bramble goes and reads itself.
//!
//! * [`host`]: the machine it runs on, under node_exporter's names;
//! * [`own`]: its own metrics, logs and spans.
//!
//! Nobody waits for these, so they never cause a journal commit of their own
//! ([`Urgency::Background`](bramble_storage::Urgency::Background),
//! [`OwnTelemetry`](bramble_storage::Urgency::OwnTelemetry)), and when memory is short they give way: a round is
//! dropped and counted.

mod feed;
pub mod host;
pub mod own;
mod submit;
#[cfg(test)]
mod testing;

pub use feed::{Feed, FeedOptions, FeedStopped, Feeds};
pub use submit::Outlet;
