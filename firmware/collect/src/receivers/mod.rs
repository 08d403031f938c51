//! Receivers: protocols that others push to us.
//!
//! Each is a function from a [`ReceiverState`] to an axum router; paths of different protocols are disjoint, so any
//! of them may share a port. The way of a request is the same everywhere:
//!
//! `body` reads it, reserving as it arrives → `unpack` undoes the compression → `decode` makes a batch →
//! `submit` hands it to the writer and waits → the protocol's own file turns the outcome into an answer.
//! Whatever stops a request on the way is a `Refusal`.

mod admission;
pub(crate) mod automatic_labels;
mod body;
mod correlation;
mod counters;
mod datagrams;
mod decode;
mod grpc;
#[cfg(test)]
mod grpc_client_tests;
mod import;
mod jaeger_grpc;
mod jaeger_http;
mod jaeger_sampling;
mod jaeger_udp;
mod json_lines;
mod log_batch;
mod loki_push;
mod node;
mod otlp;
mod otlp_grpc;
mod otlp_http;
mod promotion;
mod rates;
mod refusal;
mod remote_write;
#[cfg(test)]
mod span_tests;
mod spans;
mod submit;
mod syslog;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unpack;
mod zipkin;

pub use bramble_wire::otlp::{LogOptions, MetricOptions, Promotion, Translation};
pub use correlation::correlation;
pub use counters::ReceiveCounters;
pub use import::import;
pub use jaeger_grpc::jaeger_grpc;
pub use jaeger_http::jaeger_http;
pub use jaeger_sampling::{SamplingStrategy, jaeger_sampling};
pub use jaeger_udp::jaeger_udp;
pub use log_batch::LokiOptions;
pub use loki_push::loki_push;
pub use node::{
    NewToken, NodeAddress, NodeError, NodeOptions, NodeRegistry, NodeStore, NodeView, TokenView, node, register_nodes,
};
pub use otlp::OtlpOptions;
pub use otlp_grpc::otlp_grpc;
pub use otlp_http::otlp_http;
pub use rates::RateLimits;
pub use remote_write::remote_write;
pub use syslog::{SyslogOptions, SyslogZone, UnknownZone, syslog_tcp, syslog_udp};
pub use zipkin::zipkin;

use admission::Admission;
use bramble_runtime::{Budget, Clock};
use bramble_storage::Writer;
use decode::Decoders;
use log_batch::LogPolicy;
use std::sync::Arc;
use std::time::Duration;

/// How large and how slow a request may be. Sizes are further bounded by the budget: what could not fit even if it
/// were empty is refused for good.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveLimits {
    /// Largest body as it arrives, in bytes. Default 16 MiB.
    pub body_bytes_max: usize,
    /// Largest body after decompression, in bytes. Default 32 MiB.
    pub decompressed_bytes_max: usize,
    /// How long a sender may pause within a body. Default 30 s.
    pub body_idle_max: Duration,
    /// Limits on single items.
    pub items: bramble_wire::Limits,
}

impl Default for ReceiveLimits {
    fn default() -> Self {
        ReceiveLimits {
            body_bytes_max: 16 << 20,
            decompressed_bytes_max: 32 << 20,
            body_idle_max: Duration::from_secs(30),
            items: bramble_wire::Limits::default(),
        }
    }
}

/// What all receivers share. Cheap to clone.
#[derive(Clone)]
pub struct ReceiverState(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) writer: Arc<dyn Writer>,
    pub(crate) receive: Budget,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: ReceiveLimits,
    pub(crate) logs: LogPolicy,
    pub(crate) deltas: otlp::DeltaMemory,
    pub(crate) counters: ReceiveCounters,
    pub(crate) decoders: Decoders,
    pub(crate) admission: Admission,
}

impl ReceiverState {
    /// `receive` is the budget of that name; of the options, Loki's govern labels and rates of logs of every protocol,
    /// OTLP's the translation of metrics and what becomes a label of a log stream.
    pub fn new(
        writer: Arc<dyn Writer>,
        receive: Budget,
        clock: Arc<dyn Clock>,
        limits: ReceiveLimits,
        (loki, otlp): (LokiOptions, OtlpOptions),
        counters: ReceiveCounters,
    ) -> Self {
        let deltas = otlp::DeltaMemory::new(&otlp, &receive);
        let decoders = Decoders::new(limits.items, otlp, &deltas.streams);
        let logs = LogPolicy::new(&loki, limits.items.label_value_bytes_max, &receive);
        let admission = Admission::default();
        ReceiverState(Arc::new(Shared { writer, receive, clock, limits, logs, deltas, counters, decoders, admission }))
    }
}

impl Shared {
    /// What requests may take of the budget, in bytes: what sums of delta streams may hold is never theirs, and a
    /// request that could only fit without them would be told "later" for ever.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.receive.limit_bytes().saturating_sub(self.deltas.bytes_max)
    }

    /// Largest body that is read, in bytes: half of the budget at most, so that two can be in flight.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.limits.body_bytes_max.min(self.request_bytes_max() / 2)
    }

    /// Largest decompressed body, in bytes: leaves a third of the budget to the batch that it becomes.
    pub(crate) fn decompressed_bytes_max(&self) -> usize {
        self.limits.decompressed_bytes_max.min(self.request_bytes_max() / 3 * 2)
    }
}
