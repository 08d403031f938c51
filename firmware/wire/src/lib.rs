//! Bytes to signal and back: one module per protocol, pure functions over slices. No sockets, no clock, no
//! storage; a door reads a body, undoes its [`compression`], decodes it here, and hands the batch on.
//!
//! What it promises:
//! * any bytes give a batch or a [`DecodeError`], never a panic, and never more memory than the limit passed in
//!   ([`Limits::batch_bytes_max`], `limit_bytes`): bodies come from anybody who reaches a port;
//! * a request that is well-formed but holds some bad items gives the good ones, and says what was
//!   [`Rejected`], so that each protocol can answer in its own way (`partial_success`, 400 after storing, …);
//! * items go straight into the flat batch types of `bramble-signal`. Decoders own their scratch memory and are
//!   meant to be kept, one per worker: a request then costs a handful of allocations, not some per item.
//!
//! ```
//! use bramble_wire::{Format, Limits, otlp};
//! let mut decoder = otlp::Decoder::new(Limits::default());
//! let decoded = decoder.logs(Format::Json, br#"{"resourceLogs":[]}"#, 0)?;
//! assert!(decoded.batch.is_empty() && decoded.rejected.is_empty());
//! # Ok::<(), bramble_wire::DecodeError>(())
//! ```

pub mod compression;
pub mod correlation_logs;
pub mod delivery;
mod error;
mod exemplar;
pub mod exposition;
mod hex;
pub mod inflate;
pub mod jaeger;
pub mod json_lines;
mod label_set;
mod limits;
pub mod loki;
pub mod otlp;
pub mod protobuf;
pub mod remote_read;
pub mod remote_write;
mod spans;
pub mod syslog;
pub mod thrift;
mod time_text;
pub mod victoria;
pub mod zipkin;

pub use error::{DecodeError, DecodeErrorKind};
pub use limits::{Limits, RejectReason, Rejected};

/// How a body is written. OTLP answers in the format of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Protocol buffers.
    Protobuf,
    /// JSON.
    Json,
}

impl Format {
    /// The media type that names this format in OTLP/HTTP.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        }
    }

    /// The format of a `Content-Type` header, parameters and case ignored; `None` for any other type.
    pub fn from_media_type(header: &str) -> Option<Self> {
        let essence = header.split(';').next().unwrap_or("").trim();
        [Format::Protobuf, Format::Json].into_iter().find(|f| essence.eq_ignore_ascii_case(f.media_type()))
    }
}

/// A decoded request: what can be stored, and what can not.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Decoded<B> {
    /// The good items.
    pub batch: B,
    /// The bad ones, counted; in spans, log entries or samples, a point of an OTLP histogram being one.
    pub rejected: Rejected,
    /// Exemplars that break their rules where the protocol does not count them as items: left out without an error
    /// (as Prometheus has it).
    pub exemplars_skipped: u64,
    /// Histograms that only say that their series ends: samples with a staleness marker in the batch.
    pub stale_histograms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_ignore_parameters_and_case() {
        assert_eq!(Format::from_media_type("Application/JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(Format::from_media_type("application/x-protobuf"), Some(Format::Protobuf));
        assert_eq!(Format::from_media_type("text/plain"), None);
    }
}
