//! The writing side: judging batches and entering them into the head.

use crate::head::estimate_bytes;
use crate::store::TraceStore;
use bramble_runtime::OverBudget;
use bramble_signal::{SpanBatch, SpanEntry};
use bramble_storage::{PreparedSpans, RejectReason, Rejections, Sequence, SpanSink};

/// The range of span starts that is taken, nanoseconds, both ends inclusive.
struct Window {
    oldest_ns: u64,
    newest_ns: u64,
}

impl TraceStore {
    fn window(&self, now_ns: i64) -> Window {
        let ns = |ms: i64| ms.saturating_mul(1_000_000);
        let at = |ns: i64| u64::try_from(ns).unwrap_or(0);
        let oldest = self.limits.max_age_ms.map_or(0, |age_ms| at(now_ns.saturating_sub(ns(age_ms))));
        Window { oldest_ns: oldest, newest_ns: at(now_ns.saturating_add(ns(self.limits.future_ms))) }
    }

    fn judge(&self, batch: &SpanBatch, span: &SpanEntry, window: &Window) -> Option<RejectReason> {
        let bytes = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
        let resource = batch.resources.get(span.resource as usize);
        let scope = batch.scopes.get(span.scope as usize);
        if span.trace_id.is_zero() || span.span_id.is_zero() {
            Some(RejectReason::InvalidId)
        } else if span.start_ns < window.oldest_ns {
            Some(RejectReason::TooOld)
        } else if span.start_ns > window.newest_ns {
            Some(RejectReason::TooFarInFuture)
        } else if bytes.iter().map(|b| b.len()).sum::<usize>() > self.limits.span_bytes_max
            || resource.is_some_and(|r| r.attributes.len() > self.limits.span_bytes_max)
            || scope.is_some_and(|s| s.attributes.len() > self.limits.span_bytes_max)
        {
            Some(RejectReason::TooLarge)
        } else if resource.is_none() || scope.is_none() {
            Some(RejectReason::Malformed)
        } else {
            None
        }
    }

    fn describe(&self, reason: RejectReason, span: &SpanEntry) -> String {
        let (trace, id) = (span.trace_id, span.span_id);
        match reason {
            RejectReason::InvalidId => format!("span {id} of trace {trace}: an id is missing or all zeros"),
            RejectReason::TooOld => {
                format!("span {id} of trace {trace} starts at {} ns, which is too old", span.start_ns)
            }
            RejectReason::TooFarInFuture => format!(
                "span {id} of trace {trace} starts at {} ns, more than {} ms ahead of this clock",
                span.start_ns, self.limits.future_ms
            ),
            RejectReason::TooLarge => {
                format!("span {id} of trace {trace} is larger than {} bytes", self.limits.span_bytes_max)
            }
            _ => format!("span {id} of trace {trace} names a resource or scope that the batch does not have"),
        }
    }
}

impl SpanSink for TraceStore {
    fn prepare(&self, batch: SpanBatch, now_ns: i64) -> Result<PreparedSpans, OverBudget> {
        let window = self.window(now_ns);
        let mut rejections = Rejections::new();
        for span in &batch.spans {
            if let Some(reason) = self.judge(&batch, span, &window) {
                rejections.add(reason, 1, || self.describe(reason, span));
            }
        }
        let batch = if rejections.is_empty() {
            batch
        } else {
            let mut kept = SpanBatch::new();
            for span in batch.spans.iter().filter(|span| self.judge(&batch, span, &window).is_none()) {
                kept.push_from(&batch, span);
            }
            kept
        };
        let bytes = if batch.is_empty() { 0 } else { estimate_bytes(&batch) };
        let space = self.budgets.head.reserve(bytes)?;
        Ok(PreparedSpans { accepted: batch.spans.len() as u64, batch, rejections, space })
    }

    fn apply(&self, prepared: PreparedSpans, sequence: Sequence) {
        // Held while the batch enters, so that a freeze cannot cut in between.
        let state = self.state.read();
        let mut active = state.active.write();
        if !prepared.batch.is_empty() {
            active.insert(&prepared.batch, sequence);
        }
        self.settle(Some(prepared.space), active.memory_bytes(), active.spans.len());
    }

    fn replay(&self, batch: &SpanBatch, sequence: Sequence) {
        let state = self.state.read();
        let mut active = state.active.write();
        active.insert(batch, sequence);
        self.settle(None, active.memory_bytes(), active.spans.len());
    }
}
