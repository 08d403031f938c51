//! OTLP: export requests to batches, batches and verdicts to answers.
//!
//! Protobuf is read directly. OTLP/JSON is first rewritten as protobuf ([`transcode`]), guided by a table of the
//! messages ([`schema`]), into memory that the decoder keeps; so both formats meet one decoder per signal and
//! cannot differ. Kept rules: unknown fields and keys are ignored; fields may come in any order; what is
//! individually bad (an id of the wrong length, a histogram that contradicts itself) is rejected and the rest
//! kept, as `partial_success` allows; damage to the structure fails the request.
//!
//! Source: opentelemetry-proto `docs/specification.md` and its `.proto` files, v1.

mod answer;
mod any_value;
mod encode;
mod encode_json;
mod encode_signals;
mod logs;
mod metrics;
mod schema;
mod traces;
mod transcode;

pub use answer::{RpcStatus, encode_export_response, encode_status};
pub(crate) use encode::encode_arrivals_protobuf;
pub use encode::encode_traces_protobuf;
pub use encode_json::{JsonDialect, encode_resource_spans_json, encode_traces_json};
pub use encode_signals::{encode_logs_protobuf, encode_metrics_protobuf};
pub use logs::LogOptions;
pub use metrics::{DeltaStreams, MetricOptions, Promotion, Translation};

use crate::label_set::LabelSet;
use crate::{DecodeError, Decoded, Format, Limits};
use bramble_signal::{Exemplar, LogBatch, MetricBatch, SpanBatch};
use std::collections::HashSet;
use std::sync::Arc;

/// Decodes export requests; keeps its scratch memory between them. One per worker, not shared.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    log_options: Arc<LogOptions>,
    metric_options: Arc<MetricOptions>,
    delta_streams: DeltaStreams,
    /// A JSON request as protobuf, at most about five times the request's size.
    transcoded: Vec<u8>,
    scratch: Scratch,
}

/// Memory reused from item to item.
#[derive(Clone, Default, Debug)]
struct Scratch {
    /// Encoded attributes of the item at hand.
    attributes: Vec<u8>,
    /// Encoded attributes of an event, a link or a body inside it.
    inner: Vec<u8>,
    events: Vec<u8>,
    links: Vec<u8>,
    text: String,
    /// Labels or structured metadata of the resource and scope.
    base: LabelSet,
    /// Labels or structured metadata of the item.
    labels: LabelSet,
    /// Labels of the resource's attributes that are promoted.
    promoted: LabelSet,
    /// Labels of an exemplar.
    exemplar: LabelSet,
    names: metrics::Names,
    bounds: Vec<u64>,
    counts: Vec<u64>,
    buckets: metrics::Exponential,
    /// Exemplars of the point at hand, descending by value.
    exemplars: Vec<Exemplar>,
    /// Metric families whose metadata the batch has.
    families: HashSet<Box<str>>,
}

impl Decoder {
    /// A decoder that holds items to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, ..Default::default() }
    }

    /// The limits in use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Gives scratch memory back, for a decoder that will be idle.
    pub fn release_memory(&mut self) {
        self.transcoded = Vec::new();
        self.scratch = Scratch::default();
    }

    /// Says how metrics are translated, and where the sums of their delta streams are kept: one for all decoders of
    /// a door, since any of them may get a stream's next point.
    pub fn set_metrics(&mut self, options: Arc<MetricOptions>, streams: DeltaStreams) {
        (self.metric_options, self.delta_streams) = (options, streams);
    }

    /// Says which attributes of a resource become labels of its streams.
    pub fn set_logs(&mut self, options: Arc<LogOptions>) {
        self.log_options = options;
    }

    /// Decodes an `ExportLogsServiceRequest`. An empty protobuf body is an empty request.
    ///
    /// A stream's labels come from the resource ([`LogOptions`]); all else becomes structured metadata under Loki's
    /// names. `now_ns`, in nanoseconds since the Unix epoch, is the time of records that have none.
    ///
    /// # Errors
    /// [`DecodeError`] when the request is damaged, nested too deeply, or would become too large.
    pub fn logs(&mut self, format: Format, body: &[u8], now_ns: i64) -> Result<Decoded<LogBatch>, DecodeError> {
        let Decoder { limits, log_options, transcoded, scratch, .. } = self;
        with_protobuf(format, &schema::LOGS_REQUEST, body, transcoded, |body| {
            logs::decode(body, now_ns, (limits, log_options), scratch)
        })
    }

    /// Decodes an `ExportTraceServiceRequest`. An empty protobuf body is an empty request.
    ///
    /// # Errors
    /// As [`logs`](Self::logs).
    pub fn traces(&mut self, format: Format, body: &[u8]) -> Result<Decoded<SpanBatch>, DecodeError> {
        let Decoder { limits, transcoded, scratch, .. } = self;
        with_protobuf(format, &schema::TRACES_REQUEST, body, transcoded, |body| traces::decode(body, limits, scratch))
    }

    /// Decodes an `ExportMetricsServiceRequest`. An empty protobuf body is an empty request.
    ///
    /// Names and labels are translated as Prometheus does ([`MetricOptions`]); each resource with attributes beyond
    /// its identity also yields a `target_info` series. Points of delta temporality are added up ([`DeltaStreams`]);
    /// a request that fails leaves their sums as they were.
    ///
    /// # Errors
    /// As [`logs`](Self::logs).
    pub fn metrics(&mut self, format: Format, body: &[u8]) -> Result<Decoded<MetricBatch>, DecodeError> {
        let Decoder { limits, metric_options, delta_streams, transcoded, scratch, .. } = self;
        with_protobuf(format, &schema::METRICS_REQUEST, body, transcoded, |body| {
            metrics::decode(body, limits, (metric_options, delta_streams), scratch)
        })
    }
}

fn with_protobuf<T>(
    format: Format,
    schema: &'static schema::Message,
    body: &[u8],
    transcoded: &mut Vec<u8>,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match format {
        Format::Protobuf => decode(body),
        Format::Json => {
            transcode::transcode(schema, body, transcoded)?;
            // A position in the rewritten request would mislead.
            decode(transcoded).map_err(DecodeError::without_position)
        }
    }
}

#[cfg(test)]
mod tests;
