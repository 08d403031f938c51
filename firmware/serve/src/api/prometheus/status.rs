//! Health, build, status pages, and calls whose feature is configured elsewhere.

use super::answer::{ApiError, success};
use crate::api::text;
use crate::params::{Params, rfc3339_of_ms};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bramble_storage::{MetricSelect, QueryContext};
use http::{StatusCode, header};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

pub(super) async fn healthy() -> Response {
    text(StatusCode::OK, "Bramble is Healthy.\n")
}

pub(super) async fn ready(State(state): Shared) -> Response {
    if state.operations.is_ready() {
        text(StatusCode::OK, "Bramble is Ready.\n")
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The journal is being replayed; writes are accepted, answers are partial.\n",
        )
    }
}

pub(super) async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) async fn lifecycle_off() -> Response {
    text(StatusCode::FORBIDDEN, "Lifecycle API is not enabled.")
}

pub(super) async fn metrics(State(state): Shared) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    ([(header::CONTENT_TYPE, kind)], state.operations.metrics_text()).into_response()
}

fn build_info(state: &ApiState) -> serde_json::Value {
    // Clients compare the version with Prometheus' to choose features; this is the API level we follow.
    json!({
        "version": "3.5.3", "revision": state.build.revision, "branch": "bramble",
        "buildUser": format!("bramble {}", state.build.version), "buildDate": "", "goVersion": "none",
    })
}

pub(super) async fn build(State(state): Shared) -> Response {
    success(build_info(&state))
}

pub(super) async fn version(State(state): Shared) -> Response {
    crate::api::json(StatusCode::OK, &build_info(&state))
}

pub(super) async fn runtime(State(state): Shared) -> Response {
    let status = state.operations.status();
    success(json!({
        "startTime": rfc3339_of_ms(state.started_ms), "CWD": "/", "hostname": status.hostname,
        "serverTime": rfc3339_of_ms(state.clock.wall_ms()), "reloadConfigSuccess": true,
        "lastConfigTime": rfc3339_of_ms(state.started_ms), "corruptionCount": 0, "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from), "GOMEMLIMIT": status.memory.cap_bytes,
        "GOGC": "", "GODEBUG": "", "storageRetention": "tiers: 15d/30d/90d",
    }))
}

pub(super) async fn flags() -> Response {
    success(json!({"web.enable-remote-write-receiver": "true"}))
}

pub(super) async fn config(State(state): Shared) -> Response {
    success(json!({"yaml": state.operations.config_text()}))
}

pub(super) async fn replay(State(state): Shared) -> Response {
    let done = i32::from(state.operations.is_ready());
    success(json!({"min": 0, "max": 1 - done, "current": 0}))
}

pub(super) async fn empty_list() -> Response {
    success(json!([]))
}

pub(super) async fn scrape_pools() -> Response {
    success(json!({"scrapePools": []}))
}

pub(super) async fn targets(params: Params) -> Response {
    let mut body = json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}});
    if params.get("state") == Some("dropped") {
        body["droppedTargetCounts"] = serde_json::Value::Null;
    }
    success(body)
}

pub(super) async fn rules(params: Params) -> Result<Response, ApiError> {
    match params.get("type") {
        None | Some("alert" | "record") => Ok(success(json!({"groups": []}))),
        Some(other) => Err(ApiError::parameter("type", format!("not supported value \"{other}\""))),
    }
}

pub(super) async fn alerts() -> Response {
    success(json!({"alerts": []}))
}

pub(super) async fn alertmanagers() -> Response {
    success(json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

fn top(counts: HashMap<String, u64>, limit: usize) -> Vec<serde_json::Value> {
    let mut sorted: Vec<(String, u64)> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sorted.into_iter().take(limit).map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// Cardinality of what was seen within the last hour.
pub(super) async fn tsdb(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let limit = match params.get("limit").map(str::parse::<usize>) {
        None => 10,
        Some(Ok(n)) if n >= 1 => n,
        Some(_) => return Err(ApiError::bad_data("limit must be a positive number")),
    };
    let now_ms = state.clock.wall_ms();
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        state
            .metrics
            .series(&MetricSelect { matchers: &[], start_ms: now_ms - 3_600_000, end_ms: now_ms + 3_600_000 }, context)
    };
    let series = crate::run::run(&state, None, work).await??;
    let (mut by_name, mut by_pair, mut bytes) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut values: HashMap<String, std::collections::HashSet<String>> = HashMap::new();
    for labels in &series {
        for (name, value) in labels.iter() {
            if name == bramble_signal::METRIC_NAME {
                *by_name.entry(value.to_owned()).or_insert(0u64) += 1;
            }
            *by_pair.entry(format!("{name}={value}")).or_insert(0u64) += 1;
            if values.entry(name.to_owned()).or_default().insert(value.to_owned()) {
                *bytes.entry(name.to_owned()).or_insert(0u64) += value.len() as u64;
            }
        }
    }
    let pairs = by_pair.len();
    let counts = values.into_iter().map(|(name, set)| (name, set.len() as u64)).collect();
    Ok(success(json!({
        "headStats": {"numSeries": series.len(), "numLabelPairs": pairs, "chunkCount": 0, "minTime": now_ms - 3_600_000, "maxTime": now_ms},
        "seriesCountByMetricName": top(by_name, limit), "labelValueCountByLabelName": top(counts, limit),
        "memoryInBytesByLabelName": top(bytes, limit), "seriesCountByLabelValuePair": top(by_pair, limit),
    })))
}

pub(super) async fn force_flush(State(state): Shared) -> Response {
    operate(state, |o| o.force_flush()).await
}

pub(super) async fn force_merge(State(state): Shared) -> Response {
    operate(state, |o| o.force_merge()).await
}

async fn operate(state: Arc<ApiState>, work: fn(&dyn crate::state::Operations) -> Result<(), String>) -> Response {
    let outcome = tokio::task::spawn_blocking(move || work(&*state.operations)).await;
    match outcome {
        Ok(Ok(())) => text(StatusCode::OK, "done\n"),
        Ok(Err(message)) => text(StatusCode::INTERNAL_SERVER_ERROR, message),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the operation failed unexpectedly; this is a bug"),
    }
}
