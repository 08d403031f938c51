//! Spans as OTLP's `ExportTraceServiceRequest`, in order of arrival.

use crate::otlp;
use crate::{DecodeError, Decoded, Format, Limits};
use bramble_signal::SpanBatch;

/// Appends the batch. Resources and scopes that no span refers to are left out; one to which spans come back after spans of
/// another is repeated.
pub fn put_spans(batch: &SpanBatch, out: &mut Vec<u8>) {
    otlp::encode_arrivals_protobuf(batch, out);
}

/// Reads a batch that takes at most `limit_bytes` of memory.
///
/// # Errors
/// [`DecodeError`] for damage, attributes that are nested too deeply, or a batch above the limit.
pub fn read_spans(payload: &[u8], limit_bytes: usize) -> Result<Decoded<SpanBatch>, DecodeError> {
    let limits = Limits { batch_bytes_max: limit_bytes, ..Limits::default() };
    otlp::Decoder::new(limits).traces(Format::Protobuf, payload)
}
