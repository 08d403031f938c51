//! PromQL: syntax and evaluation over the metric source contract.
//!
//! [`parse`] gives a tree with positions; [`Engine`] evaluates it at one instant or over a range of them.
//! Evaluation works on *rows*: one series' values at every step of the query. Selectors read one series at a
//! time, and functions, scalar operations and most aggregations pass rows on one by one, so memory follows the
//! result, not the samples touched. All rows that are kept count against the query's budget and sample limit.

mod eval;
pub mod syntax;

pub use eval::{Answer, Engine, EngineOptions, QueryError, SampleStats, Value};
pub use syntax::{Expr, ParseError, format_query, format_value, parse, parse_selector, selectors};
