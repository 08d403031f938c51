//! Answers from what the store knows of its entries without reading their text: sizes per stream ([`totals`]), and
//! lines by template ([`templates`]), each as a pattern that LogQL's `|>` takes ([`pattern`]).

mod found;
mod pattern;
mod templates;
mod totals;

pub(crate) use templates::templates;
pub(crate) use totals::{totals, totals_by_step};

use crate::block::Block;
use crate::limits::Metrics;
use bramble_disk::DiskError;
use bramble_storage::QueryContext;

/// Reports damage found in a block: the rest of the answer is worth more than nothing.
fn report(block: &Block, what: &str, error: &DiskError, metrics: &Metrics, context: &QueryContext) {
    metrics.damaged_pages.inc();
    tracing::warn!(block = block.meta.id.0, %error, "{what} of a log block cannot be read");
    context.warn(format!("log block {:016x}: {what} cannot be read and is missing: {error}", block.meta.id.0));
}

/// The last nanosecond of a range that ends before `end_ns`; `None` when nothing lies in it.
fn last_of(start_ns: i64, end_ns: i64) -> Option<i64> {
    end_ns.checked_sub(1).filter(|&last| last >= start_ns)
}
