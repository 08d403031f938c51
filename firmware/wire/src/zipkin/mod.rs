//! Zipkin: spans in JSON (versions 2 and 1), protobuf (2) and Thrift (1), to spans.
//!
//! | Zipkin | here |
//! | --- | --- |
//! | `localEndpoint` (1: of the annotations that say what kind) | resource's `service.name`; `net.host.ip`, `net.host.port` |
//! | `remoteEndpoint` (1: `sa`, `ca`, `ma`) | `peer.service`, `net.peer.ip`, `net.peer.port` |
//! | `kind` (1: `cs`, `cr`, `sr`, `ss`, `ms`, `mr`) | kind |
//! | tags; numbers stay text, as in Zipkin | attributes; those that name a resource (`host.…`, `k8s.…`) the resource's |
//! | tags `error`, `otel.status_code`, `otel.status_description` | status; the text of `error` is its message |
//! | tags `otel.scope.name`, `otel.scope.version`, `w3c.tracestate`, `otel.link.N` | scope, trace state, links |
//! | annotations | events; `name\|{…}\|0`, `{"name":{…}}` and `"name":{…}`, as OpenTelemetry's exporters write them, with attributes |
//! | no timestamp | the first annotation's, else now with `otel.zipkin.absentField.startTime` |
//! | `debug` | flags: sampled; exporters of OpenTelemetry set it on everything |
//! | `shared` | the attribute `zipkin.shared`: both sides of a call keep the id that they share, told apart by their kind |
//!
//! JSON of both versions is read alike, whatever path it came by: they have no key in common that means two things.
//!
//! Source: zipkin-api `zipkin2-api.yaml`, `zipkin.proto`, `thrift/zipkinCore.thrift`; OpenTelemetry's specification of
//! its Zipkin exporter; the Collector's `zipkin` translators.

mod draft;
mod event;
mod json;
mod link;
mod proto;
mod tags;
mod thrift;

use crate::error::ItemError;
use crate::spans::Mark;
use crate::thrift::{Protocol, Reader};
use crate::{DecodeError, Decoded, Limits};
use bramble_signal::SpanBatch;
use draft::{Draft, Spans};

/// Decodes requests; keeps its scratch memory between them. One per worker, not shared.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    draft: Draft,
}

impl Decoder {
    /// A decoder that holds batches to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, draft: Draft::default() }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Decodes a list of spans in JSON, of version 1 or 2. `now_ns`, in nanoseconds since the Unix epoch, is the time of
    /// spans that have none; so it is below.
    ///
    /// # Errors
    /// [`DecodeError`] when it is no such list, or the batch would become too large; so do the others.
    pub fn json(&mut self, body: &[u8], now_ns: i64) -> Result<Decoded<SpanBatch>, DecodeError> {
        self.whole(now_ns, |spans| json::decode(body, spans))
    }

    /// Decodes a `ListOfSpans` of version 2.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub fn protobuf(&mut self, body: &[u8], now_ns: i64) -> Result<Decoded<SpanBatch>, DecodeError> {
        self.whole(now_ns, |spans| proto::decode(body, spans))
    }

    /// Decodes a list of spans of version 1, in Thrift's binary protocol.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub fn thrift(&mut self, body: &[u8], now_ns: i64) -> Result<Decoded<SpanBatch>, DecodeError> {
        self.whole(now_ns, |spans| thrift::list(&mut Reader::new(Protocol::Binary, body), spans))
    }

    /// Appends the spans in the arguments of a call: a struct whose field 1 is a list of spans of version 1.
    pub(crate) fn append_thrift_arguments(
        &mut self,
        reader: Reader<'_>,
        now_ns: i64,
        decoded: &mut Decoded<SpanBatch>,
    ) -> Result<(), DecodeError> {
        self.append(now_ns, decoded, |spans| thrift::arguments(reader, spans))
    }

    fn whole(
        &mut self,
        now_ns: i64,
        read: impl FnOnce(&mut Spans<'_>) -> Result<(), DecodeError>,
    ) -> Result<Decoded<SpanBatch>, DecodeError> {
        let mut decoded = Decoded::default();
        self.append(now_ns, &mut decoded, read)?;
        Ok(decoded)
    }

    fn append(
        &mut self,
        now_ns: i64,
        decoded: &mut Decoded<SpanBatch>,
        read: impl FnOnce(&mut Spans<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let (mark, rejected) = (Mark::of(&decoded.batch), decoded.rejected.clone());
        let now_us = u64::try_from(now_ns).unwrap_or(0) / 1000;
        let result = read(&mut Spans::new(&mut self.draft, &self.limits, now_us, decoded)?);
        if result.is_err() {
            mark.restore(&mut decoded.batch);
            decoded.rejected = rejected;
        }
        result
    }
}

/// Goes on after an item that is left out.
fn keep_going(
    spans: &mut Spans<'_>,
    outcome: Result<(), ItemError>,
    story: impl FnOnce() -> String,
) -> Result<(), DecodeError> {
    match outcome {
        Ok(()) => Ok(()),
        Err(ItemError::Reject(reason)) => {
            spans.decoded.rejected.add(reason, 1, story);
            Ok(())
        }
        Err(ItemError::Fatal(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
