//! Statistics of a query, as `stats=all` asks for them.

use bramble_query_promql::SampleStats;
use std::time::{Duration, Instant};

/// When a query's steps were.
#[derive(Clone, Copy)]
pub(super) struct Timer {
    asked: Instant,
}

/// What is told of a query.
pub(super) struct Timings {
    queue: Duration,
    eval: Duration,
    began: Instant,
}

impl Timer {
    /// Begins when the request was read.
    pub(super) fn start() -> Self {
        Timer { asked: Instant::now() }
    }

    /// Called when it is the query's turn.
    pub(super) fn turn(self) -> Timings {
        Timings { queue: self.asked.elapsed(), eval: Duration::ZERO, began: Instant::now() }
    }
}

impl Timings {
    /// Called when it was evaluated.
    pub(super) fn evaluated(&mut self) {
        self.eval = self.began.elapsed();
    }

    /// As Prometheus prints it. Evaluation prepares and sorts by itself, so that those two are not told apart.
    pub(super) fn json(&self, samples: &SampleStats) -> serde_json::Value {
        let (queue, eval) = (self.queue.as_secs_f64(), self.eval.as_secs_f64());
        serde_json::json!({
            "timings": {
                "evalTotalTime": eval, "resultSortTime": 0, "queryPreparationTime": 0, "innerEvalTime": eval,
                "execQueueTime": queue, "execTotalTime": queue + eval,
            },
            "samples": {
                "totalQueryableSamples": samples.total_queryable, "peakSamples": samples.peak,
            },
        })
    }
}
