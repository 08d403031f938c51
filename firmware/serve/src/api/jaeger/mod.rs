//! Jaeger's query API, v1: what Grafana's Jaeger source, older Jaeger UIs and scripts call.

mod model;
mod search;

use crate::api::{json, text};
use crate::params::Params;
use crate::run::{RunError, run};
use crate::state::ApiState;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bramble_signal::{SpanBatch, SpanKind, TraceId};
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

/// Everything under a Jaeger base URL.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations_of_service))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search::traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
        .route("/api/metrics/minstep", get(min_step))
        .route("/api/metrics/{what}", get(monitor))
        .route("/", get(|| async { text(StatusCode::OK, "Bramble: Jaeger query API\n") }))
        .route("/api/{*rest}", any(not_found))
        .with_state(state)
}

/// An error in Jaeger's form.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) StatusCode, pub(super) String);

impl ApiError {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        ApiError(StatusCode::BAD_REQUEST, message.into())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        RunError::Read(error).into()
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        ApiError(error.status(), error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let errors = json!([{"code": self.0.as_u16(), "msg": self.1}]);
        json(self.0, &json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors}))
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Value,
}

/// The envelope; warnings of the query become errors without a code, as Jaeger does with partial results.
pub(super) fn envelope<T: Serialize>(data: T, total: usize, warnings: &[String]) -> Response {
    let errors =
        if warnings.is_empty() { Value::Null } else { warnings.iter().map(|w| json!({"code": 0, "msg": w})).collect() };
    json(StatusCode::OK, &Envelope { data, total, limit: 0, offset: 0, errors })
}

async fn not_found() -> Response {
    ApiError(StatusCode::NOT_FOUND, "unknown path".to_owned()).into_response()
}

/// Services of the last 15 days, the hot tier.
async fn services(State(state): Shared) -> Result<Response, ApiError> {
    let work = |state: &Arc<ApiState>, context: &QueryContext| {
        state.traces.services(0, u64::MAX, context).map(|s| (s, context.warnings()))
    };
    let (services, warnings) = run(&state, None, work).await??;
    let total = services.len();
    Ok(envelope(services, total, &warnings))
}

async fn operations_for(
    state: &Arc<ApiState>,
    service: String,
) -> Result<(Vec<(String, SpanKind)>, Vec<String>), ApiError> {
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state.traces.operations(&service, 0, u64::MAX, context).map(|o| (o, context.warnings()))
    };
    Ok(run(state, None, work).await??)
}

async fn operations_of_service(State(state): Shared, Path(service): Path<String>) -> Result<Response, ApiError> {
    let (operations, warnings) = operations_for(&state, service).await?;
    let names: BTreeSet<String> = operations.into_iter().map(|(name, _)| name).collect();
    let total = names.len();
    Ok(envelope(names, total, &warnings))
}

/// The word Jaeger has for a kind; empty when it was not said.
fn kind_word(kind: SpanKind) -> &'static str {
    if kind == SpanKind::Unspecified { "" } else { kind.as_str() }
}

async fn operations(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let service = params.get("service").ok_or_else(|| ApiError::bad("parameter 'service' is required"))?.to_owned();
    let wanted = params.get("spanKind").map(str::to_lowercase);
    let (operations, warnings) = operations_for(&state, service).await?;
    let list: Vec<Value> = operations
        .iter()
        .filter(|(_, kind)| wanted.as_deref().is_none_or(|w| w == kind_word(*kind)))
        .map(|(name, kind)| json!({"name": name, "spanKind": kind_word(*kind)}))
        .collect();
    let total = list.len();
    Ok(envelope(list, total, &warnings))
}

async fn trace(State(state): Shared, Path(id): Path<String>, params: Params) -> Result<Response, ApiError> {
    let id = TraceId::parse(&id).ok_or_else(|| ApiError::bad(format!("trace id {id:?} is not 1 to 32 hex digits")))?;
    search::check_times(&params)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state.traces.trace(id, context).map(|t| (t, context.warnings()))
    };
    let (trace, warnings) = run(&state, None, work).await??;
    if trace.is_empty() {
        return Err(ApiError(StatusCode::NOT_FOUND, "trace not found".to_owned()));
    }
    Ok(envelope(model::traces(&trace), 1, &warnings))
}

fn number(params: &Params, name: &str, default: u64) -> Result<u64, ApiError> {
    match params.get(name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| ApiError::bad(format!("unable to parse param '{name}': {text:?} is not a number")))
        }
    }
}

/// Calls between services, counted from parents and children of different services within one trace.
async fn dependencies(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let end_ms = number(&params, "endTs", state.clock.wall_ms() as u64)?;
    let lookback_ms = number(&params, "lookback", 86_400_000)?;
    let range = (end_ms.saturating_sub(lookback_ms).saturating_mul(1_000_000), end_ms.saturating_mul(1_000_000));
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let scan = bramble_storage::SpanScan::whole(range.0, range.1, &[]);
        let mut calls = std::collections::BTreeMap::<(String, String), u64>::new();
        let (mut cursor, mut batch) = (state.traces.scan(&scan, context)?, SpanBatch::new());
        while cursor.next(&mut batch)? {
            context.check()?;
            count_calls(&batch, &mut calls);
        }
        Ok::<_, ReadError>((calls, context.warnings()))
    };
    let (calls, warnings) = run(&state, None, work).await??;
    let list: Vec<Value> = calls
        .into_iter()
        .map(|((parent, child), n)| json!({"parent": parent, "child": child, "callCount": n}))
        .collect();
    let total = list.len();
    Ok(envelope(list, total, &warnings))
}

fn count_calls(batch: &SpanBatch, calls: &mut std::collections::BTreeMap<(String, String), u64>) {
    let by_id: std::collections::HashMap<_, _> = batch.spans.iter().map(|s| ((s.trace_id, s.span_id), s)).collect();
    for span in &batch.spans {
        if let Some(parent) = by_id.get(&(span.trace_id, span.parent_span_id)) {
            let (from, to) = (batch.service(parent), batch.service(span));
            if from != to {
                *calls.entry((from.to_owned(), to.to_owned())).or_default() += 1;
            }
        }
    }
}

async fn min_step() -> Response {
    envelope(1, 0, &[])
}

/// The monitor tab needs span metrics, which are derived at ingest in a later release; its parameters are checked as
/// Jaeger does, and the answer is the one Jaeger gives where no metrics storage is configured.
async fn monitor(Path(what): Path<String>, params: Params) -> Result<Response, ApiError> {
    if !["latencies", "calls", "errors"].contains(&what.as_str()) {
        return Ok(not_found().await);
    }
    if params.all(&["service"]).next().is_none() {
        return Err(ApiError::bad("unable to parse param 'service': please provide at least one service name"));
    }
    for name in ["endTs", "lookback", "step", "ratePer"] {
        number(&params, name, 0)?;
    }
    if let Some(text) = params.get("groupByOperation")
        && text.parse::<bool>().is_err()
    {
        return Err(ApiError::bad(format!("unable to parse param 'groupByOperation': {text:?} is not true or false")));
    }
    let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    if let Some(kind) = params.all(&["spanKind"]).find(|k| !kinds.contains(k)) {
        return Err(ApiError::bad(format!("unable to parse param 'spanKind': unsupported span kind: '{kind}'")));
    }
    if what == "latencies" && params.get("quantile").and_then(|q| q.parse::<f64>().ok()).is_none() {
        return Err(ApiError::bad("unable to parse param 'quantile': a number is required"));
    }
    Err(ApiError(StatusCode::NOT_IMPLEMENTED, "metrics querying is currently disabled".to_owned()))
}
