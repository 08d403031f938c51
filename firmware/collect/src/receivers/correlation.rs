//! The ways in of the correlation API: logs at `POST /api/logs`, OTLP at `POST /api/otlp/{logs,metrics,traces}`.
//!
//! | condition | answer to logs |
//! | --- | --- |
//! | taken | 200 |
//! | some records refused | 207: the rest is stored, each bad record is named |
//! | none taken | 400: each bad record is named |
//! | not JSON | 400 with line and column |
//! | too large | 413 |
//! | other encoding | 415 |
//! | over the rate, or the number of streams | 429 + `Retry-After`; what could be stored is |
//! | memory, journal or disk full, stopping | 503 + `Retry-After` |
//!
//! All answers are JSON: `{"accepted":2,"rejected":[{"index":1,"field":"timestamp","reason":"…"}]}`, where `index` counts the
//! records of the body from 0, or `{"error":"…"}`. What the store refuses, which knows no numbers, is counted by reason in
//! `rejected_by_store`; a record that is stored although a trace or span id of it is none is named in `warnings`. Encodings gzip, deflate, zstd and snappy. `?service=…&host=…&env=…` are the resource of bodies that have
//! none. What is made of a record: [`bramble_wire::correlation_logs`]. OTLP is answered as at `/v1/…`.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::log_batch::{Admitted, Complaint, admit, complaint};
use super::otlp_http::{self, header_text, respond};
use super::rates::{Limited, PER_STREAM};
use super::refusal::{Class, Refusal, retry_after_seconds};
use super::submit::{Batch, submit};
use super::unpack::unpack;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use axum::routing::post;
use bramble_line::ids::{IdKind, find_in_field};
use bramble_signal::Signal;
use bramble_storage::Written;
use bramble_wire::compression::Encoding;
use bramble_wire::correlation_logs::{BodyKind, Posted, Refused, is_place};
use bramble_wire::{DecodeError, Rejected};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::Instrument;

/// The routes of the correlation API's ways in.
pub fn correlation(state: ReceiverState) -> Router {
    let otlp = |signal: Signal| {
        post(move |State(state): State<ReceiverState>, request: Request| async move {
            otlp_http::answer(&state, Protocol::OtlpHttp, signal, request).await
        })
    };
    Router::new()
        .route("/api/logs", post(answer))
        .route("/api/otlp/logs", otlp(Signal::Logs))
        .route("/api/otlp/metrics", otlp(Signal::Metrics))
        .route("/api/otlp/traces", otlp(Signal::Traces))
        // Exporters that add the signal's path to an endpoint.
        .route("/api/otlp/v1/logs", otlp(Signal::Logs))
        .route("/api/otlp/v1/metrics", otlp(Signal::Metrics))
        .route("/api/otlp/v1/traces", otlp(Signal::Traces))
        .with_state(state)
}

/// Finds ids in a field: under our names, and as Bramble finds them everywhere; traces and spans in lower case, so that the
/// same one is the same text. A malformed one keeps its text; zeros are how loggers say that there is none.
pub(super) fn ids_of_field(name: &str, value: &str, found: &mut dyn FnMut(&'static str, &str)) -> bool {
    let kind = IdKind::of_name(name.as_bytes());
    let mut any = false;
    find_in_field(name.as_bytes(), value.as_bytes(), &mut |kind, id| {
        let Ok(id) = std::str::from_utf8(id) else { return };
        any = true;
        match kind {
            IdKind::Trace | IdKind::Span => found(kind.as_str(), &id.to_ascii_lowercase()),
            _ => found(kind.as_str(), id),
        }
    });
    if let Some(kind) = kind.filter(|_| !any) {
        let none = matches!(kind, IdKind::Trace | IdKind::Span) && value.bytes().all(|b| matches!(b, b'0' | b'-'));
        if !none {
            found(kind.as_str(), value);
        }
    }
    kind.is_some()
}

/// What became of a request's records.
struct Outcome {
    records: u64,
    refused: Vec<Refused>,
    rejected: Rejected,
    warnings: Vec<Refused>,
    limited: Option<Limited>,
    written: Written,
}

async fn answer(State(state): State<ReceiverState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = match take(&state, &parts, body).instrument(Protocol::Correlation.span(Signal::Logs)).await {
        Ok(outcome) => report(&outcome),
        Err(refusal) => {
            state.0.counters.rejected(Protocol::Correlation, refusal.reason(), 1);
            refuse(&refusal)
        }
    };
    state.0.counters.answered(Protocol::Correlation, response.status().as_u16());
    response
}

async fn take(state: &ReceiverState, parts: &Parts, body: Body) -> Result<Outcome, Refusal> {
    let encoding = Encoding::from_header(header_text(&parts.headers, header::CONTENT_ENCODING));
    let kind = BodyKind::of_media_type(header_text(&parts.headers, header::CONTENT_TYPE));
    let defaults = defaults(parts);
    let body = read_body(state, Protocol::Correlation, parts, body).await?;
    let (encoding, now_ns, body_bytes) = (encoding?, state.0.clock.wall_ns(), body.bytes.len());
    let work = move |state: &ReceiverState| {
        let message = unpack(state, encoding, body)?;
        let (size, budget) = (message.bytes.len(), state.0.request_bytes_max());
        let limits = &state.0.limits.items;
        // Of one record, which may be all of the body, texts and labels are held beside it.
        let decoded = decode_within(message, limits, budget, size, Posted::memory_bytes, |body, batch_bytes| {
            state.0.decoders.correlation.lend(size, |decoder| {
                decoder.set_batch_bytes_max(batch_bytes);
                decoder.decode(body, kind, &defaults, now_ns)
            })
        });
        let (Posted { batch, records, refused, rejected, warnings }, held) = decoded?;
        Ok((records, refused, rejected, warnings, admit(state, batch, held)?))
    };
    let (records, refused, rejected, warnings, admitted) = run(body_bytes, state, work).await?;
    let Admitted { batch, held, limited } = admitted;
    for (reason, count) in rejected.by_reason() {
        state.0.counters.rejected(Protocol::Correlation, reason.as_str(), count);
    }
    if let Some(limited) = &limited {
        state.0.counters.rejected(Protocol::Correlation, PER_STREAM, limited.entries);
    }
    let written = submit(state, Batch::Logs(batch), held).await?;
    Ok(Outcome { records, refused, rejected, warnings, limited, written })
}

/// A resource told in the address.
fn defaults(parts: &Parts) -> Vec<(String, String)> {
    let query: Vec<(String, String)> = Query::try_from_uri(&parts.uri).map(|Query(query)| query).unwrap_or_default();
    query.into_iter().filter(|(name, _)| is_place(name)).collect()
}

/// The answer to records.
#[derive(Serialize)]
struct Report<'a> {
    accepted: u64,
    #[serde(serialize_with = "refused")]
    rejected: &'a [Refused],
    /// When not all bad records are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_total: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rejected_by_store: BTreeMap<&'static str, u64>,
    #[serde(serialize_with = "refused", skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [Refused],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn refused<S: Serializer>(all: &[Refused], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct One<'a> {
        index: u64,
        field: &'a str,
        reason: &'a str,
    }
    serializer.collect_seq(all.iter().map(|Refused { index, field, reason }| One { index: *index, field, reason }))
}

fn report(outcome: &Outcome) -> Response {
    let Outcome { records, refused, rejected, warnings, limited, written } = outcome;
    let mut by_store: BTreeMap<&'static str, u64> =
        written.rejections.by_reason().iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    if let Some(limited) = limited {
        by_store.insert(PER_STREAM, limited.entries);
    }
    let complaint = complaint(rejected, limited.as_ref(), written);
    let bad = complaint.as_ref().map_or(0, |complaint| complaint.count);
    let accepted = records.saturating_sub(bad);
    let retry_after = complaint.as_ref().and_then(|complaint| complaint.retry_after);
    let status = match (accepted, bad) {
        (_, 0) => StatusCode::OK,
        _ if retry_after.is_some() => StatusCode::TOO_MANY_REQUESTS,
        (0, _) => StatusCode::BAD_REQUEST,
        _ => StatusCode::MULTI_STATUS,
    };
    let body = Report {
        accepted,
        rejected: refused,
        rejected_total: Some(rejected.count()).filter(|&count| count > refused.len() as u64),
        rejected_by_store: by_store,
        warnings,
        error: complaint.as_ref().map(|Complaint { text, .. }| text.as_str()),
    };
    json(status, &body, retry_after)
}

/// The answer to a request of which nothing was taken.
#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

fn refuse(refusal: &Refusal) -> Response {
    let (status, after) = match refusal.class() {
        Class::Bad => (StatusCode::BAD_REQUEST, None),
        Class::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
        Class::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
        Class::Later(after) if matches!(refusal, Refusal::TooFast(..)) => (StatusCode::TOO_MANY_REQUESTS, Some(after)),
        Class::Later(after) => (StatusCode::SERVICE_UNAVAILABLE, Some(after)),
    };
    let (field, place) = match refusal {
        Refusal::Malformed(error) => (Some("body"), DecodeError::place(error)),
        Refusal::Encoding(_) => (Some("Content-Encoding"), None),
        _ => (None, None),
    };
    let message = refusal.message();
    let (line, column) = (place.map(|(line, _)| line), place.map(|(_, column)| column));
    json(status, &Failure { error: &message, field, line, column }, after)
}

fn json(status: StatusCode, body: &impl Serialize, retry_after: Option<Duration>) -> Response {
    let mut response = respond(status, "application/json", serde_json::to_vec(body).unwrap_or_default());
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
    }
    response
}

#[cfg(test)]
mod tests;
