//! Answers to exporters.

use super::any_value::{push_display, push_json_text};
use crate::protobuf::Writer;
use crate::{Format, Rejected};
use bramble_signal::Signal;
use std::time::Duration;

/// Appends the `Export…ServiceResponse` of a request that was taken in, in whole or in part.
///
/// Without rejections `partial_success` stays unset, and the protobuf form is empty: exporters warn otherwise.
pub fn encode_export_response(format: Format, signal: Signal, rejected: &Rejected, out: &mut Vec<u8>) {
    let message = rejected.first_reason().map_or("", |(_, text)| text);
    match (format, rejected.is_empty()) {
        (Format::Protobuf, true) => {}
        (Format::Json, true) => out.extend_from_slice(b"{}"),
        (Format::Protobuf, false) => Writer::new(out).message(1, |w| {
            w.varint(1, rejected.count());
            w.bytes(2, message);
        }),
        (Format::Json, false) => {
            let key = match signal {
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
            };
            let mut text = String::new();
            push_display(
                &mut text,
                format_args!("{{\"partialSuccess\":{{\"{key}\":\"{}\",\"errorMessage\":", rejected.count()),
            );
            push_json_text(&mut text, message);
            text.push_str("}}");
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// A refusal: `google.rpc.Status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RpcStatus<'a> {
    /// `google.rpc.Code`, the numbers of gRPC: 3 invalid argument, 8 resource exhausted, 14 unavailable, …
    pub code: u32,
    /// For the sender's log.
    pub message: &'a str,
    /// When to try again (`google.rpc.RetryInfo`). On gRPC, exporters retry `RESOURCE_EXHAUSTED` only with it.
    pub retry_delay: Option<Duration>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Appends the status: the body of an OTLP/HTTP error, and in protobuf form also the payload of gRPC's
/// `grpc-status-details-bin` (before that header's base64).
pub fn encode_status(format: Format, status: &RpcStatus<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Protobuf => {
            let mut writer = Writer::new(out);
            writer.varint(1, status.code.into());
            writer.bytes(2, status.message);
            if let Some(delay) = status.retry_delay {
                writer.message(3, |w| {
                    w.bytes(1, RETRY_INFO);
                    w.message(2, |w| {
                        w.message(1, |w| {
                            w.varint(1, delay.as_secs());
                            w.varint(2, delay.subsec_nanos().into());
                        });
                    });
                });
            }
        }
        Format::Json => {
            let mut text = String::new();
            push_display(&mut text, format_args!("{{\"code\":{},\"message\":", status.code));
            push_json_text(&mut text, status.message);
            if let Some(delay) = status.retry_delay {
                let seconds = delay.as_secs_f64();
                let details =
                    format_args!(",\"details\":[{{\"@type\":\"{RETRY_INFO}\",\"retryDelay\":\"{seconds}s\"}}]");
                push_display(&mut text, details);
            }
            text.push('}');
            out.extend_from_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RejectReason;

    fn answer(format: Format, rejected: &Rejected) -> Vec<u8> {
        let mut out = Vec::new();
        encode_export_response(format, Signal::Traces, rejected, &mut out);
        out
    }

    #[test]
    fn success_says_nothing_and_loss_says_how_much() {
        let mut rejected = Rejected::default();
        assert_eq!(answer(Format::Protobuf, &rejected), b"");
        assert_eq!(answer(Format::Json, &rejected), b"{}");
        rejected.add(RejectReason::InvalidUtf8, 3, String::new);
        assert_eq!(answer(Format::Protobuf, &rejected), b"\x0a\x15\x08\x03\x12\x11text is not UTF-8");
        assert_eq!(
            String::from_utf8(answer(Format::Json, &rejected)).unwrap(),
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"text is not UTF-8"}}"#
        );
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let status = RpcStatus { code: 8, message: "full", retry_delay: Some(Duration::from_millis(1500)) };
        let mut out = Vec::new();
        encode_status(Format::Protobuf, &status, &mut out);
        let mut expected =
            b"\x08\x08\x12\x04full\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x0a".to_vec();
        expected.extend(b"\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01");
        assert_eq!(out, expected);
        out.clear();
        encode_status(Format::Json, &status, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"code":8,"message":"full","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}"#
        );
    }
}
