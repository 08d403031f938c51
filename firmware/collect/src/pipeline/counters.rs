//! What pipelines count.

use bramble_signal::Signal;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// All counters of pipelines. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct PipelineCounters {
    dropped: IntCounterVec,
    refused: IntCounterVec,
    redacted: IntCounterVec,
}

/// The counters of one step, by signal.
#[derive(Clone, Debug)]
pub(super) struct StepCounters {
    dropped: [IntCounter; 3],
    refused: [IntCounter; 3],
}

fn place(signal: Signal) -> usize {
    usize::from(signal.code() - 1)
}

impl PipelineCounters {
    /// Registers `bramble_pipeline_dropped_total{pipeline,signal,reason}`, `bramble_pipeline_refused_total{pipeline,signal}`
    /// and `bramble_pipeline_redacted_total{signal}`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vector = |name: &str, help: &str, labels: &[&str]| {
            let vector = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        Ok(PipelineCounters {
            dropped: vector(
                "bramble_pipeline_dropped_total",
                "Samples, log entries and spans that a pipeline dropped, as it was told to.",
                &["pipeline", "signal", "reason"],
            )?,
            refused: vector(
                "bramble_pipeline_refused_total",
                "Batches that a memory limiter refused, to be sent again.",
                &["pipeline", "signal"],
            )?,
            redacted: vector(
                "bramble_pipeline_redacted_total",
                "Secrets that were taken out of what was pushed.",
                &["signal"],
            )?,
        })
    }

    /// The counters of a step.
    pub(super) fn step(&self, pipeline: &str, reason: &str) -> StepCounters {
        StepCounters {
            dropped: Signal::ALL.map(|signal| self.dropped.with_label_values(&[pipeline, signal.as_str(), reason])),
            refused: Signal::ALL.map(|signal| self.refused.with_label_values(&[pipeline, signal.as_str()])),
        }
    }

    /// Counts secrets that were taken out.
    pub(super) fn redacted(&self, signal: Signal, count: u64) {
        self.redacted.with_label_values(&[signal.as_str()]).inc_by(count);
    }
}

impl StepCounters {
    /// Counts items that were dropped.
    pub(super) fn dropped(&self, signal: Signal, items: u64) {
        if let Some(counter) = self.dropped.get(place(signal)) {
            counter.inc_by(items);
        }
    }

    /// Counts a batch that was refused.
    pub(super) fn refused(&self, signal: Signal) {
        if let Some(counter) = self.refused.get(place(signal)) {
            counter.inc();
        }
    }
}
