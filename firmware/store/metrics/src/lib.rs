//! The metric store: recent samples in memory, older ones in blocks.
//!
//! * [`head`]: series by interned label pairs, samples compressed as they arrive, by generation; histograms and starts
//!   beside them for the series that have some;
//! * [`block`]: immutable blocks of grouped pages, written by a flush or a merge, read by pages;
//! * [`exemplars`]: as many as there is room for, in heads and in blocks;
//! * [`read`]: heads and blocks merged by labels, for queries and for merges;
//! * [`MetricStore`] puts them behind the contracts of `bramble-storage`.
//!
//! Promises: a sample comes back bit for bit, whatever its value and order of arrival; of two samples of one series
//! and timestamp the one written last wins (exactly within head and blocks of the journal's order; blocks merged out
//! of order keep the rank of their newest input); memory is counted against the head's budget as
//! it is allocated; nothing that a block's bytes say can cause a panic or an allocation beyond its page.

mod block;
mod blocks;
mod bytes;
mod counters;
mod decimal;
mod exemplars;
mod head;
mod metadata;
mod pairs;
mod postings;
mod read;
mod rollup;
mod samples;
mod sink;
mod store;
mod tombstones;

#[cfg(test)]
mod rich_tests;
#[cfg(test)]
mod tests;

pub use store::{MetricBudgets, MetricLimits, MetricStore};
