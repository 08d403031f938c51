//! `/api/transform`: OTLP as JSON, to the JSON of Jaeger's UI, for files that people drop on it.

use super::Shared;
use super::answer::{self, ApiError};
use crate::run::run_holding;
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bramble_storage::{QueryContext, ReadError};
use bramble_wire::Format;
use bramble_wire::otlp::Decoder;
use http::StatusCode;
use std::sync::Arc;

/// Largest body: a trace of some 10,000 spans.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Why nothing was made of a body.
enum Refused {
    Read(ReadError),
    Malformed(String),
}

pub(super) async fn transform(State(state): Shared, body: Body) -> Result<Response, ApiError> {
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("body larger than {BODY_BYTES_MAX} bytes"))
    })?;
    let work = move |_: &Arc<ApiState>, context: &QueryContext| {
        // The body and its protobuf form, while the batch is made.
        context.reserve(body.len() * 2).map_err(|over| Refused::Read(over.into()))?;
        let mut decoder = Decoder::new(bramble_wire::Limits::default());
        let decoded = decoder.traces(Format::Json, &body).map_err(|e| Refused::Malformed(e.to_string()))?;
        context.reserve(decoded.batch.memory_bytes()).map_err(|over| Refused::Read(over.into()))?;
        Ok(decoded.batch)
    };
    let (batch, held) = run_holding(&state, None, work).await?;
    match batch {
        Ok(batch) => Ok(answer::traces(batch, held)),
        Err(Refused::Read(error)) => Err(error.into()),
        Err(Refused::Malformed(why)) => Err(ApiError::bad(format!("cannot unmarshal OTLP: {why}"))),
    }
}
