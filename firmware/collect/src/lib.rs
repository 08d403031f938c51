//! Ways in: what is pushed to us ([`receivers`]), what is done to it ([`pipeline`]) and what we go and read
//! ([`sources`]). Labels of what is read may be rewritten by Prometheus' rules ([`relabel`]).
//!
//! Everything ends in a [`Writer`](bramble_storage::Writer), the trait of the write path: this crate knows no store,
//! no journal and no file of ours. It promises:
//!
//! * memory of a request is reserved from the budget `receive` while it arrives, unfolds and is decoded; what does
//!   not fit is refused with the answer that this protocol's senders retry, and never queued;
//! * a request is answered after its items are durable and visible;
//! * any bytes give a specific answer in the protocol's form, counted by reason, and leave the connection usable.
//!
//! Which status each sender retries on, drops on, or ignores decides the answers (reference/apis.md §9.1): they
//! differ, and the tables in each receiver's head say how.

pub mod discovery;
pub mod pipeline;
pub mod promtail;
pub mod receivers;
pub mod relabel;
pub mod sources;
