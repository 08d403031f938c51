//! What Jaeger's and Zipkin's receivers have in common: from a message to stored spans.

use super::ReceiverState;
use super::body::Held;
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::log_batch::grouped;
use super::otlp_http::respond;
use super::refusal::{Class, Refusal, retry_after_seconds};
use super::submit::{Batch, submit};
use super::unpack::unpack;
use axum::response::Response;
use bramble_signal::SpanBatch;
use bramble_wire::compression::Encoding;
use bramble_wire::{DecodeError, Decoded};
use http::{HeaderValue, StatusCode, header};

/// Unpacks, decodes and stores a message. `attempt` gets the message and what the batch may take.
///
/// Returns what to complain about although the rest is stored.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn take_spans(
    state: &ReceiverState,
    protocol: Protocol,
    encoding: Encoding,
    body: Held,
    mut attempt: impl FnMut(&ReceiverState, &[u8], usize) -> Result<Decoded<SpanBatch>, DecodeError> + Send + 'static,
) -> Result<Option<String>, Refusal> {
    let body_bytes = body.bytes.len();
    let work = move |state: &ReceiverState| {
        let message = unpack(state, encoding, body)?;
        let budget = state.0.request_bytes_max();
        let memory = |decoded: &Decoded<SpanBatch>| decoded.batch.memory_bytes();
        decode_within(message, &state.0.limits.items, budget, 0, memory, |body, batch_bytes| {
            attempt(state, body, batch_bytes)
        })
    };
    let (decoded, held) = run(body_bytes, state, work).await?;
    for (reason, count) in decoded.rejected.by_reason() {
        state.0.counters.rejected(protocol, reason.as_str(), count);
    }
    let written = submit(state, Batch::Spans(decoded.batch), held).await?;
    let refused = decoded.rejected.stories().map(|(_, count, text)| (count, text));
    let stories: Vec<(u64, &str)> = refused.chain(written.rejections.stories().map(|(_, n, text)| (n, text))).collect();
    Ok((!stories.is_empty()).then(|| grouped(&stories)))
}

/// An answer of text; 202 without any when there is nothing to complain about.
pub(super) fn answer(outcome: Result<Option<String>, Refusal>) -> Response {
    match outcome {
        Ok(None) => respond(StatusCode::ACCEPTED, "text/plain; charset=utf-8", Vec::new()),
        Ok(Some(story)) => text(StatusCode::BAD_REQUEST, &story),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let message = refusal.message();
    match refusal.class() {
        Class::Bad => text(StatusCode::BAD_REQUEST, &message),
        Class::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, &message),
        Class::Unsupported => text(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message),
        Class::Later(after) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, &message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
            response
        }
    }
}

pub(super) fn text(status: StatusCode, message: &str) -> Response {
    respond(status, "text/plain; charset=utf-8", format!("{message}\n").into_bytes())
}
