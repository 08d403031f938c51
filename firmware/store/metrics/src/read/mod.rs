//! Reading: what a query or a merge goes through.

mod block_series;
mod cursor;
mod exemplars;
mod open_pages;
mod source;

pub(crate) use open_pages::OpenPages;

pub(crate) use block_series::BlockSeries;
pub(crate) use cursor::{Cursor, Gathered, HeadSeries, Origin};

use crate::counters::Counters;
use bramble_disk::DiskError;
use bramble_storage::{BlockId, QueryContext, QueryStats, ReadError, StoreError};
use std::cell::OnceCell;
use std::sync::atomic::AtomicU64;

/// On whose behalf something is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// A query; `None` for a merge.
    pub(crate) context: Option<&'a QueryContext>,
    /// Whether a merge may go on.
    pub(crate) keep_going: Option<&'a dyn Fn() -> bool>,
    /// Where a merge learns what it met; a query passes over damage.
    pub(crate) damage: Option<&'a OnceCell<StoreError>>,
    pub(crate) counters: &'a Counters,
}

impl Reading<'_> {
    /// As [`QueryContext::check`]; a merge that must stop is cancelled.
    pub(crate) fn check(&self) -> Result<(), ReadError> {
        if self.keep_going.is_some_and(|keep_going| !keep_going()) {
            return Err(ReadError::Cancelled);
        }
        self.context.map_or(Ok(()), QueryContext::check)
    }

    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), ReadError> {
        self.context.map_or(Ok(()), |context| context.reserve(bytes).map_err(ReadError::from))
    }

    pub(crate) fn release(&self, bytes: usize) {
        if let Some(context) = self.context {
            context.release(bytes);
        }
    }

    pub(crate) fn count(&self, counter: impl Fn(&QueryStats) -> &AtomicU64, n: u64) {
        if let Some(context) = self.context {
            QueryStats::add(counter(&context.stats), n);
        }
    }

    /// Something of `block` could not be read: a query notes damage and passes over it, anything else ends the reading.
    /// A merge ends in any case: its inputs are removed afterwards, and with them what it left out.
    pub(crate) fn damaged(&self, block: BlockId, error: DiskError) -> Result<(), ReadError> {
        if matches!(error, DiskError::PowerLost) {
            return Err(ReadError::Cancelled);
        }
        if !error.is_damage() {
            return Err(ReadError::Storage(error.to_string()));
        }
        self.counters.damaged_pages.inc();
        if let Some(damage) = self.damage {
            let what = error.to_string();
            let _ = damage.set(StoreError::Damaged { block, what: what.clone() });
            return Err(ReadError::Storage(what));
        }
        tracing::error!(block = block.0, %error, "damaged page of a metric block; its samples are missing from answers");
        if let Some(context) = self.context {
            context.warn(format!("metrics of block {:016x} are incomplete: {error}", block.0));
        }
        Ok(())
    }
}
