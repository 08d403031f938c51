//! Jaeger: Thrift batches as clients send them by UDP and HTTP, and the protobuf of gRPC's `PostSpans`, to spans.
//!
//! The data model is OpenTelemetry's, so Jaeger's is translated on the way, as the OpenTelemetry Collector does:
//!
//! | Jaeger | here |
//! | --- | --- |
//! | process: service, tags | resource: `service.name`, attributes; `hostname` is also `host.name` |
//! | 64-bit trace id | 128 bits, zeros on the left |
//! | parent id, else the first CHILD_OF, else FOLLOWS_FROM of the same trace | parent |
//! | other references | links, with `opentracing.ref_type` |
//! | tag `span.kind` | kind |
//! | tags `error`, `otel.status_code`, `otel.status_description`, else `http.status_code` | status |
//! | tags `otel.scope.name`, `otel.scope.version` (or `otel.library.…`) | scope |
//! | tag `w3c.tracestate` | trace state |
//! | log | event, named by its field `event`, else `message` |
//! | flags | bit 0: sampled; debug as the attribute `jaeger.debug` |
//! | tags `otel.dropped_…_count` | dropped counts |
//! | warnings | the attribute `@jaeger@warnings` |
//!
//! All else is kept as it came, several tags of one name too. A span without ids, or with names that are not text, is
//! rejected and the rest kept; damage to the structure ends the packet or request, of which nothing is kept then.
//!
//! Source: jaeger-idl `thrift/{jaeger,agent}.thrift`, `proto/api_v2/{model,collector}.proto`.

mod draft;
mod proto;
mod tags;
mod thrift;

use crate::spans::Mark;
use crate::thrift::{Message, MessageKind, Protocol, Reader};
use crate::{DecodeError, DecodeErrorKind, Decoded, Limits, zipkin};
use bramble_signal::SpanBatch;
use draft::{Scratch, Spans};

/// Decodes packets and requests; keeps its scratch memory between them. One per worker, not shared.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    scratch: Scratch,
    zipkin: zipkin::Decoder,
}

impl Decoder {
    /// A decoder that holds batches to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, scratch: Scratch::default(), zipkin: zipkin::Decoder::new(limits) }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
        self.zipkin.set_batch_bytes_max(batch_bytes_max);
    }

    /// Appends what is in a packet to the agent, `emitBatch` or `emitZipkinBatch`, in whichever Thrift protocol it is
    /// written, to what `decoded` has already. `now_ns` is for Zipkin's spans without a time.
    ///
    /// # Errors
    /// [`DecodeError`] when the packet is something else, is damaged, or when the batch would become larger than
    /// [`Limits::batch_bytes_max`]; `decoded` is as before then.
    pub fn packet(&mut self, packet: &[u8], now_ns: i64, decoded: &mut Decoded<SpanBatch>) -> Result<(), DecodeError> {
        let (message, reader) = Message::read(packet)?;
        if !matches!(message.kind, MessageKind::Call | MessageKind::Oneway) {
            return Err(DecodeError::new(DecodeErrorKind::Malformed, "Thrift message is not a call", 0));
        }
        match message.name {
            "emitBatch" => self.append(decoded, |spans| spans.arguments(reader)),
            "emitZipkinBatch" => self.zipkin.append_thrift_arguments(reader, now_ns, decoded),
            other => {
                let name: String = other.chars().take(40).collect();
                let text = format!("unknown method {name:?}; emitBatch and emitZipkinBatch are known");
                Err(DecodeError::new(DecodeErrorKind::Malformed, text, 0))
            }
        }
    }

    /// Decodes a `Batch` in Thrift, as the collector's HTTP endpoint takes it.
    ///
    /// # Errors
    /// [`DecodeError`] when the body is damaged, or the batch would become too large.
    pub fn thrift_batch(&mut self, protocol: Protocol, body: &[u8]) -> Result<Decoded<SpanBatch>, DecodeError> {
        let mut decoded = Decoded::default();
        self.append(&mut decoded, |spans| spans.batch(&mut Reader::new(protocol, body)))?;
        Ok(decoded)
    }

    /// Decodes a `PostSpansRequest` of `jaeger.api_v2.CollectorService`.
    ///
    /// # Errors
    /// As [`thrift_batch`](Self::thrift_batch).
    pub fn post_spans(&mut self, body: &[u8]) -> Result<Decoded<SpanBatch>, DecodeError> {
        let mut decoded = Decoded::default();
        self.append(&mut decoded, |spans| spans.post_spans(body))?;
        Ok(decoded)
    }

    fn append(
        &mut self,
        decoded: &mut Decoded<SpanBatch>,
        read: impl FnOnce(&mut Spans<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let (mark, rejected) = (Mark::of(&decoded.batch), decoded.rejected.clone());
        let result = read(&mut Spans::new(&mut self.scratch, &self.limits, decoded)?);
        if result.is_err() {
            mark.restore(&mut decoded.batch);
            decoded.rejected = rejected;
        }
        result
    }
}

#[cfg(test)]
mod tests;
