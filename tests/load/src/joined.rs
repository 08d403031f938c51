//! Logs and traces of the same requests: ids that both threads know without asking, and a step that they keep.

use crate::Arguments;
use bramble_runtime::Rng;
use std::sync::Barrier;

/// Spans of each trace.
pub(crate) const SPANS_PER_TRACE: u64 = 8;

/// What both know of a request.
pub(crate) struct Request {
    pub(crate) trace_id: [u8; 16],
    pub(crate) root_span_id: [u8; 8],
    pub(crate) circuit: u64,
}

/// What both senders know.
pub(crate) struct Step {
    seed: u64,
    is_joined: bool,
    /// Where both wait every second; none where only one of them sends.
    together: Option<Barrier>,
}

impl Step {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let both = arguments.logs.is_some() && arguments.traces.is_some();
        Step {
            seed: arguments.seed,
            is_joined: arguments.joined,
            together: (arguments.joined && both).then(|| Barrier::new(2)),
        }
    }

    /// To be called by either sender before each second of timestamps.
    pub(crate) fn wait(&self) {
        if let Some(barrier) = &self.together {
            barrier.wait();
        }
    }

    /// The `n`th request of a half second; none where ids are each sender's own.
    pub(crate) fn request(&self, half_second: u64, n: u64) -> Option<Request> {
        let mut rng = Rng::new(self.seed ^ (half_second << 20) ^ n);
        let mut request = Request { trace_id: [0; 16], root_span_id: [0; 8], circuit: rng.below(20_000) };
        rng.fill(&mut request.trace_id);
        rng.fill(&mut request.root_span_id);
        self.is_joined.then_some(request)
    }
}

/// Traces of each half second.
pub(crate) fn traces_per_half_second(arguments: &Arguments) -> u64 {
    (arguments.spans / SPANS_PER_TRACE / 2).max(1)
}
