//! Offering what was committed to whoever listens ([`bramble_storage::LogTaps`]).
//!
//! A batch is offered after its commit was synced and before its head has it, so that what a query finds was offered
//! to every tap that was there before; both happen under one [`Offering`], so that no tap begins in between.

use crate::commit::{Shared, WritePath};
use crate::record::Body;
use bramble_storage::{LogTaps, Offering};
use std::sync::Arc;

impl WritePath {
    /// Where consumers of log batches register.
    pub fn log_taps(&self) -> &Arc<LogTaps> {
        &self.shared.taps
    }
}

impl Shared {
    /// Offers a batch that is durable and about to be applied.
    pub(crate) fn offer(&self, offering: &Offering<'_>, body: &Body) {
        if let Body::Logs(prepared) = body {
            let lost = offering.offer(&prepared.batch);
            if lost > 0 {
                self.metrics.tap_dropped.inc_by(lost);
            }
        }
    }
}
