//! TraceQL: syntax and evaluation over the trace source contract.
//!
//! A query is parsed and type-checked ([`parse`]), what every accepted span must satisfy is handed to the store as
//! predicates ([`plan`]), and the whole traces that come back are judged exactly, one at a time: memory is the answer
//! plus one store batch. Semantics follow Tempo 3.0 as recorded in the conformance corpus, with these differences, all
//! of which find more than Tempo: whole numbers and decimals compare with each other, `5 < x` means `x > 5`, and
//! `x = nil` is true for spans without `x`.
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
pub use metrics::{Measured, MetricExemplar, MetricSeries, MetricsOptions, measure, measure_with};
pub use scan::Partial;
pub use search::{SearchOptions, Searched, search, search_with};
pub use syntax::ast::duration_text;
pub use syntax::ast::{Field, Intrinsic, Scope};
pub use syntax::{ParseError, Query, duration_ns, parse, parse_field};
