//! Traces that wait for their decision.

use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use std::collections::{HashMap, VecDeque};

/// What a waiting trace takes beside its batch: entries of map and queue with their free places.
const TRACE_BYTES: usize = 2 * (size_of::<(TraceId, Waiting)>() + size_of::<TraceId>());

struct Waiting {
    batch: SpanBatch,
    bytes: usize,
    since_ns: u64,
}

/// Traces by id, the oldest first.
#[derive(Default)]
pub(super) struct Window {
    traces: HashMap<TraceId, Waiting>,
    /// Every waiting trace, by the time of its first span; some that were taken out already.
    order: VecDeque<(TraceId, u64)>,
    bytes: usize,
}

impl Window {
    /// Traces that wait.
    pub(super) fn len(&self) -> usize {
        self.traces.len()
    }

    /// Memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a span; returns the memory that its trace takes now.
    pub(super) fn add(&mut self, batch: &SpanBatch, span: &SpanEntry, now_ns: u64) -> usize {
        let waiting = self.traces.entry(span.trace_id).or_insert_with(|| {
            self.order.push_back((span.trace_id, now_ns));
            self.bytes += TRACE_BYTES;
            Waiting { batch: SpanBatch::new(), bytes: TRACE_BYTES, since_ns: now_ns }
        });
        waiting.batch.push_from(batch, span);
        let bytes = TRACE_BYTES + waiting.batch.memory_bytes();
        self.bytes += bytes - waiting.bytes;
        waiting.bytes = bytes;
        bytes
    }

    /// Takes out a trace.
    pub(super) fn take(&mut self, trace_id: TraceId) -> Option<SpanBatch> {
        let waiting = self.traces.remove(&trace_id)?;
        self.bytes -= waiting.bytes;
        // Traces are taken out of the middle only when they are huge; the queue must not outgrow the map for it.
        if self.order.len() > 2 * self.traces.len() + 64 {
            let traces = &self.traces;
            self.order.retain(|(id, since_ns)| traces.get(id).is_some_and(|w| w.since_ns == *since_ns));
        }
        Some(waiting.batch)
    }

    /// The trace that waits longest, and since when.
    pub(super) fn oldest(&mut self) -> Option<(TraceId, u64)> {
        loop {
            let &(id, since_ns) = self.order.front()?;
            if self.traces.get(&id).is_some_and(|waiting| waiting.since_ns == since_ns) {
                return Some((id, since_ns));
            }
            self.order.pop_front();
        }
    }
}
