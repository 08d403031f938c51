//! LogQL: reading it, and answering it from a [`LogSource`](bramble_storage::LogSource).
//!
//! * [`syntax`]: text to tree and back. Errors carry Loki's texts and positions.
//! * [`eval`]: a tree, a time range and a source give an [`Answer`]. Matchers and leading line filters go down to
//!   the store; what remains of the pipeline runs here, row by row, over scratch memory that is reused. A log query
//!   stops reading once its limit is reached; a metric query keeps counts per series and step, not rows.
//! * Everything that grows with the data is accounted to the query's
//!   [`QueryContext`](bramble_storage::QueryContext).
//!
//! This crate knows no HTTP and no file.

pub mod eval;
pub mod syntax;

pub use eval::{
    Answer, Entry, EntryTest, LabelSet, LogParams, QueryError, RangeParams, Series, Stream, TextTemplate, detect,
    instant, log, range,
};
pub use syntax::{Expr, ParseError, parse, parse_selector};
