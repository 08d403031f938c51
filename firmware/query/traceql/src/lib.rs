//! TraceQL: syntax and evaluation over the trace source contract.
//!
//! A query is parsed and type-checked ([`parse`]); what it implies is handed to the store ([`plan`]): predicates, whether
//! spans are judged by what their trace holds, and which parts of them are looked at. What comes back is judged exactly,
//! a batch at a time: memory is the answer plus one store batch. Three questions are answered so: which traces
//! ([`search_with`]), how many and how large over time ([`measure_with`]), and which names and values there are ([`tags`]).
//! What ends one early (time, memory, an asker who has enough) leaves what was found, marked as [`Partial`].
//!
//! Semantics follow Tempo 3.0 as recorded in the conformance corpus; what is decided otherwise is in
//! docs/compatibility.md.
//!
//! This crate knows nothing of HTTP or JSON, and never opens a file.

pub mod eval;
mod found;
mod interner;
pub mod metrics;
pub mod plan;
mod scan;
pub mod search;
mod shown;
pub mod syntax;
pub mod tags;

pub use eval::value::Value;
pub use found::{FoundSet, FoundSpan, FoundTrace};
pub use metrics::{Measured, MetricExemplar, MetricSeries, MetricsOptions, OnProgress, measure, measure_with};
pub use scan::Partial;
pub use search::{SearchOptions, Searched, search, search_with};
pub use syntax::ast::duration_text;
pub use syntax::ast::{Field, Intrinsic, Scope};
pub use syntax::{ParseError, Query, duration_ns, parse, parse_field};
