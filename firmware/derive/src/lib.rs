//! What falls out of spans on arrival, as ordinary series: request, error and duration metrics per service, operation,
//! kind and status, and the edges of the service graph.
//!
//! [`Derive`] is a [`Observer`](bramble_storage::Observer): the commit thread shows it each batch that has become
//! durable, and it counts. Every few seconds somebody asks for [`Derive::emit`] and writes what it gives through the
//! normal path; names and labels are those of Tempo's metrics-generator and of the OpenTelemetry Collector's span-metrics
//! connector, so that dashboards made for these work unchanged.
//!
//! It promises:
//! * **Each span once.** Series start from zero with the process, as those of any exporter do, and their first sample is a
//!   zero. With them goes the journal sequence that they have counted, in the same write ([`markers`]); after a crash the
//!   spans above it are shown again and nothing else is. Spans that sampling drops are counted too, but since no journal
//!   has them, those since the last write are lost with a crash.
//! * **Bounded memory.** Label sets, edges that wait for their other half, and texts have limits and are counted against
//!   the budget `derived`. Beyond, spans go to a series with `span_name="other"` per service, edges are dropped and counted.
//! * **Little time per span**: no allocation for a span whose label set is known.
//!
//! ```text
//! SpanBatch ─▶ sources (per resource) ─┬▶ sets: (source, kind, status, name, dimensions) ─▶ count, sum, buckets ─┐
//!                                      └▶ graph: waiting (trace, client span) ─▶ edges (client, server, type) ───┴▶ emit
//! ```
//!
//! It knows neither the journal nor a store; time comes as an argument.

mod counters;
mod derive;
mod emit;
mod graph;
mod histogram;
mod markers;
mod options;
mod peers;
mod sets;
mod sources;
mod state;
mod targets;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod texts;
mod waiting;

pub use derive::{Derive, Emission};
pub use markers::COUNTED_SEQUENCE;
pub use options::{DeriveOptions, Histograms, SpanNames};
