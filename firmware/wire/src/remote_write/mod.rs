//! Prometheus remote write 1.0 and 2.0: `prometheus.WriteRequest` and `io.prometheus.write.v2.Request` to a
//! [`MetricBatch`].
//!
//! Labels that come unsorted are sorted. A series that breaks the contract in a way that cannot be mended
//! (repeated or empty label names, no metric name, text that is not UTF-8, over a limit, references to symbols that
//! are not there) is rejected with its samples, a native histogram that contradicts itself alone; the rest is kept.
//! An exemplar that breaks its rules is skipped in 1.0 and rejected in 2.0, whose senders count them. The body must
//! be decompressed already ([`compression`](crate::compression); snappy's block format by contract).
//!
//! Source: Prometheus' remote write specifications 1.0 and 2.0-rc.4, `prompb/types.proto` and
//! `prompb/io/prometheus/write/v2/types.proto`; of 2.0 both the series' `created_timestamp` of earlier candidates and
//! the samples' `start_timestamp` are read.

mod encode;
pub(crate) mod histogram;
mod metadata;
mod plain;
mod series;
mod symbols;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use encode::encode;
pub(crate) use encode::family_of;
pub(crate) use symbols::Symbols;
pub(crate) use v1::name_and_value;

use crate::label_set::LabelSet;
use crate::{DecodeError, Decoded, Limits};
use bramble_signal::MetricBatch;
use std::collections::HashSet;

/// Which message a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Message {
    /// The message that a `Content-Type` header names: 1.0 when it names none, as before there were others; `None`
    /// for another type, another message or a header that is not well-formed.
    pub fn from_content_type(header: &str) -> Option<Self> {
        let mut pieces = header.split(';').map(str::trim);
        let essence = pieces.next().unwrap_or_default();
        if !essence.is_empty() && !essence.eq_ignore_ascii_case("application/x-protobuf") {
            return None;
        }
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("proto") {
                return match value.trim().trim_matches('"') {
                    "prometheus.WriteRequest" => Some(Message::V1),
                    "io.prometheus.write.v2.Request" => Some(Message::V2),
                    _ => None,
                };
            }
        }
        Some(Message::V1)
    }
}

/// Decodes write requests; keeps its scratch memory between them. One per worker, not shared.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    scratch: Scratch,
}

/// Memory reused from series to series.
#[derive(Clone, Default, Debug)]
struct Scratch {
    labels: LabelSet,
    /// Of a plain series.
    encoded: Vec<u8>,
    samples: Vec<(i64, f64)>,
    exemplar: LabelSet,
    histogram: histogram::Scratch,
    /// Metric families whose metadata the batch has.
    families: HashSet<Box<str>>,
}

impl Decoder {
    /// A decoder that holds series to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, ..Default::default() }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Decodes a request. Rejections count samples and histograms, in 2.0 also exemplars; a series without any
    /// counts as one.
    ///
    /// # Errors
    /// [`DecodeError`] when the request is damaged or would become too large.
    pub fn decode(&mut self, message: Message, body: &[u8]) -> Result<Decoded<MetricBatch>, DecodeError> {
        match message {
            Message::V1 => v1::decode(body, &self.limits, &mut self.scratch),
            Message::V2 => v2::decode(body, &self.limits, &mut self.scratch),
        }
    }
}
