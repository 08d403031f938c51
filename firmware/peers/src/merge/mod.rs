//! The hub that asks: its own stores and what others have as one source.
//!
//! | what | how it is merged |
//! | --- | --- |
//! | series | by labels, samples by time; of two at one time this hub's stays |
//! | rollups | of a bucket, all is taken from who counts the most samples in it |
//! | log entries | in answer order; equal ones as often as the hub has them that has them most |
//! | whole traces | ids travel; then the spans of those traces of which the hubs have different ones |
//! | spans | by identity, an hour at a time |
//! | names, values, label sets, exemplars | the union |
//! | totals and templates of logs | per step, those of the hub that has more: they are statistics |
//! | what fills the head ([`bramble_storage::MetricSource::cardinality`]) | this hub's: it is about this hub's memory |
//!
//! Others are asked first and read last, so that they work while this hub's own stores are read.

mod entries;
mod log_lists;
mod logs;
mod metrics;
mod samples;
mod series;
mod span_scan;
mod trace_scan;
mod traces;

pub use logs::MergedLogs;
pub use metrics::MergedMetrics;
pub use traces::MergedTraces;

use std::collections::BTreeSet;

/// Ascending and each once.
fn union<T: Ord>(lists: impl IntoIterator<Item = Vec<T>>) -> Vec<T> {
    let all: BTreeSet<T> = lists.into_iter().flatten().collect();
    all.into_iter().collect()
}
