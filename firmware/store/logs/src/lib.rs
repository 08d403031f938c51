//! The log store: takes entries, keeps the newest in memory and the rest in blocks, and answers queries over both.
//!
//! * **Head**: generations of streams; the entries of a stream in compressed chunks ([`head`]). Duplicates are
//!   dropped wherever entries are sorted: at the flush, in queries, at the day's merge.
//! * **Block**: streams in order of labels, each stream's entries in page groups in order of time. A group holds
//!   columns: timestamps, lines as template and typed tokens ([`template`], [`lines`]), metadata by key
//!   ([`metadata`]); beside it stands a filter over long ids ([`filter`]).
//! * **Flush**: a stream's chunks in order ([`flush`]).
//! * **Reading**: a heap of sources, each under the earliest time it can contribute ([`gather`]). Tests ask filters, then
//!   a stream's templates, then columns, then lines, several chunks at once where few entries pass ([`search`]); counts
//!   ([`tally`]) rebuild no line that need not be looked at.
//!
//! Promises: whatever bytes a line has, exactly these come back; the memory of the head, of queries and of merges
//! is counted against budgets; damaged pages are reported and left out, never a crash.
//!
//! Formats: docs/formats.md, "Log blocks". This crate knows no query language and decides nothing about *when* to
//! flush or merge.

mod block;
mod chunk;
mod columns;
mod deleted;
mod dictionary;
mod filter;
mod floating;
mod flush;
mod gather;
mod group;
mod head;
mod judge;
mod limits;
mod lines;
mod metadata;
mod places;
mod rows;
mod search;
mod select;
mod statistics;
mod store;
mod stored;
mod streams;
mod tally;
mod template;
mod times;
mod varint;
mod volume;
mod words;

pub use limits::{FloatingRules, LogBudgets, LogLimits};
pub use store::LogStore;
