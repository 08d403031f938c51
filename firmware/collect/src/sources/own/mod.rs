//! Bramble's own telemetry, into its own stores: whoever looks at a Pi with Bramble can look at Bramble too.
//!
//! * [`run_metrics`]: everything in a Prometheus registry, as a scrape of `/metrics` would give it, `job="bramble"`;
//! * [`own_logs`]: a `tracing` layer and [`run_logs`], stream `service="bramble"`;
//! * [`own_spans`]: a `tracing` layer and [`run_spans`], resource `service.name=bramble`.
//!
//! Layers run on whatever thread emits, so they never wait, never call the writer and never log: they put small
//! records into a bounded queue and count those that found it full. Writing what was emitted emits again (a journal
//! commit has a span, a failed write a log line); that ends because it never causes a commit of its own and because
//! spans are sampled.

mod fields;
mod logs;
mod metrics;
mod spans;

pub use logs::{OwnLogs, OwnLogsLayer, own_logs, run_logs};
pub use metrics::{gather, run_metrics};
pub use spans::{OwnSpans, OwnSpansLayer, own_spans, run_spans};

/// What own telemetry is called: the service of logs and spans, the job of metrics.
pub const SERVICE: &str = "bramble";
