//! Logs as VictoriaLogs takes them: `POST /insert/jsonline`, and Elasticsearch's bulk API at
//! `/insert/elasticsearch/_bulk`.
//!
//! | condition | answer |
//! | --- | --- |
//! | taken | 200; to a bulk its answer, every item created |
//! | some lines refused | the rest is stored; 400 with each reason's first story |
//! | corrupt, too large, no room, too fast | as for Loki's push |
//!
//! VictoriaLogs answers 200 whatever lines were wrong and logs them; here the sender hears of it.
//!
//! Which fields mean what is told by parameters (`_msg_field`, `_time_field`, `_stream_fields`, `ignore_fields`) or by
//! headers (`VL-Msg-Field`, …). Encodings gzip, deflate, zstd and snappy.

use super::ReceiverState;
use super::body::read_body;
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::log_batch::{Complaint, admit};
use super::loki_push::{later, refuse, store};
use super::otlp_http::{header_text, respond};
use super::refusal::Refusal;
use super::remote_write::text;
use super::unpack::unpack;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bramble_signal::{LogBatch, Signal};
use bramble_wire::Decoded;
use bramble_wire::compression::Encoding;
use bramble_wire::json_lines::FieldNames;
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use std::collections::HashMap;
use tracing::Instrument;

/// The routes of VictoriaLogs' own ways in. What a sender of bulks asks first is answered as well.
pub(super) fn json_lines(state: ReceiverState) -> Router {
    let lines =
        |State(state): State<ReceiverState>, request: Request| async move { answer(&state, request, false).await };
    let bulk =
        |State(state): State<ReceiverState>, request: Request| async move { answer(&state, request, true).await };
    let version = || async { json(r#"{"version":{"number":"8.9.0"}}"#) };
    Router::new()
        .route("/insert/jsonline", post(lines))
        .route("/insert/elasticsearch/_bulk", post(bulk))
        .route("/insert/elasticsearch", get(version).head(version))
        .route("/insert/elasticsearch/", get(version).head(version))
        .with_state(state)
}

fn json(body: &str) -> Response {
    respond(StatusCode::OK, "application/json", body.as_bytes().to_vec())
}

async fn answer(state: &ReceiverState, request: Request, bulk: bool) -> Response {
    let (parts, body) = request.into_parts();
    let span = Protocol::JsonLines.span(Signal::Logs);
    let response = match take(state, &parts, body, bulk).instrument(span).await {
        Ok((_, Some(Complaint { text: story, retry_after: None, .. }))) => text(StatusCode::BAD_REQUEST, story),
        Ok((_, Some(Complaint { text: story, retry_after: Some(after), .. }))) => {
            later(StatusCode::TOO_MANY_REQUESTS, story, after)
        }
        Ok((count, None)) if bulk => {
            let items = vec![r#"{"create":{"status":201}}"#; count].join(",");
            json(&format!(r#"{{"took":0,"errors":false,"items":[{items}]}}"#))
        }
        Ok((_, None)) => Response::new(Body::empty()),
        Err(refusal) => {
            state.0.counters.rejected(Protocol::JsonLines, refusal.reason(), 1);
            refuse(&refusal)
        }
    };
    state.0.counters.answered(Protocol::JsonLines, response.status().as_u16());
    response
}

/// Returns how many entries there were, and what to complain about although the rest is stored.
async fn take(
    state: &ReceiverState,
    parts: &Parts,
    body: Body,
    bulk: bool,
) -> Result<(usize, Option<Complaint>), Refusal> {
    let encoding = Encoding::from_header(header_text(&parts.headers, header::CONTENT_ENCODING));
    let names = field_names(parts);
    let body = read_body(state, Protocol::JsonLines, parts, body).await?;
    let (encoding, now_ns, body_bytes) = (encoding?, state.0.clock.wall_ns(), body.bytes.len());
    let work = move |state: &ReceiverState| {
        let message = unpack(state, encoding, body)?;
        let (size, budget) = (message.bytes.len(), state.0.request_bytes_max());
        let memory = |decoded: &Decoded<LogBatch>| decoded.batch.memory_bytes();
        let (decoded, held) = decode_within(message, &state.0.limits.items, budget, 0, memory, |body, batch_bytes| {
            state.0.decoders.json_lines.lend(size, |decoder| {
                decoder.set_batch_bytes_max(batch_bytes);
                decoder.decode(body, &names, bulk, now_ns)
            })
        })?;
        let count = decoded.batch.entry_count();
        Ok((count, decoded.rejected, admit(state, decoded.batch, held)?))
    };
    let (count, rejected, admitted) = run(body_bytes, state, work).await?;
    Ok((count, store(state, Protocol::JsonLines, &rejected, admitted).await?))
}

fn field_names(parts: &Parts) -> FieldNames {
    let query: HashMap<String, String> = Query::try_from_uri(&parts.uri).map(|Query(query)| query).unwrap_or_default();
    let told = |parameter: &str, name: &'static str| {
        let header = header_text(&parts.headers, HeaderName::from_static(name));
        let text = query.get(parameter).map_or(header, String::as_str);
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let defaults = FieldNames::default();
    let message = told("_msg_field", "vl-msg-field");
    FieldNames {
        message: if message.is_empty() { defaults.message } else { message },
        time: told("_time_field", "vl-time-field").into_iter().next().unwrap_or(defaults.time),
        stream: told("_stream_fields", "vl-stream-fields"),
        ignored: told("ignore_fields", "vl-ignore-fields"),
    }
}
