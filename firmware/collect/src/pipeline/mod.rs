//! What happens to batches between a receiver and the write path: writers that wrap a writer.

mod attributes;
mod batch;
mod compiled;
mod config;
mod counters;
mod enrich;
mod fields;
mod filter;
mod limit;
pub mod logs;
mod redact_spans;
mod run_logs;
mod run_metrics;
mod run_spans;
pub mod sampling;
mod selector;
#[cfg(test)]
mod tests;
mod writer;

pub use compiled::PipelineError;
pub use config::{
    ActionConfig, ActionKind, BatchConfig, ConvertTo, Detector, EnrichConfig, FieldValue, FilterConfig, LimiterConfig,
    PipelineConfig, Place, SignalName, StepConfig,
};
pub use writer::{OpenPipelinesError, PipelineOptions, Pipelines};
