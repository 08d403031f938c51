//! `POST /api/v1/read`: raw samples for another Prometheus.
//!
//! Streamed answers (`STREAMED_XOR_CHUNKS`, what Prometheus asks for first) take the memory of one series and a few
//! frames. Sampled ones are a single compressed message, which cannot be sent in pieces: they are reserved from the query
//! budget and refused beyond it. Errors are plain text.
//!
//! Request: a body of at most [`BODY_BYTES_MAX`], which unfolds to at most as much. Native histograms are answered in both
//! forms, with floating point counts.

use super::bulk::{self, BulkError, Pieces};
use crate::api::text;
use crate::run::run;
use crate::state::ApiState;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bramble_signal::SeriesSamples;
use bramble_storage::{MetricSelect, QueryContext, ReadError};
use bramble_wire::compression::{Encoding, decompress};
use bramble_wire::remote_read::{ChunkWriter, ReadQuery, ReadRequest, ResponseType, SamplesWriter, compressed};
use http::{StatusCode, header};
use std::sync::Arc;

/// Largest request: a selector, not data.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Largest sampled answer before compression; snappy's block format and readers end at 4 GiB, the budget far earlier.
const SAMPLED_BYTES_MAX: usize = 256 << 20;

const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

pub(super) async fn read(State(state): State<Arc<ApiState>>, body: Body) -> Response {
    let bad = |message: String| text(StatusCode::BAD_REQUEST, message + "\n");
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, format!("request is larger than {BODY_BYTES_MAX} bytes\n"));
    };
    let mut message = Vec::new();
    if let Err(error) = decompress(Encoding::Snappy, &body, BODY_BYTES_MAX, &mut message) {
        return bad(error.to_string());
    }
    let request = match ReadRequest::decode(&message) {
        Ok(request) => request,
        Err(error) => return bad(error.to_string()),
    };
    if let Some(at) = request.queries.iter().position(|q| q.matchers.iter().all(|m| m.matches_absent())) {
        return bad(format!("query {at} must contain at least one matcher that does not match the empty value"));
    }
    match request.response_type {
        Some(ResponseType::StreamedXorChunks) => streamed(&state, request.queries).await,
        Some(ResponseType::Samples) => sampled(&state, request.queries).await,
        None => bad("none of the accepted response types is known; known are SAMPLES, STREAMED_XOR_CHUNKS".to_owned()),
    }
}

fn select(query: &ReadQuery) -> MetricSelect<'_> {
    MetricSelect { matchers: &query.matchers, start_ms: query.start_ms, end_ms: query.end_ms }
}

async fn streamed(state: &Arc<ApiState>, queries: Vec<ReadQuery>) -> Response {
    let work = move |state: &Arc<ApiState>, context: &QueryContext, pieces: &mut Pieces<'_>| {
        let (mut writer, mut series) = (ChunkWriter::new(), SeriesSamples::default());
        for (index, query) in queries.iter().enumerate() {
            let mut cursor = state.metrics.select(&select(query), context)?;
            while cursor.next(&mut series)? {
                writer.series(&series, index, &mut pieces.buffer);
                pieces.item_done()?;
            }
        }
        Ok(())
    };
    bulk::answer(state, STREAMED, work).await.unwrap_or_else(BulkError::into_text)
}

async fn sampled(state: &Arc<ApiState>, queries: Vec<ReadQuery>) -> Response {
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let mut message = Vec::new();
        let mut reserved = 0;
        for query in &queries {
            let mut cursor = state.metrics.select(&select(query), context)?;
            SamplesWriter.result(&mut message, |series, written| {
                // What was written, as the vector that doubles holds it, and the same once more compressed.
                if written * 3 > reserved {
                    let step = written * 3 - reserved + (1 << 20);
                    context.reserve(step).map_err(ReadError::from)?;
                    reserved += step;
                }
                if written > SAMPLED_BYTES_MAX {
                    let message = format!("answer is larger than {SAMPLED_BYTES_MAX} bytes; ask for streamed chunks");
                    return Err(BulkError::TooMuch(message));
                }
                Ok(cursor.next(series)?)
            })?;
        }
        compressed(&message).map_err(BulkError::TooMuch)
    };
    let outcome = match run(state, None, work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(body) => {
            let head = [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
            (head, body).into_response()
        }
        Err(error) => error.into_text(),
    }
}
