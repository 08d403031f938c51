//! Log pipelines: what is done to lines between the place where they are read and the batch they are written in.
//!
//! Stages are Promtail's `pipeline_stages`: the same names, fields, defaults and order, so that a `promtail.yaml` can be
//! taken as it is, and one engine runs them whether they come from there or from `bramble.toml`. What is not served is
//! refused when the pipeline is compiled, with the place of the stage and what to use instead.
//!
//! ```text
//! RawLine ──▶ Entry: line, time, labels, metadata, values ──▶ stage ──▶ stage ──▶ … ──▶ redaction ──▶ LogBuilder ──▶ LogBatch
//!                                                               │ drops, holds back (multiline, cri), releases
//! ```
//!
//! * [`LogPipeline::compile`] gives one instance; [`LogPipeline::fork`] makes others for other streams of lines. What is
//!   compiled, counters, limits and series are shared; lines that wait are an instance's own.
//! * Values have slots that are known when a pipeline is compiled; their texts, the line and the labels live in buffers that
//!   are used for every line. Nothing is allocated per line by `json`, `regex`, `labels` and `timestamp`.
//! * All that grows is bounded: values of a line (4 MiB), lines that wait (64 streams of 1 MiB), limits by label, series.
//! * A line that a stage cannot work on goes on unchanged and is counted as an error of that stage.
//!
//! Written from the documentation of Promtail and of Alloy's `loki.process`.

mod builder;
mod chain;
mod compile;
pub mod config;
mod counts;
mod entry;
mod error;
mod labels;
mod pipeline;
pub mod redact;
mod redaction;
mod stages;
mod time;
mod trace;
mod values;

#[cfg(test)]
mod tests;

pub use builder::LogBuilder;
pub use config::StageConfig;
pub use counts::StageCount;
pub use error::StageError;
pub use pipeline::{LogPipeline, RawLine};
pub use redact::{RedactConfig, Redactor};
pub use redaction::Redaction;
pub use trace::{Outcome, Step};
